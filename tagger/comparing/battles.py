"""Votes of the collection as an arena counts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tagger.collection import KeptVote
from tagger.preference.arena import Battle


def battles(votes: Iterable[KeptVote]) -> Iterator[Battle]:
    """The votes that others may know of, in their order.

    Votes of which nobody knows the voter count as from as many voters.
    """
    for vote in votes:
        if vote.public:
            yield Battle(
                left=vote.left,
                right=vote.right,
                choice=vote.choice,
                voter=vote.contributor or vote.id,
                repeat=vote.kind == "repeat",
                milliseconds=vote.milliseconds,
            )
