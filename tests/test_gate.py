"""The gate: against a plain bootstrap, an exact distribution, and what must never pass."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from typing import Any

import numpy as np
import pytest

from tagger import fewshot, gate
from tagger.fewshot import MemorySpec
from tagger.gate import Change, Verdict, compare, data_hash, divide, judge, right_before


def made(count: int, share: float, won: int, lost: int) -> tuple[np.ndarray, np.ndarray]:
    """So many drawings right before, of which some turn right, others wrong."""
    before = np.arange(count) < round(share * count)
    after = before.copy()
    after[np.flatnonzero(~before)[:won]] = True
    after[np.flatnonzero(before)[:lost]] = False
    return before, after


def naive_bootstrap(before: np.ndarray, after: np.ndarray, rounds: int) -> tuple[float, float]:
    """Draw drawings with replacement, pair by pair, and sort the differences."""
    rng = random.Random(5)
    differences = []
    for _ in range(rounds):
        total = 0
        for _ in range(len(before)):
            i = rng.randrange(len(before))
            total += int(after[i]) - int(before[i])
        differences.append(total / len(before))
    differences.sort()
    return differences[int(0.025 * rounds)], differences[int(0.975 * rounds)]


# --- the comparison


@pytest.mark.parametrize(
    ("count", "share", "won", "lost"), [(60, 0.5, 12, 2), (45, 0.8, 3, 3), (90, 0.9, 2, 9)]
)
def test_the_interval_is_that_of_a_plain_bootstrap(
    count: int, share: float, won: int, lost: int
) -> None:
    before, after = made(count, share, won, lost)
    change = compare(before, after, rounds=4000)
    low, high = naive_bootstrap(before, after, 4000)
    # One drawing more or less is what two finite bootstraps may differ by.
    assert abs(change.low - low) <= 1.001 / count and abs(change.high - high) <= 1.001 / count
    assert change.before == before.mean() and change.after == after.mean()
    assert change.low <= change.after - change.before <= change.high


def test_the_interval_is_that_of_all_samples_there_are() -> None:
    before, after = np.array([0, 0, 0, 1, 1], bool), np.array([1, 1, 0, 0, 1], bool)
    step = after.astype(int) - before.astype(int)
    samples = sorted(
        sum(step[list(chosen)]) / 5 for chosen in itertools.product(range(5), repeat=5)
    )
    change = compare(before, after, rounds=200_000)
    exact = np.percentile(samples, [2.5, 97.5])
    np.testing.assert_allclose([change.low, change.high], exact, atol=1e-9)


def test_it_depends_on_pairs_not_on_order() -> None:
    before, after = made(80, 0.6, 10, 2)
    order = np.random.default_rng(1).permutation(80)
    assert compare(before, after) == compare(before[order], after[order])
    assert compare(before, after, seed=1) == compare(before, after, seed=1)


def test_what_does_not_belong_together_is_refused() -> None:
    yes = np.ones(3, bool)
    for other in (np.ones(4, bool), np.ones((3, 1), bool)):
        with pytest.raises(ValueError):
            compare(yes, other)
    with pytest.raises(ValueError):
        judge(yes, np.ones(4, bool), yes, yes)
    with pytest.raises(ValueError):
        Change.from_dict({"count": 1})


def test_without_drawings_nothing_changes() -> None:
    none = np.empty(0, bool)
    assert compare(none, none) == Change(0, 0.0, 0.0, 0.0, 0.0)


# --- the verdict

SAME = made(1000, 0.8, 0, 0)
BETTER = made(100, 0.5, 20, 1)


def test_better_and_nothing_lost_passes() -> None:
    verdict = judge(*SAME, *BETTER)
    assert (verdict.passes, verdict.reason) == (True, "better")
    assert verdict.held_back is not None and verdict.held_back.low > 0
    assert verdict.frozen is not None and verdict.frozen.low == 0


@pytest.mark.parametrize(
    ("frozen", "held", "reason"),
    [
        (made(1000, 0.8, 0, 30), BETTER, "worse-frozen"),
        (made(1000, 0.8, 5, 14), BETTER, "worse-frozen"),  # less than the margin, but perhaps more
        (SAME, made(100, 0.5, 4, 3), "not-better"),
        (SAME, made(100, 0.5, 0, 0), "not-better"),
        (SAME, made(100, 0.5, 0, 20), "not-better"),
        (SAME, made(19, 0.0, 19, 0), "too-few"),
        (SAME, made(0, 0.0, 0, 0), "too-few"),
        ((None, None), BETTER, "no-frozen-set"),
        (made(0, 0.0, 0, 0), BETTER, "no-frozen-set"),
    ],
)
def test_all_else_is_refused(frozen: Any, held: Any, reason: str) -> None:
    verdict = judge(*frozen, *held)
    assert (verdict.passes, verdict.reason) == (False, reason)


def test_margin_and_least_are_what_they_say() -> None:
    worse = made(1000, 0.8, 0, 30)
    assert judge(*worse, *BETTER, margin=0.1).passes
    few = made(10, 0.0, 10, 0)
    assert judge(*SAME, *few, least=10).passes and not judge(*SAME, *few, least=11).passes


def test_noise_passes_seldom() -> None:
    rng = np.random.default_rng(3)
    passed = 0
    for _ in range(300):
        before = rng.random(120) < 0.7
        after = np.where(rng.random(120) < 0.2, rng.random(120) < 0.7, before)
        passed += judge(*SAME, before, after, rounds=400).passes
    assert passed / 300 < 0.06  # 2.5 % is promised


VERDICTS = [
    judge(*SAME, *BETTER),
    judge(*made(1000, 0.8, 0, 30), *BETTER),
    judge(*SAME, *made(100, 0.5, 4, 3)),
    judge(*SAME, *made(3, 0.0, 3, 0)),
    judge(None, None, *BETTER),
]


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda v: v.reason)
def test_a_verdict_is_said_and_kept(verdict: Verdict) -> None:
    english, japanese = verdict.sentence("en"), verdict.sentence("ja")
    assert english.isascii() or "−" in english
    assert any("\u3040" < c < "\u30ff" for c in japanese) and "{" not in english + japanese
    again = Verdict.from_dict(json.loads(json.dumps(verdict.to_dict())))
    assert again.sentence() == english and again.to_dict() == verdict.to_dict()


def test_the_figures_are_in_the_words() -> None:
    assert VERDICTS[0].sentence() == (
        "Better, and what it knew is kept. Collected drawings (100): 50.0% before, 69.0% after "
        f"(+{100 * VERDICTS[0].held_back.low:.1f} to +{100 * VERDICTS[0].held_back.high:.1f} "
        "points). Frozen test drawings (1,000): 80.0% before, 80.0% after (+0.0 to +0.0 points)."
    )
    assert "−" in VERDICTS[1].sentence() and "1.0 points" in VERDICTS[1].sentence()
    assert "3 collected drawings are held back, 20 are needed" in VERDICTS[3].sentence()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"passes": True, "reason": "not-better", "frozen": None, "held_back": None},
        {"passes": False, "reason": "better", "frozen": None, "held_back": None},
        {"passes": True, "reason": "because", "frozen": None, "held_back": None},
        {"passes": True, "reason": "better", "frozen": {}, "held_back": None},
        {"passes": 1, "reason": "better", "frozen": None, "held_back": None},
        [],
        None,
    ],
)
def test_what_is_no_verdict_is_not_read_as_one(data: Any) -> None:
    with pytest.raises(ValueError):
        Verdict.from_dict(data)


# --- which drawings teach


def test_one_in_five_is_held_back_and_always_the_same_one() -> None:
    ids = [f"{i:032x}" for i in range(5000)]
    parts = [gate.stable_part(id) for id in ids]
    assert parts == [gate.stable_part(id) for id in ids]
    assert 0.18 < parts.count("held_back") / len(ids) < 0.22
    for id, part in zip(ids[:50], parts, strict=False):
        first = int(hashlib.sha256(id.encode()).hexdigest()[:2], 16)
        assert (part == "held_back") == (first < 51)


def test_words_that_are_known_or_accepted_and_often_enough_drawn_teach() -> None:
    ids = [f"id{i}" for i in range(400)]
    words = ["cat", "fox", "few", "secret"]
    drawings = [(id, words[i % 4]) for i, id in enumerate(ids)]
    drawings = [d for d in drawings if d[1] != "few"] + [(f"few{i}", "few") for i in range(4)]
    found = divide(drawings, {"cat"}, ["fox", "few", "cat"])
    assert found.new_words == ("fox",)
    chosen = [*found.train, *found.held_back]
    assert {drawings[i][1] for i in chosen} == {"cat", "fox"}
    assert len(set(chosen)) == len(chosen) == 200
    assert all(gate.stable_part(drawings[i][0]) == "train" for i in found.train)
    assert all(gate.stable_part(drawings[i][0]) == "held_back" for i in found.held_back)
    # Only training drawings are counted: those held back teach nothing.
    held = [f"x{i}" for i in range(100) if gate.stable_part(f"x{i}") == "held_back"]
    assert len(held) >= 5
    assert divide([(id, "fox") for id in held], set(), ["fox"]) == gate.Division((), (), ())


def test_the_same_drawings_have_the_same_hash() -> None:
    drawings = [("a", "cat"), ("b", "dog")]
    assert data_hash(drawings) == data_hash(drawings[::-1])
    others = ([("a", "dog"), ("b", "cat")], drawings[:1], [*drawings, drawings[0]], [("a", "catb")])
    assert len({data_hash(d) for d in (drawings, *others)}) == 5


def test_before_is_what_people_have_already() -> None:
    rng = np.random.default_rng(0)
    spec = MemorySpec(scale=30, bias=-15, shots=1, sharpness=5)
    near = rng.normal(size=(2, 6))
    unit = lambda rows: (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)  # noqa: E731
    taught = unit(np.repeat(near, 4, axis=0) + 0.1 * rng.normal(size=(8, 6)))
    owners = np.repeat([0, 1], 4)
    asked = unit(np.concatenate([near, rng.normal(size=(3, 6))]) + 0.05)
    shares = np.full((5, 3), 1 / 3, np.float32)
    shares[2:] = np.eye(3, dtype=np.float32) * 0.8 + 0.1
    labels = np.array([3, 4, 0, 1, 0])
    right = right_before(shares, asked, labels, taught, owners, spec)
    expected = []
    for row, label in enumerate(labels.tolist()):
        mass = [float(p) for p in shares[row]]
        if label >= 3:
            for word in (0, 1):
                odds = fewshot.log_odds(
                    fewshot.similarity(asked[row : row + 1], taught, owners, 5.0),
                    np.array([4, 4]),
                    shares[row : row + 1],
                    spec,
                )[0, word]
                mass.append(float(np.exp(odds)))
        expected.append(mass.index(max(mass)) == label)
    assert right.tolist() == expected
    assert expected == [True, True, True, True, False]
    # Without new words nothing is needed of them.
    none = right_before(shares, asked, np.zeros(5, int), taught[:0], owners[:0], spec)
    assert none.tolist() == [True, True, True, False, False]
