"""How well drawings are recognised: whole, half drawn, by others, and after a few examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from tagger.strokes import Strokes, partial

#: Gives scores ``[N, W]`` to N drawings.
Recogniser = Callable[[Sequence[Strokes]], NDArray[np.floating]]
SHARES = (0.25, 0.5, 0.75, 1.0)


def top_k(
    scores: NDArray[np.floating], labels: NDArray[np.int64], ks: Sequence[int] = (1, 3, 5)
) -> dict[str, float]:
    """Share of rows whose label is among the ``k`` highest scores; ties count as lost.

    Parameters
    ----------
    scores, labels
        ``[N, W]`` and ``[N]``.
    """
    own = scores[np.arange(len(labels)), labels]
    # At least as high as the own score, but for itself: that many stand before it.
    before = (scores >= own[:, None]).sum(1) - 1
    return {f"top_{k}": round(float((before < k).mean()), 4) for k in ks}


def calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = 15
) -> float:
    """Expected calibration error of the first word (Guo et al., ICML 2017)."""
    sure = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    which = np.minimum((sure * bins).astype(int), bins - 1)
    gap = 0.0
    for b in range(bins):
        inside = which == b
        if inside.any():
            gap += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return round(float(gap), 4)


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature of the least negative log-likelihood on pictures held back."""
    z = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def cost(log_t: float) -> float:
        return float(-log_softmax(z / np.exp(log_t), axis=1)[rows, labels].mean())

    return float(np.exp(minimize_scalar(cost, bounds=(-2.5, 2.5), method="bounded").x))


def fit_lift(
    logits: NDArray[np.floating], labels: NDArray[np.int64], lifted: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Temperature, and what to add to the logits of some classes, so that all classes fare alike.

    Of the least negative log-likelihood in which every class counts the same, however many
    pictures it has. A group of classes that was trained unlike the others (here digits, of which
    the teacher knows nothing) comes out too quiet or too loud as a whole; this puts it right.

    Parameters
    ----------
    logits, labels
        ``[N, W]`` and ``[N]`` of pictures held back.
    lifted
        ``[W]``: the group.

    Returns
    -------
    tuple
        Temperature, by which lifted logits are divided; lift, 0 where all or none would be
        lifted; and the loss that is left.
    """
    z = logits.astype(np.float64)
    rows = np.arange(len(labels))
    weight = 1.0 / np.bincount(labels, minlength=z.shape[1])[labels]
    weight /= weight.sum()

    def cost(values: NDArray[np.float64]) -> float:
        said = log_softmax((z + values[1] * lifted) * np.exp(-values[0]), axis=1)
        return -float((weight * said[rows, labels]).sum())

    most = 10.0 if len(np.unique(lifted[labels])) == 2 else 0.0
    bounds = [(-2.5, 2.5), (-most, most)]
    found = minimize(cost, np.zeros(2), method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), float(found.x[1]), float(found.fun)


def by_share(
    recogniser: Recogniser, drawings: Sequence[Strokes], labels: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """Accuracy after each share of the points is drawn."""
    return {
        f"{share:.0%}": top_k(recogniser([partial(s, share) for s in drawings]), labels)
        for share in SHARES
    }


def bootstrap_difference(
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    labels: NDArray[np.int64],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, list[float]]:
    """95 % interval of our accuracy less theirs on the same rows (paired bootstrap)."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(labels), (rounds, len(labels)))
    out = {}
    for k in (1, 3, 5):
        gain = _hits(ours, labels, k).astype(float) - _hits(theirs, labels, k)
        low, high = np.quantile(gain[picks].mean(1), [0.025, 0.975])
        out[f"top_{k}"] = [round(float(low), 4), round(float(high), 4)]
    return out


def _hits(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    own = scores[np.arange(len(labels)), labels]
    return np.asarray((scores >= own[:, None]).sum(1) - 1 < k)


def few_shot(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    *,
    ways: int = 20,
    shots: int = 1,
    queries: int = 5,
    episodes: int = 400,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy of the nearest prototype (Snell et al., NeurIPS 2017) over random episodes.

    Parameters
    ----------
    features
        ``[N, D]``; compared by cosine, as is the mean of a class's shots.

    Returns
    -------
    dict
        ``accuracy`` and ``interval``, its 95 % half width over episodes.
    """
    rng = np.random.default_rng(seed)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    members = {c: np.flatnonzero(labels == c) for c in np.unique(labels)}
    classes = np.array([c for c, rows in members.items() if len(rows) >= shots + queries])
    if len(classes) < ways:
        raise ValueError(f"{len(classes)} classes have enough drawings for {ways} ways")
    scores = []
    for _ in range(episodes):
        chosen = rng.choice(classes, ways, replace=False)
        picked = [rng.permutation(members[c])[: shots + queries] for c in chosen]
        prototypes = np.stack([unit[p[:shots]].mean(0) for p in picked])
        prototypes /= np.maximum(np.linalg.norm(prototypes, axis=1, keepdims=True), 1e-12)
        asked = np.concatenate([p[shots:] for p in picked])
        truth = np.repeat(np.arange(ways), queries)
        scores.append(float(((unit[asked] @ prototypes.T).argmax(1) == truth).mean()))
    spread = 1.96 * np.std(scores) / np.sqrt(episodes)
    return {"accuracy": round(float(np.mean(scores)), 4), "interval": round(float(spread), 4)}


def precision_at_1(embedding: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Share of rows whose nearest other row, by cosine, has the same label.

    Computed by PyTorch Metric Learning, whose published example reports it.
    """
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = AccuracyCalculator(
        include=("precision_at_1",),
        k=1,
        device=torch.device("cpu"),
        # The library's default needs faiss, which is large and not everywhere.
        knn_func=CustomKNN(CosineSimilarity()),
    )
    result = calculator.get_accuracy(
        torch.from_numpy(np.ascontiguousarray(embedding, np.float32)), torch.from_numpy(labels)
    )
    return round(float(result["precision_at_1"]), 4)
