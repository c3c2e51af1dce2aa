"""Two pictures, sets in order, and what is judged by."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.comparing import CompareServices
from tagger.comparing.ranking import Ordering, check_rows, evaluate
from tagger.errors import ImageError, TaggerError
from tagger.preference import Ranker, describe, metrics
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import galleries, toy
from tests.comparing.conftest import Make
from tests.comparing.made import VISITOR, Person, write_ranker
from tests.fakes import picture

RED, BLUE, GREY = (240, 10, 10), (10, 10, 240), (128, 128, 128)


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(TaggerError) as caught:
        work()
    return caught.value.code


def top_ten(rgb: tuple[int, int, int]) -> np.ndarray:
    """The toy's probabilities, where they are among the ten greatest."""
    said = np.array(toy.reference(np.full((toy.SIZE, toy.SIZE, 3), rgb, np.uint8)))
    return np.where(said >= np.sort(said)[-10], said, 0)


def test_two_files_are_compared_by_the_servers_ranker(compare: CompareServices) -> None:
    answer = compare.compare(picture(RED, (40, 40)), picture(BLUE, (40, 40)), lang="ja")
    red, blue = toy.NAMES.index("red"), toy.NAMES.index("blue")
    scores = [1.3 * 2 * (p[red] - p[blue]) for p in (top_ten(RED), top_ten(BLUE))]
    assert answer["left"]["score"] == pytest.approx(scores[0], abs=1e-3)
    assert answer["right"]["score"] == pytest.approx(scores[1], abs=1e-3)
    expected = 1 / (1 + np.exp(scores[1] - scores[0]))
    assert answer["p_left"] == pytest.approx(expected, abs=1e-3)
    assert (answer["verdict"], answer["tie"]) == ("left", False)
    assert answer["left"]["tags"][0]["label"] == "赤" and len(answer["left"]["tags"]) == 5
    assert answer["left"]["picture"]["width"] == 40
    assert answer["ranker"] == {"id": "cheerfulness", "label": "朗らかさ"}
    assert answer["model"]["hash"] == compare.model.hash
    reasons = {reason["tag"]: reason for reason in answer["why"]}
    assert len(answer["why"]) == 6 and reasons["red"]["speaks_for"] == "left"
    assert reasons["blue"]["speaks_for"] == "left" and reasons["blue"]["right"] > 0.5
    weights = [reason["weight"] for reason in answer["why"]]
    assert weights == sorted(weights, reverse=True)


def test_a_tie_is_called_one(compare: CompareServices) -> None:
    answer = compare.compare(picture(GREY, (32, 32)), picture(GREY, (64, 64)))
    assert (answer["p_left"], answer["tie"], answer["verdict"]) == (0.5, True, "tie")
    assert answer["why"] == []


def test_gallery_pictures_are_compared_as_their_files_would_be(compare: CompareServices) -> None:
    hash = compare.pool().hash
    by_number = compare.compare(0, 26, hash=hash)
    files = [galleries.webp(galleries.colour(n), (48, 48)) for n in (0, 26)]
    by_file = compare.compare(files[0], files[1])
    mixed = compare.compare(0, files[1])
    assert by_number["left"]["number"] == 0 and by_number["left"]["title"] == "Red 0"
    for answer in (by_file, mixed):
        # The gallery keeps halves of single precision.
        assert answer["p_left"] == pytest.approx(by_number["p_left"], abs=2e-3)
        assert [r["tag"] for r in answer["why"][:2]] == [r["tag"] for r in by_number["why"][:2]]
    assert code_of(lambda: compare.compare(0, 26, hash="0")) == "compare-stale"
    assert code_of(lambda: compare.compare(0, 60)) == "explore-no-picture"
    assert code_of(lambda: compare.compare(0, -1)) == "explore-no-picture"


def test_my_taste_judges_pictures_that_were_never_voted_on(compare: CompareServices) -> None:
    red, blue = picture((220, 30, 30)), picture((40, 30, 220))
    assert compare.rankers(VISITOR)["rankers"][1]["ready"] is False
    before = compare.compare(red, blue, ranker="taste", visitor=VISITOR)
    assert (before["p_left"], before["verdict"]) == (0.5, "tie")
    Person(compare).vote(40)
    after = compare.compare(red, blue, ranker="taste", visitor=VISITOR)
    assert after["p_left"] > 0.6 and after["left"]["score"] > after["right"]["score"]
    assert compare.rankers(VISITOR)["rankers"][1]["ready"] is True
    ranked = compare.rank([("b", blue), ("a", red)], ranker="taste", visitor=VISITOR)
    assert [row["name"] for row in ranked["pictures"]] == ["a", "b"]
    # Saved and sent as a file it says the same, to whomever.
    saved = json.loads(compare.profile(VISITOR))
    by_file = compare.compare(red, blue, profile=saved)
    assert by_file["ranker"]["id"] == "file"
    assert by_file["p_left"] == pytest.approx(after["p_left"], abs=0.1)


def test_what_there_is_to_judge_by(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    compare = make()
    found = compare.rankers(lang="ja")
    assert [(r["id"], r["ready"]) for r in found["rankers"]] == [
        ("cheerfulness", True),
        ("taste", False),
    ]
    assert all(r["label"] and r["about"] for r in found["rankers"])
    assert found["gallery"] == {"status": "ready", "hash": compare.pool().hash, "count": 60}
    assert code_of(lambda: compare.compare(1, 2, ranker="beauty")) == "compare-no-ranker"


def test_without_a_gallery_files_are_compared_and_nothing_is_voted_on(make: Make) -> None:
    compare = make(gallery="none")
    assert compare.rankers()["gallery"] == {"status": "off", "hash": None, "count": 0}
    answer = compare.compare(picture(RED), picture(BLUE))
    # Nothing is known of typical pictures: each tag speaks for itself.
    assert [(r["tag"], r["speaks_for"]) for r in answer["why"]] == [
        ("red", "left"),
        ("blue", "left"),
    ]
    assert compare.rank([("a", picture(RED))])["pictures"][0]["rank"] == 1
    for work in (
        lambda: compare.next_pairs(VISITOR),
        lambda: compare.vote(VISITOR, {"left": 1, "right": 2, "choice": "left"}),
        lambda: compare.taste(VISITOR),
        lambda: compare.order(VISITOR),
        lambda: compare.compare(1, 2),
    ):
        assert code_of(work) == "compare-no-gallery"
    assert compare.withdraw(VISITOR) == {"deleted": 0}


def test_without_a_ranker_and_a_gallery_files_judge(make: Make) -> None:
    compare = make(gallery="none", ranker="none")
    assert compare.rankers()["rankers"] == []
    assert code_of(lambda: compare.compare(picture(RED), picture(BLUE))) == "compare-no-judge"
    assert code_of(lambda: compare.rank([("a", picture(RED))])) == "compare-no-judge"
    answer = compare.compare(picture(RED), picture(BLUE), profile=a_ranker(compare))
    assert answer["ranker"]["id"] == "file"


def test_votes_can_be_taken_back_where_the_gallery_is_gone(make: Make) -> None:
    person = Person(make())
    person.vote(3)
    compare = make(gallery="none")
    compare.undo(VISITOR, person.ids[0])
    assert compare.withdraw(VISITOR) == {"deleted": 2}


def test_a_ranker_that_is_of_no_use_is_left_out(
    make: Make, toy_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = write_ranker(tmp_path / "foreign.json", toy_bundle, model="0" * 16)
    for path in (foreign, tmp_path / "nowhere.json"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            compare = make(ranker=str(path))
        assert "left out" in caplog.text
        assert [r["id"] for r in compare.rankers()["rankers"]] == ["taste"]
        # Where there is no other, the taste judges.
        answer = compare.compare(1, 2, visitor=VISITOR)
        assert answer["ranker"]["id"] == "taste"
    assert [r["id"] for r in make(ranker="none").rankers()["rankers"]] == ["taste"]


def test_a_ranker_of_ones_own_goes_by_its_name(
    make: Make, toy_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    for name, id in (("Cuteness", "Cuteness"), ("taste", "default"), ("a\u202eb", "default")):
        write_ranker(folder / "ranker.json", toy_bundle, name=name)
        compare = make(ranker=str(folder))
        assert compare.rankers()["rankers"][0]["id"] == id
        assert compare.compare(1, 2, ranker=id)["ranker"]["id"] == id


# --- files of strangers


def a_ranker(compare: CompareServices, **more: Any) -> dict[str, Any]:
    given = {"name": "x", "model": compare.model.hash, "weights": np.ones(32, np.float32), **more}
    return Ranker(**given).to_dict("float32")


def test_a_file_judges_if_it_is_of_this_model(compare: CompareServices) -> None:
    embeddings = a_ranker(compare, weights=np.ones(8, np.float32))
    assert compare.compare(1, 2, profile=embeddings)["ranker"] == {"id": "file", "label": "x"}
    hidden = {"hidden_weights": np.ones((3, 32)), "hidden_bias": np.zeros(3)}
    mlp = a_ranker(compare, kind="mlp", weights=np.ones(3, np.float32), **hidden)
    assert 0 <= compare.compare(1, 2, profile=mlp)["p_left"] <= 1
    bad: list[tuple[Any, str]] = [
        (a_ranker(compare, model="0" * 16), "ranker-foreign"),
        (a_ranker(compare, weights=np.ones(33, np.float32)), "ranker-foreign"),
        (a_ranker(compare, weights=np.full(32, 3e38, np.float32)), "ranker-damaged"),
        ({**embeddings, "slope": -1}, "ranker-damaged"),
        ({"format": "taste"}, "taste-damaged"),
        ({}, "ranker-damaged"),
        ([], "ranker-damaged"),
        ("x", "ranker-damaged"),
        (3, "ranker-damaged"),
    ]
    for data, code in bad:
        assert code_of(lambda data=data: compare.compare(1, 2, profile=data)) == code, data


# --- sets


def test_a_set_is_put_in_order_and_judged_by_ratings(compare: CompareServices) -> None:
    colours = [(250 - 25 * n, 10, 25 * n) for n in range(10)]
    files = [(f"p{n}.png", picture(colour, (16, 16))) for n, colour in enumerate(colours)]
    ratings = {f"p{n}.png": 10.0 - n for n in range(0, 10, 2)} | {"p2.png": 1.0, "other": 3.0}
    sources = [files[n] for n in (3, 7, 1, 9, 0, 2, 8, 4, 6, 5)] + [("bad.png", b"no picture")]
    answer = compare.rank(sources, ratings=ratings)
    *good, bad = answer["pictures"]
    assert [row["name"] for row in good] == [f"p{n}.png" for n in range(10)]
    assert [row["rank"] for row in good] == list(range(1, 11))
    assert good[4]["rating"] == 6.0 and "rating" not in good[3]
    assert bad["name"] == "bad.png" and bad["error"]["code"].startswith("image-")
    assert answer["evaluation"]["rated"] == 5
    rows = [{"score": row["score"], "rating": row.get("rating")} for row in good]
    assert compare.evaluate(rows) == answer["evaluation"]
    assert compare.rank(sources)["evaluation"] is None
    best = compare.rank(sources, ratings=ratings, top=3)
    assert best["pictures"] == [*good[:3], bad] and best["evaluation"] == answer["evaluation"]
    assert [row["name"] for row in compare.rank(sources, top=0)["pictures"]] == ["bad.png"]


def test_any_number_of_pictures_is_read_a_few_at_a_time(compare: CompareServices) -> None:
    ahead = 0
    file = picture(RED)

    def many() -> Iterator[tuple[str, bytes]]:
        nonlocal ahead
        for n in range(200):
            ahead += 1
            yield f"{n}", file

    ordering = compare.rank(many(), top=2)
    assert ahead == 200
    # Of equal ones the first stay.
    assert [row["name"] for row in ordering["pictures"]] == ["0", "1"]


def test_the_best_are_kept_however_they_come() -> None:
    rng = np.random.default_rng(0)
    for count, top in ((0, 3), (1, 3), (50, 7), (50, 50), (50, None)):
        scores = rng.integers(0, 12, count).tolist()
        ordering = Ordering(top=top)
        for n, score in enumerate(scores):
            ordering.add(f"{n}", float(score))
        ordering.fail("bad", ImageError("image-empty"))
        expected = sorted(range(count), key=lambda n: (-scores[n], n))[:top]
        assert [row["name"] for row in ordering.pictures()] == [*map(str, expected), "bad"]


def test_figures_are_those_of_plain_definitions() -> None:
    rng = np.random.default_rng(1)
    for count, ties in ((2, 5), (7, 3), (60, 4), (60, 1000)):
        scores = rng.integers(0, ties, count).astype(float)
        ratings = rng.integers(-2, 3, count).astype(float)
        if ratings.min() == ratings.max():
            ratings[0] += 1
        found = evaluate(zip(scores.tolist(), ratings.tolist(), strict=True))
        assert found is not None and found["rated"] == count
        won = [
            1.0
            if (scores[i] - scores[j]) * (ratings[i] - ratings[j]) > 0
            else 0.5
            if scores[i] == scores[j]
            else 0.0
            for i in range(count)
            for j in range(i)
            if ratings[i] != ratings[j]
        ]
        assert found["pairwise_accuracy"] == pytest.approx(np.mean(won), abs=1e-5)
        grades = 4 * (ratings - ratings.min()) / (ratings.max() - ratings.min())
        for k in (10, 50, 100):
            expected = metrics.ndcg(scores, grades, k, gain="exponential")
            assert found["ndcg"][str(k)] == pytest.approx(expected, abs=1e-5)
        if len(set(scores)) > 1:
            tau = metrics.kendall_tau(scores, ratings)
            assert found["kendall_tau"] == pytest.approx(tau, abs=1e-5)


def test_figures_that_are_not_defined_are_none() -> None:
    assert evaluate([]) is None and evaluate([(1.0, 1.0)]) is None
    same = evaluate([(1.0, 2.0), (2.0, 2.0)])
    assert same is not None
    assert same["pairwise_accuracy"] is None and same["kendall_tau"] is None
    assert same["ndcg"] == {"10": None, "50": None, "100": None}
    great = evaluate([(1.0, -1e308), (2.0, 1e308)])
    assert great is not None and great["ndcg"]["10"] == 1.0 == great["pairwise_accuracy"]
    json.dumps([same, great], allow_nan=False)


def test_rows_of_strangers_are_checked() -> None:
    row = {"score": 1, "rating": 2.5}
    assert check_rows([row, {"score": "x", "rating": None}, {}]) == [(1.0, 2.5)]
    bad: list[Any] = [None, {}, "x", [3], [None], [{"score": None, "rating": 1}]]
    bad += [[{"score": value, "rating": 1}] for value in ("1", True, float("nan"), 10**400)]
    bad += [[{"score": 1, "rating": value}] for value in ("1", False, float("inf"), [])]
    for rows in bad:
        assert code_of(lambda rows=rows: check_rows(rows)) == "request-invalid", rows
    assert code_of(lambda: check_rows([row] * 100_001)) == "explore-too-many"


# --- how often


def test_who_sends_too_much_is_turned_away_and_nobody_else(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = make(live_rate=1)
    monkeypatch.setattr(compare._tokens, "_clock", lambda: 0.0)  # however long it takes
    compare.expect(4, "192.0.2.1")
    assert code_of(lambda: compare.compare(1, 2, client="192.0.2.1")) == "too-fast"
    assert code_of(lambda: compare.expect(1, "192.0.2.1")) == "too-fast"
    compare.compare(1, 2, client="192.0.2.2")
    compare.compare(1, 2, client=None)
    files = [(str(n), picture(RED)) for n in range(5)]
    assert len(compare.rank(files, client="192.0.2.3")["pictures"]) == 5
    assert code_of(lambda: compare.rank(files, client="192.0.2.3")) == "too-fast"
    # What is large costs more.
    compare.load(VISITOR, compare.profile(VISITOR) + b" " * 40_000, client="192.0.2.4")
    assert code_of(lambda: compare.profile(VISITOR, client="192.0.2.4")) == "too-fast"
    compare.evaluate([{}] * 4_000, client="192.0.2.5")
    assert code_of(lambda: compare.evaluate([], client="192.0.2.5")) == "too-fast"


def test_the_shipped_ranker_scores_the_shipped_models_descriptions(real_bundle: Path) -> None:
    folder = real_bundle.parent / "preference"
    if not folder.is_dir():
        pytest.skip("the ranker is not exported")
    services: Services = build_services(
        Settings(bundle=str(real_bundle), ranker=str(folder), threads=1)
    )
    try:
        assert services.compare is not None
        seen = services.tag(picture(RED, (64, 64)))
        assert seen.embedding is not None
        ranker = Ranker.load(folder / "ranker.json", model=services.hash)
        row = describe(seen.embedding[None], seen.probabilities[None])
        answer = services.compare.compare(picture(RED, (64, 64)), picture(BLUE, (64, 64)))
        assert answer["ranker"]["id"] == "cheerfulness"
        assert answer["left"]["score"] == pytest.approx(float(ranker.scores(row)[0]), abs=1e-3)
    finally:
        services.close()
