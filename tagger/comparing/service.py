"""What the doors call to compare: two pictures, sets of them, votes and the tastes they teach.

One object for the page, the REST API and the command line. It opens nothing before it is started,
checks what comes in, and bounds how much one address may ask for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tagger.bundlefiles import ModelFacts
from tagger.comparing import ranking, words
from tagger.comparing.judging import Judge, shown_name
from tagger.comparing.pool import Pool
from tagger.errors import LimitError, PreferenceError, RequestError, TaggerError
from tagger.exploring import ExploreServices
from tagger.preference import Ranker, describe
from tagger.preference.reasons import why
from tagger.preference.space import TAG_SCALE
from tagger.ratelimit import TokenBuckets
from tagger.settings import DEFAULT_RANKER, Settings
from tagger.tags import RankedTag, TagList

Floats = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)

#: Tags that are shown of a picture, and that say why one is preferred.
TAGS, REASONS = 5, 6

# What requests cost, in tokens: an address gets so many times the rate of drawings in a second,
# since many may share one, and ten seconds' worth at once.
_CROWD = 4.0
_SECONDS = 10.0
_PICTURE = 10.0
_COSTS = {"look": 2.0}


class Seen(Protocol):
    """What the model says about a picture; `tagger.services.TagResult` is one."""

    @property
    def tags(self) -> Iterable[RankedTag]:
        """Most probable first."""

    @property
    def picture(self) -> Any:
        """Facts of the file, with a ``to_dict``."""

    @property
    def probabilities(self) -> Floats:
        """Of all T tags."""

    @property
    def embedding(self) -> Floats | None:
        """Of length one."""


class Outcome(Protocol):
    """One of several pictures; `tagger.services.Outcome` is one."""

    @property
    def name(self) -> str:
        """As it was given."""

    @property
    def result(self) -> Seen | None:
        """What was seen, or None."""

    @property
    def error(self) -> TaggerError | None:
        """Why nothing was."""


LookAtAll = Callable[[Iterable[tuple[str, Any]]], Iterator[Outcome]]


@dataclass(frozen=True, eq=False)
class _Side:
    """A picture of a comparison: its description, and what is shown of it."""

    description: Floats
    shown: dict[str, Any]


class CompareServices:
    """Compares pictures, orders them, and learns tastes. May be used from any thread.

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

    def rankers(self, visitor: str = "", lang: str = "en") -> dict[str, Any]:
        """JSON-ready: what pictures can be scored by; see ``GET /rankers``. Never refuses."""
        self.start()
        pool = self._opened
        ids = [] if self._own is None else [self._own.id]
        shown = [
            {
                "id": id,
                "label": words.label(id, "" if self._own is None else self._own.name, lang),
                "about": words.about(id, lang),
                "ready": True,
            }
            for id in ids
        ]
        return {
            "rankers": shown,
            "model": self.model.to_dict(),
            "gallery": {
                "status": self.status(),
                "hash": None if pool is None else pool.hash,
                "count": 0 if pool is None else len(pool),
            },
        }

    # --- two pictures ----------------------------------------------------------------------------

    def expect(self, pictures: int, client: str) -> None:
        """Count pictures that somebody is about to send.

        Raises
        ------
        LimitError
            ``too-fast``.
        """
        self._admit(_PICTURE * pictures, client)

    def compare(
        self,
        left: Any,
        right: Any,
        *,
        ranker: str = "",
        profile: Any = None,
        visitor: str = "",
        hash: str | None = None,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: which of two pictures is preferred, how probably, and why.

        Parameters
        ----------
        left, right : bytes, Path, binary file, PIL image, or int
            Checked against the limits of the settings; or the number of a picture of the gallery.
        ranker : str
            By which of :meth:`rankers`; empty for the server's own, or the taste where there is
            none.
        profile : dict, optional
            A saved taste or ranker that judges instead, as JSON.
        visitor : str
            Whose taste.
        hash : str, optional
            Of the gallery that the numbers are of.
        client : str or None
            Where the request comes from, for the rate limit: an address, or empty. None if
            :meth:`expect` has counted it.

        Raises
        ------
        TaggerError
            With a message for the person who asked.
        """
        numbers = [side for side in (left, right) if type(side) is int]
        pool = self.pool(hash) if numbers else self._opened
        self._admit(_COSTS["look"] + _PICTURE * (2 - len(numbers)), client)
        judge = self._judge(ranker, profile, visitor)
        sides = self._sides(pool, left, right, lang)
        rows = np.stack([side.description for side in sides])
        scores = judge.scores(rows)
        p_left = judge.probability(rows[0], rows[1])
        verdict = judge.verdict(p_left)
        shown = [
            {"score": round(float(score), 4), **side.shown}
            for score, side in zip(scores, sides, strict=True)
        ]
        return {
            "left": shown[0],
            "right": shown[1],
            "p_left": round(p_left, 4),
            "tie": verdict == "tie",
            "verdict": verdict,
            "why": self._why(judge, pool, rows, lang),
            "ranker": judge.to_dict(lang),
            "model": self.model.to_dict(),
        }

    def _sides(self, pool: Pool | None, left: Any, right: Any, lang: str) -> list[_Side]:
        sources = [
            (name, s) for name, s in (("left", left), ("right", right)) if type(s) is not int
        ]
        seen = iter([_seen(outcome) for outcome in self._look(sources)])
        sides = []
        for given in (left, right):
            if type(given) is int:
                assert pool is not None
                number = pool.chart.check(given)
                sides.append(_Side(pool.description(number), pool.chart.brief(number, lang)))
                continue
            result = next(seen)
            ranked = [{"tag": one.tag.index, **one.to_dict(lang)} for one in result.tags]
            shown = {"picture": result.picture.to_dict(), "tags": ranked[:TAGS]}
            sides.append(_Side(_described(result), shown))
        return sides

    def _why(
        self, judge: Judge, pool: Pool | None, rows: Floats, lang: str
    ) -> list[dict[str, Any]]:
        count = len(self.tags)
        # Of each picture the tags that count, galleries' and others alike.
        left, right = rows[:, -count:] / TAG_SCALE
        weights = judge.weights(count, None if pool is None else pool.space)
        return [
            {
                "tag": self.tags[reason.tag].name,
                "label": self.tags[reason.tag].display(lang),
                "left": round(reason.left, 4),
                "right": round(reason.right, 4),
                "speaks_for": reason.speaks_for,
                "weight": round(reason.weight, 4),
            }
            for reason in why(weights, left, right, limit=REASONS)
        ]

    def _judge(self, ranker: str, profile: Any, visitor: str) -> Judge:
        """Whatever somebody wants to be judged by."""
        if profile is not None:
            return Judge.of_file(profile, self.model.hash)
        own = self._own
        if own is not None and ranker in ("", own.id):
            return own
        raise RequestError("compare-no-ranker", ranker=ranker[:80])

    # --- sets ------------------------------------------------------------------------------------

    def rank(
        self,
        sources: Iterable[tuple[str, Any]],
        *,
        ranker: str = "",
        profile: Any = None,
        ratings: Mapping[str, float] | None = None,
        top: int | None = None,
        visitor: str = "",
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: pictures in order, best first; those that cannot be read come last.

        Few pictures are held at a time, and with `top` few results: `sources` may be very many.

        Parameters
        ----------
        sources : iterable of (name, source)
            Sources as in :meth:`compare`, but for numbers.
        ranker, profile, visitor, client
            As in :meth:`compare`.
        ratings : mapping of str to float, optional
            What people think of some of them, by their names: how well the order keeps these is
            told as ``"evaluation"``, see `tagger.comparing.ranking.evaluate`.
        top : int, optional
            How many to give at most; all of them are judged.
        """
        judge = self._judge(ranker, profile, visitor)
        self._admit(_COSTS["look"], client)
        ordering = ranking.Ordering(ratings or {}, None if top is None else max(0, top))
        for outcome in self._look(self._counted(sources, client)):
            if outcome.error is not None or outcome.result is None:
                ordering.fail(outcome.name, outcome.error or TaggerError("internal"))
                continue
            row = _described(outcome.result)
            ordering.add(outcome.name, float(judge.scores(row[None])[0]))
        return {
            "pictures": ordering.pictures(lang),
            "evaluation": ordering.evaluation() if ratings else None,
            "ranker": judge.to_dict(lang),
            "model": self.model.to_dict(),
        }

    def evaluate(self, rows: Any) -> dict[str, Any] | None:
        """JSON-ready: how well scores keep the order of ratings; see `tagger.comparing.ranking`.

        Parameters
        ----------
        rows : list of dict
            ``{"score": number, "rating": number}`` of each picture, as somebody sent them.
        """
        return ranking.evaluate(ranking.check_rows(rows))

    def _counted(
        self, sources: Iterable[tuple[str, Any]], client: str | None
    ) -> Iterator[tuple[str, Any]]:
        for pair in sources:
            if client:
                # Nobody is turned away half-way, but the next request is.
                self._tokens.charge(client, _PICTURE)
            yield pair

    # --- how often -------------------------------------------------------------------------------

    def _admit(self, cost: float, client: str | None) -> None:
        """Count a request of an address, before much is done for it.

        Raises
        ------
        LimitError
            ``too-fast``.
        """
        if client and not self._tokens.take(client, cost):
            raise LimitError("too-fast")


def _seen(outcome: Outcome) -> Seen:
    if outcome.result is None:
        raise outcome.error or TaggerError("internal")
    return outcome.result


def _described(seen: Seen) -> Floats:
    if seen.embedding is None:
        raise RequestError("index-no-embedding")
    row: Floats = describe(seen.embedding[None], seen.probabilities[None])[0]
    return row


def _id_of(ranker: Ranker) -> str:
    """Under which name the server's own ranker is asked for."""
    reserved = ("", words.TASTE, words.FILE)
    name = shown_name(ranker.name)
    return "default" if name in reserved else name


def load_ranker(settings: Settings, model: str) -> Ranker | None:
    """Read the ranker that the settings name.

    Returns
    -------
    Ranker or None
        None if there is none, or it is of no use here: the log says why.
    """
    ref = settings.ranker
    if ref in ("", "none") or (ref == DEFAULT_RANKER and not Path(ref).is_dir()):
        return None
    path = Path(ref).expanduser()
    try:
        return Ranker.load(path / "ranker.json" if path.is_dir() else path, model=model)
    except PreferenceError as error:
        _log.warning("the ranker %s is left out: %s", ref, error)
        return None


def build_compare(
    settings: Settings,
    look: LookAtAll,
    tags: TagList,
    model: ModelFacts,
    explore: ExploreServices | None = None,
) -> CompareServices:
    """Make what compares pictures by the ranker that the settings name, and by people's tastes."""
    ranker = load_ranker(settings, model.hash)
    return CompareServices(settings, look, tags, model, explore=explore, ranker=ranker)
