"""What all voters together say, for the owner: the arena of the votes given with consent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tagger.collection import KeptVote
from tagger.preference import arena
from tagger.preference.arena import Battle


def battles(votes: Iterable[KeptVote]) -> list[Battle]:
    """Votes as the arena takes them; those on voters' own pictures are left out.

    Votes of which nobody knows the voter count as from as many voters.
    """
    return [
        Battle(
            left=vote.left,
            right=vote.right,
            choice=vote.choice,
            voter=vote.contributor or vote.id,
            repeat=vote.kind == "repeat",
            milliseconds=vote.milliseconds,
        )
        for vote in votes
        if vote.public
    ]


def report(
    votes: Iterable[KeptVote], brief: Callable[[str], dict[str, Any] | None]
) -> dict[str, Any]:
    """JSON-ready: `tagger.preference.arena.Report`, each standing with its picture.

    Parameters
    ----------
    votes : iterable of KeptVote
        In the order of their coming.
    brief : callable
        What is shown of a picture, by its id; None if it is not there any more.
    """
    answer = arena.report(battles(votes)).to_dict()
    for standing in answer["standings"]:
        standing["picture"] = brief(standing["name"])
    return answer
