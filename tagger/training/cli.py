"""Run a pipeline without Kedro's own command line: ``python -m tagger train``."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tagger.errors import TaggerError
from tagger.settings import load_settings
from tagger.training.process import left_as_found

CONF = Path(__file__).parent / "conf"


def main(command: str, argv: Sequence[str]) -> int:
    """Run ``train``, ``evaluate`` or ``export``; returns the exit status."""
    run = {"train": _train, "evaluate": _evaluate, "export": _export}[command]
    try:
        return run(list(argv))
    except (ValueError, TaggerError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2


def run_pipeline(name: str, parameters: dict[str, Any], environment: str = "base") -> None:
    """Run a registered pipeline.

    Parameters
    ----------
    parameters
        Merged over those in ``conf``; nested dictionaries merge by key.
    environment
        ``base``, or ``smoke`` for a run of seconds.
    """
    os.environ.setdefault("KEDRO_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from kedro.framework.project import configure_project
    from kedro.framework.session import KedroSession

    configure_project("tagger.training")
    with KedroSession.create(
        project_path=Path.cwd(),
        conf_source=str(CONF),
        env=environment,
        runtime_params=parameters,
    ) as session:
        session.run(pipeline_names=[name])  # type: ignore[call-arg]


def _parser(command: str, purpose: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tagger {command}", description=purpose)
    parser.add_argument("--work", help="folder for work in progress (default: .work/tagging)")
    return parser


def _train(argv: list[str]) -> int:
    parser = _parser("train", "Run a training pipeline; an interrupted run goes on where it was.")
    parser.add_argument(
        "pipeline",
        nargs="?",
        default="tagging",
        choices=[
            "tagging",
            "tagging_comparison",
            "tagging_unseen_style",
            "illustration",
            "embedding",
            "embedding_comparison",
            "embedding_unseen_style",
            "sketch",
            "sketch_comparison",
            "sketch_tuning",
            "gallery",
            "preference",
            "preference_scores",
            "digits",
            "digits_index",
        ],
    )
    parser.add_argument(
        "--data",
        help="a .parquet or .csv table, or a folder (sketch_tuning with layers=head does without)",
    )
    parser.add_argument("--out", help="the bundle's folder (default: one in exported/)")
    parser.add_argument("--env", default="base", choices=["base", "smoke"])
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any parameter of conf/base, for example recipe.epochs=60 (value in JSON or text)",
    )
    liking = parser.add_argument_group("preference")
    liking.add_argument(
        "--ratings",
        metavar="FILE",
        help="one's own: a CSV of file,rating or left,right,winner (--out says where it goes)",
    )
    liking.add_argument(
        "--ranker", metavar="FILE", help="preference_scores: whose scores go to --out, a CSV"
    )
    tuning = parser.add_argument_group("sketch_tuning")
    tuning.add_argument(
        "--collection",
        help="the drawings: a database's URL or an exported file (default: the app's own database)",
    )
    tuning.add_argument(
        "--bundle",
        help="the recogniser to begin with (default: exported/sketch); for embedding and "
        "preference, the tagger (default: exported/illustration)",
    )
    tuning.add_argument("--run", help="folder for progress.json and report.json")
    args = parser.parse_args(argv)
    tunes = args.pipeline == "sketch_tuning"
    if not args.data and not tunes:
        parser.error("--data is needed")
    embeds = args.pipeline.startswith("embedding")
    if not tunes and (args.collection or args.run):
        parser.error("--collection and --run are for sketch_tuning")
    likes = args.pipeline.startswith("preference")
    if not tunes and not embeds and not likes and args.bundle:
        parser.error("--bundle is for sketch_tuning, embedding and preference")
    if args.ratings and (args.pipeline != "preference" or not args.out):
        parser.error("--ratings is for preference, and --out says where the ranker goes")
    if args.ranker and args.pipeline != "preference_scores":
        parser.error("--ranker is for preference_scores")
    parameters: dict[str, Any] = {"data": str(Path(args.data).resolve()) if args.data else ""}
    words = ["python -m tagger train", args.pipeline]
    words += ["--data", shlex.quote(Path(args.data).name)] if args.data else []
    if args.work:
        parameters["work"] = args.work
    if tunes:
        own, said = _tuning_parameters(args)
        parameters["sketch_tuning"] = own
        words += said
    elif args.out:
        where = {
            "embedding": "embedding.out",
            "gallery": "gallery.out",
            "preference": "preference.out",
            "preference_scores": "preference.scores",
            "sketch": "sketch.bundle.out",
        }
        _put(parameters, where.get(args.pipeline, "bundle.out"), args.out)
    if embeds and args.bundle:
        _put(parameters, "embedding.bundle", args.bundle)
        words += ["--bundle", shlex.quote(Path(args.bundle).name)]
    if likes and args.bundle:
        _put(parameters, "preference.bundle", args.bundle)
        words += ["--bundle", shlex.quote(Path(args.bundle).name)]
    if args.ratings:
        _put(parameters, "preference.ratings", str(Path(args.ratings).resolve()))
        _put(parameters, "preference.name", Path(args.ratings).stem)
        # The published network is there to be compared with; it takes the most time.
        _put(parameters, "preference.published.epochs", 0)
        words += ["--ratings", shlex.quote(Path(args.ratings).name)]
    if args.ranker:
        _put(parameters, "preference.ranker", str(Path(args.ranker).resolve()))
    for item in args.set:
        key, sign, value = item.partition("=")
        if not sign:
            parser.error(f"--set takes KEY=VALUE, not {item!r}")
        # Nobody who tunes means the parameters of another pipeline.
        mine = key.split(".")[0] in ("sketch_tuning", "export")
        _put(parameters, key if mine or not tunes else f"sketch_tuning.{key}", _value(value))
        words.append(f"--set {shlex.quote(item)}")
    if args.env != "base":
        words.append(f"--env {args.env}")
    _put(parameters, "bundle.command", " ".join(words))
    with left_as_found(), _ended_by_request():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        run_pipeline(args.pipeline, parameters, args.env)
    return 0


def _tuning_parameters(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Parameters of a tuning, and how its card says them."""
    collection = args.collection
    if not collection:
        # The URL may hold a password: this way it is on no command line.
        collection = load_settings().database_url
        said = []
    elif "://" in collection:
        said = ["--collection", "URL"]
    else:
        said = ["--collection", shlex.quote(Path(collection).name)]
        collection = str(Path(collection).resolve())
    found = {"collection": collection, "bundle": args.bundle, "run": args.run, "out": args.out}
    if args.bundle:
        said += ["--bundle", shlex.quote(Path(args.bundle).name)]
    return {key: value for key, value in found.items() if value}, said


@contextlib.contextmanager
def _ended_by_request() -> Iterator[None]:
    """Let SIGTERM end the run as an exception does, so that nothing half written is left."""

    def end(number: int, frame: object) -> None:
        # Once: whoever asks again is not made to wait.
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _evaluate(argv: list[str]) -> int:
    from tagger.training.evaluation import evaluate_bundle

    parser = argparse.ArgumentParser(
        prog="tagger evaluate",
        description="Figures of a bundle on tagged pictures, from its files alone.",
    )
    parser.add_argument("--bundle", default="exported/illustration")
    parser.add_argument("--data", required=True, help="a .parquet or .csv table, or a folder")
    parser.add_argument("--split", default="test", choices=["train", "val", "test", "all"])
    parser.add_argument("--silent", nargs="*", default=["lucide", "game-icons"])
    args = parser.parse_args(argv)
    figures = evaluate_bundle(
        Path(args.bundle), Path(args.data), split=args.split, silent=tuple(args.silent)
    )
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    return 0


def _export(argv: list[str]) -> int:
    parser = _parser(
        "export",
        "Write the bundle of a finished run again: the run itself is found, not repeated.",
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--out")
    parser.add_argument("--env", default="base", choices=["base", "smoke"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args(argv)
    again = ["tagging", "--data", args.data, "--env", args.env]
    again += ["--work", args.work] if args.work else []
    again += ["--out", args.out] if args.out else []
    for item in args.set:
        again += ["--set", item]
    return _train(again)


def _put(parameters: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        parameters = parameters.setdefault(part, {})
    parameters[last] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
