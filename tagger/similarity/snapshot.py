"""What an index holds at one moment: all reading goes by this, and nothing can change under it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.similarity import exact
from tagger.similarity.hnsw import Graph
from tagger.similarity.items import Item
from tagger.similarity.labels import Labels

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Neighbours that the graph proposes beyond those asked for: some of them may be gone by now, and
# their order is by rounded vectors.
_SPARE = 16


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows of items, of which some may have been removed.

    Rows are only ever added behind those that a snapshot knows, so it may share its arrays with
    later ones.

    Attributes
    ----------
    vectors : float32 or float16, shape [capacity, D]
        Of length one; the first `count` rows are meant.
    keys : int64, shape [capacity]
        Ascending: a number that an item's embedding keeps for good, by which the graph knows it.
    items : list of Item
        Of the rows; may be longer.
    count : int
        Rows, removed ones included.
    size : int
        Items.
    alive : bool, shape [count], or None
        Which rows are items; None for all.
    graph : Graph or None
        What proposes neighbours; None for the exact search.
    """

    vectors: npt.NDArray[Any]
    keys: Ints
    items: list[Item]
    count: int
    size: int
    alive: Bools | None = None
    graph: Graph | None = None

    @cached_property
    def rows(self) -> Ints:
        """The rows that are items, ascending."""
        return np.arange(self.count) if self.alive is None else np.flatnonzero(self.alive)

    @property
    def labels(self) -> Labels:
        """Tag numbers of the items, in the order of :attr:`rows`."""
        return Labels(self.items[row].labels for row in self.rows.tolist())

    @property
    def embeddings(self) -> Floats:
        """Of the items, in the order of :attr:`rows`: float32, shape [size, D]."""
        rows: Floats = self.vectors[self.rows].astype(np.float32)
        return rows

    def find(self, queries: Floats, k: int, skip: Ints | None = None) -> tuple[Ints, Floats]:
        """Find the rows nearest to queries; arguments and result as :func:`exact.nearest`."""
        k = max(0, min(k, self.size))
        if self.graph is None:
            return self._exact(queries, k, skip)
        rows, cosines = self._proposed(self.graph, queries, k, skip)
        # No answer is shorter than it could be, whatever the graph knows by now.
        left_out = 0 if skip is None else (skip >= 0).astype(np.int64)
        short = np.flatnonzero((rows >= 0).sum(axis=1) < np.minimum(k, self.size - left_out))
        if len(short):
            own = None if skip is None else skip[short]
            rows[short], cosines[short] = self._exact(queries[short], k, own)
        return rows, cosines

    # --- what comes after it: each gives a new one and leaves this as it is ----------------------

    def without(self, rows: Ints) -> Snapshot:
        """Let some rows be of nobody."""
        if not len(rows):
            return self
        alive = np.ones(self.count, np.bool_) if self.alive is None else self.alive.copy()
        alive[rows] = False
        return dataclasses.replace(self, size=self.size - len(rows), alive=alive)

    def compact(self) -> Snapshot:
        """Leave out the rows that are of nobody."""
        rows = self.rows
        items = [self.items[row] for row in rows.tolist()]
        return Snapshot(
            self.vectors[rows], self.keys[rows], items, len(rows), len(rows), None, self.graph
        )

    def extended(self, items: list[Item], vectors: Floats, first_key: int) -> Snapshot:
        """Add rows with keys from `first_key` on, in spare room where there is some.

        Only to the newest snapshot, and by one thread at a time.
        """
        if not items:
            return self
        count = self.count + len(items)
        all_vectors, keys = self.vectors, self.keys
        if count > len(keys):
            room = max(64, count, len(keys) * 2)
            all_vectors = np.empty((room, self.vectors.shape[1]), self.vectors.dtype)
            all_vectors[: self.count] = self.vectors[: self.count]
            keys = np.empty(room, np.int64)
            keys[: self.count] = self.keys[: self.count]
        all_vectors[self.count : count] = vectors
        keys[self.count : count] = np.arange(first_key, first_key + len(items))
        # Who holds this snapshot does not look beyond its count; and what a change that failed
        # has left there goes.
        self.items[self.count :] = items
        alive = self.alive
        if alive is not None:
            alive = np.concatenate([alive, np.ones(len(items), np.bool_)])
        size = self.size + len(items)
        return dataclasses.replace(
            self, vectors=all_vectors, keys=keys, count=count, size=size, alive=alive
        )

    def rewritten(self, changed: Mapping[int, Item]) -> Snapshot:
        """Put other items in the places of some; their embeddings stay."""
        items = self.items.copy()
        for row, new in changed.items():
            items[row] = new
        return dataclasses.replace(self, items=items)

    # --- how it finds ----------------------------------------------------------------------------

    def _exact(self, queries: Floats, k: int, skip: Ints | None) -> tuple[Ints, Floats]:
        vectors = self.vectors[: self.count]
        return exact.nearest(queries, vectors, k, alive=self.alive, skip=skip)

    def _proposed(
        self, graph: Graph, queries: Floats, k: int, skip: Ints | None
    ) -> tuple[Ints, Floats]:
        asked, keys = graph.find(queries, min(k + _SPARE, self.size))
        known = self.keys[: self.count]
        rows = np.searchsorted(known, keys)
        good = rows < self.count
        good[good] = known[rows[good]] == keys[good]
        if self.alive is not None:
            good[good] = self.alive[rows[good]]
        if skip is not None:
            good &= rows != skip[asked]
        asked, rows = asked[good], rows[good]
        scores = exact.score(queries, self.vectors, asked, rows)
        return exact.table(*exact.first(asked, rows, scores, k), len(queries), k)
