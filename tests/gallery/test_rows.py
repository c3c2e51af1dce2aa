"""Tags of many pictures, beside lists of lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.gallery import TagRows

TAGS = 6
tables = st.lists(
    st.dictionaries(st.integers(0, TAGS - 1), st.floats(0, 1, width=16), max_size=TAGS),
    max_size=12,
)


@given(tables, st.integers(0, 2**12 - 1))
def test_they_are_those_that_went_in(table: list[dict[int, float]], bits: int) -> None:
    rows = TagRows.pack([list(row.items()) for row in table], TAGS)
    assert len(rows) == len(table)
    for n, row in enumerate(table):
        assert rows.of(n) == sorted(row.items(), key=lambda pair: (-pair[1], pair[0]))
    for tag in range(TAGS):
        assert rows.column(tag).tolist() == [row.get(tag, 0.0) for row in table]
        assert rows.has(tag).tolist() == [tag in row for row in table]
    mask = np.array([bool(bits >> n & 1) for n in range(len(table))], np.bool_)
    for chosen in (None, mask):
        counted = [row for n, row in enumerate(table) if chosen is None or mask[n]]
        expected = [sum(tag in row for row in counted) for tag in range(TAGS)]
        assert rows.counts(chosen).tolist() == expected


def test_what_holds_is_certain() -> None:
    rows = TagRows.certain([[3, 1], [], [2]], TAGS)
    assert rows.of(0) == [(1, 1.0), (3, 1.0)] and rows.of(1) == []
    assert rows.tag.dtype == np.int16 and rows.probability.dtype == np.float16
    assert TagRows.certain([[40_000]], 50_000).of(0) == [(40_000, 1.0)]


@pytest.mark.parametrize("tag", [-1, TAGS, 2**15, 2**40])
def test_no_other_tag_than_there_are(tag: int) -> None:
    with pytest.raises(ValueError):
        TagRows.certain([[1], [tag]], TAGS)


def test_rows_that_go_once_around_all_numbers_are_refused() -> None:
    # Each row seems to be short, and the last one ends where it should.
    steps = np.arange(0, 2**32 + 1, 2**17, dtype=np.int64)
    start = (steps % 2**32).astype(np.uint32).view(np.int32)
    assert start[0] == start[-1] == 0
    with pytest.raises(ValueError):
        TagRows(start, np.empty(0, np.int16), np.empty(0, np.float16), TAGS)


def test_there_is_no_picture_beyond_the_last() -> None:
    rows = TagRows.certain([[1]], TAGS)
    for n in (-1, 1):
        with pytest.raises(IndexError):
            rows.of(n)


def arrays(**changed: Any) -> tuple[Any, ...]:
    whole = {
        "start": np.array([0, 2, 3], np.int32),
        "tag": np.array([1, 2, 1], np.int16),
        "probability": np.array([0.5, 0.25, 1], np.float16),
    }
    return tuple({**whole, **changed}.values())


@pytest.mark.parametrize(
    "changed",
    [
        {"start": np.array([0, 2], np.int32)},
        {"start": np.array([1, 2, 3], np.int32)},
        {"start": np.array([0, 4, 3], np.int32)},
        {"start": np.array([0, 2, 3], np.int64)},
        {"start": np.array([[0, 2, 3]], np.int32)},
        {"start": np.array([], np.int32)},
        {"tag": np.array([1, TAGS, 1], np.int16)},
        {"tag": np.array([1, -1, 1], np.int16)},
        {"tag": np.array([1, 1, 1], np.int16)},
        {"tag": np.array([1, 2], np.int16)},
        {"probability": np.array([0.5, 2, 1], np.float16)},
        {"probability": np.array([0.5, np.nan, 1], np.float16)},
        {"probability": np.array([0.5, 0.5, 1], np.float32)},
    ],
)
def test_what_does_not_fit_together_is_refused(changed: dict[str, Any]) -> None:
    TagRows(*arrays(), TAGS)
    with pytest.raises(ValueError):
        TagRows(*arrays(**changed), TAGS)
