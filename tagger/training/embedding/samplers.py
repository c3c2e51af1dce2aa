"""Which pictures make a batch: the samplers of TensorFlow Similarity, by their contract.

Both give lists of places, to be used as ``batch_sampler`` of a torch ``DataLoader``. The source is
tensorflow_similarity/samplers/memory_samplers.py; the samplers of PyTorch Metric Learning can be
chosen by name as well (:mod:`tagger.training.embedding.objectives`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class MultiShotSampler(Sampler[list[int]]):
    """Batches of a few classes with a few examples of each.

    A batch has ``classes_per_batch`` different classes and ``examples_per_class_per_batch`` of
    each, one class after another.

    Parameters
    ----------
    labels
        Class of each example, ``[N]``.
    classes_per_batch, examples_per_class_per_batch, steps_per_epoch
        As TensorFlow Similarity names them.
    class_list
        Only these classes; all by default.
    replacement
        Whether the examples of a class are drawn independently. Without, an example comes again in
        a batch only after all others of its class.
    seed
        Of the first epoch; every further one draws anew.

    Raises
    ------
    ValueError
        If there are fewer classes than a batch needs, or a number is below one.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        *,
        classes_per_batch: int = 2,
        examples_per_class_per_batch: int = 2,
        steps_per_epoch: int = 1000,
        class_list: Sequence[int] | None = None,
        replacement: bool = False,
        seed: int = 0,
    ) -> None:
        if min(classes_per_batch, examples_per_class_per_batch, steps_per_epoch) < 1:
            raise ValueError("classes, examples and steps must be at least one")
        wanted = np.unique(labels) if class_list is None else np.unique(list(class_list))
        self.members = [rows for c in wanted if len(rows := np.flatnonzero(labels == c))]
        if len(self.members) < classes_per_batch:
            raise ValueError(
                f"a batch of {classes_per_batch} classes cannot be made of {len(self.members)}"
            )
        self.classes = classes_per_batch
        self.examples = examples_per_class_per_batch
        self.steps = steps_per_epoch
        self.replacement = replacement
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        for _ in range(self.steps):
            chosen = rng.choice(len(self.members), self.classes, replace=False)
            yield np.concatenate([self._draw(self.members[c], rng) for c in chosen]).tolist()

    def _draw(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        if self.replacement:
            return rng.choice(rows, self.examples)
        rounds = -(-self.examples // len(rows))
        return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[: self.examples]


class SingleShotSampler(Sampler[list[int]]):
    """Batches in which every example is a class of its own, and its variations the examples.

    A batch has ``examples_per_batch`` different examples, each ``num_augmentations_per_example``
    times in a row; whoever loads them varies every one anew, and takes the place as the label.

    Parameters
    ----------
    count
        N, how many examples there are.
    examples_per_batch, num_augmentations_per_example, steps_per_epoch
        As TensorFlow Similarity names them.
    seed
        Of the first epoch; every further one draws anew.

    Raises
    ------
    ValueError
        If there are fewer examples than a batch needs, or a number is below one.
    """

    def __init__(
        self,
        count: int,
        *,
        examples_per_batch: int = 32,
        num_augmentations_per_example: int = 2,
        steps_per_epoch: int = 1000,
        seed: int = 0,
    ) -> None:
        if min(examples_per_batch, num_augmentations_per_example, steps_per_epoch) < 1:
            raise ValueError("examples, variations and steps must be at least one")
        if count < examples_per_batch:
            raise ValueError(f"a batch of {examples_per_batch} cannot be made of {count} examples")
        self.count = count
        self.examples = examples_per_batch
        self.variations = num_augmentations_per_example
        self.steps = steps_per_epoch
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        for _ in range(self.steps):
            chosen = rng.choice(self.count, self.examples, replace=False)
            yield np.repeat(chosen, self.variations).tolist()
