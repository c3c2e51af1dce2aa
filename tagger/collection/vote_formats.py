"""Files of votes: written from the collection, read into it.

- ``jsonl``: one vote a line.
- ``csv``: the same columns for spreadsheets, written only; no cell can run anything.
- ``parquet``: the same, for tools that read tables.

No format says who voted. What others get has no vote without consent, and none on a picture of the
voter's own, which they cannot see.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from tagger.collection.formats import (
    Problem,
    arrow,
    created_of,
    datetime_of,
    rows_of_lines,
    rows_of_parquet,
)
from tagger.collection.vote_records import KeptVote, NewVote, check_vote
from tagger.errors import StoreError, TaggerError
from tagger.safetext import csv_text

FORMATS = ("jsonl", "csv", "parquet")
#: Those that are read.
READ_FORMATS = ("jsonl", "parquet")

COLUMNS = (
    "key_id",
    "timestamp",
    "left",
    "right",
    "choice",
    "asked",
    "weight",
    "expected",
    "ranker",
    "milliseconds",
    "model",
    "gallery",
    "source",
    "shared",
)

_ROWS = 1000


def export_votes(
    votes: Iterable[KeptVote], file: BinaryIO, format: str, *, own: bool = False
) -> int:
    """Write the votes that others may have; how many they were.

    Parameters
    ----------
    file : binary file
        Need not be seekable.
    format : {"jsonl", "csv", "parquet"}
    own : bool
        Write all: the file is for whoever gave the votes.

    Raises
    ------
    StoreError
        ``votes-format-unknown``, or ``format-not-installed`` if Parquet's library is absent.
    """
    if format not in FORMATS:
        raise StoreError("votes-format-unknown")
    chosen = votes if own else (vote for vote in votes if vote.public)
    if format == "parquet":
        return _write_parquet(chosen, file)
    count = 0
    header = _csv_line(COLUMNS) if format == "csv" else ""
    file.write(header.encode())
    for line in _csv_lines(chosen) if format == "csv" else lines(chosen):
        file.write(line.encode())
        count += 1
    return count


def read_votes(file: BinaryIO, format: str) -> Iterator[NewVote | Problem]:
    """Read votes one by one; those that make no sense come as problems and stop nothing.

    They count as consented, unless they say that they are not: whoever imports a file has the
    right to pass it on.

    Parameters
    ----------
    format : {"jsonl", "parquet"}

    Raises
    ------
    StoreError
        ``votes-file-invalid`` if the file as a whole cannot be read, ``votes-format-unknown``,
        ``format-not-installed``.
    """
    invalid = "votes-file-invalid"
    if format == "jsonl":
        rows = rows_of_lines(file, invalid)
    elif format == "parquet":
        needed = frozenset(("left", "right", "choice"))
        rows = rows_of_parquet(file, needed, frozenset(COLUMNS), invalid)
    else:
        raise StoreError("votes-format-unknown")
    return _checked(rows)


def _checked(rows: Iterable[tuple[int, Any]]) -> Iterator[NewVote | Problem]:
    for number, row in rows:
        try:
            if not isinstance(row, Mapping):
                raise StoreError("drawings-row-invalid", field="JSON")
            vote = _new(row)
            check_vote(vote)
        except TaggerError as error:
            yield Problem(number, error)
        else:
            yield vote


def _new(row: Mapping[str, Any]) -> NewVote:
    if row.get("shared") not in (None, True):
        raise StoreError("vote-invalid", field="shared")

    def given(name: str, default: Any) -> Any:
        value = row.get(name)
        return default if value is None else value

    text = json.dumps({name: str(row.get(name)) for name in COLUMNS}).encode()
    return NewVote(
        left=given("left", ""),
        right=given("right", ""),
        choice=given("choice", ""),
        kind=given("asked", "own"),
        weight=given("weight", 1.0),
        consent=True,
        source=given("source", "import"),
        model_hash=given("model", ""),
        gallery=given("gallery", ""),
        ranker=given("ranker", ""),
        p_left=row.get("expected"),
        milliseconds=row.get("milliseconds"),
        created=created_of(row.get("timestamp")),
        # The same when the file is read again.
        id=given("key_id", hashlib.sha256(text).hexdigest()[:32]),
    )


def lines(votes: Iterable[KeptVote]) -> Iterator[str]:
    """The votes as lines of JSON, each with its end; consent is the caller's to ask for."""
    for vote in votes:
        row = _row(vote) | {"timestamp": _timestamp(vote)}
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _row(vote: KeptVote) -> dict[str, Any]:
    values = (
        vote.id,
        None,
        vote.left,
        vote.right,
        vote.choice,
        vote.kind,
        vote.weight,
        None if vote.p_left is None else round(vote.p_left, 6),
        vote.ranker,
        vote.milliseconds,
        vote.model_hash,
        vote.gallery,
        vote.source,
        vote.consent,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _timestamp(vote: KeptVote) -> str:
    text = datetime_of(vote.created).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


# --- tables -------------------------------------------------------------------------------------


def _csv_lines(votes: Iterable[KeptVote]) -> Iterator[str]:
    for vote in votes:
        row = _row(vote) | {"timestamp": _timestamp(vote), "shared": int(vote.consent)}
        yield _csv_line(csv_text(v) if isinstance(v, str) else v for v in row.values())


def _csv_line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _write_parquet(votes: Iterable[KeptVote], file: BinaryIO) -> int:
    pa, parquet = arrow("pyarrow"), arrow("pyarrow.parquet")
    kinds = {
        "timestamp": pa.timestamp("ms", tz="UTC"),
        "weight": pa.float64(),
        "expected": pa.float64(),
        "milliseconds": pa.int32(),
        "shared": pa.bool_(),
    }
    schema = pa.schema({name: kinds.get(name, pa.string()) for name in COLUMNS})
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        remaining = iter(votes)
        while chunk := list(islice(remaining, _ROWS)):
            rows = [_row(vote) | {"timestamp": datetime_of(vote.created)} for vote in chunk]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count
