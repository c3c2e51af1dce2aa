"""Tastes as files: what was learnt, and the votes that it was learnt from, in a few kilobytes.

What was learnt is a ranker (:class:`tagger.preference.ranker.Ranker`), so it scores pictures
wherever the model is. The votes are numbers of pictures of one pool: where that pool is, the taste
goes on as it was. A file holds no picture and no name of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.atomic import replacing
from tagger.errors import PreferenceError
from tagger.preference import ranker as rankers
from tagger.preference.ranker import Ranker
from tagger.preference.votes import CHOICES, KINDS, MAX_VOTES, Pair, Vote

Floats = npt.NDArray[np.float32]

FORMAT = "taste"
FORMAT_VERSION = 1

_MAX_EDITS = 100_000
_MAX_COMPONENTS = 4096


@dataclass(frozen=True, eq=False)
class Profile:
    """A saved taste.

    Attributes
    ----------
    ranker : Ranker
        What was learnt.
    space : str
        Of which pool the votes are; empty for none.
    votes : tuple of Vote
        Numbers are those of that pool, below 0 of the guests.
    guests : float32, shape [G, K]
        Pictures that are not of the pool, along its directions.
    edits : mapping of int to float
        Weights of tags, set by hand.
    start : float32, shape [D], or None
        What it began as, if that is not nothing.
    """

    ranker: Ranker
    space: str
    votes: tuple[Vote, ...] = ()
    guests: Floats = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    edits: Mapping[int, float] = field(default_factory=dict)
    start: Floats | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        lefts = np.array([vote.pair.left for vote in self.votes], np.int32)
        rights = np.array([vote.pair.right for vote in self.votes], np.int32)
        choices = np.array([CHOICES.index(vote.choice) for vote in self.votes], np.uint8)
        kinds = np.array([KINDS.index(vote.pair.kind) for vote in self.votes], np.uint8)
        weights = np.array([vote.weight for vote in self.votes], np.float32)
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "ranker": self.ranker.to_dict("float32"),
            "space": self.space,
            "votes": {
                "count": len(self.votes),
                "left": rankers.pack(lefts, "int32"),
                "right": rankers.pack(rights, "int32"),
                "choice": rankers.pack(choices, "uint8"),
                "kind": rankers.pack(kinds, "uint8"),
                "weight": rankers.pack(weights, "float32"),
            },
            "guests": {
                "count": len(self.guests),
                "components": self.guests.shape[1],
                "features": rankers.pack(self.guests, "float16"),
            },
            "edits": {str(tag): weight for tag, weight in self.edits.items()},
            "start": None if self.start is None else rankers.pack(self.start, "float32"),
        }

    @classmethod
    def from_dict(cls, data: Any, *, model: str | None = None) -> Profile:
        """Read what :meth:`to_dict` wrote, which may come from a stranger.

        Raises
        ------
        PreferenceError
            ``taste-damaged``, ``taste-too-new`` or ``taste-foreign``.
        """
        try:
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise ValueError("no taste")
            if rankers.whole(data["format_version"], 1, 1_000_000) > FORMAT_VERSION:
                raise PreferenceError("taste-too-new")
            ranker = Ranker.from_dict(data["ranker"])
            if ranker.kind != "linear":
                raise ValueError("a taste is linear")
            space, edits = data["space"], data["edits"]
            if not isinstance(space, str) or len(space) > 200:
                raise ValueError("space")
            if not isinstance(edits, dict) or len(edits) > _MAX_EDITS:
                raise ValueError("edits")
            guests = data["guests"]
            count = rankers.whole(guests["count"], 0, 2 * MAX_VOTES)
            width = rankers.whole(guests["components"], 1, _MAX_COMPONENTS)
            start = data["start"]
            profile = cls(
                ranker=ranker,
                space=space,
                votes=_read_votes(data["votes"]),
                guests=rankers.unpack(guests["features"], (count, width), "float16"),
                edits={int(tag): _weight(weight) for tag, weight in edits.items()},
                start=None
                if start is None
                else rankers.unpack(start, (ranker.dimension,), "float32"),
            )
        except PreferenceError as error:
            if error.code == "taste-too-new":
                raise
            raise PreferenceError("taste-damaged") from error
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise PreferenceError("taste-damaged") from error
        if model is not None and profile.ranker.model != model:
            raise PreferenceError("taste-foreign")
        return profile

    def save(self, path: Path) -> None:
        """Write a file, which is whole at any time.

        Raises
        ------
        OSError
            If it cannot be written; what was there stays.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, private=True) as file:
            file.write(f"{json.dumps(self.to_dict(), allow_nan=False)}\n".encode())

    @classmethod
    def load(cls, path: Path, *, model: str | None = None) -> Profile:
        """Read a file.

        Raises
        ------
        PreferenceError
            ``taste-not-found``, and those of :meth:`from_dict`.
        """
        try:
            with path.open("rb") as file:
                text = file.read(rankers.MAX_BYTES + 1)
        except OSError as error:
            raise PreferenceError("taste-not-found") from error
        return cls.from_dict(rankers.read_json(text, "taste-damaged"), model=model)


def _read_votes(data: Any) -> tuple[Vote, ...]:
    shape = (rankers.whole(data["count"], 0, MAX_VOTES),)
    lefts = rankers.unpack(data["left"], shape, "int32").tolist()
    rights = rankers.unpack(data["right"], shape, "int32").tolist()
    choices = rankers.unpack(data["choice"], shape, "uint8").tolist()
    kinds = rankers.unpack(data["kind"], shape, "uint8").tolist()
    weights = rankers.unpack(data["weight"], shape, "float32").tolist()
    if any(left == right for left, right in zip(lefts, rights, strict=True)):
        raise ValueError("a picture against itself")
    return tuple(
        Vote(Pair(left, right, KINDS[kind]), CHOICES[choice], weight)
        for left, right, choice, kind, weight in zip(
            lefts, rights, choices, kinds, weights, strict=True
        )
    )


def _weight(value: Any) -> float:
    weight = rankers.number(value)
    if not -1 <= weight <= 1:
        raise ValueError("weight")
    return weight
