"""Learning for good in seconds: the last layer is fitted anew to what was given with consent.

Without torch: embeddings, which the live recogniser has made already, and `tagger.head.refit`.

Half of the frozen drawings are anchors: without their labels, they keep the new layer to what the
old one says of ordinary drawings. The other half judges. Without such anchors a recogniser of 355
words lost 13 to 45 points on its frozen drawings, with them less than two.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger import gate, head
from tagger.bundlefiles import CONFIG_FILE, METRICS_FILE, MODEL_FILE, read_object, read_text
from tagger.collection import Store
from tagger.fewshot import Memory
from tagger.gate import Division, Verdict
from tagger.head import Head
from tagger.sketch import SketchRecogniser
from tagger.sketch_bundle import (
    CARD_FILE,
    FROZEN_FILE,
    HEAD_FILE,
    LABELS_FILE,
    WEIGHTS_FILE,
    SketchBundle,
    read_frozen,
)
from tagger.words import Word, WordList, format_words, is_name

Floats = npt.NDArray[np.float32]
#: Told the step and how much of the whole is done, from 0 to 1; what it raises ends the work.
Say = Callable[[str, float], None]

_BATCH = 32
# The newest so many training drawings count: more take longer than seconds.
MOST_DRAWINGS = 20_000
_CARD_HEADING = "## Learnt from collected drawings"

#: Name of each parameter: (least, most, default).
PARAMETERS: Mapping[str, tuple[float, float, float]] = {
    # How strongly the layer is held to itself; see `tagger.head.refit`.
    "penalty": (1e-4, 1e4, 1.0),
    # Of all anchors together, relative to all drawings that teach.
    "anchor": (0.0, 1e4, 5.0),
    # So many drawings of a word count in full; of more, each counts for less.
    "most": (1, 1e6, 20),
    "iterations": (1, 1000, 40),
    "least": (1, 1000, gate.LEAST_DRAWINGS),
}
#: Those that are whole numbers.
WHOLE = frozenset({"iterations", "least"})


# --- what there is to learn from ----------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """Drawings that were given with consent, and which of them teach or judge.

    Attributes
    ----------
    rows : sequence of (id, content id, word)
        All of them, in the order of their coming.
    division : Division
        Which teach and which judge.
    """

    rows: Sequence[tuple[str, str, str]]
    division: Division

    def facts(self) -> dict[str, Any]:
        """JSON-ready: how much a run is about; ``drawings`` teach or judge."""
        places = sorted([*self.division.train, *self.division.held_back])
        chosen = [self.rows[i][1:] for i in places]
        return {
            "hash": gate.data_hash(chosen),
            "drawings": len(chosen),
            "held_back": len(self.division.held_back),
            "words": len({word for _, word in chosen}),
            "new_words": list(self.division.new_words),
        }


def gather(
    store: Store, words: WordList, accepted: Collection[str], *, least: int = gate.LEAST_DRAWINGS
) -> Given:
    """Look what the collection has for a recogniser of these words.

    Parameters
    ----------
    store : Store
        The collection.
    words : WordList
        Of the live recogniser.
    accepted : collection of str
        New words that the owner accepted.
    least : int
        Training drawings that a new word needs.
    """
    rows = store.teaching()
    # A label may hold what a list of words cannot, such as a joiner of emoji.
    good = [word for word in accepted if is_name(word)]
    known = {word.word for word in words}
    return Given(rows, gate.divide([row[1:] for row in rows], known, good, least=least))


# --- the work -----------------------------------------------------------------------------------


def refit(
    recogniser: SketchRecogniser,
    memory: Memory,
    store: Store,
    given: Given,
    parameters: Mapping[str, float],
    *,
    out: Path,
    name: str,
    say: Say,
) -> Verdict:
    """Fit the last layer of a recogniser anew, judge it, and write it as a bundle if it passes.

    Parameters
    ----------
    recogniser : SketchRecogniser
        The live one; its bundle has a last layer.
    memory : Memory
        Has the embeddings of most drawings already.
    store : Store
        Has the others.
    given : Given
        By :func:`gather`.
    parameters : mapping
        Those of `PARAMETERS`; what is not there is as by default.
    out : Path
        The candidate's folder, which is not there yet.
    name : str
        Of the run.
    say : callable
        See `Say`.

    Raises
    ------
    TaggerError
        If the collection or the bundle cannot be read.
    OSError
        If the candidate cannot be written.
    """
    live = recogniser.bundle
    if live.head is None:
        raise ValueError("a recogniser without a last layer")
    say("reading", 0.0)
    frozen = read_frozen(live)
    judging = None if frozen is None else frozen.judges
    words = [*(word.word for word in live.words), *given.division.new_words]
    place = {word: index for index, word in enumerate(words)}
    train = given.division.train[-MOST_DRAWINGS:]
    chosen = [given.rows[i] for i in (*train, *given.division.held_back)]
    embedding, kept = _embeddings(recogniser, memory, store, [row[0] for row in chosen], say)
    labels = np.array([place[row[2]] for row in chosen], np.int64)
    teaches = np.arange(len(chosen)) < len(train)
    taught, judges = np.flatnonzero(teaches & kept), np.flatnonzero(~teaches & kept)

    def watch(step: int) -> None:
        say("training", 0.5 + 0.4 * min(1.0, step / iterations))

    iterations = int(_value(parameters, "iterations"))
    known = len(live.words)
    means = np.zeros((len(words) - known, live.head.weights.shape[1]), np.float32)
    for index in range(known, len(words)):
        rows = taught[labels[taught] == index]
        if len(rows):  # all may have been taken back since
            means[index - known] = embedding[rows].mean(axis=0)
    say("training", 0.5)
    counts = np.bincount(labels[taught], minlength=len(words))
    weights = np.minimum(1.0, _value(parameters, "most") / counts[labels[taught]])
    anchors = None if frozen is None else frozen.anchors
    all_anchors = _value(parameters, "anchor") * float(weights.sum())
    fitted = head.refit(
        embedding[taught],
        labels[taught],
        head.extend(live.head, means),
        known=known,
        weights=weights,
        anchors=anchors,
        penalty=_value(parameters, "penalty"),
        anchor=max(1.0, all_anchors / max(1, 0 if anchors is None else len(anchors))),
        iterations=iterations,
        watch=watch,
    )
    say("judging", 0.9)
    new = taught[labels[taught] >= known]
    new = new[np.argsort(labels[new], kind="stable")]
    present, owners = np.unique(labels[new], return_inverse=True)
    # A new word of which no training drawing is left can only be missed.
    compact = np.full(len(words), -1, np.int64)
    compact[:known] = np.arange(known)
    compact[present] = known + np.arange(len(present))
    before = gate.right_before(
        live.head.probabilities(embedding[judges]),
        embedding[judges],
        compact[labels[judges]],
        embedding[new],
        owners,
        live.config.memory,
    )
    after = _right(fitted, embedding[judges], labels[judges])
    verdict = gate.judge(
        None if judging is None else _right(live.head, judging.embedding, judging.labels),
        None if judging is None else _right(fitted, judging.embedding, judging.labels),
        before,
        after,
    )
    if verdict.passes:
        say("writing", 0.95)
        _write(live, fitted, words, given, verdict, out, name)
    return verdict


def _right(layer: Head, embedding: Floats, labels: npt.NDArray[np.int64]) -> gate.Bools:
    right: gate.Bools = layer.logits(embedding).argmax(axis=1) == labels
    return right


def _value(parameters: Mapping[str, float], name: str) -> float:
    return parameters.get(name, PARAMETERS[name][2])


def _embeddings(
    recogniser: SketchRecogniser, memory: Memory, store: Store, ids: Sequence[str], say: Say
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Embeddings ``[N, D]``, and which of the drawings are still there."""
    remembered = {lesson.id: lesson.embedding for lesson in memory.lessons()}
    rows = np.zeros((len(ids), recogniser.dimension), np.float32)
    kept = np.zeros(len(ids), bool)
    missing = []
    for index, id in enumerate(ids):
        if id in remembered:
            rows[index], kept[index] = remembered[id], True
        else:
            missing.append(index)
    for begin in range(0, len(missing), _BATCH):
        say("drawing", 0.5 * begin / len(missing))
        part = [(i, store.get(ids[i])) for i in missing[begin : begin + _BATCH]]
        there = [(i, drawing.strokes) for i, drawing in part if drawing is not None]
        places = [i for i, _ in there]
        rows[places] = recogniser.predict([strokes for _, strokes in there]).embedding
        kept[places] = True
    return rows, kept


# --- the candidate ------------------------------------------------------------------------------


def _write(
    live: SketchBundle,
    fitted: Head,
    words: Sequence[str],
    given: Given,
    verdict: Verdict,
    out: Path,
    name: str,
) -> None:
    """Write a bundle that differs from the live one by its last layer and its words."""
    out.mkdir(parents=True)
    for file in (MODEL_FILE, FROZEN_FILE, WEIGHTS_FILE):
        if (live.path / file).is_file():
            shutil.copyfile(live.path / file, out / file)
    arrays = io.BytesIO()
    np.savez(arrays, weights=fitted.weights, bias=fitted.bias)
    (out / HEAD_FILE).write_bytes(arrays.getvalue())
    first = len(live.words)
    taught = [Word(first + i, word, None, "learnt") for i, word in enumerate(words[first:])]
    (out / LABELS_FILE).write_text(format_words([*live.words, *taught]), encoding="utf-8")
    facts = given.facts()
    config = read_object(live.path / CONFIG_FILE)
    version = str(config.get("version", "")).partition("+")[0]
    said = [entry for entry in config.get("training_data", []) if not _is_collected(entry)]
    collected = {
        "name": "Drawings collected by this app",
        "collected": True,
        "drawings": facts["drawings"] - facts["held_back"],
        "hash": facts["hash"],
    }
    config |= {
        "version": f"{version}+{name}".lstrip("+"),
        "words": len(words),
        "refitted": True,
        "training_data": [*said, collected],
    }
    _write_json(out / CONFIG_FILE, config)
    metrics = read_object(live.path / METRICS_FILE, missing={})
    metrics = metrics.get("before_refit", metrics)
    learnt = {"run": name, "data": facts, "verdict": verdict.to_dict()}
    _write_json(out / METRICS_FILE, {"refit": learnt, "before_refit": metrics})
    (out / CARD_FILE).write_text(_card(live, facts, verdict, name), encoding="utf-8")


def _is_collected(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("collected") is True


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")


def _card(live: SketchBundle, facts: Mapping[str, Any], verdict: Verdict, name: str) -> str:
    """The card of the bundle that it came from, and what was learnt since."""
    before = f"# {live.config.name}\n"
    if (live.path / CARD_FILE).is_file():
        before = read_text(live.path / CARD_FILE).partition(f"\n{_CARD_HEADING}\n")[0]
    new = ", ".join(facts["new_words"]) or "none"
    return f"""{before.rstrip()}

{_CARD_HEADING}

The last layer of this bundle was fitted anew (run {name}); the figures above are of the model
before. {facts["drawings"] - facts["held_back"]:,} drawings of {facts["words"]:,} words taught it,
{facts["held_back"]:,} others were held back to judge (data {facts["hash"]}). New words: {new}.

{verdict.sentence()}
"""
