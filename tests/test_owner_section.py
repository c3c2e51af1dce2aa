"""The owner's section without a browser: its words, its functions, and who may call them."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger import ui
from tagger.errors import TaggerError
from tagger.gate import Change, Verdict
from tagger.messages import REASONS
from tagger.services import build_services
from tagger.settings import Settings
from tagger.ui import files, owner, owner_words
from tests.fakes import FakeDraw, FakeTuning, make_services

VISITOR = "0123456789abcdef" * 2
LINE = [[0, 10], [0, 10]]
BETTER = Verdict(True, "better", Change(200, 0.7, 0.7, 0.0, 0.0), Change(40, 0.5, 0.8, 0.1, 0.5))
OTHER = ["owner_start", "owner_cancel", "owner_activate", "owner_back", "owner_accept"]
FUNCTIONS = ["owner_state", *OTHER, "owner_reject"]


def browser(host: str = "192.0.2.7") -> SimpleNamespace:
    return SimpleNamespace(headers={"accept-language": "en"}, client=SimpleNamespace(host=host))


@pytest.fixture
def draw() -> FakeDraw:
    draw = FakeDraw()
    draw.tuning = FakeTuning(draw)
    for _ in range(6):
        draw.save([LINE], "blorp", visitor=VISITOR, consent=True)
    draw.save([LINE], "secret", visitor=VISITOR)
    return draw


class Page:
    """Calls the functions as the section's script does."""

    def __init__(self, draw: Any) -> None:
        functions = owner.server_functions(draw, draw.tuning)
        self.functions = {function.__name__: function for function in functions}
        self.token = "an owner's token"

    def __call__(self, name: str, lang: str = "en", **data: Any) -> dict[str, Any]:
        sent = {"token": self.token, "lang": lang, **data}
        answer = self.functions[name](sent, browser())
        json.dumps(answer, allow_nan=False)
        return answer

    def state(self, name: str, **data: Any) -> dict[str, Any]:
        """What is there after something was done."""
        answer = self(name, **data)
        assert answer.keys() == {"state"}, answer
        return answer["state"]

    def refused(self, code: str, name: str, **data: Any) -> None:
        params = data.pop("params", {})
        for lang in ("en", "ja"):
            answer = self(name, lang, **data)
            assert answer["problem"] == TaggerError(code, **params).message(lang)


@pytest.fixture
def page(draw: FakeDraw) -> Page:
    return Page(draw)


# --- words ----------------------------------------------------------------------------------------


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_words_with_the_same_values() -> None:
    english, japanese = (owner_words.OWNER[lang] for lang in ("en", "ja"))
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert fields(japanese[key]) <= fields(text), key
        assert text and japanese[key]


def test_the_script_and_the_markup_use_just_the_words_that_there_are() -> None:
    script = files.text(*owner.SCRIPTS)
    own = files.text(*(name for name in owner.SCRIPTS if name != "common.js"))
    marks = re.findall(r'data-(?:word|label|placeholder)="(\w+)"', owner.TEMPLATE)
    words = set(owner_words.owner_labels("en"))
    # Such as `state_${...}`: one for each of several states.
    starts = re.findall(r"`([a-z]+_)\$\{", own)
    assert {*marks, *re.findall(r"say\('(\w+)'", own)} <= words
    used = {key for key in words if f"'{key}'" in script or f"words.{key}" in script}
    used |= {key for key in words if key.startswith(tuple(starts))}
    # What the server says where a token is wrong.
    assert words - used - set(marks) == {"wrong_token"}


def test_every_step_state_and_kind_has_its_word() -> None:
    words = owner_words.owner_labels("en")
    for step in ("reading", "drawing", "training", "judging", "writing"):
        assert f"step_{step}" in words
    for state in ("live", "refused", "failed", "cancelled", "running"):
        assert f"state_{state}" in words
    for kind in ("shipped", "refit", "tuning"):
        assert f"kind_{kind}" in words


def test_nothing_in_the_templates_is_evaluated() -> None:
    for text in (owner.TEMPLATE, files.text(*owner.STYLES)):
        for mark in ("${", "{{", "`", "\\"):
            assert mark not in text


# --- where it is ----------------------------------------------------------------------------------


def ids(app: gr.Blocks) -> set[str]:
    return {block.elem_id for block in app.blocks.values() if block.elem_id}


def test_there_is_no_section_where_no_token_is_set(draw: FakeDraw) -> None:
    assert "draw-owner" not in ids(ui.build_app(make_services(draw=draw)))
    app = ui.build_app(make_services(draw=draw, owner_token=draw.owner_token))
    assert "draw-owner" in ids(app)
    # The token itself goes nowhere.
    assert draw.owner_token not in json.dumps(app.get_config_file(), default=str)


def test_nor_where_nothing_can_be_tuned() -> None:
    assert "draw-owner" not in ids(ui.build_app(make_services(draw=FakeDraw(), owner_token="x")))


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_nobody_else_may_do_or_see_anything(
    page: Page, draw: FakeDraw, name: str, lang: str
) -> None:
    assert draw.tuning is not None
    page.token = "another"
    answer = page(name, lang, kind="refit", id="shipped", word="blorp")
    wrong = owner_words.OWNER[lang]["wrong_token"]
    assert answer == {"problem": wrong, "again": False, "locked": True}
    assert (draw.accepted, draw.tuning.runs, draw.tuning.chain) == (set(), [], ["shipped"])


@pytest.mark.parametrize("token", [None, 3, True, [], ["an owner's token"], {}, "x" * 301])
def test_a_token_is_a_text(page: Page, token: object) -> None:
    assert page("owner_state", token=token)["problem"]
    assert "state" not in page("owner_state", token=token)


def test_whatever_a_client_sends_ends_in_an_answer(page: Page) -> None:
    for data in (None, "", 3, [], [[1]], {"token": None}, {"token": "x", "lang": ["ja"]}, {"a": 1}):
        for function in page.functions.values():
            assert "problem" in function(data, browser())


@given(
    st.sampled_from(FUNCTIONS),
    st.dictionaries(
        st.sampled_from(["kind", "layers", "epochs", "id", "word", "lang"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=6,
        ),
    ),
)
def test_no_request_raises(name: str, data: dict[str, Any]) -> None:
    draw = FakeDraw()
    draw.tuning = FakeTuning(draw)
    page = Page(draw)
    answer = page.functions[name]({**data, "token": page.token}, browser())
    assert answer.keys() in ({"state"}, {"problem", "again"})
    for run in draw.tuning.runs:
        assert run.kind in ("refit", "tuning")
        assert set(run.parameters) <= {"layers", "epochs"}


# --- what the owner does --------------------------------------------------------------------------


def test_the_state_has_what_the_page_shows(page: Page) -> None:
    state = page.state("owner_state")
    assert state["words"] == [{"word": "blorp", "drawings": 6, "accepted": False}]
    assert state["collected"] == {"shared": 6, "held_back": 1, "words": 1}
    assert [version["current"] for version in state["versions"]] == [True]
    assert (state["running"], state["previous"], state["runs"]) == (None, None, [])


def test_accept_and_take_back(page: Page, draw: FakeDraw) -> None:
    assert page.state("owner_accept", word="blorp")["words"][0]["accepted"] is True
    assert draw.accepted == {"blorp"}
    assert page.state("owner_reject", word="blorp")["words"][0]["accepted"] is False
    page.refused("word-not-drawn", "owner_accept", word="secret", params={"word": "secret"})


def test_learn_cancel_and_go_back(page: Page, draw: FakeDraw) -> None:
    tuning = draw.tuning
    assert tuning is not None
    state = page.state("owner_start", kind="refit")
    assert state["running"] == state["runs"][0]["id"]
    page.refused("tuning-busy", "owner_start", kind="refit")
    tuning.end(BETTER)
    state = page.state("owner_state")
    assert state["running"] is None
    assert state["runs"][0]["said"] == BETTER.sentence("en")
    assert page("owner_state", "ja")["state"]["runs"][0]["said"] == BETTER.sentence("ja")
    assert [version["current"] for version in state["versions"]] == [True, False]
    state = page.state("owner_back")
    assert [version["current"] for version in state["versions"]] == [False, True]
    page.refused("tuning-no-previous", "owner_back")
    newest = state["versions"][0]["id"]
    assert page.state("owner_activate", id=newest)["versions"][0]["current"] is True
    page.refused("tuning-version-not-found", "owner_activate", id="../../etc")
    state = page.state("owner_start", kind="tuning", layers="embed", epochs=3)
    assert state["runs"][0]["parameters"] == {"layers": "embed", "epochs": 3}
    assert page.state("owner_cancel", id=state["running"])["runs"][0]["state"] == "cancelled"
    page.refused("tuning-run-not-found", "owner_cancel", id="20200101-000000-0000")


def test_why_something_cannot_be_learnt_is_said(page: Page, draw: FakeDraw) -> None:
    assert draw.tuning is not None
    draw.tuning.why_tune = "data-missing"
    can = page.state("owner_state")["can"]
    assert (can["refit"], can["tune"]) == (True, False)
    assert can["why_said"] == REASONS["data-missing"][0]
    why = {"why": "data-missing"}
    page.refused("tuning-unavailable", "owner_start", kind="tuning", params=why)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "request-invalid"),
        ({"kind": "rm"}, "request-invalid"),
        ({"kind": ["refit"]}, "request-malformed"),
        ({"kind": "refit", "layers": "all"}, "request-invalid"),
        ({"kind": "tuning", "layers": "everything"}, "request-invalid"),
        ({"kind": "tuning", "layers": 3}, "request-malformed"),
        ({"kind": "tuning", "epochs": 0}, "request-invalid"),
        ({"kind": "tuning", "epochs": 10**30}, "request-invalid"),
        ({"kind": "tuning", "epochs": 2.5}, "request-malformed"),
        ({"kind": "tuning", "epochs": True}, "request-malformed"),
        ({"kind": "tuning", "epochs": "3; rm"}, "request-malformed"),
    ],
)
def test_a_run_that_makes_no_sense_is_not_begun(
    page: Page, draw: FakeDraw, data: dict[str, Any], code: str
) -> None:
    answer = page("owner_start", **data)
    start = TaggerError(code, field="", reason="").message().split("“")[0]
    assert answer["problem"].startswith(start)
    assert draw.tuning is not None
    assert draw.tuning.runs == []


def test_an_unforeseen_failure_leaks_nothing(draw: FakeDraw, page: Page, caplog: Any) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("secret /path")

    draw.before = fail
    answer = page("owner_state", "ja")
    assert answer == {"problem": TaggerError("internal").message("ja"), "again": True}
    assert "secret" in caplog.text


# --- with the services themselves -----------------------------------------------------------------


@pytest.fixture
def real(toy_bundle: Path, toy_sketch_bundle: Path, tmp_path: Path) -> Iterator[Page]:
    services = build_services(
        Settings(
            bundle=str(toy_bundle),
            sketch_bundle=str(toy_sketch_bundle),
            data_dir=tmp_path,
            owner_token="an owner's token",
            threads=1,
        )
    )
    yield Page(services.draw)
    services.close()


def test_the_services_own_state_is_what_the_page_takes(real: Page) -> None:
    state = real.state("owner_state")
    assert state["can"]["refit"] is False
    assert state["can"]["why_refit_said"]
    [version] = state["versions"]
    assert version["kind"] == "shipped"
    assert version["current"] is True
    answer = real("owner_start", kind="refit")
    assert answer["problem"].startswith("This cannot be done here")
    real.refused("tuning-no-previous", "owner_back")


def test_tokens_cannot_be_tried_one_after_the_other(real: Page) -> None:
    for attempt in range(100):
        answer = real("owner_state", token=f"attempt {attempt}")
        if "locked" not in answer:
            break
    assert answer["problem"] == TaggerError("too-fast").message()
    # From there not even the right one is heard.
    assert real("owner_state") == answer
    other = real.functions["owner_state"]({"token": real.token}, browser("192.0.2.8"))
    assert "state" in other
