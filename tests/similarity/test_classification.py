"""Counts and measures of telling what something is: against plain loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.similarity import (
    UNKNOWN,
    Index,
    Labels,
    Match,
    evaluate_classification,
    evaluate_multiple,
    evaluate_single,
)
from tagger.similarity import classification as judge
from tests.similarity.naive import cosine

SETS = st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=1, max_size=8)


def by_loops(tp: int, fp: int, tn: int, fn: int) -> dict[str, float]:
    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    precision, recall = share(tp, tp + fp), share(tp, tp + fn)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "binary_accuracy": share(tp + tn, tp + fp + tn + fn),
        "false_positive_rate": share(fp, fp + tn),
        "negative_predictive_value": share(tn, tn + fn),
    }


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=20),
    st.lists(st.integers(-1, 7), min_size=1, max_size=6),
)
def test_counts_of_the_nearest_are_those_of_plain_loops(decisions: list, cuts: list) -> None:
    right, score = np.array([d[0] for d in decisions]), np.array([d[1] for d in decisions])
    counts = judge.count_nearest(right, score, cuts)
    for at, cut in enumerate(cuts):
        tp = sum(ok and s >= cut for ok, s in decisions)
        fp = sum(not ok and s >= cut for ok, s in decisions)
        fn = sum(ok and s < cut for ok, s in decisions)
        tn = sum(not ok and s < cut for ok, s in decisions)
        got = [axis[at] for axis in (counts.tp, counts.fp, counts.tn, counts.fn)]
        assert got == [tp, fp, tn, fn]
        wanted = by_loops(tp, fp, tn, fn)
        assert {n: float(m(counts)[at]) for n, m in judge.METRICS.items()} == pytest.approx(wanted)


@given(SETS, st.integers(0, 2**32 - 1))
def test_counts_of_tags_are_those_of_plain_loops(truth: list, seed: int) -> None:
    rng = np.random.default_rng(seed)
    said = [set(rng.integers(0, 5, 2).tolist()) if rng.random() < 0.8 else set() for _ in truth]
    figures = evaluate_multiple(truth, [tuple(Match(t, 0.5) for t in sorted(s)) for s in said])
    tags = sorted(set().union(*truth, *said))
    counts = np.zeros((len(tags), 4), int)
    for at, tag in enumerate(tags):
        for a, b in zip(truth, said, strict=True):
            counts[at, {(1, 1): 0, (0, 1): 1, (0, 0): 2, (1, 0): 3}[tag in a, tag in b]] += 1
        assert figures["by_tag"][tag] == pytest.approx(by_loops(*counts[at].tolist()))
    assert figures["micro"] == pytest.approx(by_loops(*counts.sum(axis=0).tolist()))
    for name, value in figures["macro"].items():
        each = [by_loops(*row)[name] for row in counts.tolist()]
        assert value == pytest.approx(sum(each) / max(1, len(each)))
    same = sum(a == b for a, b in zip(truth, said, strict=True))
    assert figures["exact"] == pytest.approx(same / len(truth))
    assert figures["unknown"] == pytest.approx(sum(not s for s in said) / len(truth))


def test_scikit_learn_says_the_same_of_tags() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, said = rng.random((30, 6)) < 0.4, rng.random((30, 6)) < 0.4
    counts = judge.count_tags(
        Labels(np.flatnonzero(r) for r in truth), Labels(np.flatnonzero(r) for r in said), range(6)
    )
    for name in ("precision", "recall", "f1"):
        score = getattr(metrics, f"{name}_score")
        wanted = score(truth, said, average=None, zero_division=0)
        np.testing.assert_allclose(judge.METRICS[name](counts), wanted)
        micro = float(judge.METRICS[name](judge.total(counts))[0])
        assert micro == pytest.approx(score(truth, said, average="micro"))
    table = metrics.multilabel_confusion_matrix(truth, said)
    axes = (counts.tn, counts.fp, counts.fn, counts.tp)
    np.testing.assert_array_equal(table.reshape(6, 4), np.stack(axes, axis=1))


def test_one_label_each_with_unknown_ones() -> None:
    truth = [0, 0, 0, 1, 1, UNKNOWN, UNKNOWN, UNKNOWN]
    said = [0, 0, 1, 1, UNKNOWN, UNKNOWN, UNKNOWN, 0]
    matches = [() if label == UNKNOWN else (Match(label, 0.9),) for label in said]
    figures = evaluate_single(truth, matches)
    assert figures["accuracy"] == 5 / 8 and figures["known_accuracy"] == 3 / 5
    assert figures["unknown_recall"] == 2 / 3 and figures["unknown"] == 3 / 8
    assert figures["labels"] == [0, 1]
    assert figures["confusion"] == [[2, 1, 0], [0, 1, 1], [1, 0, 2]]
    assert figures["by_label"][0] == pytest.approx(by_loops(2, 1, 4, 1))
    assert figures["precision"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert sum(map(sum, figures["confusion"])) == figures["queries"] == 8


def test_scikit_learn_counts_the_same_confusions() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    truth, said = rng.integers(-1, 4, 60), rng.integers(-1, 4, 60)
    wanted = metrics.confusion_matrix(truth, said, labels=[0, 1, 2, 3, UNKNOWN])
    np.testing.assert_array_equal(judge.confusion(truth, said, [0, 1, 2, 3]), wanted)
    assert judge.confusion([9], [0], [0]).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("given_queries", [True, False])
def test_measures_at_cut_points_are_those_of_plain_loops(single: bool, given_queries: bool) -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(40, 5)) + 2 * np.eye(5)[rng.integers(0, 5, 40)]
    tags = [[n % 4] if single else sorted({n % 4, n % 6}) for n in range(40)]
    index = Index(5, "m")
    index.add_many([str(n) for n in range(30)], rows[:30], tags[:30])
    index.remove(["4"])
    ids = [int(id) for id in index.ids()]
    cuts = [-1.0, 0.3, 0.62, 0.9]
    asked = list(range(30, 40)) if given_queries else ids
    figures = evaluate_classification(
        index.snapshot(),
        *((rows[30:], tags[30:]) if given_queries else ()),
        thresholds=cuts,
        k=3,
        matcher="vote",
        single=single,
    )
    assert figures.pop("thresholds") == cuts
    known = {tag for one in [*asked, *ids] for tag in tags[one]}
    for at, cut in enumerate(cuts):
        tp = fp = tn = fn = 0
        for query in asked:
            near = sorted(
                (n for n in ids if n != query), key=lambda n: -cosine(rows[query], rows[n])
            )
            votes = {tag: 0.0 for tag in known}
            for n in near[:3]:
                for tag in tags[n]:
                    votes[tag] += max(cosine(rows[query], rows[n]), 0) / 3
            voted = {tag for n in near[:3] for tag in tags[n]}
            if single:
                best = max(voted, key=lambda tag: votes[tag])
                right, believed = best in tags[query], votes[best] >= cut
                tp, fp = tp + (right and believed), fp + (not right and believed)
                fn, tn = fn + (right and not believed), tn + (not right and not believed)
                continue
            for tag in known:
                right, believed = tag in tags[query], tag in voted and votes[tag] >= cut
                tp, fp = tp + (right and believed), fp + (not right and believed)
                fn, tn = fn + (right and not believed), tn + (not right and not believed)
        got = {name: values[at] for name, values in figures.items()}
        assert got == pytest.approx(by_loops(tp, fp, tn, fn))
    with pytest.raises(ValueError):
        evaluate_classification(index.snapshot(), rows[:2], [[1]])
    assert evaluate_classification(Index(5, "m").snapshot())["f1"] == [0]


def test_nothing_is_no_mistake() -> None:
    assert evaluate_single([], [])["queries"] == 0
    assert evaluate_single([5], [()])["known_accuracy"] == 0
    assert evaluate_single([UNKNOWN], [()])["accuracy"] == 1
    assert evaluate_multiple([], [])["micro"]["f1"] == 0
    with pytest.raises(ValueError):
        evaluate_multiple([[1]], [])
