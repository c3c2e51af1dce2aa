"""``python -m tagger drawings refit|tune|runs|versions|activate|back``: learning for good.

An app that runs on the same data folder follows within seconds.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tagger.tuning import TuningService

OK, REFUSED, FAILED, INTERRUPTED = 0, 1, 2, 130

# Seconds between two looks at a run.
_LOOK = 0.2


def add_actions(actions: Any) -> None:
    """Add the commands to those of ``drawings``."""
    refit = actions.add_parser(
        "refit",
        help="fit the recogniser's last layer anew to what was given with consent",
        description="Fit the last layer anew, in seconds. What it makes goes live if it is not "
        "worse on frozen test drawings and better on held-back ones of the collection.",
    )
    refit.set_defaults(command=_learn, kind="refit")
    tune = actions.add_parser(
        "tune",
        help="train the recogniser on what was given with consent",
        description="Train more of the network, in minutes; needs the training requirements and "
        "TAGGER_TRAINING_DATA. The same judgement decides whether it goes live.",
    )
    tune.set_defaults(command=_learn, kind="tuning")
    for parser, example in ((refit, "penalty=2"), (tune, "layers=all, epochs=12")):
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            type=_assignment,
            metavar="KEY=VALUE",
            help=f"a parameter, such as {example}",
        )
    runs = actions.add_parser("runs", help="list the runs, newest first")
    runs.set_defaults(command=_runs)
    runs.add_argument("--json", action="store_true", help="one JSON object a line")
    versions = actions.add_parser("versions", help="list the versions of the recogniser")
    versions.set_defaults(command=_versions)
    versions.add_argument("--json", action="store_true", help="one JSON object a line")
    activate = actions.add_parser("activate", help="let a version answer from now on")
    activate.set_defaults(command=_activate)
    activate.add_argument("id", metavar="ID", help="as `versions` lists it")
    back = actions.add_parser("back", help="go back to the version before")
    back.set_defaults(command=_back)


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError("write KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@contextmanager
def _opened() -> Iterator[TuningService]:
    from tagger.drawing import build_draw
    from tagger.errors import TaggerError
    from tagger.settings import load_settings

    draw = build_draw(load_settings())
    if draw is None or draw.tuning is None:
        raise TaggerError("drawing-off")
    try:
        draw.settle()
        yield draw.tuning
    finally:
        draw.close()


# --- learn --------------------------------------------------------------------------------------


def _learn(options: argparse.Namespace) -> int:
    lang = options.lang or "en"
    with _opened() as tuning:
        run = tuning.start(options.kind, dict(options.set))
        data, line = run["data"], _Line(sys.stderr)
        line.write(
            f"{data['drawings']:,} drawings of {data['words']:,} words, "
            f"{data['held_back']:,} of them held back; new words: "
            f"{', '.join(data['new_words']) or 'none'}."
        )
        try:
            while not tuning.wait(_LOOK):
                line.show(tuning.run(run["id"], lang)["progress"])
        except KeyboardInterrupt:
            with _undisturbed():
                line.clear()
                line.write("Ending …")
                tuning.cancel(run["id"])
                tuning.wait()
            raise
        line.clear()
        run = tuning.run(run["id"], lang)
    if run["state"] == "cancelled":
        line.write("Cancelled.")
        return INTERRUPTED
    print(run["said"])
    if run["detail"]:
        line.write(run["detail"])
    if run["version"]:
        line.write(f"Live from now on: {run['version']}, after {run['seconds']:.1f} s.")
    return FAILED if run["state"] == "failed" else OK if run["version"] else REFUSED


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let nobody interrupt what takes seconds and must be done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Line:
    """How far a run is: one line on a terminal, a line for each step elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._last = ""

    def show(self, progress: dict[str, Any]) -> None:
        text = f"{progress['step']}, {progress['done']:.0%}"
        if progress["curve"]:
            point = progress["curve"][-1]
            figures = [
                f"{name} {point[key]:{form}}"
                for name, key, form in (
                    ("loss", "loss", ".3f"),
                    ("frozen", "frozen", ".1%"),
                    ("held back", "held_back", ".1%"),
                )
                if point[key] is not None
            ]
            text = f"{progress['step']}, epoch {point['epoch']}: {', '.join(figures)}"
        if self._terminal:
            self._out.write(f"\r\x1b[K{text}")
            self._out.flush()
        elif (said := text if progress["curve"] else str(progress["step"])) != self._last:
            self.write(said)
            self._last = said

    def clear(self) -> None:
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def write(self, text: str) -> None:
        print(text, file=self._out, flush=True)


# --- look, and change ---------------------------------------------------------------------------


def _runs(options: argparse.Namespace) -> int:
    with _opened() as tuning:
        runs = tuning.state().to_dict(options.lang or "en")["runs"]
    for run in runs:
        if options.json:
            print(json.dumps(run, ensure_ascii=False))
            continue
        outcome = "live" if run["version"] else "refused" if run["verdict"] else run["state"]
        drawings = f"{run['data'].get('drawings', 0):,} drawings"
        seconds = "" if run["seconds"] is None else f"{run['seconds']:,.1f} s"
        facts = f"{outcome:9}  {drawings:>16}  {seconds:>10}"
        print(f"{_time(run['started'])}  {run['id']}  {run['kind']:6}  {facts}")
        if run["said"]:
            print(f"    {run['said']}")
    if not runs and not options.json:
        print("There are no runs.", file=sys.stderr)
    return OK


def _versions(options: argparse.Namespace) -> int:
    with _opened() as tuning:
        versions = tuning.state().to_dict(options.lang or "en")["versions"]
    for version in versions:
        if options.json:
            print(json.dumps(version, ensure_ascii=False))
            continue
        mark, words = "*" if version["current"] else " ", f"{version['words']:,} words"
        kind = f"{version['kind']:7}  {words:>11}"
        print(f"{mark} {version['id']:20}  {_time(version['created'])}  {kind}  {version['name']}")
    return OK


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"


def _activate(options: argparse.Namespace) -> int:
    with _opened() as tuning:
        tuning.activate(options.id)
    print(f"Live from now on: {options.id}.")
    return OK


def _back(options: argparse.Namespace) -> int:
    with _opened() as tuning:
        id = tuning.back()
    print(f"Live from now on: {id}.")
    return OK
