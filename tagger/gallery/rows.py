"""Tags of many pictures in little room: for each the numbers of its tags, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# What one picture has at most; with more, something is wrong.
_MAX_A_ROW = 200_000


@dataclass(frozen=True, eq=False)
class TagRows:
    """Tags of N pictures, as a sparse matrix by rows (CSR).

    Attributes
    ----------
    start : int32, shape [N + 1]
        The tags of picture n are at ``start[n]`` to ``start[n + 1] - 1`` of the others.
    tag : int16 or int32, shape [M]
        Tag numbers; of one picture, each at most once.
    probability : float16, shape [M]
        0..1.
    tags : int
        T: numbers are below it.

    Raises
    ------
    ValueError
        If they do not fit together.
    """

    start: npt.NDArray[np.int32]
    tag: npt.NDArray[Any]
    probability: npt.NDArray[np.float16]
    tags: int

    def __post_init__(self) -> None:
        # In wider numbers: differences of hostile ones would wrap around, and seem small.
        lengths = np.diff(self.start.astype(np.int64)) if self.start.ndim == 1 else np.empty(0)
        good = (
            self.start.dtype == np.int32
            and self.tag.dtype in (np.int16, np.int32)
            and self.probability.dtype == np.float16
            and self.start.ndim == self.tag.ndim == self.probability.ndim == 1
            and len(self.start) > 0
            and self.start[0] == 0
            and self.start[-1] == len(self.tag) == len(self.probability)
            and bool(((lengths >= 0) & (lengths <= _MAX_A_ROW)).all())
            and bool(((self.tag >= 0) & (self.tag < self.tags)).all())
            # Written so that "not a number" fails, too.
            and bool(((self.probability >= 0) & (self.probability <= 1)).all())
        )
        if not good:
            raise ValueError("no rows of tags")
        # Sorted, not by `unique`: of millions of pairs, nearly in order, that takes a tenth.
        pairs = np.sort(self.rows * self.tags + self.tag)
        if bool((pairs[1:] == pairs[:-1]).any()):
            raise ValueError("a tag twice")

    def __len__(self) -> int:
        return len(self.start) - 1

    @cached_property
    def rows(self) -> Ints:
        """Picture of each entry: int64, shape [M]."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def of(self, n: int) -> list[tuple[int, float]]:
        """Tags of a picture and their probabilities, most probable first."""
        if not 0 <= n < len(self):
            raise IndexError(n)
        part = slice(self.start[n], self.start[n + 1])
        found = zip(self.tag[part].tolist(), self.probability[part].tolist(), strict=True)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def column(self, tag: int) -> Floats:
        """Probability of one tag for all pictures, 0 where nothing is kept: float32, shape [N]."""
        values = np.zeros(len(self), np.float32)
        found = self.tag == tag
        values[self.rows[found]] = self.probability[found]
        return values

    def has(self, tag: int) -> Bools:
        """Which pictures have an entry for a tag: bool, shape [N]."""
        there = np.zeros(len(self), np.bool_)
        there[self.rows[self.tag == tag]] = True
        return there

    def counts(self, mask: Bools | None = None) -> Ints:
        """How many pictures have each tag: int64, shape [T].

        Parameters
        ----------
        mask : bool, shape [N], optional
            Which pictures to count; by default all.
        """
        tags = self.tag if mask is None else self.tag[np.asarray(mask, np.bool_)[self.rows]]
        return np.bincount(tags, minlength=self.tags).astype(np.int64)

    @classmethod
    def pack(cls, rows: Iterable[Sequence[tuple[int, float]]], tags: int) -> TagRows:
        """Make them of the tags and probabilities of each picture.

        Raises
        ------
        ValueError
            If a number is not below `tags`, a probability not 0..1, or a tag there twice.
        """
        lengths, numbers, values = [0], [], []
        for row in rows:
            lengths.append(len(row))
            numbers += [tag for tag, _ in row]
            values += [value for _, value in row]
        start = np.cumsum(lengths)
        if start[-1] >= 2**31:
            raise ValueError("too many tags")
        if numbers and not 0 <= min(numbers) <= max(numbers) < tags:
            raise ValueError("no such tag")  # before it overflows
        kind = np.int16 if tags <= np.iinfo(np.int16).max else np.int32
        return cls(
            start.astype(np.int32), np.array(numbers, kind), np.array(values, np.float16), tags
        )

    @classmethod
    def certain(cls, rows: Iterable[Sequence[int]], tags: int) -> TagRows:
        """Make them of tag numbers that hold, with probability 1."""
        return cls.pack(([(tag, 1.0) for tag in row] for row in rows), tags)
