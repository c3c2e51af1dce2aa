"""Pictures and labels packed once, so that epochs read memory instead of decoding files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagger.images import ImageLimits, letterbox, read
from tagger.taglist import BuiltTag, TagListBuilder
from tagger.taglist.builder import Labelled
from tagger.training.sources import Record


@dataclass(frozen=True)
class Packed:
    """A data set in memory.

    Attributes
    ----------
    rgba
        uint8 ``[N, P, P, 4]``, straight alpha, centred on a clear square.
    rgb
        uint8 ``[N, S, S, 3]``: the same pictures exactly as serving would see them.
    labels
        uint8 ``[N, T]``.
    concepts, sources, splits
        Text ``[N]``.
    """

    rgba: NDArray[np.uint8]
    rgb: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    concepts: NDArray[np.str_]
    sources: NDArray[np.str_]
    splits: NDArray[np.str_]

    def rows(self, split: str) -> NDArray[np.int64]:
        """Row numbers of a split."""
        return np.flatnonzero(self.splits == split)


def pack(
    records: Sequence[Record],
    builder: TagListBuilder,
    tags: Sequence[BuiltTag],
    folder: Path,
    *,
    side: int,
    size: int,
) -> Packed:
    """Decode every picture once, or reuse what an earlier run with the same input left.

    Parameters
    ----------
    side
        ``P``, side of the pictures that training varies.
    size
        ``S``, the side that serving feeds the model.
    """
    key = _key(records, tags, side, size)
    target = folder / f"pack-{key}"
    if not (target / "done.json").exists():
        _write(records, builder, tags, target, side=side, size=size)
    text = json.loads((target / "done.json").read_text())
    return Packed(
        rgba=np.load(target / "rgba.npy", mmap_mode="r"),
        rgb=np.load(target / "rgb.npy", mmap_mode="r"),
        labels=np.load(target / "labels.npy"),
        concepts=np.array(text["concepts"]),
        sources=np.array(text["sources"]),
        splits=np.array(text["splits"]),
    )


def _key(records: Sequence[Record], tags: Sequence[BuiltTag], side: int, size: int) -> str:
    digest = hashlib.sha256(f"{side} {size} {[t.name for t in tags]}".encode())
    for r in records:
        stamp = r.image.stat().st_mtime_ns if isinstance(r.image, Path) else len(r.image)
        digest.update(f"{r.id}\0{r.split}\0{r.tags}\0{stamp}\n".encode())
    return digest.hexdigest()[:16]


def _write(
    records: Sequence[Record],
    builder: TagListBuilder,
    tags: Sequence[BuiltTag],
    target: Path,
    *,
    side: int,
    size: int,
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    count = len(records)
    index = {tag.name: i for i, tag in enumerate(tags)}
    open_new = np.lib.format.open_memmap
    rgba = open_new(target / "rgba.npy", "w+", np.uint8, (count, side, side, 4))
    rgb = open_new(target / "rgb.npy", "w+", np.uint8, (count, size, size, 3))
    labels = np.zeros((count, len(tags)), np.uint8)
    for i, record in enumerate(records):
        data = record.read_bytes()
        rgba[i] = clear_square(data, side)
        picture = read(data, limits=ImageLimits(), target=size)
        rgb[i] = letterbox(picture.rgb, size)
        for name in builder.names(labelled(record)):
            if name in index:
                labels[i, index[name]] = 1
    rgba.flush()
    rgb.flush()
    np.save(target / "labels.npy", labels)
    text = {
        "concepts": [r.concept for r in records],
        "sources": [r.source for r in records],
        "splits": [r.split for r in records],
    }
    # Written last: a pack that was cut off is made anew.
    (target / "done.json").write_text(json.dumps(text))


def labelled(record: Record, silent: Sequence[str] = ()) -> Labelled:
    """What the tag list needs of a record."""
    return Labelled(
        record.concept,
        record.tags,
        record.category,
        record.title,
        record.source not in silent,
        record.author,
    )


def clear_square(data: bytes, side: int) -> NDArray[np.uint8]:
    """A picture centred on a clear square: uint8 ``[side, side, 4]``, straight alpha.

    Resampled with premultiplied colour, so that what lies hidden under clear pixels never
    bleeds into the edge.
    """
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGBA").convert("RGBa")
    width, height = image.size
    scale = side / max(width, height)
    fitted = image.resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC
    )
    square = Image.new("RGBa", (side, side))
    square.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
    return np.asarray(square.convert("RGBA"))
