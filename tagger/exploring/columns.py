"""A map as small binary columns: what a browser needs to draw 50,000 points at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

# Values of a legend that have a number of their own; the next one is that of all others.
NAMED = 254
_STEPS = 65_535

#: Stands in a legend for pictures of which nothing is known.
UNKNOWN = ""


@dataclass(frozen=True, eq=False)
class Legend:
    """A property of which each picture has one value, as a column of small numbers.

    Attributes
    ----------
    values : uint8, shape [N]
        Positions in `names`.
    names : tuple of str or None
        The most frequent value first, at most 254; ``UNKNOWN`` for pictures without one, None at
        the end for the rest, if there are more.
    counts : tuple of int
        Pictures of each.
    """

    values: Bytes
    names: tuple[str | None, ...]
    counts: tuple[int, ...]


def legend(values: Sequence[str | None]) -> Legend:
    """Number the values of N pictures; None counts as unknown."""
    given = [value or UNKNOWN for value in values]
    counted = Counter(given)
    # What is known first; equal ones in an order that does not depend on the pictures'.
    order = sorted(counted, key=lambda name: (name == UNKNOWN, -counted[name], name))
    names: list[str | None] = list(order[:NAMED])
    place = {name: number for number, name in enumerate(order[:NAMED])}
    column = np.array([place.get(value, NAMED) for value in given], np.uint8)
    if len(order) > NAMED:
        names.append(None)
    counts = np.bincount(column, minlength=len(names))
    return Legend(column, tuple(names), tuple(counts.tolist()))


def bounds(positions: Floats) -> list[tuple[float, float]]:
    """Lowest and highest value of each dimension, apart by more than nothing.

    Parameters
    ----------
    positions : float32, shape [N, d]

    Returns
    -------
    list of (float, float)
        d pairs.
    """
    if not len(positions):
        return [(0.0, 1.0)] * positions.shape[1]
    pairs = []
    for axis in positions.T.astype(np.float64):
        low, high = float(axis.min()), float(axis.max())
        if high - low <= 1e-6 * max(1.0, abs(low), abs(high)):
            low, high = low - 0.5, high + 0.5
        pairs.append((low, high))
    return pairs


def quantise(values: Floats, low: float, high: float) -> npt.NDArray[np.uint16]:
    """Positions as steps from `low` to `high`: off by half a step, 1/131,070 of the extent."""
    steps = np.rint((values.astype(np.float64) - low) / (high - low) * _STEPS)
    return np.clip(steps, 0, _STEPS).astype("<u2")


def share_bytes(shares: Floats, most: int = 255) -> Bytes:
    """Numbers from 0 to 1 as bytes from 0 to `most`."""
    return np.rint(np.clip(np.nan_to_num(shares), 0, 1) * most).astype(np.uint8)


def tag_bytes(given: npt.NDArray[np.bool_], predicted: Floats) -> Bytes:
    """A tag over the map: 255 where people gave it, else up to 254 by its probability."""
    column = share_bytes(predicted, 254)
    column[given] = 255
    return column
