"""Files of indexes: they come back as they were, or are refused with a reason."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.errors import IndexFileError, LimitError, TaggerError
from tagger.similarity import Index, files
from tests.similarity.kill_me import COUNT

ROOT = Path(__file__).resolve().parents[2]


def made(precision: Any = "float32", search: Any = "exact") -> Index:
    rng = np.random.default_rng(0)
    index = Index(5, "model-a", precision=precision, search=search)
    ids = [f"絵/{n}\n" for n in range(40)]
    data = [{"title": "猫 & \u2028", "n": n, "deep": {"x": [1.5, None, True]}} for n in range(40)]
    index.add_many(ids, rng.normal(size=(40, 5)), [[n % 4, 9] for n in range(40)], data)
    index.remove([ids[3], ids[17]])
    index.calibrate(target="precision", value=0.5, k=3, least=5)
    return index


@pytest.mark.parametrize("search", ["exact", "hnsw"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_all_comes_back(tmp_path: Path, precision: str, search: str) -> None:
    index, path = made(precision, search), tmp_path / "deep" / "index"
    index.save(path)
    again = Index.load(path, model="model-a")
    assert again.ids() == index.ids() and again.calibration == index.calibration
    assert [again.get(id) for id in again.ids()] == [index.get(id) for id in index.ids()]
    assert (again.snapshot().embeddings == index.snapshot().embeddings).all()
    assert (again.precision, again.search) == (precision, search)
    queries = np.random.default_rng(1).normal(size=(8, 5))
    assert again.lookup_many(queries, 7) == index.lookup_many(queries, 7)
    assert again.match(queries) == index.match(queries)
    # It goes on like any other.
    again.add("new", queries[0])
    again.remove([index.ids()[0]])
    assert again.lookup(queries[0], 1)[0].item.id == "new" and len(again) == 38
    assert list(path.parent.iterdir()) == [path]


def test_the_same_index_gives_the_same_bytes(tmp_path: Path) -> None:
    made().save(tmp_path / "a")
    Index.load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_one(tmp_path: Path) -> None:
    Index(3, "m").save(tmp_path / "a")
    again = Index.load(tmp_path / "a", search="hnsw")
    assert len(again) == 0 and again.lookup([1, 2, 3]) == []


def test_how_it_is_asked_may_change_with_the_loading(tmp_path: Path) -> None:
    made().save(tmp_path / "a")
    assert Index.load(tmp_path / "a", search="hnsw").stats().search == "hnsw"
    assert Index.load(tmp_path / "a", search="auto", exact_up_to=5).stats().search == "hnsw"
    assert Index.load(tmp_path / "a").stats().search == "exact"


def test_a_graph_is_kept_beside_and_made_anew_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, path, graphs = made(search="hnsw"), tmp_path / "a", tmp_path / "graphs"
    index.save(path, graphs=graphs)
    kept = list(graphs.iterdir())
    assert len(kept) == 1
    queries = np.random.default_rng(1).normal(size=(8, 5))
    with monkeypatch.context() as patch:
        patch.setattr(files.Graph, "add", None)  # nothing is built
        again = Index.load(path, graphs=graphs)
    assert again.lookup_many(queries, 6) == index.lookup_many(queries, 6)
    kept[0].write_bytes(kept[0].read_bytes()[:-30])  # torn
    assert Index.load(path, graphs=graphs).lookup_many(queries, 6) == index.lookup_many(queries, 6)
    assert files.Graph.restore(kept[0].read_bytes(), 5, 38) is not None  # mended
    index.update(index.ids()[0], embedding=[1, 2, 3, 4, 5])
    index.save(path)
    again = Index.load(path, graphs=graphs)  # of other embeddings: another name
    assert len(list(graphs.iterdir())) == 2
    assert again.lookup([1, 2, 3, 4, 5], 1)[0].cosine == pytest.approx(1)


# --- refused


def code(path: Path, **options: Any) -> str:
    with pytest.raises(TaggerError) as caught:
        Index.load(path, **options)
    assert caught.value.message("en") != caught.value.message("ja")
    return caught.value.code


def test_what_is_not_there_or_not_ours(tmp_path: Path) -> None:
    index, path = made(), tmp_path / "a"
    assert code(path) == "index-not-found" and code(tmp_path) == "index-not-found"
    index.save(path)
    assert code(path, model="model-b") == "index-foreign"
    with pytest.raises(IndexFileError, match="made with another model"):
        Index.load(path, model="model-b")
    for data in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(500), b"PK\x05\x06" + bytes(18)):
        path.write_bytes(data)
        assert code(path) == "index-damaged"


def test_a_torn_file_is_refused_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "a"
    made().save(path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for cut in sorted(rng.sample(range(len(whole)), 80)):
        path.write_bytes(whole[:cut])
        assert code(path) == "index-damaged", cut
    wanted = made()
    for _ in range(300):  # any bit may flip
        at = rng.randrange(len(whole))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        )
        try:
            again = Index.load(path)
        except TaggerError as error:
            assert error.code in ("index-damaged", "index-too-new", "index-too-large")
        else:  # it was one that says nothing: a date, say
            assert again.ids() == wanted.ids()
            assert (again.snapshot().embeddings == wanted.snapshot().embeddings).all()


Change = Callable[[dict[str, Any]], Any]


def rewrite(path: Path, change: Change, packed: bool = False) -> None:
    """Write a file of ours again, with other members in it."""
    with zipfile.ZipFile(path) as archive:
        members: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    for name in ("header.json", "calibration.json"):
        members[name] = json.loads(members[name])
    members["items.jsonl"] = [json.loads(line) for line in members["items.jsonl"].splitlines()]
    change(members)
    if isinstance(members.get("items.jsonl"), list):
        lines = [json.dumps(entry) + "\n" for entry in members["items.jsonl"]]
        members["items.jsonl"] = "".join(lines)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else 0) as archive:
        for name, data in members.items():
            archive.writestr(name, json.dumps(data) if isinstance(data, dict) else data)
    path.write_bytes(out.getvalue())


def header(**changes: Any) -> Change:
    return lambda members: members["header.json"].update(changes)


def first_item(**changes: Any) -> Change:
    return lambda members: members["items.jsonl"][0].update(changes)


def cuts(**changes: Any) -> Change:
    return lambda members: members["calibration.json"].update(changes)


def embeddings(value: float) -> Change:
    def change(members: dict[str, Any]) -> None:
        rows = np.frombuffer(members["embeddings.bin"], np.float32).copy()
        rows[7] = value
        members["embeddings.bin"] = rows.tobytes()

    return change


@pytest.mark.parametrize(
    "change",
    [
        header(format="something else"),
        header(format_version="1"),
        header(count=39),
        header(count=10**12),
        header(count=-1),
        header(count=True),
        header(dimension=10**9),
        header(dimension=4),
        header(dimension=0),
        header(precision="object"),
        header(precision="float64"),
        header(search="magic"),
        header(model=7),
        header(next_key=3),
        header(next_key=1.5),
        lambda members: members.update({"header.json": "[" * 100_000}),
        lambda members: members.update({"header.json": "{}"}),
        lambda members: members.pop("items.jsonl"),
        lambda members: members.pop("embeddings.bin"),
        lambda members: members.update({"embeddings.bin": members["embeddings.bin"] + b"1234"}),
        lambda members: members["items.jsonl"].append(members["items.jsonl"][0]),
        lambda members: members["items.jsonl"].pop(),
        lambda members: members["items.jsonl"].reverse(),
        lambda members: members.update({"items.jsonl": "[1, 2]\n" * 38}),
        lambda members: members.update({"items.jsonl": "x" * 10_000_000}),
        first_item(id=""),
        first_item(id=5),
        first_item(id="絵/1\n"),
        first_item(key=-1),
        first_item(key="0"),
        first_item(labels=[-4]),
        first_item(labels="cat"),
        first_item(labels=list(range(2000))),
        first_item(metadata=[1]),
        first_item(metadata={"x": "y" * 9000}),
        embeddings(float("nan")),
        embeddings(float("inf")),
        embeddings(3.0),
        lambda members: members.update({"calibration.json": "[]"}),
        cuts(target="best"),
        cuts(k=0),
        cuts(k=float("inf")),
        cuts(value="0.9"),
        cuts(cut=None),
        cuts(cut={"score": float("nan")}),
        cuts(per_tag={"cat": {}}),
        cuts(per_tag=[]),
        cuts(curve={"score": ["x"]}),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, change: Change) -> None:
    path = tmp_path / "a"
    made().save(path)
    rewrite(path, lambda members: None)
    assert len(Index.load(path)) == 38  # rewriting alone does no harm
    rewrite(path, change)
    assert code(path) == "index-damaged"


def test_a_newer_one_is_refused_as_that(tmp_path: Path) -> None:
    path = tmp_path / "a"
    made().save(path)
    rewrite(path, header(format_version=2))
    assert code(path) == "index-too-new"


def test_a_small_file_does_not_unfold_to_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    made().save(path)
    rewrite(path, lambda members: None, packed=True)
    assert code(path) == "index-damaged"
    made().save(path)
    monkeypatch.setattr(files, "_MAX_ITEMS", 1000)
    assert code(path) == "index-too-large"
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(LimitError, match="larger than"):
        Index.load(path)


# --- written


def test_a_save_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    made().save(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Index(5, "other").save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_save_left_goes_when_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "a"
    old, new, others = (tmp_path / f".{name}.part" for name in ("a.1.2", "a.3.4", "b.1.2"))
    for left in (old, new, others):
        left.write_bytes(b"half")
    for left in (old, others):
        os.utime(left, (time.time() - 100_000,) * 2)
    made().save(path)
    assert sorted(tmp_path.iterdir()) == sorted([path, new, others])


def test_killed_while_saving_one_of_the_two_is_there_whole(tmp_path: Path) -> None:
    path = tmp_path / "index"
    interrupted = 0
    for _ in range(20):
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.similarity.kill_me", str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        assert re.fullmatch(r"\d+\n", program.stdout.readline())
        while not (drafts := set(tmp_path.glob(".index.*.part"))):
            assert program.poll() is None
        program.send_signal(signal.SIGKILL)
        program.wait()
        program.stdout.close()
        index = Index.load(path, model="model")
        saves = {item.metadata["save"] for item in map(index.get, index.ids()) if item}
        assert len(index) == COUNT and len(saves) == 1
        left = [draft for draft in drafts if draft.exists()]
        for draft in left:
            draft.unlink()
        interrupted += bool(left)  # else that save had just ended
        if interrupted == 3:
            return
    pytest.fail("no save was killed in the middle")
