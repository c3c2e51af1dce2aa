"""Drawings to learn from: Quick, Draw! words, and digits turned into strokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def read_sketches(
    path: Path,
    *,
    words: Sequence[str] = (),
    most: int = 0,
    each: Mapping[str, int] | None = None,
) -> Drawings:
    """Read a Parquet table with the columns ``word``, ``drawing`` and ``split``.

    Parameters
    ----------
    words
        Only these; all if empty.
    most
        At most so many drawings a word and split, the first ones; 0 for all.
    each
        The same by split; splits that are not named are not read.

    Raises
    ------
    ValueError
        If there is no drawing.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["word", "drawing", "split"])
    named = np.array(table["word"].to_pylist(), np.str_)
    splits = np.array(table["split"].to_pylist(), np.str_)
    rows = _first(named, splits, dict.fromkeys(SPLITS, most) if each is None else each)
    if words:
        rows = rows[np.isin(named[rows], list(words))]
    if not len(rows):
        raise ValueError(f"{path.name} holds no drawings")
    found = [as_strokes(drawing) for drawing in table["drawing"].take(rows).to_pylist()]
    names, labels = np.unique(named[rows], return_inverse=True)
    return Drawings(tuple(found), tuple(names.tolist()), labels.astype(np.int64), splits[rows])


def _first(
    words: NDArray[np.str_], splits: NDArray[np.str_], each: Mapping[str, int]
) -> NDArray[np.int64]:
    """Rows of the first so many drawings of each word in each of the splits; 0 for all."""
    chosen, seen = [], dict[tuple[str, str], int]()
    for row, key in enumerate(zip(words.tolist(), splits.tolist(), strict=True)):
        seen[key] = seen.get(key, 0) + 1
        if key[1] in each and (not each[key[1]] or seen[key] <= each[key[1]]):
            chosen.append(row)
    return np.array(chosen, np.int64)


def read_digits(
    path: Path, *, tests: int = 1000, most: int = 0, each: Mapping[str, int] | None = None
) -> Drawings:
    """Read digits from an ``.npz`` with ``images`` uint8 ``[N, 28, 28]`` and ``labels``.

    They are traced into strokes, so that the same pen draws them as draws the words. The last
    ``tests`` (at most a quarter) are the test split, as many before them validate.

    Parameters
    ----------
    most
        Only the first so many of the file; 0 for all.
    each
        At most so many of a digit, by split; see :func:`read_sketches`.
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
    if each is not None:
        rows = _first(labels.astype(np.str_), splits, each)
        images, labels, splits = images[rows], labels[rows], splits[rows]
    strokes = trace_many(images)
    drawn = np.array([len(s) > 0 for s in strokes], bool)
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
