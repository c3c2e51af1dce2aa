"""Metric learning on digits, as PyTorch Metric Learning's MNIST example does it.

A small, known problem that shows in a minute whether miner, loss, reducer and the measure of
neighbours work together: github.com/KevinMusgrave/pytorch-metric-learning, examples, MNIST. A
classifier on the learnt embedding makes the report that published handwriting pipelines end with.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.training import export
from tagger.training.sketch import evaluation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Digits:
    """Pictures uint8 ``[N, 28, 28]`` and labels int64 ``[N]``; the last ``tests`` are held back."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    tests: int


class DigitNetwork(nn.Module):
    """Two convolutions and an embedding of length one, with a linear classifier on it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * 12 * 12, width),
        )
        self.classify = nn.Linear(width, 10)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[N, 10]`` and embeddings ``[N, width]`` of pictures float ``[N, 1, 28, 28]``."""
        embedding = F.normalize(self.body(pictures))
        # The classifier reads the embedding but does not shape it: that is the metric's part.
        return self.classify(embedding.detach() * 8), embedding


def read_digit_pictures(data: str, settings: Mapping[str, Any]) -> Digits:
    """Read an ``.npz`` with ``images`` and ``labels``, or one in a folder."""
    place = Path(data) / settings["file"] if Path(data).is_dir() else Path(data)
    if not place.is_file():
        raise ValueError(f"there is no {place.name} in the folder of the data")
    with np.load(place) as file:
        images, labels = file["images"], file["labels"].astype(np.int64)
    if images.ndim != 3 or images.shape[1:] != (28, 28) or len(labels) != len(images):
        raise ValueError(f"{place.name}: images must be [N, 28, 28] with a label each")
    return Digits(images, labels, min(settings["tests"], len(images) // 4))


def train_digits(digits: Digits, settings: Mapping[str, Any], seed: int) -> DigitNetwork:
    """Triplet loss over semi-hard triplets; losses of zero are left out of the mean."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner
    from pytorch_metric_learning.reducers import ThresholdReducer

    torch.manual_seed(seed)
    distance = CosineSimilarity()
    loss_of = TripletMarginLoss(
        margin=settings["margin"], distance=distance, reducer=ThresholdReducer(low=0)
    )
    miner = TripletMarginMiner(
        margin=settings["margin"], distance=distance, type_of_triplets="semihard"
    )
    network = DigitNetwork(settings["width"])
    optimiser = torch.optim.Adam(network.parameters(), lr=settings["rate"])
    images = torch.from_numpy(digits.images[: -digits.tests])
    labels = torch.from_numpy(digits.labels[: -digits.tests])
    for epoch in range(settings["epochs"]):
        begun, losses = time.monotonic(), []
        network.train()
        for rows in torch.randperm(len(images)).split(settings["batch"]):
            logits, embedding = network(prepare(images[rows]))
            y = labels[rows]
            metric = loss_of(embedding, y, miner(embedding, y))
            loss = metric + F.cross_entropy(logits, y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(float(metric.detach()))
        log.info(
            "epoch %d: triplet loss %.4f, %.1f s",
            epoch + 1,
            np.mean(losses),
            time.monotonic() - begun,
        )
    return network.eval()


def prepare(images: Tensor) -> Tensor:
    """Pictures uint8 ``[N, 28, 28]`` as the network takes them, ``[N, 1, 28, 28]``."""
    # Mean and deviation of MNIST, as everyone uses them.
    return ((images.float() / 255 - 0.1307) / 0.3081)[:, None]


def report_digits(
    network: DigitNetwork, digits: Digits, settings: Mapping[str, Any], work: str
) -> dict[str, Any]:
    """Accuracy, confusions and Precision@1 on the digits held back; written as JSON."""
    with torch.inference_mode():
        parts = [network(prepare(t)) for t in torch.from_numpy(digits.images).split(512)]
    logits, embedding = (torch.cat(axis).numpy() for axis in zip(*parts, strict=True))
    test = slice(len(digits.labels) - digits.tests, None)
    labels, said = digits.labels[test], logits[test].argmax(1)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, said), 1)
    pixels = digits.images[test].reshape(digits.tests, -1).astype(np.float32)
    report = {
        "train": len(digits.labels) - digits.tests,
        "test": digits.tests,
        "accuracy": round(float((said == labels).mean()), 4),
        "precision_at_1": evaluation.precision_at_1(embedding[test], labels),
        "precision_at_1_pixels": evaluation.precision_at_1(pixels, labels),
        "confusion": confusion.tolist(),
    }
    log.info("%s", json.dumps(report))
    export.write_json(Path(work) / "digits.json", report)
    return report
