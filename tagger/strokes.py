"""Drawings as strokes: read from JSON, simplified, cut, and made into the picture a model sees.

:func:`rasterise` is the one definition of that picture, for training and serving alike. The forms
are those of Quick, Draw! (github.com/googlecreativelab/quickdraw-dataset): raw strokes hold x, y
and milliseconds, simplified ones integers from 0 to 255.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tagger.errors import StrokesError

Floats = npt.NDArray[np.float32]

# A side and a line width in pixels, and the clear margin, of the picture that models see.
SIZE = 64
WIDTH = 2.0
MARGIN = 3.0

# Lines are drawn in pieces of at most so many pixels, each within one small window.
_PIECE = 4.0
# Windows that are worked on together: bounds the memory to some 30 MB.
_CHUNK = 16_384

_SIMPLE_SIDE = 255.0
_SIMPLE_EPSILON = 2.0


@dataclass(frozen=True, eq=False)
class Stroke:
    """The way of the pen from its going down to its going up.

    Attributes
    ----------
    x, y : float32, shape [P]
        P >= 1 points; x grows to the right, y downwards, in any unit.
    t : float32, shape [P], or None
        Milliseconds since the first point of the drawing.
    pressure : float32, shape [P], or None
        From 0 to 1.
    """

    x: Floats
    y: Floats
    t: Floats | None = None
    pressure: Floats | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, points: slice) -> Stroke:
        """Some of the points."""
        return Stroke(
            self.x[points],
            self.y[points],
            None if self.t is None else self.t[points],
            None if self.pressure is None else self.pressure[points],
        )


Strokes = tuple[Stroke, ...]


@dataclass(frozen=True, slots=True)
class StrokeLimits:
    """What a drawing may hold: strokes, points over all of them, and the largest number."""

    max_strokes: int = 1_000
    max_points: int = 50_000
    max_abs: float = 1e6


DEFAULT_LIMITS = StrokeLimits()


def parse(data: Any, *, limits: StrokeLimits = DEFAULT_LIMITS) -> Strokes:
    """Check what came as JSON and make strokes of it.

    Parameters
    ----------
    data : list
        ``[[[x, ...], [y, ...]], ...]``; a stroke may have a third list, milliseconds, and a fourth,
        pressure. An empty list stands for times or pressures that are not known.

    Raises
    ------
    StrokesError
        ``strokes-malformed``, ``strokes-empty``, ``strokes-too-many`` or ``strokes-out-of-range``.
    """
    if not isinstance(data, list | tuple):
        raise StrokesError("strokes-malformed")
    if len(data) > limits.max_strokes:
        raise StrokesError("strokes-too-many", limit=limits.max_strokes)
    strokes = []
    points = 0
    for stroke in data:
        if not isinstance(stroke, list | tuple) or not 2 <= len(stroke) <= 4:
            raise StrokesError("strokes-malformed")
        if not all(isinstance(axis, list | tuple) for axis in stroke):
            raise StrokesError("strokes-malformed")
        count = len(stroke[0])
        points += count
        if points > limits.max_points:
            raise StrokesError("strokes-too-many", limit=limits.max_points)
        axes = [_axis(axis, limits.max_abs) for axis in stroke]
        if len(axes[1]) != count or any(len(axis) not in (0, count) for axis in axes[2:]):
            raise StrokesError("strokes-malformed")
        if not count:
            continue
        axes += [np.empty(0, np.float32)] * (4 - len(axes))
        x, y, t, pressure = axes
        if len(pressure) and (pressure.min() < 0 or pressure.max() > 1):
            raise StrokesError("strokes-out-of-range")
        strokes.append(Stroke(x, y, t if len(t) else None, pressure if len(pressure) else None))
    if not strokes:
        raise StrokesError("strokes-empty")
    return tuple(strokes)


def _axis(values: Sequence[Any], most: float) -> Floats:
    # bool is a kind of int, and NumPy would read text and None in its own way.
    if not all(type(value) in (int, float) for value in values):
        raise StrokesError("strokes-malformed")
    try:
        axis = np.asarray(values, np.float64)
    except OverflowError:  # a whole number of hundreds of digits
        raise StrokesError("strokes-out-of-range") from None
    # Written so that "not a number" fails, too.
    if not bool((np.abs(axis) <= most).all()):
        raise StrokesError("strokes-out-of-range")
    return axis.astype(np.float32)


def dump(strokes: Sequence[Stroke], *, decimals: int = 2) -> list[list[list[float]]]:
    """JSON-ready form, read again by :func:`parse`; whole numbers stay whole."""
    out = []
    for stroke in strokes:
        axes = [_numbers(stroke.x, decimals), _numbers(stroke.y, decimals)]
        if stroke.t is not None or stroke.pressure is not None:
            axes.append([] if stroke.t is None else _numbers(stroke.t, 0))
        if stroke.pressure is not None:
            axes.append(_numbers(stroke.pressure, 3))
        out.append(axes)
    return out


def _numbers(values: Floats, decimals: int) -> list[float]:
    rounded = (round(float(value), decimals) for value in values)
    return [int(value) if value.is_integer() else value for value in rounded]


def digest(strokes: Sequence[Stroke]) -> str:
    """Content address: 32 hexadecimal digits of the SHA-256 over :func:`dump`."""
    text = json.dumps(dump(strokes), separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def partial(strokes: Sequence[Stroke], share: float) -> Strokes:
    """What of a drawing is there after ``share`` (0-1) of its points; at least one point."""
    total = sum(map(len, strokes))
    left = min(total, max(1, round(total * share)))
    out = []
    for stroke in strokes:
        if left <= 0:
            break
        out.append(stroke[:left])
        left -= len(stroke)
    return tuple(out)


def simplify(strokes: Sequence[Stroke]) -> Strokes:
    """The simplified form of Quick, Draw!, as its documentation describes it.

    Aligned to the top left, scaled to 255, resampled at one unit, simplified by the algorithm of
    Ramer, Douglas and Peucker with an epsilon of 2; whole numbers, without times.
    """
    left, top, right, bottom = _bounds(strokes)
    extent = max(right - left, bottom - top)
    scale = _SIMPLE_SIDE / extent if extent > 0 else 1.0
    out = []
    for stroke in strokes:
        x = (stroke.x.astype(np.float64) - left) * scale
        y = (stroke.y.astype(np.float64) - top) * scale
        x, y = _resample(x, y, 1.0)
        keep = rdp(x, y, _SIMPLE_EPSILON)
        out.append(
            Stroke(
                np.rint(x[keep]).astype(np.float32),
                np.rint(y[keep]).astype(np.float32),
            )
        )
    return tuple(out)


def _bounds(strokes: Sequence[Stroke]) -> tuple[float, float, float, float]:
    return (
        min(float(stroke.x.min()) for stroke in strokes),
        min(float(stroke.y.min()) for stroke in strokes),
        max(float(stroke.x.max()) for stroke in strokes),
        max(float(stroke.y.max()) for stroke in strokes),
    )


def _resample(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], step: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    if along[-1] <= step:
        return x, y
    at = np.concatenate([np.arange(0.0, along[-1], step), along[-1:]])
    return np.interp(at, along, x), np.interp(at, along, y)


def rdp(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], epsilon: float
) -> npt.NDArray[np.bool_]:
    """Which points the algorithm of Ramer, Douglas and Peucker keeps.

    Parameters
    ----------
    x, y : float64, shape [P]
        A line of at least one point.
    epsilon : float
        How far a point that is left out may lie from the line through the others.

    Returns
    -------
    bool, shape [P]
        True for the first, the last and all that matter.
    """
    keep = np.zeros(len(x), bool)
    keep[[0, -1]] = True
    todo = [(0, len(x) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        inside = slice(first + 1, last)
        distance = _distance(
            x[inside], y[inside], x[first], y[first], x[last] - x[first], y[last] - y[first]
        )
        worst = int(distance.argmax())
        if distance[worst] > epsilon:
            middle = first + 1 + worst
            keep[middle] = True
            todo += [(first, middle), (middle, last)]
    return keep


def _distance(px: Any, py: Any, x: Any, y: Any, dx: Any, dy: Any) -> npt.NDArray[Any]:
    """From points ``p`` to the segment that starts at ``(x, y)`` and goes ``(dx, dy)`` far."""
    length = dx * dx + dy * dy
    along = ((px - x) * dx + (py - y) * dy) / np.maximum(length, 1e-12)
    along = np.clip(along, 0, 1)
    return np.hypot(px - x - along * dx, py - y - along * dy)  # type: ignore[no-any-return]


def rasterise(
    strokes: Sequence[Stroke] | Sequence[Sequence[Sequence[float]]],
    size: int = SIZE,
    *,
    width: float = WIDTH,
    margin: float = MARGIN,
    order: bool = False,
) -> Floats:
    """Draw strokes as a picture float32 ``[C, size, size]``, ink 1 on 0.

    The box around all points is scaled evenly until its longer side fills the picture but for the
    margin, and centred. Lines are cut into equal pieces that reach at most 4 pixels along either
    axis. A piece leaves ``clip(width / 2 + 1/2 - d, 0, 1)`` at a pixel, where ``d`` is the distance
    in pixels from the pixel's centre to the nearest point of the piece: what a round pen of that
    width leaves, smooth over one pixel. The first plane is the largest over the pieces. A drawing
    of one point is a dot in the middle.

    Parameters
    ----------
    strokes : Strokes, or a list as `parse` takes it
        What to draw.
    size : int
        Side in pixels.
    width, margin : float
        Pixels.
    order : bool
        Whether a second plane says when the ink came: the largest of each piece's ink times the
        share (0-1) of the drawing's whole length that the pen had gone at that nearest point. So
        C is 1 or 2.
    """
    drawn = [stroke for stroke in strokes if isinstance(stroke, Stroke)]
    if len(drawn) < len(strokes):
        drawn = list(parse(strokes))
    picture: Floats = rasterise_many([drawn], size, width=width, margin=margin, order=order)[0]
    return picture


def rasterise_many(
    drawings: Sequence[Sequence[Stroke]],
    size: int = SIZE,
    *,
    width: float | Sequence[float] | npt.NDArray[Any] = WIDTH,
    margin: float = MARGIN,
    order: bool = False,
) -> Floats:
    """Draw several drawings: float32 ``[N, C, size, size]``; see :func:`rasterise`.

    Parameters
    ----------
    width : float, or one for each drawing
        Pixels.
    """
    count = len(drawings)
    half = np.broadcast_to(np.asarray(width, np.float32), (count,)) / 2 + np.float32(0.5)
    # Windows may reach beyond the edge: they fall into a border, which is cut off.
    window = math.ceil(_PIECE + 2 * float(half.max(initial=0.0))) + 1
    border = window + math.ceil(float(half.max(initial=0.0)))
    side = size + 2 * border
    canvas = np.zeros((1 + order, count, side, side), np.float32)
    planes = canvas.reshape(1 + order, -1)
    pieces = _pieces(drawings, size, margin)
    step = np.arange(window, dtype=np.int64)
    offsets = (step[:, None] * side + step).ravel()
    rows, columns = (grid.ravel().astype(np.float32) for grid in np.indices((window, window)))
    for begin in range(0, len(pieces.number), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        number, x, y, dx, dy, gone, going = (axis[part] for axis in pieces)
        reach = half[number]
        left = np.floor(np.minimum(x, x + dx) - reach)
        top = np.floor(np.minimum(y, y + dy) - reach)
        px = columns + np.float32(0.5) + (left - x)[:, None]
        py = rows + np.float32(0.5) + (top - y)[:, None]
        dx, dy = dx[:, None], dy[:, None]
        length = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
        along = np.clip((px * dx + py * dy) / length, 0, 1)
        px -= along * dx
        py -= along * dy
        ink = reach[:, None] - np.sqrt(px * px + py * py)
        seen = ink > 0
        corner = number * side * side + (top.astype(np.int64) + border) * side
        corner += left.astype(np.int64) + border
        at = (corner[:, None] + offsets)[seen]
        ink = np.minimum(ink[seen], np.float32(1))
        np.maximum.at(planes[0], at, ink)
        if order:
            when = gone[:, None] + along * going[:, None]
            np.maximum.at(planes[1], at, ink * when[seen])
    inside = slice(border, border + size)
    return np.ascontiguousarray(canvas[:, :, inside, inside].swapaxes(0, 1))


class _Pieces(NamedTuple):
    """Short straight lines: the drawing's number, start and way of each in pixels.

    ``gone`` and ``going`` are the shares of the drawing's length before and of the piece.
    """

    number: npt.NDArray[np.int64]
    x: Floats
    y: Floats
    dx: Floats
    dy: Floats
    gone: Floats
    going: Floats


def _pieces(drawings: Sequence[Sequence[Stroke]], size: int, margin: float) -> _Pieces:
    """All lines of all drawings, placed in their pictures and cut short."""
    parts: list[list[npt.NDArray[Any]]] = []
    for nth, strokes in enumerate(drawings):
        left, top, right, bottom = _bounds(strokes)
        extent = max(right - left, bottom - top)
        # Numbers that float32 cannot tell apart are one place.
        scale = (size - 2 * margin) / extent if extent > 1e-6 else 0.0
        shift = (size - (left + right) * scale) / 2, (size - (top + bottom) * scale) / 2
        x = np.concatenate([stroke.x for stroke in strokes]).astype(np.float64) * scale + shift[0]
        y = np.concatenate([stroke.y for stroke in strokes]).astype(np.float64) * scale + shift[1]
        last = np.cumsum([len(stroke) for stroke in strokes]) - 1
        dx, dy = np.diff(x, append=x[-1:]), np.diff(y, append=y[-1:])
        # From the end of one stroke to the start of the next the pen is up. A line of no length
        # remains there, which is the dot that the pen's end leaves.
        dx[last] = dy[last] = 0.0
        length = np.hypot(dx, dy)
        whole = length.sum()
        # A drawing of nothing but dots has come to its end with each of them.
        share = length / whole if whole > 0 else np.zeros_like(length)
        gone = np.cumsum(share) - share if whole > 0 else np.ones_like(length)
        parts.append([np.full(len(x), nth), x, y, dx, dy, gone, share])
    if not parts:
        empty = np.empty(0, np.float32)
        return _Pieces(np.empty(0, np.int64), empty, empty, empty, empty, empty, empty)
    number, x, y, dx, dy, gone, going = (np.concatenate(axis) for axis in zip(*parts, strict=True))
    cuts = np.maximum(1, np.ceil(np.maximum(abs(dx), abs(dy)) / _PIECE)).astype(np.int64)
    line = np.repeat(np.arange(len(x)), cuts)
    before = np.arange(len(line)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    dx, dy, going = dx / cuts, dy / cuts, going / cuts
    starts = [start[line] + before * way[line] for start, way in ((x, dx), (y, dy), (gone, going))]
    ways = [way[line] for way in (dx, dy, going)]
    x32, y32, gone32, dx32, dy32, going32 = (axis.astype(np.float32) for axis in (*starts, *ways))
    return _Pieces(number[line], x32, y32, dx32, dy32, gone32, going32)
