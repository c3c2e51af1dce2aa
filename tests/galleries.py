"""Galleries for tests: of the toy's colours, or of many made-up points."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tagger import bundles
from tagger.atlas import Atlas, MapParameters, hash_embeddings, pca, trust_of_all, write_atlas
from tagger.gallery import Entry, write_gallery
from tagger.gallery.folder import MAP
from tagger.illustration import IllustrationTagger
from tagger.similarity import Index
from tests import toy

CATEGORIES = ("animals", "food", "nature")
LANGUAGES = ("en", "ja", None)
AUTHORS = ("Ann", "Béla", "葵")


def colour(number: int) -> tuple[int, int, int]:
    """Of a picture: near one of the toy's colours, never quite the same."""
    name = toy.TAGS[number % len(toy.TAGS)]
    generator = np.random.default_rng(number)
    r, g, b = np.clip(np.array(name[1]) + generator.integers(-20, 21, 3), 0, 255).tolist()
    return r, g, b


def webp(rgb: tuple[int, int, int], size: tuple[int, int] = (48, 32)) -> bytes:
    """A small picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, rgb).save(file, "WEBP", lossless=True)
    return file.getvalue()


def metadata(number: int) -> dict[str, Any]:
    """Of a picture; of every seventh next to nothing is known."""
    if number % 7 == 6:
        return {"width": 48, "height": 32}
    name, _, _, name_ja, _ = toy.TAGS[number % len(toy.TAGS)]
    data = {
        "title": f"{name.replace('_', ' ').capitalize()} {number}",
        "title_ja": f"{name_ja}{number}" if name_ja else None,
        "author": AUTHORS[number % len(AUTHORS)],
        "licence": "CC0-1.0",
        "source": "an archive" if number % 2 else "another archive",
        "category": CATEGORIES[number % len(CATEGORIES)],
        "language": LANGUAGES[number % len(LANGUAGES)],
        "url": f"https://example.org/{number}",
        "width": 48,
        "height": 32,
        "given": [name] if number % 2 == 0 else None,
    }
    return {key: value for key, value in data.items() if value is not None}


def make_gallery(folder: Path, bundle: Path, count: int = 72, *, mapped: bool = True) -> Path:
    """Write a gallery of the toy's colours, as the toy's model sees them.

    Of every other picture people gave the tag whose colour it has.
    """
    loaded = bundles.load(bundle)
    tagger = IllustrationTagger(loaded, threads=1)
    rgbs = [np.full((8, 8, 3), colour(n), np.uint8) for n in range(count)]
    seen = tagger.predict(rgbs)
    assert seen.embedding is not None
    embeddings = seen.embedding

    def entries() -> Iterator[Entry]:
        for n in range(count):
            row = seen.probabilities[n]
            best = np.argsort(-row, kind="stable")[:10].tolist()
            passing = [tag for tag in range(len(row)) if tagger.tags[tag].passes(float(row[tag]))]
            given = n % 2 == 0
            yield Entry(
                id=f"{CATEGORIES[n % 3]}/picture-{n}.png",
                embedding=embeddings[n],
                predicted=[(tag, float(row[tag])) for tag in sorted({*best, *passing})],
                labels=[n % len(toy.TAGS)] if given else passing,
                given=given,
                metadata=metadata(n),
                picture=webp(colour(n)),
            )

    _write(folder, entries(), loaded.hash, embeddings.shape[1], len(toy.TAGS))
    if mapped:
        add_map(folder)
    return folder


def make_large(folder: Path, model: str, tags: int, count: int, dimension: int = 256) -> Path:
    """Write a gallery of made-up points in clouds, with a made-up map: only for how fast it is."""
    generator = np.random.default_rng(0)
    clouds = generator.normal(size=(40, dimension)).astype(np.float32)
    cloud = generator.integers(0, 40, count)
    rows = clouds[cloud] + generator.normal(0, 0.6, (count, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    picture = webp((120, 160, 200))
    shares = 1 / (1 + np.arange(tags)) ** 0.8
    chances = shares / shares.sum()

    def entries() -> Iterator[Entry]:
        for n in range(count):
            own = set(generator.choice(tags, 5, p=chances).tolist()) | {int(cloud[n])}
            more = own | set(generator.choice(tags, 8).tolist())
            yield Entry(
                id=f"cloud-{cloud[n]}/{n:06}.png",
                embedding=rows[n],
                predicted=[(tag, 0.9 if tag in own else 0.1) for tag in sorted(more)],
                labels=sorted(own),
                given=n % 3 == 0,
                metadata={
                    "title": f"Picture {n} of cloud {cloud[n]}",
                    "author": f"Author {n % 500}",
                    "licence": "CC0-1.0",
                    "source": f"Source {n % 12}",
                    "category": f"Cloud {cloud[n]}",
                    "language": LANGUAGES[n % 3] or "de",
                },
                picture=picture,
            )

    _write(folder, entries(), model, dimension, tags)
    stored = Index.load(folder / "pictures.index").snapshot()
    places = generator.normal(size=(40, 2)) * 8
    positions = (places[cloud] + generator.normal(size=(count, 2))).astype(np.float32)
    trust = generator.uniform(0, 1, count).astype(np.float32)
    found = hash_embeddings(stored.vectors[: stored.count])
    write_atlas(folder / MAP, Atlas(positions, trust, MapParameters("umap"), 0.9, 0.7, 1.0, found))
    return folder


def add_map(folder: Path, dimensions: int = 2) -> Atlas:
    """Give a gallery a map by PCA, which takes no time."""
    rows = Index.load(folder / "pictures.index").snapshot().embeddings
    positions = pca(rows, dimensions)
    (trust,) = trust_of_all(rows, [positions])
    whole = float(trust.mean())
    parameters = MapParameters("pca", dimensions=dimensions)
    found = hash_embeddings(rows)
    atlas = Atlas(positions, trust, parameters, whole, whole, 0.0, found)
    write_atlas(folder / MAP, atlas)
    return atlas


def _write(folder: Path, entries: Iterator[Entry], model: str, dimension: int, tags: int) -> None:
    write_gallery(
        folder,
        entries,
        name="Toy pictures",
        model=model,
        dimension=dimension,
        tags=tags,
        licence="CC0-1.0",
        credits="Made for tests",
    )
