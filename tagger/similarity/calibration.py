"""From what cosine on a neighbour's tags are believed: cut-points, and matching by them.

As TensorFlow Similarity's ``calibrate`` and ``match``, for items that may have many tags each. The
neighbours of a query vote for tags: each pair of a query and a tag that any of them has is a
*decision* with a score. A cut-point is the score from which decisions count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tagger.similarity.labels import Labels

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Matcher = Literal["nearest", "vote"]
Target = Literal["f1", "precision"]

#: Of a query that is like nothing indexed.
UNKNOWN = -1

# Points of a curve that is kept.
_POINTS = 200


@dataclass(frozen=True, slots=True)
class Options:
    """How to calibrate.

    Attributes
    ----------
    target : {"f1", "precision"}
        The cut-point of the greatest F1; or of the greatest recall at which the precision is at
        least `value`.
    value : float
        The precision to reach, 0..1.
    k : int
        Neighbours that vote.
    matcher : {"nearest", "vote"}
        See :func:`decide`.
    single : bool
        An item has one tag only: of each query, the best decision alone counts.
    least : int
        Right decisions that a tag must have for a cut-point of its own; with fewer, the one for
        all tags stands.
    missed : bool
        Whether tags of queries that no neighbour has count as missed. TensorFlow Similarity does
        not count them.
    """

    target: Target = "f1"
    value: float = 0.9
    k: int = 1
    matcher: Matcher = "nearest"
    single: bool = False
    least: int = 20
    missed: bool = True

    def __post_init__(self) -> None:
        if self.target not in get_args(Target) or self.matcher not in get_args(Matcher):
            raise ValueError("no such target, or no such matcher")
        if not 0 <= self.value <= 1 or self.k < 1 or self.least < 1:
            raise ValueError("value must be from 0 to 1, k and least at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Pairs of a query and a tag, by query and descending score.

    Attributes
    ----------
    query, tag : int64, shape [M]
        Which query, which tag.
    score : float32, shape [M]
        How sure.
    """

    query: Ints
    tag: Ints
    score: Floats


def decide(
    neighbours: Sequence[Sequence[Sequence[int]]],
    cosines: Floats,
    k: int,
    matcher: str = "nearest",
    single: bool = False,
) -> Decisions:
    """Let neighbours vote for their tags.

    Parameters
    ----------
    neighbours : sequence of sequences of sets
        For each of Q queries the tags of its neighbours, nearest first.
    cosines : float32, shape [Q, K]
        To them.
    k : int
        How many vote.
    matcher : {"nearest", "vote"}
        The score of a tag is the greatest cosine to a neighbour that has it; or the sum of their
        cosines, negative ones left out, divided by `k`.
    single : bool
        Keep the best tag of each query only; of equals the one that a nearer neighbour has.
    """
    query: list[int] = []
    tags: list[int] = []
    scores: list[float] = []
    for number, (found, near) in enumerate(zip(neighbours, cosines.tolist(), strict=True)):
        votes: dict[int, float] = {}
        for ours, cosine in zip(found[:k], near, strict=False):
            for tag in ours:
                if matcher == "nearest":
                    votes.setdefault(tag, cosine)
                else:
                    votes[tag] = votes.get(tag, 0.0) + max(cosine, 0.0) / k
        # The sort is stable: of equals, what came from a nearer neighbour stays before.
        ranked = sorted(votes.items(), key=lambda vote: -vote[1])
        for tag, score in ranked[: 1 if single else None]:
            query.append(number)
            tags.append(tag)
            scores.append(score)
    return Decisions(
        np.array(query, np.int64), np.array(tags, np.int64), np.array(scores, np.float32)
    )


@dataclass(frozen=True, slots=True)
class CutPoint:
    """From what score decisions count, and what they were worth when it was chosen.

    Attributes
    ----------
    score : float or None
        None if the target could not be reached: then none counts.
    precision, recall, f1 : float
        Measured there, 0..1; 0 without a score.
    decisions, positives : int
        How many were judged, and how many could have been right.
    """

    score: float | None
    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0
    decisions: int = 0
    positives: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, data: Any) -> CutPoint:
        """Read :meth:`to_dict`; ValueError if it is none."""
        score = None if data["score"] is None else _number(data["score"], -2, 2)
        shares = [_number(data[name], 0, 1) for name in ("precision", "recall", "f1")]
        counts = [int(_number(data[name], 0, 1e12)) for name in ("decisions", "positives")]
        return cls(score, shares[0], shares[1], shares[2], counts[0], counts[1])


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision, recall and F1 by cut-point, descending; at most 200 points."""

    score: tuple[float, ...] = ()
    precision: tuple[float, ...] = ()
    recall: tuple[float, ...] = ()
    f1: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """Cut-points for all tags together and for those that were seen often enough.

    Attributes
    ----------
    target, value, k, matcher, single : see :class:`Options`
    cut : CutPoint
        For all tags that have none of their own.
    per_tag : mapping of int to CutPoint
        By tag.
    curve : Curve
        Of all decisions together.
    """

    target: str
    value: float
    k: int
    matcher: str
    single: bool
    cut: CutPoint
    per_tag: Mapping[int, CutPoint] = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)

    def threshold(self, tag: int) -> float:
        """The score from which a tag is believed; infinite for never."""
        score = self.per_tag.get(tag, self.cut).score
        return float("inf") if score is None else score

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "target": self.target,
            "value": self.value,
            "k": self.k,
            "matcher": self.matcher,
            "single": self.single,
            "cut": self.cut.to_dict(),
            "per_tag": {str(tag): cut.to_dict() for tag, cut in self.per_tag.items()},
            "curve": {name: list(getattr(self.curve, name)) for name in Curve.__slots__},
        }

    @classmethod
    def from_dict(cls, data: Any) -> Calibration:
        """Read :meth:`to_dict`, perhaps from a stranger.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            options = Options(
                target=data["target"],
                value=_number(data["value"], 0, 1),
                k=int(_number(data["k"], 1, 10_000)),
                matcher=data["matcher"],
                single=data["single"] is True,
            )
            axes = [
                tuple(_number(value, -2, 2) for value in data["curve"][name][:_POINTS])
                for name in Curve.__slots__
            ]
            return cls(
                options.target,
                options.value,
                options.k,
                options.matcher,
                options.single,
                CutPoint.from_dict(data["cut"]),
                {int(tag): CutPoint.from_dict(cut) for tag, cut in data["per_tag"].items()},
                Curve(*axes),
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("no calibration") from error


def calibrate(decisions: Decisions, truth: Labels, options: Options) -> Calibration:
    """Choose cut-points by decisions about queries whose tags are known.

    With tp right and fp wrong decisions of at least the cut-point, and P tags to be found:
    ``precision = tp / (tp + fp)``, ``recall = tp / P``, ``f1 = 2 tp / (tp + fp + P)``. P counts
    all tags of all queries; without ``options.missed``, only those among the decisions.

    Parameters
    ----------
    decisions : Decisions
        By :func:`decide`, with the same `k`, `matcher` and `single`.
    truth : Labels
        Tags of the Q queries.

    Returns
    -------
    Calibration
        Every score that occurs was tried. Of equal F1 the greater cut-point is taken; for a
        precision, the least one that reaches it.
    """
    right = correct(decisions, truth)
    tags = {tag: len(rows) for tag, rows in truth.holders.items()}
    positives = sum(tags.values()) if options.missed else int(right.sum())
    score, precision, recall, f1 = curve(decisions.score, right, positives)
    cut = _choose(score, precision, recall, f1, options, len(right), positives)
    per_tag = {}
    order = np.argsort(decisions.tag, kind="stable")
    found, counts = np.unique(decisions.tag, return_counts=True)
    ends = np.cumsum(counts)
    for tag, start, end in zip(found.tolist(), ends - counts, ends, strict=True):
        rows = order[start:end]
        ours = right[rows]
        if int(ours.sum()) >= options.least:
            known = tags[tag] if options.missed else int(ours.sum())
            points = curve(decisions.score[rows], ours, known)
            per_tag[tag] = _choose(*points, options, len(ours), known)
    return Calibration(
        options.target,
        options.value,
        options.k,
        options.matcher,
        options.single,
        cut,
        per_tag,
        _thin(score, precision, recall, f1),
    )


def correct(decisions: Decisions, truth: Labels) -> Bools:
    """Which decisions are right: bool, shape [M]."""
    sets = [frozenset(one) for one in truth]
    if len(decisions.query) and int(decisions.query.max()) >= len(sets):
        raise ValueError("as many labels as queries are needed")
    pairs = zip(decisions.query.tolist(), decisions.tag.tolist(), strict=True)
    return np.array([tag in sets[query] for query, tag in pairs], np.bool_)


def curve(score: Floats, right: Bools, positives: int) -> tuple[Floats, Doubles, Doubles, Doubles]:
    """Precision, recall and F1 at every cut-point that makes a difference.

    Returns
    -------
    score : float32, shape [S]
        The scores that occur, descending.
    precision, recall, f1 : float64, shape [S]
        Of the decisions of at least that score.
    """
    order = np.argsort(-score, kind="stable")
    score, right = score[order], right[order]
    # Decisions of one score count together.
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else order
    hits = np.cumsum(right)[last].astype(np.float64)
    taken = last + 1.0
    recall = hits / positives if positives else np.zeros_like(hits)
    return score[last], hits / taken, recall, 2 * hits / (taken + positives)


def _choose(
    score: Floats,
    precision: Doubles,
    recall: Doubles,
    f1: Doubles,
    options: Options,
    decisions: int,
    positives: int,
) -> CutPoint:
    if options.target == "f1":
        good = np.flatnonzero(f1 > 0)
        at = int(np.argmax(f1)) if len(good) else None
    else:
        good = np.flatnonzero((precision >= options.value) & (recall > 0))
        at = int(good[-1]) if len(good) else None
    if at is None:
        return CutPoint(None, decisions=decisions, positives=positives)
    shares = (float(precision[at]), float(recall[at]), float(f1[at]))
    return CutPoint(float(score[at]), *shares, decisions, positives)


def _thin(score: Floats, precision: Doubles, recall: Doubles, f1: Doubles) -> Curve:
    keep = np.unique(np.linspace(0, len(score) - 1, min(_POINTS, len(score))).round().astype(int))
    axes = [np.round(axis[keep].astype(np.float64), 6) for axis in (score, precision, recall, f1)]
    return Curve(*(tuple(axis.tolist()) for axis in axes))


@dataclass(frozen=True, slots=True)
class Match:
    """A tag that is believed, and its score."""

    tag: int
    score: float


def match(decisions: Decisions, calibration: Calibration, count: int) -> list[tuple[Match, ...]]:
    """Keep the decisions that reach their cut-points.

    Returns
    -------
    list
        For each of `count` queries its tags, surest first; an empty one means: unknown.
    """
    found: list[list[Match]] = [[] for _ in range(count)]
    rows = zip(
        decisions.query.tolist(), decisions.tag.tolist(), decisions.score.tolist(), strict=True
    )
    for query, tag, score in rows:
        if score >= calibration.threshold(tag):
            found[query].append(Match(tag, score))
    return [tuple(one) for one in found]


def _number(value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if not least <= value <= most:  # written so that "not a number" fails, too
        raise ValueError("out of range")
    return float(value)
