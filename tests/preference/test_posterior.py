"""Bayesian logistic regression: against scikit-learn and plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tagger.preference.posterior import Evidence, Posterior, fit


def made(votes: int = 60, width: int = 4, seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(votes, width))
    chance = 1 / (1 + np.exp(-rows @ np.arange(width)))
    outcomes = (rng.random(votes) < chance).astype(float)
    return Evidence(rows, outcomes, rng.uniform(0.5, 2, votes), np.zeros((0, width)), np.zeros(0))


def test_the_taste_is_that_of_scikit_learn() -> None:
    known = made()
    found = fit(known, 2.0 * np.eye(4), np.zeros(4))
    model = LogisticRegression(C=4.0, fit_intercept=False, tol=1e-10, max_iter=1000)
    model.fit(known.rows, known.outcomes, sample_weight=known.weights)
    assert found.mean == pytest.approx(model.coef_[0], abs=1e-4)


def test_a_tie_is_half_a_win_of_either() -> None:
    row = np.array([[1.0, -2.0]])
    none = np.zeros((0, 2))
    tie = Evidence(row, np.array([0.5]), np.array([1.0]), none, np.zeros(0))
    halves = Evidence(
        np.repeat(row, 2, axis=0), np.array([1.0, 0.0]), np.array([0.5, 0.5]), none, np.zeros(0)
    )
    start = np.array([0.5, 0.5])
    a, b = (fit(known, np.eye(2), start) for known in (tie, halves))
    assert a.mean == pytest.approx(b.mean)
    assert a.covariance == pytest.approx(b.covariance)
    assert abs(row @ a.mean) < abs(row @ start)


def test_the_covariance_is_the_inverse_of_the_curvature() -> None:
    known = made(20, 3)
    root = np.tril(np.random.default_rng(1).normal(size=(3, 3))) + 2 * np.eye(3)
    found = fit(known, root, np.zeros(3))
    wanted = np.linalg.inv(root @ root.T)
    for row, weight in zip(known.rows, known.weights, strict=True):
        p = 1 / (1 + math.exp(-float(row @ found.mean)))
        wanted += weight * p * (1 - p) * np.outer(row, row)
    assert found.covariance == pytest.approx(np.linalg.inv(wanted), rel=1e-4, abs=1e-6)


def test_without_votes_it_is_the_prior() -> None:
    none = Evidence(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros((0, 2)), np.zeros(0))
    root = np.array([[2.0, 0.0], [1.0, 1.0]])
    found = fit(none, root, np.array([3.0, 4.0]))
    assert found.mean == pytest.approx([3, 4])
    assert found.covariance == pytest.approx(root @ root.T)
    assert found.evidence == pytest.approx(0)


def test_the_evidence_is_nearly_the_integral() -> None:
    """In one dimension, where the integral can be summed."""
    known = made(12, 1, 3)
    grid = np.linspace(-8, 8, 4001)
    loss = np.zeros_like(grid)
    for row, y, weight in zip(known.rows[:, 0], known.outcomes, known.weights, strict=True):
        loss += weight * (np.logaddexp(0, row * grid) - y * row * grid)
    for scale in (0.5, 2.0):
        density = np.exp(-loss - grid**2 / (2 * scale**2)) / (scale * math.sqrt(2 * math.pi))
        wanted = math.log(float(density.sum() * (grid[1] - grid[0])))
        found = fit(known, scale * np.eye(1), np.zeros(1))
        assert found.evidence == pytest.approx(wanted, abs=0.1)


def test_what_was_set_by_hand_holds() -> None:
    known = made(40, 3)
    edge = np.array([[0.0, 0.0, 2.0]])
    held = Evidence(known.rows, known.outcomes, known.weights, edge, np.array([-1.5]))
    found = fit(held, 2 * np.eye(3), np.zeros(3))
    assert float(edge[0] @ found.mean) == pytest.approx(-1.5, abs=0.1)
    assert float(edge[0] @ fit(known, 2 * np.eye(3), np.zeros(3)).mean) > 1


def test_a_later_fit_may_begin_where_the_last_one_ended() -> None:
    known = made()
    found = fit(known, np.eye(4), np.zeros(4), tolerance=1e-12)
    again = fit(known, np.eye(4), np.zeros(4), begin=found.point, iterations=1)
    assert again.mean == pytest.approx(found.mean, abs=1e-6)


def test_probabilities_are_moderate_where_little_is_known() -> None:
    sure = Posterior(np.array([2.0]), np.array([[1e-9]]), 0.0, np.zeros(1))
    unsure = Posterior(np.array([2.0]), np.array([[4.0]]), 0.0, np.zeros(1))
    row = np.array([[1.0], [-1.0]])
    assert sure.probability(row)[0] == pytest.approx(1 / (1 + math.exp(-2)))
    # The mean over all tastes that may be.
    drawn = 1 / (1 + np.exp(-np.random.default_rng(0).normal(2.0, 2.0, 200_000)))
    assert unsure.probability(row)[0] == pytest.approx(drawn.mean(), abs=0.01)
    assert unsure.probability(row).sum() == pytest.approx(1)
