"""``python -m tagger index``: what is like what in folders of pictures.

Wherever an index is named, it is a file, or one in PostgreSQL that others share:
``postgresql://USER:PASSWORD@HOST/DATABASE?index=NAME``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tagger.cli_inputs import Item, collect, interrupt_asked, share, whole
from tagger.places import is_url, place, shown

if TYPE_CHECKING:
    from tagger.pgindex import PgIndex
    from tagger.services import Outcome, Services
    from tagger.similarity import Index, Neighbour, Snapshot
    from tagger.tags import TagList

OK, SOME_FAILED, FAILED = 0, 1, 2

LABELS = ("tags", "captions", "none")
SEARCHES = ("auto", "exact", "hnsw")

# Pictures that go into the index at once, and problems that are listed.
_BATCH = 64
_LISTED = 50
# What is done is saved about so often, unless saving takes more than a twentieth of the time.
_SAVE_SECONDS = 20.0
_SAVE_SHARE = 20.0

_MAX_CAPTION = 64 * 1024
_COUNT = whole(10_000_000)


# What has the same methods, wherever it is.
AnyIndex: TypeAlias = "Index | PgIndex"


def add_parser(commands: Any) -> None:
    """Add ``index`` and its commands to the parser of the command line."""
    parser = commands.add_parser(
        "index",
        help="build, ask and judge an index of what is like what",
        description="Index pictures by their embeddings, and ask what is like what.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    build = actions.add_parser(
        "build",
        help="index folders of pictures",
        description="Index pictures. What is in the file already and has not changed is left out, "
        "so the same command goes on with a build that was interrupted, and brings one up to date.",
    )
    build.set_defaults(command=_build)
    build.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER")
    build.add_argument(
        "--output",
        "-o",
        type=place,
        required=True,
        metavar="INDEX",
        help="a file, or postgresql://USER:PASSWORD@HOST/DATABASE?index=NAME",
    )
    build.add_argument("--prune", action="store_true", help="remove pictures that are gone")
    build.add_argument(
        "--precision",
        choices=("float16", "float32"),
        default="float16",
        help="how embeddings are kept (float16)",
    )
    _pictures(build)

    add = actions.add_parser("add", help="add pictures to an index")
    add.set_defaults(command=_add)
    add.add_argument("index", type=place, metavar="INDEX")
    add.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER")
    add.add_argument("--prefix", default="", help="put before the names, as a folder's name")
    _pictures(add)

    remove = actions.add_parser("remove", help="remove pictures from an index")
    remove.set_defaults(command=_remove)
    remove.add_argument("index", type=place, metavar="INDEX")
    remove.add_argument("ids", nargs="+", metavar="NAME", help="as `query` shows them")

    query = actions.add_parser("query", help="find what is like a picture")
    query.set_defaults(command=_query)
    query.add_argument("index", type=place, metavar="INDEX")
    query.add_argument("paths", nargs="*", type=Path, metavar="FILE|FOLDER")
    query.add_argument("--name", action="append", default=[], help="one that is indexed instead")
    query.add_argument("-k", type=_COUNT, default=10, metavar="N", help="how many (10)")
    query.add_argument("--json", action="store_true", help="one JSON object a line")
    query.add_argument("--recursive", "-r", action="store_true", help="search folders in folders")
    _search(query)
    _model(query)

    judge = actions.add_parser(
        "evaluate",
        help="how well an index finds pictures with the same tags",
        description="Ask for each picture with itself left out, and judge what is found by the "
        "tags in common, rare ones counting more.",
    )
    judge.set_defaults(command=_evaluate)
    judge.add_argument("index", type=place, metavar="INDEX")
    judge.add_argument("--queries", type=_COUNT, default=1000, metavar="N", help="at most (1000)")
    judge.add_argument("-k", type=_COUNT, nargs="+", default=[1, 5, 10], metavar="N")
    judge.add_argument(
        "--least",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="of the tags in common, that makes a picture relevant (0: any; 1: all)",
    )
    judge.add_argument("--average", choices=("micro", "macro"), default="micro")
    judge.add_argument(
        "--least-cosine",
        type=_cosine,
        default=-1.0,
        metavar="COSINE",
        help="count what is less near as not found (-1)",
    )
    judge.add_argument(
        "--thresholds",
        type=_cosine,
        nargs="+",
        default=[],
        metavar="COSINE",
        help="also judge the tags that neighbours tell, believed from these scores on",
    )
    judge.add_argument("--voters", type=_COUNT, default=5, help="neighbours that vote (5)")
    judge.add_argument("--matcher", choices=("nearest", "vote"), default="vote")
    judge.add_argument("--single", action="store_true", help="each picture has one tag")
    judge.add_argument("--json", action="store_true", help="one JSON object")
    _search(judge)

    calibrate = actions.add_parser(
        "calibrate",
        help="choose from what cosine on neighbours' tags are believed",
        description="Choose cut-points by the indexed pictures themselves, for all tags and for "
        "each that is frequent enough, and keep them in the index.",
    )
    calibrate.set_defaults(command=_calibrate)
    calibrate.add_argument("index", type=place, metavar="INDEX")
    calibrate.add_argument("--target", choices=("f1", "precision"), default="f1")
    calibrate.add_argument("--value", type=share, default=0.9, help="the precision (0.9)")
    calibrate.add_argument("-k", type=_COUNT, default=5, help="neighbours that vote (5)")
    calibrate.add_argument("--matcher", choices=("nearest", "vote"), default="vote")
    calibrate.add_argument("--single", action="store_true", help="each picture has one tag")
    calibrate.add_argument("--json", action="store_true", help="one JSON object")
    _search(calibrate)

    stats = actions.add_parser("stats", help="what an index holds")
    stats.set_defaults(command=_stats)
    stats.add_argument("index", type=place, metavar="INDEX")
    stats.add_argument(
        "--lookups",
        type=_COUNT,
        metavar="N",
        help="ask for so many of its pictures, and say how many seconds a lookup takes",
    )
    _search(stats)

    copy = actions.add_parser(
        "copy",
        help="copy an index from a file to a database, or back",
        description="Copy all of an index, cut-points included, to where there is none yet.",
    )
    copy.set_defaults(command=_copy)
    copy.add_argument("index", type=place, metavar="INDEX")
    copy.add_argument("to", type=place, metavar="NEW")
    _search(copy)

    bench = actions.add_parser(
        "bench",
        help="time and recall of the exact and the approximate search",
        description="Measure made vectors, or those of an index, at several sizes in one run.",
    )
    bench.set_defaults(command=_bench)
    bench.add_argument("--index", type=place, help="of these embeddings")
    bench.add_argument("--sizes", type=_COUNT, nargs="+", default=None, metavar="N")
    bench.add_argument("--dimension", type=_COUNT, default=256, help="of made vectors (256)")
    bench.add_argument("--queries", type=_COUNT, default=200, metavar="N", help="lookups (200)")
    bench.add_argument("-k", type=_COUNT, default=10, metavar="N", help="neighbours (10)")
    bench.add_argument(
        "--database",
        metavar="URL",
        help="measure pgvector, too, in this database, where nothing is left behind",
    )
    form = bench.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object")
    form.add_argument("--markdown", action="store_true", help="a table in Markdown")

    for action in actions.choices.values():
        action.add_argument(
            "--lang", choices=("en", "ja"), help="language of tags and messages (en)"
        )


def _cosine(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 2.0
    if not -1.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("must be a number from -1 to 1")
    return value


def _pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels",
        choices=LABELS,
        default="tags",
        help="the model's tags that reach their operating points; those of captions beside the "
        "pictures (names with commas in .txt files); or none (tags)",
    )
    parser.add_argument("--recursive", "-r", action="store_true", help="search folders in folders")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    _search(parser)
    _model(parser)


def _search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--search",
        choices=SEARCHES,
        help="exact; hnsw, approximate and quick for many; or auto: exact up to 100,000 "
        "(TAGGER_SEARCH, else as saved)",
    )


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", metavar="REF", help="model: a folder or hf:owner/name@revision")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the model")


# --- build, add, remove --------------------------------------------------------------------------


def _build(options: argparse.Namespace) -> int:
    index = _load(options.output, options) if _exists(options.output, options) else None
    return _fill(options, options.output, index)


def _add(options: argparse.Namespace) -> int:
    options.prune = False
    index = _load(options.index, options)
    options.precision = index.precision
    return _fill(options, options.index, index)


def _exists(path: str | Path, options: argparse.Namespace) -> bool:
    from tagger.errors import IndexFileError

    if isinstance(path, Path):
        return path.exists()
    try:
        _load(path, options).close()
    except IndexFileError as error:
        if error.code != "index-not-found":
            raise
        return False
    return True


def _fill(options: argparse.Namespace, path: str | Path, index: AnyIndex | None) -> int:
    problems: list[tuple[str, str]] = []
    found = list(collect(options.paths, options.recursive, problems))
    named = _named(found, getattr(options, "prefix", ""), problems)
    pending = [(name, item) for name, item in named.items() if not _known(index, name, item)]
    counts = {"added": 0, "unchanged": len(named) - len(pending), "removed": 0}
    if options.prune and index is not None:
        # A folder that cannot be read has not lost its pictures.
        gone = [] if problems else [id for id in index.ids() if id not in named]
        counts["removed"] = index.remove(gone)
    if pending:
        services = _services(options)
        try:
            index = _embed(services, pending, path, index, options, counts, problems)
        finally:
            services.close()
    elif index is not None and counts["removed"]:
        _save(index, path)
    elif not named and not problems:
        problems.append(("", "no pictures were found"))
    if index is not None:
        done = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number)
        print(f"{len(index):,} pictures in {shown(path)}" + (f" ({done})" if done else ""))
        index.close()
    return _report(problems, options.lang)


def _named(items: Iterable[Item], prefix: str, problems: list[tuple[str, str]]) -> dict[str, Item]:
    """Pictures by the names that they get: their paths below the folders that were named."""
    from tagger.cli_output import data_text

    named: dict[str, Item] = {}
    for item in items:
        name = prefix + data_text(Path(item.relative)).replace("\\", "/")
        if name in named:
            other = named[name].path
            problems.append((str(item.path), f"has the same name in the index as {other}"))
        else:
            named[name] = item
    return named


def _known(index: AnyIndex | None, name: str, item: Item) -> bool:
    """Whether a picture is in the index and its file is as it was then."""
    entry = index.get(name) if index is not None else None
    if entry is None:
        return False
    metadata = entry.metadata
    try:
        facts = item.path.stat()
    except OSError:
        return False
    return (metadata.get("bytes"), metadata.get("modified")) == (facts.st_size, facts.st_mtime_ns)


def _embed(
    services: Services,
    pending: Sequence[tuple[str, Item]],
    path: str | Path,
    index: AnyIndex | None,
    options: argparse.Namespace,
    counts: dict[str, int],
    problems: list[tuple[str, str]],
) -> AnyIndex | None:
    """Embed the pictures, keep what is done from time to time, and all of it at the end."""
    from tagger.cli_output import Progress
    from tagger.errors import IndexFileError, RequestError

    if index is not None and index.model != services.hash:
        raise IndexFileError("index-foreign")
    visible = sys.stderr.isatty() and not options.quiet
    filler = _Filler(services, index, path, options)
    with (
        interrupt_asked() as interrupted,
        Progress(sys.stderr if visible else None, len(pending)) as progress,
    ):
        outcomes = services.tag_many(((str(item.path), item.path) for _, item in pending), top=None)
        try:
            for (name, item), outcome in zip(pending, outcomes, strict=True):
                if interrupted():
                    break
                if outcome.error is not None:
                    problems.append((str(item.path), outcome.error.message(options.lang or "en")))
                else:
                    try:
                        filler.add(name, item, outcome)
                    except RequestError as error:
                        if error.code == "index-no-embedding":
                            raise
                        problems.append((str(item.path), error.message(options.lang or "en")))
                    except OSError as error:  # it went while the model was at it
                        problems.append((str(item.path), f"cannot be read: {error.strerror}"))
                progress.step()
        finally:
            filler.finish()
            counts["added"] = filler.count
        if interrupted():
            progress.clear()
            print(
                f"{filler.count} pictures are kept in {shown(path)}; the same command goes on.",
                file=sys.stderr,
            )
            raise KeyboardInterrupt
    return filler.index


class _Filler:
    """Puts embedded pictures into an index, batch by batch, and saves it now and then."""

    def __init__(
        self,
        services: Services,
        index: AnyIndex | None,
        path: str | Path,
        options: argparse.Namespace,
    ) -> None:
        self.index = index
        self.count = 0
        self._services = services
        self._path = path
        self._options = options
        self._batch: list[tuple[str, Any, tuple[int, ...], dict[str, Any]]] = []
        self._next_save = time.monotonic() + _SAVE_SECONDS
        self._saved = True

    def add(self, name: str, item: Item, outcome: Outcome) -> None:
        """Take a picture; RequestError if it cannot be indexed."""
        from tagger.errors import RequestError
        from tagger.similarity import items

        result = outcome.result
        assert result is not None
        if result.embedding is None:
            raise RequestError("index-no-embedding")
        facts = item.path.stat()
        metadata = {
            "bytes": facts.st_size,
            "modified": facts.st_mtime_ns,
            "width": result.picture.width,
            "height": result.picture.height,
        }
        if self._options.labels == "tags":
            numbers = tuple(entry.tag.index for entry in result.tags if entry.passes)
        else:
            numbers = _caption(item.path, self._services.tagger.tags, self._options.labels)
        # Checked here, so that one bad picture does not lose its batch.
        items.item(name, numbers, metadata)
        items.unit(result.embedding, len(result.embedding))
        self._batch.append((name, result.embedding, numbers, metadata))
        if len(self._batch) >= _BATCH:
            self._flush()
            if time.monotonic() > self._next_save:
                self._save()

    def finish(self) -> None:
        """Put away what is left."""
        self._flush()
        if self.index is not None and not self._saved:
            _save(self.index, self._path)

    def _flush(self) -> None:
        if not self._batch:
            return
        names, embeddings, labels, metadata = zip(*self._batch, strict=True)
        if self.index is None:
            self.index = _create(
                self._path,
                len(embeddings[0]),
                self._services.hash,
                _searching(self._options) or "auto",
                self._options.precision,
            )
        self.index.add_many(names, list(embeddings), labels, metadata, replace=True)
        self.count += len(names)
        self._batch.clear()
        self._saved = False

    def _save(self) -> None:
        assert self.index is not None
        begun = time.monotonic()
        _save(self.index, self._path, graph=False)  # that of half of it is of no use to anybody
        took = time.monotonic() - begun
        self._next_save = time.monotonic() + max(_SAVE_SECONDS, _SAVE_SHARE * took)
        self._saved = True


def _caption(path: Path, tags: TagList, labels: str) -> tuple[int, ...]:
    """Tag numbers of the caption beside a picture; names that the model does not know are left."""
    if labels == "none":
        return ()
    try:
        with path.with_suffix(".txt").open("rb") as file:
            text = file.read(_MAX_CAPTION).decode("utf-8", "replace")
    except OSError:
        return ()
    found = (tags.find(name) for name in text.replace("\n", ",").split(","))
    return tuple(sorted({tag.index for tag in found if tag is not None}))


def _remove(options: argparse.Namespace) -> int:
    with _load(options.index, options) as index:
        problems = [(id, "there is no such picture") for id in options.ids if id not in index]
        count = index.remove(options.ids)
        if count:
            _save(index, options.index)
        print(f"{len(index):,} pictures in {shown(options.index)} ({count:,} removed)")
    return _report(problems, options.lang)


# --- query ---------------------------------------------------------------------------------------


def _query(options: argparse.Namespace) -> int:
    from tagger.errors import IndexFileError

    problems: list[tuple[str, str]] = []
    items = list(collect(options.paths, options.recursive, problems))
    with _load(options.index, options) as index:
        for name in options.name:
            found = index.neighbours(name, options.k)
            own = index.get(name)
            _show(name, found, set(own.labels if own else ()), None, None, options)
        if items:
            services = _services(options)
            try:
                if index.model != services.hash:
                    raise IndexFileError("index-foreign")
                outcomes = services.tag_many(((str(i.path), i.path) for i in items), top=None)
                for item, outcome in zip(items, outcomes, strict=True):
                    result = outcome.result
                    if result is None or result.embedding is None:
                        code = outcome.error
                        reason = code.message(options.lang or "en") if code else "no embedding"
                        problems.append((str(item.path), reason))
                        continue
                    found = index.lookup(result.embedding, options.k)
                    tags = {entry.tag.index for entry in result.tags if entry.passes}
                    match = _match(index, result.embedding)
                    _show(str(item.path), found, tags, services.tagger.tags, match, options)
            finally:
                services.close()
        elif not options.name and not problems:
            problems.append(("", "no pictures were found"))
    return _report(problems, options.lang)


def _match(index: AnyIndex, embedding: Any) -> list[tuple[int, float]] | None:
    """Tags by the cut-points; None if there are none yet."""
    if index.calibration is None:
        return None
    return [(one.tag, one.score) for one in index.match(embedding)[0]]


def _show(
    name: str,
    found: Sequence[Neighbour],
    tags: set[int],
    names: TagList | None,
    match: list[tuple[int, float]] | None,
    options: argparse.Namespace,
) -> None:
    from tagger.cli_output import data_text, screen_text

    lang = options.lang or "en"

    def word(number: int) -> str:
        if names is None or number >= len(names):
            return str(number)
        return names[number].name if options.json else names[number].display(lang)

    shared = [[word(n) for n in one.item.labels if n in tags] for one in found]
    if options.json:
        data: dict[str, Any] = {
            "query": data_text(Path(name)),
            "neighbours": [
                {**one.to_dict(), "in_common": words}
                for one, words in zip(found, shared, strict=True)
            ],
        }
        if match is not None:
            data["match"] = [{"tag": word(n), "score": round(score, 4)} for n, score in match]
        print(json.dumps(data, ensure_ascii=False))
        return
    print(screen_text(name))
    if match is not None:
        said = ", ".join(f"{word(number)} {score:.2f}" for number, score in match[:8])
        print(f"  by its neighbours: {said or 'unknown'}")
    for one, words in zip(found, shared, strict=True):
        text = screen_text(", ".join(words[:5]))
        line = f"  {one.rank:3}  {one.cosine:6.3f}  {screen_text(one.item.id)}"
        print(line + (f"  ({text})" if text else ""))


# --- figures -------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> int:
    with _load(options.index, options) as index:
        return _judge(index, options)


def _judge(index: AnyIndex, options: argparse.Namespace) -> int:
    from tagger.cli_output import Progress
    from tagger.similarity import evaluate_classification, evaluate_retrieval

    now = index.snapshot()
    total = min(options.queries, now.size)
    with Progress(sys.stderr if sys.stderr.isatty() else None, total) as progress:

        def judged(count: int) -> None:
            for _ in range(count):
                progress.step()

        figures: dict[str, Any] = evaluate_retrieval(
            now,
            ks=sorted(set(options.k)),
            least=options.least,
            least_cosine=options.least_cosine,
            average=options.average,
            queries=options.queries,
            progress=judged,
        )
    told: dict[str, Any] = {}
    if options.thresholds:
        told = evaluate_classification(
            now,
            thresholds=sorted(options.thresholds),
            k=options.voters,
            matcher=options.matcher,
            single=options.single,
        )
    if index.stats().search == "hnsw" and now.size:
        figures["hnsw_recall@10"] = _recall(index, now, total)
    if options.json:
        plain = {name: None if value != value else value for name, value in figures.items()}
        print(json.dumps({**plain, "classification": told} if told else plain))
        return OK
    counts = {name: figures.pop(name) for name in ("queries", "references")}
    print(
        f"{counts['queries']:,} queries with something to find, {counts['references']:,} pictures"
    )
    for name, value in figures.items():
        print(f"  {name:16} " + ("      –" if value != value else f"{value:7.4f}"))
    for name, values in told.items():
        print(f"  {name:26}" + "".join(f"{value:8.4f}" for value in values))
    return OK


def _recall(index: AnyIndex, now: Snapshot, queries: int) -> float:
    """Share of the exact search's ten neighbours that the approximate one finds."""
    from dataclasses import replace

    import numpy as np

    rows = now.rows[np.linspace(0, now.size - 1, queries).astype(int)]
    asked = now.vectors[rows].astype(np.float32)
    exact, _ = replace(now, graph=None).find(asked, 10, rows)
    hits = 0
    for row, wanted in zip(rows.tolist(), exact.tolist(), strict=True):
        found = {one.item.id for one in index.neighbours(now.items[row].id, 10)}
        hits += sum(now.items[other].id in found for other in wanted if other >= 0)
    return hits / max(1, int((exact >= 0).sum()))


def _calibrate(options: argparse.Namespace) -> int:
    with _load(options.index, options) as index:
        chosen = index.calibrate(
            target=options.target,
            value=options.value,
            k=options.k,
            matcher=options.matcher,
            single=options.single,
        )
        _save(index, options.index)
    if options.json:
        print(json.dumps(chosen.to_dict()))
        return OK
    cut = chosen.cut
    if cut.score is None:
        print("The target cannot be reached for all tags together: nothing is believed.")
    else:
        print(
            f"All tags: from {cut.score:.4f}  precision {cut.precision:.3f}  "
            f"recall {cut.recall:.3f}  F1 {cut.f1:.3f}"
        )
    own = [one for one in chosen.per_tag.values() if one.score is not None]
    print(f"Cut-points of their own: {len(own)} tags of {len(chosen.per_tag)} frequent enough.")
    return OK


def _stats(options: argparse.Namespace) -> int:
    with _load(options.index, options) as index:
        for id in index.ids()[: options.lookups or 0]:
            index.neighbours(id)
        facts = {"model": index.model, **index.stats().to_dict()}
    if not options.lookups:
        del facts["latency"]
    print(json.dumps(facts))
    return OK


def _copy(options: argparse.Namespace) -> int:
    if _exists(options.to, options):
        return _report([(shown(options.to), "there is an index already")], options.lang)
    with _load(options.index, options) as index:
        now, search = index.snapshot(), _searching(options) or index.search
        if isinstance(options.to, Path):
            _save(index, options.to)
        else:
            with _create(options.to, index.dimension, index.model, search, index.precision) as new:
                items = [now.items[row] for row in now.rows.tolist()]
                new.add_many(
                    [one.id for one in items],
                    now.embeddings,
                    [one.labels for one in items],
                    [one.metadata for one in items],
                )
                new.use(index.calibration)
    print(f"{now.size:,} pictures in {shown(options.to)}")
    return OK


def _bench(options: argparse.Namespace) -> int:
    from tagger.similarity.bench import SIZES, bench, markdown

    vectors = None
    if options.index is not None:
        with _load(options.index, options) as index:
            vectors = index.snapshot().embeddings
    told: Callable[[str], None] | None = None
    if sys.stderr.isatty():
        told = _tell
    sizes = options.sizes or SIZES
    figures = bench(
        sizes=sorted(set(sizes)),
        dimension=options.dimension,
        queries=options.queries,
        k=options.k,
        vectors=vectors,
        more=_databases(options.database) if options.database else None,
        progress=told,
    )
    if options.json:
        print(json.dumps(figures))
        return OK
    if options.markdown:
        print(markdown(figures))
        return OK
    head = ("vectors", "search", "build s", "ms p50", "ms p95", "ms batch", "times", "recall", "MB")
    print("{:>9}  {:14}{:>9}{:>9}{:>9}{:>10}{:>8}{:>8}{:>8}".format(*head))
    for row in figures["rows"]:
        print(
            f"{row['size']:9,}  {row['kind']:14}{row['build_seconds']:9.2f}{row['p50']:9.3f}"
            f"{row['p95']:9.3f}{row['batch']:10.3f}{row['times']:7.1f}×{row['recall']:8.3f}"
            f"{row['megabytes']:8.1f}"
        )
    return OK


def _databases(url: str) -> dict[str, Callable[[int], Any]]:
    """Makers of indexes in a database that are dropped when they are closed."""
    import secrets
    from contextlib import contextmanager

    from tagger.pgindex import PgIndex

    @contextmanager
    def make(dimension: int, *, search: Any) -> Iterator[PgIndex]:
        name = f"{url}{'&' if '?' in url else '?'}index=bench-{secrets.token_hex(6)}"
        with PgIndex.create(name, dimension, "bench", search=search) as index:
            try:
                yield index
            finally:
                index.drop()

    return {
        "pgvector exact": partial(make, search="exact"),
        "pgvector hnsw": partial(make, search="hnsw"),
    }


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


# --- common --------------------------------------------------------------------------------------


def _services(options: argparse.Namespace) -> Services:
    from tagger.services import build_services
    from tagger.settings import load_settings

    settings = load_settings(bundle=options.bundle, threads=options.threads)
    options.lang = options.lang or ("ja" if settings.language == "ja" else "en")
    return build_services(settings)


def _graphs() -> Path:
    from tagger.settings import load_settings

    return load_settings().data_dir.expanduser() / "graphs"


def _load(path: str | Path, options: argparse.Namespace) -> AnyIndex:
    search = _searching(options)
    if is_url(path):
        from tagger.pgindex import PgIndex

        return PgIndex.open(str(path), search=search)
    from tagger.similarity import Index

    return Index.load(Path(path), search=search, graphs=_graphs())


def _searching(options: argparse.Namespace) -> Any:
    """How to search: as the command says, else as TAGGER_SEARCH does, else (None) as was saved."""
    from tagger.settings import load_settings

    chosen = load_settings(search=getattr(options, "search", None)).search
    return None if chosen == "auto" and not getattr(options, "search", None) else chosen


def _create(path: str | Path, dimension: int, model: str, search: str, precision: str) -> AnyIndex:
    form: dict[str, Any] = {"search": search, "precision": precision}
    if is_url(path):
        from tagger.pgindex import PgIndex

        return PgIndex.create(str(path), dimension, model, **form)
    from tagger.similarity import Index

    return Index(dimension, model, **form)


def _save(index: AnyIndex, path: str | Path, *, graph: bool = True) -> None:
    # One in a database is kept with every change.
    if isinstance(path, Path):
        index.save(path, graphs=_graphs() if graph else None)


def _report(problems: list[tuple[str, str]], lang: str | None) -> int:
    """List on the standard error what could not be done."""
    from tagger.cli_output import screen_text

    if not problems:
        return OK
    for line in _lines(problems, screen_text):
        print(line, file=sys.stderr)
    return SOME_FAILED


def _lines(problems: list[tuple[str, str]], clean: Callable[[str], str]) -> Iterator[str]:
    if len(problems) > 1:
        yield f"Could not be done ({len(problems)}):"
    for name, reason in problems[:_LISTED]:
        yield f"  {clean(name)}: {reason}" if name else f"  {reason}"
    if len(problems) > _LISTED:
        yield f"  and {len(problems) - _LISTED} more"
