"""From logits to honest probabilities and operating points, fitted on validation pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """``sigmoid(slope * logit + offset)``, both ``[T]``."""

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]

    def __call__(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities ``[N, T]`` of logits ``[N, T]``."""
        return expit(logits * self.slope + self.offset).astype(np.float32)


def fit_platt(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    spread: float = 0.5,
    shown: int = 30,
) -> Calibration:
    """Platt scaling with one slope for all tags and an offset a tag (MAP, L-BFGS).

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999. The offsets have a normal
    prior of standard deviation ``spread`` around a common one: a tag with three positives must not
    run off with its own. Only the ``shown`` strongest tags of each picture are fitted, because
    those are what people see; the thousands of cells near zero would drown them.

    Parameters
    ----------
    logits, labels
        ``[N, T]`` of pictures that the network was not trained on.
    """
    count = logits.shape[1]
    best = np.argsort(-logits, axis=1, kind="stable")[:, : min(shown, count)]
    z = np.take_along_axis(logits, best, 1).ravel().astype(np.float64)
    y = np.take_along_axis(labels, best, 1).ravel().astype(np.float64)
    column = best.ravel()

    def cost(theta: Floats) -> tuple[float, Floats]:
        slope, common, own = theta[0], theta[1], theta[2:]
        score = slope * z + common + own[column]
        error = expit(score) - y
        value = np.logaddexp(0, score).sum() - (y * score).sum() + (own**2).sum() / 2 / spread**2
        gradient = np.empty_like(theta)
        gradient[0] = (error * z).sum()
        gradient[1] = error.sum()
        gradient[2:] = np.bincount(column, error, count) + own / spread**2
        return value, gradient

    start = np.zeros(count + 2)
    start[0] = 1.0
    # A falling curve would turn the ranking around: whatever a small sample says, that is noise.
    bounds = [(0.05, None), *[(None, None)] * (count + 1)]
    theta = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
    ).x
    slope = np.full(count, theta[0])
    return Calibration(slope.astype(np.float32), (theta[1] + theta[2:]).astype(np.float32))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A cut-off, and what it gave on pictures that did not choose it.

    ``precision`` is ``None`` where nothing passed, ``recall`` where nothing was there to find;
    ``support`` is the number of pictures with the tag.
    """

    threshold: float
    precision: float | None
    recall: float | None
    support: int


def best_f1_threshold(scores: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """The cut-off of best F1, halfway between the two scores that it parts."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + truth.sum())
    at = int(f1.argmax())
    below = scores[order[at + 1]] if at + 1 < len(order) else 0.0
    return float((scores[order[at]] + below) / 2)


def operating_points(
    chosen_on: tuple[NDArray[np.floating], NDArray[np.integer], NDArray[np.str_]],
    measured_on: tuple[NDArray[np.floating], NDArray[np.integer]],
    *,
    trust: float = 6.0,
) -> list[OperatingPoint]:
    """A cut-off for every tag.

    A tag's own best cut-off and the best common one are averaged as log-odds, its own with weight
    ``n / (n + trust)`` for ``n`` concepts that have the tag: few witnesses decide little.

    Parameters
    ----------
    chosen_on
        Probabilities ``[N, T]``, labels ``[N, T]`` and concepts ``[N]`` of the validation pictures.
    measured_on
        Probabilities and labels of the test pictures.
    """
    p, y, concepts = chosen_on
    test_p, test_y = measured_on
    common = _logit(best_f1_threshold(p.ravel(), y.ravel()))
    points = []
    for t in range(p.shape[1]):
        witnesses = len(set(concepts[y[:, t] > 0]))
        own = _logit(best_f1_threshold(p[:, t], y[:, t])) if witnesses else common
        weight = witnesses / (witnesses + trust)
        blended = np.clip(expit(weight * own + (1 - weight) * common), 0.02, 0.98)
        # Rounded first: what is measured is the number that is written down.
        threshold = round(float(blended), 4)
        passed, there = test_p[:, t] >= threshold, test_y[:, t] > 0
        right = int((passed & there).sum())
        points.append(
            OperatingPoint(
                threshold,
                round(right / int(passed.sum()), 4) if passed.any() else None,
                round(right / int(there.sum()), 4) if there.any() else None,
                int(there.sum()),
            )
        )
    return points


def _logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return float(np.log(p / (1 - p)))


def choose_spread(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    concepts: NDArray[np.str_],
    spreads: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    *,
    folds: int = 4,
) -> float:
    """The prior's width of least held-out log loss; whole concepts are held out."""
    names = np.unique(concepts)
    fold = np.random.default_rng(0).integers(0, folds, len(names))[np.searchsorted(names, concepts)]
    losses = []
    for spread in spreads:
        total = 0.0
        for f in range(folds):
            train, held = fold != f, fold == f
            if not train.any() or not held.any():
                continue
            p = fit_platt(logits[train], labels[train], spread=spread)(logits[held])
            p = np.clip(p.astype(np.float64), 1e-7, 1 - 1e-7)
            y = labels[held]
            total -= float((y * np.log(p) + (1 - y) * np.log1p(-p)).sum())
        losses.append(total)
    return spreads[int(np.argmin(losses))]
