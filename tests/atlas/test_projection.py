"""PCA beside scikit-learn's, and the place of a new point beside a search of all places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from tagger.atlas import pca, place
from tests.atlas import naive


@pytest.mark.parametrize("dimensions", [2, 3])
def test_pca_is_that_of_scikit_learn(dimensions: int) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 12)) * np.arange(1, 13)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    expected = PCA(dimensions, svd_solver="full").fit_transform(rows.astype(np.float64))
    assert pca(rows, dimensions) == pytest.approx(expected, abs=1e-5)
    assert pca(rows.astype(np.float16), dimensions) == pytest.approx(expected, abs=1e-2)


def test_what_has_no_such_axis_lies_in_the_middle_of_it() -> None:
    rows = np.array([[1.0], [3.0], [5.0]])
    assert pca(rows, 2).tolist() == [[-2, 0], [0, 0], [2, 0]]
    assert pca(np.empty((0, 4)), 3).shape == (0, 3)
    assert pca(np.ones((1, 4)), 2).tolist() == [[0, 0]]


def test_a_place_is_the_best_of_all_places() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        positions = rng.normal(size=(6, 2)) * 5
        cosines = sorted(rng.uniform(0.2, 0.9, 6).tolist(), reverse=True)
        here = place(positions, cosines)
        found = naive.cost(here, positions, cosines)
        around = np.linspace(-0.2, 0.2, 9)
        others = [here + np.array([dx, dy]) for dx in around for dy in around] + list(positions)
        best = min(naive.cost(other, positions, cosines) for other in others)
        assert found <= best + 1e-3


def test_a_picture_of_two_kinds_goes_to_one_of_them_and_not_between() -> None:
    positions = np.array([[0, 0], [0.1, 0], [0, 0.1], [10, 10], [10.1, 10]])
    here = place(positions, [0.8, 0.79, 0.78, 0.77, 0.76])
    assert np.abs(here).max() < 0.2


def test_the_same_picture_goes_to_the_same_place() -> None:
    positions = [[3.0, 4.0], [9.0, 9.0], [0.0, 0.0]]
    assert place(positions, [0.9999, 0.95, 0.95]).tolist() == [3, 4]
    assert place([[1.0, 2.0, 3.0]], [-0.5]).tolist() == [1, 2, 3]


def test_neighbours_that_are_equally_near_count_alike() -> None:
    corners = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]
    assert place(corners, [0.5] * 4) == pytest.approx(np.array([1, 1]), abs=1e-4)


@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32), st.floats(-1, 1)),
        min_size=1,
        max_size=12,
    )
)
def test_a_place_is_within_its_neighbours(neighbours: list[tuple[float, float, float]]) -> None:
    neighbours.sort(key=lambda one: -one[2])
    positions = np.array([one[:2] for one in neighbours])
    here = place(positions, [one[2] for one in neighbours])
    assert np.isfinite(here).all()
    assert (here >= positions.min(axis=0) - 1e-2).all()
    assert (here <= positions.max(axis=0) + 1e-2).all()


def test_nothing_cannot_be_placed_among_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        place(np.empty((0, 2)), [])
    with pytest.raises(ValueError, match="as many"):
        place([[0.0, 0.0]], [0.5, 0.4])
