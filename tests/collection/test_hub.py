"""Pushing to a dataset repository: only consenting drawings, each once, files only ever added."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import pytest

from tagger.collection import NewDrawing, Store, formats, hub, ledger
from tagger.collection.hub import Pushed, Pusher
from tagger.errors import StoreError
from tagger.settings import Settings
from tests.collection.examples import facts, new, own_vote, scribble, vote
from tests.dataset_hub import REPOSITORY, TOKEN, Hub, serving


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub, to which no proxy leads."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as remote:
        yield remote


def push(store: Store, remote: Hub, token: str = TOKEN) -> Pushed:
    return hub.push(store, REPOSITORY, token, endpoint=remote.url)


def fails(store: Store, remote: Hub, code: str, token: str = TOKEN) -> None:
    with pytest.raises(StoreError) as caught:
        push(store, remote, token)
    assert caught.value.code == code
    assert token not in caught.value.message("en") + caught.value.message("ja")


def test_consenting_drawings_are_pushed_once(store: Store, remote: Hub) -> None:
    me = store.contributor_of("me")
    store.save_many([new(strokes=scribble(i), contributor=me) for i in range(3)])
    store.save(new("private", scribble(9), contributor=me, consent=False))
    assert push(store, remote) == Pushed(files=1, drawings=3)
    assert push(store, remote) == Pushed()
    assert remote.private is True
    assert remote.files is not None
    assert sorted(path.split("/")[0] for path in remote.files) == ["README.md", "data"]
    sent = b"".join(remote.files.values())
    assert b"private" not in sent.replace(remote.files["README.md"], b"")
    assert me.encode() not in sent

    store.save(new("dog", scribble(4)))
    assert push(store, remote) == Pushed(files=1, drawings=1)
    assert remote.overwritten == []
    assert len(remote.commits) == 2
    rows = remote.lines("data")
    assert [row["word"] for row in rows] == ["cat", "cat", "cat", "dog"]
    assert [row["key_id"] for row in rows] == [drawing.id for drawing in store.iterate()]


def test_what_was_pushed_can_be_imported(store: Store, remote: Hub, new_url: object) -> None:
    store.save_many([new(f"w{i}", scribble(i), predicted=(("x", 0.5),)) for i in range(3)])
    push(store, remote)
    assert remote.files is not None
    data = b"".join(content for path, content in remote.files.items() if "data/" in path)
    read = [e for e in formats.read(io.BytesIO(data), "ndjson") if isinstance(e, NewDrawing)]
    with Store.open(new_url()) as other:  # type: ignore[operator]
        other.save_many(read)
        assert list(map(facts, other.iterate())) == list(map(facts, store.iterate()))


def test_corrections_and_withdrawals_follow(store: Store, remote: Hub) -> None:
    me = store.contributor_of("me")
    kept, corrected, deleted = (
        store.save(new(strokes=scribble(i), contributor=me if i == 2 else None)).id
        for i in range(3)
    )
    never = store.save(new(consent=False, contributor=me)).id
    push(store, remote)
    store.relabel(corrected, "lion", by=None, owner=True)
    early = store.save(new(strokes=scribble(7), contributor=me)).id  # gone before a push
    store.withdraw(me)
    assert push(store, remote) == Pushed(files=2, drawings=1, withdrawn=1)
    assert push(store, remote) == Pushed()
    last = remote.lines("data")[-1]
    assert (last["key_id"], last["word"], last["revision"]) == (corrected, "lion", 2)
    (gone,) = remote.lines("withdrawn")
    assert (gone["key_id"], gone["revision"]) == (deleted, 2)
    assert remote.overwritten == []
    named = str(remote.lines("data") + remote.lines("withdrawn"))
    assert kept in named
    assert never not in named
    assert early not in named


def test_votes_go_along(store: Store, remote: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_ROWS", 2)
    me = store.contributor_of("me")
    voted = [store.save_vote(vote(f"{i}.png", contributor=me)).id for i in range(3)]
    store.save_vote(vote("private.png", contributor=me, consent=False))
    store.save_vote(own_vote(1, contributor=me))
    assert push(store, remote) == Pushed(files=2, votes=3)
    assert push(store, remote) == Pushed()
    rows = remote.lines("votes")
    assert [(row["key_id"], row["left"]) for row in rows] == [
        (id, f"{i}.png") for i, id in enumerate(voted)
    ]
    assert remote.files is not None
    sent = b"".join(remote.files.values())
    assert not any(part in sent for part in (me.encode(), b"private.png", b"own:"))
    store.delete_vote(voted[1], by=me)
    assert push(store, remote) == Pushed(files=1, withdrawn=1)
    assert [row["key_id"] for row in remote.lines("withdrawn")] == [voted[1]]
    assert remote.overwritten == []


@pytest.mark.parametrize("trouble", ["refuse", "silent"])
def test_a_push_that_broke_off_goes_on(
    store: Store, remote: Hub, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MAX_ROWS", 2)
    saved = store.save_many([new(strokes=scribble(i)) for i in range(7)])
    remote.troubles = ["", trouble]
    fails(store, remote, "push-failed")
    deleted = saved[3].id  # in the file that broke off
    store.delete(deleted, by=None, owner=True)
    push(store, remote)
    assert remote.overwritten == []
    ids = [row["key_id"] for row in remote.lines("data")]
    assert len(ids) == len(set(ids))
    # What never arrived and was deleted is not known there at all.
    arrived = trouble == "silent"
    assert set(ids) == {receipt.id for receipt in saved} - (set() if arrived else {deleted})
    assert [row["key_id"] for row in remote.lines("withdrawn")] == [deleted] * arrived


def test_files_have_bounds(store: Store, remote: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_BYTES", 3000)
    store.save_many([new(strokes=scribble(i, 5 if i else 500)) for i in range(12)])
    pushed = push(store, remote)
    assert pushed.drawings == 12
    assert pushed.files >= 2
    assert remote.files is not None
    sizes = [len(content) for path, content in remote.files.items() if "data/" in path]
    assert sorted(sizes)[-2] <= 3000 < max(sizes)  # the large one is alone in its file


def test_one_push_at_a_time(store: Store, remote: Hub, url: str) -> None:
    store.save(new())
    with Store.open(url) as other:
        with other.database.alone("push"):
            fails(store, remote, "push-running")
        assert push(store, remote).drawings == 1


def test_a_wrong_token_is_refused(store: Store, remote: Hub) -> None:
    store.save(new())
    fails(store, remote, "push-refused", "hf_wrong")
    assert remote.files is None
    assert push(store, remote).drawings == 1


def test_a_hub_that_is_not_there(store: Store, remote: Hub) -> None:
    store.save(new())
    with pytest.raises(StoreError) as caught:
        hub.push(store, REPOSITORY, TOKEN, endpoint="http://127.0.0.1:9")
    assert caught.value.code == "push-failed"


@pytest.mark.parametrize(
    "given",
    [{}, {"hub_dataset": REPOSITORY}, {"hub_token": TOKEN}],
    ids=["nothing", "no token", "no dataset"],
)
def test_it_is_off_unless_it_is_set_up(store: Store, given: dict[str, str]) -> None:
    with pytest.raises(StoreError) as caught:
        hub.push_from(store, Settings(**given))
    assert caught.value.code == "push-off"


def test_it_is_pushed_now_and_then_and_at_the_end() -> None:
    calls: list[int] = []
    enough = threading.Event()

    def push() -> Pushed:
        calls.append(len(calls))
        if len(calls) == 1:
            raise StoreError("push-failed")
        if len(calls) == 2:
            raise ValueError("unforeseen")
        enough.set()
        return Pushed(1, 2, 0)

    pusher = Pusher(push, interval=0.001)
    assert enough.wait(60)
    pusher.close()
    assert len(calls) >= 3
    once = Pusher(lambda: calls.clear() or Pushed(), interval=3600)
    once.close()
    assert calls == []
