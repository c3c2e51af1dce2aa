"""Drawings to learn from: Quick, Draw! words, and digits turned into strokes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger.strokes import Stroke, Strokes

DIGITS = tuple("0123456789")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Drawings:
    """Drawings with their words.

    Attributes
    ----------
    strokes
        N drawings.
    words
        Names of the W classes, sorted; digits come last.
    labels
        int64 ``[N]``, into ``words``.
    splits
        Text ``[N]``: train, val or test.
    """

    strokes: tuple[Strokes, ...]
    words: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.strokes)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Row numbers of a split."""
        return np.flatnonzero(self.splits == split)

    @property
    def digits(self) -> NDArray[np.bool_]:
        """Bool ``[N]``: which drawings are digits."""
        return np.isin(np.array(self.words)[self.labels], DIGITS)


def read_sketches(path: Path, *, words: Sequence[str] = (), most: int = 0) -> Drawings:
    """Read a Parquet table with the columns ``word``, ``drawing`` and ``split``.

    Parameters
    ----------
    words
        Only these; all if empty.
    most
        At most so many drawings a word and split, the first ones; 0 for all.

    Raises
    ------
    ValueError
        If there is no drawing.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["word", "drawing", "split"])
    found, labels, splits = [], [], []
    seen: dict[tuple[str, str], int] = {}
    for row in table.to_pylist():
        word, split = row["word"], row["split"]
        if words and word not in words:
            continue
        seen[word, split] = seen.get((word, split), 0) + 1
        if most and seen[word, split] > most:
            continue
        found.append(as_strokes(row["drawing"]))
        labels.append(word)
        splits.append(split)
    if not found:
        raise ValueError(f"{path.name} holds no drawings")
    names = tuple(sorted(set(labels)))
    return Drawings(
        tuple(found), names, np.searchsorted(names, labels).astype(np.int64), np.array(splits)
    )


def read_digits(path: Path, *, tests: int = 1000, most: int = 0) -> Drawings:
    """Read digits from an ``.npz`` with ``images`` uint8 ``[N, 28, 28]`` and ``labels``.

    They are traced into strokes, so that the same pen draws them as draws the words. The last
    ``tests`` (at most a quarter) are the test split, as many before them validate.
    """
    from tagger.tracing import trace_many

    with np.load(path) as file:
        images, labels = file["images"], file["labels"].astype(np.int64)
    if most:
        images, labels = images[:most], labels[:most]
    tests = min(tests, len(images) // 4)
    splits = np.full(len(images), "train")
    splits[-2 * tests : -tests] = "val"
    splits[-tests:] = "test"
    strokes = trace_many(images)
    drawn = np.array([len(s) > 0 for s in strokes])
    kept = [s for s in strokes if len(s)]
    return Drawings(tuple(kept), DIGITS, labels[drawn], splits[drawn])


def join(first: Drawings, second: Drawings) -> Drawings:
    """Both, with the words of the second after those of the first."""
    if set(first.words) & set(second.words):
        raise ValueError("two sets of drawings share words")
    return Drawings(
        first.strokes + second.strokes,
        first.words + second.words,
        np.concatenate([first.labels, second.labels + len(first.words)]),
        np.concatenate([first.splits, second.splits]),
    )


def as_strokes(drawing: Sequence[Sequence[Sequence[Any]]]) -> Strokes:
    """Strokes of ``[[[x...], [y...]], ...]`` from a source that is trusted."""
    return tuple(
        Stroke(np.asarray(stroke[0], np.float32), np.asarray(stroke[1], np.float32))
        for stroke in drawing
    )
