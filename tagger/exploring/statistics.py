"""Which tags a set of pictures has more often than chance would give it.

Were the set drawn at random, the number of its pictures with a tag would follow the hypergeometric
distribution; its upper tail is the p-value of Fisher's exact test, one-sided (Fisher 1935). Over
many tags some are small by chance: they order tags, and each alone proves little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

# Terms of a tail that are summed at once, until they no longer matter.
_TERMS = 64
_NEGLIGIBLE = 1e-17


@dataclass(frozen=True, eq=False)
class Enrichment:
    """How much a set is given to tags; all arrays of shape [T].

    Attributes
    ----------
    here, everywhere : int64
        Pictures with the tag in the set, and in all.
    lift : float64
        The tag's share of the set over its share of all; 0 where nobody has it.
    log_p : float64
        Logarithm of the chance that a set drawn at random has as many: also where the chance
        itself is too small for a number.
    """

    here: Ints
    everywhere: Ints
    lift: Doubles
    log_p: Doubles

    def order(self) -> Ints:
        """Tags that occur in the set: over-represented ones first, the surest before others."""
        there = np.flatnonzero(self.here)
        keys = (there, -self.lift[there], self.log_p[there], self.lift[there] <= 1)
        return there[np.lexsort(keys)]


def enrichment(
    here: npt.ArrayLike, everywhere: npt.ArrayLike, count: int, total: int
) -> Enrichment:
    """Compare the tags of a set with those of all.

    Parameters
    ----------
    here, everywhere : int, shape [T]
        Pictures with each tag in the set, and in all; ``here <= everywhere``.
    count, total : int
        Pictures in the set, and in all.

    Raises
    ------
    ValueError
        If no such set can be.
    """
    ours, theirs = np.asarray(here, np.int64), np.asarray(everywhere, np.int64)
    least = np.maximum(0, count - (total - theirs))
    if not 0 <= count <= total or ours.shape != theirs.shape:
        raise ValueError("no such set")
    if bool(((ours < least) | (ours > np.minimum(theirs, count))).any()):
        raise ValueError("no such set")
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.where(ours > 0, (ours / max(1, count)) / (theirs / max(1, total)), 0.0)
    return Enrichment(ours, theirs, lift, log_tail(ours, theirs, count, total))


def log_tail(here: Ints, everywhere: Ints, count: int, total: int) -> Doubles:
    """Logarithm of P(X >= here) for X hypergeometric; arguments as :func:`enrichment`."""
    result = np.zeros(here.shape, np.float64)
    if not 0 < count < total:
        return result  # there is only one such set
    above = here * total > everywhere * count
    upper = np.flatnonzero(above)
    result[upper] = _sum(here[upper], everywhere[upper], count, total, 1)
    # At or below what is expected the tail is the larger part: one less what lies below it.
    lower = np.flatnonzero(~above & (here > np.maximum(0, count - (total - everywhere))))
    below = np.exp(_sum(here[lower] - 1, everywhere[lower], count, total, -1))
    result[lower] = np.log1p(-np.minimum(below, 1.0))
    return np.minimum(result, 0.0)


def _sum(start: Ints, holders: Ints, count: int, total: int, step: int) -> Doubles:
    """Logarithm of the sum of the probabilities from `start` outwards, away from the mean.

    Each is got from the one before by their ratio, which only falls: so the sum may end where
    they no longer matter.
    """
    sums = np.ones(start.shape, np.float64)
    last = np.ones(start.shape, np.float64)
    active = np.arange(len(start))
    reach = np.arange(_TERMS)
    at = start.astype(np.float64)
    while len(active):
        k = at[active, None] + step * reach
        held = holders[active, None]
        if step > 0:
            ratios = (held - k) * (count - k) / ((k + 1) * (total - held - count + k + 1))
        else:
            ratios = k * (total - held - count + k) / ((held - k + 1) * (count - k + 1))
        # Beyond the last possible number the ratio is zero, and stays so.
        terms = last[active, None] * np.cumprod(np.maximum(ratios, 0.0), axis=1)
        sums[active] += terms.sum(axis=1)
        last[active] = terms[:, -1]
        at[active] += step * _TERMS
        active = active[last[active] > _NEGLIGIBLE * sums[active]]
    first: Doubles = _log_probability(start, holders, count, total)
    return first + np.log(sums)


def _log_probability(k: Ints, holders: Ints, count: int, total: int) -> Doubles:
    chosen = _log_choose(holders, k) + _log_choose(total - holders, count - k)
    whole = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return chosen - whole


def _log_choose(n: Ints, k: Ints) -> Doubles:
    return _log_factorial(n) - _log_factorial(k) - _log_factorial(n - k)


def _log_factorial(n: Ints) -> Doubles:
    return np.array([math.lgamma(value + 1) for value in n.tolist()], np.float64)
