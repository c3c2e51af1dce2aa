"""``python -m tagger gallery``: pictures of a folder on a map."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.cli_inputs import collect, interrupt_asked, share, whole

if TYPE_CHECKING:
    from tagger.atlas import Atlas, MapParameters
    from tagger.gallery import Built, Gallery, Source

OK, SOME_FAILED, FAILED = 0, 1, 2

# Problems that are listed.
_LISTED = 50
_MAX_TABLE = 256 * 2**20
_COLUMNS = ("title", "title_ja", "author", "licence", "source", "category", "language", "url")


def add_parser(commands: Any) -> None:
    """Add ``gallery`` and its commands to the parser of the command line."""
    parser = commands.add_parser(
        "gallery",
        help="build and map a gallery of pictures for the Explore page",
        description="Galleries: folders of embeddings, tags, a map and small pictures, which "
        "TAGGER_GALLERY shows on the Explore page.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    build = actions.add_parser(
        "build",
        help="make a gallery of a folder of pictures, or bring one up to date",
        description="Make a gallery and its map. Pictures that are in it already and have not "
        "changed are not looked at again, so the same command goes on with a build that was "
        "interrupted; pictures that are gone are left out.",
    )
    build.set_defaults(command=_build)
    build.add_argument("paths", nargs="+", type=Path, metavar="FOLDER|FILE")
    build.add_argument("--out", "-o", type=Path, required=True, metavar="DIR")
    build.add_argument("--name", help="of the gallery (the folder's)")
    build.add_argument("--licence", default="", help="of the pictures")
    build.add_argument("--credits", default="", help="whom to thank for them")
    build.add_argument(
        "--table",
        type=Path,
        metavar="FILE.csv",
        help=f"what is known about them: columns file, {', '.join(_COLUMNS)}, tags (with commas)",
    )
    build.add_argument(
        "--no-captions",
        action="store_true",
        help="do not read tags from .txt files beside the pictures",
    )
    build.add_argument("--flat", action="store_true", help="do not search folders in folders")
    build.add_argument("--anew", action="store_true", help="use nothing of what is there")
    build.add_argument("--no-map", action="store_true", help="leave the map for `gallery map`")
    build.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    build.add_argument("--bundle", metavar="REF", help="model: a folder or hf:owner/name@revision")
    build.add_argument("--threads", type=int, metavar="N", help="threads of the model")
    _map_options(build)

    map_ = actions.add_parser("map", help="make the map of a gallery again")
    map_.set_defaults(command=_map)
    map_.add_argument("gallery", type=Path, metavar="DIR")
    _map_options(map_)

    info = actions.add_parser("info", help="what a gallery holds")
    info.set_defaults(command=_info)
    info.add_argument("gallery", type=Path, metavar="DIR")
    info.add_argument("--json", action="store_true", help="one JSON object")

    apply = actions.add_parser(
        "apply",
        help="write tags that were edited on the page into a gallery",
        description="Write tags that were added and removed on the Explore page, and exported as "
        "JSON, into a gallery.",
    )
    apply.set_defaults(command=_apply)
    apply.add_argument("export", type=Path, metavar="EXPORT.json")
    apply.add_argument("--gallery", type=Path, required=True, metavar="DIR")
    apply.add_argument("--bundle", metavar="REF", help="the gallery's model (the app's)")

    for action in actions.choices.values():
        action.add_argument("--lang", choices=("en", "ja"), help="language of messages (en)")


def _map_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("map")
    group.add_argument(
        "--method",
        choices=("umap", "pca"),
        default="umap",
        help="umap needs the package umap-learn; without it, or if it fails, pca is used (umap)",
    )
    group.add_argument(
        "--neighbours", type=whole(200), default=15, metavar="N", help="that count as near (15)"
    )
    group.add_argument(
        "--min-distance",
        type=share,
        default=0.1,
        metavar="D",
        help="how close points may lie, 0 to 1 (0.1)",
    )
    group.add_argument("--dimensions", type=int, choices=(2, 3), default=2, help="(2)")
    group.add_argument("--dens", action="store_true", help="dense places stay dense (densMAP)")
    group.add_argument("--supervised", action="store_true", help="tags pull pictures together, too")
    group.add_argument("--seed", type=_seed, default=0, metavar="N", help="of random numbers (0)")


def _seed(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 2147483647")
    return value


# --- build ---------------------------------------------------------------------------------------


def _build(options: argparse.Namespace) -> int:
    from tagger.cli_output import Progress
    from tagger.gallery import build_gallery
    from tagger.services import build_services
    from tagger.settings import load_settings

    problems: list[tuple[str, str]] = []
    sources = _sources(options, problems)
    if not sources:
        return _report(problems or [("", "no pictures were found")])
    settings = load_settings(bundle=options.bundle, threads=options.threads)
    lang = options.lang or ("ja" if settings.language == "ja" else "en")
    services = build_services(settings)
    shown = sys.stderr.isatty() and not options.quiet
    try:
        with (
            interrupt_asked() as interrupted,
            Progress(sys.stderr if shown else None, len(sources)) as progress,
        ):
            built = build_gallery(
                services,
                sources,
                options.out,
                name=options.name or options.paths[0].resolve().name or "gallery",
                licence=options.licence,
                credits=options.credits,
                captions=not options.no_captions,
                anew=options.anew,
                progress=progress.step,
                stop=interrupted,
            )
    finally:
        services.close()
    if built.interrupted:
        print(
            f"{built.added + built.unchanged:,} pictures are kept in {options.out}; "
            "the same command goes on.",
            file=sys.stderr,
        )
        raise KeyboardInterrupt
    problems += [(name, error.message(lang)) for name, error in built.problems]
    if built.count:
        _say(built, options.out)
        if not options.no_map:
            _map_of(options.out, options)
    return _report(problems)


def _say(built: Built, out: Path) -> None:
    parts = (
        f"{getattr(built, word):,} {word}"
        for word in ("added", "unchanged", "removed")
        if getattr(built, word)
    )
    print(f"{built.count:,} pictures in {out} ({', '.join(parts)})")


def _sources(options: argparse.Namespace, problems: list[tuple[str, str]]) -> list[Source]:
    from tagger.cli_output import data_text
    from tagger.gallery import Source

    known = _table(options.table) if options.table else {}
    named: dict[str, Source] = {}
    out = options.out.resolve()
    for item in collect(options.paths, not options.flat, problems):
        if item.path.resolve().is_relative_to(out):
            continue  # a gallery within the folder is not part of it
        name = data_text(item.relative).replace("\\", "/")
        if name in named:
            problems.append((str(item.path), f"has the same name as {named[name].path}"))
        else:
            named[name] = Source(name, item.path, known.get(name, {}))
    return list(named.values())


def _table(path: Path) -> dict[str, dict[str, Any]]:
    """What a table tells of pictures, by their names."""
    from tagger.errors import GalleryError

    try:
        if path.stat().st_size > _MAX_TABLE:
            raise GalleryError("gallery-table-invalid")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "file" not in (rows.fieldnames or ()):
                raise GalleryError("gallery-table-invalid")
            return {row["file"]: _known(row) for row in rows if row["file"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GalleryError("gallery-table-invalid") from error


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {
        name: row[name].strip()[:400] for name in _COLUMNS if (row.get(name) or "").strip()
    }
    given = [tag.strip() for tag in (row.get("tags") or "").split(",")]
    if any(given):
        known["given"] = [tag for tag in given if tag]
    return known


# --- map, info, apply ----------------------------------------------------------------------------


def _map(options: argparse.Namespace) -> int:
    _map_of(options.gallery, options)
    return OK


def _map_of(folder: Path, options: argparse.Namespace) -> None:
    """Make the map, keep it in the gallery, and say what came of it."""
    from tagger.atlas import MapParameters, MapWorker, write_atlas
    from tagger.gallery import MAP, open_gallery
    from tagger.settings import load_settings

    wanted = MapParameters(
        method=options.method,
        neighbours=max(2, options.neighbours),
        min_distance=options.min_distance,
        dimensions=options.dimensions,
        dens=options.dens,
        supervised=options.supervised,
        seed=options.seed,
    )
    gallery = open_gallery(folder)
    worker = MapWorker(load_settings().data_dir.expanduser() / "atlas")
    try:
        atlas = _fitted(worker, gallery, wanted)
    finally:
        worker.close()
        gallery.pictures.close()
    write_atlas(folder / MAP, atlas)
    if atlas.parameters.method != wanted.method:
        reason = worker.problem or "there are too few pictures for UMAP"
        print(f"The map is made by PCA: {reason}", file=sys.stderr)
    print(_map_line(atlas))


def _fitted(worker: Any, gallery: Gallery, wanted: MapParameters) -> Atlas:
    labels = [item.labels for item in gallery.items]
    atlas: Atlas = worker.fit(gallery.embeddings, wanted, labels).result()
    return atlas


def _map_line(atlas: Atlas) -> str:
    parameters = atlas.parameters
    how = parameters.method.upper()
    if parameters.method == "umap":
        how += f", {parameters.neighbours} neighbours, minimum distance {parameters.min_distance:g}"
        how += ", densMAP" if parameters.dens else ""
        how += ", supervised by tags" if parameters.supervised else ""
    by = f", by a sample of {atlas.sample:,}" if atlas.sample is not None else ""
    return (
        f"map: {how}, {parameters.dimensions}-D; trustworthiness {atlas.trustworthiness:.4f} "
        f"(PCA {atlas.pca_trustworthiness:.4f}{by}); {atlas.seconds:.1f} s"
    )


def _info(options: argparse.Namespace) -> int:
    from tagger.gallery import open_gallery

    gallery = open_gallery(options.gallery)
    gallery.pictures.close()
    atlas = gallery.atlas
    if options.json:
        facts: dict[str, Any] = {
            "name": gallery.name,
            "model": gallery.model,
            "hash": gallery.hash,
            "count": len(gallery),
            "dimension": gallery.index.dimension,
            "tags": gallery.predicted.tags,
            "given": int(gallery.given.sum()),
            "licence": gallery.licence,
            "credits": gallery.credits,
            "map": None,
        }
        if atlas is not None:
            facts["map"] = {
                **atlas.parameters.to_dict(),
                "trustworthiness": atlas.trustworthiness,
                "pca_trustworthiness": atlas.pca_trustworthiness,
                "trust_sample": atlas.sample,
                "seconds": atlas.seconds,
            }
        print(json.dumps(facts, ensure_ascii=False))
        return OK
    print(
        f"{gallery.name}: {len(gallery):,} pictures, {int(gallery.given.sum()):,} tagged by people"
    )
    print(f"model {gallery.model}, {gallery.index.dimension} numbers a picture")
    for label, text in (("licence", gallery.licence), ("credits", gallery.credits)):
        if text:
            print(f"{label}: {text}")
    print("map: none yet" if atlas is None else _map_line(atlas))
    return OK


def _apply(options: argparse.Namespace) -> int:
    from tagger import bundles
    from tagger.gallery import apply_edits, open_gallery, read_edits
    from tagger.settings import load_settings

    bundle = bundles.load(load_settings(bundle=options.bundle).bundle)
    edits = read_edits(options.export)
    gallery = open_gallery(options.gallery, model=bundle.hash, tags=len(bundle.tags))
    gallery.pictures.close()
    applied = apply_edits(gallery, edits, bundle.tags)
    print(f"{applied.changed:,} pictures changed in {options.gallery}")
    problems = [(name, "there is no such picture") for name in applied.unknown_pictures]
    problems += [
        (name, "the model has no such tag; it is kept as people wrote it")
        for name in applied.unknown_tags
    ]
    return _report(problems)


def _report(problems: Sequence[tuple[str, str]]) -> int:
    """List on the standard error what could not be done."""
    from tagger.cli_output import screen_text

    if not problems:
        return OK
    if len(problems) > 1:
        print(f"Could not be done ({len(problems)}):", file=sys.stderr)
    for name, reason in problems[:_LISTED]:
        line = f"  {screen_text(name)}: {reason}" if name else f"  {reason}"
        print(line, file=sys.stderr)
    if len(problems) > _LISTED:
        print(f"  and {len(problems) - _LISTED} more", file=sys.stderr)
    return SOME_FAILED
