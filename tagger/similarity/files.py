"""An index as one file: a ZIP archive that any program can look into.

``header.json`` says what it is, ``items.jsonl`` holds an item a line, ``embeddings.bin`` their
embeddings as plain little-endian numbers, ``calibration.json`` the cut-points if there are any.
Nothing in it is ever run or trusted: sizes are compared before anything is read, and what does
not fit together is refused. The archive's own check sums find what is torn.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tagger.atomic import replacing
from tagger.errors import IndexFileError, LimitError, TaggerError
from tagger.similarity.hnsw import Graph
from tagger.similarity.items import MAX_DIMENSION, MAX_ITEMS, MAX_METADATA_BYTES, Item, item

Ints = npt.NDArray[np.int64]

FORMAT = "similarity-index"
FORMAT_VERSION = 1

HEADER, ITEMS, EMBEDDINGS, CALIBRATION = (
    "header.json",
    "items.jsonl",
    "embeddings.bin",
    "calibration.json",
)

# What is read into memory at most.
MAX_BYTES = 16 * 2**30
_MAX_ITEMS = 2 * 2**30
_MAX_SMALL = 64 * 2**20
_MAX_LINE = 4 * MAX_METADATA_BYTES + 32_768

# Graphs of other embeddings that are kept: those of indexes as they were are of no use any more.
_KEPT_GRAPHS = 8

# What is left of a save that was killed is taken away by a later one, when it is surely nobody's.

# The same content gives the same bytes, whenever it was written.
_TIME = (1980, 1, 1, 0, 0, 0)

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, eq=False)
class Content:
    """What a file holds.

    Attributes
    ----------
    model : str
        Hash of the model.
    search : str
        How the index is asked.
    vectors : float32 or float16, shape [N, D]
        Of length one.
    keys : int64, shape [N]
        Ascending; the graph's names for the rows.
    items : list of Item
        N items.
    next_key : int
        Above all keys.
    calibration : dict or None
        Cut-points.
    """

    model: str
    search: str
    vectors: npt.NDArray[Any]
    keys: Ints
    items: list[Item]
    next_key: int
    calibration: dict[str, Any] | None


# --- write ---------------------------------------------------------------------------------------


def write(path: Path, content: Content) -> None:
    """Write a file that takes its place only when it is complete and on the disk.

    Raises
    ------
    OSError
        If it cannot be written; the old one then stays.
    """

    def fill(file: IO[bytes]) -> None:
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": content.model,
            "search": content.search,
            "count": len(content.items),
            "dimension": content.vectors.shape[1],
            "precision": content.vectors.dtype.name,
            "next_key": content.next_key,
        }
        with zipfile.ZipFile(file, "w") as archive:
            _member(archive, HEADER).writestr_json(header)
            with _member(archive, ITEMS).open() as out:
                for key, entry in zip(content.keys.tolist(), content.items, strict=True):
                    line = {"key": key, "id": entry.id, "labels": entry.labels}
                    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
                    out.write(f'{text[:-1]},"metadata":{entry.text}}}\n'.encode())
            with _member(archive, EMBEDDINGS, packed=False).open() as out:
                kind = content.vectors.dtype.newbyteorder("<")
                for start in range(0, len(content.vectors), 16_384):
                    out.write(content.vectors[start : start + 16_384].astype(kind).tobytes())
            if content.calibration is not None:
                _member(archive, CALIBRATION).writestr_json(content.calibration)

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        fill(file)


@dataclass(frozen=True)
class _Member:
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def open(self) -> IO[bytes]:
        return self.archive.open(self.info, "w", force_zip64=True)

    def writestr_json(self, data: Any) -> None:
        self.archive.writestr(self.info, json.dumps(data, ensure_ascii=False, allow_nan=False))


def _member(archive: zipfile.ZipFile, name: str, *, packed: bool = True) -> _Member:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    return _Member(archive, info)


# --- read ----------------------------------------------------------------------------------------


def read(path: Path) -> Content:
    """Read a file that may come from a stranger.

    Raises
    ------
    IndexFileError
        ``index-not-found``, ``index-damaged`` or ``index-too-new``.
    LimitError
        ``index-too-large``.
    """
    try:
        if not path.is_file():
            raise IndexFileError("index-not-found")
        file = path.open("rb")
    except OSError as error:
        raise IndexFileError("index-not-found") from error
    try:
        with file, zipfile.ZipFile(file) as archive:
            return _read(archive)
    except _BROKEN as error:
        raise IndexFileError("index-damaged") from error


def _read(archive: zipfile.ZipFile) -> Content:
    header = json.loads(_bytes(archive, HEADER, _MAX_SMALL))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("no index")
    version = _whole(header["format_version"], 1, 1_000_000)
    if version > FORMAT_VERSION:
        raise IndexFileError("index-too-new")
    count = _whole(header["count"], 0, MAX_ITEMS)
    dimension = _whole(header["dimension"], 1, MAX_DIMENSION)
    next_key = _whole(header["next_key"], 0, 2**62)
    if header["precision"] not in ("float32", "float16"):
        raise ValueError("precision")
    if header["search"] not in ("auto", "exact", "hnsw"):
        raise ValueError("search")
    if not isinstance(header["model"], str):
        raise ValueError("model")
    kind = np.dtype(header["precision"]).newbyteorder("<")
    size = count * dimension * kind.itemsize
    if size > MAX_BYTES:
        raise LimitError("index-too-large", limit=MAX_BYTES)
    info = archive.getinfo(EMBEDDINGS)
    # Not packed, so that no small file unfolds to a large one.
    if info.file_size != size or info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("embeddings")
    data = _bytes(archive, EMBEDDINGS, size)
    vectors = np.frombuffer(data, kind).reshape(count, dimension).astype(kind.name, copy=False)
    for start in range(0, count, 16_384):
        lengths = np.linalg.norm(vectors[start : start + 16_384].astype(np.float32), axis=1)
        # Written so that "not a number" fails, too.
        if not bool((np.abs(lengths - 1) < 0.01).all()):
            raise ValueError("embeddings")
    keys, items = _items(archive, count)
    if count and (bool((np.diff(keys) <= 0).any()) or keys[0] < 0 or keys[-1] >= next_key):
        raise ValueError("keys")
    calibration = None
    if CALIBRATION in archive.namelist():
        calibration = json.loads(_bytes(archive, CALIBRATION, _MAX_SMALL))
        if not isinstance(calibration, dict):
            raise ValueError("calibration")
    return Content(header["model"], header["search"], vectors, keys, items, next_key, calibration)


def _items(archive: zipfile.ZipFile, count: int) -> tuple[Ints, list[Item]]:
    if archive.getinfo(ITEMS).file_size > _MAX_ITEMS:
        raise LimitError("index-too-large", limit=_MAX_ITEMS)
    keys = np.empty(count, np.int64)
    items: list[Item] = []
    with archive.open(ITEMS) as lines:
        for row in range(count):
            line = lines.readline(_MAX_LINE)
            entry = json.loads(line)
            keys[row] = _whole(entry["key"], 0, 2**62)
            try:
                items.append(item(entry["id"], entry["labels"], entry["metadata"]))
            except TaggerError as error:
                raise ValueError("item") from error
        if lines.read(1):  # to the end, where the check sum is compared
            raise ValueError("items")
    if len({entry.id for entry in items}) < count:
        raise ValueError("ids")
    return keys, items


def _bytes(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise ValueError("too large")
    return archive.read(info)


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError("no such number")
    return value


# --- the graph -----------------------------------------------------------------------------------


def _graph_path(folder: Path, content: Content) -> Path:
    digest = hashlib.sha256(content.model.encode())
    digest.update(content.keys.tobytes())
    for start in range(0, len(content.vectors), 16_384):
        digest.update(np.ascontiguousarray(content.vectors[start : start + 16_384]).tobytes())
    return folder / f"{digest.hexdigest()[:32]}.graph"


def write_graph(folder: Path, content: Content, graph: Graph) -> None:
    """Keep a graph under the name of what it was made of."""
    data = graph.dump()
    path = _graph_path(folder, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        _all(file, data)
    others = [entry for entry in folder.glob("*.graph") if entry != path]
    for old in sorted(others, key=_modified)[:-_KEPT_GRAPHS]:
        old.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # somebody else was quicker
        return 0.0


def _all(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def read_graph(folder: Path, content: Content) -> Graph | None:
    """Bring back the graph of these very embeddings; None if there is none."""
    path = _graph_path(folder, content)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return Graph.restore(data, content.vectors.shape[1], len(content.items))
