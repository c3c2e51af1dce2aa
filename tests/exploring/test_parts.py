"""Masks, columns and search beside plain definitions."""

from __future__ import annotations

import base64
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import RequestError
from tagger.exploring import columns, masks
from tagger.exploring.searching import TextIndex, fold

# --- masks


@given(st.lists(st.booleans(), max_size=70))
def test_a_mask_is_a_bit_a_picture(bits: list[bool]) -> None:
    data = bytearray((len(bits) + 7) // 8)
    for n, bit in enumerate(bits):
        data[n // 8] |= bit << (n % 8)
    text = base64.b64encode(data).decode()
    assert masks.encode(np.array(bits, np.bool_)) == text
    assert masks.decode(text, len(bits)).tolist() == bits


@pytest.mark.parametrize(
    "text", [None, 7, "", "AA", "AAA=", "AA==AA==", "A!==", "AAAA", "é===", "gA==", ["AA=="]]
)
def test_what_is_no_mask_is_refused(text: object) -> None:
    with pytest.raises(RequestError) as caught:
        masks.decode(text, 7)
    assert caught.value.code == "explore-mask"
    assert masks.decode("fw==", 7).all()


# --- columns


def test_positions_survive_to_half_a_step() -> None:
    values = np.random.default_rng(0).normal(3, 20, (500, 2)).astype(np.float32)
    for axis, (low, high) in zip(values.T, columns.bounds(values), strict=True):
        steps = columns.quantise(axis, low, high)
        assert steps.dtype == np.dtype("<u2") and steps.min() == 0 and steps.max() == 65_535
        back = low + steps / 65_535 * (high - low)
        assert np.abs(back - axis).max() <= (high - low) / 65_535 / 2 * 1.001


@pytest.mark.parametrize("count", [0, 1, 3])
def test_points_in_one_place_have_room(count: int) -> None:
    values = np.full((count, 2), 7.5, np.float32)
    for low, high in columns.bounds(values):
        assert low < high
        assert columns.quantise(values[:, 0], low, high).shape == (count,)


@given(st.lists(st.sampled_from([None, "", *"abcde"]), max_size=40))
def test_a_legend_counts_and_points(values: list[str | None]) -> None:
    found = columns.legend(values)
    assert [found.names[v] for v in found.values] == [value or "" for value in values]
    assert list(found.counts) == [[v or "" for v in values].count(name) for name in found.names]
    known = [count for name, count in zip(found.names, found.counts, strict=True) if name]
    assert known == sorted(known, reverse=True)
    assert "" not in found.names[:-1]


def test_a_legend_of_many_values_ends_in_others() -> None:
    values = [str(n) for n in range(300) for _ in range(300 - n)]
    found = columns.legend(values)
    assert len(found.names) == 255 and found.names[-1] is None
    assert found.names[:3] == ("0", "1", "2")
    assert found.counts[-1] == sum(300 - n for n in range(254, 300))


def test_a_tag_shows_what_people_gave_and_what_was_predicted() -> None:
    given_ = np.array([True, False, False, False])
    predicted = np.array([0.1, 1.0, 0.5, 0.0], np.float32)
    assert columns.tag_bytes(given_, predicted).tolist() == [255, 254, 127, 0]
    odd = np.array([np.nan, -1, 2], np.float32)
    assert columns.share_bytes(odd).tolist() == [0, 0, 255]


# --- search


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café  au_lait", "cafe au lait"),
        ("ＮＥＫＯ", "neko"),
        ("ネコ", "ねこ"),
        ("ﾊﾞﾅﾅ", "ばなな"),
        ("が", "が"),
        ("Straße", "strasse"),
        ("Smørrebrød", "smorrebrod"),
        ("İstanbul", "istanbul"),
        ("t-shirt", "t shirt"),
        ("  ", ""),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold(folded) == folded


def naive(texts: list[list[str]], query: str) -> list[int]:
    wanted = fold(query)
    ranks = []
    for number, names in enumerate(texts):
        folded = [fold(name) for name in names]
        if any(name.startswith(wanted) for name in folded):
            rank = 0
        elif any(f" {wanted}" in name for name in folded):
            rank = 1
        elif any(wanted in name for name in folded):
            rank = 2
        elif all(any(word in name for name in folded) for word in wanted.split(" ")):
            rank = 3
        else:
            continue
        ranks.append((rank, number))
    return [number for _, number in sorted(ranks)] if wanted else []


letters = st.text(alphabet="abA_ é", max_size=6)


@given(st.lists(st.lists(letters, max_size=3), max_size=8), letters, st.integers(0, 9))
def test_search_finds_what_looking_at_each_finds(
    texts: list[list[str]], query: str, limit: int
) -> None:
    assert TextIndex(texts).search(query, limit) == naive(texts, query)[:limit]


def test_a_picture_is_found_by_any_of_its_names() -> None:
    index = TextIndex(
        [["Red apple", "赤いリンゴ", "Ann"], ["Pineapple", "", "Bob"], ["Apple tree"]]
    )
    assert index.search("APPLE", 9) == [2, 0, 1]
    assert index.search("りんご", 9) == [0]
    assert index.search("bob", 9) == [1]
    assert index.search("apple ann", 9) == [0]
    assert index.search("apple", 1) == [2]
    assert index.search(string.punctuation, 9) == []
