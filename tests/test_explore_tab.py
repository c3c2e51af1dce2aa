"""The Explore tab without a browser: its words, its markup, when it is there."""

from __future__ import annotations

import re
import string
from pathlib import Path

import gradio as gr

from tagger import ui
from tagger.services import Services, build_services
from tagger.settings import Settings
from tagger.tags import DEFAULT_THRESHOLD
from tagger.ui import explore_tab, explore_words, files
from tests import galleries
from tests.fakes import make_services

OWN = [name for name in explore_tab.SCRIPTS if name not in explore_tab.MAP_SCRIPTS]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_words_with_the_same_values() -> None:
    english, japanese = (explore_words.EXPLORE_TAB[lang] for lang in ("en", "ja"))
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert fields(text) == fields(japanese[key]), key
        assert (text == "") == (japanese[key] == "") or key == "gap", key


def test_the_scripts_and_the_markup_use_just_the_words_that_there_are() -> None:
    script = files.text(*OWN)
    in_markup = set(
        re.findall(r'data-(?:word|label|sure|placeholder)="(\w+)"', explore_tab.TEMPLATE)
    )
    words = set(explore_words.explore_labels("en"))
    assert in_markup | set(re.findall(r"say\('(\w+)'", script)) <= words
    in_script = {key for key in words if f"'{key}'" in script or f"words.{key}" in script}
    assert words - in_script - in_markup == set()


def test_nothing_in_the_templates_is_evaluated() -> None:
    for text in (explore_tab.TEMPLATE, files.text(*explore_tab.STYLES)):
        for mark in ("${", "{{", "`", "\\"):
            assert mark not in text


def component(app: gr.Blocks, id: str = "explore-tab") -> gr.HTML | None:
    found = [block for block in app.blocks.values() if block.elem_id == id]
    return found[0] if found else None


def leads_to_the_map(app: gr.Blocks) -> bool:
    """Whether the Tag tab has ways to the map."""
    tab = component(app, "tag-tab")
    assert tab is not None
    return bool(tab.get_config()["props"]["explore"])


def test_there_is_no_tab_without_a_gallery_and_no_way_to_it() -> None:
    app = ui.build_app(make_services())
    assert component(app) is None
    assert not leads_to_the_map(app)


def test_the_page_holds_nothing_of_the_gallery(toy_bundle: Path, tmp_path: Path) -> None:
    gallery = galleries.make_gallery(tmp_path / "gallery", toy_bundle, 9)
    services: Services = build_services(
        Settings(bundle=str(toy_bundle), gallery=str(gallery), threads=1)
    )
    try:
        app = ui.build_app(services)
        tab = component(app)
        assert tab is not None
        assert leads_to_the_map(app)
        props = tab.get_config()["props"]
        assert "picture-3" not in str(props)
        assert props["thresholds"] == [
            DEFAULT_THRESHOLD if tag.threshold is None else tag.threshold
            for tag in services.tagger.tags
        ]
        for lang in ("en", "ja"):
            assert props["words"][lang].keys() >= explore_words.explore_labels("en").keys()
    finally:
        services.close()
