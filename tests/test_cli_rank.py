"""``python -m tagger rank`` as people use it, with the toy model that knows colours."""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger import bundles, cli_rank, services
from tagger.cli_inputs import Item, collect
from tagger.cli_rank import All, Best, Scored
from tagger.preference import Profile, Ranker
from tests.command_line import Run, runner
from tests.comparing.made import DIMENSION, write_ranker
from tests.fakes import picture

# Best first, by a ranker that likes red and not blue.
COLOURS = {
    "red.png": (250, 5, 5),
    "=pink.png": (230, 30, 30),
    "grey.png": (128, 128, 128),
    "blue.png": (5, 5, 250),
}


@pytest.fixture
def run(
    toy_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run the command; gives exit code, standard output and standard error."""
    ranker = write_ranker(tmp_path / "made" / "ranker.json", toy_bundle)
    monkeypatch.setenv("TAGGER_BUNDLE", str(toy_bundle))
    monkeypatch.setenv("TAGGER_RANKER", str(ranker.parent))
    monkeypatch.setenv("TAGGER_THREADS", "1")
    return runner(capsys, "rank")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in sorted(COLOURS.items()):
        (folder / name).write_bytes(picture(colour, (24, 24)))
    return folder


def names(text: str) -> list[str]:
    """The files of a printed order."""
    return [Path(line.split(maxsplit=2)[2]).name for line in text.splitlines()]


def test_a_folder_is_put_in_order(run: Run, folder: Path) -> None:
    code, out, err = run(folder)
    assert (code, err) == (0, "")
    assert names(out) == list(COLOURS)
    scores = [float(line.split()[1]) for line in out.splitlines()]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0 > scores[-1]
    code, out, _ = run(folder, "--top", 2)
    assert (code, names(out)) == (0, list(COLOURS)[:2])


def test_tables_run_nothing_and_come_back(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "order.csv"
    code, out, _ = run(folder, "-o", path)
    assert code == 0 and "4 of 4 pictures in order" in out
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [Path(row["file"]).name for row in rows] == list(COLOURS)
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    code, out, err = run(folder, "-o", path)
    assert code == 2 and "--overwrite" in err and out == ""
    assert run(folder, "-o", path, "--overwrite")[0] == 0
    # From within the folder, names begin as formulas do.
    monkeypatch.chdir(folder)
    code, out, err = run("=pink.png", "-o", "-")
    assert code == 0 and "'=pink.png," in out
    # A table that the command wrote, filled in, is one of ratings.
    rated = out.splitlines()[0] + ",rating\n" + out.splitlines()[1] + ",3\n"
    (tmp_path / "ratings.csv").write_text(rated + "red.png,0,2,5\n")
    code, out, err = run(*COLOURS, "--ratings", tmp_path / "ratings.csv")
    assert code == 0 and "Rated pictures: 2" in out and "no picture" not in err


def test_ratings_say_how_good_the_order_is(run: Run, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "ratings.csv"
    (folder / "more").mkdir()
    (folder / "more" / "red.png").write_bytes(picture((240, 10, 10)))
    table.write_text("file,rating\nred.png,5\ngrey.png,1\ngrey.png,3\nblue.png,1\nabsent.png,4\n")
    code, out, err = run(folder, "-r", "--ratings", table)
    assert code == 0 and "Ratings of no picture here: 1" in err
    figures = dict(line.rsplit(maxsplit=1) for line in out.splitlines()[5:])
    assert figures == {
        "Rated pictures:": "3",
        **dict.fromkeys(("NDCG@10", "NDCG@50", "NDCG@100"), "1.0000"),
        "pairwise accuracy": "1.0000",
        "Kendall's tau": "1.0000",
    }
    table.write_text("file,rating\nred.png,1\ngrey.png,2\nblue.png,1\nmore/red.png,0\n")
    out = run(folder, "-r", "--ratings", table, "--top", 1)[1]
    # Four pictures in the order red, more/red, grey, blue, of which the grades are 2, 0, 4, 2.
    gains = np.array([3, 0, 15, 3]) @ (1 / np.log2([2, 3, 4, 5]))
    best = np.array([15, 3, 3, 0]) @ (1 / np.log2([2, 3, 4, 5]))
    assert f"NDCG@10            {gains / best:.4f}" in out
    assert "pairwise accuracy  0.4000" in out and len(names(out.split("Rated")[0])) == 1
    table.write_text("file,rating\nred.png,1\n")
    assert "too few" in run(folder, "--ratings", table)[2]


def test_a_rating_is_of_one_picture(run: Run, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "red.png").write_bytes(picture((200, 20, 20)))
    table = tmp_path / "ratings.csv"
    table.write_text("file,rating\nred.png,1\nblue.png,2\n")
    code, out, err = run(folder, other, "--ratings", table)
    assert code == 1 and "Rated pictures: 2" in out
    assert f"its rating under the name red.png is that of {folder / 'red.png'}" in err


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"name,stars\na,1\n",
        b"\xff\xfe\x00",
        b"file,rating\nred.png,five\n",
        b"file,rating\nred.png,inf\n",
        b'file,rating\n"' + b"x" * 200_000,
    ],
)
def test_ratings_that_are_none_are_refused(
    run: Run, folder: Path, tmp_path: Path, table: bytes
) -> None:
    (tmp_path / "ratings.csv").write_bytes(table)
    code, out, err = run(folder, "--ratings", tmp_path / "ratings.csv")
    assert (code, out) == (2, "") and "rating" in err and "Traceback" not in err
    assert run(folder, "--ratings", tmp_path / "absent.csv")[0] == 2


def test_an_archive_holds_the_pictures_in_order(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / 'we:rd "name".png').write_bytes(picture((5, 5, 240)))
    path = tmp_path / "order.zip"
    code, out, _ = run(folder, "--zip", path)
    assert code == 0 and str(path) in out
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        stored = archive.namelist()
        assert stored[:3] == ["001_red.png", "002_=pink.png", "003_grey.png"]
        assert sorted(stored)[3:] == stored[3:] and len(stored) == 5
        assert archive.read("001_red.png") == (folder / "red.png").read_bytes()
        assert not any("/" in name or name.startswith(".") for name in stored)
    assert list(tmp_path.glob(".*")) == []
    before = path.read_bytes()
    assert run(folder, "--zip", path)[0] == 2
    assert path.read_bytes() == before
    assert run(folder, "--zip", path, "--top", 1, "--overwrite")[0] == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["001_red.png"]


def test_a_picture_that_vanishes_is_missing_and_nothing_else(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = cli_rank._write

    def gone(*given: object) -> int:
        (folder / "grey.png").unlink()
        return write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(cli_rank, "_write", gone)
    code, _, err = run(folder, "--zip", tmp_path / "order.zip")
    assert code == 1 and "grey.png: is gone" in err
    with zipfile.ZipFile(tmp_path / "order.zip") as archive:
        assert archive.namelist() == ["001_red.png", "002_=pink.png", "004_blue.png"]


def test_what_cannot_be_read_is_listed_and_stops_nothing(run: Run, folder: Path) -> None:
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"hello")
    code, out, err = run(folder, folder / "absent.png", "--lang", "ja")
    assert code == 1 and names(out) == list(COLOURS)
    assert "Could not be ranked (3)" in err
    assert "empty.png: ファイルが空です" in err and "absent.png: there is no such file" in err
    code, out, err = run(folder / "empty.png")
    assert (code, out) == (1, "") and "empty.png" in err


def test_nothing_is_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert run(tmp_path / "nothing") == (1, "", "  no pictures were found\n")


def test_a_saved_taste_judges_too(run: Run, folder: Path, tmp_path: Path, toy_bundle: Path) -> None:
    turned = write_ranker(tmp_path / "gloom.json", toy_bundle, name="gloom")
    ranker = Ranker.load(turned)
    gloom = Ranker("gloom", ranker.model, -ranker.weights)
    Profile(gloom, space="").save(tmp_path / "taste.json")
    code, out, err = run(folder, "--ranker", tmp_path / "taste.json")
    assert (code, err) == (0, "") and names(out) == list(COLOURS)[::-1]


def test_rankers_of_no_use_are_refused(
    run: Run, folder: Path, tmp_path: Path, toy_bundle: Path
) -> None:
    path = tmp_path / "ranker.json"
    model = bundles.load(toy_bundle).hash
    data = json.loads(write_ranker(path, toy_bundle).read_text())
    wide = Ranker("wide", model, np.ones(DIMENSION + 1, np.float32))
    great = Ranker("great", model, np.full(DIMENSION, 3e38, np.float32))
    for content, word in [
        (b"", "damaged"),
        (b"[" * 100_000, "damaged"),
        (json.dumps({**data, "weights": "AAAA"}).encode(), "damaged"),
        (json.dumps({**data, "slope": float("nan")}).encode(), "damaged"),
        (json.dumps({**data, "model": "0" * 16}).encode(), "another model"),
        (json.dumps(wide.to_dict()).encode(), "another model"),
        (json.dumps(great.to_dict("float32")).encode(), "damaged"),
    ]:
        path.write_bytes(content)
        code, out, err = run(folder, "--ranker", path)
        assert (code, out) == (2, "") and word in err, content[:60]
    for absent in (tmp_path / "absent.json", "none", tmp_path):
        path.unlink(missing_ok=True)
        code, out, err = run(folder, "--ranker", absent)
        assert (code, out) == (2, "") and "no ranker" in err


def test_however_many_come_few_are_held(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(60):
        (folder / f"{n:02}.png").write_bytes(picture((n, n, n)))
    add = Best.add
    found = scored = ahead = 0

    def finding(*given: Any) -> Iterator[Item]:
        nonlocal found, ahead
        for item in collect(*given):
            found += 1
            ahead = max(ahead, found - scored)
            yield item

    def scoring(best: Best, one: Scored) -> None:
        nonlocal scored
        scored += 1
        add(best, one)

    monkeypatch.setattr(cli_rank, "collect", finding)
    monkeypatch.setattr(Best, "add", scoring)
    code, out, _ = run(folder, "--top", 3)
    assert code == 0 and len(names(out)) == 3
    assert found == scored == 64 and ahead <= 16


def test_orders_are_those_of_sorting() -> None:
    rng = random.Random(0)
    scored = [
        Scored(
            rng.choice([-1.5, 0.0, 0.1, 2.0]), n, Path(f"{n}\udcff.png"), rng.choice([None, 2.0])
        )
        for n in range(50)
    ]
    expected = sorted(scored, key=lambda one: (-one.score, one.place))
    every = All()
    for one in scored:
        every.add(one)
    assert list(every) == expected == list(every)
    every.close()
    for count in (1, 7, 50, 99):
        best = Best(count)
        for one in scored:
            best.add(one)
        assert list(best) == expected[:count]


def test_neither_drawings_nor_a_gallery_are_opened(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    build = services.build_services

    def watched(settings: object) -> object:
        seen["built"] = build(settings)  # type: ignore[arg-type]
        return seen["built"]

    monkeypatch.setattr(services, "build_services", watched)
    assert run(folder)[0] == 0
    assert seen["built"].draw is None and seen["built"].explore is None
