"""Maps made beside the server, in one process that is started when it is first needed."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tagger.atlas import wire
from tagger.atlas.model import (
    Atlas,
    MapParameters,
    hash_embeddings,
    read_atlas,
    write_atlas,
)
from tagger.errors import GalleryError
from tagger.settings import program_environment

Floats = npt.NDArray[np.float32]
State = Literal["idle", "working", "warming", "ready", "failed"]

_log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parents[2]
# Maps that are kept.
_KEPT = 32
# Seconds that the process has to end by itself.
_GRACE = 2.0


class _Broken(Exception):
    """The process has ended, or could not do it; with the reason."""


@dataclass(eq=False)
class _Job:
    header: dict[str, Any]
    arrays: list[npt.NDArray[Any]]
    future: Future[Any]
    finish: Callable[[dict[str, Any], list[npt.NDArray[Any]]], Any]
    fallback: dict[str, Any] | None = None
    problem: str = ""


class MapWorker:
    """One process that makes maps and places pictures on one of them. For any thread.

    Nothing is started before the first request, and the process ends with us, even if we are
    killed. Where UMAP is not installed, or fails, a map is made by PCA and says so.

    Parameters
    ----------
    folder : Path or None
        Where made maps are kept, by content; None keeps none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._waiting = 0
        self._warm: tuple[npt.NDArray[Any], Atlas] | None = None
        self._is_warm = False
        self._state: State = "idle"
        self._problem = ""

    # --- what it is doing ------------------------------------------------------------------------

    @property
    def available(self) -> bool:
        """Whether UMAP is installed."""
        return importlib.util.find_spec("umap") is not None

    @property
    def ready(self) -> bool:
        """Whether :meth:`transform` would answer at once: it is warm, and not making a map."""
        with self._lock:
            return self._is_warm and not self._waiting

    @property
    def state(self) -> State:
        """What it is doing.

        ``idle`` before anything was asked for; ``failed`` if the last request could not be done
        as asked: :attr:`problem` tells why.
        """
        with self._lock:
            if self._waiting or self._state == "failed":
                return self._state
            return "ready" if self._is_warm else "idle"

    @property
    def problem(self) -> str:
        """Why the last request could not be done as asked, for a log; empty if it could."""
        return self._problem

    # --- requests --------------------------------------------------------------------------------

    def fit(
        self,
        embeddings: npt.ArrayLike,
        parameters: MapParameters | None = None,
        tags: Sequence[Sequence[int]] | None = None,
    ) -> Future[Atlas]:
        """Make a map, or take the one that was made of the same before.

        Parameters
        ----------
        embeddings : float, shape [N, D]
            Of length one.
        parameters : MapParameters, optional
            How.
        tags : sequence of sequences of int, optional
            Tag numbers of each, for a supervised map.

        Returns
        -------
        Future of Atlas
            Its `parameters` say what was really done: PCA where UMAP is not installed, fails, or
            has too few points. It fails with a `GalleryError` (``map-failed``) only if no process
            can be run at all.
        """
        rows = np.asarray(embeddings)
        wanted = parameters or MapParameters()
        digest = hash_embeddings(rows)
        more = _rows(tags, len(rows)) if wanted.supervised and tags is not None else []
        key = _key(wanted, digest, more)
        future: Future[Atlas] = Future()
        kept = self._kept(key, digest)
        if kept is not None:
            future.set_result(kept)
            return future
        simple = MapParameters("pca", dimensions=wanted.dimensions)
        asked, missing = wanted, ""
        if wanted.method == "umap" and not self.available:
            asked, missing = simple, "UMAP is not installed (pip install umap-learn)"

        def finish(header: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> Atlas:
            atlas = Atlas(
                positions=arrays[0],
                trust=np.clip(arrays[1], 0, 1),
                parameters=MapParameters.from_dict(header["parameters"]),
                trustworthiness=float(np.clip(header["trustworthiness"], 0, 1)),
                pca_trustworthiness=float(np.clip(header["pca_trustworthiness"], 0, 1)),
                seconds=header["seconds"],
                embeddings=digest,
                sample=header["sample"],
            )
            if atlas.parameters.method == wanted.method:
                self._keep(key, atlas)
            return atlas

        header = {"do": "fit", "parameters": asked.to_dict()}
        instead = {"do": "fit", "parameters": simple.to_dict()}
        return self._ask(_Job(header, [rows, *more], future, finish, instead, missing))

    def warm(self, embeddings: npt.ArrayLike, atlas: Atlas) -> None:
        """Prepare to place pictures on a map, which stays as it is; `ready` tells when.

        Nothing is done where UMAP is not installed, or the map is PCA's.

        Parameters
        ----------
        embeddings : float, shape [N, D]
            What the map was made of.
        atlas : Atlas
            The map.
        """
        rows = np.asarray(embeddings)
        if len(rows) != len(atlas):
            raise ValueError("the map is one of other embeddings")
        if not self.available or atlas.parameters.method != "umap":
            return
        with self._lock:
            self._warm, self._is_warm = (rows, atlas), False

        def finish(header: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> None:
            with self._lock:
                self._is_warm = True

        header = {"do": "warm", "parameters": atlas.parameters.to_dict()}
        self._ask(_Job(header, [rows, atlas.positions], Future(), finish))

    def transform(self, embeddings: npt.ArrayLike) -> Future[Floats]:
        """Place pictures on the map that :meth:`warm` was given, as UMAP does.

        Parameters
        ----------
        embeddings : float, shape [M, D]
            Of length one.

        Returns
        -------
        Future of float32, shape [M, d]
            It fails with a `GalleryError` (``map-failed``) if the process does; whoever cannot
            wait asks only when `ready`.
        """
        job = _Job({"do": "transform"}, [np.asarray(embeddings)], Future(), _first)
        return self._ask(job)

    @property
    def closed(self) -> bool:
        """Whether it was ended; what is asked for from then on fails."""
        with self._lock:
            return self._closed

    def close(self) -> None:
        """End the process, whatever it is doing; what was asked for fails."""
        with self._lock:
            self._closed = True
            process, thread = self._process, self._thread
            self._jobs.put(None)
        if process is not None:
            process.kill()
        if thread is not None:
            thread.join()

    # --- the thread that owns the process --------------------------------------------------------

    def _ask(self, job: _Job) -> Future[Any]:
        with self._lock:
            if self._closed:
                job.future.set_exception(GalleryError("map-failed"))
                return job.future
            self._waiting += 1
            if self._thread is None:
                # The process ends with this thread, so it must be one that lasts.
                self._thread = threading.Thread(target=self._serve, name="maps", daemon=True)
                self._thread.start()
            # Before the mark of the end, or not at all: nobody is left to wait for ever.
            self._jobs.put(job)
        return job.future

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._do(job)
            with self._lock:
                self._waiting -= 1
        self._end()
        while not self._jobs.empty():
            left = self._jobs.get()
            if left is not None and left.future.set_running_or_notify_cancel():
                left.future.set_exception(GalleryError("map-failed"))

    def _do(self, job: _Job) -> None:
        with self._lock:
            self._state = "warming" if job.header["do"] == "warm" else "working"
        failed = bool(job.problem)
        self._note(job.problem)
        try:
            try:
                answer = self._call(job.header, job.arrays)
            except _Broken as problem:
                failed = True
                self._note(str(problem))
                if job.fallback is None or self.closed:
                    raise
                answer = self._call(job.fallback, job.arrays[:1])
            job.future.set_result(job.finish(*answer))
        except _Broken:
            job.future.set_exception(GalleryError("map-failed"))
        except Exception as error:  # nothing that is unforeseen may leave somebody waiting
            failed = True
            self._note(repr(error))
            job.future.set_exception(GalleryError("map-failed"))
        with self._lock:
            self._state = "failed" if failed else "idle"
            lost = None if self._is_warm or self._closed else self._warm
        if failed and lost is not None and job.header["do"] != "warm":
            self.warm(*lost)

    def _call(
        self, header: dict[str, Any], arrays: list[npt.NDArray[Any]]
    ) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        try:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            wire.send(process.stdin, header, arrays)
            answer, made = wire.receive(process.stdout)
        except (EOFError, OSError) as error:
            self._end()
            raise _Broken("the process of the maps ended") from error
        if "error" in answer:
            raise _Broken(answer["error"])
        return answer, made

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        if self.closed:
            raise OSError("closed")
        with self._lock:
            self._is_warm = False
        environment = program_environment(_PACKAGE)
        if self._folder is not None:
            # What is compiled once need not be compiled again.
            environment.setdefault("NUMBA_CACHE_DIR", str(self._folder.resolve() / "numba"))

        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tagger.atlas.child", str(os.getpid())],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with self._lock:
            self._process = process
            if self._closed:  # meanwhile
                process.kill()
        return process

    def _end(self) -> None:
        with self._lock:
            process, self._process, self._is_warm = self._process, None, False
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _note(self, problem: str) -> None:
        self._problem = problem
        if problem and not self.closed:  # its end on purpose is none
            _log.warning("map: %s", problem)

    # --- maps that were made before --------------------------------------------------------------

    def _kept(self, key: str, digest: str) -> Atlas | None:
        if self._folder is None:
            return None
        try:
            atlas = read_atlas(self._folder / f"{key}.npz")
        except (OSError, ValueError):
            return None
        return atlas if atlas.embeddings == digest else None

    def _keep(self, key: str, atlas: Atlas) -> None:
        if self._folder is None:
            return
        with contextlib.suppress(OSError):  # then it is made again
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atlas(self._folder / f"{key}.npz", atlas)
            kept = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
            for old in kept[:-_KEPT]:
                old.unlink(missing_ok=True)


def _first(header: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return arrays[0]


def _rows(tags: Sequence[Sequence[int]], count: int) -> list[npt.NDArray[Any]]:
    if len(tags) != count:
        raise ValueError("as many tags as embeddings are needed")
    start = np.zeros(count + 1, np.int64)
    np.cumsum([len(one) for one in tags], out=start[1:])
    return [start, np.array([number for one in tags for number in one], np.int64)]


def _key(parameters: MapParameters, digest: str, arrays: list[npt.NDArray[Any]]) -> str:
    whole = hashlib.sha256(json.dumps([1, parameters.to_dict(), digest]).encode())
    for array in arrays:
        whole.update(array.tobytes())
    return whole.hexdigest()[:32]
