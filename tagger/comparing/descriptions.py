"""What the model saw in pictures, as text that a caller keeps: others can judge it later.

Whoever has put a set in order by one ranker need not send its pictures again for another one.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.errors import LimitError, RequestError

Floats = npt.NDArray[np.float32]

#: Of one request.
MAX_DESCRIPTIONS = 2000
# Of one text: some fifty thousand numbers.
_MAX_LETTERS = 2**17


def rounded(row: Floats) -> Floats:
    """A description as precise as its text, so that it is judged alike before and after."""
    return row.astype("<f2").astype(np.float32)


def pack(row: Floats) -> str:
    """A description [D] as text: base64 of float16, little-endian."""
    return base64.b64encode(row.astype("<f2").tobytes()).decode("ascii")


def unpack(texts: Any) -> Floats:
    """Descriptions of such texts: float32, shape [N, D].

    Parameters
    ----------
    texts : list of str
        As somebody sent them; of D is only known that it is the same for all.

    Raises
    ------
    TaggerError
        ``request-invalid`` or ``explore-too-many``.
    """
    if not isinstance(texts, list) or not texts:
        raise _invalid("a list of texts")
    if len(texts) > MAX_DESCRIPTIONS:
        raise LimitError("explore-too-many", limit=MAX_DESCRIPTIONS)
    rows = [_unpack(text) for text in texts]
    if len({len(row) for row in rows}) > 1:
        raise _invalid("of one length")
    found = np.stack(rows)
    if not np.isfinite(found).all():
        raise _invalid("finite numbers")
    return found


def _unpack(text: Any) -> Floats:
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_LETTERS:
        raise _invalid("a list of texts")
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32)
    except ValueError:  # letters of another alphabet, or half a number
        raise _invalid("base64 of float16") from None


def _invalid(reason: str) -> RequestError:
    return RequestError("request-invalid", field="descriptions", reason=reason)
