"""Push the collection to a dataset repository on the Hugging Face Hub; off unless it is set up.

Only consenting drawings and votes go there, without their contributors. Files are added, never
changed or removed: ``data/*.ndjson`` hold drawings in the form of Quick, Draw!, ``votes/*.ndjson``
votes on pictures of the gallery, ``withdrawn/*.ndjson`` name what was deleted since. A drawing
whose label was changed comes again with a higher revision.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagger.collection.ledger import Ledger, Part
from tagger.collection.store import Store
from tagger.errors import StoreError, TaggerError
from tagger.settings import Settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_log = logging.getLogger(__name__)

_CARD = """---
pretty_name: Drawings
configs:
- config_name: default
  data_files: data/*.ndjson
---

# Drawings

Drawings that people made and labelled, and agreed to share. This repository is only ever added to.

- `data/*.ndjson`: one drawing a line, in the raw form of Quick, Draw!: `word`, `timestamp` and
  `drawing`, which is a list of strokes `[[x, ...], [y, ...], [milliseconds, ...], [pressure, ...]]`
  of which the last two may be absent. `predicted` is what the recogniser `model` said of it.
- `votes/*.ndjson`, if there are any: one vote a line on two pictures, `left` and `right`, of the
  gallery `gallery`. `expected` is the probability for the left one that `ranker` had foretold.
- `withdrawn/*.ndjson`: `key_id` of drawings and votes that were taken back. **Leave these out.**
- Of lines with the same `key_id`, the one with the highest `revision` counts: its label was
  corrected.
"""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push has sent: files, drawings in them, what is named as withdrawn, votes."""

    files: int = 0
    drawings: int = 0
    withdrawn: int = 0
    votes: int = 0


def push_from(store: Store, settings: Settings) -> Pushed:
    """Push to where the settings say.

    Raises
    ------
    StoreError
        ``push-off`` if they do not say where, or give no token; else as :func:`push`.
    """
    token = settings.hub_token.get_secret_value()
    if not settings.hub_dataset or not token:
        raise StoreError("push-off")
    return push(store, settings.hub_dataset, token)


def push(store: Store, repository: str, token: str, *, endpoint: str | None = None) -> Pushed:
    """Send what the repository lacks.

    May be called again at any time, also after it broke off: nothing is sent twice, nothing left
    out. A repository that is not there is made, private.

    Parameters
    ----------
    repository : str
        ``owner/name`` of a dataset.
    token : str
        One that may write there.
    endpoint : str, optional
        Address of the Hub.

    Raises
    ------
    StoreError
        ``push-running``, ``push-refused`` for a token that is not taken, ``push-failed`` if the
        Hub does not answer.
    """
    api = _api(token, endpoint)
    ledger = Ledger(store, f"hub:{repository}")
    with store.database.alone("push"):
        card = _prepare(api, repository)
        files = drawings = votes = withdrawn = 0

        def send(part: Part, message: str) -> None:
            nonlocal card, files
            _send(api, repository, part, message, card)
            ledger.settle(part.number, arrived=True)
            card, files = None, files + 1

        for number, path in ledger.unsettled():
            ledger.settle(number, arrived=_is_there(api, repository, path))
        while (part := ledger.next_drawings()) is not None:
            send(part, f"Add {part.rows} drawings")
            drawings += part.rows
        while (part := ledger.next_votes()) is not None:
            send(part, f"Add {part.rows} votes")
            votes += part.rows
        while (part := ledger.next_withdrawn()) is not None:
            send(part, f"Withdraw {part.rows}")
            withdrawn += part.rows
    return Pushed(files, drawings, withdrawn, votes)


class Pusher:
    """Pushes now and then, in a thread of its own, and once more when it is closed.

    Parameters
    ----------
    push : callable
        Pushes once; what it raises is logged, and tried again the next time.
    interval : float
        Seconds between two.
    """

    def __init__(self, push: Callable[[], Pushed], interval: float = 600.0) -> None:
        self._push = push
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hub-pusher", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """Push what is left, for at most so many seconds."""
        self._ended.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._ended.wait(self._interval)
            try:
                pushed = self._push()
                if pushed.files:
                    given = (pushed.drawings, pushed.votes)
                    _log.info("pushed %s drawings and %s votes to the Hub", *given)
            except TaggerError as error:
                _log.warning("nothing was pushed to the Hub: %s", error)
            except Exception:
                _log.exception("unforeseen error while pushing to the Hub")


def _api(token: str, endpoint: str | None) -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise StoreError("hub-not-installed") from error
    return HfApi(endpoint=endpoint, token=token, library_name="illustration-tagger")


def _prepare(api: HfApi, repository: str) -> bytes | None:
    """See that the repository is there; the card that it lacks, if it does."""
    from huggingface_hub.errors import RepositoryNotFoundError

    def look() -> bool:
        try:
            api.repo_info(repository, repo_type="dataset")
        except RepositoryNotFoundError:
            return False
        return True

    if not _asked(look):
        _asked(lambda: api.create_repo(repository, repo_type="dataset", private=True))
    return None if _is_there(api, repository, "README.md") else _CARD.encode()


def _is_there(api: HfApi, repository: str, path: str) -> bool:
    return bool(_asked(lambda: api.get_paths_info(repository, [path], repo_type="dataset")))


def _send(api: HfApi, repository: str, part: Part, message: str, card: bytes | None) -> None:
    from huggingface_hub import CommitOperationAdd

    files = {part.path: part.content} | ({"README.md": card} if card is not None else {})
    added = [CommitOperationAdd(path, content) for path, content in files.items()]
    _asked(
        lambda: api.create_commit(repository, added, commit_message=message, repo_type="dataset")
    )


def _asked(request: Callable[[], Any]) -> Any:
    """Make a request; what goes wrong is told by our own errors, and in the log."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return request()
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        _log.warning("the Hub answered %s", status)
        raise StoreError("push-refused" if status in (401, 403) else "push-failed") from error
    except Exception as error:  # of the network, under the names of whatever library is used
        _log.warning("the Hub could not be asked: %s", type(error).__name__)
        raise StoreError("push-failed") from error
