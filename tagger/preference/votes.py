"""Votes on pairs of pictures, and what is asked next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tagger.errors import PreferenceError
from tagger.preference import metrics
from tagger.preference.metrics import Interval

Doubles = npt.NDArray[np.float64]

Choice = Literal["left", "right", "tie", "both-bad", "skip"]
#: Why a pair is asked: to learn most, to judge what was learnt, to judge the voter, or because
#: the voter chose it.
Kind = Literal["active", "check", "repeat", "own"]

CHOICES: tuple[Choice, ...] = get_args(Choice)
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Of one taste.
MAX_VOTES = 5_000
MAX_WEIGHT = 10.0

# An earlier pair is asked again when at least so many others were asked in between.
_APART = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """What is asked.

    Attributes
    ----------
    left, right : int
        Numbers of pictures of the pool.
    kind : {"active", "check", "repeat", "own"}
        Why; goes back with the vote.
    """

    left: int
    right: int
    kind: Kind = "own"

    @property
    def key(self) -> tuple[int, int]:
        """The two, whichever side they are on."""
        return (self.left, self.right) if self.left < self.right else (self.right, self.left)


@dataclass(frozen=True, slots=True)
class Vote:
    """What was answered.

    Attributes
    ----------
    pair : Pair
        To what.
    choice : {"left", "right", "tie", "both-bad", "skip"}
        What.
    weight : float, above 0
        As so many votes it counts.

    Raises
    ------
    PreferenceError
        ``vote-choice-invalid`` or ``vote-weight-invalid``.
    """

    pair: Pair
    choice: Choice
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise PreferenceError("vote-choice-invalid")
        if not 0 < self.weight <= MAX_WEIGHT:
            raise PreferenceError("vote-weight-invalid", limit=MAX_WEIGHT)

    @property
    def decided(self) -> bool:
        """Whether one picture was preferred."""
        return self.choice in ("left", "right")


@dataclass(frozen=True, slots=True)
class Consistency:
    """How a voter agrees with the same voter.

    Attributes
    ----------
    repeated : Interval
        Share of the pairs that were asked twice, sides swapped, and answered alike; a preference
        and a tie agree half.
    ceiling : float
        Share of this voter's votes that the best taste can foretell: someone who errs in a share
        e of the votes answers alike in ``(1 - e)**2 + e**2`` of them. NaN where unknown.
    """

    repeated: Interval
    ceiling: float


def consistency(votes: Sequence[Vote]) -> Consistency:
    """Compare the votes on pairs that were asked again with the first votes on them."""
    first: dict[tuple[int, int], float] = {}
    alike: list[float] = []
    for vote in votes:
        if vote.choice == "skip":
            continue
        won = _winner(vote)
        if vote.pair.kind != "repeat":
            first.setdefault(vote.pair.key, won)
        elif vote.pair.key in first:
            alike.append(1 - abs(won - first[vote.pair.key]) / 2)
    found = metrics.share(alike)
    errs = max(0.0, 2 * found.value - 1) if alike else float("nan")
    return Consistency(found, float((1 + np.sqrt(errs)) / 2))


def to_repeat(votes: Sequence[Vote], taken: set[tuple[int, int]]) -> list[Pair]:
    """Pairs that can be asked again, sides swapped, in the order of the first votes.

    Parameters
    ----------
    votes : sequence of Vote
        So far.
    taken : set of keys
        Pairs that are about to be asked.
    """
    again = {vote.pair.key for vote in votes if vote.pair.kind == "repeat"} | taken
    recent = {vote.pair.key for vote in votes[-_APART:]}
    return [
        Pair(vote.pair.right, vote.pair.left, "repeat")
        for vote in votes
        if vote.choice != "skip" and vote.pair.key not in again and vote.pair.key not in recent
    ]


def _winner(vote: Vote) -> float:
    """Return 1 if the picture of the lower number was preferred, -1 the other, 0 neither."""
    if not vote.decided:
        return 0.0
    low_left = vote.pair.left < vote.pair.right
    return 1.0 if (vote.choice == "left") == low_left else -1.0
