"""TIFF and BigTIFF.

The decoder is given the file with a directory of our own behind it, which holds only what the
pixels of the first page need. The entries of a hostile directory overlap, so that a library which
reads them all (and the directories of EXIF and GPS that they lead to) unfolds a small file to
gigabytes.

Source: TIFF 6.0 (Adobe, 1992); https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tagger.errors import ImageError
from tagger.headers.model import Header

_TYPE_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_LONG, _LONG8 = 4, 16
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _PLANAR = 274, 277, 278, 284
_STRIP_OFFSETS, _STRIP_SIZES = 273, 279
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_SIZES = 322, 323, 324, 325
_KEPT = {
    _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS_PER_STRIP, _PLANAR,
    _STRIP_OFFSETS, _STRIP_SIZES, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_SIZES,
    266,  # fill order
    292, 293,  # fax options
    317,  # predictor
    320,  # colour map
    332, 338, 339,  # ink set, extra samples, sample format
    347,  # JPEG tables
    *range(512, 522),  # JPEG of before 1995
    529, 530, 531, 532,  # YCbCr
    34675,  # colour profile
}  # fmt: skip
_UNCOMPRESSED, _YCBCR = 1, 6
_MAX_ENTRIES = 4096
_MAX_PARTS = 2**17


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
    found, following = _directory(data, first, layout)
    entries = list(found)
    values = {entry[0]: entry for entry in entries}
    total = sum(_TYPE_SIZES.get(kind, 0) * count for tag, kind, count, _ in entries if tag in _KEPT)
    if total > len(data):
        raise _damaged()

    def numbers(tag: int) -> tuple[int, ...]:
        return _integers(data, values.get(tag), layout)

    def number(tag: int, default: int = 0) -> int:
        return (*numbers(tag), default)[0]

    width, height = number(_WIDTH), number(_LENGTH)
    tile = number(_TILE_WIDTH) * number(_TILE_LENGTH)
    rows = min(height, number(_ROWS_PER_STRIP, height) or height)
    samples, bits = max(1, number(_SAMPLES, 1)), max(1, number(_BITS, 1))
    strip = tile or width * rows
    # The decoder would take our directory, behind the file, for what is missing of the pixels.
    if number(_COMPRESSION, 1) != _UNCOMPRESSED:
        sizes = numbers(_STRIP_SIZES) or numbers(_TILE_SIZES)
    elif number(_PHOTOMETRIC) == _YCBCR:
        sizes = ()  # subsampled
    else:
        planes = samples if number(_PLANAR, 1) == 2 else 1
        sizes = _plain_sizes(width, height, rows, samples // planes * bits)
        if tile:
            sizes = (
                number(_TILE_LENGTH) * -(-number(_TILE_WIDTH) * samples // planes * bits // 8),
            )
    _check_complete(len(data), numbers(_STRIP_OFFSETS) or numbers(_TILE_OFFSETS), sizes)
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


def _directory(data: bytes, offset: int, layout: _Layout) -> tuple[Iterator[Entry], int]:
    """Find the entries of the directory at `offset`, and the offset of the next one."""
    if not 0 < offset < len(data):
        raise ImageError("image-truncated", format="TIFF")
    (count,) = struct.unpack_from(layout.count, data, offset)
    if not 0 < count <= _MAX_ENTRIES:
        raise _damaged()
    start, size = offset + struct.calcsize(layout.count), struct.calcsize(layout.entry)
    end = start + count * size
    if end > len(data):
        raise ImageError("image-truncated", format="TIFF")
    entries = struct.iter_unpack(layout.entry, memoryview(data)[start:end])
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


def _integers(data: bytes, entry: Entry | None, layout: _Layout) -> tuple[int, ...]:
    if entry is None or entry[1] not in _INTEGERS or entry[2] < 1:
        return ()
    _, kind, count, field = entry
    if count > _MAX_PARTS:
        raise _damaged()
    code = f"{layout.order}{count}{_INTEGERS[kind]}"
    if struct.calcsize(code) > len(field):
        (offset,) = struct.unpack(layout.offset, field)
        return struct.unpack_from(code, data, offset)
    return struct.unpack_from(code, field)


def _plain_sizes(width: int, height: int, rows: int, bits: int) -> tuple[int, ...]:
    """Work out how many bytes uncompressed strips take: all alike, but for the last one."""
    if not rows:
        return ()
    line = -(-width * bits // 8)
    count = min(-(-height // rows), _MAX_PARTS)
    return (*[rows * line] * (count - 1), (height - (count - 1) * rows) * line)


def _check_complete(length: int, offsets: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    if not sizes:
        return
    for i, offset in enumerate(offsets):
        if offset + sizes[i % len(sizes)] > length:
            raise ImageError("image-truncated", format="TIFF")


def _with_directory(data: bytes, entries: list[Entry], layout: _Layout) -> bytes:
    """Put a directory behind the file that holds `entries` and leads no further.

    It is one of plain TIFF, whose 32 bits reach all of a file that is held in memory: Pillow does
    not know big-endian BigTIFF.
    """
    values, table = b"", b""
    start = len(data) + len(data) % 2
    room = struct.calcsize(layout.offset)
    for tag, kind, count, field in sorted(entries):
        size = _TYPE_SIZES.get(kind, 0) * count
        value = field[:size]
        if size > room:
            (offset,) = struct.unpack(layout.offset, field)
            value = data[offset : offset + size]
            if len(value) < size:
                raise ImageError("image-truncated", format="TIFF")
        if kind == _LONG8:
            kind = _LONG
            value = struct.pack(
                f"{layout.order}{count}I", *struct.unpack(f"{layout.order}{count}Q", value)
            )
        if len(value) > 4:
            pointer = struct.pack(layout.order + "I", start + len(values))
            values += value + b"\0" * (len(value) % 2)
            value = pointer
        table += struct.pack(layout.order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
    directory = struct.pack(layout.order + "H", len(entries)) + table + bytes(4)
    head = data[:2] + struct.pack(layout.order + "HI", 42, start + len(values))
    padding = b"\0" * (len(data) % 2)
    return b"".join([head, memoryview(data)[8:], padding, values, directory])


def _damaged() -> ImageError:
    return ImageError("image-damaged", format="TIFF")
