"""Drawings over HTTP, as a program sends them and as nobody should."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient

from tagger import intake
from tagger.api_draw import MAX_BODY
from tagger.drawing import build_draw
from tagger.errors import RequestError
from tagger.services import Services
from tagger.settings import Settings
from tests import toy
from tests.api.checks import check_problem
from tests.api.conftest import client_of
from tests.api.test_docs import check_against
from tests.fakes import make_services

LEVEL = [[[0, 10], [5, 5]]]
ANN, BOB = {"X-Visitor": "ann-" * 5}, {"X-Visitor": "bob-" * 5}
OWNER = {"Authorization": "Bearer a-secret-token"}
Make = Callable[..., TestClient]


@pytest.fixture(scope="module")
def make(toy_sketch_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    made: list[Services] = []

    def build(**given: Any) -> TestClient:
        chosen = {
            "sketch_bundle": str(toy_sketch_bundle),
            "data_dir": tmp_path_factory.mktemp("drawings"),
            "owner_token": "a-secret-token",
            "live_rate": 1000,
            "threads": 2,
            **given,
        }
        services = make_services(draw=build_draw(Settings(**chosen)), **chosen)
        made.append(services)
        return client_of(services)

    yield build
    for services in made:
        services.close()


@pytest.fixture
def client(make: Make) -> TestClient:
    return make()


@pytest.fixture(scope="module")
def still(make: Make) -> TestClient:
    """A client for all requests that are refused: they leave nothing behind."""
    return make()


def save(client: TestClient, label: str, who: dict[str, str] = ANN, **more: Any) -> dict[str, Any]:
    response = client.post(
        "/api/v1/drawings", json={"strokes": LEVEL, "label": label, **more}, headers=who
    )
    assert response.status_code in (200, 201), response.text
    data: dict[str, Any] = response.json()
    return data


# --- as it should be


def test_a_drawing_is_recognised(client: TestClient) -> None:
    response = client.post("/api/v1/recognise?top=2&lang=ja", json={"strokes": LEVEL})
    assert response.status_code == 200
    assert response.headers["content-language"] == "ja"
    assert response.headers["cache-control"] == "no-store"
    words = response.json()["words"]
    assert words[0]["label"] == "横線" and len(words) == 2
    assert response.json()["model"]["name"] == "toy-sketch"


def test_a_new_word_is_taught_over_http(client: TestClient) -> None:
    corner = [[[0, 10, 10], [0, 0, 10]]]
    for count in range(1, 6):
        body = {"strokes": corner, "label": "bracket", "consent": True}
        response = client.post("/api/v1/drawings", json=body, headers=ANN)
        assert (response.status_code, response.json()["drawings"]) == (201, count)

    def best(who: dict[str, str]) -> dict[str, Any]:
        answer = client.post("/api/v1/recognise", json={"strokes": corner}, headers=who)
        return dict(answer.json()["words"][0])

    assert (best(ANN)["word"], best(ANN)["learnt"]) == ("bracket", True)
    assert best(BOB)["word"] != "bracket" and best({})["word"] != "bracket"
    check_problem(client.put("/api/v1/words/bracket"), 403, "owner-only")
    assert client.put("/api/v1/words/bracket", headers=OWNER).json() == {"accepted": ["bracket"]}
    assert best({})["word"] == "bracket"
    check_problem(client.put("/api/v1/words/nothing", headers=OWNER), 422, "word-not-drawn")
    assert client.delete("/api/v1/words/bracket", headers=OWNER).json() == {"accepted": []}
    assert best(BOB)["word"] != "bracket"
    assert client.delete("/api/v1/drawings", headers=ANN).json() == {"deleted": 5}
    assert best(ANN)["word"] != "bracket"


def test_a_save_may_be_sent_again(client: TestClient) -> None:
    body = {"strokes": LEVEL, "label": "cat", "key": "once"}
    answers = [client.post("/api/v1/drawings", json=body, headers=ANN) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert client.get("/api/v1/drawings", headers=ANN).json()["total"] == 1


def test_ones_own_are_listed_relabelled_and_deleted(client: TestClient) -> None:
    ids = [save(client, label)["id"] for label in ("cat", "dog", "cat")]
    page = client.get("/api/v1/drawings?label=cat&limit=1", headers=ANN).json()
    assert (page["total"], [d["id"] for d in page["drawings"]]) == (2, [ids[2]])
    response = client.patch(f"/api/v1/drawings/{ids[0]}", json={"label": "LEVEL"}, headers=ANN)
    assert response.json()["label"] == "level"
    assert client.delete(f"/api/v1/drawings/{ids[1]}", headers=ANN).json() == {"deleted": 1}
    for who in (ANN, BOB):
        check_problem(
            client.delete(f"/api/v1/drawings/{ids[1]}", headers=who), 404, "drawing-not-found"
        )
    response = client.patch(f"/api/v1/drawings/{ids[0]}", json={"label": "x"}, headers=BOB)
    check_problem(response, 404, "drawing-not-found")
    assert client.get("/api/v1/drawings", headers=BOB).json() == {"total": 0, "drawings": []}


def test_whoever_asks_gets_their_own_file(client: TestClient) -> None:
    save(client, "mine")
    save(client, "given", consent=True)
    save(client, "hers", BOB, consent=True)

    def words(headers: dict[str, str], format: str = "ndjson") -> set[str]:
        response = client.get(f"/api/v1/drawings/export?format={format}", headers=headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.headers["content-disposition"].startswith('attachment; filename="drawings')
        return {json.loads(line)["word"] for line in response.text.splitlines()}

    assert words(ANN) == words(ANN, "ndjson-simplified") == {"mine", "given"}
    assert words(OWNER) == {"given", "hers"}
    assert words({**OWNER, **ANN}) == {"given", "hers"}
    response = client.get("/api/v1/drawings/export?format=npz", headers=OWNER)
    assert 'filename="drawings.npz"' in response.headers["content-disposition"]
    assert np.load(io.BytesIO(response.content)).files
    check_problem(client.get("/api/v1/drawings/export"), 401, "visitor-missing")
    for token in ("Bearer wrong", "Bearer", "", "Basic a-secret-token"):
        headers = {**ANN, "Authorization": token}
        check_problem(client.get("/api/v1/drawings/export", headers=headers), 403, "owner-only")


def test_without_a_token_nobody_is_the_owner(make: Make) -> None:
    client = make(owner_token="")
    for token in ("Bearer ", "Bearer", "Bearer x"):
        headers = {"Authorization": token}
        check_problem(client.get("/api/v1/drawings/export", headers=headers), 403, "owner-only")


def test_labels_are_completed(client: TestClient) -> None:
    save(client, "lever")
    found = client.get("/api/v1/words?query=lev&lang=ja", headers=ANN).json()["words"]
    assert [word["label"] for word in found] == ["lever", "横線"]
    found = client.get("/api/v1/words?query=lev").json()["words"]
    assert [word["word"] for word in found] == ["level"]


def test_answers_have_the_form_that_is_described(client: TestClient) -> None:
    openapi = client.get("/api/openapi.json").json()
    saved = save(client, "cat")
    answers = {
        ("/v1/recognise", "post"): client.post("/api/v1/recognise", json={"strokes": LEVEL}),
        ("/v1/drawings", "get"): client.get("/api/v1/drawings", headers=ANN),
        ("/v1/words", "get"): client.get("/api/v1/words"),
        ("/v1/models", "get"): client.get("/api/v1/models"),
        ("/v1/drawings/{id}", "patch"): client.patch(
            f"/api/v1/drawings/{saved['id']}", json={"label": "dog"}, headers=ANN
        ),
        ("/v1/drawings/{id}", "delete"): client.delete(
            f"/api/v1/drawings/{saved['id']}", headers=ANN
        ),
        ("/v1/drawings", "delete"): client.delete("/api/v1/drawings", headers=ANN),
        ("/v1/words/{word}", "delete"): client.delete("/api/v1/words/x", headers=OWNER),
    }
    for (path, method), answer in answers.items():
        content = openapi["paths"][path][method]["responses"]["200"]["content"]
        check_against(openapi, content["application/json"]["schema"], answer.json())
    content = openapi["paths"]["/v1/drawings"]["post"]["responses"]["201"]["content"]
    check_against(openapi, content["application/json"]["schema"], saved)
    assert client.get("/api/v1/models").json()["recogniser"]["words"] == len(toy.SKETCH_WORDS)


def test_where_there_is_no_recogniser_it_is_said() -> None:
    services = make_services()
    client = client_of(services)
    check_problem(client.post("/api/v1/recognise", json={"strokes": LEVEL}), 503, "drawing-off")
    check_problem(client.get("/api/v1/drawings", headers=ANN), 503, "drawing-off")
    check_problem(client.get("/api/v1/words"), 503, "drawing-off")
    assert client.get("/api/v1/models").json()["recogniser"] is None
    services.close()


# --- as it should not


@pytest.mark.parametrize(
    "visitor", [None, "", "short", "a" * 65, "with space in the middle", "a" * 15 + "é", "../" * 8]
)
def test_who_does_not_say_who_they_are_is_refused(still: TestClient, visitor: str | None) -> None:
    headers = {} if visitor is None else {"X-Visitor": visitor.encode("latin-1")}
    body = {"strokes": LEVEL, "label": "x"}
    for response in (
        still.post("/api/v1/drawings", json=body, headers=headers),
        still.get("/api/v1/drawings", headers=headers),
        still.delete("/api/v1/drawings", headers=headers),
        still.delete("/api/v1/drawings/x", headers=headers),
        still.patch("/api/v1/drawings/x", json={"label": "x"}, headers=headers),
        still.get("/api/v1/drawings/export", headers=headers),
    ):
        check_problem(response, 401, "visitor-missing")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "request-malformed"),
        (b"{", 400, "request-malformed"),
        (b"[]", 400, "request-malformed"),
        (b"null", 400, "request-malformed"),
        (b"\xff\xfe{}", 400, "request-malformed"),
        (b'{"strokes": NaN}', 400, "request-malformed"),
        (b'{"strokes": [[[Infinity], [1]]]}', 400, "request-malformed"),
        (b'{"strokes": ' + b"[" * 100_000, 400, "request-malformed"),
        (b'{"strokes": [[[' + b"9" * 5000 + b"], [1]]]}", 400, "request-malformed"),
        (b"{}", 422, "request-invalid"),
        (b'{"strokes": null}', 422, "strokes-malformed"),
        (b'{"strokes": []}', 422, "strokes-empty"),
        (b'{"strokes": [[[1], [2, 3]]]}', 422, "strokes-malformed"),
        (b'{"strokes": [[["1"], [2]]]}', 422, "strokes-malformed"),
        (b'{"strokes": [[[1e300], [2]]]}', 422, "strokes-out-of-range"),
        (b'{"strokes": [[[1], [2], [3], [4]]]}', 422, "strokes-out-of-range"),
    ],
)
def test_bodies_that_are_no_drawing(still: TestClient, body: bytes, status: int, code: str) -> None:
    for url in ("/api/v1/recognise", "/api/v1/drawings"):
        if url.endswith("drawings") and body.startswith(b'{"strokes'):
            body = body[:-1] + b', "label": "x"}' if body.endswith(b"}") else body
        headers = {"content-type": "application/json", **ANN}
        check_problem(still.post(url, content=body, headers=headers), status, code)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"label": None}, 422, "request-invalid"),
        ({"label": 3}, 422, "request-invalid"),
        ({"label": " "}, 422, "label-empty"),
        ({"label": "a" * 65}, 422, "label-too-long"),
        ({"label": "a\u0000b"}, 422, "label-characters"),
        ({"consent": "yes"}, 422, "request-invalid"),
        ({"consent": 1}, 422, "request-invalid"),
        ({"key": ""}, 422, "request-invalid"),
        ({"key": "a" * 201}, 422, "request-invalid"),
        ({"key": 5}, 422, "request-invalid"),
        ({"predicted": "cat"}, 422, "request-invalid"),
        ({"predicted": [["cat", 1]]}, 422, "request-invalid"),
        ({"predicted": [{"word": "cat", "probability": "1"}]}, 422, "request-invalid"),
        ({"predicted": [{"word": "cat", "probability": 2}]}, 422, "drawing-invalid"),
        ({"predicted": [{"word": "cat", "probability": 1}] * 101}, 422, "drawing-invalid"),
    ],
)
def test_saves_that_make_no_sense(
    still: TestClient, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"strokes": LEVEL, "label": "x", **change}
    check_problem(still.post("/api/v1/drawings", json=body, headers=ANN), status, code)
    assert still.get("/api/v1/drawings", headers=ANN).json()["total"] == 0


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_only_json_is_taken(still: TestClient, kind: str) -> None:
    for url, method in (("recognise", "POST"), ("drawings", "POST"), ("drawings/x", "PATCH")):
        response = still.request(
            method, f"/api/v1/{url}", content=b"{}", headers={"content-type": kind, **ANN}
        )
        check_problem(response, 415, "request-not-json")


def test_too_large_a_body_is_refused_before_it_is_read(still: TestClient) -> None:
    for url, method, most in (
        ("recognise", "POST", MAX_BODY),
        ("drawings", "POST", MAX_BODY),
        ("drawings/x", "PATCH", 4096),
    ):
        headers = {"content-type": "application/json", **ANN}
        announced = {**headers, "content-length": str(most + 1)}
        response = still.request(method, f"/api/v1/{url}", content=b"x", headers=announced)
        check_problem(response, 413, "request-too-large")
    body = b'{"strokes": ' + b" " * MAX_BODY + b"[]}"
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
    response = still.post("/api/v1/recognise", content=iter([body]), headers=headers)
    check_problem(response, 413, "request-too-large")


def test_too_many_points_are_refused(still: TestClient) -> None:
    long = [[[0] * 50_001, [0] * 50_001]]
    check_problem(still.post("/api/v1/recognise", json={"strokes": long}), 413, "strokes-too-many")
    many = [[[0], [0]]] * 1001
    check_problem(still.post("/api/v1/recognise", json={"strokes": many}), 413, "strokes-too-many")


@pytest.mark.parametrize("setting", ["STALL_SECONDS", "UPLOAD_SECONDS"])
def test_a_body_that_stalls_gives_up_its_place(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setattr(intake, setting, 0.01)

    async def silence() -> Any:
        await asyncio.Event().wait()

    headers = [(b"content-type", b"application/json")]
    request = Request({"type": "http", "headers": headers}, silence)
    with pytest.raises(RequestError) as caught:
        asyncio.run(intake.read_json_body(request, 100))
    assert caught.value.code == "request-timeout"


def test_a_flood_is_turned_away_and_nobody_else_is(make: Make) -> None:
    client = make(live_rate=0.01)
    codes = [
        client.post("/api/v1/recognise", json={"strokes": LEVEL}, headers=ANN).status_code
        for _ in range(4)
    ]
    assert codes[0] == 200 and 429 in codes[1:]
    assert client.post("/api/v1/recognise", json={"strokes": LEVEL}, headers=BOB).status_code == 200
    # It is refused for its number, whatever it holds.
    headers = {"content-type": "application/json", **ANN}
    while (
        response := client.post("/api/v1/recognise", content=b"{", headers=headers)
    ).status_code == 400:
        pass
    check_problem(response, 429, "too-fast")


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("recognise?top=0", "top"),
        ("recognise?top=x", "top"),
        ("drawings?limit=0", "limit"),
        ("drawings?offset=-1", "offset"),
        ("drawings?label=" + "a" * 65, "label"),
        ("drawings/export?format=exe", "format"),
        ("words?limit=0", "limit"),
        ("words?query=" + "a" * 65, "query"),
    ],
)
def test_parameters_that_make_no_sense(still: TestClient, url: str, field: str) -> None:
    if url.startswith("recognise"):
        response = still.post(f"/api/v1/{url}", json={"strokes": LEVEL})
    else:
        response = still.get(f"/api/v1/{url}", headers=ANN)
    assert check_problem(response, 422, "request-invalid")["errors"][0]["field"] == field


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=json_values, label=st.text(max_size=8) | json_values)
def test_any_json_ends_in_an_answer(client: TestClient, value: Any, label: Any) -> None:
    for url, body in (
        ("recognise", {"strokes": value}),
        ("recognise", value),
        ("drawings", {"strokes": LEVEL, "label": label}),
        ("drawings", {"strokes": value, "label": "x", "predicted": value}),
    ):
        text = json.dumps(body, ensure_ascii=True)
        headers = {"content-type": "application/json", **ANN}
        response = client.post(f"/api/v1/{url}", content=text.encode(), headers=headers)
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            check_problem(response, response.status_code, response.json()["code"])
