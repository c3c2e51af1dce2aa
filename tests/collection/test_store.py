"""The collection, over SQLite and PostgreSQL alike."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tagger.collection import NewDrawing, Store, clean_label, schema
from tagger.collection.database import Database
from tagger.errors import StoreError, StrokesError, TaggerError
from tagger.strokes import Stroke, digest, dump
from tests.collection.examples import CAT, DOG, LABELS, STROKES, facts, new, scribble, vote
from tests.postgres import Cluster


def refused(call: Callable[[], object], kind: type[TaggerError] = StoreError) -> TaggerError:
    """The error of a call, whose sentences must be complete."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.code != "internal"
    assert "{" not in caught.value.message("en") + caught.value.message("ja")
    return caught.value


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with store.database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table))]
            for table in schema.metadata.sorted_tables
        }


# --- saving and finding


def test_what_is_saved_comes_back_whole(store: Store) -> None:
    me = store.contributor_of("me")
    saved = store.save(
        NewDrawing(
            " a   cat ",
            CAT,
            contributor=me,
            consent=True,
            source="game",
            model_hash="0123456789abcdef",
            predicted=(("cat", 0.75), ("dog", 0.125)),
            created=1_700_000_000_123,
        )
    )
    assert not saved.duplicate
    assert (saved.label, saved.created) == ("a cat", 1_700_000_000_123)
    drawing = store.get(saved.id)
    assert drawing is not None
    assert facts(drawing) == {
        "id": saved.id,
        "label": "a cat",
        "strokes": dump(CAT),
        "digest": digest(CAT),
        "created": 1_700_000_000_123,
        "contributor": me,
        "consent": True,
        "source": "game",
        "model_hash": "0123456789abcdef",
        "predicted": (("cat", 0.75), ("dog", 0.125)),
        "recognized": False,
        "revision": 1,
    }
    assert store.get("nothing") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(strokes=STROKES, label=LABELS)
def test_any_drawing_comes_back_as_drawn(store: Store, strokes: Any, label: str) -> None:
    drawing = store.get(store.save(new(label, strokes)).id)
    assert drawing is not None
    assert drawing.label == clean_label(label)
    assert dump(drawing.strokes) == dump(strokes)
    assert drawing.digest == digest(drawing.strokes) == digest(strokes)


def test_a_time_is_given_to_what_comes_without(store: Store) -> None:
    before = time.time_ns() // 1_000_000
    created = store.save(new()).created
    assert before <= created <= time.time_ns() // 1_000_000


def test_a_save_that_is_sent_again_is_kept_once(store: Store) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    first = store.save(new(contributor=me, key="1"))
    again = store.save(new("dog", DOG, contributor=me, key="1"))
    assert again == dataclasses.replace(first, duplicate=True)
    assert not store.save(new(contributor=you, key="1")).duplicate
    assert not store.save(new(contributor=me, key="2")).duplicate
    assert not store.save(new(contributor=me)).duplicate
    assert not store.save(new(contributor=me)).duplicate
    assert store.counts() == {"cat": 5}


def test_many_threads_with_one_key_make_one_drawing(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        saved = list(pool.map(lambda _: store.save(new(key="same")), range(48)))
    assert len({receipt.id for receipt in saved}) == 1
    assert sum(not receipt.duplicate for receipt in saved) == 1
    assert store.counts() == {"cat": 1}


def test_several_processes_may_write(url: str) -> None:
    with Store.open(url) as one, Store.open(url) as two, ThreadPoolExecutor(8) as pool:
        stores = [one, two]
        keys = [(stores[i % 2], f"{i // 3}") for i in range(60)]
        list(pool.map(lambda job: job[0].save(new(key=job[1])), keys))
        assert one.counts() == two.counts() == {"cat": 20}


def test_a_list_is_kept_whole_or_not_at_all(store: Store) -> None:
    many = [new(strokes=scribble(i), id=f"import-{i}") for i in range(520)]
    many.append(many[0])
    receipts = store.save_many(many)
    assert [receipt.duplicate for receipt in receipts] == [False] * 520 + [True]
    assert [drawing.id for drawing in store.iterate()] == [one.id for one in many[:-1]]
    refused(lambda: store.save_many([new(strokes=DOG), new(label="")]))
    assert sum(store.counts().values()) == 520
    assert store.save_many([]) == []


def test_equal_strokes_are_stored_once(store: Store) -> None:
    ids = [store.save(new(label, CAT)).id for label in ("cat", "lion")]
    assert len(everything(store)["contents"]) == 1
    store.delete(ids[0], by=None, owner=True)
    kept = store.get(ids[1])
    assert kept is not None
    assert dump(kept.strokes) == dump(CAT)
    store.delete(ids[1], by=None, owner=True)
    assert everything(store)["contents"] == []


def test_gallery_and_counts(store: Store) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    ids = [
        store.save(new(label, scribble(i), contributor=who, consent=consent)).id
        for i, (label, who, consent) in enumerate(
            [("cat", me, True), ("dog", me, False), ("cat", you, True), ("owl", you, True)]
        )
    ]

    def page(**chosen: Any) -> list[int]:
        return [ids.index(drawing.id) for drawing in store.gallery(**chosen)]

    assert page() == [3, 2, 1, 0]
    assert page(contributor=me) == [1, 0]
    assert page(label="cat") == [2, 0]
    assert page(consented_only=True) == [3, 2, 0]
    assert page(offset=1, limit=2) == [2, 1]
    assert page(offset=-5, limit=0) == []
    assert page(contributor=me, label="owl") == []
    assert list(store.counts().items()) == [("cat", 2), ("dog", 1), ("owl", 1)]
    assert store.counts(contributor=me) == {"cat": 1, "dog": 1}
    assert store.counts(consented_only=True) == {"cat": 2, "owl": 1}


def test_iterating_gives_only_what_may_be_used(store: Store) -> None:
    me = store.contributor_of("me")
    for i in range(4):
        store.save(new("cat", scribble(i), contributor=me if i % 2 else None, consent=i < 2))
    assert len(list(store.iterate())) == 2
    assert len(list(store.iterate(consented_only=False))) == 4
    assert len(list(store.iterate(consented_only=False, contributor=me))) == 2
    assert list(store.iterate(label="dog")) == []


def test_iterating_goes_on_while_others_delete_and_save(store: Store) -> None:
    saved = store.save_many([new(strokes=scribble(i)) for i in range(520)])
    met = []
    for drawing in store.iterate():
        if not met:
            for receipt in saved[505:515]:
                store.delete(receipt.id, by=None, owner=True)
            late = store.save(new(strokes=scribble(5000)))
        met.append(drawing.id)
    gone = {receipt.id for receipt in saved[505:515]}
    assert met == [receipt.id for receipt in saved if receipt.id not in gone] + [late.id]


# --- labels


def test_a_changed_label_keeps_who_and_when(store: Store) -> None:
    me = store.contributor_of("me")
    id = store.save(new(contributor=me)).id
    assert store.history(id) == []
    assert store.relabel(id, "cat", by=me).revision == 1  # no change
    changed = store.relabel(id, " lion ", by=me)
    assert (changed.label, changed.revision) == ("lion", 2)
    assert store.relabel(id, "tiger", by="owner", owner=True).revision == 3
    first, second = store.history(id)
    assert (first.before, first.after, first.by) == ("cat", "lion", me)
    assert (second.before, second.after, second.by) == ("lion", "tiger", "owner")
    assert changed.created <= first.changed <= second.changed
    assert store.counts() == {"tiger": 1}


@pytest.mark.parametrize("asks", ["you", None])
def test_only_the_contributor_changes_and_deletes(store: Store, asks: str | None) -> None:
    me = store.contributor_of("me")
    ids = [store.save(new(contributor=who)).id for who in (me, None)]
    by = asks and store.contributor_of(asks)
    for id in [*ids, "nothing"]:
        assert refused(lambda id=id: store.relabel(id, "dog", by=by)).code == "drawing-not-found"
        assert refused(lambda id=id: store.delete(id, by=by)).code == "drawing-not-found"
    assert store.counts() == {"cat": 2}


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ("cat", "cat"),
        ("  The\tEiffel \n Tower ", "The Eiffel Tower"),
        ("ｶﾞ", "ガ"),
        ("ねこ　いぬ", "ねこ いぬ"),
        ("cafe\u0301", "café"),
        ("👩‍🎨", "👩‍🎨"),
        ("x" * 64, "x" * 64),
    ],
)
def test_form_of_labels(label: str, kept: str) -> None:
    assert clean_label(label) == kept


@given(st.text())
@example("\u2003\u0301")
@example("\ufdfa" * 5)
def test_the_form_of_a_label_is_its_own_form(text: str) -> None:
    try:
        label = clean_label(text)
    except StoreError:
        return
    assert clean_label(label) == label
    assert 0 < len(label) <= 64


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("", "label-empty"),
        (" \u3000\n", "label-empty"),
        (None, "label-empty"),
        (5, "label-empty"),
        ("x" * 65, "label-too-long"),
        ("x" * 10_000_000, "label-too-long"),
        ("a\x00b", "label-characters"),
        ("a\x1bb", "label-characters"),
        ("\ud800", "label-characters"),
        ("\u202egod", "label-characters"),
        ("\ue000", "label-characters"),
    ],
)
def test_labels_that_are_refused(store: Store, label: Any, code: str) -> None:
    assert refused(lambda: store.save(new(label))).code == code
    id = store.save(new()).id
    assert refused(lambda: store.relabel(id, label, by=None, owner=True)).code == code
    assert store.counts() == {"cat": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "elsewhere"),
        ("contributor", "a visitor's name"),
        ("contributor", "x" * 65),
        ("model_hash", "x" * 65),
        ("model_hash", None),
        ("predicted", (("cat", math.nan),)),
        ("predicted", (("cat", 1.5),)),
        ("predicted", (("cat", 10**400),)),
        ("predicted", (("cat", -0.1),)),
        ("predicted", (("cat", "0.5"),)),
        ("predicted", (("", 0.5),)),
        ("predicted", (("c\x00t", 0.5),)),
        ("predicted", ("ab",)),
        ("predicted", (("cat", 0.1),) * 101),
        ("predicted", None),
        ("created", -1),
        ("created", 2**63),
        ("created", 1.5),
        ("key", ""),
        ("key", "x" * 201),
        ("id", "../x"),
        ("consent", 1),
        ("strokes", ()),
    ],
)
def test_values_out_of_range_are_refused(store: Store, field: str, value: Any) -> None:
    error = refused(lambda: store.save(dataclasses.replace(new(), **{field: value})))
    assert (error.code, error.status, error.params) == ("drawing-invalid", 422, {"field": field})
    assert everything(store)["records"] == []
    store.save(new())


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_strokes_that_could_not_be_read_again_are_refused(store: Store, value: float) -> None:
    one = np.float32([1])
    stroke = Stroke(np.float32([value]), one)
    refused(lambda: store.save(new(strokes=(stroke,))), StrokesError)
    many = (Stroke(one, one),) * 1001
    refused(lambda: store.save(new(strokes=many)), StrokesError)
    assert store.counts() == {}


# --- taking back


def test_what_is_deleted_is_gone(store: Store) -> None:
    me = store.contributor_of("me")
    id = store.save(new("secret", contributor=me, key="k", predicted=(("cat", 0.5),))).id
    store.relabel(id, "hidden", by=me)
    store.delete(id, by=me)
    assert store.get(id) is None
    assert store.gallery() == list(store.iterate(consented_only=False)) == store.history(id) == []
    rows = everything(store)
    left = {name: len(held) for name, held in rows.items() if held}
    assert left == {"meta": 1, "migrations": schema.VERSION, "tombstones": 1}
    assert rows["tombstones"][0][::3] == (id, 3)
    assert me not in repr(rows)
    assert refused(lambda: store.delete(id, by=me)).code == "drawing-not-found"
    # A late retry, or an old file, does not bring it back.
    assert store.save(new("secret", contributor=me, key="k")).duplicate
    assert store.save(new("secret", id=id)).duplicate
    assert store.counts() == {}


def test_nothing_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'c.sqlite3'}") as store:
        store.save_many([new(strokes=scribble(i)) for i in range(50)])
        strokes = scribble(1000)
        me = store.contributor_of("me")
        id = store.save(new("my secret word", strokes, contributor=me)).id
        with store.database.read() as connection:
            held = sa.select(schema.contents.c.data).where(
                schema.contents.c.digest == digest(strokes)
            )
            data = connection.scalars(held).one()
        assert len(zlib.decompress(data)) > 500

        def found(part: bytes) -> bool:
            return any(part in path.read_bytes() for path in tmp_path.iterdir())

        traces = [data[:100], data[-100:], b"my secret word", me.encode()]
        assert all(map(found, traces))
        store.delete(id, by=me)
        assert not any(map(found, traces))
        assert store.counts() == {"cat": 50}


def test_a_contributor_takes_all_of_theirs_back(store: Store) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    store.save_many([new(strokes=scribble(i), contributor=me) for i in range(520)])
    yours = store.save(new("dog", CAT, contributor=you)).id
    store.save(new("cat", CAT, contributor=me))
    store.relabel(yours, "wolf", by=me, owner=True)
    assert store.withdraw(me) == 521
    assert store.withdraw(me) == 0
    assert store.counts() == {"wolf": 1}
    rows = everything(store)
    assert len(rows["contents"]) == 1
    assert len(rows["tombstones"]) == 521
    assert me not in repr(rows)
    assert [change.by for change in store.history(yours)] == [None]


def test_a_visitor_is_known_by_a_hash_only(new_url: Callable[[], str]) -> None:
    urls = new_url(), new_url()
    hashes = []
    for url in (*urls, urls[0]):
        with Store.open(url) as store:
            hashes.append(store.contributor_of("a visitor's id"))
            store.save(new(contributor=hashes[-1], key="a key"))
            assert "a visitor's id" not in repr(everything(store))
            assert "a key" not in repr(everything(store))
    assert hashes[0] == hashes[2] != hashes[1]
    with Store.open(urls[0]) as store:
        assert len({store.contributor_of(name) for name in ("a", "b", "", "ü", "\ud800")}) == 5


def test_words_that_all_know(store: Store) -> None:
    assert store.accepted_words() == ()
    assert store.accept_word(" totoro ") == "totoro"
    store.accept_word("moai")
    store.accept_word("totoro")
    assert set(store.accepted_words()) == {"totoro", "moai"}
    store.forget_word("totoro")
    store.forget_word("never")
    assert store.accepted_words() == ("moai",)


# --- versions


def tables_of(url: str) -> dict[str, Any]:
    database = Database(url)
    try:
        with database.read() as connection:
            seen = sa.inspect(connection)
            return {
                name: [
                    sorted((c["name"], str(c["type"]), c["nullable"]) for c in columns),
                    seen.get_pk_constraint(name)["constrained_columns"],
                    sorted(str(index["column_names"]) for index in seen.get_indexes(name)),
                    sorted(str(key["constrained_columns"]) for key in seen.get_foreign_keys(name)),
                ]
                for name in seen.get_table_names()
                for columns in [seen.get_columns(name)]
            }
    finally:
        database.close()


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_an_older_collection_is_brought_up_to_date(
    new_url: Callable[[], str], version: int
) -> None:
    fresh, old = new_url(), new_url()
    Store.open(fresh).close()
    database = Database(old)
    database.write(lambda connection: schema.migrate(connection, version=version))
    with database.read() as connection:
        salt = connection.scalar(sa.select(schema.meta.c.value))
    store = Store(database, str(salt))
    id = store.save(new(contributor=store.contributor_of("me"))).id
    store.close()
    assert tables_of(old) != tables_of(fresh)
    with Store.open(old) as store:
        drawing = store.get(id)
        assert drawing is not None
        assert drawing.contributor == store.contributor_of("me")
        voted = store.save_vote(vote(contributor=drawing.contributor)).id
        assert [kept.id for kept in store.votes_of(drawing.contributor)] == [voted]
    assert tables_of(old) == tables_of(fresh)


def test_each_migration_may_be_run_again(store: Store, url: str) -> None:
    id = store.save(new()).id
    before, tables = everything(store), tables_of(url)
    for migration in schema.MIGRATIONS:
        store.database.write(migration)
    assert everything(store) == before
    assert tables_of(url) == tables
    assert store.get(id) is not None


def test_a_newer_collection_is_left_alone(store: Store, url: str) -> None:
    row = schema.migrations.insert().values(version=schema.VERSION + 1, applied=0)
    store.database.write(lambda connection: connection.execute(row))
    before = everything(store)
    assert refused(lambda: Store.open(url)).code == "store-too-new"
    assert everything(store) == before


def test_several_may_open_a_new_collection_at_once(url: str) -> None:
    barrier = threading.Barrier(8)

    def open_and_save(number: int) -> str:
        barrier.wait()
        with Store.open(url, timeout=60) as store:
            store.save(new(key=str(number)))
            return store.contributor_of("me")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(open_and_save, range(8)))) == 1
    with Store.open(url) as store:
        assert store.counts() == {"cat": 8}
        assert len(everything(store)["migrations"]) == schema.VERSION


# --- writes together


def test_writers_that_wait_share_a_transaction(store: Store) -> None:
    """While one holds the turn, others queue; the next transaction takes them all."""
    begun, go_on = threading.Event(), threading.Event()
    transactions: list[int] = []

    def slow(connection: sa.Connection) -> None:
        begun.set()
        assert go_on.wait(60)

    def work(number: int) -> Callable[[sa.Connection], int]:
        def work(connection: sa.Connection) -> int:
            connection.execute(schema.words.insert().values(word=f"w{number}", accepted=number))
            transactions.append(id(connection.get_transaction()))
            if number % 3 == 0:
                raise ValueError(f"number {number}")
            if number % 3 == 1:
                connection.execute(schema.words.insert().values(word=None, accepted=0))
            return number

        return work

    with ThreadPoolExecutor(13) as pool:
        first = pool.submit(store.database.write, slow)
        assert begun.wait(60)
        waiting = [pool.submit(store.database.write, work(n)) for n in range(12)]
        while len(store.database._waiting) < 12:
            time.sleep(0.001)
        go_on.set()
        first.result(60)
        for number, future in enumerate(waiting):
            error = future.exception(60)
            if number % 3 == 0:
                assert isinstance(error, ValueError)
                assert str(number) in str(error)
            elif number % 3 == 1:
                assert isinstance(error, StoreError)
                assert error.code == "store-failed"
            else:
                assert future.result() == number
    assert len(transactions) == 12
    assert len(set(transactions)) == 1
    assert store.accepted_words() == ("w2", "w5", "w8", "w11")


def test_saving_and_deleting_the_same_strokes_at_once(url: str) -> None:
    """Content that one writer removes while another needs it, from two programs."""
    with Store.open(url, timeout=60) as one, Store.open(url, timeout=60) as two:
        stores = (one, two)

        def come_and_go(number: int) -> str:
            store, other = stores[number % 2], stores[number // 2 % 2]
            gone = store.save(new(f"gone {number}")).id
            kept = store.save(new(f"kept {number}")).id
            other.delete(gone, by=None, owner=True)
            return kept

        with ThreadPoolExecutor(8) as pool:
            kept = list(pool.map(come_and_go, range(40)))
        assert sorted(drawing.id for drawing in one.iterate()) == sorted(kept)
        assert len(everything(one)["contents"]) == 1
        for id in kept:
            two.delete(id, by=None, owner=True)
        assert everything(one)["contents"] == []


# --- when it cannot


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Another program holds the collection."""
    if url.startswith("sqlite"):
        other = sqlite3.connect(sa.make_url(url).database or "", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    else:
        import psycopg

        other = psycopg.connect(url)
        other.execute("LOCK TABLE records, words IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def test_a_locked_database(url: str) -> None:
    with Store.open(url, timeout=0.2) as store:
        kept = store.save(new()).id
        with locked(url):
            errors = [refused(lambda: store.save(new("dog", key="k")))]
            with ThreadPoolExecutor(5) as pool:
                many = [pool.submit(store.save, new("dog", key="k")) for _ in range(5)]
                errors += [refused(future.result) for future in many]
        assert {(error.code, error.status) for error in errors} == {("store-busy", 503)}
        assert store.counts() == {"cat": 1}
        assert not store.save(new("dog", key="k")).duplicate
        assert store.get(kept) is not None


def test_a_lock_is_waited_for(url: str) -> None:
    with Store.open(url, timeout=60) as store, ThreadPoolExecutor(1) as pool:
        with locked(url):
            saving = pool.submit(store.save, new())
            while not store.database._busy:
                time.sleep(0.001)
        assert not saving.result(60).duplicate


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://me:pa55word@localhost/x",
        "postgresql+asyncpg://me:pa55word@localhost/x",
        "postgresql://me:pa55word@localhost:port/x",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    error = refused(lambda: Store.open(url))
    assert error.code == "store-bad-url"
    assert "pa55word" not in f"{error}{error.__cause__}"


def test_a_file_that_is_no_collection(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes\n" * 1000)
    error = refused(lambda: Store.open(f"sqlite:///{file}"))
    assert error.code == "store-damaged"
    assert str(tmp_path) not in str(error)
    assert file.read_text() == "these are my notes\n" * 1000


def test_places_where_there_can_be_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "c.sqlite3"):
        error = refused(lambda path=path: Store.open(f"sqlite:///{path}"))
        assert error.code == "store-unavailable"
        assert str(tmp_path) not in str(error)


def test_damaged_content_is_said_to_be(store: Store) -> None:
    id = store.save(new()).id
    spoilt = schema.contents.update().values(data=b"not deflated")
    store.database.write(lambda connection: connection.execute(spoilt))
    assert refused(lambda: store.get(id)).code == "store-damaged"


def test_the_file_is_for_its_owner_only_and_safe(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "c.sqlite3"
    with Store.open(f"sqlite:///{file}") as store:
        store.save(new())
        for path in file.parent.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with store.database.read() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
            }
    # A synchronous of 2 is FULL: each commit waits for the disk.
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
    }


def test_without_a_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refused(lambda: Store.open("postgresql://me@127.0.0.1:9/x"))
    assert error.code == "store-no-driver"
    assert "psycopg" in str(error)


def test_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    error = refused(lambda: Store.open("postgresql://me:pa55word@127.0.0.1:9/x"))
    assert error.code == "store-unavailable"
    assert "pa55word" not in str(error)


def test_a_server_that_does_not_let_us_in(cluster: Cluster) -> None:
    wrong = refused(lambda: Store.open(cluster.url(password="pa55word")))
    absent = refused(lambda: Store.open(cluster.url("no_such_database")))
    assert wrong.code == absent.code == "store-unavailable"
    assert "pa55word" not in str(wrong)


def test_a_server_may_not_answer_before_the_disk(cluster: Cluster) -> None:
    url = cluster.create_database()
    with cluster.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        for setting in ("off", "remote_apply"):
            connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
            with Store.open(url) as store, store.database.read() as ours:
                expected = "on" if setting == "off" else setting
                assert ours.exec_driver_sql("SHOW synchronous_commit").scalar() == expected


def test_a_database_that_may_only_be_read(cluster: Cluster) -> None:
    url = cluster.create_database()
    with Store.open(url) as store:
        id = store.save(new()).id
    with cluster.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with Store.open(url) as store:
        assert refused(lambda: store.save(new())).code == "store-read-only"
        assert store.get(id) is not None


# --- what teaches


def test_what_teaches_is_what_was_given_with_consent(store: Store) -> None:
    me = store.contributor_of("me")
    given = [store.save(new("cat", scribble(i), contributor=me)).id for i in range(3)]
    store.save(new("secret", scribble(7), contributor=me, consent=False))
    expected = [(d.id, d.digest, d.label) for d in store.iterate()]
    assert store.teaching() == expected and [row[0] for row in expected] == given


def test_every_change_of_what_teaches_shows(store: Store) -> None:
    me = store.contributor_of("me")
    stamps = [store.teaching_stamp()]
    first = store.save(new("cat", CAT, contributor=me)).id
    stamps.append(store.teaching_stamp())
    second = store.save(new("cat", DOG, contributor=me)).id
    stamps.append(store.teaching_stamp())
    store.relabel(first, "dog", by=me)
    stamps.append(store.teaching_stamp())
    store.delete(second, by=me)
    stamps.append(store.teaching_stamp())
    store.save(new("cat", DOG, contributor=me))
    stamps.append(store.teaching_stamp())
    store.withdraw(me)
    stamps.append(store.teaching_stamp())
    assert len(set(stamps[:-1])) == 6 and stamps[-1] == stamps[0] == (0, 0, 0)
    store.save(new("secret", scribble(1), contributor=me, consent=False))
    assert store.teaching_stamp() == stamps[-1]
