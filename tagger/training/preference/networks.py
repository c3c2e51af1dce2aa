"""Two networks that score pictures: the published one on pixels, ours on what the tagger saw."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.training.preference import judge
from tagger.training.preference.lessons import Lessons, pair_loss

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
# Pictures that are scored at once.
_BATCH = 256


class PixelRanker(nn.Module):
    """Two convolutions on pictures of 80 x 80 pixels, each with pooling, and two layers."""

    SIDE = 80

    def __init__(self, width: int = 16, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (self.SIDE // 4) ** 2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores ``[N]`` of pictures uint8 ``[N, 80, 80, 3]``."""
        x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        scores: Tensor = self.body(x)[:, 0]
        return scores


def train_pixels(
    pictures: NDArray[np.uint8], lessons: Lessons, val: judge.View, settings: Mapping[str, Any]
) -> tuple[Floats, list[dict[str, float]]]:
    """Train the published network from nothing; the epoch that is best on `val` counts.

    Parameters
    ----------
    pictures
        uint8 ``[N, 80, 80, 3]``.
    settings
        ``epochs``, ``batch``, ``rate``, ``width``, ``hidden``, ``seed``.

    Returns
    -------
    scores : float32, shape [N]
    history : list of dict
        Loss and figures on `val` by epoch.
    """
    torch.manual_seed(settings["seed"])
    rng = np.random.default_rng(settings["seed"])
    network = PixelRanker(settings["width"], settings["hidden"])
    optimiser = torch.optim.Adam(network.parameters(), lr=settings["rate"])
    x = torch.from_numpy(pictures)
    best, history, kept = -np.inf, [], {}
    for epoch in range(1, settings["epochs"] + 1):
        losses = []
        for batch in lessons.epoch(rng, settings["batch"]):
            loss = pair_loss(network.train()(x[torch.from_numpy(batch.rows)]), batch.certain())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        found = judge.Judged(val, _scores(network, x[torch.from_numpy(val.rows)]))
        figures = found.figures()
        history.append({"epoch": epoch, "loss": float(np.mean(losses)), **figures})
        log.info("pixels, epoch %d: loss %.4f, %s", epoch, np.mean(losses), judge.progress(found))
        # Where nothing can be compared, the last epoch counts.
        if not figures["pairs"] <= best:
            best = figures["pairs"]
            kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return _scores(network, x), history


@dataclass(frozen=True, eq=False)
class Head:
    """A small network on vectors: ``max(0, x @ hidden + bias) @ weights``, or ``x @ weights``."""

    weights: Floats
    hidden_weights: Floats | None
    hidden_bias: Floats | None

    def scores(self, inputs: Floats) -> Floats:
        """Scores ``[N]`` of vectors ``[N, D]``."""
        rows = inputs
        if self.hidden_weights is not None and self.hidden_bias is not None:
            rows = np.maximum(rows @ self.hidden_weights.T + self.hidden_bias, 0)
        found: Floats = rows @ self.weights
        return found


def train_head(
    inputs: Floats,
    lessons: Lessons,
    val: judge.View,
    settings: Mapping[str, Any],
) -> Head:
    """Train a linear layer, or one hidden one, on vectors; the last epoch counts.

    Parameters
    ----------
    inputs
        float32 ``[N, D]``. They are centred and scaled to learn, by one factor for all; the
        head takes them as they are.
    settings
        ``name``, ``hidden`` (0 for a linear layer), ``decay`` (times the squares of the weights),
        ``dropout`` of the inputs, ``epochs``, ``batch``, ``rate``, ``seed``.
    """
    torch.manual_seed(settings["seed"])
    rng = np.random.default_rng(settings["seed"])
    taught = inputs[lessons.rows]
    middle, size = taught.mean(axis=0), float(taught.std(axis=0).mean()) or 1.0
    x = torch.from_numpy(((inputs - middle) / size).astype(np.float32))
    width, hidden = inputs.shape[1], settings["hidden"]
    first = nn.Linear(width, hidden or 1, bias=bool(hidden))
    last = nn.Linear(hidden, 1, bias=False) if hidden else None
    if not hidden:
        nn.init.zeros_(first.weight)
    layers = [first, *([nn.ReLU(), last] if last is not None else [])]
    network = nn.Sequential(nn.Dropout(settings["dropout"]), *layers)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings["rate"])
    epochs = settings["epochs"]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(1, epochs + 1):
        losses = []
        for batch in lessons.epoch(rng, settings["batch"]):
            scores = network.train()(x[torch.from_numpy(batch.rows)])[:, 0]
            loss = pair_loss(scores, batch)
            losses.append(float(loss.detach()))
            heavy = sum((layer.weight**2).sum() for layer in (first, last) if layer is not None)
            loss = loss + settings["decay"] * heavy
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        schedule.step()
        if epoch % max(1, epochs // 5) == 0 or epoch == epochs:
            network.eval()
            with torch.inference_mode():
                seen = network(x[torch.from_numpy(val.rows)])[:, 0].numpy()
            line = judge.progress(judge.Judged(val, seen))
            log.info("%s, epoch %d: loss %.4f, %s", settings["name"], epoch, np.mean(losses), line)
    weights = first.weight.detach().numpy() / size
    if last is None:
        return Head(weights[0].astype(np.float32), None, None)
    bias = first.bias.detach().numpy() - weights @ middle
    return Head(
        last.weight.detach().numpy()[0].astype(np.float32),
        weights.astype(np.float32),
        bias.astype(np.float32),
    )


def _scores(network: nn.Module, pictures: Tensor) -> Floats:
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(part) for part in pictures.split(_BATCH)]).numpy()
