"""Learning for good over HTTP: for the owner alone, and as it is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tagger.services import Services
from tests import learning, trainer
from tests.api.checks import check_problem
from tests.api.conftest import client_of
from tests.api.test_docs import check_against
from tests.fakes import make_services
from tests.learning import GOOD, World, drawn, until

OWNER = {"Authorization": "Bearer a secret"}
Make = Callable[..., TestClient]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learning.make_bundle(tmp_path_factory.mktemp("shipped") / "toy-sketch")


@pytest.fixture
def world(tmp_path: Path, shipped: Path) -> World:
    return World(tmp_path, shipped)


@pytest.fixture
def make(world: World) -> Iterator[Make]:
    made: list[Services] = []

    def build(**settings: Any) -> TestClient:
        draw, _ = world.start(**settings)
        services = make_services(draw=draw, threads=2)  # type: ignore[arg-type]
        made.append(services)
        return client_of(services)

    yield build
    for services in made:
        services.close()


def start(client: TestClient, kind: str = "refit", **parameters: Any) -> dict[str, Any]:
    body = {"kind": kind, "parameters": parameters}
    response = client.post("/api/v1/tuning/runs", json=body, headers=OWNER)
    assert response.status_code == 202, response.text
    data: dict[str, Any] = response.json()
    return data


def ended(client: TestClient, id: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        response = client.get(f"/api/v1/tuning/runs/{id}", headers=OWNER)
        assert response.status_code == 200, response.text
        return dict(response.json())

    return until(look, lambda run: run["state"] != "running")


def state(client: TestClient, lang: str = "en") -> dict[str, Any]:
    response = client.get(f"/api/v1/tuning?lang={lang}", headers=OWNER)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-language"] == lang
    return dict(response.json())


def best(client: TestClient) -> str:
    strokes = drawn("bracket", 77)
    words = client.post("/api/v1/recognise", json={"strokes": strokes}).json()["words"]
    return str(words[0]["word"])


def test_a_word_is_learnt_for_good_over_http(world: World, make: Make) -> None:
    world.fill(*GOOD, accepted=())
    client = make()
    before = state(client)
    assert before["words"] == [{"word": "bracket", "drawings": 60, "accepted": False}]
    assert (before["runs"], before["running"], before["previous"]) == ([], None, None)
    assert best(client) != "bracket"
    client.put("/api/v1/words/bracket", headers=OWNER)
    run = start(client)
    assert run["kind"] == "refit" and run["data"]["new_words"] == ["bracket"]
    run = ended(client, run["id"])
    assert run["verdict"]["passes"] is True and run["said"].startswith("Better")
    client.delete("/api/v1/words/bracket", headers=OWNER)
    assert best(client) == "bracket"
    after = state(client, "ja")
    assert after["runs"][0]["said"].startswith("改善")
    assert [v["current"] for v in after["versions"]] == [True, False]
    assert client.get("/api/v1/models").json()["recogniser"]["words"] == 6
    back = client.post("/api/v1/tuning/back", headers=OWNER)
    assert back.status_code == 200 and back.json()["versions"][1]["current"] is True
    assert best(client) != "bracket"
    check_problem(client.post("/api/v1/tuning/back", headers=OWNER), 409, "tuning-no-previous")
    used = client.post(f"/api/v1/tuning/versions/{run['version']}", headers=OWNER)
    assert used.json()["previous"] == "shipped" and best(client) == "bracket"


def test_a_training_is_started_looked_at_and_cancelled(world: World, make: Make) -> None:
    world.fill(*GOOD)
    client = make()
    id = start(client, "tuning", seed=trainer.PATIENT, epochs=3)["id"]
    url = f"/api/v1/tuning/runs/{id}"
    run = until(
        lambda: client.get(url, headers=OWNER).json(), lambda run: run["progress"]["done"] == 0.5
    )
    assert run["state"] == "running" and run["progress"]["step"] == "training"
    assert run["parameters"] == {"seed": trainer.PATIENT, "epochs": 3}
    assert state(client)["running"] == id
    body = {"kind": "refit"}
    again = client.post("/api/v1/tuning/runs", json=body, headers=OWNER)
    check_problem(again, 409, "tuning-busy")
    assert client.delete(url, headers=OWNER).status_code == 200
    assert ended(client, id)["state"] == "cancelled"
    assert client.delete(url, headers=OWNER).json()["state"] == "cancelled"


ADDRESSES = [
    ("GET", "/api/v1/tuning"),
    ("POST", "/api/v1/tuning/runs"),
    ("GET", "/api/v1/tuning/runs/20260101-000000-abcd"),
    ("DELETE", "/api/v1/tuning/runs/20260101-000000-abcd"),
    ("POST", "/api/v1/tuning/versions/shipped"),
    ("POST", "/api/v1/tuning/back"),
]


@pytest.mark.parametrize(
    "token",
    [None, "", "Bearer", "Bearer wrong", "Bearer a  secret", "Basic a secret", "Bearer a secre"],
)
def test_nobody_but_the_owner_may(world: World, make: Make, token: str | None) -> None:
    world.fill(*GOOD)
    client = make()
    headers = {} if token is None else {"Authorization": token}
    for method, path in ADDRESSES:
        answer = client.request(method, path, json={"kind": "refit"}, headers=headers)
        check_problem(answer, 403, "owner-only")
    assert not (world.data / "tuning").exists()


def test_without_a_token_set_nobody_may(world: World, make: Make) -> None:
    client = make(owner_token="")
    for headers in ({}, {"Authorization": "Bearer "}, OWNER):
        check_problem(client.get("/api/v1/tuning", headers=headers), 403, "owner-only")


def test_tokens_cannot_be_tried_in_bulk(world: World, make: Make) -> None:
    client = make()
    codes = []
    for number in range(40):
        wrong = {"Authorization": f"Bearer {number}"}
        codes.append(client.get("/api/v1/tuning", headers=wrong).json()["code"])
    assert "too-fast" in codes and set(codes) == {"owner-only", "too-fast"}


@pytest.mark.parametrize("method_path", ADDRESSES, ids=str)
def test_where_nothing_is_recognised_nothing_is_learnt(method_path: tuple[str, str]) -> None:
    services = make_services()
    client = client_of(services)
    answer = client.request(*method_path, json={"kind": "refit"}, headers=OWNER)
    check_problem(answer, 503, "drawing-off")
    services.close()


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({}, "request-invalid", 422),
        ({"kind": 3}, "request-invalid", 422),
        ({"kind": "other"}, "request-invalid", 422),
        ({"kind": "refit", "parameters": []}, "request-invalid", 422),
        ({"kind": "refit", "parameters": {"x": 1}}, "request-invalid", 422),
        ({"kind": "tuning", "parameters": {"epochs": 10**30}}, "request-invalid", 422),
        ([], "request-malformed", 400),
        ({"kind": "x" * 20_000}, "request-too-large", 413),
    ],
)
def test_what_makes_no_sense_is_refused(
    world: World, make: Make, body: Any, code: str, status: int
) -> None:
    world.fill(*GOOD)
    client = make()
    answer = client.post("/api/v1/tuning/runs", json=body, headers=OWNER)
    check_problem(answer, status, code)
    assert state(client)["runs"] == []


def test_what_cannot_be_done_is_said(world: World, make: Make) -> None:
    client = make(training_data="")
    for kind, reason in (("refit", "given with consent"), ("tuning", "TAGGER_TRAINING_DATA")):
        body = {"kind": kind}
        answer = client.post("/api/v1/tuning/runs?lang=en", json=body, headers=OWNER)
        assert reason in check_problem(answer, 422, "tuning-unavailable")["detail"]
    text = client.post("/api/v1/tuning/runs", content=b"kind=refit", headers=OWNER)
    check_problem(text, 415, "request-not-json")
    for path in ("runs/20260101-000000-abcd", "runs/nothing", "runs/..%2Fx"):
        answer = client.get(f"/api/v1/tuning/{path}", headers=OWNER)
        assert answer.status_code == 404
    missing = client.post("/api/v1/tuning/versions/nothing", headers=OWNER)
    check_problem(missing, 404, "tuning-version-not-found")


def test_answers_have_the_form_that_is_described(world: World, make: Make) -> None:
    world.fill(*GOOD, ("left", "flag", 4))
    client = make()
    openapi = client.get("/api/openapi.json").json()

    def check(path: str, method: str, status: str, value: Any) -> None:
        content = openapi["paths"][path][method]["responses"][status]["content"]
        check_against(openapi, content["application/json"]["schema"], value)

    one = start(client)
    check("/v1/tuning/runs", "post", "202", one)
    two = ended(client, one["id"])
    check("/v1/tuning/runs/{id}", "get", "200", two)
    three = start(client, "tuning", seed=trainer.FAILS)
    check("/v1/tuning/runs/{id}", "get", "200", ended(client, three["id"]))
    check("/v1/tuning", "get", "200", state(client))
    back = client.post("/api/v1/tuning/back", headers=OWNER).json()
    check("/v1/tuning/back", "post", "200", back)
