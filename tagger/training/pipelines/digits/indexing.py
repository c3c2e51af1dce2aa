"""Learn six digits, index all ten, and tell them: the example of TensorFlow Similarity.

The protocol is that of its ``examples/supervised_hello_world.ipynb``: a network that has seen six
of the ten digits embeds all of them; twenty of each go into an index; cut-points are calibrated;
then pictures are matched against the index, and what is too far from everything is unknown. Digits
that the network never saw show whether the embedding is about more than what it was trained on.

Here, unlike there, nothing is calibrated or indexed that was trained on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tagger.similarity import UNKNOWN, Index, Match, evaluate_retrieval, evaluate_single
from tagger.similarity import classification as judge
from tagger.training import export
from tagger.training.pipelines.digits.nodes import DigitNetwork, Digits, prepare

log = logging.getLogger(__name__)

INDEX_FILE = "digits.index"
REPORT_FILE = "digits_index.json"


@dataclass(frozen=True)
class DigitParts:
    """Rows of the pictures by what they are for; no row is in two of them."""

    train: NDArray[np.int64]
    index: NDArray[np.int64]
    calibrate: NDArray[np.int64]
    test: NDArray[np.int64]


def part_digits(digits: Digits, settings: Mapping[str, Any], seed: int) -> DigitParts:
    """Draw the pictures of each part, and of the training part those of the digits to be seen.

    Raises
    ------
    ValueError
        If there are too few, or all digits are to be seen.
    """
    seen = set(settings["seen"])
    if not 2 <= len(seen) < 10 or not seen <= set(range(10)):
        raise ValueError("digits_index.seen must be two to nine different digits")
    drawn = np.random.default_rng(seed).permutation(len(digits.labels))
    test, rest = np.split(drawn, [settings["tests"]])
    by_digit = [rest[digits.labels[rest] == digit] for digit in range(10)]
    index, calibrate, train = [], [], []
    ends = np.cumsum([settings["index_each"], settings["calibrate_each"]])
    for digit, rows in enumerate(by_digit):
        if len(rows) < ends[1] + (digit in seen):
            raise ValueError(f"there are too few pictures of the digit {digit}")
        first, second, others = np.split(rows, ends)
        index.append(first)
        calibrate.append(second)
        if digit in seen:
            train.append(others)
    return DigitParts(*(np.sort(np.concatenate(p)) for p in (train, index, calibrate, [test])))


def train_seen(
    digits: Digits, parts: DigitParts, settings: Mapping[str, Any], seed: int
) -> DigitNetwork:
    """Learn an embedding from the digits to be seen, by the multi-similarity loss.

    Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning" (CVPR
    2019), with its miner. Pictures are moved and turned a little. With `settings["turned"]`,
    digits turned by a quarter count as kinds of their own: more kinds to tell apart make features
    that hold for kinds never seen (so did Santoro et al., "Meta-Learning with Memory-Augmented
    Neural Networks", ICML 2016, with handwritten characters).
    """
    from pytorch_metric_learning.losses import MultiSimilarityLoss
    from pytorch_metric_learning.miners import MultiSimilarityMiner

    torch.manual_seed(seed)
    loss_of = MultiSimilarityLoss(alpha=2, beta=40, base=0.5)
    miner = MultiSimilarityMiner(epsilon=0.1)
    network = DigitNetwork(settings["width"])
    optimiser = torch.optim.Adam(network.parameters(), lr=settings["rate"])
    images = torch.from_numpy(digits.images[parts.train])
    labels = torch.from_numpy(digits.labels[parts.train])
    if settings["turned"]:
        images = torch.cat([images, images.rot90(1, (1, 2))])
        labels = torch.cat([labels, labels + 10])
    steps = settings["epochs"] * math.ceil(len(images) / settings["batch"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings["rate"], steps)
    for epoch in range(settings["epochs"]):
        begun, losses = time.monotonic(), []
        network.train()
        for rows in torch.randperm(len(images)).split(settings["batch"]):
            _, embedding = network(move(prepare(images[rows]), settings["move"]))
            y = labels[rows]
            loss = loss_of(embedding, y, miner(embedding, y))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        seconds = time.monotonic() - begun
        log.info("epoch %d: loss %.4f, %.1f s", epoch + 1, np.mean(losses), seconds)
    return network.eval()


def move(pictures: Tensor, settings: Mapping[str, float]) -> Tensor:
    """Turn, slant, scale and shift pictures ``[N, 1, h, w]`` a little, each in its own way."""

    def some(most: float) -> Tensor:
        return (torch.rand(len(pictures)) * 2 - 1) * most

    turn, slant = some(math.radians(settings["degrees"])), some(settings["slant"])
    size = 1 + some(settings["scale"])
    shift = 2 * settings["pixels"] / pictures.shape[-1]
    cos, sin = turn.cos() * size, turn.sin() * size
    rows = [cos, slant - sin, some(shift), sin, cos, some(shift)]
    grid = F.affine_grid(
        torch.stack(rows, 1).reshape(-1, 2, 3), list(pictures.shape), align_corners=False
    )
    # What comes in from outside is ground, which is not 0 after the pictures were prepared.
    ground = pictures.amin()
    return F.grid_sample(pictures - ground, grid, align_corners=False) + ground


def embed(network: DigitNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings float32 ``[N, width]`` of pictures."""
    with torch.inference_mode():
        parts = [network(prepare(part))[1] for part in torch.from_numpy(images).split(512)]
    return torch.cat(parts).numpy()


def report_index(
    network: DigitNetwork,
    digits: Digits,
    parts: DigitParts,
    settings: Mapping[str, Any],
    work: str,
) -> dict[str, Any]:
    """Index, calibrate, match; written as JSON, and the index beside it.

    The same is done with the pixels themselves for an embedding, to show what was learnt; and once
    more with the seen digits alone in the index, so that the others are to be taken for unknown.
    """
    learnt = embed(network, digits.images)
    pixels = digits.images.reshape(len(digits.images), -1).astype(np.float32)
    digest = hashlib.sha256()
    for weights in network.state_dict().values():
        digest.update(weights.numpy().tobytes())
    path = Path(work) / INDEX_FILE
    index = build(learnt, digits, parts.index, settings, digest.hexdigest()[:16])
    calibrate(index, learnt, digits, parts, settings)
    index.save(path)
    # What is judged is what another program would read.
    index = Index.load(path, model=index.model)
    assert index.calibration is not None
    seen = sorted(settings["seen"])
    test = digits.labels[parts.test]
    matches = index.match(learnt[parts.test])
    figures = evaluate_single(test.tolist(), matches)
    report = {
        "protocol": "TensorFlow Similarity, supervised_hello_world: train on six digits, index "
        f"{settings['index_each']} of each of the ten, calibrate, match",
        "seen": seen,
        "pictures": {name: len(getattr(parts, name)) for name in DigitParts.__annotations__},
        "calibration": index.calibration.cut.to_dict(),
        "match": {
            **_shares(test, matches, seen),
            "unknown": figures["unknown"],
            "by_digit": {
                digit: float(np.mean([_said(m) == digit for m, t in _pairs(matches, test, digit)]))
                for digit in range(10)
            },
            "confusion": figures["confusion"],
        },
        "counts": _decisions(index, learnt, digits, parts) if settings["k"] == 1 else None,
        "retrieval": evaluate_retrieval(
            index.snapshot(), learnt[parts.test], test[:, None].tolist(), ks=(1, 5)
        ),
        "unseen_unknown": _open(learnt, digits, parts, settings, seen),
        "pixels": _pixels(pixels, digits, parts, settings, seen),
        "latency_ms": {k: 1e3 * v for k, v in index.stats().latency.items()},
        "required": settings["required"],
        "published": 0.8992,
    }
    report["reached"] = report["match"]["accuracy"] >= settings["required"]
    log.info("match: %s", json.dumps(report["match"]["by_digit"]))
    log.info(
        "match accuracy %.4f (seen %.4f, unseen %.4f), pixels %.4f, required %.2f",
        *(report["match"][name] for name in ("accuracy", "seen", "unseen")),
        report["pixels"]["accuracy"],
        settings["required"],
    )
    export.write_json(Path(work) / REPORT_FILE, report)
    return report


def build(
    embeddings: NDArray[np.float32],
    digits: Digits,
    rows: NDArray[np.int64],
    settings: Mapping[str, Any],
    model: str,
) -> Index:
    """An index of some of the pictures, each with its digit for a label."""
    index = Index(embeddings.shape[1], model, search=settings["search"])
    names = [str(row) for row in rows]
    index.add_many(names, embeddings[rows], digits.labels[rows, None].tolist())
    return index


def calibrate(
    index: Index,
    embeddings: NDArray[np.float32],
    digits: Digits,
    parts: DigitParts,
    settings: Mapping[str, Any],
) -> None:
    """Cut-point of the greatest F1, as TensorFlow Similarity counts it."""
    index.calibrate(
        embeddings[parts.calibrate],
        digits.labels[parts.calibrate, None].tolist(),
        target="f1",
        k=settings["k"],
        matcher=settings["matcher"],
        single=True,
        missed=False,
        least=len(parts.calibrate) + 1,  # one cut-point for all, as there
    )


def _said(match: tuple[Match, ...]) -> int:
    return match[0].tag if match else UNKNOWN


def _pairs(
    matches: list[tuple[Match, ...]], labels: NDArray[np.int64], digit: int
) -> list[tuple[tuple[Match, ...], int]]:
    return [(m, t) for m, t in zip(matches, labels.tolist(), strict=True) if t == digit]


def _shares(
    labels: NDArray[np.int64], matches: list[tuple[Match, ...]], seen: list[int]
) -> dict[str, float]:
    right = np.array([_said(match) for match in matches]) == labels
    known = np.isin(labels, seen)
    return {
        "accuracy": float(right.mean()),
        "seen": float(right[known].mean()),
        "unseen": float(right[~known].mean()),
    }


def _decisions(
    index: Index, embeddings: NDArray[np.float32], digits: Digits, parts: DigitParts
) -> dict[str, float]:
    """The measures of TensorFlow Similarity at the cut-point, on the test pictures."""
    assert index.calibration is not None
    nearest = [found[0] for found in index.lookup_many(embeddings[parts.test], 1)]
    right = np.array([one.item.labels[0] for one in nearest]) == digits.labels[parts.test]
    scores = np.array([one.cosine for one in nearest])
    counts = judge.count_nearest(right, scores, [index.calibration.threshold(UNKNOWN)])
    return {name: float(metric(counts)[0]) for name, metric in judge.METRICS.items()}


def _open(
    embeddings: NDArray[np.float32],
    digits: Digits,
    parts: DigitParts,
    settings: Mapping[str, Any],
    seen: list[int],
) -> dict[str, Any]:
    """With the seen digits alone in the index: the others should be unknown."""
    rows = parts.index[np.isin(digits.labels[parts.index], seen)]
    index = build(embeddings, digits, rows, settings, "seen digits")
    calibrate(index, embeddings, digits, parts, settings)
    labels = digits.labels[parts.test]
    truth = np.where(np.isin(labels, seen), labels, UNKNOWN).tolist()
    figures = evaluate_single(truth, index.match(embeddings[parts.test]))
    return {name: figures[name] for name in ("accuracy", "known_accuracy", "unknown_recall")}


def _pixels(
    pixels: NDArray[np.float32],
    digits: Digits,
    parts: DigitParts,
    settings: Mapping[str, Any],
    seen: list[int],
) -> dict[str, float]:
    index = build(pixels, digits, parts.index, settings, "pixels")
    calibrate(index, pixels, digits, parts, settings)
    return _shares(digits.labels[parts.test], index.match(pixels[parts.test]), seen)
