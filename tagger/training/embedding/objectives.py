"""Sampler, distance, miner, reducer and loss by the names that PyTorch Metric Learning gives them.

Each is written in the parameters as ``{name: TripletMarginMiner, margin: 0.2, ...}``: any class of
``pytorch_metric_learning.losses``, ``miners``, ``reducers``, ``distances`` or ``samplers``, with
its own settings; one that is null counts as absent, so that a change of the name can take away the
settings of the class before. The samplers of TensorFlow Similarity are added to these.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_metric_learning import distances, losses, miners, reducers, samplers
from torch import Tensor, nn
from torch.utils.data import Sampler

from tagger.training.embedding.samplers import MultiShotSampler, SingleShotSampler

Settings = Mapping[str, Any]

_OWN_SAMPLERS = {
    "MultiShotSampler": MultiShotSampler,
    "SingleShotSampler": SingleShotSampler,
}


class Objective(nn.Module):
    """A loss over what a miner chooses; proxies of the loss are its parameters.

    Parameters
    ----------
    loss, miner, distance, reducer
        As in the module's docstring; all but the loss may be empty, and take their defaults.
    classes
        How many classes there are, for losses with a proxy a class.
    width
        ``D``, length of the embeddings.
    """

    def __init__(
        self,
        loss: Settings,
        *,
        miner: Settings | None = None,
        distance: Settings | None = None,
        reducer: Settings | None = None,
        classes: int,
        width: int,
    ) -> None:
        super().__init__()
        shared: dict[str, Any] = {}
        if distance:
            shared["distance"] = _make(distances, distance, {})
        self.miner = _make(miners, miner, shared) if miner else None
        if reducer:
            shared = {**shared, "reducer": _make(reducers, reducer, {})}
        self.loss = _make(losses, loss, {"num_classes": classes, "embedding_size": width, **shared})

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """One number of embeddings ``[N, D]`` and classes int64 ``[N]``."""
        chosen = self.miner(embeddings, labels) if self.miner is not None else None
        value: Tensor = self.loss(embeddings, labels, chosen)
        return value


def make_sampler(settings: Settings, labels: NDArray[np.int64], seed: int) -> Sampler[Any]:
    """The sampler that parameters ask for, over examples of classes ``labels [N]``.

    One that gives single places (those of PyTorch Metric Learning) says in its settings how many
    of them make a batch (``batch_size``) and an epoch (``length_before_new_iter``).
    """
    name = settings.get("name")
    if name in _OWN_SAMPLERS:
        own = {"count": len(labels), "labels": labels, "seed": seed}
        return _call(_OWN_SAMPLERS[name], settings, own)  # type: ignore[no-any-return]
    return _make(samplers, settings, {"labels": labels})  # type: ignore[no-any-return]


def classes_are_examples(settings: Settings) -> bool:
    """Whether each example is a class of its own under this sampler."""
    return settings.get("name") == "SingleShotSampler"


def _make(module: Any, settings: Settings, given: Settings) -> Any:
    name = settings.get("name", "")
    made = getattr(module, name, None)
    if not inspect.isclass(made):
        kind = module.__name__.rsplit(".", 1)[-1]
        known = sorted(n for n in vars(module) if n[:1].isupper())
        raise ValueError(f"unknown {kind} {name!r}; there are {', '.join(known)}")
    return _call(made, settings, given)


def _call(made: Any, settings: Settings, given: Settings) -> Any:
    """Call a class with its settings, and with what is given where it takes that."""
    takes: set[str] = set()
    for base in inspect.getmro(made):
        takes.update(inspect.signature(base.__init__).parameters)  # type: ignore[misc]
    own = {k: v for k, v in settings.items() if k != "name" and v is not None}
    if unknown := set(own) - takes:
        raise ValueError(f"{settings['name']} has no setting {', '.join(sorted(unknown))}")
    return made(**{k: v for k, v in given.items() if k in takes}, **own)
