"""Why one of two pictures scores higher, in tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagger.preference.ranker import Ranker, sigmoid
from tagger.preference.space import Space

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reason:
    """A tag that speaks for one of two pictures.

    Attributes
    ----------
    tag : int
        Its number.
    left, right : float, 0..1
        How probable it is in either.
    speaks_for : {"left", "right"}
        Which picture it raises above the other.
    weight : float, 0..1
        How much, greatest first.
    """

    tag: int
    left: float
    right: float
    speaks_for: Literal["left", "right"]
    weight: float


def tag_weights(ranker: Ranker, space: Space) -> Doubles:
    """What a ranker thinks of each tag: float64, shape [T], -1..1.

    How a typical picture with the tag fares against the average one, as
    :attr:`tagger.preference.taste.Word.weight`; 0 for a tag that the space does not know.

    Parameters
    ----------
    ranker : Ranker
        Of any kind, of the model of the space.
    space : Space
        Says what is typical.
    """
    typical = space.mean + space.tags @ space.axes.T
    scores = ranker.scores(np.concatenate([space.mean[None], typical])).astype(np.float64)
    weights: Doubles = 2 * sigmoid(ranker.slope * (scores[1:] - scores[0])) - 1
    return np.where(space.known, weights, 0.0)


def why(
    weights: npt.ArrayLike, left: npt.ArrayLike, right: npt.ArrayLike, *, limit: int = 6
) -> list[Reason]:
    """Tags that speak most for either of two pictures.

    A tag counts by how much is thought of it, times how much more probable it is in one.

    Parameters
    ----------
    weights : float, shape [T], -1..1
        By :func:`tag_weights`, or of the words of a taste.
    left, right : float, shape [T], 0..1
        Probabilities of the tags.
    limit : int
        How many at most.
    """
    ours, theirs = np.asarray(left, np.float64), np.asarray(right, np.float64)
    pulls = np.asarray(weights, np.float64) * (ours - theirs)
    if pulls.ndim != 1 or ours.shape != theirs.shape:
        raise ValueError("weights and probabilities of the same tags are needed")
    order = np.argsort(-np.abs(pulls), kind="stable")[:limit]
    return [
        Reason(
            tag=n,
            left=float(ours[n]),
            right=float(theirs[n]),
            speaks_for="left" if pulls[n] > 0 else "right",
            weight=float(abs(pulls[n])),
        )
        for n in order.tolist()
        if pulls[n] != 0
    ]
