"""Everything that decides how an embedding is trained."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

LAYERS = ("head", "last_stage", "all")


@dataclass(frozen=True)
class EmbeddingRecipe:
    """Settings of one training; see ``conf/base/parameters_embedding.yml`` for what they are.

    Attributes
    ----------
    layers
        What learns: ``head`` alone, on features that are computed once; or the ``last_stage`` of
        the network or ``all`` of it as well, on pictures, while its tags are kept.
    grid
        Whether the head sees what is where, or the mean over places.
    sampler, loss, miner, distance, reducer
        By the names of :mod:`tagger.training.embedding.objectives`; all but the first two may be
        empty.
    companions
        So many pictures of things that were drawn but once join each batch.
    strangers
        Whether the loss above sees them, too: as things of their own, to be kept apart.
    metric, graded
        Weights of the loss above, and of the similarity in degrees
        (:class:`tagger.training.embedding.graded.GradedOverlapLoss`), with its settings.
    network_rate, tags, soften
        Where the network learns: its learning rate by that of the head; the weight of the loss
        over tags; the share of every label that the network says as it was before.
    """

    name: str = "ours"
    layers: str = "head"
    dimension: int = 256
    hidden: int = 0
    grid: bool = True
    root: bool = True
    epochs: int = 10
    sampler: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    miner: dict[str, Any] = field(default_factory=dict)
    distance: dict[str, Any] = field(default_factory=dict)
    reducer: dict[str, Any] = field(default_factory=dict)
    companions: int = 0
    strangers: bool = False
    metric: float = 1.0
    graded: float = 0.0
    graded_settings: dict[str, float] = field(default_factory=dict)
    rate: float = 3e-4
    decay: float = 0.05
    warm_up: float = 0.1
    network_rate: float = 0.1
    tags: float = 1.0
    soften: float = 0.5
    augmentation: dict[str, Any] = field(default_factory=dict)
    leave_out: str = ""
    seed: int = 1

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EmbeddingRecipe:
        """Build from parameters; unknown names are refused rather than ignored."""
        if unknown := set(values) - {f.name for f in fields(cls)}:
            raise ValueError(f"unknown recipe settings: {', '.join(sorted(unknown))}")
        recipe = cls(**values)
        if recipe.layers not in LAYERS:
            raise ValueError(f"unknown layers {recipe.layers!r}; there are {', '.join(LAYERS)}")
        return recipe
