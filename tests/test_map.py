"""The map's script of plotly as it is served, and the map's words."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tagger.languages import LANGUAGES
from tagger.ui import files, plotly_js
from tagger.ui.explore_tab import MAP_SCRIPTS
from tagger.ui.map_words import map_words

TEXT = b"window.Plotly = {}; // " + b"a" * 5000


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "plotly.min.js"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def client(script: Path) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[plotly_js.plotly_route(script)])) as client:
        yield client


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, identity", False),
        ("br", False),
        ("", False),
    ],
)
def test_the_script_comes_packed_to_who_can_unpack_it(
    client: TestClient, accepted: str, packed: bool
) -> None:
    with client.stream("GET", "/explore/plotly.js", headers={"Accept-Encoding": accepted}) as got:
        raw = b"".join(got.iter_raw())
    assert got.status_code == 200
    assert got.headers["content-type"].startswith("text/javascript")
    assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert got.headers["vary"] == "Accept-Encoding"
    assert int(got.headers["content-length"]) == len(raw)
    assert got.headers.get("content-encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(raw) if packed else raw) == TEXT
    assert (len(raw) < len(TEXT)) == packed


def test_the_script_is_read_and_packed_once(client: TestClient, script: Path) -> None:
    first = client.get("/explore/plotly.js").content
    script.unlink()
    assert client.get("/explore/plotly.js").content == first == TEXT
    assert client.head("/explore/plotly.js").headers["content-encoding"] == "gzip"


def test_the_address_names_the_version_that_is_installed() -> None:
    path, url = plotly_js.find_script(), plotly_js.plotly_url()
    assert path is not None and url is not None
    assert path.stat().st_size > 1_000_000
    route, version = url.split("?v=")
    assert route == plotly_js.plotly_route().path.lstrip("/")
    assert version[0].isdigit()


def test_without_plotly_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plotly_js.find_script("no_such_package_anywhere") is None
    # A package without the file, and a module that is no package.
    assert plotly_js.find_script("tagger") is None
    assert plotly_js.find_script("gzip") is None
    monkeypatch.setattr(plotly_js, "find_script", lambda: None)
    assert plotly_js.plotly_url() is None
    with TestClient(Starlette(routes=[plotly_js.plotly_route()])) as client:
        assert client.get("/explore/plotly.js").status_code == 404


def test_plotly_itself_is_never_imported() -> None:
    code = (
        "import sys\n"
        "from tagger.ui.plotly_js import plotly_route, plotly_url\n"
        "plotly_route(); assert plotly_url()\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'plotly']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_word_of_the_map_is_there_in_both_languages() -> None:
    tables = {lang: map_words(lang) for lang in LANGUAGES}
    first, *others = (set(table) for table in tables.values())
    assert all(other == first for other in others)
    assert all(text.strip() for table in tables.values() for text in table.values())
    script = files.text(*MAP_SCRIPTS)
    tools = {"pan", "turn", "lasso", "box", "in", "out", "reset"}
    assert {"map_label", "map_keys", "map_tools"} | {f"map_{tool}" for tool in tools} == first
    assert all(f"words.{word}" in script for word in ("map_label", "map_keys", "map_tools"))
