"""Galleries made up for tests, with everything known about them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tagger.atlas import Atlas, MapParameters, hash_embeddings, write_atlas
from tagger.gallery import MAP, Entry, open_gallery, write_gallery

MODEL = "m" * 16
TAGS = 7


def webp(number: int, size: tuple[int, int] = (16, 12)) -> bytes:
    file = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 13 % 256)
    Image.new("RGB", size, colour).save(file, "WEBP")
    return file.getvalue()


def entries(count: int = 30) -> list[Entry]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    made = []
    for n in range(count):
        tags = sorted(rng.choice(TAGS, rng.integers(0, 5), replace=False).tolist())
        predicted = [(tag, float(np.float16(rng.uniform()))) for tag in tags]
        metadata: dict[str, Any] = {"title": f"絵 {n}", "category": f"kind/{n % 3}", "width": 160}
        if n % 2:
            metadata["given"] = ["cat", f"raw {n}"]
        labels = [n % TAGS] if n % 2 else tags[:1]
        made.append(
            Entry(f"深/{n}.png", rows[n], predicted, labels, bool(n % 2), metadata, webp(n))
        )
    return made


def write(folder: Path, count: int = 30, *, mapped: bool = True, **options: Any) -> list[Entry]:
    """Write a gallery; what it is made of."""
    made = entries(count)
    facts = {"name": "Made", "model": MODEL, "dimension": 6, "tags": TAGS, "licence": "CC0"}
    write_gallery(folder, made, **{**facts, **options})
    if mapped:
        write_atlas(folder / MAP, atlas(folder))
    return made


def atlas(folder: Path) -> Atlas:
    gallery = open_gallery(folder)
    gallery.pictures.close()
    rng = np.random.default_rng(1)
    return Atlas(
        positions=rng.normal(size=(len(gallery), 2)).astype(np.float32),
        trust=rng.uniform(size=len(gallery)).astype(np.float32),
        parameters=MapParameters("pca"),
        trustworthiness=0.75,
        pca_trustworthiness=0.75,
        seconds=0.5,
        embeddings=hash_embeddings(gallery.embeddings),
    )
