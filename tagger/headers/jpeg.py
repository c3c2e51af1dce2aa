"""JPEG.

Handed on are the segments that decoding needs, the colour profile among them, up to the end of the
first picture: no EXIF (its orientation is read here), no thumbnails, no second picture of a phone's
portrait or HDR photograph, no video behind it.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
import struct

from tagger.errors import ImageError
from tagger.headers.exif import read_orientation
from tagger.headers.model import Header

# Start of frame: all but the Huffman tables (C4), the extension (C8) and the conditioning (CC).
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_EXIF, _ICC = 0xE1, 0xE2
# JFIF and Adobe say which colours the components are.
_DROPPED = ({*range(0xE0, 0xF0)} - {0xE0, 0xE2, 0xEE}) | {0xFE}
_MAX_JUNK = 4096
_MAX_SEGMENTS = 10_000
# Each pass over a progressive picture touches all its pixels, however few bytes it has.
_MAX_SCANS = 100
_NEXT_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")


def read_jpeg(data: bytes, max_frames: int) -> Header:
    """Read the header of a JPEG file."""
    view = memoryview(data)
    parts = [view[:2]]
    frame: bytes | None = None
    orientation = 0
    position, junk = 2, 0
    for _ in range(_MAX_SEGMENTS + _MAX_JUNK):
        if data[position] != 0xFF:
            position, junk = position + 1, junk + 1
            if junk > _MAX_JUNK:
                raise _damaged()
            continue
        marker = data[position + 1]
        if marker in {0x00, 0xFF}:
            position, junk = position + 1, junk + 1
            if junk > _MAX_JUNK:
                raise _damaged()
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        if marker == _END:
            raise _damaged()
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if length < 2:
            raise _damaged()
        if end > len(data):
            raise ImageError("image-truncated", format="JPEG")
        if marker == _SCAN:
            break
        body = data[position + 4 : end]
        if marker in _FRAMES:
            if frame is not None:
                raise _damaged()
            frame = body
        if marker == _EXIF and not orientation and body.startswith(b"Exif\0\0"):
            orientation = read_orientation(body)
        if marker not in _DROPPED and (marker != _ICC or body.startswith(b"ICC_PROFILE\0")):
            parts.append(view[position:end])
        position = end
    else:
        raise _damaged()
    if frame is None:
        raise _damaged()
    scans, finish = _scan_passes(data, position)
    parts.append(view[position:finish])
    depth, height, width, components = struct.unpack_from(">BHHB", frame)
    factors = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * components : 3]]
    passes = 0
    if scans > 1 and factors:
        # Kept between the passes: two bytes a coefficient, for whole blocks of every component.
        widest, tallest = (max(1, *sides) for sides in zip(*factors, (0, 0), strict=True))
        share = sum(h * v for h, v in factors) / (widest * tallest)
        passes = int(2 * (width + 16) * (height + 16) * share)
    return Header(
        "JPEG",
        b"".join(parts),
        width,
        height,
        orientation=orientation or 1,
        memory=width * height * (1 if components == 1 else 4) + passes,
        passes_memory=passes,
        depth=depth,
    )


def _scan_passes(data: bytes, position: int) -> tuple[int, int]:
    """Count the scans from `position` on and find where the picture ends."""
    scans = 0
    for _ in range(_MAX_SEGMENTS):
        found = _NEXT_MARKER.search(data, position)
        if found is None:
            return scans, len(data)  # cut off: the decoder knows whether the pixels are complete
        position = found.end()
        marker = data[position - 1]
        if marker == _END:
            return scans, position
        if marker in _STANDALONE:
            continue
        if marker == _SCAN:
            scans += 1
            if scans > _MAX_SCANS:
                raise _damaged()
        if position + 2 > len(data):
            return scans, len(data)
        position += struct.unpack_from(">H", data, position)[0]
    raise _damaged()


def _damaged() -> ImageError:
    return ImageError("image-damaged", format="JPEG")
