"""What a file says about its picture, read without decoding it.

A decoder library trusts a file's header and reads all of its metadata; files that are made to harm
use both. So each format has a small reader of its own here that finds what must be known before
decoding (size, frames, orientation, what decoding will cost) and hands on only what the first
picture needs: no comments, no animation, no embedded thumbnails, no metadata. None of these
readers allocates more than the file's own size.
"""

from __future__ import annotations

import struct

from tagger.errors import ImageError
from tagger.headers import bmp, gif, isobmff, jpeg, png, tiff, webp
from tagger.headers.kinds import identify
from tagger.headers.model import Header

__all__ = ["Header", "identify", "read_header"]

_READERS = {
    "AVIF": isobmff.read_avif,
    "BMP": bmp.read_bmp,
    "GIF": gif.read_gif,
    "HEIC": isobmff.read_heic,
    "JPEG": jpeg.read_jpeg,
    "PNG": png.read_png,
    "TIFF": tiff.read_tiff,
    "WEBP": webp.read_webp,
}


def read_header(data: bytes, max_frames: int) -> Header:
    """Find out what a file holds, by its content alone.

    Parameters
    ----------
    data : bytes
        The whole file.
    max_frames : int
        Frames are counted up to one more than this.

    Raises
    ------
    ImageError
        ``image-empty``, ``image-foreign`` (a known kind of file, but no picture that is read
        here), ``image-unknown``, ``image-truncated`` or ``image-damaged``.
    """
    if not data:
        raise ImageError("image-empty")
    kind = identify(data)
    if kind not in _READERS:
        if kind == "unknown":
            raise ImageError("image-unknown")
        raise ImageError("image-foreign", kind=kind)
    try:
        return _READERS[kind](data, max_frames)
    except (struct.error, IndexError) as error:
        raise ImageError("image-truncated", format=kind) from error
