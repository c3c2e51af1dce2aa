"""A program that saves an index again and again, to be killed in the middle of it.

Usage: ``python -m tests.similarity.kill_me FILE``. A line is written after each save.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tagger.similarity import Index

COUNT, DIMENSION = 3000, 64


def index_of(number: int) -> Index:
    """An index whose every item says which save it belongs to."""
    rng = np.random.default_rng(number)
    index = Index(DIMENSION, "model", precision="float16")
    ids = [f"{number}/{n}" for n in range(COUNT)]
    index.add_many(ids, rng.normal(size=(COUNT, DIMENSION)), metadata=[{"save": number}] * COUNT)
    return index


if __name__ == "__main__":
    target = Path(sys.argv[1])
    indexes = [index_of(number) for number in range(2)]
    for turn in range(1_000_000):
        indexes[turn % 2].save(target)
        print(turn, flush=True)
