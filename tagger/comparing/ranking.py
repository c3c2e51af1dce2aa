"""Sets in order: any number of pictures read one after the other, and how good an order is."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagger.errors import LimitError, RequestError, TaggerError
from tagger.preference import metrics

#: Ranks of which NDCG is told.
KS = (10, 50, 100)
#: Rated pictures of one set.
MAX_ROWS = 100_000
# Ratings are stretched to so many grades before their gain, 2^grade - 1, is taken; as the training
# of rankers does.
_GRADES = 4.0
# More bad files of one set are not listed.
_MAX_PROBLEMS = 10_000


@dataclass
class Ordering:
    """Pictures that come one by one; the best are kept.

    Parameters
    ----------
    ratings : mapping of str to float
        What people think of some, by their names.
    top : int, optional
        How many to keep; by default all.
    """

    ratings: Mapping[str, float] = field(default_factory=dict)
    top: int | None = None
    # Smallest first, so that the worst of those kept is at hand.
    _kept: list[tuple[float, int, str]] = field(default_factory=list, init=False)
    _rated: list[tuple[float, float]] = field(default_factory=list, init=False)
    _problems: list[tuple[str, TaggerError]] = field(default_factory=list, init=False)
    _count: int = field(default=0, init=False)

    def add(self, name: str, score: float) -> None:
        """Take a picture with its score."""
        # Of equal ones, the first comes first.
        entry = (score, -self._count, name)
        self._count += 1
        if self.top is None or len(self._kept) < self.top:
            heapq.heappush(self._kept, entry)
        elif self.top:
            heapq.heappushpop(self._kept, entry)
        rating = self.ratings.get(name)
        if rating is not None and len(self._rated) < MAX_ROWS:
            self._rated.append((score, rating))

    def fail(self, name: str, error: TaggerError) -> None:
        """Take note of a file that could not be read."""
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append((name, error))

    def pictures(self, lang: str = "en") -> list[dict[str, Any]]:
        """JSON-ready: best first, then what could not be read."""
        rows: list[dict[str, Any]] = []
        for rank, (score, _, name) in enumerate(sorted(self._kept, reverse=True), 1):
            row = {"name": name, "score": round(score, 6), "rank": rank}
            if name in self.ratings:
                row["rating"] = self.ratings[name]
            rows.append(row)
        for name, error in self._problems:
            rows.append(
                {"name": name, "error": {"code": error.code, "message": error.message(lang)}}
            )
        return rows

    def evaluation(self) -> dict[str, Any] | None:
        """JSON-ready; see :func:`evaluate`."""
        return evaluate(self._rated)


def evaluate(rated: Iterable[tuple[float, float]]) -> dict[str, Any] | None:
    """Say how well scores put pictures in the order of their ratings.

    NDCG is of gains ``2 ** grade - 1``, the grade being the rating stretched to 0..4
    (:func:`tagger.preference.metrics.ndcg`).

    Parameters
    ----------
    rated : iterable of (float, float)
        Score and rating of each picture.

    Returns
    -------
    dict or None
        JSON-ready, None for figures that are not defined; None of fewer than two pictures.
    """
    pairs = list(rated)
    if len(pairs) < 2:
        return None
    scores, ratings = zip(*pairs, strict=True)
    low, high = min(ratings), max(ratings)
    # Halves first: the difference of two great numbers need not be finite.
    span = high / 2 - low / 2
    grades = [_GRADES * ((r / 2 - low / 2) / span) if span else 0.0 for r in ratings]
    return {
        "ndcg": {str(k): _told(metrics.ndcg(scores, grades, k, gain="exponential")) for k in KS},
        "pairwise_accuracy": _told(_in_order(scores, ratings)),
        "kendall_tau": _told(metrics.kendall_tau(scores, ratings)),
        "rated": len(pairs),
    }


def _in_order(scores: Sequence[float], ratings: Sequence[float]) -> float:
    """As :func:`tagger.preference.metrics.pairwise_accuracy`, without looking at every pair.

    Of M pairs of different ratings P are in order, Q are not, A have equal scores: then
    ``(P + A / 2) / M`` is ``1 / 2 + (P - Q) / (2 M)``, and tau-b knows ``P - Q``.
    """
    pairs = len(scores) * (len(scores) - 1) // 2
    different, scored = (pairs - _equal(values) for values in (ratings, scores))
    if not different:
        return math.nan
    if not scored:
        return 0.5
    return 0.5 + metrics.kendall_tau(scores, ratings) * math.sqrt(scored / different) / 2


def _equal(values: Sequence[float]) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(values).values())


def check_rows(rows: Any) -> list[tuple[float, float]]:
    """Check scores and ratings that somebody sent.

    Parameters
    ----------
    rows : list of dict
        ``{"score": number, "rating": number}`` each; those without a rating are left out.

    Raises
    ------
    TaggerError
        ``request-invalid`` or ``explore-too-many``.
    """
    if not isinstance(rows, list):
        raise RequestError("request-invalid", field="pictures", reason="a list")
    if len(rows) > MAX_ROWS:
        raise LimitError("explore-too-many", limit=MAX_ROWS)
    found = []
    for row in rows:
        if not isinstance(row, dict):
            raise RequestError("request-invalid", field="pictures", reason="a list of objects")
        if row.get("rating") is not None:
            found.append((_number(row.get("score"), "score"), _number(row["rating"], "rating")))
    return found


def _number(value: Any, field: str) -> float:
    if type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise RequestError("request-invalid", field=field, reason="a finite number")


def _told(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
