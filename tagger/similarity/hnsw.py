"""The nearest vectors, approximately: a navigable small-world graph (HNSW) by usearch.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", 2018. The graph only proposes; whoever asks scores what it proposes
by the vectors themselves, so that the answers are those of the exact search where both find them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.errors import RequestError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Edges a node, and how widely the graph is searched while it grows and when it is asked.
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 128, 96

# Vectors added between two looks at who else waits.
_STEP = 64

_MAGIC = b"tagger-graph-1\n"


def installed() -> bool:
    """Whether the library is there; it is not imported by asking."""
    return importlib.util.find_spec("usearch") is not None


class Graph:
    """Keys of vectors by nearness. May be used from any thread.

    The library gives the interpreter free while it works and keeps one working memory a thread
    number, so two calls at once would share it: they are let in one by one. Vectors are added by
    one thread, since several of them at once leave some that no search reaches
    (github.com/unum-cloud/USearch/issues/735); that also makes the graph the same every time.

    Parameters
    ----------
    dimension : int
        D.

    Raises
    ------
    RequestError
        ``index-no-usearch`` if the library is not installed.
    """

    def __init__(self, dimension: int) -> None:
        if not installed():
            raise RequestError("index-no-usearch")
        from usearch.index import Index

        self._dimension = dimension
        # Halves of the bfloat16 form: what is proposed is scored again by the vectors themselves.
        self._graph: Any = Index(
            ndim=dimension,
            metric="ip",
            dtype="bf16",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            expansion_search=EXPANSION_SEARCH,
        )
        self._lock = threading.Lock()
        self._asking = 0
        self._door = threading.Lock()  # of the line above
        self.removed = 0

    def __len__(self) -> int:
        return len(self._graph)

    def add(self, keys: Ints, vectors: npt.NDArray[Any]) -> None:
        """Add vectors ``[N, D]`` of length one under keys that are not there yet."""
        for start in range(0, len(keys), _STEP):
            part = slice(start, start + _STEP)
            rows = np.ascontiguousarray(vectors[part], np.float32)
            with self._lock:
                self._graph.add(keys[part].astype(np.uint64), rows, threads=1)
            # A lock goes to whoever is quickest, which is this loop: let those who ask go first.
            patience = 50
            while self._asking and patience:
                time.sleep(0.0005)
                patience -= 1

    def remove(self, keys: Ints) -> None:
        """Let no search find these any more."""
        with self._lock:
            self._graph.remove(keys.astype(np.uint64), threads=1)
        self.removed += len(keys)

    def find(self, queries: Floats, count: int) -> tuple[Ints, Ints]:
        """Propose near keys.

        Parameters
        ----------
        queries : float32, shape [Q, D]
            Of length one.
        count : int
            How many a query at most.

        Returns
        -------
        asked, keys : int64, shape [M]
            Pairs of a query's number and a key.
        """
        if not len(queries) or not count:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        with self._door:
            self._asking += 1
        try:
            with self._lock:
                found = self._graph.search(np.ascontiguousarray(queries), count, threads=1)
        finally:
            with self._door:
                self._asking -= 1
        keys = np.asarray(found.keys).reshape(len(queries), -1).astype(np.int64)
        # For one query alone, the answer has no counts and is as long as it should be.
        counts = np.asarray(getattr(found, "counts", keys.shape[1])).reshape(-1)
        asked, places = np.nonzero(np.arange(keys.shape[1])[None] < counts[:, None])
        return asked, keys[asked, places]

    def dump(self) -> bytes:
        """The graph as bytes, for :meth:`restore` on the same machine."""
        with self._lock:
            body = bytes(self._graph.save())
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def restore(cls, data: bytes, dimension: int, size: int) -> Graph | None:
        """Bring back what :meth:`dump` wrote; None if it is torn or of another form.

        Only for files that this program wrote itself: the library trusts what it reads.
        """
        start = len(_MAGIC) + hashlib.sha256().digest_size
        body = data[start:]
        if (
            not data.startswith(_MAGIC)
            or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]
        ):
            return None
        graph = cls(dimension)
        try:
            graph._graph.load(body)
        except Exception:  # a version of the library that does not read what another one wrote
            return None
        return graph if graph._graph.ndim == dimension and len(graph) == size else None
