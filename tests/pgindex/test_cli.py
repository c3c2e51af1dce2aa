"""``python -m tagger index`` with an index in a database instead of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tagger.pgindex import PgIndex
from tagger.similarity import Index
from tests.command_line import Run, runner
from tests.fakes import picture

COLOURS = {"red.png": (255, 0, 0), "rose.png": (255, 60, 60), "blue.png": (0, 0, 255)}


@pytest.fixture
def run(
    toy_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a command; gives exit code, standard output and standard error."""
    monkeypatch.setenv("TAGGER_BUNDLE", str(toy_bundle))
    monkeypatch.setenv("TAGGER_DATA_DIR", str(tmp_path / "data"))
    return runner(capsys, "index")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in COLOURS.items():
        (folder / name).write_bytes(picture(colour, (32, 32)))
    return folder


def test_a_folder_becomes_a_shared_index(run: Run, folder: Path, url: str, tmp_path: Path) -> None:
    assert run("stats", url)[0] == 2
    code, out, err = run("build", folder, "-o", url)
    assert (code, err) == (0, "") and out.startswith("3 pictures in postgresql://tester:***@")
    code, out, _ = run("build", folder, "-o", url)
    assert code == 0 and "3 unchanged" in out
    (tmp_path / "asked.png").write_bytes(picture((250, 10, 10), (32, 32)))
    run("build", folder, "-o", tmp_path / "a.index")
    asked = [
        run("query", at, tmp_path / "asked.png", "--json") for at in (url, tmp_path / "a.index")
    ]
    near = [[one["id"] for one in json.loads(out)["neighbours"]] for _, out, _ in asked]
    assert near[0] == near[1] and near[0][2] == "blue.png"
    assert json.loads(run("query", url, "--name", "red.png", "--json")[1])["neighbours"]
    code, out, _ = run("add", url, tmp_path / "asked.png")
    assert code == 0 and "4 pictures" in out
    code, out, err = run("remove", url, "asked.png", "nobody")
    assert code == 1 and "3 pictures" in out and "nobody" in err and "tester:***" in out
    (folder / "red.png").unlink()
    code, out, _ = run("build", folder, "-o", url, "--prune")
    assert code == 0 and "1 removed" in out


def test_it_is_judged_and_calibrated_like_a_file(run: Run, folder: Path, url: str) -> None:
    run("build", folder, "-o", url, "--search", "hnsw")
    code, out, _ = run("evaluate", url, "--json", "--thresholds", "0.5", "0.9")
    figures = json.loads(out)
    assert code == 0 and figures["hnsw_recall@10"] == 1
    assert figures["classification"]["thresholds"] == [0.5, 0.9]
    assert run("calibrate", url, "-k", "2")[0] == 0
    with PgIndex.open(url) as index:
        assert index.calibration is not None and index.calibration.k == 2
    facts = json.loads(run("stats", url, "--lookups", 2)[1])
    assert facts["calibrated"] and facts["lookups"] == 2 and facts["latency"]["p50"] > 0
    assert facts["search"] == "hnsw"


def test_from_a_file_to_a_database_and_back(
    run: Run, folder: Path, url: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.index", tmp_path / "b.index"
    run("build", folder, "-o", first)
    run("calibrate", first)
    code, out, err = run("copy", first, url)
    assert (code, err) == (0, "") and "3 pictures" in out and "***" in out
    assert run("copy", url, second)[0] == 0
    one, other = Index.load(first), Index.load(second)
    assert one.ids() == other.ids() and one.calibration == other.calibration
    assert [one.get(id) for id in one.ids()] == [other.get(id) for id in one.ids()]
    assert other.snapshot().embeddings == pytest.approx(one.snapshot().embeddings, abs=1e-3)
    for source, target in ((first, url), (url, second)):
        code, out, err = run("copy", source, target)
        assert code == 1 and out == "" and "there is an index already" in err


def test_an_index_of_another_model_is_refused(run: Run, folder: Path, url: str) -> None:
    with PgIndex.create(url, 8, "another model"):
        pass
    for command in (("build", folder, "-o", url), ("query", url, folder)):
        code, _, err = run(*command)
        assert code == 2 and "made with another model" in err


def test_pgvector_is_measured_and_nothing_is_left(run: Run, database: str) -> None:
    arguments = ("--sizes", 60, "--dimension", 8, "--queries", 5, "-k", 3)
    code, out, _ = run("bench", *arguments, "--database", database, "--json")
    rows = {row["kind"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and rows["pgvector exact"]["recall"] == 1
    assert rows["pgvector hnsw"]["recall"] >= 0.9
    with PgIndex.create(f"{database}?index=own", 2, "m") as index, index._read() as connection:
        import sqlalchemy as sa

        names = connection.execute(sa.text("SELECT name FROM tagger_indexes")).scalars().all()
        assert not [name for name in names if name.startswith("bench")]
