"""Small pictures as data URIs, which a figure carries within itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from tagger.gallery import Gallery

#: A picture: a file's path or content, of Pillow, or an array ``[H, W]`` or ``[H, W, 1|3|4]``,
#: uint8 0..255 or float 0..1.
Picture = str | Path | bytes | Image.Image | npt.NDArray[Any]
#: Pictures by number or name.
Pictures = Sequence[Picture] | Mapping[Any, Picture] | Callable[[Any], Picture]

_QUALITY = 82


def thumbnails(pictures: Iterable[Picture] | Gallery, *, side: int = 64) -> list[str]:
    """Make data URIs of pictures.

    Parameters
    ----------
    pictures : iterable of pictures, or Gallery
        See `Picture`.
    side : int
        Longest side, in pixels; smaller ones stay as they are.

    Returns
    -------
    list of str
        ``data:image/webp;base64,...``; some 2 KB each for a side of 64.
    """
    store = getattr(pictures, "pictures", None)
    if store is not None:  # a gallery
        return [thumbnail(store.get(n), side=side) for n in range(len(store))]
    return [thumbnail(one, side=side) for one in pictures]  # type: ignore[union-attr]


def thumbnail(picture: Picture, *, side: int = 64) -> str:
    """The data URI of one; see :func:`thumbnails`."""
    image = _open(picture)
    small = max(image.size) <= side
    if isinstance(picture, bytes) and small and picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return _uri(picture)
    if not small:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    mode = "RGBA" if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info else "RGB"
    out = io.BytesIO()
    image.convert(mode).save(out, "WEBP", quality=_QUALITY)
    return _uri(out.getvalue())


def find(pictures: Pictures, key: Any) -> Picture:
    """A picture by number or name."""
    if callable(pictures):
        return pictures(key)
    return pictures[key]


def _uri(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")


def _open(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture.copy()
    if isinstance(picture, str | Path):
        return Image.open(picture)
    if isinstance(picture, bytes):
        return Image.open(io.BytesIO(picture))
    array = np.asarray(picture)
    if array.dtype.kind == "f":
        array = np.rint(np.clip(array, 0, 1) * 255)
    array = array.astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(array)
