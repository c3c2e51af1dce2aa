"""Whether a candidate may take the live recogniser's place; pure arithmetic, for every door.

It may if it is not worse on the frozen test drawings, which nothing learns from, and better on
held-back drawings of the collection. Both are compared drawing by drawing, by a paired bootstrap
(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 16; for models on
the same examples: Koehn, "Statistical significance tests for machine translation evaluation",
EMNLP 2004).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tagger import fewshot
from tagger.fewshot import MemorySpec

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Part = Literal["train", "held_back"]
Reason = Literal["better", "worse-frozen", "not-better", "too-few", "no-frozen-set"]

# A new word is learnt for good from so many training drawings on.
LEAST_DRAWINGS = 5
# Of 256 first bytes: one drawing in five is held back.
_HELD_BACK = 51


# --- which drawings teach, and which judge ------------------------------------------------------


def stable_part(id: str) -> Part:
    """On which side a drawing is: nothing held back ever trains, in no run.

    Parameters
    ----------
    id : str
        Content address (`tagger.collection.Drawing.digest`, which `tagger.strokes.digest` gives
        for any strokes): a drawing that was given twice is on the same side twice.
    """
    return "held_back" if hashlib.sha256(id.encode()).digest()[0] < _HELD_BACK else "train"


@dataclass(frozen=True, slots=True)
class Division:
    """Which drawings teach and which judge.

    Attributes
    ----------
    train, held_back : tuple of int
        Places in what was given.
    new_words : tuple of str
        Words that the live recogniser lacks and that are learnt, in alphabetical order.
    """

    train: tuple[int, ...]
    held_back: tuple[int, ...]
    new_words: tuple[str, ...]


def divide(
    drawings: Sequence[tuple[str, str]],
    known: Container[str],
    accepted: Collection[str],
    *,
    least: int = LEAST_DRAWINGS,
) -> Division:
    """Choose the drawings of a run.

    Parameters
    ----------
    drawings : sequence of (content id, word)
        Those given with consent.
    known : container of str
        Words of the live recogniser.
    accepted : collection of str
        New words that the owner accepted.
    least : int
        Training drawings that a new word needs.
    """
    parts = [stable_part(id) for id, _ in drawings]
    counts = dict.fromkeys((word for word in accepted if word not in known), 0)
    for (_, word), part in zip(drawings, parts, strict=True):
        if word in counts and part == "train":
            counts[word] += 1
    new = {word for word, count in counts.items() if count >= least}
    chosen = [i for i, (_, word) in enumerate(drawings) if word in known or word in new]
    return Division(
        tuple(i for i in chosen if parts[i] == "train"),
        tuple(i for i in chosen if parts[i] == "held_back"),
        tuple(sorted(new)),
    )


def data_hash(drawings: Iterable[tuple[str, str]]) -> str:
    """First 16 hexadecimal digits of the SHA-256 over the sorted (content id, word)."""
    lines = sorted(f"{id}\0{word}\n" for id, word in drawings)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def right_before(
    probabilities: Floats,
    embedding: Floats,
    labels: npt.NDArray[np.integer[Any]],
    taught: Floats,
    owners: npt.NDArray[np.integer[Any]],
    spec: MemorySpec,
) -> Bools:
    """Which drawings people's recogniser gets right today, before any candidate.

    Words of the network count by the network alone. New words count by the network mixed with the
    few-shot memory, which knows them already: that is what a candidate has to beat.

    Parameters
    ----------
    probabilities : float32, shape [N, W]
        Of the live network.
    embedding : float32, shape [N, D]
        Of the same drawings, by the live network.
    labels : integers, shape [N], 0..W+V-1
        From W on: new words.
    taught : float32, shape [M, D]
        Embeddings of the training drawings of the new words.
    owners : integers, shape [M], 0..V-1
        Which new word each of them is of; ascending, every word at least once.
    spec : MemorySpec
        Of the live bundle.
    """
    said = probabilities.argmax(axis=1)
    new = np.flatnonzero(np.asarray(labels) >= probabilities.shape[1])
    if len(new):
        places = np.asarray(owners, np.int64)
        near = fewshot.similarity(embedding[new], taught, places, spec.sharpness)
        shots = np.bincount(places)
        odds = fewshot.log_odds(near, shots, probabilities[new], spec)
        mixed = fewshot.mix(probabilities[new], odds, np.full(len(shots), -1, np.int64))
        said[new] = mixed.argmax(axis=1)
    right: Bools = said == labels
    return right


# --- the verdict --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure changed over the same drawings.

    Attributes
    ----------
    count : int
        Drawings.
    before, after : float, 0..1
        Share of them whose first answer is right.
    low, high : float, -1..1
        95 % bootstrap interval of ``after - before``.
    """

    count: int
    before: float
    after: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "count": self.count,
            "before": round(self.before, 5),
            "after": round(self.after, 5),
            "low": round(self.low, 5),
            "high": round(self.high, 5),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Change:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If it is anything else.
        """
        try:
            figures = [float(data[name]) for name in ("before", "after", "low", "high")]
            return cls(int(data["count"]), *figures)
        except (KeyError, TypeError) as error:
            raise ValueError("not a change") from error


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided on a candidate, and by which figures.

    Attributes
    ----------
    passes : bool
        Whether it may go live.
    reason : str
        Why, or why not; see :func:`judge`.
    frozen, held_back : Change or None
        Over the frozen test drawings, and over those of the collection that are held back.
    margin, least
        As :func:`judge` took them.
    """

    passes: bool
    reason: Reason
    frozen: Change | None
    held_back: Change | None
    margin: float = 0.01
    least: int = 20

    def sentence(self, lang: str = "en") -> str:
        """Say it in plain words, in English (``"en"``) or Japanese (``"ja"``)."""
        ja = lang.split("-")[0] == "ja"
        said = _SENTENCES[self.reason][ja].format(
            count=self.held_back.count if self.held_back else 0,
            least=self.least,
            margin=_points(self.margin)[1:],
        )
        parts = [said]
        if self.reason != "too-few" and self.held_back is not None and self.held_back.count:
            parts.append(_figures(self.held_back, _HELD[ja], ja))
        if self.frozen is not None:
            parts.append(_figures(self.frozen, _FROZEN[ja], ja))
        return ("" if ja else " ").join(parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "passes": self.passes,
            "reason": self.reason,
            "frozen": None if self.frozen is None else self.frozen.to_dict(),
            "held_back": None if self.held_back is None else self.held_back.to_dict(),
            "margin": self.margin,
            "least": self.least,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If it is anything else, or says that it passes for a reason that does not let it.
        """
        try:
            reason, passes = data["reason"], data["passes"]
            frozen, held_back = data["frozen"], data["held_back"]
            margin, least = float(data.get("margin", 0.01)), int(data.get("least", 20))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a verdict") from error
        if reason not in get_args(Reason) or passes is not (reason == "better"):
            raise ValueError("not a verdict")
        return cls(
            passes,
            reason,
            None if frozen is None else Change.from_dict(frozen),
            None if held_back is None else Change.from_dict(held_back),
            margin,
            least,
        )


def judge(
    frozen_before: Bools | None,
    frozen_after: Bools | None,
    held_before: Bools,
    held_after: Bools,
    *,
    margin: float = 0.01,
    least: int = 20,
    rounds: int = 2000,
    seed: int = 0,
) -> Verdict:
    """Compare a candidate with what is live.

    Parameters
    ----------
    frozen_before, frozen_after : bool, shape [F], or None
        Whether the first answer to each of the frozen test drawings is right, of the live one and
        of the candidate; None where there is no such set.
    held_before, held_after : bool, shape [H]
        The same for drawings of the collection that are held back.
    margin : float
        So much of the frozen drawings may be lost, to the interval's lower end.
    least : int
        So many held-back drawings are needed.
    rounds, seed : int
        Of the bootstrap.

    Returns
    -------
    Verdict
        Its reason is the first that holds: ``no-frozen-set``, ``too-few`` held-back drawings,
        ``worse-frozen`` if more than the margin may be lost, ``not-better`` if the held-back
        drawings may be no better recognised, else ``better``.

    Raises
    ------
    ValueError
        If what belongs together differs in length.
    """
    frozen = None
    if frozen_before is not None and frozen_after is not None and len(frozen_before):
        frozen = compare(frozen_before, frozen_after, rounds=rounds, seed=seed)
    held_back = compare(held_before, held_after, rounds=rounds, seed=seed)
    reason: Reason = "better"
    if frozen is None:
        reason = "no-frozen-set"
    elif held_back.count < least:
        reason = "too-few"
    elif frozen.low < -margin:
        reason = "worse-frozen"
    elif held_back.low <= 0:
        reason = "not-better"
    return Verdict(reason == "better", reason, frozen, held_back, margin, least)


def compare(before: Bools, after: Bools, *, rounds: int = 2000, seed: int = 0) -> Change:
    """Paired bootstrap of the difference of two shares.

    A drawing got better, worse, or neither; of N drawings drawn with replacement, the numbers of
    these three are multinomial. So each round needs two numbers, however many drawings there are.

    Parameters
    ----------
    before, after : bool, shape [N]
        Whether each drawing was right; the same drawings in the same order.
    rounds, seed : int
        How many samples, and which.

    Raises
    ------
    ValueError
        If they differ in length.
    """
    before, after = np.asarray(before, bool), np.asarray(after, bool)
    if before.shape != after.shape or before.ndim != 1:
        raise ValueError("the same drawings, before and after")
    count = len(before)
    if not count:
        return Change(0, 0.0, 0.0, 0.0, 0.0)
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    shares = np.array([won, lost, count - won - lost]) / count
    samples = np.random.default_rng(seed).multinomial(count, shares, size=rounds)
    differences = (samples[:, 0] - samples[:, 1]) / count
    low, high = np.percentile(differences, [2.5, 97.5])
    return Change(count, float(before.mean()), float(after.mean()), float(low), float(high))


# --- in words -----------------------------------------------------------------------------------

_SENTENCES: dict[Reason, tuple[str, str]] = {
    "better": (
        "Better, and what it knew is kept.",
        "改善し、既知の描画の正答率も保たれています。",
    ),
    "worse-frozen": (
        "Refused: more than {margin} points of what it knew may be lost.",
        "不採用：既知の描画の正答率が{margin}ポイントを超えて下がるおそれがあります。",
    ),
    "not-better": (
        "Refused: the difference on collected drawings may be chance.",
        "不採用：集めた描画での差は偶然かもしれません。",
    ),
    "too-few": (
        "Too few to judge: {count} collected drawings are held back, {least} are needed. "
        "One in five is.",
        "判定には描画が足りません。検証用は{count}件で、{least}件必要です"
        "（集めた描画の5件に1件が検証用です）。",
    ),
    "no-frozen-set": (
        "Cannot be judged: the recogniser has no frozen test drawings (frozen.npz).",
        "判定できません。認識モデルに固定テスト用の描画（frozen.npz）がありません。",
    ),
}
_HELD = ("Collected drawings", "集めた描画")
_FROZEN = ("Frozen test drawings", "固定テストの描画")


def _figures(change: Change, what: str, ja: bool) -> str:
    before, after = f"{change.before:.1%}", f"{change.after:.1%}"
    low, high = _points(change.low), _points(change.high)
    if ja:
        return f"{what}（{change.count:,}件）：{before}→{after}（差{low}～{high}ポイント）。"
    return f"{what} ({change.count:,}): {before} before, {after} after ({low} to {high} points)."


def _points(share: float) -> str:
    """A difference in percentage points, with its sign; the sign of nothing is plus."""
    points = round(100 * share, 1)
    return f"{'−' if points < 0 else '+'}{abs(points):.1f}"
