"""Train one recipe: resumable, the same on a CPU, a GPU, and several GPUs under ``torchrun``."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tagger.atomic import replacing
from tagger.training import losses
from tagger.training.augment import Augmentation, augment
from tagger.training.calibration import fit_platt
from tagger.training.metrics import Figures, evaluate
from tagger.training.network import TagNetwork, see_mirrored
from tagger.training.packing import Packed
from tagger.training.process import left_as_found


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does.

    The defaults are ours; :meth:`published` is the baseline.

    Attributes
    ----------
    sizes
        Side of the pictures by share of the run done: ``[[0.0, 64], [0.4, 96]]`` trains small
        first, where a step is cheap.
    style
        Weight of the metric-learning term (multi-similarity over concepts; batches then hold the
        same concept in two styles where the data has it).
    ramp
        Share of the run over which the augmentation grows to its full ``share``.
    patience
        Epochs without a gain in micro recall@10 after which the run stops; 0 runs to the end.
    start
        Settings of a run that goes before, whose averaged weights this one begins with (a warm
        restart: Loshchilov and Hutter, "SGDR", ICLR 2017); empty for random weights.
    soften
        Share of every label that the network of ``start`` says instead of people (Furlanello et
        al., "Born-Again Neural Networks", ICML 2018): people forget tags, and it remembers some.
    """

    name: str = "ours"
    backbone: str = "mobilenetv4_conv_small"
    width: int = 512
    bottleneck: int = 0
    dropout: float = 0.2
    published_head: bool = False
    epochs: int = 60
    batch: int = 128
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64), (0.35, 96))
    loss: str = "asymmetric"
    loss_settings: dict[str, float] = field(default_factory=dict)
    influence: float = 0.0
    influence_from: float = 0.5
    style: float = 0.0
    optimiser: str = "adamw"
    rate: float = 3e-3
    decay: float = 0.05
    schedule: str = "cosine"
    warm_up: float = 0.05
    ramp: float = 0.4
    patience: int = 0
    ema: float = 0.998
    augmentation: dict[str, Any] = field(default_factory=dict)
    plain: bool = False
    leave_out: str = ""
    seed: int = 1
    start: dict[str, Any] = field(default_factory=dict)
    soften: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Build from parameters; unknown names are refused rather than ignored."""
        known = {f.name for f in fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown recipe settings: {', '.join(sorted(unknown))}")
        values = dict(values)
        if "sizes" in values:
            values["sizes"] = tuple((float(s), int(n)) for s, n in values["sizes"])
        if values.get("soften") and not values.get("start"):
            raise ValueError("soften needs start: there is no earlier network to ask")
        return cls(**values)

    def first(self) -> Recipe:
        """The recipe of the run that goes before: this one with the settings of ``start``."""
        before = {"name": f"{self.name}-start", "start": {}, "soften": 0.0}
        return Recipe.from_dict({**asdict(self), **before, **self.start})

    def augment_settings(self) -> Augmentation:
        """The augmentation, ``plain`` first, then single settings over it."""
        base = Augmentation.plain() if self.plain else Augmentation()
        return Augmentation(**{**asdict(base), **self.augmentation})

    def size_at(self, done: float) -> int:
        """Side of the pictures when ``done`` of the run is behind."""
        return [size for share, size in self.sizes if done >= share][-1]


@dataclass(frozen=True)
class Trained:
    """A finished run: the network (averaged weights if any), its history, its seconds."""

    network: TagNetwork
    history: list[dict[str, float]]
    seconds: float
    recipe: Recipe


def make_network(recipe: Recipe, tags: int) -> TagNetwork:
    """The network that a recipe asks for, with random weights."""
    return TagNetwork(
        recipe.backbone,
        tags,
        width=recipe.width,
        bottleneck=recipe.bottleneck,
        dropout=recipe.dropout,
        published=recipe.published_head,
    )


@left_as_found()
def train(
    packed: Packed,
    recipe: Recipe,
    *,
    folder: Path,
    unmirrored: NDArray[np.bool_],
    colours: NDArray[np.bool_],
    judging: NDArray[np.bool_],
    start: TagNetwork | None = None,
    compile_network: bool = False,
    say: Callable[[str], None] = print,
) -> Trained:
    """Train, or go on with what ``folder`` holds of the same run.

    Parameters
    ----------
    unmirrored, colours
        bool ``[T]``: tags that forbid mirroring, tags that name a colour.
    judging
        bool ``[N]``: pictures that may judge; those of split ``val`` among them are watched.
    start
        The network that ``recipe.start`` led to.
    compile_network
        Use ``torch.compile``; about a third faster on a CPU, after a minute of compiling.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    device = _device(world)
    torch.manual_seed(recipe.seed)
    rows = packed.rows("train")
    rows = rows[packed.labels[rows].any(1) & (packed.sources[rows] != recipe.leave_out)]
    watched = packed.rows("val")
    watched = watched[judging[watched]]
    tags = packed.labels.shape[1]
    network = make_network(recipe, tags).to(device)
    if start is not None:
        network.load_state_dict(start.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = _optimiser(network, recipe)
    steps = max(1, len(rows) // (recipe.batch * world))
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.2, patience=2
    )
    average = (
        AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
        if recipe.ema
        else None
    )
    state: dict[str, Any] = {
        "epoch": 0,
        "history": [],
        "seconds": 0.0,
        "best": -1.0,
        "best_epoch": 0,
    }
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved["recipe"] != json.dumps(asdict(recipe), sort_keys=True):
            raise ValueError(
                f"{checkpoint} belongs to another recipe; remove it or use a new folder"
            )
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        plateau.load_state_dict(saved["plateau"])
        if average is not None:
            average.load_state_dict(saved["average"])
        state = saved["state"]
        say(f"going on after epoch {state['epoch']}")
    runner: nn.Module = network
    if world > 1:
        runner = DistributedDataParallel(
            network, device_ids=[device.index] if device.type == "cuda" else None
        )
    if compile_network:
        runner = torch.compile(runner)  # type: ignore[assignment]
    cell_loss = losses.make(recipe.loss, **recipe.loss_settings)
    style_loss = _style_loss() if recipe.style else None
    concept_number = np.unique(packed.concepts, return_inverse=True)[1]
    labels = torch.from_numpy(packed.labels).float()
    if recipe.soften and start is not None:
        said = answers(start, packed, rows, recipe.sizes[-1][1], device)
        labels[rows] += recipe.soften * (torch.from_numpy(said) - labels[rows])
    settings = recipe.augment_settings()
    scaler = torch.amp.GradScaler(enabled=False)
    folder.mkdir(parents=True, exist_ok=True)

    while state["epoch"] < recipe.epochs and not _stopped(state, recipe):
        epoch, begun = state["epoch"], time.monotonic()
        size = recipe.size_at(epoch / recipe.epochs)
        seed = recipe.seed * 100_003 + epoch
        # Dropout draws from the global generator: seeded by epoch, a resumed run draws the same.
        torch.manual_seed(seed + _rank())
        generator = torch.Generator().manual_seed(seed + 1009 * _rank())
        order = batches(
            rows, concept_number[rows], recipe.batch, seed=seed, paired=bool(recipe.style)
        )[_rank() :: world][:steps]
        network.train()
        losses_seen = []
        for step, batch in enumerate(order):
            done = (epoch + step / steps) / recipe.epochs
            if recipe.schedule == "cosine":
                _set_rate(optimiser, recipe, done)
            y = labels[batch]
            varied = augment(
                torch.from_numpy(packed.rgba[np.sort(batch)][_unsort(batch)])
                .to(device)
                .permute(0, 3, 1, 2),
                y.to(device),
                size=size,
                settings=replace(settings, share=settings.share * _ramp(recipe, done)),
                mirrored=torch.from_numpy(~packed.labels[batch][:, unmirrored].any(1)).to(device),
                coloured=torch.from_numpy(packed.labels[batch][:, colours].any(1)).to(device),
                generator=generator,
            )
            pictures = varied.pictures.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                seen = runner(pictures)
            logits = seen.logits.float()
            cells = cell_loss(logits, varied.labels)
            if recipe.influence and done >= recipe.influence_from:
                cells = cells * losses.influence_weights(
                    logits, varied.labels, seen.pooled.float(), recipe.influence
                )
            # A mean over cells is tiny with hundreds of rare tags; the published recipe takes it.
            loss = losses.reduce(cells, None if recipe.plain else 16)
            if style_loss is not None:
                numbers = torch.from_numpy(concept_number[batch]).to(device)
                loss = loss + recipe.style * style_loss(F.normalize(seen.pooled.float()), numbers)
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            scaler.step(optimiser)
            scaler.update()
            if average is not None:
                _update_average(average, network, recipe.ema, epoch * steps + step)
            losses_seen.append(loss.detach())
        judge: TagNetwork = average.module if average is not None else network  # type: ignore[assignment]
        figures = _watch(judge, packed, watched, size, device)
        plateau_rate = optimiser.param_groups[0]["lr"]
        if recipe.schedule == "plateau":
            plateau.step(figures.micro_recall_at_10)
        state["seconds"] += time.monotonic() - begun
        state["epoch"] += 1
        if figures.micro_recall_at_10 > state["best"]:
            state["best"], state["best_epoch"] = figures.micro_recall_at_10, state["epoch"]
        state["history"].append(
            {
                "epoch": state["epoch"],
                "loss": float(torch.stack(losses_seen).mean()),
                "rate": plateau_rate,
                "seconds": round(state["seconds"], 1),
                **figures.as_dict(),
            }
        )
        say(json.dumps(state["history"][-1]))
        if _rank() == 0:
            _save(
                checkpoint,
                {
                    "recipe": json.dumps(asdict(recipe), sort_keys=True),
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "plateau": plateau.state_dict(),
                    "average": average.state_dict() if average is not None else {},
                    "state": state,
                },
            )
    final = average.module if average is not None else network
    return Trained(final.eval().cpu(), state["history"], state["seconds"], recipe)  # type: ignore[arg-type]


def batches(
    rows: NDArray[np.int64],
    concepts: NDArray[np.int64],
    size: int,
    *,
    seed: int,
    paired: bool,
) -> list[NDArray[np.int64]]:
    """Shuffle rows into whole batches; with ``paired`` two of a concept lie in one batch.

    Every row is used once an epoch either way (but those that fill no whole batch).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    if paired:
        # Rows of a concept, in random order, cut into twos; the twos are shuffled.
        order = order[np.argsort(concepts[order], kind="stable")]
        starts = np.flatnonzero(np.r_[True, np.diff(concepts[order]) != 0])
        place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
        pair = np.cumsum(place % 2 == 0) - 1
        order = order[np.argsort(rng.permutation(pair.max() + 1)[pair], kind="stable")]
    whole = len(order) // size * size
    return list(rows[order[:whole]].reshape(-1, size))


def predict(
    network: TagNetwork,
    pictures: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    size: int | None = None,
    batch: int = 128,
    device: torch.device | None = None,
    mirrored: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits ``[N, T]`` and pooled features ``[N, D]`` of packed pictures as serving sees them.

    With ``mirrored`` they are those of pictures and mirror images together.
    """
    device = device or next(network.parameters()).device
    logits, pooled = [], []
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            x = torch.from_numpy(pictures[rows[start : start + batch]]).to(device)
            x = x.permute(0, 3, 1, 2).float().div_(255)
            if size and size != x.shape[-1]:
                x = F.interpolate(x, size=size, mode="bicubic", antialias=True).clamp_(0, 1)
            x = x.contiguous(memory_format=torch.channels_last)
            seen = see_mirrored(network, x) if mirrored else network(x)
            logits.append(seen.logits.float().cpu().numpy())
            pooled.append(seen.pooled.float().cpu().numpy())
    return np.concatenate(logits), np.concatenate(pooled)


def _watch(
    network: TagNetwork,
    packed: Packed,
    rows: NDArray[np.int64],
    size: int,
    device: torch.device,
) -> Figures:
    logits, _ = predict(network, packed.rgb, rows, size=size, device=device)
    return evaluate((1 / (1 + np.exp(-logits))).astype(np.float32), packed.labels[rows])


def answers(
    network: TagNetwork,
    packed: Packed,
    rows: NDArray[np.int64],
    size: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Probabilities ``[len(rows), T]`` that a finished network gives to its training pictures.

    They are calibrated on the same pictures: taken as labels, their mean has to be that of labels.
    """
    logits, _ = predict(network.to(device), packed.rgb, rows, size=size, device=device)
    return fit_platt(logits, packed.labels[rows])(logits)


def _device(world: int) -> torch.device:
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
        torch.set_flush_denormal(True)
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _unsort(batch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each row of ``batch`` stands in the sorted batch (memory maps like order)."""
    return np.argsort(np.argsort(batch))


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            network.parameters(), lr=recipe.rate, momentum=0.9, weight_decay=recipe.decay
        )
    if recipe.optimiser != "adamw":
        raise ValueError(f"unknown optimiser {recipe.optimiser!r}; there are adamw, sgd")
    # Scales and biases are not shrunk: they hold no capacity, only place.
    flat = [p for p in network.parameters() if p.ndim < 2]
    full = [p for p in network.parameters() if p.ndim >= 2]
    groups: Iterator[dict[str, Any]] = iter(
        [{"params": full, "weight_decay": recipe.decay}, {"params": flat, "weight_decay": 0.0}]
    )
    return torch.optim.AdamW(list(groups), lr=recipe.rate)


def _set_rate(optimiser: torch.optim.Optimizer, recipe: Recipe, done: float) -> None:
    if done < recipe.warm_up:
        rate = recipe.rate * (done / recipe.warm_up + 0.02)
    else:
        rest = (done - recipe.warm_up) / (1 - recipe.warm_up)
        rate = recipe.rate * 0.5 * (1 + math.cos(math.pi * rest)) + 1e-6
    for group in optimiser.param_groups:
        group["lr"] = rate


def _style_loss() -> Callable[[Tensor, Tensor], Tensor]:
    # Imported here: only recipes that use it need the library.
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(temperature=0.1)  # type: ignore[no-any-return]


def _update_average(average: AveragedModel, network: nn.Module, decay: float, step: int) -> None:
    """Average with a decay that grows from zero, or the random start would weigh for epochs."""
    now = min(decay, (1 + step) / (10 + step))
    average.multi_avg_fn = get_ema_multi_avg_fn(now)
    average.update_parameters(network)


def _ramp(recipe: Recipe, done: float) -> float:
    return min(1.0, done / recipe.ramp) if recipe.ramp else 1.0


def _stopped(state: dict[str, Any], recipe: Recipe) -> bool:
    waited = state["epoch"] - state["best_epoch"]
    return bool(recipe.patience) and state["epoch"] > 0 and waited >= recipe.patience


def _save(path: Path, state: dict[str, Any]) -> None:
    with replacing(path) as file:
        torch.save(state, file)
