"""Two pictures compared, and sets of them put in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.comparing import descriptions, ranking, words
from tagger.comparing.base import LOOK, PICTURE, ROW, Base
from tagger.comparing.judging import Judge
from tagger.comparing.looking import description_of, seen_of
from tagger.comparing.pool import Pool
from tagger.errors import RequestError, StoreError, TaggerError
from tagger.preference.reasons import why
from tagger.preference.space import TAG_SCALE

Floats = npt.NDArray[np.float32]

#: Tags that are shown of a picture, and that say why one is preferred.
TAGS, REASONS = 5, 6


@dataclass(frozen=True, eq=False)
class _Side:
    """A picture of a comparison: its description, and what is shown of it."""

    description: Floats
    shown: dict[str, Any]


class Scoring(Base):
    """The part that judges pictures."""

    def rankers(
        self, visitor: str = "", lang: str = "en", *, client: str | None = ""
    ) -> dict[str, Any]:
        """JSON-ready: what pictures can be scored by; see ``GET /rankers``."""
        self.start()
        self._admit(LOOK, client)
        pool = self._opened
        own = self._own
        shown = []
        if own is not None:
            about = words.about(own.id, lang)
            shown.append({**own.to_dict(lang), "about": about, "ready": True})
        if self._explore is not None:
            ready = False
            if pool is not None and visitor:
                # Where the collection cannot be read, the others judge all the same.
                with contextlib.suppress(StoreError), self._held(visitor, pool) as held:
                    ready = held.knows
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
        self._admit(LOOK + PICTURE * (2 - len(numbers)), client)
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
        seen = iter([seen_of(outcome) for outcome in self._look(sources)])
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
            sides.append(_Side(description_of(result), shown))
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
        self._admit(LOOK, client)
        told: dict[str, str] = {}
        ordering = ranking.Ordering(ratings or {}, None if top is None else max(0, top))
        for outcome in self._look(self._counted(sources, client)):
            if outcome.error is not None or outcome.result is None:
                ordering.fail(outcome.name, outcome.error or TaggerError("internal"))
                continue
            row = description_of(outcome.result)
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
        count = len(texts) if isinstance(texts, list) else 0
        self._admit(LOOK + ROW * count, client)
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

    def evaluate(self, rows: Any, *, client: str | None = "") -> dict[str, Any] | None:
        """JSON-ready: how well scores keep the order of ratings; see `tagger.comparing.ranking`.

        Parameters
        ----------
        rows : list of dict
            ``{"score": number, "rating": number}`` of each picture, as somebody sent them.
        client : str or None
            As in :meth:`compare`.
        """
        self._admit(LOOK + ROW * (len(rows) if isinstance(rows, list) else 0), client)
        return ranking.evaluate(ranking.check_rows(rows))
