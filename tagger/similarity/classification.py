"""How well neighbours tell what something is: counts, the measures made of them, confusions.

The measures are those of TensorFlow Similarity (``classification_metrics/``): precision, recall,
F1, binary accuracy, false positive rate and negative predictive value. One that would divide by
nothing is 0, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.similarity.calibration import UNKNOWN
from tagger.similarity.labels import Labels

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Right and wrong, believed or not: float64 arrays of one shape, of any."""

    tp: Doubles
    fp: Doubles
    tn: Doubles
    fn: Doubles


def count_nearest(right: Bools, score: npt.NDArray[Any], thresholds: npt.ArrayLike) -> Counts:
    """Count one decision a query, as TensorFlow Similarity does.

    A decision is believed if its score reaches the threshold. Right and believed is a true
    positive, wrong and believed a false one, right and not believed a false negative, wrong and
    not believed a true negative.

    Parameters
    ----------
    right : bool, shape [Q]
        Whether the label of the nearest item is the query's.
    score : float, shape [Q]
        How near it is.
    thresholds : float, shape [S]
        Where to count.

    Returns
    -------
    Counts
        Of shape [S].
    """
    believed = np.asarray(score)[None] >= np.asarray(thresholds)[:, None]
    right = right[None]

    def count(which: Bools) -> Doubles:
        found: Doubles = which.sum(axis=1).astype(np.float64)
        return found

    return Counts(
        count(right & believed),
        count(~right & believed),
        count(~right & ~believed),
        count(right & ~believed),
    )


def count_tags(truth: Labels, said: Labels, tags: Sequence[int]) -> Counts:
    """Count each tag of each query: Counts of shape [tags]."""
    total = len(truth)
    if len(said) != total:
        raise ValueError("as many answers as queries are needed")
    empty = np.empty(0, np.int64)
    tp, fp, fn = (np.zeros(len(tags)) for _ in range(3))
    for at, tag in enumerate(tags):
        true, given = truth.holders.get(tag, empty), said.holders.get(tag, empty)
        tp[at] = len(np.intersect1d(true, given, assume_unique=True))
        fp[at], fn[at] = len(given) - tp[at], len(true) - tp[at]
    return Counts(tp, fp, total - tp - fp - fn, fn)


def total(counts: Counts) -> Counts:
    """Add up, for a micro average."""
    return Counts(*(np.atleast_1d(axis.sum()) for axis in _axes(counts)))


def precision(counts: Counts) -> Doubles:
    """``tp / (tp + fp)``."""
    return _share(counts.tp, counts.tp + counts.fp)


def recall(counts: Counts) -> Doubles:
    """``tp / (tp + fn)``."""
    return _share(counts.tp, counts.tp + counts.fn)


def f1(counts: Counts) -> Doubles:
    """``2 tp / (2 tp + fp + fn)``: the harmonic mean of precision and recall."""
    return _share(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def binary_accuracy(counts: Counts) -> Doubles:
    """``(tp + tn) / (tp + fp + tn + fn)``."""
    return _share(counts.tp + counts.tn, sum(_axes(counts)))


def false_positive_rate(counts: Counts) -> Doubles:
    """``fp / (fp + tn)``."""
    return _share(counts.fp, counts.fp + counts.tn)


def negative_predictive_value(counts: Counts) -> Doubles:
    """``tn / (tn + fn)``."""
    return _share(counts.tn, counts.tn + counts.fn)


#: All measures by name.
METRICS: dict[str, Callable[[Counts], Doubles]] = {
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "binary_accuracy": binary_accuracy,
    "false_positive_rate": false_positive_rate,
    "negative_predictive_value": negative_predictive_value,
}


def accuracy(truth: Iterable[int], said: Iterable[int]) -> float:
    """Share of queries that got their own label; `UNKNOWN` is right where it is the label."""
    pairs = [int(a == b) for a, b in zip(truth, said, strict=True)]
    return float(np.mean(pairs)) if pairs else float("nan")


def confusion(truth: Iterable[int], said: Iterable[int], labels: Sequence[int]) -> Ints:
    """Count what each label was taken for.

    Parameters
    ----------
    truth, said : iterables of int
        Of Q queries; what is not among `labels` counts as unknown.
    labels : sequence of int
        L labels.

    Returns
    -------
    int64, shape [L + 1, L + 1]
        Rows are true, columns said; the last of each is unknown.
    """
    places = {label: place for place, label in enumerate(labels) if label != UNKNOWN}
    matrix = np.zeros((len(labels) + 1, len(labels) + 1), np.int64)
    for is_, was in zip(truth, said, strict=True):
        matrix[places.get(int(is_), len(labels)), places.get(int(was), len(labels))] += 1
    return matrix


def _axes(counts: Counts) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    return counts.tp, counts.fp, counts.tn, counts.fn


def _share(part: Any, whole: Any) -> Doubles:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    share: Doubles = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share
