"""The collection: save, find, relabel, take back.

Whoever calls says who asks: records are changed and deleted by their contributor, or by the owner
of the app. Times are UTC milliseconds.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tagger.collection import schema
from tagger.collection.base import (
    CHUNK,
    Kind,
    chunks,
    columns,
    gone,
    insert_new,
    mine,
    now,
    numbered,
)
from tagger.collection.database import Database
from tagger.collection.records import Drawing, LabelChange, NewDrawing, Saved, check, clean_label
from tagger.collection.votes import VoteStore
from tagger.errors import StoreError, StrokesError
from tagger.strokes import digest, dump, parse

KIND: Kind = "drawing"

_r, _d = schema.records, schema.drawings
_DRAWINGS = (
    sa.select(_r, _d.c.label, _d.c.digest, _d.c.predicted, schema.contents.c.data)
    .select_from(_r)
    .join(_d, _d.c.seq == _r.c.seq)
    .join(schema.contents, schema.contents.c.digest == _d.c.digest)
)


class Store(VoteStore):
    """An open collection. May be used from any thread; several processes may have it open.

    Get one by :meth:`open`.
    """

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
            own = sa.select(_r.c.seq, _d.c.label).join(_d, _d.c.seq == _r.c.seq)
            found = connection.execute(
                own.where(*mine(KIND, id, by, owner)).with_for_update(of=_r)
            ).one_or_none()
            if found is None:
                raise StoreError("drawing-not-found")
            if found.label != after:
                change = {"label_before": found.label, "label_after": after, "changed_by": by}
                connection.execute(
                    schema.relabels.insert().values(seq=found.seq, changed=now(), **change)
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
        if not self._erase(*mine(KIND, id, by, owner)):
            raise StoreError("drawing-not-found")

    def withdraw(self, contributor: str, kind: Kind | None = None) -> int:
        """Remove all that a contributor gave, and their hash wherever it stands; how many it were.

        What was exported before is in other hands. The next push says what was withdrawn.

        Parameters
        ----------
        kind : {"drawing", "vote"}, optional
            Only these; by default all. The taste goes with the votes.
        """
        chosen = [_r.c.contributor == contributor]
        if kind is not None:
            chosen.append(_r.c.kind == kind)

        def forget(connection: Connection) -> int:
            count = 0
            if kind != "vote":
                by = schema.relabels.c.changed_by
                unnamed = schema.relabels.update().where(by == contributor).values(changed_by=None)
                count += connection.execute(unnamed).rowcount
            if kind != KIND:
                taste = schema.tastes.delete().where(schema.tastes.c.contributor == contributor)
                count += connection.execute(taste).rowcount
            return count

        return self._erase(*chosen, forget=forget)

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
                query.offset(max(0, offset)).limit(max(0, min(limit, CHUNK)))
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
            query = _DRAWINGS.where(_r.c.seq > last, *chosen).order_by(_r.c.seq).limit(CHUNK)
            with self.database.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                last = row.seq
                yield _drawing(row)
            if len(rows) < CHUNK:
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
        totals = (sa.func.count(), sa.func.max(_r.c.seq), sa.func.sum(_r.c.revision))
        query = sa.select(*totals).where(_r.c.consent, _r.c.kind == KIND)
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
        row = {"word": word, "accepted": now()}
        self.database.write(lambda connection: insert_new(connection, schema.words, [row]))
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
        return {
            **self._record(KIND, new),
            "label": label,
            "digest": digest(strokes),
            "predicted": _json([[word, round(float(p), 6)] for word, p in new.predicted]),
            "data": zlib.compress(_json(drawn).encode()),
        }


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
    for chunk in chunks(fresh):
        insert_new(connection, schema.contents, columns(schema.contents, chunk))
        connection.execute(_d.insert(), columns(_d, numbered(connection, chunk)))
    return answers


def _known(connection: Connection, rows: Sequence[dict[str, Any]]) -> Iterator[Saved]:
    """Those of the rows that are there already, or were."""
    for chunk in chunks(rows):
        given = {row["uid"]: row for row in chunk}
        there = (
            # An id that a file brings may be that of a record of another kind.
            sa.select(_r.c.uid, _d.c.label, _r.c.created)
            .outerjoin(_d, _d.c.seq == _r.c.seq)
            .where(_r.c.uid.in_(given))
        )
        for uid, label, created in connection.execute(there):
            yield Saved(uid, label or given[uid]["label"], created, duplicate=True)
        for uid in gone(connection, list(given)):
            yield Saved(uid, given[uid]["label"], given[uid]["created"], duplicate=True)


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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
