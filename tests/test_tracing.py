"""Pictures of drawings to strokes: against plain loops, and against lines that are known."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tagger.errors import ImageError
from tagger.skeleton import follow, half_widths, thin
from tagger.strokes import Strokes
from tagger.tracing import TraceOptions, enlarge, ink_mask, trace, trace_many

Points = list[tuple[float, float]]


# --- references by loops


def around(mask: np.ndarray, y: int, x: int) -> list[int]:
    """P2 to P9 of the paper."""
    places = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    height, width = mask.shape
    return [
        int(0 <= y + dy < height and 0 <= x + dx < width and mask[y + dy, x + dx])
        for dy, dx in places
    ]


def naive_thin(mask: np.ndarray) -> np.ndarray:
    """Guo and Hall's first algorithm, written as in the paper."""
    mask = mask.copy()
    while True:
        before = mask.copy()
        for half in (1, 2):
            doomed = []
            for y, x in np.argwhere(mask):
                p2, p3, p4, p5, p6, p7, p8, p9 = around(mask, y, x)
                c = sum(
                    (1 - a) & (b | d)
                    for a, b, d in ((p2, p3, p4), (p4, p5, p6), (p6, p7, p8), (p8, p9, p2))
                )
                n1 = (p9 | p2) + (p3 | p4) + (p5 | p6) + (p7 | p8)
                n2 = (p2 | p3) + (p4 | p5) + (p6 | p7) + (p8 | p9)
                last = (p2 | p3 | (1 - p5)) & p4 if half == 1 else (p6 | p7 | (1 - p9)) & p8
                if c == 1 and 2 <= min(n1, n2) <= 3 and last == 0:
                    doomed.append((y, x))
            for y, x in doomed:
                mask[y, x] = False
        if (mask == before).all():
            return mask


def parts(mask: np.ndarray) -> int:
    """How many parts hang together over sides and corners."""
    left = set(map(tuple, np.argwhere(mask).tolist()))
    count = 0
    while left:
        count += 1
        waiting = [left.pop()]
        while waiting:
            y, x = waiting.pop()
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if (y + dy, x + dx) in left:
                        left.remove((y + dy, x + dx))
                        waiting.append((y + dy, x + dx))
    return count


masks = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).random((11, 13)) < (0.3 + 0.6 * (seed % 7) / 6)
)


@given(masks)
def test_thinning_is_that_of_the_paper(mask: np.ndarray) -> None:
    assert (thin(mask[None])[0] == naive_thin(mask)).all()


@given(masks)
def test_thinning_keeps_every_part_and_tears_none(mask: np.ndarray) -> None:
    thinned = thin(mask[None])[0]
    assert not (thinned & ~mask).any()
    assert parts(thinned) == parts(mask)


def test_many_are_thinned_as_each_by_itself() -> None:
    many = np.random.default_rng(0).random((5, 20, 30)) < 0.7
    alone = np.stack([thin(mask[None])[0] for mask in many])
    assert (thin(many) == alone).all()


def test_a_diagonal_of_two_pixels_is_not_eaten_up() -> None:
    mask = np.eye(30, dtype=bool) | np.eye(30, k=1, dtype=bool)
    assert thin(mask[None]).sum() >= 28


@given(masks)
def test_half_widths_count_the_peelings(mask: np.ndarray) -> None:
    left, counted, turn = mask.copy(), mask.astype(int), 0
    while left.any():
        outside = np.pad(left, 1, constant_values=True)  # beyond the picture there is ink
        peeled = left.copy()
        for y, x in np.argwhere(left):
            ring = around(outside, y + 1, x + 1)
            near = ring if turn % 2 else ring[::2]
            peeled[y, x] = all(near)
        if (peeled == left).all():  # all ink: it would never end
            assert mask.all()
            return
        left, turn = peeled, turn + 1
        counted += left
    assert (half_widths(mask[None])[0] == counted).all()


# --- lines that are known


def drawn(
    lines: list[Points], size: int = 120, width: int = 5, ink: int = 0, paper: int = 255
) -> np.ndarray:
    image = Image.new("L", (size * 4, size * 4), paper)
    pen = ImageDraw.Draw(image)
    for line in lines:
        # PIL counts from the corner of the first pixel, we from its centre.
        points = [((x + 0.5) * 4, (y + 0.5) * 4) for x, y in line]
        pen.line(points, fill=ink, width=width * 4, joint="curve")
        for x, y in points:
            r = width * 2
            pen.ellipse([x - r, y - r, x + r, y + r], fill=ink)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def sampled(lines: list[Points]) -> np.ndarray:
    points = []
    for line in lines:
        points.append(line[0])
        for (x0, y0), (x1, y1) in itertools.pairwise(line):
            steps = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0)))
            points += [
                (x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps)
                for i in range(1, steps + 1)
            ]
    return np.array(points)


def as_lines(strokes: Strokes) -> list[Points]:
    return [list(zip(s.x.tolist(), s.y.tolist(), strict=True)) for s in strokes]


def apart(one: list[Points], other: list[Points]) -> tuple[float, float]:
    """The farthest that a point of either lies from the other."""
    a, b = sampled(one), sampled(other)
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    return float(distance.min(1).max()), float(distance.min(0).max())


CIRCLE = [(60 + 40 * math.cos(a / 20 * math.pi), 60 + 40 * math.sin(a / 20 * math.pi))
          for a in range(41)]  # fmt: skip
FIGURES: dict[str, tuple[list[Points], int]] = {
    "line": ([[(20, 30), (100, 80)]], 1),
    "corner": ([[(20, 20), (100, 20), (100, 100)]], 1),
    "circle": ([CIRCLE], 1),
    "cross": ([[(20, 20), (100, 100)], [(100, 20), (20, 100)]], 2),
    "plus": ([[(20, 60), (100, 60)], [(60, 20), (60, 100)]], 2),
    "tee": ([[(20, 20), (100, 20)], [(60, 20), (60, 100)]], 2),
    "apart": ([[(20, 20), (100, 20)], [(20, 60), (100, 60)], [(20, 100), (60, 100)]], 3),
    "nine": ([[*[(x * 0.5 + 20, y * 0.5) for x, y in CIRCLE], (70, 110)]], 1),
}


@pytest.mark.parametrize("width", [1, 2, 5, 9])
@pytest.mark.parametrize("name", FIGURES)
def test_lines_are_found_where_they_are(name: str, width: int) -> None:
    lines, count = FIGURES[name]
    traced = as_lines(trace(drawn(lines, width=width)))
    stray, missed = apart(traced, lines)
    # Off by half a pen where lines meet, short by less than one where they end.
    assert stray <= 0.5 + 0.5 * width
    assert missed <= 1.5 + 0.75 * width
    # Where the tail of the nine leaves, the ring goes on as straight.
    assert len(traced) == count or (name, len(traced)) == ("nine", 2)


def test_a_ring_is_closed() -> None:
    (ring,) = trace(drawn([CIRCLE]))
    assert math.hypot(ring.x[0] - ring.x[-1], ring.y[0] - ring.y[-1]) < 1e-3


def test_a_dot_is_one_point() -> None:
    lines: list[Points] = [[(20, 20), (100, 20)], [(60, 70)]]
    _line, dot = sorted(trace(drawn(lines, width=6)), key=len, reverse=True)
    assert len(dot) == 1
    assert abs(float(dot.x[0]) - 60) < 1.5 and abs(float(dot.y[0]) - 70) < 1.5


def test_of_a_filled_area_the_outline_is_taken() -> None:
    image = Image.fromarray(drawn([[(10, 10), (110, 10)]], width=3))
    ImageDraw.Draw(image).ellipse([30, 40, 90, 100], fill=0)
    strokes = trace(np.asarray(image))
    assert len(strokes) == 2
    outline = max(strokes, key=len)
    distance = np.hypot(outline.x - 60, outline.y - 70)
    assert distance.min() >= 25 and distance.max() <= 31


@pytest.mark.parametrize("scale", [0.25, 1, 3, 10])
def test_places_are_those_of_the_picture(scale: float) -> None:
    lines: list[Points] = [[(20 * scale, 30 * scale), (100 * scale, 80 * scale)]]
    size = round(120 * scale)
    traced = as_lines(trace(drawn(lines, size, width=max(1, round(5 * scale)))))
    stray, missed = apart(traced, lines)
    assert max(stray, missed) <= 1 + 5 * scale


def test_light_lines_on_dark_are_the_same() -> None:
    lines, _ = FIGURES["tee"]
    dark, light = drawn(lines), drawn(lines, ink=255, paper=0)
    for one, other in zip(trace(dark), trace(light), strict=True):
        np.testing.assert_allclose(one.x, other.x, atol=0.1)
        np.testing.assert_allclose(one.y, other.y, atol=0.1)
    with pytest.raises(ImageError):
        trace(np.full((20, 20), 255, np.uint8), ink="light")


def test_colours_are_weighed_as_the_eye_does() -> None:
    lines, _ = FIGURES["cross"]
    paper = drawn(lines)
    blue = np.stack([paper, paper, np.full_like(paper, 255)], axis=2)
    assert len(trace(blue)) == 2
    yellow = np.stack([np.full_like(paper, 255), np.full_like(paper, 255), paper], axis=2)
    assert len(trace(yellow)) == 2


@pytest.mark.parametrize("seed", range(3))
def test_a_photo_in_uneven_light_gives_the_same_lines(seed: int) -> None:
    lines, count = FIGURES["tee"]
    big: list[Points] = [[(x * 5, y * 5) for x, y in line] for line in lines]
    paper = drawn(big, 600, width=14, ink=70, paper=235).astype(np.float64)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:600, 0:600] / 600
    light = 0.45 + 0.55 * (x if seed % 2 else 1 - y)  # the darkest paper is darker than other ink
    light -= 0.15 * np.hypot(x - 0.5, y - 0.5)
    photo = np.clip(paper * light + rng.normal(0, 5, paper.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=70)
    traced = as_lines(trace(np.asarray(Image.open(file))))
    stray, missed = apart(traced, big)
    assert len(traced) == count
    assert stray <= 9 and missed <= 15


def test_faint_pencil_is_found() -> None:
    lines, count = FIGURES["cross"]
    rng = np.random.default_rng(1)
    paper = drawn(lines, ink=195, paper=240) + rng.normal(0, 2, (120, 120))
    assert len(trace(np.clip(paper, 0, 255).astype(np.uint8))) == count


# --- nothing there, and odd pictures


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (30, 30), (400, 300), (2, 3000)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_has_no_lines(shape: tuple[int, int], level: int) -> None:
    with pytest.raises(ImageError) as caught:
        trace(np.full(shape, level, np.uint8))
    assert caught.value.code == "image-no-lines"


def test_grainy_paper_has_no_lines() -> None:
    noise = np.random.default_rng(0).normal(200, 6, (300, 300))
    with pytest.raises(ImageError):
        trace(noise.astype(np.uint8))


@given(st.integers(0, 2**32 - 1))
def test_any_picture_ends_in_strokes_or_a_reason(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 60, 2)) + ((3,) if seed % 2 else ())
    picture = rng.integers(0, 256, shape, np.uint8)
    if seed % 3 == 0:
        picture = np.where(picture > 128, 255, 0).astype(np.uint8)
    try:
        strokes = trace(picture)
    except ImageError:
        return
    assert 1 <= len(strokes) <= TraceOptions().max_strokes
    for stroke in strokes:
        assert len(stroke) >= 1 and stroke.x.dtype == stroke.y.dtype == np.float32
        assert stroke.x.min() >= -1 and stroke.x.max() <= shape[1]
        assert stroke.y.min() >= -1 and stroke.y.max() <= shape[0]


def test_a_picture_full_of_detail_gives_the_longest_lines_only() -> None:
    rng = np.random.default_rng(0)
    coarse = (rng.random((300, 300)) < 0.2).astype(np.uint8) * 255
    strokes = trace(coarse, ink="light", options=TraceOptions(max_strokes=40))
    assert len(strokes) == 40


@pytest.mark.parametrize(
    "picture",
    [np.zeros((3, 3)), np.zeros((0, 3), np.uint8), np.zeros(5, np.uint8)],
    ids=["float", "empty", "flat"],
)
def test_what_is_no_picture_is_a_mistake_of_the_caller(picture: np.ndarray) -> None:
    with pytest.raises(ValueError):
        trace(picture)


# --- many small ones


def test_many_small_pictures_are_traced_each() -> None:
    lines = [FIGURES[name][0] for name in ("line", "cross", "circle")]
    small = [[[(x / 4, y / 4) for x, y in line] for line in figure] for figure in lines]
    pictures = np.stack([drawn(f, 30, width=2, ink=255, paper=0) for f in small])
    pictures = np.concatenate([pictures, np.zeros((1, 30, 30), np.uint8)])
    traced = trace_many(pictures, batch_size=3)
    assert [len(strokes) for strokes in traced] == [1, 2, 1, 0]
    for figure, strokes in zip(small, traced, strict=False):
        assert max(apart(as_lines(strokes), figure)) <= 2
    for index, strokes in enumerate(traced):
        (alone,) = trace_many(pictures[index : index + 1])
        assert as_lines(alone) == as_lines(strokes)


def test_dark_ink_is_taken_when_told() -> None:
    picture = drawn([[(5, 5), (22, 20)]], 28, width=2)
    assert len(trace_many(picture[None], ink="dark")[0]) == 1
    with pytest.raises(ValueError):
        trace_many(picture)


def test_a_faint_stretch_does_not_break_a_line() -> None:
    picture = drawn([[(5, 14), (23, 14)]], 28, width=2, ink=255, paper=0).astype(np.float64)
    picture[:, 11:17] *= 0.45
    assert len(trace_many(picture.astype(np.uint8)[None])[0]) == 1


def test_enlarging_goes_straight_from_centre_to_centre() -> None:
    rng = np.random.default_rng(0)
    small = rng.random((2, 4, 5)).astype(np.float32)
    big = enlarge(small, 3)
    assert big.shape == (2, 12, 15)
    for n, y, x in np.ndindex(2, 12, 15):
        sy, sx = (min(max((v + 0.5) / 3 - 0.5, 0), m) for v, m in ((y, 3), (x, 4)))
        y0, x0 = min(int(sy), 2), min(int(sx), 3)
        fy, fx = sy - y0, sx - x0
        rows = [(1 - fx) * small[n, r, x0] + fx * small[n, r, x0 + 1] for r in (y0, y0 + 1)]
        assert big[n, y, x] == pytest.approx((1 - fy) * rows[0] + fy * rows[1], abs=1e-5)


def test_ink_is_what_is_darker_than_the_paper_around() -> None:
    grey = np.full((60, 60), 200, np.float32)
    grey[:, 30:] = 90  # a shadow
    grey[20:23, 5:25] = 120
    grey[40:43, 35:55] = 50
    mask = ink_mask(grey)
    assert mask[21, 10] and mask[41, 45]
    assert not mask[50, 5] and not mask[10, 50]


def test_following_knows_side_lines_from_dents() -> None:
    mask = np.zeros((40, 60), bool)
    mask[18:23, 5:55] = True
    mask[16:18, 30:32] = True  # a dent of the edge
    assert len(follow(thin(mask[None])[0], half_widths(mask[None])[0])) == 1
    mask[5:18, 40:45] = True  # a side line
    assert len(follow(thin(mask[None])[0], half_widths(mask[None])[0])) == 2
