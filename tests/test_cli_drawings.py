"""``python -m tagger drawings``, called as a function on a collection of its own."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tagger import cli, cli_drawings
from tagger.collection import Store, formats
from tests.collection.examples import CAT, DOG, new, scribble
from tests.dataset_hub import REPOSITORY, TOKEN, serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The collection that the settings name."""
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    monkeypatch.setenv("TAGGER_DATABASE", url)
    for name in ("TAGGER_HUB_DATASET", "TAGGER_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Store.open(url) as store:
        yield store


@pytest.fixture
def run(store: Store, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an action; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main(["drawings", *map(str, arguments)])
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *capsys.readouterr()

    return run


def test_formats_are_those_of_the_collection() -> None:
    assert cli_drawings.FORMATS == formats.FORMATS


def test_an_empty_collection(run: Run) -> None:
    assert run("list") == (0, "", "There are no drawings.\n")
    assert run("count") == (0, "      0  in all, of 0 words\n", "")
    assert run("count", "--json") == (0, "{}\n", "")


def test_list(run: Run, store: Store) -> None:
    store.save(new("ねこ", CAT, created=0, source="game"))
    store.save(new("dog", DOG, created=60_000, consent=False))
    code, out, err = run("list")
    assert (code, err) == (0, "")
    dog, cat = out.splitlines()
    assert dog.startswith("1970-01-01 00:01  dog ")
    assert " own " in dog
    assert cat.startswith("1970-01-01 00:00  ねこ ")
    assert " shared " in cat
    assert "game" in cat
    _, out, _ = run("list", "--json", "--label", "ねこ")
    (row,) = map(json.loads, out.splitlines())
    assert row["label"] == "ねこ"
    assert row["created"] == "1970-01-01T00:00:00.000+00:00"
    assert (row["strokes"], row["points"], row["shared"]) == (2, 5, True)
    assert len(run("list", "--limit", 1)[1].splitlines()) == 1
    assert run("list", "--limit", 0)[0] == 2


def test_count(run: Run, store: Store) -> None:
    store.save_many([new("cat", scribble(i), consent=i > 0) for i in range(3)])
    store.save(new("dog"))
    assert " ".join(run("count")[1].split()) == "3 cat 1 dog 4 in all, of 2 words"
    assert json.loads(run("count", "--json", "--shared")[1]) == {"cat": 2, "dog": 1}


@pytest.mark.parametrize("suffix", [".ndjson", ".parquet", ".npz"])
def test_out_of_one_collection_and_into_another(
    run: Run, store: Store, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    store.save_many([new(f"w{i % 2}", scribble(i)) for i in range(6)])
    store.save(new("private", consent=False))
    file = tmp_path / "out" / f"drawings{suffix}"
    assert run("export", file) == (0, "", "Drawings written: 6.\n")
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    monkeypatch.setenv("TAGGER_DATABASE", f"sqlite:///{tmp_path / 'other.sqlite3'}")
    expected = f"{file}: taken {{}}, there already or deleted {{}}, not readable 0.\n"
    assert run("import", file) == (0, "", expected.format(6, 0))
    assert run("import", file) == (0, "", expected.format(0, 6))
    assert json.loads(run("count", "--json")[1]) == {"w0": 3, "w1": 3}


def test_a_file_that_exists_is_not_lost(run: Run, store: Store, tmp_path: Path) -> None:
    store.save(new())
    file = tmp_path / "drawings.ndjson"
    file.write_text("precious")
    code, _, err = run("export", file)
    assert code == 2
    assert "--overwrite" in err
    assert file.read_text() == "precious"
    assert run("export", file, "--overwrite", "--label", "dog")[0] == 0
    assert file.read_text() == ""


def test_export_to_the_standard_output(
    store: Store, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    store.save_many([new("cat", CAT), new("dog", DOG)])
    arguments = ["drawings", "export", "-", "--format", "ndjson-simplified", "--label", "dog"]
    assert cli.main(arguments) == 0
    (entry,) = formats.read(io.BytesIO(capfdbinary.readouterr().out), "ndjson")
    assert entry.label == "dog"


def test_a_name_that_says_no_format(run: Run, tmp_path: Path) -> None:
    code, _, err = run("export", tmp_path / "drawings.doc")
    assert code == 2
    assert "ndjson" in err
    assert list(tmp_path.glob("*.doc")) == []


def test_what_cannot_be_read_is_listed(run: Run, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "mixed.ndjson"
    good = '{"word":"cat","drawing":[[[0,1],[2,3]]]}'
    file.write_text("\n".join([good, "nonsense", *['{"word":""}'] * 30]))
    code, _, err = run("--lang", "ja", "import", file)
    assert code == 1
    lines = err.splitlines()
    assert lines[0] == f"{file}, 2: 「JSON」の値を読み取れません。"
    assert len(lines) == 21
    assert lines[-1].endswith("taken 1, there already or deleted 0, not readable 31.")
    assert store.counts() == {"cat": 1}


def test_files_that_are_none(run: Run, store: Store, tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04torn")
    good = tmp_path / "good.npz"
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 13:16] = 255
    np.savez(good, images=image, labels=np.array([1]))
    code, _, err = run("import", tmp_path / "absent.ndjson", tmp_path / "torn.npz", good)
    assert code == 2
    assert "absent.ndjson cannot be opened" in err
    assert "torn.npz: The file cannot be read" in err
    assert store.counts() == {"1": 1}


def test_push(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(new())
    code, _, err = run("push")
    assert code == 2
    assert "TAGGER_HUB_DATASET" in err
    constants = pytest.importorskip("huggingface_hub.constants")
    with serving() as remote:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TAGGER_HUB_DATASET", REPOSITORY)
        monkeypatch.setenv("TAGGER_HUB_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", remote.url)
        for count in (1, 0):
            said = f"Files added: {count}; drawings: {count}; votes: 0; named as withdrawn: 0.\n"
            assert run("push")[:2] == (0, said)
        assert len(remote.lines("data")) == 1


def test_withdraw(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    ids = [store.save(new("cat", scribble(i), contributor=(me, you)[i % 2])).id for i in range(8)]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, _, err = run("withdraw", "--visitor", "me")
    assert code == 2
    assert "--yes" in err
    assert store.counts() == {"cat": 8}
    removed = "Drawings removed: {}. Files exported before hold them still.\n"
    assert run("withdraw", "--visitor", "me", "--yes") == (0, removed.format(4), "")
    assert run("withdraw", "--visitor", "me", "--yes")[0] == 1
    assert run("withdraw", "--id", ids[1], ids[3], "--yes") == (0, removed.format(2), "")
    assert run("withdraw", "--id", ids[1], "--yes")[0] == 2
    assert run("withdraw", "--contributor", you, "--yes") == (0, removed.format(2), "")
    assert run("withdraw")[0] == 2
    assert store.counts() == {}


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("\n", 1)])
def test_withdraw_asks_on_a_terminal(
    run: Run, store: Store, answer: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(new(contributor=store.contributor_of("me")))
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert run("withdraw", "--visitor", "me")[0] == (2 if left else 0)
    assert sum(store.counts().values()) == left


def test_a_database_that_cannot_be_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGGER_DATABASE", "mysql://me:pa55word@localhost/x")
    code, out, err = run("count")
    assert (code, out) == (2, "")
    assert "TAGGER_DATABASE" in err
    assert "pa55word" not in err
