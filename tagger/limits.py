"""How large a picture may be: one object, shared by the page, the API and the command line."""

from __future__ import annotations

from dataclasses import dataclass

#: Above this Pillow itself refuses (twice its `MAX_IMAGE_PIXELS`), so a higher limit would be void.
PIXEL_CEILING = 178_956_970


@dataclass(frozen=True)
class ImageLimits:
    """What is read at most. Anything larger is refused from its header, before it is decoded.

    Attributes
    ----------
    max_bytes : int
        Size of the file, in bytes.
    max_pixels : int
        Width times height.
    max_side : int
        Longer side, in pixels.
    max_frames : int
        Frames of an animation or pages of a TIFF, although only the first is read.
    max_memory : int
        Bytes that decoding may take, as estimated from the header: what bounds formats that
        cannot be decoded at a reduced scale (everything but JPEG).
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 64_000_000
    max_side: int = 65_535
    max_frames: int = 2_000
    max_memory: int = 512 * 2**20

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could be read."""
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1")
