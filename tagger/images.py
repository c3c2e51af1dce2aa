"""Bytes, paths and PIL images to one checked, upright, matted RGB array plus facts.

What is read: PNG, APNG, JPEG, WebP, GIF, AVIF, HEIC, BMP and TIFF, told by content, never by name.

What is refused, always with a `TaggerError` that says what to do: other kinds of files, files that
are damaged or cut off (a picture is read whole or not at all: no grey filling), and whatever
exceeds the limits. Size and memory are checked from the header, before anything is decoded.

Memory: beyond the file, a picture takes what its decoder needs (`Header.memory`, at most
`ImageLimits.max_memory`), one strip, and the result. A JPEG is decoded at a reduced scale when the
caller needs no more; all other formats are decoded whole, so that a PNG of 48 megapixels takes
200 MB and is read, and a WebP of 48 megapixels would take 800 MB and is refused.

A JPEG of 48 megapixels takes 25 MB with the file when it is wanted for a square of 448 pixels. A
progressive one takes 60 MB (`tagger.progressive`), for a square of at most 500 pixels if its
colours are in full and 250 if they are halved, as mostly. For a larger square, and where the file
has restart marks, arithmetic coding or four colours, is cut off, or is a sequential one in several
scans, libjpeg keeps all coefficients: 155 MB of halved colours, 300 MB of full ones.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagger.errors import ImageError, LimitError, TaggerError
from tagger.headers import Header, read_header
from tagger.headers.exif import read_orientation
from tagger.headers.isobmff import AVIF_BYTES_PER_PIXEL, HEIC_BYTES_PER_PIXEL
from tagger.limits import ImageLimits
from tagger.pixels import Box, Meaning, Raster, Uint8, flatten, register, strips, upright
from tagger.progressive import decode_eighth, memory_of_eighth

__all__ = ["ImageLimits", "Picture", "letterbox", "read", "to_model_input"]

Source = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Image.Image

_DEFAULT_LIMITS = ImageLimits()
# Above this, what libjpeg would keep between the passes over a JPEG is avoided where it can be.
_MOST_KEPT = 32 * 2**20
_BROKEN_OFF = re.compile(r"truncat|unexpected end|end of file|\beof\b|not enough", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that has been read.

    Attributes
    ----------
    rgb : ndarray
        uint8 ``[h, w, 3]``, upright, sRGB, on white. Reduced if a target was given and the file
        is much larger; then it may have white margins of a pixel.
    width, height : int
        Of the file, upright.
    format : str
        ``"PNG"``, ``"JPEG"``, ``"WEBP"``, ``"GIF"``, ``"AVIF"``, ``"HEIC"``, ``"BMP"``,
        ``"TIFF"``, or what a PIL image says, which may be ``""``.
    had_alpha : bool
        Whether any pixel was not fully opaque. An alpha channel without effect does not count.
    frames : int
        Frames or pages in the file, of which the first was read.
    notes : tuple of str
        What was done, worth telling: ``"first-frame"``, ``"rotated"``, ``"reduced"``,
        ``"profile-applied"``, ``"profile-ignored"``, ``"tones-stretched"``.
    """

    rgb: Uint8
    width: int
    height: int
    format: str
    had_alpha: bool = False
    frames: int = 1
    notes: tuple[str, ...] = ()


def read(
    source: Source, *, limits: ImageLimits = _DEFAULT_LIMITS, target: int | None = None
) -> Picture:
    """Read a picture, whatever it is, or say why not.

    Parameters
    ----------
    source : bytes, path, binary file or PIL image
        A file is read from where it stands. A PIL image is not changed.
    limits : ImageLimits
        What is read at most.
    target : int, optional
        Side of the square that the picture is wanted for, in pixels. Pictures whose longer side
        is at least four times that are reduced, never below twice the target. Against reading in
        full, the letterboxed pixels then differ on average by at most 0.5 of 255 on photographs
        and paintings, 1.5 on line art and 3 on noise, by half more for a large progressive JPEG of
        halved colours, and 99 of 100 by at most 15 (`tests/test_images.py` measures it). By
        default the picture is read in full.

    Returns
    -------
    Picture

    Raises
    ------
    ImageError
        If the file is no picture, damaged, or of a kind that is not read.
    LimitError
        If it exceeds the limits.
    """
    if target is not None and target < 1:
        raise ValueError("target must be at least 1")
    if isinstance(source, Image.Image):
        return _read_image(source, limits, target)
    header = read_header(_load(source, limits), limits.max_frames)
    with _decoding(header.format, limits):
        return _read_file(header, limits, target)


def letterbox(rgb: Uint8, size: int) -> Uint8:
    """Centre a picture on a white square of its longer side and resize that.

    The rule of the WD taggers: offset ``(side - width) // 2``, bicubic with antialiasing (Pillow).
    The square itself, which for a very long picture would be huge, is never built: rows are
    resized in strips, then columns, which is what Pillow does, to the bit.

    Parameters
    ----------
    rgb : ndarray
        uint8 ``[h, w, 3]``.
    size : int
        Side of the result in pixels.

    Returns
    -------
    ndarray
        uint8 ``[size, size, 3]``.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError("rgb must be uint8 of shape [h, w, 3]")
    height, width = rgb.shape[:2]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    tall = Image.new("RGB", (size, side), "white")
    for upper, lower in strips(height, side):
        wide = Image.new("RGB", (side, lower - upper), "white")
        wide.paste(Image.fromarray(rgb[upper:lower]), (left, 0))
        tall.paste(wide.resize((size, lower - upper), Image.Resampling.BICUBIC), (0, top + upper))
    return np.asarray(tall.resize((size, size), Image.Resampling.BICUBIC))


def to_model_input(pictures: Sequence[Picture | Uint8], size: int) -> npt.NDArray[np.float32]:
    """Stack pictures as the models take them.

    Parameters
    ----------
    pictures : sequence of Picture or ndarray
        Arrays are uint8 ``[h, w, 3]``, RGB.
    size : int
        Side of the model's input in pixels.

    Returns
    -------
    ndarray
        float32 ``[n, size, size, 3]``, BGR, 0 to 255.
    """
    batch = np.empty((len(pictures), size, size, 3), np.float32)
    for row, picture in zip(batch, pictures, strict=True):
        rgb = picture.rgb if isinstance(picture, Picture) else picture
        row[...] = letterbox(rgb, size)[..., ::-1]
    return batch


# --- getting at the bytes -----------------------------------------------------------------------


def _load(source: Any, limits: ImageLimits) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        data = _load_path(source, limits)
    elif hasattr(source, "read"):
        try:
            data = source.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            raise ImageError("image-unreadable") from error
    else:
        raise TypeError(f"cannot read a picture from {type(source).__name__}")
    if not isinstance(data, bytes):
        raise TypeError("the file must be opened in binary mode")
    if len(data) > limits.max_bytes:
        raise LimitError("image-too-many-bytes", limit=limits.max_bytes)
    return data


def _load_path(path: str | os.PathLike[str], limits: ImageLimits) -> bytes:
    try:
        # Before opening: to open a pipe would wait for its other end.
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError("image-not-a-file")
        if facts.st_size > limits.max_bytes:
            raise LimitError("image-too-many-bytes", limit=limits.max_bytes)
        with open(path, "rb") as file:
            return file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        raise ImageError("image-unreadable") from error


# --- from header to pixels ----------------------------------------------------------------------


def _read_file(header: Header, limits: ImageLimits, target: int | None) -> Picture:
    _check_frames(header.frames, limits)
    if header.format == "HEIC":
        return _read_heic(header, limits, target)
    scale = _draft_scale(header, target)
    eighth: Image.Image | None = None
    if header.format != "AVIF":  # whose size the decoder tells when it opens the file
        _check_size(header.width, header.height, header, limits)
        eighth = _decode_eighth(header, target, limits)
        if eighth is None:
            memory = (header.memory - header.passes_memory) // scale**2 + header.passes_memory
            _check_memory(memory, header.format, (header.width, header.height), limits)
    image = _open(header)
    width, height = image.size
    frames, orientation = header.frames, header.orientation
    if header.format == "AVIF":
        frames = getattr(image, "n_frames", 1)
        _check_frames(frames, limits)
        _check_size(width, height, header, limits)
        memory = AVIF_BYTES_PER_PIXEL * max(width * height, header.coded_pixels)
        _check_memory(memory, header.format, (width, height), limits)
        orientation = read_orientation(image.info.get("exif", b""))
    elif (width, height) != (header.width, header.height):
        raise ImageError("image-damaged", format=header.format)
    if eighth is None:
        if scale > 1:
            image.draft(None, (max(1, width // scale), max(1, height // scale)))
        image.load()
    key = image.info.get("transparency")
    meaning = Meaning(
        transparency=_to_eight_bits(key, image.mode, header.depth),
        window=header.window,
        depth=header.depth,
        white_is_zero=header.white_is_zero,
        icc=header.icc or image.info.get("icc_profile"),
    )
    raster = image if eighth is None else eighth
    return _picture(raster, meaning, (width, height), target, header.format, frames, orientation)


def _decode_eighth(header: Header, target: int | None, limits: ImageLimits) -> Image.Image | None:
    """Decode a large progressive JPEG without libjpeg, where an eighth of its size is enough."""
    if target is None or _draft_scale(header, target) != 8 or header.passes_memory <= _MOST_KEPT:
        return None
    memory = memory_of_eighth(header.passes_memory)
    _check_memory(memory, header.format, (header.width, header.height), limits)
    return decode_eighth(header.data, 2 * target)


def _open(header: Header) -> Any:
    """Open a file by its own plug-in.

    Not by `Image.open`, which loads all plug-ins, tries them in turn, and judges sizes by a global
    variable.
    """
    file = io.BytesIO(header.data)
    if header.format == "PNG":
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile(file)
    if header.format == "JPEG":
        from PIL.JpegImagePlugin import JpegImageFile

        return JpegImageFile(file)
    if header.format == "WEBP":
        from PIL.WebPImagePlugin import SUPPORTED, WebPImageFile

        _check_decoder(SUPPORTED, "WebP")
        return WebPImageFile(file)
    if header.format == "GIF":
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile(file)
    if header.format == "AVIF":
        from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile

        _check_decoder(SUPPORTED, "AVIF")
        return AvifImageFile(file)
    if header.format == "BMP":
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile(file)
    from PIL.TiffImagePlugin import TiffImageFile

    return TiffImageFile(file)


def _check_decoder(there: bool, format: str) -> None:
    if not there:
        raise ImageError("image-no-decoder", format=format)


class _HeicRaster:
    """The pixels that libheif decoded, without a second copy of them in PIL."""

    def __init__(self, mode: str, size: tuple[int, int], data: memoryview, stride: int) -> None:
        self.mode = mode
        self.size = size
        self._data = data
        self._stride = stride

    def crop(self, box: Box) -> Image.Image:
        _, upper, _, lower = box
        rows = self._data[upper * self._stride : lower * self._stride]
        size = (self.size[0], lower - upper)
        return Image.frombytes(self.mode, size, rows, "raw", self.mode, self._stride)


def _read_heic(header: Header, limits: ImageLimits, target: int | None) -> Picture:
    try:
        import pillow_heif  # here: it loads a library of its own, and most pictures need none
    except ImportError as error:
        raise ImageError("image-no-decoder", format="HEIC") from error

    file = pillow_heif.open_heif(header.data, convert_hdr_to_8bit=True, remove_stride=False)
    _check_frames(len(file), limits)
    image = file[file.primary_index]
    width, height = image.size
    _check_size(width, height, header, limits)
    _check_memory(HEIC_BYTES_PER_PIXEL * width * height, "HEIC", (width, height), limits)
    data = image.data
    if image.size != (width, height) or len(data) < image.stride * height:
        raise ImageError("image-damaged", format="HEIC")
    # libheif has turned the picture as the file's own boxes say; its EXIF must not turn it again.
    raster = _HeicRaster(image.mode, (width, height), memoryview(data), image.stride)
    icc = image.info.get("icc_profile")
    meaning = Meaning(icc=icc if isinstance(icc, bytes) else None)
    return _picture(raster, meaning, (width, height), target, "HEIC", len(file))


def _read_image(image: Image.Image, limits: ImageLimits, target: int | None) -> Picture:
    """Read a PIL image, which others have opened and perhaps not yet decoded."""
    name = image.format or ""
    with _decoding(name or "PIL", limits):
        width, height = image.size
        _check_size(width, height, Header(name, b""), limits)
        _check_memory(4 * width * height, name, (width, height), limits)
        image.load()
        exif = image.info.get("exif")
        orientation = read_orientation(exif) if isinstance(exif, bytes) else 1
        meaning = Meaning(
            transparency=image.info.get("transparency"), icc=image.info.get("icc_profile")
        )
        return _picture(image, meaning, image.size, target, name, _frames(image), orientation)


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # its file may be closed by now; the pixels are there all the same
        return 1


def _picture(
    raster: Raster,
    meaning: Meaning,
    size: tuple[int, int],
    target: int | None,
    format: str,
    frames: int,
    orientation: int = 1,
) -> Picture:
    """Bring decoded pixels, perhaps already fewer than the file's `size`, to the result."""
    factor = 1 if target is None else max(1, max(raster.size) // (2 * target))
    flat = flatten(raster, meaning, factor)
    rgb = flat.rgb
    notes: list[str] = []
    if frames > 1:
        notes.append("first-frame")
    if orientation != 1:
        notes.append("rotated")
    if rgb.shape[:2] != size[::-1]:
        notes.append("reduced")
        scale = factor * _draft_scale_of(size, raster.size)
        rgb = register(rgb, (size[0] / scale, size[1] / scale))
    width, height = size[::-1] if orientation >= 5 else size
    notes.extend(flat.notes)
    return Picture(
        upright(rgb, orientation), width, height, format, flat.had_alpha, frames, tuple(notes)
    )


def _draft_scale_of(full: tuple[int, int], decoded: tuple[int, int]) -> int:
    """Tell by which scale a JPEG was decoded: PIL may have chosen less than was asked."""
    for scale in (1, 2, 4, 8):
        if decoded == (-(-full[0] // scale), -(-full[1] // scale)):
            return scale
    return 1


def _to_eight_bits(transparency: Any, mode: str, depth: int) -> Any:
    """Scale the transparent colour as Pillow scales the pixels, which it forgets to do."""
    if mode == "L" and isinstance(transparency, int) and depth < 8:
        return transparency * 255 // (2**depth - 1)
    if mode == "RGB" and isinstance(transparency, tuple) and depth == 16:
        return tuple(value >> 8 for value in transparency)
    return transparency


# --- scales and limits --------------------------------------------------------------------------


def _draft_scale(header: Header, target: int | None) -> int:
    """Choose by which power of two a JPEG is decoded smaller: at least twice the target stays."""
    if header.format != "JPEG" or target is None:
        return 1
    longer, shorter = max(header.width, header.height), min(header.width, header.height)
    for scale in (8, 4, 2):
        if longer // scale >= 2 * target and shorter >= scale:
            return scale
    return 1


def _check_size(width: int, height: int, header: Header, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise ImageError("image-damaged", format=header.format)
    pixels = max(width * height, header.coded_pixels)
    if pixels > limits.max_pixels:
        raise LimitError(
            "image-too-many-pixels",
            width=width,
            height=height,
            pixels=pixels,
            limit=limits.max_pixels,
        )
    if max(width, height) > limits.max_side:
        raise LimitError("image-side-too-long", width=width, height=height, limit=limits.max_side)


def _check_frames(frames: int, limits: ImageLimits) -> None:
    if frames > limits.max_frames:
        raise LimitError("image-too-many-frames", limit=limits.max_frames)


def _check_memory(needed: int, format: str, size: tuple[int, int], limits: ImageLimits) -> None:
    if needed > limits.max_memory:
        raise LimitError(
            "image-too-much-memory",
            format=format,
            width=size[0],
            height=size[1],
            needed=needed,
            limit=limits.max_memory,
        )


@contextmanager
def _decoding(format: str, limits: ImageLimits) -> Iterator[None]:
    """Turn whatever a decoder raises into an error for people; the cause stays for the log."""
    try:
        yield
    except TaggerError:
        raise
    except MemoryError as error:
        raise LimitError("out-of-memory") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError("image-bomb", format=format, limit=limits.max_pixels) from error
    except Exception as error:
        broken_off = isinstance(error, EOFError) or _BROKEN_OFF.search(str(error))
        code = "image-truncated" if broken_off else "image-damaged"
        raise ImageError(code, format=format) from error
