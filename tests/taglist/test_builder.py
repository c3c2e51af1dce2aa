"""From a data set to its tag list."""

from __future__ import annotations

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
    assert why.tag is None and "1 concepts" in why.reason
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
    assert strict.why("Tsundere").reason == "not on the reviewed list"
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


def test_labels_hold_what_tags_category_and_title_imply() -> None:
    picture = Labelled("x", ["puppy"], ["food-drink", "food-fruit"], "red umbrella")
    names = TagListBuilder(rules).names(picture)
    assert {"dog", "mammal", "animal", "fruit", "food", "red", "umbrella"} <= names
    without = TagListBuilder(rules, use_titles=False).names(picture)
    assert "umbrella" not in without
