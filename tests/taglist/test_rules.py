"""The shipped rules and how they are applied to one raw tag."""

from __future__ import annotations

import csv
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.taglist import Rules, normalise, singular
from tagger.taglist.rules import DATA

rules = Rules.load()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Ice_Cream", "ice cream"),
        ("  ice-cream ", "ice cream"),
        ("#cat!", "cat!"),
        ("“cat”", "cat"),
        ("o’clock", "o'clock"),
        ("___", ""),
        ("", ""),
    ],
)
def test_writing_is_folded(raw: str, expected: str) -> None:
    assert normalise(raw) == expected


@given(st.text(alphabet=string.ascii_letters + " _-/#'’é猫", max_size=40))
def test_folding_twice_changes_nothing_more(raw: str) -> None:
    assert normalise(normalise(raw)) == normalise(raw)


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("cats", "cat"),
        ("berries", "berry"),
        ("boxes", "box"),
        ("brushes", "brush"),
        ("ice creams", "ice cream"),
        ("glass", "glass"),
        ("cactus", "cactus"),
        ("tennis", "tennis"),
        ("bus", "bus"),
        ("gas", "gas"),
    ],
)
def test_regular_plurals_are_folded_and_other_words_left(plural: str, one: str) -> None:
    assert singular(plural) == one


@pytest.mark.parametrize(
    ("raw", "tag", "outcome"),
    [
        ("cat", "cat", "kept"),
        ("Cats", "cat", "joined"),
        ("kitten", "cat", "joined"),
        ("ICE_CREAM", "ice_cream", "joined"),
        ("automobile", "car", "joined"),
        ("women", "woman", "joined"),
        ("hash", None, "dropped"),
        ("lemon_theme_icon", None, "dropped"),
        ("unsorted", None, "dropped"),
        ("Architetto Francesco Rollandin", None, "dropped"),
        ("12", None, "dropped"),
        ("9:00", None, "dropped"),
        ("Euro 2004", None, "dropped"),
        ("1000 users", None, "dropped"),
        ("xoxo", None, "dropped"),
        ("???", None, "dropped"),
        ("zweihander", None, "unlisted"),
    ],
)
def test_a_raw_tag_is_kept_joined_or_dropped(raw: str, tag: str | None, outcome: str) -> None:
    decision = rules.decide(raw)
    assert (decision.tag, decision.outcome) == (tag, outcome)
    assert decision.reason


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("HASH(0x8a0cf54)", "memory"),
        ("0xa0b445c", "memory"),
        ("snu@autistici.org", "address"),
        ("www.lumenstudio.net", "address"),
        ("ã\x82âº", "encoding"),
        ("猫", "script"),
        ("кот", "script"),
        ("gyōza", "another language"),
        ("twenty", "number"),
        ("First", "number"),
        ("ean-13", "code"),
        ("software as a service", "phrase"),
        ("dvd", "abbreviation"),
        ("rhythm", None),
        ("only", "grammar"),
        ("hahaha", "interjection"),
        ("yay", "interjection"),
        ("heart", None),
        ("Directions", "direction"),
        ("gizmo", None),
    ],
)
def test_what_no_rule_speaks_of_is_explained_where_that_can_be(raw: str, words: str | None) -> None:
    reason = rules.explain(raw)
    assert reason is None if words is None else words in str(reason)


def test_a_place_explains_what_all_its_pictures_share() -> None:
    assert "flags" in str(rules.explain("wallonie", {"flags"}))
    assert rules.explain("wallonie", {"food"}) is None


def test_no_reason_stands_twice_or_speaks_of_a_listed_tag() -> None:
    exact = [rule.pattern for rule in rules.reasons if rule.kind == "exact"]
    assert len(exact) == len(set(exact))
    assert not [text for text in exact if rules.decide(text).tag]
    assert {rule.kind for rule in rules.reasons} == {"exact", "regex", "category"}


def test_a_folder_name_is_no_tag_in_its_own_folder_only() -> None:
    assert rules.decide("computer", ["computer", "icons", "flat-theme"]).tag is None
    assert rules.decide("computer", ["office"]).tag == "computer_hardware"


def test_implications_reach_through() -> None:
    assert {name for name, _ in rules.implied_by("cat")} == {"mammal", "animal"}
    assert all(reason for _, reason in rules.implied_by("cat"))


def test_a_title_speaks_of_its_longest_words() -> None:
    names = {d.tag for d in rules.in_title("Two scoops of ice cream, and a dog")}
    assert {"ice_cream", "dog"} <= names
    assert "ice" not in names


def test_a_place_in_the_tree_is_a_tag_too() -> None:
    names = {d.tag for d in rules.in_category(["animals-nature", "animal-mammal"])}
    assert "mammal" in names


def test_every_row_of_the_rules_has_what_its_header_asks() -> None:
    for path in sorted(DATA.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows, path.name
        for row in rows:
            optional = {"within"}
            empty = [k for k, v in row.items() if not v and k not in optional]
            assert not empty, (path.name, row)


def test_every_listed_tag_has_a_japanese_name_and_a_group() -> None:
    assert len(rules.listed) >= 250
    for tag in rules.listed.values():
        assert tag.name == tag.name.lower() and " " not in tag.name
        assert tag.name_ja.strip() and tag.group.strip()


def _folder(tmp_path: Path, **files: str) -> Path:
    texts = {
        "tags": "name,group,name_ja\ncat,animal,猫\nanimal,animal,動物\n",
        "aliases": "alias,name,kind,reason\nkitty,cat,synonym,same\n",
        "implications": "tag,implies,reason\ncat,animal,is one\n",
        "categories": "category,tags,reason\n",
        "drops": "pattern,kind,within,reason\n",
        **files,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"aliases": "alias,name,kind,reason\nkitty,dog,synonym,x\n"}, "not listed: dog"),
        (
            {
                "implications": "tag,implies,reason\ncat,animal,x\nanimal,cat,x\n",
            },
            "implies itself",
        ),
        (
            {"aliases": "alias,name,kind,reason\npet,cat,x,x\npet,animal,x,x\n"},
            "both 'cat' and 'animal'",
        ),
    ],
    ids=["unknown name", "circle", "two meanings"],
)
def test_rules_that_contradict_themselves_are_refused(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Rules.load(_folder(tmp_path, **files))
