"""The Compare tab without a browser: its words, its markup, when it is there."""

from __future__ import annotations

import re
import string

import gradio as gr
import pytest

from tagger import ui
from tagger.services import Services
from tagger.ui import compare_tab, compare_words, files
from tests.fakes import make_services

# Scripts of other tabs that this one takes, too; what they say else is said there.
SHARED = ("explore_data.js", "picker.js")
OWN = [name for name in compare_tab.SCRIPTS if name not in SHARED]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("table", [compare_words.COMPARE_TAB, compare_words.RANKERS])
def test_both_languages_have_the_same_words_with_the_same_values(table: object) -> None:
    english, japanese = table["en"], table["ja"]
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert fields(text) == fields(japanese[key]), key
        assert (text == "") == (japanese[key] == "") or key == "gap", key


def test_the_scripts_and_the_markup_use_just_the_words_that_there_are() -> None:
    script = files.text(*OWN)
    in_markup = set(
        re.findall(r'data-(?:word|label|title|placeholder)="(\w+)"', compare_tab.TEMPLATE)
    )
    words = set(compare_words.compare_labels("en"))
    assert in_markup | set(re.findall(r"say\('(\w+)'", script)) <= words
    # Some are put together of a part and what it is about.
    beginnings = re.findall(r"say\(`(\w+)\$\{\w+\}`", script)
    made = {key for key in words if key.startswith(tuple(beginnings))}
    in_script = {key for key in words if f"'{key}'" in script or f"words.{key}" in script}
    assert words - in_script - in_markup - made == set()


def test_nothing_in_the_templates_is_evaluated() -> None:
    for text in (compare_tab.TEMPLATE, files.text(*compare_tab.STYLES)):
        for mark in ("${", "{{", "`", "\\"):
            assert mark not in text


def component(app: gr.Blocks, id: str) -> gr.HTML | None:
    found = [block for block in app.blocks.values() if block.elem_id == id]
    return found[0] if found else None


def test_there_is_no_tab_where_nothing_compares() -> None:
    app = ui.build_app(make_services())
    assert component(app, "compare-tab") is None


def test_the_report_is_offered_to_owners_alone(toy_services: Services) -> None:
    app = ui.build_app(toy_services)
    tab = component(app, "compare-tab")
    assert tab is not None
    assert component(app, "compare-order") is not None
    assert component(app, "compare-report") is None
    props = tab.get_config()["props"]
    assert props["report"] is False
    assert props["words"]["ja"]["question"] == "どちらが好きですか？"
