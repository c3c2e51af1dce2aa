"""The Tag tab, used as a person uses it: what is waited for is what is to be seen, never time."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import expect

from tagger import server
from tagger.errors import TaggerError
from tagger.services import Services, build_services
from tagger.settings import Settings
from tagger.tags import format_tags
from tests import toy
from tests.browser.conftest import MAX_BYTES, MAX_FILES, Visit

RED, GREEN, BLUE, ROSE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (220, 60, 110)
# The one request in which a picture travels.
READING = re.compile(r"/component_server/?$")
CLIPBOARD = ("clipboard-read", "clipboard-write")


def picture(color: tuple[int, ...] = RED, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    mode = "RGBA" if len(color) == 4 else "RGB"
    Image.new(mode, (48, 48), color).save(file, form, **options)
    return file.getvalue()


def animation() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (48, 48), color) for color in (GREEN, RED, BLUE)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def heic(color: tuple[int, int, int] = BLUE) -> bytes:
    file = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.new("RGB", (64, 64), color))
    heif.save(file, quality=100, chroma=444)
    return file.getvalue()


def expected_names(color: tuple[int, int, int], language: str = "en") -> list[str]:
    """The toy's ten tags for a plain picture, by its definition."""
    import numpy as np

    pixels = np.full((toy.SIZE, toy.SIZE, 3), color, np.uint8)
    scores = toy.reference(pixels)
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:10]
    names = []
    for i in order:
        name, _, _, name_ja, _ = toy.TAGS[i]
        plain = name if name == "^_^" else name.replace("_", " ")
        names.append(name_ja if language == "ja" and name_ja else plain)
    return names


# --- the four ways in -----------------------------------------------------------------------------


def test_drop_a_picture_and_read_ten_tags(visit: Visit) -> None:
    person = visit()
    person.drop(("red.png", picture(RED)))
    assert person.read_tags() == expected_names(RED)
    expect(person.page.get_by_role("img", name="The picture you gave: red.png")).to_be_visible()
    expect(person.facts).to_contain_text("48 × 48 · PNG")
    expect(person.page.locator(".tg-model")).to_contain_text(re.compile(r"^toy 1\.0 · \d+ ms$"))


def test_a_picture_let_go_beside_the_frame_is_taken_too(visit: Visit) -> None:
    person = visit()
    person.drop(("red.png", picture(RED)), on="footer")
    assert person.read_tags() == expected_names(RED)


def test_choose_a_picture(visit: Visit) -> None:
    person = visit()
    person.choose(("green.png", picture(GREEN)))
    assert person.read_tags() == expected_names(GREEN)
    # The same file again is a new wish, not a forgotten one.
    person.choose(("green.png", picture(GREEN)))
    expect(person.tiles).to_have_count(2)
    assert person.read_tags() == expected_names(GREEN)


def test_click_anywhere_in_the_frame_to_choose(visit: Visit) -> None:
    person = visit()
    with person.page.expect_file_chooser():
        person.drop_zone.click(position={"x": 20, "y": 20})


def test_paste_a_picture(visit: Visit) -> None:
    person = visit(permissions=CLIPBOARD)
    person.paste_picture(picture(BLUE))
    assert person.read_tags() == expected_names(BLUE)


def test_paste_while_a_field_of_the_tab_has_the_focus(visit: Visit) -> None:
    person = visit(permissions=CLIPBOARD)
    person.output.focus()
    person.paste_picture(picture(ROSE))
    assert person.read_tags() == expected_names(ROSE)


def test_paste_of_text_says_what_to_do(visit: Visit) -> None:
    person = visit(permissions=CLIPBOARD)
    person.page.evaluate("navigator.clipboard.writeText('hello')")
    person.page.keyboard.press("ControlOrMeta+V")
    expect(person.message).to_contain_text("The clipboard holds no picture")


def test_a_dropped_link_says_what_to_do(visit: Visit) -> None:
    person = visit()
    transfer = person.page.evaluate_handle(
        """() => { const transfer = new DataTransfer();
             transfer.setData('text/uri-list', 'https://example.org/cat.png'); return transfer; }"""
    )
    person.page.dispatch_event(".tg-drop", "drop", {"dataTransfer": transfer})
    expect(person.message).to_contain_text("not a picture")


def test_examples(visit: Visit) -> None:
    person = visit()
    examples = person.page.locator(".tg-example")
    assert examples.count() >= 8
    for picture_ in examples.locator("img").all():
        picture_.scroll_into_view_if_needed()
        width = picture_.evaluate("(image) => image.decode().then(() => image.naturalWidth)")
        assert width > 100
    person.page.get_by_role("button", name="Example: House, by Gabrielle Nowicki").click()
    assert len(person.read_tags()) == 10
    expect(person.facts).to_contain_text("“House” by Gabrielle Nowicki, public domain")
    # Everyone whose picture is shown is named on the page itself.
    expect(person.page.locator(".tg-credit")).to_contain_text("Gabrielle Nowicki")


# --- formats --------------------------------------------------------------------------------------


def test_formats_that_the_browser_shows(visit: Visit) -> None:
    person = visit()
    for name, data, fact, first in [
        (
            "moving.gif",
            animation(),
            re.compile("GIF · .+ · animation of 3 frames, the first was read"),
            "green",
        ),
        ("still.avif", picture(RED, "AVIF", quality=100), "AVIF", "red"),
        ("small.webp", picture(BLUE, "WEBP", lossless=True), "WebP", "blue"),
        ("photo.jpg", picture(ROSE, "JPEG", quality=95), "JPEG", "rose"),
        ("old.bmp", picture(GREEN, "BMP"), "BMP", "green"),
    ]:
        person.choose((name, data))
        expect(person.facts).to_contain_text(fact)
        expect(person.facts).to_contain_text("48 × 48")
        assert person.read_tags()[0] == first
        expect(person.drop_zone).to_have_attribute("data-preview", "shown")


def test_formats_that_only_the_server_can_show(visit: Visit) -> None:
    person = visit()
    for name, data, fact, first in [
        ("phone.heic", heic(BLUE), "64 × 64 · HEIC", "blue"),
        ("scan.tiff", picture(ROSE, "TIFF"), "48 × 48 · TIFF", "rose"),
    ]:
        person.choose((name, data))
        expect(person.facts).to_contain_text(fact)
        assert person.read_tags()[0] == first
        expect(person.drop_zone).to_have_attribute("data-preview", "shown")
        shown = person.page.locator(".tg-preview")
        assert shown.evaluate("(image) => image.src").startswith("data:image/webp")
        assert shown.evaluate("(image) => image.naturalWidth") > 0


def test_tiles_of_formats_that_only_the_server_can_show(visit: Visit) -> None:
    person = visit()
    person.choose(
        ("phone.heic", heic(BLUE)), ("scan.tiff", picture(ROSE, "TIFF")), ("a.png", picture(RED))
    )
    expect(person.tiles).to_have_count(3)
    for tile, color in zip(person.tiles.all(), (BLUE, ROSE, RED), strict=True):
        expect(tile).to_have_attribute("data-state", "done")
        expect(tile).to_have_attribute("data-preview", "shown")
        expect(tile.locator(".tg-tilename")).to_be_hidden()
        expect(tile.locator("img")).to_be_visible()
        shown = tile.locator("img").evaluate(
            """(image) => {
              const canvas = new OffscreenCanvas(1, 1).getContext('2d');
              canvas.drawImage(image, 0, 0, 1, 1);
              return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
            }"""
        )
        assert all(abs(a - b) <= 12 for a, b in zip(shown, color, strict=True))


def test_a_tile_that_nobody_can_show_has_its_name(visit: Visit) -> None:
    person = visit()
    person.choose(("red.png", picture(RED)), ("bad.png", b"bad"))
    tile = person.page.get_by_role("button", name="bad.png, could not be read")
    expect(tile).to_have_attribute("data-preview", "impossible")
    expect(tile.locator(".tg-tilename")).to_have_text("bad.png")
    expect(tile.locator(".tg-tilename")).to_be_visible()


def test_transparency_is_said(visit: Visit) -> None:
    person = visit()
    person.choose(("ghost.png", picture((0, 0, 255, 0))))
    assert person.read_tags()[0] == "white background"
    expect(person.facts).to_contain_text("transparent, seen on white")


# --- what the rows say ----------------------------------------------------------------------------


def test_rows_say_how_sure_and_whether_enough(visit: Visit) -> None:
    person = visit()
    person.choose(("red.png", picture(RED)))
    person.wait_for_tags()
    first, last = person.rows.first, person.rows.last
    # CERTAIN is the toy's logit for a picture of exactly a tag's colour: 1 / (1 + e**-3) = 95%.
    expect(first).to_have_accessible_name("1. red, colour, 95%, passes its cut-off")
    expect(first).to_contain_text("cut-off 50%")
    expect(last).to_have_accessible_name(re.compile("below its cut-off$"))
    expect(last).to_contain_text("below cut-off 50%")
    # Not by colour alone: the marks differ in form.
    marks = person.page.locator(".tg-mark")
    assert marks.first.evaluate("(m) => getComputedStyle(m, '::after').content") != "none"
    assert marks.last.evaluate("(m) => getComputedStyle(m).borderTopStyle") == "dashed"
    # The bar's length is the confidence, its tick the cut-off.
    bar = person.page.locator(".tg-bar").first
    width = bar.bounding_box()["width"]
    expect(bar.locator(".tg-fill")).to_have_css("width", re.compile(r"^[\d.]+px$"))
    person.page.wait_for_function(
        "([w]) => Math.abs(document.querySelector('.tg-fill').offsetWidth / w - 0.9526) < 0.01",
        arg=[width],
    )
    tick = bar.locator(".tg-tick").evaluate("(t) => t.offsetLeft + t.offsetWidth / 2")
    assert abs(tick / width - 0.5) < 0.01


def test_a_tag_tells_how_far_to_trust_it(visit: Visit) -> None:
    person = visit()
    person.choose(("red.png", picture(RED)))
    person.wait_for_tags()
    person.rows.first.hover()
    detail = person.page.locator(".tg-detail")
    expect(detail).to_have_text(
        "red: from its cut-off of 50% up, 80% of its suggestions were right and it found 70% of "
        "its pictures, measured on 40 of them."
    )
    expect(person.rows.first).to_have_accessible_description(detail.inner_text())


def test_other_formats_need_no_new_inference(visit: Visit, services: Services) -> None:
    person = visit(permissions=CLIPBOARD)
    person.choose(("red.png", picture(RED)))
    person.wait_for_tags()
    requests: list[str] = []
    person.page.on("request", lambda request: requests.append(request.url))
    result = services.tag(picture(RED), top=10)
    passing = [entry for entry in result.tags if entry.passes]
    assert 0 < len(passing) < 10

    expect(person.output).to_have_value(format_tags(passing, "text"))
    person.page.get_by_role("checkbox", name="Only ticked tags").uncheck()
    expect(person.output).to_have_value(format_tags(result.tags, "text"))
    person.page.get_by_role("radio", name="Danbooru").check(force=True)
    expect(person.output).to_have_value(format_tags(result.tags, "danbooru"))
    person.page.get_by_role("radio", name="Hashtags").check(force=True)
    expect(person.output).to_have_value(format_tags(result.tags, "hashtags"))
    person.page.get_by_role("radio", name="JSON").check(force=True)
    assert [entry["name"] for entry in json.loads(person.output.input_value())] == [
        entry.tag.name for entry in result.tags
    ]
    person.page.get_by_role("button", name="Copy", exact=True).click()
    expect(person.page.get_by_role("button", name="Copied")).to_be_visible()
    copied = person.page.evaluate("navigator.clipboard.readText()")
    assert copied == person.output.input_value()
    assert requests == []


def test_results_are_announced(visit: Visit) -> None:
    person = visit()
    person.choose(("red.png", picture(RED)))
    person.wait_for_tags()
    status = person.page.get_by_role("status").filter(has_text="10 tags for red.png: red 95%")
    expect(status).to_have_count(1)
    expect(status).to_have_attribute("aria-live", "polite")


# --- nothing moves --------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_nothing_moves_while_results_arrive(visit: Visit, width: int, locale: str) -> None:
    person = visit(width=width, locale=locale)
    places = """() => ['.tg-drop', '.tg-examples', '.tg-results', '.tg-rows', '.tg-takeaway',
        '.tg-credit', 'footer'].map((name) => {
          const box = document.querySelector(name).getBoundingClientRect();
          return [name, Math.round(box.top + scrollY), Math.round(box.height)];
        })"""
    empty = person.page.evaluate(places)
    held: list[object] = []
    person.page.route(READING, lambda route: held.append(route))
    person.page.locator(".tg-example").first.click()
    expect(person.results).to_have_attribute("aria-busy", "true")
    assert person.page.evaluate(places) == empty
    person.wait_until(lambda: held)
    held[0].continue_()
    assert len(person.read_tags()) == 10
    expect(person.results).to_have_attribute("aria-busy", "false")
    assert person.page.evaluate(places) == empty
    person.rows.first.focus()
    assert person.page.evaluate(places) == empty


# --- trouble --------------------------------------------------------------------------------------


BAD_FILES = [
    ("notes.png", b"This is not a picture at all.\n" * 20),
    ("empty.png", b""),
    ("cut.png", picture(RED)[:60]),
    ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
]


@pytest.mark.parametrize(("locale", "language"), [("en-US", "en"), ("ja-JP", "ja")])
def test_a_bad_file_says_what_to_do_and_harms_nothing(
    visit: Visit, services: Services, locale: str, language: str
) -> None:
    person = visit(locale=locale)
    for name, data in BAD_FILES:
        with pytest.raises(TaggerError) as refused:
            services.tag(data)
        person.drop((name, data))
        expect(person.message).to_contain_text(refused.value.message(language))
        expect(person.message).to_contain_text(name)
        expect(person.results).to_have_attribute("data-state", "empty")

    person.drop(("good.png", picture(GREEN)))
    assert person.read_tags() == expected_names(GREEN, language)
    expect(person.message).to_be_hidden()

    # With tags on the page, a bad file leaves them there.
    person.drop(BAD_FILES[0])
    expect(person.message).to_be_visible()
    assert person.read_tags() == expected_names(GREEN, language)
    expect(person.page.locator(".tg-preview")).to_be_visible()
    person.page.locator(".tg-dismiss").click()
    expect(person.message).to_be_hidden()
    person.choose(("better.png", picture(BLUE)))
    assert person.read_tags() == expected_names(BLUE, language)


def test_too_large_a_file_is_not_even_sent(visit: Visit) -> None:
    person = visit()
    requests: list[str] = []
    person.page.on("request", lambda request: requests.append(request.url))
    person.drop(("huge.png", bytes(MAX_BYTES + 1)))
    expect(person.message).to_contain_text("the limit is 1 MB")
    assert not [url for url in requests if "component_server" in url]


def test_without_an_answer_one_can_try_again(visit: Visit) -> None:
    person = visit(troubles=False)
    person.page.route(READING, lambda route: route.abort())
    person.choose(("red.png", picture(RED)))
    expect(person.message).to_contain_text("The server did not answer.")
    person.page.unroute(READING)
    person.page.get_by_role("button", name="Try again").click()
    assert person.read_tags() == expected_names(RED)
    expect(person.message).to_be_hidden()


def test_a_file_name_stays_a_name(visit: Visit) -> None:
    name = "<img src=x onerror=alert(1)>${alert(2)}{{value}}.png"
    person = visit()
    person.drop((name, picture(RED)))
    assert person.read_tags() == expected_names(RED)
    expect(person.page.get_by_alt_text(f"The picture you gave: {name}")).to_be_visible()
    person.drop((name, b"no picture"))
    expect(person.message).to_contain_text(name)
    assert person.page.locator("img[onerror]").count() == 0


# --- several pictures -----------------------------------------------------------------------------


def test_several_pictures_and_a_bad_one_among_them(visit: Visit) -> None:
    person = visit()
    person.drop(("red.png", picture(RED)), ("bad.png", b"bad"), ("blue.png", picture(BLUE)))
    expect(person.tiles).to_have_count(3)
    for tile, state in zip(person.tiles.all(), ["done", "failed", "done"], strict=True):
        expect(tile).to_have_attribute("data-state", state)
    assert person.read_tags() == expected_names(RED)
    person.page.get_by_role("button", name="blue.png").click()
    assert person.read_tags() == expected_names(BLUE)
    person.page.get_by_role("button", name="bad.png, could not be read").click()
    expect(person.message).to_contain_text("bad.png")
    expect(person.results).to_have_attribute("data-state", "failed")
    person.page.get_by_role("button", name="red.png").click()
    assert person.read_tags() == expected_names(RED)
    expect(person.message).to_be_hidden()
    person.page.get_by_role("button", name="Clear the list").click()
    expect(person.tiles).to_have_count(0)
    expect(person.results).to_have_attribute("data-state", "empty")


def test_more_pictures_than_are_taken_at_a_time(visit: Visit) -> None:
    person = visit()
    person.choose(*[(f"{i}.png", picture(RED)) for i in range(MAX_FILES + 2)])
    expect(person.message).to_contain_text(f"{MAX_FILES} pictures at a time")
    expect(person.tiles).to_have_count(MAX_FILES)
    for tile in person.tiles.all():
        expect(tile).to_have_attribute("data-state", "done")


def test_a_late_answer_is_not_shown_beside_another_picture(visit: Visit) -> None:
    person = visit()
    held: list[object] = []
    person.page.route(READING, lambda route: held.append(route), times=1)
    person.drop(("red.png", picture(RED)))
    expect(person.results).to_have_attribute("aria-busy", "true")
    person.wait_until(lambda: held)
    person.drop(("blue.png", picture(BLUE)))
    assert person.read_tags() == expected_names(BLUE)
    held[0].continue_()
    expect(person.tiles.first).to_have_attribute("data-state", "done")
    assert person.read_tags() == expected_names(BLUE)
    person.tiles.first.click()
    assert person.read_tags() == expected_names(RED)


# --- everyone -------------------------------------------------------------------------------------


def test_japanese(visit: Visit) -> None:
    person = visit(locale="ja-JP")
    expect(person.page.get_by_role("heading", name="イラストタガー")).to_be_visible()
    expect(person.page).to_have_title("イラストタガー")
    expect(person.page.get_by_role("tab", name="タグ付け")).to_be_visible()
    expect(person.page.get_by_text("24個のタグを知っています")).to_be_visible()
    person.choose(("red.png", picture(RED)))
    assert person.read_tags() == expected_names(RED, "ja")
    expect(person.rows.first).to_have_accessible_name("1. 赤、色、95%、基準に達しています")
    expect(person.output).to_have_value(re.compile("赤"))
    expect(
        person.page.locator(".tg-drop").locator("xpath=ancestor::*[@lang][1]")
    ).to_have_attribute("lang", "ja")


def test_other_languages_get_english(visit: Visit) -> None:
    person = visit(locale="fr-FR")
    expect(person.page.get_by_role("heading", name="Illustration tagger")).to_be_visible()
    person.choose(("red.png", picture(RED)))
    assert person.read_tags() == expected_names(RED)


def test_a_fixed_language_wins_over_the_browsers(toy_bundle: Path, visit: Visit) -> None:
    services = build_services(Settings(bundle=str(toy_bundle), threads=1, language="ja"))
    served = server.launch(services)
    try:
        person = visit(served.url, locale="en-US")
        expect(person.page.get_by_role("heading", name="イラストタガー")).to_be_visible()
        person.choose(("red.png", picture(RED)))
        assert person.read_tags() == expected_names(RED, "ja")
    finally:
        served.close()
        services.close()


# Relative luminance and contrast as WCAG 2 defines them, of each text on what is behind it.
_CONTRASTS = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return {r, g, b, a};
  };
  const light = ({r, g, b}) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.a === 1) return color;
    }
    return {r: 255, g: 255, b: 255};
  };
  const found = [];
  for (const node of document.querySelectorAll('main *')) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const seen = node.checkVisibility({visibilityProperty: true}) && !node.closest('.tg-aside');
    if (!own || !seen) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    found.push([node.className + ' ' + node.textContent.trim().slice(0, 30),
                (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(visit: Visit, scheme: str) -> None:
    person = visit(color_scheme=scheme)
    dark = person.page.evaluate("document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")
    ground = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(value) for value in re.findall(r"\d+", ground)[:3]) / 3
    assert (lightness < 60) == dark
    person.drop(("red.png", picture(RED)))
    person.wait_for_tags()
    person.drop(("bad.png", b"bad"))
    expect(person.message).to_be_visible()
    contrasts = person.page.evaluate(_CONTRASTS)
    assert len(contrasts) > 40
    assert [entry for entry in contrasts if entry[1] < 4.5] == []


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_a_phone_needs_no_sideways_scrolling(visit: Visit, locale: str) -> None:
    person = visit(width=390, height=844, locale=locale)
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not person.page.evaluate(wider)
    person.page.locator(".tg-example").first.tap()
    assert len(person.read_tags()) == 10
    assert not person.page.evaluate(wider)
    long_name = "a" * 120 + ".png"
    person.choose((long_name, b"bad"))
    expect(person.message).to_contain_text(long_name)
    assert not person.page.evaluate(wider)
    # What is to be touched is large enough to be hit (WCAG 2.5.8 asks for 24 pixels).
    for button in person.page.locator("#tag-tab button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.get_attribute("class")


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_a_message_leaves_the_button_free(visit: Visit, locale: str) -> None:
    person = visit(locale=locale)
    button = person.page.locator(".tg-choose")

    def is_free() -> bool:
        expect(person.message).to_be_visible()
        for width in (1280, 900, 390):
            person.page.set_viewport_size({"width": width, "height": 844})
            person.page.wait_for_function(f"innerWidth === {width}")
            top, height = (person.message.bounding_box()[side] for side in ("y", "height"))
            box = button.bounding_box()
            if box["y"] + box["height"] > top and top + height > box["y"]:
                return False
        return True

    person.choose(("a" * 40 + ".png", b"bad"))
    assert is_free()
    person.choose(("red.png", picture(RED)))
    person.wait_for_tags()
    person.choose(("a" * 40 + ".png", b"bad"))
    assert is_free()


@pytest.mark.parametrize(("locale", "word"), [("en-US", "Drop"), ("ja-JP", "ドロップ")])
def test_nobody_is_asked_to_drop_where_nothing_can_be_dropped(
    visit: Visit, locale: str, word: str
) -> None:
    invitation = visit(locale=locale).page.locator(".tg-invite")
    assert word in invitation.inner_text()
    phone = visit(width=390, height=844, locale=locale).page.locator(".tg-invite")
    assert word not in phone.inner_text()
    assert "Ctrl" not in phone.inner_text()


def test_keyboard_alone(visit: Visit) -> None:
    person = visit()
    page = person.page

    def focused() -> str:
        return page.evaluate("document.activeElement.className || document.activeElement.tagName")

    def tab_to(name: str, key: str = "Tab") -> None:
        for _ in range(40):
            page.keyboard.press(key)
            if name in focused():
                outline = page.evaluate(
                    "() => { const s = getComputedStyle(document.activeElement);"
                    " return s.outlineStyle !== 'none' ? parseFloat(s.outlineWidth) : 0; }"
                )
                assert outline >= 2, f"the focus on {name} cannot be seen"
                return
        raise AssertionError(f"the Tab key does not reach {name}")

    tab_to("tg-choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "red.png", "mimeType": "", "buffer": picture(RED)}])
    assert person.read_tags() == expected_names(RED)
    tab_to("tg-example")
    tab_to("tg-row")
    expect(person.rows.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(person.rows.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(person.rows.last).to_be_focused()
    expect(page.locator(".tg-detail")).to_contain_text("cut-off")
    # The list is one stop: the next Tab leaves it.
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Text")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Danbooru")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="Only ticked tags")).not_to_be_checked()
    tab_to("tg-copy")
    page.keyboard.press("Enter")
    tab_to("tg-example", "Shift+Tab")
    page.keyboard.press("Space")
    expect(person.facts).to_contain_text("public domain")
    assert len(person.read_tags()) == 10


def test_names_for_screen_readers(visit: Visit) -> None:
    person = visit()
    for name in ("Picture", "Or try one of these", "Tags"):
        expect(person.page.get_by_role("region", name=name)).to_be_visible()
    unnamed = person.page.evaluate(
        """() => [...document.querySelectorAll('#tag-tab button, #tag-tab textarea')]
          .filter((node) => node.checkVisibility() && !node.disabled)
          .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim()))
          .map((node) => node.className)"""
    )
    assert unnamed == []


def test_the_page_asks_nobody_but_its_server(visit: Visit) -> None:
    person = visit()
    person.page.locator(".tg-example").first.click()
    person.wait_for_tags()
    urls = person.page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")
    assert len(urls) > 10
    foreign = [u for u in urls if person.origin not in u and not u.startswith(("data:", "blob:"))]
    assert foreign == []
    # Every link that can be clicked stays here, too.
    links = person.page.locator("main a").evaluate_all("(all) => all.map((a) => a.href)")
    assert links
    assert all(person.origin in link for link in links)


def test_the_rest_documentation_is_one_click_away(visit: Visit) -> None:
    person = visit()
    link = person.page.get_by_role("link", name="REST API")
    response = person.page.request.get(link.evaluate("(a) => a.href"))
    assert response.ok


@pytest.mark.real_bundle
def test_the_shipped_model_tags_every_example(real_bundle: Path, visit: Visit) -> None:
    services = build_services(Settings(bundle=str(real_bundle), threads=1))
    served = server.launch(services)
    try:
        person = visit(served.url)
        examples = person.page.locator(".tg-example")
        for example in examples.all():
            example.click()
            title = re.search("“.+”", example.get_attribute("title"))[0]
            expect(person.facts).to_contain_text(title)
            expect(person.facts).to_contain_text("512")
            tags = person.read_tags()
            assert len(tags) == 10
            assert len(set(tags)) == 10
        expect(person.tiles).to_have_count(examples.count())
    finally:
        served.close()
        services.close()
