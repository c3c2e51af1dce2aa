"""Pictures that are nearly the same, so that none is learnt from that is judged by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 256
#: Pixels a side of the pictures that are compared, and of the blocks that spare comparing them.
SIDE, _COARSE = 24, 6


def near_duplicates(
    small: NDArray[np.uint8],
    embeddings: Floats,
    *,
    same_pixels: float,
    same_cosine: float,
    alike_pixels: float,
) -> list[tuple[int, int]]:
    """Find all pairs of pictures that differ by next to nothing.

    Parameters
    ----------
    small : uint8, shape [N, 24, 24, 3]
        The pictures, on white.
    embeddings : float32, shape [N, D]
        Of length one.
    same_pixels, alike_pixels : float
        Mean differences, 0..1, below which pictures are the same, or the same if the model finds
        them so, too.
    same_cosine : float
        From above which it does.

    Returns
    -------
    list of (int, int)
        The smaller number first.
    """
    pixels: Floats = (small.reshape(len(small), -1) / np.float32(255)).astype(np.float32)
    blocks = SIDE // _COARSE
    coarse = small.reshape(len(small), _COARSE, blocks, _COARSE, blocks, 3)
    means = coarse.mean(axis=(2, 4), dtype=np.float32).reshape(len(small), -1)
    rough: Floats = (means / 255).astype(np.float32)
    return [
        pair
        for start in range(0, len(small), _BLOCK)
        for pair in _of_block(
            start, pixels, rough, embeddings, same_pixels, same_cosine, alike_pixels
        )
    ]


def _of_block(
    start: int,
    pixels: Floats,
    rough: Floats,
    embeddings: Floats,
    same_pixels: float,
    same_cosine: float,
    alike_pixels: float,
) -> Iterator[tuple[int, int]]:
    rows = np.arange(start, min(start + _BLOCK, len(pixels)))
    cosines = embeddings[rows] @ embeddings[start:].T
    for row, cosine in zip(rows, cosines, strict=True):
        others = np.arange(row + 1, len(pixels))
        alike = cosine[row + 1 - start :] > same_cosine
        # Means over blocks never differ by more than the pixels do.
        limit = np.where(alike, max(same_pixels, alike_pixels), same_pixels)
        near = np.abs(rough[others] - rough[row]).mean(axis=1) < limit + 1e-6
        others, limit = others[near], limit[near]
        difference = np.abs(pixels[others] - pixels[row]).mean(axis=1)
        for other in others[difference < limit]:
            yield int(row), int(other)


def joined(names: list[str], pairs: list[tuple[int, int]]) -> list[str]:
    """Give pictures that are joined by pairs, even by way of others, one name: the first's."""
    parent = list(range(len(names)))

    def top(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[str, int] = {}
    same_name = [(first.setdefault(name, n), n) for n, name in enumerate(names)]
    for left, right in [*same_name, *pairs]:
        a, b = sorted((top(left), top(right)))
        parent[b] = a
    return [names[top(number)] for number in range(len(names))]
