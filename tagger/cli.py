"""The command line: ``python -m tagger tag|rank|serve|index|gallery|drawings|train|...``.

Every command imports what it needs when it runs: tagging does not wait for the web framework, and
help for nothing at all.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import tagger
from tagger import cli_drawings, cli_gallery, cli_index, cli_rank, cli_votes
from tagger.cli_inputs import Item, collect, interrupt_asked, share, whole

if TYPE_CHECKING:
    from tagger.services import Services

TRAINING_COMMANDS = {
    "train": "train a model and export it as a bundle",
    "evaluate": "measure a model on a split of the data",
    "export": "write a trained model as a bundle",
}
FORMATS = ("table", "txt", "csv", "json", "jsonl")
STYLES = ("text", "danbooru", "prompt", "hashtags")

# A table in a file is text.
_SUFFIXES = {"table": "txt"}

OK, SOME_FAILED, FAILED, INTERRUPTED = 0, 1, 2, 130


class OutputError(Exception):
    """Results cannot be written where they were to go."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        0; 1 if some pictures could not be tagged; 2 if nothing could be done; 130 if interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in TRAINING_COMMANDS:
            return _training(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return _reporting(command, options)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except OutputError as error:
        print(f"tagger: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        print(f"tagger: the results could not be written: {error.strerror}", file=sys.stderr)
        return FAILED


def _reporting(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    from tagger.errors import TaggerError

    try:
        return command(options)
    except TaggerError as error:
        print(f"tagger: {error.message(getattr(options, 'lang', None) or 'en')}", file=sys.stderr)
        return FAILED


# --- arguments ----------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tagger", description="Tag illustrations.")
    parser.add_argument("--version", action="version", version=tagger.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    tag = commands.add_parser(
        "tag",
        help="tag pictures and folders of pictures",
        description="Tag pictures. Results go to the standard output, progress and problems to "
        "the standard error; pictures that cannot be read are listed at the end.",
    )
    tag.set_defaults(command=_tag)
    tag.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER")
    tag.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="table for people, txt for one caption file a picture, csv, json, jsonl (table)",
    )
    tag.add_argument("--top", type=whole(100), default=10, metavar="N", help="tags a picture (10)")
    tag.add_argument(
        "--min-probability", type=share, metavar="P", help="leave out less probable tags"
    )
    tag.add_argument(
        "--keep",
        choices=("all", "passing"),
        help="all of the top, or those that reach their operating point (txt: passing, else: all)",
    )
    tag.add_argument("--lang", choices=("en", "ja"), help="language of labels and messages (en)")
    tag.add_argument(
        "--style", choices=STYLES, default="text", help="how txt writes the tags (text)"
    )
    tag.add_argument("--recursive", "-r", action="store_true", help="search folders in folders")
    tag.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar="DIR",
        help="folder for what is written: captions under the pictures' own names, or tags.csv, "
        "tags.json, tags.jsonl, tags.txt for a table. Without it, captions lie beside the pictures",
    )
    existing = tag.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace files that exist")
    existing.add_argument(
        "--skip", action="store_true", help="leave out pictures that have a caption (the default)"
    )
    tag.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    tag.add_argument("--bundle", metavar="REF", help="model: a folder or hf:owner/name@revision")
    tag.add_argument("--threads", type=int, metavar="N", help="threads of the model")

    serve = commands.add_parser("serve", help="serve the page and the REST API")
    serve.set_defaults(command=_serve)
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port (7860); 0 for any that is free")
    serve.add_argument("--bundle", metavar="REF", help="model: a folder or hf:owner/name@revision")

    cli_rank.add_parser(commands)
    cli_drawings.add_parser(commands)
    cli_votes.add_parser(commands)
    cli_index.add_parser(commands)
    cli_gallery.add_parser(commands)

    for name, text in TRAINING_COMMANDS.items():  # for the help only, see main
        commands.add_parser(name, help=text, add_help=False)
    return parser


# --- train, evaluate, export, serve -------------------------------------------------------------


def _training(command: str, arguments: list[str]) -> int:
    try:
        training = importlib.import_module("tagger.training.cli")
        return int(training.main(command, arguments))
    except ModuleNotFoundError as error:
        if (error.name or "tagger").split(".")[0] == "tagger":
            raise
        print(
            f"tagger: `{command}` needs the training requirements ({error.name} is missing). "
            "Install them with: pip install -r requirements-train.txt",
            file=sys.stderr,
        )
        return FAILED


def _serve(options: argparse.Namespace) -> int:
    from tagger import server
    from tagger.settings import load_settings

    server.serve(load_settings(host=options.host, port=options.port, bundle=options.bundle))
    return OK


# --- tag ----------------------------------------------------------------------------------------


def _tag(options: argparse.Namespace) -> int:
    from tagger.services import build_services
    from tagger.settings import load_settings

    settings = load_settings(bundle=options.bundle, threads=options.threads)
    options.lang = options.lang or ("ja" if settings.language == "ja" else "en")
    options.keep = options.keep or ("passing" if options.format == "txt" else "all")
    problems: list[tuple[str, str]] = []
    items = list(collect(options.paths, options.recursive, problems))
    target = _caption_target(options.output)
    skipped = 0
    if options.format == "txt":
        items, skipped = _without_captions(items, target, options.overwrite, problems)
    if items:
        services = build_services(settings)
        try:
            problems += _run(services, items, target, options)
        finally:
            services.close()
    elif not problems and not skipped:
        problems.append(("", "no pictures were found"))
    if skipped:
        text = f"Left out, since they have a caption: {skipped}. --overwrite replaces it."
        print(text, file=sys.stderr)
    return _report(problems, len(items))


def _run(
    services: Services,
    items: list[Item],
    target: Callable[[Item], Path],
    options: argparse.Namespace,
) -> list[tuple[str, str]]:
    """Tag the pictures, write results as they come, return what could not be done."""
    from tagger.cli_output import Progress

    problems: list[tuple[str, str]] = []
    shown = sys.stderr.isatty() and not options.quiet
    shares_terminal = sys.stdout.isatty() and options.output is None
    with (
        interrupt_asked() as interrupted,
        _writer(options, target) as writer,
        Progress(sys.stderr if shown else None, len(items)) as progress,
    ):
        # Reading runs ahead of the model in the services, by a window of a few pictures.
        outcomes = services.tag_many(
            ((str(item.path), item.path) for item in items),
            top=options.top,
            min_probability=options.min_probability,
        )
        for item, outcome in zip(items, outcomes, strict=True):
            if interrupted():
                break
            if shares_terminal:
                progress.clear()
            if outcome.result is not None:
                try:
                    writer.result(item, outcome.result)
                except OSError as error:
                    if options.format != "txt":  # all results go to one place, which is lost
                        raise
                    problems.append((str(item.path), f"not written: {error.strerror}"))
            elif outcome.error is not None:
                writer.failure(item, outcome.error)
                problems.append((str(item.path), outcome.error.message(options.lang)))
            progress.step()
        progress.clear()
        writer.close()
        if interrupted():
            raise KeyboardInterrupt
        if options.format == "txt" and writer.empty:
            print(
                f"Captions left empty, since no tag reached its operating point: {writer.empty}. "
                "With --keep all they get the most probable tags.",
                file=sys.stderr,
            )
    return problems


@contextmanager
def _writer(options: argparse.Namespace, target: Callable[[Item], Path]) -> Iterator[Any]:
    """The writer of the chosen format, to the standard output or to a file in the folder."""
    from tagger import cli_output

    lang, keep = options.lang, options.keep
    if options.format == "txt":
        yield cli_output.CaptionWriter(target, options.style, lang, keep)
        return
    with _destination(options) as out:
        if options.format == "table":
            yield cli_output.TableWriter(out, lang, keep)
        elif options.format == "csv":
            yield cli_output.CsvWriter(out, lang, keep)
        else:
            yield cli_output.JsonWriter(out, lang, keep, lines=options.format == "jsonl")


@contextmanager
def _destination(options: argparse.Namespace) -> Iterator[TextIO]:
    from tagger.cli_output import replacing_text

    if options.output is None:
        # A terminal or pipe that cannot show a character gets its escape, not an exception.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        yield sys.stdout
        return
    path = options.output / f"tags.{_SUFFIXES.get(options.format, options.format)}"
    if path.exists() and not options.overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")
    with replacing_text(path) as file:
        yield file


def _report(problems: list[tuple[str, str]], count: int) -> int:
    """List on the standard error what could not be done."""
    from tagger.cli_output import screen_text

    if not problems:
        return OK
    if count > 1:
        print(f"Could not be tagged ({len(problems)}):", file=sys.stderr)
    for name, reason in problems:
        print(f"  {screen_text(name)}: {reason}" if name else f"  {reason}", file=sys.stderr)
    return SOME_FAILED


def _caption_target(output: Path | None) -> Callable[[Item], Path]:
    """Where a picture's caption goes: beside it, or under the same name in the folder."""

    def target(item: Item) -> Path:
        base = item.path if output is None else output / item.relative
        return base.with_suffix(".txt")

    return target


def _without_captions(
    items: list[Item],
    target: Callable[[Item], Path],
    overwrite: bool,
    problems: list[tuple[str, str]],
) -> tuple[list[Item], int]:
    """Leave out pictures that have a caption, and those that would share one with another."""
    kept: list[Item] = []
    owners: dict[Path, Item] = {}
    skipped = 0
    for item in items:
        path = target(item)
        owner = owners.setdefault(path, item)
        if owner is not item:
            reason = f"its caption {path.name} would be that of {owner.path.name}, too"
            problems.append((str(item.path), reason))
        elif path.exists() and not overwrite:
            skipped += 1
        else:
            kept.append(item)
    return kept, skipped
