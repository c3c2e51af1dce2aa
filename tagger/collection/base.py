"""What all kinds of records share: whose they are, how they come in, how they go for good."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from tagger.collection import schema
from tagger.collection.database import Database
from tagger.collection.records import NewDrawing
from tagger.collection.vote_records import NewVote

Kind = Literal["drawing", "vote"]

#: Rows in one statement; a database takes only so many values at once.
CHUNK = 500

T = TypeVar("T")

_r = schema.records


class Base:
    """An open database, and the salt of what is hashed in it.

    Parameters
    ----------
    database : Database
        Of the present version.
    salt : str
        Hexadecimal; this collection's own.
    """

    def __init__(self, database: Database, salt: str) -> None:
        self.database = database
        self._salt = bytes.fromhex(salt)

    def _hash(self, *words: str) -> str:
        text = "\0".join(words).encode("utf-8", "surrogatepass")
        return hmac.new(self._salt, text, hashlib.sha256).hexdigest()[:32]

    def _key_id(self, kind: Kind, contributor: str | None, key: str) -> str:
        """The id of a record that a contributor saves under a key of their own."""
        # Drawings were the only kind once, and what they were given as ids stays.
        word = "key" if kind == "drawing" else f"{kind} key"
        return self._hash(word, contributor or "", key)

    def _record(self, kind: Kind, new: NewDrawing | NewVote) -> dict[str, Any]:
        """What is written of a record of any kind, but for the number."""
        if new.id is not None:
            uid = new.id
        elif new.key is not None:
            uid = self._key_id(kind, new.contributor, new.key)
        else:
            uid = secrets.token_hex(16)
        return {
            "uid": uid,
            "kind": kind,
            "contributor": new.contributor,
            "consent": new.consent,
            "created": now() if new.created is None else new.created,
            "source": new.source,
            "model_hash": new.model_hash,
            "revision": 1,
        }

    def _erase(
        self,
        *conditions: sa.ColumnElement[bool],
        forget: Callable[[Connection], int] | None = None,
    ) -> int:
        """Remove the records for which the conditions hold, with all that is theirs alone.

        Parameters
        ----------
        forget : callable, optional
            What else is to go in the same transaction; gives how many rows it touched.

        Returns
        -------
        int
            How many records it were.
        """

        def work(connection: Connection) -> tuple[int, int]:
            found = sa.select(_r.c.seq, _r.c.uid, _r.c.kind, _r.c.revision).where(*conditions)
            rows = connection.execute(found.with_for_update(of=_r)).all()
            deleted = now()
            for chunk in chunks(rows):
                stones = [
                    {"uid": r.uid, "kind": r.kind, "deleted": deleted, "revision": r.revision + 1}
                    for r in chunk
                ]
                connection.execute(schema.tombstones.insert(), stones)
                numbers = [row.seq for row in chunk]
                held = _contents_of(connection, numbers)
                # What is particular to them goes with them.
                connection.execute(_r.delete().where(_r.c.seq.in_(numbers)))
                for some in chunks(held):
                    digest = schema.contents.c.digest
                    others = [sa.exists().where(c == digest) for c in schema.HOLDERS]
                    connection.execute(
                        schema.contents.delete().where(digest.in_(some), ~sa.or_(*others))
                    )
            return len(rows), 0 if forget is None else forget(connection)

        count, touched = self.database.write(work)
        if count or touched:
            self.database.erase()
        return count


def mine(kind: Kind, id: str, by: str | None, owner: bool) -> list[sa.ColumnElement[bool]]:
    """Conditions on a record: of this kind and id, and of whoever asks unless it is the owner."""
    chosen = [_r.c.uid == id, _r.c.kind == kind]
    if not owner:
        # Nobody is not the same as whoever gave no name.
        chosen.append(sa.false() if by is None else _r.c.contributor == by)
    return chosen


def gone(connection: Connection, uids: Sequence[str]) -> Sequence[str]:
    """Those of the ids whose records were deleted."""
    stones = schema.tombstones.c.uid
    return connection.scalars(sa.select(stones).where(stones.in_(uids))).all()


def numbered(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert the common part of new records; the rows with the numbers that they got."""
    added = _r.insert().returning(_r.c.uid, _r.c.seq)
    numbers = {uid: seq for uid, seq in connection.execute(added, columns(_r, rows))}
    return [row | {"seq": numbers[row["uid"]]} for row in rows]


def insert_new(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose primary keys are not there yet."""
    on_sqlite = connection.dialect.name == "sqlite"
    query = (sqlite if on_sqlite else postgresql).insert(table).on_conflict_do_nothing()
    connection.execute(query, rows)


def columns(table: sa.Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of the rows belongs into a table; a primary key that is not given is made."""
    return [{c.key: row[c.key] for c in table.c if c.key in row} for row in rows]


def chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """The rows in parts that a statement takes."""
    for begin in range(0, len(rows), CHUNK):
        yield rows[begin : begin + CHUNK]


def now() -> int:
    """UTC milliseconds."""
    return time.time_ns() // 1_000_000


def _contents_of(connection: Connection, numbers: Sequence[int]) -> list[str]:
    held = [sa.select(column).where(column.table.c.seq.in_(numbers)) for column in schema.HOLDERS]
    return list(connection.scalars(sa.union(*held)))
