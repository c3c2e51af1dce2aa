"""How well the right items are found: measures over ranked answers.

Every function takes ``relevant``, bool ``[Q, K]``: whether the answer at each rank is right,
nearest first, False where there is none; and gives a value for each query, NaN for one that has
nothing to be found. :func:`mean` makes one figure of them.

Sources: Manning, Raghavan and Schütze, "Introduction to Information Retrieval", chapter 8;
Musgrave, Belongie and Lim, "A Metric Learning Reality Check" (ECCV 2020) for R-precision and
MAP@R; Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.similarity.labels import Labels

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def precision_at_k(relevant: Bools, totals: Ints, k: int) -> Doubles:
    """Share of right answers among the first k: ``sum(rel[:k]) / k``.

    Parameters
    ----------
    relevant : bool, shape [Q, K]
        K >= k, or all that there is: a missing answer is a wrong one.
    totals : int, shape [Q]
        R, how many items are right for each query.
    k : int
        How many answers are looked at.
    """
    return _where(totals, relevant[:, :k].sum(axis=1) / k)


def recall_at_k(relevant: Bools, totals: Ints, k: int) -> Doubles:
    """Share of the right items that are among the first k: ``sum(rel[:k]) / R``.

    What papers on metric learning, and TensorFlow Similarity, call recall@k is :func:`hit_rate`.
    """
    return _where(totals, relevant[:, :k].sum(axis=1) / np.maximum(totals, 1))


def hit_rate(relevant: Bools, totals: Ints, k: int) -> Doubles:
    """1 if any of the first k answers is right, else 0."""
    return _where(totals, relevant[:, :k].any(axis=1).astype(np.float64))


def r_precision(relevant: Bools, totals: Ints) -> Doubles:
    """Share of right answers among the first R: ``sum(rel[:R]) / R``; K must be at least R."""
    inside = np.arange(relevant.shape[1])[None] < totals[:, None]
    return _where(totals, (relevant & inside).sum(axis=1) / np.maximum(totals, 1))


def average_precision(relevant: Bools, totals: Ints, k: int | None = None) -> Doubles:
    """``sum(precision_at_i * rel[i] for i in 1..k) / R``.

    Over all ranks (k None) its mean is MAP, over k of them TensorFlow Similarity's map@k.
    """
    seen = relevant[:, :k]
    return _where(totals, _precisions(seen).sum(axis=1) / np.maximum(totals, 1))


def average_precision_at_r(relevant: Bools, totals: Ints) -> Doubles:
    """``sum(precision_at_i * rel[i] for i in 1..R) / R``; its mean is MAP@R. K at least R."""
    inside = np.arange(relevant.shape[1])[None] < totals[:, None]
    return _where(totals, _precisions(relevant & inside).sum(axis=1) / np.maximum(totals, 1))


def reciprocal_rank(relevant: Bools, totals: Ints) -> Doubles:
    """One by the rank of the first right answer, 0 if there is none; its mean is MRR."""
    first = relevant.argmax(axis=1) + 1.0 if relevant.shape[1] else np.ones(len(relevant))
    return _where(totals, np.where(relevant.any(axis=1), 1 / first, 0.0))


def ndcg_at_k(gains: npt.NDArray[Any], ideal: npt.NDArray[Any], k: int) -> Doubles:
    """Discounted gain of the first k answers, by the greatest that there could be.

    ``DCG = sum(gain[i] / log2(i + 1) for i in 1..k)``, NDCG is DCG by the DCG of `ideal`. Gains
    count as they are, not as powers of two. With gains of 0 and 1 it is the binary NDCG; that of
    TensorFlow Similarity takes for ideal the best order of what was found, this one the best of
    what there is.

    Parameters
    ----------
    gains : float, shape [Q, K]
        Of the answers, nearest first; 0 where there is none.
    ideal : float, shape [Q, I]
        The greatest gains that there are, descending; I at least k or all that there is.
    k : int
        How many answers count.
    """
    most = _dcg(ideal[:, :k])
    value = np.divide(_dcg(gains[:, :k]), most, out=np.zeros(len(gains)), where=most > 0)
    return np.where(most > 0, value, np.nan)


def mean(values: Doubles, groups: Labels | None = None) -> float:
    """The mean over queries that have a value; with labels, the mean over tags of such means.

    With groups it is the macro average of TensorFlow Similarity, and PyTorch Metric Learning's
    ``avg_of_avgs``; a query with several tags counts for each. NaN if no query has a value.
    """
    known = ~np.isnan(values)
    if groups is None:
        return float(values[known].mean()) if known.any() else float("nan")
    means = [
        float(values[rows][known[rows]].mean())
        for rows in groups.holders.values()
        if known[rows].any()
    ]
    return float(np.mean(means)) if means else float("nan")


def _precisions(relevant: Bools) -> Doubles:
    ranks = np.arange(1, relevant.shape[1] + 1)
    precisions: Doubles = relevant.cumsum(axis=1) / ranks * relevant
    return precisions


def _dcg(gains: npt.NDArray[Any]) -> Doubles:
    discounts = np.log2(np.arange(2, gains.shape[1] + 2))
    total: Doubles = (gains.astype(np.float64) / discounts).sum(axis=1)
    return total


def _where(totals: Ints, values: Any) -> Doubles:
    return np.where(totals > 0, values, np.nan)
