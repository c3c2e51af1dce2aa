"""Pools of made-up pictures whose tags are directions, for tests of tastes."""

from __future__ import annotations

from functools import cache

import numpy as np

from tagger.preference import Space, Taste

DIMENSION, TAGS = 24, 6
MODEL = "toy-model"


@cache
def pictures(count: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of length one, and probabilities of tags that follow them."""
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(99).normal(size=(TAGS, DIMENSION))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    tags = (rng.random((count, TAGS)) < 0.35) * rng.uniform(0.5, 1, (count, TAGS))
    rows = tags @ axes + 0.15 * rng.normal(size=(count, DIMENSION))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), tags.astype(np.float32)


@cache
def space(components: int = 16) -> Space:
    """Of 150 pictures."""
    return Space.learn(*_named(*pictures()), components=components)


def _named(rows: np.ndarray, tags: np.ndarray) -> tuple[np.ndarray, str, np.ndarray]:
    return rows, MODEL, tags


def voted(count: int, tag: int = 0, seed: int = 0) -> Taste:
    """A taste for one tag after so many votes without noise."""
    liked = pictures()[1][:, tag]
    rng = np.random.default_rng(seed)
    taste = Taste(space())
    for _ in range(count):
        pair = taste.next_pair(rng)
        assert pair is not None
        gap = liked[pair.left] - liked[pair.right]
        choice = "tie" if gap == 0 else "left" if gap > 0 else "right"
        taste.vote(pair.left, pair.right, choice, kind=pair.kind)
    return taste
