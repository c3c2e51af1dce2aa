"""The steps of the ranker: plain functions of their inputs, files only where a path is given."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger import bundles, images
from tagger.atomic import replacing
from tagger.bundlefiles import CONFIG_FILE, METRICS_FILE
from tagger.illustration import IllustrationTagger
from tagger.preference import Ranker, describe
from tagger.safetext import csv_text
from tagger.training import export
from tagger.training.preference import card, judge
from tagger.training.preference.alike import SIDE, joined, near_duplicates
from tagger.training.preference.lessons import Lessons
from tagger.training.preference.networks import Head, PixelRanker, train_head, train_pixels
from tagger.training.preference.ratings import (
    Rated,
    all_pictures,
    pairs_of,
    read_ratings,
    read_sentiment,
    rows_of,
)
from tagger.training.sources import Record

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

RANKER_FILE = "ranker.json"
CARD_FILE = "README.md"
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Looked:
    """What the tagger says of N pictures, and the pictures at two sizes, uint8, on white."""

    embeddings: Floats
    probabilities: Floats
    small: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    model: str

    def inputs(self, kind: str) -> Floats:
        """What a head learns on: ``embedding``, ``tags`` or ``description`` (both)."""
        if kind == "embedding":
            return self.embeddings
        both = describe(self.embeddings, self.probabilities)
        if kind == "description":
            return both
        if kind == "tags":
            return both[:, self.embeddings.shape[1] :]
        raise ValueError(f"a head learns on embedding, tags or description, not on {kind!r}")


@dataclass(frozen=True, eq=False)
class Parted:
    """Pictures with their splits, what is learnt from, what judges, and what was too alike."""

    rated: Rated
    lessons: Lessons
    views: Mapping[str, judge.View]
    report: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Published:
    """Scores ``[N]`` by the published network, None if it was left out, and its epochs."""

    scores: Floats | None
    slope: float
    history: Sequence[Mapping[str, float]]
    minutes: float


@dataclass(frozen=True, eq=False)
class Heads:
    """The head that is best on the validation split, and how all of them did there."""

    best: Head
    settings: Mapping[str, Any]
    table: Sequence[Mapping[str, Any]]
    minutes: float


def read_opinions(data: str, settings: Mapping[str, Any]) -> Rated:
    """Join pictures with the table of moods, or with one's own ratings or pairs."""
    where = Path(data)
    if settings["ratings"]:
        rated = read_ratings(where, Path(settings["ratings"]))
    else:
        table = Path(settings["sentiment"])
        # Without a folder of its own it lies beside the pictures.
        table = table if len(table.parts) > 1 or table.is_file() else where.parent / table
        rated = read_sentiment(where, table)
    log.info("%d pictures of %d things", len(rated.records), len(set(rated.concepts)))
    return rated


def read_pictures(data: str) -> tuple[Record, ...]:
    """All pictures of a folder or table."""
    return all_pictures(Path(data))


def look(rated: Rated, settings: Mapping[str, Any], work: str) -> Looked:
    """Let the tagger see the rated pictures."""
    return look_at(rated.records, settings, work)


def look_at(pictures: Sequence[Record], settings: Mapping[str, Any], work: str) -> Looked:
    """Let the tagger see pictures; what an earlier run of the same tagger saw is kept in ``work``.

    Raises
    ------
    ValueError
        If the tagger gives no embeddings.
    """
    bundle = bundles.load(settings["bundle"])
    tagger = IllustrationTagger(bundle, threads=settings["threads"])
    path = Path(work) / "preference" / f"seen-{bundle.hash}.npz"
    known, kept = _read_seen(path)
    found: dict[str, tuple[Floats, Floats]] = {}
    order: list[str] = []
    small = np.empty((len(pictures), SIDE, SIDE, 3), np.uint8)
    side = PixelRanker.SIDE
    pixels = np.empty((len(pictures), side, side, 3), np.uint8)
    for start in range(0, len(pictures), _BATCH):
        datas = [record.read_bytes() for record in pictures[start : start + _BATCH]]
        target = max(tagger.size, side)
        rgbs = [images.read(data, target=target).rgb for data in datas]
        for number, rgb in enumerate(rgbs, start):
            small[number] = images.letterbox(rgb, SIDE)
            pixels[number] = images.letterbox(rgb, side)
        names = [hashlib.sha256(data).hexdigest() for data in datas]
        order += names
        new = [n for n, name in enumerate(names) if name not in known and name not in found]
        if new:
            seen = tagger.predict([rgbs[n] for n in new])
            if seen.embedding is None:
                raise ValueError("the model gives no embeddings: it cannot be learnt on")
            rows = zip(seen.embedding, seen.probabilities, strict=True)
            found.update(zip([names[n] for n in new], rows, strict=True))
        if start // _BATCH % 16 == 0:
            log.info("looked at %d of %d pictures", start + len(datas), len(pictures))
    if found:
        kept = _add_seen(path, known, kept, found)
        known = {name: n for n, name in enumerate([*known, *found])}
    places = np.array([known[name] for name in order])
    return Looked(kept[0][places], kept[1][places], small, pixels, bundle.hash)


def part(rated: Rated, looked: Looked, settings: Mapping[str, Any]) -> Parted:
    """Keep what is nearly the same out of different splits.

    Where splits are given they stay, and what is nearly the same as a picture that judges is not
    learnt from. Else pictures that are nearly the same become one thing, and splits are drawn.
    """
    alike = near_duplicates(looked.small, looked.embeddings, **settings["alike"])
    apart, splits = rated.concepts, rated.splits
    alike_things = [(a, b) for a, b in alike if apart[a] != apart[b]]
    across = [(a, b) for a, b in alike_things if splits[a] != splits[b]]
    report: dict[str, Any] = {"near_duplicates": len(alike_things), "across_splits": len(across)}
    dropped: set[int] = set()
    if rated.fixed:
        for a, b in across:
            dropped.update(n for n in (a, b) if splits[n] == "train")
        report["left_out_of_training"] = len(dropped)
    else:
        rated = rated.moved(joined(rated.concepts.tolist(), alike))
        report["kept_together"] = len(set(apart)) - len(set(rated.concepts))
    train = np.array([n for n in rows_of(rated, "train") if n not in dropped], np.int64)
    pairs = pairs_of(rated, "train") if rated.pairs is not None else None
    lessons = Lessons(train, rated.target, rated.variance, rated.weight, rated.concepts, pairs)
    views = {}
    for split in ("val", "test"):
        options = {"certainty": settings["certainty"], "most": settings["most"], "seed": 0}
        views[split] = judge.view(rated, split, **options)
        if not views[split].count.any():
            raise ValueError(f"there is no pair of pictures to judge by in the split {split}")
    parts = [("train", train), *((split, seen.rows) for split, seen in views.items())]
    report["pictures"] = {name: len(rows) for name, rows in parts}
    report["things"] = {name: len(set(rated.concepts[rows])) for name, rows in parts}
    report["sources"] = dict(Counter(rated.sources.tolist()))
    log.info("%s", json.dumps(report))
    return Parted(rated, lessons, views, report)


def train_published(
    parted: Parted, looked: Looked, settings: Mapping[str, Any], work: str
) -> Published:
    """Train the published network from nothing, or find what an earlier run left."""
    own = settings["published"]
    if not own["epochs"]:
        return Published(None, 1.0, [], 0.0)
    lessons, val = parted.lessons, parted.views["val"]
    digest = hashlib.sha256(json.dumps(dict(own), sort_keys=True).encode())
    for part in (looked.pixels, lessons.rows, lessons.target, val.rows):
        digest.update(np.ascontiguousarray(part).tobytes())
    path = Path(work) / "preference" / f"published-{digest.hexdigest()[:16]}.npz"
    if path.exists():
        with np.load(path) as kept:
            scores, minutes = kept["scores"], float(kept["minutes"])
            history = json.loads(str(kept["history"]))
    else:
        begun = time.monotonic()
        scores, history = train_pixels(looked.pixels, lessons, val, own)
        minutes = (time.monotonic() - begun) / 60
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.savez(file, scores=scores, minutes=minutes, history=json.dumps(history))
    return Published(scores, judge.fit_slope(val, scores[val.rows]), history, round(minutes, 2))


def train_heads(parted: Parted, looked: Looked, settings: Mapping[str, Any]) -> Heads:
    """Train every head of the settings; the least logarithmic loss on ``val`` counts."""
    begun = time.monotonic()
    val, table, heads = parted.views["val"], [], []
    for one in settings["heads"]:
        own = {**settings["head"], **one}
        own.setdefault("name", f"{own['input']}, hidden {own['hidden']}, decay {own['decay']:g}")
        inputs = looked.inputs(own["input"])
        head = train_head(inputs, parted.lessons, val, own)
        scores = head.scores(inputs[val.rows])
        slope = judge.fit_slope(val, scores)
        figures = judge.Judged(val, scores, slope).figures()
        table.append({**own, "log_loss": judge.log_loss(val, scores, slope), "val": figures})
        heads.append(head)
    best = int(np.argmin([row["log_loss"] for row in table]))
    log.info("chosen: %s", table[best]["name"])
    minutes = round((time.monotonic() - begun) / 60, 2)
    return Heads(heads[best], table[best], table, minutes)


def make_ranker(
    heads: Heads, parted: Parted, looked: Looked, settings: Mapping[str, Any]
) -> Ranker:
    """The best head in the form that serving reads, its slope fitted on ``val``."""
    head, own = heads.best, heads.settings
    first = head.weights if head.hidden_weights is None else head.hidden_weights
    if own["input"] == "tags":
        # A ranker takes descriptions, which begin with the embedding.
        none = np.zeros((*first.shape[:-1], looked.embeddings.shape[1]), np.float32)
        first = np.concatenate([none, first], axis=-1)
    linear = head.hidden_weights is None
    ranker = Ranker(
        name=settings["name"],
        model=looked.model,
        kind="linear" if linear else "mlp",
        weights=first if linear else head.weights,
        hidden_weights=None if linear else first,
        hidden_bias=head.hidden_bias,
        tie=settings["tie"],
        facts={"input": own["input"], "things": parted.report["things"]["train"]},
    )
    # As it will be read from the file: halves instead of singles.
    ranker = Ranker.from_dict(ranker.to_dict())
    val = parted.views["val"]
    scores = ranker.scores(_rows_for(ranker, looked)[val.rows])
    return replace(ranker, slope=judge.fit_slope(val, scores))


def judge_rankers(
    ranker: Ranker,
    published: Published,
    parted: Parted,
    looked: Looked,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Figures on the test split: ours, the published network's, their difference, the ceiling."""
    rounds, rated = settings["rounds"], parted.rated
    ours = ranker.scores(_rows_for(ranker, looked))
    found: dict[str, Any] = {}
    for split, seen in parted.views.items():
        judged = judge.Judged(seen, ours[seen.rows], ranker.slope)
        found[split] = {"ours": judge.as_dict(judged.intervals(rounds))}
        if published.scores is not None:
            base = judge.Judged(seen, published.scores[seen.rows], published.slope)
            found[split]["published"] = judge.as_dict(base.intervals(rounds))
            found[split]["difference"] = judge.as_dict(judged.against(base, rounds))
        if rated.counts is not None:
            again = judge.ceiling(seen, rated.counts[seen.rows], settings["draws"], 0)
            found[split]["ceiling"] = judge.as_dict(again)
    test = parted.views["test"]
    styles = rated.sources[test.rows]
    found["test_by_source"] = {}
    for style in sorted(set(styles.tolist())):
        which = styles == style
        seen = test.part(which)
        if not seen.count.any() or len(set(styles.tolist())) < 2:
            continue
        judged = judge.Judged(seen, ours[seen.rows], ranker.slope)
        row = {"ours": judge.as_dict(judged.intervals(rounds))}
        if published.scores is not None:
            base = judge.Judged(seen, published.scores[seen.rows], published.slope)
            row["published"] = judge.as_dict(base.intervals(rounds))
            row["difference"] = judge.as_dict(judged.against(base, rounds))
        found["test_by_source"][style] = {"pictures": int(which.sum()), **row}
    log.info("test: %s", json.dumps({k: v["value"] for k, v in found["test"]["ours"].items()}))
    return found


def write_ranker(
    ranker: Ranker,
    heads: Heads,
    published: Published,
    parted: Parted,
    figures: Mapping[str, Any],
    settings: Mapping[str, Any],
    bundle: Mapping[str, Any],
) -> str:
    """Write the ranker, what is known of it, and its card; returns the folder."""
    out = Path(settings["out"])
    test = figures["test"]["ours"]
    facts = {**ranker.facts, "test": {name: test[name]["value"] for name in test}}
    replace(ranker, facts=facts).save(out / RANKER_FILE)
    own = bool(settings["ratings"])
    config = {
        "format_version": 1,
        "task": "preference",
        "name": ranker.name,
        "version": bundle["version"],
        "licence": "" if own else bundle["licence"],
        "author": "" if own else bundle["author"],
        "file": RANKER_FILE,
        "model": ranker.model,
        "kind": ranker.kind,
        "input": heads.settings["input"],
        "dimension": ranker.dimension,
        "training_data": [] if own else list(settings["training_data"]),
        "remarks": [] if own else list(settings["remarks"]),
    }
    metrics = {
        "command": bundle["command"],
        **figures,
        "data": dict(parted.report),
        "judged": "pairs" if parted.rated.pairs is not None else "pictures",
        "ndcg": {
            "gain": "2^grade - 1",
            "grade": f"{judge.GRADES:g} * (target - least) / (greatest - least)",
            "discount": "1 / log2(1 + rank)",
            "bounds": list(parted.rated.bounds),
        },
        "heads": [dict(row) for row in heads.table],
        "chosen": heads.settings["name"],
        "slope": ranker.slope,
        "training": {
            "minutes": {"published": published.minutes, "heads": heads.minutes},
            "published": dict(settings["published"]),
            "published_epochs": [dict(row) for row in published.history],
            "machine": f"{platform.machine()}, CPU",
        },
    }
    metrics = _without_nan(metrics)
    export.write_json(out / CONFIG_FILE, config)
    export.write_json(out / METRICS_FILE, metrics)
    export.write_text(out / CARD_FILE, card.render(config, metrics))
    log.info("written: %s", out)
    return str(out)


def write_scores(
    pictures: Sequence[Record], looked: Looked, settings: Mapping[str, Any]
) -> list[tuple[str, float]]:
    """Write a CSV of every picture and its score, the best first."""
    where = Path(settings["ranker"])
    ranker = Ranker.load(where / RANKER_FILE if where.is_dir() else where, model=looked.model)
    scores = ranker.scores(_rows_for(ranker, looked))
    order = np.argsort(-scores, kind="stable")
    rows = [(pictures[n].id, float(scores[n])) for n in order.tolist()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "score", "rank"])
    for rank, (name, score) in enumerate(rows, 1):
        writer.writerow([csv_text(name), f"{score:.6g}", rank])
    export.write_text(Path(settings["scores"]), text.getvalue())
    log.info("%d scores: %s", len(rows), settings["scores"])
    return rows


def _rows_for(ranker: Ranker, looked: Looked) -> Floats:
    rows: Floats = describe(looked.embeddings, looked.probabilities)
    if ranker.dimension > rows.shape[1]:
        raise ValueError("the ranker takes more than this model says of a picture")
    return rows


def _read_seen(path: Path) -> tuple[dict[str, int], tuple[Floats, Floats]]:
    if not path.exists():
        empty = np.empty((0, 0), np.float32)
        return {}, (empty, empty)
    with np.load(path) as kept:
        names = {name: n for n, name in enumerate(kept["names"].tolist())}
        return names, (kept["embeddings"], kept["probabilities"])


def _add_seen(
    path: Path,
    known: Mapping[str, int],
    kept: tuple[Floats, Floats],
    found: Mapping[str, tuple[Floats, Floats]],
) -> tuple[Floats, Floats]:
    new = tuple(np.stack([row[side] for row in found.values()]) for side in (0, 1))
    every = [np.concatenate([kept[side], new[side]]) if known else new[side] for side in (0, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        names = np.array([*known, *found])
        np.savez(file, names=names, embeddings=every[0], probabilities=every[1])
    return every[0], every[1]


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN: what is not defined is null."""
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
