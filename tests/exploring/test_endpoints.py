"""What Gradio's clients get: the same as over REST, from a server that serves both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tagger import server
from tagger.errors import ImageError
from tagger.services import Services
from tests.fakes import picture


@pytest.fixture(scope="module")
def served(exploring: Services) -> Iterator[str]:
    served = server.launch(exploring)
    yield served.url
    served.close()


@pytest.fixture(scope="module")
def client(served: str) -> Client:
    return Client(served, verbose=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "cat.png"
    path.write_bytes(picture((150, 100, 60), (24, 24)))
    return path


def over_rest(served: str, path: str, file: Path | None = None) -> Any:
    with httpx.Client(base_url=served, timeout=60, trust_env=False) as http:
        if file is None:
            return http.get(f"api/v1/{path}").json()
        return http.post(f"api/v1/{path}", files={"file": file.read_bytes()}).json()


def test_programs_find_the_endpoints(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {"/embed", "/similar", "/map", "/tag"} <= set(named)


def test_embeddings_are_the_same(client: Client, served: str, file: Path) -> None:
    here = client.predict(handle_file(str(file)), api_name="/embed")
    there = over_rest(served, "embed", file)
    assert here["embeddings"][0]["name"] == "cat.png"
    assert here["embeddings"][0]["embedding"] == there["embeddings"][0]["embedding"]
    assert (here["dimension"], here["model"]) == (there["dimension"], there["model"])


def test_similar_pictures_are_the_same(client: Client, served: str, file: Path) -> None:
    here = client.predict(handle_file(str(file)), k=3, api_name="/similar")
    assert here == over_rest(served, "similar?k=3", file)
    assert len(here["neighbours"]) == 3


def test_the_map_is_the_same(client: Client, served: str) -> None:
    assert client.predict(api_name="/map") == over_rest(served, "map")


def test_what_is_wrong_is_said(client: Client, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    with pytest.raises(AppError, match=r"file is empty"):
        client.predict(handle_file(str(empty)), api_name="/embed")
    assert "file is empty" in ImageError("image-empty").message()
    with pytest.raises(AppError):
        client.predict(handle_file(str(empty)), k=101, api_name="/similar")
    with pytest.raises(AppError, match="map"):
        client.predict(name="moon", api_name="/map")
