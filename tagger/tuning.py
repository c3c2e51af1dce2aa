"""Learning for good, for the app's owner: runs, the gate, versions, and the way back.

A refit takes seconds, in a thread of this process; a training takes minutes, in a process of its
own. Either ends with a verdict; a candidate that passes is live at once, in all processes that
share the data folder. Of several processes one learns at a time.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import logging
import math
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from tagger import gate, refitting
from tagger.collection import formats
from tagger.errors import BundleError, RequestError, StoreError, TaggerError
from tagger.gate import Verdict
from tagger.messages import REASONS
from tagger.refitting import Given
from tagger.runs import (
    FOLDER,
    LOG_FILE,
    PROGRESS_FILE,
    REPORT_FILE,
    Run,
    RunKind,
    Runs,
    no_progress,
    now_ms,
    read_progress,
)
from tagger.settings import Settings, program_environment
from tagger.sketch import SketchRecogniser
from tagger.sketch_bundle import FROZEN_FILE, WEIGHTS_FILE, SketchBundle
from tagger.versions import FOLDER as VERSIONS_FOLDER
from tagger.versions import SHIPPED, Kind, Version, Versions, read_json
from tagger.worker import GRACE, Worker

if TYPE_CHECKING:
    from tagger.drawing import DrawServices

_log = logging.getLogger(__name__)

DATA_FILE = "sketches.parquet"
LAYERS = ("head", "embed", "last_stage", "all")
#: Numbers that a training takes: (least, most, whether whole).
TUNING_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "epochs": (1, 1000, True),
    "repeat": (1, 1000, True),
    "batch": (2, 4096, True),
    "rate": (0, 1, False),
    "replay": (0, 0.99, False),
    "distil": (0, 1, False),
    "blind": (0, 1, False),
    "least": (1, 1000, True),
    "seed": (0, 2**31, True),
    "threads": (0, 1024, True),
}

# What is shown of a longer list.
_MOST_RUNS = 50
_MOST_WORDS = 200
# Seconds between two looks: at a program, for a cancelled run; at the current version; and between
# two writings of the progress.
_LOOK = 0.2
WATCH_SECONDS = 2.0
_WRITE_SECONDS = 0.25

_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)

_CANDIDATE, _WORK, _DRAWINGS, _CANCEL = "candidate", "work", "drawings.ndjson", "cancel"
_PACKAGE = Path(__file__).resolve().parent.parent


_Summary = tuple[Given, Mapping[str, int], tuple[Mapping[str, Any], ...]]


class _Ended(Exception):
    """The run is not to go on."""


@dataclass(frozen=True)
class TuningState:
    """All that the owner is shown.

    Attributes
    ----------
    why_refit, why_tune : str or None
        Why it cannot be done, a key of `tagger.messages.REASONS`; None if it can.
    running : str or None
        Id of the run that goes on, in whatever process.
    collected : dict
        ``shared`` drawings of so many ``words``; ``held_back`` of them never teach.
    words : tuple of dict
        New words that were given with consent, most drawn first: ``word``, ``drawings``,
        ``accepted``.
    runs : tuple of Run
        Newest first.
    versions : tuple of Version
        Newest first.
    live : str
        Id of the version that answers.
    previous : str or None
        The one to which one goes back.
    """

    why_refit: str | None
    why_tune: str | None
    running: str | None
    collected: Mapping[str, int]
    words: tuple[Mapping[str, Any], ...]
    runs: tuple[Run, ...]
    versions: tuple[Version, ...]
    live: str
    previous: str | None

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form, with words in the reader's language."""
        return {
            "can": {
                "refit": self.why_refit is None,
                "why_refit": self.why_refit,
                "why_refit_said": _reason(self.why_refit, lang),
                "tune": self.why_tune is None,
                "why": self.why_tune,
                "why_said": _reason(self.why_tune, lang),
            },
            "running": self.running,
            "collected": dict(self.collected),
            "words": [dict(word) for word in self.words],
            "runs": [run.shown(lang) for run in self.runs],
            "versions": [
                {**version.to_dict(), "current": version.id == self.live}
                for version in self.versions
            ],
            "previous": self.previous,
        }


def _reason(why: str | None, lang: str) -> str | None:
    return None if why is None else REASONS[why][lang.split("-")[0] == "ja"]


@dataclass
class _Active:
    """The run of this process."""

    run: Run
    progress: dict[str, Any] = field(default_factory=no_progress)
    end: threading.Event = field(default_factory=threading.Event)
    # It does nothing before all is set up, above all what it must release.
    begun: threading.Event = field(default_factory=threading.Event)
    # From then on only its end is written down.
    over: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    written: float = -math.inf


class TuningService:
    """Learns for good, keeps versions, exchanges them. May be called from any thread.

    Whoever calls asks first whether it is the owner: `DrawServices.check_owner`.

    Parameters
    ----------
    settings : Settings
        The data folder, the shipped bundle, the training data.
    draw : DrawServices
        Around the live recogniser.
    live : str
        Which version that is.
    program : sequence of str
        What is run to train, before its arguments; by default this very program.
    installed : callable, optional
        Whether the libraries for training are there.
    grace : float
        Seconds that a training has to end by itself when it was cancelled.
    """

    def __init__(
        self,
        settings: Settings,
        draw: DrawServices,
        *,
        live: str = SHIPPED,
        program: Sequence[str] = (sys.executable, "-m", "tagger"),
        installed: Callable[[], bool] | None = None,
        grace: float = GRACE,
    ) -> None:
        self._settings = settings
        self._draw = draw
        self._live = live
        self._program = tuple(program)
        self._installed = installed or _training_installed
        self._grace = grace
        self._runs = Runs(data_folder(settings) / FOLDER)
        self._versions = open_versions(settings)
        self._lock = threading.Lock()
        # Held while the live version is exchanged.
        self._exchange = threading.RLock()
        self._active: _Active | None = None
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None
        self._seen = self._versions.stamp()
        self._summary: tuple[object, _Summary] | None = None

    # --- looking --------------------------------------------------------------------------------

    @property
    def live(self) -> str:
        """Id of the version that answers."""
        return self._live

    def state(self) -> TuningState:
        """All that the owner is shown."""
        given, collected, words = self._summarise()
        runs = self._known_runs(_MOST_RUNS)
        chain = self._chain()
        return TuningState(
            why_refit=self._why_no_refit(given),
            why_tune=self._why_no_tuning(given),
            running=next((run.id for run in runs if run.state == "running"), None),
            collected=collected,
            words=words,
            runs=runs,
            versions=self._versions.known(),
            live=self._live,
            previous=chain[-2] if len(chain) > 1 else None,
        )

    def run(self, id: str, lang: str = "en") -> dict[str, Any]:
        """A run as it stands, as in the state.

        Raises
        ------
        RequestError
            ``tuning-run-not-found``.
        """
        return self._shown(self._runs.get(id)).shown(lang)

    def _known_runs(self, most: int) -> tuple[Run, ...]:
        runs = self._runs.known(most)
        own = self._active
        if any(run.state == "running" and (own is None or run.id != own.run.id) for run in runs):
            self._mark_the_dead()
            runs = self._runs.known(most)
        return tuple(self._shown(run) for run in runs)

    def _shown(self, run: Run) -> Run:
        """With the progress and the time so far, while it goes on."""
        if run.state != "running":
            return run
        own = self._active
        progress = dict(run.progress)
        if own is not None and own.run.id == run.id and run.kind == "refit":
            progress = dict(own.progress)
        return replace(run, progress=progress, seconds=(now_ms() - run.started) / 1000)

    def _summarise(self) -> _Summary:
        """What there is to learn from; worked out anew when something has changed."""
        store, words = self._draw.store, self._draw.live.recogniser.words
        accepted = store.accepted_words()
        key = (store.teaching_stamp(), accepted, self._draw.live.facts.hash)
        if self._summary is not None and self._summary[0] == key:
            return self._summary[1]
        given = refitting.gather(store, words, accepted)
        counts: dict[str, int] = {}
        for _, _, word in given.rows:
            counts[word] = counts.get(word, 0) + 1
        held_back = sum(gate.stable_part(id) == "held_back" for _, id, _ in given.rows)
        collected = {"shared": len(given.rows), "held_back": held_back, "words": len(counts)}
        new = sorted(
            ((word, count) for word, count in counts.items() if words.get(word) is None),
            key=lambda item: (-item[1], item[0]),
        )
        listed = tuple(
            {"word": word, "drawings": count, "accepted": word in accepted}
            for word, count in new[:_MOST_WORDS]
        )
        found = given, collected, listed
        self._summary = key, found
        return found

    def _bundle(self) -> SketchBundle | None:
        recogniser = self._draw.live.recogniser
        return recogniser.bundle if isinstance(recogniser, SketchRecogniser) else None

    def _why_no_refit(self, given: Given) -> str | None:
        bundle = self._bundle()
        if bundle is None or bundle.head is None:
            return "head-missing"
        if not (bundle.path / FROZEN_FILE).is_file():
            return "frozen-missing"
        return None if given.division.train else "nothing-given"

    def _why_no_tuning(self, given: Given) -> str | None:
        if not self._installed():
            return "training-missing"
        folder = self._settings.training_data
        if not folder or not (Path(folder).expanduser() / DATA_FILE).is_file():
            return "data-missing"
        bundle = self._bundle()
        if bundle is None or bundle.head is None:
            return "head-missing"
        if not (bundle.path / WEIGHTS_FILE).is_file():
            return "weights-missing"
        return None if given.division.train else "nothing-given"

    # --- learning -------------------------------------------------------------------------------

    def start(self, kind: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Begin a run; gives it as it stands.

        Parameters
        ----------
        kind : {"refit", "tuning"}
            The last layer in seconds, or more of the network in minutes.
        parameters : mapping, optional
            Of a refit: `tagger.refitting.PARAMETERS`. Of a training: ``layers``, one of `LAYERS`,
            and `TUNING_NUMBERS`. What is not there is as by default.

        Raises
        ------
        RequestError
            ``tuning-busy`` if one is running, ``tuning-unavailable`` with the reason,
            ``request-invalid`` for a parameter that makes no sense, ``tuning-not-written`` if the
            data folder cannot be written.
        """
        if kind not in get_args(RunKind):
            raise RequestError("request-invalid", field="kind", reason="refit or tuning")
        run_kind = cast(RunKind, kind)
        checked = check_parameters(run_kind, parameters or {})
        if (last := self._active) is not None and last.over:
            self.wait()
        with self._lock, ExitStack() as stack:
            if self._active is not None or self._closing.is_set():
                raise RequestError("tuning-busy")
            stack.enter_context(self._alone())
            store, words = self._draw.store, self._draw.live.recogniser.words
            least = int(checked.get("least", gate.LEAST_DRAWINGS))
            given = refitting.gather(store, words, store.accepted_words(), least=least)
            refits = run_kind == "refit"
            why = self._why_no_refit(given) if refits else self._why_no_tuning(given)
            if why is not None:
                raise RequestError("tuning-unavailable", why=why)
            self._mark_the_dead(ours=True)
            try:
                run = self._runs.begin(run_kind, checked, given.facts())
            except OSError as error:
                raise RequestError("tuning-not-written") from error
            active = _Active(run)
            work = self._refit if refits else self._tune
            locks = ExitStack()
            threading.Thread(
                target=self._go,
                args=(active, lambda: work(active, given), locks),
                name="tuning",
                daemon=True,
            ).start()
            self._active = active
            locks.push(stack.pop_all())
            active.begun.set()
        return self.run(run.id)

    def cancel(self, id: str) -> dict[str, Any]:
        """Ask a run to end, in whatever process it is; gives it as it stands.

        One that has ended stays as it is.

        Raises
        ------
        RequestError
            ``tuning-run-not-found``.
        """
        run = self._runs.get(id)
        if run.state == "running":
            with contextlib.suppress(OSError):
                (self._runs.path(id) / _CANCEL).touch()
            active = self._active
            if active is not None and active.run.id == id:
                active.end.set()
        return self.run(id)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until no run goes on in this process, at most so long; whether that is so."""
        active = self._active
        # Not the thread itself: a join that is interrupted takes it for ended ever after.
        return active is None or active.ended.wait(seconds)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only process that learns.

        Raises
        ------
        RequestError
            ``tuning-busy``, if another one does.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(self._draw.store.database.alone("tuning"))
            except StoreError as error:
                if error.code == "tuning-running":
                    raise RequestError("tuning-busy") from None
                raise
            yield

    def _mark_the_dead(self, *, ours: bool = False) -> None:
        """Runs that nobody goes on with have failed; `ours` if we are the one who learns."""
        own = self._active
        with ExitStack() as stack:
            if not ours:
                try:
                    stack.enter_context(self._alone())
                except TaggerError:  # somebody learns: their run is alive
                    return
            for run in self._runs.known(_MOST_RUNS):
                if run.state == "running" and (own is None or run.id != own.run.id):
                    stopped = replace(run, state="failed", error="stopped", ended=now_ms())
                    if (self._runs.path(run.id) / _CANCEL).exists():
                        stopped = replace(stopped, state="cancelled", error=None)
                    with contextlib.suppress(OSError):
                        self._runs.save(stopped)
                    self._clean(run.id)

    def _go(
        self, active: _Active, work: Callable[[], tuple[Verdict, str | None]], locks: ExitStack
    ) -> None:
        """Do a run's work, and write down how it ended."""
        active.begun.wait()
        begun = time.monotonic()
        run, error = active.run, None
        try:
            verdict, version = work()
            run = replace(run, state="done", verdict=verdict, version=version)
        except _Ended:
            # Nobody cancelled it: the server ends.
            stopped = self._closing.is_set() and not (self._runs.path(run.id) / _CANCEL).exists()
            run = replace(run, state="failed" if stopped else "cancelled")
            error = "stopped" if stopped else None
        except OSError as caught:
            self._log(run.id, caught)
            unwritten = caught.errno in _NOT_WRITTEN
            run, error = replace(run, state="failed"), "not-written" if unwritten else "failed"
        except TaggerError as caught:
            if not caught.code.startswith("tuning-"):  # else its log says it already
                self._log(run.id, caught)
            run, error = replace(run, state="failed"), caught.code.removeprefix("tuning-")
        except Exception as caught:
            _log.exception("a run failed")
            self._log(run.id, caught)
            run, error = replace(run, state="failed"), "failed"
        active.over = True
        with ExitStack() as last:
            last.callback(active.ended.set)
            last.callback(setattr, self, "_active", None)
            last.enter_context(locks)
            progress = dict(active.progress)
            if run.kind == "tuning":
                path = self._runs.path(run.id) / PROGRESS_FILE
                progress = read_progress(read_json(path))
            if run.state == "done":
                progress["done"] = 1.0
            failed = run.state == "failed" and error != "stopped"
            self._clean(run.id)
            run = replace(
                run,
                ended=now_ms(),
                seconds=round(time.monotonic() - begun, 2),
                progress=progress,
                error=error,
                detail=self._runs.last_line(run.id) if failed else None,
            )
            try:
                self._runs.save(run)
            except OSError:
                _log.exception("the end of run %s could not be written", run.id)
            _log.info("run %s: %s", run.id, run.said() or run.state)

    def _log(self, id: str, error: Exception) -> None:
        """Let the run's own log say what went wrong, its last line in short."""
        with contextlib.suppress(OSError), (self._runs.path(id) / LOG_FILE).open("a") as file:
            if not isinstance(error, TaggerError):
                file.writelines(traceback.format_exception(error))
            else:
                file.write(f"{error}\n")

    def _clean(self, id: str) -> None:
        """Remove what is of no use after a run: copies of drawings above all."""
        folder = self._runs.path(id)
        for name in (_DRAWINGS, _CANCEL, PROGRESS_FILE):
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)
        for name in (_CANDIDATE, _WORK):
            shutil.rmtree(folder / name, ignore_errors=True)

    def _stops(self, active: _Active) -> bool:
        if not active.end.is_set() and (self._runs.path(active.run.id) / _CANCEL).exists():
            active.end.set()
        return active.end.is_set()

    def _refit(self, active: _Active, given: Given) -> tuple[Verdict, str | None]:
        live = self._draw.live
        assert isinstance(live.recogniser, SketchRecogniser)  # else it would not have started
        id = active.run.id

        def say(step: str, done: float) -> None:
            now = time.monotonic()
            if step != active.progress["step"] or now - active.written >= _WRITE_SECONDS:
                if self._stops(active):
                    raise _Ended
                active.written = now
                with contextlib.suppress(OSError):
                    said = {"step": step, "done": round(done, 3), "curve": []}
                    self._runs.write_progress(id, said)
            elif active.end.is_set():
                raise _Ended
            active.progress = {"step": step, "done": round(done, 3), "curve": []}

        verdict = refitting.refit(
            live.recogniser,
            live.memory,
            self._draw.store,
            given,
            active.run.parameters,
            out=self._runs.path(id) / _CANDIDATE,
            name=id,
            say=say,
        )
        return verdict, self._decide(active, verdict, "refit")

    def _tune(self, active: _Active, given: Given) -> tuple[Verdict, str | None]:
        bundle = self._bundle()
        assert bundle is not None  # else it would not have started
        folder = self._runs.path(active.run.id)
        drawings = folder / _DRAWINGS
        with drawings.open("wb") as file:
            drawings.chmod(0o600)
            formats.write(self._draw.store.iterate(), file, "ndjson")
        parameters = {**active.run.parameters, "words": list(given.division.new_words)}
        said = [f"sketch_tuning.{k}={json.dumps(v)}" for k, v in parameters.items()]
        data = Path(self._settings.training_data).expanduser().resolve()
        command = [*self._program, "train", "sketch_tuning"]
        command += ["--data", str(data), "--collection", str(drawings)]
        command += ["--bundle", str(bundle.path.resolve()), "--out", str(folder / _CANDIDATE)]
        command += ["--work", str(folder / _WORK), "--run", str(folder)]
        command += [argument for item in said for argument in ("--set", item)]
        with (folder / LOG_FILE).open("wb") as log:
            worker = Worker(
                command, folder=folder, environment=program_environment(_PACKAGE), log=log
            )
        try:
            while (code := worker.wait(_LOOK)) is None:
                if self._stops(active):
                    raise _Ended
        finally:
            worker.stop(self._grace)
        if code != 0:
            raise RequestError("tuning-failed")
        try:
            verdict = Verdict.from_dict(read_json(folder / REPORT_FILE).get("verdict") or {})
        except ValueError:
            raise RequestError("tuning-candidate-invalid") from None
        return verdict, self._decide(active, verdict, "tuning")

    def _decide(self, active: _Active, verdict: Verdict, kind: Kind) -> str | None:
        """Let a candidate that passes go live; gives its version."""
        if not verdict.passes:
            return None
        if self._stops(active):
            raise _Ended
        id = active.run.id
        with self._exchange:
            try:
                self._versions.add(
                    self._runs.path(id) / _CANDIDATE, id, kind, created=now_ms(), run=id
                )
                recogniser = SketchRecogniser(self._versions.load(id))
            except BundleError as error:
                self._log(id, error)
                self._versions.remove(id)
                raise RequestError("tuning-candidate-invalid") from error
            self._write((*self._chain(), id))
            self._swap(id, recogniser)
        return id

    # --- versions -------------------------------------------------------------------------------

    def activate(self, id: str) -> None:
        """Let a version answer from now on.

        Raises
        ------
        RequestError
            ``tuning-version-not-found``, ``tuning-version-damaged`` if it cannot be opened, or
            ``tuning-not-written``; then nothing has changed.
        """
        with self._exchange:
            chain = self._chain()
            if id == self._live:
                if self._versions.chain() != chain:  # what was to be live could not be
                    self._write(chain)
                return
            try:
                recogniser = SketchRecogniser(self._versions.load(id))
            except BundleError as error:
                _log.warning("version %s of the recogniser cannot be used: %s", id, error)
                raise RequestError("tuning-version-damaged") from error
            self._write((*chain, id))
            self._swap(id, recogniser)

    def back(self) -> str:
        """Go back to the version before the live one; gives its id. One that is torn is skipped.

        Raises
        ------
        RequestError
            ``tuning-no-previous``, if there is none; else as :meth:`activate`.
        """
        with self._exchange:
            chain = self._chain()
            while len(chain) > 1:
                chain = chain[:-1]
                try:
                    recogniser = SketchRecogniser(self._versions.load(chain[-1]))
                except TaggerError as error:
                    _log.warning("version %s of the recogniser is skipped: %s", chain[-1], error)
                    continue
                self._write(chain)
                self._swap(chain[-1], recogniser)
                return chain[-1]
        raise RequestError("tuning-no-previous")

    def follow(self) -> bool:
        """Take over what another process made live; whether something has changed."""
        stamp = self._versions.stamp()
        if stamp == self._seen:
            return False
        with self._exchange:
            self._seen = stamp
            id = self._versions.chain()[-1]
            if id == self._live:
                return False
            try:
                recogniser = SketchRecogniser(self._versions.load(id))
            except TaggerError as error:
                _log.warning("version %s of the recogniser cannot be used: %s", id, error)
                return False
            self._swap(id, recogniser)
        _log.info("version %s of the recogniser is live", id)
        return True

    def watch(self, seconds: float = WATCH_SECONDS) -> None:
        """Follow other processes from now on, in a thread of its own."""

        def look() -> None:
            while not self._closing.wait(seconds):
                try:
                    self.follow()
                except Exception:
                    _log.exception("the current version of the recogniser could not be followed")

        if self._watcher is None:
            self._watcher = threading.Thread(target=look, name="tuning-watch", daemon=True)
            self._watcher.start()

    def close(self) -> None:
        """End what is running, and wait for its end."""
        self._closing.set()
        active = self._active
        if active is not None:
            active.end.set()
        self.wait()
        if self._watcher is not None:
            self._watcher.join()

    def _chain(self) -> tuple[str, ...]:
        """Which versions were live, up to the one that is; it has a way back to the shipped one."""
        chain = self._versions.chain()
        if self._live in chain:
            last = len(chain) - chain[::-1].index(self._live)
            chain = chain[:last]
        else:  # it could not be followed, or was deleted by hand
            chain = (self._live,)
        return (SHIPPED, *chain) if chain[0] != SHIPPED else chain

    def _write(self, chain: Sequence[str]) -> None:
        """Write down what answers from now on, so that a restart keeps it.

        Raises
        ------
        RequestError
            ``tuning-not-written``.
        """
        try:
            self._versions.write_chain(chain)
        except OSError as error:
            raise RequestError("tuning-not-written") from error
        self._seen = self._versions.stamp()

    def _swap(self, id: str, recogniser: SketchRecogniser) -> None:
        bundle = recogniser.bundle
        self._draw.swap(recogniser, bundle.facts, bundle.config.memory, about=bundle.about)
        self._live = id


def data_folder(settings: Settings) -> Path:
    """Where the app writes."""
    return settings.data_dir.expanduser().resolve()


def open_versions(settings: Settings) -> Versions:
    """The versions of the recogniser that the settings name."""
    return Versions(data_folder(settings) / VERSIONS_FOLDER, settings.sketch_bundle)


def check_parameters(kind: RunKind, given: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse parameters that make no sense.

    Raises
    ------
    RequestError
        ``request-invalid``, with the parameter and what it should be.
    """
    for name, value in given.items():
        reason: str | None
        if kind == "tuning" and name == "layers":
            reason = None if value in LAYERS else f"one of {', '.join(LAYERS)}"
        elif kind == "tuning" and name in TUNING_NUMBERS:
            reason = _out_of_range(value, *TUNING_NUMBERS[name])
        elif kind == "refit" and name in refitting.PARAMETERS:
            least, most, _ = refitting.PARAMETERS[name]
            reason = _out_of_range(value, least, most, name in refitting.WHOLE)
        else:
            name, reason = "parameters", "there is no such parameter"
        if reason is not None:
            raise RequestError("request-invalid", field=name, reason=reason)
    return dict(given)


def _out_of_range(value: Any, least: float, most: float, whole: bool) -> str | None:
    kinds = (int,) if whole else (int, float)
    if type(value) in kinds and least <= value <= most:
        return None
    return f"a {'whole ' if whole else ''}number from {least:g} to {most:g}"


def _training_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "kedro"))
