"""Figures of an order and of its probabilities, with intervals over things.

All of them are sums over pairs, so a bootstrap sample needs no more than how often it drew each
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger.preference.metrics import Interval, bootstrap, kendall_tau, ndcg
from tagger.preference.ranker import sigmoid
from tagger.training.preference.lessons import outcomes
from tagger.training.preference.ratings import Rated, pairs_of, rows_of, sentiment

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Grades that ratings are stretched to before their gain, 2^grade - 1, is taken.
GRADES = 4.0
KS = (10, 50, 100)
#: Figures of which less is better.
LESS = ("brier", "ece")
MEASURES = ("pairs", "certain", "tau", *(f"ndcg@{k}" for k in KS), *LESS)
_BINS = 10


@dataclass(frozen=True, eq=False)
class View:
    """Pictures that are judged by, and the pairs of them.

    Attributes
    ----------
    rows
        Their numbers, int64 ``[N]``.
    target, grade
        float64 ``[N]``; the grade is the target stretched to 0..4.
    concepts
        ``[N]``.
    outcome
        float64 ``[N, N]``: how probable it is that the row's picture is preferred to the column's.
    count
        float64 ``[N, N]``, symmetrical: how often the pair counts.
    """

    rows: Ints
    target: Doubles
    grade: Doubles
    concepts: NDArray[np.str_]
    outcome: Doubles
    count: Doubles
    certainty: float

    @property
    def order(self) -> Doubles:
        """1 where the row's picture is preferred, -1 where the column's, 0 for a tie."""
        return np.sign(self.outcome - 0.5)

    def part(self, which: NDArray[np.bool_]) -> View:
        """Some of the pictures, and the pairs among them."""
        both = np.ix_(which, which)
        return View(
            self.rows[which],
            self.target[which],
            self.grade[which],
            self.concepts[which],
            self.outcome[both],
            self.count[both],
            self.certainty,
        )


def view(rated: Rated, split: str, *, certainty: float, most: int, seed: int) -> View:
    """What a split is judged by; of more than ``most`` pictures some are drawn."""
    rows = rows_of(rated, split)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    target, concepts = rated.target[rows], rated.concepts[rows]
    low, high = rated.bounds
    if rated.pairs is None:
        variance = rated.variance[rows]
        outcome = outcomes(target[:, None], target, variance[:, None], variance)
        count = (concepts[:, None] != concepts).astype(np.float64)
    else:
        pairs = pairs_of(rated, split)
        place = {row: n for n, row in enumerate(rows.tolist())}
        count, won = np.zeros((2, len(rows), len(rows)))
        for a, b, y in zip(pairs.left, pairs.right, pairs.outcome, strict=True):
            if int(a) in place and int(b) in place:
                i, j = place[int(a)], place[int(b)]
                count[i, j] += 1
                count[j, i] += 1
                won[i, j] += y
                won[j, i] += 1 - y
        outcome = np.where(count > 0, won / np.maximum(count, 1), 0.5)
    grade = GRADES * (target - low) / (high - low)
    return View(rows, target, grade, concepts, outcome, count, certainty)


class Judged:
    """Figures of the scores ``[N]`` of a view's pictures, for any sample of them.

    Parameters
    ----------
    slope
        ``P(left) = sigmoid(slope * (score left - score right))``; None where there is no P.
    """

    def __init__(self, seen: View, scores: NDArray[Any], slope: float | None = None) -> None:
        self.view = seen
        self.scores = np.asarray(scores, np.float64)
        gap = self.scores[:, None] - self.scores
        order, count = seen.order, seen.count
        right = 0.5 + 0.5 * np.sign(gap) * order
        clear = count * (order != 0)
        sure = count * (np.maximum(seen.outcome, 1 - seen.outcome) >= seen.certainty)
        self._shares = {"pairs": (right * clear, clear), "certain": (right * sure, sure)}
        self._off: list[Doubles] = []
        if slope is not None:
            p = sigmoid(slope * gap)
            # The score that is expected of an outcome drawn with its probability.
            loss = (p - seen.outcome) ** 2 + seen.outcome * (1 - seen.outcome)
            self._shares["brier"] = (loss * count, count)
            self._off = _by_bins(p, seen.outcome - p, count)
        self._found: dict[bytes, dict[str, float]] = {}

    def figures(self, rows: Ints | None = None) -> dict[str, float]:
        """All figures of the pictures in ``rows`` (places in the view, with repeats)."""
        rows = np.arange(len(self.scores)) if rows is None else rows
        key = rows.tobytes()
        if key not in self._found:
            self._found[key] = self._figures(rows)
        return self._found[key]

    def _figures(self, rows: Ints) -> dict[str, float]:
        times = np.bincount(rows, minlength=len(self.scores)).astype(np.float64)
        found: dict[str, float] = {}
        for name, (part, whole) in self._shares.items():
            total = float(times @ whole @ times)
            found[name] = float(times @ part @ times) / total if total > 0 else float("nan")
        if self._off:
            total = float(times @ self.view.count @ times)
            off = sum(abs(float(times @ each @ times)) for each in self._off)
            found["ece"] = off / total if total > 0 else float("nan")
        scores, target = self.scores[rows], self.view.target[rows]
        found["tau"] = kendall_tau(scores, target)
        for k in KS:
            found[f"ndcg@{k}"] = ndcg(scores, self.view.grade[rows], k, gain="exponential")
        return {name: found[name] for name in MEASURES if name in found}

    def intervals(self, rounds: int) -> dict[str, Interval]:
        """Each figure with its 95 % interval over things."""
        return self._bootstrap(lambda name, rows: self.figures(rows)[name], rounds)

    def against(self, other: Judged, rounds: int) -> dict[str, Interval]:
        """How much each figure is above that of ``other`` on the same samples."""
        return self._bootstrap(
            lambda name, rows: self.figures(rows)[name] - other.figures(rows)[name], rounds
        )

    def _bootstrap(self, figure: Callable[[str, Ints], float], rounds: int) -> dict[str, Interval]:
        return {
            name: bootstrap(
                partial(figure, name),
                len(self.scores),
                groups=self.view.concepts,
                rounds=rounds,
            )
            for name in self.figures()
        }


def _by_bins(p: Doubles, off: Doubles, count: Doubles) -> list[Doubles]:
    """What each pair adds to the error of its bin; bins hold equally many pairs."""
    there = np.flatnonzero(count)
    order = there[np.argsort(p.ravel()[there], kind="stable")]
    parts = []
    for members in np.array_split(order, min(_BINS, max(1, len(order)))):
        part = np.zeros(p.size)
        part[members] = (off * count).ravel()[members]
        parts.append(part.reshape(p.shape))
    return parts


def fit_slope(seen: View, scores: NDArray[Any]) -> float:
    """The slope of the least logarithmic loss on a view; above 0.

    One number by Newton's steps, halved where they go too far. Where the scores say nothing, or
    the contrary of what is so, it is next to 0: all pairs are ties.
    """
    gap = np.subtract.outer(np.asarray(scores, np.float64), np.asarray(scores, np.float64))
    spread = float(np.abs(gap).mean())
    if not spread > 0:
        return 1e-6
    x, y, weight = gap.ravel() / spread, seen.outcome.ravel(), seen.count.ravel()
    used = weight > 0
    x, y, weight = x[used], y[used], weight[used]
    slope = 0.5
    for _ in range(60):
        p = sigmoid(slope * x)
        down = float((weight * (p - y) * x).sum())
        curve = float((weight * p * (1 - p) * x * x).sum()) + 1e-9
        step = float(np.clip(down / curve, -1.0, 1.0))
        slope = min(max(slope - step, 1e-3), 1e3)
        if abs(step) < 1e-9:
            break
    return slope / spread


def log_loss(seen: View, scores: NDArray[Any], slope: float) -> float:
    """Mean logarithmic loss over the pairs of a view."""
    gap = np.subtract.outer(np.asarray(scores, np.float64), np.asarray(scores, np.float64))
    losses = np.logaddexp(0, -slope * gap) * seen.outcome + np.logaddexp(0, slope * gap) * (
        1 - seen.outcome
    )
    return float((losses * seen.count).sum() / seen.count.sum())


def ceiling(seen: View, counts: NDArray[Any], rounds: int, seed: int) -> dict[str, Interval]:
    """How well as many other people would do, asked about the same things.

    Of every thing its moods are drawn anew, as often as they were counted, from the posterior of
    the counts; their target orders all pictures. Mean and 95 % of the draws.
    """
    rng = np.random.default_rng(seed)
    _, first, places = np.unique(seen.concepts, return_index=True, return_inverse=True)
    once = np.asarray(counts, np.int64)[first]
    drawn: dict[str, list[float]] = {}
    for _ in range(rounds):
        shares = np.stack([rng.dirichlet(row + 1.0) for row in once])
        again = np.stack([rng.multinomial(n, s) for n, s in zip(once.sum(1), shares, strict=True)])
        target = sentiment(again)[0][places]
        for name, value in Judged(seen, target).figures().items():
            drawn.setdefault(name, []).append(value)
    found = {}
    for name, values in drawn.items():
        low, high = (float(value) for value in np.percentile(values, [2.5, 97.5]))
        found[name] = Interval(float(np.mean(values)), low, high, rounds)
    return found


def as_dict(found: Mapping[str, Interval]) -> dict[str, Any]:
    """JSON-ready form."""
    return {name: interval.to_dict() for name, interval in found.items()}


_SHOWN = ("pairs", "ndcg@10", "ndcg@50", "ndcg@100")


def progress(judged: Judged, names: Sequence[str] = _SHOWN) -> str:
    """A line that is printed while something learns."""
    figures = judged.figures()
    return ", ".join(f"{name.replace('ndcg', 'NDCG')} {figures[name]:.4f}" for name in names)
