"""From a data set to its tag list."""

from __future__ import annotations

from dataclasses import replace

from tagger.taglist import Rules, TagListBuilder
from tagger.taglist.builder import Labelled

rules = Rules.load()


def test_support_counts_things_drawn_not_pictures() -> None:
    one_cat_in_eight_styles = [Labelled("cat-1", ["cat"])] * 8
    eight_dogs = [Labelled(f"dog-{i}", ["dog"]) for i in range(8)]
    report = TagListBuilder(rules, min_concepts=5, min_judged=1).build(
        [*one_cat_in_eight_styles, *eight_dogs]
    )
    names = {t.name: t for t in report.tags}
    assert "cat" not in names
    assert (names["dog"].concepts, names["dog"].pictures) == (8, 8)
    why = report.why("cat")
    assert why.tag is None and "too rare: 1 concept " in why.reason
    assert names["animal"].concepts == 9, "what is implied counts, the cat's too"


def test_sources_that_do_not_judge_cannot_carry_a_tag_alone() -> None:
    icons = [Labelled(f"i{i}", ["sword"], judged=False) for i in range(20)]
    builder = TagListBuilder(rules, min_concepts=5, min_judged=2)
    assert not builder.build(icons).tags
    art = [Labelled(f"a{i}", ["sword"]) for i in range(2)]
    assert {t.name for t in builder.build([*icons, *art]).tags} == {"sword", "weapon"}


def test_unlisted_tags_stay_only_where_that_is_asked_for() -> None:
    pictures = [Labelled(str(i), ["Tsundere", "cat"]) for i in range(4)]
    strict = TagListBuilder(rules, min_concepts=2, min_judged=1).build(pictures)
    support = "not on the reviewed list, though it has the support: 4 concepts"
    assert strict.why("Tsundere").reason == support
    own = TagListBuilder(rules, min_concepts=2, min_judged=1, keep_unlisted=True)
    report = own.build(pictures)
    tag = next(t for t in report.tags if t.name == "tsundere")
    assert (tag.group, tag.concepts) == ("general", 4)
    assert own.names(pictures[0]) == {"tsundere", "cat", "mammal", "animal"}


def test_a_report_explains_every_raw_tag_it_met() -> None:
    pictures = [Labelled(str(i), ["kitten", "hash", "12", "gizmo"]) for i in range(9)]
    report = TagListBuilder(rules, min_concepts=3, min_judged=1).build(pictures)
    assert {raw: report.why(raw).outcome for raw in ("kitten", "hash", "12", "gizmo")} == {
        "kitten": "joined",
        "hash": "dropped",
        "12": "dropped",
        "gizmo": "dropped",
    }
    assert all(report.why(raw).reason for raw in report.decisions)
    cat = next(t for t in report.tags if t.name == "cat")
    assert "kitten" in cat.aliases
    assert report.why("never seen").outcome == "unlisted"


def test_what_no_rule_speaks_of_is_dropped_for_the_most_telling_reason() -> None:
    pictures = [
        *(
            Labelled(f"a{i}", ["gizmo", "0x8a0cf54", "Rossi"], author="Anna Rossi")
            for i in range(9)
        ),
        *(Labelled(f"b{i}", ["gadget"], judged=i > 7) for i in range(10)),
        *(Labelled(f"c{i}", ["widget"], judged=False) for i in range(10)),
        *(Labelled(f"d{i}", ["Wallonie"], ["signs", "flags"]) for i in range(9)),
        Labelled("e", ["doodad", "doodads", "wallonia"], ["food"]),
        Labelled("f", ["wallonia", "bianchi"], ["flags"], author="Anna Rossi"),
    ]
    report = TagListBuilder(rules, min_concepts=8, min_judged=3).build(pictures)
    assert {raw: decision.reason for raw, decision in report.decisions.items()} == {
        "gizmo": "not on the reviewed list, though it has the support: 9 concepts",
        "0x8a0cf54": "an address in the memory of the program that wrote the file",
        "Rossi": "the name of the author of its pictures",
        "gadget": "too rare: 10 concepts (2 in judging sources), 8 (3) needed",
        "widget": "only sources that do not judge have it: 10 concepts",
        "Wallonie": "said only of flags, and what one stands for cannot be seen by somebody "
        "who does not know it",
        "doodad": "too rare: 1 concept (1 in judging sources), 8 (3) needed",
        "doodads": "too rare: 1 concept (1 in judging sources), 8 (3) needed",
        "wallonia": "too rare: 2 concepts (2 in judging sources), 8 (3) needed",
        "bianchi": "said only of flags, and what one stands for cannot be seen by somebody "
        "who does not know it",
    }
    counted = report.reasons()
    assert counted["too rare"] == 4
    assert counted["the name of the author of its pictures"] == 1
    assert counted.total() == len(report.decisions)


def test_reasons_decide_nothing() -> None:
    """A folder of rules without them keeps, joins and drops the same tags."""
    bare = replace(rules, reasons=())
    words = ["kitten", "milk", "two", "flags", "hash(0x8a0cf54)", "gizmo", "wow"]
    pictures = [Labelled(str(i), words, ["flags"], "two cats") for i in range(9)]
    for keep in (False, True):
        ours, theirs = (
            TagListBuilder(r, min_concepts=3, min_judged=1, keep_unlisted=keep)
            for r in (rules, bare)
        )
        assert ours.build(pictures).tags == theirs.build(pictures).tags
        assert [ours.names(p) for p in pictures] == [theirs.names(p) for p in pictures]


def test_labels_hold_what_tags_category_and_title_imply() -> None:
    picture = Labelled("x", ["puppy"], ["food-drink", "food-fruit"], "red umbrella")
    names = TagListBuilder(rules).names(picture)
    assert {"dog", "mammal", "animal", "fruit", "food", "red", "umbrella"} <= names
    without = TagListBuilder(rules, use_titles=False).names(picture)
    assert "umbrella" not in without
