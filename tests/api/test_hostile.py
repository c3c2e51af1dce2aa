"""The whole suite of hostile and odd pictures, and random requests, through the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tagger.messages import MESSAGES
from tests.api.checks import check_problem
from tests.api.conftest import client_of
from tests.fakes import make_services
from tests.pictures import BAD, GOOD, mutations, seeds

URL = "/api/v1/tag"


@pytest.fixture(scope="module")
def shared() -> Iterator[TestClient]:
    """One client for all: what one picture does must not matter to the next."""
    services = make_services()
    yield client_of(services)
    services.close()


@pytest.mark.parametrize("name", GOOD)
def test_every_good_picture_is_tagged(shared: TestClient, name: str) -> None:
    case = GOOD[name]()
    response = shared.post(URL, files={"file": (f"{name}.bin", case.data)})
    assert response.status_code == 200, response.text
    facts = response.json()["results"][0]["picture"]
    assert (facts["format"], facts["frames"]) == (case.format, case.frames)
    assert facts["had_alpha"] == case.had_alpha


@pytest.mark.parametrize("name", BAD)
def test_every_bad_picture_is_refused_as_the_reader_refuses_it(name: str) -> None:
    case = BAD[name]()
    names = {"max_bytes", "max_pixels", "max_side", "max_frames", "max_memory"}
    assert set(case.limits) <= names
    services = make_services(**case.limits)
    response = client_of(services).post(URL, files={"file": ("a.png", case.data)})
    services.close()
    if response.json()["code"] == "request-too-large":  # by the limit on the whole request
        assert len(case.data) > services.settings.max_bytes
    else:
        check_problem(response, MESSAGES[case.code][0], case.code)


def test_a_whole_request_of_bad_pictures_names_each(shared: TestClient) -> None:
    # The large ones take seconds to make, and each was sent by itself.
    small = [n for n in BAD if not n.startswith(("bomb", "too"))]
    sent = [(name, case) for name in small[:31] if not (case := BAD[name]()).limits]
    files = [("file", (f"{i}.png", case.data)) for i, (_, case) in enumerate(sent)]
    good = next(iter(GOOD.values()))().data
    results = shared.post(URL, files=[*files, ("file", ("good", good))]).json()["results"]
    assert [r["error"]["code"] for r in results[:-1]] == [case.code for _, case in sent]
    assert results[-1]["tags"]


@pytest.mark.parametrize("name", seeds())
def test_damaged_pictures_end_in_an_answer(shared: TestClient, name: str) -> None:
    for data in mutations(seeds()[name], 12, seed=7):
        response = shared.post(URL, files={"file": ("a", data)})
        if response.status_code != 200:
            check_problem(response, response.status_code, response.json()["code"])
            assert response.status_code < 500


# Pieces of forms, so that chance builds ones that are nearly right.
pieces = st.sampled_from(
    [
        b"--x",
        b"--x--",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b'Content-Disposition: form-data; name="file"; filename="a.png"',
        b'Content-Disposition: form-data; name="file"',
        b"Content-Disposition: form-data; name*=utf-8''%ff; filename=\"",
        b"Content-Type: image/png",
        b"Content-Transfer-Encoding: base64",
        b"\x89PNG\r\n\x1a\n",
        b"\x00\xff\xfe",
        b"a" * 200,
    ]
)
bodies = st.lists(pieces | st.binary(max_size=20), max_size=12).map(b"".join)
content_types = st.sampled_from(
    [
        "multipart/form-data; boundary=x",
        'multipart/form-data; boundary="x"; charset=utf-16',
        "multipart/form-data; boundary=",
        "multipart/form-data; charset=nonsense; boundary=x",
        "Multipart/Form-Data;boundary=x",
        "multipart/form-data; boundary*=utf-8''x",
    ]
)


@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies, content_type=content_types)
def test_odd_forms_end_in_an_answer(shared: TestClient, body: bytes, content_type: str) -> None:
    response = shared.post(URL, content=body, headers={"content-type": content_type})
    assert response.status_code < 500
    if response.status_code != 200:
        check_problem(response, response.status_code, response.json()["code"])


def test_a_line_break_in_a_path_is_refused_in_the_apis_form(shared: TestClient) -> None:
    for path in ("/api/%0A0", "/api/%0D%0A"):
        check_problem(shared.get(path), 404, "not-found")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/api/v1/tags", "/api/v1/models", "/api/docs", "/api/", "/healthz"])
    | st.text(max_size=12).map(lambda text: "/api/" + text)
    | st.lists(st.sampled_from(["..", ".", "", "v1", "tag", "tags"]), max_size=5).map(
        lambda parts: "/api/" + "/".join(parts)
    ),
    query=st.dictionaries(
        st.sampled_from(["query", "prefix", "group", "lang", "limit", "offset", "x"]),
        st.text(max_size=12) | st.integers().map(str) | st.floats().map(str),
        max_size=4,
    ),
    language=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20),
)
def test_odd_questions_end_in_an_answer(
    shared: TestClient, path: str, query: dict[str, str], language: str
) -> None:
    headers = {"accept-language": language}
    response = shared.get(quote(path, errors="replace"), params=query, headers=headers)
    assert response.status_code < 500
    # The client resolves "..", and what it then asks for may be no business of the API.
    if response.status_code >= 400 and response.url.path.startswith("/api/"):
        check_problem(response, response.status_code, response.json()["code"])
    elif response.headers["content-type"] == "application/json":
        json.loads(response.text)
