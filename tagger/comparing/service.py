"""What the doors call to compare: two pictures, sets of them, votes and the tastes they teach.

One object for the page, the REST API and the command line. It opens nothing before it is started,
checks what comes in, and bounds how much one address may ask for.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, BinaryIO

from tagger.bundlefiles import ModelFacts
from tagger.collection import vote_formats
from tagger.comparing import reporting
from tagger.comparing.base import EXPORT
from tagger.comparing.learning import Learning
from tagger.comparing.looking import LookAtAll
from tagger.comparing.scoring import Scoring
from tagger.comparing.voting import Voting
from tagger.drawing import DrawServices
from tagger.errors import LimitError, PreferenceError, RequestError
from tagger.exploring import ExploreServices
from tagger.preference import Ranker
from tagger.settings import DEFAULT_RANKER, Settings
from tagger.tags import TagList

_log = logging.getLogger(__name__)


class CompareServices(Scoring, Voting, Learning):
    """Compares pictures, orders them, and learns tastes. May be used from any thread."""

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

        See `tagger.preference.arena.report`; each standing has its ``picture``, whose number is
        good for the ``hash``.
        """
        self.check_owner(token, client)
        pool = self._pool_if_any()

        def brief(id: str) -> dict[str, Any] | None:
            return None if pool is None else pool.brief(id, lang)

        with self._exports.place():
            told = reporting.report(self.store.iterate_votes(), brief)
        return {**told, "hash": None if pool is None else pool.hash}

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
        self._admit(EXPORT, client)
        store = self.store
        with self._exports.place(client or ""):
            if visitor is None:
                return vote_formats.export_votes(store.iterate_votes(), file, format)
            own = store.iterate_votes(consented_only=False, contributor=self._somebody(visitor))
            return vote_formats.export_votes(own, file, format, own=True)


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
