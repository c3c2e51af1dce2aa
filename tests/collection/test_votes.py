"""Votes of the collection, over SQLite and PostgreSQL alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tagger.collection import NewVote, Store, is_own, own_id, schema
from tagger.errors import StoreError
from tagger.preference.votes import CHOICES, KINDS
from tests.collection.examples import description, new, own_vote, scribble, vote


def refused(code: str, call: Any, *given: Any, **named: Any) -> StoreError:
    with pytest.raises(StoreError) as caught:
        call(*given, **named)
    assert caught.value.code == code
    return caught.value


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A collection that takes nothing of what it is given."""
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('votes') / 'c.sqlite3'}") as store:
        yield store


def rows_of(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables that hold any."""
    with store.database.read() as connection:
        held = {
            table.name: [tuple(row) for row in connection.execute(sa.select(table))]
            for table in schema.metadata.sorted_tables
        }
    return {name: rows for name, rows in held.items() if rows}


# --- saving and finding


def test_what_is_saved_comes_back_whole(store: Store) -> None:
    given = NewVote(
        left="ねこ/1.png",
        right="=cmd|' /C calc'!A0",
        choice="both-bad",
        kind="repeat",
        weight=0.5,
        contributor=store.contributor_of("me"),
        consent=True,
        source="api",
        model_hash="0123456789abcdef",
        gallery="fedcba9876543210",
        ranker="my taste",
        p_left=0.1,
        milliseconds=1_234,
        created=1_700_000_000_123,
    )
    saved = store.save_vote(given)
    assert (saved.created, saved.duplicate) == (1_700_000_000_123, False)
    kept = store.get_vote(saved.id)
    assert kept is not None
    assert dataclasses.asdict(kept) == {
        **{k: v for k, v in dataclasses.asdict(given).items() if k not in ("key", "own")},
        "id": saved.id,
        "seq": kept.seq,
    }
    assert store.get_vote("nothing") is store.get_vote("\0") is None
    least = store.get_vote(store.save_vote(vote(consent=False)).id)
    assert least is not None
    assert (least.p_left, least.milliseconds, least.kind) == (None, None, "own")
    assert least.seq > kept.seq


@pytest.mark.parametrize("choice", CHOICES)
def test_all_answers_to_all_questions_are_kept(store: Store, choice: Any) -> None:
    """Those that a taste knows."""
    ids = [store.save_vote(vote(choice=choice, kind=kind)).id for kind in KINDS]
    assert [kept.id for kept in store.iterate_votes()] == ids
    assert [(kept.choice, kept.kind) for kept in store.iterate_votes()] == [
        (choice, kind) for kind in KINDS
    ]


def test_a_vote_that_is_sent_again_is_kept_once(store: Store) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda _: store.save_vote(vote(contributor=me, key="1")), range(16)))
    assert len({receipt.id for receipt in saved}) == 1
    assert sum(not receipt.duplicate for receipt in saved) == 1
    again = store.save_vote(vote("x", "y", "tie", contributor=me, key="1"))
    assert again.duplicate and again.id == saved[0].id and again.created == saved[0].created
    assert not store.save_vote(vote(contributor=you, key="1")).duplicate
    assert not store.save_vote(vote(contributor=me)).duplicate
    assert [kept.choice for kept in store.iterate_votes()] == ["left"] * 3
    # Neither is a drawing's key one of a vote, nor can one kind take the place of the other.
    drawn = store.save(new(contributor=me, key="1"))
    assert not drawn.duplicate
    assert store.save_vote(vote(id=drawn.id)).duplicate
    assert store.save(new(id=again.id)).duplicate
    assert store.get(again.id) is store.get_vote(drawn.id) is None
    refused("vote-not-found", store.delete_vote, drawn.id, by=me)
    refused("drawing-not-found", store.delete, again.id, by=me)
    refused("drawing-not-found", store.relabel, again.id, "cat", by=me)


def test_counting_and_iterating_give_what_is_asked_for(store: Store) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    store.save(new(contributor=me))
    mine = store.save_votes(
        [vote(f"{i}.png", contributor=me, consent=i % 2 == 0) for i in range(1_010)]
    )
    store.save_vote(vote(contributor=you))
    assert [kept.id for kept in store.votes_of(me)] == [receipt.id for receipt in mine]
    assert len(list(store.iterate_votes())) == 506
    assert len(list(store.iterate_votes(contributor=me))) == 505
    assert store.count_votes() == 1_011
    assert store.count_votes(consented_only=True) == 506
    assert store.count_votes(contributor=you) == store.count_votes(contributor=you) == 1
    assert store.votes_of("nobody") == []
    assert sum(store.counts().values()) == 1
    assert len(list(store.iterate(consented_only=False))) == 1


def test_a_list_is_kept_whole_or_not_at_all(store: Store) -> None:
    refused("vote-invalid", store.save_votes, [own_vote(1), vote("a", "a")])
    assert store.count_votes() == 0
    assert store.save_votes([]) == []
    assert store.own_picture(own_vote(1).left) is None


def test_what_teaches_drawings_knows_no_votes(store: Store) -> None:
    store.save(new(consent=True))
    stamp = store.teaching_stamp()
    store.save_vote(vote())
    assert store.teaching_stamp() == stamp
    assert len(store.teaching()) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left", ""),
        ("left", None),
        ("left", 7),
        ("left", "x" * 1_025),
        ("left", "猫" * 342),  # 1,026 bytes
        ("left", "a\0b"),
        ("left", "\ud800"),
        ("right", "a.png"),
        ("right", "own:" + "0" * 32),
        ("choice", "up"),
        ("choice", ["left"]),
        ("kind", "guess"),
        ("weight", 0),
        ("weight", 10.5),
        ("weight", math.nan),
        ("weight", 10**400),
        ("weight", "1"),
        ("weight", True),
        ("contributor", "a visitor's name"),
        ("consent", 1),
        ("source", "elsewhere"),
        ("model_hash", None),
        ("gallery", "x" * 65),
        ("ranker", "x" * 65),
        ("ranker", "a\0"),
        ("p_left", -0.1),
        ("p_left", math.inf),
        ("p_left", False),
        ("milliseconds", -1),
        ("milliseconds", 2**31),
        ("milliseconds", 1.5),
        ("created", 2**63),
        ("key", ""),
        ("key", "x" * 201),
        ("id", "../x"),
        ("own", {own_id(description(1)): description(1)}),
        ("own", None),
    ],
)
def test_values_out_of_range_are_refused(empty: Store, field: str, value: Any) -> None:
    given = dataclasses.replace(vote(), **{field: value})
    error = refused("vote-invalid", empty.save_vote, given)
    assert error.params == {"field": "own" if value == "own:" + "0" * 32 else field}
    assert (error.status, empty.count_votes()) == (422, 0)


@pytest.mark.parametrize("data", [b"", b"x", b"\0\x7c", bytes(2**17 + 2), "ab", None])
def test_a_description_is_finite_numbers_under_its_own_name(empty: Store, data: Any) -> None:
    name = own_id(data if isinstance(data, bytes) else b"ab")
    refused("vote-invalid", empty.save_vote, vote(name, own={name: data}))
    refused("vote-invalid", empty.save_vote, vote(name, own={name: description(1)}))
    assert sorted(rows_of(empty)) == ["meta", "migrations"]


def test_a_file_of_the_gallery_may_be_named_like_an_own_picture(store: Store) -> None:
    kept = store.get_vote(store.save_vote(vote("own:x.png")).id)
    assert kept is not None and kept.public and not is_own(kept.left)


# --- taking back


def test_what_is_taken_back_is_gone_and_stays_so(store: Store) -> None:
    me = store.contributor_of("me")
    id = store.save_vote(own_vote(1, "secret.png", contributor=me, key="k")).id
    refused("vote-not-found", store.delete_vote, id, by=store.contributor_of("you"))
    refused("vote-not-found", store.delete_vote, id, by=None)
    refused("vote-not-found", store.delete_vote, "\0", by=me)
    store.delete_vote(id, by=me)
    assert store.get_vote(id) is None
    assert store.votes_of(me) == []
    rows = rows_of(store)
    assert sorted(rows) == ["meta", "migrations", "tombstones"]
    assert rows["tombstones"][0][:2] == (id, "vote")
    assert me not in repr(rows)
    refused("vote-not-found", store.delete_vote, id, by=me)
    # A late retry, or an old file, does not bring it back.
    assert store.save_vote(own_vote(1, contributor=me, key="k")).duplicate
    assert store.save_vote(vote(id=id)).duplicate
    assert store.count_votes() == 0
    store.delete_vote(store.save_vote(vote()).id, by=None, owner=True)
    assert store.count_votes() == 0


def test_an_own_picture_goes_with_the_last_vote_on_it(store: Store) -> None:
    one, two = own_id(description(1)), own_id(description(2))
    both = vote(one, two, own={one: description(1), two: description(2)})
    first, second = store.save_vote(both).id, store.save_vote(own_vote(2)).id
    drawn = store.save(new(strokes=scribble(1)))
    assert (store.own_picture(one), store.own_picture(two)) == (description(1), description(2))
    store.delete_vote(first, by=None, owner=True)
    assert (store.own_picture(one), store.own_picture(two)) == (None, description(2))
    store.delete_vote(second, by=None, owner=True)
    assert store.own_picture(two) is None
    drawing = store.get(drawn.id)
    assert drawing is not None
    # The strokes of others are not to be had as a picture of one's own.
    assert store.own_picture(drawing.digest) is store.own_picture("own:" + drawing.digest) is None
    store.delete(drawn.id, by=None, owner=True)
    assert "contents" not in rows_of(store)


@pytest.mark.parametrize("kind", ["drawing", "vote", None])
def test_a_contributor_takes_one_kind_back_or_all(store: Store, kind: Any) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    for who in (me, you):
        store.save_many([new(strokes=scribble(i), contributor=who) for i in range(3)])
        store.save_votes([own_vote(i, contributor=who) for i in range(4)])
        store.keep_taste(who, b"taste")
    yours = [drawing.id for drawing in store.iterate(contributor=you)]
    store.relabel(yours[0], "wolf", by=me, owner=True)
    assert store.withdraw(me, kind) == {"drawing": 3, "vote": 4, None: 7}[kind]
    assert store.withdraw(me, kind) == 0
    assert sum(store.counts(contributor=me).values()) == (3 if kind == "vote" else 0)
    assert len(store.votes_of(me)) == (4 if kind == "drawing" else 0)
    assert store.taste_of(me) == (b"taste" if kind == "drawing" else None)
    assert (me in repr(rows_of(store))) == (kind is not None)
    assert [change.by for change in store.history(yours[0])] == [me if kind == "vote" else None]
    # Nobody else's went along.
    assert len(store.votes_of(you)) == 4
    assert sum(store.counts(contributor=you).values()) == 3
    assert store.own_picture(own_vote(2).left) == description(2)
    assert store.taste_of(you) == b"taste"


def test_a_taste_without_votes_is_withdrawn_too(store: Store) -> None:
    me = store.contributor_of("me")
    store.keep_taste(me, b"words")
    assert store.withdraw(me, "vote") == 0
    assert store.taste_of(me) is None


def test_nothing_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'c.sqlite3'}") as store:
        me = store.contributor_of("me")
        store.save_votes([vote(f"{i}.png", contributor=me) for i in range(20)])

        def found(part: bytes) -> bool:
            return any(part in path.read_bytes() for path in tmp_path.iterdir())

        traces = [b"my secret picture", description(5), b"my secret words", me.encode()]
        store.save_vote(own_vote(5, "my secret picture.png", contributor=me))
        store.keep_taste(me, b"my secret words")
        assert all(map(found, traces))
        store.withdraw(me, "vote")
        assert not any(map(found, traces))
        store.keep_taste(me, b"my secret words")
        store.keep_taste(me, None)
        assert not any(map(found, traces))


def test_the_same_own_picture_comes_and_goes_at_once(url: str) -> None:
    """Content that one program removes while another needs it."""
    with Store.open(url, timeout=60) as one, Store.open(url, timeout=60) as two:
        stores = (one, two)

        def come_and_go(number: int) -> str:
            store, other = stores[number % 2], stores[number // 2 % 2]
            passing = store.save_vote(own_vote(1)).id
            kept = store.save_vote(own_vote(1, "kept.png")).id
            other.delete_vote(passing, by=None, owner=True)
            return kept

        with ThreadPoolExecutor(8) as pool:
            kept = list(pool.map(come_and_go, range(24)))
        assert sorted(vote.id for vote in one.iterate_votes()) == sorted(kept)
        assert one.own_picture(own_vote(1).left) == description(1)
        for id in kept:
            two.delete_vote(id, by=None, owner=True)
        assert one.own_picture(own_vote(1).left) is None


# --- tastes


def test_a_taste_is_kept_for_its_contributor(store: Store) -> None:
    me, you = store.contributor_of("me"), store.contributor_of("you")
    assert store.taste_of(me) is None
    for data in (b"one", b"\0\xfftwo"):
        store.keep_taste(me, data)
        assert store.taste_of(me) == data
    assert store.taste_of(you) is None
    store.keep_taste(me, None)
    store.keep_taste(me, None)
    assert store.taste_of(me) is None


@pytest.mark.parametrize(
    ("contributor", "data"),
    [
        ("", b"x"),
        ("a name", b"x"),
        (None, b"x"),
        ("me", b""),
        ("me", "x"),
        ("me", bytes(2**23 + 1)),
    ],
)
def test_what_is_no_taste_is_refused(empty: Store, contributor: Any, data: Any) -> None:
    refused("vote-invalid", empty.keep_taste, contributor, data)
    assert "tastes" not in rows_of(empty)
