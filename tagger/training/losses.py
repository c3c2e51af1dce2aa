"""Losses for many tags a picture, of which people forgot some.

Each is a function of logits and labels that returns one number a cell, so that weights, masks and
means stay in one place (:func:`reduce`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CellLoss = Callable[[Tensor, Tensor], Tensor]


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy a cell; the published recipe."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017): cells already right count less."""
    p = torch.sigmoid(logits)
    wrong = torch.where(labels > 0.5, 1 - p, p)
    return wrong**gamma * bce(logits, labels)


def asymmetric(
    logits: Tensor,
    labels: Tensor,
    positive: float = 0.0,
    negative: float = 2.0,
    margin: float = 0.05,
) -> Tensor:
    """Asymmetric loss (Ridnik et al., ICCV 2021): easy negatives fade, the easiest are dropped."""
    p = torch.sigmoid(logits)
    shifted = (p - margin).clamp_min(0)
    gain = (1 - p) ** positive * F.logsigmoid(logits)
    pain = shifted**negative * torch.log1p(-shifted.clamp_max(1 - 1e-6))
    return -torch.where(labels > 0.5, gain, pain)


def hill(logits: Tensor, labels: Tensor, lam: float = 1.5, tau: float = 0.6) -> Tensor:
    """Hill loss with self-paced correction (Zhang et al., arXiv:2112.07368), for missing labels.

    A negative that the network is sure of is probably a tag that nobody wrote: its pull fades
    (Hill), and above ``tau`` it is taken as the positive it seems to be (SPLC).
    """
    p = torch.sigmoid(logits)
    shifted = torch.sigmoid(logits - 1.0)
    pull = -((1 - shifted) ** 2) * F.logsigmoid(logits - 1.0)
    push = (lam - p) * p.square()
    found = (labels < 0.5) & (p.detach() > tau)
    return torch.where((labels > 0.5) | found, pull, push)


CELL_LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce,
    "focal": focal,
    "asymmetric": asymmetric,
    "hill": hill,
}


def influence_weights(logits: Tensor, labels: Tensor, features: Tensor, power: float) -> Tensor:
    """Influence-balanced weights (Park et al., ICCV 2021), by cell, mean one.

    A cell's influence on the last layer's weights is its gradient, ``|p - y|`` times the L1 norm
    of the features; cells of large influence, which overfit first, are weighted down by it.
    """
    with torch.no_grad():
        influence = (torch.sigmoid(logits) - labels).abs() * features.abs().sum(1, keepdim=True)
        weights = (influence + 1e-3) ** -power
        return weights / weights.mean()


def reduce(cells: Tensor, tags: int | None = None) -> Tensor:
    """Mean over pictures of the sum over tags, in units of a mean over ``tags`` cells."""
    return cells.sum(1).mean() / (tags or cells.shape[1])


def make(name: str, **settings: float) -> CellLoss:
    """A cell loss by name with its settings.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    if name not in CELL_LOSSES:
        raise ValueError(f"unknown loss {name!r}; there are {', '.join(CELL_LOSSES)}")
    loss = CELL_LOSSES[name]
    return lambda logits, labels: loss(logits, labels, **settings)
