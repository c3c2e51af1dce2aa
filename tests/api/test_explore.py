"""Maps over HTTP: as a page asks for them, and as nobody should."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from tagger.exploring import masks
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import galleries, toy
from tests.api.checks import check_problem
from tests.api.conftest import Serve, client_of
from tests.api.test_docs import check_against
from tests.fakes import picture

MAP = "/api/v1/map"
COUNT = 72
RED = (250, 5, 5)


@pytest.fixture(scope="module")
def folder(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return galleries.make_gallery(tmp_path_factory.mktemp("galleries") / "toy", toy_bundle, COUNT)


@pytest.fixture(scope="module")
def services(
    toy_bundle: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    chosen = Settings(
        bundle=str(toy_bundle),
        gallery=str(folder),
        threads=1,
        live_rate=1000,
        data_dir=tmp_path_factory.mktemp("data"),
    )
    services = build_services(chosen)
    assert services.explore is not None
    services.explore.settle()
    yield services
    services.close()


@pytest.fixture(scope="module")
def client(services: Services) -> TestClient:
    return client_of(services)


@pytest.fixture(scope="module")
def hash(client: TestClient) -> str:
    return str(client.get(MAP).json()["hash"])


def mask_of(*numbers: int) -> str:
    mask = np.zeros(COUNT, np.bool_)
    mask[list(numbers)] = True
    return masks.encode(mask)


# --- as a page asks


def test_answers_have_the_form_that_is_described(client: TestClient, hash: str) -> None:
    document = client.get("/api/openapi.json").json()
    file = {"file": ("a.png", picture(RED))}
    answers = {
        ("/v1/map", "get"): client.get(MAP),
        ("/v1/map/pictures", "get"): client.get(f"{MAP}/pictures?numbers=0,5,6"),
        ("/v1/map/pictures/{number}", "get"): client.get(f"{MAP}/pictures/3"),
        ("/v1/map/search", "get"): client.get(f"{MAP}/search?q=cat"),
        ("/v1/map/selection", "post"): client.post(
            f"{MAP}/selection", json={"mask": mask_of(1, 2), "hash": hash}
        ),
        ("/v1/map/place", "post"): client.post(f"{MAP}/place", files=file),
        ("/v1/similar", "post"): client.post("/api/v1/similar", files=file),
        ("/v1/embed", "post"): client.post("/api/v1/embed", files=file),
    }
    for (path, method), answer in answers.items():
        assert answer.status_code == 200, answer.text
        content = document["paths"][path][method]["responses"]["200"]["content"]
        check_against(document, content["application/json"]["schema"], answer.json())
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_map_is_told_in_the_readers_language(client: TestClient, lang: str) -> None:
    answer = client.get(MAP, headers={"accept-language": lang})
    assert answer.headers["content-language"] == lang
    assert "Accept-Language" in answer.headers["vary"]
    labels = {tag["name"]: tag["label"] for tag in answer.json()["tags"]}
    assert labels["cat"] == {"en": "cat", "ja": "猫"}[lang]
    assert client.get(f"{MAP}?lang={lang}").json() == answer.json()


@pytest.mark.parametrize(
    "path", ["points", "columns/tag-3", "pictures/7/image", "pictures/7", "pictures?numbers=1"]
)
def test_what_the_hash_fixes_may_be_kept(client: TestClient, hash: str, path: str) -> None:
    url = f"{MAP}/{path}{'&' if '?' in path else '?'}hash={hash}"
    answer = client.get(url)
    assert answer.status_code == 200
    cache = answer.headers["cache-control"]
    assert "max-age=" in cache and ("immutable" in cache) == (
        "json" not in answer.headers["content-type"]
    )
    again = client.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    assert client.get(url, headers={"If-None-Match": '"other"'}).content == answer.content
    # Without the hash it may be another one tomorrow.
    unbound = client.get(f"{MAP}/{path}")
    assert unbound.headers["cache-control"] == "no-cache"
    check_problem(client.get(url.replace(hash, "0" * 32)), 409, "explore-stale")


def test_columns_are_packed_only_for_who_unpacks(client: TestClient, hash: str) -> None:
    url = f"{MAP}?hash={hash}"
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    packed = client.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert packed.headers["etag"] != plain.headers["etag"]
    assert "Accept-Encoding" in packed.headers["vary"]


def test_a_picture_is_the_one_of_its_number(client: TestClient, hash: str) -> None:
    for number in (0, 31, 71):
        answer = client.get(f"{MAP}/pictures/{number}/image?hash={hash}")
        assert answer.headers["content-type"] == "image/webp"
        image = Image.open(io.BytesIO(answer.content))
        assert image.getpixel((5, 5)) == galleries.colour(number)


def test_what_is_found_is_of_the_map_that_was_asked(client: TestClient, hash: str) -> None:
    found = client.get(f"{MAP}/search?q=cat&hash={hash}").json()
    assert (found["map"], found["hash"]) == ("gallery", hash) and found["pictures"]
    assert client.get(f"{MAP}/search?q=cat").json() == found
    check_problem(client.get(f"{MAP}/search?q=cat&hash={'0' * 32}"), 409, "explore-stale")


def test_a_brief_and_a_detail_agree(client: TestClient, hash: str) -> None:
    numbers = [5, 0, 71]
    briefs = client.get(f"{MAP}/pictures?numbers=5,0,71&hash={hash}").json()["pictures"]
    assert [brief["number"] for brief in briefs] == numbers
    for brief in briefs:
        detail = client.get(f"{MAP}/pictures/{brief['number']}?k=4&hash={hash}").json()
        assert len(detail["neighbours"]) == 4
        assert detail["metadata"] == galleries.metadata(brief["number"])
        assert {k: v for k, v in detail.items() if k in brief and k != "tags"} == {
            k: v for k, v in brief.items() if k != "tags"
        }


def test_a_selection_is_explained(client: TestClient, hash: str) -> None:
    body = {"mask": mask_of(0, 24, 48, 3), "hash": hash}
    answer = client.post(f"{MAP}/selection?lang=ja", json=body).json()
    assert answer["count"] == 4 and answer["numbers"] == [0, 3, 24, 48]
    assert answer["shared"][0]["label"] == "赤" and answer["shared"][0]["here"] == 3
    assert answer["milliseconds"] >= 0


# --- exports


def export(client: TestClient, **body: Any) -> Any:
    answer = client.post(f"{MAP}/export", json={"mask": mask_of(0, 2, 12), **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    return answer


EDITS = {"add": {"=cmd|x": [0, 2, 5], "猫": [0, 12]}, "remove": {"RED": [0]}}


def test_an_export_as_json_tells_what_changed(client: TestClient, hash: str) -> None:
    data = export(client, format="json", edits=EDITS, hash=hash).json()
    assert (data["format"], data["hash"]) == ("gallery-selection", hash)
    assert data["pictures"] == [
        {
            "number": 0,
            "id": "animals/picture-0.png",
            "title": "Red 0",
            "tags": ["=cmd|x", "cat"],
            "added": ["=cmd|x", "cat"],
            "removed": ["red"],
        },
        {
            "number": 2,
            "id": "nature/picture-2.png",
            "title": "Blue 2",
            "tags": ["blue", "=cmd|x"],
            "added": ["=cmd|x"],
            "removed": [],
        },
        {
            "number": 12,
            "id": "animals/picture-12.png",
            "title": "Cat 12",
            "tags": ["cat"],
            "added": [],
            "removed": [],
        },
    ]


def test_an_export_as_a_table_runs_nothing(client: TestClient) -> None:
    text = export(client, format="csv", edits=EDITS).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["number"] for row in rows] == ["0", "2", "12"]
    assert rows[0]["tags"] == "'=cmd|x cat" and rows[0]["removed"] == "red"
    assert rows[2]["title_ja"] == "猫12" and rows[2]["author"] == "Ann"
    for row in rows:
        assert not any(cell[:1] in set("=+-@\t\r") for cell in row.values() if cell)


def test_an_export_as_an_archive_is_whole(client: TestClient) -> None:
    with zipfile.ZipFile(io.BytesIO(export(client, format="zip", edits=EDITS).content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        for name in names:
            assert not name.startswith("/") and ".." not in name and "\\" not in name
        stems = [name[:-5] for name in names if name.endswith(".webp")]
        assert stems == [
            "pictures/000000-Red 0",
            "pictures/000002-Blue 2",
            "pictures/000012-Cat 12",
        ]
        for stem, number in zip(stems, (0, 2, 12), strict=True):
            image = Image.open(io.BytesIO(archive.read(f"{stem}.webp")))
            assert image.getpixel((0, 0)) == galleries.colour(number)
        assert archive.read(f"{stems[0]}.txt").decode() == "=cmd|x, cat\n"
        assert "Ann (CC0-1.0, another archive): 2" in archive.read("credits.txt").decode()
        assert len(archive.read("tags.csv").decode("utf-8-sig").splitlines()) == 4


@pytest.mark.parametrize(
    "edits",
    [
        7,
        [],
        {"adds": {}},
        {"add": []},
        {"add": {"cat": 3}},
        {"add": {"cat": [True]}},
        {"add": {"cat": [72]}},
        {"add": {"cat": [-1]}},
        {"add": {"cat": [1.0]}},
        {"add": {"": [1]}},
        {"add": {" \t": [1]}},
        {"add": {"a\x00b": [1]}},
        {"add": {"\u202ecat": [1]}},
        {"remove": {"x" * 201: [1]}},
    ],
)
def test_edits_that_make_no_sense_are_refused(client: TestClient, edits: object) -> None:
    body = {"mask": mask_of(1), "format": "json", "edits": edits}
    check_problem(client.post(f"{MAP}/export", json=body), 422, "request-invalid")


def test_too_many_edited_tags_are_refused(client: TestClient) -> None:
    edits = {"add": {f"tag {n}": [0] for n in range(1001)}}
    body = {"mask": mask_of(0), "edits": edits}
    check_problem(client.post(f"{MAP}/export", json=body), 413, "explore-too-many")


@pytest.mark.parametrize("format", ["exe", "", None, 3, ["csv"]])
def test_no_other_format(client: TestClient, format: object) -> None:
    body = {"mask": mask_of(0), "format": format}
    check_problem(client.post(f"{MAP}/export", json=body), 422, "request-invalid")


# --- pictures from outside


def test_a_picture_lands_among_its_like(client: TestClient, hash: str) -> None:
    file = {"file": ("a.png", picture(RED, (24, 24)))}
    answer = client.post(f"{MAP}/place", files=file).json()
    assert (answer["by"], answer["hash"]) == ("neighbours", hash)
    assert answer["tags"][0]["name"] == "red" and len(answer["tags"]) == 10
    assert {near["number"] % len(toy.TAGS) for near in answer["neighbours"][:2]} == {0}
    assert answer["picture"]["format"] == "PNG"
    low_high = client.get(MAP).json()["bounds"]
    for value, axis in zip(answer["position"], "xy", strict=True):
        assert low_high[axis][0] <= value <= low_high[axis][1]


def test_similar_by_picture_by_embedding_and_by_name_agree(client: TestClient) -> None:
    file = {"file": ("a.png", galleries.webp(galleries.colour(20), (30, 30)))}
    by_picture = client.post("/api/v1/similar?k=3", files=file).json()["neighbours"]
    embedded = client.post("/api/v1/embed", files=file).json()
    assert embedded["dimension"] == 8 and embedded["model"]["name"] == "toy"
    (entry,) = embedded["embeddings"]
    assert sum(value**2 for value in entry["embedding"]) == pytest.approx(1, abs=1e-5)
    body = {"embedding": [10 * value for value in entry["embedding"]], "k": 3}
    by_embedding = client.post("/api/v1/similar", json=body).json()["neighbours"]
    assert by_picture[0]["number"] == by_embedding[0]["number"] == 20
    numbers = [near["number"] for near in by_picture]
    assert [near["number"] for near in by_embedding] == numbers
    by_name = client.post("/api/v1/similar", json={"id": by_picture[0]["id"], "k": 2}).json()
    assert [near["number"] for near in by_name["neighbours"]] == numbers[1:]


def test_a_bad_picture_among_others_is_listed(client: TestClient) -> None:
    files = [("file", ("a.png", picture(RED))), ("file", ("b.png", b""))]
    entries = client.post("/api/v1/embed", files=files).json()["embeddings"]
    assert len(entries[0]["embedding"]) == 8
    assert (entries[1]["name"], entries[1]["error"]["code"]) == ("b.png", "image-empty")
    for path in ("/api/v1/embed", "/api/v1/similar", f"{MAP}/place"):
        check_problem(client.post(path, files={"file": ("b.png", b"")}), 422, "image-empty")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "embedding": [1] * 8}, 422, "request-invalid"),
        ({"id": 3}, 422, "request-invalid"),
        ({"id": "../../etc/passwd"}, 404, "explore-no-picture"),
        ({"id": "animals/picture-0.png", "k": 0}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "k": 101}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "k": "3"}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "k": True}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "map": "moon"}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "map": []}, 422, "request-invalid"),
        ({"id": "animals/picture-0.png", "map": "drawings"}, 404, "explore-empty"),
        ({"embedding": [1] * 7}, 422, "index-embedding-invalid"),
        ({"embedding": [0] * 8}, 422, "index-embedding-invalid"),
        ({"embedding": [[1] * 8] * 2}, 422, "index-embedding-invalid"),
        ({"embedding": [1e308] * 8}, 422, "index-embedding-invalid"),
        ({"embedding": [10**400] * 8}, 422, "index-embedding-invalid"),
        ({"embedding": "12345678"}, 422, "index-embedding-invalid"),
        ({"embedding": ["1"] * 8}, 422, "index-embedding-invalid"),
        ({"embedding": None}, 422, "index-embedding-invalid"),
    ],
)
def test_odd_searches_are_refused(
    client: TestClient, body: dict[str, Any], status: int, code: str
) -> None:
    sent = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    check_problem(client.post("/api/v1/similar", content=sent, headers=headers), status, code)


# --- as nobody should


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("points?map=moon", 422, "request-invalid"),
        (f"points?hash={'x' * 65}", 422, "request-invalid"),
        ("points?map=drawings", 404, "explore-empty"),
        ("columns/z", 404, "explore-no-column"),
        ("columns/tag-", 404, "explore-no-column"),
        ("columns/tag--1", 404, "explore-no-column"),
        ("columns/tag-٣", 404, "explore-no-column"),
        ("columns/tag-24", 404, "explore-no-tag"),
        ("columns/tag-99999999", 404, "explore-no-tag"),
        ("columns/tag-999999999", 404, "explore-no-column"),
        ("columns/..%2Fgallery.json", 404, "not-found"),
        ("pictures/72", 404, "explore-no-picture"),
        ("pictures/-1", 422, "request-invalid"),
        ("pictures/abc", 422, "request-invalid"),
        ("pictures/72/image", 404, "explore-no-picture"),
        ("pictures/0%2e/image", 422, "request-invalid"),
        ("pictures/5?k=0", 422, "request-invalid"),
        ("pictures/5?k=101", 422, "request-invalid"),
        ("pictures?numbers=", 422, "request-invalid"),
        ("pictures?numbers=1,,2", 422, "request-invalid"),
        ("pictures?numbers=1,%202", 422, "request-invalid"),
        ("pictures?numbers=72", 404, "explore-no-picture"),
        (f"pictures?numbers={','.join(['1'] * 201)}", 413, "explore-too-many"),
        (f"search?q={'a' * 201}", 422, "request-invalid"),
        ("search?limit=0", 422, "request-invalid"),
    ],
)
def test_odd_addresses_are_refused(client: TestClient, path: str, status: int, code: str) -> None:
    check_problem(client.get(f"{MAP}/{path}"), status, code)


@pytest.mark.parametrize("mask", [None, 5, "", "AAAA", "A" * 13, ["AA=="], "é" * 12, "/" * 12])
def test_odd_masks_are_refused(client: TestClient, mask: object) -> None:
    for door in ("selection", "export"):
        answer = client.post(f"{MAP}/{door}", json={"mask": mask})
        if mask == "/" * 12:  # nine bytes of ones: everything, and no bit beyond it
            assert answer.status_code == 200
        else:
            check_problem(answer, 422, "explore-mask")


def test_large_bodies_are_refused_before_they_are_read(client: TestClient) -> None:
    large = base64.b64encode(bytes(200_000)).decode()
    check_problem(client.post(f"{MAP}/selection", json={"mask": large}), 413, "request-too-large")
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"{MAP}/export", content=b" " * (9 * 2**20), headers=headers)
    check_problem(answer, 413, "request-too-large")
    check_problem(client.post(f"{MAP}/selection", content=b"{}"), 415, "request-not-json")
    check_problem(client.post(f"{MAP}/place", content=b"{}"), 415, "request-not-multipart")
    two = [("file", ("a.png", picture(RED)))] * 2
    check_problem(client.post(f"{MAP}/place", files=two), 413, "request-too-many-files")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["mask", "hash", "format", "edits", "add", "remove", "id", "embedding"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chance_ends_in_an_answer(client: TestClient, body: object) -> None:
    sent = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    for door in ("map/selection", "map/export", "similar"):
        answer = client.post(f"/api/v1/{door}", content=sent, headers=headers)
        if answer.status_code != 200:
            check_problem(answer, answer.status_code, answer.json()["code"])
            assert answer.status_code < 500


def test_without_a_gallery_the_addresses_say_so(serve: Serve) -> None:
    client = serve()
    for path in ("", "/points", "/columns/z", "/pictures?numbers=1", "/pictures/1", "/search"):
        check_problem(client.get(f"{MAP}{path}"), 503, "explore-off")
    check_problem(client.post(f"{MAP}/selection", json={}), 503, "explore-off")
    check_problem(
        client.post("/api/v1/embed", files={"file": ("a.png", picture())}),
        422,
        "index-no-embedding",
    )
