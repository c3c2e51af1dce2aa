"""The candidate's folder and the report of the run."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tagger import sketch_bundle
from tagger.bundlefiles import CONFIG_FILE, METRICS_FILE, MODEL_FILE, read_object
from tagger.sketch_bundle import CARD_FILE, HEAD_FILE, LABELS_FILE, WEIGHTS_FILE, write_frozen
from tagger.training import export
from tagger.training.pipelines.sketch_tuning.nodes import (
    Judgement,
    Live,
    Prepared,
    checkpoint_of,
    recipe_of,
    run_folder,
    tell,
)
from tagger.training.sketch import stored, tuned_card
from tagger.training.sketch.collected import Collected
from tagger.training.sketch.stored import FreeNetwork
from tagger.training.sketch.tuning import Tuned
from tagger.words import Word, format_words

REPORT_FILE = "report.json"


def write_candidate(
    live: Live,
    collected: Collected,
    prepared: Prepared,
    network: FreeNetwork,
    tuned: Tuned,
    judgement: Judgement,
    parity: Mapping[str, Any],
    models: Mapping[str, str],
    data: str,
    settings: Mapping[str, Any],
    work: str,
    command: str,
) -> str:
    """Write the candidate's folder, whole or not at all, and the report of the run."""
    folder = run_folder(settings, work)
    tell(folder, "writing", 0.95, tuned.curve)
    before, spec = live.bundle, live.bundle.config
    words = collected.drawings.words
    version = f"{spec.version.split('+')[0]}+{collected.hash[:8]}"
    facts: dict[str, Any] = {
        "command": command,
        "began_as": {"name": spec.name, "version": spec.version, "hash": before.hash},
        "data": collected.facts() | {"first_training": bool(data)},
        "verdict": judgement.verdict.to_dict(),
        "new_words": _by_word(collected, prepared, judgement),
        "training": {
            "parameters": asdict(recipe_of(settings)),
            "curve": tuned.curve,
            "minutes": round(tuned.seconds / 60, 2),
        },
        "parity": parity,
    }
    config = read_object(before.path / CONFIG_FILE)
    config.pop("refitted", None)
    # One line says it, however often it was tuned.
    given = "drawings that people gave to the app with consent"
    earlier = [line for line in config.get("training_data", []) if given not in str(line)]
    config |= {
        "version": version,
        "words": len(words),
        "outputs": [
            {**output, "shape": ["N", len(words)]} if output["name"] == "probabilities" else output
            for output in config.get("outputs", [])
        ],
        "network": stored.spec_of(network, closer=live.closer).model_dump(),
        "training_data": [*earlier, f"{len(collected.drawings)} {given}"],
    }
    labels = [*before.words]
    for word in collected.new_words:
        labels.append(Word(len(labels), word, None, "learnt"))
    head = network.as_head()
    files = {
        MODEL_FILE: Path(models["shipped"]).read_bytes(),
        LABELS_FILE: format_words(labels).encode(),
        CONFIG_FILE: _json(config),
        METRICS_FILE: _json(facts),
        CARD_FILE: tuned_card.render(config, facts, judgement.verdict).encode(),
        HEAD_FILE: stored.write_arrays({"weights": head.weights, "bias": head.bias}),
        WEIGHTS_FILE: stored.write_weights(network),
    }
    out = Path(settings["out"])

    def add_judges(folder: Path) -> None:
        if judgement.frozen_embedding is not None and prepared.frozen_labels is not None:
            write_frozen(folder, judgement.frozen_embedding, prepared.frozen_labels)

    _write_folder(out, files, add_judges)
    candidate = sketch_bundle.load(out)
    report = {
        "parameters": asdict(recipe_of(settings)),
        "data": collected.facts(),
        "curve": tuned.curve,
        "verdict": judgement.verdict.to_dict(),
        "seconds": round(time.monotonic() - live.begun, 1),
        "bundle": {
            "name": spec.name,
            "version": version,
            "hash": candidate.hash,
            "began_as": before.hash,
        },
    }
    export.write_json(folder / REPORT_FILE, report)
    for path in (*map(Path, models.values()), checkpoint_of(work)):
        path.unlink(missing_ok=True)
    tell(folder, "writing", 1.0, tuned.curve)
    return str(out)


def _by_word(
    collected: Collected, prepared: Prepared, judgement: Judgement
) -> dict[str, dict[str, Any]]:
    """Of each new word: drawings that taught it, that judged, and how many of these are right."""
    drawings = collected.drawings
    held = drawings.labels[drawings.rows("held_back")]
    train = drawings.labels[drawings.rows("train")]
    first = len(drawings.words) - len(collected.new_words)
    return {
        word: {
            "taught_by": int((train == first + v).sum()),
            "held_back": int((held == first + v).sum()),
            "right_before": int(prepared.held_right[held == first + v].sum()),
            "right_after": int(judgement.held_right[held == first + v].sum()),
        }
        for v, word in enumerate(collected.new_words)
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _write_folder(out: Path, files: Mapping[str, bytes], finish: Callable[[Path], None]) -> None:
    """All files under another name first: the folder appears whole."""
    part = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for name, data in files.items():
            with (part / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        finish(part)
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
