"""``python -m tagger votes``, called as a function on a collection of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger import cli_votes
from tagger.collection import Store, vote_formats
from tests import command_line
from tests.collection.examples import own_vote, vote
from tests.command_line import Run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The collection that the settings name."""
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    monkeypatch.setenv("TAGGER_DATABASE", url)
    with Store.open(url) as store:
        yield store


@pytest.fixture
def run(store: Store, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_line.runner(capsys, "votes")


def fill(store: Store) -> tuple[str, str]:
    """Two voters: one knows that later pictures are better, one takes the left one always."""
    me, you = store.contributor_of("me"), store.contributor_of("you")
    pairs = [(i, (i + 1 + i % 3) % 12) for i in range(24)]
    pairs = [(a % 12, b) for a, b in pairs]
    name = "p|{}.png\x1b[2J".format
    store.save_votes(
        [
            vote(
                name(a),
                name(b),
                "left" if who == you or a > b else "right",
                contributor=who,
                p_left=0.9 if a > b else 0.1,
                milliseconds=900,
            )
            for who in (me, you)
            for a, b in pairs
        ]
    )
    store.save_vote(own_vote(1, "x.png", contributor=me))
    store.save_vote(vote("secret.png", "y.png", "skip", contributor=me, consent=False))
    return me, you


def test_formats_are_those_of_the_collection() -> None:
    assert cli_votes.FORMATS == vote_formats.FORMATS
    assert cli_votes.READ_FORMATS == vote_formats.READ_FORMATS


def test_an_empty_collection(run: Run) -> None:
    code, out, err = run("stats")
    assert (code, err) == (0, "")
    assert "0  votes of 0 voters, 0 shared" in out
    assert json.loads(run("stats", "--json")[1])["votes"] == 0
    code, out, _ = run("report")
    assert code == 0 and "0 votes of 0 voters: none." in out
    assert run("export", "-", "--format", "csv")[1].count("\n") == 1
    assert run("withdraw", "--visitor", "me", "--yes")[0] == 1


def test_stats(run: Run, store: Store) -> None:
    fill(store)
    facts = json.loads(run("stats", "--json")[1])
    assert (facts["votes"], facts["shared"], facts["voters"]) == (50, 49, 2)
    assert facts["choices"]["skip"] == 1
    assert facts["foretold"]["count"] == 48
    assert 0.5 < facts["foretold"]["share"] < 1
    assert json.loads(run("stats", "--json", "--shared")[1])["votes"] == 49
    assert "preferences were foretold" in run("stats")[1]


def test_the_report_ranks_pictures_and_names_odd_voters(run: Run, store: Store) -> None:
    _, you = fill(store)
    found = json.loads(run("report", "--json", "--limit", 3)[1])
    assert (found["votes"], found["voters"], len(found["standings"])) == (48, 2, 3)
    assert found["suspects"][0]["voter"] == you
    code, out, err = run("report")
    assert (code, err) == (0, "")
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 12
    # Nothing in a name moves a cursor or ends a cell.
    assert "p\\|11.png" in out
    assert "\x1b" not in out
    assert "secret" not in out and "own:" not in out
    assert f"- {you}: " in out and "the same side" in out


def test_files(run: Run, store: Store, tmp_path: Path) -> None:
    fill(store)
    for name in ("votes.jsonl", "votes.csv"):
        file = tmp_path / "out" / name
        assert run("export", file) == (0, "", "Votes written: 48.\n")
        text = file.read_text()
        assert "secret" not in text and "own:" not in text
        code, _, err = run("export", file)
        assert code == 2 and "--overwrite" in err
        assert file.read_text() == text
        assert run("export", file, "--overwrite")[0] == 0
    code, _, err = run("export", tmp_path / "votes.xls")
    assert code == 2 and "jsonl, csv or parquet" in err
    assert not (tmp_path / "votes.xls").exists()
    report = tmp_path / "out" / "report.md"
    assert run("report", "-o", report)[0] == 0
    assert report.read_text().startswith("# Votes\n")
    assert run("report", "-o", report)[0] == 2


def test_out_of_one_collection_and_into_another(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    file = tmp_path / "votes.jsonl"
    run("export", file)
    monkeypatch.setenv("TAGGER_DATABASE", f"sqlite:///{tmp_path / 'other.sqlite3'}")
    told = f"{file}: taken {{}}, there already or deleted {{}}, not readable 0.\n"
    assert run("import", file) == (0, "", told.format(48, 0))
    assert run("import", file) == (0, "", told.format(0, 48))
    assert json.loads(run("stats", "--json")[1])["shared"] == 48
    file.write_text("{}\n")
    code, _, err = run("import", file)
    assert code == 1 and f"{file}, 1: " in err
    assert run("import", tmp_path / "none.jsonl")[0] == 2
    assert run("import", file.rename(tmp_path / "votes.csv"))[0] == 1


def test_withdrawal(run: Run, store: Store) -> None:
    me, you = fill(store)
    code, _, err = run("withdraw", "--contributor", you)
    assert code == 2 and "--yes to remove votes" in err
    code, out, _ = run("withdraw", "--contributor", you, "--yes")
    assert code == 0 and "Votes removed: 24." in out
    one = store.votes_of(me)[0].id
    assert run("withdraw", "--id", one, "--yes")[0] == 0
    assert run("withdraw", "--id", one, "--yes")[0] == 2
    store.keep_taste(me, b"taste")
    assert "25" in run("withdraw", "--visitor", "me", "--yes")[1]
    assert store.taste_of(me) is None and store.count_votes() == 0
