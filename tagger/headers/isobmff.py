"""AVIF and HEIC: pictures in boxes.

The decoder libraries find the size themselves; but libavif believes the boxes and decodes what is
inside them at whatever size it has. So the sequence headers of the coded pictures are read as well.

Source: ISO/IEC 14496-12 (boxes), 23008-12 (HEIF); AV1 Bitstream & Decoding Process Specification,
5.3 to 5.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tagger.errors import ImageError
from tagger.headers.exif import unfolds
from tagger.headers.model import Header

_MAX_BOXES = 100_000
_MAX_ITEMS = 4096
_MAX_EXTENTS = 16_384
_PROBE = 256  # bytes; a sequence header comes first and is short
_MAX_EXIF = 2**20

# Measured, decoding to 8 bits: AVIF 9 to 12 and HEIC 5 to 7 bytes a pixel; more for 10 bits and
# unreduced chroma.
AVIF_BYTES_PER_PIXEL = 16
HEIC_BYTES_PER_PIXEL = 10

Span = tuple[int, int]


def read_heic(data: bytes, max_frames: int) -> Header:
    """Check that the file is complete; libheif itself holds the picture to its stated size."""
    list(_boxes(data, 0, len(data), "HEIC"))
    return Header("HEIC", data)


def read_avif(data: bytes, max_frames: int) -> Header:
    """Check that the file is complete, and find the largest coded picture in it."""
    coded = 0
    seen = set()
    for kind, start, end in _boxes(data, 0, len(data), "AVIF"):
        if kind not in (b"meta", b"moov"):
            continue
        if kind in seen:
            raise ImageError("image-damaged", format="AVIF")
        seen.add(kind)
        if kind == b"meta":
            coded = max(coded, _largest_item(data, start + 4, end))
        else:
            coded = max(coded, _largest_sample(data, start, end))
    return Header("AVIF", data, coded_pixels=coded)


def _boxes(data: bytes, start: int, end: int, format: str) -> Iterator[tuple[bytes, int, int]]:
    """Walk the boxes between two positions: type, and where the contents start and end."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if size == 0 else start + size
        if stop > end:
            raise ImageError("image-truncated", format=format)
        if stop < body:
            raise ImageError("image-damaged", format=format)
        yield kind, body, stop
        start = stop
    raise ImageError("image-damaged", format=format)


def _largest_item(data: bytes, start: int, end: int) -> int:
    parts = {kind: (body, stop) for kind, body, stop in _boxes(data, start, end, "AVIF")}
    if b"iloc" not in parts or b"iinf" not in parts:
        return 0
    types = _item_types(data, *parts[b"iinf"])
    idat = parts.get(b"idat", (0, 0))[0]
    coded = 0
    for item, spans in _item_spans(data, parts[b"iloc"][0], idat):
        if types.get(item) == b"av01":
            coded = max(coded, _av1_pixels(_gather(data, spans, _PROBE)))
        elif types.get(item) == b"Exif":
            block = _gather(data, spans, _MAX_EXIF + 1)
            offset = 4 + int.from_bytes(block[:4], "big")
            if len(block) > _MAX_EXIF or unfolds(block[offset:]) or unfolds(block[4:]):
                raise ImageError("image-damaged", format="AVIF")
    return coded


def _item_types(data: bytes, start: int, end: int) -> dict[int, bytes]:
    start += 6 if data[start] == 0 else 8
    types = {}
    for kind, body, _ in _boxes(data, start, end, "AVIF"):
        if kind == b"infe" and data[body] in (2, 3):
            item = ">HH4s" if data[body] == 2 else ">IH4s"
            number, _, name = struct.unpack_from(item, data, body + 4)
            types[number] = name
    return types


def _item_spans(data: bytes, at: int, idat: int) -> Iterator[tuple[int, list[Span]]]:
    """Read the table of where items are: number, and (start, length) of the parts."""
    version, sizes = data[at], struct.unpack_from(">H", data, at + 4)[0]
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    at += 6
    extents = 0  # they may have sizes of no bytes, so the file's length does not bound them

    def number(size: int) -> int:
        nonlocal at
        value = int.from_bytes(data[at : at + size], "big")
        at += size
        return value

    for _ in range(min(number(2 if version < 2 else 4), _MAX_ITEMS)):
        item = number(2 if version < 2 else 4)
        method = number(2) & 15 if version else 0
        number(2)  # data reference
        base = number(base_size) + (idat if method == 1 else 0)
        spans = []
        for _ in range(number(2)):
            extents += 1
            if extents > _MAX_EXTENTS or at > len(data):
                raise ImageError("image-damaged", format="AVIF")
            number(index_size)
            offset = base + number(offset_size)
            spans.append((offset, number(length_size) or len(data)))
        if at > len(data):
            raise ImageError("image-truncated", format="AVIF")
        yield item, spans


def _largest_sample(data: bytes, start: int, end: int) -> int:
    """Find the pictures of an animation: the first sample of every track."""
    coded, todo = 0, [(start, end)]
    nested = {b"trak", b"mdia", b"minf", b"stbl"}
    while todo:
        for kind, body, stop in _boxes(data, *todo.pop(), "AVIF"):
            if kind in nested:
                todo.append((body, stop))
            elif kind in (b"stco", b"co64") and stop - body >= 12:
                wide = kind == b"co64" and stop - body >= 16
                (offset,) = struct.unpack_from(">Q" if wide else ">I", data, body + 8)
                coded = max(coded, _av1_pixels(data[offset : offset + _PROBE]))
    return coded


def _gather(data: bytes, spans: list[Span], limit: int) -> bytes:
    found = []
    for offset, length in spans:
        found.append(data[offset : offset + min(length, limit)])
        limit -= len(found[-1])
        if limit <= 0:
            break
    return b"".join(found)


class _Bits:
    """Reads bits, most significant first. Past the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            return 0
        return self._value >> self._left & ((1 << count) - 1)

    def take_unary(self) -> int:
        """Take an unsigned integer of variable length (4.10.3)."""
        zeros = 0
        while zeros < 32 and self._left > 0 and not self.take(1):
            zeros += 1
        return self.take(zeros)


def _av1_pixels(data: bytes) -> int:
    """Multiply the sides in the first sequence header among the units; 0 if there is none."""
    position = 0
    while position < len(data):
        head = data[position]
        kind, extended, sized = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        position += 1 + extended
        size = len(data) - position
        if sized:
            size, shift = 0, 0
            while position < len(data) and shift < 56:
                byte = data[position]
                position += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        if kind == 1:
            return _sequence_pixels(_Bits(data[position : position + size]))
        position += size
    return 0


def _sequence_pixels(bits: _Bits) -> int:
    bits.take(3 + 1)  # profile, still picture
    if bits.take(1):  # reduced header
        bits.take(5)
    else:
        delay_bits = 0
        if bits.take(1):  # timing
            bits.take(64)
            if bits.take(1):
                bits.take_unary()
            if bits.take(1):  # decoder model
                delay_bits = bits.take(5) + 1
                bits.take(32 + 5 + 5)
        initial_delay = bits.take(1)
        for _ in range(bits.take(5) + 1):  # operating points
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if delay_bits and bits.take(1):
                bits.take(2 * delay_bits + 1)
            if initial_delay and bits.take(1):
                bits.take(4)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)
