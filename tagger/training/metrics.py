"""Figures for ranked tags, as plain functions of probabilities and labels (NumPy)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]


def average_precision(scores: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """Area under the precision-recall steps of one tag (uninterpolated, ties in given order).

    Parameters
    ----------
    scores
        ``[N]``, higher is surer.
    truth
        ``[N]``, 0 or 1, at least one 1.
    """
    order = np.argsort(-scores, kind="stable")
    hits = truth[order].astype(np.float64)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())


def top(probabilities: Floats, k: int) -> NDArray[np.int64]:
    """Columns of the ``k`` most probable tags of each row, best first: ``[N, k]``."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :k]


def expected_calibration_error(
    shown: NDArray[np.floating], right: NDArray[np.integer], bins: int = 15
) -> float:
    """Mean distance of confidence and accuracy over equal-width bins, weighted by their size.

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    """
    which = np.minimum((shown * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = which == b
        if inside.any():
            error += inside.mean() * abs(float(shown[inside].mean()) - float(right[inside].mean()))
    return float(error)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is reported of one set of pictures; every field but the counts is in 0-1."""

    mean_average_precision: float
    micro_recall_at_10: float
    macro_recall_at_10: float
    precision_at_1: float
    calibration_error: float
    pictures: int
    tags: int

    def as_dict(self) -> dict[str, float | int]:
        """Rounded for JSON."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in ((n, getattr(self, n)) for n in self.__slots__)
        }


def evaluate(probabilities: Floats, labels: Labels, k: int = 10) -> Figures:
    """All figures of one set.

    Pictures without any listed tag are left out; tags without any picture are left out of the
    means over tags.

    Parameters
    ----------
    probabilities
        float ``[N, T]`` in 0-1.
    labels
        ``[N, T]``, 0 or 1.
    """
    keep = labels.any(1)
    p, y = probabilities[keep], labels[keep]
    if not len(p):
        return Figures(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    present = np.flatnonzero(y.any(0))
    shown = top(p, min(k, p.shape[1]))
    right = np.take_along_axis(y, shown, 1)
    found = np.zeros(y.shape[1])
    np.add.at(found, shown.ravel(), right.ravel())
    return Figures(
        mean_average_precision=float(
            np.mean([average_precision(p[:, t], y[:, t]) for t in present])
        ),
        micro_recall_at_10=float(right.sum() / y.sum()),
        macro_recall_at_10=float((found[present] / y[:, present].sum(0)).mean()),
        precision_at_1=float(right[:, 0].mean()),
        calibration_error=expected_calibration_error(
            np.take_along_axis(p, shown, 1).ravel(), right.ravel()
        ),
        pictures=len(p),
        tags=len(present),
    )


def bootstrap_difference(
    ours: Floats,
    baseline: Floats,
    labels: Labels,
    groups: NDArray[np.str_],
    *,
    rounds: int = 200,
    seed: int = 0,
) -> Mapping[str, tuple[float, float, float]]:
    """Difference of each figure, with the 2.5 % and 97.5 % points of a paired bootstrap.

    Whole concepts are drawn, not pictures: eight drawings of one cat are no eight witnesses.

    Returns
    -------
    mapping
        Name of the figure -> (difference on all rows, low, high).
    """
    names = [n for n in Figures.__slots__ if n not in ("pictures", "tags")]
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]

    def difference(rows: NDArray[np.int64]) -> list[float]:
        a, b = evaluate(ours[rows], labels[rows]), evaluate(baseline[rows], labels[rows])
        return [getattr(a, n) - getattr(b, n) for n in names]

    whole = difference(np.arange(len(labels)))
    draws = np.array(
        [
            difference(
                np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
            )
            for _ in range(rounds)
        ]
    )
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return {n: (whole[i], float(low[i]), float(high[i])) for i, n in enumerate(names)}


def by_group(
    groups: NDArray[np.str_], measure: Callable[[NDArray[np.int64]], Figures]
) -> dict[str, Figures]:
    """Apply ``measure`` to the rows of every group."""
    return {str(g): measure(np.flatnonzero(groups == g)) for g in np.unique(groups)}
