"""What all voters say together: against choix and plain counting."""

from __future__ import annotations

import math

import choix
import numpy as np
import pytest

from tagger.preference import arena
from tagger.preference.arena import Battle, binomial_tail, report, strengths


def battles(votes: int = 400, items: int = 6, voters: int = 5, seed: int = 0) -> list[Battle]:
    rng = np.random.default_rng(seed)
    made = []
    for n in range(votes):
        a, b = rng.choice(items, 2, replace=False).tolist()
        won = rng.random() < 1 / (1 + math.exp(-(a - b)))
        made.append(Battle(f"p{a}", f"p{b}", "left" if won else "right", f"v{n % voters}-{n}"))
    return made


@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_strengths_are_those_of_choix(alpha: float) -> None:
    rng = np.random.default_rng(1)
    pairs = np.array([rng.choice(8, 2, replace=False) for _ in range(150)])
    wanted = choix.opt_pairwise(8, [tuple(pair) for pair in pairs.tolist()], alpha=alpha)
    found = strengths(pairs, np.ones(150), 8, alpha=alpha)
    assert found == pytest.approx(wanted - wanted.mean(), abs=1e-3)
    sides = np.where(rng.random(150) < 0.5, 1, 0)
    swapped = np.where(sides[:, None] == 1, pairs, pairs[:, ::-1])
    assert strengths(swapped, sides, 8, alpha=alpha) == pytest.approx(found, abs=1e-4)


def test_ties_and_weights_are_parts_of_wins() -> None:
    tied = strengths([[0, 1], [1, 2]], [0.5, 1], 3, [2, 1])
    split = strengths([[0, 1], [1, 0], [1, 2]], [1, 1, 1], 3)
    assert tied == pytest.approx(split, abs=1e-6)
    assert strengths(np.zeros((0, 2)), [], 3).tolist() == [0, 0, 0]
    assert len(strengths([], [], 0)) == 0


@pytest.mark.parametrize(
    ("pairs", "outcomes", "count"),
    [([[0, 3]], [1], 3), ([[0, -1]], [1], 3), ([[0, 1]], [2], 3), ([[0, 1]], [1, 0], 3)],
)
def test_strengths_refuse(pairs: list, outcomes: list, count: int) -> None:
    with pytest.raises(ValueError):
        strengths(pairs, outcomes, count)


def test_the_report_finds_the_order_with_intervals() -> None:
    found = report(battles(800))
    assert [one.name for one in found.standings] == [f"p{n}" for n in reversed(range(6))]
    for one in found.standings:
        assert one.low < one.strength < one.high
        assert 0 <= one.wins <= one.votes
    assert sum(one.votes for one in found.standings) == 1600
    assert found.left.low < 0.5 < found.left.high
    assert not found.suspects and not found.duplicates
    assert found.to_dict()["standings"][0]["name"] == "p5"
    assert len(report(battles(50), rounds=3, limit=2).standings) == 2


def test_duplicates_are_counted_once() -> None:
    votes = [
        Battle("a", "b", "left", "ann"),
        Battle("b", "a", "right", "ann"),  # again, not asked for
        Battle("b", "a", "right", "ann", repeat=True),
        Battle("a", "b", "left", "bob"),
        Battle("a", "c", "skip", "bob"),
        Battle("a", "c", "both-bad", "bob"),
    ]
    found = report(votes, rounds=5)
    assert found.duplicates == 1
    assert found.choices == {"left": 2, "right": 2, "skip": 1, "both-bad": 1}
    assert (found.votes, found.voters) == (6, 2)
    assert {one.name: one.votes for one in found.standings} == {"a": 3, "b": 3}


def test_voters_to_look_at_are_found() -> None:
    rng = np.random.default_rng(2)
    votes = []
    for voter in ("ann", "bob", "lefty", "contrary", "quick"):
        for _ in range(60):
            a, b = rng.choice(40, 2, replace=False).tolist()
            choice = "left" if a > b else "right"
            if voter == "lefty":
                choice = "left"
            if voter == "contrary":
                choice = "right" if a > b else "left"
            ms = 90 if voter == "quick" else 1500
            votes.append(Battle(f"{a}", f"{b}", choice, voter, milliseconds=ms))
    found = {one.voter: one.reasons for one in report(votes, rounds=2).suspects}
    assert found.keys() == {"lefty", "contrary", "quick"}
    assert "one-sided" in found["lefty"]
    assert found["contrary"] == ("unlike-others",)
    assert found["quick"] == ("too-quick",)


def test_an_arena_without_votes() -> None:
    found = report([])
    assert found.standings == () and found.left.count == 0
    assert found.to_dict()["left"]["value"] is None


@pytest.mark.parametrize("count", [1, 5, 12])
def test_the_tail_is_counted(count: int) -> None:
    for hits in range(count + 1):
        wanted = sum(math.comb(count, k) for k in range(hits, count + 1)) / 2**count
        assert binomial_tail(hits, count) == pytest.approx(wanted)
    assert arena.binomial_tail(900, 1000) < 1e-100
