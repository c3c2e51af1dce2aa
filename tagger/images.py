"""Bytes, paths and PIL images to one checked, upright, matted RGB array plus facts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from tagger.errors import ImageError, LimitError
from tagger.limits import ImageLimits

__all__ = ["ImageLimits", "Picture", "letterbox", "read", "to_model_input"]

RGB = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A picture that has been read: pixels and facts."""

    rgb: RGB
    width: int
    height: int
    format: str
    had_alpha: bool = False
    frames: int = 1
    notes: tuple[str, ...] = ()


def read(
    source: bytes | bytearray | Path | BinaryIO | Image.Image,
    *,
    limits: ImageLimits = ImageLimits(),
    target: int | None = None,
) -> Picture:
    """Read a picture (first working version; the checks follow)."""
    if isinstance(source, Image.Image):
        image = source
    else:
        if isinstance(source, Path):
            data = source.read_bytes()
        elif isinstance(source, bytes | bytearray):
            data = bytes(source)
        else:
            data = source.read(limits.max_bytes + 1)
        if len(data) > limits.max_bytes:
            raise LimitError("image-too-many-bytes", limit=limits.max_bytes)
        if not data:
            raise ImageError("image-empty")
        try:
            image = Image.open(io.BytesIO(data))
        except Exception as error:
            raise ImageError("image-unknown") from error
    name = image.format or "image"
    try:
        image = ImageOps.exif_transpose(image).convert("RGBA")
    except Exception as error:
        raise ImageError("image-damaged", format=name) from error
    white = Image.new("RGBA", image.size, "white")
    rgb = np.asarray(Image.alpha_composite(white, image).convert("RGB"))
    return Picture(rgb, image.width, image.height, name)


def letterbox(rgb: RGB, size: int) -> RGB:
    """Centre on a white square of the longer side, then bicubic to ``[size, size, 3]``."""
    height, width = rgb.shape[:2]
    side = max(height, width)
    square = Image.new("RGB", (side, side), "white")
    square.paste(Image.fromarray(rgb), ((side - width) // 2, (side - height) // 2))
    if side != size:
        square = square.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square)


def to_model_input(pictures: Sequence[Picture | RGB], size: int) -> npt.NDArray[np.float32]:
    """Stack pictures as the models take them: float32 ``[N, size, size, 3]``, BGR, 0 to 255."""
    batch: npt.NDArray[Any] = np.empty((len(pictures), size, size, 3), np.float32)
    for row, picture in zip(batch, pictures, strict=True):
        rgb = picture.rgb if isinstance(picture, Picture) else picture
        row[...] = letterbox(rgb, size)[..., ::-1]
    return batch
