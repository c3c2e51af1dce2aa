"""An index of embeddings that can be asked what is near, and changed meanwhile.

It does what TensorFlow Similarity's indexer does (github.com/tensorflow/similarity, ``indexer.py``)
for items with many tags each, and lets them be removed and changed as well.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tagger.errors import IndexFileError, RequestError
from tagger.similarity import calibration as calibrating
from tagger.similarity import files, hnsw
from tagger.similarity.calibration import Calibration, Match
from tagger.similarity.hnsw import Graph
from tagger.similarity.items import MAX_DIMENSION, Item, Neighbour, check_room, item, unit
from tagger.similarity.labels import Labels
from tagger.similarity.snapshot import Snapshot
from tagger.similarity.stats import Stats, Timings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

Search = Literal["auto", "exact", "hnsw"]
Precision = Literal["float32", "float16"]

# Up to so many, the exact search is quick enough: some ten milliseconds.
EXACT_UP_TO = 100_000


class Index:
    """Embeddings of length one, by cosine. May be used from any thread.

    Who looks up never waits for who changes something in the exact search, and briefly in the
    approximate one; changes wait for each other. A lookup sees every change whole or not at all.

    Parameters
    ----------
    dimension : int
        D.
    model : str
        Hash of the model that makes the embeddings: a file of another model is refused.
    search : {"auto", "exact", "hnsw"}
        How neighbours are found: exactly by NumPy; by usearch's graph; or exactly up to 100,000
        items and by the graph above, if usearch is installed.
    precision : {"float32", "float16"}
        How embeddings are kept. Halves take half the room; a cosine is then off by some 0.0002.
    exact_up_to : int
        Where ``"auto"`` changes over.

    Raises
    ------
    RequestError
        ``index-no-usearch`` for ``"hnsw"`` without the library.
    """

    def __init__(
        self,
        dimension: int,
        model: str,
        *,
        search: Search = "auto",
        precision: Precision = "float32",
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        if not 1 <= dimension <= MAX_DIMENSION:
            raise ValueError(f"dimension must be from 1 to {MAX_DIMENSION}")
        if search not in get_args(Search) or precision not in get_args(Precision):
            raise ValueError("no such search, or no such precision")
        self.dimension = dimension
        self.model = model
        self.search: Search = search
        self.precision: Precision = precision
        self._exact_up_to = exact_up_to
        self._timings = Timings()
        self._calibration: Calibration | None = None
        # Whoever changes something holds the first for as long as it takes, and the second for
        # the moment in which snapshot and rows change together.
        self._writing = threading.Lock()
        self._changing = threading.Lock()
        self._now, self._row_of, self._next_key = self._nothing(), dict[str, int](), 0

    def close(self) -> None:
        """Nothing is to be closed here, other than of an index in a database."""

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what it holds ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._now.size

    def __contains__(self, id: object) -> bool:
        with self._changing:
            return id in self._row_of

    def snapshot(self) -> Snapshot:
        """What it holds now, for reading at leisure."""
        return self._now

    def ids(self) -> list[str]:
        """Of all items, in the order of their coming."""
        now = self._now
        return [now.items[row].id for row in now.rows.tolist()]

    def get(self, id: str) -> Item | None:
        """An item; None if there is none of that name."""
        with self._changing:
            row = self._row_of.get(id)
            return None if row is None else self._now.items[row]

    def embedding(self, id: str) -> Floats | None:
        """The embedding kept of an item: float32, shape [D]; None if there is no such item."""
        with self._changing:
            row, now = self._row_of.get(id), self._now
        return None if row is None else now.vectors[row].astype(np.float32)

    @property
    def calibration(self) -> Calibration | None:
        """Cut-points; None before :meth:`calibrate`."""
        return self._calibration

    def stats(self) -> Stats:
        """How it is doing."""
        now, (lookups, latency) = self._now, self._timings.summary()
        return Stats(
            size=now.size,
            dimension=self.dimension,
            search="exact" if now.graph is None else "hnsw",
            precision=self.precision,
            bytes=now.vectors.nbytes,
            removed=now.count - now.size,
            lookups=lookups,
            latency=latency,
            calibrated=self._calibration is not None,
        )

    # --- changing it -----------------------------------------------------------------------------

    def add(
        self,
        id: str,
        embedding: npt.ArrayLike,
        labels: Iterable[int] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an item; arguments and errors as :meth:`add_many`."""
        self.add_many([id], unit(embedding, self.dimension), [labels], [metadata])

    def add_many(
        self,
        ids: Sequence[str],
        embeddings: npt.ArrayLike,
        labels: Sequence[Iterable[int]] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Add items: all of them, or none if one is refused.

        Parameters
        ----------
        ids : sequence of str
            N names, each new.
        embeddings : float, shape [N, D]
            Of any length but zero.
        labels : sequence of iterables of int, optional
            Tag numbers of each.
        metadata : sequence of mappings, optional
            Of each, at most 4 KiB as JSON.
        replace : bool
            Let new items take the place of those with the same name.

        Raises
        ------
        RequestError
            ``index-id-exists``, ``index-id-invalid``, ``index-embedding-invalid``,
            ``index-labels-invalid`` or ``index-metadata-invalid``.
        LimitError
            ``index-full``.
        """
        rows = unit(embeddings, self.dimension)
        if not len(rows) == len(ids) == len(ids if labels is None else labels):
            raise ValueError("as many embeddings and labels as ids are needed")
        if metadata is not None and len(metadata) != len(ids):
            raise ValueError("as many metadata as ids are needed")
        items = [
            item(id, () if labels is None else labels[i], None if metadata is None else metadata[i])
            for i, id in enumerate(ids)
        ]
        if len(set(ids)) < len(ids):
            raise RequestError("index-id-exists", id=Counter(ids).most_common(1)[0][0])
        with self._writing:
            there = [id for id in ids if id in self._row_of]
            if there and not replace:
                raise RequestError("index-id-exists", id=there[0])
            check_room(self._now.size + len(ids) - len(there))
            self._put(items, rows, there)

    def update(
        self,
        id: str,
        *,
        embedding: npt.ArrayLike | None = None,
        labels: Iterable[int] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given of an item. With another embedding, it counts as the last to come.

        Raises
        ------
        RequestError
            ``index-id-unknown``, or as :meth:`add_many`.
        """
        vector = None if embedding is None else unit(embedding, self.dimension)
        if vector is not None and len(vector) != 1:
            raise RequestError("index-embedding-invalid", dimension=self.dimension)
        with self._writing:
            row = self._row_of.get(id)
            if row is None:
                raise RequestError("index-id-unknown", id=id)
            old = self._now.items[row]
            new = item(
                id,
                old.labels if labels is None else labels,
                old.metadata if metadata is None else metadata,
            )
            if vector is None:
                self._rewrite({row: new})
            else:
                self._put([new], vector, [id])

    def relabel(self, labels: Mapping[str, Iterable[int]]) -> None:
        """Give items other labels, all of them at once: ``{id: tag numbers}``.

        Raises
        ------
        RequestError
            ``index-id-unknown`` or ``index-labels-invalid``; then nothing is changed.
        """
        with self._writing:
            new = {}
            for id, numbers in labels.items():
                row = self._row_of.get(id)
                if row is None:
                    raise RequestError("index-id-unknown", id=id)
                new[row] = dataclasses.replace(
                    self._now.items[row], labels=item(id, numbers).labels
                )
            self._rewrite(new)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove items; names that are not there are passed over. Returns how many were."""
        with self._writing:
            there = [id for id in dict.fromkeys(ids) if id in self._row_of]
            if there:
                self._put([], np.empty((0, self.dimension), np.float32), there)
            return len(there)

    def reset(self) -> None:
        """Remove everything, cut-points and statistics included."""
        with self._writing, self._changing:
            self._now, self._row_of = self._nothing(), {}
            self._calibration = None
            self._timings.clear()

    # --- asking it -------------------------------------------------------------------------------

    def lookup(self, embedding: npt.ArrayLike, k: int = 10) -> list[Neighbour]:
        """The nearest items to one embedding; see :meth:`lookup_many`."""
        rows = unit(embedding, self.dimension)
        if len(rows) != 1:
            raise RequestError("index-embedding-invalid", dimension=self.dimension)
        return self._lookup(rows, k)[0]

    def lookup_many(self, embeddings: npt.ArrayLike, k: int = 10) -> list[list[Neighbour]]:
        """Find the k nearest items to each embedding, nearest first.

        Parameters
        ----------
        embeddings : float, shape [N, D]
            Of any length but zero.
        k : int
            How many at most.
        """
        return self._lookup(unit(embeddings, self.dimension), k)

    def neighbours(self, id: str, k: int = 10) -> list[Neighbour]:
        """Find the k items nearest to one of them, itself left out.

        Raises
        ------
        RequestError
            ``index-id-unknown``.
        """
        with self._changing:
            row, now = self._row_of.get(id), self._now
        if row is None:
            raise RequestError("index-id-unknown", id=id)
        # In halves it is not quite of length one.
        own = unit(now.vectors[row], self.dimension)
        return self._lookup(own, k, now, np.array([row], np.int64))[0]

    def _lookup(
        self, queries: Floats, k: int, now: Snapshot | None = None, skip: Ints | None = None
    ) -> list[list[Neighbour]]:
        if k < 1:
            raise ValueError("k must be at least 1")
        now = now or self._now
        begun = time.perf_counter()
        rows, cosines = now.find(queries, k, skip)
        found = [
            [
                Neighbour(place, cosine, now.items[row])
                for place, (row, cosine) in enumerate(zip(ours, theirs, strict=True), 1)
                if row >= 0
            ]
            for ours, theirs in zip(rows.tolist(), cosines.tolist(), strict=True)
        ]
        if len(queries):
            self._timings.note(time.perf_counter() - begun, len(queries))
        return found

    # --- cut-points ------------------------------------------------------------------------------

    def calibrate(
        self,
        embeddings: npt.ArrayLike | None = None,
        labels: Iterable[Iterable[int]] | None = None,
        **options: Any,
    ) -> Calibration:
        """Choose the cut-points of :meth:`match`, and keep them.

        Parameters
        ----------
        embeddings : float, shape [Q, D], optional
            Of queries that are not indexed. Without them, each item is asked for with itself left
            out.
        labels : iterable of iterables of int
            What they are. Labels that no item has cannot be found and are passed over: a query
            that has no others should end as unknown.
        **options
            Of :func:`tagger.similarity.calibration.calibrate`.
        """
        now = self._now
        if embeddings is None:
            queries, truth, skip = now.embeddings, now.labels, now.rows
            queries = unit(queries, self.dimension) if len(queries) else queries
        else:
            known = now.labels.holders
            queries, skip = unit(embeddings, self.dimension), None
            truth = Labels((tag for tag in one if tag in known) for one in labels or ())
        settings = calibrating.Options(**options)
        decisions = self._decide(now, queries, settings.k, settings.matcher, settings.single, skip)
        self._calibration = calibrating.calibrate(decisions, truth, settings)
        return self._calibration

    def use(self, calibration: Calibration | None) -> None:
        """Keep cut-points that were chosen elsewhere, or none."""
        self._calibration = calibration

    def match(self, embeddings: npt.ArrayLike) -> list[tuple[Match, ...]]:
        """Tell which tags embeddings have, by their neighbours and the cut-points.

        Returns
        -------
        list
            For each embedding its tags, surest first; none of them means: unknown.

        Raises
        ------
        RequestError
            ``index-not-calibrated``.
        """
        cuts = self._calibration
        if cuts is None:
            raise RequestError("index-not-calibrated")
        queries = unit(embeddings, self.dimension)
        decisions = self._decide(self._now, queries, cuts.k, cuts.matcher, cuts.single, None)
        return calibrating.match(decisions, cuts, len(queries))

    @staticmethod
    def _decide(
        now: Snapshot, queries: Floats, k: int, matcher: str, single: bool, skip: Ints | None
    ) -> calibrating.Decisions:
        rows, cosines = now.find(queries, k, skip)
        return calibrating.decide(
            [[now.items[row].labels for row in found if row >= 0] for found in rows.tolist()],
            cosines,
            k,
            matcher,
            single,
        )

    # --- file ------------------------------------------------------------------------------------

    def save(self, path: Path, *, graphs: Path | None = None) -> None:
        """Write all to a file, which is whole at any time.

        Parameters
        ----------
        path : Path
            The file; replaced when the new one is complete.
        graphs : Path, optional
            A folder of this machine for the graph, which is not part of the file: it can be made
            again from it, and the library that reads it trusts what it reads.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with self._changing:
            now, cuts, next_key = self._now, self._calibration, self._next_key
        rows = now.rows
        content = files.Content(
            model=self.model,
            search=self.search,
            vectors=now.vectors[: now.count] if now.alive is None else now.vectors[rows],
            keys=now.keys[rows],
            items=[now.items[row] for row in rows.tolist()],
            next_key=next_key,
            calibration=cuts.to_dict() if cuts else None,
        )
        files.write(path, content)
        if graphs is not None and now.graph is not None:
            files.write_graph(graphs, content, now.graph)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        model: str | None = None,
        search: Search | None = None,
        graphs: Path | None = None,
        exact_up_to: int = EXACT_UP_TO,
    ) -> Index:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : Path
            The file.
        model : str, optional
            Hash of the model whose index it must be; without it, any model's is read.
        search : {"auto", "exact", "hnsw"}, optional
            By default as it was saved.
        graphs : Path, optional
            The folder given to :meth:`save`. A graph that is not there is made anew, which takes
            some time for many items, and kept there.

        Raises
        ------
        IndexFileError
            ``index-not-found``, ``index-foreign``, ``index-damaged`` or ``index-too-new``.
        """
        content = files.read(path)
        if model is not None and content.model != model:
            raise IndexFileError("index-foreign")
        try:
            cuts = content.calibration and Calibration.from_dict(content.calibration)
            index = cls(
                content.vectors.shape[1],
                content.model,
                search=search or content.search,  # type: ignore[arg-type]  # checked below
                precision=content.vectors.dtype.name,  # type: ignore[arg-type]
                exact_up_to=exact_up_to,
            )
        except ValueError as error:
            raise IndexFileError("index-damaged") from error
        index._calibration = cuts or None
        index._next_key = content.next_key
        count = len(content.items)
        graph = None
        if index._wants_graph(count):
            graph = files.read_graph(graphs, content) if graphs else None
            if graph is None:
                graph = Graph(index.dimension)
                graph.add(content.keys, content.vectors)
                if graphs is not None:
                    files.write_graph(graphs, content, graph)
        index._now = Snapshot(
            content.vectors, content.keys, content.items, count, count, None, graph
        )
        index._row_of = {entry.id: row for row, entry in enumerate(content.items)}
        return index

    # --- within the lock of those who change something -------------------------------------------

    def _nothing(self) -> Snapshot:
        vectors = np.empty((0, self.dimension), self.precision)
        graph = Graph(self.dimension) if self._wants_graph(0) else None
        return Snapshot(vectors, np.empty(0, np.int64), [], 0, 0, None, graph)

    def _wants_graph(self, size: int) -> bool:
        if self.search == "auto":
            return size > self._exact_up_to and hnsw.installed()
        return self.search == "hnsw"

    def _rewrite(self, changed: Mapping[int, Item]) -> None:
        """Put other items in the places of some; their embeddings stay."""
        new = self._now.rewritten(changed)
        with self._changing:
            self._now = new

    def _put(self, items: list[Item], rows: Floats, gone: list[str]) -> None:
        """Take some items out and others in, as one change."""
        now = self._now
        rows_gone = np.array([self._row_of[id] for id in gone], np.int64)
        base = now.without(rows_gone)
        # Half of the rows are of nobody: make them anew; whoever reads the old ones keeps them.
        fresh = base.count - base.size > max(1_024, base.size)
        base = base.compact() if fresh else base
        new = base.extended(items, rows, self._next_key)
        self._next_key += len(items)
        new = self._with_graph(new, base.count, now.keys[rows_gone])
        with self._changing:
            self._now = new
            if fresh:
                self._row_of = {e.id: i for i, e in enumerate(new.items[: new.count])}
            else:
                for id in gone:
                    del self._row_of[id]
                for row in range(base.count, new.count):
                    self._row_of[new.items[row].id] = row

    def _with_graph(self, new: Snapshot, start: int, gone: Ints) -> Snapshot:
        graph = new.graph
        if graph is not None:
            if graph.removed + len(gone) <= max(1_024, new.size // 2):
                if len(gone):
                    graph.remove(gone)
                graph.add(new.keys[start : new.count], new.vectors[start : new.count])
                return new
        elif not self._wants_graph(new.size):
            return new
        # A graph that has lost much finds less well; and the one that is there stays in use.
        graph = Graph(self.dimension)
        graph.add(new.keys[new.rows], new.vectors[new.rows])
        return dataclasses.replace(new, graph=graph)
