"""The steps of the drawing recogniser: plain functions of their inputs."""

from __future__ import annotations

import copy
import csv
import io
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagger import fewshot, strokes
from tagger.fewshot import MemorySpec
from tagger.sketch_bundle import HEAD_FILE, WEIGHTS_FILE, write_frozen
from tagger.strokes import Strokes
from tagger.training import export
from tagger.training.sketch import card, evaluation, loop, stored
from tagger.training.sketch.augment import StrokeAugmentation
from tagger.training.sketch.data import DIGITS, Drawings, join, read_digits, read_sketches
from tagger.training.sketch.network import ExportedRecogniser, SketchNetwork, seen_closer
from tagger.training.sketch.pool import Raster, as_bytes
from tagger.training.sketch.teacher import DoodleNet

log = logging.getLogger(__name__)

OUTPUTS = ("probabilities", "embedding")
WORDS = Path(__file__).parent / "words.csv"


@dataclass(frozen=True)
class Fitted:
    """What was chosen on validation drawings: see `fit_recogniser`."""

    temperature: float
    closer: bool
    lift: float = 0.0


def read_drawings(data: str, settings: Mapping[str, Any]) -> Drawings:
    """Words, and digits where there are any beside them.

    Parameters
    ----------
    data
        A folder, or the Parquet table of sketches itself.
    """
    if not data:
        raise ValueError("say where the drawings are: --data FOLDER_OR_TABLE")
    place = place_of(data, settings["sketches"])
    if not place.exists():
        raise ValueError(f"there is no {place.name} in the folder of the data")
    drawings = read_sketches(place, words=settings["words"], most=settings["most"])
    digits = place.parent / settings["digits"]
    if settings["digits"] and digits.exists():
        drawings = join(drawings, read_digits(digits, most=settings["most_digits"]))
    log.info("%d drawings of %d words", len(drawings), len(drawings.words))
    return drawings


def read_teachers(data: str, settings: Mapping[str, Any]) -> list[DoodleNet]:
    """DoodleNet, if it lies beside the drawings; else nobody."""
    weights = place_of(data, settings["sketches"]).parent / settings["teacher"]
    classes = weights.with_name(settings["teacher_classes"])
    if not settings["teacher"] or not weights.exists() or not classes.exists():
        log.info("no teacher: labels alone")
        return []
    return [DoodleNet(weights, classes)]


def place_of(data: str, name: str) -> Path:
    """A file of the folder that ``data`` names, or ``data`` itself if it is a file."""
    path = Path(data)
    return path / name if path.is_dir() else path


def train_recogniser(
    drawings: Drawings,
    teachers: Sequence[DoodleNet],
    settings: Mapping[str, Any],
    run: Mapping[str, Any],
    work: str,
) -> loop.TrainedSketch:
    """Train; an interrupted run goes on where it was."""
    if run.get("threads"):
        torch.set_num_threads(run["threads"])
    recipe = loop.SketchRecipe.from_dict(dict(settings["recipe"]))
    train = partial(
        loop.train,
        drawings,
        raster=Raster(**settings["raster"]),
        augmentation=augmentation_of(settings),
        teacher=teachers[0] if teachers else None,
        folder=Path(work) / "sketch",
        compile_network=bool(run.get("compile")),
        say=log.info,
    )
    if not recipe.start:
        return train(recipe)
    before = train(recipe.first())
    after = train(recipe, start=before.network)
    return replace(
        after,
        history=[*before.history, *after.history],
        seconds=before.seconds + after.seconds,
    )


def augmentation_of(settings: Mapping[str, Any]) -> StrokeAugmentation:
    """How strokes are varied; parameters know lists only."""
    values: dict[str, Any] = dict(settings["augmentation"])
    if "width" in values:
        values["width"] = tuple(values["width"])
    return StrokeAugmentation(**values)


def fit_recogniser(
    trained: loop.TrainedSketch, drawings: Drawings, settings: Mapping[str, Any]
) -> Fitted:
    """Choose temperature, lift of the digits and closer view on drawings of the validation split.

    The temperature is fitted with half of them half drawn: the page asks after every line, so
    probabilities have to be honest of unfinished drawings, too.
    """
    raster = Raster(**settings["raster"])
    rows = drawings.rows("val")
    labels, numbers = drawings.labels[rows], drawings.digits[rows]
    whole = [drawings.strokes[i] for i in rows]
    finished = _logits_of_views(trained.network, raster, whole)
    unfinished = _logits_of_views(trained.network, raster, some_unfinished(whole))
    digits = np.isin(drawings.words, DIGITS)
    found = {}
    for closer in (False, True):
        _, lift, cost = evaluation.fit_lift(finished[closer], labels, digits)
        lifted = finished[closer] + np.float32(lift) * digits
        temperature = evaluation.fit_temperature(
            unfinished[closer] + np.float32(lift) * digits, labels
        )
        log.info(
            "closer view %s: temperature %.3f, digits %+.2f, loss %.4f; words %s; digits %s",
            closer,
            temperature,
            lift,
            cost,
            evaluation.top_k(lifted[~numbers], labels[~numbers]),
            evaluation.top_k(lifted[numbers], labels[numbers]) if numbers.any() else "none",
        )
        found[cost] = Fitted(temperature, closer, lift)
    return found[min(found)]


def _logits_of_views(
    network: SketchNetwork, raster: Raster, drawn: Sequence[Strokes]
) -> dict[bool, NDArray[np.float32]]:
    """Logits without and with the closer view."""
    pictures = as_bytes(raster.draw(drawn))
    larger = seen_closer(torch.from_numpy(pictures).float()).round().byte().numpy()
    logits, embedding = loop.predict(network, pictures)
    both = embedding + loop.predict(network, larger)[1]
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    with torch.inference_mode():
        weight, bias = (t.numpy() for t in network.head())
    return {False: logits, True: both @ weight.T + bias}


def lift_digits(
    trained: loop.TrainedSketch, fitted: Fitted, drawings: Drawings
) -> loop.TrainedSketch:
    """The network with the lift in its last layer, from which everything is exported."""
    network = copy.deepcopy(trained.network)
    with torch.no_grad():
        network.bias.add_(fitted.lift * torch.from_numpy(np.isin(drawings.words, DIGITS)))
    return replace(trained, network=network)


def some_unfinished(drawings: Sequence[Strokes]) -> list[Strokes]:
    """The same drawings, half of them not drawn to the end."""
    return [strokes.partial(s, (0.5, 0.75, 1.0, 1.0)[i % 4]) for i, s in enumerate(drawings)]


def export_recogniser(
    trained: loop.TrainedSketch, fitted: Fitted, work: str, settings: Mapping[str, Any]
) -> dict[str, str]:
    """The model in float32, and as it ships: weights in float16, arithmetic in float32."""
    full, shipped = Path(work) / "sketch" / "float32.onnx", Path(work) / "sketch" / "model.onnx"
    raster = Raster(**settings["raster"])
    export.module_to_onnx(
        _wrapped(trained, fitted),
        torch.rand(2, 1 + raster.order, raster.size, raster.size),
        OUTPUTS,
        full,
    )
    if raster.order:
        export.make_planes_optional(full)
    export.halve(full, shipped)
    return {"float32": str(full), "shipped": str(shipped)}


def _wrapped(trained: loop.TrainedSketch, fitted: Fitted) -> ExportedRecogniser:
    network = trained.network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return ExportedRecogniser(network, fitted.temperature, fitted.closer).eval()


def check_recogniser_parity(
    trained: loop.TrainedSketch,
    fitted: Fitted,
    drawings: Drawings,
    models: Mapping[str, str],
    settings: Mapping[str, Any],
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """Torch against ONNX over test drawings; float32 must agree within the tolerance.

    Raises
    ------
    ValueError
        If it does not: then the export is wrong, and nothing must be shipped.
    """
    rows = drawings.rows("test")[: limits["parity_pictures"]]
    pictures = Raster(**settings["raster"]).draw([drawings.strokes[i] for i in rows])
    with torch.inference_mode():
        expected = [t.numpy() for t in _wrapped(trained, fitted)(torch.from_numpy(pictures))]
    result: dict[str, Any] = {"drawings": len(rows)}
    for name, path in models.items():
        got = run_onnx(Path(path), pictures)
        result[name] = {
            output: float(np.abs(a - b).max())
            for output, a, b in zip(OUTPUTS, expected, got, strict=True)
        }
    for output, difference in result["float32"].items():
        if difference > limits["tolerance"]:
            raise ValueError(f"{output}: torch and ONNX differ by {difference:.2e}")
    result["bytes"] = {name: Path(path).stat().st_size for name, path in models.items()}
    return result


def run_onnx(
    model: Path, pictures: NDArray[np.float32], batch: int = 128
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities ``[N, W]`` and embeddings ``[N, D]`` from a bundle's model."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    parts = [
        session.run(list(OUTPUTS), {"input": pictures[start : start + batch]})
        for start in range(0, len(pictures), batch)
    ]
    probabilities, embedding = (np.concatenate(axis) for axis in zip(*parts, strict=True))
    return probabilities, embedding


def evaluate_recogniser(
    models: Mapping[str, str],
    drawings: Drawings,
    teachers: Sequence[DoodleNet],
    settings: Mapping[str, Any],
    data: str,
) -> dict[str, Any]:
    """Test figures of the shipped file; DoodleNet beside it on the same rows."""
    raster = Raster(**settings["raster"])
    model = Path(models["shipped"])

    def ours(drawn: Sequence[Strokes]) -> NDArray[np.float32]:
        return run_onnx(model, raster.draw(drawn))[0]

    rows = drawings.rows("test")
    digits = drawings.digits[rows]
    words, numbers = rows[~digits], rows[digits]
    drawn, labels = [drawings.strokes[i] for i in words], drawings.labels[words]
    probabilities = ours(drawn)
    without_order = raster.draw(drawn)[:, :1]
    figures: dict[str, Any] = {
        "test": {
            "drawings": len(words),
            "words": len(np.unique(labels)),
            "classes": len(drawings.words),
            "by_share": evaluation.by_share(ours, drawn, labels),
            "calibration_error": evaluation.calibration_error(probabilities, labels),
            "calibration_error_some_unfinished": evaluation.calibration_error(
                ours(some_unfinished(drawn)), labels
            ),
            "order_unknown": evaluation.top_k(run_onnx(model, without_order)[0], labels),
        },
        "recall": _recall(probabilities, labels, drawings.words),
    }
    if len(numbers):
        digit_labels = drawings.labels[numbers]
        said = ours([drawings.strokes[i] for i in numbers])
        figures["digits"] = {
            "drawings": len(numbers),
            **evaluation.top_k(said, digit_labels),
            "among_digits": evaluation.top_k(
                said[:, -len(DIGITS) :], digit_labels - len(drawings.words) + len(DIGITS)
            ),
        }
    for teacher in teachers:

        def theirs(some: Sequence[Strokes], net: DoodleNet = teacher) -> NDArray[np.float32]:
            return net.answers(some, drawings.words)

        figures["doodlenet"] = {
            "by_share": evaluation.by_share(theirs, drawn, labels),
            "ours_less_theirs": evaluation.bootstrap_difference(
                probabilities, theirs(drawn), labels
            ),
        }
    omniglot = place_of(data, settings["sketches"]).parent / settings["omniglot"]
    if settings["omniglot"] and omniglot.exists():
        figures["few_shot"] = few_shot(omniglot, model, raster, teachers)
    return figures


def _recall(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], words: Sequence[str]
) -> dict[str, float]:
    best = probabilities.argmax(1)
    return {words[c]: round(float((best[labels == c] == c).mean()), 3) for c in np.unique(labels)}


def read_characters(path: Path) -> tuple[list[Strokes], NDArray[np.int64]]:
    """Omniglot: traced drawings and numbers of their characters."""
    import pyarrow.parquet as pq

    from tagger.images import read
    from tagger.tracing import trace_many

    table = pq.read_table(path).to_pylist()
    pictures = np.stack([read(row["image"]).rgb[..., 0] for row in table])
    drawings = trace_many(pictures, ink="dark")
    names = [f"{row['alphabet']}/{row['character']}" for row in table]
    kept = [i for i, s in enumerate(drawings) if s]
    labels = np.unique(names, return_inverse=True)[1][kept]
    return [drawings[i] for i in kept], labels.astype(np.int64)


def few_shot(
    path: Path, model: Path, raster: Raster, teachers: Sequence[DoodleNet]
) -> dict[str, Any]:
    """20-way accuracy on characters that were never trained on.

    Against raw pixels, and against the features of a classifier that was trained for its own
    words alone.
    """
    drawings, labels = read_characters(path)
    pictures = raster.draw(drawings)
    features = {
        "ours": run_onnx(model, pictures)[1],
        "pixels": pictures[:, 0].reshape(len(pictures), -1),
    }
    if teachers:
        features["doodlenet"] = teachers[0].features(drawings)
    return {
        "characters": len(np.unique(labels)),
        "drawings": len(labels),
        **{
            name: {f"{shots}_shot": evaluation.few_shot(f, labels, shots=shots) for shots in (1, 5)}
            for name, f in features.items()
        },
    }


def tune_memory(
    models: Mapping[str, str], drawings: Drawings, settings: Mapping[str, Any], data: str
) -> dict[str, Any]:
    """Fit the rule that mixes taught words with the network's, and measure it.

    Characters of Omniglot are the new words: every other one fits the rule, the rest test it. The
    network's own words are validation drawings for the fit, test drawings for the measure.
    """
    spec = MemorySpec(**settings["memory"])
    place = place_of(data, settings["sketches"]).parent / settings["omniglot"]
    if not settings["omniglot"] or not place.exists():
        return {"spec": spec.model_dump()}
    raster, model = Raster(**settings["raster"]), Path(models["shipped"])
    characters, labels = read_characters(place)
    said, embedding = run_onnx(model, raster.draw(characters))
    own = {}
    for split in ("val", "test"):
        rows = drawings.rows(split)
        rows = rows[~drawings.digits[rows]]
        pictures = raster.draw([drawings.strokes[i] for i in rows])
        own[split] = (*run_onnx(model, pictures), drawings.labels[rows])
    groups = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    probabilities, embeddings, truth = own["val"]
    spec, cost = fewshot.tune(
        spec,
        [embedding[rows] for rows in groups[::2]],
        [said[rows] for rows in groups[::2]],
        embeddings,
        probabilities,
        truth,
    )
    log.info("memory: %s, cross-entropy %.4f", spec, cost)
    fresh = [(embedding[rows], said[rows]) for rows in groups[1::2]]
    # Some of each have to be left to be asked about.
    most = min((len(rows) for rows in groups[1::2]), default=0) - 1
    return {
        "spec": spec.model_dump(),
        "report": {
            "characters": len(fresh),
            **{
                f"{n}_drawings": _taught(spec, fresh, own["test"], n)
                for n in (1, 3, 5, 10)
                if n <= most
            },
        },
    }


def _taught(
    spec: MemorySpec,
    fresh: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    own: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]],
    shots: int,
) -> dict[str, float]:
    """Teach one word at a time by ``shots`` drawings: is it found, are the others left alone?"""
    probabilities, embeddings, truth = own
    found, confidence, kept = [], [], []
    for embedding, said in fresh:
        bank, owners = embedding[:shots], np.zeros(shots, np.int64)

        def mixed(
            queries: NDArray[np.float32],
            answers: NDArray[np.float32],
            bank: NDArray[np.float32] = bank,
            owners: NDArray[np.int64] = owners,
        ) -> NDArray[np.float32]:
            near = fewshot.similarity(queries, bank, owners, spec.sharpness)
            odds = fewshot.log_odds(near, np.array([shots]), answers, spec)
            return fewshot.mix(answers, odds, np.array([-1]))

        after = mixed(embedding[shots:], said[shots:])
        found.append((after.argmax(1) == after.shape[1] - 1).mean())
        confidence.append(after[:, -1].mean())
        kept.append((mixed(embeddings, probabilities).argmax(1) == truth).mean())
    before = (probabilities.argmax(1) == truth).mean()
    return {
        "found": round(float(np.mean(found)), 4),
        "confidence": round(float(np.mean(confidence)), 4),
        "known_words_top_1_change": round(float(np.mean(kept) - before), 4),
    }


def write_sketch_bundle(
    models: Mapping[str, str],
    drawings: Drawings,
    trained: loop.TrainedSketch,
    fitted: Fitted,
    figures: Mapping[str, Any],
    parity: Mapping[str, Any],
    teachers: Sequence[DoodleNet],
    memory: Mapping[str, Any],
    comparison: Mapping[str, Any],
    settings: Mapping[str, Any],
    command: str,
) -> str:
    """Write the bundle's folder: model, head, labels, configuration, metrics, card."""
    bundle = settings["bundle"]
    out = Path(bundle["out"])
    raster = Raster(**settings["raster"])
    recall = figures["recall"]
    names = japanese_names()
    rows = [
        [i, word, names.get(word, ""), "digit" if word in DIGITS else "word", recall.get(word, "")]
        for i, word in enumerate(drawings.words)
    ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["index", "word", "name_ja", "kind", "recall"])
    writer.writerows(rows)
    splits, counts = np.unique(drawings.splits, return_counts=True)
    facts = {
        "command": command,
        "data": {
            "drawings": {str(s): int(n) for s, n in zip(splits, counts, strict=True)},
            "words": len(drawings.words),
            "teacher": "DoodleNet" if teachers else None,
        },
        **{k: v for k, v in figures.items() if k != "recall"},
        **({"taught_words": memory["report"]} if "report" in memory else {}),
        **({"comparison": comparison} if comparison else {}),
        "parity": parity,
        "fitted": asdict(fitted),
        "training": {
            "minutes": round(trained.seconds / 60, 1),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads"
            if not torch.cuda.is_available()
            else torch.cuda.get_device_name(),
            "epochs": len(trained.history),
            "recipe": asdict(trained.recipe),
            "augmentation": asdict(augmentation_of(settings)),
        },
    }
    with torch.inference_mode():
        weight, bias = (t.numpy() for t in trained.network.head())
    config = {
        "format_version": 1,
        "task": "sketch-recognition",
        "name": bundle["name"],
        "version": bundle["version"],
        "licence": bundle["licence"],
        "author": bundle["author"],
        "input": {
            "name": "input",
            "size": raster.size,
            "layout": "NCHW",
            "range": [0, 1],
            "raster": {"width": raster.width, "margin": raster.margin, "order": raster.order},
        },
        "outputs": [
            {
                "name": "probabilities",
                "shape": ["N", len(drawings.words)],
                "meaning": "calibrated probability of each row of labels.csv; they add up to one",
            },
            {
                "name": "embedding",
                "shape": ["N", trained.network.width],
                "meaning": "of length one; `probabilities` are "
                "softmax(embedding @ weights.T + bias) with the arrays of head.npz",
            },
        ],
        "words": len(drawings.words),
        "network": stored.spec_of(trained.network, closer=fitted.closer).model_dump(),
        "default_top": 10,
        "memory": memory["spec"],
        "training_data": list(bundle["training_data"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    export.write_text(out / "labels.csv", buffer.getvalue())
    export.write_json(out / "config.json", config)
    export.write_json(out / "metrics.json", facts)
    export.write_json(out / "training.json", {"history": trained.history})
    export.write_text(out / "README.md", card.render(config, facts))
    head = {
        "weights": (weight / fitted.temperature).astype(np.float32),
        "bias": (bias / fitted.temperature).astype(np.float32),
    }
    export.write_bytes(out / HEAD_FILE, stored.write_arrays(head))
    model = Path(models["shipped"])
    judges = drawings.rows("val")
    embedding = run_onnx(model, raster.draw([drawings.strokes[i] for i in judges]))[1]
    export.write_bytes(out / WEIGHTS_FILE, stored.write_weights(trained.network))
    export.write_bytes(out / "model.onnx", model.read_bytes())
    write_frozen(out, embedding, drawings.labels[judges])
    return str(out)


def japanese_names() -> dict[str, str]:
    """Japanese names of the words."""
    with WORDS.open(encoding="utf-8", newline="") as file:
        return {row["word"]: row["name_ja"] for row in csv.DictReader(file)}
