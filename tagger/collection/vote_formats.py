"""Files of votes, written from the collection.

- ``jsonl``: one vote a line.
- ``csv``: the same columns for spreadsheets; no cell can run anything.
- ``parquet``: the same, for tools that read tables.

No format says who voted. What others get has no vote without consent, and none on a picture of the
voter's own, which they cannot see.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from tagger.collection.formats import arrow, datetime_of
from tagger.collection.vote_records import KeptVote
from tagger.errors import StoreError
from tagger.safetext import csv_text

FORMATS = ("jsonl", "csv", "parquet")
MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

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
