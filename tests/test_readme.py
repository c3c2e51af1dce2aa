"""What the README shows runs as it stands there, and what it states is so."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from PIL import Image

from tagger import server
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import toy

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860/"


def section(heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README, re.DOTALL | re.M)
    assert found, f"README.md has no section {heading!r}"
    return found.group(1)


def between(marker: str) -> str:
    """Return what stands between a pair of markers."""
    found = re.search(rf"<!-- {marker}: begin -->(.*?)<!-- {marker}: end -->", README, re.DOTALL)
    assert found, f"README.md has no markers {marker!r}"
    return found.group(1)


def code(text: str, language: str) -> str:
    """Return the first code block of a language."""
    found = re.search(rf"^```{language}\n(.*?)\n```$", text, re.DOTALL | re.M)
    assert found, f"no {language} block"
    return found.group(1)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the examples name."""
    picture = Image.new("RGB", (40, 40), (255, 0, 0))
    picture.save(tmp_path / "picture.png")
    for name in ("one.jpg", "more/two.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return tmp_path


@pytest.fixture(scope="module")
def address(toy_services: Services) -> Iterator[str]:
    """Where a server with the tiny model listens."""
    served = server.launch(toy_services)
    yield served.url
    served.close()


@pytest.fixture(scope="module")
def drawing_address(
    toy_bundle: Path, toy_sketch_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where a server recognises drawings, too."""
    settings = Settings(
        bundle=str(toy_bundle),
        sketch_bundle=str(toy_sketch_bundle),
        data_dir=tmp_path_factory.mktemp("drawn"),
        threads=1,
    )
    services = build_services(settings)
    served = server.launch(services)
    yield served.url
    served.close()
    services.close()


def run(command: list[str] | str, folder: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    """Run an example in a folder, with the tiny model."""
    surroundings = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "TAGGER_BUNDLE": str(bundle),
        "TAGGER_THREADS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_the_command_line_examples_run(desk: Path, toy_bundle: Path) -> None:
    for line in code(section("Command line"), "bash").splitlines():
        ran = run(line.replace(".venv/bin/python", sys.executable), desk, toy_bundle)
        assert ran.returncode == 0, (line, ran.stderr)
    objects = [json.loads(line) for line in (desk / "tags.jsonl").read_text().splitlines()]
    assert [Path(o["file"]).name for o in objects] == ["one.jpg", "two.png"]
    assert (desk / "captions" / "one.txt").read_text(encoding="utf-8").startswith("red")
    assert "赤" in (desk / "tables" / "tags.csv").read_text(encoding="utf-8")


def test_the_examples_of_similar_pictures_run(desk: Path, toy_bundle: Path) -> None:
    for line in code(section("Similar pictures"), "bash").splitlines():
        ran = run(line.replace(".venv/bin/python", sys.executable), desk, toy_bundle)
        assert ran.returncode == 0, (line, ran.stderr)
        if " query " in line:
            assert "one.jpg" in ran.stdout and "two.png" in ran.stdout


def test_the_examples_of_order_run(
    desk: Path, real_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAGGER_RANKER")  # the shipped one, which goes with the shipped model
    for line in code(section("Pictures in order"), "bash").splitlines():
        ran = run(line.replace(".venv/bin/python", sys.executable), desk, real_bundle)
        assert ran.returncode == 0, (line, ran.stderr)
    rows = (desk / "order.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows[0].split(",")[:3] == ["file", "score", "rank"]
    assert len(rows) == 3
    with zipfile.ZipFile(desk / "best.zip") as archive:
        assert [name[:4] for name in archive.namelist()[:2]] == ["001_", "002_"]
    assert (desk / "votes.jsonl").read_bytes() == b""


def test_the_examples_of_maps_run(desk: Path, toy_bundle: Path) -> None:
    (desk / "pictures" / "one.txt").write_text("cat", encoding="utf-8")
    *lines, serving = code(section("Maps of your own pictures"), "bash").splitlines()
    assert serving == "TAGGER_GALLERY=my-gallery .venv/bin/python app.py"
    for line in lines:
        # UMAP takes its time; the second line needs none, and the engine's tests try both.
        line = line.replace("--out my-gallery", "--out my-gallery --no-map")
        ran = run(line.replace(".venv/bin/python", sys.executable), desk, toy_bundle)
        assert ran.returncode == 0, (line, ran.stderr)
    assert "2" in ran.stdout and "pca" in ran.stdout.lower()


def test_the_notebook_example_runs(desk: Path, toy_bundle: Path) -> None:
    for folder in ("exported", "assets"):
        (desk / folder).symlink_to(ROOT / folder)
    ran = run([sys.executable, "-c", code(section("Notebooks"), "python")], desk, toy_bundle)
    assert ran.returncode == 0, ran.stderr
    for name in ("map.html", "neighbours.html"):
        assert "<html" in (desk / name).read_text(encoding="utf-8")


def test_the_rest_examples_are_answered(desk: Path, address: str) -> None:
    answers = []
    for line in code(section("REST"), "bash").splitlines():
        command, *words = shlex.split(line)
        assert command == "curl"
        url = words.pop().replace(ADDRESS, address)
        files = [
            ("file", (Path(word).name, (desk / word.removeprefix("file=@")).read_bytes()))
            for word in words
            if word != "-F"
        ]
        method = "POST" if files else "GET"
        answers.append(httpx.request(method, url, files=files or None, trust_env=False))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    one, two, tags = (answer.json() for answer in answers)
    assert one["results"][0]["tags"][0]["name"] == "red"
    assert [len(result["tags"]) for result in two["results"]] == [5, 5]
    assert two["results"][0]["tags"][0]["label"] == "赤"
    assert tags["tags"][0]["name"] == "cat"


def test_the_python_example_runs(desk: Path, toy_bundle: Path) -> None:
    ran = run([sys.executable, "-c", code(section("Python"), "python")], desk, toy_bundle)
    assert ran.returncode == 0, ran.stderr
    assert re.match(r"0\.\d\d red True\n", ran.stdout)
    assert len(ran.stdout.splitlines()) == 10


def test_the_gradio_client_example_runs(desk: Path, toy_bundle: Path, address: str) -> None:
    program = code(section("Gradio client"), "python").replace(ADDRESS, address)
    ran = run([sys.executable, "-c", program], desk, toy_bundle)
    assert ran.returncode == 0, ran.stderr
    names = [name for name in toy.NAMES if repr(name) in ran.stdout.splitlines()[-1]]
    assert "red" in names
    assert len(names) == 10


def test_the_drawing_examples_run(desk: Path, toy_bundle: Path, drawing_address: str) -> None:
    here = ADDRESS.removesuffix("/")
    program = code(section("Drawings"), "python").replace(here, drawing_address.removesuffix("/"))
    ran = run([sys.executable, "-c", program], desk, toy_bundle)
    assert ran.returncode == 0, ran.stderr
    *words, saved = ran.stdout.splitlines()
    assert words and all(re.match(r"[01]\.\d\d \S", line) for line in words)
    assert saved == "1"
    for line in code(section("Drawings"), "bash").splitlines():
        ran = run(line.replace(".venv/bin/python", sys.executable), desk, toy_bundle)
        assert ran.returncode == 0, (line, ran.stderr)


def test_the_settings_are_there_with_the_defaults_that_are_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith(("TAGGER_", "GRADIO_"))]:
        monkeypatch.delenv(name)
    stated: dict[str, str] = {}
    for names, values in re.findall(r"^\| (`TAGGER_.*?) \| (.*?) \|", section("Settings"), re.M):
        fields = [name.removeprefix("TAGGER_").lower() for name in re.findall("`(.*?)`", names)]
        assert set(fields) <= set(Settings.model_fields)
        stated.update(zip(fields, re.findall("`(.*?)`", values), strict=False))
    for name in (
        "bundle",
        "sketch_bundle",
        "gallery",
        "ranker",
        "data_dir",
    ):  # said relative to the project
        assert ROOT / stated.pop(name) == Path(getattr(Settings(), name))
    assert len(stated) >= 6
    given = Settings(**stated)
    assert {name: getattr(given, name) for name in stated} == {
        name: getattr(Settings(), name) for name in stated
    }


def test_the_training_parameters_that_are_named_exist() -> None:
    conf = ROOT / "tagger" / "training" / "conf" / "base" / "parameters_tagging.yml"
    parameters = yaml.safe_load(conf.read_text(encoding="utf-8"))
    named = re.findall(r"--set ([\w.]+)=", README)
    assert named
    for name in named:
        value = parameters
        for part in name.split("."):
            assert part in value, name
            value = value[part]


def test_the_picture_of_the_pipeline_is_that_of_the_registry() -> None:
    from tagger.training.diagram import mermaid
    from tagger.training.pipeline_registry import register_pipelines

    _, drawn = README.split("<!-- pipeline: tagging", 1)
    assert code(drawn, "mermaid") == mermaid(register_pipelines()["tagging"])


def test_every_row_of_figures_stands_in_the_model_card(real_bundle: Path) -> None:
    card = (real_bundle / "README.md").read_text(encoding="utf-8").splitlines()
    text = between("figures") + between("embedding figures")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row for row in rows if row not in card] == []


def test_every_row_of_the_rankers_figures_stands_in_its_card() -> None:
    card = (ROOT / "exported" / "preference" / "README.md").read_text(encoding="utf-8").splitlines()
    figures = between("preference figures").split("How many votes")[0]
    rows = [line for line in figures.splitlines() if line.startswith("|")]
    assert len(rows) == 10
    assert [row for row in rows if row not in card] == []


def test_every_row_of_the_drawings_figures_stands_in_their_card() -> None:
    card = ROOT / "exported" / "sketch" / "README.md"
    if not card.exists():
        pytest.skip("the shipped recogniser is not exported")
    lines = card.read_text(encoding="utf-8").splitlines()
    rows = [line for line in between("sketch figures").splitlines() if line.startswith("|")]
    assert len(rows) >= 6
    assert [row for row in rows if row not in lines] == []
