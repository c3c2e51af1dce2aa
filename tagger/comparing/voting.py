"""What is asked, what is answered, and what is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.collection import NewVote, own_id
from tagger.collection.vote_records import VoteSource
from tagger.comparing import words
from tagger.comparing.ballots import MAX_NEXT, Ballot, read_pending
from tagger.comparing.base import PAGE, PICTURE, VOTE, Base
from tagger.comparing.looking import description_of, seen_of
from tagger.comparing.pool import Pool
from tagger.comparing.tastes import Cast, Held
from tagger.errors import PreferenceError
from tagger.preference import Pair

Floats = npt.NDArray[np.float32]


class Voting(Base):
    """The part that takes votes."""

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
        self._admit(VOTE, client)
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
        self._admit(VOTE + PICTURE * own, client)
        ids, rows, descriptions = self._voted(pool, sides)
        if ids[0] == ids[1]:
            raise PreferenceError("vote-pair-invalid")
        with self._tastes.of(contributor, pool, self.store) as held:
            # What is there already is said to be, whether or not there is room for more.
            if given.key is None or self.store.receipt(contributor, given.key) is None:
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
                ranker=self._shown(given.ranker),
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
                held.write(self.store, kept)
            self.store.delete_vote(id, by=contributor)
            if cast is not None:
                held.remove(cast, kept)

    def votes(
        self,
        visitor: str,
        *,
        offset: int = 0,
        limit: int = 50,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: a page of a visitor's own votes, newest first.

        Pictures that are not of the gallery, or no more, are None.
        """
        pool = self.pool()
        self._admit(VOTE, client)
        with self._held(visitor, pool) as held:
            cast = held.cast[::-1]
        begin = max(0, offset)
        return {
            "votes": [
                {
                    "id": vote.id,
                    "left": pool.brief(vote.left, lang),
                    "right": pool.brief(vote.right, lang),
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

    # --- parts -----------------------------------------------------------------------------------

    def _voted(
        self, pool: Pool, sides: tuple[Any, Any]
    ) -> tuple[list[str], Floats, dict[str, bytes]]:
        """Ids and descriptions of two pictures, and what is kept of those of the voter's own."""
        files = [("picture", side) for side in sides if type(side) is not int]
        seen = iter([seen_of(outcome) for outcome in self._look(files)])
        ids, rows, own = [], [], {}
        for side in sides:
            if type(side) is int:
                ids.append(pool.chart.id(pool.chart.check(side)))
                rows.append(pool.description(side))
                continue
            kept = description_of(next(seen)).astype("<f2")
            data = kept.tobytes()
            own[own_id(data)] = data
            ids.append(own_id(data))
            # As it is kept, so that the taste is the same when it is learnt anew.
            rows.append(kept.astype(np.float32))
        return ids, np.stack(rows), own

    def _shown(self, ranker: str) -> str:
        """The name of a ranker that there is: no text of a stranger's goes into what is pushed."""
        known = (words.TASTE, words.FILE, None if self._own is None else self._own.id)
        return ranker if ranker in known else ""

    def _said(self, ranker: str, rows: Floats, taste: float) -> float | None:
        """What the ranker that was shown had expected."""
        if ranker in ("", words.TASTE):
            return taste
        if self._own is not None and ranker == self._own.id:
            return self._own.probability(rows[0], rows[1])
        return None


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
