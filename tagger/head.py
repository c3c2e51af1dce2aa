"""The last layer of a recogniser, and fitting it anew to what was collected.

It turns an embedding into probabilities: ``softmax(embedding @ weights.T + bias)``. So it can be
fitted in seconds without the code that trained the network: penalised multinomial logistic
regression, the penalty being the distance from the layer as it was (a Gaussian prior around it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Head:
    """A last layer.

    Attributes
    ----------
    weights : float32, shape [W, D]
        A row a word, the temperature of the calibration in it.
    bias : float32, shape [W]
        Of each word.

    Raises
    ------
    ValueError
        If they are of another shape or type, or not finite.
    """

    weights: Floats
    bias: Floats

    def __post_init__(self) -> None:
        for name in ("weights", "bias"):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind != "f" or values.dtype.itemsize > 8:
                raise ValueError(f"{name} must be floating-point numbers")
            object.__setattr__(self, name, np.ascontiguousarray(values, np.float32))
        good = self.weights.ndim == 2 and self.bias.shape == self.weights.shape[:1]
        if not good or 0 in self.weights.shape:
            raise ValueError("weights must be [W, D] and bias [W]")
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("weights and bias must be finite")

    def logits(self, embedding: Floats) -> Floats:
        """Before the softmax: ``[N, D]`` to ``[N, W]``."""
        if len(embedding) <= 4:
            # For so little, BLAS spends longer on waking its threads than on the product.
            product = np.einsum("nd,wd->nw", embedding, self.weights)
        else:
            product = embedding @ self.weights.T
        logits: Floats = product + self.bias
        return logits

    def probabilities(self, embedding: Floats) -> Floats:
        """``[N, D]`` to ``[N, W]``, each row adding up to one."""
        return softmax(self.logits(embedding))


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share: npt.NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return share


def extend(head: Head, means: Floats) -> Head:
    """A last layer with one more word for each of the mean embeddings ``[V, D]``.

    The new rows point to the means and are as long as the others are ("weight imprinting", Qi,
    Brown and Lowe, CVPR 2018); their bias is the others' mean.
    """
    if len(means) == 0:
        return head
    length = float(np.linalg.norm(head.weights, axis=1).mean())
    directions = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    bias = np.full(len(means), head.bias.mean(), np.float32)
    return Head(
        np.concatenate([head.weights, (length * directions).astype(np.float32)]),
        np.concatenate([head.bias, bias]),
    )


def refit(
    embeddings: Floats,
    labels: npt.NDArray[np.integer[Any]],
    head: Head,
    *,
    known: int | None = None,
    weights: npt.NDArray[np.floating[Any]] | None = None,
    anchors: Floats | None = None,
    penalty: float = 0.05,
    anchor: float = 3.0,
    iterations: int = 100,
    watch: Callable[[int], None] | None = None,
) -> Head:
    """Fit a last layer anew.

    It minimises the cross-entropy of the examples, plus ``penalty / 2`` times the squared distance
    from `head`, plus ``anchor`` times the cross-entropy between what `head` and the new layer say
    at the anchors: these stand for the training data, which is not at hand, and keep what nobody
    has drawn since from being forgotten ("learning without forgetting", Li and Hoiem, ECCV 2016).

    Parameters
    ----------
    embeddings : float32, shape [N, D]
        Of length one.
    labels : integers, shape [N], 0..W-1
        Row of `head`.
    head : Head
        The layer as it was, by :func:`extend` with a row for each new word.
    known : int, optional
        How many rows were known before; by default all.
    weights : floating-point, shape [N], optional
        How much each example counts; by default 1.
    anchors : float32, shape [A, D], optional
        Embeddings at which the old layer is to be followed, as of ordinary drawings. By default
        the centres of the words that were known before, which are a poor stand-in: of a real
        recogniser most of what it knew is lost.
    penalty, anchor : float
        See above.
    iterations : int
        At most so many.
    watch : callable, optional
        Is told the number of each step before it; what it raises ends the fit.

    Returns
    -------
    Head
        As large as `head`.
    """
    words, width = head.weights.shape
    known = words if known is None else known
    labels = np.asarray(labels)
    if embeddings.ndim != 2 or embeddings.shape[1] != width or labels.shape != embeddings.shape[:1]:
        raise ValueError("embeddings must be [N, D] and labels [N]")
    if anchors is not None and (anchors.ndim != 2 or anchors.shape[1] != width):
        raise ValueError("anchors must be [A, D]")
    if weights is not None and weights.shape != labels.shape:
        raise ValueError("weights must be [N]")
    if len(labels) and not 0 <= labels.min() <= labels.max() < words:
        raise ValueError("a label without a row")
    start = np.concatenate([head.weights, head.bias[:, None]], axis=1).astype(np.float64)
    centres = start[:known, :-1]
    centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    fixed = centres if anchors is None else anchors.astype(np.float64)
    # The old layer did not know the new words: at an anchor it says nothing of them.
    old = softmax(fixed @ start[:known, :-1].T + start[:known, -1])
    inputs = np.concatenate([embeddings.astype(np.float64), fixed])
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    targets = np.zeros((len(inputs), words))
    targets[np.arange(len(labels)), labels] = 1.0 if weights is None else weights
    targets[len(labels) :, :known] = anchor * old
    mass = targets.sum(axis=1, keepdims=True)

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        rows = flat.reshape(words, width + 1)
        logits = inputs @ rows.T
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        logits -= total
        away = rows - start
        value = -float((targets * logits).sum()) + 0.5 * penalty * float((away * away).sum())
        gradient = (mass * np.exp(logits) - targets).T @ inputs + penalty * away
        return value, gradient.ravel()

    best = minimise(loss, start.ravel(), iterations=iterations, watch=watch)
    best = best.reshape(words, width + 1)
    return Head(best[:, :-1].astype(np.float32), best[:, -1].astype(np.float32))


def minimise(
    function: Callable[[Doubles], tuple[float, Doubles]],
    start: Doubles,
    *,
    iterations: int = 100,
    memory: int = 10,
    tolerance: float = 1e-4,
    watch: Callable[[int], None] | None = None,
) -> Doubles:
    """Find the minimum of a convex function by L-BFGS.

    Nocedal and Wright, "Numerical Optimization", algorithm 7.4, with a backtracking line search.

    Parameters
    ----------
    function : callable
        Gives value and gradient.
    start : float64, shape [P]
        Where to begin.
    iterations, memory : int
        Steps at most; how many of them are remembered.
    tolerance : float
        Of the largest part of the gradient, relative to the first one (or absolute, if larger).
    watch : callable, optional
        Is told the number of each step before it.
    """
    x = start.copy()
    value, gradient = function(x)
    enough = tolerance * max(1.0, float(np.abs(gradient).max()))
    steps: list[tuple[Doubles, Doubles, float]] = []
    for number in range(iterations):
        if watch is not None:
            watch(number)
        if float(np.abs(gradient).max()) <= enough:
            break
        direction = -gradient
        weights: list[float] = []
        for moved, turned, curvature in reversed(steps):
            weights.append(float(moved @ direction) / curvature)
            direction = direction - weights[-1] * turned
        if steps:
            moved, turned, curvature = steps[-1]
            direction = direction * (curvature / float(turned @ turned))
        for (moved, turned, curvature), weight in zip(steps, reversed(weights), strict=True):
            direction = direction + (weight - float(turned @ direction) / curvature) * moved
        slope = float(gradient @ direction)
        length = 1.0 if steps else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:
            step = length * direction
            after, new_gradient = function(x + step)
            if after <= value + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-12:  # as low as the numbers' precision lets it go
                return x
        change = new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 1e-12 * float(change @ change):
            steps = [*steps[1 - memory :], (step, change, curvature)] if memory > 1 else []
        x, value, gradient = x + step, after, new_gradient
    return x
