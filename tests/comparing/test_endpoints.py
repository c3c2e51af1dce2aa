"""What Gradio's clients get: the same as over REST, from a server that serves both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tagger import server
from tests.comparing.made import make_services, write_ranker
from tests.fakes import picture

COLOURS = {"red.png": (250, 5, 5), "blue.png": (5, 5, 250), "orange.png": (250, 120, 5)}


@pytest.fixture(scope="module")
def served(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("endpoints")
    services = make_services(toy_bundle, folder, gallery="none")
    served = server.launch(services)
    yield served.url
    served.close()
    services.close()


@pytest.fixture(scope="module")
def client(served: str) -> Client:
    return Client(served, verbose=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for name, colour in COLOURS.items():
        (folder / name).write_bytes(picture(colour))
    (folder / "empty.png").write_bytes(b"")
    return {path.name: path for path in folder.iterdir()}


def test_two_pictures_are_compared_as_over_rest(
    client: Client, served: str, files: dict[str, Path]
) -> None:
    left, right = files["blue.png"], files["red.png"]
    here = client.predict(handle_file(str(left)), handle_file(str(right)), api_name="/compare")
    with httpx.Client(base_url=served, timeout=60, trust_env=False) as http:
        sent = {"left": left.read_bytes(), "right": right.read_bytes()}
        assert here == http.post("api/v1/compare", files=sent).json()
    assert here["verdict"] == "right"


def test_sets_are_ordered_as_over_rest(
    client: Client, served: str, files: dict[str, Path], toy_bundle: Path, tmp_path: Path
) -> None:
    names = ["blue.png", "empty.png", "red.png", "orange.png"]
    given = [handle_file(str(files[name])) for name in names]
    here = client.predict(given, api_name="/rank")
    with httpx.Client(base_url=served, timeout=60, trust_env=False) as http:
        sent = [("files", (name, files[name].read_bytes())) for name in names]
        assert here == http.post("api/v1/rank", files=sent).json()
    assert [one["name"] for one in here["pictures"]][-1] == "empty.png"
    assert [one["place"] for one in here["pictures"]][:1] == [2]
    path = write_ranker(tmp_path / "other.json", toy_bundle, name="gloom")
    judged = client.predict(given, profile=path.read_text(), api_name="/rank")
    assert judged["ranker"] == {"id": "file", "label": "gloom"}


def test_what_is_wrong_is_said(client: Client, files: dict[str, Path]) -> None:
    red, empty = (handle_file(str(files[name])) for name in ("red.png", "empty.png"))
    with pytest.raises(AppError, match=r"file is empty"):
        client.predict(red, empty, api_name="/compare")
    with pytest.raises(AppError, match="nonsense"):
        client.predict(red, red, ranker="nonsense", api_name="/compare")
    with pytest.raises(AppError, match="damaged"):
        client.predict([red], profile="[[[", api_name="/rank")
