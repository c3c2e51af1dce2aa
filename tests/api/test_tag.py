"""POST /api/v1/tag."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.responses import Response as PlainResponse
from starlette.testclient import TestClient

from tagger import api, intake
from tagger.errors import BundleError
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import toy
from tests.api.checks import check_problem
from tests.api.conftest import Serve, client_of
from tests.fakes import FakeTagger, picture

URL = "/api/v1/tag"
RED, GREEN = (255, 0, 0), (0, 255, 0)


def test_one_picture(toy_client: TestClient) -> None:
    file = picture((128, 200, 255), (64, 64))
    response = toy_client.post(URL, files={"file": ("sky.png", file, "image/png")})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    answer = response.json()
    assert answer["model"]["name"] == "toy"
    (result,) = answer["results"]
    assert result["name"] == "sky.png"
    solid = np.full((toy.SIZE, toy.SIZE, 3), (128, 200, 255), np.uint8)
    expected = sorted(zip(toy.reference(solid), toy.NAMES, strict=True), reverse=True)[:10]
    assert [tag["name"] for tag in result["tags"]] == [name for _, name in expected]
    for tag, (probability, _) in zip(result["tags"], expected, strict=True):
        assert tag["probability"] == pytest.approx(probability, abs=1e-4)
        assert tag["passes"] == (tag["probability"] >= 0.5)
    assert result["picture"] == {
        "width": 64,
        "height": 64,
        "format": "PNG",
        "had_alpha": False,
        "frames": 1,
        "notes": [],
    }


@pytest.mark.parametrize("field", ["file", "files"])
def test_several_pictures_under_either_name(client: TestClient, field: str) -> None:
    files = [(field, ("a.png", picture(RED))), (field, ("b.png", picture(GREEN)))]
    results = client.post(URL, files=files).json()["results"]
    assert [(r["name"], r["tags"][0]["name"]) for r in results] == [
        ("a.png", "red"),
        ("b.png", "green"),
    ]


def test_a_bad_one_among_several_is_listed(client: TestClient) -> None:
    files = [
        ("file", ("good.png", picture())),
        ("file", ("bad.png", b"no picture")),
        ("file", ("empty.png", b"")),
    ]
    response = client.post(URL, files=files)
    assert response.status_code == 200
    good, bad, empty = response.json()["results"]
    assert good["tags"]
    assert "error" not in good
    assert bad["error"]["status"] in (415, 422)
    assert "tags" not in bad
    assert empty["error"]["code"] == "image-empty"


def test_a_single_bad_one_is_the_answers_error(client: TestClient) -> None:
    response = client.post(URL, files={"file": ("empty.png", b"")})
    check_problem(response, 422, "image-empty")


@pytest.mark.parametrize(
    ("query", "count"), [("", 3), ("top=1", 1), ("top=100", 3), ("min_probability=0.5", 1)]
)
def test_how_many_tags(client: TestClient, query: str, count: int) -> None:
    response = client.post(f"{URL}?{query}", files={"file": ("a.png", picture())})
    assert len(response.json()["results"][0]["tags"]) == count


@pytest.mark.parametrize(
    "query",
    [
        "top=0",
        "top=101",
        "top=-1",
        "top=1.5",
        "top=ten",
        "top=",
        "top=99999999999999999999",
        "top=%00",
        "min_probability=1.01",
        "min_probability=-0.1",
        "min_probability=nan",
        "min_probability=inf",
        "lang=fr",
        "lang=",
        "top=%F0%9F%98%80",
    ],
)
def test_parameters_out_of_bounds(client: TestClient, query: str) -> None:
    response = client.post(f"{URL}?{query}", files={"file": ("a.png", picture())})
    data = check_problem(response, 422, "request-invalid")
    assert data["errors"][0]["field"] == query.split("=")[0]


@pytest.mark.parametrize(
    ("query", "header", "label"),
    [
        ("?lang=ja", None, "赤"),
        ("?lang=en", "ja", "red"),
        ("", "ja", "赤"),
        ("", "ja-JP,ja;q=0.9,en;q=0.8", "赤"),
        ("", "en-US,en;q=0.9,ja;q=0.8", "red"),
        ("", "fr,de", "red"),
        ("", "fr,ja;q=0.3", "赤"),
        ("", "ja;q=x,;;,,q=1", "red"),
        ("", "ja;q=0", "red"),
        ("", None, "red"),
    ],
)
def test_the_language_of_labels(
    toy_client: TestClient, query: str, header: str | None, label: str
) -> None:
    headers = {"accept-language": header} if header else {}
    files = {"file": ("a.png", picture(RED, (32, 32)))}
    response = toy_client.post(URL + query, files=files, headers=headers)
    assert response.json()["results"][0]["tags"][0]["label"] == label
    assert response.headers["content-language"] == ("ja" if label == "赤" else "en")


def test_errors_speak_the_callers_language(client: TestClient) -> None:
    files = {"file": ("a.png", b"")}
    japanese = client.post(URL, files=files, headers={"accept-language": "ja"}).json()
    english = client.post(URL + "?lang=en", files=files, headers={"accept-language": "ja"}).json()
    assert "空" in japanese["detail"]
    assert "empty" in english["detail"]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\cat.png", "cat.png"),
        ("猫 の絵.png", "猫 の絵.png"),
        ("\x1b[31mred\u202egnp.png", "[31mredgnp.png"),
        ("<script>.png", "<script>.png"),
        ("a/", "file"),
        ("x" * 400, "x" * 255),
    ],
)
def test_file_names_come_back_without_paths_and_controls(sent: str, told: str) -> None:
    assert api.file_name(sent) == told


# --- what is no form


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "image/png"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/mixed; boundary=x"},
        {"content-type": ";"},
    ],
)
def test_a_body_that_is_no_form(client: TestClient, headers: dict[str, str]) -> None:
    response = client.post(URL, content=picture(), headers=headers)
    check_problem(response, 415, "request-not-multipart")


MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {"content-type": "multipart/form-data"}),
        (b"garbage", MULTIPART),
        (b"--x\r\n\r\n\r\n--x--", MULTIPART),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--", MULTIPART),
        (PART + b"abc", {"content-type": "multipart/form-data; boundary=" + "y" * 300}),
        (b"--x\r\n" + b"A" * 70_000 + b": b\r\n\r\n\r\n--x--", MULTIPART),
        (
            b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\n' + b"A" * 5000 + b"\r\n--x--",
            MULTIPART,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\nA\r\n' * 20 + b"--x--\r\n",
            MULTIPART,
        ),
    ],
)
def test_forms_that_are_broken(client: TestClient, content: bytes, headers: dict[str, str]) -> None:
    check_problem(client.post(URL, content=content, headers=headers), 400, "request-malformed")


def test_a_form_that_breaks_off_is_no_picture(client: TestClient) -> None:
    response = client.post(URL, content=PART + picture()[:20], headers=MULTIPART)
    assert 400 <= response.status_code < 500
    assert response.headers["content-type"] == "application/problem+json"


def test_a_form_without_a_file(client: TestClient) -> None:
    for arguments in (
        {"data": {"file": "text"}, "files": {"other": ("", b"")}},
        {"files": {"file": ("", b"")}},
    ):
        response = client.post(URL, **arguments)
        check_problem(response, 422, "request-no-file")


def test_a_file_in_another_field(client: TestClient) -> None:
    response = client.post(URL, files={"image": ("a.png", picture())})
    data = check_problem(response, 422, "request-invalid")
    assert "image" in data["detail"]


# --- limits


def test_as_many_files_as_allowed_and_no_more(serve: Serve) -> None:
    client = serve(max_files=3)
    files = [("file", ("a.png", picture()))]
    assert client.post(URL, files=files * 3).status_code == 200
    check_problem(client.post(URL, files=files * 4), 413, "request-too-many-files")
    check_problem(client.post(URL, files=files * 50), 413, "request-too-many-files")


def test_a_picture_that_is_too_large(serve: Serve) -> None:
    response = serve(max_bytes=5000).post(URL, files={"file": ("a.png", bytes(5001))})
    check_problem(response, 413, "image-too-many-bytes")


def post_by_hand(client: TestClient, receive: Any, **headers: str) -> Response:
    """Post a form as a server would hand it over, message by message."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "raw_path": URL.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), value.encode())
            for name, value in {**headers, "content_type": MULTIPART["content-type"]}.items()
        ],
    }
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    asyncio.run(client.app(scope, receive, send))
    start, *bodies = messages
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    content = b"".join(body.get("body", b"") for body in bodies)
    return Response(content, start["status"], fields)


class Response(PlainResponse):
    """Enough of a client's answer for the checks."""

    @property
    def text(self) -> str:
        return bytes(self.body).decode()

    def json(self) -> Any:
        return json.loads(self.body)


def test_a_body_that_says_that_it_is_too_large_is_not_read(serve: Serve) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    response = post_by_hand(serve(max_bytes=1000), receive, content_length="1000000000000")
    check_problem(response, 413, "request-too-large")


def test_a_body_of_unknown_length_is_counted_while_it_arrives(serve: Serve) -> None:
    client = serve(max_bytes=100_000)
    sent = 0

    def endless():
        nonlocal sent
        yield PART
        while sent < 10_000_000:
            sent += 65536
            yield bytes(65536)

    response = client.post(URL, content=endless(), headers=MULTIPART)
    check_problem(response, 413, "request-too-large")


def test_an_upload_that_stalls_gives_up_its_place(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # for ever
        raise AssertionError

    monkeypatch.setattr(intake, "STALL_SECONDS", 0.01)
    client = serve(queue_size=1)
    for _ in range(2):
        check_problem(post_by_hand(client, receive), 408, "request-timeout")


def test_an_upload_that_trickles_gives_up_its_place(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": True}

    monkeypatch.setattr(intake, "UPLOAD_SECONDS", 0.05)
    check_problem(post_by_hand(serve(), receive), 408, "request-timeout")


def test_a_client_that_leaves_gives_up_its_place(serve: Serve) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    client = serve(queue_size=1)
    for _ in range(2):
        check_problem(post_by_hand(client, receive), 400, "request-malformed")


def test_whoever_finds_the_line_full_is_told_when_to_come_back(serve: Serve) -> None:
    inside, leave = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert leave.wait(timeout=60)

    client = serve(FakeTagger(during=wait), queue_size=1, concurrency=1)
    files = {"file": ("a.png", picture())}
    with client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, URL, files=files)
        assert inside.wait(timeout=60)
        try:
            check_problem(client.post(URL, files=files), 429, "busy")
            # What needs no model is answered all the same.
            assert client.get("/healthz").status_code == 200
            assert client.get("/api/v1/tags").status_code == 200
        finally:
            leave.set()
        assert first.result(timeout=60).status_code == 200
        assert client.post(URL, files=files).status_code == 200


def test_places_are_given_back_after_every_kind_of_failure(serve: Serve) -> None:
    client = serve(queue_size=1)
    for _ in range(3):
        assert client.post(URL, files={"file": ("a.png", b"")}).status_code == 422
        assert client.post(URL, content=b"x").status_code == 415
        assert client.post(URL, content=b"x", headers=MULTIPART).status_code == 400
    assert client.post(URL, files={"file": ("a.png", picture())}).status_code == 200


def test_many_clients_at_once_get_their_own_answers(toy_client: TestClient) -> None:
    colors = [tag[1] for tag in toy.TAGS]

    def first_tag(index: int) -> str:
        files = {"file": (f"{index}.png", picture(colors[index], (32, 32)))}
        (result,) = toy_client.post(URL, files=files).json()["results"]
        assert result["name"] == f"{index}.png"
        return str(result["tags"][0]["name"])

    with toy_client, ThreadPoolExecutor(6) as pool:
        assert list(pool.map(first_tag, range(len(colors)))) == toy.NAMES


# --- failures on our side


def test_a_model_that_is_not_ready(serve: Serve) -> None:
    client = serve(FakeTagger(ready=False))
    response = client.post(URL, files={"file": ("a.png", picture())})
    check_problem(response, 503, "not-ready")


def test_a_model_that_fails(serve: Serve) -> None:
    def fail() -> None:
        raise BundleError("model-failed")

    response = serve(FakeTagger(during=fail)).post(URL, files={"file": ("a.png", picture())})
    check_problem(response, 500, "model-failed")


def test_what_nobody_foresaw_ends_in_a_plain_answer_and_a_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("/secret/path")

    response = serve(FakeTagger(during=fail)).post(URL, files={"file": ("a.png", picture())})
    check_problem(response, 500, "internal")
    assert "secret" not in response.text
    assert "/secret/path" in caplog.text


# --- the shipped model


def test_the_shipped_model_answers(real_bundle: Path) -> None:
    services: Services = build_services(Settings(bundle=str(real_bundle), threads=1))
    client = client_of(services)
    response = client.post(URL, files={"file": ("white.png", picture((255, 255, 255)))})
    assert response.status_code == 200
    assert len(response.json()["results"][0]["tags"]) == 10
    assert client.get("/readyz").json()["model"] == services.model.to_dict()
    listed = client.get("/api/v1/tags?limit=10000").json()
    assert listed["total"] == len(services.tagger.tags) == len(listed["tags"])
    services.close()
