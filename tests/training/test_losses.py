"""Losses against their formulas, one cell at a time."""

from __future__ import annotations

import math

import pytest
import torch

from tagger.training import losses

CELLS = [(z, y) for z in (-6.0, -1.3, 0.0, 0.4, 2.5, 7.0) for y in (0, 1)]


def _p(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _naive(name: str, z: float, y: int) -> float:
    p = _p(z)
    if name == "bce":
        return -math.log(p if y else 1 - p)
    if name == "focal":
        right = p if y else 1 - p
        return -((1 - right) ** 2) * math.log(right)
    if name == "asymmetric":
        m = max(p - 0.05, 0)
        return -math.log(p) if y else -(m**2) * math.log(1 - m)
    q = _p(z - 1)  # hill
    if y or p > 0.6:
        return -((1 - q) ** 2) * math.log(q)
    return (1.5 - p) * p * p


@pytest.mark.parametrize("name", sorted(losses.CELL_LOSSES))
@pytest.mark.parametrize(("z", "y"), CELLS)
def test_a_cell_costs_what_the_formula_says(name: str, z: float, y: int) -> None:
    got = losses.make(name)(torch.tensor([[z]]), torch.tensor([[float(y)]]))
    assert got.item() == pytest.approx(_naive(name, z, y), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", sorted(losses.CELL_LOSSES))
def test_gradients_stay_finite_at_extreme_logits(name: str) -> None:
    logits = torch.tensor([[-60.0, -20.0, 0.0, 20.0, 60.0]] * 2, requires_grad=True)
    labels = torch.tensor([[0.0] * 5, [1.0] * 5])
    losses.reduce(losses.make(name)(logits, labels)).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_an_unknown_loss_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown loss 'mse'; there are .*bce"):
        losses.make("mse")


def test_cells_of_large_influence_weigh_less() -> None:
    logits = torch.tensor([[0.0, 4.0], [0.0, 4.0]])
    labels = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    features = torch.tensor([[1.0, 1.0], [10.0, 10.0]])
    weights = losses.influence_weights(logits, labels, features, power=1.0)
    assert weights.mean().item() == pytest.approx(1)
    assert weights[0, 0] < weights[0, 1], "an unsure cell pulls more, and is held back"
    assert weights[1, 0] < weights[0, 0], "so is a cell of a picture with large features"


def test_the_sum_over_tags_is_a_mean_in_chosen_units() -> None:
    cells = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    assert losses.reduce(cells).item() == 2.0
    assert losses.reduce(cells, tags=4).item() == 1.0
