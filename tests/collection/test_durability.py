"""Nothing acknowledged is lost: not when the program is killed, not when the server is, not when
the disk is full.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tagger.collection import Store
from tagger.errors import StoreError
from tagger.strokes import digest
from tests.collection.examples import description, new, scribble
from tests.collection.kill_me import SAVES, drawing_of, is_vote, vote_of
from tests.postgres import Absent, Cluster

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def saving(url: str, number: int) -> Iterator[subprocess.Popen[str]]:
    """The program that saves a thousand drawings and votes."""
    command = [sys.executable, "-m", "tests.collection.kill_me", url, str(number)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def killed_after(
    process: subprocess.Popen[str], count: int, kill: Callable[[], None]
) -> dict[int, str]:
    """Call `kill` after so many were acknowledged; all that were, by their numbers."""
    assert process.stdout is not None
    acknowledged: dict[int, str] = {}
    for line in process.stdout:
        if line.endswith("\n"):
            number, id = line.split()
            acknowledged[int(number)] = id
        if len(acknowledged) == count:
            kill()
            count = -1
    return acknowledged


def check_all_there(store: Store, rounds: list[dict[int, str]]) -> None:
    """All that was acknowledged once, whole; whatever else is there is whole, too."""
    there = list(store.iterate())  # reads the strokes of all
    ids = [drawing.id for drawing in there]
    assert len(ids) == len(set(ids))
    by_id = {drawing.id: drawing for drawing in there}
    votes = {vote.id: vote for vote in store.iterate_votes()}
    for vote in votes.values():
        assert store.own_picture(vote.left) == description(int(vote.right.removesuffix(".png")))
    for acknowledged in rounds:
        for number, id in acknowledged.items():
            if is_vote(number):
                assert votes[id].right == f"{number}.png"
                continue
            assert by_id[id].label == f"word {number % 7}"
            assert by_id[id].digest == digest(by_id[id].strokes) == digest(scribble(number, 24))


def check_retried(store: Store, rounds: list[dict[int, str]]) -> None:
    """A client that sends all of it again ends with each once, under the acknowledged id."""
    me = store.contributor_of("me")
    for nth, acknowledged in enumerate(rounds):
        drawings = [i for i in range(SAVES) if not is_vote(i)]
        votes = [i for i in range(SAVES) if is_vote(i)]
        drawn = store.save_many([drawing_of(i, nth, me) for i in drawings])
        voted = store.save_votes([vote_of(i, nth, me) for i in votes])
        saved = dict(zip([*drawings, *votes], [*drawn, *voted], strict=True))
        assert all(saved[number].id == id for number, id in acknowledged.items())
        assert all(saved[number].duplicate for number in acknowledged)
    assert sum(store.counts().values()) + store.count_votes() == SAVES * len(rounds)


def test_killed_in_the_middle_of_a_thousand_saves(url: str) -> None:
    rounds = []
    for nth, count in enumerate((1, 500)):
        with saving(url, nth) as process:
            rounds.append(killed_after(process, count, process.kill))
            assert process.wait() == -signal.SIGKILL
        assert count <= len(rounds[-1])
        if url.startswith("sqlite"):
            path = url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(path)) as plain:
                assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert plain.execute("PRAGMA foreign_key_check").fetchall() == []
        with Store.open(url, timeout=60) as store:
            check_all_there(store, rounds)
    assert min(map(len, rounds)) < SAVES
    with Store.open(url) as store:
        check_retried(store, rounds)


def test_the_server_killed_in_the_middle_of_a_thousand_saves() -> None:
    try:
        cluster = Cluster()
    except Absent as reason:
        pytest.skip(str(reason))
    with contextlib.closing(cluster):
        rounds = []
        for nth, count in enumerate((300,)):
            with saving(cluster.url(), nth) as process:
                rounds.append(killed_after(process, count, cluster.kill))
                assert process.wait() == 0  # it was told, and went on
            assert count <= len(rounds[-1])
            cluster.start()
            with Store.open(cluster.url(), timeout=60) as store:
                check_all_there(store, rounds)
        with Store.open(cluster.url()) as store:
            check_retried(store, rounds)


def test_a_store_outlives_its_server() -> None:
    try:
        cluster = Cluster()
    except Absent as reason:
        pytest.skip(str(reason))
    with contextlib.closing(cluster), Store.open(cluster.url(), timeout=5) as store:
        port = cluster.port
        kept = store.save(new()).id
        cluster.kill()
        with pytest.raises(StoreError) as caught:
            store.save(new("dog", key="k"))
        assert caught.value.code == "store-unavailable"
        cluster.start(port)
        assert store.get(kept) is not None
        assert not store.save(new("dog", key="k")).duplicate


# --- full disks

FILLING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tagger.collection import Store
from tagger.errors import StoreError
from tests.collection.examples import new, scribble

setting = sys.argv[2]
store = Store.open(sys.argv[1], timeout=2)
print("id", store.save(new(strokes=scribble(0))).id, flush=True)
if setting == "file-size":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
elif setting == "pages":
    from sqlalchemy import event
    def limit(raw, record, proxy):
        raw.execute("PRAGMA max_page_count=80")
    event.listen(store.database._engine, "checkout", limit)

def save(i):
    try:
        return f"id {store.save(new(strokes=scribble(i, 400))).id}"
    except StoreError as error:
        return f"error {error.code} {error.status}"

# Several at a time, so that some share the transaction that fails.
with ThreadPoolExecutor(6) as pool:
    for begin in range(1, 2000, 6):
        lines = list(pool.map(save, range(begin, begin + 6)))
        for line in lines:
            print(line, flush=True)
        if not all(line.startswith("id ") for line in lines):
            break
try:
    store.save(new("small"))
    print("small saved", flush=True)
except StoreError as error:
    print("error", error.code, flush=True)
print("counts", sum(store.counts().values()), flush=True)
if setting == "tmpfs":
    import os
    os.unlink(sys.argv[3])
    print("id", store.save(new(strokes=scribble(3000))).id, flush=True)
print("checks", flush=True)
"""


def fill(path: Path, setting: str, *more: str, prefix: Sequence[str] = ()) -> list[str]:
    """Save until it fails, in a process of its own; the lines that it wrote."""
    ran = subprocess.run(
        [*prefix, sys.executable, "-c", FILLING, f"sqlite:///{path}", setting, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()
    assert lines[-1:] == ["checks"], ran.stderr
    return lines


def check_kept(path: Path, lines: list[str]) -> None:
    ids = [line.split()[1] for line in lines if line.startswith("id ")]
    assert len(ids) > 5
    assert "error store-full 507" in lines
    with Store.open(f"sqlite:///{path}") as store:
        kept = {drawing.id for drawing in store.iterate()}
        assert set(ids) <= kept
        assert len(kept) <= len(ids) + 1  # the small one may have found room
        store.save(new("there is room again"))


@pytest.mark.parametrize("setting", ["file-size", "pages"])
def test_a_file_that_may_not_grow(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "c.sqlite3"
    check_kept(path, fill(path, setting))


# Its arguments: where the disk is, where its files are copied to before it vanishes, and a command.
ON_A_SMALL_DISK = """
disk=$1 copy=$2
shift 2
mount -t tmpfs -o size=1m tmpfs "$disk" || exit 90
head -c 300000 /dev/zero >"$disk/ballast"
"$@"
status=$?
cp "$disk"/* "$copy/"
exit $status
"""


def test_a_full_disk(tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    copy.mkdir()
    unshare = shutil.which("unshare")
    # A file system of its own, which only this process and its children see.
    own = [unshare or "", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    if unshare is None or subprocess.run([*own, "mount", "-t", "tmpfs", "x", disk]).returncode:
        pytest.skip("no file system can be mounted here")
    prefix = [*own, "sh", "-c", ON_A_SMALL_DISK, "sh", str(disk), str(copy)]
    lines = fill(disk / "c.sqlite3", "tmpfs", str(disk / "ballast"), prefix=prefix)
    check_kept(copy / "c.sqlite3", lines)


def test_a_server_whose_disk_is_full(cluster: Cluster) -> None:
    """The server's own error, from inside a statement that writes."""
    url = cluster.create_schema()
    with Store.open(url) as store:
        kept = store.save(new()).id
        with cluster.connect(url, autocommit=True) as connection:
            connection.execute(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE SQLSTATE '53100'; END $$"
            )
            connection.execute(
                "CREATE TRIGGER full_disk BEFORE INSERT ON drawings EXECUTE FUNCTION fail()"
            )
            with pytest.raises(StoreError) as caught:
                store.save(new("dog", key="k"))
            assert (caught.value.code, caught.value.status) == ("store-full", 507)
            connection.execute("DROP TRIGGER full_disk ON drawings")
        assert store.counts() == {"cat": 1}
        assert not store.save(new("dog", key="k")).duplicate
        assert store.get(kept) is not None
