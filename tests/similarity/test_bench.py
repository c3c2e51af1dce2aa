"""The benchmark measures what it says; how long things take is not judged here."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.similarity import bench, hnsw


def test_every_size_is_measured_in_every_way() -> None:
    told: list[str] = []
    figures = bench.bench(
        sizes=(60, 300), dimension=12, queries=15, k=5, seed=3, progress=told.append
    )
    rows = figures["rows"]
    kinds = [kind for kind, *_ in bench.KINDS]
    assert [(row["size"], row["kind"]) for row in rows] == [
        (s, k) for s in (60, 300) for k in kinds
    ]
    for row in rows:
        assert 0 < row["p50"] <= row["p95"] and row["batch"] > 0 and row["build_seconds"] > 0
        assert row["recall"] >= 0.9
        base = next(r for r in rows if r["size"] == row["size"] and r["kind"] == "exact")
        assert row["times"] == pytest.approx(base["p50"] / row["p50"])
    assert {row["kind"]: row["times"] for row in rows}["exact"] == 1
    assert len(told) == 8
    sizes = {row["kind"]: row["megabytes"] for row in rows if row["size"] == 300}
    assert sizes["exact, halves"] * 2 == sizes["exact"] == 300 * 12 * 4 / 1e6


def test_made_vectors_are_the_same_every_time_and_of_length_one() -> None:
    made = bench.clusters(50, 6, 1)
    assert (made == bench.clusters(50, 6, 1)).all() and made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)


def test_real_vectors_and_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "installed", lambda: False)
    figures = bench.bench(sizes=(20, 500), queries=10, vectors=bench.clusters(40, 6, 1))
    assert [row["size"] for row in figures["rows"]] == [20, 20]
    assert figures["dimension"] == 6
