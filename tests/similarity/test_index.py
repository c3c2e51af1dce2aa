"""The index as its users know it: against a plain dictionary, through any changes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import LimitError, RequestError
from tagger.similarity import Index, items
from tests.similarity.naive import DictIndex

DIMENSION = 6
MODES = ("exact", "hnsw")


def vectors(seed: int, count: int, dimension: int = DIMENSION) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def named(index: Index, vector: Any, k: int) -> list[str]:
    return [found.item.id for found in index.lookup(vector, k)]


def agree(index: Index, wanted: DictIndex, queries: np.ndarray, k: int) -> None:
    assert len(index) == len(wanted.items) and index.ids() == list(wanted.items)
    answers = index.lookup_many(queries, k)
    for query, found in zip(queries, answers, strict=True):
        right = wanted.lookup(query, k)
        assert [one.rank for one in found] == list(range(1, len(right) + 1))
        got = {one.item.id: one.cosine for one in found}
        cosines = [cosine for _, cosine in right]
        assert [one.cosine for one in found] == pytest.approx(cosines, abs=1e-5)
        for id, cosine in right:  # the same ones, but for those that are as near as the last
            assert id in got or cosine == pytest.approx(cosines[-1], abs=1e-5)
        for one in found:
            _, labels, data = wanted.items[one.item.id]
            assert (one.item.labels, one.item.metadata) == (labels, data)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "batch", "remove", "embed", "label", "replace", "reset"]),
        st.integers(0, 2**32 - 1),
    ),
    max_size=25,
)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40)
@given(changes=CHANGES)
def test_after_any_changes_it_agrees_with_a_dictionary(
    mode: str, changes: list[tuple[str, int]]
) -> None:
    index = Index(DIMENSION, "model", search=mode)  # type: ignore[arg-type]
    wanted, made = DictIndex(), 0
    queries = vectors(99, 3)
    for change, seed in changes:
        rng = np.random.default_rng(seed)
        there = list(wanted.items)
        some = [id for id in there if rng.random() < 0.5]
        vector = rng.normal(size=DIMENSION).astype(np.float32)
        labels = rng.integers(0, 5, 3).tolist()
        if change == "reset" and seed % 4 == 0:
            index.reset()
            wanted = DictIndex()
        elif change == "add":
            made += 1
            index.add(f"i{made}", vector * 3, labels, {"n": made})
            wanted.add(f"i{made}", vector, labels, {"n": made})
        elif change == "batch":
            block = rng.normal(size=(4, DIMENSION)).astype(np.float32)
            ids = [f"i{made + n}" for n in range(1, 5)]
            made += 4
            index.add_many(ids, block, [[n] for n in range(4)])
            for n, id in enumerate(ids):
                wanted.add(id, block[n], [n], {})
        elif change == "remove":
            assert index.remove([*some, "nobody", *some]) == len(some)
            for id in some:
                del wanted.items[id]
        elif there and change == "embed":
            index.update(there[0], embedding=vector, labels=labels)
            wanted.update(there[0], vector, labels)
        elif there and change == "label":
            index.relabel({id: labels for id in some})
            for id in some:
                wanted.update(id, None, labels)
        elif there and change == "replace":
            block = rng.normal(size=(len(some), DIMENSION)).astype(np.float32)
            index.add_many(some, block, replace=True)
            for n, id in enumerate(some):
                del wanted.items[id]
                wanted.add(id, block[n], (), {})
        agree(index, wanted, queries, int(rng.integers(1, 8)))
    for id in list(wanted.items)[:3]:
        own = wanted.items[id][0]
        right = wanted.lookup(own, 4, leave=id)
        found = index.neighbours(id, 4)
        assert id not in [one.item.id for one in found]
        cosines = [cosine for _, cosine in right]
        assert [one.cosine for one in found] == pytest.approx(cosines, abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_removed_rows_are_taken_away_and_the_rest_is_found(mode: str) -> None:
    index = Index(8, "model", search=mode)  # type: ignore[arg-type]
    rows = vectors(5, 4000, 8)
    index.add_many([str(n) for n in range(4000)], rows)
    for start in range(0, 3500, 250):
        assert index.remove(str(n) for n in range(start, start + 250)) == 250
        assert index.stats().removed <= 1024 + len(index)
    assert index.stats().removed < 3500 and len(index) == 500
    assert index.ids() == [str(n) for n in range(3500, 4000)]
    for number in (3500, 3777, 3999):
        assert named(index, rows[number], 1) == [str(number)]
    index.add_many([str(n) for n in range(10)], rows[:10])
    assert named(index, rows[4], 1) == ["4"]
    assert len(index.lookup(rows[0], 600)) == 510  # all, whatever the search


def test_equal_ones_come_in_the_order_of_their_coming() -> None:
    index = Index(3, "model")
    index.add_many(["c", "a", "b"], [[1, 0, 0]] * 3)
    assert named(index, [2, 0, 0], 3) == ["c", "a", "b"]
    index.update("c", embedding=[1, 0, 0])
    index.update("a", labels=[1])
    assert named(index, [2, 0, 0], 3) == ["a", "b", "c"]


def test_one_item_as_others_see_it() -> None:
    index = Index(3, "model")
    index.add("a", [0, 3, 4], [7, 2, 7], {"title": "猫", "size": [1, 2]})
    assert "a" in index and "b" not in index and index.get("b") is None
    item = index.get("a")
    assert item is not None and item.labels == (2, 7)
    item.metadata["title"] = "changed"  # a copy
    assert item.metadata == {"title": "猫", "size": [1, 2]}
    assert index.embedding("a") == pytest.approx([0, 0.6, 0.8])
    assert index.embedding("b") is None
    assert index.lookup([0, 0, 1])[0].to_dict() == {
        "rank": 1,
        "id": "a",
        "cosine": 0.8,
        "labels": [2, 7],
        "metadata": {"title": "猫", "size": [1, 2]},
    }
    index.update("a", metadata={})
    assert index.get("a").metadata == {} and index.get("a").labels == (2, 7)  # type: ignore[union-attr]


def test_what_was_read_does_not_change() -> None:
    index = Index(2, "model")
    index.add_many(["a", "b"], np.eye(2), [[1], [2]])
    before = index.snapshot()
    index.update("a", labels=[9])
    index.remove(["b"])
    index.add_many([f"c{n}" for n in range(500)], np.ones((500, 2)))
    assert list(before.labels) == [(1,), (2,)] and before.size == 2
    assert before.find(np.eye(2, dtype=np.float32), 5)[0].tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("index-id-invalid", ("", [1, 0])),
        ("index-id-invalid", ("x" * 1025, [1, 0])),
        ("index-id-invalid", ("half \ud800", [1, 0])),
        ("index-id-invalid", (7, [1, 0])),
        ("index-embedding-invalid", ("a", [0, 0])),
        ("index-embedding-invalid", ("a", [1, 2, 3])),
        ("index-embedding-invalid", ("a", [1, float("nan")])),
        ("index-embedding-invalid", ("a", [1, float("inf")])),
        ("index-embedding-invalid", ("a", ["x", "y"])),
        ("index-embedding-invalid", ("a", [[[1, 0]]])),
        ("index-labels-invalid", ("a", [1, 0], [-1])),
        ("index-labels-invalid", ("a", [1, 0], [1.5])),
        ("index-labels-invalid", ("a", [1, 0], [True])),
        ("index-labels-invalid", ("a", [1, 0], ["cat"])),
        ("index-labels-invalid", ("a", [1, 0], 7)),
        ("index-labels-invalid", ("a", [1, 0], range(1001))),
        ("index-metadata-invalid", ("a", [1, 0], [], {"x": "y" * 5000})),
        ("index-metadata-invalid", ("a", [1, 0], [], {"x": float("nan")})),
        ("index-metadata-invalid", ("a", [1, 0], [], {"x": object()})),
        ("index-id-exists", ("there", [1, 0])),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(code: str, arguments: tuple) -> None:
    index = Index(2, "model")
    index.add("there", [1, 1])
    with pytest.raises(RequestError) as caught:
        index.add(*arguments)
    assert caught.value.code == code
    assert caught.value.message("en") != caught.value.message("ja")
    assert index.ids() == ["there"]


def test_a_batch_goes_in_whole_or_not_at_all() -> None:
    index = Index(2, "model")
    index.add("b", [1, 1])
    for ids in (["a", "b"], ["a", "a"]):
        with pytest.raises(RequestError) as caught:
            index.add_many(ids, np.eye(2))
        assert caught.value.code == "index-id-exists"
    with pytest.raises(ValueError):
        index.add_many(["c"], np.eye(2))
    with pytest.raises(RequestError):
        index.relabel({"b": [1], "nobody": [2]})
    for change in ({"labels": [1]}, {"embedding": [1, 0]}):
        with pytest.raises(RequestError) as caught:
            index.update("nobody", **change)  # type: ignore[arg-type]
        assert caught.value.code == "index-id-unknown"
    with pytest.raises(RequestError):
        index.neighbours("nobody")
    assert index.ids() == ["b"] and index.get("b").labels == ()  # type: ignore[union-attr]
    index.add_many([], np.empty((0, 2)))
    assert len(index) == 1


def test_it_is_never_fuller_than_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MAX_ITEMS", 3)
    index = Index(2, "model")
    index.add_many(["a", "b"], np.eye(2))
    with pytest.raises(LimitError) as caught:
        index.add_many(["c", "d"], np.eye(2))
    assert caught.value.code == "index-full"
    index.add_many(["b", "c"], np.eye(2), replace=True)
    assert index.ids() == ["a", "b", "c"]


def test_a_change_that_fails_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(2, "model")
    index.add("a", [1, 0])
    with monkeypatch.context() as patch:
        patch.setattr(index, "_with_graph", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            index.add("lost", [0, 1])
    index.add("b", [0, 1])
    assert index.ids() == ["a", "b"] and named(index, [0, 1], 2) == ["b", "a"]


def test_statistics() -> None:
    index = Index(4, "model", precision="float16")
    stats = index.stats()
    assert (stats.size, stats.lookups, stats.latency, stats.search) == (0, 0, {}, "exact")
    assert index.lookup(np.ones(4)) == [] and index.lookup_many(np.empty((0, 4))) == []
    index.add_many([str(n) for n in range(50)], vectors(7, 50, 4))
    index.remove(["3"])
    index.lookup_many(vectors(8, 30, 4))
    stats = index.stats()
    assert (stats.size, stats.dimension, stats.removed, stats.lookups) == (49, 4, 1, 31)
    assert stats.precision == "float16" and not stats.calibrated
    order = [stats.latency[name] for name in ("min", "p50", "p90", "p95", "p99", "max")]
    assert order == sorted(order) and order[0] > 0
    assert order[0] <= stats.latency["mean"] <= order[-1]
    assert stats.to_dict()["latency"] == stats.latency
    index.reset()
    assert index.stats().lookups == 0 and len(index) == 0


def test_settings_that_make_no_sense() -> None:
    for options in ({"search": "magic"}, {"precision": "int8"}):
        with pytest.raises(ValueError):
            Index(4, "model", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Index(0, "model")
    with pytest.raises(ValueError):
        Index(4, "model").lookup(np.ones(4), 0)


# --- many at once


@pytest.mark.parametrize("mode", MODES)
def test_readers_and_writers_at_once_see_whole_changes(mode: str) -> None:
    """Pairs come and go together, so each must be found whole, with its own labels."""
    index = Index(8, "model", search=mode)  # type: ignore[arg-type]
    rows = vectors(11, 300, 8)
    index.add_many([f"fixed{n}" for n in range(200)], rows[:200], [[n] for n in range(200)])
    stop, problems = threading.Event(), []

    def guarded(work: Any) -> Any:
        def run() -> None:
            try:
                while not stop.is_set():
                    work()
            except Exception as error:
                problems.append(error)
                stop.set()

        return threading.Thread(target=run)

    def read() -> None:
        now = index.snapshot()
        found, _ = now.find(np.ascontiguousarray(rows[:20]), 210)
        for answer in found.tolist():
            ids = [now.items[row].id for row in answer]
            assert len(set(ids)) == now.size  # no fewer, none twice
            assert {f"fixed{n}" for n in range(200)} <= set(ids)
            assert len([id for id in ids if id.startswith("pair")]) in (0, 2)

    def ask() -> None:
        found = index.lookup(rows[5], 1)[0]
        assert found.item.id == "fixed5" and found.item.labels in ((5,), (5, 1000))
        assert index.get("fixed5") is not None and "fixed9" in index
        assert index.neighbours("fixed7", 3)

    turn = iter(range(10**9))

    def write() -> None:
        number = next(turn)
        pair = [f"pair{number}a", f"pair{number}b"]
        index.add_many(pair, rows[200 + number % 90 : 202 + number % 90])
        index.update("fixed5", labels=[5, 1000] if number % 2 else [5])
        assert index.remove(pair) == 2
        if number == 600:
            stop.set()

    threads = [guarded(work) for work in (read, ask, ask, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and len(index) == 200
    assert index.stats().lookups > 0
