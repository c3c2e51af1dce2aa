"""WebP.

The decoder library allocates two canvases as soon as it is given the file, so its size must be
known before.

Source: RFC 9649.
"""

from __future__ import annotations

import struct

from tagger.errors import ImageError
from tagger.headers.exif import read_orientation
from tagger.headers.model import Box, Header

# Two canvases of the animation decoder, its copy for Python and Pillow's own, 4 bytes each
# (measured: 16.1).
_BYTES_PER_PIXEL = 17
_MAX_CHUNKS = 100_000


def read_webp(data: bytes, max_frames: int) -> Header:
    """Read the header of a WebP file and count its frames."""
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise ImageError("image-truncated", format="WEBP")
    width = height = frames = 0
    orientation = 1
    window: Box | None = None
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data) or frames > max_frames:
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        body = position + 8
        if kind == b"VP8X" and not width:
            width, height = (1 + _uint24(data, body + at) for at in (4, 7))
        elif kind == b"VP8 " and not width:
            if data[body + 3 : body + 6] != b"\x9d\x01\x2a":
                raise ImageError("image-damaged", format="WEBP")
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, body + 6))
        elif kind == b"VP8L" and not width:
            (bits,) = struct.unpack_from("<I", data, body + 1)
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"ANMF":
            frames += 1
            if frames == 1:
                left, top = 2 * _uint24(data, body), 2 * _uint24(data, body + 3)
                right, bottom = (1 + _uint24(data, body + at) for at in (6, 9))
                window = (left, top, left + right, top + bottom)
        elif kind == b"EXIF":
            orientation = read_orientation(data[body : body + length])
        position = body + length + (length & 1)
    else:
        raise ImageError("image-damaged", format="WEBP")
    if window == (0, 0, width, height):
        window = None
    return Header(
        "WEBP",
        data,
        width,
        height,
        frames=max(1, frames),
        orientation=orientation,
        memory=_BYTES_PER_PIXEL * width * height,
        window=window,
    )


def _uint24(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 3], "little")
