"""What maps are judged and pictures placed by, in plain loops."""

from __future__ import annotations

import math

import numpy as np


def trust(embeddings: np.ndarray, positions: np.ndarray, k: int) -> list[float]:
    """Venna and Kaski's trustworthiness, a point at a time; equal ones by their numbers."""
    count = len(embeddings)
    values = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        near = sorted(others, key=lambda j: (-float(np.dot(embeddings[i], embeddings[j])), j))
        rank = {j: place for place, j in enumerate(near, 1)}
        shown = sorted(others, key=lambda j: math.dist(positions[i], positions[j]))[:k]
        penalty = sum(max(0, rank[j] - k) for j in shown)
        values.append(1 - 2 * penalty / (k * (2 * count - 3 * k - 1)))
    return values


def weights(cosines: list[float]) -> list[float]:
    beyond = [max(cosines) - one for one in cosines]
    scale = sum(beyond) / len(beyond)
    return [math.exp(-one / scale) if scale else 1.0 for one in beyond]


def cost(here: np.ndarray, positions: np.ndarray, cosines: list[float]) -> float:
    """Weighted distances from a place to the neighbours."""
    pairs = zip(weights(cosines), positions, strict=True)
    return sum(weight * math.dist(here, there) for weight, there in pairs)
