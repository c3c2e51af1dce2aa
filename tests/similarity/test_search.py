"""Which rows are nearest: exactly, against a sort of all cosines; and how near a graph comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import RequestError
from tagger.similarity import Index, exact, hnsw
from tagger.similarity.evaluation import recall_of
from tagger.similarity.hnsw import Graph


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def sorted_all(
    queries: np.ndarray, vectors: np.ndarray, k: int, alive: np.ndarray, skip: np.ndarray
) -> list[list[int]]:
    """By plain sorting, equals by row."""
    answer = []
    for query, own in zip(queries, skip, strict=True):
        scored = [
            (
                -float(
                    np.float32(sum(float(a) * float(b) for a, b in zip(query, row, strict=True)))
                ),
                n,
            )
            for n, row in enumerate(vectors)
            if alive[n] and n != own
        ]
        answer.append([n for _, n in sorted(scored)[:k]])
    return answer


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from(["float32", "float16"]))
def test_the_nearest_rows_are_those_of_a_full_sort(seed: int, k: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(12, 5))).astype(kind)
    vectors[rng.integers(0, 12, 4)] = vectors[0]  # equals
    queries = np.concatenate([unit(rng.normal(size=(3, 5))), vectors[:2].astype(np.float32)])
    alive = rng.random(12) < 0.8
    skip = rng.integers(-1, 12, 5)
    rows, cosines = exact.nearest(queries, vectors, k, alive=alive, skip=skip)
    wanted = sorted_all(queries, vectors, k, alive, skip)
    assert [[row for row in found if row >= 0] for found in rows.tolist()] == wanted
    assert np.isneginf(cosines[rows < 0]).all() and (np.diff(cosines, axis=1) <= 0).all()


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng.normal(size=(400, 16)))
    vectors[100:140] = vectors[7]
    queries = np.concatenate([unit(rng.normal(size=(30, 16))), vectors[:3], vectors[7:8]])
    rows, cosines = exact.nearest(queries, vectors, 20)
    monkeypatch.setattr(exact, "_ROWS", 32)
    monkeypatch.setattr(exact, "_QUERIES", 7)
    monkeypatch.setattr(exact, "_GATHERED", 50)
    again, near = exact.nearest(queries, vectors, 20)
    assert (rows == again).all() and (cosines == near).all()
    assert rows[-1].tolist() == [7, *range(100, 119)]  # equals in the order of their rows
    for number in range(len(queries)):
        alone, _ = exact.nearest(queries[number : number + 1], vectors, 20)
        assert (alone[0] == rows[number]).all()


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_whole_rankings_are_those_of_a_sort_as_well(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    vectors, queries = unit(rng.normal(size=(60, 8))).astype(kind), unit(rng.normal(size=(9, 8)))
    alive, skip = rng.random(60) < 0.7, rng.integers(-1, 60, 9)
    rows, cosines = exact.nearest(queries, vectors, 60, alive=alive, skip=skip)
    monkeypatch.setattr(exact, "_DEEP", 5)
    monkeypatch.setattr(exact, "_QUERIES", 2)
    monkeypatch.setattr(exact, "_ROWS", 100)
    deep, near = exact.nearest(queries, vectors, 60, alive=alive, skip=skip)
    assert (deep == rows).all()
    np.testing.assert_allclose(near, cosines, atol=1e-6)


def test_more_is_asked_than_there_is() -> None:
    vectors = unit(np.eye(3, dtype=np.float32))
    rows, _ = exact.nearest(vectors, vectors, 9)
    assert rows.tolist() == [[0, 1, 2], [1, 0, 2], [2, 0, 1]]
    rows, cosines = exact.nearest(vectors, vectors, 9, skip=np.arange(3))
    assert rows.tolist() == [[1, 2, -1], [0, 2, -1], [0, 1, -1]] and np.isneginf(cosines[0, 2])
    assert exact.nearest(vectors, vectors[:0], 5)[0].shape == (3, 0)
    assert exact.nearest(vectors[:0], vectors, 5)[0].shape == (0, 3)


def test_halves_are_widened_exactly() -> None:
    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    wide = exact.widen(every, np.empty(len(every), np.int32))
    wanted = every.astype(np.float32)
    assert (wide == wanted).all() and (np.signbit(wide) == np.signbit(wanted)).all()


def test_halves_find_what_singles_find() -> None:
    rng = np.random.default_rng(2)
    vectors = unit(rng.normal(size=(3000, 24)))
    queries = unit(rng.normal(size=(40, 24)))
    rows, cosines = exact.nearest(queries, vectors, 10)
    halves, near = exact.nearest(queries, vectors.astype(np.float16), 10)
    assert recall_of(halves, rows) > 0.98
    np.testing.assert_allclose(near, cosines, atol=5e-4)


# --- the graph


def clusters(count: int, dimension: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(40, dimension))
    return unit(middles[rng.integers(0, 40, count)] + 0.6 * rng.normal(size=(count, dimension)))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_graph_finds_nearly_all_that_the_exact_search_finds(precision: str) -> None:
    vectors, queries = clusters(2500, 48), clusters(60, 48, seed=4)
    ids = [str(n) for n in range(len(vectors))]
    found = {}
    for search in ("exact", "hnsw"):
        index = Index(48, "model", search=search, precision=precision)  # type: ignore[arg-type]
        index.add_many(ids, vectors)
        assert index.stats().search == search
        found[search] = index.snapshot().find(queries, 10)
    (rows, cosines), (near_rows, near) = found["exact"], found["hnsw"]
    assert recall_of(near_rows, rows) >= 0.97
    # What both find has the very same score.
    same = rows == near_rows
    assert (cosines[same] == near[same]).all()
    assert recall_of(rows, rows) == 1 and recall_of(np.full_like(rows, -1), rows) == 0


def test_without_the_library_the_graph_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hnsw, "installed", lambda: False)
    with pytest.raises(RequestError, match="pip install usearch") as caught:
        Index(4, "model", search="hnsw")
    assert caught.value.code == "index-no-usearch"
    index = Index(4, "model", exact_up_to=2)  # "auto" does without
    index.add_many(["a", "b", "c"], np.eye(4)[:3])
    assert index.stats().search == "exact" and len(index.lookup(np.ones(4), 3)) == 3


def test_auto_changes_over_when_there_are_many() -> None:
    vectors = clusters(300, 8)
    index = Index(8, "model", exact_up_to=200)
    index.add_many([str(n) for n in range(200)], vectors[:200])
    assert index.stats().search == "exact"
    index.add_many([str(n) for n in range(200, 300)], vectors[200:])
    assert index.stats().search == "hnsw"
    for number in (0, 150, 299):
        assert index.lookup(vectors[number], 1)[0].item.id == str(number)


def test_a_graph_comes_back_only_whole() -> None:
    vectors = clusters(120, 8)
    graph = Graph(8)
    graph.add(np.arange(120), vectors)
    data = graph.dump()
    again = Graph.restore(data, 8, 120)
    assert again is not None and len(again) == 120
    assert (again.find(vectors[:5], 4)[1] == graph.find(vectors[:5], 4)[1]).all()
    assert Graph.restore(data, 8, 119) is None and Graph.restore(data, 9, 120) is None
    for torn in (b"", data[:20], data[:-1], data[:-1] + bytes([data[-1] ^ 1]), b"x" + data[1:]):
        assert Graph.restore(torn, 8, 120) is None
