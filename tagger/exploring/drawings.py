"""The collected drawings as a map of their own: those that were given with consent.

It is made of what the recogniser sees in them, anew whenever there are more. A drawing that is
taken back has no picture any more at once, and no point some seconds later.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagger import strokes
from tagger.atlas import (
    Atlas,
    MapParameters,
    MapWorker,
    hash_embeddings,
    pca,
    sample_of,
    trust_of_all,
)
from tagger.collection import Drawing, Store
from tagger.drawing import DrawServices, LiveModel
from tagger.errors import RequestError, TaggerError
from tagger.exploring.chart import Chart
from tagger.gallery import TagRows
from tagger.similarity import Index
from tagger.strokes import Strokes
from tagger.tags import Tag, TagList

Floats = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)

#: So many drawings are on the map: the newest.
MOST = 5000
#: Fewer are mapped by PCA alone: they hardly have neighbourhoods that could be kept.
FEW = 60
#: Side of a drawing's picture, in pixels.
SIDE = 128
_PEN, _MARGIN = 3.0, 6.0
_PAGE = 500
_BATCH = 64


@dataclass(frozen=True, slots=True)
class _Known:
    """What the map keeps of a drawing."""

    id: str
    word: str
    source: str
    created: int
    predicted: tuple[tuple[str, float], ...]


class DrawnPictures:
    """Pictures of drawings, made of their strokes when they are asked for.

    Parameters
    ----------
    store : Store
        The collection.
    ids : sequence of str
        Of the drawings, in the order of their numbers.
    """

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self._store = store
        self._ids = tuple(ids)

    def get(self, number: int) -> bytes:
        """A drawing as WebP.

        Raises
        ------
        TaggerError
            ``explore-no-picture``, if there is none of that number, or it was taken back.
        """
        if not 0 <= number < len(self._ids):
            raise RequestError("explore-no-picture", number=number)
        drawing = self._store.get(self._ids[number])
        if drawing is None or not drawing.consent:
            raise RequestError("explore-no-picture", number=number)
        return render(drawing.strokes)


def render(drawn: Strokes) -> bytes:
    """A drawing as a picture: a WebP file, black on white."""
    ink = strokes.rasterise(drawn, SIDE, width=_PEN, margin=_MARGIN)[0]
    file = io.BytesIO()
    Image.fromarray(np.rint((1 - ink) * 255).astype(np.uint8)).save(file, "WEBP", lossless=True)
    return file.getvalue()


@dataclass(frozen=True, eq=False)
class Drawn:
    """The newest drawings as they are at one moment, ready to be put on a map.

    Attributes
    ----------
    embeddings : float32, shape [N, D]
        What the recogniser sees in them; of length one.
    """

    embeddings: Floats
    _known: Sequence[_Known]
    _live: LiveModel
    _index: Index
    _tags: TagList
    _labels: TagRows
    _predicted: TagRows
    _store: Store

    def __len__(self) -> int:
        return len(self._known)

    @property
    def ids(self) -> set[str]:
        """Of the drawings."""
        return {one.id for one in self._known}

    def chart(self, atlas: Atlas) -> Chart:
        """Put them on a map."""
        return Chart(
            map="drawings",
            name="drawings",
            hash=_hash(self._known, atlas, self._live),
            model=self._live.facts,
            tags=self._tags,
            index=self._index,
            labels=self._labels,
            predicted=self._predicted,
            # People named each of them.
            given=np.ones(len(self), np.bool_),
            atlas=atlas,
            pictures=DrawnPictures(self._store, [one.id for one in self._known]),
        )


def collect(draw: DrawServices) -> Drawn | None:
    """Read the newest drawings that were given with consent; None where there is none.

    Takes as long as the recogniser needs for those that it has not seen yet.

    Raises
    ------
    TaggerError
        If the collection cannot be read.
    """
    live = draw.live
    known, embeddings = _read(draw.store, live)
    if not known:
        return None
    words = _words(live, known)
    tags = _tag_list(live, words)
    labels = [[words[one.word]] for one in known]
    index = Index(embeddings.shape[1], live.recogniser.embedding_hash, search="exact")
    index.add_many(
        [one.id for one in known],
        embeddings,
        labels,
        [_metadata(one, tags[words[one.word]]) for one in known],
    )
    return Drawn(
        index.snapshot().embeddings,
        known,
        live,
        index,
        tags,
        TagRows.certain(labels, len(words)),
        TagRows.pack([_said(one, words) for one in known], len(words)),
        draw.store,
    )


def fit(worker: MapWorker, embeddings: Floats, parameters: MapParameters | None = None) -> Atlas:
    """Make a map beside the server or, where no process can be run, here by PCA.

    Raises
    ------
    TaggerError
        ``map-failed`` if the worker was closed meanwhile: nobody needs a map any more.
    """
    try:
        return worker.fit(embeddings, parameters).result()
    except TaggerError as error:
        if worker.closed:
            raise
        _log.warning("the map is made by PCA: %s", error)
        return at_once(embeddings, parameters.dimensions if parameters else 2)


def at_once(embeddings: Floats, dimensions: int = 2) -> Atlas:
    """Make a map by PCA: for thousands of points within a second."""
    positions = pca(embeddings, dimensions)
    (trust,) = trust_of_all(embeddings, [positions])
    whole = float(trust.mean(dtype=np.float64))
    simple = MapParameters("pca", dimensions=dimensions)
    made_of, sample = hash_embeddings(embeddings), sample_of(len(embeddings))
    return Atlas(positions, trust, simple, whole, whole, 0.0, made_of, sample)


def _read(store: Store, live: LiveModel) -> tuple[list[_Known], Floats]:
    """The newest drawings and their embeddings, oldest first; their strokes are not kept."""
    taught = {lesson.id: lesson.embedding for lesson in live.memory.lessons()}
    known: list[_Known] = []
    rows: list[Floats] = []
    remaining = islice(_newest(store), MOST)
    while batch := list(islice(remaining, _BATCH)):
        new = [drawing.strokes for drawing in batch if drawing.id not in taught]
        seen = iter(live.recogniser.predict(new).embedding if new else ())
        for drawing in batch:
            own = taught.get(drawing.id)
            rows.append(np.asarray(next(seen) if own is None else own, np.float32))
            known.append(
                _Known(
                    drawing.id, drawing.label, drawing.source, drawing.created, drawing.predicted
                )
            )
    if not known:
        return [], np.empty((0, live.recogniser.dimension), np.float32)
    return known[::-1], np.stack(rows[::-1])


def _newest(store: Store) -> Iterator[Drawing]:
    seen: set[str] = set()
    while True:
        # What is saved meanwhile moves the others on.
        page = store.gallery(consented_only=True, offset=len(seen), limit=_PAGE)
        fresh = [drawing for drawing in page if drawing.id not in seen]
        if not fresh:
            return
        seen.update(drawing.id for drawing in fresh)
        yield from fresh


def _words(live: LiveModel, known: Sequence[_Known]) -> dict[str, int]:
    """Numbers of the words: the recogniser's own, then those that people taught."""
    own = [word.word for word in live.recogniser.words]
    return {word: n for n, word in enumerate(dict.fromkeys([*own, *(k.word for k in known)]))}


def _tag_list(live: LiveModel, words: dict[str, int]) -> TagList:
    own = live.recogniser.words
    tags = []
    for word, number in words.items():
        found = own.get(word)
        kind = found.kind if found else "learnt"
        tags.append(Tag(number, word, group=kind, name_ja=found.name_ja if found else None))
    return TagList(tags)


def _said(one: _Known, words: dict[str, int]) -> list[tuple[int, float]]:
    """What the recogniser said when the drawing was given."""
    said: dict[int, float] = {}
    for word, probability in one.predicted:
        if word in words:
            said.setdefault(words[word], float(np.clip(probability, 0, 1)))
    return list(said.items())


def _metadata(one: _Known, tag: Tag) -> dict[str, Any]:
    data = {"title": tag.display(), "category": one.word, "source": one.source}
    return {**data, "title_ja": tag.name_ja or tag.display(), "created": one.created}


def _hash(known: Sequence[_Known], atlas: Atlas, live: LiveModel) -> str:
    whole = hashlib.sha256(live.facts.hash.encode())
    whole.update(json.dumps([[one.id, one.word, one.predicted] for one in known]).encode())
    whole.update(atlas.positions.tobytes())
    return whole.hexdigest()[:32]
