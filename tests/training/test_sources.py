"""Tagged pictures in the forms that people keep them."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagger.training.sources import DataError, read_records, split_of
from tests.training import made


def test_a_folder_with_captions(tmp_path: Path) -> None:
    made.folder(tmp_path / "mine" / "deep", 5)
    (tmp_path / "mine" / "no-caption.png").write_bytes(b"x")
    records = read_records(tmp_path / "mine")
    assert [r.id for r in records] == [f"deep/{i}.png" for i in range(5)]
    assert records[0].tags == ("Red", "circles", "gizmo", "12")
    assert records[0].read_bytes() == made.picture(0)[0]
    assert {r.split for r in records} <= {"train", "val", "test"}


def test_a_csv_of_files_and_tags(tmp_path: Path) -> None:
    made.folder(tmp_path, 2)
    with (tmp_path / "tags.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["file", "tags", "split"], ["0.png", "red, circle", "val"]])
    (record,) = read_records(tmp_path / "tags.csv")
    assert (record.tags, record.split) == (("red", "circle"), "val")
    assert record.read_bytes() == made.picture(0)[0]


def test_a_parquet_table(tmp_path: Path) -> None:
    records = read_records(made.table(tmp_path / "t.parquet", 12))
    assert len(records) == 12
    assert records[7].source == "dots" and records[7].category == ("made",)


def test_splits_are_stable_and_hold_their_shares() -> None:
    splits = [split_of(f"concept {i}") for i in range(4000)]
    assert splits == [split_of(f"concept {i}") for i in range(4000)]
    assert abs(splits.count("train") / 4000 - 0.8) < 0.03
    assert abs(splits.count("val") / 4000 - 0.1) < 0.02


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"file": "../secret.png", "tags": ["x"]}], "outside the table's folder"),
        ([{"file": "/etc/hostname", "tags": ["x"]}], "outside the table's folder"),
        ([{"image": b"x", "tags": ["x"], "split": "dev"}], "split 'dev' is none of"),
        ([{"file": "a.png", "words": "x"}], "needs a column `tags`"),
    ],
    ids=["parent folder", "absolute path", "unknown split", "no tags"],
)
def test_a_table_that_cannot_be_used_is_refused_with_a_reason(
    tmp_path: Path, rows: list[dict[str, object]], words: str
) -> None:
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=words):
        read_records(tmp_path / "t.parquet")


def test_places_without_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a folder nor"):
        read_records(tmp_path / "missing")
    with pytest.raises(DataError, match="no tagged picture"):
        read_records(tmp_path)
