"""``python -m tagger index`` as people use it, with the toy model that knows colours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger import cli, cli_index
from tagger.similarity import Index
from tests import toy
from tests.command_line import Run, runner
from tests.fakes import picture

ROOT = Path(__file__).resolve().parents[1]
COLOURS = {
    "reds/dark.png": (150, 10, 10),
    "reds/light.png": (255, 60, 60),
    "reds/plain.png": (255, 0, 0),
    "blues/plain.png": (0, 0, 255),
    "blues/sky.png": (128, 200, 255),
    "green.png": (0, 255, 0),
}


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
    return runner(capsys, "index")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for name, colour in COLOURS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(colour, (32, 32)))
    return folder


@pytest.fixture
def built(run: Run, folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "colours.index"
    code, out, err = run("build", folder, "-r", "-o", path)
    assert (code, err) == (0, "") and out.startswith("6 pictures in ")
    return path


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the pictures that the model was asked about."""
    from tagger.services import Services

    names: list[str] = []
    tag_many = Services.tag_many

    def spy(self: Services, sources: Any, **options: Any) -> Any:
        listed = list(sources)
        names.extend(Path(name).name for name, _ in listed)
        return tag_many(self, listed, **options)

    monkeypatch.setattr(Services, "tag_many", spy)
    yield names


def expected(colour: tuple[int, int, int]) -> list[int]:
    """Numbers of the tags that reach their operating points for one colour."""
    answer = toy.reference(np.full((toy.SIZE, toy.SIZE, 3), colour, np.uint8))
    return [number for number, probability in enumerate(answer) if probability >= 0.5]


# --- build


def test_a_folder_becomes_an_index(built: Path, toy_bundle: Path) -> None:
    index = Index.load(built)
    assert set(index.ids()) == set(COLOURS) and index.precision == "float16"
    for name, colour in COLOURS.items():
        item = index.get(name)
        assert item is not None and list(item.labels) == expected(colour)
        assert item.metadata["width"] == 32
    found = index.neighbours("reds/plain.png", 2)
    assert {one.item.id for one in found} == {"reds/dark.png", "reds/light.png"}


def test_the_same_command_again_looks_at_what_changed_only(
    run: Run, built: Path, folder: Path, seen: list[str]
) -> None:
    code, out, _ = run("build", folder, "-r", "-o", built)
    assert code == 0 and seen == [] and "6 unchanged" in out
    (folder / "green.png").write_bytes(picture((0, 0, 250), (40, 40)))
    (folder / "new.png").write_bytes(picture((0, 250, 0), (32, 32)))
    (folder / "reds" / "dark.png").unlink()
    code, out, _ = run("build", folder, "-r", "-o", built)
    assert code == 0 and sorted(seen) == ["green.png", "new.png"]
    assert "7 pictures" in out and "2 added, 4 unchanged" in out
    index = Index.load(built)
    assert index.neighbours("green.png", 1)[0].item.id == "blues/plain.png"
    code, out, _ = run("build", folder, "-r", "-o", built, "--prune")
    assert code == 0 and "6 pictures" in out and "1 removed" in out
    assert "reds/dark.png" not in Index.load(built)


def test_bad_files_are_listed_and_the_rest_is_indexed(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "empty.jpg").write_bytes(b"")
    path = tmp_path / "a.index"
    code, out, err = run("build", folder, folder / "nothing.png", "-r", "-o", path, "--lang", "ja")
    assert code == 1 and out.startswith("6 pictures")
    assert "bad.png" in err and "empty.jpg: ファイルが空です" in err and "no such file" in err
    assert len(Index.load(path)) == 6
    code, _, err = run("build", folder, "-r", "-o", path)
    assert code == 1 and "bad.png" in err  # tried again


def test_nothing_but_bad_files_makes_no_index(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    code, out, _ = run("build", tmp_path / "bad.png", "-o", tmp_path / "a.index")
    assert code == 1 and out == "" and not (tmp_path / "a.index").exists()
    (tmp_path / "none").mkdir()
    code, _, err = run("build", tmp_path / "none", "-o", tmp_path / "a.index")
    assert code == 1 and "no pictures were found" in err


def test_two_pictures_do_not_share_a_name(run: Run, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.index"
    code, out, err = run("build", folder / "reds", folder / "blues", "-o", path)
    assert code == 1 and out.startswith("4 pictures") and "has the same name" in err
    code, _, _ = run("add", path, folder / "blues", "--prefix", "blues/")
    assert code == 0
    assert {"plain.png", "blues/plain.png", "blues/sky.png"} <= set(Index.load(path).ids())


def test_labels_from_captions_or_none(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "green.txt").write_text("Grass, 猫, no such tag\nscarlet", encoding="utf-8")
    path = tmp_path / "a.index"
    run("build", folder, "-o", path, "--labels", "captions", "--precision", "float32")
    index = Index.load(path)
    item = index.get("green.png")
    assert item is not None and index.precision == "float32"
    wanted = sorted(toy.NAMES.index(name) for name in ("grass", "cat", "red"))
    assert list(item.labels) == wanted
    run("build", folder, "-r", "-o", tmp_path / "b.index", "--labels", "none")
    assert all(not one for one in Index.load(tmp_path / "b.index").snapshot().labels)


def test_an_interrupted_build_goes_on(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str]
) -> None:
    from tagger.services import Services

    path = tmp_path / "a.index"
    spied = Services.tag_many

    def breaks_off(self: Services, sources: Any, **options: Any) -> Any:
        for number, outcome in enumerate(spied(self, sources, **options)):
            if number == 3:
                raise KeyboardInterrupt
            yield outcome

    with monkeypatch.context() as patch:
        patch.setattr(Services, "tag_many", breaks_off)
        code, _, err = run("build", folder, "-r", "-o", path)
    assert code == cli.INTERRUPTED and "Interrupted" in err
    assert len(Index.load(path)) == 3
    seen.clear()
    code, out, _ = run("build", folder, "-r", "-o", path)
    assert code == 0 and len(seen) == 3 and "3 added, 3 unchanged" in out


def test_a_long_build_is_saved_now_and_then(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_index, "_BATCH", 2)
    monkeypatch.setattr(cli_index, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(cli_index, "_SAVE_SHARE", 0.0)
    sizes: list[int] = []
    save = Index.save

    def spy(self: Index, path: Path, **options: Any) -> None:
        save(self, path, **options)
        sizes.append(len(Index.load(path)))

    monkeypatch.setattr(Index, "save", spy)
    assert run("build", folder, "-r", "-o", tmp_path / "a.index")[0] == 0
    assert sizes == [2, 4, 6]


def test_killed_in_the_middle_it_goes_on_as_well(
    toy_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    for number in range(40):
        (folder / f"{number}.png").write_bytes(picture((number % 256, 7, 90), (32, 32)))
    path = tmp_path / "a.index"
    # It goes no further than its first save.
    script = (
        "import time\n"
        "from tagger import cli, cli_index\n"
        "cli_index._BATCH, cli_index._SAVE_SECONDS, cli_index._SAVE_SHARE = 8, 0.0, 0.0\n"
        "save = cli_index._save\n"
        "cli_index._save = lambda *given, **more: (save(*given, **more), time.sleep(600))\n"
        f"cli.main(['index', 'build', {str(folder)!r}, '-r', '-o', {str(path)!r}])\n"
    )
    environment = {
        **os.environ,
        "TAGGER_BUNDLE": str(toy_bundle),
        "TAGGER_DATA_DIR": str(tmp_path / "data"),
    }
    program = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    while not path.exists():
        assert program.poll() is None
        time.sleep(0.001)
    program.kill()
    program.wait()
    first = len(Index.load(path))
    assert 0 < first < 46
    run = [sys.executable, "-m", "tagger", "index", "build", str(folder), "-r", "-o", str(path)]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and f"{first} unchanged" in done.stdout
    assert len(Index.load(path)) == 46


def test_an_index_of_another_model_is_refused(
    run: Run, built: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = toy.make_bundle(tmp_path / "other")
    with (other / "selected_tags.csv").open("a") as file:
        file.write("\n")
    (folder / "new.png").write_bytes(picture((1, 2, 3), (32, 32)))
    before = built.read_bytes()
    for command in (
        ("build", folder, "-r", "-o", built, "--bundle", other),
        ("add", built, folder, "-r", "--bundle", other),
        ("query", built, folder / "new.png", "--bundle", other),
    ):
        code, _, err = run(*command)
        assert code == 2 and "made with another model" in err
    assert built.read_bytes() == before


def test_a_model_without_embeddings_is_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    plain = toy.make_wd_bundle(tmp_path / "plain")
    code, _, err = run("build", folder, "-o", tmp_path / "a", "--bundle", plain, "--lang", "ja")
    assert code == 2 and "埋め込みを出力しない" in err


# --- ask


def test_what_is_like_a_picture(run: Run, built: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.png").write_bytes(picture((230, 20, 20), (32, 32)))
    code, out, err = run("query", built, tmp_path / "asked.png", "-k", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("asked.png") and len(lines) == 3
    assert "reds/" in lines[1] and lines[1].split()[0] == "1" and "red" in lines[1]
    code, out, _ = run("query", built, tmp_path / "asked.png", "--lang", "ja", "-k", 1)
    assert "りんご" in out
    code, out, _ = run("query", built, tmp_path / "asked.png", "--json", "-k", 6)
    data = json.loads(out)
    assert [one["rank"] for one in data["neighbours"]] == [1, 2, 3, 4, 5, 6]
    assert "match" not in data
    for one in data["neighbours"]:
        wanted = set(expected(COLOURS[one["id"]])) & set(expected((230, 20, 20)))
        assert set(one["in_common"]) == {toy.NAMES[number] for number in wanted}


def test_what_is_like_one_that_is_indexed(run: Run, built: Path) -> None:
    code, out, _ = run("query", built, "--name", "blues/plain.png", "--json", "-k", 9)
    data = json.loads(out)
    assert code == 0 and len(data["neighbours"]) == 5
    assert "blues/plain.png" not in [one["id"] for one in data["neighbours"]]
    code, _, err = run("query", built, "--name", "nobody.png")
    assert code == 2 and "nobody.png" in err
    assert run("query", built)[0] == 1


def test_a_bad_picture_does_not_end_the_questions(run: Run, built: Path, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"x")
    code, out, err = run("query", built, folder, "--json")
    assert code == 1 and "bad.png" in err and len(out.splitlines()) == 1


def test_add_and_remove(run: Run, built: Path, tmp_path: Path) -> None:
    (tmp_path / "more.png").write_bytes(picture((250, 250, 0), (32, 32)))
    code, out, _ = run("add", built, tmp_path / "more.png", "--prefix", "mine/")
    assert code == 0 and "7 pictures" in out and "mine/more.png" in Index.load(built)
    code, out, err = run("remove", built, "mine/more.png", "nobody")
    assert code == 1 and "6 pictures" in out and "nobody" in err
    code, _, err = run("add", tmp_path / "none.index", tmp_path / "more.png")
    assert code == 2 and "no index at this place" in err


def test_a_damaged_index_is_refused(run: Run, built: Path, folder: Path) -> None:
    built.write_bytes(built.read_bytes()[:200])
    for command in (
        ("build", folder, "-r", "-o", built),
        ("query", built, folder),
        ("evaluate", built),
        ("stats", built),
    ):
        code, _, err = run(*command)
        assert code == 2 and "damaged or not an index" in err
    assert len(built.read_bytes()) == 200


# --- judge


def test_figures(run: Run, built: Path) -> None:
    code, out, err = run("evaluate", built, "--json", "-k", 1, 2)
    figures = json.loads(out)
    assert (code, err) == (0, "") and figures["references"] == 6
    assert {"precision@1", "ndcg@2", "map@r", "mrr"} <= set(figures)
    assert all(0 <= figures[name] <= 1 for name in ("precision@1", "ndcg@2", "map@r", "mrr"))
    code, out, _ = run("evaluate", built, "--search", "hnsw", "--queries", 4)
    assert "6 pictures" in out and "ndcg@10" in out
    recall = next(line for line in out.splitlines() if "hnsw_recall" in line)
    assert float(recall.split()[1]) == 1
    code, out, _ = run("evaluate", built, "--average", "macro", "--least", 1)
    assert code == 0


def test_what_neighbours_tell_is_judged_by_cut_points(run: Run, built: Path) -> None:
    arguments = ("evaluate", built, "--thresholds", 0.9, 0.2, "--matcher", "nearest")
    code, out, _ = run(*arguments, "--json", "--voters", 1)
    told = json.loads(out)["classification"]
    assert code == 0 and told["thresholds"] == [0.2, 0.9]
    assert told["recall"][0] >= told["recall"][1]
    code, out, _ = run(*arguments, "--single", "--least-cosine", 0.5)
    assert code == 0 and "negative_predictive_value" in out
    assert run("evaluate", built, "--thresholds", "x")[0] == 2
    assert run("evaluate", built, "--least-cosine", 2)[0] == 2


def test_how_long_lookups_take(run: Run, built: Path) -> None:
    facts = json.loads(run("stats", built, "--lookups", 4)[1])
    assert facts["lookups"] == 4 and 0 < facts["latency"]["p50"] <= facts["latency"]["max"]
    assert "latency" not in json.loads(run("stats", built)[1])


def test_one_setting_says_how_to_search(
    run: Run, built: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*arguments: object) -> str:
        return str(json.loads(run("stats", *arguments)[1])["search"])

    assert search(built) == "exact" and search(built, "--search", "hnsw") == "hnsw"
    monkeypatch.setenv("TAGGER_SEARCH", "hnsw")
    assert search(built) == "hnsw" and search(built, "--search", "exact") == "exact"
    run("build", folder, "-r", "-o", tmp_path / "b.index")
    monkeypatch.delenv("TAGGER_SEARCH")
    assert search(tmp_path / "b.index") == "hnsw"
    monkeypatch.setenv("TAGGER_SEARCH", "magic")
    assert run("stats", built)[0] == 2


def test_an_index_is_not_copied_over_another(run: Run, built: Path, tmp_path: Path) -> None:
    code, out, _ = run("copy", built, tmp_path / "b.index")
    assert code == 0 and "6 pictures" in out
    assert (tmp_path / "b.index").read_bytes() == built.read_bytes()
    code, _, err = run("copy", built, tmp_path / "b.index")
    assert code == 1 and "there is an index already" in err


def test_cut_points_are_kept_and_used(run: Run, built: Path, tmp_path: Path) -> None:
    assert run("calibrate", built, "--target", "precision", "--value", 0.5, "-k", 2)[0] == 0
    index = Index.load(built)
    assert index.calibration is not None and index.calibration.k == 2
    (tmp_path / "asked.png").write_bytes(picture((255, 20, 20), (32, 32)))
    _, out, _ = run("query", built, tmp_path / "asked.png")
    assert "by its neighbours: " in out
    _, out, _ = run("calibrate", built, "--json", "--matcher", "nearest")
    assert json.loads(out)["matcher"] == "nearest"
    _, out, _ = run("query", built, tmp_path / "asked.png", "--json")
    match = json.loads(out)["match"]
    assert isinstance(match, list) and all(set(one) == {"tag", "score"} for one in match)
    _, out, _ = run("stats", built)
    facts = json.loads(out)
    assert facts["calibrated"] and facts["size"] == 6 and facts["search"] == "exact"


def test_bench_prints_ratios(run: Run, built: Path) -> None:
    arguments = ("bench", "--sizes", 50, 20, "--dimension", 8, "--queries", 5, "-k", 3)
    code, out, _ = run(*arguments)
    assert code == 0 and len(out.splitlines()) == 7 and "1.0×" in out
    figures = json.loads(run(*arguments, "--json")[1])
    assert [row["size"] for row in figures["rows"]] == [20, 20, 20, 50, 50, 50]
    table = run(*arguments, "--markdown")[1].splitlines()
    assert len(table) == 8 and table[0].count("|") == table[1].count("|") == table[2].count("|")
    assert "recall@3" in table[0] and table[2].startswith("| 20 | exact |")
    figures = json.loads(run("bench", "--index", built, "--sizes", 4, "--queries", 2, "--json")[1])
    assert figures["dimension"] == 8 and {row["size"] for row in figures["rows"]} == {4}


def test_arguments_that_make_no_sense(run: Run, built: Path, folder: Path) -> None:
    for command in (
        ("build", folder),
        ("query", built, folder, "-k", 0),
        ("evaluate", built, "--least", 2),
        ("calibrate", built, "--value", "x"),
        ("build", folder, "-o", built, "--labels", "guesses"),
    ):
        assert run(*command)[0] == 2


def test_help_does_not_wait_for_the_model() -> None:
    script = (
        "import sys\nfrom tagger import cli\n"
        "try:\n    cli.main(['index', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'numpy', 'onnxruntime', 'usearch', 'gradio'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "calibrate" in done.stdout


def test_serving_does_not_import_the_graph() -> None:
    script = (
        "import sys\nimport tagger.similarity\n"
        "assert not {'usearch', 'torch', 'sklearn', 'gradio'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
