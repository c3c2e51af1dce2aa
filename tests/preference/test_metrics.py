"""Figures about orders and probabilities: against plain loops, scikit-learn and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.preference import metrics

NUMBERS = st.integers(0, 4).map(float)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=7)


def dcg(gains: list[float], k: int) -> float:
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains[:k]))


def naive_ndcg(scores: list[float], gains: list[float], k: int) -> float:
    """The mean over all orders that the scores allow, one by one."""
    best = dcg(sorted(gains, reverse=True), k)
    if best == 0:
        return math.nan
    found = [
        dcg([gains[n] for n in order], k)
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    return sum(found) / len(found) / best


@settings(max_examples=60)
@given(PAIRS, st.integers(1, 8))
def test_ndcg_is_the_mean_over_all_orders_of_ties(rows: list, k: int) -> None:
    scores, relevance = [a for a, _ in rows], [b for _, b in rows]
    assert metrics.ndcg(scores, relevance, k) == pytest.approx(
        naive_ndcg(scores, relevance, k), nan_ok=True
    )
    powers = [2**r - 1 for r in relevance]
    assert metrics.ndcg(scores, relevance, k, gain="exponential") == pytest.approx(
        naive_ndcg(scores, powers, k), nan_ok=True
    )


@pytest.mark.parametrize("k", [1, 10, 50, None])
@pytest.mark.parametrize("ties", [False, True])
def test_ndcg_is_that_of_scikit_learn(k: int | None, ties: bool) -> None:
    rng = np.random.default_rng(0)
    scores, relevance = rng.normal(size=200), rng.integers(0, 5, 200).astype(float)
    if ties:
        scores = scores.round()
    wanted = sklearn.metrics.ndcg_score(relevance[None], scores[None], k=k)
    assert metrics.ndcg(scores, relevance, k) == pytest.approx(wanted)


def test_ndcg_of_a_worked_example() -> None:
    # Gains 3, 2, 3 at the first ranks; the best order has 3, 3, 2.
    found = (3 + 2 / math.log2(3) + 3 / 2) / (3 + 3 / math.log2(3) + 2 / 2)
    assert metrics.ndcg([9, 8, 7], [3, 2, 3]) == pytest.approx(found)
    assert metrics.ndcg([9, 8, 7], [3, 2, 3], 1) == 1


def test_ndcg_of_nothing() -> None:
    assert math.isnan(metrics.ndcg([], []))
    assert math.isnan(metrics.ndcg([1, 2], [0, 0]))


@pytest.mark.parametrize(
    ("scores", "relevance", "options"),
    [
        ([1], [1, 2], {}),
        ([1, 2], [1, -1], {}),
        ([1, math.nan], [1, 1], {}),
        ([1, 2], [1, 1], {"k": 0}),
        ([1, 2], [1, 1], {"gain": "cubic"}),
        ([[1, 2]], [[1, 1]], {}),
    ],
)
def test_ndcg_refuses(scores: list, relevance: list, options: dict) -> None:
    with pytest.raises(ValueError):
        metrics.ndcg(scores, relevance, **options)


def naive_tau(a: list[float], b: list[float]) -> float:
    agree = disagree = only_a = only_b = 0
    for (x, y), (u, v) in itertools.combinations(list(zip(a, b, strict=True)), 2):
        sign = (x > u) - (x < u), (y > v) - (y < v)
        agree += sign[0] * sign[1] > 0
        disagree += sign[0] * sign[1] < 0
        only_a += sign[0] == 0 != sign[1]
        only_b += sign[1] == 0 != sign[0]
    below = (agree + disagree + only_a) * (agree + disagree + only_b)
    return (agree - disagree) / math.sqrt(below) if below else math.nan


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_tau_is_that_of_plain_loops(rows: list) -> None:
    a, b = [x for x, _ in rows], [y for _, y in rows]
    assert metrics.kendall_tau(a, b) == pytest.approx(naive_tau(a, b), nan_ok=True)


@pytest.mark.parametrize("decimals", [8, 0])
def test_tau_is_that_of_scipy(decimals: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=1001)
    b = (a + rng.normal(size=1001)).round(decimals)
    wanted = scipy.stats.kendalltau(a.round(decimals), b).statistic
    assert metrics.kendall_tau(a.round(decimals), b) == pytest.approx(wanted)


def naive_accuracy(s: list, t: list, w: list, least: float) -> float:
    right = total = 0.0
    for i, j in itertools.permutations(range(len(s)), 2):
        if t[i] - t[j] > least:
            total += w[i] * w[j]
            right += w[i] * w[j] * (1.0 if s[i] > s[j] else 0.5 if s[i] == s[j] else 0.0)
    return right / total if total else math.nan


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=9), st.sampled_from([0.0, 1.0]))
def test_pairs_put_right_are_those_of_plain_loops(rows: list, least: float) -> None:
    s, t, w = ([row[n] for row in rows] for n in range(3))
    found = metrics.pairwise_accuracy(s, t, w, least=least)
    assert found == pytest.approx(naive_accuracy(s, t, w, least), nan_ok=True)
    plain = metrics.pairwise_accuracy(s, t, least=least)
    assert plain == pytest.approx(naive_accuracy(s, t, [1] * len(s), least), nan_ok=True)


def test_pairs_of_many_pictures_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    scores, targets = rng.normal(size=(2, 100))
    whole = metrics.pairwise_accuracy(scores, targets)
    monkeypatch.setattr(metrics, "_PAIRS", 300)
    assert metrics.pairwise_accuracy(scores, targets) == pytest.approx(whole)


def test_agreement_looks_at_the_given_pairs_only() -> None:
    scores, targets = [3.0, 2.0, 2.0, 0.0], [1.0, 5.0, 0.0, 0.1]
    pairs = [(0, 1), (1, 0), (1, 2), (3, 2), (0, 0)]
    assert metrics.agreement(scores, targets, pairs, least=0.2).tolist() == [0, 0, 0.5]
    assert metrics.agreement(scores, targets, pairs).tolist() == [0, 0, 0.5, 0]


def test_probabilities_are_judged_as_by_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(500)
    y = (rng.random(500) < p).astype(float)
    assert metrics.brier(p, y) == pytest.approx(sklearn.metrics.brier_score_loss(y, p))
    assert metrics.log_loss(p, y) == pytest.approx(sklearn.metrics.log_loss(y, p))
    assert metrics.log_loss([1.0, 0.0], [0.0, 1.0]) == pytest.approx(-math.log(1e-12), rel=1e-6)


def test_calibration_error_of_honest_and_of_bold_probabilities() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0.2, 0.8, 40_000)
    y = (rng.random(40_000) < p).astype(float)
    assert metrics.calibration_error(p, y) < 0.01
    bold = np.where(p > 0.5, 0.99, 0.01)
    right = float(np.where(p > 0.5, y, 1 - y).mean())
    assert metrics.calibration_error(bold, y) == pytest.approx(0.99 - right, abs=1e-3)


def test_calibration_error_does_not_know_sides() -> None:
    rng = np.random.default_rng(5)
    p, y = rng.random(99), rng.choice([0.0, 0.5, 1.0], 99)
    swapped = rng.random(99) < 0.5
    other = metrics.calibration_error(np.where(swapped, 1 - p, p), np.where(swapped, 1 - y, y))
    assert metrics.calibration_error(p, y) == pytest.approx(other)


def test_probabilities_of_nothing_and_of_nonsense() -> None:
    for figure in (metrics.brier, metrics.log_loss, metrics.calibration_error):
        assert math.isnan(figure([], []))
        with pytest.raises(ValueError):
            figure([1.5], [1])
        with pytest.raises(ValueError):
            figure([0.5], [2])


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for seed in range(100):
        values = rng.normal(size=60)
        found = metrics.bootstrap(lambda n, v=values: float(v[n].mean()), 60, rounds=200, seed=seed)
        assert found.low <= found.value <= found.high
        covered += found.low <= 0 <= found.high
    assert 85 <= covered <= 100


def test_bootstrap_draws_groups_as_a_whole() -> None:
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 50)
    groups = np.repeat(list("abcd"), 50)
    loose = metrics.bootstrap(lambda n: float(values[n].mean()), 200, seed=1)
    tied = metrics.bootstrap(lambda n: float(values[n].mean()), 200, groups=groups, seed=1)
    assert tied.count == 4 and loose.count == 200
    assert (tied.low, tied.high) == (0, 1)
    assert 0.4 < loose.low < 0.5 < loose.high < 0.6


def test_bootstrap_leaves_out_what_has_no_value() -> None:
    found = metrics.bootstrap(lambda n: math.nan if 0 in n else float(n.mean()), 5, rounds=300)
    assert math.isnan(found.value) and 1 <= found.low <= found.high <= 4
    assert found.to_dict()["value"] is None
    assert metrics.bootstrap(lambda n: 1.0, 0).to_dict() == {
        "value": None,
        "low": None,
        "high": None,
        "count": 0,
    }


@pytest.mark.parametrize(("right", "count"), [(0, 5), (5, 5), (7, 10), (90, 200)])
def test_a_share_has_the_interval_of_scipy(right: int, count: int) -> None:
    found = metrics.share([1.0] * right + [0.0] * (count - right))
    wanted = scipy.stats.binomtest(right, count).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert (found.value, found.count) == (right / count, count)


def test_a_share_of_nothing() -> None:
    assert math.isnan(metrics.share([]).value)
