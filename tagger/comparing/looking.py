"""What the model sees in pictures, as whoever compares them needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tagger.errors import RequestError, TaggerError
from tagger.preference import describe
from tagger.tags import RankedTag

Floats = npt.NDArray[np.float32]


class Seen(Protocol):
    """What the model says about a picture; `tagger.services.TagResult` is one."""

    @property
    def tags(self) -> Iterable[RankedTag]:
        """Most probable first."""

    @property
    def picture(self) -> Any:
        """Facts of the file, with a ``to_dict``."""

    @property
    def probabilities(self) -> Floats:
        """Of all T tags."""

    @property
    def embedding(self) -> Floats | None:
        """Of length one."""


class Outcome(Protocol):
    """One of several pictures; `tagger.services.Outcome` is one."""

    @property
    def name(self) -> str:
        """As it was given."""

    @property
    def result(self) -> Seen | None:
        """What was seen, or None."""

    @property
    def error(self) -> TaggerError | None:
        """Why nothing was."""


LookAtAll = Callable[[Iterable[tuple[str, Any]]], Iterator[Outcome]]


def seen_of(outcome: Outcome) -> Seen:
    """What was seen; raises a TaggerError where nothing was."""
    if outcome.result is None:
        raise outcome.error or TaggerError("internal")
    return outcome.result


def description_of(seen: Seen) -> Floats:
    """A picture's description: float32, shape [D].

    Raises
    ------
    RequestError
        ``index-no-embedding``, if the model gives none.
    """
    if seen.embedding is None:
        raise RequestError("index-no-embedding")
    row: Floats = describe(seen.embedding[None], seen.probabilities[None])[0]
    return row
