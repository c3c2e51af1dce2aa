"""Tagged pictures as people keep them: a Parquet or CSV table, or a folder with captions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

SPLITS = ("train", "val", "test")
PICTURE_SUFFIXES = frozenset(
    (
        *(".png", ".apng", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp"),
        *(".tif", ".tiff", ".heic", ".heif"),
    )
)


@dataclass(frozen=True, slots=True)
class Record:
    """One tagged picture.

    ``concept`` says what is drawn: pictures that share it stay in one split, and count as one when
    the support of a tag is counted. ``source`` is the style or collection it comes from.
    """

    id: str
    concept: str
    source: str
    title: str
    tags: tuple[str, ...]
    category: tuple[str, ...]
    split: str
    image: bytes | Path
    author: str = ""

    def read_bytes(self) -> bytes:
        """The encoded picture."""
        return self.image.read_bytes() if isinstance(self.image, Path) else self.image


class DataError(ValueError):
    """The training data cannot be used as it is; the message says why."""


def read_records(where: Path) -> list[Record]:
    """Read tagged pictures from ``where``.

    Parameters
    ----------
    where
        A Parquet file with a column ``tags`` (list of text, or text parted by commas) and either
        ``image`` (encoded bytes) or ``file`` (path beside the table); a CSV file with ``file`` and
        ``tags``; or a folder whose pictures have captions ``NAME.txt`` (tags parted by commas).
        Optional columns: ``id``, ``concept``, ``source``, ``title``, ``category``, ``author``,
        ``split``.
        Where no split is given it is drawn from a hash of the concept: 80 % train, 10 % val, 10 %
        test, the same on every machine.

    Raises
    ------
    DataError
        If the place does not exist, lacks a column, or holds no tagged picture.
    """
    where = Path(where)
    if where.is_dir():
        records = list(_from_folder(where))
    elif where.suffix == ".parquet" and where.is_file():
        records = list(_from_table(pq.read_table(where), where.parent))
    elif where.suffix == ".csv" and where.is_file():
        records = list(_from_table(pa_csv.read_csv(where), where.parent))
    else:
        raise DataError(f"{where} is neither a folder nor a .parquet or .csv file")
    if not records:
        raise DataError(f"{where} holds no tagged picture")
    return records


def split_of(concept: str) -> str:
    """A split by hash: stable, and the same for all pictures of a concept."""
    draw = int.from_bytes(hashlib.sha256(concept.encode()).digest()[:4], "big") / 2**32
    return "train" if draw < 0.8 else "val" if draw < 0.9 else "test"


def _words(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else list(value)  # type: ignore[call-overload]
    return tuple(p.strip() for p in parts if p and p.strip())


def _from_table(table: pa.Table, folder: Path) -> Iterator[Record]:
    have = set(table.column_names)
    if "tags" not in have or not have & {"image", "file"}:
        raise DataError("the table needs a column `tags` and a column `image` or `file`")
    for number, row in enumerate(table.to_pylist()):
        image = row.get("image")
        if image is None:
            path = (folder / row["file"]).resolve()
            # A table from somebody else must not make us read files that lie elsewhere.
            if not path.is_relative_to(folder.resolve()):
                raise DataError(f"row {number}: {row['file']} lies outside the table's folder")
            image = path
        name = str(row.get("id") or row.get("file") or number)
        concept = row.get("concept") or name
        split = row.get("split") or split_of(concept)
        if split not in SPLITS:
            raise DataError(f"row {number}: split {split!r} is none of {', '.join(SPLITS)}")
        yield Record(
            id=name,
            concept=concept,
            source=row.get("source") or "own",
            title=row.get("title") or "",
            tags=_words(row["tags"]),
            category=_words(row.get("category")),
            split=split,
            image=image,
            author=row.get("author") or "",
        )


def _from_folder(folder: Path) -> Iterator[Record]:
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES):
        caption = path.with_suffix(".txt")
        if not caption.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        tags = _words(caption.read_text(encoding="utf-8", errors="replace").replace("\n", ","))
        yield Record(name, name, "own", "", tags, (), split_of(name), path)


def judges(record: Record, silent: Sequence[str]) -> bool:
    """Whether the record's source may judge (``silent`` sources only train)."""
    return record.source not in silent
