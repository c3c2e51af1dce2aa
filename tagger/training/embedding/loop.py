"""Train an embedding: resumable; on kept features, or on pictures with the network itself."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.atomic import replacing
from tagger.training import losses
from tagger.training.augment import Augmentation, augment
from tagger.training.embedding.features import Seen
from tagger.training.embedding.graded import GradedOverlapLoss, tag_weights
from tagger.training.embedding.head import EmbeddingHead
from tagger.training.embedding.objectives import (
    Objective,
    classes_are_examples,
    make_sampler,
)
from tagger.training.embedding.recipe import EmbeddingRecipe
from tagger.training.network import TagNetwork
from tagger.training.packing import Packed

# Pictures by whose features the head is standardised.
_FITTED = 4096


class Source(Protocol):
    """Where features come from: :class:`Kept` or :class:`Alive`."""

    def features(
        self, places: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Features ``[n, C, h, w]`` of training pictures in some view, and a loss of its own."""
        ...

    def parameters(self) -> list[nn.Parameter]:
        """What learns beside the head."""
        ...

    def modules(self) -> dict[str, nn.Module]:
        """What is saved beside the head."""
        ...


@dataclass(frozen=True)
class Kept:
    """Features that a frozen network saw."""

    seen: Seen

    def features(
        self, places: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Source`; the loss is 0."""
        return torch.from_numpy(self.seen.draw(places, rng)), torch.zeros(())

    def parameters(self) -> list[nn.Parameter]:
        """None."""
        return []

    def modules(self) -> dict[str, nn.Module]:
        """None."""
        return {}


class Alive:
    """Pictures, varied anew each time, through a network that learns but keeps its tags.

    Parameters
    ----------
    rows
        The training pictures.
    before
        float32 ``[len(rows), T]``: what the network said of them before, as probabilities.
    unmirrored, colours
        See :func:`tagger.training.loop.train`.
    """

    def __init__(
        self,
        network: TagNetwork,
        packed: Packed,
        rows: NDArray[np.int64],
        recipe: EmbeddingRecipe,
        *,
        size: int,
        before: NDArray[np.float32],
        unmirrored: NDArray[np.bool_],
        colours: NDArray[np.bool_],
    ) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self.packed, self.rows, self.recipe, self.size = packed, rows, recipe, size
        self.unmirrored, self.colours = unmirrored, colours
        self.settings = Augmentation(**{**recipe.augmentation, "scene": 0.0})
        labels = packed.labels[rows].astype(np.float32)
        self.labels = torch.from_numpy(labels + recipe.soften * (before - labels))
        self.learning = learning_parameters(network, recipe.layers)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in self.learning)

    def features(
        self, places: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Source`; the loss is that over tags."""
        train_only(self.network, self.learning)
        rows = self.rows[places]
        given = self.packed.labels[rows]
        varied = augment(
            torch.from_numpy(self.packed.rgba[rows]).to(self.device).permute(0, 3, 1, 2),
            self.labels[places].to(self.device),
            size=self.size,
            settings=self.settings,
            mirrored=torch.from_numpy(~given[:, self.unmirrored].any(1)).to(self.device),
            coloured=torch.from_numpy(given[:, self.colours].any(1)).to(self.device),
            generator=torch.Generator().manual_seed(int(rng.integers(1 << 31))),
        )
        seen = self.network(varied.pictures.contiguous(memory_format=torch.channels_last))
        loss = losses.reduce(losses.bce(seen.logits.float(), varied.labels), 16)
        return seen.features.float(), self.recipe.tags * loss

    def parameters(self) -> list[nn.Parameter]:
        """Those of the layers that learn."""
        return [p for p in self.network.parameters() if p.requires_grad]

    def modules(self) -> dict[str, nn.Module]:
        """The network."""
        return {"network": self.network}


@dataclass(frozen=True)
class TrainedHead:
    """A finished head, its history, its seconds, its recipe."""

    head: EmbeddingHead
    history: list[dict[str, float]]
    seconds: float
    recipe: EmbeddingRecipe


def learning_parameters(network: TagNetwork, layers: str) -> set[str]:
    """Names of the parameters that learn under ``last_stage`` or ``all``.

    The last stage is what comes after the last halving but one of the picture's side, by the
    backbone's own account of itself; the projection and the tags' layer belong to it.
    """
    names = [name for name, _ in network.named_parameters()]
    if layers == "all":
        return set(names)
    earlier = f"backbone.{network.backbone.feature_info[-2]['module']}."
    inside = [i for i, name in enumerate(names) if name.startswith(earlier)]
    if not inside:
        raise ValueError("this backbone does not say where its last stage begins; use layers: all")
    return set(names[inside[-1] + 1 :])


def train_only(network: TagNetwork, learning: set[str]) -> None:
    """Put the network in training, but the statistics of frozen layers as they are."""
    network.train()
    for name, module in network.named_modules():
        own = {f"{name}.{p}" for p, _ in module.named_parameters(recurse=False)}
        if own and not own & learning:
            module.eval()


def train_embedding(
    source: Source,
    packed: Packed,
    rows: NDArray[np.int64],
    recipe: EmbeddingRecipe,
    *,
    folder: Path,
    mark: str,
    silent: Sequence[str] = (),
    watch: Callable[[EmbeddingHead], Mapping[str, float]] | None = None,
    start: EmbeddingHead | None = None,
    say: Callable[[str], None] = print,
) -> TrainedHead:
    """Train, or go on with what ``folder`` holds of the same run.

    Parameters
    ----------
    rows
        Training pictures; the places that the source knows are places among them.
    mark
        Names the network; a run upon another one is not gone on with.
    silent
        Sources whose tags are too noisy to say what is alike: none of them is a companion.
    watch
        Figures of the head after every epoch, for the history.
    start
        A head to begin with.
    """
    torch.manual_seed(recipe.seed)
    concepts = np.unique(packed.concepts[rows], return_inverse=True)[1]
    alone = classes_are_examples(recipe.sampler)
    places = _usable(concepts, alone)
    classes = np.full(len(rows), -1)
    classes[places] = places if alone else np.unique(concepts[places], return_inverse=True)[1]
    companions = _companions(packed, rows, concepts, silent)
    tags = torch.from_numpy(packed.labels[rows].astype(np.float32))
    head = start or _new_head(source, recipe, len(rows))
    objective = Objective(
        recipe.loss,
        miner=recipe.miner,
        distance=recipe.distance,
        reducer=recipe.reducer,
        classes=int(classes.max()) + 1 + len(rows) * recipe.strangers,
        width=recipe.dimension,
    )
    graded = GradedOverlapLoss(tag_weights(packed.labels[rows]), **recipe.graded_settings)
    device = next(iter(source.parameters()), torch.zeros(())).device
    learners = nn.ModuleDict({"head": head, "objective": objective, "graded": graded}).to(device)
    own, network = list(learners.parameters()), source.parameters()
    learning = [*own, *network]
    groups: list[dict[str, Any]] = [{"params": own, "share": 1.0}]
    if network:
        groups.append({"params": network, "share": recipe.network_rate})
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay)
    saved_parts = {**dict(learners.items()), **source.modules()}
    state: dict[str, Any] = {"epoch": 0, "history": [], "seconds": 0.0}
    belongs = json.dumps([asdict(recipe), mark, len(rows)], sort_keys=True)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved["belongs"] != belongs:
            raise ValueError(
                f"{checkpoint} belongs to another recipe or network; remove it or use a new folder"
            )
        for name, module in saved_parts.items():
            module.load_state_dict(saved[name])
        optimiser.load_state_dict(saved["optimiser"])
        state = saved["state"]
        say(f"going on after epoch {state['epoch']}")
    folder.mkdir(parents=True, exist_ok=True)

    while state["epoch"] < recipe.epochs:
        epoch, begun = state["epoch"], time.monotonic()
        seed = recipe.seed * 100_003 + epoch
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        batches = list(_batches(recipe, classes[places], seed))
        learners.train()
        losses_seen = []
        for step, drawn in enumerate(batches):
            _set_rate(optimiser, recipe, (epoch + step / len(batches)) / recipe.epochs)
            batch = places[np.asarray(drawn)]
            y = classes[batch]
            if recipe.companions and len(companions):
                extra = rng.choice(companions, min(recipe.companions, len(companions)), False)
                batch = np.concatenate([batch, extra])
                if recipe.strangers:
                    y = np.concatenate([y, classes.max() + 1 + extra])
            features, loss = source.features(batch, rng)
            embeddings = head(features)
            if recipe.metric:
                among = torch.from_numpy(y).to(device)
                loss = loss + recipe.metric * objective(embeddings[: len(y)], among)
            if recipe.graded:
                loss = loss + recipe.graded * graded(embeddings, tags[batch].to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 5.0)
            optimiser.step()
            losses_seen.append(loss.detach())
        state["seconds"] += time.monotonic() - begun
        state["epoch"] += 1
        learners.eval()
        state["history"].append(
            {
                "epoch": state["epoch"],
                "loss": round(float(torch.stack(losses_seen).mean()), 4),
                "seconds": round(state["seconds"], 1),
                **(watch(head) if watch else {}),
            }
        )
        say(f"{recipe.name}: {json.dumps(state['history'][-1])}")
        with replacing(checkpoint) as file:
            torch.save(
                {
                    "belongs": belongs,
                    **{name: module.state_dict() for name, module in saved_parts.items()},
                    "optimiser": optimiser.state_dict(),
                    "state": state,
                },
                file,
            )
    return TrainedHead(head.eval().cpu(), state["history"], state["seconds"], recipe)


def _new_head(source: Source, recipe: EmbeddingRecipe, count: int) -> EmbeddingHead:
    """A head with random weights, standardised by some of the training pictures."""
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(count)[: min(count, _FITTED)]
    parts = []
    with torch.no_grad():
        for start in range(0, len(chosen), 256):
            parts.append(source.features(chosen[start : start + 256], rng)[0].cpu())
    features = torch.cat(parts)
    head = EmbeddingHead(
        features.shape[1],
        features.shape[2] * features.shape[3] if recipe.grid else 1,
        recipe.dimension,
        hidden=recipe.hidden,
        root=recipe.root,
    )
    head.fit(features)
    return head


def _usable(concepts: NDArray[np.int64], alone: bool) -> NDArray[np.int64]:
    """Places of pictures that have a partner; of all where each is a class of its own."""
    counts = np.bincount(concepts)
    places = np.arange(len(concepts)) if alone else np.flatnonzero(counts[concepts] > 1)
    if not len(places):
        raise ValueError("no thing is drawn twice: use SingleShotSampler, or name the concepts")
    return places


def _companions(
    packed: Packed,
    rows: NDArray[np.int64],
    concepts: NDArray[np.int64],
    silent: Sequence[str],
) -> NDArray[np.int64]:
    """Places of tagged pictures of things that were drawn but once."""
    once = np.bincount(concepts)[concepts] == 1
    heard = ~np.isin(packed.sources[rows], silent)
    return np.flatnonzero(once & heard & packed.labels[rows].any(1))


def _batches(recipe: EmbeddingRecipe, labels: NDArray[np.int64], seed: int) -> Iterator[list[int]]:
    sampler = make_sampler(recipe.sampler, labels, seed)
    size = recipe.sampler.get("batch_size")
    gathered: list[int] = []
    for drawn in sampler:
        if not isinstance(drawn, (int, np.integer)):
            yield list(drawn)
            continue
        gathered.append(int(drawn))
        if len(gathered) == (size or len(labels)):
            yield gathered
            gathered = []


def _set_rate(optimiser: torch.optim.Optimizer, recipe: EmbeddingRecipe, done: float) -> None:
    if done < recipe.warm_up:
        rate = recipe.rate * (done / recipe.warm_up + 0.02)
    else:
        rest = (done - recipe.warm_up) / (1 - recipe.warm_up)
        rate = recipe.rate * 0.5 * (1 + math.cos(math.pi * rest)) + 1e-6
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def embed(
    head: EmbeddingHead, features: NDArray[Any], rows: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Embeddings ``[n, D]`` of rows of kept features ``[N, C, h, w]``, block by block."""
    rows = np.arange(len(features)) if rows is None else rows
    out = [np.empty((0, head.shape["dimension"]), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(rows), 512):
            block = np.asarray(features[rows[start : start + 512]], np.float32)
            out.append(head(torch.from_numpy(block)).numpy())
    return np.concatenate(out)


def plain(features: NDArray[Any], rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """The plain embedding: the mean of the features over places, to length one."""
    rows = np.arange(len(features)) if rows is None else rows
    pooled = np.concatenate(
        [
            np.empty((0, features.shape[1]), np.float32),
            *(
                np.asarray(features[rows[start : start + 512]], np.float32).mean((2, 3))
                for start in range(0, len(rows), 512)
            ),
        ]
    )
    return F.normalize(torch.from_numpy(pooled), dim=1).numpy()  # type: ignore[no-any-return]
