"""PNG and APNG.

Only the chunks of the still picture are handed on. Pillow inflates compressed texts and refuses
files whose text is long (programs store whole workflows there), and for some animations it
allocates the canvas while it opens the file; without those chunks it does neither.

Source: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib

from tagger.errors import ImageError
from tagger.headers.exif import read_orientation
from tagger.headers.model import Header

_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_READ = {b"IHDR", b"acTL", b"eXIf", b"iCCP"}
_MAX_CHUNKS = 200_000
_MAX_ICC = 4 * 2**20
_GREY, _INDEXED = 0, 3


def read_png(data: bytes, max_frames: int) -> Header:
    """Read the header of a PNG file."""
    view = memoryview(data)
    parts = [view[:8]]
    facts: dict[bytes, bytes] = {}
    animated_still = False
    position = 8
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break  # cut off: the decoder knows whether the pixels are complete
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind in _KEPT:
            parts.append(view[position:end])
        if kind == b"fcTL" and b"IDAT" not in facts:
            animated_still = True
        if kind == b"IEND":
            break
        if kind not in facts:
            facts[kind] = bytes(view[position + 8 : end - 4]) if kind in _READ else b""
        position = end
    else:
        raise ImageError("image-damaged", format="PNG")
    if b"IHDR" not in facts:
        raise ImageError("image-damaged", format="PNG")
    width, height, depth, colour = struct.unpack_from(">IIBB", facts[b"IHDR"])
    frames = 1
    if len(facts.get(b"acTL", b"")) >= 4:
        (frames,) = struct.unpack_from(">I", facts[b"acTL"])
        # A still picture that is not the first frame is one more picture.
        frames = min(max(1, frames + (not animated_still)), max_frames + 1)
    if colour == _GREY:
        bytes_per_pixel = 2 if depth == 16 else 1
    else:
        bytes_per_pixel = 1 if colour == _INDEXED else 4
    return Header(
        "PNG",
        b"".join(parts),
        width,
        height,
        frames=frames,
        orientation=read_orientation(facts.get(b"eXIf", b"")),
        memory=width * height * bytes_per_pixel,
        depth=depth,
        icc=_inflate_profile(facts.get(b"iCCP", b"")),
    )


def _inflate_profile(chunk: bytes) -> bytes | None:
    """Inflate a colour profile, up to a bound: more is no profile but a bomb."""
    _, found, rest = chunk.partition(b"\0")
    if not found or rest[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], _MAX_ICC)
    except zlib.error:
        return None
    return profile if inflater.eof else None
