"""How often one visitor may ask, and how much is worked on at a time.

A flood from one visitor is turned away before it costs anything, and nobody else notices.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tagger.errors import LimitError


class TokenBuckets:
    """A bucket of tokens for every key, refilled steadily; each request takes some.

    Parameters
    ----------
    rate : float
        Tokens in a second.
    burst : float
        Tokens in a full bucket.
    clock : callable
        Seconds, never going back.
    max_keys : int
        Buckets that are kept; beyond these the one longest unused is dropped, which is full again
        if it comes back.
    """

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_keys: int = 10_000,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, tokens: float = 1.0) -> bool:
        """Take tokens, if there is at least one; says whether there was.

        What costs more than is there leaves a debt, which the coming time pays off.
        """
        with self._lock:
            now = self._clock()
            left, then = self._buckets.pop(key, (self._burst, now))
            left = min(self._burst, left + self._rate * max(0.0, now - then))
            granted = left >= 1.0
            self._buckets[key] = (left - tokens if granted else left, now)
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
            return granted

    def charge(self, key: str, tokens: float) -> None:
        """Take tokens for what has turned out to be large; the bucket may go into debt."""
        with self._lock:
            if key in self._buckets:
                left, then = self._buckets[key]
                self._buckets[key] = (left - tokens, then)


class Gate:
    """So many work at a time, so many wait, and of these only a few for the same visitor.

    Parameters
    ----------
    places : int
        How many work at a time.
    waiting : int
        How many may wait besides.
    each : int
        How many of one key may work or wait.
    patience : float
        Seconds that one waits at most.
    """

    def __init__(self, places: int, waiting: int, each: int, patience: float) -> None:
        self._places = threading.Semaphore(places)
        self._most = places + waiting
        self._each = each
        self._patience = patience
        self._lock = threading.Lock()
        self._inside = 0
        self._by_key: dict[str, int] = {}

    @contextmanager
    def place(self, key: str = "") -> Iterator[None]:
        """Take a place for as long as the block runs.

        Raises
        ------
        LimitError
            ``too-fast`` if the key has too many already, ``busy`` if all together have.
        """
        with self._lock:
            if key and self._by_key.get(key, 0) >= self._each:
                raise LimitError("too-fast")
            if self._inside >= self._most:
                raise LimitError("busy")
            self._inside += 1
            if key:
                self._by_key[key] = self._by_key.get(key, 0) + 1
        try:
            if not self._places.acquire(timeout=self._patience):
                raise LimitError("busy")
            try:
                yield
            finally:
                self._places.release()
        finally:
            with self._lock:
                self._inside -= 1
                if key:
                    self._by_key[key] -= 1
                    if not self._by_key[key]:
                        del self._by_key[key]


def client_address(peer: str, forwarded: Sequence[str], proxies: int) -> str:
    """The address that a request comes from, behind reverse proxies.

    Each proxy adds the address that it sees at the end of ``X-Forwarded-For``; what stands before
    these additions came with the request, and may be anything.

    Parameters
    ----------
    peer : str
        Who is connected to us.
    forwarded : sequence of str
        Values of all ``X-Forwarded-For`` headers, in their order.
    proxies : int
        How many proxies are trusted to have added theirs.
    """
    entries = [entry.strip() for value in forwarded for entry in value.split(",")]
    if proxies < 1 or not entries:
        return peer
    entry = entries[max(0, len(entries) - proxies)]
    host, colon, _ = entry.rpartition(":")
    # Some add the port: "192.0.2.1:4711", "[2001:db8::1]:4711".
    for text in (entry, entry.strip("[]"), host.strip("[]") if colon else ""):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return peer
