"""What an embedding is worth: the same thing found in another style, and tags in common.

The measures are those of :mod:`tagger.similarity.retrieval`; here it is said who asks and what is
searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.similarity import evaluation, retrieval
from tagger.similarity.labels import Labels
from tagger.training.embedding.graded import tag_sets

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# What papers on metric learning call recall@k is the hit rate.
CROSS_STYLE = ("precision@1", "r_precision", "map@r", "recall@5", "recall@10", "hit_rate@5")
GRADED = "ndcg@10"
# Cosines of a block of queries with everything that is searched.
_BLOCK = 1 << 23


@dataclass(frozen=True)
class Question:
    """Pictures that ask and pictures that are searched, both by their rows.

    A picture is never found by itself, nor, where styles are crossed, by one of its own style.
    """

    queries: Ints
    references: Ints


@dataclass(frozen=True)
class Answers:
    """Measure: a value for each query, NaN for one that has nothing to be found.

    ``nearest`` is the row of the first answer, ``queries`` the rows of those who asked.
    """

    values: Mapping[str, NDArray[np.float64]]
    nearest: Ints
    queries: Ints


def cross_style(
    question: Question,
    asking: Floats,
    searched: Floats,
    concepts: NDArray[np.str_],
    sources: NDArray[np.str_],
) -> Answers:
    """Find each concept in another style.

    Parameters
    ----------
    asking, searched
        Embeddings ``[Q, D]`` and ``[N, D]`` of length 1, in the order of the question's rows.
    concepts, sources
        Text of all pictures, by row.
    """
    rows = question.references
    if not len(question.queries) or not len(rows):
        none = np.empty(0, np.int64)
        return Answers({name: np.empty(0) for name in CROSS_STYLE}, none, none)
    most = int(np.unique(concepts[rows], return_counts=True)[1].max())
    depth = min(len(rows), max(10, most))
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in CROSS_STYLE}
    nearest = []
    step = max(1, _BLOCK // max(1, len(rows)))
    for start in range(0, len(question.queries), step):
        block = slice(start, start + step)
        own = question.queries[block]
        allowed = sources[own][:, None] != sources[rows][None]
        right = (concepts[own][:, None] == concepts[rows][None]) & allowed
        cosines = np.where(allowed, asking[block] @ searched.T, -2.0)
        ranked = np.argsort(-cosines, axis=1, kind="stable")[:, :depth]
        relevant = np.take_along_axis(right, ranked, axis=1)
        totals = right.sum(axis=1)
        values["r_precision"].append(retrieval.r_precision(relevant, totals))
        values["map@r"].append(retrieval.average_precision_at_r(relevant, totals))
        values["precision@1"].append(retrieval.precision_at_k(relevant, totals, 1))
        values["hit_rate@5"].append(retrieval.hit_rate(relevant, totals, 5))
        for k in (5, 10):
            values[f"recall@{k}"].append(retrieval.recall_at_k(relevant, totals, k))
        nearest.append(rows[ranked[:, 0]])
    return Answers(
        {name: np.concatenate(parts) for name, parts in values.items()},
        np.concatenate(nearest),
        question.queries,
    )


def graded(
    rows: Ints,
    embeddings: Floats,
    labels: NDArray[np.uint8],
    weights: Floats,
) -> Answers:
    """Let each picture rank the others, and judge the order by the tags in common.

    Parameters
    ----------
    rows, embeddings
        The pictures, and their embeddings ``[len(rows), D]``.
    labels
        uint8 ``[all rows, T]``.
    weights
        Of the tags, ``[T]``.
    """
    if len(rows) < 2:
        none = np.empty(0, np.int64)
        return Answers({GRADED: np.empty(0)}, none, none)
    sets: Labels = tag_sets(labels[rows])
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -2.0)
    ranked = np.argsort(-cosines, axis=1, kind="stable")[:, : min(10, len(rows) - 1)]
    found = evaluation.measure(
        ranked,
        sets,
        sets,
        own=np.arange(len(rows)),
        ks=(10,),
        weights={tag: float(w) for tag, w in enumerate(weights)},
    )
    return Answers({GRADED: found[GRADED]}, rows[ranked[:, 0]], rows)


def figures(answers: Answers, concepts: NDArray[np.str_]) -> dict[str, list[float]]:
    """Mean of each measure with its 95 % interval: ``[value, low, high]``.

    The interval is a bootstrap's over concepts: eight drawings of one cat are no eight witnesses.
    """
    return {
        name: bootstrap(values, concepts[answers.queries])
        for name, values in answers.values.items()
    }


def bootstrap(
    values: NDArray[np.float64], groups: NDArray[np.str_], rounds: int = 2000, seed: int = 0
) -> list[float]:
    """Mean of the values that are there, and its 2.5 % and 97.5 % points over drawn groups.

    Empty if no value is there.
    """
    known = ~np.isnan(values)
    if not known.any():
        return []
    members = np.unique(groups[known], return_inverse=True)[1]
    sums, counts = np.bincount(members, values[known]), np.bincount(members)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), rounds)
    means = drawn @ sums / (drawn @ counts)
    low, high = np.quantile(means, (0.025, 0.975))
    return [round(float(v), 4) for v in (values[known].mean(), low, high)]
