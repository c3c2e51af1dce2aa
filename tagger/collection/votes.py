"""The votes of the collection, and what is kept of tastes: save, find, take back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tagger.collection import schema
from tagger.collection.base import (
    CHUNK,
    Base,
    Kind,
    chunks,
    columns,
    gone,
    insert_new,
    mine,
    now,
    numbered,
)
from tagger.collection.records import fits_id
from tagger.collection.vote_records import (
    MAX_TASTE,
    KeptVote,
    NewVote,
    SavedVote,
    check_vote,
    is_own,
)
from tagger.errors import StoreError

KIND: Kind = "vote"

_r, _v, _t = schema.records, schema.votes, schema.tastes
_VOTES = (
    sa.select(
        _r,
        _v.c.left_picture,
        _v.c.right_picture,
        _v.c.choice,
        _v.c.asked,
        _v.c.weight,
        _v.c.gallery,
        _v.c.ranker,
        _v.c.p_left,
        _v.c.milliseconds,
    )
    .select_from(_r)
    .join(_v, _v.c.seq == _r.c.seq)
)


class VoteStore(Base):
    """The part of the collection that is about votes."""

    def save_vote(self, new: NewVote) -> SavedVote:
        """Keep a vote. When this returns, it is on the disk.

        With a key, it may be called again whenever the answer was lost: it is kept once.

        Raises
        ------
        StoreError
            ``vote-invalid`` for a value that is not taken, ``store-...`` if it could not be
            written.
        """
        return self.save_votes([new])[0]

    def save_votes(self, many: Sequence[NewVote]) -> list[SavedVote]:
        """Keep all of the votes or, if this raises, none. See :meth:`save_vote`."""
        rows = [self._vote_row(new) for new in many]
        return self.database.write(lambda connection: _insert(connection, rows))

    def receipt(self, contributor: str | None, key: str) -> SavedVote | None:
        """What :meth:`save_vote` answers to a vote that is sent again; None if it would be new."""
        row = {"uid": self._key_id(KIND, contributor, key), "created": now()}
        with self.database.read() as connection:
            return next(_known(connection, [row]), None)

    def get_vote(self, id: str) -> KeptVote | None:
        """One vote; None if there is none, or no more."""
        if not fits_id(id):
            return None
        with self.database.read() as connection:
            row = connection.execute(_VOTES.where(_r.c.uid == id)).one_or_none()
        return None if row is None else _vote(row)

    def votes_of(self, contributor: str) -> list[KeptVote]:
        """All votes of a contributor, oldest first."""
        return list(self.iterate_votes(consented_only=False, contributor=contributor))

    def iterate_votes(
        self, *, consented_only: bool = True, contributor: str | None = None
    ) -> Iterator[KeptVote]:
        """All votes in the order of their coming, read in parts.

        What is saved or deleted meanwhile may or may not be among them; none comes twice.
        """
        chosen = _chosen(contributor, consented_only)
        last = -1
        while True:
            query = _VOTES.where(_r.c.seq > last, *chosen).order_by(_r.c.seq).limit(CHUNK)
            with self.database.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                last = row.seq
                yield _vote(row)
            if len(rows) < CHUNK:
                return

    def some_public_votes(self, *conditions: sa.ColumnElement[bool], limit: int) -> list[KeptVote]:
        """The first so many of `KeptVote.public` for which the conditions on the tables hold."""
        own = sa.exists().where(schema.vote_pictures.c.seq == _r.c.seq)
        query = _VOTES.where(_r.c.consent, ~own, *conditions).order_by(_r.c.seq).limit(limit)
        with self.database.read() as connection:
            return [_vote(row) for row in connection.execute(query)]

    def votes_stamp(self, contributor: str) -> tuple[int, str]:
        """How many votes of a contributor there are, and the newest one's id.

        Another one after every change of what :meth:`votes_of` gives.
        """
        mine = sa.and_(_r.c.kind == KIND, _r.c.contributor == contributor)
        newest = sa.select(_r.c.uid).where(mine).order_by(_r.c.seq.desc()).limit(1)
        query = sa.select(sa.func.count(), newest.scalar_subquery()).where(mine)
        with self.database.read() as connection:
            count, uid = connection.execute(query).one()
        return int(count), uid or ""

    def count_votes(self, *, consented_only: bool = False, contributor: str | None = None) -> int:
        """How many votes there are; of all contributors unless one is given."""
        query = (
            sa.select(sa.func.count())
            .select_from(_r)
            .where(_r.c.kind == KIND, *_chosen(contributor, consented_only))
        )
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def own_picture(self, id: str) -> bytes | None:
        """The description of a voter's own picture, by `own_id`; None once no vote names it."""
        if not is_own(id):
            return None
        contents = schema.contents.c
        with self.database.read() as connection:
            data = connection.scalar(sa.select(contents.data).where(contents.digest == id))
        return None if data is None else bytes(data)

    def delete_vote(self, id: str, *, by: str | None, owner: bool = False) -> None:
        """Remove a vote; only its id is remembered.

        Parameters
        ----------
        by : str or None
            Who asks, by `contributor_of`.
        owner : bool
            Whether they may remove everybody's.

        Raises
        ------
        StoreError
            ``vote-not-found`` if there is none or it is somebody else's.
        """
        if not fits_id(id) or not self._erase(*mine(KIND, id, by, owner)):
            raise StoreError("vote-not-found")

    # --- tastes ---------------------------------------------------------------------------------

    def keep_taste(self, contributor: str, data: bytes | None) -> None:
        """Keep what of a contributor's taste does not follow from the votes; None removes it.

        Raises
        ------
        StoreError
            ``vote-invalid`` if there is no contributor or it is more than is kept.
        """
        if not fits_id(contributor):
            raise StoreError("vote-invalid", field="contributor")
        if data is None:
            gone = _t.delete().where(_t.c.contributor == contributor)
            if self.database.write(lambda connection: connection.execute(gone).rowcount):
                self.database.erase()
            return
        if not isinstance(data, bytes) or not 0 < len(data) <= MAX_TASTE:
            raise StoreError("vote-invalid", field="taste")
        row = {"contributor": contributor, "data": data, "updated": now()}

        def work(connection: Connection) -> None:
            insert_new(connection, _t, [row])
            connection.execute(_t.update().where(_t.c.contributor == contributor).values(row))

        self.database.write(work)

    def taste_of(self, contributor: str) -> bytes | None:
        """What :meth:`keep_taste` kept; None if nothing."""
        query = sa.select(_t.c.data).where(_t.c.contributor == contributor)
        with self.database.read() as connection:
            data = connection.scalar(query)
        return None if data is None else bytes(data)

    # --- parts ----------------------------------------------------------------------------------

    def _vote_row(self, new: NewVote) -> dict[str, Any]:
        """Check a vote; all that is written of it, but for the number."""
        check_vote(new)
        return {
            **self._record(KIND, new),
            "left_picture": new.left,
            "right_picture": new.right,
            "choice": new.choice,
            "asked": new.kind,
            "weight": float(new.weight),
            "gallery": new.gallery,
            "ranker": new.ranker,
            "p_left": None if new.p_left is None else float(new.p_left),
            "milliseconds": new.milliseconds,
            "own": dict(new.own),
        }


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[SavedVote]:
    known = {saved.id: saved for saved in _known(connection, rows)}
    fresh, answers = [], []
    for row in rows:
        saved = known.get(row["uid"])
        if saved is None:
            saved = SavedVote(row["uid"], row["created"], duplicate=False)
            known[saved.id] = dataclasses.replace(saved, duplicate=True)
            fresh.append(row)
        answers.append(saved)
    for chunk in chunks(fresh):
        own = {id: data for row in chunk for id, data in row["own"].items()}
        if own:
            held = [{"digest": id, "data": data} for id, data in own.items()]
            insert_new(connection, schema.contents, held)
        there = numbered(connection, chunk)
        connection.execute(_v.insert(), columns(_v, there))
        pictures = [{"seq": row["seq"], "digest": id} for row in there for id in row["own"]]
        if pictures:
            connection.execute(schema.vote_pictures.insert(), pictures)
    return answers


def _known(connection: Connection, rows: Sequence[dict[str, Any]]) -> Iterator[SavedVote]:
    """Those of the rows that are there already, or were."""
    for chunk in chunks(rows):
        given = {row["uid"]: row for row in chunk}
        there = sa.select(_r.c.uid, _r.c.created).where(_r.c.uid.in_(given))
        for uid, created in connection.execute(there):
            yield SavedVote(uid, created, duplicate=True)
        for uid in gone(connection, list(given)):
            yield SavedVote(uid, given[uid]["created"], duplicate=True)


def _chosen(contributor: str | None, consented_only: bool) -> list[sa.ColumnElement[bool]]:
    chosen: list[sa.ColumnElement[bool]] = []
    if contributor is not None:
        chosen.append(_r.c.contributor == contributor)
    if consented_only:
        chosen.append(_r.c.consent)
    return chosen


def _vote(row: Row[Any]) -> KeptVote:
    return KeptVote(
        id=row.uid,
        seq=row.seq,
        left=row.left_picture,
        right=row.right_picture,
        choice=row.choice,
        kind=row.asked,
        weight=row.weight,
        contributor=row.contributor,
        consent=row.consent,
        source=row.source,
        model_hash=row.model_hash,
        gallery=row.gallery,
        ranker=row.ranker,
        p_left=row.p_left,
        milliseconds=row.milliseconds,
        created=row.created,
    )
