"""Tastes: what votes, ties, edits and files do to them."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.errors import PreferenceError
from tagger.gallery import open_gallery
from tagger.preference import Pair, Profile, Space, Taste, Vote, blend, describe, metrics
from tagger.preference.space import TAG_SCALE
from tagger.preference.votes import consistency
from tests.galleries import make_gallery
from tests.preference import pools


def right(taste: Taste, tag: int = 0) -> float:
    """On pictures that were never voted on."""
    rows, tags = pools.pictures(300, 7)
    return metrics.pairwise_accuracy(taste.scores(rows), tags[:, tag])


# --- the space -----------------------------------------------------------------------------------


def test_the_axes_are_the_main_directions() -> None:
    rows, _ = pools.pictures()
    found = pools.space(8)
    centred = rows - rows.mean(axis=0)
    lengths = np.linalg.svd(centred, compute_uv=False)[:8]
    assert found.pool.std(axis=0) * math.sqrt(len(rows)) == pytest.approx(lengths, rel=1e-3)
    assert found.axes.T @ found.axes == pytest.approx(np.eye(8), abs=1e-9)
    assert found.features(rows) == pytest.approx(found.pool, abs=1e-5)


def test_a_description_is_the_embedding_and_the_ten_best_tags() -> None:
    rng = np.random.default_rng(0)
    rows, tags = rng.normal(size=(3, 4)), rng.random((3, 30))
    found = describe(rows, tags)
    assert found.shape == (3, 34)
    for n in range(3):
        best = sorted(range(30), key=lambda tag: -tags[n, tag])[:10]
        wanted = [TAG_SCALE * tags[n, tag] if tag in best else 0 for tag in range(30)]
        assert found[n] == pytest.approx([*rows[n], *wanted], abs=1e-6)
    assert describe(rows, tags[:, :5]).shape == (3, 9)
    with pytest.raises(ValueError):
        describe(rows, tags[:2])


def test_the_space_of_a_gallery(tmp_path: Path, toy_bundle: Path) -> None:
    gallery = open_gallery(make_gallery(tmp_path / "gallery", toy_bundle, mapped=False))
    found = Space.of(gallery)
    tags = np.zeros((len(gallery), gallery.predicted.tags))
    for n in range(len(gallery)):
        for tag, probability in gallery.predicted.of(n):
            tags[n, tag] = probability
    assert found.model == gallery.model
    assert found.features(describe(gallery.embeddings, tags)) == pytest.approx(found.pool, abs=1e-4)
    assert len(found.known) == gallery.predicted.tags


def test_both_priors_give_scores_of_spread_one() -> None:
    found = pools.space()
    assert len(found.priors) == 2
    for prior in found.priors:
        tastes = prior @ np.random.default_rng(0).normal(size=(found.components, 4000))
        assert (found.pool @ tastes).var() == pytest.approx(1, rel=0.1)


def test_a_tags_direction_is_the_mean_of_its_pictures() -> None:
    rows, tags = pools.pictures()
    found = pools.space()
    mean = (tags[:, [2]] * found.features(rows)).sum(axis=0) / tags[:, 2].sum()
    assert found.tags[2] == pytest.approx(mean)
    assert found.known.all()


def test_a_tag_of_few_pictures_has_no_direction() -> None:
    rows, tags = pools.pictures()
    rare = np.concatenate([tags, np.eye(len(tags), 1)], axis=1)
    found = Space.learn(rows, "m", rare, components=4)
    assert found.known.tolist() == [True] * pools.TAGS + [False]
    with pytest.raises(PreferenceError) as caught:
        Taste(found).edit(pools.TAGS, 0.5)
    assert caught.value.code == "taste-tag-unknown"


def test_a_space_without_tags_and_a_tiny_one() -> None:
    rows, _ = pools.pictures()
    assert len(Space.learn(rows, "m").priors) == 1
    tiny = Space.learn(rows[:2], "m", np.zeros((2, 3)))
    assert tiny.components == 1 and not tiny.known.any()
    taste = Taste(tiny)
    taste.vote(0, 1, "right")
    assert taste.order().tolist() == [1, 0]
    assert taste.next_pair(np.random.default_rng(0)) is None


def test_the_hash_is_that_of_model_and_pool() -> None:
    rows, tags = pools.pictures()
    one = pools.space().hash
    assert Space.learn(rows, pools.MODEL, tags).hash == one
    assert Space.learn(rows, "other", tags).hash != one
    assert Space.learn(rows[::-1], pools.MODEL, tags).hash != one


# --- votes ---------------------------------------------------------------------------------------


def test_before_any_vote_all_are_alike() -> None:
    taste = Taste(pools.space())
    assert not taste.scores().any()
    assert taste.probability(*np.split(pools.pictures()[0][:4], 2)) == pytest.approx([0.5, 0.5])
    assert taste.certainty() == pytest.approx(0.5)
    assert taste.agreement().count == 0
    assert math.isnan(taste.consistency().ceiling)


def test_a_taste_is_learnt() -> None:
    after = [right(pools.voted(count)) for count in (10, 60)]
    assert after[1] > 0.9
    assert after[1] > after[0]


def test_both_bad_moves_both_down_and_tells_nothing_between_them() -> None:
    taste = Taste(pools.space())
    taste.vote(3, 8, "both-bad")
    scores = taste.scores()
    assert scores[3] < 0 and scores[8] < 0
    # It is the same on either side.
    other = Taste(pools.space())
    other.vote(8, 3, "both-bad")
    assert other.scores() == pytest.approx(scores)


def test_a_tie_brings_two_together() -> None:
    taste = Taste(pools.space())
    taste.vote(3, 8, "left", 3.0)
    apart = taste.scores()[3] - taste.scores()[8]
    taste.vote(3, 8, "tie")
    assert 0 < taste.scores()[3] - taste.scores()[8] < apart


def test_a_skip_says_nothing_but_is_not_asked_again() -> None:
    taste = Taste(pools.space())
    taste.vote(3, 8, "skip")
    assert not taste.scores().any()
    assert (taste.count, len(taste.votes)) == (0, 1)


def test_weights_count_as_votes() -> None:
    heavy, many = Taste(pools.space()), Taste(pools.space())
    heavy.vote(0, 1, "left", 3.0)
    for _ in range(3):
        many.vote(0, 1, "left")
    assert heavy.scores() == pytest.approx(many.scores(), abs=1e-5)


def test_undo_takes_the_last_vote_back() -> None:
    taste = pools.voted(20)
    before = taste.scores().copy()
    taste.vote(0, 1, "left")
    undone = taste.undo()
    assert undone == Vote(Pair(0, 1), "left")
    assert taste.scores() == pytest.approx(before, abs=1e-4)
    assert Taste(pools.space()).undo() is None


def test_forget_leaves_nothing() -> None:
    taste = pools.voted(12)
    taste.edit(1, 0.5)
    taste.forget()
    assert not taste.scores().any()
    assert not taste.votes and not taste.edits


def test_pictures_from_elsewhere_can_be_voted_on() -> None:
    rows, _ = pools.pictures(300, 7)
    taste = Taste(pools.space())
    left, other = taste.guest(rows[0]), taste.guest(rows[1])
    assert (left, other) == (-1, -2)
    taste.vote(left, other, "left")
    taste.vote(left, 5, "left")
    scores = taste.scores(rows[:2])
    assert scores[0] > scores[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((0, 0, "left"), "vote-pair-invalid"),
        ((0, 150, "left"), "vote-pair-invalid"),
        ((-1, 3, "left"), "vote-pair-invalid"),
        ((0, 1, "up"), "vote-choice-invalid"),
        ((0, 1, "left", 0), "vote-weight-invalid"),
        ((0, 1, "left", math.nan), "vote-weight-invalid"),
    ],
)
def test_a_vote_that_makes_no_sense(arguments: Any, code: str) -> None:
    taste = Taste(pools.space())
    with pytest.raises(PreferenceError) as caught:
        taste.vote(*arguments)
    assert caught.value.code == code
    assert not taste.votes


# --- what is asked -------------------------------------------------------------------------------


def test_no_pair_is_asked_twice_but_the_repeats() -> None:
    taste = pools.voted(100)
    kinds = [vote.pair.kind for vote in taste.votes]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "active": 70,
        "check": 20,
        "repeat": 10,
    }
    fresh = [vote.pair.key for vote in taste.votes if vote.pair.kind != "repeat"]
    assert len(set(fresh)) == len(fresh)
    for n, vote in enumerate(taste.votes):
        if vote.pair.kind == "repeat":
            earlier = [other.pair for other in taste.votes[:n]]
            assert Pair(vote.pair.right, vote.pair.left).key in {pair.key for pair in earlier}
            swapped = [p for p in earlier if (p.left, p.right) == (vote.pair.right, vote.pair.left)]
            assert swapped


def test_the_pair_asked_is_the_one_that_teaches_most() -> None:
    """By its definition, over all pairs of a small pool."""
    rows, tags = pools.pictures()
    taste = Taste(Space.learn(rows[:12], "m", tags[:12], components=6))
    for left, other in ((0, 1), (2, 3), (4, 5)):
        taste.vote(left, other, "left")
    asked = taste.next_pairs(np.random.default_rng(0), 1)[0]
    taste.vote(asked.left, asked.right, "left", kind=asked.kind)
    found = taste.next_pairs(np.random.default_rng(1), 1)[0]
    assert found.kind == "active"
    pool, belief = taste.space.pool.astype(float), taste.posterior
    others = np.random.default_rng(0).integers(0, 12, (256, 2))  # pairs of the pool to know about
    gains = {}
    for a in range(12):
        for b in range(a):
            d = pool[a] - pool[b]
            p = 1 / (1 + math.exp(-float(d @ belief.mean)))
            told = p * (1 - p) / (1 + p * (1 - p) * float(d @ belief.covariance @ d))
            gains[b, a] = 0.0
            for left, other in others.tolist():
                t = pool[left] - pool[other]
                q = 1 / (1 + math.exp(-float(t @ belief.mean)))
                gains[b, a] += told * q * (1 - q) * float(d @ belief.covariance @ t) ** 2
    for vote in taste.votes:
        gains.pop(vote.pair.key)
    assert found.key == max(gains, key=lambda key: gains[key])


def test_several_pairs_ahead_are_different_ones() -> None:
    taste = pools.voted(14)
    rng = np.random.default_rng(0)
    first = taste.next_pairs(rng, 3)
    more = taste.next_pairs(rng, 3, pending=first)
    assert len({pair.key for pair in first + more}) == 6
    assert [pair.kind for pair in more].count("repeat") == 1


def test_a_small_pool_runs_out() -> None:
    rows, tags = pools.pictures()
    taste = Taste(Space.learn(rows[:4], "m", tags[:4]))
    rng = np.random.default_rng(0)
    asked = []
    while (pair := taste.next_pair(rng)) is not None and len(asked) < 20:
        asked.append(pair.key)
        taste.vote(pair.left, pair.right, "left", kind=pair.kind)
    assert sorted(asked) == [(a, b) for a in range(4) for b in range(a + 1, 4)]


# --- how good it is ------------------------------------------------------------------------------


def test_agreement_is_on_votes_that_did_not_teach() -> None:
    taste = pools.voted(120)
    found = taste.agreement()
    assert found.count == sum(v.decided and v.pair.kind == "check" for v in taste.votes)
    assert found.low < right(taste) < found.high + 0.05
    # A voter who answers by chance is not foretold, however well the taste fits the votes.
    chance = Taste(pools.space())
    rng = np.random.default_rng(0)
    for _ in range(150):
        pair = chance.next_pair(rng)
        assert pair is not None
        chance.vote(pair.left, pair.right, rng.choice(["left", "right"]), kind=pair.kind)
    assert chance.agreement().low < 0.5 < chance.agreement().high


def test_consistency_compares_the_repeats() -> None:
    votes = [
        Vote(Pair(1, 2), "left"),
        Vote(Pair(2, 1, "repeat"), "right"),  # the same picture again
        Vote(Pair(3, 4), "left"),
        Vote(Pair(4, 3, "repeat"), "left"),  # the other one now
        Vote(Pair(5, 6), "tie"),
        Vote(Pair(6, 5, "repeat"), "left"),
        Vote(Pair(7, 8), "both-bad"),
        Vote(Pair(8, 7, "repeat"), "tie"),
        Vote(Pair(9, 8), "left"),
    ]
    found = consistency(votes)
    assert found.repeated.value == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert found.repeated.count == 4
    right_share = found.ceiling
    assert right_share**2 + (1 - right_share) ** 2 == pytest.approx(found.repeated.value)


def test_certainty_grows_and_votes_to_go_shrink() -> None:
    few, many = pools.voted(10), pools.voted(100)
    assert 0.5 < few.certainty() < many.certainty() <= 1
    assert few.votes_to_go(0.85) > many.votes_to_go(0.85)
    assert many.votes_to_go(0.6) == 0


# --- words ---------------------------------------------------------------------------------------


def test_what_is_liked_is_said_first() -> None:
    words = pools.voted(80, tag=3).words(2)
    assert words[0].tag == 3 and words[0].weight > 0.2
    assert words[0].low < words[0].weight < words[0].high
    assert len(words) == 2


def test_an_edit_holds_against_votes() -> None:
    taste = pools.voted(60)
    liked = {word.tag: word.weight for word in taste.words()}
    assert liked[0] > 0.3
    taste.edit(0, -0.8)
    word = taste.words(1)[0]
    assert (word.tag, word.edited) == (0, True)
    assert word.weight == pytest.approx(-0.8, abs=0.15)
    assert right(taste) < 0.5
    taste.edit(0, None)
    assert right(taste) > 0.8


def test_a_taste_can_be_made_of_words_alone() -> None:
    taste = Taste(pools.space())
    taste.edit(2, 0.9)
    assert right(taste, tag=2) > 0.8
    with pytest.raises(PreferenceError) as caught:
        taste.edit(2, 1.5)
    assert caught.value.code == "taste-weight-invalid"
    taste.edit(2, 1)
    assert np.isfinite(taste.scores()).all()


# --- rankers and files ---------------------------------------------------------------------------


def test_the_ranker_orders_as_the_taste_does() -> None:
    taste = pools.voted(40)
    rows, _ = pools.pictures(300, 7)
    ranker = taste.ranker("mine")
    assert metrics.kendall_tau(ranker.scores(rows), taste.scores(rows)) > 0.999
    assert 0.05 <= ranker.slope <= 1
    assert (ranker.model, ranker.name) == (pools.MODEL, "mine")


def test_the_rankers_probabilities_are_as_moderate_as_the_tastes() -> None:
    taste = pools.voted(25)
    rows, _ = pools.pictures(300, 7)
    ranker, halves = taste.ranker(), (rows[:150], rows[150:])
    flat = ranker.probability(*(ranker.scores(half) for half in halves))
    full = taste.probability(*halves)
    assert np.abs(flat - 0.5).mean() == pytest.approx(np.abs(full - 0.5).mean(), abs=0.03)


def test_a_profile_gives_the_taste_back(tmp_path: Path) -> None:
    taste = pools.voted(43)
    taste.edit(1, 0.4)
    taste.vote(taste.guest(pools.pictures(300, 7)[0][0]), 4, "both-bad", 0.5)
    taste.profile("mine").save(tmp_path / "taste.json")
    assert (tmp_path / "taste.json").stat().st_size < 8_000
    profile = Profile.load(tmp_path / "taste.json", model=pools.MODEL)
    copied = Taste.from_profile(profile, pools.space())
    assert copied.votes == taste.votes
    assert copied.edits == taste.edits
    assert copied.scores() == pytest.approx(taste.scores(), abs=1e-3)
    assert profile.ranker.name == "mine"


def test_on_another_pool_a_profile_goes_on_as_what_was_learnt() -> None:
    taste = pools.voted(80)
    rows, tags = pools.pictures(200, 5)
    other = Taste.from_profile(taste.profile(), Space.learn(rows, pools.MODEL, tags))
    assert not other.votes
    assert right(other) > 0.85
    other.vote(0, 1, "left")
    again = Taste.from_profile(other.profile(), other.space)
    assert again.scores() == pytest.approx(other.scores(), abs=1e-3)


def test_a_profile_of_another_model_is_refused() -> None:
    profile = pools.voted(5).profile()
    rows, tags = pools.pictures()
    with pytest.raises(PreferenceError) as caught:
        Taste.from_profile(profile, Space.learn(rows, "other", tags))
    assert caught.value.code == "taste-foreign"
    with pytest.raises(PreferenceError) as caught:
        Profile.from_dict(profile.to_dict(), model="other")
    assert caught.value.code == "taste-foreign"


def test_nothing_damaged_is_taken(tmp_path: Path) -> None:
    taste = pools.voted(6)
    taste.edit(1, 0.4)
    good = json.loads(json.dumps(taste.profile().to_dict()))
    assert Profile.from_dict(good).votes == taste.votes
    for key in good:
        for wrong in ([], "x" * 300, -1, math.nan, {"count": 3}, True):
            data = copy.deepcopy(good)
            data[key] = wrong
            with pytest.raises(PreferenceError):
                Profile.from_dict(data)
    for part in ("votes", "guests"):
        for key in good[part]:
            for wrong in (None, "", "AAAA", -1, 10**9):
                data = copy.deepcopy(good)
                data[part][key] = wrong
                if part == "guests" and (key, wrong) in (("components", 10**9), ("features", "")):
                    continue
                with pytest.raises(PreferenceError):
                    Profile.from_dict(data)
    for edits in ({"x": 0.1}, {"1": 3}, {"1": None}):
        with pytest.raises(PreferenceError):
            Profile.from_dict({**good, "edits": edits})
    with pytest.raises(PreferenceError) as caught:
        Profile.from_dict({**good, "format_version": 2})
    assert caught.value.code == "taste-too-new"
    with pytest.raises(PreferenceError) as caught:
        Profile.load(tmp_path / "none.json")
    assert caught.value.code == "taste-not-found"


def test_votes_on_pictures_that_are_not_there_are_refused() -> None:
    profile = pools.voted(3).profile()
    data = profile.to_dict()
    far = Profile(profile.ranker, profile.space, (Vote(Pair(0, 9999), "left"),))
    data["votes"] = far.to_dict()["votes"]
    with pytest.raises(PreferenceError) as caught:
        Taste.from_profile(Profile.from_dict(data), pools.space())
    assert caught.value.code == "taste-damaged"


def test_blends_lie_between() -> None:
    a, b = pools.voted(60, 0).profile("a"), pools.voted(60, 3, 1).profile("b")
    found = []
    for share in (0.0, 0.5, 1.0):
        taste = Taste.from_profile(blend(a, b, share), pools.space())
        found.append((right(taste, 0), right(taste, 3)))
    assert found[0][0] > found[1][0] > found[2][0]
    assert found[0][1] < found[1][1] < found[2][1]
    for share in (-0.1, math.nan):
        with pytest.raises(PreferenceError) as caught:
            blend(a, b, share)
        assert caught.value.code == "taste-share-invalid"
