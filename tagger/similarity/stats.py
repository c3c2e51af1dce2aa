"""How an index is doing: what it holds, and how long lookups take."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Lookups whose durations are remembered, as many as TensorFlow Similarity's.
REMEMBERED = 1_000


class Timings:
    """Durations of the last lookups. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._count = 0

    def note(self, seconds: float, lookups: int) -> None:
        """Note that so many lookups took so long together."""
        with self._lock:
            self._seconds.extend([seconds / lookups] * min(lookups, REMEMBERED))
            self._count += lookups

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._seconds.clear()
            self._count = 0

    def summary(self) -> tuple[int, dict[str, float]]:
        """How many lookups there were, and seconds a lookup; see :class:`Stats`."""
        with self._lock:
            count, seconds = self._count, np.array(self._seconds, np.float64)
        if not len(seconds):
            return count, {}
        return count, {
            "min": float(seconds.min()),
            "mean": float(seconds.mean()),
            **{f"p{q}": float(np.percentile(seconds, q)) for q in (50, 90, 95, 99)},
            "max": float(seconds.max()),
        }


@dataclass(frozen=True, slots=True)
class Stats:
    """How an index is doing.

    Attributes
    ----------
    size, dimension : int
        Items, and numbers of an embedding.
    search : str
        ``"exact"`` or ``"hnsw"``: what answers now.
    precision : str
        ``"float32"`` or ``"float16"``.
    bytes : int
        Taken by embeddings.
    removed : int
        Rows of removed items that still take room.
    lookups : int
        Asked so far.
    latency : mapping
        Seconds a lookup over the last 1,000: ``min``, ``mean``, ``p50``, ``p90``, ``p95``,
        ``p99``, ``max``; empty before the first. In a batch, each lookup takes its share.
    calibrated : bool
        Whether there are cut-points.
    """

    size: int
    dimension: int
    search: str
    precision: str
    bytes: int
    removed: int
    lookups: int
    latency: Mapping[str, float]
    calibrated: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "size": self.size,
            "dimension": self.dimension,
            "search": self.search,
            "precision": self.precision,
            "bytes": self.bytes,
            "removed": self.removed,
            "lookups": self.lookups,
            "latency": dict(self.latency),
            "calibrated": self.calibrated,
        }
