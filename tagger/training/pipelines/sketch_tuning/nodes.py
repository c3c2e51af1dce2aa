"""The steps of a tuning: plain functions of their inputs, each saying how far the run is."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagger import gate, sketch_bundle
from tagger.errors import BundleError
from tagger.gate import Verdict
from tagger.head import extend
from tagger.sketch import SketchPrediction, SketchRecogniser
from tagger.sketch_bundle import WEIGHTS_FILE, Frozen, SketchBundle, read_frozen
from tagger.training import export
from tagger.training.pipelines.sketch import nodes as sketch
from tagger.training.sketch import evaluation, loop, stored, tuning
from tagger.training.sketch.collected import Collected, read_collection, read_known
from tagger.training.sketch.data import Drawings
from tagger.training.sketch.network import ExportedRecogniser
from tagger.training.sketch.pool import Raster, as_bytes
from tagger.training.sketch.stored import FreeNetwork
from tagger.training.sketch.tuning import Curve, Judged, Lessons, Tuned, TuningRecipe

log = logging.getLogger(__name__)

PROGRESS_FILE = "progress.json"

# What is no setting of the tuning itself.
_PLACES = (
    "bundle",
    "collection",
    "words",
    "run",
    "out",
    "sketches",
    "digits",
    "replayed",
    "watched",
    "margin",
    "least_held_back",
    "augmentation",
)
# How far a rebuilt network's embedding may be from the shipped model's, which holds less digits.
_SAME = 0.02


@dataclass(frozen=True)
class Live:
    """The recogniser as it is, and its network rebuilt from the bundle."""

    bundle: SketchBundle
    recogniser: SketchRecogniser
    network: FreeNetwork
    raster: Raster
    closer: bool
    begun: float

    @property
    def words(self) -> tuple[str, ...]:
        """Its W words."""
        return tuple(word.word for word in self.bundle.words)


@dataclass(frozen=True)
class Prepared:
    """What the live recogniser says of all that judges, and what a tuning learns from.

    Attributes
    ----------
    lessons
        For the loop.
    means
        float32 ``[V, D]``: mean embeddings of the new words.
    frozen_labels, frozen_embedding
        Of the frozen drawings, by the live recogniser; None if there are none.
    frozen_right, held_right
        bool: which of them people's recogniser gets right today.
    """

    lessons: Lessons
    means: NDArray[np.float32]
    frozen_labels: NDArray[np.int64] | None
    frozen_embedding: NDArray[np.float32] | None
    frozen_right: NDArray[np.bool_] | None
    held_right: NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """The verdict; which held-back drawings are right; the frozen drawings' new embeddings."""

    verdict: Verdict
    held_right: NDArray[np.bool_]
    frozen_embedding: NDArray[np.float32] | None


def recipe_of(settings: Mapping[str, Any]) -> TuningRecipe:
    """The settings of the tuning itself."""
    return TuningRecipe.from_dict({k: v for k, v in settings.items() if k not in _PLACES})


def run_folder(settings: Mapping[str, Any], work: str) -> Path:
    """Where progress and report are written."""
    return Path(settings["run"] or Path(work) / "sketch_tuning")


def tell(folder: Path, step: str, done: float, curve: Curve | None = None) -> None:
    """Write how far the run is; whoever reads it at any time reads it whole."""
    said = {"done": round(done, 4), "step": step, "curve": curve or []}
    export.write_json(folder / PROGRESS_FILE, said)


def open_live(data: str, settings: Mapping[str, Any], work: str) -> Live:
    """Load the recogniser that is to be tuned, and rebuild its network.

    Raises
    ------
    ValueError
        If it lacks what tuning needs, or a setting makes no sense.
    """
    begun = time.monotonic()
    recipe = recipe_of(settings)
    if not data and recipe.layers != "head":
        raise ValueError(
            f"layers={recipe.layers} needs --data, a folder with {settings['sketches']}: without "
            "drawings of the first training the network would forget; layers=head does without"
        )
    out = Path(settings["out"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"the candidate's folder, {out.name}, is there already: name another")
    tell(run_folder(settings, work), "reading", 0.0)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    try:
        bundle = sketch_bundle.load(settings["bundle"])
        network = stored.read_network(bundle)
        recogniser = SketchRecogniser(bundle, threads=torch.get_num_threads())
    except BundleError as error:
        raise ValueError(str(error)) from error
    given = bundle.config.input
    raster = Raster(given.size, given.raster.width, given.raster.margin, given.raster.order)
    spec = bundle.config.network
    assert spec is not None  # else the network could not be read
    return Live(bundle, recogniser, network, raster, spec.closer, begun)


def read_lessons(live: Live, settings: Mapping[str, Any]) -> Collected:
    """What people drew."""
    if not settings["collection"]:
        raise ValueError("say where the collected drawings are: --collection URL_OR_FILE")
    words = settings["words"]
    found = read_collection(
        settings["collection"],
        live.words,
        [words] if isinstance(words, str) else words,
        least=recipe_of(settings).least,
    )
    log.info("%s", json.dumps(found.facts(), ensure_ascii=False))
    return found


def read_first_training(data: str, live: Live, settings: Mapping[str, Any]) -> list[Drawings]:
    """What the recogniser was trained on, in a list: empty if it is not at hand."""
    known = read_known(data, live.words, settings)
    return [] if known is None else [known]


def prepare(
    live: Live,
    collected: Collected,
    known: Sequence[Drawings],
    settings: Mapping[str, Any],
    work: str,
) -> Prepared:
    """Ask the live recogniser about all drawings that judge, and draw them once.

    Raises
    ------
    ValueError
        If the bundle's files are not of one model.
    """
    tell(run_folder(settings, work), "drawing", 0.05)
    drawings, width = collected.drawings, len(live.words)
    held, train = drawings.rows("held_back"), drawings.rows("train")
    new = train[drawings.labels[train] >= width]
    # By word, as `tagger.gate.right_before` wants them.
    new = new[np.argsort(drawings.labels[new], kind="stable")]
    said_held, said_new = _ask(live, drawings, held), _ask(live, drawings, new)
    _check_network(live, drawings)
    owners = drawings.labels[new] - width
    means = [said_new.embedding[owners == v].mean(0) for v in range(len(collected.new_words))]
    fixed = recipe_of(settings).layers == "head"
    judges = Judged(
        drawings.labels[held],
        said_held.embedding,
        None if fixed or not len(held) else _pictures(live, drawings, held),
    )
    frozen_labels = frozen_embedding = frozen_right = frozen_pictures = None
    watched = np.empty(0, np.int64)
    if known:
        rows = known[0].rows("val")
        said = _ask(live, known[0], rows)
        frozen_labels, frozen_embedding = known[0].labels[rows], said.embedding
        frozen_right = said.probabilities.argmax(1) == frozen_labels
        watched = _some(len(rows), settings["watched"])
        frozen_pictures = None if fixed else _pictures(live, known[0], rows[watched])
    elif (frozen := _frozen_of(live.bundle)) is not None:
        frozen_labels, frozen_embedding = frozen.labels, frozen.embedding
        frozen_right = live.network.as_head().logits(frozen_embedding).argmax(1) == frozen_labels
        watched = _some(len(frozen_labels), settings["watched"])
    dimension = live.recogniser.dimension
    watching = Judged(
        watched if frozen_labels is None else frozen_labels[watched],
        np.empty((0, dimension), np.float32)
        if frozen_embedding is None
        else frozen_embedding[watched],
        frozen_pictures,
    )
    replayed = None
    if known:
        replayed = replace(known[0], words=drawings.words)
    kinds = [word.kind for word in live.bundle.words]
    mirrorable = np.array([k == "word" for k in kinds] + [False] * len(collected.new_words))
    return Prepared(
        Lessons(drawings, replayed, mirrorable, watching, judges),
        np.array(means, np.float32).reshape(-1, dimension),
        frozen_labels,
        frozen_embedding,
        frozen_right,
        gate.right_before(
            said_held.probabilities,
            said_held.embedding,
            drawings.labels[held],
            said_new.embedding,
            owners,
            live.bundle.config.memory,
        ),
    )


def _frozen_of(bundle: SketchBundle) -> Frozen | None:
    try:
        return read_frozen(bundle)
    except BundleError as error:
        raise ValueError(str(error)) from error


def _ask(live: Live, drawings: Drawings, rows: NDArray[np.int64]) -> SketchPrediction:
    return live.recogniser.predict([drawings.strokes[i] for i in rows])


def _pictures(live: Live, drawings: Drawings, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    return as_bytes(live.raster.draw([drawings.strokes[i] for i in rows]))


def _some(count: int, most: int) -> NDArray[np.int64]:
    """Rows of so many at most, the same for the same count."""
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def _check_network(live: Live, drawings: Drawings) -> None:
    some = [drawings.strokes[i] for i in _some(len(drawings), 32)]
    ours = _embed(live.network, live, live.raster.draw(some))
    theirs = live.recogniser.predict(some).embedding
    if not float(np.abs(ours - theirs).max()) <= _SAME:
        raise ValueError(f"{WEIGHTS_FILE} is not of the model beside it")


def _embed(
    network: FreeNetwork, live: Live, pictures: NDArray[np.float32], batch: int = 128
) -> NDArray[np.float32]:
    """Embeddings as the exported model gives them."""
    wrapped = ExportedRecogniser(network, 1.0, live.closer).eval()
    with torch.inference_mode():
        parts = [
            wrapped(torch.from_numpy(pictures[i : i + batch]))[1].numpy()
            for i in range(0, len(pictures), batch)
        ]
    return np.concatenate(parts)


def tune_network(
    live: Live,
    collected: Collected,
    prepared: Prepared,
    data: str,
    settings: Mapping[str, Any],
    work: str,
) -> Tuned:
    """Train; an interrupted run of the same settings on the same drawings goes on."""
    recipe, folder = recipe_of(settings), run_folder(settings, work)
    key = json.dumps(
        [asdict(recipe), settings["augmentation"], live.bundle.hash, collected.hash, bool(data)],
        sort_keys=True,
    )

    def say(curve: Curve) -> None:
        log.info("%s", json.dumps(curve[-1]))
        tell(folder, "training", 0.1 + 0.7 * len(curve) / recipe.epochs, curve)

    tell(folder, "training", 0.1)
    return tuning.tune(
        live.network,
        live.network.with_head(extend(live.network.as_head(), prepared.means)),
        prepared.lessons,
        recipe,
        raster=live.raster,
        augmentation=sketch.augmentation_of(settings),
        checkpoint=checkpoint_of(work),
        key=key,
        say=say,
    )


def checkpoint_of(work: str) -> Path:
    """Where an interrupted run goes on."""
    return Path(work) / "sketch_tuning" / "checkpoint.pt"


def calibrate(
    live: Live, prepared: Prepared, tuned: Tuned, known: Sequence[Drawings], most: int
) -> FreeNetwork:
    """The network with probabilities that are honest on frozen drawings, some half drawn.

    Where these are not at hand, the temperature changes as much as it would on whole ones.
    """
    labels, head = prepared.lessons.frozen.labels, tuned.network.as_head()
    if known:
        rows = known[0].rows("val")
        rows = rows[_some(len(rows), most)]
        drawn = sketch.some_unfinished([known[0].strokes[i] for i in rows])
        logits = head.logits(_embed(tuned.network, live, live.raster.draw(drawn)))
        temperature = evaluation.fit_temperature(logits, known[0].labels[rows])
    elif len(labels):
        embedding = prepared.lessons.frozen.embedding
        before, after = (
            evaluation.fit_temperature(h.logits(embedding), labels)
            for h in (live.network.as_head(), head)
        )
        temperature = after / before
    else:
        temperature = 1.0
    log.info("temperature %.3f", temperature)
    scaled = replace(head, weights=head.weights / temperature, bias=head.bias / temperature)
    return tuned.network.with_head(scaled)


def export_candidate(live: Live, network: FreeNetwork, work: str) -> dict[str, str]:
    """The candidate's model, in float32 and as it would ship."""
    trained = _as_trained(network)
    settings = {"raster": asdict(live.raster)}
    place = str(Path(work) / "sketch_tuning")
    return sketch.export_recogniser(trained, _fitted(live), place, settings)


def _as_trained(network: FreeNetwork) -> loop.TrainedSketch:
    return loop.TrainedSketch(network, [], 0.0, loop.SketchRecipe())


def _fitted(live: Live) -> sketch.Fitted:
    # The temperature is in the last layer already.
    return sketch.Fitted(1.0, live.closer)


def judge_candidate(
    live: Live,
    collected: Collected,
    prepared: Prepared,
    known: Sequence[Drawings],
    network: FreeNetwork,
    tuned: Tuned,
    models: Mapping[str, str],
    settings: Mapping[str, Any],
    work: str,
) -> Judgement:
    """Ask the file as it would ship about all that judge."""
    tell(run_folder(settings, work), "judging", 0.85, tuned.curve)
    model, drawings = Path(models["shipped"]), collected.drawings
    held = drawings.rows("held_back")
    held_right = np.zeros(0, bool)
    if len(held):
        said = sketch.run_onnx(model, live.raster.draw([drawings.strokes[i] for i in held]))[0]
        held_right = said.argmax(1) == drawings.labels[held]
    embedding, frozen_right = prepared.frozen_embedding, None
    if known:
        rows = known[0].rows("val")
        pictures = live.raster.draw([known[0].strokes[i] for i in rows])
        said, embedding = sketch.run_onnx(model, pictures)
        frozen_right = said.argmax(1) == known[0].labels[rows]
    elif embedding is not None:
        # Only the last layer was free: the embeddings are what they were.
        frozen_right = network.as_head().logits(embedding).argmax(1) == prepared.frozen_labels
    verdict = gate.judge(
        prepared.frozen_right,
        frozen_right,
        prepared.held_right,
        held_right,
        margin=settings["margin"],
        least=settings["least_held_back"],
    )
    log.info("%s", verdict.sentence())
    return Judgement(verdict, held_right, embedding)


def check_candidate(
    live: Live,
    network: FreeNetwork,
    collected: Collected,
    judgement: Judgement,
    models: Mapping[str, str],
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """Torch against ONNX over collected drawings. What is refused goes nowhere and is not checked.

    Raises
    ------
    ValueError
        If they differ beyond the tolerance.
    """
    if not judgement.verdict.passes:
        return {}
    drawings = replace(
        collected.drawings, splits=np.full(len(collected.drawings), "test", dtype="<U5")
    )
    return sketch.check_recogniser_parity(
        _as_trained(network),
        _fitted(live),
        drawings,
        models,
        {"raster": asdict(live.raster)},
        limits,
    )
