"""Pairs to learn from, and the loss on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from tagger.training.preference.ratings import Pairs

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


def outcomes(left: Doubles, right: Doubles, left_variance: Any, right_variance: Any) -> Doubles:
    """How probable it is that the left target is truly the higher one; shapes broadcast.

    Both are taken for normally distributed. Where both are known for certain, it is 1, 0, or 0.5
    for a tie.
    """
    gap = np.asarray(left - right, np.float64)
    spread = np.sqrt(left_variance + right_variance)
    known = spread <= 0
    chance: Doubles = np.where(
        known, 0.5 + 0.5 * np.sign(gap), ndtr(gap / np.where(known, 1.0, spread))
    )
    return chance


@dataclass(frozen=True)
class Batch:
    """Pictures ``rows``, and pairs of places among them with ``outcome`` and ``weight``."""

    rows: Ints
    left: Ints
    right: Ints
    outcome: Doubles
    weight: Doubles

    def certain(self) -> Batch:
        """The published form: whoever has the higher target wins; no ties, no weights."""
        clear = self.outcome != 0.5
        won = (self.outcome[clear] > 0.5).astype(np.float64)
        return Batch(self.rows, self.left[clear], self.right[clear], won, np.ones(len(won)))


@dataclass(frozen=True, eq=False)
class Lessons:
    """What pictures are learnt from; ``rows`` are those that may be.

    With ``pairs``, these alone; else all pairs of pictures that show different things.
    """

    rows: Ints
    target: Doubles
    variance: Doubles
    weight: Doubles
    concepts: NDArray[Any]
    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        if len(self.rows) < 2 or (self.pairs is not None and not len(self.pairs.left)):
            raise ValueError("there are too few pairs of pictures to learn from")
        numbers = np.unique(self.concepts, return_inverse=True)[1]
        object.__setattr__(self, "concepts", numbers)

    def epoch(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        """Every picture once, or every judged pair; ``size`` of them at a time."""
        if self.pairs is not None:
            for part in _parts(rng.permutation(len(self.pairs.left)), size):
                sides = np.stack([self.pairs.left[part], self.pairs.right[part]])
                rows, places = np.unique(sides, return_inverse=True)
                left, right = places.reshape(sides.shape)
                yield Batch(rows, left, right, self.pairs.outcome[part], np.ones(len(part)))
            return
        for rows in _parts(rng.permutation(self.rows), size):
            left, right = np.triu_indices(len(rows), 1)
            a, b = rows[left], rows[right]
            differ = self.concepts[a] != self.concepts[b]
            left, right, a, b = left[differ], right[differ], a[differ], b[differ]
            outcome = outcomes(self.target[a], self.target[b], self.variance[a], self.variance[b])
            yield Batch(rows, left, right, outcome, self.weight[a] * self.weight[b])


def pair_loss(scores: Tensor, batch: Batch) -> Tensor:
    """Weighted mean of the logistic loss of RankNet (Burges et al., ICML 2005).

    ``-(y log P + (1 - y) log(1 - P))`` with ``P = sigmoid(score left - score right)``.
    """
    gap = scores[torch.from_numpy(batch.left)] - scores[torch.from_numpy(batch.right)]
    y, weight = (torch.from_numpy(v).to(gap.dtype) for v in (batch.outcome, batch.weight))
    losses = F.binary_cross_entropy_with_logits(gap, y, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp_min(1e-12)


def _parts(order: Ints, size: int) -> list[Ints]:
    """Parts of about the same size, so that the last one is no crumb."""
    return np.array_split(order, max(1, round(len(order) / size)))
