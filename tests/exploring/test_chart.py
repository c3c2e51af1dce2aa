"""A chart beside plain loops over what the gallery was made of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tagger.errors import RequestError
from tagger.exploring import Chart
from tagger.exploring.chart import COLUMNS
from tagger.exploring.words import legend_label
from tagger.gallery.folder import INDEX
from tagger.settings import DEFAULT_GALLERY
from tagger.similarity import Index
from tagger.tags import Tag, TagList
from tests import galleries, toy

COUNT = 72


def held(chart: Chart) -> list[set[int]]:
    """The tags of each picture, from the index."""
    return [set(item.labels) for item in chart.index.snapshot().items]


def test_the_columns_are_where_they_are_said_to_be(chart: Chart) -> None:
    about = chart.about()
    assert about["columns"] == list(COLUMNS) and about["bytes_per_point"] == 8
    data = chart.points
    assert len(data) == 8 * COUNT
    x, y = np.frombuffer(data, "<u2", 2 * COUNT).reshape(2, COUNT)
    kinds = np.frombuffer(data, np.uint8, offset=4 * COUNT).reshape(4, COUNT)
    for steps, axis, name in zip((x, y), chart.atlas.positions.T, "xy", strict=True):
        low, high = about["bounds"][name]
        back = low + steps / 65_535 * (high - low)
        np.testing.assert_allclose(back, axis, atol=(high - low) / 65_535)
    for column, name in zip(kinds, ("category", "source", "language"), strict=False):
        names = {entry["value"]: entry["name"] for entry in about["legends"][name]}
        for n, value in enumerate(column.tolist()):
            assert names[value] == galleries.metadata(n).get(name, "")
    np.testing.assert_allclose(kinds[3] / 255, chart.atlas.trust, atol=1 / 255)


def test_a_flat_map_has_no_depth(chart: Chart) -> None:
    assert chart.depth is None


@pytest.mark.parametrize("tag", [0, 7, 12, 23])
def test_a_tag_over_the_map(chart: Chart, tag: int) -> None:
    for _ in range(2):  # made, then kept
        column = np.frombuffer(chart.tag_column(tag), np.uint8)
        for n, value in enumerate(column.tolist()):
            said = dict(chart.predicted.of(n)).get(tag, 0.0)
            given = n % 2 == 0 and n % len(toy.TAGS) == tag
            assert value == (255 if given else round(254 * said))


@pytest.mark.parametrize("tag", [-1, len(toy.TAGS)])
def test_a_tag_that_is_not_there(chart: Chart, tag: int) -> None:
    with pytest.raises(RequestError) as caught:
        chart.tag_column(tag)
    assert caught.value.code == "explore-no-tag"


def test_tags_are_counted(chart: Chart) -> None:
    listed = chart.about("ja")["tags"]
    for entry in listed:
        assert entry["count"] == sum(entry["tag"] in tags for tags in held(chart))
        assert entry["label"] == chart.tags[entry["tag"]].display("ja")
    counts = [entry["count"] for entry in listed]
    assert counts == sorted(counts, reverse=True)


def test_given_tags_come_first_and_are_said_to_be_given(chart: Chart) -> None:
    for n in range(COUNT):
        tags = chart.picture_tags(n)
        given = [entry for entry in tags if entry["given"]]
        assert tags[: len(given)] == given
        assert [entry["tag"] for entry in given] == ([n % len(toy.TAGS)] if n % 2 == 0 else [])
        said = [entry["probability"] for entry in tags[len(given) :]]
        assert said == sorted(said, reverse=True)
        assert len({entry["tag"] for entry in tags}) == len(tags)
        brief = chart.brief(n)["tags"]
        assert 1 <= len(brief) <= 5
        assert all(entry["passes"] for entry in brief) or len(brief) == 1


def test_neighbours_are_those_of_the_embedding(chart: Chart) -> None:
    rows = chart.index.snapshot().embeddings.astype(np.float64)
    tags = held(chart)
    for n in (0, 12, 71):
        # As they are kept, in halves: not quite of length one.
        cosines = rows @ (rows[n] / np.linalg.norm(rows[n]))
        cosines[n] = -2
        best = np.argsort(-cosines, kind="stable")[:9]
        found = chart.detail(n, 9)["neighbours"]
        assert [near["number"] for near in found] == best.tolist()
        for near in found:
            assert near["cosine"] == pytest.approx(cosines[near["number"]], abs=1e-3)
            shared = {entry["tag"] for entry in near["shared"]}
            assert shared == tags[n] & tags[near["number"]]


def test_a_picture_may_have_a_japanese_title_or_none(chart: Chart) -> None:
    assert chart.title(12) == "Cat 12"
    assert chart.title(12, "ja") == "猫12"
    assert chart.title(6) == "picture-6"  # nothing is known of it but its file
    assert chart.title(15, "ja") == "^ ^ 15"  # no Japanese one


def test_a_selection_counts_what_a_loop_counts(chart: Chart) -> None:
    mask = np.zeros(COUNT, np.bool_)
    mask[[0, 12, 24, 36, 48, 60, 1, 7]] = True
    answer = chart.select(mask)
    chosen, tags = np.flatnonzero(mask).tolist(), held(chart)
    assert answer["count"] == 8 and answer["numbers"] == sorted(chosen)
    here = {
        tag: sum(tag in tags[n] for n in chosen) for tag in set().union(*(tags[n] for n in chosen))
    }
    assert {entry["tag"]: entry["here"] for entry in answer["shared"]} == here
    for entry in answer["shared"]:
        everywhere = sum(entry["tag"] in one for one in tags)
        assert entry["everywhere"] == everywhere
        assert entry["lift"] == pytest.approx(entry["here"] / 8 / (everywhere / COUNT), abs=1e-4)
        ways = sum(
            math.comb(everywhere, k) * math.comb(COUNT - everywhere, 8 - k)
            for k in range(entry["here"], min(everywhere, 8) + 1)
        )
        assert entry["p_value"] == pytest.approx(ways / math.comb(COUNT, 8), rel=1e-6)
    more = [entry["p_value"] for entry in answer["shared"] if entry["lift"] > 1]
    assert more == sorted(more)
    for name, entries in answer["legends"].items():
        values = [galleries.metadata(n).get(name, "") for n in chosen]
        assert {e["name"]: e["here"] for e in entries} == {v: values.count(v) for v in values}


def test_an_empty_selection_shares_nothing(chart: Chart) -> None:
    answer = chart.select(np.zeros(COUNT, np.bool_))
    assert (answer["count"], answer["shared"], answer["numbers"]) == (0, [], [])


def test_search_finds_pictures_and_tags(chart: Chart) -> None:
    found = chart.search("CAT", 9)
    assert [entry["number"] for entry in found["pictures"]] == [12, 36, 60]
    assert [entry["name"] for entry in found["tags"]] == ["cat"]
    assert chart.search("bela", 3)["pictures"][0]["author"] == "Béla"
    by_alias = chart.search("ocean", 9)["tags"]
    assert [entry["name"] for entry in by_alias] == ["sea"]
    assert chart.search("ネコ", 9) == {"pictures": [], "tags": []}
    assert [entry["name"] for entry in chart.search("リンゴ", 9)["tags"]] == ["apple"]
    assert len(chart.search("a", 4)["pictures"]) == 4


def test_trust_in_a_place_is_how_many_neighbours_are_near_it(chart: Chart) -> None:
    own = chart.index.snapshot().embeddings[30]
    found = chart.nearest(own, 15)
    there = chart.atlas.positions[30]
    distances = [math.dist(there, position) for position in chart.atlas.positions.tolist()]
    around = sorted(range(COUNT), key=lambda n: distances[n])[:15]
    expected = sum(near.number in around for near in found) / 15
    assert chart.trust_at(there, found) == pytest.approx(expected)
    assert chart.trust_at(there + 1e6, found) < 1


def test_names_of_legends() -> None:
    tags = TagList([])
    assert legend_label("language", "de-AT", tags) == "German"
    assert legend_label("language", "xx", tags, "ja") == "xx"
    assert legend_label("source", "game", tags, "ja") == "ゲームで描画"
    assert legend_label("category", None, tags, "ja") == "その他"
    assert legend_label("category", "", tags) == "unknown"
    assert legend_label("category", "wild_animals", tags) == "wild animals"
    assert legend_label("category", "wild_animals", tags, "ja") == "wild animals"
    assert legend_label("category", "unsorted", tags) == "unsorted"
    assert legend_label("category", "unsorted", tags, "ja") == "未分類"
    named = TagList([Tag(0, "music", name_ja="音符"), Tag(1, "toys")])
    assert legend_label("category", "music", named, "ja") == "音符"
    assert legend_label("category", "toys", named, "ja") == "おもちゃ"


def test_the_shipped_categories_have_japanese_names() -> None:
    path = Path(DEFAULT_GALLERY) / INDEX
    if not path.exists():
        pytest.skip("no gallery is shipped")
    now = Index.load(path).snapshot()
    names = {item.metadata["category"] for item in now.items[: now.count]}
    labels = {legend_label("category", name, TagList([]), "ja") for name in names}
    assert len(labels) == len(names)
    assert [label for label in labels if label.isascii()] == []
