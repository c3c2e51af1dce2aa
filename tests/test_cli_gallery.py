"""``python -m tagger gallery`` as people use it, with the toy model that knows colours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.atlas import Atlas, MapParameters, MapWorker, hash_embeddings, trustworthiness
from tagger.gallery import open_gallery
from tests.command_line import Run, runner
from tests.fakes import picture

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(
    toy_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a command; gives exit code, standard output and standard error."""
    monkeypatch.setenv("TAGGER_BUNDLE", str(toy_bundle))
    monkeypatch.setenv("TAGGER_THREADS", "1")
    monkeypatch.setenv("TAGGER_DATA_DIR", str(tmp_path / "data"))
    return runner(capsys, "gallery")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "My pictures"
    rng = np.random.default_rng(0)
    for n in range(40):
        path = folder / ("reds" if n < 20 else "blues") / f"{n:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = tuple(int(value) for value in rng.integers(0, 90, 3))
        colour = (160 + shade[0], shade[1], shade[2]) if n < 20 else (*shade[:2], 160 + shade[2])
        path.write_bytes(picture(colour, (32, 32)))
    (folder / "reds" / "03.txt").write_text("cat, my own word")
    return folder


@pytest.fixture
def built(run: Run, folder: Path, tmp_path: Path) -> Path:
    code, out, err = run("build", folder, "--out", tmp_path / "gallery", "--method", "pca")
    assert (code, err) == (0, "") and out.startswith("40 pictures in ") and "map: PCA" in out
    return tmp_path / "gallery"


def test_a_folder_becomes_a_gallery_with_a_map(built: Path, run: Run) -> None:
    gallery = open_gallery(built)
    assert gallery.name == "My pictures" and len(gallery) == 40
    assert set(gallery.number_of) >= {"reds/00.png", "blues/39.png"}
    assert gallery.metadata(gallery.number_of["reds/03.png"])["given"] == ["cat", "my own word"]
    atlas = gallery.atlas
    assert atlas is not None and atlas.parameters.method == "pca"
    told = trustworthiness(gallery.embeddings, atlas.positions)
    assert atlas.trustworthiness == pytest.approx(told, abs=1e-5)
    code, out, _ = run("info", built)
    assert code == 0 and "40 pictures, 1 tagged by people" in out and "map: PCA" in out
    code, out, _ = run("info", built, "--json")
    facts = json.loads(out)
    assert facts["count"] == 40 and facts["map"]["method"] == "pca"
    assert facts["hash"] == gallery.hash and facts["given"] == 1


def test_the_same_command_brings_it_up_to_date(built: Path, run: Run, folder: Path) -> None:
    (folder / "reds" / "00.png").unlink()
    (folder / "new.png").write_bytes(picture((0, 200, 0)))
    (folder / "bad.png").write_bytes(b"no picture")
    code, out, err = run("build", folder, "--out", built, "--method", "pca", "--lang", "ja")
    assert code == 1 and "40 pictures" in out and "(1 added, 39 unchanged, 1 removed)" in out
    assert "bad.png: このファイルはテキストファイルのため" in err
    gallery = open_gallery(built)
    assert "new.png" in gallery.number_of and "reds/00.png" not in gallery.number_of
    assert gallery.atlas is not None and len(gallery.atlas) == 40


def test_the_map_is_made_as_asked(built: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With UMAP itself the worker's own tests take long enough: here another stands for it."""
    asked: list[tuple[MapParameters, list[tuple[int, ...]]]] = []

    class Quick(MapWorker):
        def fit(self, embeddings: Any, parameters: Any = None, tags: Any = None) -> Any:
            asked.append((parameters, tags))
            future: Future[Atlas] = Future()
            positions = np.asarray(embeddings, np.float32)[:, : parameters.dimensions]
            values = np.ones(len(positions), np.float32)
            digest = hash_embeddings(embeddings)
            future.set_result(Atlas(positions, values, parameters, 0.95, 0.5, 1.25, digest))
            return future

    monkeypatch.setattr("tagger.atlas.MapWorker", Quick)
    options = ("--neighbours", "5", "--min-distance", "0.3", "--supervised", "--dens")
    code, out, err = run("map", built, *options, "--seed", "4")
    assert (code, err) == (0, "")
    assert out == (
        "map: UMAP, 5 neighbours, minimum distance 0.3, densMAP, supervised by tags, 2-D; "
        "trustworthiness 0.9500 (PCA 0.5000); 1.2 s\n"
    )
    wanted, tags = asked[0]
    assert wanted == MapParameters("umap", 5, 0.3, 2, dens=True, supervised=True, seed=4)
    gallery = open_gallery(built)
    assert gallery.atlas is not None and gallery.atlas.parameters == wanted
    assert tags == [tuple(tag for tag, _ in sorted(gallery.labels.of(n))) for n in range(40)]


def test_without_umap_the_map_is_pcas_and_that_is_said(
    built: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "umap" else find(name)
    )
    code, out, err = run("map", built, "--dimensions", "3")
    assert code == 0 and out.startswith("map: PCA, 3-D") and "UMAP is not installed" in err


def test_a_table_tells_what_is_known(run: Run, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "file,title,author,licence,tags,language\n"
        'reds/00.png,赤いもの,"Doe, Jane",CC0,"dog, red",ja\nno.png,x,,,,\n',
        encoding="utf-8-sig",
    )
    out = tmp_path / "gallery"
    options = ("--no-map", "--table", table, "--licence", "CC BY 4.0", "--name", "Ours")
    assert run("build", folder, "--out", out, *options)[0] == 0
    gallery = open_gallery(out)
    assert (gallery.name, gallery.licence, gallery.atlas) == ("Ours", "CC BY 4.0", None)
    metadata = gallery.metadata(gallery.number_of["reds/00.png"])
    assert (metadata["title"], metadata["author"]) == ("赤いもの", "Doe, Jane")
    assert metadata["language"] == "ja" and metadata["given"] == ["dog", "red"]
    for text in ("title\nx\n", "file\n\xff"):
        table.write_bytes(text.encode("latin-1"))
        code, _, err = run("build", folder, "--out", out, *options)
        assert code == 2 and "CSV in UTF-8 with a column `file`" in err


def test_a_gallery_inside_the_folder_is_not_part_of_it(run: Run, folder: Path) -> None:
    out = folder / "gallery"
    for _ in range(2):
        code, said, _ = run("build", folder, "--out", out, "--no-map")
        assert code == 0 and said.startswith("40 pictures")
        (out / "cover.png").write_bytes(picture())


def export(path: Path, pictures: list[dict[str, Any]], **changed: Any) -> Path:
    data = {"format": "gallery-selection", "hash": "x", "pictures": pictures, **changed}
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_edited_tags_are_written_into_the_gallery(
    built: Path, run: Run, tmp_path: Path, folder: Path
) -> None:
    before = open_gallery(built)
    labels = {n: [tag for tag, _ in before.labels.of(n)] for n in range(40)}
    red = before.number_of["reds/00.png"]
    three = before.number_of["reds/03.png"]
    file = export(
        tmp_path / "export.json",
        [
            {"number": 0, "id": "reds/00.png", "added": ["dog", "not a tag"], "removed": ["red"]},
            {"number": 1, "id": "reds/03.png", "tags": [], "removed": ["kitty"]},
            {"number": 2, "id": "blues/20.png", "added": [], "removed": []},
            {"number": 3, "id": "gone.png", "added": ["cat"], "removed": []},
        ],
    )
    code, out, err = run("apply", file, "--gallery", built)
    assert code == 1 and out.startswith("2 pictures changed")
    assert "gone.png: there is no such picture" in err and "not a tag: the model has no" in err
    gallery = open_gallery(built)
    assert gallery.hash != before.hash and gallery.atlas is not None
    assert np.array_equal(gallery.embeddings, before.embeddings)
    dog, cat, first = 13, 12, 0
    assert {tag for tag, _ in gallery.labels.of(red)} == {*labels[red], dog} - {first}
    assert gallery.metadata(red)["given"] == ["dog", "not a tag"] and gallery.given[red]
    # Under whichever of its names.
    assert gallery.metadata(three)["given"] == ["my own word"]
    assert {tag for tag, _ in gallery.labels.of(three)} == set(labels[three]) - {cat}
    for n in set(range(40)) - {red, three}:
        assert [tag for tag, _ in gallery.labels.of(n)] == labels[n]
        assert gallery.metadata(n) == before.metadata(n)
    # The same again changes nothing; a later build keeps it.
    code, out, _ = run("apply", file, "--gallery", built)
    assert out.startswith("0 pictures changed")
    assert open_gallery(built).hash == gallery.hash
    (folder / "new.png").write_bytes(picture((0, 200, 0)))
    assert run("build", folder, "--out", built, "--no-map")[0] == 0
    kept = open_gallery(built)
    assert kept.metadata(kept.number_of["reds/00.png"])["given"] == ["dog", "not a tag"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": "gallery-selection"}',
        '{"format": "gallery-selection", "pictures": [5]}',
        '{"format": "gallery-selection", "pictures": [{"id": 5}]}',
        '{"format": "gallery-selection", "pictures": [{"id": "a", "added": "cat"}]}',
        '{"format": "gallery-selection", "pictures": [{"id": "a", "added": [""]}]}',
        '{"format": "x", "pictures": []}',
    ],
)
def test_another_file_is_no_export(built: Path, run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    before = open_gallery(built).hash
    code, _, err = run("apply", tmp_path / "x.json", "--gallery", built)
    assert code == 2 and "no export of a selection" in err
    assert open_gallery(built).hash == before


def test_what_is_no_gallery_is_said(run: Run, tmp_path: Path, folder: Path) -> None:
    code, _, err = run("info", tmp_path / "nothing")
    assert code == 2 and "no gallery at this place" in err
    code, _, err = run("build", tmp_path / "nothing", "--out", tmp_path / "g")
    assert code == 1 and "no such file" in err and not (tmp_path / "g").exists()
    (tmp_path / "empty").mkdir()
    code, _, err = run("build", tmp_path / "empty", "--out", tmp_path / "g")
    assert code == 1 and "no pictures were found" in err
    for wrong in ("--neighbours=0", "--min-distance=2", "--dimensions=4", "--seed=-1"):
        assert run("build", folder, "--out", tmp_path / "g", wrong)[0] == 2


# It interrupts itself in the middle, and reads slowly from then on.
INTERRUPTED = """
import os, signal, sys, time
from tagger import cli
from tagger.gallery import building
read, count = building._read, []
def reading(*given):
    count.append(given)
    if len(count) == 90:
        os.kill(os.getpid(), signal.SIGINT)
    if len(count) > 90:
        time.sleep(0.05)
    return read(*given)
building._read = reading
sys.exit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_keeps_what_is_done(folder: Path, tmp_path: Path, toy_bundle: Path) -> None:
    for n in range(400):
        (folder / f"{n}.png").write_bytes(picture((n % 256, 90, 30), (32, 32)))
    environment = {
        **os.environ,
        "TAGGER_BUNDLE": str(toy_bundle),
        "TAGGER_THREADS": "1",
        "TAGGER_DATA_DIR": str(tmp_path / "data"),
    }
    out = tmp_path / "gallery"

    def build(*program: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *program, "gallery", "build", str(folder), "--out", str(out)]
        return subprocess.run(
            [*command, "--no-map"], cwd=ROOT, env=environment, capture_output=True, text=True
        )

    ended = build("-c", INTERRUPTED)
    assert ended.returncode == 130 and "the same command goes on" in ended.stderr
    assert not (out / "gallery.json").exists()
    again = build("-m", "tagger")
    assert again.returncode == 0 and again.stdout.startswith("440 pictures")
    unchanged = re.search(r"(\d+) unchanged", again.stdout)
    assert unchanged is not None and 0 < int(unchanged[1]) < 440
    assert len(open_gallery(out)) == 440 and not (out / "building").exists()
