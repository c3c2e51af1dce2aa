"""The process that makes maps: with UMAP itself, without it, and when things go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tagger.atlas import Atlas, MapParameters, MapWorker, hash_embeddings, trustworthiness
from tagger.errors import GalleryError
from tests.atlas.test_trusting import clusters

ROOT = Path(__file__).resolve().parents[2]
PCA = MapParameters("pca")
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")


def children(parent: int) -> list[int]:
    """Processes that make maps for another."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            stat = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if b"tagger.atlas.child" in command and stat[1] == str(parent) and stat[0] != "Z":
            found.append(int(path.name))
    return found


def alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(true: Callable[[], object]) -> None:
    while not true():
        time.sleep(0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("atlas")


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[MapWorker]:
    worker = MapWorker(folder)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return clusters(300)


@pytest.fixture(scope="module")
def atlas(worker: MapWorker, rows: np.ndarray) -> Atlas:
    return worker.fit(rows, MapParameters(neighbours=10)).result()


def test_umap_makes_a_map_that_can_be_trusted(
    worker: MapWorker, rows: np.ndarray, atlas: Atlas
) -> None:
    assert worker.available and worker.problem == "" and worker.state in ("idle", "ready")
    assert atlas.parameters == MapParameters(neighbours=10)
    assert atlas.positions.shape == (300, 2) and atlas.embeddings == hash_embeddings(rows)
    assert atlas.trustworthiness == pytest.approx(trustworthiness(rows, atlas.positions), abs=1e-6)
    assert atlas.trust.mean() == pytest.approx(atlas.trustworthiness, abs=1e-5)
    assert 0.5 < atlas.pca_trustworthiness < atlas.trustworthiness


def test_the_same_map_is_not_made_twice(
    folder: Path, rows: np.ndarray, atlas: Atlas, worker: MapWorker
) -> None:
    other = MapWorker(folder)
    again = other.fit(rows, MapParameters(neighbours=10))
    assert again.done() and np.array_equal(again.result().positions, atlas.positions)
    assert other.state == "idle"
    other.close()


def test_new_pictures_come_to_those_they_are_like_and_the_map_stays(
    worker: MapWorker, rows: np.ndarray, atlas: Atlas
) -> None:
    assert not worker.ready
    worker.warm(rows, atlas)
    until(lambda: worker.ready)
    assert worker.state == "ready"
    # As they are known, they lie where the map shows them, not where UMAP would begin.
    assert worker.transform(rows).result() == pytest.approx(atlas.positions)
    noisy = rows[:40] + np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32) * 0.02
    placed = worker.transform(noisy).result()
    assert placed.shape == (40, 2) and placed.dtype == np.float32
    width = float(np.ptp(atlas.positions))
    away = np.linalg.norm(placed - atlas.positions[:40], axis=1)
    assert np.median(away) < 0.05 * width
    one = worker.transform(noisy[:1]).result()
    assert np.linalg.norm(one[0] - atlas.positions[0]) < 0.2 * width


def test_tags_pull_together_what_people_called_the_same(
    worker: MapWorker, rows: np.ndarray
) -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(120, 16)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    kinds = rng.integers(0, 2, 120)
    tags = [[int(kind), 2 + n % 3] if n % 10 else [] for n, kind in enumerate(kinds)]

    def apart(supervised: bool) -> float:
        wanted = MapParameters(supervised=supervised)
        found = worker.fit(noise, wanted, tags).result()
        assert found.parameters == wanted
        places = found.positions / found.positions.std()
        same = kinds[:, None] == kinds[None]
        distances = np.linalg.norm(places[:, None] - places[None], axis=2)
        return float(distances[~same].mean() / distances[same].mean())

    assert apart(True) > apart(False) * 1.2


def test_maps_of_three_dimensions_and_of_density(worker: MapWorker, rows: np.ndarray) -> None:
    wanted = MapParameters(dimensions=3, dens=True)
    found = worker.fit(rows[:60], wanted).result()
    assert found.parameters == wanted and found.positions.shape == (60, 3)
    # Pictures can be placed on it all the same.
    worker.warm(rows[:60], found)
    until(lambda: worker.ready)
    assert worker.transform(rows[60:62]).result().shape == (2, 3)


@needs_proc
def test_it_runs_at_low_priority_and_ends_with_the_worker(rows: np.ndarray) -> None:
    worker = MapWorker()
    before = set(children(os.getpid()))
    worker.fit(rows, PCA).result()
    (process,) = set(children(os.getpid())) - before
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process) == min(19, ours + 10)
    worker.close()
    assert not alive(process)
    with pytest.raises(GalleryError) as error:
        worker.fit(rows, PCA).result()
    assert error.value.code == "map-failed"


@needs_proc
def test_a_crash_is_no_end_pca_is_used_and_said(rows: np.ndarray) -> None:
    worker = MapWorker()
    before = set(children(os.getpid()))
    future = worker.fit(rows)
    until(lambda: set(children(os.getpid())) - before)
    (process,) = set(children(os.getpid())) - before
    os.kill(process, signal.SIGKILL)  # while it loads UMAP
    found = future.result()
    assert found.parameters == PCA and len(found) == 300
    assert found.trustworthiness == pytest.approx(found.pca_trustworthiness)
    assert worker.state == "failed" and "ended" in worker.problem
    # The next request has a process again.
    assert worker.fit(rows[:50], PCA).result().parameters == PCA
    assert worker.state == "idle" and worker.problem == ""
    worker.close()


@needs_proc
def test_its_end_on_purpose_is_no_problem(
    rows: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    worker = MapWorker()
    before = set(children(os.getpid()))
    futures = [worker.fit(rows), worker.fit(rows, PCA)]
    until(lambda: set(children(os.getpid())) - before)
    worker.close()  # while it loads UMAP
    assert worker.closed
    for future in futures:
        with pytest.raises(GalleryError):
            future.result(timeout=60)
    assert caplog.records == []


def test_without_umap_pca_is_used_and_said(
    rows: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    worker = MapWorker(tmp_path)
    assert not worker.available
    found = worker.fit(rows[:100]).result()
    assert found.parameters == PCA and "not installed" in worker.problem
    worker.warm(rows[:100], found)
    assert not worker.ready
    worker.close()
    monkeypatch.undo()
    # Installed later, it makes the map that was asked for.
    assert not list(tmp_path.glob("*.npz"))


def test_few_pictures_have_a_map_too(rows: np.ndarray) -> None:
    worker = MapWorker()
    for count in (0, 1, 2, 5):
        found = worker.fit(rows[:count]).result()
        assert len(found) == count and found.parameters == PCA
    worker.close()


def test_a_map_of_other_pictures_is_refused(worker: MapWorker, rows: np.ndarray) -> None:
    atlas = worker.fit(rows[:40], PCA).result()
    with pytest.raises(ValueError, match="other embeddings"):
        worker.warm(rows[:39], atlas)
    with pytest.raises(ValueError, match="as many tags"):
        worker.fit(rows[:40], MapParameters(supervised=True), [[1]])


SERVER = """
import sys, time
import numpy as np
from tagger.atlas import MapWorker
worker = MapWorker()
worker.fit(np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32))
print("begun", flush=True)
time.sleep(600)
"""


@needs_proc
def test_it_dies_with_a_server_that_is_killed() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, stdout=subprocess.PIPE)
    assert server.stdout is not None and server.stdout.readline() == b"begun\n"
    until(lambda: children(server.pid))
    (process,) = children(server.pid)
    # In the midst of its work, not while it waits for some.
    until(lambda: b"llvmlite" in Path(f"/proc/{process}/maps").read_bytes())
    assert alive(process)
    server.kill()
    server.wait()
    until(lambda: not alive(process))


def test_nothing_but_the_process_imports_umap() -> None:
    code = (
        "import sys, tagger.atlas, tagger.gallery\n"
        "print([name for name in ('umap', 'numba', 'sklearn', 'scipy') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == "[]\n"
