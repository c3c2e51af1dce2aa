"""Decoded pixels in any mode to RGB on white, reduced: strip by strip.

A decoded picture is the largest thing in memory, so it is not copied: horizontal strips of it are
taken through all steps (transparency, white ground, reduction, colours) before the next one is
looked at. What is added to the decoded picture is one strip and the result.

The ground is put in before the reduction. The mean of pixels on white is the mean of their
premultiplied colours on white, so no hidden colour of a transparent pixel bleeds into an edge.
"""

from __future__ import annotations

import io
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


@dataclass(frozen=True, slots=True)
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
        Each block of ``factor`` by ``factor`` pixels becomes their mean. The picture is first
        padded with white, alike on opposite sides, to whole blocks, and the shorter side to a
        number of blocks that is even or odd as that of the longer one: so its centre stays the
        centre, and `tagger.images.letterbox` puts it where it would have put the full picture.

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
    columns, rows = _blocks(width, height, factor)
    left, top = (columns * factor - width) // 2, (rows * factor - height) // 2
    rgb = np.empty((rows, columns, 3), np.uint8)
    step = max(1, _STRIP_PIXELS // (columns * factor * factor))
    for row in range(0, rows, step):
        stop = min(row + step, rows)
        upper, lower = max(0, row * factor - top), min(height, stop * factor - top)
        strip = matte.apply(raster, upper, lower) if upper < lower else None
        if factor > 1:
            canvas = Image.new(base, (columns * factor, (stop - row) * factor), _WHITE[base])
            if strip is not None:
                canvas.paste(strip, (left, upper + top - row * factor))
            strip = canvas.reduce(factor)
        assert strip is not None
        rgb[row:stop] = np.asarray(colours(strip))
    return Flat(rgb, matte.found_alpha, (*matte.notes, *notes))


def _blocks(width: int, height: int, factor: int) -> tuple[int, int]:
    if factor == 1:
        return width, height
    columns, rows = -(-width // factor), -(-height // factor)
    if (columns - rows) % 2:
        # Widen the shorter side; of two equal ones there is none.
        columns, rows = (columns + 1, rows) if columns < rows else (columns, rows + 1)
    return columns, rows


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
        scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
        scaled = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0.0, 255.0)
        return Image.fromarray(np.rint(scaled).astype(np.uint8)), alpha


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

    profile: Any = None
    if icc and _is_sane(icc, base):
        profile = io.BytesIO(icc)
    elif base == "LAB":
        profile = ImageCms.createProfile("LAB")
    if profile is not None:
        try:
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(profile),
                ImageCms.createProfile("sRGB"),
                base,
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if _is_identity(transform, base):
                return _to_rgb, ()
            return transform.apply, ("profile-applied",)
        except (ImageCms.PyCMSError, ValueError, OSError, TypeError):
            pass
    return _to_rgb, ("profile-ignored",) if icc else ()


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
