"""The Compare tab's sections for sets and for the owner, without a browser."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path
from types import ModuleType

import gradio as gr
import pytest

from tagger import ui
from tagger.services import build_services
from tagger.settings import Settings
from tagger.ui import files, order_section, order_words, report_section, report_words

SECTIONS = {"order": order_section, "report": report_section}
WORDS = {"order": order_words.ORDER, "report": report_words.REPORT}
SHARED = ("common.js", "visitor.js", "explore_data.js", "compare_source.js")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", SECTIONS)
def test_both_languages_have_the_same_words_with_the_same_values(name: str) -> None:
    english, japanese = (WORDS[name][lang] for lang in ("en", "ja"))
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert fields(text) == fields(japanese[key]), key
        assert (text == "") == (japanese[key] == "") or key == "gap", key


@pytest.mark.parametrize("name", SECTIONS)
def test_the_scripts_and_the_markup_use_just_the_words_that_there_are(name: str) -> None:
    section: ModuleType = SECTIONS[name]
    whole = files.text(*section.SCRIPTS)
    own = files.text(*(script for script in section.SCRIPTS if script not in SHARED))
    marks = set(re.findall(r'data-(?:word|label|placeholder)="(\w+)"', section.TEMPLATE))
    words = set(WORDS[name]["en"])
    shared = {"ranker_file", "ranker_named", "ranker_not_ready"} if name == "order" else set()
    assert marks | set(re.findall(r"say\('(\w+)'", own)) <= words | shared
    used = {key for key in words if f"'{key}'" in whole or f"words.{key}" in whole}
    assert words - used - marks == set()


@pytest.mark.parametrize("name", SECTIONS)
def test_nothing_in_the_templates_is_evaluated(name: str) -> None:
    for text in (SECTIONS[name].TEMPLATE, files.text(*SECTIONS[name].STYLES)):
        for mark in ("${", "{{", "`", "\\"):
            assert mark not in text


def ids(app: gr.Blocks) -> set[str]:
    return {block.elem_id for block in app.blocks.values() if block.elem_id}


def test_the_report_is_there_where_an_owner_is_and_the_token_goes_nowhere(
    toy_bundle: Path, tmp_path: Path
) -> None:
    for token in ("", "an owner's token"):
        services = build_services(
            Settings(bundle=str(toy_bundle), gallery="none", owner_token=token, threads=1)
        )
        try:
            app = ui.build_app(services)
            assert {"compare-order"} <= ids(app)
            assert ("compare-report" in ids(app)) == bool(token)
            assert not token or token not in json.dumps(app.get_config_file(), default=str)
        finally:
            services.close()
