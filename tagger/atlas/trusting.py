"""How far a map can be trusted: whether those that are near in it are near in truth.

Trustworthiness is Venna and Kaski's (2001), as scikit-learn computes it; it is the mean over the
points of what is told here of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.atlas.model import TRUST_K

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Cosines, or distances, in one block: 32 MB.
_BLOCK = 1 << 23


def trust(embeddings: npt.ArrayLike, positions: npt.ArrayLike, k: int = TRUST_K) -> Floats:
    """Tell of each point how far its neighbours in the map are its neighbours in truth.

    Parameters
    ----------
    embeddings : float, shape [N, D]
        Of length one: the truth, by cosine.
    positions : float, shape [N, d]
        The map, by distance.
    k : int
        Neighbours; at most as many as there are for which the measure is meant, N / 2.

    Returns
    -------
    float32, shape [N], 0..1
        1: its k neighbours in the map are its k nearest. 0: they are its farthest.
    """
    return trust_of_all(embeddings, [positions], k)[0]


def trustworthiness(embeddings: npt.ArrayLike, positions: npt.ArrayLike, k: int = TRUST_K) -> float:
    """Trustworthiness of a map, 0..1: ``sklearn.manifold.trustworthiness`` with cosines.

    Parameters as :func:`trust`; a map of fewer than four points is trusted.
    """
    values = trust(embeddings, positions, k)
    return float(values.mean(dtype=np.float64)) if len(values) else 1.0


def trust_of_all(
    embeddings: npt.ArrayLike, maps: Sequence[npt.ArrayLike], k: int = TRUST_K
) -> list[Floats]:
    """:func:`trust` for several maps of the same embeddings, for little more than for one."""
    rows = np.asarray(embeddings, np.float32)
    places = [np.asarray(positions, np.float32) for positions in maps]
    count = len(rows)
    if any(one.ndim != 2 or len(one) != count for one in places):
        raise ValueError("as many positions as embeddings are needed")
    if k < 1:
        raise ValueError("k must be at least 1")
    k = min(k, (count - 1) // 2)
    if k < 1:
        return [np.ones(count, np.float32) for _ in places]
    # So far off they are together if they are the farthest.
    most = k * (2 * count - 3 * k - 1) / 2
    results = [np.empty(count, np.float32) for _ in places]
    step = max(1, _BLOCK // count)
    for start in range(0, count, step):
        own = np.arange(start, min(count, start + step))
        cosines = rows[own] @ rows.T
        # Itself is not among the others.
        cosines[own - start, own] = -np.inf
        for positions, result in zip(places, results, strict=True):
            ranks = _ranks(cosines, _nearest(positions, own, k))
            result[own] = 1 - np.maximum(ranks - k, 0).sum(axis=1) / most
    return results


def _nearest(positions: Floats, own: Ints, k: int) -> Ints:
    """The k nearest points of a map to some of them, themselves left out: int64 [n, k]."""
    # By differences: a product of matrices would lose the digits of points that lie close.
    squares = np.zeros((len(own), len(positions)), np.float32)
    for axis in positions.T:
        offsets = axis[own, None] - axis[None]
        squares += offsets * offsets
    squares[np.arange(len(own)), own] = np.inf
    found: Ints = np.argpartition(squares, k - 1, axis=1)[:, :k]
    return found


def _ranks(cosines: Floats, found: Ints) -> Ints:
    """Rank in truth, from 1, of each of those found; equal ones in the order of their numbers."""
    ranks = np.empty(found.shape, np.int64)
    theirs = np.take_along_axis(cosines, found, axis=1)
    columns = np.arange(cosines.shape[1])
    for place in range(found.shape[1]):
        value = theirs[:, place, None]
        above = np.count_nonzero(cosines > value, axis=1)
        ranks[:, place] = 1 + above
        twins = np.flatnonzero(np.count_nonzero(cosines >= value, axis=1) > above + 1)
        if len(twins):
            equal = cosines[twins] == value[twins]
            before = equal & (columns < found[twins, place, None])
            ranks[twins, place] += np.count_nonzero(before, axis=1)
    return ranks
