"""The map by itself: the same by mouse, finger and keys, on the canvas and by WebGL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import PATIENCE
from tests.browser.mapper import ACCENT, BLUE, GREEN, GROUND, RED, SEAL, Mapper

RENDERERS = ("canvas", "webgl")
Open = Callable[..., Mapper]

# Far enough apart that no dot touches another: 8 columns, 6 rows.
GRID = np.array([(column, row) for row in range(6) for column in range(8)], np.float32)
WITHOUT_WEBGL = """
const before = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.includes('webgl') ? null : before.call(this, kind, ...rest);
};
"""


@pytest.fixture(scope="module")
def windows() -> dict[BrowserContext, list[Page]]:
    """Empty windows that earlier visitors have left."""
    return {}


@pytest.fixture
def open_map(
    contexts: Callable[..., BrowserContext], windows: dict[BrowserContext, list[Page]]
) -> Iterator[Open]:
    """Open the page as somebody; ``troubles=False`` where the console may complain."""
    expect.set_options(timeout=PATIENCE)
    opened: list[tuple[Mapper, list[Page] | None, bool]] = []

    def begin(
        *, script: bool | str = True, before: str = "", troubles: bool = True, **kind: object
    ) -> Mapper:
        context = contexts(**kind)
        # What runs before a page stays in its window.
        empty = None if before else windows.setdefault(context, [])
        page = empty.pop() if empty else None
        mapper = Mapper(context, script=script, before=before, page=page)
        opened.append((mapper, empty, troubles))
        return mapper

    yield begin
    for mapper, empty, _ in opened:
        if empty is None:
            mapper.page.close()
        else:
            empty.append(mapper.leave())
    for mapper, _, troubles in opened:
        assert mapper.foreign_requests == []
        if troubles:
            assert mapper.troubles == []


def show_grid(mapper: Mapper, **kind: object) -> None:
    mapper.show(GRID[:, 0], GRID[:, 1], values=[n % 3 for n in range(len(GRID))], **kind)


def inside(line: Sequence[tuple[float, float]], x: float, y: float) -> bool:
    """The even-odd rule, edge by edge."""
    found = False
    for (ax, ay), (bx, by) in zip(line, [*line[1:], line[0]], strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            found = not found
    return found


# --- what lies where ------------------------------------------------------------------------------


def test_the_nearest_point_is_that_of_a_plain_search(open_map: Open) -> None:
    generator = np.random.default_rng(0)
    points = generator.normal(size=(2000, 2)).astype(np.float32)
    points[1500:] = points[:500]  # in one place with another
    visible = generator.integers(0, 4, 2000) > 0
    asked = generator.normal(size=(300, 2)) * 1.3
    reaches = generator.choice([0.02, 0.1, 1.0, 9.0], 300)
    found = open_map().page.evaluate(
        """([x, y, visible, asked, reaches]) => {
          const grid = MapSpace.makeGrid(Float32Array.from(x), Float32Array.from(y));
          const mask = Uint8Array.from(visible);
          return asked.map(([px, py], i) => grid.nearest(px, py, reaches[i], mask));
        }""",
        [
            *points.T.tolist(),
            visible.astype(int).tolist(),
            asked.tolist(),
            reaches.tolist(),
        ],
    )
    for (x, y), reach, number in zip(asked, reaches, found, strict=True):
        far = (points[:, 0].astype(float) - x) ** 2 + (points[:, 1].astype(float) - y) ** 2
        near = [n for n in range(2000) if visible[n] and far[n] <= reach**2]
        # Of two in one place the later one, which lies above.
        assert number == (max(near, key=lambda n: (-far[n], n)) if near else -1)


@pytest.mark.parametrize(
    "points", [[], [(1.0, 2.0)], [(0.0, 0.0)] * 5, [(3.0, n) for n in range(9)]]
)
def test_points_may_be_few_or_in_one_place(
    open_map: Open, points: list[tuple[float, float]]
) -> None:
    mapper = open_map()
    mapper.show([x for x, _ in points], [y for _, y in points])
    if points:
        mapper.hover(len(points) - 1)
        assert mapper.wait_for("hover")["number"] == len(points) - 1


def test_a_line_holds_what_a_plain_test_of_each_point_says(open_map: Open) -> None:
    generator = np.random.default_rng(1)
    points = generator.uniform(-1, 1, (3000, 2)).astype(np.float32)
    page = open_map().page
    for corners in (2, 3, 4, 40, 400):  # many of them cross themselves
        line = generator.uniform(-1.1, 1.1, (corners, 2))
        found = page.evaluate(
            """([x, y, lineX, lineY]) => {
              const {mask, count} = MapSpace.insidePolygon(
                Float32Array.from(x), Float32Array.from(y), lineX, lineY);
              return {mask: [...mask], count};
            }""",
            [*points.T.tolist(), *line.T.tolist()],
        )
        plain = [corners > 2 and inside(line.tolist(), float(x), float(y)) for x, y in points]
        assert found == {"mask": [int(value) for value in plain], "count": sum(plain)}


def test_a_stamp_covers_as_much_as_its_disc(open_map: Open) -> None:
    page = open_map().page
    for radius in (0.75, 1.5, 3.0, 8.0):
        sums = page.evaluate(
            "(r) => MapCanvas.makeStamps(r).covers.map((c) => c.reduce((a, b) => a + b, 0) / 256)",
            radius,
        )
        assert np.allclose(sums, np.pi * radius**2, rtol=0.15, atol=0.2), radius


# --- the mouse ------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", RENDERERS)
def test_points_are_where_they_are_said_to_be_in_their_colours(
    open_map: Open, renderer: str
) -> None:
    mapper = open_map()
    show_grid(mapper, renderer=renderer)
    assert mapper.do("map.renderer") == renderer
    assert mapper.page.locator(".gl-canvas-context:visible").count() == (renderer == "webgl")
    expect(mapper.page.locator(".modebar, .plotlyjs-logo")).to_have_count(0)
    picture = mapper.picture().astype(int)
    for n, (x, y) in enumerate(mapper.places()):
        seen = picture[int(y), int(x)]
        assert np.abs(seen - (RED, GREEN, BLUE)[n % 3]).max() < 40, n
    # A scale instead: the first end for 0, the other for 255.
    mapper.do(
        """map.setColours({kind: 'scale', from: 'rgb(255, 253, 249)', to: 'rgb(40, 80, 220)',
          values: Uint8Array.from({length: 48}, (_, n) => n === 13 ? 255 : n === 14 ? 128 : 0)})"""
    )
    assert mapper.sees(mapper.at(13), BLUE)
    assert mapper.sees(mapper.at(14), (148, 167, 235))
    assert mapper.sees(mapper.at(20), GROUND["light"])


def test_who_points_at_a_point_is_told_which(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    mapper.hover(10)
    told = mapper.wait_for("hover")
    assert told["number"] == 10
    assert (told["x"], told["y"]) == pytest.approx(mapper.at(10))
    x, y = mapper.at(11)
    mapper.page.mouse.move(x + 5, y + 4)
    assert mapper.wait_for("hover", more_than=1)["number"] == 11
    mapper.page.mouse.move(x + 35, y + 35)
    mapper.wait_for("leave")
    mapper.hover(12)
    mapper.wait_for("hover", more_than=2)
    mapper.page.mouse.move(x, mapper.page.viewport_size["height"] - 2)  # off the map
    mapper.wait_for("leave", more_than=1)


def test_a_click_tells_the_point_or_that_there_is_none(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    mapper.page.mouse.click(*mapper.at(21))
    assert mapper.wait_for("click")["number"] == 21
    x, y = mapper.at(21)
    mapper.page.mouse.click(x + 40, y + 30)
    mapper.wait_for("empty")
    # What moves is no click.
    mapper.drag((x, y), (x + 60, y))
    mapper.page.mouse.click(*mapper.at(22))
    assert [told["number"] for told in mapper.told("click")] == [21, 22]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_lasso_takes_what_lies_inside(open_map: Open, renderer: str) -> None:
    generator = np.random.default_rng(2)
    mapper = open_map()
    mapper.show(*generator.normal(size=(2, 500)), renderer=renderer)
    places = mapper.places()
    mapper.tool("lasso")
    line = [(300.0, 150.0), (620.0, 120.0), (700.0, 420.0), (500.0, 300.0), (340.0, 460.0)]
    mapper.drag(*line)
    told = mapper.wait_for("select")
    assert told["count"] == sum(told["mask"]) > 20
    expected = [inside(line, x, y) for x, y in places]
    # A hand's line is one of pixels: only points on it may be on either side.
    differing = [n for n in range(500) if told["mask"][n] != expected[n]]
    assert len(differing) <= 3
    # The others are dim now.
    strong, faint = (next(n for n in range(500) if told["mask"][n] == on) for on in (1, 0))
    alone = [np.hypot(*(places - places[n]).T) for n in (strong, faint)]
    assert all(np.sort(far)[0] == 0 for far in alone)
    picture = mapper.picture().astype(int)
    ground = np.array(GROUND["light"])
    away = np.abs(picture - ground).max(axis=2)
    taken = np.array(told["mask"], bool)
    seen = np.array([away[int(y), int(x)] for x, y in places])
    assert np.median(seen[taken]) > 120 > 80 > np.median(seen[~taken])


def test_a_box_takes_what_lies_inside_and_more_or_less_of_it(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    places = mapper.places()
    step = abs(places[1, 0] - places[0, 0]) / 2

    def around(*numbers: int) -> tuple[tuple[float, float], tuple[float, float]]:
        some = places[list(numbers)]
        low, high = some.min(0) - step, some.max(0) + step
        return (low[0], low[1]), (high[0], high[1])

    def taken() -> set[int]:
        return {n for n, on in enumerate(mapper.told("select")[-1]["mask"]) if on}

    mapper.page.keyboard.press("Tab")
    mapper.page.keyboard.press("b")
    mapper.wait_for("mode", mode="box")
    mapper.drag(*around(9, 18))
    assert taken() == {9, 10, 17, 18}
    mapper.page.keyboard.down("Shift")
    mapper.drag(*around(20))
    mapper.page.keyboard.up("Shift")
    assert taken() == {9, 10, 17, 18, 20}
    mapper.page.keyboard.down("Alt")
    mapper.drag(*around(9, 10))
    mapper.page.keyboard.up("Alt")
    assert taken() == {17, 18, 20}
    # Broken off with Escape, nothing changes; once more, and nothing is selected.
    mapper.drag(*around(30), release=False)
    mapper.page.keyboard.press("Escape")
    mapper.page.mouse.up()
    assert taken() == {17, 18, 20}
    mapper.page.keyboard.press("Escape")
    assert mapper.told("select")[-1]["count"] == 0
    assert taken() == set()
    # With the shift key the tool that moves is a lasso.
    mapper.tool("pan")
    (left, top), (right, bottom) = around(33)
    mapper.page.keyboard.down("Shift")
    mapper.drag((left, top), (right, top), (right, bottom), (left, bottom))
    mapper.page.keyboard.up("Shift")
    assert taken() == {33}


@pytest.mark.parametrize("renderer", RENDERERS)
def test_hidden_points_are_not_there(open_map: Open, renderer: str) -> None:
    mapper = open_map()
    show_grid(mapper, renderer=renderer)
    mapper.do("map.setVisible(Uint8Array.from({length: 48}, (_, n) => n % 3 === 1))")
    assert mapper.sees(mapper.at(12), GROUND["light"])
    assert mapper.sees(mapper.at(13), GREEN)
    mapper.page.mouse.click(*mapper.at(12))
    mapper.wait_for("empty")
    mapper.page.mouse.click(*mapper.at(13))
    assert mapper.wait_for("click")["number"] == 13
    assert {told["number"] for told in mapper.told("hover")} == {13}
    mapper.tool("box")
    mapper.drag((2.0, 2.0), (1100.0, 636.0))
    told = mapper.wait_for("select")
    assert told["mask"] == [int(n % 3 == 1) for n in range(48)]
    mapper.do("(map.clearSelection(), map.setVisible(null))")
    assert mapper.sees(mapper.at(12), RED)


# --- moving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_wheel_brings_nearer_what_is_under_it(open_map: Open, renderer: str) -> None:
    mapper = open_map()
    show_grid(mapper, renderer=renderer)
    before = mapper.places()
    x, y = mapper.at(19)
    mapper.page.mouse.move(x, y)
    for _ in range(4):
        mapper.page.mouse.wheel(0, -120)
    mapper.page.wait_for_function(
        f"map.pixels(20)[0] - map.pixels(19)[0] > {2.8 * (before[1, 0] - before[0, 0])}"
    )
    # The pointer stands on a whole pixel, the point did not.
    assert mapper.at(19) == pytest.approx((x, y), abs=3)
    assert mapper.sees((x, y), GREEN)
    x, y = mapper.at(19)
    mapper.drag((600.0, 300.0), (500.0, 250.0))
    assert mapper.at(19) == pytest.approx((x - 100, y - 50), abs=0.5)
    mapper.tool("reset")
    assert mapper.places() == pytest.approx(before, abs=0.5)
    # Out of sight is nothing: the way out ends, and the points stay in the window.
    mapper.page.mouse.move(x, y)
    for _ in range(15):
        mapper.page.mouse.wheel(0, 240)
    mapper.page.wait_for_function("Math.abs(map.pixels(20)[0] - map.pixels(19)[0]) < 80")
    mapper.drag((600.0, 300.0), (1250.0, 300.0))
    mapper.drag((100.0, 300.0), (1250.0, 300.0))
    assert (mapper.places()[:, 0] < 1280).any()


def test_keys_and_buttons_do_what_the_mouse_does(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    start = mapper.places()

    def apart() -> float:
        return float(mapper.at(1)[0] - mapper.at(0)[0])

    wide = apart()
    mapper.page.keyboard.press("Tab")
    expect(mapper.page.locator(".mp-over")).to_be_focused()
    mapper.page.keyboard.press("+")
    assert apart() == pytest.approx(wide * 1.5)
    mapper.page.keyboard.press("-")
    mapper.page.keyboard.press("-")
    assert apart() == pytest.approx(wide / 1.5)
    mapper.page.keyboard.press("0")
    for key, way in {
        "ArrowLeft": (1, 0),
        "ArrowRight": (-1, 0),
        "ArrowUp": (0, 1),
        "ArrowDown": (0, -1),
    }.items():
        before = mapper.places()[20]
        mapper.page.keyboard.press(key)
        assert (np.sign(np.round(mapper.places()[20] - before)) == way).all(), key
    mapper.page.keyboard.press("0")
    assert mapper.places() == pytest.approx(start, abs=0.5)
    # The buttons come after the map, each with a name, and say which tool is in hand.
    buttons = mapper.page.locator(".mp-tools button")
    names = ["Move the map", "Select with a lasso", "Select with a box"]
    names += ["Zoom in", "Zoom out", "Show everything"]
    for button, name in zip(buttons.all(), names, strict=True):
        mapper.page.keyboard.press("Tab")
        expect(button).to_be_focused()
        expect(button).to_have_accessible_name(name)
        box = button.bounding_box()
        assert box is not None and min(box["width"], box["height"]) >= 24
    mapper.page.get_by_role("button", name="Select with a lasso").press("Enter")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(buttons.nth(0)).to_have_attribute("aria-pressed", "false")
    mapper.tool("in")
    assert apart() == pytest.approx(wide * 1.5)
    mapper.tool("out")
    assert apart() == pytest.approx(wide)


def test_two_fingers_pinch_and_one_moves(open_map: Open) -> None:
    mapper = open_map(width=390, height=844)
    show_grid(mapper)
    before = mapper.places()
    # Fingers go apart to twice as far: so do the points, and the middle stays.
    mapper.touch(
        [(145.0, 200.0), (245.0, 200.0)],
        [(120.0, 200.0), (270.0, 200.0)],
        [(95.0, 200.0), (295.0, 200.0)],
    )
    after = mapper.places()
    assert after[1, 0] - after[0, 0] == pytest.approx(2 * (before[1, 0] - before[0, 0]), rel=0.02)
    middle = np.array([195.0, 200.0])
    assert after == pytest.approx(middle + 2 * (before - middle), abs=2)
    mapper.touch([(200.0, 200.0)], [(220.0, 215.0)], [(240.0, 230.0)])
    assert mapper.places() == pytest.approx(after + np.array([40, 30]), abs=1)
    assert mapper.told("click") == []
    # A tap near a point means it.
    place = mapper.places()
    number = int(np.argmin(np.hypot(*(place - (195, 250)).T)))
    x, y = place[number] + (8, 6)
    mapper.touch([(x, y)])
    assert mapper.wait_for("click")["number"] == number
    # A finger draws a lasso, too.
    mapper.tool("lasso")
    x, y = place[number]
    mapper.touch(*([(x + a, y + b)] for a, b in ((-15, -15), (15, -15), (15, 15), (-15, 15))))
    told = mapper.wait_for("select")
    assert [n for n, on in enumerate(told["mask"]) if on] == [number]


def test_a_finger_scrolls_the_page_until_the_map_was_brought_nearer(open_map: Open) -> None:
    mapper = open_map(width=390, height=844)
    show_grid(mapper)
    mapper.do("document.body.style.height = '3000px'")
    before = mapper.places()
    up = [[(200.0, 400.0 - 20 * i)] for i in range(12)]
    mapper.touch(*up)
    mapper.page.wait_for_function("scrollY > 100")
    assert mapper.places() == pytest.approx(before)
    assert mapper.told("click") == []
    mapper.do("scrollTo(0, 0)")
    # Sideways it moves the map, which has nothing to scroll there.
    mapper.touch([(200.0, 200.0)], [(230.0, 200.0)], [(260.0, 202.0)])
    assert mapper.places()[20] == pytest.approx(before[20] + (60, 2), abs=1)
    # Brought nearer, or with the lasso in hand, the map has every way to itself.
    mapper.tool("reset")
    mapper.tool("lasso")
    mapper.touch(*up, [(60.0, 180.0)], [(60.0, 400.0)])
    mapper.wait_for("select")
    mapper.tool("pan")
    mapper.tool("in")
    near, top = mapper.places(), mapper.do("scrollY")
    mapper.touch(*up)
    assert mapper.places()[20] == pytest.approx(near[20] - (0, 220), abs=1)
    assert mapper.do("scrollY") == top


def test_the_points_in_view_are_told_where_they_are_few(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    assert mapper.do("map.inView(47)") == []
    assert mapper.do("map.inView(48)") == list(range(48))
    views = len(mapper.told("view"))
    mapper.do("map.zoomTo([9, 10, 17, 18])")
    mapper.wait_for("view", more_than=views)
    box = mapper.page.locator(".frame").bounding_box()
    assert box is not None
    places = mapper.places()
    inside = ((places >= 0) & (places <= (box["width"], box["height"]))).all(axis=1)
    assert mapper.do("map.inView(48)") == np.flatnonzero(inside).tolist()
    mapper.do("map.setVisible(Uint8Array.from({length: 48}, (_, n) => n === 9))")
    assert mapper.do("map.inView(48)") == [9]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_map_goes_where_it_is_sent(open_map: Open, renderer: str) -> None:
    mapper = open_map()
    show_grid(mapper, renderer=renderer)
    mapper.do("map.zoomTo([9, 10, 17, 18])")
    box = mapper.page.locator(".frame").bounding_box()
    assert box is not None
    some = mapper.places()[[9, 10, 17, 18]]
    assert some.mean(axis=0) == pytest.approx((box["width"] / 2, box["height"] / 2), abs=1)
    assert (some > 0).all() and (some < (box["width"], box["height"])).all()
    assert mapper.sees(mapper.at(9), RED)
    # The window changes its size: the middle stays in the middle.
    mapper.page.set_viewport_size({"width": 900, "height": 700})
    mapper.page.wait_for_function("document.querySelector('.mp-over').width === 900")
    box = mapper.page.locator(".frame").bounding_box()
    assert box is not None
    some = mapper.places()[[9, 10, 17, 18]]
    assert some.mean(axis=0) == pytest.approx((box["width"] / 2, box["height"] / 2), abs=1)
    assert mapper.sees(mapper.at(9), RED)
    mapper.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_map_that_moves_gently_arrives(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper, reduced=False)
    mapper.do("map.zoomTo([20])")
    box = mapper.page.locator(".frame").bounding_box()
    assert box is not None
    mapper.page.wait_for_function(
        "([x, y]) => Math.hypot(map.pixels(20)[0] - x, map.pixels(20)[1] - y) < 0.5",
        arg=[box["width"] / 2, box["height"] / 2],
    )
    assert mapper.sees(mapper.at(20), BLUE)


# --- what is pointed out --------------------------------------------------------------------------


def test_a_ring_and_lines_point_out_neighbours(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    mapper.do("map.setFocus(10, {lines: [12, 26]})")
    (ax, ay), (bx, by), (cx, cy) = (mapper.at(n) for n in (10, 12, 26))
    # Not in the middle of a line, where the grid's dots are.
    quarter = (ax + (bx - ax) * 0.25, ay + (by - ay) * 0.25)
    assert mapper.sees(quarter, ACCENT)
    assert mapper.sees((ax + (cx - ax) * 0.25, ay + (cy - ay) * 0.25), ACCENT)
    mapper.do("map.setFocus(null)")
    assert mapper.sees(quarter, GROUND["light"])


def test_a_pin_shows_where_mine_is(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper)
    x, y = mapper.do("map.pixels({x: 3.5, y: 2.5})")
    mapper.do("map.setMarker({x: 3.5, y: 2.5})")
    assert mapper.sees((x, y - 32), SEAL)
    assert mapper.sees((x - 8, y - 24), SEAL)
    # Lines go from it to its neighbours, as from a point.
    mapper.do("map.setFocus(null, {lines: [27]})")
    bx, by = mapper.at(27)
    assert mapper.sees((x + (bx - x) * 0.6, y + (by - y) * 0.6), ACCENT)
    mapper.do("(map.setFocus(null), map.setMarker(null))")
    assert mapper.sees((x, y - 32), GROUND["light"])
    # Where it cannot be seen, the map goes there.
    mapper.do("map.zoomTo([0])")
    mapper.do("map.setMarker({x: 7, y: 5})")
    box = mapper.page.locator(".frame").bounding_box()
    assert box is not None
    place = mapper.do("map.pixels({x: 7, y: 5})")
    assert place == pytest.approx((box["width"] / 2, box["height"] / 2), abs=1)


def test_a_pin_falls_and_comes_to_rest(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper, reduced=False)
    x, y = mapper.do("map.pixels({x: 3.5, y: 2.5})")
    mapper.do("map.setMarker({x: 3.5, y: 2.5})")
    mapper.page.wait_for_function(
        """([x, y]) => {
          const over = document.querySelector('.mp-over').getContext('2d');
          const [red, , , seen] = over.getImageData(x, y, 1, 1).data;
          return seen === 255 && Math.abs(red - 178) < 3;
        }""",
        arg=[int(x), int(y - 32)],
    )


# --- looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_map_follows_the_theme(open_map: Open, renderer: str) -> None:
    mapper = open_map()
    show_grid(mapper, renderer=renderer, theme="dark")
    x, y = mapper.at(13)
    between = (x + 30, y + 30)
    assert mapper.sees(between, GROUND["dark"], within=2)
    mapper.do("document.body.classList.remove('dark')")
    assert mapper.sees(between, GROUND["light"], within=2)
    assert mapper.sees((x, y), GREEN)


def test_dots_are_smaller_where_there_are_many_and_grow_as_one_comes_near(open_map: Open) -> None:
    def inked(mapper: Mapper, number: int) -> int:
        x, y = (int(v) for v in mapper.at(number))
        part = mapper.picture()[y - 12 : y + 13, x - 12 : x + 13].astype(int)
        return int((np.abs(part - GROUND["light"]).max(axis=2) > 100).sum())

    few, many = open_map(), open_map()
    show_grid(few)
    # A cloud, and one point far from it.
    generator = np.random.default_rng(3)
    cloud = np.r_[[[6.0, 6.0]], generator.normal(size=(20_000, 2)) * 0.5]
    many.show(cloud[:, 0], cloud[:, 1])
    alone = inked(many, 0)
    assert 4 <= alone < inked(few, 13)
    many.do("map.zoomTo([0])")
    assert inked(many, 0) > 2 * alone


# --- without WebGL, with little of it, and with depth ---------------------------------------------


def test_without_webgl_the_canvas_does_it_all(open_map: Open) -> None:
    mapper = open_map(before=WITHOUT_WEBGL)
    show_grid(mapper, renderer=None)
    assert mapper.wait_for("fallback")["reason"] == "webgl-missing"
    assert mapper.do("map.renderer") == "canvas"
    assert "/plotly.js" not in mapper.requests
    mapper.page.mouse.click(*mapper.at(13))
    assert mapper.wait_for("click")["number"] == 13
    assert mapper.sees(mapper.at(14), BLUE)


def test_webgl_without_a_graphics_card_is_left_alone(open_map: Open) -> None:
    mapper = open_map(
        before="""
        const before = WebGLRenderingContext.prototype.getParameter;
        WebGLRenderingContext.prototype.getParameter = function (name) {
          return name === 0x9246 ? 'ANGLE (Google, SwiftShader driver)' : before.call(this, name);
        };"""
    )
    show_grid(mapper, renderer=None)
    assert mapper.wait_for("fallback")["reason"] == "webgl-slow"
    assert "/plotly.js" not in mapper.requests


def test_a_graphics_card_draws_as_soon_as_the_script_is_there(open_map: Open) -> None:
    mapper = open_map(
        before="""
        const before = WebGLRenderingContext.prototype.getParameter;
        WebGLRenderingContext.prototype.getParameter = function (name) {
          return name === 0x9246 ? 'A card' : before.call(this, name);
        };"""
    )
    show_grid(mapper, renderer=None)
    # Until then the canvas has drawn.
    assert mapper.told("ready")[0]["renderer"] == "canvas"
    mapper.wait_for("renderer", renderer="webgl")
    expect(mapper.page.locator(".mp-points")).to_be_hidden()
    assert mapper.sees(mapper.at(14), BLUE)


@pytest.mark.parametrize(
    ("installed", "reason"),
    [(False, "plotly-missing"), (True, "plotly-failed")],
    ids=["not installed", "not fetched"],
)
def test_without_the_script_the_canvas_stays(open_map: Open, installed: bool, reason: str) -> None:
    mapper = open_map(script=False, troubles=False)
    # So one asks for WebGL in the address of the page.
    mapper.do("history.replaceState(null, '', '?renderer=webgl')")
    show_grid(mapper, renderer=None, plotly=installed)
    assert mapper.wait_for("fallback")["reason"] == reason
    mapper.page.mouse.click(*mapper.at(13))
    assert mapper.wait_for("click")["number"] == 13
    assert mapper.sees(mapper.at(13), GREEN)


@pytest.mark.parametrize(
    "react", ["throw new Error('no')", "return Promise.reject(new Error('later no'))"]
)
def test_a_library_that_fails_leaves_the_map_to_the_canvas(open_map: Open, react: str) -> None:
    mapper = open_map(script=f"window.Plotly = {{react() {{ {react}; }}, purge() {{}}}};")
    mapper.do("history.replaceState(null, '', '?renderer=webgl')")
    show_grid(mapper, renderer=None)
    assert mapper.wait_for("fallback")["reason"] == "plotly-failed"
    mapper.page.wait_for_function("map.renderer === 'canvas'")
    assert mapper.sees(mapper.at(13), GREEN)
    mapper.page.mouse.click(*mapper.at(13))
    assert mapper.wait_for("click")["number"] == 13


def test_a_card_that_gives_up_leaves_the_map_to_the_canvas(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper, renderer="webgl")
    mapper.do(
        """document.querySelector('.gl-canvas-context').getContext('webgl')
          .getExtension('WEBGL_lose_context').loseContext()"""
    )
    assert mapper.wait_for("fallback")["reason"] == "webgl-lost"
    mapper.wait_for("renderer", renderer="canvas")
    assert mapper.sees(mapper.at(13), GREEN)
    mapper.page.mouse.click(*mapper.at(13))
    assert mapper.wait_for("click")["number"] == 13


def test_points_with_depth_are_turned_and_cut_as_they_are_seen(open_map: Open) -> None:
    generator = np.random.default_rng(4)
    x, y, z = generator.normal(size=(3, 300))
    mapper = open_map()
    mapper.show(x, y, z)
    expect(mapper.page.get_by_role("button", name="Turn the map")).to_be_visible()
    before = mapper.places()
    mapper.drag((600.0, 300.0), (760.0, 340.0))
    after = mapper.places()
    moved = after - before
    assert np.abs(moved).max() > 30
    assert moved.std(axis=0).min() > 3, "turned, not shifted"
    # Turning changes no distance from the middle beyond the farthest point's.
    box = mapper.page.locator(".frame").bounding_box()
    assert box is not None
    middle = (box["width"] / 2, box["height"] / 2)
    reach = np.hypot(*(np.vstack([before, after]) - middle).T).max()
    assert reach <= box["height"] / 2
    number = int(np.argmax(after[:, 0]))
    mapper.page.mouse.click(*after[number])
    assert mapper.wait_for("click")["number"] == number
    mapper.tool("lasso")
    line = [(450.0, 150.0), (800.0, 160.0), (780.0, 450.0), (470.0, 440.0)]
    mapper.drag(*line)
    told = mapper.wait_for("select")
    expected = [inside(line, *place) for place in after]
    assert sum(a != b for a, b in zip(told["mask"], expected, strict=True)) <= 3
    assert told["count"] > 20


def test_a_map_that_is_taken_away_leaves_nothing(open_map: Open) -> None:
    mapper = open_map()
    show_grid(mapper, renderer="webgl")
    mapper.do("map.destroy()")
    assert mapper.page.locator(".frame").evaluate("(frame) => frame.childElementCount") == 0
    mapper.page.set_viewport_size({"width": 1000, "height": 800})
    mapper.do("document.body.classList.toggle('dark')")
    mapper.page.set_viewport_size({"width": 1280, "height": 900})
