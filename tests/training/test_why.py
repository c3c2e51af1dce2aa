"""What the command says of tags and of reasons."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagger.training import why


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"id": str(i), "tags": ["kitten", "rossi", "gizmo"], "author": "Anna Rossi", "image": b""}
        for i in range(8)
    ]
    rows = [{**row, "split": "train", "concept": row["id"]} for row in rows]
    rows.append({**rows[0], "id": "9", "concept": "9", "tags": ["thingamabob"], "split": "test"})
    path = tmp_path_factory.mktemp("why") / "pictures.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_tags_by_name(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert why.main(["--data", str(table), "kitten", "rossi", "thingamabob"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kitten: joined cat, another word for the same thing",
        "rossi: dropped, the name of the author of its pictures",
        "thingamabob: unlisted, not in the data",
    ]


def test_reasons_by_number(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert why.main(["--data", str(table), "--min-concepts", "9"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["0", "kept, under 0 names"]
    assert sorted(lines[1:]) == sorted(
        [["1", "the name of the author of its pictures"], ["2", "too rare"]]
    )


def test_data_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert why.main(["--data", "nowhere.csv"]) == 2
    assert "nowhere.csv" in capsys.readouterr().err
