"""Runs of learning for good, as they are kept on the disk.

``tuning/<id>/`` in the data folder holds ``run.json``, which says all that is known of a run,
``progress.json`` while it goes on, ``log.txt`` and, of a training, ``report.json``.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

from tagger.errors import RequestError
from tagger.gate import Verdict
from tagger.messages import MESSAGES, render
from tagger.versions import read_json, write_json

RunKind = Literal["refit", "tuning"]
State = Literal["running", "done", "failed", "cancelled"]

FOLDER = "tuning"
RUN_FILE = "run.json"
PROGRESS_FILE = "progress.json"
REPORT_FILE = "report.json"
LOG_FILE = "log.txt"
# More epochs than anybody looks at.
_MOST_POINTS = 1000

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def no_progress() -> dict[str, Any]:
    """Where a run begins."""
    return {"done": 0.0, "step": "reading", "curve": []}


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Attributes
    ----------
    id : str
        UTC date and time of its start, and four digits more.
    kind : {"refit", "tuning"}
        The last layer by itself, or more of the network by training.
    state : {"running", "done", "failed", "cancelled"}
        A run that is done was decided, either way.
    started, ended : int, int or None
        UTC milliseconds.
    parameters : dict
        What was asked for, beyond the defaults.
    data : dict
        ``hash``, ``drawings`` (which teach or judge), ``held_back`` of them, ``words`` and
        ``new_words``.
    progress : dict
        ``done`` from 0 to 1, ``step`` (``reading``, ``drawing``, ``training``, ``judging`` or
        ``writing``), ``curve`` with a point an epoch.
    verdict : Verdict or None
        What the gate said.
    version : str or None
        The version that it became, if it went live.
    seconds : float or None
        How long it took.
    error : str or None
        Code of what went wrong: ``stopped`` if the server ended before the run.
    detail : str or None
        The last line of its log, if it failed.
    """

    id: str
    kind: RunKind
    state: State
    started: int
    ended: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=no_progress)
    verdict: Verdict | None = None
    version: str | None = None
    seconds: float | None = None
    error: str | None = None
    detail: str | None = None

    def said(self, lang: str = "en") -> str | None:
        """What came of it, in words; None where nothing has."""
        if self.verdict is not None:
            return self.verdict.sentence(lang)
        if self.error is None:
            return None
        own = f"tuning-{self.error}"
        return render(own if own in MESSAGES else self.error, {}, lang)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as it is kept."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "started": self.started,
            "ended": self.ended,
            "parameters": dict(self.parameters),
            "data": dict(self.data),
            "progress": dict(self.progress),
            "verdict": None if self.verdict is None else self.verdict.to_dict(),
            "version": self.version,
            "seconds": self.seconds,
            "error": self.error,
            "detail": self.detail,
        }

    def shown(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form for a reader, with what came of it in words (``said``)."""
        return {**self.to_dict(), "said": self.said(lang)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Run:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If it is anything else.
        """
        id, kind, state = data.get("id"), data.get("kind"), data.get("state")
        if not isinstance(id, str) or _ID.fullmatch(id) is None:
            raise ValueError("no id")
        if kind not in get_args(RunKind) or state not in get_args(State):
            raise ValueError("no kind, or no state")
        started, ended, seconds = data.get("started"), data.get("ended"), data.get("seconds")
        if type(started) is not int or not (ended is None or type(ended) is int):
            raise ValueError("no time")
        parameters, facts = data.get("parameters"), data.get("data")
        if not isinstance(parameters, dict) or not isinstance(facts, dict):
            raise ValueError("no parameters, or no data")
        said = data.get("verdict")
        return cls(
            id,
            cast(RunKind, kind),
            cast(State, state),
            started,
            ended,
            parameters,
            facts,
            read_progress(data.get("progress")),
            None if said is None else Verdict.from_dict(said),
            _text(data.get("version")),
            float(seconds) if isinstance(seconds, int | float) else None,
            _text(data.get("error")),
            _text(data.get("detail")),
        )


def read_progress(data: Any) -> dict[str, Any]:
    """What a file says of a run's progress; whatever of it makes no sense is left out."""
    progress = no_progress()
    if not isinstance(data, dict):
        return progress
    done, step, curve = data.get("done"), data.get("step"), data.get("curve")
    if isinstance(done, int | float) and math.isfinite(done):
        progress["done"] = min(1.0, max(0.0, float(done)))
    if isinstance(step, str):
        progress["step"] = step[:40]
    if isinstance(curve, list):
        progress["curve"] = [_point(p) for p in curve[:_MOST_POINTS] if isinstance(p, dict)]
    return progress


def _point(data: Mapping[str, Any]) -> dict[str, Any]:
    """A point of the curve: an epoch and what was measured there, None where it was not."""
    point: dict[str, Any] = {}
    for name in ("epoch", "loss", "frozen", "held_back"):
        value = data.get(name)
        good = isinstance(value, int | float) and math.isfinite(value)
        point[name] = value if good else None
    return point


def _text(value: Any) -> str | None:
    return value[:500] if isinstance(value, str) else None


class Runs:
    """The folder of runs.

    Parameters
    ----------
    folder : Path
        ``tuning`` in the data folder; need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, id: str) -> Path:
        """The folder of a run.

        Raises
        ------
        RequestError
            ``tuning-run-not-found``, if it can be none.
        """
        if _ID.fullmatch(id) is None:
            raise RequestError("tuning-run-not-found")
        return self.folder / id

    def begin(self, kind: RunKind, parameters: Mapping[str, Any], data: Mapping[str, Any]) -> Run:
        """Make a run, with its folder.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        now = now_ms()
        stamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%d-%H%M%S")
        # The last digits go up with the milliseconds, so that ids are in the order of their runs.
        id = f"{stamp}-{now % 1000:03x}{secrets.randbelow(16):x}"
        run = Run(id, kind, "running", now, None, parameters, data)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path(run.id).mkdir()
        self.save(run)
        return run

    def save(self, run: Run) -> None:
        """Write what is known of a run.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        write_json(self.path(run.id) / RUN_FILE, run.to_dict())

    def get(self, id: str) -> Run:
        """A run as it stands, with its progress while it goes on.

        Raises
        ------
        RequestError
            ``tuning-run-not-found``.
        """
        folder = self.path(id)
        try:
            run = Run.from_dict(read_json(folder / RUN_FILE))
        except ValueError:
            raise RequestError("tuning-run-not-found") from None
        if run.state == "running":
            run = replace(run, progress=read_progress(read_json(folder / PROGRESS_FILE)))
        return run

    def known(self, most: int) -> tuple[Run, ...]:
        """The newest so many runs, newest first; what is torn is passed over."""
        try:
            ids = sorted((p.name for p in self.folder.iterdir()), reverse=True)
        except OSError:
            return ()
        runs: list[Run] = []
        for id in ids:
            if len(runs) == most:
                break
            try:
                runs.append(self.get(id))
            except RequestError:
                continue
        return tuple(runs)

    def write_progress(self, id: str, progress: Mapping[str, Any]) -> None:
        """Let other processes see how far a run is.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        write_json(self.path(id) / PROGRESS_FILE, dict(progress))

    def last_line(self, id: str) -> str | None:
        """The last line of a run's log that says something."""
        try:
            with (self.path(id) / LOG_FILE).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4096))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        said = [text for line in lines if (text := "".join(filter(str.isprintable, line)).strip())]
        return said[-1][:300] if said else None


def now_ms() -> int:
    """The time, in UTC milliseconds."""
    return time.time_ns() // 1_000_000
