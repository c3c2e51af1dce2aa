"""The steps of tagging: plain functions of their inputs, files only where a path is given."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tagger.images import ImageLimits, letterbox, read
from tagger.taglist import BuiltTag, Report, Rules, TagListBuilder
from tagger.training import calibration as cal
from tagger.training import card, export, loop, metrics
from tagger.training.embedding import graph
from tagger.training.packing import Packed, labelled, pack
from tagger.training.sources import Record, read_records

log = logging.getLogger(__name__)

# Mirroring turns these into something else.
UNMIRRORED = frozenset(
    (
        *("left", "right", "text", "number", "japanese", "signal_flag", "semaphore", "question"),
        *("clock", "map", "math", "gender", "zodiac", "keyboard", "education"),
    )
)


# What `config.json` says of an embedding that was trained, not just taken from the features.
TRAINED_EMBEDDING = "embedding trained by metric learning, length 1"


@dataclass(frozen=True)
class Scores:
    """Logits ``[n, T]`` of validation and test rows, and the test pictures as serving sees them."""

    val_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]
    val: NDArray[np.float32]
    test: NDArray[np.float32]
    test_pictures: NDArray[np.uint8]


def read_pictures(data: str, limit: int) -> list[Record]:
    """Read all records, or the first ``limit``."""
    if not data:
        raise ValueError("say where the pictures are: --data FOLDER_OR_TABLE")
    records = read_records(Path(data))
    return records[:limit] if limit else records


def make_builder(settings: Mapping[str, Any]) -> TagListBuilder:
    """The builder that parameters ask for; ``rules`` is a folder, empty for the shipped rules."""
    folder = settings.get("rules")
    return TagListBuilder(
        Rules.load(Path(folder)) if folder else Rules.load(),
        min_concepts=settings["min_concepts"],
        min_judged=settings["min_judged"],
        keep_unlisted=settings["keep_unlisted"],
        use_titles=settings["use_titles"],
    )


def build_tag_list(
    records: Sequence[Record], taglist: Mapping[str, Any], sources: Mapping[str, Any]
) -> Report:
    """The list, from the training pictures alone."""
    report = make_builder(taglist).build(
        labelled(r, sources["silent"]) for r in records if r.split == "train"
    )
    if len(report.tags) < 2:
        raise ValueError(
            "fewer than two tags have the support; lower taglist.min_concepts and min_judged"
        )
    log.info("%d tags", len(report.tags))
    return report


class Listed(Protocol):
    """What holds a list of tags: the report of its making, or a bundle."""

    @property
    def tags(self) -> tuple[BuiltTag, ...]:
        """In the order of the network's outputs."""


def pack_pictures(
    records: Sequence[Record],
    listed: Listed,
    taglist: Mapping[str, Any],
    settings: Mapping[str, Any],
    work: str,
) -> Packed:
    """Decode every picture once; what an earlier run packed is found again."""
    return pack(
        records,
        make_builder(taglist),
        listed.tags,
        Path(work),
        side=settings["side"],
        size=settings["size"],
    )


def train_network(
    packed: Packed,
    report: Report,
    recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
    run: Mapping[str, Any],
    work: str,
) -> loop.Trained:
    """Train the chosen recipe; an interrupted run goes on where it was."""
    return _train(packed, report, loop.Recipe.from_dict(dict(recipe)), sources, run, Path(work))


def _train(
    packed: Packed,
    report: Report,
    recipe: loop.Recipe,
    sources: Mapping[str, Any],
    run: Mapping[str, Any],
    work: Path,
) -> loop.Trained:
    if run.get("threads"):
        torch.set_num_threads(run["threads"])
    first = None
    if recipe.start:
        first = _train(packed, report, recipe.first(), sources, run, work)
    trained = loop.train(
        packed,
        recipe,
        folder=work / "runs" / recipe.name,
        unmirrored=np.array([t.name in UNMIRRORED for t in report.tags]),
        colours=np.array([t.group == "color" for t in report.tags]),
        judging=_judging(packed, sources),
        start=first.network if first else None,
        compile_network=bool(run.get("compile")),
        say=log.info,
    )
    if first is None:
        return trained
    return replace(
        trained,
        history=[*first.history, *trained.history],
        seconds=first.seconds + trained.seconds,
    )


def _judging(packed: Packed, sources: Mapping[str, Any]) -> NDArray[np.bool_]:
    return ~np.isin(packed.sources, sources["silent"])


def _judged(packed: Packed, sources: Mapping[str, Any], split: str) -> NDArray[np.int64]:
    rows = packed.rows(split)
    return rows[_judging(packed, sources)[rows] & packed.labels[rows].any(1)]


def choose_size(
    trained: loop.Trained,
    packed: Packed,
    sources: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> int:
    """The side of best validation mAP among those allowed (Touvron et al., NeurIPS 2019).

    A network trained on varied sizes sees best at a side somewhat above the one it learnt at.
    """
    rows = _judged(packed, sources, "val")
    best = {}
    for size in settings["serve_sizes"]:
        logits, _ = loop.predict(trained.network, packed.rgb, rows, size=size)
        best[size] = metrics.evaluate(_sigmoid(logits), packed.labels[rows])
        log.info("served at %d: %s", size, best[size].as_dict())
    return max(best, key=lambda s: best[s].mean_average_precision)


def choose_views(
    trained: loop.Trained, packed: Packed, sources: Mapping[str, Any], size: int
) -> str:
    """``mirrored`` if a second look at the mirror image raises validation mAP, else ``one``."""
    rows = _judged(packed, sources, "val")
    best = {}
    for views in ("one", "mirrored"):
        logits, _ = loop.predict(
            trained.network, packed.rgb, rows, size=size, mirrored=views == "mirrored"
        )
        best[views] = metrics.evaluate(_sigmoid(logits), packed.labels[rows])
        log.info("views %s: %s", views, best[views].as_dict())
    return max(best, key=lambda v: best[v].mean_average_precision)


def score(
    trained: loop.Trained, packed: Packed, records: Sequence[Record], size: int, views: str
) -> Scores:
    """Logits of the pictures held back, prepared from the files exactly as serving does."""
    rows = {split: packed.rows(split) for split in ("val", "test")}
    if packed.rgb.shape[1] == size:
        pictures = {split: packed.rgb[r] for split, r in rows.items()}
    else:
        pictures = {s: serving_pictures([records[i] for i in r], size) for s, r in rows.items()}
    logits = {
        s: loop.predict(
            trained.network, pictures[s], np.arange(len(rows[s])), mirrored=views == "mirrored"
        )[0]
        for s in rows
    }
    return Scores(rows["val"], rows["test"], logits["val"], logits["test"], pictures["test"])


def serving_pictures(records: Sequence[Record], size: int) -> NDArray[np.uint8]:
    """Pictures through the very functions that the app uses: uint8 ``[N, S, S, 3]``."""
    out = np.empty((len(records), size, size, 3), np.uint8)
    for i, record in enumerate(records):
        picture = read(record.read_bytes(), limits=ImageLimits(), target=size)
        out[i] = letterbox(picture.rgb, size)
    return out


def calibrate(scores: Scores, packed: Packed, sources: Mapping[str, Any]) -> cal.Calibration:
    """Platt scaling on the judged validation pictures."""
    keep = _within(scores.val_rows, _judged(packed, sources, "val"))
    logits, rows = scores.val[keep], scores.val_rows[keep]
    labels, concepts = packed.labels[rows], packed.concepts[rows]
    spread = cal.choose_spread(logits, labels, concepts)
    log.info("spread of the offsets: %g", spread)
    return cal.fit_platt(logits, labels, spread=spread)


def choose_operating_points(
    scores: Scores, calibration: cal.Calibration, packed: Packed, sources: Mapping[str, Any]
) -> list[cal.OperatingPoint]:
    """Cut-offs chosen on validation pictures, measured on test pictures."""
    val = _within(scores.val_rows, _judged(packed, sources, "val"))
    test = _within(scores.test_rows, _judged(packed, sources, "test"))
    rows = scores.val_rows[val]
    return cal.operating_points(
        (calibration(scores.val[val]), packed.labels[rows], packed.concepts[rows]),
        (calibration(scores.test[test]), packed.labels[scores.test_rows[test]]),
    )


def export_model(
    trained: loop.Trained, calibration: cal.Calibration, size: int, views: str, work: str
) -> dict[str, str]:
    """The model in float32, and as it ships: weights in float16, arithmetic in float32."""
    full, shipped = Path(work) / "float32.onnx", Path(work) / "model.onnx"
    wrapped = export.wrap(trained.network, calibration, views == "mirrored")
    export.to_onnx(wrapped, size, full)
    export.halve(full, shipped)
    return {"float32": str(full), "shipped": str(shipped)}


def check_parity(
    trained: loop.Trained,
    calibration: cal.Calibration,
    scores: Scores,
    views: str,
    models: Mapping[str, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Torch against ONNX; the float32 file must agree within the tolerance.

    Raises
    ------
    ValueError
        If it does not: then the export is wrong, and nothing must be shipped.
    """
    pictures = scores.test_pictures[: settings["parity_pictures"]]
    wrapped = export.wrap(trained.network, calibration, views == "mirrored")
    full = export.largest_difference(wrapped, Path(models["float32"]), pictures)
    small = export.largest_difference(wrapped, Path(models["shipped"]), pictures)
    for name in ("probabilities", "embedding"):
        if full[name] > settings["tolerance"]:
            raise ValueError(f"{name}: torch and ONNX differ by {full[name]:.2e}")
    return {
        "pictures": len(pictures),
        "float32": full,
        "shipped": small,
        "bytes": {k: Path(p).stat().st_size for k, p in models.items()},
    }


def evaluate_model(
    models: Mapping[str, str],
    scores: Scores,
    calibration: cal.Calibration,
    packed: Packed,
    report: Report,
    sources: Mapping[str, Any],
) -> dict[str, Any]:
    """Test and validation figures; those of the test split come from the shipped file itself."""
    keep = _within(scores.test_rows, _judged(packed, sources, "test"))
    rows = scores.test_rows[keep]
    labels = packed.labels[rows]
    shipped = run_onnx(Path(models["shipped"]), scores.test_pictures[keep])
    full = run_onnx(Path(models["float32"]), scores.test_pictures[keep])
    clip = np.isin(packed.sources[rows], sources["clip_art"])
    groups = np.array([t.group for t in report.tags])

    def part(which: NDArray[np.bool_]) -> dict[str, Any]:
        return metrics.evaluate(shipped[which], labels[which]).as_dict()

    by_source = metrics.by_group(
        packed.sources[rows], lambda r: metrics.evaluate(shipped[r], labels[r])
    )
    val = _within(scores.val_rows, _judged(packed, sources, "val"))
    val_rows = scores.val_rows[val]
    return {
        "test": {
            "all": metrics.evaluate(shipped, labels).as_dict(),
            "emoji": part(~clip),
            "clip_art": part(clip),
        },
        "test_float32": metrics.evaluate(full, labels).as_dict(),
        "test_by_source": {k: v.as_dict() for k, v in by_source.items()},
        "test_by_group": {
            str(g): _uncalibrated(metrics.evaluate(shipped[:, groups == g], labels[:, groups == g]))
            for g in np.unique(groups)
        },
        "val": _uncalibrated(
            metrics.evaluate(calibration(scores.val[val]), packed.labels[val_rows])
        ),
    }


def run_onnx(model: Path, pictures: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
    """Probabilities ``[N, T]`` of pictures uint8 ``[N, S, S, 3]`` RGB from a bundle's model."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    out = []
    for start in range(0, len(pictures), batch):
        x = np.ascontiguousarray(pictures[start : start + batch, ..., ::-1]).astype(np.float32)
        out.append(session.run(["probabilities"], {"input": x})[0])
    return np.concatenate(out)


def write_bundle(
    models: Mapping[str, str],
    report: Report,
    points: Sequence[cal.OperatingPoint],
    figures: Mapping[str, Any],
    parity: Mapping[str, Any],
    trained: loop.Trained,
    size: int,
    views: str,
    packed: Packed,
    settings: Mapping[str, Any],
    work: str,
) -> str:
    """Write the bundle's folder: model, tags, configuration, metrics, card."""
    out = Path(settings["out"])
    kept = _kept_embedding(out, models, packed, size)
    splits, counts = np.unique(packed.splits, return_counts=True)
    facts = {
        "command": settings["command"],
        "data": {
            "pictures": {str(s): int(n) for s, n in zip(splits, counts, strict=True)},
            "concepts": len(np.unique(packed.concepts)),
            "tags": len(report.tags),
        },
        **figures,
        "parity": parity,
        "training": {
            "minutes": round(trained.seconds / 60, 1),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads"
            if not torch.cuda.is_available()
            else torch.cuda.get_device_name(),
            "size": size,
            "views": views,
            "epochs": len(trained.history),
            "recipe": asdict(trained.recipe),
        },
    }
    # Apart from the figures, which the API gives to everybody who asks for the model.
    export.write_json(out / "training.json", {"history": trained.history})
    for name in ("comparison", "unseen_style"):
        found = Path(work) / f"{name}.json"
        if found.exists():
            facts[name] = json.loads(found.read_text())
    export.write_tags(out / "selected_tags.csv", report.tags, points)
    config = {
        "format_version": 1,
        "task": "illustration-tagging",
        "name": settings["name"],
        "version": settings["version"],
        "licence": settings["licence"],
        "author": settings["author"],
        "input": {
            "name": "input",
            "size": size,
            "layout": "NHWC",
            "color": "BGR",
            "range": [0, 255],
            "pad_color": 255,
        },
        "outputs": [
            {
                "name": "probabilities",
                "shape": ["N", len(report.tags)],
                "meaning": "calibrated probability of each row of selected_tags.csv",
            },
            {
                "name": "embedding",
                "shape": ["N", trained.network.width],
                "meaning": "L2-normalised mean of `features`",
            },
            {
                "name": "features",
                "shape": ["N", trained.network.width, "h", "w"],
                "meaning": "features by place, for heat maps",
            },
        ],
        "tags": len(report.tags),
        "default_top": 10,
        "training_data": list(settings["training_data"]),
    }
    if kept is not None:
        facts["embedding"] = kept["facts"]
        config["outputs"] = [
            kept["output"] if o["name"] == "embedding" else o for o in config["outputs"]
        ]
    export.write_json(out / "config.json", config)
    export.write_json(out / "metrics.json", facts)
    export.write_text(out / "README.md", card.render(config, facts))
    export.write_bytes(out / "model.onnx", Path(models["shipped"]).read_bytes())
    return str(out)


def _kept_embedding(
    out: Path, models: Mapping[str, str], packed: Packed, size: int
) -> dict[str, Any] | None:
    """Put the trained embedding of the bundle in ``out`` into the new model, where it fits.

    It was learnt on the features of one network and says nothing of another's: where these are not
    the same, it goes, and the log says so.
    """
    try:
        facts = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["embedding"]
        outputs = json.loads((out / "config.json").read_text(encoding="utf-8"))["outputs"]
    except (OSError, KeyError, ValueError):
        return None
    old, new = out / "model.onnx", Path(models["shipped"])
    rows = packed.rows("test")[:8]
    pictures = np.stack(
        [np.asarray(Image.fromarray(packed.rgb[row]).resize((size, size))) for row in rows]
    )
    if not graph.has_head(old) or not graph.features_agree(old, new, pictures):
        log.warning(
            "%s had an embedding trained upon another network; the new one's is plain until "
            "`python -m tagger train embedding` has run",
            out,
        )
        return None
    graph.transplant(old, new)
    output = next(o for o in outputs if o["name"] == "embedding")
    return {"facts": facts, "output": output}


def compare_recipes(
    packed: Packed,
    report: Report,
    settings: Mapping[str, Any],
    ours: Mapping[str, Any],
    sources: Mapping[str, Any],
    run: Mapping[str, Any],
    work: str,
) -> dict[str, Any]:
    """Train each recipe of the list within one budget and tell them apart on validation.

    A recipe is ours with some settings changed, under the budget's epochs and sizes, so that a
    line of the table differs from the first in what its name says. The figures of every line are
    those at its own side; differences from the published recipe carry bootstrap intervals.
    """
    rows = _judged(packed, sources, "val")
    table, probabilities = [], {}
    for change in settings["recipes"]:
        recipe = loop.Recipe.from_dict({**ours, **settings["budget"], **change})
        trained = _train(packed, report, recipe, sources, run, Path(work) / "comparison")
        logits, _ = loop.predict(trained.network, packed.rgb, rows, size=recipe.sizes[-1][1])
        probabilities[recipe.name] = _sigmoid(logits)
        table.append(
            {
                "name": recipe.name,
                "backbone": recipe.backbone,
                "epochs": len(trained.history),
                "size": recipe.sizes[-1][1],
                "minutes": round(trained.seconds / 60, 1),
                **_uncalibrated(metrics.evaluate(probabilities[recipe.name], packed.labels[rows])),
            }
        )
        log.info("%s", json.dumps(table[-1]))
    result: dict[str, Any] = {"split": "val", "table": table}
    if (baseline := settings.get("baseline")) in probabilities:
        result["baseline"] = baseline
        result["difference"] = {
            name: metrics.bootstrap_difference(
                p, probabilities[baseline], packed.labels[rows], packed.concepts[rows]
            )
            for name, p in probabilities.items()
            if name != baseline
        }
    export.write_json(Path(work) / "comparison.json", result)
    return result


def test_unseen_style(
    packed: Packed,
    report: Report,
    settings: Mapping[str, Any],
    ours: Mapping[str, Any],
    sources: Mapping[str, Any],
    run: Mapping[str, Any],
    work: str,
) -> dict[str, Any]:
    """Train without one source; its known concepts show what a stranger's style costs.

    "Known" concepts were trained on in the other styles, so the line beside them (the same
    concepts in those styles) is a ceiling: these pictures themselves were seen.
    """
    source = settings["source"]
    recipe = recipe_without(settings, ours)
    trained = _train(packed, report, recipe, sources, run, Path(work))
    style = packed.sources == source
    emoji = _judging(packed, sources) & ~np.isin(packed.sources, sources["clip_art"])
    result: dict[str, Any] = {
        "source": source,
        "recipe": asdict(recipe),
        "minutes": round(trained.seconds / 60, 1),
    }
    for split, which in (("train", "known_concepts"), ("val", "unseen_concepts")):
        inside = packed.splits == split
        concepts = np.unique(packed.concepts[inside & style])
        same = np.isin(packed.concepts, concepts) & inside & emoji & packed.labels.any(1)
        for name, mask in (("unseen_style", same & style), ("known_styles", same & ~style)):
            rows = np.flatnonzero(mask)
            logits, _ = loop.predict(trained.network, packed.rgb, rows, size=recipe.sizes[-1][1])
            result[f"{name}_{which}"] = _uncalibrated(
                metrics.evaluate(_sigmoid(logits), packed.labels[rows])
            )
    export.write_json(Path(work) / "unseen_style.json", result)
    return result


def recipe_without(settings: Mapping[str, Any], ours: Mapping[str, Any]) -> loop.Recipe:
    """The recipe of the run that never sees one source."""
    source = settings["source"]
    recipe = loop.Recipe.from_dict({**ours, **settings["recipe"], "leave_out": source})
    return replace(recipe, name=f"without-{source}")


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def _uncalibrated(figures: metrics.Figures) -> dict[str, float | int]:
    """Figures without the calibration error, where it would say nothing.

    That is where nothing is calibrated yet, where calibration was fitted on the same pictures, and
    where only pictures that have a tag of some kind are looked at.
    """
    return {k: v for k, v in figures.as_dict().items() if k != "calibration_error"}


def _within(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places in ``rows`` of those that are wanted."""
    return np.flatnonzero(np.isin(rows, wanted))
