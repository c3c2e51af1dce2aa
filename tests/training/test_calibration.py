"""Calibration recovers what was made crooked; operating points tell what they rest on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tagger.training.calibration import (
    best_f1_threshold,
    choose_spread,
    fit_platt,
    operating_points,
)
from tagger.training.metrics import evaluate

rng = np.random.default_rng(5)
N, T = 3000, 12
TRUE = rng.normal(-2, 1.5, (N, T))
LABELS = (rng.random((N, T)) < expit(TRUE)).astype(np.uint8)
CROOKED = ((TRUE - 1.0) / 2.5).astype(np.float32)


def test_crooked_logits_become_probabilities() -> None:
    before = evaluate(expit(CROOKED).astype(np.float32), LABELS).calibration_error
    calibration = fit_platt(CROOKED[: N // 2], LABELS[: N // 2], shown=T)
    after = evaluate(calibration(CROOKED[N // 2 :]), LABELS[N // 2 :]).calibration_error
    # Pictures without any label are left out of the figures, so that a perfect model is a
    # little below its labels there.
    ideal = evaluate(expit(TRUE[N // 2 :]).astype(np.float32), LABELS[N // 2 :]).calibration_error
    assert before > 0.08
    assert after < ideal + 0.01
    assert calibration.slope == pytest.approx(np.full(T, 2.5), rel=0.1)
    assert calibration.offset == pytest.approx(np.full(T, 1.0), abs=0.4)


def test_the_ranking_of_one_tag_is_never_turned_around() -> None:
    backwards = fit_platt(-CROOKED[:40], LABELS[:40])
    assert (backwards.slope > 0).all()


def test_a_tag_with_few_witnesses_stays_near_the_others() -> None:
    labels = LABELS.copy()
    labels[:, 0] = 0
    tight = fit_platt(CROOKED, labels, spread=0.05, shown=T).offset
    loose = fit_platt(CROOKED, labels, spread=5.0, shown=T).offset
    assert loose[0] < tight[0] - 1


def test_the_spread_is_chosen_by_held_out_concepts() -> None:
    concepts = np.array([str(i // 4) for i in range(N)])
    assert choose_spread(CROOKED, LABELS, concepts, (0.05, 0.5)) in (0.05, 0.5)


def test_the_best_cut_off_is_the_one_a_loop_finds() -> None:
    scores, truth = expit(CROOKED[:80, 0]), LABELS[:80, 0]

    def f1(threshold: float) -> float:
        passed = scores >= threshold
        right = int((passed & (truth > 0)).sum())
        return 2 * right / (int(passed.sum()) + int(truth.sum()))

    best = max(f1(float(s)) for s in scores)
    assert f1(best_f1_threshold(scores, truth)) == pytest.approx(best)


def test_operating_points_are_measured_where_they_were_not_chosen() -> None:
    half = N // 2
    p = expit(TRUE)
    labels = LABELS.copy()
    labels[half:, 3] = 0
    points = operating_points(
        (p[:half], labels[:half], np.array([str(i) for i in range(half)])),
        (p[half:], labels[half:]),
    )
    for t, point in enumerate(points):
        passed = p[half:, t] >= point.threshold
        there = labels[half:, t] > 0
        assert point.support == there.sum()
        if t == 3:
            assert point.recall is None
        else:
            assert point.recall == pytest.approx((passed & there).sum() / there.sum(), abs=2e-4)
            assert point.precision == pytest.approx((passed & there).sum() / passed.sum(), abs=2e-4)
