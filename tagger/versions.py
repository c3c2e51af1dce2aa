"""Versions of the recogniser on the disk: which there are, which is live, which was before.

``recognisers/<id>/`` in the data folder is a bundle; ``recognisers/current.json`` says which one is
live and which were before it. The bundle that the settings name is the version ``shipped``, which
is always there. Whatever else lies in that folder, or is torn, is passed over with a warning.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from tagger import sketch_bundle
from tagger.atomic import replacing, sync
from tagger.bundlefiles import CONFIG_FILE, MODEL_FILE
from tagger.errors import RequestError, TaggerError
from tagger.sketch_bundle import SketchBundle
from tagger.words import WordsFormatError, parse_words

_log = logging.getLogger(__name__)

Opened = TypeVar("Opened")
Kind = Literal["shipped", "refit", "tuning"]

SHIPPED = "shipped"
FOLDER = "recognisers"
CURRENT_FILE = "current.json"
VERSION_FILE = "version.json"
# So many steps back are remembered.
_MOST_HISTORY = 50

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Version:
    """A recogniser that can be live.

    Attributes
    ----------
    id : str
        Name of its folder, or ``shipped``.
    name : str
        Name and version of the bundle.
    created : int
        UTC milliseconds.
    kind : {"shipped", "refit", "tuning"}
        Where it comes from.
    run : str or None
        Which run made it.
    words : int
        How many it knows.
    """

    id: str
    name: str
    created: int
    kind: Kind
    run: str | None
    words: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "id": self.id,
            "name": self.name,
            "created": self.created,
            "kind": self.kind,
            "run": self.run,
            "words": self.words,
        }


class Versions:
    """The folder of versions. May be used by several processes: every file is whole at any time.

    Parameters
    ----------
    folder : Path
        ``recognisers`` in the data folder; need not be there.
    shipped : str or Path
        The bundle that the settings name.
    """

    def __init__(self, folder: Path, shipped: str | Path) -> None:
        self.folder = folder
        self._shipped = shipped
        self._shipped_version: Version | None = None

    # --- which there are ------------------------------------------------------------------------

    def known(self) -> tuple[Version, ...]:
        """All versions, newest first, the shipped one last."""
        found = []
        try:
            entries = sorted(self.folder.iterdir())
        except OSError:
            entries = []
        for path in entries:
            version = self._read(path)
            if version is not None:
                found.append(version)
        found.sort(key=lambda version: (version.created, version.id), reverse=True)
        return (*found, self._read_shipped())

    def load(self, id: str) -> SketchBundle:
        """Open a version's bundle.

        Raises
        ------
        RequestError
            ``tuning-version-not-found``, if there is none of that id.
        BundleError
            If it is torn.
        """
        if id == SHIPPED:
            return sketch_bundle.load(self._shipped)
        if _ID.fullmatch(id) is None or not (self.folder / id).is_dir():
            raise RequestError("tuning-version-not-found")
        return sketch_bundle.load(self.folder / id)

    def add(self, candidate: Path, id: str, kind: Kind, *, created: int, run: str | None) -> None:
        """Make a candidate's folder, on the same disk, a version. It is there whole or not at all.

        Raises
        ------
        OSError
            If it cannot be moved.
        """
        bundle = sketch_bundle.load(candidate)
        version = Version(id, _name(bundle), created, kind, run, len(bundle.words))
        write_json(candidate / VERSION_FILE, version.to_dict())
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in candidate.iterdir():
            sync(path)
        sync(candidate)
        os.rename(candidate, self.folder / id)
        sync(self.folder)

    def remove(self, id: str) -> None:
        """Delete a version's folder, if it is there."""
        if _ID.fullmatch(id) is not None and id != SHIPPED:
            shutil.rmtree(self.folder / id, ignore_errors=True)

    def _read(self, path: Path) -> Version | None:
        """What a folder says of itself; None if it is no version."""
        id = path.name
        if _ID.fullmatch(id) is None or id == SHIPPED or not (path / MODEL_FILE).is_file():
            return None
        config = read_json(path / CONFIG_FILE)
        if config.get("task") != sketch_bundle.TASK:
            return None
        said = read_json(path / VERSION_FILE)
        run = said.get("run")
        created, words = said.get("created"), said.get("words")
        # One that was put there by hand does not say.
        refit = said.get("kind", "refit" if config.get("refitted") is True else "") == "refit"
        kind: Kind = "refit" if refit else "tuning"
        try:
            if type(created) is not int:
                created = _modified(path)
            if type(words) is not int:
                labels = (path / sketch_bundle.LABELS_FILE).read_text(encoding="utf-8-sig")
                words = len(parse_words(labels))
        except (OSError, ValueError, WordsFormatError):
            return None
        name = f"{config.get('name', '')} {config.get('version', '')}".strip()
        return Version(id, name, created, kind, run if isinstance(run, str) else None, words)

    def _read_shipped(self) -> Version:
        if self._shipped_version is None:
            try:
                bundle = sketch_bundle.load(self._shipped)
                created = _modified(bundle.path / CONFIG_FILE)
            except (TaggerError, OSError):  # it was there once, else nothing would have started
                return Version(SHIPPED, SHIPPED, 0, "shipped", None, 0)
            words, name = len(bundle.words), _name(bundle)
            self._shipped_version = Version(SHIPPED, name, created, "shipped", None, words)
        return self._shipped_version

    # --- which is live --------------------------------------------------------------------------

    def chain(self) -> tuple[str, ...]:
        """Which were live one after the other; the last is to be live now. Never empty."""
        said = read_json(self.folder / CURRENT_FILE)
        current, history = said.get("current"), said.get("history", [])
        ids = [*(history if isinstance(history, list) else []), current]
        good = [id for id in ids if isinstance(id, str) and _ID.fullmatch(id)]
        return tuple(good) if good and good[-1] == current else (SHIPPED,)

    def write_chain(self, chain: Sequence[str]) -> None:
        """Say which is live, and which were before it.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        *history, current = chain
        self.folder.mkdir(parents=True, exist_ok=True)
        said = {"current": current, "history": history[-_MOST_HISTORY:]}
        write_json(self.folder / CURRENT_FILE, said)

    def stamp(self) -> tuple[int, ...] | None:
        """Another one whenever :meth:`write_chain` was called, by whatever process."""
        try:
            facts = (self.folder / CURRENT_FILE).stat()
        except OSError:
            return None
        return (facts.st_mtime_ns, facts.st_ino, facts.st_size)

    def open_current(self, open: Callable[[SketchBundle], Opened]) -> tuple[str, Opened]:
        """Open the version that is to be live; if that fails, the one before it, and so on.

        Parameters
        ----------
        open : callable
            Makes something of a bundle; what it raises counts as well.

        Returns
        -------
        (str, Opened)
            Which one it is, and what was made of it.

        Raises
        ------
        TaggerError
            If not even the shipped one can be opened.
        """
        chain = self.chain()
        said = read_json(self.folder / CURRENT_FILE).get("current")
        if self.stamp() is not None and said != chain[-1]:
            _log.warning("%s cannot be read; the shipped recogniser is used", CURRENT_FILE)
        for id in dict.fromkeys(reversed(chain)):
            if id == SHIPPED:
                break
            try:
                return id, open(self.load(id))
            except (TaggerError, OSError) as error:
                _log.warning(
                    "version %s of the recogniser cannot be used (%s); the one before is", id, error
                )
        return SHIPPED, open(self.load(SHIPPED))


# --- files --------------------------------------------------------------------------------------


def _name(bundle: SketchBundle) -> str:
    return f"{bundle.config.name} {bundle.config.version}".strip()


def _modified(path: Path) -> int:
    """UTC milliseconds."""
    return path.stat().st_mtime_ns // 1_000_000


def write_json(path: Path, data: Any) -> None:
    """Write a file that is whole at any time, and on the disk when this returns.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays.
    """
    with replacing(path) as file:
        file.write(json.dumps(data, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; what is not there, torn or no object is an empty one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
