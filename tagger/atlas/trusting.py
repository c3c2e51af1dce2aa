"""How far a map can be trusted: whether those that are near in it are near in truth.

Trustworthiness is Venna and Kaski's (2001), as scikit-learn computes it; it is the mean over the
points of what is told here of each. It compares every two points: of many, it is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.atlas.model import TRUST_K

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

#: Of more points than this, ranks in truth are estimated...
ALL_UP_TO = 20_000
#: ...by how many of so many points, drawn at random, are nearer.
SAMPLE = 4_096

# Cosines, or distances, in one block: 32 MB.
_BLOCK = 1 << 23
# Points of a map that look for their neighbours together.
_STRIP = 512


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
        1: its k neighbours in the map are its k nearest. 0: they are its farthest. Of more than
        `ALL_UP_TO` points an estimate: off by some 0.002, and their mean by less than 0.001.
    """
    return trust_of_all(embeddings, [positions], k)[0]


def trustworthiness(embeddings: npt.ArrayLike, positions: npt.ArrayLike, k: int = TRUST_K) -> float:
    """Trustworthiness of a map, 0..1: ``sklearn.manifold.trustworthiness`` with cosines.

    Parameters as :func:`trust`; a map of fewer than three points is trusted. Of more than
    `ALL_UP_TO` points it is estimated.
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
    nearest = [_nearest(positions, k) for positions in places]
    sample = sample_of(count)
    known = np.arange(count) if sample is None else _drawn(count, sample)
    theirs = rows if sample is None else rows[known]
    step = max(1, _BLOCK // len(known))
    for start in range(0, count, step):
        own = np.arange(start, min(count, start + step))
        cosines = rows[own] @ theirs.T
        # Itself is not among the others.
        at = np.minimum(np.searchsorted(known, own), len(known) - 1)
        itself = np.flatnonzero(known[at] == own)
        cosines[itself, at[itself]] = -np.inf
        for near, result in zip(nearest, results, strict=True):
            found = near[own]
            if sample is None:  # the very same numbers, so that equal ones are equal
                values = np.take_along_axis(cosines, found, axis=1)
            else:
                values = np.einsum("nd,nkd->nk", rows[own], rows[found])
            above = _above(cosines, values, found, known, sample is None) * (count / len(known))
            penalty = np.maximum(np.minimum(1 + above, count - 1) - k, 0).sum(axis=1)
            result[own] = np.maximum(1 - penalty / most, 0)
    return results


def sample_of(count: int) -> int | None:
    """Among how many points ranks are counted where there are so many; None for all."""
    return None if count <= ALL_UP_TO else min(SAMPLE, count)


def _drawn(count: int, sample: int) -> Ints:
    """Numbers of a sample, ascending; the same for the same count."""
    return np.sort(np.random.default_rng(0).choice(count, sample, replace=False))


def _nearest(positions: Floats, k: int) -> Ints:
    """The k nearest other points of a map to each of its points: int64 [N, k].

    Points are looked for in a strip around each, which is widened until nobody beyond it can be
    nearer.
    """
    count = len(positions)
    along = positions[:, np.ptp(positions, axis=0).argmax()]
    order = np.argsort(along, kind="stable")
    places, along = positions[order], along[order]
    found = np.empty((count, k), np.int64)
    for start in range(0, count, _STRIP):
        left = np.arange(start, min(count, start + _STRIP))
        reach = max(8 * _STRIP, 2 * k)
        while len(left):
            low, high = max(0, left[0] - reach), min(count, left[-1] + 1 + reach)
            unsure = []
            for part in np.array_split(left, -(-len(left) * (high - low) // _BLOCK)):
                near, squares = _nearest_of(places, part, low, high, k)
                found[order[part]] = order[near]
                ends = [along[part] - along[low]] if low else []
                ends += [along[high - 1] - along[part]] if high < count else []
                if ends:
                    unsure.append(part[squares > np.min(ends, axis=0) ** 2])
            left = np.concatenate(unsure) if unsure else left[:0]
            reach *= 4
    return found


def _nearest_of(places: Floats, own: Ints, low: int, high: int, k: int) -> tuple[Ints, Floats]:
    """The k nearest to some points among ``low..high - 1``, and the farthest's distance squared."""
    # By differences: a product of matrices would lose the digits of points that lie close.
    squares = np.zeros((len(own), high - low), np.float32)
    for axis in places.T:
        offsets = axis[own, None] - axis[None, low:high]
        squares += offsets * offsets
    squares[np.arange(len(own)), own - low] = np.inf
    near = np.argpartition(squares, k - 1, axis=1)[:, :k]
    return low + near, np.take_along_axis(squares, near, axis=1).max(axis=1)


def _above(cosines: Floats, values: Floats, found: Ints, known: Ints, among: bool) -> Ints:
    """How many are nearer in truth than those found; equal ones in the order of their numbers.

    Parameters
    ----------
    cosines : float32, shape [n, M]
        To the points by which ranks are counted.
    values : float32, shape [n, k]
        To those found.
    found : int64, shape [n, k]
        Numbers of those found.
    known : int64, shape [M]
        Numbers of those by which ranks are counted, ascending.
    among : bool
        Whether those found are all among them.
    """
    counts = np.empty(found.shape, np.int64)
    for place in range(found.shape[1]):
        value = values[:, place, None]
        above = np.count_nonzero(cosines > value, axis=1)
        counts[:, place] = above
        twins = np.flatnonzero(np.count_nonzero(cosines >= value, axis=1) > above + among)
        if len(twins):
            equal = cosines[twins] == value[twins]
            before = equal & (known < found[twins, place, None])
            counts[twins, place] += np.count_nonzero(before, axis=1)
    return counts
