"""The orientation, out of EXIF data, and nothing else.

Libraries read all of EXIF. Its entries may overlap, so that a small block unfolds to gigabytes;
this reader looks at one entry.

Source: CIPA DC-008 (Exif 2.32), 4.5 and 4.6.4 A.
"""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def read_orientation(block: bytes) -> int:
    """Read the orientation, 1 to 8, from EXIF data with or without its ``Exif`` mark.

    Damaged data and values out of range mean upright, 1: that is how viewers show such files.
    """
    block = _without_mark(block)
    try:
        for tag, kind, count, value in _entries(block):
            if tag == _ORIENTATION and kind == _SHORT and count == 1:
                order = "<" if block[:2] == b"II" else ">"
                orientation = int(struct.unpack_from(order + "H", value)[0])
                return orientation if 1 <= orientation <= 8 else 1
    except (struct.error, ValueError):
        pass
    return 1


def unfolds(block: bytes) -> bool:
    """Tell whether the entries together take more bytes than there are, as overlapping ones do."""
    block = _without_mark(block)
    total = 0
    try:
        for _, kind, count, _ in _entries(block):
            size = _TYPE_SIZES.get(kind, 0) * count
            total += size if size > 4 else 0
    except (struct.error, ValueError):
        pass
    return total > len(block)


def _without_mark(block: bytes) -> bytes:
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    return block


def _entries(block: bytes) -> list[tuple[int, int, int, bytes]]:
    orders = {b"II": "<", b"MM": ">"}
    if block[:2] not in orders:
        raise ValueError("no byte order")
    order = orders[block[:2]]
    (offset,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, offset)
    available = max(0, (len(block) - offset - 2) // 12)
    return [
        struct.unpack_from(order + "HHI4s", block, offset + 2 + 12 * i)
        for i in range(min(count, available))
    ]
