"""Strokes: parsing of hostile input, and rasterising, simplifying, cutting beside naive loops."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger import strokes
from tagger.errors import StrokesError
from tagger.strokes import Stroke, StrokeLimits, Strokes

COORDINATES = st.floats(-1000, 1000, width=16)
STROKE = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=8).map(
    lambda points: [[p[0] for p in points], [p[1] for p in points]]
)
DRAWING = st.lists(STROKE, min_size=1, max_size=4)


def _distance(
    px: float, py: float, ax: float, ay: float, bx: float, by: float
) -> tuple[float, float]:
    """From a point to a line, and how far along the line (0-1) the nearest place is."""
    length = (bx - ax) ** 2 + (by - ay) ** 2
    along = 0.0
    if length > 0:
        along = min(1.0, max(0.0, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length))
    return math.hypot(px - ax - along * (bx - ax), py - ay - along * (by - ay)), along


def _naive_raster(drawing: Strokes, size: int, width: float, margin: float) -> np.ndarray:
    """Every pixel against every piece of every line, in the words of the definition."""
    xs = [float(v) for stroke in drawing for v in stroke.x]
    ys = [float(v) for stroke in drawing for v in stroke.y]
    extent = max(max(xs) - min(xs), max(ys) - min(ys))
    scale = (size - 2 * margin) / extent if extent > 1e-6 else 0.0

    def place(v: float, values: list[float]) -> float:
        return (v - (min(values) + max(values)) / 2) * scale + size / 2

    lines = []
    for stroke in drawing:
        points = [
            (place(float(x), xs), place(float(y), ys))
            for x, y in zip(stroke.x, stroke.y, strict=True)
        ]
        lines += [*pairwise(points), (points[-1], points[-1])]
    whole = sum(math.dist(*line) for line in lines)
    out = np.zeros((2, size, size))
    gone = 0.0
    for (ax, ay), (bx, by) in lines:
        cuts = max(1, math.ceil(max(abs(bx - ax), abs(by - ay)) / 4))
        length = math.dist((ax, ay), (bx, by)) / cuts
        for cut in range(cuts):
            x, y = ax + (bx - ax) * cut / cuts, ay + (by - ay) * cut / cuts
            x2, y2 = ax + (bx - ax) * (cut + 1) / cuts, ay + (by - ay) * (cut + 1) / cuts
            for row in range(size):
                for column in range(size):
                    d, along = _distance(column + 0.5, row + 0.5, x, y, x2, y2)
                    ink = min(1.0, max(0.0, width / 2 + 0.5 - d))
                    when = (gone + along * length) / whole if whole else 1.0
                    out[0, row, column] = max(out[0, row, column], ink)
                    out[1, row, column] = max(out[1, row, column], ink * when)
            gone += length
    return out


@settings(max_examples=40, deadline=None)
@given(DRAWING, st.sampled_from([8, 13]), st.sampled_from([1.0, 2.0, 3.7]))
def test_rasterising_is_what_its_definition_says(
    drawing: list[Any], size: int, width: float
) -> None:
    parsed = strokes.parse(drawing)
    got = strokes.rasterise(parsed, size, width=width, margin=2.0, order=True)
    assert got.shape == (2, size, size)
    assert got.dtype == np.float32
    naive = _naive_raster(parsed, size, width, 2.0)
    np.testing.assert_allclose(got[0], naive[0], atol=2e-4)
    np.testing.assert_allclose(got[1], naive[1], atol=2e-3)
    ink = strokes.rasterise(parsed, size, width=width, margin=2.0)
    np.testing.assert_array_equal(ink, got[:1])


def test_many_drawings_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(0)
    drawings = [
        strokes.parse([rng.integers(0, 256, (2, n)).tolist() for n in (1, 5, 9)]) for _ in range(7)
    ]
    widths = [1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 9.0]
    together = strokes.rasterise_many(drawings, 32, width=widths)
    assert together.shape == (7, 1, 32, 32)
    for one, drawing, width in zip(together, drawings, widths, strict=True):
        np.testing.assert_allclose(
            one, strokes.rasterise(drawing, 32, width=width), rtol=0, atol=1e-6
        )
    assert strokes.rasterise_many([], 32).shape == (0, 1, 32, 32)


def test_the_drawing_fills_the_picture_wherever_it_was_drawn() -> None:
    here = strokes.parse([[[0, 100], [0, 50]]])
    there = strokes.parse([[[5000, 5800], [-200, 200]]])
    np.testing.assert_allclose(strokes.rasterise(here), strokes.rasterise(there), atol=2e-3)
    ink = np.flatnonzero(strokes.rasterise(here, 64, margin=3.0)[0].max(0) > 0.5)
    assert (ink.min(), ink.max()) == (2, 61)


def test_a_point_is_a_dot_in_the_middle() -> None:
    picture = strokes.rasterise(strokes.parse([[[7], [7]]]), 64, width=4.0)[0]
    assert picture[31:33, 31:33].min() == 1
    assert 9 < picture.sum() < 17  # a disc of diameter 4 has 12.6
    assert picture[:29].max() == 0


def test_drawing_in_two_strokes_leaves_no_line_between() -> None:
    picture = strokes.rasterise(strokes.parse([[[0, 10], [0, 0]], [[0, 10], [100, 100]]]), 64)[0]
    assert picture[20:44].max() == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "strokes-malformed"),
        ({}, "strokes-malformed"),
        ("[[[1],[1]]]", "strokes-malformed"),
        ([1, 2], "strokes-malformed"),
        ([[1, 2]], "strokes-malformed"),
        ([[[1, 2]]], "strokes-malformed"),
        ([[[1], [1], [1], [1], [1]]], "strokes-malformed"),
        ([[[1, 2], [1]]], "strokes-malformed"),
        ([[[1, 2], [1, 2], [1]]], "strokes-malformed"),
        ([[["1"], ["2"]]], "strokes-malformed"),
        ([[[True], [False]]], "strokes-malformed"),
        ([[[None], [1]]], "strokes-malformed"),
        ([[[[1]], [[1]]]], "strokes-malformed"),
        ([], "strokes-empty"),
        ([[[], []]], "strokes-empty"),
        ([[[math.nan], [1]]], "strokes-out-of-range"),
        ([[[math.inf], [1]]], "strokes-out-of-range"),
        ([[[1e7], [1]]], "strokes-out-of-range"),
        ([[[10**400], [1]]], "strokes-out-of-range"),
        ([[[1], [1], [], [1.5]]], "strokes-out-of-range"),
        ([[[1], [1]]] * 4, "strokes-too-many"),
        ([[[1] * 11, [1] * 11]], "strokes-too-many"),
    ],
)
def test_what_is_no_drawing_is_refused(data: Any, code: str) -> None:
    with pytest.raises(StrokesError) as caught:
        strokes.parse(data, limits=StrokeLimits(max_strokes=3, max_points=10))
    assert caught.value.code == code
    assert caught.value.message("en") and caught.value.message("ja")


@given(DRAWING)
def test_what_is_dumped_is_parsed_again(drawing: list[Any]) -> None:
    parsed = strokes.parse(drawing)
    again = strokes.parse(json.loads(json.dumps(strokes.dump(parsed, decimals=6))))
    assert len(again) == len(parsed)
    for one, other in zip(parsed, again, strict=True):
        np.testing.assert_allclose(one.x, other.x, atol=1e-5)
        np.testing.assert_allclose(one.y, other.y, atol=1e-5)


def test_times_and_pressures_stay() -> None:
    data = [[[0, 1.5], [0, 2], [0, 16], [0.5, 1]], [[3], [3], [40]], [[4], [4], [], [0.25]]]
    assert strokes.dump(strokes.parse(data)) == data


def test_the_address_is_that_of_the_content() -> None:
    a = strokes.parse([[[0, 10], [0, 5]]])
    assert strokes.digest(a) == strokes.digest(strokes.parse([[[0.0, 10.0], [0.001, 5.0]]]))
    assert strokes.digest(a) != strokes.digest(strokes.parse([[[0, 10], [0, 6]]]))
    assert len(strokes.digest(a)) == 32


@given(DRAWING, st.floats(0, 1))
def test_a_part_is_the_first_points(drawing: list[Any], share: float) -> None:
    parsed = strokes.parse(drawing)
    points = [p for stroke in parsed for p in zip(stroke.x, stroke.y, strict=True)]
    part = strokes.partial(parsed, share)
    got = [p for stroke in part for p in zip(stroke.x, stroke.y, strict=True)]
    assert got == points[: len(got)]
    assert len(got) == min(len(points), max(1, round(len(points) * share)))


@given(DRAWING)
def test_the_simplified_form_is_small_and_stays_close(drawing: list[Any]) -> None:
    parsed = strokes.parse(drawing)
    simple = strokes.simplify(parsed)
    assert len(simple) == len(parsed)
    x = np.concatenate([stroke.x for stroke in simple])
    y = np.concatenate([stroke.y for stroke in simple])
    assert (x == np.rint(x)).all() and (y == np.rint(y)).all()
    # A sharp corner may fall between two places of resampling, one unit apart.
    assert 0 <= x.min() <= 1 and 0 <= y.min() <= 1
    extent = max(x.max(), y.max())
    whole = [(float(a), float(b)) for s in parsed for a, b in zip(s.x, s.y, strict=True)]
    left, top = min(p[0] for p in whole), min(p[1] for p in whole)
    size = max(max(p[0] for p in whole) - left, max(p[1] for p in whole) - top)
    if size < 1e-3:
        return
    assert extent >= 254
    # No point of the original lies farther from the simplified line than epsilon and rounding.
    for one, other in zip(parsed, simple, strict=True):
        for px, py in zip(one.x, one.y, strict=True):
            at = ((float(px) - left) * 255 / size, (float(py) - top) * 255 / size)
            points = [(float(a), float(b)) for a, b in zip(other.x, other.y, strict=True)]
            lines = list(pairwise(points)) or [(points[0], points[0])]
            assert min(_distance(*at, *a, *b)[0] for a, b in lines) <= 2.0 + 1.5


def test_a_straight_line_keeps_its_ends() -> None:
    x = np.linspace(0, 100, 50).astype(np.float32)
    (line,) = strokes.simplify((Stroke(x, x),))
    assert line.x.tolist() == [0, 255]


def test_a_list_is_drawn_as_the_strokes_that_it_holds() -> None:
    data = [[[0, 40, 80], [0, 90, 10]], [[5, 6], [70, 3]]]
    expected = strokes.rasterise(strokes.parse(data), 24, order=True)
    np.testing.assert_array_equal(strokes.rasterise(data, 24, order=True), expected)
    with pytest.raises(StrokesError):
        strokes.rasterise([[[0, 1], [0]]], 24)
