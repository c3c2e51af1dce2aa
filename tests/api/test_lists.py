"""GET /api/v1/tags and /api/v1/models, the health checks, and addresses that are none."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests import toy
from tests.api.checks import check_problem
from tests.api.conftest import Serve
from tests.fakes import FakeTagger

TAGS = "/api/v1/tags"


def names(client: TestClient, query: str) -> list[str]:
    return [tag["name"] for tag in client.get(f"{TAGS}?{query}").json()["tags"]]


def test_all_tags_in_the_models_order(toy_client: TestClient) -> None:
    answer = toy_client.get(TAGS).json()
    assert [tag["name"] for tag in answer["tags"]] == toy.NAMES
    assert answer["total"] == len(toy.NAMES)
    assert answer["model"]["name"] == "toy"
    assert answer["tags"][10] == {
        "name": "blue_sky",
        "label": "blue sky",
        "name_ja": "青空",
        "group": "nature",
        "category": 0,
        "count": 990,
        "aliases": [],
        "threshold": 0.5,
        "precision": 0.8,
        "recall": 0.7,
        "support": 50,
    }


def test_groups_are_counted(toy_client: TestClient) -> None:
    groups = toy_client.get(TAGS).json()["groups"]
    assert sum(group["tags"] for group in groups) == len(toy.NAMES)
    for group in groups:
        assert group["tags"] == sum(tag[2] == group["name"] for tag in toy.TAGS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("query=blue", ["blue", "blue_sky"]),
        ("query=BLUE SKY", ["blue_sky"]),
        ("query=crimson", ["red"]),
        ("query=猫", ["cat"]),
        ("query=at", ["cat"]),
        ("query=at&prefix=true", []),
        ("query=background&prefix=false", ["white_background", "black_background"]),
        ("query=zebra", []),
        ("group=face", ["^_^"]),
        ("group=food&query=n", ["nan"]),
        ("group=nothing", []),
        ("group=&query=", toy.NAMES),
        ("limit=2&offset=1", ["green", "blue"]),
        ("offset=1000", []),
        ("query=%25", []),
    ],
)
def test_what_is_asked_for(toy_client: TestClient, query: str, expected: list[str]) -> None:
    assert names(toy_client, query) == expected


def test_labels_are_in_the_language_asked_for(toy_client: TestClient) -> None:
    (cat,) = toy_client.get(f"{TAGS}?query=猫&lang=ja").json()["tags"]
    assert (cat["name"], cat["label"]) == ("cat", "猫")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=10001", "offset=-1", "prefix=maybe", "lang=xx", "query=" + "x" * 201],
)
def test_parameters_out_of_bounds(toy_client: TestClient, query: str) -> None:
    check_problem(toy_client.get(f"{TAGS}?{query}"), 422, "request-invalid")


def test_models_say_who_they_are_and_what_may_be_sent(toy_client: TestClient) -> None:
    answer = toy_client.get("/api/v1/models").json()
    (model,) = answer["models"]
    assert model["name"] == "toy"
    assert model["licence"] == "Apache-2.0"
    assert model["metrics"]["map"] == 0.5
    assert model["training_data"] == [{"name": "none", "licence": "CC0-1.0"}]
    assert (model["tags"], model["input_size"], model["ready"]) == (24, toy.SIZE, True)
    limits = answer["limits"]
    assert limits["max_files"] == 32
    assert limits["max_bytes"] < limits["max_request_bytes"]


# --- health


def test_a_ready_process(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.json() == {
        "status": "ready",
        "model": {"name": "fake", "version": "0", "hash": "f" * 16},
    }
    assert ready.headers["cache-control"] == "no-store"
    assert client.head("/healthz").status_code == 200


def test_a_process_whose_model_has_not_answered_yet(serve: Serve) -> None:
    client = serve(FakeTagger(ready=False))
    assert client.get("/healthz").status_code == 200
    check_problem(client.get("/readyz"), 503, "not-ready")
    assert client.get("/api/v1/models").json()["models"][0]["ready"] is False


# --- addresses


@pytest.mark.parametrize(
    "path",
    [
        "/api/nothing",
        "/api/v1",
        "/api/v1/",
        "/api/v2/tag",
        "/api/v1/tags/cat",
        "/api/%2e%2e/etc/passwd",
        "/api//v1/tags",
        "/api/v1/tags%00",
        "/api/" + "x" * 3000,
    ],
)
def test_addresses_that_are_none(client: TestClient, path: str) -> None:
    check_problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/tag"),
        ("PUT", "/api/v1/tag"),
        ("POST", "/api/v1/tags"),
        ("DELETE", "/api/v1/models"),
        ("OPTIONS", "/api/v1/tag"),
        ("TRACE", "/api/v1/tag"),
        ("BREW", "/api/v1/tag"),
    ],
)
def test_methods_that_are_not_taken(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)
    check_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"]


def test_no_origin_is_let_in_by_the_api_itself(client: TestClient) -> None:
    response = client.get(TAGS, headers={"origin": "https://elsewhere.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]
