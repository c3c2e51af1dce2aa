"""Comparing, ordering and voting over HTTP: as a page asks for them, and as nobody should."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tagger.errors import TaggerError
from tagger.preference import Profile
from tagger.services import Services
from tests.api.checks import check_problem
from tests.api.conftest import Serve, client_of
from tests.api.test_docs import check_against
from tests.comparing.made import Person, make_services, numbers
from tests.fakes import picture

API = "/api/v1"
TOKEN = "the owner's own token"
OWNER = {"Authorization": f"Bearer {TOKEN}"}
RED, ORANGE, GREY, BLUE = (250, 5, 5), (250, 120, 5), (128, 128, 128), (5, 5, 250)


@pytest.fixture(scope="module")
def services(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    services = make_services(toy_bundle, tmp_path_factory.mktemp("compare"), owner_token=TOKEN)
    yield services
    services.close()


@pytest.fixture(scope="module")
def client(services: Services) -> TestClient:
    return client_of(services)


@pytest.fixture(scope="module")
def ranker_file(services: Services) -> bytes:
    return Path(services.settings.ranker).read_bytes()


@pytest.fixture
def visitor(request: pytest.FixtureRequest) -> dict[str, str]:
    """Somebody whom no other test knows."""
    return {"X-Visitor": hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:32]}


def sent(*colours: tuple[int, int, int], field: str = "files") -> list[tuple[str, Any]]:
    return [(field, (f"{n}.png", picture(colour))) for n, colour in enumerate(colours)]


def sides(left: tuple[int, int, int], right: tuple[int, int, int]) -> dict[str, Any]:
    return {"left": ("l.png", picture(left)), "right": ("r.png", picture(right))}


def next_pair(client: TestClient, visitor: dict[str, str]) -> dict[str, Any]:
    found = client.get(f"{API}/votes/next?count=1", headers=visitor).json()
    return {"hash": found["hash"], **numbers(found["pairs"][0])}


def vote(client: TestClient, visitor: dict[str, str], **more: Any) -> Any:
    ballot = {**next_pair(client, visitor), "choice": "left", **more}
    return client.post(f"{API}/votes", headers=visitor, json=ballot)


# --- pictures


def test_two_pictures_are_compared_wherever_they_come_from(client: TestClient) -> None:
    known = client.get(f"{API}/rankers").json()
    assert [one["id"] for one in known["rankers"]] == ["cheerfulness", "taste"]
    assert known["gallery"]["status"] == "ready" and known["gallery"]["count"] == 60
    files = client.post(f"{API}/compare", files=sides(RED, BLUE)).json()
    assert files["verdict"] == "left" and files["p_left"] > 0.7
    turned = client.post(f"{API}/compare", files=sides(BLUE, RED)).json()
    assert turned["p_left"] == pytest.approx(1 - files["p_left"], abs=1e-3)
    assert (turned["left"], turned["verdict"]) == (files["right"], "right")
    # The gallery's number 0 is red, 2 is blue; a form sends all of its fields.
    form = {"left_number": "", "right_number": "2", "hash": known["gallery"]["hash"]}
    empty = ("right", ("", b""))
    mixed = client.post(f"{API}/compare", data=form, files=[*sent(RED, field="left"), empty])
    assert mixed.json()["left"]["score"] == files["left"]["score"]
    assert mixed.json()["right"]["title"] == "Blue 2"
    form["left_number"] = "0"
    # A form of texts alone, yet no simple one.
    inside = client.post(
        f"{API}/compare", data=form, files=[empty], headers={"Accept-Language": "ja"}
    )
    assert inside.json()["verdict"] == "left" and inside.json()["left"]["title"] == "赤0"
    assert inside.headers["content-language"] == "ja"


def test_a_file_judges_instead(
    client: TestClient, ranker_file: bytes, visitor: dict[str, str]
) -> None:
    turned = {**json.loads(ranker_file), "name": "Gloom"}
    weights = np.frombuffer(base64.b64decode(turned["weights"]), "<f2")
    turned["weights"] = base64.b64encode((-weights).tobytes()).decode()
    files = {**sides(RED, BLUE), "profile": ("gloom.json", json.dumps(turned))}
    answer = client.post(f"{API}/compare", files=files).json()
    assert answer["verdict"] == "right"
    assert answer["ranker"] == {"id": "file", "label": "Gloom"}
    for _ in range(6):
        assert vote(client, visitor).status_code == 201
    taste = client.get(f"{API}/taste/profile", headers=visitor)
    assert 'filename="taste.json"' in taste.headers["content-disposition"]
    files = {**sides(RED, BLUE), "profile": ("taste.json", taste.content)}
    saved = client.post(f"{API}/compare", files=files).json()
    mine = {"ranker": "taste"}
    there = client.post(f"{API}/compare", files=sides(RED, BLUE), data=mine, headers=visitor).json()
    assert there["ranker"]["id"] == "taste"
    assert (saved["p_left"] > 0.5) == (there["p_left"] > 0.5)


def test_a_set_comes_back_in_order(client: TestClient) -> None:
    files = [*sent(BLUE, RED, GREY), ("files", ("empty.png", b""))]
    answer = client.post(f"{API}/rank", files=files).json()
    assert [one["place"] for one in answer["pictures"]] == [1, 2, 0, 3]
    assert [one.get("rank") for one in answer["pictures"]] == [1, 2, 3, None]
    assert answer["pictures"][-1]["error"]["code"] == "image-empty"
    assert answer["evaluation"] is None
    best = client.post(f"{API}/rank", files=files, data={"top": "1"}).json()
    assert [one.get("rank") for one in best["pictures"]] == [1, None]


def test_names_may_repeat_and_lead_nowhere(client: TestClient) -> None:
    names = ["a/cat.png", "b/cat.png", "../../etc/passwd", "C:\\x\\‮evil.png", "cat.png"]
    files = [("files", (name, picture(RED))) for name in names]
    ratings = {"a/cat.png": 1, "b/cat.png": 5, "passwd": 2.5, "cat.png": 3, "absent": 9}
    answer = client.post(f"{API}/rank", files=files, data={"ratings": json.dumps(ratings)}).json()
    found = {one["place"]: one for one in answer["pictures"]}
    assert [found[n]["name"] for n in range(5)] == [
        *("cat.png", "cat.png", "passwd", "evil.png", "cat.png")
    ]
    assert [found[n].get("rating") for n in range(5)] == [1, 5, 2.5, None, 3]
    assert answer["evaluation"]["rated"] == 4


@pytest.mark.parametrize("form", ["object", "table", "semicolons", "file"])
def test_ratings_say_how_good_the_order_is(client: TestClient, form: str) -> None:
    ratings: dict[str, Any] = {"0.png": 1, "1.png": 4, "2.png": 2.5}
    table = "﻿file,rating,more\r\n" + "".join(f"{n},{r},x\r\n" for n, r in ratings.items())
    table += "3.png,,x\r\n"
    files: list[tuple[str, Any]] = sent(BLUE, RED, GREY, ORANGE)
    text = {"object": json.dumps({**ratings, "3.png": None}), "table": table}
    text["semicolons"] = table.replace(",", ";")
    if form == "file":
        files.append(("ratings", ("ratings.csv", table.encode())))
    data = {"ratings": text[form]} if form in text else {}
    answer = client.post(f"{API}/rank", files=files, data=data).json()
    told = answer["evaluation"]
    assert told["rated"] == 3 and set(told["ndcg"].values()) == {1.0}
    assert (told["pairwise_accuracy"], told["kendall_tau"]) == (1.0, 1.0)
    # Put together from parts, it is the same.
    rows = [
        {"score": one["score"], "rating": one.get("rating")}
        for file in files[:4]
        for one in client.post(f"{API}/rank", files=[file], data=data).json()["pictures"]
    ]
    if form in text:
        again = client.post(f"{API}/rank/evaluate", json={"pictures": rows})
        assert again.json() == told
    one = client.post(f"{API}/rank/evaluate", json={"pictures": rows[:1]})
    assert one.status_code == 200 and one.json() is None


# --- votes


def test_a_person_votes_and_is_learnt_from(
    client: TestClient, services: Services, visitor: dict[str, str]
) -> None:
    begun = client.get(f"{API}/taste", headers=visitor).json()
    assert (begun["count"], begun["words"], begun["agreement"]["value"]) == (0, [], None)
    asked = client.get(f"{API}/votes/next?count=3", headers=visitor).json()
    pairs, hash = asked["pairs"], asked["hash"]
    likes = Person(services.compare, "")  # type: ignore[arg-type]
    for place in range(30):
        pair = pairs.pop(0)
        ballot = {
            "hash": hash,
            **numbers(pair),
            "choice": likes.choice(pair),
            "milliseconds": 900,
            "consent": True,
            "key": f"vote-{place}",
            "pending": [list(numbers(other).values()) for other in pairs],
            "next": 1,
        }
        saved = client.post(f"{API}/votes", headers=visitor, json=ballot)
        assert saved.status_code == 201, saved.text
        pairs += saved.json()["pairs"]
    assert saved.json()["count"] == 30 and len(pairs) == 3
    again = client.post(f"{API}/votes", headers=visitor, json=ballot)
    assert again.status_code == 200 and again.json()["duplicate"]
    assert (again.json()["id"], again.json()["count"]) == (saved.json()["id"], 30)
    # The rest as the page asks for it: what is pending is not asked again.
    pending = ",".join("-".join(map(str, numbers(pair).values())) for pair in pairs)
    more = client.get(f"{API}/votes/next?count=2&pending={pending}", headers=visitor).json()
    others = [(pair["left"]["number"], pair["right"]["number"]) for pair in more["pairs"]]
    assert not set(others) & {(p["left"]["number"], p["right"]["number"]) for p in pairs}

    order = client.get(f"{API}/taste/order?limit=60", headers=visitor).json()
    redness = [likes.likes(picture) for picture in order["pictures"]]
    assert np.mean(redness[:15]) > np.mean(redness[-15:]) + 100
    worst = client.get(f"{API}/taste/order?limit=5&worst=true&offset=1", headers=visitor).json()
    assert [p["number"] for p in worst["pictures"]] == [
        p["number"] for p in order["pictures"][::-1][1:6]
    ]
    assert [p["rank"] for p in worst["pictures"]] == [59, 58, 57, 56, 55]
    learnt = client.get(f"{API}/taste?lang=ja", headers=visitor).json()
    assert learnt["count"] == 30 and len(learnt["words"]) >= 6
    liked = {word["tag"]: word["weight"] for word in learnt["words"]}
    assert max(liked.values()) > 0 > min(liked.values())

    disliked = {"tag": "Red", "weight": -1}
    edited = client.put(f"{API}/taste/words", headers=visitor, json=disliked).json()
    word = next(word for word in edited["words"] if word["tag"] == "red")
    assert word["edited"] and word["weight"] < 0
    by_hand = client.get(f"{API}/taste/order?limit=60", headers=visitor).json()
    assert by_hand["pictures"] != order["pictures"]
    client.put(f"{API}/taste/words", headers=visitor, json={"tag": "red", "weight": None})
    assert client.get(f"{API}/taste/order?limit=60", headers=visitor).json() == order

    listed = client.get(f"{API}/votes?limit=2", headers=visitor).json()
    assert listed["total"] == 30 and listed["votes"][0]["id"] == saved.json()["id"]
    taken = client.delete(f"{API}/votes/{saved.json()['id']}", headers=visitor)
    assert taken.status_code == 204 and taken.content == b""
    gone = client.delete(f"{API}/votes/{saved.json()['id']}", headers=visitor)
    check_problem(gone, 404, "vote-not-found")
    assert client.get(f"{API}/taste", headers=visitor).json()["count"] == 29

    # Another takes the taste on.
    friend = {"X-Visitor": "a-friend-of-theirs"}
    file = client.get(f"{API}/taste/profile", headers=visitor).content
    assert len(file) < 16_000 and len(Profile.from_dict(json.loads(file)).votes) == 29
    kind = {"Content-Type": "application/json", **friend}
    loaded = client.put(f"{API}/taste/profile", headers=kind, content=file)
    assert loaded.status_code == 200 and loaded.json()["count"] == 29
    mixed = {"profile": json.loads(file), "share": 0.5}
    assert client.post(f"{API}/taste/blend", headers=friend, json=mixed).status_code == 200
    assert client.delete(f"{API}/votes", headers=friend).json() == {"deleted": 0}
    assert client.get(f"{API}/taste", headers=friend).json() == begun

    own = client.get(f"{API}/votes/export?format=csv", headers=visitor)
    assert 'filename="votes.csv"' in own.headers["content-disposition"]
    assert len(list(csv.reader(io.StringIO(own.text)))) == 30
    report = client.get(f"{API}/votes/report", headers=OWNER).json()
    assert report["votes"] >= 29 and report["standings"][0]["picture"]["title"]
    assert client.delete(f"{API}/votes", headers=visitor).json() == {"deleted": 29}
    assert client.get(f"{API}/taste", headers=visitor).json() == begun
    assert client.get(f"{API}/votes/export", headers=visitor).content == b""


def test_own_pictures_are_voted_on_and_not_given_away(
    client: TestClient, visitor: dict[str, str]
) -> None:
    form = {"choice": "left", "consent": "true", "next": "1", "pending": "[]", "key": "own-1"}
    saved = client.post(f"{API}/votes", headers=visitor, files=sides(BLUE, RED), data=form)
    assert saved.status_code == 201, saved.text
    assert len(saved.json()["pairs"]) == 1 and saved.json()["count"] == 1
    (listed,) = client.get(f"{API}/votes", headers=visitor).json()["votes"]
    assert listed["left"] is None and listed["kind"] == "own"
    given = client.get(f"{API}/votes/export", headers=OWNER).text
    assert listed["id"] not in given and "own:" not in given
    one = {"right_number": "0", "choice": "right", "hash": saved.json()["hash"]}
    files = sent(BLUE, field="left")
    mixed = client.post(f"{API}/votes", headers=visitor, files=files, data=one)
    assert mixed.status_code == 201 and mixed.json()["count"] == 2


def test_answers_have_the_form_that_is_described(
    client: TestClient, visitor: dict[str, str]
) -> None:
    document = client.get("/api/openapi.json").json()
    saved = vote(client, visitor, consent=True, next=2)
    answers = {
        ("/v1/rankers", "get"): client.get(f"{API}/rankers", headers=visitor),
        ("/v1/compare", "post"): client.post(f"{API}/compare", files=sides(RED, BLUE)),
        ("/v1/rank", "post"): client.post(
            f"{API}/rank", files=[*sent(RED, BLUE), ("files", ("x.png", b"x"))], data={"top": "2"}
        ),
        ("/v1/votes/next", "get"): client.get(f"{API}/votes/next", headers=visitor),
        ("/v1/votes", "post"): saved,
        ("/v1/votes", "get"): client.get(f"{API}/votes", headers=visitor),
        ("/v1/taste", "get"): client.get(f"{API}/taste", headers=visitor),
        ("/v1/taste/order", "get"): client.get(
            f"{API}/taste/order?ranker=cheerfulness", headers=visitor
        ),
        ("/v1/votes/report", "get"): client.get(f"{API}/votes/report", headers=OWNER),
        ("/v1/votes", "delete"): client.delete(f"{API}/votes", headers=visitor),
    }
    for (path, method), answer in answers.items():
        assert answer.status_code in (200, 201), answer.text
        described = document["paths"][path][method]["responses"][str(answer.status_code)]
        schema = described["content"]["application/json"]["schema"]
        check_against(document, schema, answer.json())
        assert answer.headers["cache-control"] == "no-store"


# --- as nobody should


def test_nobody_votes_without_saying_who(client: TestClient) -> None:
    for method, path in [
        *(("GET", f"{path}") for path in ("votes/next", "votes", "taste", "taste/profile")),
        *(("DELETE", path) for path in ("votes", "votes/abc")),
        *(("PUT", path) for path in ("taste/words", "taste/profile")),
        *(("POST", path) for path in ("votes", "taste/blend")),
        ("GET", "votes/export"),
        ("GET", "taste/order"),
    ]:
        for headers in ({}, {"X-Visitor": "short"}, {"X-Visitor": "no spaces, please"}):
            answer = client.request(method, f"{API}/{path}", headers=headers)
            check_problem(answer, 401, "visitor-missing")
    mine = {"ranker": "taste"}
    answer = client.post(f"{API}/compare", files=sides(RED, BLUE), data=mine)
    check_problem(answer, 401, "visitor-missing")


def test_the_owner_alone_sees_what_all_say(serve: Serve, client: TestClient) -> None:
    for path in ("votes/report", "votes/export"):
        for token in ("Bearer ", "Bearer wrong", TOKEN, "Basic xyz"):
            answer = client.get(f"{API}/{path}", headers={"Authorization": token})
            check_problem(answer, 403, "owner-only")
        assert client.get(f"{API}/{path}", headers=OWNER).status_code == 200
    check_problem(client.get(f"{API}/votes/report"), 403, "owner-only")
    check_problem(serve().get(f"{API}/rankers"), 503, "compare-off")


# One of each kind; all that a ballot may not be, the services' tests know.
VOTES = [
    ({"choice": "up"}, 422, "vote-choice-invalid"),
    ({"hash": "0" * 32}, 409, "compare-stale"),
    ({"left": 10**9}, 404, "explore-no-picture"),
    ({"left": "own:" + "0" * 32}, 422, "request-invalid"),
    ({"left": 7, "right": 7}, 422, "vote-pair-invalid"),
]


@pytest.mark.parametrize(("more", "status", "code"), VOTES)
def test_what_is_no_vote_is_refused_and_not_kept(
    client: TestClient, visitor: dict[str, str], more: dict[str, Any], status: int, code: str
) -> None:
    check_problem(vote(client, visitor, **more), status, code)
    assert client.get(f"{API}/votes", headers=visitor).json()["total"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("count=0", "count"),
        ("count=1000", "count"),
        ("pending=1-2", "pending"),
        ("pending=1-2-mine", "pending"),
        ("pending=a-b-active", "pending"),
        ("pending=1-2-active,", "pending"),
        ("pending=" + "1-2-active," * 500, "pending"),
    ],
)
def test_what_is_asked_next_is_asked_properly(
    client: TestClient, visitor: dict[str, str], query: str, field: str
) -> None:
    answer = client.get(f"{API}/votes/next?{query}", headers=visitor)
    assert field in check_problem(answer, 422, "request-invalid")["detail"]


def test_forms_hold_what_they_should(client: TestClient) -> None:
    red = ("red.png", picture(RED))
    for files, data, status, code in [
        ({"left": red}, {}, 422, "request-invalid"),
        ({"left": red, "right": red}, {"left_number": "3"}, 422, "request-invalid"),
        ({"left": red}, {"right_number": "-3"}, 422, "request-invalid"),
        ({"left": red}, {"right_number": "1e3"}, 422, "request-invalid"),
        ({"left": red}, {"right_number": "99999"}, 404, "explore-no-picture"),
        ({"left": red}, {"right_number": "3", "hash": "0" * 32}, 409, "compare-stale"),
        ({"left": red, "right": red}, {"profile": "{}"}, 422, "request-invalid"),
        ({"left": red, "right": red, "middle": red}, {}, 422, "request-invalid"),
        ({"left": red, "right": red}, {"more": "x"}, 422, "request-invalid"),
        ({"left": red, "right": red}, {"ranker": "<b>none"}, 404, "compare-no-ranker"),
        ({"left": red, "right": ("x.png", b"no picture")}, {}, 415, "image-foreign"),
        ({"left": red, "right": ("x.png", b"")}, {}, 422, "image-empty"),
    ]:
        answer = client.post(f"{API}/compare", files=files, data=data)
        check_problem(answer, status, code)
    twice = [*sent(RED, BLUE, field="left"), *sent(RED, field="right")]
    check_problem(client.post(f"{API}/compare", files=twice), 422, "request-invalid")
    check_problem(client.post(f"{API}/compare", json={}), 415, "request-not-multipart")
    check_problem(client.post(f"{API}/rank", files={"ranker": (None, "x")}), 422, "request-no-file")
    check_problem(
        client.post(f"{API}/rank", files=sent(*[RED] * 33)), 413, "request-too-many-files"
    )
    for top in ("0x1", "-1", "many"):
        answer = client.post(f"{API}/rank", files=sent(RED), data={"top": top})
        check_problem(answer, 422, "request-invalid")


@pytest.mark.parametrize(
    ("ratings", "code"),
    [
        ("[1, 2]", "ratings-table-invalid"),
        ("{", "ratings-table-invalid"),
        ("name;stars\na;1", "ratings-table-invalid"),
        ('{"0.png": "5"}', "rating-invalid"),
        ('{"0.png": NaN}', "rating-invalid"),
        ('{"0.png": 1e999}', "rating-invalid"),
        ('{"0.png": true}', "rating-invalid"),
        ('{"0.png": ' + "[" * 500_000, "ratings-table-invalid"),
        ("file,rating\n0.png,five\n", "rating-invalid"),
        ("file,rating\n0.png,nan\n", "rating-invalid"),
        ("file,rating\n0.png,1e400\n", "rating-invalid"),
    ],
)
def test_ratings_are_numbers(client: TestClient, ratings: str, code: str) -> None:
    answer = client.post(f"{API}/rank", files=sent(RED), data={"ratings": ratings})
    check_problem(answer, 422, code)


def test_ratings_of_any_size_are_compared(client: TestClient) -> None:
    rows = [{"score": s, "rating": r} for s, r in ((1e308, -1e308), (-1e308, 1e308), (0, 0))]
    told = client.post(f"{API}/rank/evaluate", json={"pictures": rows}).json()
    assert told["pairwise_accuracy"] == 0 and told["kendall_tau"] == -1
    same = [{"score": 1, "rating": 2}] * 3
    told = client.post(f"{API}/rank/evaluate", json={"pictures": same}).json()
    assert (told["pairwise_accuracy"], told["kendall_tau"]) == (None, None)
    for bad in (None, {}, [1], [{"score": "1", "rating": 1}], [{"rating": 1}]):
        answer = client.post(f"{API}/rank/evaluate", json={"pictures": bad})
        check_problem(answer, 422, "request-invalid")


def spoilt(file: bytes, **more: Any) -> bytes:
    return json.dumps({**json.loads(file), **more}).encode()


def test_files_of_strangers_are_refused(
    client: TestClient, ranker_file: bytes, visitor: dict[str, str]
) -> None:
    kind = {"Content-Type": "application/json", **visitor}
    count = len(json.loads(ranker_file)["weights"]) // 4 * 3 // 2
    endless = base64.b64encode(np.full(count, np.inf, "<f2").tobytes()).decode()
    great = base64.b64encode(np.full(count, 3e38, "<f4").tobytes()).decode()
    for data, status, codes in [
        (b"", 422, {"taste-damaged"}),
        (b"null", 422, {"taste-damaged", "ranker-damaged"}),
        (b"[[[[", 422, {"taste-damaged"}),
        (b"[" * 100_000, 422, {"taste-damaged"}),
        (b'{"format": "taste"}', 422, {"taste-damaged"}),
        (spoilt(ranker_file, model="0" * 16), 409, {"ranker-foreign", "taste-foreign"}),
        (spoilt(ranker_file, format_version=9), 422, {"ranker-too-new"}),
        (spoilt(ranker_file, dimension=10**9), 422, {"ranker-damaged"}),
        (spoilt(ranker_file, weights=endless), 422, {"ranker-damaged"}),
        (spoilt(ranker_file, weights="AAAA"), 422, {"ranker-damaged"}),
        (spoilt(ranker_file, slope=-1), 422, {"ranker-damaged"}),
        (
            spoilt(ranker_file, weights=great, precision="float32"),
            422,
            {"ranker-damaged", "taste-damaged"},
        ),
        (b" " * (2**22 + 1), 413, {"request-too-large"}),
    ]:
        files = {**sides(RED, BLUE), "profile": ("p.json", data or b" ")}
        answer = client.post(f"{API}/compare", files=files)
        assert check_problem(answer, status, answer.json()["code"])["code"] in codes, data[:80]
        answer = client.put(f"{API}/taste/profile", headers=kind, content=data)
        assert check_problem(answer, status, answer.json()["code"])["code"] in codes, data[:80]
    for share in (-0.1, 1.1, "half", None, True):
        body = {"profile": json.loads(ranker_file), "share": share}
        answer = client.post(f"{API}/taste/blend", headers=visitor, json=body)
        check_problem(answer, 422, "taste-share-invalid")
    no_number = '{"profile": {}, "share": NaN}'
    answer = client.post(f"{API}/taste/blend", headers=kind, content=no_number)
    check_problem(answer, 400, "request-malformed")
    for tag, weight, code in [
        ("no such tag", 1, "taste-tag-unknown"),
        (7, 1, "taste-tag-unknown"),
        ("red", 1.5, "taste-weight-invalid"),
        ("red", "1", "taste-weight-invalid"),
        ("red", 10**400, "taste-weight-invalid"),
    ]:
        edit = json.dumps({"tag": tag, "weight": weight})
        answer = client.put(f"{API}/taste/words", headers=kind, content=edit)
        check_problem(answer, 422, code)
    assert client.get(f"{API}/taste", headers=visitor).json()["begun_from"] is None


_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    [
        *("hash", "left", "right", "choice", "kind", "pending", "next", "key", "tag", "weight"),
        *("profile", "share", "pictures", "format", "ranker", "votes", "descriptions", "model"),
    ]
)
_ADDRESSES = st.sampled_from(
    ["POST votes", "PUT taste/words", "PUT taste/profile", "POST taste/blend", "POST rank/scores"]
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(_FIELDS, _ANY, max_size=6), address=_ADDRESSES)
def test_whatever_is_sent_is_answered(
    client: TestClient, visitor: dict[str, str], body: dict[str, Any], address: str
) -> None:
    method, _, path = address.partition(" ")
    answer = client.request(method, f"{API}/{path}", headers=visitor, json=body)
    if answer.status_code >= 300:
        data = answer.json()
        check_problem(answer, data["status"], data["code"])
        assert TaggerError(data["code"]).status < 500
