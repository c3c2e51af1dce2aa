"""What an index is worth, in figures: how well it finds, and how well it tells.

The measures themselves are in :mod:`tagger.similarity.retrieval` and
:mod:`tagger.similarity.classification`. Items with many tags are judged by how much they have in
common, rare tags counting more (:func:`tagger.similarity.labels.overlap`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.similarity import calibration as calibrating
from tagger.similarity import classification, retrieval
from tagger.similarity.calibration import UNKNOWN, Match
from tagger.similarity.items import unit
from tagger.similarity.labels import Labels, overlap, rarity
from tagger.similarity.snapshot import Snapshot

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Overlaps of a block of queries with all items: at most 32 MB.
_OVERLAPS = 1 << 22


def measure(
    ranked: Ints,
    queries: Labels,
    references: Labels,
    *,
    own: Ints | None = None,
    ks: Sequence[int] = (1, 5, 10),
    least: float = 0.0,
    weights: dict[int, float] | None = None,
) -> dict[str, Doubles]:
    """Judge ranked answers, query by query.

    Parameters
    ----------
    ranked : int64, shape [Q, K]
        Numbers of references, nearest first, -1 for none. For R-precision, MAP@R, MAP and MRR it
        must be the whole ranking, or at least as long as any query has relevant references.
    queries, references : Labels
        Tags of Q queries and N references.
    own : int64, shape [Q], optional
        The reference that is the query itself and does not count; -1 for none.
    ks : sequence of int
        For the measures at k.
    least : float
        A reference is relevant if its overlap with the query is greater than 0 and at least this:
        0 for any tag in common, 1 for the same set of tags.
    weights : dict, optional
        Of tags; by default the rarity among the references.

    Returns
    -------
    dict
        Measure: float64, shape [Q], NaN where a query has nothing to be found. ``ndcg@k`` is
        graded by the overlap, the others ask whether a reference is relevant.
    """
    weights = rarity(references) if weights is None else weights
    parts = []
    step = max(1, _OVERLAPS // max(1, len(references)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        gains = overlap(queries[block], references, weights)
        mine = None if own is None else own[block]
        parts.append(_measure(ranked[block], gains, mine, ks, least))
    if not parts:
        return {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measure(
    ranked: Ints, gains: Floats, own: Ints | None, ks: Sequence[int], least: float
) -> dict[str, Doubles]:
    if own is not None:
        asking = np.flatnonzero(own >= 0)
        gains[asking, own[asking]] = 0
    right = (gains > 0) & (gains >= least)
    totals = right.sum(axis=1)
    there = ranked >= 0
    relevant = np.take_along_axis(right, np.where(there, ranked, 0), axis=1) & there
    graded = np.where(there, np.take_along_axis(gains, np.where(there, ranked, 0), axis=1), 0)
    most = min(max(ks, default=1), gains.shape[1])
    ideal = -np.sort(np.partition(-gains, most - 1, axis=1)[:, :most], axis=1)
    binary = np.arange(most)[None] < totals[:, None]
    found: dict[str, Doubles] = {}
    for k in ks:
        found[f"precision@{k}"] = retrieval.precision_at_k(relevant, totals, k)
        found[f"recall@{k}"] = retrieval.recall_at_k(relevant, totals, k)
        found[f"hit_rate@{k}"] = retrieval.hit_rate(relevant, totals, k)
        found[f"map@{k}"] = retrieval.average_precision(relevant, totals, k)
        found[f"bndcg@{k}"] = retrieval.ndcg_at_k(relevant, binary, k)
        found[f"ndcg@{k}"] = retrieval.ndcg_at_k(graded, ideal, k)
    found["r_precision"] = retrieval.r_precision(relevant, totals)
    found["map@r"] = retrieval.average_precision_at_r(relevant, totals)
    found["map"] = retrieval.average_precision(relevant, totals)
    found["mrr"] = retrieval.reciprocal_rank(relevant, totals)
    return found


def evaluate_retrieval(
    snapshot: Snapshot,
    embeddings: npt.ArrayLike | None = None,
    labels: Iterable[Iterable[int]] | None = None,
    *,
    ks: Sequence[int] = (1, 5, 10),
    least: float = 0.0,
    least_cosine: float = -1.0,
    average: str = "micro",
    queries: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Judge what an index finds, by the exact search.

    What the approximate one misses of it, :func:`recall_of` says.

    Parameters
    ----------
    snapshot : Snapshot
        Of the index: ``index.snapshot()``.
    embeddings : float, shape [Q, D], optional
        Queries; by default each item asks for the others.
    labels : iterable of iterables of int
        Their tags.
    ks, least : see :func:`measure`
    least_cosine : float
        What is less near counts as not found, as beyond TensorFlow Similarity's distance threshold.
    average : {"micro", "macro"}
        Over queries, or over tags of the means of their queries.
    queries : int, optional
        Ask with so many items only, drawn by `seed`.
    progress : callable, optional
        Called with how many queries were judged since the last time.

    Returns
    -------
    dict
        Measure: value; ``queries``, those that have something to be found; ``references``.
    """
    if average not in ("micro", "macro"):
        raise ValueError("average must be micro or macro")
    references = snapshot.labels
    places = np.full(snapshot.count + 1, -1, np.int64)  # of a row among the items; the last for -1
    places[snapshot.rows] = np.arange(snapshot.size)
    if embeddings is None:
        chosen = np.arange(snapshot.size)
        if queries is not None and queries < snapshot.size:
            chosen = np.sort(np.random.default_rng(seed).permutation(snapshot.size)[:queries])
        rows = snapshot.rows[chosen]
        vectors = snapshot.vectors[rows]
        truth = Labels(references[place] for place in chosen.tolist())
    else:
        rows = None
        vectors = np.asarray(embeddings)
        truth = Labels(labels or ())
        chosen = np.full(len(truth), -1, np.int64)
    if len(truth) != len(vectors):
        raise ValueError("as many labels as embeddings are needed")
    if not len(truth):
        return {"queries": 0, "references": snapshot.size}
    weights = rarity(references)
    # The whole ranking is needed, which no graph gives any quicker.
    whole = dataclasses.replace(snapshot, graph=None)
    parts: list[dict[str, Doubles]] = []
    step = max(1, min(256, _OVERLAPS // max(1, snapshot.size)))
    for start in range(0, len(truth), step):
        block = slice(start, start + step)
        asked = unit(vectors[block], snapshot.vectors.shape[1])
        found, near = whole.find(asked, snapshot.size, None if rows is None else rows[block])
        found[near < least_cosine] = -1
        parts.append(
            measure(
                places[found],
                truth[block],
                references,
                own=chosen[block],
                ks=ks,
                least=least,
                weights=weights,
            )
        )
        if progress is not None:
            progress(len(asked))
    groups = truth if average == "macro" else None
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    figures = {name: retrieval.mean(value, groups) for name, value in values.items()}
    known = int((~np.isnan(values["mrr"])).sum())
    return {**figures, "queries": known, "references": snapshot.size}


def recall_of(found: Ints, wanted: Ints) -> float:
    """Share of the neighbours of an exact search that another one finds, too.

    Parameters
    ----------
    found, wanted : int64, shape [Q, K]
        Rows by the other and by the exact search; -1 for none.
    """
    hits = [len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(found, wanted, strict=True)]
    return float(sum(hits) / max(1, int((wanted >= 0).sum())))


def evaluate_classification(
    snapshot: Snapshot,
    embeddings: npt.ArrayLike | None = None,
    labels: Iterable[Iterable[int]] | None = None,
    *,
    thresholds: npt.ArrayLike = (0.5,),
    k: int = 1,
    matcher: str = "nearest",
    single: bool = False,
) -> dict[str, list[float]]:
    """Judge what the tags of neighbours tell, at each of some cut-points.

    As TensorFlow Similarity's ``evaluate_classification``: the neighbours vote by
    :func:`tagger.similarity.calibration.decide`, and a vote is believed if its score reaches the
    cut-point. Nothing is calibrated by it.

    Parameters
    ----------
    snapshot, embeddings, labels
        As for :func:`evaluate_retrieval`.
    thresholds : float, shape [S]
        Cut-points.
    k, matcher, single
        As :class:`tagger.similarity.calibration.Options`. With `single`, one decision a query is
        counted, and a wrong one that is not believed is a true negative, as there; else each pair
        of a query and a tag that occurs is a decision, and a tag that is not found is missed.

    Returns
    -------
    dict
        ``thresholds`` and the measures of :data:`classification.METRICS`: a value for each.
    """
    if embeddings is None:
        queries, truth, skip = snapshot.embeddings, snapshot.labels, snapshot.rows
    else:
        queries, truth, skip = np.asarray(embeddings), Labels(labels or ()), None
    if len(truth) != len(queries):
        raise ValueError("as many labels as embeddings are needed")
    if len(queries):
        queries = unit(queries, snapshot.vectors.shape[1])
    cuts = np.atleast_1d(np.asarray(thresholds, np.float64))
    rows, cosines = snapshot.find(queries, k, skip)
    tags = [[snapshot.items[row].labels for row in found if row >= 0] for found in rows.tolist()]
    decisions = calibrating.decide(tags, cosines, k, matcher, single)
    right = calibrating.correct(decisions, truth)
    counts = classification.count_nearest(right, decisions.score, cuts)
    if not single:
        known = {*truth.holders, *(tag for item in snapshot.labels for tag in item)}
        pairs, positives = len(truth) * len(known), sum(map(len, truth))
        missed = positives - counts.tp
        counts = classification.Counts(
            counts.tp, counts.fp, pairs - counts.tp - counts.fp - missed, missed
        )
    figures = {name: m(counts).tolist() for name, m in classification.METRICS.items()}
    return {"thresholds": cuts.tolist(), **figures}


def evaluate_single(truth: Sequence[int], said: Sequence[tuple[Match, ...]]) -> dict[str, Any]:
    """Judge matches where each query has one label, or none that is indexed (`UNKNOWN`).

    Returns
    -------
    dict
        ``accuracy``; ``known_accuracy`` of the queries that have a label, and ``unknown_recall``
        of the others (None if there are none); ``unknown``, the share taken for unknown;
        ``labels`` and ``confusion`` with a last row and column for unknown; and the measures of
        :data:`classification.METRICS`, macro-averaged over labels, and by label.
    """
    guesses = [one[0].tag if one else UNKNOWN for one in said]
    labels = sorted({*truth, *guesses} - {UNKNOWN})
    known = [(is_, was) for is_, was in zip(truth, guesses, strict=True) if is_ != UNKNOWN]
    others = [was for is_, was in zip(truth, guesses, strict=True) if is_ == UNKNOWN]
    counts = classification.count_tags(_sets(truth), _sets(guesses), labels)
    by_label = {name: metric(counts) for name, metric in classification.METRICS.items()}
    return {
        "queries": len(guesses),
        "accuracy": classification.accuracy(truth, guesses),
        "known_accuracy": classification.accuracy(*zip(*known, strict=True)) if known else None,
        "unknown_recall": float(np.mean([was == UNKNOWN for was in others])) if others else None,
        "unknown": float(np.mean([was == UNKNOWN for was in guesses])) if guesses else 0.0,
        **{name: float(values.mean()) if labels else 0.0 for name, values in by_label.items()},
        "by_label": {
            label: {name: float(values[at]) for name, values in by_label.items()}
            for at, label in enumerate(labels)
        },
        "labels": labels,
        "confusion": classification.confusion(truth, guesses, labels).tolist(),
    }


def evaluate_multiple(
    truth: Iterable[Iterable[int]], said: Sequence[tuple[Match, ...]]
) -> dict[str, Any]:
    """Judge matches where each query may have many tags.

    Returns
    -------
    dict
        ``micro`` (all tags of all queries counted together), ``macro`` (the mean over tags that
        occur) and ``by_tag``: the measures of :data:`classification.METRICS`; ``exact``, the share
        of queries with just the right tags; ``unknown``, the share with none.
    """
    true = Labels(truth)
    given = Labels((one.tag for one in found) for found in said)
    tags = sorted({*true.holders, *given.holders})
    counts = classification.count_tags(true, given, tags)
    by_tag = {name: metric(counts) for name, metric in classification.METRICS.items()}
    micro = classification.total(counts)
    return {
        "queries": len(true),
        "micro": {name: float(m(micro)[0]) for name, m in classification.METRICS.items()},
        "macro": {name: float(v.mean()) if tags else 0.0 for name, v in by_tag.items()},
        "exact": classification.accuracy(true, given),  # type: ignore[arg-type]
        "unknown": float(np.mean([not found for found in said])) if len(said) else 0.0,
        "by_tag": {
            tag: {name: float(values[at]) for name, values in by_tag.items()}
            for at, tag in enumerate(tags)
        },
    }


def _sets(labels: Iterable[int]) -> Labels:
    return Labels(() if label == UNKNOWN else (label,) for label in labels)
