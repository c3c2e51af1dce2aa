"""What the doors call to compare: two pictures, sets of them, votes and the tastes they teach.

One object for the page, the REST API and the command line. It opens nothing before it is started,
checks what comes in, and bounds how much one address may ask for.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from tagger.bundlefiles import ModelFacts
from tagger.collection import NewVote, Store, own_id, vote_formats
from tagger.collection.vote_records import VoteSource
from tagger.comparing import descriptions, keeping, ranking, reporting, words
from tagger.comparing.ballots import MAX_NEXT, Ballot, read_pending
from tagger.comparing.judging import Judge, shown_name
from tagger.comparing.keeping import Kept
from tagger.comparing.pool import Pool
from tagger.comparing.tastes import Cast, Held, Tastes
from tagger.drawing import DrawServices
from tagger.errors import LimitError, PreferenceError, RequestError, TaggerError
from tagger.exploring import ExploreServices
from tagger.preference import Pair, Profile, Ranker, blend, describe
from tagger.preference.ranker import read_json
from tagger.preference.reasons import why
from tagger.preference.space import TAG_SCALE
from tagger.ratelimit import Gate, TokenBuckets
from tagger.settings import DEFAULT_RANKER, Settings
from tagger.tags import RankedTag, TagList

Floats = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)

#: Tags that are shown of a picture, and that say why one is preferred.
TAGS, REASONS = 5, 6
#: Words that are shown of a taste, besides those that were edited.
WORDS = 12
#: Share of the gallery's pairs that a taste is to put in the voter's order.
GOAL = 0.85
#: Pictures or votes in one answer.
PAGE = 200

# What requests cost, in tokens: an address gets so many times the rate of drawings in a second,
# since many may share one, and ten seconds' worth at once.
_CROWD = 4.0
_SECONDS = 10.0
_PICTURE = 10.0
_COSTS = {"look": 2.0, "vote": 4.0, "learn": 8.0, "owner": 40.0}
_EXPORT = 100.0
# Wrong tokens of an owner that one address may send in a second; at once, ten times as many.
_GUESSES = 2.0
_MAX_VISITOR = 200


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
    draw : DrawServices, optional
        Whose collection takes the votes, too; else they have one of their own.
    ranker : Ranker, optional
        The server's own, of that model.
    clock : callable
        Seconds, for the rates.
    seed : int, optional
        Of what is asked; by default chance.
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
        seed: int | None = None,
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
        self._tastes = Tastes(tags, model, seed=seed)
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

    def rankers(self, visitor: str = "", lang: str = "en") -> dict[str, Any]:
        """JSON-ready: what pictures can be scored by; see ``GET /rankers``."""
        self.start()
        pool = self._opened
        own = self._own
        shown = []
        if own is not None:
            about = words.about(own.id, lang)
            shown.append({**own.to_dict(lang), "about": about, "ready": True})
        if self._explore is not None:
            ready = False
            if pool is not None and visitor:
                with self._held(visitor, pool) as held:
                    ready = _knows(held)
            label, about = words.label(words.TASTE, lang=lang), words.about(words.TASTE, lang)
            shown.append({"id": words.TASTE, "label": label, "about": about, "ready": ready})
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
        if ranker in ("", words.TASTE):
            with self._held(visitor, self.pool()) as held:
                return Judge.of_taste(held.taste)
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
        described: bool = False,
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
        described : bool
            Whether each picture comes with its ``"description"``, for :meth:`rescore`; names must
            differ then.
        """
        judge = self._judge(ranker, profile, visitor)
        self._admit(_COSTS["look"], client)
        told: dict[str, str] = {}
        ordering = ranking.Ordering(ratings or {}, None if top is None else max(0, top))
        for outcome in self._look(self._counted(sources, client)):
            if outcome.error is not None or outcome.result is None:
                ordering.fail(outcome.name, outcome.error or TaggerError("internal"))
                continue
            row = _described(outcome.result)
            if described:
                row = descriptions.rounded(row)
                told[outcome.name] = descriptions.pack(row)
            ordering.add(outcome.name, float(judge.scores(row[None])[0]))
        pictures = ordering.pictures(lang)
        for picture in pictures:
            if picture["name"] in told:
                picture["description"] = told[picture["name"]]
        return {
            "pictures": pictures,
            "evaluation": ordering.evaluation() if ratings else None,
            "ranker": judge.to_dict(lang),
            "model": self.model.to_dict(),
        }

    def rescore(
        self,
        texts: Any,
        *,
        model: str,
        ranker: str = "",
        profile: Any = None,
        visitor: str = "",
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: scores of pictures that :meth:`rank` described, by any ranker.

        Parameters
        ----------
        texts : list of str
            Their descriptions, as somebody sent them.
        model : str
            Hash of the model that described them.
        ranker, profile, visitor, client
            As in :meth:`compare`.

        Raises
        ------
        TaggerError
            ``compare-stale``, if there is another model by now.
        """
        self._admit(_COSTS["look"], client)
        if model != self.model.hash:
            raise RequestError("compare-stale")
        judge = self._judge(ranker, profile, visitor)
        rows = descriptions.unpack(texts)
        if judge.space is not None and rows.shape[1] != judge.space.dimension:
            raise RequestError("compare-stale")
        return {
            "scores": [round(float(score), 6) for score in judge.scores(rows)],
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

    # --- votes -----------------------------------------------------------------------------------

    def next_pairs(
        self,
        visitor: str,
        count: int = 3,
        pending: Any = (),
        *,
        hash: str | None = None,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: what a visitor is asked next; see `Taste.next_pairs`.

        Parameters
        ----------
        visitor : str
            Who.
        count : int
            How many pairs; at most ten.
        pending : sequence
            Pairs that are asked already: ``[left, right, kind]`` each, or `Pair`.
        hash : str, optional
            Of the gallery that the pending ones are of.
        """
        pool = self.pool(hash)
        asked = _pending(pool, read_pending(pending))
        self._admit(_COSTS["vote"], client)
        with self._held(visitor, pool) as held:
            pairs = _next(held, count, asked)
            votes = held.taste.count
        return {
            "hash": pool.hash,
            "pairs": [_brief_pair(pool, pair, lang) for pair in pairs],
            "count": votes,
        }

    def vote(
        self,
        visitor: str,
        ballot: Mapping[str, Any],
        *,
        source: VoteSource = "page",
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """Keep a vote and learn from it. When this returns, it is on the disk.

        Parameters
        ----------
        visitor : str
            Whose it is.
        ballot : mapping
            See `tagger.comparing.ballots.Ballot`. Pictures may be numbers of the gallery's, or
            files: these are described and not kept.
        source : {"page", "api"}
            Where it was given.
        client : str or None
            As in :meth:`compare`.

        Returns
        -------
        dict
            JSON-ready: the vote's ``id``, the ``count`` of votes that say something, whether it is
            a ``duplicate``, ``p_left`` that the taste had expected, the next ``pairs`` and the
            gallery's ``hash``.
        """
        contributor = self._somebody(visitor)
        given = Ballot.read(ballot)
        pool = self.pool(given.hash)
        asked = _pending(pool, given.pending)
        sides = (given.left, given.right)
        own = sum(type(side) is not int for side in sides)
        self._admit(_COSTS["vote"] + _PICTURE * own, client)
        ids, rows, descriptions = self._voted(pool, sides)
        if ids[0] == ids[1]:
            raise PreferenceError("vote-pair-invalid")
        with self._tastes.of(contributor, pool, self.store) as held:
            held.check_room()
            numbers = [
                side if type(side) is int else held.guest(id, row)
                for side, id, row in zip(sides, ids, rows, strict=True)
            ]
            pair = Pair(numbers[0], numbers[1], given.kind)
            pair = replace(pair, kind=held.kind_of(pair))
            expected = float(held.taste.probability(rows[:1], rows[1:])[0])
            new = NewVote(
                left=ids[0],
                right=ids[1],
                choice=given.choice,
                kind=pair.kind,
                contributor=contributor,
                consent=given.consent,
                source=source,
                model_hash=self.model.hash,
                gallery=pool.hash,
                ranker=given.ranker,
                p_left=self._said(given.ranker, rows, expected),
                milliseconds=given.milliseconds,
                key=given.key,
                own=descriptions,
            )
            saved = self.store.save_vote(new)
            if not saved.duplicate:
                cast = Cast(saved.id, new.left, new.right, new.choice, new.kind, saved.created)
                held.add(cast, pair)
            pairs = _next(held, given.next, asked)
            count = held.taste.count
        return {
            "id": saved.id,
            "count": count,
            "duplicate": saved.duplicate,
            "p_left": round(expected, 4),
            "pairs": [_brief_pair(pool, pair, lang) for pair in pairs],
            "hash": pool.hash,
        }

    def undo(self, visitor: str, id: str) -> None:
        """Take back any of a visitor's votes, and what was learnt from it.

        Raises
        ------
        StoreError
            ``vote-not-found``.
        """
        contributor = self._somebody(visitor)
        pool = self._pool_if_any()
        if pool is None:
            # Where nobody can vote any more, all may still take back.
            return self.store.delete_vote(id, by=contributor)
        with self._tastes.of(contributor, pool, self.store) as held:
            cast = held.find(id)
            kept = held.kept if cast is None else held.without(cast)
            if kept is not held.kept:
                self.store.keep_taste(contributor, kept.write())
            self.store.delete_vote(id, by=contributor)
            if cast is not None:
                held.remove(cast, kept)

    def votes(
        self, visitor: str, *, offset: int = 0, limit: int = 50, lang: str = "en"
    ) -> dict[str, Any]:
        """JSON-ready: a page of a visitor's own votes, newest first.

        Pictures that are not of the gallery, or no more, are None.
        """
        pool = self.pool()
        with self._held(visitor, pool) as held:
            cast = held.cast[::-1]
        begin = max(0, offset)

        def brief(id: str) -> dict[str, Any] | None:
            number = pool.numbers.get(id)
            return None if number is None else pool.chart.brief(number, lang)

        return {
            "votes": [
                {
                    "id": vote.id,
                    "left": brief(vote.left),
                    "right": brief(vote.right),
                    "choice": vote.choice,
                    "kind": vote.kind,
                    "created": vote.created,
                }
                for vote in cast[begin : begin + max(0, min(limit, PAGE))]
            ],
            "total": len(cast),
        }

    def withdraw(self, visitor: str) -> dict[str, Any]:
        """Remove all of a visitor's votes and the taste; JSON-ready: how many votes it were."""
        contributor = self._somebody(visitor)
        pool = self._pool_if_any()
        if pool is None:
            return {"deleted": self.store.withdraw(contributor, "vote")}
        with self._tastes.of(contributor, pool, self.store) as held:
            deleted = self.store.withdraw(contributor, "vote")
            held.forget()
        return {"deleted": deleted}

    # --- tastes ----------------------------------------------------------------------------------

    def taste(self, visitor: str, *, lang: str = "en", client: str | None = "") -> dict[str, Any]:
        """JSON-ready: what is known of a visitor's taste, and how well; see ``GET /taste``."""
        pool = self.pool()
        self._admit(_COSTS["learn"], client)
        with self._held(visitor, pool) as held:
            tell = self._told(pool, held, lang)
        return tell()

    def order(
        self,
        visitor: str,
        *,
        ranker: str = words.TASTE,
        offset: int = 0,
        limit: int = 24,
        worst_first: bool = False,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: the gallery's pictures in order, best first or worst first."""
        pool = self.pool()
        self._admit(_COSTS["vote"], client)
        own = self._own
        if own is not None and ranker == own.id and pool.scores is not None:
            scores = pool.scores
        elif ranker in ("", words.TASTE):
            with self._held(visitor, pool) as held:
                posterior = held.taste.posterior
            scores = pool.space.pool @ posterior.mean
        else:
            raise RequestError("compare-no-ranker", ranker=ranker[:80])
        best = np.argsort(-scores, kind="stable")
        ranks = np.arange(1, len(best) + 1)
        if worst_first:
            best, ranks = best[::-1], ranks[::-1]
        begin = max(0, offset)
        part = slice(begin, begin + max(0, min(limit, PAGE)))
        return {
            "pictures": [
                {**pool.chart.brief(n, lang), "score": round(float(scores[n]), 4), "rank": rank}
                for n, rank in zip(best[part].tolist(), ranks[part].tolist(), strict=True)
            ],
            "total": len(best),
            "hash": pool.hash,
        }

    def edit(
        self,
        visitor: str,
        tag: str,
        weight: Any,
        *,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """Set by hand how much a tag is liked, -1..1, or with None let it be learnt again.

        Returns
        -------
        dict
            As :meth:`taste`.
        """
        contributor, pool = self._somebody(visitor), self.pool()
        self._admit(_COSTS["learn"], client)
        found = self.tags.find(tag) if isinstance(tag, str) and len(tag) <= 200 else None
        if found is None:
            raise PreferenceError("taste-tag-unknown")
        if weight is not None and (type(weight) not in (int, float) or not math.isfinite(weight)):
            raise PreferenceError("taste-weight-invalid")
        with self._tastes.of(contributor, pool, self.store) as held:
            kept = held.edited(found.index, weight)
            self.store.keep_taste(contributor, kept.write())
            held.taste.edit(found.index, weight)
            held.kept = kept
            tell = self._told(pool, held, lang)
        return tell()

    def profile(self, visitor: str) -> bytes:
        """A visitor's taste as a file: JSON of some kilobytes."""
        with self._held(visitor, self.pool()) as held:
            return keeping.to_file(held.taste, held.kept.begun_from)

    def load(
        self, visitor: str, data: Any, *, lang: str = "en", client: str | None = ""
    ) -> dict[str, Any]:
        """Let a saved taste take the place of a visitor's, or a ranker be what it begins from.

        Votes given before stay in the collection, but are no part of the taste any more.

        Parameters
        ----------
        data : bytes or dict
            The file, or what is in it.

        Returns
        -------
        dict
            As :meth:`taste`.
        """
        pool = self.pool()
        self._admit(_COSTS["learn"], client)
        kept = keeping.read_file(_parsed(data), pool.space, self.tags)
        return self._replace(visitor, pool, lambda held: kept, lang)

    def blend(
        self,
        visitor: str,
        data: Any,
        share: Any,
        *,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """Mix another's taste into a visitor's; see `tagger.preference.blend`.

        Parameters
        ----------
        data : bytes or dict
            As in :meth:`load`.
        share : float, 0..1
            Of the other's.

        Returns
        -------
        dict
            As :meth:`taste`.
        """
        pool = self.pool()
        self._admit(_COSTS["learn"], client)
        if type(share) not in (int, float) or not 0 <= share <= 1:
            raise PreferenceError("taste-share-invalid")
        theirs = keeping.read_file(_parsed(data), pool.space, self.tags)
        assert theirs.profile is not None
        other = theirs.profile
        name = shown_name(other.ranker.name) or words.FILE

        def mix(held: Held) -> Kept:
            own = held.taste.profile()
            # What knows nothing has no direction that could be mixed.
            known = [each for each in (own, other) if each.ranker.weights.any()]
            mixed = blend(own, other, float(share)) if len(known) == 2 else (known or [own])[0]
            return Kept(name, profile=Profile(mixed.ranker, space="", start=mixed.ranker.weights))

        return self._replace(visitor, pool, mix, lang)

    def _replace(
        self, visitor: str, pool: Pool, make: Callable[[Held], Kept], lang: str
    ) -> dict[str, Any]:
        contributor = self._somebody(visitor)
        with self._tastes.of(contributor, pool, self.store) as held:
            last = max((vote.seq for vote in self.store.votes_of(contributor)), default=-1)
            kept = replace(make(held), since=last)
            kept.taste(pool.space, self.tags)
            self.store.keep_taste(contributor, kept.write())
            held.replace(kept)
            tell = self._told(pool, held, lang)
        return tell()

    def _told(self, pool: Pool, held: Held, lang: str) -> Callable[[], dict[str, Any]]:
        """What is said of a taste, to be worked out without holding it."""
        held.taste.posterior  # noqa: B018  (once, not in every copy)
        taste, knows = held.taste.copy(), _knows(held)
        skipped, begun = len(held.left_out), held.kept.begun_from

        def tell() -> dict[str, Any]:
            consistency = taste.consistency()
            found = taste.words(WORDS + len(taste.edits)) if knows else []
            ceiling = consistency.ceiling
            return {
                "count": taste.count,
                "skipped": skipped,
                "agreement": taste.agreement().to_dict(),
                "consistency": {
                    "repeated": consistency.repeated.to_dict(),
                    "ceiling": None if math.isnan(ceiling) else round(ceiling, 5),
                },
                "certainty": round(taste.certainty(), 4),
                "votes_to_go": taste.votes_to_go(GOAL),
                "goal": GOAL,
                "words": [
                    {
                        "tag": self.tags[word.tag].name,
                        "label": self.tags[word.tag].display(lang),
                        "weight": round(word.weight, 4),
                        "low": round(word.low, 4),
                        "high": round(word.high, 4),
                        "edited": word.edited,
                    }
                    for word in found
                ],
                "begun_from": begun,
                "hash": pool.hash,
            }

        return tell

    # --- for the owner ---------------------------------------------------------------------------

    def check_owner(self, token: str, client: str = "") -> None:
        """Let the owner pass and nobody else; wrong tokens count.

        Raises
        ------
        RequestError
            ``owner-only``, for any other token.
        LimitError
            ``too-fast``, where too many wrong ones came from there before, whatever this one is.
        """
        key = f"owner:{client}"
        if not self._owners.take(key):
            raise LimitError("too-fast")
        if not self.settings.is_owner(token):
            raise RequestError("owner-only")
        # Given back: the owner may ask as often as they like.
        self._owners.charge(key, -1.0)

    def report(self, token: str, client: str = "", lang: str = "en") -> dict[str, Any]:
        """JSON-ready: what all votes say that were given with consent; for the owner.

        See `tagger.preference.arena.report`; each standing has its ``picture``.
        """
        self.check_owner(token, client)
        pool = self.pool()

        def brief(id: str) -> dict[str, Any] | None:
            number = pool.numbers.get(id)
            return None if number is None else pool.chart.brief(number, lang)

        with self._exports.place():
            return reporting.report(self.store.iterate_votes(), brief)

    def export(
        self, file: BinaryIO, format: str, *, visitor: str | None = None, client: str | None = ""
    ) -> int:
        """Write votes to a file; how many it were.

        Parameters
        ----------
        file : binary file
            Open for writing.
        format : {"jsonl", "csv", "parquet"}
            See `tagger.collection.vote_formats`.
        visitor : str, optional
            Whose votes; with None, all that were given with consent: a door asks
            :meth:`check_owner` first.
        """
        self._admit(_EXPORT, client)
        store = self.store
        with self._exports.place(client or ""):
            if visitor is None:
                return vote_formats.export_votes(store.iterate_votes(), file, format)
            own = store.iterate_votes(consented_only=False, contributor=self._somebody(visitor))
            return vote_formats.export_votes(own, file, format, own=True)

    # --- parts -----------------------------------------------------------------------------------

    def _somebody(self, visitor: str) -> str:
        if not isinstance(visitor, str) or not visitor or len(visitor) > _MAX_VISITOR:
            raise RequestError("visitor-missing")
        return self.store.contributor_of(visitor)

    def _held(self, visitor: str, pool: Pool) -> AbstractContextManager[Held]:
        return self._tastes.of(self._somebody(visitor), pool, self.store)

    def _voted(
        self, pool: Pool, sides: tuple[Any, Any]
    ) -> tuple[list[str], Floats, dict[str, bytes]]:
        """Ids and descriptions of two pictures, and what is kept of those of the voter's own."""
        files = [("picture", side) for side in sides if type(side) is not int]
        seen = iter([_seen(outcome) for outcome in self._look(files)])
        ids, rows, own = [], [], {}
        for side in sides:
            if type(side) is int:
                ids.append(pool.chart.id(pool.chart.check(side)))
                rows.append(pool.description(side))
                continue
            kept = _described(next(seen)).astype("<f2")
            data = kept.tobytes()
            own[own_id(data)] = data
            ids.append(own_id(data))
            # As it is kept, so that the taste is the same when it is learnt anew.
            rows.append(kept.astype(np.float32))
        return ids, np.stack(rows), own

    def _said(self, ranker: str, rows: Floats, taste: float) -> float | None:
        """What the ranker that was shown had expected."""
        if ranker in ("", words.TASTE):
            return taste
        if self._own is not None and ranker == self._own.id:
            return self._own.probability(rows[0], rows[1])
        return None

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


def _knows(held: Held) -> bool:
    """Whether a taste says anything at all."""
    loaded = held.kept.profile
    begun = loaded is not None and bool(loaded.ranker.weights.any())
    return bool(held.taste.count or held.kept.edits or begun)


def _pending(pool: Pool, pairs: list[Pair]) -> list[Pair]:
    """Pairs that are asked already, if they are of this gallery."""
    pictures = range(len(pool))
    for pair in pairs:
        if pair.left == pair.right or pair.left not in pictures or pair.right not in pictures:
            raise PreferenceError("vote-pair-invalid")
    return pairs


def _next(held: Held, count: int, pending: list[Pair]) -> list[Pair]:
    return held.taste.next_pairs(held.rng, max(0, min(count, MAX_NEXT)), pending)


def _brief_pair(pool: Pool, pair: Pair, lang: str) -> dict[str, Any]:
    left, right = pool.chart.brief(pair.left, lang), pool.chart.brief(pair.right, lang)
    return {"left": left, "right": right, "kind": pair.kind}


def _parsed(data: Any) -> Any:
    """A taste or ranker of a stranger, as JSON."""
    if not isinstance(data, bytes):
        return data
    if len(data) > keeping.MAX_BYTES:
        raise LimitError("request-too-large", limit=keeping.MAX_BYTES)
    return read_json(data, "taste-damaged")


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
    draw: DrawServices | None = None,
) -> CompareServices:
    """Make what compares pictures by the ranker that the settings name, and by people's tastes."""
    ranker = load_ranker(settings, model.hash)
    return CompareServices(settings, look, tags, model, explore=explore, draw=draw, ranker=ranker)
