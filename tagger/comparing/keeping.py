"""What of a taste does not follow from the votes in the collection: edits, and what it began as."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tagger.comparing.judging import shown_name
from tagger.errors import PreferenceError
from tagger.preference import Pair, Profile, Ranker, Space, Taste, Vote
from tagger.preference import profiles as saved
from tagger.preference.ranker import read_json
from tagger.tags import TagList

_log = logging.getLogger(__name__)

_FORMAT, _VERSION = "kept-taste", 1
#: Of a file that somebody sends, in bytes.
MAX_BYTES = 2**22
# What is greater is no taste: logits of pictures differ by some tens at most.
_MOST_WEIGHT, _MOST_FEATURE = 1e4, 1e3
# Which taste or ranker a saved taste had begun from.
_BEGUN = "begun_from"


@dataclass(frozen=True)
class Kept:
    """A taste as it was before the votes that are replayed on it. Immutable.

    Attributes
    ----------
    begun_from : str or None
        Name of the file that was loaded.
    since : int
        Votes up to this number in the collection are not part of the taste: something was loaded
        in their place.
    edits : mapping of str to float
        Weights of tags by hand, by the tags' names.
    profile : Profile or None
        What was loaded.
    """

    begun_from: str | None = None
    since: int = -1
    edits: dict[str, float] = field(default_factory=dict)
    profile: Profile | None = None

    def taste(self, space: Space, tags: TagList) -> Taste:
        """Make the taste that it is in a space, without the votes since."""
        taste = Taste(space) if self.profile is None else Taste.from_profile(self.profile, space)
        for number in taste.edits:
            taste.edit(number, None)
        for name, weight in self.edits.items():
            tag = tags.find(name)
            if tag is not None and space.known[tag.index]:
                taste.edit(tag.index, weight)
        return taste

    def without(self, vote: Vote) -> Kept:
        """The same without the last such vote of what was loaded, if there is one."""
        if self.profile is None or vote not in self.profile.votes:
            return self
        votes = list(self.profile.votes)
        del votes[len(votes) - 1 - votes[::-1].index(vote)]
        return replace(self, profile=replace(self.profile, votes=tuple(votes)))

    def write(self) -> bytes | None:
        """As bytes for the collection; None if there is nothing to keep."""
        if self.profile is None and not self.edits:
            return None
        data = {
            "format": _FORMAT,
            "format_version": _VERSION,
            _BEGUN: self.begun_from,
            "since": self.since,
            "edits": self.edits,
            "profile": None if self.profile is None else self.profile.to_dict(),
        }
        return json.dumps(data, allow_nan=False).encode()

    @classmethod
    def read(cls, text: bytes | None, model: str) -> Kept:
        """Read what :meth:`write` wrote; a taste that is of no use here is left out, and logged."""
        if text is None:
            return cls()
        try:
            data = read_json(text, "taste-damaged")
            if data["format"] != _FORMAT or data["format_version"] > _VERSION:
                raise PreferenceError("taste-too-new")
            kept = cls(data[_BEGUN], int(data["since"]), dict(data["edits"]))
            if data["profile"] is None:
                return kept
            # Votes since then count, whatever becomes of what they came after.
            try:
                return replace(kept, profile=Profile.from_dict(data["profile"], model=model))
            except PreferenceError as error:
                _log.warning("a taste begins anew: %s", error)
                return replace(kept, begun_from=None)
        except (PreferenceError, KeyError, TypeError, ValueError) as error:
            _log.warning("what was kept of a taste is left out: %s", error)
            return cls()


def read_file(data: Any, space: Space, tags: TagList) -> Kept:
    """Read a saved taste, or a ranker that a taste is to begin from, as somebody sent it.

    Parameters
    ----------
    data : dict
        Any JSON.
    space : Space
        Where it is to go on.
    tags : TagList
        Of its model.

    Raises
    ------
    PreferenceError
        If it is neither, of another model, or of a kind that cannot be learnt on.
    """
    if isinstance(data, dict) and data.get("format") == saved.FORMAT:
        profile = Profile.from_dict(data, model=space.model)
        begun = profile.ranker.facts.get(_BEGUN)
        if not isinstance(begun, str):
            # One that goes on where it was has not begun from itself.
            begun = None if profile.space == space.hash and profile.start is None else "taste"
    else:
        ranker = Ranker.from_dict(data, model=space.model)
        profile, begun = _begin(ranker, space), ranker.name
    _check(profile)
    taste = Taste.from_profile(profile, space)
    edits = {tags[tag].name: weight for tag, weight in taste.edits.items()}
    needed = _needed(profile, space)
    return Kept(shown_name(begun) or "?" if begun else None, edits=edits, profile=needed)


def to_file(taste: Taste, begun_from: str | None) -> bytes:
    """A taste as a file to be saved."""
    profile = _of_named_guests(taste.profile())
    facts = {**profile.ranker.facts, _BEGUN: begun_from}
    profile = replace(profile, ranker=replace(profile.ranker, facts=facts))
    return f"{json.dumps(profile.to_dict(), allow_nan=False)}\n".encode()


def _begin(ranker: Ranker, space: Space) -> Profile:
    """A ranker as a taste without votes."""
    if ranker.kind != "linear":
        raise PreferenceError("compare-ranker-kind")
    if ranker.dimension > space.dimension:
        raise PreferenceError("taste-foreign")
    # A taste's scores are logits; what a ranker does not look at has no weight.
    weights = np.zeros(space.dimension, np.float64)
    weights[: ranker.dimension] = ranker.slope * ranker.weights.astype(np.float64)
    if np.abs(weights).max() > _MOST_WEIGHT:
        raise PreferenceError("ranker-damaged")
    return Profile(replace(ranker, weights=weights.astype(np.float32), slope=1.0), space="")


def _needed(profile: Profile, space: Space) -> Profile:
    """Leave out of a file what no taste is made of: strangers' files are not to fill the disk.

    What is kept of the largest one are the votes that a taste may have, and the pictures of the
    voter's own that these name: 3.5 MB. Edits are kept by the tags' names.
    """
    ranker = replace(profile.ranker, facts={})
    if profile.space != space.hash or profile.guests.shape[1] != space.components:
        return Profile(ranker, space="")
    return replace(_of_named_guests(profile), ranker=ranker, edits={})


def _of_named_guests(profile: Profile) -> Profile:
    """The same without pictures that no vote names: of one taken back nothing is to stay."""
    pairs = [vote.pair for vote in profile.votes]
    named = sorted({n for pair in pairs for n in (pair.left, pair.right) if n < 0}, reverse=True)
    # As numbers of guests, in which there are no gaps.
    new = {number: -place for place, number in enumerate(named, 1)}
    votes = tuple(
        replace(vote, pair=Pair(new.get(p.left, p.left), new.get(p.right, p.right), p.kind))
        for vote, p in zip(profile.votes, pairs, strict=True)
    )
    guests = profile.guests[[-1 - number for number in named]]
    return replace(profile, votes=votes, guests=guests)


def _check(profile: Profile) -> None:
    """Refuse numbers of which no taste is made, before they spoil what is learnt from them."""
    weights = [profile.ranker.weights, *([] if profile.start is None else [profile.start])]
    if any(np.abs(each).max() > _MOST_WEIGHT for each in weights):
        raise PreferenceError("taste-damaged")
    if profile.guests.size and np.abs(profile.guests).max() > _MOST_FEATURE:
        raise PreferenceError("taste-damaged")
