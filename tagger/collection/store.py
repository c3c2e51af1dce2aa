"""The collection of drawings: save, find, relabel, take back.

Whoever calls says who asks: drawings are changed and deleted by their contributor, or by the owner
of the app. Times are UTC milliseconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import secrets
import time
import zlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from tagger.collection import schema
from tagger.collection.database import Database
from tagger.collection.records import Drawing, LabelChange, NewDrawing, Saved, check, clean_label
from tagger.errors import StoreError, StrokesError
from tagger.strokes import digest, dump, parse

KIND = "drawing"

# Rows in one statement; a database takes only so many values at once.
_CHUNK = 500

T = TypeVar("T")

_r, _d = schema.records, schema.drawings
_DRAWINGS = (
    sa.select(_r, _d.c.label, _d.c.digest, _d.c.predicted, schema.contents.c.data)
    .select_from(_r)
    .join(_d, _d.c.seq == _r.c.seq)
    .join(schema.contents, schema.contents.c.digest == _d.c.digest)
)


class Store:
    """An open collection. May be used from any thread; several processes may have it open.

    Get one by :meth:`open`.
    """

    def __init__(self, database: Database, salt: str) -> None:
        self.database = database
        self._salt = bytes.fromhex(salt)

    @classmethod
    def open(cls, url: str, *, timeout: float = 10.0) -> Store:
        """Open a collection, create it if there is none, bring an older one up to date.

        Parameters
        ----------
        url : str
            ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``.
        timeout : float
            Seconds that an operation waits for other programs before ``store-busy``.

        Raises
        ------
        StoreError
            If it cannot be opened; the message says what to do.
        """
        database = Database(url, timeout)
        try:
            database.write(schema.migrate)
            with database.read() as connection:
                salt = connection.scalar(_salt())
            if salt is None:
                raise StoreError("store-damaged")
            return cls(database, salt)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def contributor_of(self, visitor: str) -> str:
        """The hash under which a visitor's records are kept.

        It depends on a random salt of this collection: the same visitor has another one elsewhere.

        Parameters
        ----------
        visitor : str
            The opaque id that the visitor's browser keeps. It is not stored.
        """
        return self._hash("visitor", visitor)

    # --- write ----------------------------------------------------------------------------------

    def save(self, new: NewDrawing) -> Saved:
        """Keep a drawing. When this returns, it is on the disk.

        With a key, it may be called again whenever the answer was lost: it is kept once.

        Raises
        ------
        StoreError
            ``label-...`` or ``drawing-invalid`` for a value that is not taken, ``store-...`` if it
            could not be written.
        StrokesError
            If the strokes are more than is kept.
        """
        return self.save_many([new])[0]

    def save_many(self, many: Sequence[NewDrawing]) -> list[Saved]:
        """Keep all of the drawings or, if this raises, none. See :meth:`save`."""
        rows = [self._row(new) for new in many]
        return self.database.write(lambda connection: _insert(connection, rows))

    def relabel(self, id: str, label: str, *, by: str | None, owner: bool = False) -> Drawing:
        """Change the label of a drawing; who did it and when is kept with it.

        Parameters
        ----------
        by : str or None
            Who asks, by `contributor_of`.
        owner : bool
            Whether they may change everybody's.

        Raises
        ------
        StoreError
            ``drawing-not-found`` if there is none or it is somebody else's; ``label-...``.
        """
        after = clean_label(label)

        def work(connection: Connection) -> Drawing:
            found = connection.execute(_mine(id, by, owner).with_for_update(of=_r)).one_or_none()
            if found is None:
                raise StoreError("drawing-not-found")
            if found.label != after:
                change = {"label_before": found.label, "label_after": after, "changed_by": by}
                connection.execute(
                    schema.relabels.insert().values(seq=found.seq, changed=_now(), **change)
                )
                connection.execute(_d.update().where(_d.c.seq == found.seq).values(label=after))
                connection.execute(
                    _r.update()
                    .where(_r.c.seq == found.seq)
                    .values(revision=schema.records.c.revision + 1)
                )
            return _drawing(connection.execute(_DRAWINGS.where(_r.c.seq == found.seq)).one())

        return self.database.write(work)

    def delete(self, id: str, *, by: str | None, owner: bool = False) -> None:
        """Remove a drawing, its strokes, labels and contributor; only its id is remembered.

        Raises
        ------
        StoreError
            ``drawing-not-found`` if there is none or it is somebody else's.
        """
        if not self._erase(_mine(id, by, owner)):
            raise StoreError("drawing-not-found")

    def withdraw(self, contributor: str) -> int:
        """Remove all that a contributor gave, and their hash wherever it stands; how many it were.

        What was exported before is in other hands. The next push says what was withdrawn.
        """
        return self._erase(_found(_r.c.contributor == contributor), contributor)

    # --- read -----------------------------------------------------------------------------------

    def get(self, id: str) -> Drawing | None:
        """One drawing; None if there is none, or no more."""
        with self.database.read() as connection:
            row = connection.execute(_DRAWINGS.where(_r.c.uid == id)).one_or_none()
        return None if row is None else _drawing(row)

    def gallery(
        self,
        *,
        contributor: str | None = None,
        label: str | None = None,
        consented_only: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> list[Drawing]:
        """A page of drawings, newest first; of all contributors unless one is given."""
        chosen = _chosen(contributor, label, consented_only)
        query = _DRAWINGS.where(*chosen).order_by(_r.c.seq.desc())
        with self.database.read() as connection:
            rows = connection.execute(
                query.offset(max(0, offset)).limit(max(0, min(limit, _CHUNK)))
            ).all()
        return [_drawing(row) for row in rows]

    def counts(
        self, *, contributor: str | None = None, consented_only: bool = False
    ) -> dict[str, int]:
        """How many drawings there are of each word, most first."""
        number = sa.func.count().label("number")
        query = (
            sa.select(_d.c.label, number)
            .join(_r, _r.c.seq == _d.c.seq)
            .where(*_chosen(contributor, None, consented_only))
            .group_by(_d.c.label)
            .order_by(number.desc(), _d.c.label)
        )
        with self.database.read() as connection:
            return {label: count for label, count in connection.execute(query)}

    def iterate(
        self,
        *,
        consented_only: bool = True,
        contributor: str | None = None,
        label: str | None = None,
    ) -> Iterator[Drawing]:
        """All drawings in the order of their coming, read in parts.

        What is saved or deleted meanwhile may or may not be among them; none comes twice.
        """
        chosen = _chosen(contributor, label, consented_only)
        last = -1
        while True:
            query = _DRAWINGS.where(_r.c.seq > last, *chosen).order_by(_r.c.seq).limit(_CHUNK)
            with self.database.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                last = row.seq
                yield _drawing(row)
            if len(rows) < _CHUNK:
                return

    def teaching(self) -> list[tuple[str, str, str]]:
        """Id, content address and word of all consenting drawings, in the order of their coming.

        Without their strokes, so that it is quick.
        """
        query = (
            sa.select(_r.c.uid, _d.c.digest, _d.c.label)
            .join(_d, _d.c.seq == _r.c.seq)
            .where(_r.c.consent)
            .order_by(_r.c.seq)
        )
        with self.database.read() as connection:
            return [(uid, digest, label) for uid, digest, label in connection.execute(query)]

    def teaching_stamp(self) -> tuple[int, int, int]:
        """Another one after every change of what :meth:`teaching` gives."""
        columns = (sa.func.count(), sa.func.max(_r.c.seq), sa.func.sum(_r.c.revision))
        query = sa.select(*columns).where(_r.c.consent)
        with self.database.read() as connection:
            count, last, revisions = connection.execute(query).one()
        return int(count), int(last or 0), int(revisions or 0)

    def some(self, *conditions: sa.ColumnElement[bool], limit: int) -> list[Drawing]:
        """The first so many drawings for which the conditions on the tables hold."""
        query = _DRAWINGS.where(*conditions).order_by(_r.c.seq).limit(limit)
        with self.database.read() as connection:
            return [_drawing(row) for row in connection.execute(query)]

    def history(self, id: str) -> list[LabelChange]:
        """How the label of a drawing has changed, oldest first."""
        c = schema.relabels.c
        query = (
            sa.select(c.label_before, c.label_after, c.changed, c.changed_by)
            .join(_r, _r.c.seq == c.seq)
            .where(_r.c.uid == id)
            .order_by(c.id)
        )
        with self.database.read() as connection:
            return [LabelChange(*row) for row in connection.execute(query)]

    # --- words ----------------------------------------------------------------------------------

    def accept_word(self, word: str) -> str:
        """Take a word that somebody taught as known to all; gives it as it is kept."""
        word = clean_label(word)
        row = {"word": word, "accepted": _now()}
        self.database.write(lambda connection: _insert_new(connection, schema.words, [row]))
        return word

    def forget_word(self, word: str) -> None:
        """Undo :meth:`accept_word`."""
        query = schema.words.delete().where(schema.words.c.word == word)
        self.database.write(lambda connection: connection.execute(query))

    def accepted_words(self) -> tuple[str, ...]:
        """The accepted words, in the order of their coming."""
        query = sa.select(schema.words.c.word).order_by(
            schema.words.c.accepted, schema.words.c.word
        )
        with self.database.read() as connection:
            return tuple(connection.scalars(query))

    # --- parts ----------------------------------------------------------------------------------

    def _hash(self, *words: str) -> str:
        text = "\0".join(words).encode("utf-8", "surrogatepass")
        return hmac.new(self._salt, text, hashlib.sha256).hexdigest()[:32]

    def _row(self, new: NewDrawing) -> dict[str, Any]:
        """Check a drawing; all that is written of it, but for the number."""
        label = clean_label(new.label)
        check(new)
        try:
            # What is kept must be readable again.
            drawn = dump(new.strokes)
            strokes = parse(drawn)
        except (ValueError, OverflowError) as error:  # not a number, or infinite
            raise StrokesError("strokes-out-of-range") from error
        if new.id is not None:
            uid = new.id
        elif new.key is not None:
            uid = self._hash("key", new.contributor or "", new.key)
        else:
            uid = secrets.token_hex(16)
        return {
            "uid": uid,
            "kind": KIND,
            "contributor": new.contributor,
            "consent": new.consent,
            "created": _now() if new.created is None else new.created,
            "source": new.source,
            "model_hash": new.model_hash,
            "revision": 1,
            "label": label,
            "digest": digest(strokes),
            "predicted": _json([[word, round(float(p), 6)] for word, p in new.predicted]),
            "data": zlib.compress(_json(drawn).encode()),
        }

    def _erase(self, found: sa.Select[Any], contributor: str | None = None) -> int:
        def work(connection: Connection) -> int:
            rows = connection.execute(found.with_for_update(of=_r)).all()
            buried = {"kind": KIND, "deleted": _now()}
            for chunk in _chunks(rows):
                stones = [dict(uid=r.uid, revision=r.revision + 1, **buried) for r in chunk]
                connection.execute(schema.tombstones.insert(), stones)
                # Their drawings and changes of label go with them.
                connection.execute(_r.delete().where(_r.c.seq.in_([row.seq for row in chunk])))
                others = sa.exists().where(_d.c.digest == schema.contents.c.digest)
                connection.execute(
                    schema.contents.delete().where(
                        schema.contents.c.digest.in_({row.digest for row in chunk}), ~others
                    )
                )
            if contributor is not None:
                by = schema.relabels.c.changed_by
                connection.execute(
                    schema.relabels.update().where(by == contributor).values(changed_by=None)
                )
            return len(rows)

        count = self.database.write(work)
        if count:
            self.database.erase()
        return count


def _salt() -> sa.Select[Any]:
    return sa.select(schema.meta.c.value).where(schema.meta.c.key == "salt")


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[Saved]:
    known = {saved.id: saved for saved in _known(connection, rows)}
    fresh, answers = [], []
    for row in rows:
        saved = known.get(row["uid"])
        if saved is None:
            saved = Saved(row["uid"], row["label"], row["created"], duplicate=False)
            known[saved.id] = dataclasses.replace(saved, duplicate=True)
            fresh.append(row)
        answers.append(saved)
    for chunk in _chunks(fresh):
        _insert_new(connection, schema.contents, _columns(schema.contents, chunk))
        added = _r.insert().returning(_r.c.uid, _r.c.seq)
        numbers = {uid: seq for uid, seq in connection.execute(added, _columns(_r, chunk))}
        chunk = [row | {"seq": numbers[row["uid"]]} for row in chunk]
        connection.execute(_d.insert(), _columns(_d, chunk))
    return answers


def _known(connection: Connection, rows: Sequence[dict[str, Any]]) -> Iterator[Saved]:
    """Those of the rows that are there already, or were."""
    for chunk in _chunks(rows):
        given = {row["uid"]: row for row in chunk}
        there = (
            sa.select(_r.c.uid, _d.c.label, _r.c.created)
            .join(_d, _d.c.seq == _r.c.seq)
            .where(_r.c.uid.in_(given))
        )
        for uid, label, created in connection.execute(there):
            yield Saved(uid, label, created, duplicate=True)
        gone = sa.select(schema.tombstones.c.uid).where(schema.tombstones.c.uid.in_(given))
        for uid in connection.scalars(gone):
            yield Saved(uid, given[uid]["label"], given[uid]["created"], duplicate=True)


def _insert_new(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose primary keys are not there yet."""
    on_sqlite = connection.dialect.name == "sqlite"
    query = (sqlite if on_sqlite else postgresql).insert(table).on_conflict_do_nothing()
    connection.execute(query, rows)


def _columns(table: sa.Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of the rows belongs into a table; a primary key that is not given is made."""
    return [{c.key: row[c.key] for c in table.c if c.key in row} for row in rows]


def _found(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = (_r.c.seq, _r.c.uid, _r.c.revision, _d.c.label, _d.c.digest)
    return sa.select(*columns).join(_d, _d.c.seq == _r.c.seq).where(*conditions)


def _mine(id: str, by: str | None, owner: bool) -> sa.Select[Any]:
    if owner:
        return _found(_r.c.uid == id)
    # Nobody is not the same as whoever gave no name.
    return _found(_r.c.uid == id, sa.false() if by is None else _r.c.contributor == by)


def _chosen(
    contributor: str | None, label: str | None, consented_only: bool
) -> list[sa.ColumnElement[bool]]:
    chosen: list[sa.ColumnElement[bool]] = []
    if contributor is not None:
        chosen.append(_r.c.contributor == contributor)
    if label is not None:
        chosen.append(_d.c.label == label)
    if consented_only:
        chosen.append(_r.c.consent)
    return chosen


def _drawing(row: Row[Any]) -> Drawing:
    try:
        strokes = parse(json.loads(zlib.decompress(row.data)))
        predicted = tuple((str(word), float(p)) for word, p in json.loads(row.predicted))
    except (zlib.error, ValueError, TypeError, StrokesError) as error:
        raise StoreError("store-damaged") from error
    return Drawing(
        id=row.uid,
        label=row.label,
        strokes=strokes,
        digest=row.digest,
        created=row.created,
        contributor=row.contributor,
        consent=row.consent,
        source=row.source,
        model_hash=row.model_hash,
        predicted=predicted,
        revision=row.revision,
    )


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(rows), _CHUNK):
        yield rows[begin : begin + _CHUNK]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _now() -> int:
    return time.time_ns() // 1_000_000
