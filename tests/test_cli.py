"""The command line, called as a function; as a process where that is the point."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import tagger
from tagger import cli, cli_output
from tagger.cli_output import Progress, cell_width, replacing_text, screen_text
from tagger.safetext import csv_text
from tests import toy
from tests.command_line import Run, runner
from tests.fakes import picture

ROOT = Path(__file__).resolve().parents[1]
RED, SKY = (255, 0, 0), (128, 200, 255)


def expected(color: tuple[int, int, int]) -> list[str]:
    """Names of the toy's tags for a picture of one colour that pass, most probable first."""
    answer = toy.reference(np.full((toy.SIZE, toy.SIZE, 3), color, np.uint8))
    ranked = sorted(zip(answer, toy.NAMES, strict=True), reverse=True)
    return [name for probability, name in ranked if probability >= 0.5]


CAPTION = ", ".join(name.replace("_", " ") for name in expected(SKY))


@pytest.fixture
def run(
    toy_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command; gives exit code, standard output and standard error."""
    monkeypatch.setenv("TAGGER_BUNDLE", str(toy_bundle))
    monkeypatch.setenv("TAGGER_THREADS", "1")
    return runner(capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "pictures"
    (folder / "deeper" / "deepest").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "b.png").write_bytes(picture(RED, (32, 32)))
    (folder / "a.JPG").write_bytes(picture(SKY, (32, 32), "JPEG"))
    (folder / "deeper" / "c.webp").write_bytes(picture(RED, (32, 32), "WEBP"))
    (folder / "deeper" / "deepest" / "d.gif").write_bytes(picture(RED, (32, 32), "GIF"))
    (folder / ".hidden" / "e.png").write_bytes(picture())
    (folder / "notes.md").write_text("no picture")
    return folder


# --- formats


def test_a_table_for_people(run: Run, folder: Path) -> None:
    code, out, err = run("tag", folder / "a.JPG", "--top", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{folder / 'a.JPG'}  (32 × 32 JPEG)"
    assert re.fullmatch(r"  \* +\d\d\.\d%  blue sky +nature", lines[1])
    assert len(lines) == 4
    assert lines[-1].startswith("*")


def test_columns_of_a_table_meet_in_japanese_too(run: Run, folder: Path) -> None:
    _, out, _ = run("tag", folder / "b.png", "--lang", "ja", "--top", 8)
    rows = out.splitlines()[1:-1]
    assert any("赤" in row for row in rows)
    groups = {tag[2] for tag in toy.TAGS}
    starts = set()
    for row in rows:
        group = row.split()[-1]
        assert group in groups
        starts.add(cell_width(row[: row.rindex(group)]))
    assert len(starts) == 1


def test_csv(run: Run, folder: Path) -> None:
    code, out, _ = run("tag", folder, "--format", "csv", "--top", 3)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["file"], row["rank"]) for row in rows] == [
        (str(folder / name), str(rank)) for name in ("a.JPG", "b.png") for rank in (1, 2, 3)
    ]
    assert rows[3]["tag"] == "red"
    assert rows[3]["passes"] == "1"
    assert 0.9 < float(rows[3]["probability"]) <= 1


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json(run: Run, folder: Path, kind: str) -> None:
    (folder / "bad.png").write_bytes(b"no picture")
    code, out, _ = run("tag", folder, "-r", "--format", kind, "--lang", "ja")
    assert code == 1
    data = json.loads(out) if kind == "json" else [json.loads(line) for line in out.splitlines()]
    names = [Path(entry["file"]).name for entry in data]
    assert names == ["a.JPG", "b.png", "bad.png", "c.webp", "d.gif"]
    assert data[2]["error"]["code"]
    assert data[1]["tags"][0] == {
        "name": "red",
        "label": "赤",
        "group": "color",
        "probability": data[1]["tags"][0]["probability"],
        "passes": True,
    }
    assert len(data[1]["tags"]) == 10
    assert data[1]["picture"]["format"] == "PNG"
    assert data[1]["model"]["name"] == "toy"


def test_an_empty_array_is_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    _, out, _ = run("tag", tmp_path, "--format", "json", "--output", tmp_path / "out")
    assert out == ""
    (entry,) = json.loads((tmp_path / "out" / "tags.json").read_text())
    assert entry["error"]["code"] == "image-empty"


# --- captions


def test_captions_lie_beside_their_pictures(run: Run, folder: Path) -> None:
    code, out, _ = run("tag", folder, "-r", "--format", "txt")
    assert (code, out) == (0, "")
    assert (folder / "a.txt").read_text() == CAPTION
    assert (folder / "deeper" / "deepest" / "d.txt").read_text().split(", ")[0] == "red"
    assert not (folder / ".hidden" / "e.txt").exists()
    assert [path for path in folder.rglob("*") if path.name.startswith(".tagger")] == []


def test_captions_keep_the_folders_under_an_output_folder(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "captions"
    run("tag", folder, "-r", "--format", "txt", "--output", out)
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.txt"))
    assert written == ["a.txt", "b.txt", "deeper/c.txt", "deeper/deepest/d.txt"]
    assert not (folder / "a.txt").exists()


def test_captions_that_exist_stay_unless_told(run: Run, folder: Path) -> None:
    (folder / "a.txt").write_text("my own words")
    code, _, err = run("tag", folder, "--format", "txt")
    assert code == 0
    assert "1" in err
    assert "--overwrite" in err
    assert (folder / "a.txt").read_text() == "my own words"
    assert (folder / "b.txt").exists()
    assert run("tag", folder, "--format", "txt", "--skip")[0] == 0
    assert (folder / "a.txt").read_text() == "my own words"
    run("tag", folder, "--format", "txt", "--overwrite")
    assert (folder / "a.txt").read_text() == CAPTION


def test_all_captions_there_is_nothing_to_do(run: Run, folder: Path) -> None:
    run("tag", folder, "--format", "txt")
    assert run("tag", folder, "--format", "txt", "--bundle", "/nowhere")[0] == 0


def test_captions_hold_what_passes_or_all(run: Run, folder: Path) -> None:
    path = folder / "b.png"
    run("tag", path, "--format", "txt", "--top", 5)
    passing = (folder / "b.txt").read_text().split(", ")
    run("tag", path, "--format", "txt", "--top", 5, "--keep", "all", "--overwrite")
    everything = (folder / "b.txt").read_text().split(", ")
    assert len(everything) == 5
    assert passing == everything[: len(passing)]
    assert len(passing) < 5


def test_an_empty_caption_is_said_to_be_empty(run: Run, folder: Path) -> None:
    code, _, err = run("tag", folder / "b.png", "--format", "txt", "--min-probability", 1)
    assert code == 0
    assert (folder / "b.txt").read_text() == ""
    assert "--keep all" in err


@pytest.mark.parametrize(
    ("style", "caption"),
    [
        ("text", CAPTION),
        ("danbooru", " ".join(expected(SKY))),
        ("hashtags", " ".join(f"#{name.replace('-', '_')}" for name in expected(SKY))),
    ],
)
def test_captions_in_other_styles(run: Run, folder: Path, style: str, caption: str) -> None:
    run("tag", folder / "a.JPG", "--format", "txt", "--style", style)
    assert (folder / "a.txt").read_text() == caption


def test_two_pictures_do_not_share_a_caption(run: Run, folder: Path) -> None:
    (folder / "a.png").write_bytes(picture(RED, (32, 32)))
    code, _, err = run("tag", folder, "--format", "txt")
    assert code == 1
    assert "a.png" in err
    assert (folder / "a.txt").read_text() == CAPTION


def test_a_caption_that_cannot_be_written_is_one_pictures_problem(run: Run, folder: Path) -> None:
    (folder / "a.txt").mkdir()
    code, _, err = run("tag", folder, "--format", "txt", "--overwrite")
    assert code == 1
    assert "a.JPG" in err
    assert (folder / "b.txt").exists()


# --- files and folders


def test_folders_are_searched_one_level_unless_told(run: Run, folder: Path) -> None:
    def found(*options: str) -> list[str]:
        _, out, _ = run("tag", folder, *options, "--format", "jsonl", "--top", 1)
        return [Path(json.loads(line)["file"]).name for line in out.splitlines()]

    assert found() == ["a.JPG", "b.png"]
    assert found("--recursive") == ["a.JPG", "b.png", "c.webp", "d.gif"]


def test_a_file_named_is_tried_whatever_it_is_called(run: Run, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(picture(RED, (32, 32)))
    code, out, _ = run("tag", tmp_path / "picture", "--format", "jsonl")
    assert code == 0
    assert json.loads(out)["tags"][0]["name"] == "red"


def test_a_picture_named_twice_is_tagged_once(run: Run, folder: Path) -> None:
    _, out, _ = run("tag", folder / "b.png", folder, folder / "b.png", "--format", "jsonl")
    assert len(out.splitlines()) == 2


def test_what_cannot_be_tagged_is_listed_at_the_end(run: Run, folder: Path) -> None:
    (folder / "empty.png").write_bytes(b"")
    code, out, err = run("tag", folder, folder / "gone.png")
    assert code == 1
    assert out.count("×") == 2
    assert "empty.png" in err
    assert "gone.png" in err
    assert "Traceback" not in err


def test_messages_come_in_japanese(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    assert "空" in run("tag", tmp_path, "--lang", "ja")[2]


def test_a_folder_without_pictures(run: Run, tmp_path: Path) -> None:
    code, _, err = run("tag", tmp_path)
    assert code == 1
    assert "no pictures" in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_file_is_not_waited_for(run: Run, folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.png").symlink_to(folder / "nothing")
    code, out, err = run("tag", folder, "-r", "--format", "jsonl")
    assert code == 1
    assert "pipe.png" in err
    assert "dangling.png" in err
    assert sum("tags" in json.loads(line) for line in out.splitlines()) == 4


def test_the_limits_are_those_of_the_settings(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGGER_MAX_PIXELS", "1000")
    code, _, err = run("tag", folder)
    assert code == 1
    assert "32 × 32" in err


# --- output files


def test_one_file_for_all_results(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    arguments = ["tag", folder, "--format", "csv", "--output", out]
    assert run(*arguments)[0] == 0
    first = (out / "tags.csv").read_bytes()
    assert first.startswith(b"file,rank,tag")
    code, _, err = run(*arguments)
    assert code == 2
    assert "--overwrite" in err
    assert run(*arguments, "--overwrite", "--top", 1)[0] == 0
    assert len((out / "tags.csv").read_bytes()) < len(first)
    assert [path.name for path in out.iterdir()] == ["tags.csv"]
    run("tag", folder, "--output", out)
    assert (out / "tags.txt").read_text().count("×") == 2


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), replacing_text(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    with replacing_text(path) as file:
        file.write("after\n")
    assert path.read_bytes() == b"after\n"


@pytest.mark.skipif(os.name == "nt", reason="needs modes of files")
def test_a_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing_text(tmp_path / "ours"):
        pass
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "ours")}
    assert len(modes) == 1


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "a.txt").symlink_to(tmp_path / "precious")
    with replacing_text(tmp_path / "a.txt") as file:
        file.write("caption")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "caption"


# --- hostile names


def test_a_file_name_cannot_drive_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "\x1b[2J\x07up\u202egnp\u2028x.png"
    (tmp_path / evil).write_bytes(picture(RED, (32, 32)))
    (tmp_path / ("bad" + evil)).write_bytes(b"")
    _, out, err = run("tag", tmp_path)
    for text in (out, err):
        assert text
        assert not set(text) & {"\x1b", "\x07", "\u202e", "\u2028"}
    assert "\\x1b[2J" in out


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are no text")
def test_a_file_name_that_is_no_text_is_written_escaped(run: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).write_bytes(picture(RED, (32, 32)))
    except OSError:
        pytest.skip("this file system takes text only")
    for kind in ("table", "csv", "json", "jsonl"):
        code, out, _ = run("tag", tmp_path, "--format", kind)
        assert code == 0
        assert "caf\\" in out
        out.encode("utf-8")
    assert run("tag", tmp_path, "--format", "txt")[0] == 0
    assert len(list(tmp_path.glob("*.txt"))) == 1


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+_+", "'+_+"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("cat", "cat"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert csv_text(text) == cell


def test_a_file_name_in_csv_is_no_formula(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("=cmd|calc.png").write_bytes(picture(RED, (32, 32)))
    _, out, _ = run("tag", "=cmd|calc.png", "--format", "csv", "--top", 1)
    assert out.splitlines()[1].startswith("'=cmd|calc.png,1,red")


def test_widths_of_text_on_a_terminal() -> None:
    assert cell_width("cat") == 3
    assert cell_width("猫") == 2
    assert cell_width("e\u0301") == 1
    assert screen_text("plain 猫.png") == "plain 猫.png"


# --- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_that_goes_away() -> None:
    out, now = Terminal(), [0.0]
    with Progress(out, 600, clock=lambda: now[0]) as progress:
        for _ in range(300):
            now[0] += 0.5
            progress.step()
    lines = out.getvalue().split("\r\x1b[K")
    assert "1/600 pictures, 2.0/s, 5:00 left" in lines[1]
    assert "300/600 pictures, 2.0/s, 2:30 left" in lines
    assert lines[-1] == ""
    assert "\n" not in out.getvalue()


def test_progress_is_drawn_a_few_times_a_second() -> None:
    out, now = Terminal(), [0.0]
    progress = Progress(out, 1000, clock=lambda: now[0])
    for _ in range(1000):
        now[0] += 0.001
        progress.step()
    assert 5 <= out.getvalue().count("pictures") <= 11


def test_progress_without_a_terminal_says_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("tag", folder)[2] == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(Progress, "_SECONDS_BETWEEN", 0.0)
    assert cli.main(["tag", str(folder), "--format", "csv"]) == 0
    assert "2/2 pictures" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert cli.main(["tag", str(folder), "--format", "csv", "--quiet"]) == 0
    assert terminal.getvalue().count("2/2") == 1


# --- the rest


def test_wrong_arguments_say_what_is_wrong(run: Run, folder: Path) -> None:
    for arguments in (
        ["tag"],
        ["tag", folder, "--top", "0"],
        ["tag", folder, "--top", "101"],
        ["tag", folder, "--top", "x"],
        ["tag", folder, "--min-probability", "2"],
        ["tag", folder, "--min-probability", "nan"],
        ["tag", folder, "--format", "yaml"],
        ["tag", folder, "--skip", "--overwrite"],
        ["paint"],
        [],
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert "usage:" in err


def test_a_model_that_is_not_there(run: Run, folder: Path) -> None:
    code, _, err = run("tag", folder, "--bundle", "/nowhere/at/all")
    assert code == 2
    assert "/nowhere/at/all" in err
    assert "Traceback" not in err


def test_settings_that_make_no_sense(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGGER_MAX_BYTES", "many")
    code, _, err = run("tag", folder)
    assert code == 2
    assert "TAGGER_MAX_BYTES" in err


def test_version_and_help(run: Run) -> None:
    assert run("--version")[1].strip() == tagger.__version__
    code, out, _ = run("--help")
    assert code == 0
    for command in ("tag", "serve", "train", "evaluate", "export"):
        assert command in out


@pytest.mark.parametrize("command", ["train", "evaluate", "export"])
def test_training_commands_hand_their_arguments_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    calls: list[tuple[str, list[str]]] = []

    def main(name: str, arguments: list[str]) -> int:
        calls.append((name, arguments))
        return 7

    training = types.ModuleType("tagger.training.cli")
    training.main = main
    monkeypatch.setitem(sys.modules, "tagger.training", types.ModuleType("tagger.training"))
    monkeypatch.setitem(sys.modules, "tagger.training.cli", training)
    assert run(command, "--help", "--params", "x=1")[0] == 7
    assert calls == [(command, ["--help", "--params", "x=1"])]


def test_without_the_training_requirements_the_message_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(name: str, arguments: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'kedro'", name="kedro.framework")

    training = types.ModuleType("tagger.training.cli")
    training.main = main
    monkeypatch.setitem(sys.modules, "tagger.training", types.ModuleType("tagger.training"))
    monkeypatch.setitem(sys.modules, "tagger.training.cli", training)
    code, _, err = run("train")
    assert code == 2
    assert "kedro" in err
    assert "requirements-train.txt" in err


def test_serving_takes_its_address_from_the_command_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagger import server

    served: list[tuple[str, int]] = []
    monkeypatch.setattr(
        server, "serve", lambda settings: served.append((settings.host, settings.port))
    )
    monkeypatch.setenv("TAGGER_PORT", "1234")
    code, _, _ = run("serve", "--host", "0.0.0.0")
    assert (code, served) == (0, [("0.0.0.0", 1234)])
    run("serve", "--port", 0)
    assert served[1] == ("127.0.0.1", 0)


IMPORTED = """
import sys
from tagger.cli import main
code = main(sys.argv[1:])
heavy = {"gradio", "fastapi", "starlette", "uvicorn", "pandas", "torch", "kedro", "timm", "onnx"}
print(sorted(heavy & set(sys.modules)), code, file=sys.stderr)
"""


def python(*arguments: str, bundle: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TAGGER_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, "TAGGER_BUNDLE": str(bundle), "TAGGER_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_tagging_loads_no_web_framework_and_no_training_library(
    toy_bundle: Path, folder: Path
) -> None:
    ran = python("-c", IMPORTED, "tag", str(folder), bundle=toy_bundle)
    assert ran.stderr.split("\n")[-2] == "[] 0"
    assert "blue sky" in ran.stdout


def test_the_package_is_a_command(toy_bundle: Path, folder: Path) -> None:
    ran = python("-m", "tagger", "tag", str(folder), "--format", "jsonl", bundle=toy_bundle)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 2


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_reader_that_leaves_early_is_no_error(toy_bundle: Path, folder: Path) -> None:
    for i in range(60):
        (folder / f"{i:03}.png").write_bytes(picture(RED, (32, 32)))
    command = f'"{sys.executable}" -m tagger tag "{folder}" | head -n 1'
    environment = {**os.environ, "TAGGER_BUNDLE": str(toy_bundle)}
    ran = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_an_interrupted_run_leaves_whole_captions_only(toy_bundle: Path, folder: Path) -> None:
    for i in range(3000):
        os.link(folder / "b.png", folder / f"{i:04}.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "tagger", "tag", str(folder), "--format", "txt"],
        cwd=ROOT,
        env={**os.environ, "TAGGER_BUNDLE": str(toy_bundle)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (folder / "0000.txt").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (cli.INTERRUPTED, cli.OK)
    assert "Traceback" not in err
    captions = {path.read_text() for path in folder.glob("[0-9]*.txt")}
    assert len(captions) == 1
    assert captions != {""}
    assert not list(folder.glob(".tagger*"))


def test_every_format_has_a_writer() -> None:
    writers = {name for name in dir(cli_output) if name.endswith("Writer")}
    assert writers >= {"TableWriter", "CaptionWriter", "CsvWriter", "JsonWriter"}
    assert set(cli.FORMATS) == {"table", "txt", "csv", "json", "jsonl"}
