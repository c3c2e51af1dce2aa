"""What all that compares has in common: what is open, who asks, how much one may ask for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from tagger.bundlefiles import ModelFacts
from tagger.collection import Store
from tagger.comparing import words
from tagger.comparing.judging import Judge, shown_name
from tagger.comparing.looking import LookAtAll
from tagger.comparing.pool import Pool
from tagger.comparing.tastes import Held, Tastes
from tagger.drawing import DrawServices
from tagger.errors import LimitError, RequestError, TaggerError
from tagger.exploring import ExploreServices
from tagger.preference import Ranker
from tagger.ratelimit import Gate, TokenBuckets
from tagger.settings import Settings
from tagger.tags import TagList

_log = logging.getLogger(__name__)

#: Pictures or votes in one answer.
PAGE = 200

# What requests cost, in tokens: an address gets so many times the rate of drawings in a second,
# since many may share one, and ten seconds' worth at once.
_CROWD = 4.0
_SECONDS = 10.0
PICTURE, LOOK, VOTE, LEARN, EXPORT = 10.0, 2.0, 4.0, 8.0, 100.0
# And what is sent, since it is learnt from or kept: each KiB of a taste, each description or
# rating.
KIB, ROW = 1.0, 0.01
# Wrong tokens of an owner that one address may send in a second; at once, ten times as many.
_GUESSES = 2.0
_MAX_VISITOR = 200


class Base:
    """What is open, and who asks. May be used from any thread.

    Nothing is read before :meth:`start`, which comes back at once.

    Parameters
    ----------
    settings : Settings
        Rates, where votes are collected, the owner's token.
    look : callable
        Tags pictures, names and sources to `Outcome`s in the same order.
    tags : TagList
        T tags of the model behind it.
    model : ModelFacts
        That model.
    explore : ExploreServices, optional
        Whose gallery is voted on.
    draw : DrawServices, optional
        Whose collection takes the votes, too; else they have one of their own.
    ranker : Ranker, optional
        The server's own, of that model.
    clock : callable
        Seconds, for the rates.
    """

    def __init__(
        self,
        settings: Settings,
        look: LookAtAll,
        tags: TagList,
        model: ModelFacts,
        *,
        explore: ExploreServices | None = None,
        draw: DrawServices | None = None,
        ranker: Ranker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.tags = tags
        self.model = model
        self._look = look
        self._explore = explore
        self._own = (
            None if ranker is None else Judge(_id_of(ranker), shown_name(ranker.name), ranker)
        )
        rate = _CROWD * settings.live_rate
        self._tokens = TokenBuckets(rate, _SECONDS * rate, clock=clock)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failed = False
        self._opened: Pool | None = None
        self._owners = TokenBuckets(_GUESSES, 10 * _GUESSES, clock=clock)
        self._exports = Gate(1, 4, each=1, patience=60.0)
        self._tastes = Tastes(tags, model)
        self._draw = draw
        self._own_store: Store | None = None

    # --- opening ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to prepare the gallery for votes, unless that was begun before."""
        with self._lock:
            if self._explore is None or self._thread is not None or self._closed:
                return
            self._thread = threading.Thread(target=self._open, name="compare", daemon=True)
            self._thread.start()

    def settle(self) -> None:
        """Wait until the gallery can be voted on, or it is known that it cannot."""
        self.start()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """End what is being made; what explores the gallery is closed before."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join()
        if self._own_store is not None:
            self._own_store.close()

    @property
    def store(self) -> Store:
        """Where votes are collected: with the drawings, or opened by the first vote.

        Raises
        ------
        StoreError
            If it cannot be opened.
        """
        if self._draw is not None:
            return self._draw.store
        with self._lock:
            if self._own_store is None:
                self._own_store = Store.open(self.settings.database_url)
            return self._own_store

    def _open(self) -> None:
        explore = self._explore
        assert explore is not None
        explore.wait()
        if self._closed or explore.status() != "ready":
            return
        try:
            self._opened = Pool.of(explore.chart(), self._own)
        except Exception:
            self._failed = True
            _log.exception("the gallery cannot be voted on")

    # --- what there is ---------------------------------------------------------------------------

    def status(self) -> str:
        """How far the gallery is: ``"ready"``, or ``"loading"``, ``"failed"``... or ``"off"``."""
        if self._explore is None:
            return "off"
        if self._opened is not None:
            return "ready"
        if self._failed:
            return "failed"
        status = self._explore.status()
        return "loading" if status == "ready" else status

    def pool(self, hash: str | None = None) -> Pool:
        """The pictures that are voted on.

        Parameters
        ----------
        hash : str, optional
            Of the gallery that the caller knows.

        Raises
        ------
        TaggerError
            ``compare-no-gallery``, ``compare-loading``, or ``compare-stale`` if it is another one
            by now.
        """
        self.start()
        pool = self._opened
        if pool is None:
            waits = self.status() in ("loading", "computing")
            raise TaggerError("compare-loading" if waits else "compare-no-gallery")
        if hash is not None and hash != pool.hash:
            raise RequestError("compare-stale")
        return pool

    def _pool_if_any(self) -> Pool | None:
        """As :meth:`pool`, and None where there is nothing to vote on."""
        try:
            return self.pool()
        except TaggerError as error:
            if error.code == "compare-loading":
                raise
            return None

    # --- who asks --------------------------------------------------------------------------------

    def _somebody(self, visitor: str) -> str:
        if not isinstance(visitor, str) or not visitor or len(visitor) > _MAX_VISITOR:
            raise RequestError("visitor-missing")
        return self.store.contributor_of(visitor)

    def _held(self, visitor: str, pool: Pool) -> AbstractContextManager[Held]:
        return self._tastes.of(self._somebody(visitor), pool, self.store)

    def _judge(self, ranker: str, profile: Any, visitor: str) -> Judge:
        """Whatever somebody wants to be judged by."""
        if profile is not None:
            return Judge.of_file(profile, self.model.hash)
        own = self._own
        if own is not None and ranker in ("", own.id):
            return own
        if not ranker and self._pool_if_any() is None:
            raise TaggerError("compare-no-judge")
        if ranker in ("", words.TASTE):
            with self._held(visitor, self.pool()) as held:
                return Judge.of_taste(held.taste)
        raise RequestError("compare-no-ranker", ranker=ranker[:80])

    # --- how often -------------------------------------------------------------------------------

    def expect(self, pictures: int, client: str) -> None:
        """Count pictures that somebody is about to send.

        Raises
        ------
        LimitError
            ``too-fast``.
        """
        self._admit(PICTURE * pictures, client)

    def _counted(
        self, sources: Iterable[tuple[str, Any]], client: str | None
    ) -> Iterator[tuple[str, Any]]:
        for pair in sources:
            if client:
                # Nobody is turned away half-way, but the next request is.
                self._tokens.charge(client, PICTURE)
            yield pair

    def _admit(self, cost: float, client: str | None) -> None:
        """Count a request of an address, before much is done for it.

        Raises
        ------
        LimitError
            ``too-fast``.
        """
        if client and not self._tokens.take(client, cost):
            raise LimitError("too-fast")


def _id_of(ranker: Ranker) -> str:
    """Under which name the server's own ranker is asked for."""
    reserved = ("", words.TASTE, words.FILE)
    name = shown_name(ranker.name)
    return "default" if name in reserved else name
