"""What was pushed where: kept in the database, so that a push goes on where one broke off.

A push is made of files that are only ever added. Before a file is sent, its path and what is in it
are written down; when it has arrived, that, too. After a break only one question is left, which
the other side can answer: is that file there?
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tagger.collection import schema, vote_formats
from tagger.collection.formats import lines
from tagger.collection.store import Store

# Bounds of one file: what the Hub takes as it is, without its store for large files.
MAX_ROWS = 500
MAX_BYTES = 4 * 2**20

_p = schema.pushed.c


@dataclass(frozen=True, slots=True)
class Part:
    """A file to be sent.

    Attributes
    ----------
    path : str
        In the repository; no other file has it.
    content : bytes
        Lines of JSON.
    rows : int
        How many.
    """

    number: int
    path: str
    content: bytes
    rows: int


class Ledger:
    """What of a collection a target has.

    Parameters
    ----------
    store : Store
        The collection.
    target : str
        Any name of where it is pushed.
    """

    def __init__(self, store: Store, target: str) -> None:
        self._store = store
        self._target = target

    def unsettled(self) -> list[tuple[int, str]]:
        """Number and path of each file that was to be sent and is not known to have arrived."""
        c = schema.parts.c
        query = sa.select(c.id, c.path).where(c.target == self._target, c.done.is_(None))
        with self._store.database.read() as connection:
            return [(number, path) for number, path in connection.execute(query)]

    def settle(self, number: int, *, arrived: bool) -> None:
        """Write down whether a file is there; if not, what was in it is to be sent again."""
        this = schema.parts.c.id == number
        query = (
            schema.parts.update().where(this).values(done=_now())
            if arrived
            else schema.parts.delete().where(this)
        )
        self._store.database.write(lambda connection: connection.execute(query))

    def next_drawings(self) -> Part | None:
        """Plan a file of consenting drawings that the target lacks, or has with another label."""
        r = schema.records.c
        while True:
            missing = ~self._has(r.uid, r.revision)
            chosen = self._store.some(r.consent, missing, limit=MAX_ROWS)
            if not chosen:
                return None
            texts = _first(lines(chosen))
            rows = [(drawing.id, drawing.revision) for drawing in chosen[: len(texts)]]
            part = self._plan("data", rows, texts)
            if part is not None:
                return part

    def next_votes(self) -> Part | None:
        """Plan a file of votes that others may have and the target lacks."""
        r = schema.records.c
        while True:
            missing = ~self._has(r.uid, r.revision)
            chosen = self._store.some_public_votes(missing, limit=MAX_ROWS)
            if not chosen:
                return None
            texts = _first(vote_formats.lines(chosen))
            # A vote is never changed.
            part = self._plan("votes", [(vote.id, 1) for vote in chosen[: len(texts)]], texts)
            if part is not None:
                return part

    def next_withdrawn(self) -> Part | None:
        """Plan a file that names records that the target has and that were deleted."""
        t = schema.tombstones.c
        query = (
            sa.select(t.uid, t.revision, t.deleted)
            .where(self._has(t.uid, None), ~self._has(t.uid, t.revision))
            .order_by(t.deleted, t.uid)
            .limit(MAX_ROWS)
        )
        with self._store.database.read() as connection:
            found = connection.execute(query).all()
        if not found:
            return None
        texts = [
            json.dumps(
                {"key_id": uid, "revision": revision, "withdrawn": f"{_day(deleted)}"},
                separators=(",", ":"),
            ).encode()
            + b"\n"
            for uid, revision, deleted in found
        ]
        return self._plan("withdrawn", [(uid, revision) for uid, revision, _ in found], texts)

    def _has(
        self, uid: sa.ColumnElement[str], revision: sa.ColumnElement[int] | None
    ) -> sa.ColumnElement[bool]:
        same = [_p.target == self._target, _p.uid == uid]
        if revision is not None:
            same.append(_p.revision == revision)
        return sa.exists().where(*same)

    def _plan(
        self, folder: str, rows: Sequence[tuple[str, int]], texts: Sequence[bytes]
    ) -> Part | None:
        """Write down what is about to be sent; None if some of it was deleted meanwhile."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = f"{folder}/{stamp}-{secrets.token_hex(4)}.ndjson"
        table = schema.tombstones if folder == "withdrawn" else schema.records

        def work(connection: Connection) -> int | None:
            there = sa.select(table.c.uid, table.c.revision).where(
                table.c.uid.in_([uid for uid, _ in rows])
            )
            if not set(rows) <= {(uid, revision) for uid, revision in connection.execute(there)}:
                return None
            part = {"target": self._target, "path": path, "planned": _now()}
            number = connection.execute(
                schema.parts.insert().returning(schema.parts.c.id), [part]
            ).scalar_one()
            connection.execute(
                schema.pushed.insert(),
                [
                    {"target": self._target, "uid": uid, "revision": revision, "part": number}
                    for uid, revision in rows
                ],
            )
            return int(number)

        number = self._store.database.write(work)
        return None if number is None else Part(number, path, b"".join(texts), len(rows))


def _first(texts: Iterable[str]) -> list[bytes]:
    """As many of the lines as one file takes; at least one."""

    def fitting() -> Iterator[bytes]:
        size = 0
        for text in texts:
            line = text.encode()
            size += len(line)
            if MAX_BYTES < size > len(line):
                return
            yield line

    return list(fitting())


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%d")


def _now() -> int:
    return time.time_ns() // 1_000_000
