"""Everything that the engine does by vectors, once more by plain loops over plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np


def unit(vector: Iterable[float]) -> list[float]:
    values = [float(v) for v in vector]
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


def cosine(a: Iterable[float], b: Iterable[float]) -> float:
    return sum(x * y for x, y in zip(unit(a), unit(b), strict=True))


class DictIndex:
    """An index as a dictionary: what the real one must agree with after any changes."""

    def __init__(self) -> None:
        self.items: dict[str, tuple[list[float], tuple[int, ...], dict[str, object]]] = {}

    def add(self, id: str, vector: Iterable[float], labels: Iterable[int], data: dict) -> None:
        assert id not in self.items
        self.items[id] = (list(vector), tuple(sorted(set(labels))), data)

    def update(self, id: str, vector: Iterable[float] | None, labels: Iterable[int] | None) -> None:
        old, had, data = self.items[id]
        now = had if labels is None else tuple(sorted(set(labels)))
        if vector is not None:
            del self.items[id]  # it counts as the last to come
            self.items[id] = (list(vector), now, data)
        else:
            self.items[id] = (old, now, data)

    def lookup(self, vector: Iterable[float], k: int, leave: str = "") -> list[tuple[str, float]]:
        asked = list(vector)
        scored = [
            # As precise as a float32 of what is kept in float32.
            (id, float(np.float32(cosine(asked, kept))))
            for id, (kept, _, _) in self.items.items()
            if id != leave
        ]
        return sorted(scored, key=lambda entry: -entry[1])[:k]  # stable: equals as they came


def rarity(sets: Sequence[Iterable[int]]) -> dict[int, float]:
    tags = {tag for one in sets for tag in one}
    return {
        tag: math.log((1 + len(sets)) / (1 + sum(tag in set(one) for one in sets))) + 1
        for tag in tags
    }


def overlap(a: Iterable[int], b: Iterable[int], weights: dict[int, float]) -> float:
    a, b, most = set(a), set(b), max(weights.values(), default=1.0)
    union = sum(weights.get(tag, most) for tag in a | b)
    return sum(weights.get(tag, most) for tag in a & b) / union if union else 0.0


# --- measures of one query: rel is a list of true and false, r how many could be true


def precision(rel: Sequence[bool], k: int) -> float:
    return sum(1 for one in rel[:k] if one) / k


def average_precision(rel: Sequence[bool], r: int, k: int) -> float:
    total = 0.0
    for i in range(min(k, len(rel))):
        if rel[i]:
            total += precision(rel, i + 1)
    return total / r


def reciprocal_rank(rel: Sequence[bool]) -> float:
    for i, one in enumerate(rel):
        if one:
            return 1 / (i + 1)
    return 0.0


def ndcg(gains: Sequence[float], all_gains: Sequence[float], k: int) -> float:
    def dcg(values: Sequence[float]) -> float:
        return sum(gain / math.log2(i + 2) for i, gain in enumerate(values[:k]))

    return dcg(gains) / dcg(sorted(all_gains, reverse=True))
