"""A picture of a drawing to the strokes of a pen: threshold, thin, follow the lines.

The ink is told from the paper by its contrast with the paper around it, so that a photo in uneven
light will do. It is thinned and followed by `tagger.skeleton`; filled areas give their outline.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagger.errors import ImageError
from tagger.skeleton import Line, Mask, Pixels, follow, half_widths, thin
from tagger.strokes import Stroke, Strokes, rdp

Floats = npt.NDArray[np.float32]

Ink = Literal["auto", "dark", "light"]


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How a picture is traced. Lengths in pixels are of the picture at its working size.

    Attributes
    ----------
    max_side : int
        Larger pictures are reduced to this longer side; more shows no more lines.
    min_side : int
        Smaller ones are enlarged by a whole number, since the middle of a line that is two
        pixels wide lies between them.
    min_contrast : float
        Least contrast of ink with the paper, 0..1, below which a picture is blank.
    outline : float
        Ink wider than this many times the pen is a filled area, of which the outline is taken.
    spur : float
        Side lines that reach beyond the ink of the line that they leave by less than this share
        of its half width are dents of its edge.
    smoothing : float
        Deviation of the Gaussian along a line, in half widths of the pen.
    tolerance : float
        How far a left-out point may lie from the line, in pixels of the picture.
    max_strokes : int
        Of more strokes the longest are kept.
    """

    max_side: int = 384
    min_side: int = 84
    min_contrast: float = 0.08
    outline: float = 4.0
    spur: float = 0.5
    smoothing: float = 0.6
    tolerance: float = 0.25
    max_strokes: int = 500


def trace(picture: Pixels, *, ink: Ink = "auto", options: TraceOptions = TraceOptions()) -> Strokes:
    """Turn a picture of a drawing into strokes.

    Parameters
    ----------
    picture : uint8, shape [H, W] or [H, W, 3]
        Grey or RGB, upright.
    ink : {"auto", "dark", "light"}
        Dark lines on light paper, or light ones on dark; by default what the margin tells.
    options : TraceOptions
        How.

    Returns
    -------
    Strokes
        In pixels of the picture, the centre of the first one at (0, 0), without times; the order
        is from the top left.

    Raises
    ------
    ImageError
        ``image-no-lines``, if there is nothing on the paper.
    """
    grey = _grey(picture)
    if ink == "auto":
        ink = "dark" if _margin_is_light(grey) else "light"
    level = grey if ink == "dark" else 255.0 - grey
    work, scale = _to_working_size(level.astype(np.float32), options)
    mask = ink_mask(work, min_contrast=options.min_contrast)
    if not mask.any():
        raise ImageError("image-no-lines")
    lines = next(_trace_masks(mask[None], 1 / scale, options))
    if not lines:
        raise ImageError("image-no-lines")
    return lines


def trace_many(
    pictures: Pixels,
    *,
    ink: Literal["dark", "light"] = "light",
    options: TraceOptions = TraceOptions(),
    batch_size: int = 256,
) -> list[Strokes]:
    """Trace small clean pictures of one size, such as the digits of MNIST, many at a time.

    Parameters
    ----------
    pictures : uint8, shape [N, H, W]
        Ink and paper are told apart at the middle between lightest and darkest pixel around.
    ink : {"light", "dark"}
        MNIST has light ink on dark, Omniglot dark on light.
    options : TraceOptions
        How; pictures are enlarged to ``min_side`` but not reduced.
    batch_size : int
        Pictures in memory at a time, enlarged.

    Returns
    -------
    list of Strokes
        One a picture, in its pixels; an empty tuple for a blank one.
    """
    if pictures.ndim != 3 or pictures.dtype != np.uint8:
        raise ValueError("pictures must be uint8 [N, H, W]")
    traced: list[Strokes] = []
    for start in range(0, len(pictures), batch_size):
        level = pictures[start : start + batch_size].astype(np.float32)
        level = level if ink == "light" else 255.0 - level
        factor = _enlargement(level.shape[1:], options)
        masks = enlarge(level - _middle_around(level), factor) > 0
        contrast = level.max(axis=(1, 2)) - level.min(axis=(1, 2))
        masks &= (contrast > 255 * options.min_contrast)[:, None, None]
        traced.extend(_trace_masks(masks, factor, options))
    return traced


# --- ink and paper ------------------------------------------------------------------------------


def _grey(picture: Pixels) -> Floats:
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or 0 in picture.shape:
        raise ValueError("picture must be uint8 [H, W] or [H, W, 3]")
    if picture.ndim == 2:
        return picture.astype(np.float32)
    # Rec. 601: a blue pen is darker to the eye than its plain mean.
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return (picture[..., :3].astype(np.float32) @ weights).astype(np.float32)


def _margin_is_light(grey: Floats) -> bool:
    """Whether the margin, which is mostly paper, is lighter than the middle of the range."""
    margin = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    low, high = np.percentile(grey, [0.5, 99.5])
    return bool(np.median(margin) >= (low + high) / 2)


def _enlargement(shape: Sequence[int], options: TraceOptions) -> int:
    return max(1, math.ceil(options.min_side / max(shape)))


def _to_working_size(grey: Floats, options: TraceOptions) -> tuple[Floats, float]:
    """Enlarge or reduce; also how many pixels of the picture one of the result is."""
    longest = max(grey.shape)
    if longest > options.max_side:
        factor = math.ceil(longest / options.max_side)
        height, width = (math.ceil(side / factor) for side in grey.shape)
        margin = ((0, height * factor - grey.shape[0]), (0, width * factor - grey.shape[1]))
        blocks = np.pad(grey, margin, mode="edge").reshape(height, factor, width, factor)
        return blocks.mean(axis=(1, 3), dtype=np.float32), float(factor)
    factor = _enlargement(grey.shape, options)
    return enlarge(grey[None], factor)[0], 1 / factor


def enlarge(pictures: Floats, factor: int) -> Floats:
    """Enlarge ``[N, H, W]`` by a whole number, with straight lines between the pixels' centres."""
    if factor == 1:
        return pictures
    for axis in (1, 2):
        size = pictures.shape[axis]
        where = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
        low = np.minimum(where.astype(np.int64), max(0, size - 2))
        share = (where - low).astype(np.float32)
        share = share[None, :, None] if axis == 1 else share[None, None, :]
        first = np.take(pictures, low, axis)
        second = np.take(pictures, np.minimum(low + 1, size - 1), axis)
        pictures = first + (second - first) * share
    return pictures


def ink_mask(grey: Floats, *, min_contrast: float = 0.08) -> Mask:
    """Tell dark ink from light paper whose light may be uneven.

    Parameters
    ----------
    grey : float32, shape [H, W], 0..255
        The picture.
    min_contrast : float
        Least contrast of ink, as a share of the paper's brightness.

    Returns
    -------
    bool, shape [H, W]
        True on ink. Of filled areas wider than a fifth of the picture, at least the edge.
    """
    side = max(grey.shape)
    smooth = _box(grey, 1) if side >= 200 else grey
    # The paper: what remains after dark things narrower than the window are closed, smoothed.
    window = max(4, side // 10)
    paper = _extreme(_extreme(smooth, window, np.maximum), window, np.minimum)
    # No paper is that much darker than the rest: these are filled areas wider than the window.
    paper = np.maximum(_box(paper, window), np.float32(0.35) * np.percentile(paper, 95))
    contrast = np.clip((paper - smooth) / np.maximum(paper, 1.0), 0.0, 1.0)
    # Differences of neighbours show the grain of paper and camera; few of them are edges.
    grain = 1.5 * float(np.median(np.abs(np.diff(contrast, axis=1)))) if side > 1 else 0.0
    floor = max(min_contrast, 4.0 * grain)
    strong = contrast[contrast > floor]
    if strong.size == 0:
        return np.zeros(grey.shape, bool)
    # Ridler and Calvard's iteration from above: ink is a few percent of the picture, for which
    # methods that weigh both classes by their size would cut within the paper.
    ink = float(np.sum(strong * strong) / np.sum(strong))
    threshold = ink / 2
    for _ in range(20):
        above = contrast > threshold
        if above.all() or not above.any():
            break
        middle = (float(contrast[above].mean()) + float(contrast[~above].mean())) / 2
        if abs(middle - threshold) < 1e-3:
            break
        threshold = middle
    mask: Mask = contrast > max(threshold, floor)
    return mask


def _middle_around(level: Floats, radius: int = 2) -> Floats:
    """The middle between the extremes around each pixel of ``[N, H, W]``, after Bernsen (1986).

    A faint line stays whole and a small hole in a bold one stays open. Where there is no edge
    near, it is the middle of the whole picture.
    """
    low = level.min(axis=(1, 2), keepdims=True)
    high = level.max(axis=(1, 2), keepdims=True)
    least = np.stack([_extreme(picture, radius, np.minimum) for picture in level])
    most = np.stack([_extreme(picture, radius, np.maximum) for picture in level])
    edge = most - least > 0.4 * (high - low)
    share = np.float32(0.4)
    middle: Floats = np.where(edge, least + share * (most - least), low + share * (high - low))
    return middle


def _box(picture: Floats, radius: int) -> Floats:
    """The mean over a square of side ``2 * radius + 1``; the margin repeats the edge."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(picture, pad, mode="edge"), axis=axis, dtype=np.float64)
        width = 2 * radius + 1
        size = picture.shape[axis]
        high = np.take(total, np.arange(width, width + size), axis)
        low = np.take(total, np.arange(size), axis)
        picture = ((high - low) / width).astype(np.float32)
    return picture


def _extreme(picture: Floats, radius: int, extreme: np.ufunc) -> Floats:
    """The maximum or minimum over a square of side ``2 * radius + 1``, in doubling steps."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius, radius)
        padded = np.pad(picture, pad, mode="edge")
        wanted, have = 2 * radius + 1, 1
        size = padded.shape[axis]
        while have < wanted:
            step = min(have, wanted - have)
            size -= step
            first = np.take(padded, np.arange(size), axis)
            second = np.take(padded, np.arange(step, step + size), axis)
            padded = extreme(first, second)
            have += step
        picture = padded
    return picture


# --- strokes ------------------------------------------------------------------------------------


def _trace_masks(masks: Mask, scale: float, options: TraceOptions) -> Iterator[Strokes]:
    """Trace masks ``[N, H, W]`` that are `scale` times as large as the pictures."""
    widths = half_widths(masks)
    skeletons = thin(masks)
    for mask, width, skeleton in zip(masks, widths, skeletons, strict=True):
        on_line = width[skeleton]
        if on_line.size == 0:
            yield ()
            continue
        pen = float(np.median(on_line))
        wide = width > options.outline * max(pen, 1.0)
        if wide.any():
            # A filled area: only a rim as wide as the pen stays, whose middle is the outline.
            rim = (mask & (width <= max(2.0, 2.0 * pen)))[None]
            skeleton, width = thin(rim)[0], half_widths(rim)[0]
        lines = follow(skeleton, width, spur=options.spur, smoothing=options.smoothing)
        lines = [(line + 0.5) / scale - 0.5 for line in lines]
        lines = [line[rdp(line[:, 0], line[:, 1], options.tolerance)] for line in lines]
        yield tuple(
            Stroke(x=line[:, 0].astype(np.float32), y=line[:, 1].astype(np.float32))
            for line in _in_order(lines, options.max_strokes)
        )


def _in_order(lines: list[Line], limit: int) -> list[Line]:
    """The longest lines, each from its upper left end, in the order in which a hand might go."""
    if len(lines) > limit:
        lengths = [float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines]
        longest = sorted(range(len(lines)), key=lambda i: -lengths[i])[:limit]
        lines = [lines[i] for i in sorted(longest)]
    begun = [line if line[0].sum() <= line[-1].sum() else line[::-1] for line in lines]
    return sorted(begun, key=lambda line: float(line.min(axis=0).sum()))
