"""An index in PostgreSQL, with pgvector, that several replicas of the app share.

It has the interface of :class:`tagger.similarity.Index` and gives its answers: the server proposes
neighbours, exactly or by its graph (HNSW), and what it proposes is scored here by the same rule.
Every change is one transaction; changes of one index wait for each other, over all replicas, and
who looks up waits for nobody. An index is a row in the table ``tagger_indexes`` and a table of its
own, so that one database holds as many as one likes, each bound to its model.

pgvector: github.com/pgvector/pgvector, version 0.8 or later.
"""

from __future__ import annotations

import json
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from tagger.collection.database import Database
from tagger.errors import IndexFileError, RequestError, StoreError
from tagger.places import is_url
from tagger.similarity import calibration as calibrating
from tagger.similarity import exact
from tagger.similarity.calibration import Calibration, Match
from tagger.similarity.index import Index, Precision, Search
from tagger.similarity.items import MAX_DIMENSION, Item, Neighbour, check_room, item, unit
from tagger.similarity.snapshot import Snapshot
from tagger.similarity.stats import Stats, Timings

Floats = npt.NDArray[np.float32]
T = TypeVar("T")

FORMAT_VERSION = 1

# Up to so many the server compares with all: about ten milliseconds.
EXACT_UP_TO = 10_000

# pgvector's graph: edges a node, how widely it is searched while it grows and when it is asked,
# and how widely at most.
_EDGES, _GROW, _ASK, _ASK_MOST = 16, 128, 96, 1_000
# How wide embeddings may be that it takes.
_GRAPH_WIDTH = {"vector": 2_000, "halfvec": 4_000}
# Memory for making a graph.
_GRAPH_MEMORY = "512MB"

# Neighbours that the server proposes beyond those asked for: it rounds otherwise than we do.
_SPARE = 16
# Queries in one statement, and comparisons, which the server is not to take too long for.
_BLOCK = 32
_COMPARISONS = 1_000_000

# For the transaction that it is in.
_SET = sa.text(
    "SELECT set_config(name, value, true) "
    "FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS given (name, value)"
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")

_CODES = {
    "store-bad-url": "index-bad-url",
    "store-busy": "index-busy",
    "store-read-only": "index-read-only",
    "store-unavailable": "index-unavailable",
}

_REGISTRY = """
CREATE TABLE IF NOT EXISTS tagger_indexes (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    format_version integer NOT NULL,
    model text NOT NULL,
    dimension integer NOT NULL,
    precision text NOT NULL,
    search text NOT NULL,
    exact_up_to integer NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    calibration text
)
"""


def open_index(
    place: str | Path, *, model: str | None = None, search: Search | None = None, **options: Any
) -> Index | PgIndex:
    """Open an index where it is: in a file, or in a database.

    Parameters
    ----------
    place : str or Path
        A file, or ``postgresql://USER:PASSWORD@HOST/DATABASE?index=NAME``.
    model, search : str, optional
        As :meth:`tagger.similarity.Index.load`.
    **options
        Of :meth:`tagger.similarity.Index.load`, for files.
    """
    if is_url(place):
        return PgIndex.open(str(place), model=model, search=search)
    return Index.load(Path(place), model=model, search=search, **options)


class PgIndex:
    """An index that lives in a database. May be used from any thread, and by many programs.

    Made by :meth:`create` or :meth:`open`; a context manager that closes its connections.

    Attributes
    ----------
    dimension : int
        D.
    model : str
        Hash of the model that makes the embeddings.
    search : {"auto", "exact", "hnsw"}
        How it is asked: ``"auto"`` makes a graph when there are more than `exact_up_to` items.
    precision : {"float32", "float16"}
        How embeddings are kept: ``vector`` or ``halfvec``.
    name : str
        Which index of the database.
    """

    def __init__(self, database: Database, facts: Mapping[str, Any], search: Search | None) -> None:
        self.dimension: int = facts["dimension"]
        self.model: str = facts["model"]
        self.search: Search = search or facts["search"]
        self.precision: Precision = facts["precision"]
        self.name: str = facts["name"]
        self._database = database
        self._number: int = facts["number"]
        self._table = f"tagger_index_{self._number}"
        self._kind = "vector" if self.precision == "float32" else "halfvec"
        self._timings = Timings()

    # --- where it is -----------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        url: str,
        dimension: int,
        model: str,
        *,
        search: Search = "auto",
        precision: Precision = "float32",
        exact_up_to: int = EXACT_UP_TO,
        timeout: float = 10.0,
    ) -> PgIndex:
        """Make a new, empty index, or open the one that is there if it is of the same form.

        Parameters
        ----------
        url : str
            ``postgresql://USER:PASSWORD@HOST/DATABASE?index=NAME``; without a name ``pictures``.
        dimension, model, search, precision, exact_up_to
            As of :class:`tagger.similarity.Index`.
        timeout : float
            Seconds to wait for others who change it.

        Raises
        ------
        IndexFileError
            ``index-bad-url``, ``index-unavailable``, ``index-no-pgvector``; ``index-foreign`` if
            one of that name is there that belongs to another model, or is of another dimension.
        RequestError
            ``index-too-wide``: embeddings too wide for the server's graph, and ``"hnsw"``.
        """
        if not 1 <= dimension <= MAX_DIMENSION:
            raise ValueError(f"dimension must be from 1 to {MAX_DIMENSION}")
        if search not in get_args(Search) or precision not in get_args(Precision):
            raise ValueError("no such search, or no such precision")
        kind = "vector" if precision == "float32" else "halfvec"
        if search == "hnsw" and dimension > _GRAPH_WIDTH[kind]:
            raise RequestError("index-too-wide", limit=_GRAPH_WIDTH[kind])
        name, database = _connect(url, timeout)
        try:
            with _worded():
                database.write(_prepare)
                wanted = {
                    "name": name,
                    "format_version": FORMAT_VERSION,
                    "model": model,
                    "dimension": dimension,
                    "precision": precision,
                    "search": search,
                    "exact_up_to": exact_up_to,
                }
                database.write(lambda connection: _register(connection, wanted, kind))
            index = cls._found(database, name, model, None)
            if index.dimension != dimension:
                raise IndexFileError("index-foreign")
            return index
        except BaseException:
            database.close()
            raise

    @classmethod
    def open(
        cls,
        url: str,
        *,
        model: str | None = None,
        search: Search | None = None,
        timeout: float = 10.0,
    ) -> PgIndex:
        """Open an index that is there.

        Parameters
        ----------
        url : str
            As for :meth:`create`.
        model : str, optional
            Hash of the model whose index it must be; without it, any model's is opened.
        search : {"auto", "exact", "hnsw"}, optional
            How it is asked, by default as it was made. No graph is made by opening.

        Raises
        ------
        IndexFileError
            ``index-not-found``, ``index-foreign``, ``index-too-new``, ``index-bad-url``,
            ``index-unavailable``.
        """
        name, database = _connect(url, timeout)
        try:
            return cls._found(database, name, model, search)
        except BaseException:
            database.close()
            raise

    @classmethod
    def _found(
        cls, database: Database, name: str, model: str | None, search: Search | None
    ) -> PgIndex:
        with _worded(), database.read() as connection:
            if connection.scalar(sa.text("SELECT to_regclass('tagger_indexes')")) is None:
                raise IndexFileError("index-not-found")
            query = sa.text("SELECT * FROM tagger_indexes WHERE name = :name")
            facts = connection.execute(query, {"name": name}).mappings().one_or_none()
        if facts is None:
            raise IndexFileError("index-not-found")
        if facts["format_version"] > FORMAT_VERSION:
            raise IndexFileError("index-too-new")
        if model is not None and facts["model"] != model:
            raise IndexFileError("index-foreign")
        return cls(database, dict(facts), search)

    def close(self) -> None:
        """Close all connections; the index stays where it is."""
        self._database.close()

    def __enter__(self) -> PgIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drop(self) -> None:
        """Remove the index itself, for everybody, and close."""

        def work(connection: Connection, _: Mapping[str, Any]) -> None:
            self._run(connection, "DELETE FROM tagger_indexes WHERE number = :number")
            self._run(connection, f"DROP TABLE IF EXISTS {self._table}")

        self._write(work)
        self.close()

    # --- what it holds ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._facts()["size"])

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get(id) is not None

    def ids(self) -> list[str]:
        """Of all items, in the order of their coming."""
        with self._read() as connection:
            found = self._run(connection, f"SELECT id FROM {self._table} ORDER BY key")
            return [str(id) for id in found.scalars()]

    def get(self, id: str) -> Item | None:
        """An item; None if there is none of that name."""
        row = self._row(id)
        return None if row is None else row[1]

    def embedding(self, id: str) -> Floats | None:
        """The embedding kept of an item: float32, shape [D]; None if there is no such item."""
        row = self._row(id)
        return None if row is None else row[2]

    @property
    def calibration(self) -> Calibration | None:
        """Cut-points, of all replicas; None before :meth:`calibrate`."""
        return _calibration(self._facts())

    def stats(self) -> Stats:
        """How it is doing; lookups and latency are those of this program alone."""
        facts, (lookups, latency) = self._facts(), self._timings.summary()
        with self._read() as connection:
            graph = self._has_graph(connection)
        return Stats(
            size=facts["size"],
            dimension=self.dimension,
            search="hnsw" if graph and self.search != "exact" else "exact",
            precision=self.precision,
            bytes=facts["size"] * self.dimension * np.dtype(self.precision).itemsize,
            removed=0,
            lookups=lookups,
            latency=latency,
            calibrated=facts["calibration"] is not None,
        )

    def in_memory(self) -> Index:
        """All of it in memory, as it is now: to save it to a file, or to judge it."""
        columns = f"id, labels, metadata, {self._kind}_send(embedding)"
        with self._read() as connection:
            found = self._run(connection, f"SELECT {columns} FROM {self._table} ORDER BY key")
            rows = [tuple(row) for row in found]
        index = Index(self.dimension, self.model, search=self.search, precision=self.precision)
        data = [_item(id, labels, text).metadata for id, labels, text, _ in rows]
        vectors = self._vectors(row[3] for row in rows)
        index.add_many([row[0] for row in rows], vectors, [row[1] for row in rows], data)
        cuts = self.calibration
        if cuts is not None:
            index.use(cuts)
        return index

    def snapshot(self) -> Snapshot:
        """What it holds now, in memory, for reading at leisure."""
        return self.in_memory().snapshot()

    def save(self, path: Path, *, graphs: Path | None = None) -> None:
        """Write all to a file, as :meth:`tagger.similarity.Index.save`."""
        self.in_memory().save(path, graphs=graphs)

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

        Arguments and errors as :meth:`tagger.similarity.Index.add_many`, and ``index-busy`` if
        others change the index for too long.
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
        if any("\0" in id for id in ids):  # which no text of the server can hold
            raise RequestError("index-id-invalid", limit=1_024)
        if len(set(ids)) < len(ids):
            raise RequestError("index-id-exists", id=Counter(ids).most_common(1)[0][0])

        def work(connection: Connection, facts: Mapping[str, Any]) -> None:
            there = self._there(connection, ids)
            if there and not replace:
                raise RequestError("index-id-exists", id=there[0])
            check_room(facts["size"] + len(ids) - len(there))
            self._put(connection, facts, items, rows, there)

        self._write(work)

    def update(
        self,
        id: str,
        *,
        embedding: npt.ArrayLike | None = None,
        labels: Iterable[int] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given of an item, as :meth:`tagger.similarity.Index.update`."""
        vector = None if embedding is None else unit(embedding, self.dimension)
        if vector is not None and len(vector) != 1:
            raise RequestError("index-embedding-invalid", dimension=self.dimension)

        def work(connection: Connection, facts: Mapping[str, Any]) -> None:
            old = self._row_in(connection, id)
            if old is None:
                raise RequestError("index-id-unknown", id=id)
            new = item(
                id,
                old[1].labels if labels is None else labels,
                old[1].metadata if metadata is None else metadata,
            )
            if vector is not None:
                self._put(connection, facts, [new], vector, [id])
            else:
                self._rewrite(connection, [new])

        self._write(work)

    def relabel(self, labels: Mapping[str, Iterable[int]]) -> None:
        """Give items other labels, all of them at once: ``{id: tag numbers}``.

        Raises
        ------
        RequestError
            ``index-id-unknown`` or ``index-labels-invalid``; then nothing is changed.
        """
        new = {id: item(id, numbers).labels for id, numbers in labels.items()}

        def work(connection: Connection, _: Mapping[str, Any]) -> None:
            there = set(self._there(connection, list(new)))
            for id in new:
                if id not in there:
                    raise RequestError("index-id-unknown", id=id)
            if new:
                changed = [{"id": id, "labels": list(ours)} for id, ours in new.items()]
                update = (
                    f"UPDATE {self._table} SET labels = CAST(:labels AS integer[]) WHERE id = :id"
                )
                connection.execute(sa.text(update), changed)

        self._write(work)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove items; names that are not there are passed over. Returns how many were."""
        named = list(dict.fromkeys(ids))

        def work(connection: Connection, facts: Mapping[str, Any]) -> int:
            there = self._there(connection, named)
            if there:
                self._put(connection, facts, [], np.empty((0, self.dimension), np.float32), there)
            return len(there)

        return self._write(work)

    def reset(self) -> None:
        """Remove all items and the cut-points."""

        def work(connection: Connection, _: Mapping[str, Any]) -> None:
            # Not TRUNCATE, which those who look up would have to wait for.
            self._run(connection, f"DELETE FROM {self._table}")
            reset = "UPDATE tagger_indexes SET size = 0, calibration = NULL WHERE number = :number"
            self._run(connection, reset)

        self._write(work)
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
        row = self._row(id)
        if row is None:
            raise RequestError("index-id-unknown", id=id)
        return self._lookup(unit(row[2], self.dimension), k, row[0])[0]

    def _lookup(self, queries: Floats, k: int, skip: int | None = None) -> list[list[Neighbour]]:
        if k < 1:
            raise ValueError("k must be at least 1")
        begun = time.perf_counter()
        found: list[list[Neighbour]] = []
        start, step = 0, 1
        while start < len(queries):
            block = queries[start : start + step]
            answers, size = self._nearest(block, k, skip, self.search)
            # No answer is shorter than it could be, whatever the graph leaves out.
            wanted = min(k, size - (skip is not None))
            if self.search != "exact" and any(len(one) < wanted for one in answers):
                answers, _ = self._nearest(block, k, skip, "exact")
            found += answers
            start += step
            step = max(1, min(_BLOCK, _COMPARISONS // max(1, size)))
        if len(queries):
            self._timings.note(time.perf_counter() - begun, len(queries))
        return found

    def _nearest(
        self, queries: Floats, k: int, skip: int | None, search: str
    ) -> tuple[list[list[Neighbour]], int]:
        """Answers, and how many items there are, all from one statement: from one state."""
        limit = k + _SPARE + (skip is not None)
        asked_wide = min(_ASK_MOST, max(_ASK, limit))
        settings = {
            "jit": "off",
            "hnsw.ef_search": str(asked_wide),
            "hnsw.iterative_scan": "strict_order",
        }
        if search == "exact" or limit > _ASK_MOST:
            settings["enable_indexscan"] = "off"
        kind = f"{self._kind}({self.dimension})"
        # Queries are read once each: written into the order, they would be for every row.
        statement = sa.text(f"""
            WITH asked AS MATERIALIZED (
                SELECT CAST(text AS {kind}) AS query, place
                FROM unnest(CAST(:queries AS text[])) WITH ORDINALITY AS given (text, place)
            )
            SELECT (SELECT size FROM tagger_indexes WHERE number = :number) AS size,
                asked.place, found.key, id, labels, metadata, {self._kind}_send(embedding)
            FROM asked
            LEFT JOIN LATERAL (
                SELECT key FROM {self._table} ORDER BY embedding <#> asked.query LIMIT :limit
            ) AS found ON true
            LEFT JOIN {self._table} USING (key)
        """)
        texts = [f"[{','.join(map(str, row))}]" for row in queries.tolist()]
        with self._read() as connection:
            connection.execute(_SET, {"names": list(settings), "values": list(settings.values())})
            found = self._run(connection, statement, queries=texts, limit=limit).all()
        if not found or found[0][0] is None:
            raise IndexFileError("index-not-found")
        rows = [row for row in found if row[2] is not None and row[2] != skip]
        asked = np.array([row[1] - 1 for row in rows], np.int64)
        keys = np.array([row[2] for row in rows], np.int64)
        vectors = self._vectors(row[6] for row in rows)
        scores = exact.score(queries, vectors, asked, np.arange(len(rows)))
        items = {int(row[2]): row for row in rows}
        answers: list[list[Neighbour]] = [[] for _ in queries]
        for query, key, cosine in zip(
            *(axis.tolist() for axis in exact.first(asked, keys, scores, k)), strict=True
        ):
            _, _, _, id, labels, text, _ = items[key]
            entry = _item(id, labels, text)
            answers[query].append(Neighbour(len(answers[query]) + 1, cosine, entry))
        return answers, int(found[0][0])

    # --- cut-points ------------------------------------------------------------------------------

    def calibrate(
        self,
        embeddings: npt.ArrayLike | None = None,
        labels: Iterable[Iterable[int]] | None = None,
        **options: Any,
    ) -> Calibration:
        """Choose the cut-points of :meth:`match`, and keep them for all replicas.

        Done in memory, on a copy; arguments as :meth:`tagger.similarity.Index.calibrate`.
        """
        chosen = self.in_memory().calibrate(embeddings, labels, **options)
        self.use(chosen)
        return chosen

    def use(self, calibration: Calibration | None) -> None:
        """Keep cut-points that were chosen elsewhere, or none."""
        text = None if calibration is None else json.dumps(calibration.to_dict())

        def work(connection: Connection, _: Mapping[str, Any]) -> None:
            keep = "UPDATE tagger_indexes SET calibration = :text WHERE number = :number"
            self._run(connection, keep, text=text)

        self._write(work)

    def match(self, embeddings: npt.ArrayLike) -> list[tuple[Match, ...]]:
        """Tell which tags embeddings have, as :meth:`tagger.similarity.Index.match`."""
        cuts = self.calibration
        if cuts is None:
            raise RequestError("index-not-calibrated")
        found = self._lookup(unit(embeddings, self.dimension), cuts.k)
        cosines = np.full((len(found), cuts.k), -np.inf, np.float32)
        for row, ours in enumerate(found):
            cosines[row, : len(ours)] = [one.cosine for one in ours]
        neighbours = [[one.item.labels for one in ours] for ours in found]
        decisions = calibrating.decide(neighbours, cosines, cuts.k, cuts.matcher, cuts.single)
        return calibrating.match(decisions, cuts, len(found))

    # --- with the server -------------------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with _worded(), self._database.read() as connection:
            yield connection

    def _write(self, work: Callable[[Connection, Mapping[str, Any]], T]) -> T:
        """Do `work` in a transaction, alone among all who change this index."""

        def alone(connection: Connection) -> T:
            return work(connection, self._facts_in(connection, " FOR UPDATE"))

        with _worded():
            return self._database.write(alone)

    def _run(self, connection: Connection, statement: Any, **values: Any) -> Any:
        text = sa.text(statement) if isinstance(statement, str) else statement
        return connection.execute(text, {**values, "number": self._number})

    def _facts(self) -> Mapping[str, Any]:
        with self._read() as connection:
            return self._facts_in(connection)

    def _facts_in(self, connection: Connection, lock: str = "") -> Mapping[str, Any]:
        query = f"SELECT * FROM tagger_indexes WHERE number = :number{lock}"
        facts = self._run(connection, query).mappings().one_or_none()
        if facts is None:  # somebody has dropped it
            raise IndexFileError("index-not-found")
        return dict(facts)

    def _row(self, id: str) -> tuple[int, Item, Floats] | None:
        with self._read() as connection:
            return self._row_in(connection, id)

    def _row_in(self, connection: Connection, id: str) -> tuple[int, Item, Floats] | None:
        if "\0" in id:
            return None
        columns = f"key, labels, metadata, {self._kind}_send(embedding)"
        query = f"SELECT {columns} FROM {self._table} WHERE id = :id"
        row = self._run(connection, query, id=id).one_or_none()
        if row is None:
            return None
        return row[0], _item(id, row[1], row[2]), self._vectors([row[3]])[0]

    def _there(self, connection: Connection, ids: Sequence[str]) -> list[str]:
        """Those of the names that are in the index, in the order in which they are given."""
        query = f"SELECT id FROM {self._table} WHERE id = ANY(:ids)"
        clean = [id for id in ids if "\0" not in id]
        found = set(self._run(connection, query, ids=clean).scalars())
        return [id for id in ids if id in found]

    def _put(
        self,
        connection: Connection,
        facts: Mapping[str, Any],
        items: list[Item],
        rows: Floats,
        gone: list[str],
    ) -> None:
        """Take some items out and others in."""
        # A graph grows by some hundred items a second: no limit on the time of many.
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        if gone:
            self._run(connection, f"DELETE FROM {self._table} WHERE id = ANY(:ids)", ids=gone)
        if items:
            self._copy_in(connection, items, rows)
        size = facts["size"] + len(items) - len(gone)
        resize = "UPDATE tagger_indexes SET size = :size WHERE number = :number"
        self._run(connection, resize, size=size)
        wide = self.dimension > _GRAPH_WIDTH[self._kind]
        least = {"hnsw": 0, "auto": facts["exact_up_to"]}.get(facts["search"], size)
        # Made behind the first items: of many at once it is made faster than it grows.
        if size > least and not wide and not self._has_graph(connection):
            _make_graph(connection, self._table, self._kind)

    def _copy_in(self, connection: Connection, items: list[Item], rows: Floats) -> None:
        """Send items in the server's own form, which is some ten times as quick as its text."""
        kept = rows.astype(np.float16).astype(np.float32) if self._kind == "halfvec" else rows
        form = ">f4" if self._kind == "vector" else ">f2"
        vectors = kept.astype(form)
        head = struct.pack(">hh", self.dimension, 0)
        raw: Any = connection.connection.driver_connection
        columns = "id, labels, metadata, embedding"
        command = f"COPY {self._table} ({columns}) FROM STDIN (FORMAT BINARY)"
        with raw.cursor() as cursor, cursor.copy(command) as out:
            out.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for entry, vector in zip(items, vectors, strict=True):
                numbers = np.array([(4, one) for one in entry.labels], ">i4").tobytes()
                count = len(entry.labels)
                array = struct.pack(">iii", 1 if count else 0, 0, 23)
                if count:
                    array += struct.pack(">ii", count, 1) + numbers
                fields = (entry.id.encode(), array, entry.text.encode(), head + vector.tobytes())
                out.write(
                    struct.pack(">h", len(fields))
                    + b"".join(struct.pack(">i", len(one)) + one for one in fields)
                )
            out.write(b"\xff\xff")

    def _rewrite(self, connection: Connection, items: list[Item]) -> None:
        columns = "labels = CAST(:labels AS integer[]), metadata = :metadata"
        query = f"UPDATE {self._table} SET {columns} WHERE id = :id"
        for one in items:
            self._run(connection, query, id=one.id, labels=list(one.labels), metadata=one.text)

    def _has_graph(self, connection: Connection) -> bool:
        query = "SELECT to_regclass(:name) IS NOT NULL"
        return bool(self._run(connection, query, name=f"{self._table}_graph").scalar())

    def _vectors(self, sent: Iterable[bytes]) -> Floats:
        """Embeddings in the server's own form (two numbers of two bytes, then big-endian ones)."""
        form = ">f4" if self._kind == "vector" else ">f2"
        body = b"".join(bytes(one)[4:] for one in sent)
        rows: Floats = np.frombuffer(body, form).reshape(-1, self.dimension).astype(np.float32)
        return rows


# --- the database --------------------------------------------------------------------------------


def _connect(url: str, timeout: float) -> tuple[str, Database]:
    """Name of the index, and the database in which it is."""
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise IndexFileError("index-bad-url") from None  # its text may hold a password
    name = parsed.query.get("index", "pictures")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise IndexFileError("index-bad-url")
    plain = parsed.difference_update_query(["index"]).render_as_string(hide_password=False)
    if plain.startswith("sqlite"):
        raise IndexFileError("index-bad-url")
    with _worded():
        return name, Database(plain, timeout)


def _prepare(connection: Connection) -> None:
    """See that pgvector is there, and the list of indexes."""
    version = connection.scalar(
        sa.text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    )
    if version is None:
        available = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
        if connection.scalar(sa.text(available)) is None:
            raise IndexFileError("index-no-pgvector")
        try:
            with connection.begin_nested():
                connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS vector"))
        except exc.ProgrammingError as error:  # this user may not
            raise IndexFileError("index-no-pgvector") from error
        version = connection.scalar(
            sa.text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        )
    if tuple(int(part) for part in re.findall(r"\d+", str(version))[:2]) < (0, 8):
        raise IndexFileError("index-no-pgvector")
    connection.execute(sa.text(_REGISTRY))


def _register(connection: Connection, wanted: Mapping[str, Any], kind: str) -> None:
    """Make an index if there is none of that name."""
    names = ", ".join(wanted)
    places = ", ".join(f":{name}" for name in wanted)
    number = connection.scalar(
        sa.text(
            f"INSERT INTO tagger_indexes ({names}) VALUES ({places}) "
            "ON CONFLICT (name) DO NOTHING RETURNING number"
        ),
        dict(wanted),
    )
    if number is None:
        return
    table = f"tagger_index_{number}"
    connection.execute(
        sa.text(f"""
            CREATE TABLE {table} (
                key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                id text COLLATE "C" NOT NULL UNIQUE,
                labels integer[] NOT NULL,
                metadata text NOT NULL,
                embedding {kind}({wanted["dimension"]}) NOT NULL
            )
        """)
    )
    # Compressed, embeddings are no smaller, and slower to read.
    connection.execute(
        sa.text(f"ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE {_storage(wanted)}")
    )


def _storage(wanted: Mapping[str, Any]) -> str:
    """In the row where a page of 8 KiB has room for it, else beside it, in any case as it is."""
    size = wanted["dimension"] * np.dtype(wanted["precision"]).itemsize
    return "PLAIN" if size <= 6_000 else "EXTERNAL"


def _make_graph(connection: Connection, table: str, kind: str) -> None:
    # Helpers of the server would share memory, of which a container has little.
    connection.execute(sa.text("SET LOCAL max_parallel_maintenance_workers = 0"))
    connection.execute(
        sa.text(
            "SELECT set_config('maintenance_work_mem', :most, true) WHERE pg_size_bytes("
            "current_setting('maintenance_work_mem')) < pg_size_bytes(:most)"
        ),
        {"most": _GRAPH_MEMORY},
    )
    connection.execute(
        sa.text(
            f"CREATE INDEX IF NOT EXISTS {table}_graph ON {table} "
            f"USING hnsw (embedding {kind}_ip_ops) "
            f"WITH (m = {_EDGES}, ef_construction = {_GROW})"
        )
    )


@contextmanager
def _worded() -> Iterator[None]:
    """Let errors of the database speak of an index."""
    try:
        yield
    except StoreError as error:
        gone = getattr(error.__cause__, "sqlstate", None) == "42P01"  # no such table
        code = "index-not-found" if gone else _CODES.get(error.code)
        if code is None:
            raise
        raise IndexFileError(code) from error


def _item(id: str, labels: Sequence[int], text: str) -> Item:
    return Item(id, tuple(labels), text)


def _calibration(facts: Mapping[str, Any]) -> Calibration | None:
    text = facts["calibration"]
    if text is None:
        return None
    try:
        return Calibration.from_dict(json.loads(text))
    except ValueError as error:
        raise IndexFileError("index-damaged") from error
