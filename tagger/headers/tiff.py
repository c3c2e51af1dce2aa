"""TIFF and BigTIFF.

The decoder is given the file with a directory of our own behind it, which holds only what the
pixels of the first page need. The entries of a hostile directory overlap, so that a library which
reads them all (and the directories of EXIF and GPS that they lead to) unfolds a small file to
gigabytes.

Source: TIFF 6.0 (Adobe, 1992); https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tagger.errors import ImageError
from tagger.headers.model import Header

_TYPE_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _ROWS_PER_STRIP = 274, 277, 278
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_KEPT = {
    _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS_PER_STRIP,
    _TILE_WIDTH, _TILE_LENGTH,
    266,  # fill order
    273, 279, 324, 325,  # where strips and tiles are
    284,  # planar configuration
    292, 293,  # fax options
    317,  # predictor
    320,  # colour map
    332, 338, 339,  # ink set, extra samples, sample format
    347,  # JPEG tables
    *range(512, 522),  # JPEG of before 1995
    529, 530, 531, 532,  # YCbCr
    34675,  # colour profile
}  # fmt: skip
_MAX_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class _Layout:
    """How numbers are written: TIFF and BigTIFF differ in their widths only."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")


Entry = tuple[int, int, int, bytes]


def read_tiff(data: bytes, max_frames: int) -> Header:
    """Read the first directory of a TIFF file and count its pages."""
    layout = _Layout("<" if data[:2] == b"II" else ">", big=0x2B in data[2:4])
    (first,) = struct.unpack_from(layout.offset, data, 8 if layout.big else 4)
    entries, following = _directory(data, first, layout)
    values = {entry[0]: entry for entry in entries}
    total = sum(_TYPE_SIZES.get(kind, 0) * count for tag, kind, count, _ in entries if tag in _KEPT)
    if total > len(data):
        raise _damaged()

    def number(tag: int, default: int = 0) -> int:
        return _first_integer(data, values.get(tag), layout, default)

    width, height = number(_WIDTH), number(_LENGTH)
    tile = number(_TILE_WIDTH) * number(_TILE_LENGTH)
    samples, bits = max(1, number(_SAMPLES, 1)), max(1, number(_BITS, 1))
    strip = tile or width * min(height, number(_ROWS_PER_STRIP, height) or height)
    orientation = number(_ORIENTATION, 1)
    return Header(
        "TIFF",
        _with_directory(data, [entry for entry in entries if entry[0] in _KEPT], layout),
        width,
        height,
        frames=_count_pages(data, first, following, layout, max_frames),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        memory=4 * width * height + strip * samples * bits // 8,
        coded_pixels=tile,
        depth=bits,
        white_is_zero=number(_PHOTOMETRIC) == 0,
    )


def _directory(data: bytes, offset: int, layout: _Layout) -> tuple[list[Entry], int]:
    """Read the entries of the directory at `offset`, and the offset of the next one."""
    if not 0 < offset < len(data):
        raise ImageError("image-truncated", format="TIFF")
    (count,) = struct.unpack_from(layout.count, data, offset)
    if not 0 < count <= _MAX_ENTRIES:
        raise _damaged()
    start, size = offset + struct.calcsize(layout.count), struct.calcsize(layout.entry)
    end = start + count * size
    entries = [struct.unpack_from(layout.entry, data, start + i * size) for i in range(count)]
    following = 0
    if end + struct.calcsize(layout.offset) <= len(data):
        (following,) = struct.unpack_from(layout.offset, data, end)
    return entries, following


def _count_pages(data: bytes, first: int, following: int, layout: _Layout, max_frames: int) -> int:
    seen = {first}
    while following and following not in seen and len(seen) <= max_frames:
        seen.add(following)
        try:
            _, following = _directory(data, following, layout)
        except (ImageError, struct.error):
            seen.discard(following)  # a page that cannot be read is not counted
            break
    return len(seen)


def _first_integer(data: bytes, entry: Entry | None, layout: _Layout, default: int) -> int:
    if entry is None or entry[1] not in _INTEGERS or entry[2] < 1:
        return default
    _, kind, count, value = entry
    code = layout.order + _INTEGERS[kind]
    if _TYPE_SIZES[kind] * count > len(value):
        (offset,) = struct.unpack(layout.offset, value)
        return int(struct.unpack_from(code, data, offset)[0])
    return int(struct.unpack_from(code, value)[0])


def _with_directory(data: bytes, entries: list[Entry], layout: _Layout) -> bytes:
    """Put a directory behind the file that holds `entries` and leads no further."""
    padding = b"\0" * (-len(data) % 8)
    directory = struct.pack(layout.count, len(entries))
    directory += b"".join(struct.pack(layout.entry, *entry) for entry in sorted(entries))
    directory += struct.pack(layout.offset, 0)
    where = 8 if layout.big else 4
    pointer = struct.pack(layout.offset, len(data) + len(padding))
    rest = memoryview(data)[where + len(pointer) :]
    return b"".join([data[:where], pointer, rest, padding, directory])


def _damaged() -> ImageError:
    return ImageError("image-damaged", format="TIFF")
