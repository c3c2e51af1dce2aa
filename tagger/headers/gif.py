"""GIF.

Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from __future__ import annotations

import struct

from tagger.errors import ImageError
from tagger.headers.model import Box, Header

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_MAX_BLOCKS = 1_000_000


def read_gif(data: bytes, max_frames: int) -> Header:
    """Read the header of a GIF file, count its frames and find where the first one lies."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _table_size(flags)
    first: Box | None = None
    frames = blocks = 0
    # What follows the first frame may be cut off: viewers show the frame all the same.
    while frames <= max_frames and position < len(data) and data[position] != _TRAILER:
        if data[position] == _IMAGE and position + 10 <= len(data):
            left, top, w, h, flags = struct.unpack_from("<4HB", data, position + 1)
            frames += 1
            first = first or (left, top, left + w, top + h)
            position += 11 + _table_size(flags)
        elif data[position] == _EXTENSION:
            position += 2
        else:
            position += 1  # padding between blocks, which viewers skip
            blocks += 1
            if blocks > _MAX_BLOCKS:
                raise ImageError("image-damaged", format="GIF")
            continue
        while position < len(data) and data[position]:
            position += 1 + data[position]
            blocks += 1
        position += 1
        if blocks > _MAX_BLOCKS:
            raise ImageError("image-damaged", format="GIF")
    if first is None:
        raise ImageError("image-truncated", format="GIF")
    # The decoder library widens the canvas to hold the frame.
    width, height = max(width, first[2]), max(height, first[3])
    return Header(
        "GIF",
        data,
        width,
        height,
        frames=frames,
        memory=2 * width * height,
        window=None if first == (0, 0, width, height) else first,
    )


def _table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
