"""A progressive JPEG at an eighth of its size, without the memory that its full decoding takes.

A progressive file tells its picture in many passes, and libjpeg keeps every coefficient of every
block between them, even when asked for a small picture: 155 MB for 48 megapixels with halved
colours, 300 MB with full ones. Yet an eighth of the size is one pixel a block, and that pixel is
the block's mean, its DC coefficient, which has passes of its own. Only those are decoded here; the
passes with the detail are skipped. Brightness is what libjpeg gives at this scale; colours that the
file has at half the resolution are interpolated, where libjpeg would use some of their detail.

The codes have variable lengths, so where one begins is known only after the one before. To do that
with arrays, the length of a code is looked up for *every* bit of a stretch as if one began there;
following these lengths from bit to bit then is one step for each group of blocks.

Source: ITU-T T.81, annexes B, F.1.2.1, F.2.2 and G.1.2.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagger.errors import ImageError

_SOF2, _DHT, _EOI, _SOS, _DQT, _DRI = 0xC2, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD
_JFIF, _ADOBE = 0xE0, 0xEE
_MARKER = re.compile(rb"\xff+[\x01-\xfe]")
# A code has 16 bits at most, the difference behind it 15, and a group of blocks 10 blocks.
_LONGEST_GROUP = 10 * (16 + 15)
_STRETCH = 2**15  # bytes that are looked at together
_INVALID = 255
_RGB_IDS = (0x52, 0x47, 0x42)

_Table = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@dataclass
class _Component:
    """One plane of the picture, a value a block."""

    id: int
    across: int
    down: int
    quantiser: int
    blocks: tuple[int, int] = (0, 0)
    step: int = 0
    means: npt.NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0), np.int16))


class _Other(Exception):
    """The file is of a kind that is left to libjpeg."""


def memory_of_eighth(coefficients: int) -> int:
    """Bytes that `decode_eighth` takes, where libjpeg would keep so many of coefficients.

    Of the 128 bytes a block that those are, it takes less than 24, beside a fixed part.
    """
    return coefficients * 24 // 128 + 32 * 2**20


def decode_eighth(data: bytes, least: int = 1) -> Image.Image | None:
    """Decode a progressive JPEG at an eighth of its width and height.

    Parameters
    ----------
    data : bytes
        A JPEG as `tagger.headers.jpeg` hands it on: checked, and of one picture.
    least : int
        Values that the longer side must have in every colour, those that are halved among them.

    Returns
    -------
    PIL image or None
        In mode ``L`` or ``RGB``, each side an eighth of the file's, rounded up. None for files
        that only libjpeg reads: not progressive, arithmetic coding, restart marks, four colours,
        more than eight bits, or without an end; and where a colour has less than `least`.

    Raises
    ------
    ImageError
        ``image-damaged`` or ``image-truncated``.
    """
    if not data.endswith(bytes((0xFF, _EOI))):
        return None
    try:
        return _Reader(data, least).read()
    except _Other:
        return None
    except (struct.error, IndexError) as error:
        raise _damaged() from error


class _Reader:
    def __init__(self, data: bytes, least: int) -> None:
        self._data = data
        self._least = least
        self._codes: dict[int, _Table] = {}
        self._steps: dict[int, int] = {}
        self._components: list[_Component] = []
        self._size = (0, 0)
        self._groups = (0, 0)
        self._jfif = False
        self._adobe: int | None = None

    def read(self) -> Image.Image:
        for marker, body, coded in self._segments():
            if marker == _SOF2:
                self._read_frame(body)
            elif marker == _DHT:
                self._read_codes(body)
            elif marker == _DQT:
                self._read_steps(body)
            elif marker == _SOS:
                self._read_scan(body, coded)
            elif marker == _JFIF and body.startswith(b"JFIF\0"):
                self._jfif = True
            elif marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
                self._adobe = body[11]
            elif marker in range(0xC0, 0xD0) or (marker == _DRI and any(body)):
                raise _Other
        if not self._components or not all(c.step for c in self._components):
            raise _damaged()
        return self._picture()

    def _segments(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Marker, contents, and for a scan what is coded after them."""
        position = 2
        while found := _MARKER.search(self._data, position):
            marker, position = self._data[found.end() - 1], found.end()
            if marker == _EOI:
                return
            if marker == 0x01 or 0xD0 <= marker <= 0xD8:
                continue
            (length,) = struct.unpack_from(">H", self._data, position)
            body = self._data[position + 2 : position + length]
            position += length
            coded = b""
            if marker == _SOS:
                end = _MARKER.search(self._data, position)
                coded = self._data[position : end.start() if end else None]
            yield marker, body, coded

    def _read_frame(self, body: bytes) -> None:
        depth, height, width, count = struct.unpack_from(">BHHB", body)
        if depth != 8 or count not in (1, 3) or self._components:
            raise _Other
        for i in range(count):
            name, factors, quantiser = struct.unpack_from(">BBB", body, 6 + 3 * i)
            # Of a single component the factors mean nothing.
            across, down = (factors >> 4, factors & 15) if count > 1 else (1, 1)
            self._components.append(_Component(name, across, down, quantiser))
        most = self._components[0]
        for part in self._components:
            # Brightness in full; of odd ratios libjpeg knows how to make something.
            if 0 in (part.across, part.down) or most.across % part.across or most.down % part.down:
                raise _Other
        if sum(part.across * part.down for part in self._components) > 10:
            raise _damaged()
        self._size = width, height
        self._groups = -(-width // (8 * most.across)), -(-height // (8 * most.down))
        for part in self._components:
            part.blocks = (
                -(-width * part.across // (8 * most.across)),
                -(-height * part.down // (8 * most.down)),
            )
            if max(part.blocks) < self._least:
                raise _Other
            # Groups reach over the right and the lower edge.
            shape = self._groups[1] * part.down, self._groups[0] * part.across
            part.means = np.zeros(shape, np.int16)

    def _read_codes(self, body: bytes) -> None:
        position = 0
        while position < len(body):
            counts = body[position + 1 : position + 17]
            symbols = body[position + 17 : position + 17 + sum(counts)]
            if len(counts) < 16 or len(symbols) < sum(counts):
                raise _damaged()
            kind = body[position]
            if kind < 16:  # of the others, for the detail, nothing is decoded
                self._codes[kind] = _code_table(counts, symbols)
            position += 17 + len(symbols)

    def _read_steps(self, body: bytes) -> None:
        position = 0
        while position < len(body):
            wide, name = divmod(body[position], 16)
            (step,) = struct.unpack_from(">H" if wide else ">B", body, position + 1)
            self._steps[name] = step
            position += 65 + (64 if wide else 0)

    def _read_scan(self, body: bytes, coded: bytes) -> None:
        count = body[0]
        first, _, bits = struct.unpack_from(">BBB", body, 1 + 2 * count)
        if first:
            return  # detail
        if re.search(rb"\xff[\xd0-\xd7]", coded):
            raise _Other
        known = {part.id: part for part in self._components}
        scan: list[tuple[_Component, int]] = []
        for i in range(count):
            name, tables = struct.unpack_from(">BB", body, 1 + 2 * i)
            if name not in known:
                raise _damaged()
            part = known.pop(name)
            if not part.step:
                part.step = self._steps.get(part.quantiser, 0)
            scan.append((part, tables >> 4))
        if not scan:
            raise _damaged()
        stream = coded.replace(b"\xff\x00", b"\xff")
        again, low = divmod(bits, 16)
        if again:
            self._refine([part for part, _ in scan], stream, low)
        else:
            self._decode(scan, stream, low)

    def _layout(self, parts: list[_Component]) -> tuple[int, list[int]]:
        """How many groups a scan has, and how many blocks of each of its components are in one."""
        if len(parts) == 1:
            across, down = parts[0].blocks
            return across * down, [1]
        return self._groups[0] * self._groups[1], [part.across * part.down for part in parts]

    def _store(self, part: _Component, values: npt.NDArray[Any], alone: bool, add: bool) -> None:
        """Put values in the order of the scan, ``[groups, blocks in one]``, to their places."""
        columns, rows = part.blocks if alone else self._groups
        across, down = (1, 1) if alone else (part.across, part.down)
        by_group = values.reshape(rows, columns, down, across).transpose(0, 2, 1, 3)
        plane = by_group.reshape(rows * down, columns * across).astype(np.int16)
        place = part.means[: plane.shape[0], : plane.shape[1]]
        place[...] = place | plane if add else plane

    def _decode(self, scan: list[tuple[_Component, int]], stream: bytes, low: int) -> None:
        """First pass: the difference of each block to the one before, in variable lengths."""
        parts = [part for part, _ in scan]
        groups, sizes = self._layout(parts)
        if any(table not in self._codes for _, table in scan):
            raise _damaged()
        order = [table for (_, table), size in zip(scan, sizes, strict=True) for _ in range(size)]
        differences = _decode_differences(stream, self._codes, order, groups)
        column = 0
        for part, size in zip(parts, sizes, strict=True):
            ordered = differences[:, column : column + size]
            values = np.cumsum(ordered.reshape(-1), dtype=np.int64) << low
            self._store(part, values, len(parts) == 1, add=False)
            column += size

    def _refine(self, parts: list[_Component], stream: bytes, low: int) -> None:
        """Later pass: one more bit for each block."""
        groups, sizes = self._layout(parts)
        count = groups * sum(sizes)
        if 8 * len(stream) < count:
            raise ImageError("image-truncated", format="JPEG")
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=count)
        table = bits.reshape(groups, sum(sizes)).astype(np.int16) << low
        column = 0
        for part, size in zip(parts, sizes, strict=True):
            self._store(part, table[:, column : column + size], len(parts) == 1, add=True)
            column += size

    def _picture(self) -> Image.Image:
        size = -(-self._size[0] // 8), -(-self._size[1] // 8)
        most = self._components[0]
        planes = []
        for part in self._components:
            across, down = most.across // part.across, most.down // part.down
            columns, rows = -(-size[0] // across), -(-size[1] // down)
            # A block's mean is its coefficient over eight, around the middle grey.
            means = (part.means[:rows, :columns].astype(np.int64) * part.step + 4 >> 3) + 128
            plane = Image.fromarray(np.clip(means, 0, 255).astype(np.uint8))
            if (across, down) != (1, 1):
                plane = plane.resize((columns * across, rows * down), Image.Resampling.LANCZOS)
                plane = plane.crop((0, 0, *size))
            planes.append(plane)
        if len(planes) == 1:
            return planes[0]
        names = tuple(part.id for part in self._components)
        plain = self._adobe == 0 if self._adobe is not None else names == _RGB_IDS
        if plain and not self._jfif:
            return Image.merge("RGB", planes)
        return Image.merge("YCbCr", planes).convert("RGB")


def _code_table(counts: bytes, symbols: bytes) -> _Table:
    """For all 16 bits that may come: the length of the code, and of the difference behind it."""
    lengths = np.ones(2**16, np.uint8)
    categories = np.full(2**16, _INVALID, np.uint8)
    at = symbol = 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            end = at + (1 << (16 - length))
            if end > 2**16 or symbols[symbol] > 15:
                raise _damaged()
            lengths[at:end], categories[at:end] = length, symbols[symbol]
            at, symbol = end, symbol + 1
    return lengths, categories


def _decode_differences(
    stream: bytes, codes: dict[int, _Table], order: list[int], groups: int
) -> npt.NDArray[np.int16]:
    """Decode ``[groups, len(order)]`` differences, each column by the codes of that number."""
    result = np.zeros((groups, len(order)), np.int16)
    done, bit = 0, 0
    while done < groups:
        if bit >= 8 * len(stream):
            raise ImageError("image-truncated", format="JPEG")
        start = bit // 8
        whole = start + _STRETCH >= len(stream)
        windows = _windows(stream[start : start + _STRETCH] + bytes(_LONGEST_GROUP // 8 + 2))
        ends = {name: _ends(windows, codes[name]) for name in set(order)}
        group: npt.NDArray[Any] = np.arange(windows.size)
        for name in order:
            group = ends[name][group]
        # From group to group, as long as they are sure to end within the stretch.
        limit = 8 * (len(stream) - start) if whole else 8 * _STRETCH - _LONGEST_GROUP
        following = group.tolist()
        at = bit - 8 * start
        starts: list[int] = []
        while at < limit and len(starts) < groups - done:
            starts.append(at)
            at = following[at]
        here = np.array(starts)
        for column, name in enumerate(order):
            result[done : done + here.size, column] = _values(windows, here, codes[name])
            here = ends[name][here]
        done, bit = done + here.size, 8 * start + at
    if bit > 8 * len(stream):
        raise ImageError("image-truncated", format="JPEG")
    return result


def _windows(data: bytes) -> npt.NDArray[np.uint16]:
    """The 16 bits from each bit on; behind the end there are zeros."""
    padded = np.frombuffer(data + bytes(2), np.uint8).astype(np.uint32)
    words = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    return (words[:, None] >> shifts & 0xFFFF).astype(np.uint16).reshape(-1)


def _ends(windows: npt.NDArray[np.uint16], code: _Table) -> npt.NDArray[np.int32]:
    """For each bit, where a code and its difference would end that began there."""
    lengths, categories = code
    total = (lengths + categories * (categories != _INVALID))[windows]
    ends: npt.NDArray[np.int32] = np.arange(windows.size, dtype=np.int32) + total
    return np.minimum(ends, np.int32(windows.size - 1))


def _values(
    windows: npt.NDArray[np.uint16], at: npt.NDArray[Any], code: _Table
) -> npt.NDArray[np.int32]:
    """The differences whose codes begin at these bits."""
    lengths, categories = code
    size = categories[windows[at]].astype(np.int32)
    if (size == _INVALID).any():
        raise _damaged()
    behind = np.minimum(at + lengths[windows[at]], windows.size - 1)
    bits = windows[behind].astype(np.int32) >> (16 - size)
    # The upper half are the positive ones; the lower half count up from the most negative.
    positive = bits >> np.maximum(size - 1, 0) & 1 > 0
    values: npt.NDArray[np.int32] = np.where(positive, bits, bits - (1 << size) + 1)
    values[size == 0] = 0
    return values


def _damaged() -> ImageError:
    return ImageError("image-damaged", format="JPEG")
