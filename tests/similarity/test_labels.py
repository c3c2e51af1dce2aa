"""Sets of tags and what they have in common: against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.similarity import Labels, overlap, rarity
from tests.similarity import naive

SETS = st.lists(st.sets(st.integers(0, 6), max_size=4), max_size=8)


def test_sets_are_sorted_without_doubles_and_cut_like_lists() -> None:
    labels = Labels([[3, 1, 3], [], (2,)])
    assert list(labels) == [(1, 3), (), (2,)]
    assert len(labels) == 3 and labels[0] == (1, 3) and list(labels[1:]) == [(), (2,)]
    assert {tag: rows.tolist() for tag, rows in labels.holders.items()} == {1: [0], 2: [2], 3: [0]}
    assert list(Labels.single([4, 5])) == [(4,), (5,)]


@given(SETS, SETS)
def test_rarity_and_overlap_are_those_of_plain_loops(ours: list, theirs: list) -> None:
    weights = rarity(Labels(theirs))
    assert weights == pytest.approx(naive.rarity(theirs))
    table = overlap(Labels(ours), Labels(theirs), weights)
    assert table.shape == (len(ours), len(theirs)) and table.dtype == np.float32
    for q, a in enumerate(ours):
        for n, b in enumerate(theirs):
            assert table[q, n] == pytest.approx(naive.overlap(a, b, weights), abs=1e-6)


def test_a_rare_tag_in_common_says_more_than_a_common_one() -> None:
    library = Labels([[0, 1], [0, 2], [0], [0], [0], [0]])
    table = overlap(Labels([[0, 1]]), library, rarity(library))
    assert table[0, 0] == 1 and table[0, 1] < table[0, 2] < 0.6
    common, rare = overlap(Labels([[0], [1]]), library, rarity(library))[:, 0]
    assert rare > common


def test_one_label_each_is_equality() -> None:
    table = overlap(Labels.single([1, 2]), Labels.single([2, 1, 1]), {1: 1.3, 2: 2.2})
    assert table.tolist() == [[0, 1, 1], [1, 0, 0]]
