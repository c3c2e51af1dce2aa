"""Decoded pixels in any mode to RGB on white, reduced: strip by strip.

A decoded picture is the largest thing in memory, so it is not copied: horizontal strips of it are
taken through all steps (transparency, white ground, reduction, colours) before the next one is
looked at. What is added to the decoded picture is one strip and the result.

The ground is put in before the reduction. The mean of pixels on white is the mean of their
premultiplied colours on white, so no hidden colour of a transparent pixel bleeds into an edge.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Box = tuple[int, int, int, int]
Uint8 = npt.NDArray[np.uint8]

_STRIP_PIXELS = 2**20
_WHITE: dict[str, int | tuple[int, ...]] = {
    "L": 255,
    "RGB": (255, 255, 255),
    "CMYK": (0, 0, 0, 0),
    "LAB": (255, 128, 128),
}
# Which mode a strip is brought to. "L" stays grey until the end: that is a third of the work.
_BASE = {
    "1": "L", "L": "L", "LA": "L", "La": "L", "I": "L", "F": "L",
    "CMYK": "CMYK", "LAB": "LAB",
}  # fmt: skip
_PROFILE_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}
_PROFILE_CLASSES = {b"mntr", b"scnr", b"prtr", b"spac"}
_MAX_PROFILE = 4 * 2**20


class Raster(Protocol):
    """Decoded pixels: a PIL image, or what looks enough like one."""

    @property
    def mode(self) -> str:
        """Mode, as PIL names it."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        ...

    def crop(self, box: Box) -> Image.Image:
        """Copy out a part."""
        ...


@dataclass(frozen=True, slots=True)
class Meaning:
    """How the numbers of a raster are to be understood.

    Attributes
    ----------
    transparency : int, tuple or bytes, optional
        Colour that is transparent, or the opacities of a palette, as PIL's ``info`` has it.
    window : (left, top, right, bottom), optional
        Outside of it, everything is transparent.
    depth : int
        Bits of a grey sample in the modes ``I;16*``.
    white_is_zero : bool
        Whether those samples run from white to black.
    icc : bytes, optional
        Colour profile.
    """

    transparency: int | tuple[int, ...] | bytes | None = None
    window: Box | None = None
    depth: int = 16
    white_is_zero: bool = False
    icc: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """RGB on white, and what became of transparency and colours."""

    rgb: Uint8
    had_alpha: bool
    notes: tuple[str, ...]


def flatten(raster: Raster, meaning: Meaning = Meaning(), factor: int = 1) -> Flat:
    """Bring a raster to RGB on white, reduced by a whole number.

    Parameters
    ----------
    raster : Raster
        Decoded pixels.
    meaning : Meaning
        How to understand them.
    factor : int
        Each block of ``factor`` by ``factor`` pixels becomes their mean. Blocks that reach over
        the end of the longer side are the mean of what they hold; over the end of the shorter
        side there is white, as `tagger.images.letterbox` will put there.

    Returns
    -------
    Flat
        With ``rgb`` uint8 ``[h, w, 3]``.
    """
    mode = raster.mode
    base = "L" if mode.startswith("I;16") else _BASE.get(mode, "RGB")
    if base == "L" and isinstance(meaning.transparency, tuple):
        base = "RGB"
    matte = _Matte(meaning, base, _tones(raster, meaning))
    colours, notes = _colours(meaning.icc, base)

    width, height = raster.size
    columns, rows = -(-width // factor), -(-height // factor)
    padded_width = width if width >= height else columns * factor
    padded_height = height if height >= width else rows * factor
    rgb = np.empty((rows, columns, 3), np.uint8)
    step = max(1, _STRIP_PIXELS // (columns * factor * factor))
    for row in range(0, rows, step):
        upper, lower = row * factor, min(padded_height, (row + step) * factor)
        strip = matte.apply(raster, upper, min(height, lower))
        if strip.size != (padded_width, lower - upper):
            canvas = Image.new(base, (padded_width, lower - upper), _WHITE[base])
            canvas.paste(strip, (0, 0))
            strip = canvas
        rgb[row : row + step] = np.asarray(colours(strip.reduce(factor)))
    return Flat(rgb, matte.found_alpha, (*matte.notes, *notes))


def register(rgb: Uint8, extent: tuple[float, float]) -> Uint8:
    """Put a reduced picture where a letterbox expects it, to a fraction of a pixel.

    A reduced picture seldom fills a whole number of pixels, and a letterbox centres by whole
    pixels: outlines would lie up to half a pixel beside those of the full picture, which for line
    art is a change of 5 of 255 on average. Here the longer side is resampled to fill its pixels
    exactly, and the shorter one, between white margins of less than a pixel or two, is brought to
    the middle of a number of pixels that is even or odd as that of the longer side.

    Parameters
    ----------
    rgb : ndarray
        uint8 ``[h, w, 3]``.
    extent : (width, height)
        How many of its pixels the picture really fills, from the top left.

    Returns
    -------
    ndarray
        uint8 ``[h', w', 3]``, at most two pixels larger on each side.
    """
    longer = max(extent)
    side = math.ceil(longer)
    ratio = longer / side  # of the old pixels to a new one

    def count(length: float) -> int:
        if length == longer:
            return side
        pixels = math.ceil(length / ratio - 1e-9)
        return pixels + (side - pixels) % 2

    columns, rows = count(extent[0]), count(extent[1])
    if (float(columns), float(rows)) == extent and (rows, columns) == rgb.shape[:2]:
        return rgb
    # Room for the filter; the longer side ends where the letterbox does.
    across, down = (0 if length == longer else 4 for length in extent)
    size = (rgb.shape[1] + 2 * across, rgb.shape[0] + 2 * down)
    canvas = Image.new("RGB", size, "white")
    canvas.paste(Image.fromarray(rgb), (across, down))
    x, y = across + extent[0] / 2, down + extent[1] / 2
    half_width, half_height = columns * ratio / 2, rows * ratio / 2
    box = (
        max(0.0, x - half_width),
        max(0.0, y - half_height),
        min(float(size[0]), x + half_width),
        min(float(size[1]), y + half_height),
    )
    return np.asarray(canvas.resize((columns, rows), Image.Resampling.LANCZOS, box))


class _Matte:
    """Takes strips of a raster and puts them on white."""

    def __init__(
        self, meaning: Meaning, base: str, tones: tuple[float, float, bool] | None
    ) -> None:
        self._meaning = meaning
        self._base = base
        self._tones = tones
        self.found_alpha = False
        self.notes = ("tones-stretched",) if tones is not None and tones[2] else ()

    def apply(self, raster: Raster, upper: int, lower: int) -> Image.Image:
        width = raster.size[0]
        strip = raster.crop((0, upper, width, lower))
        colour, alpha = self._split(strip)
        if self._meaning.window is not None:
            alpha = _outside_clear(colour.size, alpha, self._meaning.window, upper)
        if alpha is None or alpha.getextrema()[0] == 255:
            return colour
        self.found_alpha = True
        white = Image.new(self._base, colour.size, _WHITE[self._base])
        return Image.composite(colour, white, alpha)

    def _split(self, strip: Image.Image) -> tuple[Image.Image, Image.Image | None]:
        """Separate colours, in the base mode, from opacity."""
        key = self._meaning.transparency
        if self._tones is not None:
            return self._grey(strip)
        if strip.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
            if strip.mode in ("La", "RGBa"):
                strip = strip.convert(strip.mode[:-1] + "A")
            return strip.convert(self._base), strip.getchannel("A")
        has_key = key is not None and strip.mode in ("1", "L", "P", "RGB")
        if not has_key and not (strip.mode == "P" and strip.has_transparency_data):
            return strip.convert(self._base), None
        if has_key:
            strip.info["transparency"] = key
        clear = strip.convert("RGBA")
        return clear.convert("RGB").convert(self._base), clear.getchannel("A")

    def _grey(self, strip: Image.Image) -> tuple[Image.Image, Image.Image | None]:
        assert self._tones is not None
        low, high, _ = self._tones
        values = np.asarray(strip)
        alpha = None
        if isinstance(self._meaning.transparency, int):
            opaque = values != self._meaning.transparency
            alpha = Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
        if values.dtype.itemsize == 2:
            return Image.fromarray(_scale(np.arange(65536), low, high)[values]), alpha
        return Image.fromarray(_scale(values, low, high)), alpha


def _scale(values: npt.NDArray[Any], low: float, high: float) -> Uint8:
    """Map `low` to 0 and `high` to 255. What is no number becomes black."""
    scaled = values.astype(np.float64)
    scaled -= low
    scaled *= 255.0 / (high - low)
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.clip(scaled, 0.0, 255.0, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def _outside_clear(
    size: tuple[int, int], alpha: Image.Image | None, window: Box, upper: int
) -> Image.Image:
    mask = Image.new("L", size, 0)
    left, top, right, bottom = window
    top, bottom = max(0, top - upper), min(size[1], bottom - upper)
    if top < bottom:
        box = (left, top, min(right, size[0]), bottom)
        mask.paste(255 if alpha is None else alpha.crop(box), box)
    return mask


def _tones(raster: Raster, meaning: Meaning) -> tuple[float, float, bool] | None:
    """Find which values of a grey raster are black and white, and whether that was a guess.

    Samples of 16 bits have a range of their own. For 32 bits and floats files follow several
    conventions; the values tell which: up to 1 (floats), up to 255, up to 65535 (whole numbers);
    anything else is stretched from its least to its greatest value.
    """
    if raster.mode.startswith("I;16"):
        white = float(2 ** min(max(meaning.depth, 9), 16) - 1)
        return (white, 0.0, False) if meaning.white_is_zero else (0.0, white, False)
    if raster.mode not in ("I", "F"):
        return None
    low, high = np.inf, -np.inf
    width, height = raster.size
    step = max(1, _STRIP_PIXELS // width)
    for upper in range(0, height, step):
        values = np.asarray(raster.crop((0, upper, width, min(height, upper + step))))
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    usual = (1.0, 255.0) if raster.mode == "F" else (255.0, 65535.0)
    if low > high:  # nothing finite
        return 0.0, 1.0, True
    if low >= 0:
        for white in usual:
            if high <= white:
                return 0.0, white, False
    if low == high:
        return low - 1.0, high, True
    return low, high, True


def _colours(
    icc: bytes | None, base: str
) -> tuple[Callable[[Image.Image], Image.Image], tuple[str, ...]]:
    """Choose how strips in the base mode become sRGB: by the file's profile, if it has a sane one.

    Lab without a usable profile is that of PIL itself; CMYK is converted without colour
    management, as PIL does.
    """
    from PIL import ImageCms

    sane = icc is not None and _is_sane(icc, base)
    notes = ("profile-ignored",) if icc and not sane else ()
    if not sane and base != "LAB":
        return _to_rgb, notes
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if icc and sane
            else ImageCms.createProfile("LAB"),
            ImageCms.createProfile("sRGB"),
            base,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if _is_identity(transform, base):
            return _to_rgb, notes
    except (ImageCms.PyCMSError, ValueError, OSError, TypeError):
        return _to_rgb, ("profile-ignored",)
    return transform.apply, ("profile-applied",) if sane else notes


def _to_rgb(strip: Image.Image) -> Image.Image:
    return strip.convert("RGB")


def _is_sane(icc: bytes, base: str) -> bool:
    """Check the head of a profile (ICC.1:2022, 7.2) before a library parses it."""
    if not 132 <= len(icc) <= _MAX_PROFILE:
        return False
    (size,) = struct.unpack_from(">I", icc)
    return (
        size <= len(icc)
        and icc[36:40] == b"acsp"
        and icc[12:16] in _PROFILE_CLASSES
        and icc[16:20] == _PROFILE_SPACES[base]
    )


def _is_identity(transform: Any, base: str) -> bool:
    """Tell whether a transform changes nothing worth the time, as the common sRGB profiles do."""
    if base not in ("L", "RGB"):
        return False
    levels = np.linspace(0, 255, 6).round().astype(np.uint8)
    if base == "L":
        probe = np.tile(levels[:, None], 1)
    else:
        probe = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 1, 3)
    image = Image.fromarray(probe)
    before = np.asarray(image.convert("RGB")).astype(np.int16)
    after = np.asarray(transform.apply(image)).astype(np.int16)
    return bool(np.abs(before - after).max() <= 2)


def upright(rgb: Uint8, orientation: int) -> Uint8:
    """Turn and mirror ``[h, w, 3]`` as an EXIF orientation, 1 to 8, asks.

    Source: CIPA DC-008 (Exif 2.32), 4.6.4 A, which says where row 0 and column 0 are.
    """
    turned = rgb.swapaxes(0, 1) if orientation >= 5 else rgb
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Cut a height into runs of rows that take little memory."""
    step = max(1, _STRIP_PIXELS // max(1, width))
    for upper in range(0, height, step):
        yield upper, min(height, upper + step)
