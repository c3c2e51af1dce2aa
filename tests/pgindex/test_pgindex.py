"""The shared index: against a dictionary and the index in memory, by a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagger.errors import IndexFileError, LimitError, RequestError, TaggerError
from tagger.pgindex import PgIndex, open_index
from tagger.places import is_url, place, shown
from tagger.similarity import Index, evaluate_retrieval, items
from tagger.similarity.bench import clusters
from tests.postgres import Absent, Cluster
from tests.similarity.naive import DictIndex

DIMENSION = 6


def rows(seed: int, count: int, dimension: int = DIMENSION) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


@pytest.fixture(params=["exact", "hnsw"])
def index(request: pytest.FixtureRequest, url: str) -> Iterator[PgIndex]:
    with PgIndex.create(url, DIMENSION, "model", search=request.param) as index:
        yield index


def agree(index: PgIndex, wanted: DictIndex, queries: np.ndarray, k: int) -> None:
    assert len(index) == len(wanted.items) and index.ids() == list(wanted.items)
    for query, found in zip(queries, index.lookup_many(queries, k), strict=True):
        right = wanted.lookup(query, k)
        assert [one.rank for one in found] == list(range(1, len(right) + 1))
        cosines = [cosine for _, cosine in right]
        assert [one.cosine for one in found] == pytest.approx(cosines, abs=1e-5)
        got = {one.item.id for one in found}
        for id, cosine in right:
            assert id in got or cosine == pytest.approx(cosines[-1], abs=1e-5)
        for one in found:
            _, labels, data = wanted.items[one.item.id]
            assert (one.item.labels, one.item.metadata) == (labels, data)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "batch", "batch", "remove", "embed", "label", "replace", "reset"]),
        st.integers(0, 2**32 - 1),
    ),
    max_size=10,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_after_any_changes_it_agrees_with_a_dictionary(
    index: PgIndex, changes: list[tuple[str, int]]
) -> None:
    index.reset()
    wanted, made, queries = DictIndex(), 0, rows(99, 3)
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
            index.add(f"i{made}", vector * 3, labels, {"n": made, "t": "猫 \u2028"})
            wanted.add(f"i{made}", vector, labels, {"n": made, "t": "猫 \u2028"})
        elif change == "batch":
            block = rng.normal(size=(4, DIMENSION)).astype(np.float32)
            ids = [f"絵/{made + n}\n\t\\" for n in range(1, 5)]
            made += 4
            index.add_many(ids, block, [[n] * (n > 0) for n in range(4)])
            for n, id in enumerate(ids):
                wanted.add(id, block[n], [n] * (n > 0), {})
        elif change == "remove":
            assert index.remove([*some, "nobody", "no\0body", *some]) == len(some)
            for id in some:
                del wanted.items[id]
        elif there and change == "embed":
            index.update(there[0], embedding=vector, labels=labels)
            wanted.update(there[0], vector, labels)
        elif there and change == "label":
            index.relabel({id: labels for id in some})
            for id in some:
                wanted.update(id, None, labels)
            index.update(there[0], labels=[])
            wanted.update(there[0], None, [])
        elif there and change == "replace":
            block = rng.normal(size=(len(some), DIMENSION)).astype(np.float32)
            index.add_many(some, block, replace=True)
            for n, id in enumerate(some):
                del wanted.items[id]
                wanted.add(id, block[n], (), {})
        agree(index, wanted, queries, int(rng.integers(1, 8)))
    for id in list(wanted.items)[:3]:
        right = wanted.lookup(wanted.items[id][0], 4, leave=id)
        found = index.neighbours(id, 4)
        assert id not in [one.item.id for one in found]
        assert [one.cosine for one in found] == pytest.approx([c for _, c in right], abs=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_exact_search_gives_the_answers_of_the_index_in_memory(
    url: str, precision: Any
) -> None:
    made = clusters(700, 48, 3)
    data = [{"n": n} for n in range(600)]
    labels = [[n % 9, 20] for n in range(600)]
    memory = Index(48, "m", precision=precision)
    with PgIndex.create(url, 48, "m", search="exact", precision=precision) as index:
        for one in (memory, index):
            one.add_many([str(n) for n in range(600)], made[:600], labels, data)
        for k in (1, 10, 300):
            assert index.lookup_many(made[600:], k) == memory.lookup_many(made[600:], k)
        assert index.lookup(made[0], 5) == memory.lookup(made[0], 5)
        assert index.neighbours("17", 30) == memory.neighbours("17", 30)
        assert index.lookup(made[0], 5_000) == memory.lookup(made[0], 5_000)
        assert index.embedding("5") == pytest.approx(memory.embedding("5"), abs=1e-3)
        assert evaluate_retrieval(index.snapshot()) == pytest.approx(
            evaluate_retrieval(memory.snapshot()), abs=2e-3
        )


def test_the_graph_finds_what_the_exact_search_finds(url: str) -> None:
    made = clusters(3_100, 64, 1)
    with PgIndex.create(url, 64, "m", exact_up_to=1_000) as index:
        index.add_many([str(n) for n in range(900)], made[:900])
        assert index.stats().search == "exact"
        index.add_many([str(n) for n in range(900, 3_000)], made[900:3_000])
        assert index.stats().search == "hnsw"
        with PgIndex.open(url, search="exact") as plain:
            assert plain.stats().search == "exact"
            near = index.lookup_many(made[3_000:], 10)
            exact = plain.lookup_many(made[3_000:], 10)
            hits = sum(
                len({one.item.id for one in a} & {one.item.id for one in b})
                for a, b in zip(near, exact, strict=True)
            )
            assert hits >= 0.95 * 1_000
            cosines = {one.item.id: one.cosine for one in exact[0]}
            assert all(cosines.get(one.item.id, one.cosine) == one.cosine for one in near[0])
            # Whatever was removed is not found, and no answer is short.
            assert index.remove(str(n) for n in range(100, 3_000)) == 2_900
            assert len(index.lookup(made[0], 200)) == 100 == len(plain)


def test_equal_ones_come_in_the_order_of_their_coming(url: str) -> None:
    with PgIndex.create(url, 3, "m") as index:
        index.add_many(["c", "a", "b"], [[1, 0, 0]] * 3)
        assert [one.item.id for one in index.lookup([2, 0, 0])] == ["c", "a", "b"]
        index.update("c", embedding=[1, 0, 0])
        index.update("a", labels=[1], metadata={"x": 1})
        assert [one.item.id for one in index.lookup([2, 0, 0])] == ["a", "b", "c"]
        item = index.get("a")
        assert item is not None and (item.labels, item.metadata) == ((1,), {"x": 1})
        assert "a" in index and "z" not in index and index.get("z") is None
        assert index.embedding("z") is None and 7 not in index and "a\0" not in index


# --- many at once


def test_what_one_connection_writes_another_one_reads(url: str) -> None:
    with PgIndex.create(url, 2, "m") as one, PgIndex.open(url, model="m") as other:
        one.add_many(["a", "b"], np.eye(2), [[1], [2]])
        assert other.ids() == ["a", "b"] and len(other) == 2
        other.relabel({"a": [9]})
        other.remove(["b"])
        item = one.get("a")
        assert item is not None and item.labels == (9,) and one.ids() == ["a"]
        one.calibrate(np.eye(2)[:1], [[9]], single=True, least=1)
        assert other.calibration == one.calibration is not None
        assert other.match([[1, 0]])[0][0].tag == 9 and other.match([[0, 1]]) == [()]
        other.reset()
        assert len(one) == 0 and one.calibration is None and one.lookup([1, 0]) == []
        with pytest.raises(RequestError) as caught:
            one.match([[1, 0]])
        assert caught.value.code == "index-not-calibrated"


def test_two_who_make_the_same_index_at_once_share_it(database: str) -> None:
    made: list[PgIndex] = []
    barrier = threading.Barrier(6)

    def make(turn: int) -> None:
        barrier.wait()
        made.append(PgIndex.create(f"{database}?index=shared", 2, "m"))
        made[-1].add(f"i{turn}", [1, turn])

    threads = [threading.Thread(target=make, args=(turn,)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and {len(one) for one in made} == {6}
    made[0].drop()
    for one in made[1:]:
        with pytest.raises(IndexFileError) as caught:
            one.lookup([1, 0])
        assert caught.value.code == "index-not-found"
        one.close()


def test_writers_of_two_programs_and_readers_see_whole_changes(url: str) -> None:
    """Pairs come and go together, by two connections at once: whoever asks finds none or both."""
    fixed = rows(1, 50)
    with PgIndex.create(url, DIMENSION, "m") as one, PgIndex.open(url) as other:
        one.add_many([f"fixed{n}" for n in range(50)], fixed)
        stop, problems = threading.Event(), []

        def guarded(work: Any) -> threading.Thread:
            def run() -> None:
                try:
                    work()
                except BaseException as error:
                    problems.append(error)
                finally:
                    stop.set()

            return threading.Thread(target=run)

        def write(index: PgIndex, name: str) -> None:
            for turn in range(40):
                pair = [f"{name}{turn}a", f"{name}{turn}b"]
                index.add_many(pair, rows(turn, 2))
                assert index.remove(pair) == 2

        def read(index: PgIndex) -> None:
            while not stop.is_set():
                found = [entry.item.id for entry in index.lookup(fixed[3], 60)]
                assert len(set(found)) == len(found) and found[0] == "fixed3"
                assert {f"fixed{n}" for n in range(50)} <= set(found)
                for name in "xy":
                    assert len([id for id in found if id.startswith(name)]) in (0, 2)

        threads = [
            guarded(lambda: write(one, "x")),
            guarded(lambda: write(other, "y")),
            guarded(lambda: read(one)),
            guarded(lambda: read(other)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert one.ids() == other.ids() == [f"fixed{n}" for n in range(50)] and len(one) == 50


def test_who_waits_too_long_is_told_so(url: str) -> None:
    with PgIndex.create(url, 2, "m") as one, PgIndex.open(url, timeout=0.3) as other:
        one.add("a", [1, 0])
        with one._database.read() as connection:  # somebody who does not end
            one._facts_in(connection, " FOR UPDATE")
            with pytest.raises(IndexFileError) as caught:
                other.add("b", [0, 1])
            assert caught.value.code == "index-busy"
            assert other.ids() == ["a"]  # to look is not to wait
        other.add("b", [0, 1])


def test_after_a_crash_of_the_server_all_that_was_acknowledged_is_there() -> None:
    try:
        cluster = Cluster(vector=True)
    except Absent as reason:
        pytest.skip(str(reason))
    try:
        acknowledged: list[str] = []
        with PgIndex.create(cluster.url(), DIMENSION, "m", search="hnsw") as index:

            def write() -> None:
                for turn in range(10**9):
                    batch = [f"{turn}/{n}" for n in range(20)]
                    try:
                        index.add_many(batch, rows(turn, 20))
                    except TaggerError:
                        return
                    acknowledged.extend(batch)

            writer = threading.Thread(target=write)
            writer.start()
            while len(acknowledged) < 200:
                writer.join(0.01)
            cluster.kill()
            writer.join()
            cluster.start(cluster.port)
            ids = index.ids()
            # The last batch may have been kept without our hearing of it; then all of it was.
            assert ids[: len(acknowledged)] == acknowledged and len(index) == len(ids)
            assert len(ids) - len(acknowledged) in (0, 20)
            turn = int(ids[-1].split("/")[0])
            assert index.lookup(rows(turn, 20)[7], 1)[0].item.id == f"{turn}/7"
            index.add("later", [1] * DIMENSION)
            assert "later" in index
    finally:
        cluster.close()


# --- refused


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("index-id-invalid", ("", [1, 0])),
        ("index-id-invalid", ("a\0", [1, 0])),
        ("index-embedding-invalid", ("a", [0, 0])),
        ("index-embedding-invalid", ("a", [1, 2, 3])),
        ("index-labels-invalid", ("a", [1, 0], [-1])),
        ("index-metadata-invalid", ("a", [1, 0], [], {"x": "y" * 5000})),
        ("index-id-exists", ("there", [1, 0])),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    url: str, code: str, arguments: tuple
) -> None:
    with PgIndex.create(url, 2, "m") as index:
        index.add("there", [1, 1])
        with pytest.raises(RequestError) as caught:
            index.add(*arguments)
        assert caught.value.code == code and index.ids() == ["there"]


def test_a_batch_goes_in_whole_or_not_at_all(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with PgIndex.create(url, 2, "m") as index:
        index.add("b", [1, 1])
        for ids in (["a", "b"], ["a", "a"]):
            with pytest.raises(RequestError) as caught:
                index.add_many(ids, np.eye(2))
            assert caught.value.code == "index-id-exists"
        with pytest.raises(RequestError):
            index.relabel({"b": [1], "nobody": [2]})
        for change in ({"labels": [1]}, {"embedding": [1, 0]}):
            with pytest.raises(RequestError) as caught:
                index.update("nobody", **change)  # type: ignore[arg-type]
            assert caught.value.code == "index-id-unknown"
        with pytest.raises(RequestError):
            index.neighbours("nobody")
        for wrong in (([1, 2], np.eye(2)[:1]), (["c"], np.eye(2))):
            with pytest.raises(ValueError):
                index.add_many(*wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            index.lookup([1, 0], 0)
        with pytest.raises(RequestError):
            index.lookup(np.eye(2))
        monkeypatch.setattr(items, "MAX_ITEMS", 2)
        with pytest.raises(LimitError):
            index.add_many(["c", "d"], np.eye(2))
        item = index.get("b")
        assert index.ids() == ["b"] and item is not None and item.labels == ()
        index.add_many([], np.empty((0, 2)))
        assert index.lookup_many(np.empty((0, 2))) == [] and len(index) == 1


def code_of(work: Any) -> str:
    with pytest.raises(TaggerError) as caught:
        work()
    assert caught.value.message("en") != caught.value.message("ja")
    assert "pa55word" not in str(caught.value) + caught.value.message("ja")
    return caught.value.code


def test_places_that_are_none(vectors: Cluster, url: str) -> None:
    assert code_of(lambda: PgIndex.open(url)) == "index-not-found"
    assert code_of(lambda: PgIndex.open(vectors.create_database())) == "index-not-found"
    with PgIndex.create(url, 2, "m"):
        pass
    assert code_of(lambda: PgIndex.open(url, model="other")) == "index-foreign"
    assert code_of(lambda: PgIndex.create(url, 2, "other")) == "index-foreign"
    assert code_of(lambda: PgIndex.create(url, 3, "m")) == "index-foreign"
    nowhere = "postgresql://me:pa55word@127.0.0.1:9/x"
    assert code_of(lambda: PgIndex.open(nowhere, timeout=1)) == "index-unavailable"
    wrong = vectors.url(password="pa55word")
    assert code_of(lambda: PgIndex.open(wrong)) == "index-unavailable"
    for bad in (
        f"{nowhere}?index=a;b",
        f"{nowhere}?index=a&index=b",
        "postgresql://me:pa55word@x:port/y",
        "sqlite:///pa55word",
        "mysql://me:pa55word@x/y",
    ):
        assert code_of(lambda bad=bad: PgIndex.open(bad)) == "index-bad-url"
    wide = f"{url}-wide"
    assert code_of(lambda: PgIndex.create(wide, 2_001, "m", search="hnsw")) == "index-too-wide"
    with PgIndex.create(wide, 2_001, "m", exact_up_to=1) as index:
        index.add_many(["a", "b"], rows(1, 2, 2_001))
        assert index.stats().search == "exact" and index.neighbours("a")[0].item.id == "b"
    for options in ({"search": "magic"}, {"precision": "int8"}):
        with pytest.raises(ValueError):
            PgIndex.create(url, 2, "m", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        PgIndex.create(url, 0, "m")


def test_an_index_of_a_later_version(url: str) -> None:
    import sqlalchemy as sa

    with PgIndex.create(url, 2, "m") as index:
        index._database.write(
            lambda connection: connection.execute(
                sa.text("UPDATE tagger_indexes SET format_version = 2 WHERE name = :name"),
                {"name": index.name},
            )
        )
    assert code_of(lambda: PgIndex.open(url)) == "index-too-new"


def test_a_server_without_pgvector() -> None:
    try:
        plain = Cluster()
    except Absent as reason:
        pytest.skip(str(reason))
    try:
        with plain.connect() as connection:
            there = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
            if connection.execute(there).fetchone():
                pytest.skip("this PostgreSQL has pgvector")
        assert code_of(lambda: PgIndex.create(plain.url(), 2, "m")) == "index-no-pgvector"
    finally:
        plain.close()


# --- to files and back


def test_to_a_file_and_back(url: str, tmp_path: Path) -> None:
    made = rows(5, 40)
    with PgIndex.create(url, DIMENSION, "m") as index:
        index.add_many(
            [f"絵{n}" for n in range(40)], made, [[n % 3] for n in range(40)], [{"n": 1}] * 40
        )
        index.calibrate(k=3, least=3)
        index.save(tmp_path / "a.index")
        again = open_index(tmp_path / "a.index", model="m")
        assert again.ids() == index.ids() and again.calibration == index.calibration
        assert again.lookup_many(made, 7) == index.lookup_many(made, 7)
        assert again.match(made) == index.match(made)
        shared = open_index(url, model="m", search="exact")
        assert isinstance(shared, PgIndex) and shared.ids() == again.ids()
        shared.close()


def test_statistics_are_of_this_program(url: str) -> None:
    with PgIndex.create(url, 4, "m", precision="float16") as index, PgIndex.open(url) as other:
        index.add_many([str(n) for n in range(50)], rows(7, 50, 4))
        index.lookup_many(rows(8, 33, 4))
        stats = index.stats()
        assert (stats.size, stats.dimension, stats.lookups, stats.bytes) == (50, 4, 33, 400)
        assert stats.precision == "float16" and not stats.calibrated
        assert 0 < stats.latency["p50"] <= stats.latency["p99"] <= stats.latency["max"]
        assert other.stats().lookups == 0


def test_places() -> None:
    url = "postgresql://me:pa55word@host:5432/name?index=a"
    assert is_url(url) and is_url("postgres://host/name") and not is_url(Path("a"))
    assert place(url) == url and place("a/b.index") == Path("a/b.index")
    assert shown(url) == "postgresql://me:***@host:5432/name?index=a"
    assert shown(Path("a@b:c")) == "a@b:c" and shown("postgresql://me@h/x") == "postgresql://me@h/x"
