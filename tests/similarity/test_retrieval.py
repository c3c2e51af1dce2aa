"""Measures of retrieval: against plain loops, PyTorch Metric Learning and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.similarity import Index, Labels, evaluate_retrieval, measure, rarity, retrieval
from tests.similarity import naive

KS = (1, 3, 10)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def by_loops(
    ranked: list[list[int]],
    queries: list[tuple[int, ...]],
    references: list[tuple[int, ...]],
    own: list[int],
    least: float,
) -> list[dict[str, float]]:
    """Every measure of every query; NaN for one that has nothing to be found."""
    weights = naive.rarity(references)
    answers = []
    for ours, found, me in zip(queries, ranked, own, strict=True):
        gains = [
            0.0 if n == me else naive.overlap(ours, theirs, weights)
            for n, theirs in enumerate(references)
        ]
        right = [gain > 0 and gain >= least - 1e-6 for gain in gains]
        total = sum(right)
        rel = [n >= 0 and right[n] for n in found]
        gained = [gains[n] if n >= 0 else 0.0 for n in found]
        values: dict[str, float] = {}
        for k in KS:
            values[f"precision@{k}"] = naive.precision(rel, k)
            values[f"recall@{k}"] = sum(rel[:k]) / max(total, 1)
            values[f"hit_rate@{k}"] = float(any(rel[:k]))
            if total:
                values[f"map@{k}"] = naive.average_precision(rel, total, k)
                values[f"bndcg@{k}"] = naive.ndcg(rel, right, k)
            if any(gains):
                values[f"ndcg@{k}"] = naive.ndcg(gained, gains, k)
        if total:
            values["r_precision"] = naive.precision(rel, total)
            values["map@r"] = naive.average_precision(rel, total, total)
            values["map"] = naive.average_precision(rel, total, len(rel))
        values["mrr"] = naive.reciprocal_rank(rel)
        graded = {f"ndcg@{k}" for k in KS if any(gains)}
        answers.append(
            {name: value if total or name in graded else math.nan for name, value in values.items()}
        )
    return answers


SETS = st.lists(
    st.sets(st.integers(0, 5), max_size=3).map(lambda s: tuple(sorted(s))), min_size=1, max_size=9
)


@settings(max_examples=60)
@given(SETS, SETS, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_every_measure_is_that_of_plain_loops(
    queries: list, references: list, seed: int, least: float, same: bool
) -> None:
    rng = np.random.default_rng(seed)
    queries = references if same else queries
    own = list(range(len(queries))) if same else [-1] * len(queries)
    ranked = np.array([rng.permutation(len(references)) for _ in queries])
    if same:  # the query itself is no answer
        ranked = np.array([[n for n in row if n != me] + [-1] for me, row in enumerate(ranked)])
    found = measure(
        ranked, Labels(queries), Labels(references), own=np.array(own), ks=KS, least=least
    )
    wanted = by_loops(ranked.tolist(), queries, references, own, least)
    assert set(found) >= {name for one in wanted for name in one}
    for name, values in found.items():
        assert values.dtype == np.float64
        for value, right in zip(values, wanted, strict=True):
            assert value == pytest.approx(right.get(name, math.nan), abs=1e-5, nan_ok=True)


def test_blocks_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    index = Index(4, "model")
    labels = [rng.choice(6, rng.integers(0, 4), replace=False).tolist() for _ in range(60)]
    index.add_many([str(n) for n in range(60)], rng.normal(size=(60, 4)), labels)
    index.remove(["4", "33"])
    figures = evaluate_retrieval(index.snapshot())
    monkeypatch.setattr("tagger.similarity.evaluation._OVERLAPS", 100)
    assert evaluate_retrieval(index.snapshot()) == pytest.approx(figures)
    few = evaluate_retrieval(index.snapshot(), queries=20, seed=1)
    assert few == evaluate_retrieval(index.snapshot(), queries=20, seed=1)
    assert few["queries"] <= 20 and few["references"] == 58
    # Of the halves and the graph, too: it judges what is in the index, by the exact search.
    other = Index(4, "model", search="hnsw", precision="float16")
    other.add_many(index.ids(), index.snapshot().embeddings, index.snapshot().labels)
    assert evaluate_retrieval(other.snapshot())["map@r"] == pytest.approx(
        figures["map@r"], abs=0.01
    )


def test_an_index_that_knows_its_neighbours_and_one_that_does_not() -> None:
    middles = unit(np.random.default_rng(1).normal(size=(5, 16)))
    labels = [[n % 5] for n in range(50)]
    index = Index(16, "model")
    index.add_many(
        [str(n) for n in range(50)],
        middles[[n % 5 for n in range(50)]] + 0.01 * np.random.default_rng(2).normal(size=(50, 16)),
        labels,
    )
    figures = evaluate_retrieval(index.snapshot())
    assert all(figures[name] == 1 for name in ("precision@5", "map@r", "ndcg@10", "mrr"))
    assert figures["recall@1"] == pytest.approx(1 / 9)
    asked = evaluate_retrieval(index.snapshot(), middles, [[n] for n in range(5)])
    assert asked["r_precision"] == 1 and asked["queries"] == 5
    wrong = evaluate_retrieval(index.snapshot(), middles, [[(n + 1) % 5] for n in range(5)])
    assert wrong["precision@10"] == 0 and wrong["hit_rate@10"] == 0
    nothing = evaluate_retrieval(index.snapshot(), middles, [[77]] * 5)
    assert nothing["queries"] == 0 and math.isnan(nothing["mrr"])
    assert evaluate_retrieval(Index(16, "model").snapshot()) == {"queries": 0, "references": 0}
    with pytest.raises(ValueError):
        evaluate_retrieval(index.snapshot(), middles, [[1]])
    with pytest.raises(ValueError):
        evaluate_retrieval(index.snapshot(), average="median")


def test_what_is_less_near_than_asked_counts_as_not_found() -> None:
    rng = np.random.default_rng(3)
    rows, labels = rng.normal(size=(30, 4)), [[n % 3] for n in range(30)]
    index = Index(4, "model")
    index.add_many([str(n) for n in range(30)], rows, labels)
    figures = evaluate_retrieval(index.snapshot(), least_cosine=0.4, ks=(5,))
    precisions, recalls = [], []
    for n in range(30):
        cosines = [naive.cosine(rows[n], rows[m]) for m in range(30)]
        near = sorted((m for m in range(30) if m != n), key=lambda m: -cosines[m])[:5]
        rel = [m % 3 == n % 3 and cosines[m] >= 0.4 for m in near]
        precisions.append(sum(rel) / 5)
        recalls.append(sum(rel) / 9)
    assert figures["precision@5"] == pytest.approx(np.mean(precisions))
    assert figures["recall@5"] == pytest.approx(np.mean(recalls))
    assert figures["precision@5"] < evaluate_retrieval(index.snapshot(), ks=(5,))["precision@5"]


def test_the_mean_over_tags_weighs_tags_alike() -> None:
    values = np.array([1.0, 0.0, 0.0, math.nan])
    assert retrieval.mean(values) == pytest.approx(1 / 3)
    assert retrieval.mean(values, Labels([[1], [2], [2], [3]])) == pytest.approx(0.5)
    assert retrieval.mean(values, Labels([[1, 2], [2], [2], []])) == pytest.approx((1 + 1 / 3) / 2)
    assert math.isnan(retrieval.mean(values[3:])) and math.isnan(retrieval.mean(values[:0]))


def test_graded_gain_prefers_more_in_common() -> None:
    references = Labels([[0, 1, 2], [0, 1], [0]])
    weights = rarity(references)
    for ranked, better in (([0, 1, 2], True), ([2, 1, 0], False)):
        found = measure(np.array([ranked]), Labels([[0, 1, 2]]), references, ks=(3,))
        assert (found["ndcg@3"][0] == pytest.approx(1)) == better
        assert found["bndcg@3"][0] == pytest.approx(1)  # all of them have something in common
    gains = [naive.overlap((0, 1, 2), one, weights) for one in references]
    wanted = (gains[2] + gains[1] / math.log2(3) + gains[0] / 2) / (
        gains[0] + gains[1] / math.log2(3) + gains[2] / 2
    )
    assert found["ndcg@3"][0] == pytest.approx(wanted)


# --- the libraries


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("average", ["micro", "macro"])
def test_pytorch_metric_learning_says_the_same(same: bool, average: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rng = np.random.default_rng(5)
    labels = rng.integers(0, 6, 90)
    rows = unit(rng.normal(size=(6, 12))[labels] + 1.2 * rng.normal(size=(90, 12)))
    asked = np.concatenate([np.arange(6), rng.integers(0, 6, 24)])
    queries = unit(rng.normal(size=(30, 12)) + rows[:30])
    index = Index(12, "model")
    index.add_many([str(n) for n in range(90)], rows, labels[:, None].tolist())
    names = {
        "precision_at_1": "precision@1",
        "r_precision": "r_precision",
        "mean_average_precision_at_r": "map@r",
        "mean_average_precision": "map",
        "mean_reciprocal_rank": "mrr",
    }
    judge = AccuracyCalculator(
        include=tuple(names),
        k=89 if same else 90,
        avg_of_avgs=average == "macro",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
    )
    theirs: dict[str, Any]
    if same:
        theirs = judge.get_accuracy(
            torch.from_numpy(rows),
            torch.from_numpy(labels),
            torch.from_numpy(rows),
            torch.from_numpy(labels),
            ref_includes_query=True,
        )
        ours = evaluate_retrieval(index.snapshot(), average=average)
    else:
        theirs = judge.get_accuracy(
            torch.from_numpy(queries),
            torch.from_numpy(asked),
            torch.from_numpy(rows),
            torch.from_numpy(labels),
        )
        ours = evaluate_retrieval(
            index.snapshot(), queries, asked[:, None].tolist(), average=average
        )
    assert {a: ours[b] for a, b in names.items()} == pytest.approx(theirs, abs=1e-6)


def test_scikit_learn_says_the_same() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(6)
    labels = [rng.choice(8, rng.integers(1, 5), replace=False).tolist() for _ in range(40)]
    scores = rng.permuted(np.tile(np.arange(40.0), (10, 1)), axis=1)
    ranked = np.argsort(-scores, axis=1)
    found = measure(ranked, Labels(labels[:10]), Labels(labels), ks=(5, 10))
    weights = naive.rarity(labels)
    gains = np.array([[naive.overlap(a, b, weights) for b in labels] for a in labels[:10]])
    for k in (5, 10):
        wanted = metrics.ndcg_score(gains, scores, k=k)
        assert retrieval.mean(found[f"ndcg@{k}"]) == pytest.approx(wanted, abs=1e-6)
        wanted = metrics.ndcg_score(gains > 0, scores, k=k)
        assert retrieval.mean(found[f"bndcg@{k}"]) == pytest.approx(wanted, abs=1e-6)
    wanted = metrics.label_ranking_average_precision_score(gains > 0, scores)
    assert retrieval.mean(found["map"]) == pytest.approx(wanted, abs=1e-6)


def test_scikit_learn_weighs_rare_words_the_same() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    sets = [[0, 1], [1], [1, 2], [1]]
    counts = np.zeros((4, 3))
    for row, one in enumerate(sets):
        counts[row, one] = 1
    idf = text.TfidfTransformer(smooth_idf=True).fit(counts).idf_
    assert rarity(Labels(sets)) == pytest.approx(dict(enumerate(idf)))
