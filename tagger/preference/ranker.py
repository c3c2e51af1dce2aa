"""Rankers: small functions from an embedding to a score, as files of a few kilobytes.

Whatever taught it, a ranker is the same: RankNet's network (Burges et al., "Learning to rank using
gradient descent", ICML 2005), which says of two pictures how probably the left one is preferred:
``P(left) = sigmoid(slope * (score(left) - score(right)))``. It is bound to the model whose
embeddings it was taught on.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tagger.atomic import replacing
from tagger.errors import PreferenceError

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Kind = Literal["linear", "mlp"]
Precision = Literal["float16", "float32"]

FORMAT = "ranker"
FORMAT_VERSION = 1

MAX_DIMENSION = 8192
MAX_HIDDEN = 1024
#: Of a file, in bytes.
MAX_BYTES = 64 * 2**20
_MAX_FACTS = 65_536
_MAX_TEXT = 200

_SHAPES: dict[str, tuple[str, ...]] = {
    "linear": ("weights",),
    "mlp": ("hidden_weights", "hidden_bias", "weights"),
}


@dataclass(frozen=True, eq=False)
class Ranker:
    """From an embedding to a score.

    Attributes
    ----------
    name : str
        For people.
    model : str
        Hash of the model whose embeddings it takes.
    kind : {"linear", "mlp"}
        ``score = e @ weights``, or ``max(0, e @ hidden_weights.T + hidden_bias) @ weights``.
    weights : float32, shape [D] or [H]
        Of the last layer.
    hidden_weights, hidden_bias : float32, shapes [H, D] and [H], or None
        Of the hidden layer of an ``"mlp"``.
    slope : float, greater than 0
        By which a difference of scores is a logit.
    tie : float, 0 to below 0.5
        Pairs whose P(left) is nearer to 0.5 than this are ties.
    facts : mapping
        What taught it and how good it is; JSON.

    Raises
    ------
    ValueError
        If shapes or numbers do not fit together.
    """

    name: str
    model: str
    weights: Floats
    slope: float = 1.0
    tie: float = 0.05
    kind: Kind = "linear"
    hidden_weights: Floats | None = None
    hidden_bias: Floats | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in _SHAPES:
            raise ValueError("kind must be linear or mlp")
        for name in _SHAPES["mlp"]:
            values = getattr(self, name)
            if (values is None) != (name not in _SHAPES[self.kind]):
                raise ValueError(f"{name} and {self.kind} do not go together")
            if values is not None:
                numbers = np.ascontiguousarray(values, np.float32)
                if not np.isfinite(numbers).all() or 0 in numbers.shape:
                    raise ValueError(f"{name} must be finite numbers")
                object.__setattr__(self, name, numbers)
        good = self.weights.ndim == 1
        if self.hidden_weights is not None and self.hidden_bias is not None:
            hidden = self.hidden_weights.shape
            good &= len(hidden) == 2 and self.hidden_bias.shape == self.weights.shape == hidden[:1]
            good &= hidden[0] <= MAX_HIDDEN
        if not good or self.dimension > MAX_DIMENSION:
            raise ValueError("weights of no ranker")
        if not (np.isfinite(self.slope) and self.slope > 0 and 0 <= self.tie < 0.5):
            raise ValueError("slope must be above 0, tie from 0 to below 0.5")

    @property
    def dimension(self) -> int:
        """D, of the embeddings or, of a taste's ranker, descriptions."""
        rows = self.weights if self.hidden_weights is None else self.hidden_weights
        return int(rows.shape[-1])

    def scores(self, embeddings: npt.ArrayLike) -> Floats:
        """Score pictures: ``[N, D]`` to ``[N]``, higher for what is preferred.

        Rows may be wider: what follows an embedding, as in a description
        (:func:`tagger.preference.space.describe`), is left out by a ranker of embeddings.

        Raises
        ------
        ValueError
            If the rows are too narrow.
        """
        rows = np.asarray(embeddings, np.float32)
        if rows.ndim != 2 or rows.shape[1] < self.dimension:
            raise ValueError(f"embeddings must be [N, {self.dimension}]")
        rows = rows[:, : self.dimension]
        if self.hidden_weights is not None and self.hidden_bias is not None:
            rows = np.maximum(rows @ self.hidden_weights.T + self.hidden_bias, 0)
        scored: Floats = rows @ self.weights
        return scored

    def probability(self, left: npt.ArrayLike, right: npt.ArrayLike) -> Doubles:
        """P(left preferred) of scores: any two shapes that broadcast, 0..1."""
        gap = np.asarray(left, np.float64) - np.asarray(right, np.float64)
        return sigmoid(self.slope * gap)

    def is_tie(self, p_left: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which probabilities are those of ties."""
        near: npt.NDArray[np.bool_] = np.abs(np.asarray(p_left, np.float64) - 0.5) < self.tie
        return near

    # --- file ------------------------------------------------------------------------------------

    def to_dict(self, precision: Precision = "float16") -> dict[str, Any]:
        """JSON-ready form; weights in base64, little-endian, of the given precision."""
        arrays = {name: pack(getattr(self, name), precision) for name in _SHAPES[self.kind]}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "model": self.model,
            "kind": self.kind,
            "dimension": self.dimension,
            "hidden": 0 if self.hidden_weights is None else len(self.hidden_weights),
            "slope": self.slope,
            "tie": self.tie,
            "precision": precision,
            **arrays,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, data: Any, *, model: str | None = None) -> Ranker:
        """Read what :meth:`to_dict` wrote, which may come from a stranger.

        Parameters
        ----------
        data : dict
            Any JSON.
        model : str, optional
            Hash of the model that it must be of.

        Raises
        ------
        PreferenceError
            ``ranker-damaged``, ``ranker-too-new`` or ``ranker-foreign``.
        """
        try:
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise ValueError("no ranker")
            if whole(data["format_version"], 1, 1_000_000) > FORMAT_VERSION:
                raise PreferenceError("ranker-too-new")
            name, owner, kind = data["name"], data["model"], data["kind"]
            facts, precision = data.get("facts", {}), data["precision"]
            texts = all(isinstance(t, str) and len(t) <= _MAX_TEXT for t in (name, owner, kind))
            if not texts or kind not in _SHAPES or precision not in ("float16", "float32"):
                raise ValueError("text")
            if not isinstance(facts, dict) or len(json.dumps(facts)) > _MAX_FACTS:
                raise ValueError("facts")
            dimension = whole(data["dimension"], 1, MAX_DIMENSION)
            hidden = whole(data.get("hidden", 0), 0, MAX_HIDDEN)
            shapes = {
                "weights": (hidden if kind == "mlp" else dimension,),
                "hidden_weights": (hidden, dimension),
                "hidden_bias": (hidden,),
            }
            arrays = {n: unpack(data[n], shapes[n], precision) for n in _SHAPES[kind]}
            ranker = cls(
                name=name,
                model=owner,
                kind=kind,
                slope=number(data["slope"]),
                tie=number(data["tie"]),
                facts=facts,
                **arrays,
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise PreferenceError("ranker-damaged") from error
        if model is not None and ranker.model != model:
            raise PreferenceError("ranker-foreign")
        return ranker

    def save(self, path: Path, precision: Precision = "float16") -> None:
        """Write a file, which is whole at any time.

        Raises
        ------
        OSError
            If it cannot be written; what was there stays.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(precision), ensure_ascii=False, indent=1, allow_nan=False)
        with replacing(path) as file:
            file.write(f"{text}\n".encode())

    @classmethod
    def load(cls, path: Path, *, model: str | None = None) -> Ranker:
        """Read a file.

        Raises
        ------
        PreferenceError
            ``ranker-not-found``, and those of :meth:`from_dict`.
        """
        try:
            with path.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise PreferenceError("ranker-not-found") from error
        return cls.from_dict(read_json(text, "ranker-damaged"), model=model)


# --- what files of this package have in common ---------------------------------------------------


def sigmoid(x: npt.ArrayLike) -> Doubles:
    """``1 / (1 + exp(-x))``, of any shape, without overflow."""
    values = np.asarray(x, np.float64)
    small = np.exp(-np.abs(values))
    chance: Doubles = np.where(values >= 0, 1 / (1 + small), small / (1 + small))
    return chance


def read_json(text: bytes, code: str) -> Any:
    """Parse JSON of a stranger.

    Raises
    ------
    PreferenceError
        With the given code, if it is none or too large.
    """
    try:
        if len(text) > MAX_BYTES:
            raise ValueError("too large")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PreferenceError(code) from error


def pack(values: npt.NDArray[Any], precision: str) -> str:
    """Numbers as base64, little-endian.

    Raises
    ------
    ValueError
        If one is too great for the precision.
    """
    with np.errstate(over="ignore"):
        kept = np.asarray(values).astype(np.dtype(precision).newbyteorder("<"))
    if kept.dtype.kind == "f" and not np.isfinite(kept).all():
        raise ValueError(f"too great for {precision}")
    return base64.b64encode(np.ascontiguousarray(kept).tobytes()).decode("ascii")


def unpack(text: Any, shape: tuple[int, ...], precision: str) -> npt.NDArray[Any]:
    """Read what :func:`pack` wrote; halves become singles.

    Raises
    ------
    ValueError
        If it is anything else, of another size or not finite.
    """
    kind = np.dtype(precision).newbyteorder("<")
    size = int(np.prod(shape)) * kind.itemsize
    # Sizes first: nothing large is made of a text that is wrong.
    if not isinstance(text, str) or len(text) != 4 * ((size + 2) // 3):
        raise ValueError("another size")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    if len(data) != size:
        raise ValueError("another size")
    values = np.frombuffer(data, kind).reshape(shape)
    if kind.kind != "f":
        return values.astype(precision)
    if not np.isfinite(values).all():
        raise ValueError("not finite")
    return values.astype(np.float64 if precision == "float64" else np.float32)


def whole(value: Any, least: int, most: int) -> int:
    """Check an integer of a stranger; anything else is a ValueError."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError("no such number")
    return value


def number(value: Any) -> float:
    """Check a finite number of a stranger; anything else is a ValueError."""
    if type(value) not in (int, float) or not np.isfinite(value):
        raise ValueError("no number")
    return float(value)
