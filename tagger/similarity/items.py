"""What an index keeps of an item besides its embedding, and what it takes for one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.errors import LimitError, RequestError

Floats = npt.NDArray[np.float32]

MAX_ITEMS = 10_000_000
MAX_DIMENSION = 8_192
MAX_ID_BYTES = 1_024
MAX_LABELS = 1_000
MAX_LABEL = 10_000_000
MAX_METADATA_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Item:
    """An indexed thing.

    Attributes
    ----------
    id : str
        Its name, unique in the index.
    labels : tuple of int
        Its tags' numbers, ascending; may be empty.
    text : str
        Its metadata as JSON: 100,000 small texts take less memory than as many dictionaries.
    """

    id: str
    labels: tuple[int, ...] = ()
    text: str = "{}"

    @property
    def metadata(self) -> dict[str, Any]:
        """What its owner wrote about it; a copy."""
        data: dict[str, Any] = json.loads(self.text)
        return data


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An item that is near.

    Attributes
    ----------
    rank : int
        From 1.
    cosine : float
        -1..1, to what was asked.
    item : Item
        What was found.
    """

    rank: int
    cosine: float
    item: Item

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "rank": self.rank,
            "id": self.item.id,
            "cosine": round(self.cosine, 6),
            "labels": list(self.item.labels),
            "metadata": self.item.metadata,
        }


def item(id: str, labels: Iterable[int] = (), metadata: Mapping[str, Any] | None = None) -> Item:
    """Check and make an item.

    Raises
    ------
    RequestError
        ``index-id-invalid``, ``index-labels-invalid`` or ``index-metadata-invalid``.
    """
    return Item(_id(id), _labels(labels), _text({} if metadata is None else metadata))


def _id(id: str) -> str:
    try:
        good = isinstance(id, str) and 0 < len(id.encode("utf-8")) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # half a character, as file names may hold
        good = False
    if not good:
        raise RequestError("index-id-invalid", limit=MAX_ID_BYTES)
    return id


def _labels(labels: Iterable[int]) -> tuple[int, ...]:
    try:
        numbers = sorted(set(labels))
        good = len(numbers) <= MAX_LABELS and all(
            isinstance(number, int | np.integer)
            and not isinstance(number, bool)
            and 0 <= number < MAX_LABEL
            for number in numbers
        )
    except TypeError:
        good = False
    if not good:
        raise RequestError("index-labels-invalid", limit=MAX_LABELS)
    return tuple(int(number) for number in numbers)


def _text(metadata: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(
            dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        size = len(text.encode("utf-8"))
    except (TypeError, ValueError, RecursionError):
        size = MAX_METADATA_BYTES + 1
    if size > MAX_METADATA_BYTES:
        raise RequestError("index-metadata-invalid", limit=MAX_METADATA_BYTES)
    return text


def unit(embeddings: npt.ArrayLike, dimension: int) -> Floats:
    """Check embeddings and make them of length one.

    Returns
    -------
    float32, shape [N, dimension]
        One vector alone becomes a row.

    Raises
    ------
    RequestError
        ``index-embedding-invalid`` if they are of another width, not finite, or of no length.
    """
    try:
        rows = np.atleast_2d(np.asarray(embeddings, np.float64))
    except (TypeError, ValueError, OverflowError):
        raise RequestError("index-embedding-invalid", dimension=dimension) from None
    if rows.ndim == 2 and not len(rows):
        rows = rows.reshape(0, dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        good = rows.ndim == 2 and rows.shape[1] == dimension and bool(np.isfinite(lengths).all())
    if not good or bool((lengths < 1e-12).any()):
        raise RequestError("index-embedding-invalid", dimension=dimension)
    scaled: Floats = (rows / lengths).astype(np.float32)
    return scaled


def check_room(count: int) -> None:
    """Refuse more than `MAX_ITEMS`.

    Raises
    ------
    LimitError
        ``index-full``.
    """
    if count > MAX_ITEMS:
        raise LimitError("index-full", limit=MAX_ITEMS)
