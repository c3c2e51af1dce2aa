"""Sets of tag numbers, one an item; how much two such sets have in common.

Rare tags say more about a picture than common ones, so a tag weighs by its inverse document
frequency (Spärck Jones 1972), smoothed so that no tag weighs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Labels(Sequence[tuple[int, ...]]):
    """An immutable list of sets of tag numbers.

    Parameters
    ----------
    sets : iterable of iterables of int
        N sets of numbers from 0 on; one may be empty.
    """

    def __init__(self, sets: Iterable[Iterable[int]]) -> None:
        self._sets = tuple(tuple(sorted(set(one))) for one in sets)

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Labels: ...
    def __getitem__(self, index: int | slice) -> tuple[int, ...] | Labels:
        return Labels(self._sets[index]) if isinstance(index, slice) else self._sets[index]

    def __len__(self) -> int:
        return len(self._sets)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self._sets)

    @classmethod
    def single(cls, labels: Iterable[int]) -> Labels:
        """One label an item, as in classification."""
        return cls((int(label),) for label in labels)

    @cached_property
    def holders(self) -> dict[int, Ints]:
        """Tag: the items that have it, ascending."""
        rows: dict[int, list[int]] = {}
        for row, one in enumerate(self._sets):
            for tag in one:
                rows.setdefault(tag, []).append(row)
        return {tag: np.array(found, np.int64) for tag, found in sorted(rows.items())}


def rarity(labels: Labels) -> dict[int, float]:
    """Weigh tags by how few items have them.

    Returns
    -------
    dict
        Tag: ``ln((1 + N) / (1 + n)) + 1``, n of N items having the tag: from 1 for a tag that all
        have, up to about ``1 + ln N``. The form is that of scikit-learn's ``TfidfTransformer``.
    """
    total = len(labels)
    return {
        tag: float(np.log((1 + total) / (1 + len(rows))) + 1)
        for tag, rows in labels.holders.items()
    }


def overlap(queries: Labels, references: Labels, weights: dict[int, float]) -> Floats:
    """How much queries and references have in common: the weighted Jaccard index.

    Parameters
    ----------
    queries, references : Labels
        Q and N sets.
    weights : dict
        Of :func:`rarity`; a tag that is not in it weighs as much as the rarest that is.

    Returns
    -------
    float32, shape [Q, N], 0..1
        ``sum(w[t] for t in a & b) / sum(w[t] for t in a | b)``; 0 where both are empty. With one
        label each, 1 where the labels are equal and else 0.
    """
    most = max(weights.values(), default=1.0)

    def weight(one: tuple[int, ...]) -> float:
        return sum(weights.get(tag, most) for tag in one)

    have = np.array([weight(one) for one in references], np.float64)
    shared = np.zeros((len(queries), len(references)), np.float64)
    for row, one in enumerate(queries):
        for tag in one:
            rows = references.holders.get(tag)
            if rows is not None:
                shared[row, rows] += weights.get(tag, most)
    asked = np.array([weight(one) for one in queries], np.float64)
    union = asked[:, None] + have[None] - shared
    part: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).astype(
        np.float32
    )
    # Equal sets have all in common, whatever the sums' rounding says.
    return np.minimum(part, np.float32(1))
