"""``python -m tagger rank``: pictures of folders in the order of a ranker or of a saved taste."""

from __future__ import annotations

import argparse
import csv
import heapq
import io
import os
import shutil
import sqlite3
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tagger.cli_inputs import Item, collect, interrupt_asked, whole
from tagger.errors import PreferenceError, TaggerError
from tagger.safetext import csv_text, file_stem

if TYPE_CHECKING:
    from tagger.comparing.judging import Judge
    from tagger.services import Services

OK, SOME_FAILED, FAILED = 0, 1, 2

_MAX_TOP = 1_000_000
# Problems that are listed.
_LISTED = 50
# The standard output.
_STDOUT = Path("-")


def add_parser(commands: Any) -> None:
    """Add ``rank`` to the parser of the command line."""
    parser = commands.add_parser(
        "rank",
        help="put pictures in the order of a ranker or of a saved taste",
        description="Score pictures and put them in order, the best first. The order goes to the "
        "standard output or a table, progress and problems to the standard error.",
    )
    parser.set_defaults(command=_rank)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER|FILE")
    parser.add_argument(
        "--ranker",
        metavar="FILE",
        help="a ranker, its folder, or a taste that was saved on the Compare page (TAGGER_RANKER)",
    )
    parser.add_argument(
        "--top",
        type=whole(_MAX_TOP),
        metavar="N",
        help="the N best ones only",
    )
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar="FILE.csv",
        help="write a table with the columns file, score, rank; - for the standard output",
    )
    parser.add_argument(
        "--ratings",
        type=Path,
        metavar="FILE.csv",
        help="what people think, with the columns file, rating: says how good the order is. A "
        "picture is named by its path below FOLDER",
    )
    parser.add_argument(
        "--zip",
        type=Path,
        metavar="FILE.zip",
        help="copy the pictures into an archive, in order: 001_name.png, 002_...",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--recursive", "-r", action="store_true", help="search folders in folders")
    parser.add_argument("--lang", choices=("en", "ja"), help="language of messages (en)")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    parser.add_argument("--bundle", metavar="REF", help="model: a folder or hf:owner/name@revision")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the model")


@dataclass(frozen=True, slots=True)
class Scored:
    """A picture with its score; `place` is when it came."""

    score: float
    place: int
    path: Path
    rating: float | None


class Order(Protocol):
    """Takes pictures as they come and gives them back, the best first; then as they came."""

    def add(self, scored: Scored) -> None:
        """Take one."""

    def __iter__(self) -> Iterator[Scored]: ...


class Best:
    """The best N, in the memory of N, however many come."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[float, int, Scored]] = []

    def add(self, scored: Scored) -> None:
        """Take one; what is no longer among the best is forgotten."""
        entry = (scored.score, -scored.place, scored)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def __iter__(self) -> Iterator[Scored]:
        """The best first."""
        for _, _, scored in sorted(self._heap, reverse=True):
            yield scored


class All:
    """All that come, in a file of the system's own that has no name: memory stays what it was."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute(
            "CREATE TABLE scored (score REAL, place INTEGER, path BLOB, rating REAL)"
        )

    def add(self, scored: Scored) -> None:
        """Take one."""
        row = (scored.score, scored.place, os.fsencode(scored.path), scored.rating)
        self._rows.execute("INSERT INTO scored VALUES (?, ?, ?, ?)", row)

    def __iter__(self) -> Iterator[Scored]:
        """The best first."""
        for score, place, path, rating in self._rows.execute(
            "SELECT * FROM scored ORDER BY score DESC, place"
        ):
            yield Scored(score, place, Path(os.fsdecode(path)), rating)

    def close(self) -> None:
        """Give the file back."""
        self._rows.close()


class Ratings:
    """What people think of pictures, and which of it was used.

    Parameters
    ----------
    known : mapping of str to float
        By the names in the table.
    """

    def __init__(self, known: Mapping[str, float]) -> None:
        self._known = known
        self._taken: dict[str, Path] = {}
        self.rows: list[tuple[float, float]] = []

    def of(self, item: Item) -> tuple[str, float] | None:
        """The name under which a picture is rated, and its rating."""
        from tagger.cli_output import data_text

        for path in (item.path, item.relative):
            text = data_text(path).replace(os.sep, "/")
            for name in (data_text(path), text, csv_text(text)):
                if name in self._known:
                    return name, self._known[name]
        return None

    def take(self, item: Item, score: float, problems: list[tuple[str, str]]) -> float | None:
        """Remember the score of a picture if it is rated; each rating is of one picture."""
        found = self.of(item)
        if found is None:
            return None
        name, rating = found
        owner = self._taken.setdefault(name, item.path)
        if owner is not item.path:
            reason = f"its rating under the name {name} is that of {owner}"
            problems.append((str(item.path), reason))
            return None
        self.rows.append((score, rating))
        return rating

    @property
    def unused(self) -> int:
        """How many are of no picture that was scored."""
        return len(self._known) - len(self._taken)


def _rank(options: argparse.Namespace) -> int:
    from tagger.services import build_services
    from tagger.settings import load_settings

    for path in (options.output, options.zip):
        if path is not None and path != _STDOUT and path.exists() and not options.overwrite:
            print(f"tagger: {path} exists; --overwrite replaces it", file=sys.stderr)
            return FAILED
    # Nothing but the model: neither drawings nor a gallery are waited for.
    settings = load_settings(
        bundle=options.bundle,
        threads=options.threads,
        ranker=options.ranker,
        sketch_bundle="none",
        gallery="none",
    )
    options.lang = options.lang or ("ja" if settings.language == "ja" else "en")
    ratings = _ratings(options.ratings)
    problems: list[tuple[str, str]] = []
    services = build_services(settings.model_copy(update={"ranker": "none"}))
    try:
        judge = _judge(settings.ranker, services.hash)
        with closing(All()) as every:
            order: Order = every if options.top is None else Best(options.top)
            count = _score(services, judge, order, ratings, options, problems)
            if count:
                written = _write(order, count, options, problems)
    finally:
        services.close()
    if count:
        _say(options, count, written, ratings)
    elif not problems:
        problems.append(("", "no pictures were found"))
    return _report(problems)


def _judge(reference: str, model: str) -> Judge:
    """What scores: a ranker or a saved taste, from a file or a folder."""
    from tagger.comparing.judging import Judge
    from tagger.preference.ranker import MAX_BYTES, read_json

    path = Path(reference).expanduser()
    try:
        with (path / "ranker.json" if path.is_dir() else path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PreferenceError("ranker-not-found") from error
    return Judge.of_file(read_json(data, "ranker-damaged"), model)


def _ratings(path: Path | None) -> Ratings | None:
    from tagger.preference.ratings import MAX_BYTES, read_table

    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return Ratings(read_table(file.read(MAX_BYTES + 1)))
    except OSError as error:
        raise PreferenceError("ratings-table-invalid") from error


def _score(
    services: Services,
    judge: Judge,
    order: Order,
    ratings: Ratings | None,
    options: argparse.Namespace,
    problems: list[tuple[str, str]],
) -> int:
    """Score the pictures as they come; how many could be."""
    from tagger.cli_output import Progress
    from tagger.comparing.looking import description_of

    shown = sys.stderr.isatty() and not options.quiet
    # The names are gone through twice and never kept: there may be millions.
    total = sum(1 for _ in collect(options.paths, options.recursive, [])) if shown else 0
    items, taken = tee(collect(options.paths, options.recursive, problems))
    count = 0
    with (
        interrupt_asked() as interrupted,
        Progress(sys.stderr if shown else None, total) as progress,
    ):
        outcomes = services.tag_many(((str(item.path), item.path) for item in items), top=0)
        for item, outcome in zip(taken, outcomes, strict=True):
            if interrupted():
                raise KeyboardInterrupt
            if outcome.result is None:
                error = outcome.error or TaggerError("internal")
                problems.append((str(item.path), error.message(options.lang)))
            else:
                score = float(judge.scores(description_of(outcome.result)[None])[0])
                rating = ratings.take(item, score, problems) if ratings is not None else None
                order.add(Scored(score, count, item.path, rating))
                count += 1
            progress.step()
    return count


# --- what is written -----------------------------------------------------------------------------


def _write(
    order: Order, count: int, options: argparse.Namespace, problems: list[tuple[str, str]]
) -> int:
    """Write the order wherever it is wanted; how many pictures that were."""
    from tagger.atomic import replacing
    from tagger.cli_output import replacing_text

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal or pipe that cannot show a character gets its escape, not an exception.
        sys.stdout.reconfigure(errors="backslashreplace")
    digits = max(3, len(str(min(count, options.top or count))))
    with ExitStack() as files:
        sinks: list[Sink] = []
        if options.output is None:
            sinks.append(_Lines(sys.stdout, digits))
        elif options.output == _STDOUT:
            sinks.append(_Table(sys.stdout, options.ratings is not None))
        else:
            table = files.enter_context(replacing_text(options.output))
            sinks.append(_Table(table, options.ratings is not None))
        if options.zip is not None:
            options.zip.parent.mkdir(parents=True, exist_ok=True)
            draft = files.enter_context(replacing(options.zip))
            archive = files.enter_context(zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED))
            sinks.append(_Archive(archive, digits, problems))
        rank = 0
        for rank, scored in enumerate(order, 1):
            for sink in sinks:
                sink.add(rank, scored)
    return rank


class Sink(Protocol):
    """Takes pictures in their order."""

    def add(self, rank: int, scored: Scored) -> None:
        """Write the picture of a rank, from 1 on."""


class _Lines:
    """For people: rank, score and file."""

    def __init__(self, out: TextIO, digits: int) -> None:
        self._out = out
        self._digits = digits

    def add(self, rank: int, scored: Scored) -> None:
        from tagger.cli_output import screen_text

        text = screen_text(str(scored.path))
        self._out.write(f"{rank:>{self._digits}}  {scored.score:>+8.3f}  {text}\n")


class _Table:
    """For spreadsheets."""

    def __init__(self, out: TextIO, rated: bool) -> None:
        self._rows = csv.writer(out, lineterminator="\n")
        self._rated = rated
        self._rows.writerow(["file", "score", "rank", *(["rating"] if rated else [])])

    def add(self, rank: int, scored: Scored) -> None:
        from tagger.cli_output import data_text

        row: list[Any] = [csv_text(data_text(scored.path)), f"{scored.score:.6f}", rank]
        if self._rated:
            row.append("" if scored.rating is None else f"{scored.rating:g}")
        self._rows.writerow(row)


class _Archive:
    """Copies of the files, whose names begin with their ranks."""

    def __init__(
        self, archive: zipfile.ZipFile, digits: int, problems: list[tuple[str, str]]
    ) -> None:
        self._archive = archive
        self._digits = digits
        self._problems = problems

    def add(self, rank: int, scored: Scored) -> None:
        stem, suffix = file_stem(scored.path.stem), file_stem(scored.path.suffix[1:])
        name = f"{rank:0{self._digits}}{'_' if stem else ''}{stem}.{suffix or 'img'}"
        try:
            with scored.path.open("rb") as file:
                info = zipfile.ZipInfo.from_file(scored.path, name, strict_timestamps=False)
                info.external_attr = 0o644 << 16
                with self._archive.open(info, "w") as copy:
                    shutil.copyfileobj(file, copy)
        except FileNotFoundError:
            self._problems.append((str(scored.path), "is gone and not in the archive"))


def _say(options: argparse.Namespace, count: int, written: int, ratings: Ratings | None) -> None:
    """Tell what was written, and how good the order is."""
    from tagger.comparing.ranking import evaluate

    # Beside a table on the standard output nothing else may be.
    out = sys.stderr if options.output == _STDOUT else sys.stdout
    if options.output is not None or options.zip is not None:
        places = [str(p) for p in (options.output, options.zip) if p not in (None, _STDOUT)]
        where = f" in {', '.join(places)}" if places else ""
        print(f"{written:,} of {count:,} pictures in order{where}", file=out)
    if ratings is None:
        return
    found = evaluate(ratings.rows)
    if ratings.unused:
        print(f"Ratings of no picture here: {ratings.unused:,}", file=sys.stderr)
    if found is None:
        print("There are too few rated pictures to judge the order.", file=sys.stderr)
        return
    print(f"Rated pictures: {found['rated']:,}", file=out)
    figures = {f"NDCG@{k}": value for k, value in found["ndcg"].items()}
    figures["pairwise accuracy"] = found["pairwise_accuracy"]
    figures["Kendall's tau"] = found["kendall_tau"]
    for name, value in figures.items():
        print(f"{name:18} {'not defined' if value is None else f'{value:.4f}'}", file=out)


def _report(problems: list[tuple[str, str]]) -> int:
    """List on the standard error what could not be done."""
    from tagger.cli_output import screen_text

    if not problems:
        return OK
    if problems[0][0]:
        print(f"Could not be ranked ({len(problems):,}):", file=sys.stderr)
    for name, reason in problems[:_LISTED]:
        print(f"  {screen_text(name)}: {reason}" if name else f"  {reason}", file=sys.stderr)
    if len(problems) > _LISTED:
        print(f"  and {len(problems) - _LISTED:,} more", file=sys.stderr)
    return SOME_FAILED
