"""Votes: what is asked, what is kept, what is learnt, and what is taken back."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.comparing import CompareServices, tastes
from tagger.errors import PreferenceError, TaggerError
from tests import galleries
from tests.comparing.conftest import Make
from tests.comparing.made import OTHER, VISITOR, Person, check_same, numbers, redness, scores
from tests.fakes import picture


def code_of(work: Any) -> str:
    with pytest.raises(TaggerError) as caught:
        work()
    return caught.value.code


def test_a_person_who_votes_sees_the_gallery_in_their_order(compare: CompareServices) -> None:
    person = Person(compare)
    before = compare.taste(VISITOR)
    assert (before["count"], before["words"], before["agreement"]["value"]) == (0, [], None)
    answer = person.vote(40)
    assert answer["count"] == 40 and not answer["duplicate"]
    order = [redness({"number": number}) for number in person.order()]
    assert np.mean(order[:15]) > np.mean(order[-15:]) + 40
    after = compare.taste(VISITOR)
    assert after["agreement"]["count"] >= 6
    assert after["consistency"]["repeated"]["value"] == 1.0 == after["consistency"]["ceiling"]
    assert after["certainty"] > before["certainty"]
    weights = {word["tag"]: word["weight"] for word in after["words"]}
    assert len(weights) == 12 and weights.get("red", 1) > weights.get("blue", -1)


def test_what_is_asked_and_what_is_pending_differ_but_for_repeats(
    compare: CompareServices,
) -> None:
    person, seen = Person(compare), []
    for _ in range(30):
        person.pairs = person.pairs or compare.next_pairs(VISITOR, 3)["pairs"]
        asked = numbers(person.pairs[0])
        seen.append((frozenset((asked["left"], asked["right"])), asked))
        person.vote()
    fresh = [key for key, asked in seen if asked["kind"] != "repeat"]
    assert len(set(fresh)) == len(fresh) == 27
    for place, (key, asked) in enumerate(seen):
        if asked["kind"] == "repeat":
            (first,) = (other for k, other in seen[:place] if k == key)
            assert (first["left"], first["right"]) == (asked["right"], asked["left"])
    kinds = [asked["kind"] for _, asked in seen[:10]]
    assert kinds.count("check") == 2 and kinds[9] == "repeat"


def test_a_taste_survives_a_restart(make: Make) -> None:
    compare = make()
    person = Person(compare)
    person.vote(23)
    person.vote(1, "both-bad")
    person.vote(1, "skip")
    own = compare.vote(VISITOR, {"left": picture((200, 10, 20)), "right": 4, "choice": "left"})
    assert own["count"] == 25
    compare.edit(VISITOR, "green", -0.5)
    before, taste, votes = scores(compare), compare.taste(VISITOR), compare.votes(VISITOR)
    compare = make()
    assert compare.votes(VISITOR) == votes
    again = compare.taste(VISITOR)
    for figure in ("count", "skipped", "consistency", "votes_to_go"):
        assert again[figure] == taste[figure]
    check_same(scores(compare), before)


def test_any_vote_can_be_taken_back(make: Make) -> None:
    compare = make()
    person = Person(compare)
    person.vote(14)
    # As if the fourth and the last had never been given.
    kept = [n for n in range(14) if n not in (3, 13)]
    votes = compare.votes(VISITOR, limit=20)["votes"][::-1]
    for n in (3, 13):
        compare.undo(VISITOR, person.ids[n])
    for n in kept:
        vote = votes[n]
        ballot = {"left": vote["left"]["number"], "right": vote["right"]["number"]}
        compare.vote(OTHER, {**ballot, "choice": vote["choice"], "kind": vote["kind"]})
    check_same(scores(compare), scores(compare, OTHER))
    assert [v["id"] for v in compare.votes(VISITOR)["votes"]] == [
        person.ids[n] for n in reversed(kept)
    ]
    assert compare.taste(VISITOR)["count"] == 12
    assert code_of(lambda: compare.undo(VISITOR, person.ids[3])) == "vote-not-found"
    assert code_of(lambda: compare.undo(OTHER, person.ids[0])) == "vote-not-found"


def test_a_vote_that_is_sent_again_counts_once_even_after_it_was_taken_back(make: Make) -> None:
    compare = make()
    ballot = {"left": 1, "right": 2, "choice": "left", "key": "k1"}
    first = compare.vote(VISITOR, ballot)
    again = compare.vote(VISITOR, ballot)
    assert again["id"] == first["id"] and again["duplicate"] and again["count"] == 1
    compare = make()
    assert compare.vote(VISITOR, ballot)["duplicate"]
    compare.undo(VISITOR, first["id"])
    late = compare.vote(VISITOR, ballot)
    assert late["duplicate"] and late["count"] == 0 == compare.votes(VISITOR)["total"]


def test_the_last_vote_that_there_is_room_for_may_be_sent_again(
    compare: CompareServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tastes, "MAX_VOTES", 1)
    ballot = {"left": 1, "right": 2, "choice": "left", "key": "k1"}
    first = compare.vote(VISITOR, ballot)
    again = compare.vote(VISITOR, ballot)
    assert (again["id"], again["duplicate"], again["count"]) == (first["id"], True, 1)
    assert code_of(lambda: compare.vote(VISITOR, {**ballot, "key": "k2"})) == "vote-too-many"
    assert compare.votes(VISITOR)["total"] == 1


def test_a_repeat_is_believed_once_and_only_of_a_pair_that_was_asked(
    compare: CompareServices,
) -> None:
    def kind(left: int, right: int, said: str) -> str:
        compare.vote(VISITOR, {"left": left, "right": right, "choice": "left", "kind": said})
        return str(compare.votes(VISITOR, limit=1)["votes"][0]["kind"])

    assert kind(1, 2, "repeat") == "own"
    assert kind(2, 1, "repeat") == "repeat"
    assert kind(1, 2, "repeat") == "own"
    # 1 was preferred on the left, then 2 was: not once alike.
    assert compare.taste(VISITOR)["consistency"]["repeated"]["value"] == 0.0


def test_both_bad_moves_both_down_and_says_nothing_between_them(compare: CompareServices) -> None:
    for _ in range(6):
        compare.vote(VISITOR, {"left": 0, "right": 24, "choice": "both-bad"})
    found = compare.order(VISITOR, limit=200)["pictures"]
    bad = {picture["number"]: picture["score"] for picture in found}
    assert bad[0] < 0 and bad[24] < 0
    p_left = compare.compare(0, 24, ranker="taste", visitor=VISITOR)["p_left"]
    assert p_left == pytest.approx(0.5, abs=0.05)


def test_votes_are_kept_with_what_was_expected_and_shown(compare: CompareServices) -> None:
    Person(compare).vote(12)
    expected = compare.compare(5, 9, ranker="taste", visitor=VISITOR)["p_left"]
    by_server = compare.compare(5, 9)["p_left"]
    ballot = {"left": 5, "right": 9, "choice": "tie", "milliseconds": 900, "consent": True}
    answers = [
        compare.vote(VISITOR, {**ballot, "ranker": ranker})
        for ranker in ("taste", "cheerfulness", "another")
    ]
    assert answers[0]["p_left"] == pytest.approx(expected, abs=1e-4)
    kept = [compare.store.get_vote(answer["id"]) for answer in answers]
    assert kept[0] and kept[1] and kept[2]
    assert kept[0].p_left == pytest.approx(expected, abs=1e-4)
    assert kept[1].p_left == pytest.approx(by_server, abs=1e-4)
    assert kept[2].p_left is None
    assert [vote.ranker for vote in kept if vote] == ["taste", "cheerfulness", ""]
    pool = compare.pool()
    for vote in kept:
        assert vote is not None
        assert (vote.left, vote.right) == (pool.chart.id(5), pool.chart.id(9))
        assert (vote.choice, vote.milliseconds, vote.consent) == ("tie", 900, True)
        assert (vote.gallery, vote.model_hash) == (pool.hash, compare.model.hash)


def test_own_pictures_teach_are_never_told_and_never_kept_as_pictures(
    compare: CompareServices,
) -> None:
    red, blue = picture((240, 10, 10)), picture((10, 10, 240))
    for n in range(4):
        answer = compare.vote(VISITOR, {"left": red, "right": blue, "choice": "left"})
        assert answer["count"] == n + 1
    order = [redness({"number": n}) for n in Person(compare).order()]
    assert np.mean(order[:15]) > np.mean(order[-15:])
    votes = compare.votes(VISITOR)["votes"]
    assert [(v["left"], v["right"], v["kind"]) for v in votes] == [(None, None, "own")] * 4
    assert (
        code_of(lambda: compare.vote(VISITOR, {"left": red, "right": red, "choice": "left"}))
        == "vote-pair-invalid"
    )
    bad = {"left": b"no picture", "right": 3, "choice": "left"}
    assert code_of(lambda: compare.vote(VISITOR, bad)).startswith("image-")
    assert compare.votes(VISITOR)["total"] == 4


def test_in_another_gallery_votes_on_pictures_that_are_gone_are_left_out_and_not_lost(
    make: Make, toy_bundle: Path, tmp_path: Path
) -> None:
    compare = make()
    gone = [(40, 41), (3, 55)]
    there = [(1, 2), (8, 20), (30, 7)]
    ids = [
        compare.vote(VISITOR, {"left": a, "right": b, "choice": "left"})["id"]
        for a, b in gone + there
    ]
    old = compare.pool().hash
    smaller = galleries.make_gallery(tmp_path / "smaller", toy_bundle, 36)
    compare = make(gallery=str(smaller))
    taste = compare.taste(VISITOR)
    assert (taste["count"], taste["skipped"]) == (3, 2)
    votes = compare.votes(VISITOR)["votes"]
    assert [v["id"] for v in votes] == ids[::-1]
    assert votes[-1]["left"] is None and votes[-2]["left"]["number"] == 3
    stale = {"left": 1, "right": 2, "choice": "left", "hash": old}
    assert code_of(lambda: compare.vote(VISITOR, stale)) == "compare-stale"
    compare.undo(VISITOR, ids[0])
    assert compare.taste(VISITOR)["skipped"] == 1
    compare = make()
    assert (compare.taste(VISITOR)["count"], compare.taste(VISITOR)["skipped"]) == (4, 0)


def test_who_withdraws_leaves_nothing(make: Make) -> None:
    compare = make()
    Person(compare).vote(5)
    Person(compare, OTHER).vote(2)
    compare.edit(VISITOR, "red", 0.5)
    compare.vote(VISITOR, {"left": picture((9, 200, 9)), "right": 4, "choice": "left"})
    assert compare.withdraw(VISITOR) == {"deleted": 6}
    for services in (compare, make()):
        taste = services.taste(VISITOR)
        assert (taste["count"], taste["words"]) == (0, [])
        assert services.votes(VISITOR)["total"] == 0
        assert services.votes(OTHER)["total"] == 2
    assert make().store.count_votes() == 2


def test_two_requests_of_one_visitor_at_once_lose_nothing(make: Make) -> None:
    compare = make()
    pairs = list(itertools.islice(itertools.combinations(range(60), 2), 40))
    start = threading.Barrier(8)

    def work(part: list[tuple[int, int]]) -> None:
        start.wait(60)
        for left, right in part:
            compare.vote(VISITOR, {"left": left, "right": right, "choice": "left", "next": 1})
            compare.taste(VISITOR)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [pairs[n::8] for n in range(8)]))
    assert compare.taste(VISITOR)["count"] == 40 == compare.votes(VISITOR)["total"]
    # In the order of the collection, so that it is learnt anew as it was.
    before, votes = scores(compare), compare.votes(VISITOR)
    compare = make()
    assert compare.votes(VISITOR) == votes
    check_same(scores(compare), before)


INVALID: list[tuple[dict[str, Any], str]] = [
    ({}, "vote-choice-invalid"),
    ({"choice": "up"}, "vote-choice-invalid"),
    ({"choice": ["left"]}, "vote-choice-invalid"),
    ({"left": 3, "right": 3}, "vote-pair-invalid"),
    ({"left": 60}, "explore-no-picture"),
    ({"left": -1}, "request-invalid"),
    ({"left": True}, "request-invalid"),
    ({"left": "3"}, "request-invalid"),
    ({"left": 1e300}, "request-invalid"),
    ({"left": 1.5}, "request-invalid"),
    ({"left": None}, "request-invalid"),
    ({"right": 10**30}, "request-invalid"),
    ({"kind": "best"}, "request-invalid"),
    ({"kind": {}}, "request-invalid"),
    ({"key": ""}, "request-invalid"),
    ({"key": "k" * 10_000}, "request-invalid"),
    ({"consent": "yes"}, "request-invalid"),
    ({"milliseconds": -1}, "request-invalid"),
    ({"milliseconds": 10**30}, "request-invalid"),
    ({"milliseconds": float("nan")}, "request-invalid"),
    ({"ranker": 3}, "request-invalid"),
    ({"ranker": "x" * 65}, "request-invalid"),
    ({"hash": 3}, "request-invalid"),
    ({"hash": "0"}, "compare-stale"),
    ({"next": 1_000}, "request-invalid"),
    ({"next": "1"}, "request-invalid"),
    ({"pending": 7}, "request-invalid"),
    ({"pending": [[1, 2]]}, "request-invalid"),
    ({"pending": [[1, 2, "x"]]}, "request-invalid"),
    ({"pending": [[1, "2", "own"]]}, "request-invalid"),
    ({"pending": [[1, 2, "own"]] * 51}, "request-invalid"),
    ({"pending": [[1, 1, "own"]], "next": 1}, "vote-pair-invalid"),
    ({"pending": [[1, 600, "own"]], "next": 1}, "vote-pair-invalid"),
]


def test_what_is_no_vote_is_refused_and_not_kept(compare: CompareServices) -> None:
    for changes, code in INVALID:
        ballot = {"left": 1, "right": 2, "choice": "left", **changes} if changes else changes
        assert code_of(partial(compare.vote, VISITOR, ballot)) == code, changes
    assert compare.votes(VISITOR)["total"] == 0 == compare.taste(VISITOR)["count"]


def test_nobody_votes_without_saying_who(compare: CompareServices) -> None:
    for who in ("", "v" * 300):
        for work in (
            lambda who=who: compare.vote(who, {"left": 1, "right": 2, "choice": "left"}),
            lambda who=who: compare.taste(who),
            lambda who=who: compare.next_pairs(who),
            lambda who=who: compare.compare(1, 2, ranker="taste", visitor=who),
        ):
            assert code_of(work) == "visitor-missing"


def test_a_vote_that_cannot_be_written_teaches_nothing(
    compare: CompareServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    Person(compare).vote(3)
    before = compare.taste(VISITOR), compare.order(VISITOR)

    def full(new: object) -> None:
        raise PreferenceError("store-full")

    with monkeypatch.context() as patch:
        patch.setattr(compare.store, "save_vote", full)
        ballot = {"left": 1, "right": 2, "choice": "left"}
        assert code_of(lambda: compare.vote(VISITOR, ballot)) == "store-full"
    assert (compare.taste(VISITOR), compare.order(VISITOR)) == before
