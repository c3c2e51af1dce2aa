"""Tastes: corrected by hand, saved and loaded, mixed, held while used, told to the owner."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.collection import NewVote, Store
from tagger.comparing import CompareServices
from tagger.comparing.tastes import Tastes
from tagger.errors import TaggerError
from tagger.preference import Profile, Ranker, blend
from tests import galleries
from tests.comparing.conftest import Make
from tests.comparing.made import OTHER, VISITOR, Person, check_same, redness, scores, write_ranker
from tests.fakes import picture


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(TaggerError) as caught:
        work()
    return caught.value.code


# --- orders


def test_the_gallery_is_ordered_by_a_taste_or_by_the_servers_ranker(
    compare: CompareServices,
) -> None:
    Person(compare).vote(15)
    for ranker in ("taste", "cheerfulness"):
        whole = compare.order(VISITOR, ranker=ranker, limit=200)
        assert whole["total"] == 60 and whole["hash"] == compare.pool().hash
        assert [p["rank"] for p in whole["pictures"]] == list(range(1, 61))
        values = [p["score"] for p in whole["pictures"]]
        assert values == sorted(values, reverse=True)
        part = compare.order(VISITOR, ranker=ranker, offset=58, limit=24)["pictures"]
        assert part == whole["pictures"][58:]
        worst = compare.order(VISITOR, ranker=ranker, limit=3, worst_first=True)["pictures"]
        assert worst == whole["pictures"][:-4:-1]
    for number in (0, 7, 59):
        by_number = compare.compare(number, 1)["left"]["score"]
        ordered = {p["number"]: p["score"] for p in whole["pictures"]}
        assert ordered[number] == pytest.approx(by_number, abs=2e-3)
    assert code_of(lambda: compare.order(VISITOR, ranker="beauty")) == "compare-no-ranker"


# --- by hand


def test_a_tag_is_set_by_hand_and_learnt_again(make: Make) -> None:
    compare = make()
    Person(compare).vote(12)
    learnt = scores(compare)
    taste = compare.edit(VISITOR, "Blue", 0.9, lang="ja")
    (blue,) = (word for word in taste["words"] if word["edited"])
    assert (blue["tag"], blue["label"]) == ("blue", "青")
    assert blue["weight"] == pytest.approx(0.9, abs=0.02) and len(taste["words"]) == 13
    edited = scores(compare)
    blues = [n for n in range(60) if n % 24 == 2]
    assert edited[blues].mean() > learnt[blues].mean()
    compare = make()
    check_same(scores(compare), edited)
    assert not [w for w in compare.edit(VISITOR, "blue", None)["words"] if w["edited"]]
    check_same(scores(compare), learnt)
    for tag, weight, code in (
        ("no such tag", 0.5, "taste-tag-unknown"),
        (None, 0.5, "taste-tag-unknown"),
        ("x" * 10_000, 0.5, "taste-tag-unknown"),
        ("blue", 1.5, "taste-weight-invalid"),
        ("blue", "1", "taste-weight-invalid"),
        ("blue", True, "taste-weight-invalid"),
        ("blue", float("nan"), "taste-weight-invalid"),
    ):
        assert code_of(lambda t=tag, w=weight: compare.edit(VISITOR, t, w)) == code
    check_same(scores(compare), learnt)


# --- files


def test_a_saved_taste_goes_on_where_it_was_for_somebody_else_too(make: Make) -> None:
    compare = make()
    Person(compare).vote(25)
    compare.edit(VISITOR, "green", -0.4)
    saved = compare.profile(VISITOR)
    assert len(saved) < 8_000
    before, told = scores(compare), compare.taste(VISITOR)
    Person(compare, OTHER, likes=lambda brief: -redness(brief)).vote(9)
    loaded = compare.load(OTHER, saved)
    assert loaded["count"] == told["count"] and len(loaded["words"]) == len(told["words"])
    check_same(scores(compare, OTHER), before)
    # Their votes are in the collection as before, but no part of this taste.
    assert compare.votes(OTHER)["total"] == 9
    more = Person(compare, OTHER)
    more.vote(3)
    after = scores(compare, OTHER)
    assert compare.taste(OTHER)["count"] == 28
    compare = make()
    check_same(scores(compare, OTHER), after)
    for id in more.ids:
        compare.undo(OTHER, id)
    check_same(scores(compare, OTHER), before)


def test_of_a_file_only_what_its_votes_need_is_kept(make: Make) -> None:
    compare = make()
    for colour in ((240, 10, 10), (10, 240, 10)):
        compare.vote(VISITOR, {"left": picture(colour), "right": 2, "choice": "left"})
    saved = Profile.from_dict(json.loads(compare.profile(VISITOR)))
    # The first picture is of no vote any more, and there is much that nobody needs.
    guests = np.concatenate([saved.guests, np.ones((900, saved.guests.shape[1]), np.float32)])
    ranker = replace(saved.ranker, facts={"notes": "x" * 60_000})
    edits = {tag: 0.5 for tag in range(10_000, 20_000)}
    large = replace(saved, votes=saved.votes[1:], guests=guests, ranker=ranker, edits=edits)
    text = json.dumps(large.to_dict()).encode()
    assert compare.load(OTHER, text)["count"] == 1
    kept = compare.store.taste_of(compare.store.contributor_of(OTHER))
    assert kept is not None and len(text) > 200_000 > 4_000 > len(kept)
    after = scores(compare, OTHER)
    compare.undo(VISITOR, compare.votes(VISITOR)["votes"][-1]["id"])
    check_same(scores(compare), after)
    assert len(Profile.from_dict(json.loads(compare.profile(VISITOR))).guests) == 1
    check_same(scores(make(), OTHER), after)


def test_a_vote_taken_back_goes_from_the_taste_that_was_saved_and_loaded_too(make: Make) -> None:
    compare = make()
    person = Person(compare)
    person.vote(8)
    saved = compare.profile(VISITOR)
    compare.undo(VISITOR, person.ids[2])
    expected = scores(compare)
    compare.load(VISITOR, saved)
    assert compare.taste(VISITOR)["count"] == 8
    # The copy of one that is gone already stays; those that are there go with their copies.
    for n in (3, 4):
        compare.undo(VISITOR, person.ids[n])
    assert compare.taste(VISITOR)["count"] == 6
    after = scores(compare)
    compare = make()
    assert compare.taste(VISITOR)["count"] == 6 and not np.array_equal(expected, after)
    check_same(scores(compare), after)


def test_a_saved_taste_is_what_one_begins_from_in_another_gallery(
    make: Make, toy_bundle: Path, tmp_path: Path
) -> None:
    compare = make()
    Person(compare).vote(40)
    saved = compare.profile(VISITOR)
    smaller = galleries.make_gallery(tmp_path / "smaller", toy_bundle, 36)
    compare = make(gallery=str(smaller))
    taste = compare.load(OTHER, saved)
    assert (taste["count"], taste["begun_from"]) == (0, "taste") and taste["words"]
    order = [redness({"number": n}) for n in Person(compare, OTHER).order()]
    assert np.mean(order[:9]) > np.mean(order[-9:])
    Person(compare, OTHER).vote(2)
    assert make(gallery=str(smaller)).taste(OTHER)["count"] == 2


def test_a_taste_begins_from_a_ranker(make: Make, toy_bundle: Path, tmp_path: Path) -> None:
    compare = make()
    file = write_ranker(tmp_path / "r.json", toy_bundle, name="Reds", slope=0.5).read_bytes()
    taste = compare.load(VISITOR, file)
    assert (taste["begun_from"], taste["count"]) == ("Reds", 0)
    by_server = compare.order(VISITOR, ranker="cheerfulness", limit=200)["pictures"]
    theirs = np.array([p["score"] for p in sorted(by_server, key=lambda p: p["number"])])
    mine = scores(compare)
    # Half as steep, and 0 for the average picture.
    np.testing.assert_allclose(mine, 0.5 * (theirs - theirs.mean()), atol=0.02)
    compare = make()
    assert compare.taste(VISITOR)["begun_from"] == "Reds"
    check_same(scores(compare), mine)
    # Saved from here, it remembers.
    assert compare.load(OTHER, compare.profile(VISITOR))["begun_from"] == "Reds"
    assert compare.withdraw(VISITOR) == {"deleted": 0}
    assert compare.taste(VISITOR)["begun_from"] is None


def test_two_tastes_are_mixed(compare: CompareServices) -> None:
    Person(compare).vote(20)
    Person(compare, OTHER, likes=lambda brief: brief["number"] % 5).vote(20)
    mine, theirs = compare.profile(VISITOR), compare.profile(OTHER)
    model = compare.model.hash
    profiles = [Profile.from_dict(json.loads(each), model=model) for each in (mine, theirs)]
    expected = blend(profiles[0], profiles[1], 0.25).ranker
    rows = np.stack([compare.pool().description(n) for n in range(60)])
    taste = compare.blend(VISITOR, json.loads(theirs), 0.25)
    assert (taste["count"], taste["begun_from"]) == (0, "taste")
    wanted = expected.scores(rows)
    np.testing.assert_allclose(scores(compare), wanted - wanted.mean(), atol=0.05)
    # Of nothing and something, something.
    nobody = "nobody-0123456789"
    compare.blend(nobody, theirs, 0.5)
    np.testing.assert_allclose(scores(compare, nobody), scores(compare, OTHER), atol=0.05)
    for share in (-0.1, 1.1, "1", None, True, float("nan")):
        code = code_of(lambda share=share: compare.blend(VISITOR, theirs, share))
        assert code == "taste-share-invalid"


def test_files_that_are_no_taste_change_nothing(compare: CompareServices) -> None:
    Person(compare).vote(6)
    before = compare.taste(VISITOR)
    saved = json.loads(compare.profile(VISITOR))
    model = compare.model.hash
    hidden = {"hidden_weights": np.ones((3, 32)), "hidden_bias": np.zeros(3)}
    mlp = Ranker("x", model, np.ones(3, np.float32), kind="mlp", **hidden).to_dict()
    wide = Ranker("x", model, np.ones(40, np.float32)).to_dict()
    steep = Ranker("x", model, np.full(32, 3e38, np.float32)).to_dict("float32")
    foreign = {**saved, "ranker": {**saved["ranker"], "model": "0" * 16}}
    bad: list[tuple[Any, str]] = [
        (b"", "taste-damaged"),
        (b"\xff{", "taste-damaged"),
        (b"[" * 100_000, "taste-damaged"),
        (b" " * (4 * 2**20 + 1), "request-too-large"),
        (None, "ranker-damaged"),
        ({**saved, "votes": None}, "taste-damaged"),
        ({**saved, "edits": {"blue": 1}}, "taste-damaged"),
        ({**saved, "format_version": 99}, "taste-too-new"),
        (foreign, "taste-foreign"),
        (mlp, "compare-ranker-kind"),
        (wide, "taste-foreign"),
        (steep, "ranker-damaged"),
        ({**saved, "ranker": steep}, "taste-damaged"),
    ]
    for data, code in bad:
        assert code_of(lambda data=data: compare.load(VISITOR, data)) == code, code
        assert code_of(lambda data=data: compare.blend(VISITOR, data, 0.5)) == code, code
    assert compare.taste(VISITOR) == before


def test_what_was_kept_of_a_taste_of_another_model_is_left_out_and_the_votes_count(
    make: Make,
) -> None:
    compare = make()
    Person(compare).vote(4)
    contributor = compare.store.contributor_of(VISITOR)
    compare.load(VISITOR, compare.profile(VISITOR))
    compare.vote(VISITOR, {"left": 1, "right": 2, "choice": "left"})
    compare.edit(VISITOR, "red", 0.5)
    kept = json.loads(compare.store.taste_of(contributor) or b"")
    kept["profile"]["ranker"]["model"] = "0" * 16
    for data, edited in ((kept, ["red"]), ({"format": "?"}, [])):
        compare.store.keep_taste(contributor, json.dumps(data).encode())
        compare = make()
        taste = compare.taste(VISITOR)
        assert [w["tag"] for w in taste["words"] if w["edited"]] == edited
        assert taste["count"] == (1 if edited else 5)


# --- held


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'held.sqlite3'}") as store:
        yield store


def test_a_taste_that_is_in_use_is_never_there_twice(
    compare: CompareServices, store: Store
) -> None:
    pool = compare.pool()
    tastes = Tastes(compare.tags, compare.model, limit=2)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> object:
        with tastes.of("a", pool, store) as held:
            inside.set()
            assert go_on.wait(60)
            return held

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(hold)
        assert inside.wait(60)
        for name in "bcde":
            with tastes.of(name, pool, store):
                pass
        assert len(tastes) == 2
        inside.clear()
        second = threads.submit(hold)
        # The second waits for the first, whose taste it gets.
        assert not inside.is_set()
        go_on.set()
        assert first.result(60) is second.result(60)
    for name in "bc":
        with tastes.of(name, pool, store):
            pass
    assert len(tastes) == 2


def test_a_dropped_taste_is_learnt_anew(compare: CompareServices, store: Store) -> None:
    pool = compare.pool()
    tastes = Tastes(compare.tags, compare.model, limit=1)
    for left, right in ((3, 4), (5, 6)):
        ids = pool.chart.id(left), pool.chart.id(right)
        store.save_vote(NewVote(*ids, "left", contributor="a"))
    for _ in range(2):
        with tastes.of("a", pool, store) as held:
            assert held.taste.count == 2
        with tastes.of("b", pool, store) as held:
            assert held.taste.count == 0
        assert len(tastes) == 1


def test_what_another_program_changes_is_learnt_at_once(compare: CompareServices) -> None:
    Person(compare).vote(5)
    compare.edit(VISITOR, "red", 0.5)
    contributor = compare.store.contributor_of(VISITOR)
    (first, second, *_) = compare.store.votes_of(contributor)
    compare.store.delete_vote(first.id, by=None, owner=True)
    assert compare.taste(VISITOR)["count"] == 4 == compare.votes(VISITOR)["total"]
    # As many as before, but others.
    compare.store.delete_vote(second.id, by=None, owner=True)
    added = compare.store.save_vote(
        NewVote(second.right, second.left, "tie", contributor=contributor)
    )
    assert compare.votes(VISITOR, limit=1)["votes"][0]["id"] == added.id
    compare.store.keep_taste(contributor, None)
    assert not any(word["edited"] for word in compare.taste(VISITOR)["words"])
    compare.store.withdraw(contributor, "vote")
    assert compare.taste(VISITOR)["count"] == 0


def test_a_taste_that_could_not_be_read_is_read_the_next_time(
    compare: CompareServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare.vote(VISITOR, {"left": 1, "right": 2, "choice": "left"})
    broken = Tastes(compare.tags, compare.model)
    contributor = compare.store.contributor_of(VISITOR)
    with monkeypatch.context() as patch:

        def busy(contributor: str) -> None:
            raise TaggerError("store-busy")

        patch.setattr(compare.store, "votes_of", busy)

        def ask() -> None:
            with broken.of(contributor, compare.pool(), compare.store):
                raise AssertionError

        assert code_of(ask) == "store-busy"
    with broken.of(contributor, compare.pool(), compare.store) as held:
        assert held.taste.count == 1


# --- the owner


def test_the_owner_sees_what_all_say_who_agreed_to_it(make: Make) -> None:
    compare = make(owner_token="an owner's token")
    for n in range(4):
        person = Person(compare, f"voter-{n}-0123456789")
        person.vote(12, consent=n < 3)
    report = compare.report("an owner's token", lang="ja")
    assert (report["votes"], report["voters"]) == (36, 3)
    assert sum(report["choices"].values()) == 36
    best = report["standings"][0]
    assert best["low"] <= best["strength"] <= best["high"]
    assert best["picture"]["id"] == best["name"]
    assert code_of(lambda: compare.report("another", "192.0.2.1")) == "owner-only"
    gone = make(owner_token="an owner's token", gallery="none")
    report = gone.report("an owner's token")
    assert report["votes"] == 36 and report["standings"][0]["picture"] is None


def test_without_an_owners_token_nobody_is_the_owner_and_guesses_are_counted(
    compare: CompareServices,
) -> None:
    codes = [code_of(lambda: compare.check_owner("", "192.0.2.1")) for _ in range(30)]
    assert set(codes) == {"owner-only", "too-fast"} and codes[-1] == "too-fast"
    assert code_of(lambda: compare.check_owner("", "192.0.2.2")) == "owner-only"


def test_votes_are_exported_to_those_who_gave_them_or_with_consent_to_the_owner(
    compare: CompareServices,
) -> None:
    Person(compare).vote(3)
    Person(compare, OTHER).vote(2, consent=True)

    def lines(visitor: str | None) -> list[dict[str, Any]]:
        file = io.BytesIO()
        count = compare.export(file, "jsonl", visitor=visitor)
        rows = [json.loads(line) for line in file.getvalue().splitlines()]
        assert len(rows) == count
        return rows

    assert (len(lines(VISITOR)), len(lines(OTHER)), len(lines(None))) == (3, 2, 2)
    pool = compare.pool()
    assert all(row["left"] in pool.numbers and row["choice"] for row in lines(VISITOR))
    assert code_of(lambda: compare.export(io.BytesIO(), "exe", visitor=VISITOR)) != "internal"
