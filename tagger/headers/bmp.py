"""Windows bitmaps.

Source: https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types
"""

from __future__ import annotations

import struct

from tagger.errors import ImageError
from tagger.headers.model import Header

# Pillow unfolds run lengths in Python, a second for each two megabytes: enough for a drawing.
_MAX_RUN_LENGTHS = 4 * 2**20
_RUN_LENGTHS = {1, 2}


def read_bmp(data: bytes, max_frames: int) -> Header:
    """Read the header of a bitmap file."""
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size <= 16:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
        (compression,) = struct.unpack_from("<I", data, 30)
        if compression in _RUN_LENGTHS and len(data) > _MAX_RUN_LENGTHS:
            raise ImageError("image-damaged", format="BMP")
    # A negative height says that the rows run downwards.
    width, height = max(0, width), abs(height)
    # The decoder of run-length encoding also keeps one byte a pixel.
    return Header("BMP", data, width, height, memory=5 * width * height)
