"""Maps by plain linear algebra: PCA, and the place of a new point among those that are there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Rows whose products are summed at once.
_BLOCK = 16_384
# Nearer than this, in cosine, it is the same picture.
_SAME = 1e-3
# The median has settled long before; a map is a few tens of units wide.
_STEPS = 100
_SETTLED = 1e-6


def pca(embeddings: npt.ArrayLike, dimensions: int = 2) -> Floats:
    """Project on the axes of greatest variance.

    Parameters
    ----------
    embeddings : float, shape [N, D]
        What is to be mapped.
    dimensions : int
        d, of the map.

    Returns
    -------
    float32, shape [N, d]
        Centred. The sign of each axis is such that the entry of its direction that is largest by
        amount is positive, as scikit-learn has it. Axes that the embeddings do not have are zero.
    """
    rows = np.asarray(embeddings)
    if rows.ndim != 2:
        raise ValueError("embeddings must have two axes")
    count, width = rows.shape
    positions = np.zeros((count, dimensions), np.float32)
    if not count:
        return positions
    total = np.zeros(width)
    product = np.zeros((width, width))
    for start in range(0, count, _BLOCK):
        block = rows[start : start + _BLOCK].astype(np.float64)
        total += block.sum(axis=0)
        product += block.T @ block
    mean = total / count
    _, axes = np.linalg.eigh(product / count - np.outer(mean, mean))
    kept = axes[:, ::-1][:, :dimensions]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=0)[None], axis=0)[0]
    kept = kept * np.where(largest < 0, -1.0, 1.0)
    for start in range(0, count, _BLOCK):
        block = rows[start : start + _BLOCK].astype(np.float64)
        positions[start : start + _BLOCK, : kept.shape[1]] = (block - mean) @ kept
    return positions


def place(positions: npt.ArrayLike, cosines: npt.ArrayLike) -> Floats:
    """Place a new point by its neighbours.

    It comes to where the weighted distances to them add up to the least (their geometric median):
    among most of them, and not into the void between two groups, where their mean would be. The
    weights fall with the distance in embeddings, from the nearest on, as UMAP's do.

    Parameters
    ----------
    positions : float, shape [k, d]
        Of the neighbours, in the map.
    cosines : float, shape [k], -1..1
        Of the neighbours, descending.

    Returns
    -------
    float32, shape [d]
        The position of the nearest if that is the same picture.
    """
    places = np.asarray(positions, np.float64)
    near = np.asarray(cosines, np.float64)
    if places.ndim != 2 or not len(places) or near.shape != (len(places),):
        raise ValueError("as many cosines as positions are needed, at least one")
    if len(places) == 1 or near[0] >= 1 - _SAME:
        return _narrow(places[0])
    weights = place_weights(near)
    here = weights @ places / weights.sum()
    for _ in range(_STEPS):  # Weiszfeld's
        distances = np.sqrt(((places - here) ** 2).sum(axis=1))
        pulls = weights / np.maximum(distances, 1e-9)
        after = pulls @ places / pulls.sum()
        moved = float(np.abs(after - here).max())
        here = after
        if moved < _SETTLED:
            break
    # Where one of them is the best place itself, the way there never ends.
    ends = np.concatenate([here[None], places])
    costs = np.linalg.norm(ends[:, None] - places[None], axis=2) @ weights
    return _narrow(ends[costs.argmin()])


def _narrow(values: npt.NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)


def place_weights(cosines: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How much each neighbour counts: 1 for the nearest, less the farther, float64 [k]."""
    near = np.asarray(cosines, np.float64)
    beyond = near.max() - near
    scale = beyond.mean()
    weights: npt.NDArray[np.float64] = (
        np.exp(-beyond / scale) if scale > 0 else np.ones_like(beyond)
    )
    return weights
