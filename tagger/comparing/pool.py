"""The gallery as it is voted on: its pictures described, and the directions of tastes in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.comparing.judging import Judge
from tagger.errors import PreferenceError
from tagger.exploring import Chart
from tagger.preference import Space, describe
from tagger.preference.space import describe_all

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pool:
    """N pictures to vote on. Immutable; may be used from any thread.

    Attributes
    ----------
    chart : Chart
        What is known of them; numbers are the chart's.
    space : Space
        Where tastes live.
    scores : float64, shape [N], or None
        By the server's own ranker.
    """

    chart: Chart
    space: Space
    scores: Doubles | None = None

    @classmethod
    def of(cls, chart: Chart, judge: Judge | None = None) -> Pool:
        """Describe all pictures; takes a second for 2,000."""
        count = len(chart)
        rows, tags = describe_all(chart.index.snapshot().embeddings[:count], chart.predicted)
        space = Space.learn(rows, chart.model.hash, tags)
        scores = None
        if judge is not None:
            try:
                scores = judge.scores(rows)
            except PreferenceError:  # of other descriptions than these
                scores = None
        return cls(chart, space, scores)

    def __len__(self) -> int:
        return len(self.space)

    @property
    def hash(self) -> str:
        """Of all that is known of the pictures."""
        return self.chart.hash

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Numbers of the pictures by their ids."""
        return {self.chart.id(number): number for number in range(len(self))}

    def brief(self, id: str, lang: str = "en") -> dict[str, Any] | None:
        """JSON-ready: what is shown of a picture at a glance; None if it is not there."""
        number = self.numbers.get(id)
        return None if number is None else self.chart.brief(number, lang)

    def description(self, number: int) -> Floats:
        """Of a picture: float32, shape [D]."""
        tags = np.zeros((1, self.chart.predicted.tags), np.float32)
        for tag, probability in self.chart.predicted.of(number):
            tags[0, tag] = probability
        embedding = self.chart.index.embedding(self.chart.id(number))
        assert embedding is not None
        row: Floats = describe(embedding[None], tags)[0]
        return row
