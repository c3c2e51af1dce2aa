"""How good an order is, and how honest the probabilities behind it.

Orders: NDCG, Kendall's tau, and the share of pairs that are put right. Probabilities that the left
picture of a pair is preferred: Brier score, logarithmic loss, expected calibration error. For each
there is :func:`bootstrap`, which says how far chance alone may have moved it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Gain = Literal["linear", "exponential"]

# Pairs that are compared at once: at most some 64 MB.
_PAIRS = 1 << 21


# --- orders -------------------------------------------------------------------------------------


def ndcg(
    scores: npt.ArrayLike,
    relevance: npt.ArrayLike,
    k: int | None = None,
    *,
    gain: Gain = "linear",
) -> float:
    """Normalised discounted cumulative gain of the first k.

    ``DCG@k = sum(g(i) / log2(i + 1) for i in 1..k)`` where g(i) is the gain of the picture at rank
    i, best score first: its relevance (``"linear"``, Järvelin and Kekäläinen 2002) or
    ``2 ** relevance - 1`` (``"exponential"``, Burges et al. 2005). NDCG is DCG by the greatest
    that any order has. Pictures of equal score share the gains of their ranks, which is the mean
    over all orders of them (McSherry and Najork, "Computing information retrieval performance
    measures efficiently in the presence of tied scores", 2008).

    Parameters
    ----------
    scores : float, shape [N]
        The higher, the further to the front.
    relevance : float, shape [N]
        At least 0.
    k : int, optional
        Ranks that count, at least 1; by default all.
    gain : {"linear", "exponential"}
        See above.

    Returns
    -------
    float, 0..1
        NaN where no picture has a gain.

    Raises
    ------
    ValueError
        If the lengths differ, a number is not finite, a relevance is below 0 or k below 1.
    """
    scores_, gains = _pair_of(scores, relevance)
    if (gains < 0).any():
        raise ValueError("relevance must not be negative")
    if k is not None and k < 1:
        raise ValueError("k must be at least 1")
    if gain == "exponential":
        gains = np.exp2(gains) - 1
    elif gain != "linear":
        raise ValueError("gain must be linear or exponential")
    if not len(gains):
        return float("nan")
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    discounts[len(gains) if k is None else k :] = 0
    best = float(np.sort(gains)[::-1] @ discounts)
    if best <= 0:
        return float("nan")
    # Ties: each picture of a group gets the group's mean discount.
    _, group, sizes = np.unique(-scores_, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    means = (sums[ends] - sums[ends - sizes]) / sizes
    return float(gains @ means[group]) / best


def kendall_tau(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kendall's tau-b: pairs in the same order less pairs in the other, ties taken off.

    ``(P - Q) / sqrt((P + Q + A) * (P + Q + B))``: P pairs agree, Q disagree, A are tied in `b`
    alone and B in `a` alone (Kendall, "The treatment of ties in ranking problems", 1945).
    O(N log N), by Knight's way (1966): disagreeing pairs are the swaps of a merge sort.

    Parameters
    ----------
    a, b : float, shape [N]
        Two scores of the same pictures.

    Returns
    -------
    float, -1..1
        NaN if either has one value only.

    Raises
    ------
    ValueError
        If the lengths differ or a number is not finite.
    """
    first, second = _pair_of(a, b)
    count = len(first)
    order = np.lexsort((second, first))
    x, y = _dense(first)[order], _dense(second)[order]
    both = np.unique(np.stack([x, y], axis=1), axis=0, return_counts=True)[1] if count else x
    pairs = count * (count - 1) // 2
    tied_x, tied_y, tied = _tied(np.bincount(x)), _tied(np.bincount(y)), _tied(both)
    if tied_x == pairs or tied_y == pairs:
        return float("nan")
    balance = pairs - tied_x - tied_y + tied - 2 * _inversions(y)
    return float(balance / np.sqrt(float(pairs - tied_x)) / np.sqrt(float(pairs - tied_y)))


def pairwise_accuracy(
    scores: npt.ArrayLike,
    targets: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    least: float = 0.0,
) -> float:
    """Share of the pairs that the scores put in the order of the targets.

    Of all pairs of pictures whose targets differ, by more than `least`; equal scores count half.

    Parameters
    ----------
    scores, targets : float, shape [N]
        What was said and what is so.
    weights : float, shape [N], optional
        A pair counts by the product of its two; at least 0.
    least : float
        Pairs whose targets differ by no more do not count.

    Returns
    -------
    float, 0..1
        NaN where there is no such pair.

    Raises
    ------
    ValueError
        If the lengths differ or a number is not finite.
    """
    said, true = _pair_of(scores, targets)
    heavy = np.ones(len(said)) if weights is None else _pair_of(weights, targets)[0]
    if (heavy < 0).any():
        raise ValueError("weights must not be negative")
    right = total = 0.0
    step = max(1, _PAIRS // max(1, len(said)))
    for start in range(0, len(said), step):
        rows = slice(start, start + step)
        # Each pair once: where the first is the better one.
        weight = heavy[rows, None] * heavy * (true[rows, None] - true > least)
        difference = said[rows, None] - said
        right += float((weight * (difference > 0)).sum() + 0.5 * (weight * (difference == 0)).sum())
        total += float(weight.sum())
    return right / total if total > 0 else float("nan")


def agreement(
    scores: npt.ArrayLike,
    targets: npt.ArrayLike,
    pairs: npt.ArrayLike,
    *,
    least: float = 0.0,
) -> Doubles:
    """Which of some pairs the scores put in the order of the targets: 1, 0, or 0.5 for a tie.

    Parameters
    ----------
    scores, targets : float, shape [N]
        As :func:`pairwise_accuracy`.
    pairs : int, shape [P, 2]
        Numbers of pictures.
    least : float
        Pairs whose targets differ by no more are left out.

    Returns
    -------
    float64, shape [at most P]
        In the order of the pairs.
    """
    said, true = _pair_of(scores, targets)
    chosen = np.asarray(pairs, np.int64).reshape(-1, 2)
    gap = true[chosen[:, 0]] - true[chosen[:, 1]]
    differs = np.abs(gap) > least
    difference = said[chosen[:, 0]] - said[chosen[:, 1]]
    return (0.5 + 0.5 * np.sign(difference[differs]) * np.sign(gap[differs])).astype(np.float64)


# --- probabilities ------------------------------------------------------------------------------


def brier(p_left: npt.ArrayLike, outcomes: npt.ArrayLike) -> float:
    """Mean squared distance of probabilities from outcomes (Brier 1950); NaN for none.

    Parameters
    ----------
    p_left : float, shape [P], 0..1
        Probability that the left picture is preferred.
    outcomes : float, shape [P], 0..1
        1 where it was, 0 where the right one was, 0.5 for a tie.
    """
    p, y = _chances(p_left, outcomes)
    return float(((p - y) ** 2).mean()) if len(p) else float("nan")


def log_loss(p_left: npt.ArrayLike, outcomes: npt.ArrayLike) -> float:
    """Mean of ``-(y log p + (1 - y) log(1 - p))``, natural logarithm; arguments as :func:`brier`.

    Probabilities are kept 1e-12 away from 0 and 1.
    """
    p, y = _chances(p_left, outcomes)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean()) if len(p) else float("nan")


def calibration_error(p_left: npt.ArrayLike, outcomes: npt.ArrayLike, bins: int = 10) -> float:
    """Expected calibration error, of bins of equally many pairs; arguments as :func:`brier`.

    ``sum(n_b / P * |mean outcome of b - mean probability of b|)`` (Naeini et al. 2015, with equal
    counts, as Nixon et al. 2019 advise). Each pair counts in both directions, so that it does not
    matter which picture was on which side.
    """
    p, y = _chances(p_left, outcomes)
    if bins < 1:
        raise ValueError("at least one bin")
    if not len(p):
        return float("nan")
    p, y = np.concatenate([p, 1 - p]), np.concatenate([y, 1 - y])
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(p)))
    return float(sum(abs(float((y[part] - p[part]).sum())) for part in parts) / len(p))


# --- chance -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the range that it has over bootstrap samples.

    Attributes
    ----------
    value, low, high : float
        NaN where the figure is not defined.
    count : int
        Of what was sampled.
    """

    value: float
    low: float
    high: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; None for what is not defined."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        shown = {k: None if np.isnan(v) else round(v, 5) for k, v in numbers.items()}
        return {**shown, "count": self.count}


def bootstrap(
    figure: Callable[[Ints], float],
    count: int,
    *,
    groups: Sequence[Any] | npt.NDArray[Any] | None = None,
    rounds: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of any figure (Efron and Tibshirani 1993, chapter 13).

    Two figures are compared on the same samples by a `figure` that gives their difference.

    Parameters
    ----------
    figure : callable
        Given numbers of examples, int64 with repeats, gives a value; NaN counts as no value.
    count : int
        N: examples are 0..N-1.
    groups : sequence, length N, optional
        What belongs together is drawn together, such as the pictures of a concept.
    rounds, seed : int
        How many samples, and which.
    level : float
        Share of the samples inside the interval.
    """
    if count < 1:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    value = float(figure(np.arange(count)))
    if groups is None:
        samples = (rng.integers(0, count, count) for _ in range(rounds))
        size = count
    else:
        number = np.unique(np.asarray(groups), return_inverse=True)[1]
        if number.shape != (count,):
            raise ValueError("a group for each example")
        members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
        size = len(members)
        samples = (
            np.concatenate([members[g] for g in rng.integers(0, size, size)]) for _ in range(rounds)
        )
    values = np.array([figure(sample) for sample in samples], np.float64)
    low, high = _range(values, level)
    return Interval(value, low, high, size)


def share(values: npt.ArrayLike, *, level: float = 0.95) -> Interval:
    """A mean of ones, zeros and halves, with Wilson's score interval (1927).

    Unlike a bootstrap it says something of few values, or of such that are all the same.

    Parameters
    ----------
    values : float, shape [N], 0..1
        Whether each was right.
    level : float
        0.95 or any other share below 1.
    """
    right = np.asarray(values, np.float64)
    n = len(right)
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = float(right.mean())
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(p, float(max(0.0, middle - half)), float(min(1.0, middle + half)), n)


def _range(values: Doubles, level: float) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = 50 * (1 - level)
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def _pair_of(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError("two lists of the same length are needed")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("only finite numbers can be compared")
    return first, second


def _chances(p_left: npt.ArrayLike, outcomes: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    p, y = _pair_of(p_left, outcomes)
    if ((p < 0) | (p > 1) | (y < 0) | (y > 1)).any():
        raise ValueError("probabilities and outcomes are from 0 to 1")
    return p, y


def _dense(values: Doubles) -> Ints:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _tied(sizes: npt.NDArray[Any]) -> int:
    return int((sizes.astype(np.int64) * (sizes.astype(np.int64) - 1) // 2).sum())


def _inversions(values: Ints) -> int:
    """Pairs in falling order, by merging sorted runs that double."""
    row = values.copy()
    swaps, width = 0, 1
    while width < len(row):
        for start in range(0, len(row) - width, 2 * width):
            left, right = row[start : start + width], row[start + width : start + 2 * width]
            swaps += int((len(left) - np.searchsorted(left, right, side="right")).sum())
            row[start : start + 2 * width] = np.sort(row[start : start + 2 * width], kind="stable")
        width *= 2
    return swaps
