"""A map that is ready to be asked: points, tags, neighbours and texts of N pictures.

Pictures are known by their numbers from 0 on, in the order of the index; a number means a picture
of one map only, and of that map as long as its hash is the same.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tagger.atlas import Atlas
from tagger.bundlefiles import ModelFacts
from tagger.errors import RequestError
from tagger.exploring import columns
from tagger.exploring.columns import UNKNOWN, Legend
from tagger.exploring.searching import TextIndex
from tagger.exploring.statistics import enrichment
from tagger.exploring.words import legend_label
from tagger.gallery import TagRows
from tagger.similarity import Index
from tagger.similarity.items import unit
from tagger.tags import Tag, TagList

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

MapName = Literal["gallery", "drawings"]

LEGENDS = ("category", "source", "language")
# What is sent of each point, in this order: two bytes each of x and y, then one byte a column.
COLUMNS = ("x", "y", "category", "source", "language", "trust")
BYTES_PER_POINT = 8

BRIEF_TAGS = 5
# A selection's answer names so many tags and pictures; the count tells how many there are.
SHARED = 200
NUMBERS = 500
# By so many neighbours a picture is placed, and judged how well it could be.
PLACING = 10
# Columns of tags that are kept made: 50 KB each for 50,000 pictures.
_KEPT_COLUMNS = 64


class Pictures(Protocol):
    """Where pictures come from."""

    def get(self, number: int) -> bytes:
        """A picture's file, small; raises a TaggerError where there is none any more."""


@dataclass(frozen=True, slots=True)
class Near:
    """A neighbour: the picture's number, and the cosine of the embeddings, -1..1."""

    number: int
    cosine: float


@dataclass(frozen=True, eq=False)
class Chart:
    """A map with all that is known of its pictures. Immutable; may be used from any thread.

    Attributes
    ----------
    map : {"gallery", "drawings"}
        Which one.
    name, licence : str
        Of the collection.
    hash : str
        Of all content: with the same hash, every answer is the same.
    model : ModelFacts
        What made the embeddings.
    tags : TagList
        T tags that pictures may have.
    index : Index
        N embeddings; row n is picture n.
    labels : TagRows
        Tags that hold for the pictures.
    predicted : TagRows
        Tags that the model gives them, with probabilities.
    given : bool, shape [N]
        Whose labels people gave.
    atlas : Atlas
        Places and trust.
    pictures : Pictures
        Files, small.
    media_type : str
        Of the files.
    credits : str
        Whom to name.
    """

    map: MapName
    name: str
    hash: str
    model: ModelFacts
    tags: TagList
    index: Index
    labels: TagRows
    predicted: TagRows
    given: Bools
    atlas: Atlas
    pictures: Pictures
    media_type: str = "image/webp"
    licence: str = ""
    credits: str = ""
    legends: Mapping[str, Legend] = field(init=False, repr=False)
    _made: OrderedDict[int, bytes] = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values: dict[str, list[str | None]] = {name: [] for name in LEGENDS}
        for item in self.index.snapshot().items[: len(self)]:
            data = item.metadata
            for name, column in values.items():
                column.append(_text(data, name))
        object.__setattr__(self, "legends", {k: columns.legend(v) for k, v in values.items()})
        object.__setattr__(self, "_made", OrderedDict())
        object.__setattr__(self, "_lock", threading.Lock())

    def __len__(self) -> int:
        return len(self.atlas)

    # --- as a whole ------------------------------------------------------------------------------

    def about(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready: what the map shows and how it was made."""
        axes = dict(zip("xyz", map(list, self._bounds), strict=False))
        parameters = self.atlas.parameters
        return {
            "count": len(self),
            "dimensions": parameters.dimensions,
            "bounds": axes,
            "method": parameters.method,
            "parameters": parameters.to_dict(),
            "trustworthiness": round(self.atlas.trustworthiness, 4),
            "pca_trustworthiness": round(self.atlas.pca_trustworthiness, 4),
            "trust_sample": self.atlas.sample,
            "model": self.model.to_dict(),
            "name": self.name,
            "licence": self.licence,
            "credits": self.credits,
            "legends": {name: self._legend(name, lang) for name in LEGENDS},
            "tags": [self._counted(tag, lang) for tag in self._by_count],
            "columns": list(COLUMNS),
            "bytes_per_point": BYTES_PER_POINT,
        }

    @cached_property
    def points(self) -> bytes:
        """All points, column after column, little-endian; see `COLUMNS`."""
        places = [
            columns.quantise(self.atlas.positions[:, axis], *self._bounds[axis]).tobytes()
            for axis in (0, 1)
        ]
        kinds = [self.legends[name].values.tobytes() for name in LEGENDS]
        return b"".join([*places, *kinds, columns.share_bytes(self.atlas.trust).tobytes()])

    @cached_property
    def depth(self) -> bytes | None:
        """The third coordinate, two bytes a point; None for a flat map."""
        if len(self._bounds) < 3:
            return None
        return columns.quantise(self.atlas.positions[:, 2], *self._bounds[2]).tobytes()

    def tag_column(self, tag: int) -> bytes:
        """A tag over all points, see `tagger.exploring.columns.tag_bytes`.

        Raises
        ------
        RequestError
            ``explore-no-tag``.
        """
        if not 0 <= tag < len(self.tags):
            raise RequestError("explore-no-tag", tag=tag)
        with self._lock:
            if tag in self._made:
                self._made.move_to_end(tag)
                return self._made[tag]
        held = self.labels.has(tag) & self.given
        column = columns.tag_bytes(held, self.predicted.column(tag)).tobytes()
        with self._lock:
            self._made[tag] = column
            while len(self._made) > _KEPT_COLUMNS:
                self._made.popitem(last=False)
        return column

    # --- single pictures -------------------------------------------------------------------------

    def check(self, number: int) -> int:
        """Let a picture's number pass.

        Raises
        ------
        RequestError
            ``explore-no-picture``, if there is none of that number.
        """
        if not 0 <= number < len(self):
            raise RequestError("explore-no-picture", number=number)
        return number

    def metadata(self, number: int) -> dict[str, Any]:
        """What is known of a picture."""
        return self.index.snapshot().items[number].metadata

    def id(self, number: int) -> str:
        """A picture's name in the index."""
        return self.index.snapshot().items[number].id

    def number(self, id: str) -> int:
        """The picture of a name.

        Raises
        ------
        RequestError
            ``explore-no-picture``.
        """
        number = self._numbers.get(id)
        if number is None:
            raise RequestError("explore-no-picture", number=id[:80])
        return number

    def title(self, number: int, lang: str = "en") -> str:
        """What to call a picture."""
        return _title(self.id(number), self.metadata(number), lang)

    def brief(self, number: int, lang: str = "en") -> dict[str, Any]:
        """JSON-ready: what is shown of a picture at a glance."""
        data = self.metadata(number)
        return {
            "number": number,
            "id": self.id(number),
            "title": _title(self.id(number), data, lang),
            "tags": self._brief_tags(number, lang),
            "author": _text(data, "author"),
            "category": _text(data, "category"),
            "source": _text(data, "source"),
        }

    def detail(self, number: int, k: int, lang: str = "en") -> dict[str, Any]:
        """JSON-ready: all that is known of a picture, and the k pictures nearest to it."""
        own = unit(self.index.snapshot().vectors[number], self.index.dimension)
        data = self.metadata(number)
        return {
            **self.brief(number, lang),
            "tags": self.picture_tags(number, lang),
            "metadata": data,
            "trust": round(float(self.atlas.trust[number]), 4),
            "position": _place(self.atlas.positions[number]),
            "neighbours": self.shown(self.nearest(own, k, skip=number), self.held(number), lang),
        }

    def picture_tags(self, number: int, lang: str = "en") -> list[dict[str, Any]]:
        """JSON-ready: what people gave first, then what the model says, most probable first."""
        said = dict(self.predicted.of(number))
        entries = []
        for tag in self.held(number):
            given = bool(self.given[number])
            entries.append((not given, -1.0 if given else -said.get(tag, 0.0), tag))
        there = {entry[2] for entry in entries}
        entries += [(True, -p, tag) for tag, p in said.items() if tag not in there]
        return [
            {
                **self._named(self.tags[tag], lang),
                "probability": round(-negative, 4),
                "given": not predicted,
                "passes": not predicted or self.tags[tag].passes(-negative),
            }
            for predicted, negative, tag in sorted(entries)
        ]

    def _brief_tags(self, number: int, lang: str) -> list[dict[str, Any]]:
        """The first tags; what the model holds for unlikely only where there is nothing else."""
        tags = self.picture_tags(number, lang)
        likely = [tag for tag in tags if tag["passes"]]
        return (likely or tags[:1])[:BRIEF_TAGS]

    def held(self, number: int) -> tuple[int, ...]:
        """The tags that hold for a picture."""
        return tuple(tag for tag, _ in self.labels.of(number))

    # --- what is near ----------------------------------------------------------------------------

    def nearest(self, embedding: npt.ArrayLike, k: int, skip: int | None = None) -> list[Near]:
        """The k pictures whose embeddings are nearest, nearest first.

        Raises
        ------
        RequestError
            ``index-embedding-invalid``.
        """
        query = unit(embedding, self.index.dimension)
        if len(query) != 1:
            raise RequestError("index-embedding-invalid", dimension=self.index.dimension)
        left_out = None if skip is None else np.array([skip], np.int64)
        rows, cosines = self.index.snapshot().find(query, k, left_out)
        pairs = zip(rows[0].tolist(), cosines[0].tolist(), strict=True)
        return [Near(row, cosine) for row, cosine in pairs if row >= 0]

    def shown(
        self, found: Iterable[Near], tags: Sequence[int], lang: str = "en"
    ) -> list[dict[str, Any]]:
        """JSON-ready neighbours, with the tags that they have in common with some, rarest first."""
        wanted = set(tags)
        return [
            {
                "number": near.number,
                "id": self.id(near.number),
                "title": self.title(near.number, lang),
                "cosine": round(near.cosine, 4),
                "shared": [
                    self._named(self.tags[tag], lang)
                    for tag in sorted(
                        wanted.intersection(self.held(near.number)),
                        key=lambda tag: (self._counts[tag], tag),
                    )
                ],
            }
            for near in found
        ]

    def trust_at(self, position: Floats, found: Sequence[Near]) -> float:
        """How well a place on the map keeps a picture's neighbours.

        Returns
        -------
        float
            The share, 0..1, of the given neighbours that are among as many nearest on the map.
        """
        k = min(len(found), PLACING)
        if not k:
            return 0.0
        distances = np.square(self.atlas.positions - position).sum(axis=1)
        around = set(np.argpartition(distances, k - 1)[:k].tolist())
        return sum(near.number in around for near in found[:k]) / k

    # --- what is found ---------------------------------------------------------------------------

    def search(self, query: str, limit: int, lang: str = "en") -> dict[str, Any]:
        """JSON-ready: the pictures and the tags that somebody may mean, best first."""
        tags = self._tag_texts.search(query, len(self.tags))
        there = [tag for tag in tags if self._counts[tag] or self._said[tag]]
        return {
            "pictures": [self.brief(n, lang) for n in self._texts.search(query, limit)],
            "tags": [self._counted(tag, lang) for tag in there[:limit]],
        }

    def select(self, mask: Bools, lang: str = "en") -> dict[str, Any]:
        """JSON-ready: what a set of pictures shares.

        Parameters
        ----------
        mask : bool, shape [N]
            The set.
        """
        count = int(np.count_nonzero(mask))
        found = enrichment(self.labels.counts(mask), self._counts, count, len(self))
        shared = [
            {
                **self._named(self.tags[tag], lang),
                "here": int(found.here[tag]),
                "everywhere": int(found.everywhere[tag]),
                "lift": round(float(found.lift[tag]), 4),
                "p_value": math.exp(found.log_p[tag]),
            }
            for tag in found.order()[:SHARED].tolist()
        ]
        return {
            "count": count,
            "shared": shared,
            "legends": {name: self._legend(name, lang, mask) for name in LEGENDS},
            "numbers": np.flatnonzero(mask)[:NUMBERS].tolist(),
        }

    # --- made once -------------------------------------------------------------------------------

    @cached_property
    def _bounds(self) -> list[tuple[float, float]]:
        return columns.bounds(self.atlas.positions)

    @cached_property
    def _counts(self) -> npt.NDArray[np.int64]:
        """Pictures for which each tag holds."""
        return self.labels.counts()

    @cached_property
    def _said(self) -> npt.NDArray[np.int64]:
        """Pictures to which the model gives each tag."""
        return self.predicted.counts()

    @cached_property
    def _by_count(self) -> list[int]:
        there = np.flatnonzero((self._counts > 0) | (self._said > 0))
        order: list[int] = there[np.argsort(-self._counts[there], kind="stable")].tolist()
        return order

    @cached_property
    def _texts(self) -> TextIndex:
        texts = []
        for item in self.index.snapshot().items[: len(self)]:
            data = item.metadata
            names = [_text(data, key) for key in ("title", "title_ja", "author")]
            texts.append(names if names[0] or names[1] else [_stem(item.id), names[2]])
        return TextIndex(texts)

    @cached_property
    def _tag_texts(self) -> TextIndex:
        # In the order of their use, so that the most used of those that match come first.
        return _Ordered(self.tags, np.argsort(-self._counts, kind="stable").tolist())

    @cached_property
    def _numbers(self) -> dict[str, int]:
        items = self.index.snapshot().items[: len(self)]
        return {item.id: number for number, item in enumerate(items)}

    def warm(self) -> None:
        """Make what the first visitor would have to wait for."""
        self.points, self._by_count, self._tag_texts, self._texts, self._numbers  # noqa: B018

    # --- parts -----------------------------------------------------------------------------------

    def _named(self, tag: Tag, lang: str) -> dict[str, Any]:
        return {"tag": tag.index, "name": tag.name, "label": tag.display(lang)}

    def _counted(self, tag: int, lang: str) -> dict[str, Any]:
        entry = self.tags[tag]
        return {**self._named(entry, lang), "group": entry.group, "count": int(self._counts[tag])}

    def _legend(self, name: str, lang: str, mask: Bools | None = None) -> list[dict[str, Any]]:
        found = self.legends[name]
        here = None
        if mask is not None:
            here = np.bincount(found.values[mask], minlength=len(found.names)).tolist()
        entries = []
        for value, (text, count) in enumerate(zip(found.names, found.counts, strict=True)):
            entry: dict[str, Any] = {
                "value": value,
                "name": "other" if text is None else text,
                "label": legend_label(name, text, self.tags, lang),
            }
            if here is None:
                entries.append({**entry, "count": count})
            elif here[value]:
                entries.append({**entry, "here": here[value], "count": count})
        return entries


class _Ordered(TextIndex):
    """Tags by their names in all languages; found in the order given."""

    def __init__(self, tags: TagList, order: Sequence[int]) -> None:
        self._order = order
        names = (
            (tags[i].name, tags[i].display(), *tags[i].aliases, tags[i].name_ja) for i in order
        )
        super().__init__([name for name in each if name] for each in names)

    def search(self, query: str, limit: int) -> list[int]:
        """The tags' numbers."""
        return [self._order[place] for place in super().search(query, limit)]


def _place(position: Floats) -> list[float]:
    return [round(float(value), 5) for value in position]


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else UNKNOWN


def _stem(id: str) -> str:
    return PurePosixPath(id).stem or id


def _title(id: str, data: Mapping[str, Any], lang: str) -> str:
    english, japanese = _text(data, "title"), _text(data, "title_ja")
    best = (japanese, english) if lang == "ja" else (english, japanese)
    return best[0] or best[1] or _stem(id)
