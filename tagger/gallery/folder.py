"""A gallery as a folder: embeddings, tags, a map, and the pictures in small.

- ``gallery.json``: what it is, of which model, and hashes of the rest.
- ``pictures.index``: an index (:mod:`tagger.similarity`), items in the gallery's order.
- ``tags.npz``: tags that the model sees, and whose labels people gave.
- ``map.npz``: the map (:mod:`tagger.atlas`); may be absent.
- ``pictures-000.zip``...: the pictures, here or in a folder that ``gallery.json`` names.

A folder may come from a stranger: sizes, ranges and hashes are compared, and what does not fit
together is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.atlas import Atlas, hash_embeddings, read_atlas
from tagger.atomic import replacing
from tagger.bundlefiles import read_arrays
from tagger.errors import GalleryError, RequestError, TaggerError
from tagger.gallery.pictures import PackWriter, Pictures
from tagger.gallery.rows import TagRows
from tagger.similarity import Index, Item, hnsw
from tagger.similarity.index import Search

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

FORMAT = "gallery"
FORMAT_VERSION = 1

FACTS, INDEX, TAGS, MAP = "gallery.json", "pictures.index", "tags.npz", "map.npz"

#: Pictures of one gallery at most.
MAX_PICTURES = 1_000_000
_MAX_FACTS = 4 * 2**20
_MAX_TAGS_FILE = 2 * 2**30
_MAX_TEXT = 400


@dataclass(frozen=True, eq=False)
class Gallery:
    """N pictures: what is known about them, what a model sees in them, where they lie.

    Attributes
    ----------
    name : str
        Of the gallery.
    model : str
        Hash of the model that made embeddings and tags.
    index : Index
        Embeddings, names, labels and metadata; item n is picture n.
    predicted : TagRows
        Tags that the model sees.
    labels : TagRows
        Tags that hold: those that people gave, or, where they gave none that the model knows,
        those that reach their operating points.
    given : bool, shape [N]
        Whose labels people gave.
    atlas : Atlas or None
        The map; None where it has not been made yet.
    pictures : Pictures
        In small.
    hash : str
        Of all of it.
    licence, credits : str
        Of the pictures; empty where unknown.
    folder : Path
        Where it lies.
    """

    name: str
    model: str
    index: Index
    predicted: TagRows
    labels: TagRows
    given: Bools
    atlas: Atlas | None
    pictures: Pictures
    hash: str
    licence: str = ""
    credits: str = ""
    folder: Path = field(default=Path())

    def __len__(self) -> int:
        return len(self.predicted)

    @cached_property
    def items(self) -> list[Item]:
        """The items of the index, in the gallery's order."""
        now = self.index.snapshot()
        return now.items[: now.count]

    @cached_property
    def embeddings(self) -> Floats:
        """Of length one: float32, shape [N, D]."""
        return self.index.snapshot().embeddings

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """Numbers of the pictures by their names."""
        return {item.id: n for n, item in enumerate(self.items)}

    def id(self, n: int) -> str:
        """Name of a picture."""
        return self.items[n].id

    def metadata(self, n: int) -> dict[str, Any]:
        """What is known about a picture; a copy.

        Where known: ``title``, ``title_ja``, ``author``, ``licence``, ``source``, ``category``,
        ``language``, ``url``, ``width``, ``height``, ``given`` (tags as people wrote them).
        """
        return self.items[n].metadata


def open_gallery(
    folder: Path,
    *,
    model: str | None = None,
    tags: int | None = None,
    search: Search = "exact",
    graphs: Path | None = None,
) -> Gallery:
    """Read a gallery.

    Parameters
    ----------
    folder : Path
        Of the gallery.
    model : str, optional
        Hash of the model whose gallery it must be; without it, any model's is read.
    tags : int, optional
        How many tags that model has.
    search : {"exact", "auto", "hnsw"}
        How neighbours are found, see :class:`tagger.similarity.Index`.
    graphs : Path, optional
        A folder of this machine for what the approximate search makes.

    Raises
    ------
    GalleryError
        ``gallery-not-found``, ``gallery-damaged``, ``gallery-foreign`` or ``gallery-too-new``.
    RequestError
        ``index-no-usearch`` for ``"hnsw"`` without the library.
    """
    if search == "hnsw" and not hnsw.installed():
        raise RequestError("index-no-usearch")
    facts, text = read_facts(folder)
    if model is not None and facts["model"] != model:
        raise GalleryError("gallery-foreign")
    pictures: Pictures | None = None
    try:
        index = Index.load(folder / INDEX, search=search, graphs=graphs)
        predicted, given, tags_hash = _read_tags(folder / TAGS, facts["count"], tags)
        now = index.snapshot()
        labels = TagRows.certain((item.labels for item in now.items), predicted.tags)
        embeddings = hash_embeddings(now.vectors[: now.count])
        good = (
            now.count == facts["count"]
            and index.model == facts["model"]
            and embeddings == facts["embeddings"]
        )
        if not good:
            raise ValueError("the files are not of one gallery")
        atlas, map_hash = None, ""
        if (folder / MAP).exists():
            atlas, map_hash = read_atlas(folder / MAP), _hash_file(folder / MAP)
            if len(atlas) != facts["count"] or atlas.embeddings != embeddings:
                raise ValueError("the map is one of other pictures")
        pictures = Pictures(folder / facts["pictures"], facts["count"])
        if pictures.sums != facts["picture_sums"]:
            raise ValueError("the pictures are not of this gallery")
        parts = [text, _hash_file(folder / INDEX).encode(), tags_hash.encode(), map_hash.encode()]
        whole = hashlib.sha256(b"\n".join(parts)).hexdigest()[:32]
    except (OSError, ValueError, TaggerError) as error:
        if pictures is not None:
            pictures.close()
        raise GalleryError("gallery-damaged") from error
    return Gallery(
        name=facts["name"],
        model=facts["model"],
        index=index,
        predicted=predicted,
        labels=labels,
        given=given,
        atlas=atlas,
        pictures=pictures,
        hash=whole,
        licence=facts["licence"],
        credits=facts["credits"],
        folder=folder,
    )


def read_facts(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Read and check ``gallery.json``; also its bytes.

    Raises
    ------
    GalleryError
        ``gallery-not-found``, ``gallery-damaged`` or ``gallery-too-new``.
    """
    try:
        with (folder / FACTS).open("rb") as file:
            text = file.read(_MAX_FACTS + 1)
    except OSError as error:
        raise GalleryError("gallery-not-found") from error
    try:
        if len(text) > _MAX_FACTS:
            raise ValueError("too large")
        facts = json.loads(text)
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise ValueError("no gallery")
        version = facts["format_version"]
        if type(version) is not int or version < 1:
            raise ValueError("version")
        if version > FORMAT_VERSION:
            raise GalleryError("gallery-too-new")
        facts = {"licence": "", "credits": "", "pictures": ".", **facts}
        texts = ("name", "model", "embeddings", "pictures", "picture_sums", "licence", "credits")
        if not all(isinstance(facts[name], str) for name in texts):
            raise ValueError("text")
        for number in ("count", "packs"):
            if type(facts[number]) is not int or not 0 <= facts[number] <= MAX_PICTURES:
                raise ValueError(number)
        where = facts["pictures"]
        if PurePosixPath(where).is_absolute() or PureWindowsPath(where).drive or "\0" in where:
            raise ValueError("the pictures lie elsewhere")
    except (ValueError, LookupError, RecursionError) as error:
        raise GalleryError("gallery-damaged") from error
    return facts, text


def _read_tags(path: Path, count: int, tags: int | None) -> tuple[TagRows, Bools, str]:
    with path.open("rb") as file:
        data = file.read(_MAX_TAGS_FILE + 1)
    if len(data) > _MAX_TAGS_FILE:
        raise ValueError("too large")
    names = ("start", "tag", "probability", "given", "tags")
    try:
        arrays = read_arrays(data, names, _MAX_TAGS_FILE)
        given = arrays["given"]
        own = int(arrays["tags"])
    except (KeyError, TypeError) as error:
        raise ValueError("torn") from error
    if tags is not None and own != tags:
        raise ValueError("another number of tags")
    if not 0 <= own <= 10_000_000 or given.dtype != np.bool_ or given.shape != (count,):
        raise ValueError("no tags")
    rows = TagRows(arrays["start"], arrays["tag"], arrays["probability"], own)
    if len(rows) != count:
        raise ValueError("tags of other pictures")
    return rows, given, hashlib.sha256(data).hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- write ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Entry:
    """One picture of a gallery that is being written.

    Attributes
    ----------
    id : str
        Its name, unique.
    embedding : float, shape [D]
        Of length one.
    predicted : sequence of (int, float)
        Tags that the model sees, and their probabilities.
    labels : sequence of int
        Tags that hold.
    given : bool
        Whether people gave the labels.
    metadata : mapping
        What is known about it.
    picture : bytes
        A WebP file, at most 160 pixels wide and high.
    """

    id: str
    embedding: npt.NDArray[Any]
    predicted: Sequence[tuple[int, float]]
    labels: Sequence[int]
    given: bool
    metadata: Mapping[str, Any]
    picture: bytes


def entry_of(gallery: Gallery, n: int) -> Entry:
    """A picture of a gallery, to be written into another."""
    item = gallery.items[n]
    return Entry(
        id=item.id,
        embedding=gallery.index.snapshot().vectors[n],
        predicted=gallery.predicted.of(n),
        labels=item.labels,
        given=bool(gallery.given[n]),
        metadata=item.metadata,
        picture=gallery.pictures.get(n),
    )


def write_gallery(
    folder: Path,
    entries: Iterable[Entry],
    *,
    name: str,
    model: str,
    dimension: int,
    tags: int,
    pictures: str = ".",
    licence: str = "",
    credits: str = "",
) -> None:
    """Write a gallery without a map; few pictures are held at a time.

    Parameters
    ----------
    folder : Path
        Is made. A gallery that lies there is replaced, and its map removed; until the last file
        is written, the folder is refused by who opens it.
    entries : iterable of Entry
        The pictures in order.
    dimension : int
        D.
    tags : int
        T.
    pictures : str
        Where the packs go, from `folder`, with slashes.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = Index(dimension, model, search="exact", precision="float16")
    predicted: list[Sequence[tuple[int, float]]] = []
    given: list[bool] = []
    with PackWriter(folder / pictures) as packs:
        for batch in _batches(entries, 256):
            index.add_many(
                [entry.id for entry in batch],
                np.stack([entry.embedding for entry in batch]),
                [entry.labels for entry in batch],
                [entry.metadata for entry in batch],
            )
            for entry in batch:
                packs.add(entry.picture)
                predicted.append(entry.predicted)
                given.append(entry.given)
    now = index.snapshot()
    (folder / MAP).unlink(missing_ok=True)
    index.save(folder / INDEX)
    write_tags(folder, TagRows.pack(predicted, tags), np.array(given, np.bool_))
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name[:_MAX_TEXT],
        "model": model,
        "count": now.count,
        "embeddings": hash_embeddings(now.vectors[: now.count]),
        "pictures": pictures,
        "packs": packs.packs,
        "picture_sums": packs.sums,
        "licence": licence,
        "credits": credits,
    }
    text = json.dumps(facts, ensure_ascii=False, indent=2) + "\n"
    with replacing(folder / FACTS) as file:
        file.write(text.encode())


def write_tags(folder: Path, predicted: TagRows, given: Bools) -> None:
    """Write ``tags.npz``."""
    data = io.BytesIO()
    np.savez_compressed(
        data,
        start=predicted.start,
        tag=predicted.tag,
        probability=predicted.probability,
        given=given,
        tags=np.int64(predicted.tags),
    )
    with replacing(folder / TAGS) as file:
        file.write(data.getbuffer())


def _batches(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
