"""Train a recogniser on what people drew since, without letting it forget what it knew.

Three things keep what it knew. Drawings of its first training are replayed in every batch. Beside
the labels, the network follows what it said before of the words that it had then ("Learning
without forgetting", Li and Hoiem, ECCV 2016). And the statistics of its normalisation stay as they
are: a tuning's few drawings are no measure of them. A new word begins as the mean of its drawings
(`tagger.head.extend`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.atomic import replacing
from tagger.strokes import Strokes
from tagger.training.process import left_as_found
from tagger.training.sketch import loop
from tagger.training.sketch.augment import StrokeAugmentation, vary
from tagger.training.sketch.data import Drawings
from tagger.training.sketch.pool import Raster
from tagger.training.sketch.stored import FreeNetwork

# Of `tagger.head.refit`.
_ANCHOR, _PENALTY = 3.0, 0.05

Layers = Literal["head", "embed", "last_stage", "all"]
#: A point an epoch: ``epoch``, ``loss``, and the accuracy on those who judge.
Curve = list[dict[str, float | None]]


@dataclass(frozen=True)
class TuningRecipe:
    """Everything that decides what a tuning does.

    Attributes
    ----------
    layers
        What is free: the last layer; the embedding, too; the last stage of convolutions, too; all.
    epochs, repeat
        An epoch sees each collected drawing ``repeat`` times, varied anew each time.
    batch, replay
        Drawings in a batch, and the share of them that come from the first training, if its
        drawings are at hand.
    distil
        Share of the loss that follows what the network said before.
    rate
        Learning rate of Adam, falling to zero by a cosine.
    blind
        Probability that the order of the ink is hidden.
    least
        Training drawings that a new word needs.
    threads
        Of the CPU; 0 for all.
    """

    layers: Layers = "last_stage"
    epochs: int = 4
    repeat: int = 4
    batch: int = 64
    replay: float = 0.75
    distil: float = 0.5
    rate: float = 3e-4
    blind: float = 0.2
    least: int = 5
    seed: int = 1
    threads: int = 0

    def __post_init__(self) -> None:
        shares = ("replay", "distil", "blind")
        counts = {
            "epochs": (1, 10_000),
            "repeat": (1, 10_000),
            "batch": (2, 10_000),
            "least": (1, 10_000),
            "seed": (0, 2**31),
            "threads": (0, 1024),
        }
        for name, (least, most) in counts.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number from {least} to {most}")
        for name in (*shares, "rate"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be a number, 0 or more")
        if any(getattr(self, name) > 1 for name in shares) or self.replay == 1:
            raise ValueError("replay, distil and blind are shares: at most 1, replay less")
        if self.layers not in get_args(Layers):
            raise ValueError(f"layers must be one of {', '.join(get_args(Layers))}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TuningRecipe:
        """Build from parameters; unknown names are refused rather than ignored."""
        if unknown := set(values) - {f.name for f in fields(cls)}:
            raise ValueError(f"unknown settings of a tuning: {', '.join(sorted(unknown))}")
        return cls(**values)


@dataclass(frozen=True)
class Judged:
    """Drawings that judge while the network trains.

    Attributes
    ----------
    labels
        int64 ``[N]``.
    embedding
        float32 ``[N, D]``, by the network as it was.
    pictures
        uint8 ``[N, planes, S, S]``; not needed if only the last layer is free.
    """

    labels: NDArray[np.int64]
    embedding: NDArray[np.float32]
    pictures: NDArray[np.uint8] | None = None

    def accuracy(self, network: FreeNetwork, *, fixed: bool) -> float | None:
        """Share that is right at the first guess; None of nothing.

        Parameters
        ----------
        fixed
            Whether the embedding is still as it was.
        """
        if not len(self.labels):
            return None
        if fixed or self.pictures is None:
            logits = network.as_head().logits(self.embedding)
        else:
            logits, _ = loop.predict(network, self.pictures)
        return round(float((logits.argmax(1) == self.labels).mean()), 4)


@dataclass(frozen=True)
class Lessons:
    """What a tuning learns from and is watched by.

    Attributes
    ----------
    collected
        What people drew; only the split ``train`` is looked at.
    replayed
        Drawings of the first training, with the same words; None if they are not at hand.
    mirrorable
        bool ``[W + V]``: words whose mirror image is the same word.
    frozen, held_back
        Who judges; see :class:`Judged`.
    """

    collected: Drawings
    replayed: Drawings | None
    mirrorable: NDArray[np.bool_]
    frozen: Judged
    held_back: Judged


@dataclass(frozen=True)
class Tuned:
    """A finished tuning: the network, its curve and seconds."""

    network: FreeNetwork
    curve: Curve
    seconds: float


def free(network: FreeNetwork, layers: Layers) -> list[nn.Parameter]:
    """Let the chosen layers learn, and no others; gives their parameters."""
    network.requires_grad_(False)
    chosen: list[nn.Module] = []
    if layers != "head":
        chosen.append(network.embed)
    if layers == "last_stage":
        # A stage is a convolution, its normalisation, its activation, and the residual blocks.
        chosen.append(network.body[-(3 + network.blocks[-1]) :])
    if layers == "all":
        chosen.append(network.body)
    for module in chosen:
        module.requires_grad_(True)
    network.weight.requires_grad_(True)
    network.bias.requires_grad_(True)
    return [p for p in network.parameters() if p.requires_grad]


@left_as_found()
def tune(
    before: FreeNetwork,
    after: FreeNetwork,
    lessons: Lessons,
    recipe: TuningRecipe,
    *,
    raster: Raster,
    augmentation: StrokeAugmentation,
    checkpoint: Path,
    key: str,
    say: Callable[[Curve], None],
) -> Tuned:
    """Train ``after``, or go on where an interrupted run of the same ``key`` was.

    Parameters
    ----------
    before
        The network as it was, which knows the first W words.
    after
        A copy with a row for each new word; it is changed.
    say
        Told the curve after every epoch.

    Raises
    ------
    ValueError
        If there is nothing to learn from, or the numbers leave all bounds.
    """
    examples = len(lessons.collected.rows("train"))
    if not examples:
        raise ValueError("no collected drawing is there to learn from")
    torch.set_flush_denormal(True)
    parameters = free(after, recipe.layers)
    optimiser = torch.optim.Adam(parameters, lr=recipe.rate)
    curve: Curve = []
    seconds = 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["key"] == key:
            after.load_state_dict(saved["network"])
            optimiser.load_state_dict(saved["optimiser"])
            curve, seconds = saved["curve"], saved["seconds"]
    # Evaluation mode also while learning: see the module's text on statistics.
    before.requires_grad_(False).eval()
    after.eval()
    batches = _Batches(lessons, recipe, raster, augmentation)
    centres = _Centres(before, after, examples) if lessons.replayed is None else None
    fixed = recipe.layers == "head"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    for epoch in range(len(curve), recipe.epochs):
        begun, losses = time.monotonic(), []
        for step, (pictures, labels) in enumerate(batches.of(epoch)):
            for group in optimiser.param_groups:
                done = (epoch + step / batches.count) / recipe.epochs
                group["lr"] = recipe.rate * 0.5 * (1 + math.cos(math.pi * done))
            with torch.no_grad():
                old = before(pictures)
            logits = after.classify(old.embedding) if fixed else after(pictures).logits
            loss = lesson_loss(logits, old.logits, labels, recipe.distil)
            if centres is not None:
                loss = loss + centres.loss(after)
            if not bool(torch.isfinite(loss)):
                raise ValueError("the loss is no longer a number: choose a smaller rate")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()
            losses.append(float(loss.detach()))
        seconds += time.monotonic() - begun
        point: dict[str, float | None] = {
            "epoch": epoch + 1,
            "loss": round(float(np.mean(losses)), 5),
            "frozen": lessons.frozen.accuracy(after, fixed=fixed),
            "held_back": lessons.held_back.accuracy(after, fixed=fixed),
        }
        curve = [*curve, point]
        state = {"key": key, "curve": curve, "seconds": seconds}
        state |= {"network": after.state_dict(), "optimiser": optimiser.state_dict()}
        _save(checkpoint, state)
        say(curve)
    return Tuned(after.requires_grad_(False), curve, seconds)


def lesson_loss(logits: Tensor, before: Tensor, labels: Tensor, distil: float) -> Tensor:
    """Mean over drawings of what their labels cost and of what turning from the old answer costs.

    Parameters
    ----------
    logits
        ``[N, W + V]``.
    before
        ``[N, W]``: the logits that the network gave before. Of new words it said nothing, so only
        the shares among the known ones count.
    labels
        int64 ``[N]``.
    distil
        Weight of the second part, 0-1.
    """
    known = logits[:, : before.shape[1]].log_softmax(1)
    follow = -(before.softmax(1) * known).sum(1).mean()
    return (1 - distil) * F.cross_entropy(logits, labels) + distil * follow


class _Batches:
    """Collected and replayed drawings, varied, as pictures."""

    def __init__(
        self,
        lessons: Lessons,
        recipe: TuningRecipe,
        raster: Raster,
        augmentation: StrokeAugmentation,
    ) -> None:
        self._lessons, self._recipe = lessons, recipe
        self._raster, self._augmentation = raster, augmentation
        self._again = round(recipe.batch * recipe.replay) if lessons.replayed is not None else 0
        self._fresh = max(1, recipe.batch - self._again)
        drawings = recipe.repeat * len(lessons.collected.rows("train"))
        self.count = math.ceil(drawings / self._fresh)

    def of(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures and labels; the same for the same epoch."""
        rng = np.random.default_rng((self._recipe.seed, epoch))
        sources = [(self._lessons.collected, self._fresh)]
        if self._lessons.replayed is not None:
            sources.append((self._lessons.replayed, self._again))
        rows = [_cycle(drawings.rows("train"), rng) for drawings, _ in sources]
        for _ in range(self.count):
            drawn: list[Strokes] = []
            labels: list[int] = []
            for (drawings, count), order in zip(sources, rows, strict=True):
                for row in islice(order, count):
                    drawn.append(drawings.strokes[row])
                    labels.append(int(drawings.labels[row]))
            yield self._draw(drawn, labels, rng), torch.tensor(labels)

    def _draw(self, drawings: list[Strokes], labels: list[int], rng: np.random.Generator) -> Tensor:
        settings, mirrorable = self._augmentation, self._lessons.mirrorable
        varied = [
            vary(drawing, settings, rng, mirror=bool(mirrorable[label]))
            for drawing, label in zip(drawings, labels, strict=True)
        ]
        pictures = self._raster.draw(varied, rng.uniform(*settings.width, len(varied)))
        pictures[rng.random(len(varied)) < self._recipe.blind, 1:] = 0
        return torch.from_numpy(pictures).contiguous(memory_format=torch.channels_last)


def _cycle(rows: NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    """Rows without end, each as often as any other."""
    while len(rows):
        yield from rng.permutation(rows).tolist()


class _Centres:
    """What stands for the drawings of the first training where these are not at hand.

    As in `tagger.head.refit`: at the centres of the known words the old answers are given again,
    and the last layer stays near what it was.
    """

    def __init__(self, before: FreeNetwork, after: FreeNetwork, examples: int) -> None:
        with torch.no_grad():
            weight, _ = before.head()
            self._centres = F.normalize(weight)
            said = before.classify(self._centres).softmax(1)
            self._start = [part.clone() for part in after.head()]
        self._said = F.pad(said, (0, len(after.bias) - said.shape[1]))
        self._examples = examples

    def loss(self, after: FreeNetwork) -> Tensor:
        """For each of the examples."""
        answers = -(self._said * after.classify(self._centres).log_softmax(1)).sum()
        away = sum(
            ((now - start) ** 2).sum() for now, start in zip(after.head(), self._start, strict=True)
        )
        return (_ANCHOR * answers + _PENALTY / 2 * away) / self._examples


def _save(path: Path, state: dict[str, Any]) -> None:
    with replacing(path) as file:
        torch.save(state, file)
