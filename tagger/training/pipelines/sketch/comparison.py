"""What the metric-learning term is worth: two networks that differ in nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tagger.training import export
from tagger.training.pipelines.sketch.nodes import augmentation_of, place_of, read_characters
from tagger.training.sketch import evaluation, loop
from tagger.training.sketch.data import Drawings
from tagger.training.sketch.pool import Raster, as_bytes
from tagger.training.sketch.teacher import DoodleNet

log = logging.getLogger(__name__)

FILE = "comparison.json"


def compare_metric_term(
    drawings: Drawings,
    teachers: Sequence[DoodleNet],
    settings: Mapping[str, Any],
    run: Mapping[str, Any],
    data: str,
    work: str,
) -> dict[str, Any]:
    """Train with and without the term at one small budget; ask both about unseen characters.

    The result lies in the work folder, from where the card takes it.

    Raises
    ------
    ValueError
        If there are no characters of Omniglot beside the drawings.
    """
    characters = place_of(data, settings["sketches"]).parent / settings["omniglot"]
    if not settings["omniglot"] or not characters.exists():
        raise ValueError(f"there is no {characters.name} beside the drawings")
    if run.get("threads"):
        torch.set_num_threads(run["threads"])
    budget = settings["comparison"]
    raster = Raster(**settings["raster"])
    few = first_rows(drawings, budget["drawings"])
    base = loop.SketchRecipe.from_dict({**settings["recipe"], **budget["recipe"], "start": {}})
    unseen, labels = read_characters(characters)
    pictures = as_bytes(raster.draw(unseen))
    judged = drawings.rows("val")
    judged = judged[~drawings.digits[judged]]
    watched = as_bytes(raster.draw([drawings.strokes[i] for i in judged]))
    found: dict[str, Any] = {
        "drawings": len(few.rows("train")),
        "epochs": base.epochs,
        "metric": base.metric,
    }
    for name, weight in (("with", base.metric), ("without", 0.0)):
        trained = loop.train(
            few,
            replace(base, name=f"comparison-{name}", metric=weight),
            raster=raster,
            augmentation=augmentation_of(settings),
            teacher=teachers[0] if teachers else None,
            folder=Path(work) / "sketch",
            compile_network=bool(run.get("compile")),
            say=log.info,
        )
        _, embedding = loop.predict(trained.network, pictures)
        said, _ = loop.predict(trained.network, watched)
        found[name] = {
            **{
                f"{shots}_shot": evaluation.few_shot(embedding, labels, shots=shots)
                for shots in (1, 5)
            },
            "val_top_1": evaluation.top_k(said, drawings.labels[judged])["top_1"],
            "minutes": round(trained.seconds / 60, 1),
        }
    export.write_json(Path(work) / "sketch" / FILE, found)
    return found


def read_comparison(work: str) -> dict[str, Any]:
    """What an earlier run of the comparison found; empty if there was none."""
    path = Path(work) / "sketch" / FILE
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def first_rows(drawings: Drawings, most: int) -> Drawings:
    """The first ``most`` training drawings of each word, and all that judge."""
    kept = [np.flatnonzero(drawings.splits != "train")]
    for label in range(len(drawings.words)):
        kept.append(drawings.rows("train")[drawings.labels[drawings.rows("train")] == label][:most])
    rows = np.sort(np.concatenate(kept))
    return Drawings(
        tuple(drawings.strokes[i] for i in rows),
        drawings.words,
        drawings.labels[rows],
        drawings.splits[rows],
    )
