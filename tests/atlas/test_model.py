"""Maps in files: they come back as they were, or are refused."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.atlas import Atlas, MapParameters, hash_embeddings, read_atlas, write_atlas


def made(dimensions: int = 2, **parameters: Any) -> Atlas:
    rng = np.random.default_rng(0)
    return Atlas(
        positions=rng.normal(size=(30, dimensions)).astype(np.float32),
        trust=rng.uniform(size=30).astype(np.float32),
        parameters=MapParameters(dimensions=dimensions, **parameters),
        trustworthiness=0.875,
        pca_trustworthiness=0.75,
        seconds=1.5,
        embeddings="e" * 64,
        sample=20 if dimensions == 3 else None,
    )


@pytest.mark.parametrize(
    "parameters", [{}, {"method": "pca"}, {"dens": True, "seed": 7}, {"supervised": True}]
)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_map_comes_back(tmp_path: Path, dimensions: int, parameters: dict[str, Any]) -> None:
    atlas = made(dimensions, **parameters)
    write_atlas(tmp_path / "map.npz", atlas)
    found = read_atlas(tmp_path / "map.npz")
    assert np.array_equal(found.positions, atlas.positions)
    assert np.array_equal(found.trust, atlas.trust)
    assert found.parameters == atlas.parameters
    figures = ("trustworthiness", "pca_trustworthiness", "seconds", "embeddings", "sample")
    assert all(getattr(found, name) == getattr(atlas, name) for name in figures)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "tsne"},
        {"neighbours": 1},
        {"neighbours": 201},
        {"neighbours": True},
        {"min_distance": -0.1},
        {"min_distance": 1.5},
        {"min_distance": float("nan")},
        {"dimensions": 4},
        {"dens": 1},
        {"seed": -1},
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such map"):
        MapParameters(**wrong)


def test_a_file_that_breaks_off_or_is_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    write_atlas(path, made())
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        if draw.random() < 0.5:
            data = whole[: draw.randrange(len(whole))]
        else:
            at = draw.randrange(len(whole))
            data = whole[:at] + bytes([whole[at] ^ (1 << draw.randrange(8))]) + whole[at + 1 :]
        path.write_bytes(data)
        try:
            found = read_atlas(path)
        except ValueError:
            continue
        # A bit that says nothing, such as one of a date.
        assert np.array_equal(found.positions, made().positions)


@pytest.mark.parametrize(
    "wrong",
    [
        {"positions": np.zeros((30, 3), np.float32)},
        {"positions": np.zeros((29, 2), np.float32)},
        {"positions": np.zeros((30, 2), np.float64)},
        {"positions": np.full((30, 2), np.nan, np.float32)},
        {"positions": np.array([{}] * 30, object)},
        {"trust": np.full(30, 1.5, np.float32)},
        {"trust": np.full(30, np.nan, np.float32)},
        {"header": np.zeros(3, np.uint8)},
        {"header": b"[]"},
        {"header": b'{"format": "map", "format_version": 2}'},
        {"header": b'{"format": "map", "format_version": 1, "parameters": []}'},
        {"header": b"[" * 100_000},
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "map.npz"
    write_atlas(path, made())
    with np.load(path) as file:
        arrays = {**file, **wrong}
    if isinstance(arrays["header"], bytes):
        arrays["header"] = np.frombuffer(arrays["header"], np.uint8)
    data = io.BytesIO()
    np.savez(data, **arrays)
    path.write_bytes(data.getvalue())
    with pytest.raises(ValueError):
        read_atlas(path)


def test_another_figure_than_a_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    write_atlas(path, made())
    with np.load(path) as file:
        arrays = dict(file)
    for name, value in (("trustworthiness", 2), ("seconds", -1), ("pca_trustworthiness", None)):
        header = {**json.loads(arrays["header"].tobytes()), name: value}
        changed = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(path, **{**arrays, "header": changed})
        with pytest.raises(ValueError):
            read_atlas(path)


def test_embeddings_are_known_by_their_content() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float16)
    assert hash_embeddings(rows) == hash_embeddings(rows.astype(np.float32))
    assert hash_embeddings(rows) != hash_embeddings(rows[::-1])
    assert hash_embeddings(rows) != hash_embeddings(rows.reshape(10, 12))
