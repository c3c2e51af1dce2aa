"""How far a map can be trusted, beside scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as reference

from tagger.atlas import pca, sample_of, trust, trust_of_all, trusting, trustworthiness
from tests.atlas import naive


def clusters(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(7, dimension))
    rows = centres[rng.integers(0, 7, count)] + rng.normal(size=(count, dimension)) * 0.6
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, 15])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("map_", ["pca", "noise", "itself"])
def test_trustworthiness_is_that_of_scikit_learn(k: int, dimensions: int, map_: str) -> None:
    rows = clusters(301)
    positions = {
        "pca": pca(rows, dimensions),
        "noise": np.random.default_rng(1).normal(size=(301, dimensions)).astype(np.float32),
        "itself": rows[:, :dimensions] * 40 + 1000,
    }[map_]
    expected = reference(rows, positions, n_neighbors=k, metric="cosine")
    assert trustworthiness(rows, positions, k) == pytest.approx(expected, abs=2e-6)


def test_more_points_than_a_block_holds() -> None:
    rows = clusters(3001)
    positions = pca(rows, 2)
    expected = reference(rows, positions, n_neighbors=15, metric="cosine")
    values = trust(rows, positions)
    assert values.shape == (3001,) and values.dtype == np.float32
    assert values.mean() == pytest.approx(expected, abs=2e-6)
    assert trustworthiness(rows, positions, 15) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("kind", ["pca", "far", "line", "apart", "steps"])
def test_neighbours_on_the_map_are_looked_for_far_enough(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = clusters(700)
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(700, 3)).astype(np.float32)
    positions = {
        "pca": pca(rows, 2),
        # One lies so far off that the others seem to be in one place.
        "far": np.concatenate([noise[:1] + 1e4, noise[1:]]),
        "line": noise * np.float32([1, 0, 0]),
        "apart": noise + 50 * rng.integers(0, 3, (700, 1)).astype(np.float32),
        # Along the widest axis many lie at the same place, and are told apart by another.
        "steps": noise * np.float32([0, 1, 0]) + np.round(noise) * np.float32([4, 0, 0]),
    }[kind]
    among_all = trust(rows, positions, 9)
    monkeypatch.setattr(trusting, "_STRIP", 4)
    assert trust(rows, positions, 9) == pytest.approx(among_all, abs=1e-6)


def test_of_many_points_trust_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clusters(3001)
    maps = [pca(rows, 2), np.random.default_rng(1).normal(size=(3001, 2)).astype(np.float32)]
    exact = trust_of_all(rows, maps)
    assert sample_of(3001) is None
    monkeypatch.setattr(trusting, "ALL_UP_TO", 3000)
    monkeypatch.setattr(trusting, "SAMPLE", 500)
    assert sample_of(3001) == 500
    for whole, estimated in zip(exact, trust_of_all(rows, maps), strict=True):
        assert np.abs(estimated - whole).max() < 0.05
        assert estimated.mean() == pytest.approx(whole.mean(), abs=0.002)
        assert estimated.min() >= 0 and estimated.max() <= 1
    again = trust_of_all(rows, maps[:1])[0]
    assert np.array_equal(again, trust_of_all(rows, maps)[0])


@pytest.mark.parametrize("k", [1, 4, 15])
def test_each_point_is_judged_as_plain_loops_do(k: int) -> None:
    rows = clusters(61, seed=2)
    positions = np.random.default_rng(3).normal(size=(61, 2)).astype(np.float32)
    assert trust(rows, positions, k) == pytest.approx(naive.trust(rows, positions, k), abs=1e-6)


def test_equal_pictures_are_ranked_by_their_numbers() -> None:
    rows = np.repeat(np.eye(4, dtype=np.float32), 8, axis=0)  # exact products: all ties are equal
    positions = np.random.default_rng(4).normal(size=(32, 2)).astype(np.float32)
    assert trust(rows, positions, 5) == pytest.approx(naive.trust(rows, positions, 5), abs=1e-6)


def test_the_best_map_and_the_worst() -> None:
    angles = np.linspace(0, 1, 40) ** 1.37 * np.pi * 0.9
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert trust(rows, rows, 5) == pytest.approx(np.ones(40))
    # A map in which one half lies on the other.
    numbers = np.arange(40, dtype=np.float32)
    folded = np.where(numbers < 20, numbers, numbers - 19.6)[:, None]
    values = trust(rows, folded, 5)
    assert values.min() >= 0 and values.max() < 0.9


def test_several_maps_at_once_are_judged_as_each_alone() -> None:
    rows = clusters(200)
    maps = [pca(rows, 2), pca(rows, 3), np.zeros((200, 2), np.float32)]
    for positions, values in zip(maps, trust_of_all(rows, maps, 7), strict=True):
        assert values == pytest.approx(trust(rows, positions, 7))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_points_are_trusted(count: int) -> None:
    rows = clusters(count) if count else np.empty((0, 16), np.float32)
    positions = np.zeros((count, 2), np.float32)
    assert trust(rows, positions).tolist() == [1.0] * count
    assert trustworthiness(rows, positions) == 1.0


def test_fewer_points_than_neighbours_are_judged_by_as_many_as_make_sense() -> None:
    rows = clusters(9)
    positions = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    assert trust(rows, positions, 15) == pytest.approx(naive.trust(rows, positions, 4), abs=1e-6)


def test_maps_of_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        trust(clusters(5), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="at least 1"):
        trust(clusters(5), np.zeros((5, 2)), 0)
