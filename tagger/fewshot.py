"""Words learnt from a handful of drawings: prototypes beside the network's own words.

A new word is known by the embeddings of its drawings (Snell, Swersky and Zemel, "Prototypical
networks for few-shot learning", NeurIPS 2017). How near a drawing is to them becomes the odds that
it is of that word rather than what the network says. The numbers of that rule belong to a
network, are measured on words that it was not trained on, and come with its bundle.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tagger.atomic import replacing
from tagger.bundlefiles import FrozenModel, read_arrays
from tagger.errors import MemoryFileError

Floats = npt.NDArray[np.float32]

MAX_FILE_BYTES = 512 * 2**20


class MemorySpec(FrozenModel):
    """How near is near; see :func:`log_odds`.

    Attributes
    ----------
    scale : float
        Logarithm of the odds for each unit of the cosine.
    bias : float
        Added to it.
    shots : float
        Subtracted, divided by the number of drawings: a word known by one only is doubtful.
    sharpness : float
        0 for the mean of the cosines to a word's drawings; the larger, the more the nearest of
        them counts.
    familiar : float
        How much of the network's own confidence, the logarithm of its largest probability, is
        subtracted.
    """

    scale: float = Field(default=25.0, gt=0, le=1000)
    bias: float = Field(default=-15.0, ge=-1000, le=1000)
    shots: float = Field(default=2.0, ge=0, le=100)
    sharpness: float = Field(default=5.0, ge=0, le=1000)
    familiar: float = Field(default=0.0, ge=-10, le=10)


def similarity(
    embeddings: Floats, bank: Floats, owners: npt.NDArray[np.int64], sharpness: float
) -> Floats:
    """How near drawings are to each of the learnt words.

    Parameters
    ----------
    embeddings : float32, shape [N, D]
        Of the drawings in question, of length one.
    bank : float32, shape [M, D]
        Of the drawings that taught, of length one.
    owners : int64, shape [M]
        Which word each of them taught: 0..V-1 in ascending order, every word at least once.
    sharpness : float
        See `MemorySpec`.

    Returns
    -------
    float32, shape [N, V], -1..1
        ``log(mean(exp(sharpness * cosine))) / sharpness`` over a word's drawings.
    """
    cosine: npt.NDArray[Any]
    if len(embeddings) <= 4:
        # For so little, BLAS spends ten times as long on waking its threads.
        cosine = np.einsum("nd,md->nm", embeddings, bank)
    else:
        cosine = embeddings @ bank.T
    shots = np.bincount(owners)
    starts = np.cumsum(shots) - shots
    near: npt.NDArray[Any]
    if sharpness > 0:
        # Relative to the nearest of each word, so that no power vanishes.
        nearest = np.maximum.reduceat(cosine, starts, axis=1)
        powers = np.exp(sharpness * (cosine - nearest[:, owners]))
        mean = np.add.reduceat(powers, starts, axis=1) / shots
        near = nearest + np.log(mean) / sharpness
    else:
        near = np.add.reduceat(cosine, starts, axis=1) / shots
    return near.astype(np.float32)


def log_odds(
    near: Floats, shots: npt.NDArray[Any], probabilities: Floats, spec: MemorySpec
) -> Floats:
    """Logarithm of the odds of each learnt word against the network's answer.

    Parameters
    ----------
    near : float32, shape [N, V]
        By :func:`similarity`.
    shots : integers, shape [V]
        Drawings of each word.
    probabilities : float32, shape [N, W]
        The network's.
    spec : MemorySpec
        The numbers of the rule.
    """
    sure = np.log(np.maximum(probabilities.max(axis=1, keepdims=True), np.float32(1e-9)))
    odds: Floats = (
        spec.scale * near
        + spec.bias
        - spec.shots / np.maximum(shots, 1).astype(np.float32)
        - spec.familiar * sure
    ).astype(np.float32)
    return odds


def mix(probabilities: Floats, odds: Floats, known: npt.NDArray[np.int64]) -> Floats:
    """Put learnt words beside, or on top of, those of the network.

    Parameters
    ----------
    probabilities : float32, shape [N, W]
        The network's, each row adding up to one.
    odds : float32, shape [N, V]
        By :func:`log_odds`.
    known : int64, shape [V]
        Which of the network's words a learnt one is, -1 for a new one.

    Returns
    -------
    float32, shape [N, W + U]
        The network's words, then the U new ones in their order; each row adds up to one.
    """
    total, width = probabilities.shape
    new = np.flatnonzero(known < 0)
    mass = np.zeros((total, width + len(new)), np.float64)
    mass[:, :width] = probabilities
    # exp() of what is far above all else would overflow; beyond that it makes no difference.
    weight = np.exp(np.minimum(odds.astype(np.float64), 50.0))
    mass[:, width:] = weight[:, new]
    for column in np.flatnonzero(known >= 0):
        mass[:, known[column]] += weight[:, column]
    mixed: Floats = (mass / mass.sum(axis=1, keepdims=True)).astype(np.float32)
    return mixed


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """What somebody's learnt words are known by, ready for :func:`mix`.

    Attributes
    ----------
    words : tuple of str
        V words.
    embeddings : float32, shape [M, D]
        Of the drawings that taught them.
    owners : int64, shape [M]
        Which word each taught.
    """

    words: tuple[str, ...]
    embeddings: Floats
    owners: npt.NDArray[np.int64]

    @property
    def shots(self) -> npt.NDArray[np.int64]:
        """Drawings of each word."""
        return np.bincount(self.owners, minlength=len(self.words))


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A drawing that taught: its id, its word, whose it is, whether all may learn from it."""

    id: str
    word: str
    contributor: str
    shared: bool
    embedding: Floats


class Memory:
    """All drawings that taught, by contributor; what each visitor's recogniser has learnt.

    May be used from any thread. Readers never wait: what they see is made anew by whoever changes
    something.

    Parameters
    ----------
    hash : str
        Of the recogniser whose embeddings these are.
    dimension : int
        D.
    per_word : int
        Of a word, the newest so many drawings count.
    max_words : int
        Of a contributor, the words last drawn count, so many.
    """

    def __init__(
        self, hash: str, dimension: int, *, per_word: int = 50, max_words: int = 200
    ) -> None:
        self.hash = hash
        self.dimension = dimension
        self._per_word = per_word
        self._max_words = max_words
        self._lock = threading.Lock()
        self._lessons: dict[str, Lesson] = {}
        self._by_contributor: dict[str, dict[str, Lesson]] = {}
        self._accepted: frozenset[str] = frozenset()
        self._banks: dict[str, Bank | None] = {}
        self._common: Bank | None = None
        self._changes = 0

    def __len__(self) -> int:
        return len(self._lessons)

    def __contains__(self, id: object) -> bool:
        return id in self._lessons

    @property
    def changes(self) -> int:
        """Grows with every change."""
        return self._changes

    @property
    def accepted(self) -> frozenset[str]:
        """The words that are for all."""
        return self._accepted

    def lessons(self) -> tuple[Lesson, ...]:
        """All of them, in the order of their coming."""
        with self._lock:
            return tuple(self._lessons.values())

    def teach(self, lessons: Iterable[Lesson]) -> None:
        """Add drawings, or change the words of some."""
        with self._lock:
            for lesson in lessons:
                if lesson.embedding.shape != (self.dimension,):
                    raise ValueError("an embedding of another recogniser")
                self._remove(lesson.id)
                self._lessons[lesson.id] = lesson
                self._by_contributor.setdefault(lesson.contributor, {})[lesson.id] = lesson
                self._touch(lesson)

    def relabel(self, id: str, word: str) -> None:
        """Let a drawing stand for another word."""
        with self._lock:
            old = self._lessons.get(id)
            if old is not None and old.word != word:
                new = Lesson(id, word, old.contributor, old.shared, old.embedding)
                self._lessons[id] = new
                self._by_contributor[old.contributor][id] = new
                self._touch(old)
                self._touch(new)

    def forget(self, ids: Iterable[str]) -> None:
        """Remove drawings, and what was learnt from them."""
        with self._lock:
            for id in ids:
                self._remove(id)

    def forget_contributor(self, contributor: str) -> None:
        """Remove all that somebody taught."""
        with self._lock:
            for id in list(self._by_contributor.get(contributor, ())):
                self._remove(id)

    def accept(self, words: Iterable[str]) -> None:
        """Say which words are for all; every visitor then knows them by all shared drawings."""
        with self._lock:
            self._accepted = frozenset(words)
            self._common = None
            self._banks.clear()
            self._changes += 1

    def bank(self, contributor: str | None) -> Bank | None:
        """What counts for somebody: their own words and those that are for all. None if none."""
        key = contributor or ""
        with self._lock:
            if key not in self._by_contributor:
                if self._common is None:
                    self._common = self._make(key)
                return self._common if self._common.words else None
            if key not in self._banks:
                made = self._make(key)
                self._banks[key] = made if made.words else None
            return self._banks[key]

    def counts(self, contributor: str | None) -> dict[str, int]:
        """Drawings of each word that somebody gave; with None, that all gave."""
        with self._lock:
            counts: dict[str, int] = {}
            lessons: Mapping[str, Lesson] = self._lessons
            if contributor is not None:
                lessons = self._by_contributor.get(contributor, {})
            for lesson in lessons.values():
                counts[lesson.word] = counts.get(lesson.word, 0) + 1
            return counts

    # --- within the lock -------------------------------------------------------------------------

    def _remove(self, id: str) -> None:
        lesson = self._lessons.pop(id, None)
        if lesson is None:
            return
        own = self._by_contributor[lesson.contributor]
        del own[id]
        if not own:
            del self._by_contributor[lesson.contributor]
        self._touch(lesson)

    def _touch(self, lesson: Lesson) -> None:
        self._changes += 1
        self._banks.pop(lesson.contributor, None)
        if lesson.shared and lesson.word in self._accepted:
            self._common = None
            self._banks.clear()

    def _make(self, contributor: str) -> Bank:
        chosen: dict[str, list[Floats]] = {}
        own = self._by_contributor.get(contributor, {})
        for lesson in reversed(own.values()):  # the newest first
            if lesson.word in chosen or len(chosen) < self._max_words:
                chosen.setdefault(lesson.word, []).append(lesson.embedding)
        if self._accepted:
            for lesson in reversed(self._lessons.values()):
                if lesson.shared and lesson.word in self._accepted and lesson.id not in own:
                    chosen.setdefault(lesson.word, []).append(lesson.embedding)
        rows, owners = [], []
        for index, embeddings in enumerate(chosen.values()):
            rows += embeddings[: self._per_word]
            owners += [index] * min(len(embeddings), self._per_word)
        bank = np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)
        return Bank(tuple(chosen), bank, np.array(owners, np.int64))

    # --- file ------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write all to a file, which is whole at any time."""
        lessons = self.lessons()
        text = [[e.id, e.word, e.contributor, "1" if e.shared else "0"] for e in lessons]
        shape = (len(lessons), self.dimension)
        rows = np.stack([e.embedding for e in lessons]) if lessons else np.empty(shape)
        file = io.BytesIO()
        np.savez(
            file,
            hash=np.array(self.hash),
            text=np.array(text, np.str_).reshape(len(lessons), 4),
            embeddings=rows.astype(np.float32),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, private=True) as out:
            out.write(file.getvalue())

    @classmethod
    def load(cls, path: Path, hash: str, dimension: int, **bounds: int) -> Memory:
        """Read what :meth:`save` wrote.

        Raises
        ------
        MemoryFileError
            ``memory-foreign`` if it is of another recogniser, ``memory-damaged`` if it is torn.
        FileNotFoundError
            If there is none.
        """
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        try:
            if len(data) > MAX_FILE_BYTES:
                raise ValueError("too large")
            arrays = read_arrays(data, ("hash", "text", "embeddings"), MAX_FILE_BYTES)
            text, embeddings = arrays["text"], arrays["embeddings"]
            if text.dtype.kind != "U" or text.ndim != 2 or text.shape[1] != 4:
                raise ValueError("no table")
            if embeddings.dtype != np.float32 or embeddings.ndim != 2:
                raise ValueError("no embeddings")
            if len(embeddings) != len(text) or not np.isfinite(embeddings).all():
                raise ValueError("no embeddings")
            owner = str(arrays["hash"])
        except (ValueError, KeyError) as error:
            raise MemoryFileError("memory-damaged") from error
        if owner != hash or embeddings.shape[1] != dimension:
            raise MemoryFileError("memory-foreign")
        memory = cls(hash, dimension, **bounds)
        memory.teach(
            Lesson(id, word, contributor, shared == "1", row)
            for (id, word, contributor, shared), row in zip(text.tolist(), embeddings, strict=True)
        )
        return memory


def tune(
    spec: MemorySpec,
    novel: Sequence[Floats],
    novel_probabilities: Sequence[Floats],
    base: Floats,
    base_probabilities: Floats,
    base_labels: npt.NDArray[np.int64],
    *,
    shots: Sequence[int] = (1, 2, 3, 5, 10),
    words: Sequence[int] = (1, 3, 8),
    episodes: int = 60,
    share: float = 0.5,
    rounds: int = 6,
    seed: int = 0,
) -> tuple[MemorySpec, float]:
    """Find the numbers of the rule that make the mixed probabilities most honest.

    Each episode teaches a few new words with a few drawings each and asks for other drawings of
    them and for drawings of the network's own words. What is minimised is the mean cross-entropy,
    half of it over either kind: it rises both if a new word hides and if it shouts.

    Parameters
    ----------
    spec : MemorySpec
        Where to begin.
    novel : sequence of float32 arrays, shape [n, D]
        Embeddings of drawings of words that the network was not trained on, one array a word.
    novel_probabilities : sequence of float32 arrays, shape [n, W]
        What the network says of them.
    base, base_probabilities, base_labels
        Embeddings ``[B, D]``, probabilities ``[B, W]`` and rows of the labels ``[B]`` of drawings
        of the network's own words, not of its training split.
    shots, words : sequence of int
        Drawings a word and new words in an episode.
    episodes, rounds, seed : int
        How thorough; the search shrinks its steps each round.
    share : float
        Weight of the new words' part.

    Returns
    -------
    (MemorySpec, float)
        The best numbers and their cross-entropy.
    """
    rng = np.random.default_rng(seed)
    made = [_episode(rng, novel, novel_probabilities, shots, words) for _ in range(episodes)]
    rows = [rng.choice(len(base), min(64, len(base)), replace=False) for _ in made]

    def cost(values: Mapping[str, float]) -> float:
        tried = spec.model_copy(update=dict(values))
        total = 0.0
        for (bank, owners, queries, query_probabilities, answers), chosen in zip(
            made, rows, strict=True
        ):
            width = query_probabilities.shape[1]
            losses = []
            for emb, prob, truth in (
                (queries, query_probabilities, width + answers),
                (base[chosen], base_probabilities[chosen], base_labels[chosen]),
            ):
                taught = np.bincount(owners)
                near = similarity(emb, bank, owners, tried.sharpness)
                mixed = mix(prob, log_odds(near, taught, prob, tried), np.full(len(taught), -1))
                said = mixed[np.arange(len(truth)), truth]
                losses.append(float(-np.log(np.maximum(said, 1e-6)).mean()))
            total += share * losses[0] + (1 - share) * losses[1]
        return total / len(made)

    best: dict[str, float] = {name: getattr(spec, name) for name in _STEPS_OF}
    lowest = cost(best)
    steps = dict(_STEPS_OF)
    for _ in range(rounds):
        improved = True
        while improved:
            improved = False
            for name, step in steps.items():
                for sign in (1.0, -1.0):
                    low, high = _RANGES[name]
                    tried = {**best, name: float(np.clip(best[name] + sign * step, low, high))}
                    # Where the odds are even stays where it is while the slope changes.
                    if name == "scale":
                        even = -best["bias"] / best["scale"]
                        tried["bias"] = -even * tried["scale"]
                    value = cost(tried)
                    if value < lowest - 1e-6:
                        best, lowest, improved = tried, value, True
        steps = {name: step / 2 for name, step in steps.items()}
    return spec.model_copy(update=best), lowest


_STEPS_OF = {"scale": 8.0, "bias": 4.0, "shots": 1.0, "sharpness": 4.0, "familiar": 0.4}
_RANGES = {
    "scale": (1.0, 200.0),
    "bias": (-200.0, 50.0),
    "shots": (0.0, 20.0),
    "sharpness": (0.0, 50.0),
    "familiar": (-2.0, 2.0),
}

_Episode = tuple[Floats, npt.NDArray[np.int64], Floats, Floats, npt.NDArray[np.int64]]


def _episode(
    rng: np.random.Generator,
    novel: Sequence[Floats],
    probabilities: Sequence[Floats],
    shots: Sequence[int],
    words: Sequence[int],
) -> _Episode:
    count = min(int(rng.choice(words)), len(novel))
    number = int(rng.choice(shots))
    bank, owners, queries, said, answers = [], [], [], [], []
    for index, word in enumerate(rng.choice(len(novel), count, replace=False)):
        order = rng.permutation(len(novel[word]))
        taught, asked = order[:number], order[number : number + 10]
        bank.append(novel[word][taught])
        owners += [index] * len(taught)
        queries.append(novel[word][asked])
        said.append(probabilities[word][asked])
        answers += [index] * len(asked)
    return (
        np.concatenate(bank),
        np.array(owners, np.int64),
        np.concatenate(queries),
        np.concatenate(said),
        np.array(answers, np.int64),
    )
