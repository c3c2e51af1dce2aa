"""Figures against loops that a reader can check by eye."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tagger.training import metrics

rng = np.random.default_rng(3)
N, T = 60, 14
LABELS = (rng.random((N, T)) < 0.15).astype(np.uint8)
PROBABILITIES = np.clip(rng.random((N, T)) * 0.6 + LABELS * 0.3, 0, 1).astype(np.float32)


def naive() -> dict[str, float]:
    rows = [i for i in range(N) if LABELS[i].sum()]
    tops = {i: sorted(range(T), key=lambda t: -PROBABILITIES[i, t])[:10] for i in rows}
    tags = [t for t in range(T) if any(LABELS[i, t] for i in rows)]
    hits = sum(int(LABELS[i, t]) for i in rows for t in tops[i])
    total = sum(int(LABELS[i].sum()) for i in rows)
    recalls = []
    for t in tags:
        has = [i for i in rows if LABELS[i, t]]
        recalls.append(sum(t in tops[i] for i in has) / len(has))
    precisions = [
        average_precision_score([LABELS[i, t] for i in rows], [PROBABILITIES[i, t] for i in rows])
        for t in tags
    ]
    shown = [(float(PROBABILITIES[i, t]), int(LABELS[i, t])) for i in rows for t in tops[i]]
    error = 0.0
    for b in range(15):
        inside = [s for s in shown if min(int(np.float32(s[0]) * 15), 14) == b]
        if inside:
            mean = sum(p for p, _ in inside) / len(inside)
            right = sum(y for _, y in inside) / len(inside)
            error += len(inside) / len(shown) * abs(mean - right)
    return {
        "mean_average_precision": float(np.mean(precisions)),
        "micro_recall_at_10": hits / total,
        "macro_recall_at_10": float(np.mean(recalls)),
        "precision_at_1": sum(int(LABELS[i, tops[i][0]]) for i in rows) / len(rows),
        "calibration_error": error,
        "pictures": len(rows),
        "tags": len(tags),
    }


@pytest.mark.parametrize("name", naive())
def test_figures_equal_the_naive_ones(name: str) -> None:
    figures = metrics.evaluate(PROBABILITIES, LABELS)
    assert getattr(figures, name) == pytest.approx(naive()[name], abs=1e-6)


def test_nothing_to_judge_gives_zeros() -> None:
    figures = metrics.evaluate(PROBABILITIES, np.zeros_like(LABELS))
    assert (figures.pictures, figures.tags, figures.mean_average_precision) == (0, 0, 0.0)


def test_a_model_is_not_better_than_itself_and_better_than_chance() -> None:
    groups = np.array([str(i // 3) for i in range(N)])
    same = metrics.bootstrap_difference(PROBABILITIES, PROBABILITIES, LABELS, groups, rounds=20)
    assert all(value == (0.0, 0.0, 0.0) for value in same.values())
    chance = rng.random((N, T)).astype(np.float32)
    found = metrics.bootstrap_difference(PROBABILITIES, chance, LABELS, groups, rounds=50)
    whole, low, high = found["mean_average_precision"]
    assert 0 < low < whole < high


def test_groups_are_measured_apart() -> None:
    groups = np.array(["a"] * 20 + ["b"] * 40)
    found = metrics.by_group(groups, lambda r: metrics.evaluate(PROBABILITIES[r], LABELS[r]))
    assert found["a"] == metrics.evaluate(PROBABILITIES[:20], LABELS[:20])
    assert found["b"] == metrics.evaluate(PROBABILITIES[20:], LABELS[20:])
