"""Tags: reading the list, ranking against plain loops, names and text formats."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import BundleError
from tagger.tags import (
    DEFAULT_THRESHOLD,
    FORMATS,
    RankedTag,
    Tag,
    TagList,
    display_name,
    format_tags,
    hashtag,
    is_kaomoji,
    normalise,
    parse_tags,
    rank,
    read_tags,
)
from tests import toy

# Every face in the published lists of Danbooru-style taggers, and one that is not in them.
FACES = [
    "0_0",
    "(o)_(o)",
    "+_+",
    "+_-",
    "._.",
    "<o>_<o>",
    "<|>_<|>",
    "=_=",
    ">_<",
    "3_3",
    "6_9",
    ">_o",
    "@_@",
    "^_^",
    "o_o",
    "u_u",
    "x_x",
    "|_|",
    "||_||",
    ";_;",
]


def make_list(*names: str, **common: object) -> TagList:
    return TagList(Tag(i, name, **common) for i, name in enumerate(names))


# --- reading


def test_a_list_in_our_form_is_read_in_full(tmp_path: Path) -> None:
    path = tmp_path / "selected_tags.csv"
    toy.write_tags(path)
    tags = read_tags(path)
    assert [tag.name for tag in tags] == toy.NAMES
    assert [tag.index for tag in tags] == list(range(len(toy.NAMES)))
    red = tags[0]
    assert (red.group, red.name_ja, red.aliases) == ("color", "赤", ("scarlet", "crimson"))
    assert (red.threshold, red.precision, red.recall, red.support) == (0.5, 0.8, 0.7, 40)
    assert (red.tag_id, red.count, red.category) == (0, 1000, 0)
    assert tags[15].name_ja is None


def test_the_four_columns_of_the_wd_form_are_enough() -> None:
    tags = parse_tags("tag_id,name,category,count\n7,miku,4,12\n8,general,9,0\n9,1girl,0,99\n")
    assert [(t.name, t.category, t.group, t.count) for t in tags] == [
        ("miku", 4, "character", 12),
        ("general", 9, "rating", 0),
        ("1girl", 0, "general", 99),
    ]
    assert tags[0].threshold is None


def test_names_that_look_like_missing_values_or_hold_commas_stay_names() -> None:
    names = ["nan", "null", "None", "", 'say_"hi"', "salt,_pepper", "true", "1", "-", "#"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["name"])
    writer.writerows([name] for name in names if name)
    assert [tag.name for tag in parse_tags(text.getvalue())] == [n for n in names if n]


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_line_end_and_a_byte_order_mark_are_taken(
    tmp_path: Path, prefix: str, newline: str
) -> None:
    path = tmp_path / "t.csv"
    lines = ["Tag_ID, Name ,category,count", "1,cat,0,3", "", "2,dog,0,2", ""]
    path.write_bytes((prefix + newline.join(lines)).encode())
    assert [tag.name for tag in read_tags(path)] == ["cat", "dog"]


def test_evidence_that_is_no_evidence_is_left_out() -> None:
    header = "name,best_threshold,precision,recall,support,count,tag_id\n"
    tags = parse_tags(header + "a,nan,inf,-1,x,-5,1e999\nb,0,1,1.5,-3,,\nc\n")
    assert [(t.threshold, t.precision, t.recall, t.support) for t in tags] == [
        (None, None, None, None),
        (0.0, 1.0, None, None),
        (None, None, None, None),
    ]
    assert [(t.count, t.tag_id) for t in tags] == [(0, 0)] * 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n", 1),
        ("name\n", 1),
        ("tag,category\ncat,0\n", 1),
        ("name,count\ncat,1\n,2\n", 3),
        ("name\ncat\nbad\x07name\n", 3),
        ("name\nup\u202eside\n", 2),
        ("name\n" + "x" * 201 + "\n", 2),
        ('name\n"never closed' + "x" * 200_000, 2),
    ],
)
def test_a_list_that_would_be_wrong_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BundleError) as caught:
        parse_tags(text)
    assert caught.value.code == "tags-invalid"
    assert caught.value.params["line"] == line
    assert f"line {line}" in str(caught.value)


def test_files_that_are_absent_or_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read_tags(tmp_path / "absent.csv")
    assert caught.value.code == "bundle-file-missing"
    assert str(tmp_path) not in str(caught.value)
    (tmp_path / "latin.csv").write_bytes("name\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(BundleError) as caught:
        read_tags(tmp_path / "latin.csv")
    assert caught.value.code == "tags-invalid"


@given(st.text(max_size=300))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    try:
        tags = parse_tags(text)
    except BundleError as error:
        assert error.code == "tags-invalid"
    else:
        assert len(tags) > 0
        assert all(tag.name.strip() for tag in tags)


# --- the list


def test_a_list_is_a_sequence() -> None:
    tags = make_list("a", "b", "c")
    assert len(tags) == 3
    assert tags[-1].name == "c"
    assert [tag.name for tag in tags[1:]] == ["b", "c"]
    assert list(tags) == [tags[0], tags[1], tags[2]]
    assert tags.groups == ("general",)


@pytest.mark.parametrize(
    "spelling",
    ["blue_sky", "blue sky", "Blue  Sky", " BLUE_SKY ", "ｂｌｕｅ＿ｓｋｙ", "青空", "azure_heaven"],
)
def test_a_tag_is_found_however_it_is_spelt(spelling: str) -> None:
    tag = Tag(0, "blue_sky", name_ja="青空", aliases=("azure heaven",))
    assert TagList([tag]).find(spelling) is tag


def test_a_name_wins_over_another_tags_alias_and_the_first_over_the_second() -> None:
    first, second = Tag(0, "puma", aliases=("cougar",)), Tag(1, "cougar")
    third = Tag(2, "lion", aliases=("cougar",))
    tags = TagList([first, second, third])
    assert tags.find("cougar") is second
    assert TagList([first, third]).find("cougar") is first
    assert tags.find("tiger") is None
    assert tags.find("") is None


def test_search_orders_by_place_then_by_use() -> None:
    names = ["scatter", "black_cat", "cat", "category", "dog", "cat_ears"]
    tags = TagList(Tag(i, name, count=i) for i, name in enumerate(names))
    found = [tag.name for tag in tags.search("Cat")]
    assert found == ["cat_ears", "category", "cat", "black_cat", "scatter"]
    assert [t.name for t in tags.search("cat", prefix=True)] == ["cat_ears", "category", "cat"]
    assert len(tags.search("")) == len(tags)
    assert tags.search("zebra") == []


@given(st.lists(st.text("ab_ c", min_size=1, max_size=6).filter(str.strip), max_size=8), st.text())
def test_search_finds_what_a_plain_loop_finds(names: list[str], wanted: str) -> None:
    tags = make_list(*names)
    expected = {i for i, name in enumerate(names) if normalise(wanted) in normalise(name)}
    assert {tag.index for tag in tags.search(wanted)} == expected


# --- ranking


def naive_rank(
    values: list[float],
    tags: TagList,
    top: int | None,
    low: float | None,
    groups: list[str] | None,
) -> list[tuple[int, bool]]:
    """Take the best remaining tag again and again."""
    left = [
        i
        for i, tag in enumerate(tags)
        if (low is None or values[i] >= low)
        and (tag.category != 9 if groups is None else tag.group in groups)
    ]
    chosen: list[tuple[int, bool]] = []
    while left and (top is None or len(chosen) < top):
        best = left[0]
        for i in left:
            if values[i] > values[best]:
                best = i
        left.remove(best)
        threshold = tags[best].threshold
        chosen.append((best, values[best] >= (0.35 if threshold is None else threshold)))
    return chosen


shares = st.sampled_from([0.0, 0.1, 0.35, 0.5, 0.9, 1.0]) | st.floats(0, 1)
tag_kinds = st.tuples(
    shares, st.none() | shares, st.sampled_from([("x", 0), ("y", 0), ("rating", 9)])
)


@given(
    st.lists(tag_kinds, max_size=25),
    st.none() | st.integers(0, 30),
    st.none() | shares,
    st.none() | st.lists(st.sampled_from(["x", "y", "rating", "z"]), max_size=2),
)
def test_ranking_is_what_repeated_choice_of_the_best_gives(
    kinds: list[tuple[float, float | None, tuple[str, int]]],
    top: int | None,
    low: float | None,
    groups: list[str] | None,
) -> None:
    values = [kind[0] for kind in kinds]
    tags = TagList(
        Tag(i, f"t{i}", category=category, group=group, threshold=threshold)
        for i, (_, threshold, (group, category)) in enumerate(kinds)
    )
    ranked = rank(values, tags, top, low, groups)
    found = [(entry.tag.index, entry.passes) for entry in ranked]
    assert found == naive_rank(values, tags, top, low, groups)
    assert all(entry.probability == values[entry.tag.index] for entry in ranked)


def test_ten_always_show_however_improbable() -> None:
    tags = make_list(*map(str, range(40)))
    ranked = rank(np.full(40, 1e-9), tags)
    assert [entry.tag.index for entry in ranked] == list(range(10))
    assert not any(entry.passes for entry in ranked)


def test_the_default_operating_point_is_for_tags_without_one() -> None:
    tags = TagList([Tag(0, "a"), Tag(1, "b", threshold=0.9), Tag(2, "c", threshold=0.0)])
    values = [DEFAULT_THRESHOLD, 0.8, 0.0]
    assert {e.tag.name: e.passes for e in rank(values, tags)} == {"a": True, "b": False, "c": True}


def test_answers_that_do_not_fit_the_list_are_refused() -> None:
    tags = make_list("a", "b")
    for values in ([0.1], [[0.1, 0.2]], [0.1, float("nan")]):
        with pytest.raises(ValueError, match=r"probabilit"):
            rank(values, tags)
    with pytest.raises(ValueError, match="top"):
        rank([0.1, 0.2], tags, top=-1)


# --- names and formats


@pytest.mark.parametrize("face", FACES)
def test_faces_keep_their_mouths(face: str) -> None:
    assert is_kaomoji(face)
    assert display_name(face) == face


@pytest.mark.parametrize(
    "name", ["blue_sky", "1girl", "t-shirt", "a_b_c", "x_ray_vision", "_", "猫_犬", "no_humans"]
)
def test_words_do_not_pass_for_faces(name: str) -> None:
    assert not is_kaomoji(name)
    assert display_name(name) == (name.replace("_", " ").strip() or name)


def ranked_of(*tags: Tag) -> list[RankedTag]:
    return [RankedTag(tag, 0.9 - 0.1 * i, i == 0) for i, tag in enumerate(tags)]


RANKED = ranked_of(
    Tag(0, "blue_sky", name_ja="青空", group="nature"),
    Tag(1, "tanuki_(animal)", name_ja="たぬき"),
    Tag(2, "salt,_pepper"),
    Tag(3, "^_^"),
)


def test_text_is_a_list_that_can_be_split_again() -> None:
    assert format_tags(RANKED, "text") == "blue sky, tanuki (animal), salt pepper, ^_^"
    assert format_tags(RANKED, "text", "ja") == "青空, たぬき, salt pepper, ^_^"


def test_danbooru_takes_names_with_underscores_parted_by_spaces() -> None:
    spaced = ranked_of(Tag(0, "blue sky"), Tag(1, "cat_(animal)"))
    assert format_tags(spaced, "danbooru", "ja") == "blue_sky cat_(animal)"


def test_a_prompt_has_its_brackets_escaped() -> None:
    assert format_tags(RANKED, "prompt") == r"blue sky, tanuki \(animal\), salt pepper, ^_^"
    assert format_tags(ranked_of(Tag(0, "a\\(b")), "prompt") == r"a\\\(b"


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("blue sky", "blue_sky"),
        ("tanuki (animal)", "tanuki_animal"),
        ("don't", "dont"),
        ("Ｔシャツ", "Tシャツ"),
        ("ソフトクリーム", "ソフトクリーム"),
        ("fish & chips", "fish_chips"),
        ("1980s", "1980s"),
        ("42", ""),
        ("^_^", ""),
    ],
)
def test_hashtags_hold_only_what_networks_take(name: str, tag: str) -> None:
    assert hashtag(name) == tag


def test_hashtags_come_once_and_never_empty() -> None:
    ranked = ranked_of(Tag(0, "a_b"), Tag(1, "a-b"), Tag(2, "^_^"), Tag(3, "c"))
    assert format_tags(ranked, "hashtags") == "#a_b #c"


def test_json_says_all_of_it() -> None:
    first = json.loads(format_tags(RANKED, "json", "ja"))[0]
    assert first == {
        "name": "blue_sky",
        "label": "青空",
        "group": "nature",
        "probability": 0.9,
        "passes": True,
    }


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="yaml"):
        format_tags(RANKED, "yaml")
    assert all(isinstance(format_tags([], style), str) for style in FORMATS)


words = st.text(
    st.characters(exclude_categories=["C"], exclude_characters=","), min_size=1, max_size=12
).filter(lambda name: bool(name.replace("_", " ").strip()))


@given(st.lists(words, max_size=6))
def test_text_splits_into_as_many_tags_as_went_in(names: list[str]) -> None:
    text = format_tags(ranked_of(*(Tag(i, n) for i, n in enumerate(names))), "text")
    assert len([part for part in text.split(",") if part.strip()]) == len(names)


@given(st.lists(words, max_size=6))
def test_every_hashtag_is_one_word(names: list[str]) -> None:
    text = format_tags(ranked_of(*(Tag(i, n) for i, n in enumerate(names))), "hashtags")
    for part in text.split():
        assert part[0] == "#"
        assert all(c == "_" or c.isalnum() or not c.isascii() for c in part[1:])


@given(st.text(max_size=12))
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)
