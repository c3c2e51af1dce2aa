"""What the collection keeps of a vote, and which values it takes.

Pure: nothing here knows a database.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from tagger.collection.records import MAX_KEY, fits_hash, fits_id, is_time
from tagger.errors import StoreError

Choice = Literal["left", "right", "tie", "both-bad", "skip"]
#: Why the pair was asked: to learn most, to judge the taste, to judge the voter, or not at all.
Asked = Literal["active", "check", "repeat", "own"]
VoteSource = Literal["page", "api", "import"]

#: Bytes of a picture's id.
MAX_PICTURE = 1_024
MAX_WEIGHT = 10.0
#: Of what is shown for a while: some 24 days.
MAX_MILLISECONDS = 2**31 - 1
#: Bytes of the description of a voter's own picture, and of what is kept of a taste.
MAX_OWN = 2**17
MAX_TASTE = 2**22

_OWN = re.compile(r"own:[0-9a-f]{32}")
_RANKER_LENGTH = 64


@dataclass(frozen=True, slots=True)
class NewVote:
    """A vote to be kept.

    Attributes
    ----------
    left, right : str
        Ids of pictures of the gallery; or, for a picture of the voter's own, :func:`own_id`.
    choice : {"left", "right", "tie", "both-bad", "skip"}
        What was answered.
    kind : {"active", "check", "repeat", "own"}
        Why the pair was asked; ``own`` if the voter chose it.
    weight : float, above 0 and at most 10
        As so many votes it counts.
    contributor : str or None
        Who voted: a hash by `Store.contributor_of`, never a visitor's own id.
    consent : bool
        Whether others may have it. Without, it teaches the contributor's own taste only and is
        never exported or pushed.
    source : {"page", "api", "import"}
        Where it was given.
    model_hash, gallery : str
        Of the model, and of the gallery.
    ranker : str
        Whose expectation was shown; empty if none was.
    p_left : float or None
        What was expected, before the vote.
    milliseconds : int or None
        From the sight of the pair to the answer.
    created : int or None
        UTC milliseconds; None for now.
    key : str or None
        The client's own key of this vote: a second one by the same contributor with the same key
        is the same vote, sent again.
    id : str or None
        Of an exported vote that comes back; None for a new one.
    own : mapping of id to bytes
        The descriptions (`tagger.preference.describe`; float16, little-endian) of exactly the
        pictures that are the voter's own. They teach the voter's taste and are never exported.
    """

    left: str
    right: str
    choice: Choice
    kind: Asked = "own"
    weight: float = 1.0
    contributor: str | None = None
    consent: bool = False
    source: VoteSource = "page"
    model_hash: str = ""
    gallery: str = ""
    ranker: str = ""
    p_left: float | None = None
    milliseconds: int | None = None
    created: int | None = None
    key: str | None = None
    id: str | None = None
    own: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptVote:
    """A vote that is kept; see `NewVote` for what is not said here.

    Attributes
    ----------
    id : str
        The same in every export and on the Hub; cannot be guessed.
    seq : int
        Higher than that of every earlier record.
    """

    id: str
    seq: int
    left: str
    right: str
    choice: Choice
    kind: Asked
    weight: float
    contributor: str | None
    consent: bool
    source: VoteSource
    model_hash: str
    gallery: str
    ranker: str
    p_left: float | None
    milliseconds: int | None
    created: int

    @property
    def public(self) -> bool:
        """Whether others may have it, and could make sense of it: it names no own picture."""
        return self.consent and not (is_own(self.left) or is_own(self.right))


@dataclass(frozen=True, slots=True)
class SavedVote:
    """The receipt of a vote: it is on the disk.

    Attributes
    ----------
    id : str
    created : int
        UTC milliseconds.
    duplicate : bool
        Whether it was there already, or had been and was deleted; nothing was written then.
    """

    id: str
    created: int
    duplicate: bool


def own_id(description: bytes) -> str:
    """The id of a picture that is in no gallery: 32 hexadecimal digits of a SHA-256."""
    return "own:" + hashlib.sha256(description).hexdigest()[:32]


def is_own(id: str) -> bool:
    """Whether a picture's id is one by :func:`own_id`."""
    return _OWN.fullmatch(id) is not None


def check_vote(new: NewVote) -> None:
    """Refuse values that no database should see.

    Raises
    ------
    StoreError
        ``vote-invalid``, with the field.
    """
    valid = {
        "left": _is_picture(new.left),
        "right": _is_picture(new.right) and new.right != new.left,
        "choice": new.choice in get_args(Choice),
        "kind": new.kind in get_args(Asked),
        "weight": type(new.weight) in (int, float) and 0 < new.weight <= MAX_WEIGHT,
        "contributor": new.contributor is None or fits_id(new.contributor),
        "consent": isinstance(new.consent, bool),
        "source": new.source in get_args(VoteSource),
        "model_hash": fits_hash(new.model_hash),
        "gallery": fits_hash(new.gallery),
        "ranker": _is_text(new.ranker, 4 * _RANKER_LENGTH) and len(new.ranker) <= _RANKER_LENGTH,
        "p_left": new.p_left is None or (type(new.p_left) in (int, float) and 0 <= new.p_left <= 1),
        "milliseconds": new.milliseconds is None
        or (type(new.milliseconds) is int and 0 <= new.milliseconds <= MAX_MILLISECONDS),
        "created": new.created is None or is_time(new.created),
        "key": new.key is None or (isinstance(new.key, str) and 1 <= len(new.key) <= MAX_KEY),
        "id": new.id is None or fits_id(new.id),
        "own": _fit_together((new.left, new.right), new.own),
    }
    for name, fits in valid.items():
        if not fits:
            raise StoreError("vote-invalid", field=name)


def _is_text(value: Any, most: int) -> bool:
    """Whether a value is text of so many bytes that every database takes."""
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        return False
    try:
        return len(value.encode()) <= most
    except UnicodeEncodeError:
        return False


def _is_picture(value: Any) -> bool:
    return _is_text(value, MAX_PICTURE) and value != ""


def _fit_together(pictures: tuple[Any, Any], own: Any) -> bool:
    if not isinstance(own, Mapping):
        return False
    named = {id for id in pictures if isinstance(id, str) and is_own(id)}
    return set(own) == named and all(
        _is_description(data) and own_id(data) == id for id, data in own.items()
    )


def _is_description(data: Any) -> bool:
    if not isinstance(data, bytes) or not 0 < len(data) <= MAX_OWN or len(data) % 2:
        return False
    return bool(np.isfinite(np.frombuffer(data, "<f2")).all())
