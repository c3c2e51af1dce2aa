"""Windows bitmaps.

Source: https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types
"""

from __future__ import annotations

import struct

from tagger.headers.model import Header


def read_bmp(data: bytes, max_frames: int) -> Header:
    """Read the header of a bitmap file."""
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size <= 16:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    # A negative height says that the rows run downwards.
    width, height = max(0, width), abs(height)
    # The decoder of run-length encoding also keeps one byte a pixel.
    return Header("BMP", data, width, height, memory=5 * width * height)
