"""Votes as somebody sends them: checked, before anything is done with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.collection.records import MAX_KEY
from tagger.collection.vote_records import MAX_MILLISECONDS
from tagger.errors import PreferenceError, RequestError
from tagger.preference import CHOICES, Pair
from tagger.preference.votes import KINDS, Choice, Kind

#: Pairs that are given at once, and that may wait for their answers.
MAX_NEXT, MAX_PENDING = 10, 50
_MAX_NUMBER = 2**31 - 1
_MAX_RANKER = 64


@dataclass(frozen=True, eq=False)
class Ballot:
    """A vote and what is asked with it.

    Attributes
    ----------
    left, right : int, or bytes, Path, binary file or PIL image
        Numbers of pictures of the gallery, or pictures.
    choice : {"left", "right", "tie", "both-bad", "skip"}
        What was answered.
    kind : {"active", "check", "repeat", "own"}
        Why it was asked, as the voter's browser says.
    hash : str or None
        Of the gallery that the numbers are of.
    milliseconds, consent, key, ranker
        As in `tagger.collection.NewVote`.
    pending : list of Pair
        Asked, and to be answered before the next.
    next : int
        How many pairs are wanted.
    """

    left: Any
    right: Any
    choice: Choice
    kind: Kind
    hash: str | None
    milliseconds: int | None
    consent: bool
    key: str | None
    ranker: str
    pending: list[Pair]
    next: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Ballot:
        """Check a vote.

        Parameters
        ----------
        data : mapping
            The attributes by their names; all but ``left``, ``right`` and ``choice`` may be
            absent. Pairs of ``pending`` are ``[left, right, kind]``.

        Raises
        ------
        TaggerError
            ``vote-choice-invalid``, ``vote-pair-invalid``, or ``request-invalid`` with the field.
        """
        # What is null is as if it were absent.
        data = {name: value for name, value in data.items() if value is not None}
        choice, kind = data.get("choice"), data.get("kind", "own")
        if not isinstance(choice, str) or choice not in CHOICES:
            raise PreferenceError("vote-choice-invalid")
        if not isinstance(kind, str) or kind not in KINDS:
            raise _invalid("kind", " or ".join(KINDS))
        key = data.get("key")
        if key is not None and not (isinstance(key, str) and 1 <= len(key) <= MAX_KEY):
            raise _invalid("key", f"1 to {MAX_KEY} characters")
        consent, hash, ranker = data.get("consent", False), data.get("hash"), data.get("ranker", "")
        if not isinstance(consent, bool):
            raise _invalid("consent", "true or false")
        if hash is not None and not isinstance(hash, str):
            raise _invalid("hash", "text")
        if not isinstance(ranker, str) or len(ranker) > _MAX_RANKER:
            raise _invalid("ranker", f"at most {_MAX_RANKER} characters")
        milliseconds = data.get("milliseconds")
        if milliseconds is not None:
            milliseconds = _whole(milliseconds, "milliseconds", MAX_MILLISECONDS)
        return cls(
            left=_picture(data.get("left"), "left"),
            right=_picture(data.get("right"), "right"),
            choice=choice,
            kind=kind,
            hash=hash,
            milliseconds=milliseconds,
            consent=consent,
            key=key,
            ranker=ranker,
            pending=read_pending(data.get("pending", ())),
            next=_whole(data.get("next", 0), "next", MAX_NEXT),
        )


def read_pending(pairs: Any) -> list[Pair]:
    """Check pairs that are about to be answered: ``[left, right, kind]`` each.

    Raises
    ------
    RequestError
        ``request-invalid``.
    """
    if not isinstance(pairs, Sequence) or isinstance(pairs, str) or len(pairs) > MAX_PENDING:
        raise _invalid("pending", f"a list of at most {MAX_PENDING}")
    found = []
    for pair in pairs:
        if isinstance(pair, Pair):
            found.append(pair)
            continue
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 3:
            raise _invalid("pending", "left, right and kind of each")
        left, right, kind = pair
        if not isinstance(kind, str) or kind not in KINDS:
            raise _invalid("pending", "left, right and kind of each")
        first, second = (_whole(n, "pending", _MAX_NUMBER) for n in (left, right))
        found.append(Pair(first, second, kind))
    return found


def _picture(value: Any, field: str) -> Any:
    if value is None or isinstance(value, str | bool | float | list | dict):
        raise _invalid(field, "the number of a picture, or a file")
    return _whole(value, field, _MAX_NUMBER) if isinstance(value, int) else value


def _whole(value: Any, field: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise _invalid(field, f"a whole number from 0 to {most}")
    return value


def _invalid(field: str, reason: str) -> RequestError:
    return RequestError("request-invalid", field=field, reason=reason)
