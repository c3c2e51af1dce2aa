"""``python -m tagger drawings``: what was collected, in and out.

Which database it is, the settings say (``TAGGER_DATABASE``, ``TAGGER_DATA_DIR``), as for the app,
which may be running meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tagger import cli_tuning
from tagger.cli_inputs import whole

if TYPE_CHECKING:
    from tagger.collection import Drawing, Store

OK, SOME_FAILED, FAILED = 0, 1, 2

# Named here as well, so that help does not wait for the database's library.
FORMATS = ("ndjson", "ndjson-simplified", "parquet", "npz")

# Drawings in one transaction of an import; and problems that are listed.
_BATCH = 500
_LISTED = 20


def add_parser(commands: Any) -> None:
    """Add ``drawings`` and its commands to the parser of the command line."""
    parser = commands.add_parser(
        "drawings",
        help="list, count, export, import, push and withdraw collected drawings; learn from them",
        description="Manage the drawings that people gave, and learn from them for good. "
        "TAGGER_DATABASE says where they are.",
    )
    parser.add_argument("--lang", choices=("en", "ja"), help="language of messages (en)")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="the newest drawings")
    listing.set_defaults(command=_list)
    listing.add_argument("--label", help="those of this word only")
    listing.add_argument("--limit", type=whole(500), default=20, metavar="N", help="how many (20)")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")

    count = actions.add_parser("count", help="how many drawings there are of each word")
    count.set_defaults(command=_count)
    count.add_argument(
        "--shared", action="store_true", help="only those that their contributors share"
    )
    count.add_argument("--json", action="store_true", help="one JSON object")

    export = actions.add_parser(
        "export",
        help="write the drawings that their contributors share",
        description="Write the drawings that their contributors share, without saying whose.",
    )
    export.set_defaults(command=_export)
    export.add_argument("file", metavar="FILE", help="- for the standard output")
    export.add_argument("--format", choices=FORMATS, help="by default as the file's name says")
    export.add_argument("--label", help="those of this word only")
    export.add_argument("--overwrite", action="store_true", help="replace a file that exists")

    bring = actions.add_parser(
        "import",
        help="take in drawings from files",
        description="Take in drawings that you have the right to pass on: they count as shared. "
        "Those that are there already, or were deleted, are left out.",
    )
    bring.set_defaults(command=_import)
    bring.add_argument("files", nargs="+", type=Path, metavar="FILE")
    bring.add_argument("--format", choices=FORMATS, help="by default as each file's name says")

    push = actions.add_parser(
        "push",
        help="send what is new to the dataset repository on the Hugging Face Hub",
        description="Send the shared drawings and votes that TAGGER_HUB_DATASET lacks, by "
        "TAGGER_HUB_TOKEN. Files are only ever added there.",
    )
    push.set_defaults(command=_push)

    withdraw = actions.add_parser(
        "withdraw",
        help="remove drawings for good",
        description="Remove drawings for good, with all that is known of them.",
    )
    withdraw.set_defaults(command=_withdraw)
    whose = withdraw.add_mutually_exclusive_group(required=True)
    whose.add_argument("--visitor", help="all of the visitor with this id, which the browser keeps")
    whose.add_argument("--contributor", help="all of the contributor with this hash")
    whose.add_argument("--id", nargs="+", dest="ids", help="these drawings")
    withdraw.add_argument("--yes", action="store_true", help="do not ask")

    cli_tuning.add_actions(actions)


@contextmanager
def opened() -> Iterator[Store]:
    """The collection that the settings name."""
    from tagger.collection import Store
    from tagger.settings import load_settings

    with Store.open(load_settings().database_url) as store:
        yield store


# --- look ---------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    with opened() as store:
        drawings = store.gallery(label=options.label, limit=options.limit)
    for drawing in drawings:
        print(json.dumps(_facts(drawing), ensure_ascii=False) if options.json else _line(drawing))
    if not drawings and not options.json:
        print("There are no drawings.", file=sys.stderr)
    return OK


def _facts(drawing: Drawing) -> dict[str, Any]:
    return {
        "id": drawing.id,
        "label": drawing.label,
        "created": _time(drawing).isoformat(timespec="milliseconds"),
        "shared": drawing.consent,
        "source": drawing.source,
        "contributor": drawing.contributor,
        "strokes": len(drawing.strokes),
        "points": sum(map(len, drawing.strokes)),
        "recognized": drawing.recognized,
        "revision": drawing.revision,
    }


def _line(drawing: Drawing) -> str:
    from tagger.cli_output import cell_width

    label = drawing.label + " " * (24 - cell_width(drawing.label))
    shared = "shared" if drawing.consent else "own"
    points = f"{sum(map(len, drawing.strokes))} points"
    return (
        f"{_time(drawing):%Y-%m-%d %H:%M}  {label}  {shared:6}  "
        f"{drawing.source:6}  {points:>12}  {drawing.id}"
    )


def _time(drawing: Drawing) -> datetime:
    return datetime.fromtimestamp(drawing.created / 1000, UTC)


def _count(options: argparse.Namespace) -> int:
    with opened() as store:
        counts = store.counts(consented_only=options.shared)
    if options.json:
        print(json.dumps(counts, ensure_ascii=False))
        return OK
    for label, number in counts.items():
        print(f"{number:>7,}  {label}")
    print(f"{sum(counts.values()):>7,}  in all, of {len(counts):,} words")
    return OK


# --- out and in ---------------------------------------------------------------------------------


def _export(options: argparse.Namespace) -> int:
    from tagger.collection import formats

    path = None if options.file == "-" else Path(options.file)
    format = options.format or ("ndjson" if path is None else formats.guess(path))
    if path is not None and path.exists() and not options.overwrite:
        print(f"tagger: {path} exists; --overwrite replaces it", file=sys.stderr)
        return FAILED
    with opened() as store, destination(path) as file:
        count = formats.write(store.iterate(label=options.label), file, format)
    print(f"Drawings written: {count:,}.", file=sys.stderr)
    return OK


@contextmanager
def destination(path: Path | None) -> Iterator[BinaryIO]:
    """The standard output, or a file that is there only when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    from tagger.atomic import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        yield file


def _import(options: argparse.Namespace) -> int:
    status = OK
    with opened() as store:
        for path in options.files:
            status = max(status, _import_file(store, path, options))
    return status


def _import_file(store: Store, path: Path, options: argparse.Namespace) -> int:
    from tagger import tracing
    from tagger.collection import formats

    def read(file: BinaryIO) -> Iterator[Any]:
        format = options.format or formats.guess(path)
        return formats.read(file, format, partial(tracing.trace, ink="light"))

    return take_in(path, read, store.save_many, options.lang or "en")


def take_in(
    path: Path,
    read: Callable[[BinaryIO], Iterator[Any]],
    save_many: Callable[[list[Any]], Sequence[Any]],
    lang: str,
) -> int:
    """Bring a file into the collection, say what came of it, and give the exit code.

    Parameters
    ----------
    read : callable
        Gives what the file holds one by one, and `tagger.collection.formats.Problem`.
    save_many : callable
        Keeps a list of that; gives receipts, which say whether each is a ``duplicate``.
    """
    from tagger.collection import formats
    from tagger.errors import TaggerError

    taken = there = bad = 0
    batch: list[Any] = []

    def save() -> None:
        nonlocal taken, there
        saved = save_many(batch)
        there += sum(receipt.duplicate for receipt in saved)
        taken += sum(not receipt.duplicate for receipt in saved)
        batch.clear()

    try:
        with path.open("rb") as file:
            for entry in read(file):
                if isinstance(entry, formats.Problem):
                    bad += 1
                    if bad <= _LISTED:
                        reason = entry.error.message(lang)
                        print(f"{path}, {entry.number}: {reason}", file=sys.stderr)
                    continue
                batch.append(entry)
                if len(batch) == _BATCH:
                    save()
        save()
    except OSError as error:
        print(f"tagger: {path} cannot be opened: {error.strerror}", file=sys.stderr)
        return FAILED
    except TaggerError as error:
        # What was taken before stays: importing the file again goes on where this ended.
        print(f"tagger: {path}: {error.message(lang)}", file=sys.stderr)
        bad += 1
    text = f"{path}: taken {taken:,}, there already or deleted {there:,}, not readable {bad:,}."
    print(text, file=sys.stderr)
    return SOME_FAILED if bad else OK


def _push(options: argparse.Namespace) -> int:
    from tagger.collection.hub import push_from
    from tagger.settings import load_settings

    with opened() as store:
        pushed = push_from(store, load_settings())
    print(
        f"Files added: {pushed.files:,}; drawings: {pushed.drawings:,}; "
        f"votes: {pushed.votes:,}; named as withdrawn: {pushed.withdrawn:,}."
    )
    return OK


# --- take back ----------------------------------------------------------------------------------


def _withdraw(options: argparse.Namespace) -> int:
    with opened() as store:
        whose = options.contributor
        if options.visitor:
            whose = store.contributor_of(options.visitor)
        count = len(options.ids) if options.ids else sum(store.counts(contributor=whose).values())
        if not count:
            print("There are no such drawings.", file=sys.stderr)
            return SOME_FAILED
        if not options.yes and not agreed(count, "drawings"):
            return FAILED
        if options.ids:
            for id in options.ids:
                store.delete(id, by=None, owner=True)
        else:
            count = store.withdraw(whose, "drawing")
    print(f"Drawings removed: {count:,}. Files exported before hold them still.")
    return OK


def agreed(count: int, what: str) -> bool:
    """Ask whether so many records may be removed."""
    if not sys.stdin.isatty():
        print(f"tagger: say --yes to remove {what} for good", file=sys.stderr)
        return False
    answer = input(f"Remove {count:,} {what} for good? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
