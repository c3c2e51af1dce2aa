"""What every reader of headers returns."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Header:
    """Facts of a file before it is decoded.

    Attributes
    ----------
    format : str
        Name of the format, such as ``"PNG"``.
    data : bytes
        What the decoder is given: the file, or the part of it that makes up the first picture.
    width, height : int
        As stored, before orientation. 0 where only the decoder library can tell.
    frames : int
        Frames or pages; counted up to one more than the caller's limit.
    orientation : int
        EXIF orientation, 1 to 8.
    memory : int
        Estimate of the bytes that decoding at full size takes, from measurements.
    passes_memory : int
        The part of `memory` that remains when a JPEG is decoded at a reduced scale.
    coded_pixels : int
        Pixels of the largest coded part, where that may differ from width times height.
    window : (left, top, right, bottom), optional
        Where the first frame lies, if it does not fill the picture; the rest is transparent.
    depth : int
        Bits per sample.
    white_is_zero : bool
        Whether grey values that the decoder library leaves as they are must be inverted.
    icc : bytes, optional
        Colour profile, where the reader keeps it from the decoder.
    """

    format: str
    data: bytes
    width: int = 0
    height: int = 0
    frames: int = 1
    orientation: int = 1
    memory: int = 0
    passes_memory: int = 0
    coded_pixels: int = 0
    window: Box | None = None
    depth: int = 8
    white_is_zero: bool = False
    icc: bytes | None = None
