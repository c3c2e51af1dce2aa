"""The steps of metric learning: plain functions of their inputs, files only where a path is given.

They come after those of tagging: the bundle that tagging wrote is opened, and written again with
another ``embedding``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagger.bundlefiles import CONFIG_FILE, METRICS_FILE, MODEL_FILE
from tagger.bundles import load
from tagger.similarity import retrieval
from tagger.taglist import BuiltTag, Report
from tagger.training import card, export
from tagger.training import loop as tagging_loop
from tagger.training.embedding import graph, judge, sheet
from tagger.training.embedding.features import (
    Eyes,
    Seen,
    eyes_of_model,
    eyes_of_network,
    look,
)
from tagger.training.embedding.graded import tag_weights
from tagger.training.embedding.head import EmbeddingHead
from tagger.training.embedding.loop import (
    Alive,
    Kept,
    TrainedHead,
    embed,
    plain,
    train_embedding,
)
from tagger.training.embedding.recipe import EmbeddingRecipe
from tagger.training.packing import Packed
from tagger.training.pipelines.tagging import nodes as tagging
from tagger.training.sources import Record

log = logging.getLogger(__name__)

Embed = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Base:
    """The bundle that is begun with.

    ``folder`` is where its files are, ``home`` where it was opened first: trained layers of the
    network make another bundle, in the work folder. ``start`` is a head to begin with, where the
    network was just trained with one.
    """

    folder: Path
    tags: tuple[BuiltTag, ...]
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    eyes: Eyes
    home: Path
    start: EmbeddingHead | None = None

    @property
    def unmirrored(self) -> NDArray[np.bool_]:
        """Mask ``[T]`` of tags that forbid mirroring."""
        return np.array([t.name in tagging.UNMIRRORED for t in self.tags])

    @property
    def colours(self) -> NDArray[np.bool_]:
        """Mask ``[T]`` of tags that name a colour."""
        return np.array([t.group == "color" for t in self.tags])


@dataclass(frozen=True)
class Judged:
    """Answers of one embedding by split and question."""

    cross_style: Mapping[str, judge.Answers]
    clip_art: Mapping[str, judge.Answers]

    def values(self, split: str) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Measure: its values, and the rows of those who asked."""
        asked = (self.cross_style[split], self.clip_art[split])
        return {name: (v, a.queries) for a in asked for name, v in a.values.items()}


# --- what is begun with --------------------------------------------------------------------------


def open_base(settings: Mapping[str, Any], run: Mapping[str, Any]) -> Base:
    """Open the bundle of ``tagging``; its list of tags is the one that is used."""
    return _open(Path(settings["bundle"]), run)


def open_written(bundle: str, run: Mapping[str, Any]) -> Base:
    """Open the bundle that ``tagging`` wrote in the same run."""
    return _open(Path(bundle), run)


def _open(folder: Path, run: Mapping[str, Any]) -> Base:
    bundle, model = load(folder), folder / MODEL_FILE
    if run.get("threads"):
        torch.set_num_threads(run["threads"])
    tags = tuple(
        BuiltTag(t.name, t.group, t.name_ja or "", 0, t.count, t.aliases) for t in bundle.tags
    )
    return Base(
        folder,
        tags,
        json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")),
        json.loads((folder / METRICS_FILE).read_text(encoding="utf-8")),
        eyes_of_model(model, graph.network_mark(model), run.get("threads") or 0),
        folder,
    )


def tune_network(
    base: Base,
    packed: Packed,
    records: Sequence[Record],
    settings: Mapping[str, Any],
    tagging_recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
    run: Mapping[str, Any],
    exporting: Mapping[str, Any],
    bundle: Mapping[str, Any],
    work: str,
) -> Base:
    """Train layers of the network itself, where the recipe says so; else hand on what is there.

    The network is that of the tagging run in ``work``. Its tags are kept by their own loss beside
    the metric one, and calibrated and judged anew.

    Raises
    ------
    ValueError
        If the run is not the one that the bundle was made by.
    """
    recipe = EmbeddingRecipe.from_dict(dict(settings["recipe"]))
    if recipe.layers == "head":
        return base
    report = Report(base.tags, {})
    trained = tagging.train_network(packed, report, tagging_recipe, sources, run, work)
    size, views = base.eyes.size, base.facts["training"]["views"]
    _check_same(base, eyes_of_network(trained.network, size, views == "mirrored"), packed)
    rows = _training_rows(packed, recipe)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = trained.network.to(device)
    before = tagging_loop.answers(network, packed, rows, size, device)
    alive = Alive(
        network,
        packed,
        rows,
        recipe,
        size=size,
        before=before,
        unmirrored=base.unmirrored,
        colours=base.colours,
    )
    tuned = train_embedding(
        alive,
        packed,
        rows,
        recipe,
        folder=Path(work) / "embedding" / "runs" / f"{recipe.name}-{recipe.layers}",
        mark=base.eyes.mark,
        silent=sources["silent"],
        say=log.info,
    )
    trained = replace(
        trained,
        network=network.requires_grad_(False).eval().cpu(),
        seconds=trained.seconds + tuned.seconds,
        history=[*trained.history, *tuned.history],
    )
    folder = Path(work) / "embedding" / "base"
    _write_tuned(trained, report, packed, records, size, views, sources, exporting, bundle, folder)
    opened = _open(folder, run)
    kept = {k: base.facts[k] for k in ("comparison", "unseen_style") if k in base.facts}
    return replace(opened, facts={**opened.facts, **kept}, home=base.home, start=tuned.head)


def _check_same(base: Base, eyes: Eyes, packed: Packed) -> None:
    rows = packed.rows("train")[:8]
    pictures = np.stack([_shrunk(packed.rgb[r], base.eyes.size) for r in rows])
    a, b = base.eyes.see(pictures), eyes.see(pictures)
    if np.abs(a - b).max() > 0.02 * np.abs(b).max():
        raise ValueError("the tagging run in the work folder is not the one of this bundle")


def _shrunk(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))


def _write_tuned(
    trained: tagging_loop.Trained,
    report: Report,
    packed: Packed,
    records: Sequence[Record],
    size: int,
    views: str,
    sources: Mapping[str, Any],
    exporting: Mapping[str, Any],
    bundle: Mapping[str, Any],
    folder: Path,
) -> None:
    """The last steps of ``tagging`` upon a network that was trained on."""
    work = str(folder.parent / "export")
    scores = tagging.score(trained, packed, records, size, views)
    calibration = tagging.calibrate(scores, packed, sources)
    points = tagging.choose_operating_points(scores, calibration, packed, sources)
    models = tagging.export_model(trained, calibration, size, views, work)
    parity = tagging.check_parity(trained, calibration, scores, views, models, exporting)
    figures = tagging.evaluate_model(models, scores, calibration, packed, report, sources)
    tagging.write_bundle(
        models,
        report,
        points,
        figures,
        parity,
        trained,
        size,
        views,
        packed,
        {**bundle, "out": str(folder)},
        work,
    )


# --- learning ------------------------------------------------------------------------------------


def _training_rows(packed: Packed, recipe: EmbeddingRecipe) -> NDArray[np.int64]:
    rows = packed.rows("train")
    return rows[packed.sources[rows] != recipe.leave_out]


def see_pictures(
    base: Base,
    packed: Packed,
    records: Sequence[Record],
    settings: Mapping[str, Any],
    work: str,
) -> Seen:
    """Pass every picture through the network once a view."""
    return _see(base, base.eyes, packed, records, settings, work, "")


def _see(
    base: Base,
    eyes: Eyes,
    packed: Packed,
    records: Sequence[Record],
    settings: Mapping[str, Any],
    work: str,
    leave_out: str,
) -> Seen:
    recipe = EmbeddingRecipe.from_dict({**settings["recipe"], "leave_out": leave_out})
    return look(
        eyes,
        packed,
        _training_rows(packed, recipe),
        Path(work) / "embedding",
        pictures=lambda rows: tagging.serving_pictures([records[i] for i in rows], eyes.size),
        views=settings["views"],
        settings=recipe.augmentation,
        unmirrored=base.unmirrored,
        colours=base.colours,
        seed=recipe.seed,
        say=log.info,
    )


def train_head(
    base: Base,
    seen: Seen,
    packed: Packed,
    settings: Mapping[str, Any],
    sources: Mapping[str, Any],
    work: str,
) -> TrainedHead:
    """Train the head upon what the network saw; an interrupted run goes on where it was."""
    recipe = EmbeddingRecipe.from_dict(dict(settings["recipe"]))
    return _train(base.eyes, seen, packed, recipe, sources, Path(work), base.start)


def _train(
    eyes: Eyes,
    seen: Seen,
    packed: Packed,
    recipe: EmbeddingRecipe,
    sources: Mapping[str, Any],
    work: Path,
    start: EmbeddingHead | None = None,
) -> TrainedHead:
    def watch(head: EmbeddingHead) -> dict[str, float]:
        found = _judge(lambda rows: embed(head, seen.plain, rows), packed, sources, ("val",))
        values = found.values("val")
        return {
            name: round(retrieval.mean(values[name][0]), 4)
            for name in ("precision@1", judge.GRADED)
            if len(values[name][0])
        }

    return train_embedding(
        Kept(seen),
        packed,
        seen.rows,
        recipe,
        folder=work / "embedding" / "runs" / recipe.name,
        mark=eyes.mark,
        silent=sources["silent"],
        watch=watch,
        start=start,
        say=log.info,
    )


# --- judging -------------------------------------------------------------------------------------


def _emoji(packed: Packed, sources: Mapping[str, Any], split: str) -> NDArray[np.int64]:
    """Rows of pictures whose things are drawn in several styles."""
    other = [*sources["silent"], *sources["clip_art"]]
    return np.flatnonzero((packed.splits == split) & ~np.isin(packed.sources, other))


def _clip_art(packed: Packed, sources: Mapping[str, Any], split: str) -> NDArray[np.int64]:
    return np.flatnonzero((packed.splits == split) & np.isin(packed.sources, sources["clip_art"]))


def _judge(
    embeddings: Embed,
    packed: Packed,
    sources: Mapping[str, Any],
    splits: Sequence[str] = ("val", "test"),
) -> Judged:
    weights = tag_weights(packed.labels[packed.rows("train")])
    crossed, graded = {}, {}
    for split in splits:
        rows = _emoji(packed, sources, split)
        found = embeddings(rows)
        crossed[split] = judge.cross_style(
            judge.Question(rows, rows), found, found, packed.concepts, packed.sources
        )
        rows = _clip_art(packed, sources, split)
        graded[split] = judge.graded(rows, embeddings(rows), packed.labels, weights)
    return Judged(crossed, graded)


def _row(name: str, dimension: int, judged: Judged, packed: Packed) -> dict[str, Any]:
    """A line of the table: each measure with its interval, by split."""
    return {
        "name": name,
        "dimension": dimension,
        **{
            split: {
                **judge.figures(judged.cross_style[split], packed.concepts),
                **judge.figures(judged.clip_art[split], packed.concepts),
            }
            for split in judged.cross_style
        },
    }


def _difference(
    ours: Judged, other: Judged, packed: Packed, split: str = "test"
) -> dict[str, list[float]]:
    theirs = other.values(split)
    return {
        name: judge.bootstrap(values - theirs[name][0], packed.concepts[rows])
        for name, (values, rows) in ours.values(split).items()
    }


def compare_recipes(
    base: Base,
    seen: Seen,
    packed: Packed,
    settings: Mapping[str, Any],
    sources: Mapping[str, Any],
    work: str,
) -> dict[str, Any]:
    """Train a head by each recipe of the list upon the same features, and tell them apart.

    A recipe is ours with some settings changed. Figures are given on both splits; what is chosen
    is chosen on the first.
    """
    judged = {"plain features": _judge(lambda r: plain(seen.plain, r), packed, sources)}
    table = [_row("plain features", seen.plain.shape[1], judged["plain features"], packed)]
    for change in settings["comparison"]["recipes"]:
        recipe = EmbeddingRecipe.from_dict({**settings["recipe"], **change})
        trained = _train(base.eyes, seen, packed, recipe, sources, Path(work))
        head = trained.head
        judged[recipe.name] = _judge(
            lambda rows, head=head: embed(head, seen.plain, rows),  # type: ignore[misc]
            packed,
            sources,
        )
        row = _row(recipe.name, recipe.dimension, judged[recipe.name], packed)
        table.append({**row, "minutes": round(trained.seconds / 60, 1)})
        log.info("%s", json.dumps(table[-1]))
    baseline = settings["comparison"]["baseline"]
    result: dict[str, Any] = {"network": base.eyes.mark, "table": table}
    if baseline in judged:
        result["baseline"] = baseline
        result["difference"] = {
            name: _difference(found, judged[baseline], packed)
            for name, found in judged.items()
            if name != baseline
        }
    export.write_json(Path(work) / "embedding_comparison.json", result)
    return result


def test_unseen_style(
    base: Base,
    packed: Packed,
    records: Sequence[Record],
    settings: Mapping[str, Any],
    unseen: Mapping[str, Any],
    tagging_recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
    run: Mapping[str, Any],
    work: str,
) -> dict[str, Any]:
    """Train tags and embedding without one style, and look for it, and from it.

    Pictures of the style ask among all others for the same thing, and the other way round: of
    things that were trained on in other styles, and of things never seen.
    """
    source = unseen["source"]
    recipe = tagging.recipe_without(unseen, tagging_recipe)
    trained = tagging.train_network(
        packed, Report(base.tags, {}), asdict(recipe), sources, run, work
    )
    eyes = eyes_of_network(trained.network, recipe.sizes[-1][1], mirrored=True)
    seen = _see(base, eyes, packed, records, settings, work, source)
    head_recipe = EmbeddingRecipe.from_dict(
        {**settings["recipe"], "name": f"without-{source}", "leave_out": source}
    )
    head = _train(eyes, seen, packed, head_recipe, sources, Path(work)).head
    result: dict[str, Any] = {
        "source": source,
        "network": eyes.mark,
        "epochs": recipe.epochs,
        "size": eyes.size,
        "rows": [],
    }
    for which, splits in (("known things", ("train",)), ("unseen things", ("val", "test"))):
        rows = np.concatenate([_emoji(packed, sources, split) for split in splits])
        style = packed.sources[rows] == source
        questions = {
            f"from the unseen style, {which}": judge.Question(rows[style], rows[~style]),
            f"to the unseen style, {which}": judge.Question(rows[~style], rows[style]),
            f"among the known styles, {which}": judge.Question(rows[~style], rows[~style]),
        }
        for name, question in questions.items():
            line: dict[str, Any] = {"name": name, "trained_on": which == "known things"}
            for kind, make in (
                ("plain", lambda r: plain(seen.plain, r)),
                ("trained", lambda r: embed(head, seen.plain, r)),
            ):
                answers = judge.cross_style(
                    question,
                    make(question.queries),
                    make(question.references),
                    packed.concepts,
                    packed.sources,
                )
                line[kind] = judge.figures(answers, packed.concepts)
                line["queries"] = int((~np.isnan(answers.values["precision@1"])).sum())
            log.info("%s", json.dumps(line))
            result["rows"].append(line)
    export.write_json(Path(work) / "embedding_unseen_style.json", result)
    return result


# --- the file ------------------------------------------------------------------------------------


def export_embedding(base: Base, trained: TrainedHead, work: str) -> dict[str, str]:
    """The bundle's model with the new head, in full, and with its large weights in float16."""
    folder = Path(work) / "embedding"
    full, shipped = folder / "full.onnx", folder / MODEL_FILE
    graph.attach(base.folder / MODEL_FILE, trained.head, full)
    export.halve(full, shipped)
    return {"full": str(full), "shipped": str(shipped)}


def check_parity(
    base: Base,
    trained: TrainedHead,
    models: Mapping[str, str],
    packed: Packed,
    records: Sequence[Record],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The new file against the old one, and its embedding against torch.

    Raises
    ------
    ValueError
        If tags or heat maps changed, or torch and ONNX differ: nothing must be shipped then.
    """
    rows = packed.rows("test")[: settings["parity_pictures"]]
    pictures = tagging.serving_pictures([records[i] for i in rows], base.eyes.size)
    old = _run(base.folder / MODEL_FILE, pictures)
    full, shipped = (_run(Path(models[kind]), pictures) for kind in ("full", "shipped"))
    with torch.inference_mode():
        wanted = trained.head(torch.from_numpy(old["features"])).numpy()
    found = {
        "pictures": len(rows),
        **{name: _apart(old[name], shipped[name]) for name in ("probabilities", "features")},
        "embedding": _apart(wanted, full["embedding"]),
        "embedding_shipped": _apart(wanted, shipped["embedding"]),
        "bytes": Path(models["shipped"]).stat().st_size,
    }
    for name in ("probabilities", "features", "embedding"):
        if found[name] > settings["tolerance"]:
            raise ValueError(f"{name}: old and new differ by {found[name]:.2e}")
    return found


def _run(model: Path, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    import onnxruntime as ort

    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    parts = []
    for start in range(0, len(pictures), 64):
        x = np.ascontiguousarray(pictures[start : start + 64, ..., ::-1]).astype(np.float32)
        parts.append(session.run(list(export.OUTPUTS), {session.get_inputs()[0].name: x}))
    return {name: np.concatenate([p[i] for p in parts]) for i, name in enumerate(export.OUTPUTS)}


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a - b).max())


def evaluate_embedding(
    base: Base,
    trained: TrainedHead,
    seen: Seen,
    models: Mapping[str, str],
    packed: Packed,
    records: Sequence[Record],
    sources: Mapping[str, Any],
    work: str,
) -> dict[str, Any]:
    """Figures of the shipped file beside the plain features, and its mistakes as a picture."""
    held = np.flatnonzero(packed.splits != "train")
    pictures = tagging.serving_pictures([records[i] for i in held.tolist()], base.eyes.size)
    vectors = _run(Path(models["shipped"]), pictures)["embedding"]
    before = _judge(lambda rows: plain(seen.plain, rows), packed, sources)
    after = _judge(lambda rows: vectors[np.searchsorted(held, rows)], packed, sources)
    answers = after.cross_style["test"]
    rows = _emoji(packed, sources, "test")
    return {
        "table": [
            _row("plain features", seen.plain.shape[1], before, packed),
            _row(trained.recipe.name, trained.recipe.dimension, after, packed),
        ],
        "difference": _difference(after, before, packed),
        "questions": {
            split: {
                "cross_style": int(
                    (~np.isnan(after.cross_style[split].values["precision@1"])).sum()
                ),
                "clip_art": int((~np.isnan(after.clip_art[split].values[judge.GRADED])).sum()),
                "concepts": len(np.unique(packed.concepts[after.cross_style[split].queries])),
            }
            for split in ("val", "test")
        },
        "mistakes": _mistakes(
            answers,
            vectors[np.searchsorted(held, rows)],
            packed,
            np.array([record.title or record.concept for record in records]),
            Path(work) / "embedding" / "mistakes.png",
        ),
    }


def _mistakes(
    answers: judge.Answers,
    vectors: NDArray[np.float32],
    packed: Packed,
    names: NDArray[np.str_],
    path: Path,
) -> dict[str, Any]:
    """Count mistakes by kind, and draw some of them with the names of what is on them."""
    asked = ~np.isnan(answers.values["precision@1"])
    wrong = np.flatnonzero(asked & (answers.values["precision@1"] == 0))
    rows, concepts, sources = answers.queries, packed.concepts, packed.sources
    best = []
    for at in wrong:
        right = (concepts[rows] == concepts[rows[at]]) & (sources[rows] != sources[rows[at]])
        cosines = np.where(right, vectors @ vectors[at], -2.0)
        best.append(rows[cosines.argmax()])
    pairs = np.stack([rows[wrong], answers.nearest[wrong], np.array(best, np.int64)], 1)
    # Spread over all of them; always the same.
    shown = pairs[np.random.default_rng(0).permutation(len(pairs))[:60]]
    sheet.draw(shown, packed.rgb, names, path)
    shared = (packed.labels[pairs[:, 0]] & packed.labels[pairs[:, 1]]).sum(1)
    either = (packed.labels[pairs[:, 0]] | packed.labels[pairs[:, 1]]).sum(1)
    styles = {
        str(style): [
            int((sources[pairs[:, 0]] == style).sum()),
            int((asked & (sources[rows] == style)).sum()),
        ]
        for style in np.unique(sources[rows])
    }
    confused: dict[str, int] = {}
    for a, b in zip(names[pairs[:, 0]].tolist(), names[pairs[:, 1]].tolist(), strict=True):
        key = " / ".join(sorted((a, b)))
        confused[key] = confused.get(key, 0) + 1
    return {
        "wrong": len(pairs),
        "queries": int(asked.sum()),
        "half_of_tags_shared": int((2 * shared >= np.maximum(either, 1)).sum()),
        "no_tag_shared": int((shared == 0).sum()),
        "right_among_first_five": int((answers.values["hit_rate@5"][wrong] == 1).sum()),
        "by_style": styles,
        "most_confused": dict(sorted(confused.items(), key=lambda kv: (-kv[1], kv[0]))[:12]),
    }


def write_bundle(
    base: Base,
    trained: TrainedHead,
    models: Mapping[str, str],
    figures: Mapping[str, Any],
    parity: Mapping[str, Any],
    settings: Mapping[str, Any],
    bundle: Mapping[str, Any],
    work: str,
) -> str:
    """Write the bundle anew: the model, and what is said of its embedding."""
    out = Path(settings["out"] or base.home)
    recipe = asdict(trained.recipe)
    facts = {
        **base.facts,
        "embedding": {
            "command": bundle["command"],
            "dimension": trained.recipe.dimension,
            "minutes": round(trained.seconds / 60, 1),
            "views": settings["views"],
            "recipe": recipe,
            **figures,
            "parity": parity,
            "remains": settings["remains"],
        },
    }
    for name in ("comparison", "unseen_style"):
        found = Path(work) / f"embedding_{name}.json"
        if found.exists():
            facts["embedding"][name] = json.loads(found.read_text(encoding="utf-8"))
    config = embedding_config(base.config, trained.recipe.dimension)
    history = json.loads((base.folder / "training.json").read_text(encoding="utf-8"))
    export.write_json(out / "training.json", {**history, "embedding": trained.history})
    export.write_bytes(out / "selected_tags.csv", (base.folder / "selected_tags.csv").read_bytes())
    export.write_json(out / CONFIG_FILE, config)
    export.write_json(out / METRICS_FILE, facts)
    export.write_text(out / "README.md", card.render(config, facts))
    export.write_bytes(out / MODEL_FILE, Path(models["shipped"]).read_bytes())
    log.info("%s holds the new embedding", out)
    return str(out)


def embedding_config(config: Mapping[str, Any], dimension: int) -> dict[str, Any]:
    """``config.json`` with what the embedding is now."""
    outputs = [
        {**o, "shape": ["N", dimension], "meaning": tagging.TRAINED_EMBEDDING}
        if o["name"] == "embedding"
        else o
        for o in config["outputs"]
    ]
    return {**config, "outputs": outputs}
