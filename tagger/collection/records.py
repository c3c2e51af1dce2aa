"""What the collection keeps of a drawing, and which values it takes.

Pure: nothing here knows a database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tagger.errors import StoreError
from tagger.strokes import Strokes

Source = Literal["canvas", "game", "import", "api"]
Predicted = tuple[tuple[str, float], ...]

MAX_LABEL = 64
MAX_PREDICTED = 100
# The last millisecond of the year 9999, where calendars end.
MAX_TIME = 253_402_300_799_999
MAX_KEY = 200

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASH = re.compile(r"[\x21-\x7e]{0,64}")
# These turn the direction of writing for whatever follows them.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True, eq=False)
class NewDrawing:
    """A drawing to be kept.

    Attributes
    ----------
    label : str
        What it shows; see :func:`clean_label`.
    strokes : Strokes
        As drawn.
    contributor : str or None
        Who drew it: a hash by `Store.contributor_of`, never a visitor's own id. None if nobody is
        known, as for what is imported.
    consent : bool
        Whether others may have it. Without, it serves the contributor's own learning only and is
        never exported or pushed.
    source : str
        Where it was drawn: ``canvas``, ``game``, ``api``, or elsewhere: ``import``.
    model_hash : str
        Of the recogniser that answered.
    predicted : tuple of (word, probability)
        Its answer when the label was given, most probable first.
    created : int or None
        UTC milliseconds; None for now.
    key : str or None
        The client's own key of this save: a second one by the same contributor with the same key
        is the same drawing, sent again.
    id : str or None
        Of an exported drawing that comes back; None for a new one.
    """

    label: str
    strokes: Strokes
    contributor: str | None = None
    consent: bool = False
    source: Source = "canvas"
    model_hash: str = ""
    predicted: Predicted = ()
    created: int | None = None
    key: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawing that is kept; see `NewDrawing` for what is not said here.

    Attributes
    ----------
    id : str
        The same in every export and on the Hub; cannot be guessed.
    digest : str
        Content address, by `tagger.strokes.digest`.
    revision : int
        1, and one more for each change of the label.
    """

    id: str
    label: str
    strokes: Strokes
    digest: str
    created: int
    contributor: str | None
    consent: bool
    source: Source
    model_hash: str
    predicted: Predicted
    revision: int

    @property
    def recognized(self) -> bool | None:
        """Whether the recogniser's first guess was the label; None if it was not asked."""
        return self.predicted[0][0] == self.label if self.predicted else None


@dataclass(frozen=True, slots=True)
class Saved:
    """The receipt of a drawing: what it lists is on the disk.

    Attributes
    ----------
    id : str
    label : str
        As it is kept now.
    created : int
        UTC milliseconds.
    duplicate : bool
        Whether it was there already, or had been and was deleted; nothing was written then.
    """

    id: str
    label: str
    created: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One change of a label: from what to what, when (UTC milliseconds), by whom (hash)."""

    before: str
    after: str
    changed: int
    by: str | None


def clean_label(text: Any) -> str:
    """The form in which a label is kept: NFKC, single spaces, none at the ends.

    Raises
    ------
    StoreError
        ``label-empty``, ``label-too-long`` or ``label-characters``.
    """
    if not isinstance(text, str):
        raise StoreError("label-empty")
    if len(text) > 16 * MAX_LABEL:  # before any work is done on it
        raise StoreError("label-too-long", limit=MAX_LABEL)
    label = " ".join(unicodedata.normalize("NFKC", text).split())
    if not label:
        raise StoreError("label-empty")
    if len(label) > MAX_LABEL:
        raise StoreError("label-too-long", limit=MAX_LABEL)
    if any(c in _DIRECTION or unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in label):
        raise StoreError("label-characters")
    return label


def check(new: NewDrawing) -> None:
    """Refuse values that no database should see.

    Raises
    ------
    StoreError
        ``drawing-invalid``, with the field. Labels are checked by :func:`clean_label`, strokes by
        `tagger.strokes.parse`.
    """
    valid = {
        "source": new.source in get_args(Source),
        "contributor": new.contributor is None or fits_id(new.contributor),
        "model_hash": fits_hash(new.model_hash),
        "predicted": _are_predictions(new.predicted),
        "created": new.created is None or is_time(new.created),
        "key": new.key is None or (isinstance(new.key, str) and 1 <= len(new.key) <= MAX_KEY),
        "id": new.id is None or fits_id(new.id),
        "consent": isinstance(new.consent, bool),
        "strokes": bool(new.strokes),
    }
    for field, fits in valid.items():
        if not fits:
            raise StoreError("drawing-invalid", field=field)


def fits_id(value: Any) -> bool:
    """Whether a value is an id of a record or the hash of a contributor."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def fits_hash(value: Any) -> bool:
    """Whether a value is the hash of a model or empty."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def is_time(value: Any) -> bool:
    """Whether a value is a time in UTC milliseconds that calendars have."""
    return type(value) is int and 0 <= value <= MAX_TIME


def _are_predictions(values: Any) -> bool:
    if not isinstance(values, Sequence) or len(values) > MAX_PREDICTED:
        return False
    for value in values:
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
            return False
        word, probability = value
        if not isinstance(word, str) or not 0 < len(word) <= MAX_LABEL or not word.isprintable():
            return False
        # Not a number is in no range, and a whole number may be too large to be a float.
        if type(probability) not in (int, float) or not 0 <= probability <= 1:
            return False
    return True
