"""Sets of pictures as short texts: one bit a picture."""

from __future__ import annotations

import base64
import binascii

import numpy as np
import numpy.typing as npt

from tagger.errors import RequestError

Bools = npt.NDArray[np.bool_]


def encode(mask: Bools) -> str:
    """Base64 of the bits, the first picture in the lowest bit of the first byte."""
    return base64.b64encode(np.packbits(mask, bitorder="little").tobytes()).decode("ascii")


def decode(text: object, count: int) -> Bools:
    """Read what :func:`encode` wrote.

    Parameters
    ----------
    text : object
        What somebody sent.
    count : int
        N pictures.

    Returns
    -------
    bool, shape [N]

    Raises
    ------
    RequestError
        ``explore-mask``, if it is anything else than N bits, the rest of the last byte zero.
    """
    size = (count + 7) // 8
    try:
        # Longer ones are not even decoded.
        good = isinstance(text, str) and len(text) == 4 * ((size + 2) // 3)
        data = base64.b64decode(text, validate=True) if good else b""  # type: ignore[arg-type]
    except (binascii.Error, ValueError):
        good, data = False, b""
    if not good or len(data) != size:
        raise RequestError("explore-mask", count=count)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if bits[count:].any():
        raise RequestError("explore-mask", count=count)
    mask: Bools = bits[:count].astype(np.bool_)
    return mask
