"""Files of drawings: written from the collection, read into it.

- ``ndjson``: lines of JSON as Quick, Draw! publishes its raw data, with times; pressure is a
  fourth list. What Quick, Draw! does not have (revision, source, model, its guesses) stands in
  further fields, so that nothing is lost.
- ``ndjson-simplified``: the same with its simplified drawings.
- ``parquet``: the columns of the same names, for tools that read tables.
- ``npz``: pictures of 28 x 28 as MNIST has them, with labels as numbers and the words of these.

Form: github.com/googlecreativelab/quickdraw-dataset. No format says who drew; none takes a drawing
without consent.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tagger.collection.records import Drawing, NewDrawing, check, clean_label
from tagger.errors import StoreError, TaggerError
from tagger.strokes import Strokes, dump, parse, rasterise, simplify

FORMATS = ("ndjson", "ndjson-simplified", "parquet", "npz")
SUFFIXES = {
    "ndjson": ".ndjson",
    "ndjson-simplified": ".ndjson",
    "parquet": ".parquet",
    "npz": ".npz",
}

# MNIST's own picture: digits of at most 20 pixels in the middle of 28, lines of about two and a
# half.
SIDE = 28
_MARGIN, _WIDTH = 4.0, 2.5

# A country that is not known, as ISO 3166 leaves it to its users.
_NOWHERE = "ZZ"
_MAX_LINE = 16 * 2**20
_MAX_PICTURES = 2 * 2**30
_ROWS = 1000

# What is read of a row: the rest follows from it or is given anew.
_READ = frozenset(("key_id", "word", "timestamp", "drawing", "source", "model", "predicted"))

Uint8 = npt.NDArray[np.uint8]
Trace = Callable[[Uint8], Strokes]


@dataclass(frozen=True, slots=True)
class Problem:
    """A drawing of a file that cannot be taken: its number from 1, and why."""

    number: int
    error: TaggerError


def guess(path: Path) -> str:
    """The format of a file, by its name.

    Raises
    ------
    StoreError
        ``drawings-format-unknown``.
    """
    suffix = path.suffix.lower()
    for name, own in SUFFIXES.items():
        if suffix == own or (suffix in (".jsonl", ".json") and own == ".ndjson"):
            return name
    raise StoreError("drawings-format-unknown")


def write(drawings: Iterable[Drawing], file: BinaryIO, format: str) -> int:
    """Write the drawings that others may have; how many they were.

    Parameters
    ----------
    file : binary file
        Need not be seekable, but for ``npz``.
    format : str
        One of `FORMATS`.

    Raises
    ------
    StoreError
        ``drawings-format-unknown``, or ``format-not-installed`` if Parquet's library is absent.
    """
    if format not in FORMATS:
        raise StoreError("drawings-format-unknown")
    consented = (drawing for drawing in drawings if drawing.consent)
    if format == "parquet":
        return _write_parquet(consented, file)
    if format == "npz":
        return _write_npz(consented, file)
    count = 0
    for line in lines(consented, simplified=format == "ndjson-simplified"):
        file.write(line.encode())
        count += 1
    return count


def read(file: BinaryIO, format: str, trace: Trace | None = None) -> Iterator[NewDrawing | Problem]:
    """Read drawings one by one; those that make no sense come as problems and stop nothing.

    They count as consented: whoever imports a file has the right to pass it on.

    Parameters
    ----------
    trace : callable, optional
        Makes strokes of a picture ``uint8 [S, S]``, ink 255 on 0; needed for ``npz`` only.

    Raises
    ------
    StoreError
        ``drawings-file-invalid`` if the file as a whole cannot be read.
    """
    if format in ("ndjson", "ndjson-simplified"):
        return _read_lines(file)
    if format == "parquet":
        return _read_parquet(file)
    if format == "npz" and trace is not None:
        return _read_npz(file, trace)
    raise StoreError("drawings-format-unknown")


# --- Quick, Draw! -------------------------------------------------------------------------------


def lines(drawings: Iterable[Drawing], *, simplified: bool = False) -> Iterator[str]:
    """The drawings as lines of JSON, each with its end; consent is the caller's to ask for."""
    for drawing in drawings:
        row = _row(drawing)
        if simplified:
            row["drawing"] = dump(simplify(drawing.strokes))
        row["timestamp"] = f"{datetime_of(drawing.created):%Y-%m-%d %H:%M:%S.%f} UTC"
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _read_lines(file: BinaryIO) -> Iterator[NewDrawing | Problem]:
    for number, row in rows_of_lines(file, "drawings-file-invalid"):
        yield _checked(number, row)


def rows_of_lines(file: BinaryIO, invalid: str) -> Iterator[tuple[int, Any]]:
    """Number and value of each line of JSON; None for a line that is none.

    Parameters
    ----------
    invalid : str
        Code of the error if the file as a whole cannot be read.
    """
    number = 0
    while line := file.readline(_MAX_LINE):
        number += 1
        if len(line) == _MAX_LINE:
            raise StoreError(invalid)
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row


def _row(drawing: Drawing) -> dict[str, Any]:
    return {
        "key_id": drawing.id,
        "word": drawing.label,
        "countrycode": _NOWHERE,
        "timestamp": None,
        "recognized": drawing.recognized,
        "drawing": dump(drawing.strokes),
        "revision": drawing.revision,
        "source": drawing.source,
        "model": drawing.model_hash,
        "predicted": [{"word": word, "probability": p} for word, p in drawing.predicted],
    }


def _checked(number: int, row: Any) -> NewDrawing | Problem:
    try:
        if not isinstance(row, Mapping):
            raise StoreError("drawings-row-invalid", field="JSON")
        return _drawing(row)
    except TaggerError as error:
        return Problem(number, error)


def _drawing(row: Mapping[str, Any]) -> NewDrawing:
    """What a row of Quick, Draw! says, and of ours.

    Raises
    ------
    TaggerError
        If a value makes no sense.
    """
    strokes = parse(row.get("drawing"))
    label = clean_label(row.get("word"))
    id = row.get("key_id")
    if id is None:
        id = _made_id(label, json.dumps(dump(strokes)).encode())
    predicted = row.get("predicted") or []
    if not isinstance(predicted, list) or not all(isinstance(p, dict) for p in predicted):
        raise StoreError("drawings-row-invalid", field="predicted")
    source = row.get("source")
    new = NewDrawing(
        label,
        strokes,
        consent=True,
        source="import" if source is None else source,
        model_hash=row.get("model") or "",
        predicted=tuple((p.get("word"), p.get("probability")) for p in predicted),
        created=created_of(row.get("timestamp")),
        id=str(id) if type(id) is int else id,
    )
    check(new)
    return new


def _made_id(label: str, content: bytes) -> str:
    """An id for a drawing that has none: the same when the file is read again."""
    return hashlib.sha256(label.encode() + b"\0" + content).hexdigest()[:32]


def datetime_of(created: int) -> datetime:
    """The time of UTC milliseconds."""
    return datetime.fromtimestamp(created // 1000, UTC).replace(microsecond=created % 1000 * 1000)


def created_of(value: Any) -> int | None:
    """UTC milliseconds of a time in a file; None where there is none.

    Raises
    ------
    StoreError
        ``drawings-row-invalid`` for what is no time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            # Quick, Draw! writes "2017-03-07 01:30:40.30210 UTC".
            value = datetime.fromisoformat(value.strip().removesuffix("UTC").rstrip())
        except ValueError:
            raise StoreError("drawings-row-invalid", field="timestamp") from None
    if not isinstance(value, datetime):
        raise StoreError("drawings-row-invalid", field="timestamp")
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    since: timedelta = value - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


# --- Parquet ------------------------------------------------------------------------------------


def arrow(module: str) -> Any:
    """A module of Parquet's library.

    Raises
    ------
    StoreError
        ``format-not-installed``: the app runs without it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StoreError("format-not-installed") from error


def _write_parquet(drawings: Iterable[Drawing], file: BinaryIO) -> int:
    pa, parquet = arrow("pyarrow"), arrow("pyarrow.parquet")
    schema = pa.schema(
        {
            "key_id": pa.string(),
            "word": pa.string(),
            "countrycode": pa.string(),
            "timestamp": pa.timestamp("ms", tz="UTC"),
            "recognized": pa.bool_(),
            # Numbers as drawings have them, so that none changes.
            "drawing": pa.list_(pa.list_(pa.list_(pa.float32()))),
            "revision": pa.int32(),
            "source": pa.string(),
            "model": pa.string(),
            "predicted": pa.list_(
                pa.struct({"word": pa.string(), "probability": pa.float64()}),
            ),
        }
    )
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        remaining = iter(drawings)
        while chunk := list(islice(remaining, _ROWS)):
            rows = [_row(d) | {"timestamp": datetime_of(d.created)} for d in chunk]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _read_parquet(file: BinaryIO) -> Iterator[NewDrawing | Problem]:
    needed = frozenset(("word", "drawing"))
    for number, row in rows_of_parquet(file, needed, _READ, "drawings-file-invalid"):
        yield _checked(number, row)


def rows_of_parquet(
    file: BinaryIO, needed: Set[str], known: Set[str], invalid: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and known columns of each row; see :func:`rows_of_lines`."""
    pa, parquet = arrow("pyarrow"), arrow("pyarrow.parquet")
    number = 0
    try:
        table = parquet.ParquetFile(file)
        columns = [name for name in table.schema_arrow.names if name in known]
        if not needed <= set(columns):
            raise StoreError(invalid)
        for batch in table.iter_batches(_ROWS, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
        raise StoreError(invalid) from error


# --- MNIST --------------------------------------------------------------------------------------


def _write_npz(drawings: Iterable[Drawing], file: BinaryIO) -> int:
    pictures, labels, ids = [], [], []
    for drawing in drawings:
        ink = rasterise(drawing.strokes, SIDE, width=_WIDTH, margin=_MARGIN)
        pictures.append(np.rint(ink * 255).astype(np.uint8))
        labels.append(drawing.label)
        ids.append(drawing.id)
    words, numbers = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    np.savez_compressed(
        file,
        images=np.asarray(pictures, np.uint8).reshape(-1, SIDE, SIDE),
        labels=numbers.astype(np.int64),
        words=words,
        key_ids=np.asarray(ids, dtype=np.str_),
    )
    return len(pictures)


def _read_npz(file: BinaryIO, trace: Trace) -> Iterator[NewDrawing | Problem]:
    arrays = _arrays(file)
    images, labels = arrays.get("images"), arrays.get("labels")
    if images is None or labels is None or images.dtype != np.uint8:
        raise StoreError("drawings-file-invalid")
    words, ids = arrays.get("words"), arrays.get("key_ids")
    fits = (
        images.ndim == 3,
        all(8 <= side <= 1024 for side in images.shape[1:]),
        labels.shape == images.shape[:1],
        words is None or words.ndim == 1,
        ids is None or ids.shape == labels.shape,
    )
    if not all(fits):
        raise StoreError("drawings-file-invalid")
    for i, image in enumerate(images):
        try:
            label = clean_label(_word(labels[i], words))
            id = _made_id(label, image.tobytes()) if ids is None else str(ids[i])
            new = NewDrawing(label, trace(image), consent=True, source="import", id=id)
            check(new)
            yield new
        except TaggerError as error:
            yield Problem(i + 1, error)


def _word(label: Any, words: npt.NDArray[Any] | None) -> str:
    """The word of a label: listed in the file, or the label itself, as for digits."""
    if words is None:
        return str(label)
    if not isinstance(label, np.integer) or not 0 <= label < len(words):
        raise StoreError("drawings-row-invalid", field="labels")
    return str(words[label])


def _arrays(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    """The arrays that we know. Numbers and text only: no code is run, no bomb unfolded."""
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_PICTURES:
                raise StoreError("drawings-file-invalid")
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            return {
                key: np.lib.format.read_array(
                    io.BytesIO(archive.read(names[key])), allow_pickle=False
                )
                for key in ("images", "labels", "words", "key_ids")
                if key in names
            }
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        raise StoreError("drawings-file-invalid") from error
    except (RuntimeError, MemoryError) as error:  # encrypted; a shape of more than there is
        raise StoreError("drawings-file-invalid") from error
