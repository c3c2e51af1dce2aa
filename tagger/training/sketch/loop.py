"""Train the recogniser: resumable, the same on a CPU and a GPU."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tagger.atomic import replacing
from tagger.training.loop import batches
from tagger.training.process import left_as_found
from tagger.training.sketch.augment import StrokeAugmentation
from tagger.training.sketch.data import Drawings
from tagger.training.sketch.network import SketchNetwork
from tagger.training.sketch.pool import Raster, as_bytes, version
from tagger.training.sketch.teacher import DoodleNet


@dataclass(frozen=True)
class SketchRecipe:
    """Everything that decides what a training run does.

    Attributes
    ----------
    versions
        Variations of every drawing; epoch ``e`` sees the ``1 + e % versions``-th.
    distil
        Share of the loss that follows the teacher's answers; 0 without a teacher.
    metric
        Weight of the metric-learning term (supervised contrastive, Khosla et al., NeurIPS 2020)
        on the embedding; batches then hold every word twice.
    blind
        Share of the pictures whose order of ink is hidden, so that the network also reads
        drawings of which nobody knows it.
    mixed
        Share of the drawings that get strokes of another drawing of their word.
    start
        Settings of a run that goes before and whose averaged weights this one begins with (a warm
        restart: Loshchilov and Hutter, "SGDR", ICLR 2017); empty for random weights.
    """

    name: str = "sketch"
    channels: tuple[int, ...] = (32, 64, 160)
    blocks: tuple[int, ...] = (1, 2, 2)
    width: int = 256
    dropout: float = 0.1
    epochs: int = 20
    batch: int = 128
    versions: int = 6
    distil: float = 0.6
    metric: float = 0.1
    metric_temperature: float = 0.1
    smoothing: float = 0.05
    blind: float = 0.2
    mixed: float = 0.0
    start: dict[str, Any] = field(default_factory=dict)
    rate: float = 2e-3
    decay: float = 0.02
    warm_up: float = 0.05
    ema: float = 0.999
    seed: int = 1

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SketchRecipe:
        """Build from parameters; unknown names are refused rather than ignored."""
        if unknown := set(values) - {f.name for f in fields(cls)}:
            raise ValueError(f"unknown recipe settings: {', '.join(sorted(unknown))}")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**values)

    def first(self) -> SketchRecipe:
        """The recipe of the run that goes before: this one with the settings of ``start``."""
        before = {**asdict(self), "name": f"{self.name}-start", "start": {}}
        return SketchRecipe.from_dict({**before, **self.start})

    def network(self, words: int, planes: int) -> SketchNetwork:
        """A network with random weights."""
        return SketchNetwork(
            words,
            planes=planes,
            channels=self.channels,
            blocks=self.blocks,
            width=self.width,
            dropout=self.dropout,
        )


@dataclass(frozen=True)
class TrainedSketch:
    """A finished run: the averaged network, its history and seconds."""

    network: SketchNetwork
    history: list[dict[str, float]]
    seconds: float
    recipe: SketchRecipe


@left_as_found()
def train(
    drawings: Drawings,
    recipe: SketchRecipe,
    *,
    raster: Raster,
    augmentation: StrokeAugmentation,
    teacher: DoodleNet | None,
    folder: Path,
    start: SketchNetwork | None = None,
    compile_network: bool = False,
    say: Callable[[str], None] = print,
) -> TrainedSketch:
    """Train, or go on with what ``folder`` holds of the same run.

    Parameters
    ----------
    teacher
        Whose answers to the very same variations are learnt beside the labels.
    folder
        For the checkpoint and the drawn versions.
    start
        The network that ``recipe.start`` led to.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_flush_denormal(True)
    torch.manual_seed(recipe.seed)
    rows = drawings.rows("train")
    labels, digits = drawings.labels[rows], drawings.digits[rows]
    watched = drawings.rows("val")
    watched_pictures = as_bytes(raster.draw([drawings.strokes[i] for i in watched]))
    network = recipe.network(len(drawings.words), 1 + raster.order).to(device)
    if start is not None:
        network.load_state_dict(start.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True
    )
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if p.ndim >= 2]},
        # Scales and biases are not shrunk: they hold no capacity, only place.
        {"params": [p for p in network.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay)
    state: dict[str, Any] = {"epoch": 0, "history": [], "seconds": 0.0}
    checkpoint = folder / "runs" / recipe.name / "checkpoint.pt"
    said = json.dumps(asdict(recipe), sort_keys=True)
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved["recipe"] != said:
            raise ValueError(
                f"{checkpoint} belongs to another recipe; remove it or use a new folder"
            )
        network.load_state_dict(saved["network"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        state = saved["state"]
        say(f"going on after epoch {state['epoch']}")
    runner: nn.Module = torch.compile(network) if compile_network else network  # type: ignore[assignment]
    contrast = _metric_loss(recipe)
    steps = len(rows) // recipe.batch
    if not steps:
        raise ValueError(f"{len(rows)} training drawings do not fill a batch of {recipe.batch}")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)

    while state["epoch"] < recipe.epochs:
        epoch, begun = state["epoch"], time.monotonic()
        seen = version(
            drawings,
            1 + epoch % recipe.versions,
            raster=raster,
            augmentation=augmentation,
            teacher=teacher if recipe.distil else None,
            folder=folder,
            mixed=recipe.mixed,
            say=say,
        )
        seed = recipe.seed * 100_003 + epoch
        torch.manual_seed(seed)
        order = batches(
            np.arange(len(rows)), labels, recipe.batch, seed=seed, paired=bool(recipe.metric)
        )
        network.train()
        losses = []
        for step, batch in enumerate(order):
            _set_rate(optimiser, recipe, (epoch + step / steps) / recipe.epochs)
            # Memory maps like order; a batch is a set.
            batch = np.sort(batch)
            y = torch.from_numpy(labels[batch]).to(device)
            pictures = torch.from_numpy(seen.pictures[batch]).to(device).float().div_(255)
            pictures = move(pictures, torch.from_numpy(~digits[batch]).to(device), recipe.blind)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                read = runner(pictures.contiguous(memory_format=torch.channels_last))
            logits = read.logits.float()
            loss = F.cross_entropy(logits, y, label_smoothing=recipe.smoothing, reduction="none")
            if seen.answers is not None and recipe.distil:
                answers = torch.from_numpy(seen.answers[batch].astype(np.float32)).to(device)
                known = answers.sum(1) > 0.5
                taught = -(answers * logits.log_softmax(1)).sum(1)
                share = recipe.distil * known
                loss = (1 - share) * loss + share * taught
            loss = loss.mean()
            if recipe.metric:
                loss = loss + recipe.metric * contrast(read.embedding.float(), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            # Random weights are forgotten at once; those of an earlier run are not.
            done = epoch * steps + step
            average.multi_avg_fn = get_ema_multi_avg_fn(
                recipe.ema if start is not None else min(recipe.ema, (1 + done) / (10 + done))
            )
            average.update_parameters(network)
            losses.append(loss.detach())
        logits, _ = predict(average.module, watched_pictures)
        state["seconds"] += time.monotonic() - begun
        state["epoch"] += 1
        right = _top(logits, drawings.labels[watched])
        state["history"].append(
            {
                "epoch": state["epoch"],
                "loss": float(torch.stack(losses).mean()),
                "seconds": round(state["seconds"], 1),
                **right,
            }
        )
        say(json.dumps(state["history"][-1]))
        with replacing(checkpoint) as file:
            torch.save(
                {
                    "recipe": said,
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "state": state,
                },
                file,
            )
    final: SketchNetwork = average.module.eval().cpu()  # type: ignore[assignment]
    return TrainedSketch(final, state["history"], state["seconds"], recipe)


def move(pictures: Tensor, mirrored: Tensor, blind: float) -> Tensor:
    """Shift, turn, scale and mirror pictures ``[N, planes, S, S]`` a little; hide the order.

    Parameters
    ----------
    mirrored
        bool ``[N]``: which may be mirrored. The others are not.
    blind
        Probability that the planes after the first are zero.
    """
    count, device = len(pictures), pictures.device

    def normal(deviation: float) -> Tensor:
        return torch.randn(count, device=device) * deviation

    angle, scale = normal(math.radians(4)), normal(0.05).exp()
    flip = torch.where((torch.rand(count, device=device) < 0.5) & mirrored, -1.0, 1.0)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack(
        [
            torch.stack([flip * cos, -sin, normal(0.03)], 1),
            torch.stack([flip * sin, cos, normal(0.03)], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    pictures = F.grid_sample(pictures, grid, align_corners=False)
    if blind and pictures.shape[1] > 1:
        hidden = torch.rand(count, device=device) < blind
        pictures[hidden, 1:] = 0
    return pictures


def predict(
    network: nn.Module, pictures: NDArray[np.uint8], batch: int = 256
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits ``[N, W]`` and embeddings ``[N, D]`` of pictures uint8 ``[N, planes, S, S]``."""
    device = next(network.parameters()).device
    logits, embeddings = [], []
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(pictures), batch):
            x = torch.from_numpy(pictures[start : start + batch]).to(device).float().div_(255)
            read = network(x.contiguous(memory_format=torch.channels_last))
            logits.append(read.logits.float().cpu().numpy())
            embeddings.append(read.embedding.float().cpu().numpy())
    return np.concatenate(logits), np.concatenate(embeddings)


def _top(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    best = np.argsort(-scores, 1, kind="stable")[:, :5] == labels[:, None]
    return {f"top_{k}": round(float(best[:, :k].any(1).mean()), 4) for k in (1, 3, 5)}


def _set_rate(optimiser: torch.optim.Optimizer, recipe: SketchRecipe, done: float) -> None:
    if done < recipe.warm_up:
        rate = recipe.rate * (done / recipe.warm_up + 0.02)
    else:
        rest = (done - recipe.warm_up) / (1 - recipe.warm_up)
        rate = recipe.rate * 0.5 * (1 + math.cos(math.pi * rest)) + 1e-6
    for group in optimiser.param_groups:
        group["lr"] = rate


def _metric_loss(recipe: SketchRecipe) -> Callable[[Tensor, Tensor], Tensor]:
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(temperature=recipe.metric_temperature)  # type: ignore[no-any-return]
