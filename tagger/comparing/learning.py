"""What was learnt of a taste: shown, corrected, saved, loaded, mixed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tagger.comparing import keeping, words
from tagger.comparing.base import KIB, LEARN, PAGE, VOTE, Base
from tagger.comparing.judging import shown_name
from tagger.comparing.keeping import Kept
from tagger.comparing.pool import Pool
from tagger.comparing.tastes import Held
from tagger.errors import LimitError, PreferenceError, RequestError
from tagger.preference import Profile, blend
from tagger.preference.ranker import read_json

#: Words that are shown of a taste, besides those that were edited.
WORDS = 12
#: Share of the gallery's pairs that a taste is to put in the voter's order.
GOAL = 0.85


class Learning(Base):
    """The part that tells of tastes."""

    def taste(self, visitor: str, *, lang: str = "en", client: str | None = "") -> dict[str, Any]:
        """JSON-ready: what is known of a visitor's taste, and how well; see ``GET /taste``."""
        pool = self.pool()
        self._admit(LEARN, client)
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
        self._admit(VOTE, client)
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
        self._admit(LEARN, client)
        found = self.tags.find(tag) if isinstance(tag, str) and len(tag) <= 200 else None
        if found is None:
            raise PreferenceError("taste-tag-unknown")
        if weight is not None and (type(weight) not in (int, float) or not -1 <= weight <= 1):
            raise PreferenceError("taste-weight-invalid")
        with self._tastes.of(contributor, pool, self.store) as held:
            kept = held.edited(found.index, weight)
            held.write(self.store, kept)
            held.taste.edit(found.index, weight)
            held.kept = kept
            tell = self._told(pool, held, lang)
        return tell()

    def profile(self, visitor: str, *, client: str | None = "") -> bytes:
        """A visitor's taste as a file: JSON of some kilobytes."""
        pool = self.pool()
        self._admit(LEARN, client)
        with self._held(visitor, pool) as held:
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
        size = len(data) if isinstance(data, bytes) else 0
        self._admit(LEARN + KIB * size / 1024, client)
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
        self._admit(LEARN, client)
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
            held.replace(self.store, kept)
            tell = self._told(pool, held, lang)
        return tell()

    def _told(self, pool: Pool, held: Held, lang: str) -> Callable[[], dict[str, Any]]:
        """What is said of a taste, to be worked out without holding it."""
        held.taste.posterior  # noqa: B018  (once, not in every copy)
        taste, knows = held.taste.copy(), held.knows
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


def _parsed(data: Any) -> Any:
    """A taste or ranker of a stranger, as JSON."""
    if not isinstance(data, bytes):
        return data
    if len(data) > keeping.MAX_BYTES:
        raise LimitError("request-too-large", limit=keeping.MAX_BYTES)
    return read_json(data, "taste-damaged")
