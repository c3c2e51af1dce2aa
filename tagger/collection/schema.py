"""The tables, and how a database of an earlier version becomes one of this version.

A record is something that somebody gave. What all kinds have in common is in ``records``, what is
particular to a kind in a table of its own (``drawings``, ``votes``), and what is large in
``contents`` under its content address, once. A kind that is added later adds a table.

A record that is deleted is gone, with all that belongs to it. A tombstone keeps its random id,
so that what was exported or pushed before can be told to be withdrawn, and so that the same record
does not come back by a late retry or an old file.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tagger.errors import StoreError

metadata = sa.MetaData()

# SQLite gives increasing row numbers to INTEGER only.
_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied", sa.BigInteger, nullable=False),  # UTC milliseconds, as all times
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("seq", _Number, primary_key=True),
    sa.Column("uid", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("contributor", sa.Text),
    sa.Column("consent", sa.Boolean, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("model_hash", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.CheckConstraint("created >= 0", name="records_created"),
    sa.CheckConstraint("revision >= 1", name="records_revision"),
    sa.Index("records_by_contributor", "contributor", "seq"),
    # A number once given is not given again: whoever reads on from the last one must not miss any.
    sqlite_autoincrement=True,
)

contents = sa.Table(
    "contents",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    # Strokes: JSON, deflated. Descriptions of voters' own pictures: float16, little-endian.
    sa.Column("data", sa.LargeBinary, nullable=False),
)

drawings = sa.Table(
    "drawings",
    metadata,
    sa.Column("seq", sa.ForeignKey("records.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("digest", sa.ForeignKey("contents.digest"), nullable=False, index=True),
    sa.Column("predicted", sa.Text, nullable=False),  # JSON
    sa.CheckConstraint("label <> ''", name="drawings_label"),
    sa.Index("drawings_by_label", "label", "seq"),
)

relabels = sa.Table(
    "relabels",
    metadata,
    sa.Column("id", _Number, primary_key=True),
    sa.Column("seq", sa.ForeignKey("drawings.seq", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("label_before", sa.Text, nullable=False),
    sa.Column("label_after", sa.Text, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("changed_by", sa.Text),
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("uid", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("deleted", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
)

# Words that people taught and the owner accepted for all.
words = sa.Table(
    "words",
    metadata,
    sa.Column("word", sa.Text, primary_key=True),
    sa.Column("accepted", sa.BigInteger, nullable=False),
)

# Files that were pushed, or are about to be; and which revision of what is in them.
parts = sa.Table(
    "parts",
    metadata,
    sa.Column("id", _Number, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("planned", sa.BigInteger, nullable=False),
    sa.Column("done", sa.BigInteger),  # null until it is known to have arrived
    sa.UniqueConstraint("target", "path", name="parts_path"),
)

pushed = sa.Table(
    "pushed",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("uid", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("part", sa.ForeignKey("parts.id", ondelete="CASCADE"), nullable=False, index=True),
)


votes = sa.Table(
    "votes",
    metadata,
    sa.Column("seq", sa.ForeignKey("records.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("left_picture", sa.Text, nullable=False),
    sa.Column("right_picture", sa.Text, nullable=False),
    sa.Column("choice", sa.Text, nullable=False),
    sa.Column("asked", sa.Text, nullable=False),  # why
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("gallery", sa.Text, nullable=False),
    sa.Column("ranker", sa.Text, nullable=False),
    sa.Column("p_left", sa.Double),
    sa.Column("milliseconds", sa.Integer),
    sa.CheckConstraint("left_picture <> right_picture", name="votes_pair"),
    sa.CheckConstraint("weight > 0", name="votes_weight"),
)

# Pictures of a voter's own, of which there is a vote.
vote_pictures = sa.Table(
    "vote_pictures",
    metadata,
    sa.Column("seq", sa.ForeignKey("votes.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("digest", sa.ForeignKey("contents.digest"), primary_key=True, index=True),
)

# What of a taste does not follow from the votes.
tastes = sa.Table(
    "tastes",
    metadata,
    sa.Column("contributor", sa.Text, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)

# Whatever holds on to contents. Those that none of them names are removed.
HOLDERS = (drawings.c.digest, vote_pictures.c.digest)


def _create_records(connection: Connection) -> None:
    tables = [meta, records, contents, drawings, relabels, tombstones, words]
    metadata.create_all(connection, tables)
    row = {"key": "salt", "value": secrets.token_hex(32)}
    if connection.scalar(sa.select(meta.c.value).where(meta.c.key == "salt")) is None:
        connection.execute(meta.insert().values(row))


def _create_pushes(connection: Connection) -> None:
    metadata.create_all(connection, [parts, pushed])


def _create_votes(connection: Connection) -> None:
    metadata.create_all(connection, [votes, vote_pictures, tastes])


# Version n is reached by the n-th. Each may be run again without harm: it looks at what is there,
# and a column that a later version adds is created by the earlier one in new databases.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _create_records,
    _create_pushes,
    _create_votes,
)
VERSION = len(MIGRATIONS)

# Any number; it stands for our migrations among the advisory locks of a PostgreSQL database.
_LOCK = 7_236_154_402


def migrate(connection: Connection, *, version: int = VERSION) -> None:
    """Bring the database to a version, within the transaction of `connection`.

    Two processes may call this at once; one waits for the other.

    Raises
    ------
    StoreError
        ``store-too-new`` if a newer version of the program has been there.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    metadata.create_all(connection, [migrations])
    have = connection.scalar(sa.select(sa.func.max(migrations.c.version))) or 0
    if have > VERSION:
        raise StoreError("store-too-new")
    for number in range(have + 1, version + 1):
        MIGRATIONS[number - 1](connection)
        now = time.time_ns() // 1_000_000
        connection.execute(migrations.insert().values(version=number, applied=now))
