"""The Draw tab without a browser: its words, its functions, its endpoints."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from hypothesis import given
from hypothesis import strategies as st

from tagger import server, ui
from tagger.drawing import KnownWord
from tagger.errors import RequestError, StrokesError, TaggerError
from tagger.ui import calls, draw_tab, draw_words, files
from tests.fakes import WORDS, FakeDraw, make_services, picture

VISITOR = "0123456789abcdef" * 2
LINE = [[0, 10], [0, 10]]


def browser(accept_language: str = "en", host: str = "192.0.2.7") -> SimpleNamespace:
    return SimpleNamespace(
        headers={"accept-language": accept_language}, client=SimpleNamespace(host=host)
    )


@pytest.fixture
def draw() -> FakeDraw:
    return FakeDraw()


class Page:
    """Calls the functions as the page's script does."""

    def __init__(self, draw: FakeDraw) -> None:
        functions = draw_tab.server_functions(draw)
        self.functions = {function.__name__: function for function in functions}

    def __call__(self, name: str, lang: str = "en", **data: Any) -> dict[str, Any]:
        answer = self.functions[name]({"visitor": VISITOR, "lang": lang, **data}, browser())
        json.dumps(answer)
        return answer


@pytest.fixture
def page(draw: FakeDraw) -> Page:
    return Page(draw)


# --- words ----------------------------------------------------------------------------------------


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_words_with_the_same_values() -> None:
    english, japanese = (draw_words.DRAW_TAB[lang] for lang in ("en", "ja"))
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert fields(japanese[key]) <= fields(text), key
        assert (text == "") == (japanese[key] == "") or key == "gap", key


def test_the_scripts_and_the_markup_use_just_the_words_that_there_are() -> None:
    script = files.text(*draw_tab.SCRIPTS)
    in_markup = set(re.findall(r'data-(?:word|label|sure|placeholder)="(\w+)"', draw_tab.TEMPLATE))
    words = set(draw_words.draw_labels("en"))
    assert in_markup | set(re.findall(r"say\('(\w+)'", script)) <= words
    in_script = {key for key in words if f"'{key}'" in script or f"words.{key}" in script}
    assert words - in_script - in_markup == set()


def test_nothing_in_the_templates_is_evaluated() -> None:
    for text in (draw_tab.TEMPLATE, files.text(*draw_tab.STYLES)):
        for mark in ("${", "{{", "`", "\\"):
            assert mark not in text


def test_there_is_no_tab_without_a_recogniser(draw: FakeDraw) -> None:
    def ids(app: gr.Blocks) -> set[str]:
        return {block.elem_id for block in app.blocks.values() if block.elem_id}

    assert "draw-tab" not in ids(ui.build_app(make_services()))
    assert "draw-tab" in ids(ui.build_app(make_services(draw=draw)))


# --- what the page calls --------------------------------------------------------------------------


def test_recognise(page: Page, draw: FakeDraw) -> None:
    answer = page("recognise", "ja", strokes=[LINE, LINE], seq=3)
    assert [entry["word"] for entry in answer["words"]] == [*WORDS][1:11]
    assert answer["words"][0]["label"] == "家"
    assert answer["model"] == "fake-sketch 1"
    assert answer["milliseconds"] >= 1


def test_save_says_how_far_a_new_word_has_come(page: Page, draw: FakeDraw) -> None:
    for count in range(1, 7):
        answer = page("save_drawing", strokes=[LINE], label="blorp", key=f"{count:016}")
        assert answer["saved"]["label"] == "blorp"
        assert answer["progress"] == {
            "count": count,
            "missing": max(0, 5 - count),
            "learns": count == 5,
        }
    known = page("save_drawing", "ja", strokes=[LINE], label="太陽")
    assert known["saved"] | {"id": ""} == {"id": "", "word": "sun", "label": "太陽"}
    assert known["progress"] == {"count": 1, "missing": 0, "learns": False}


def test_a_save_that_is_sent_again_is_kept_once(page: Page, draw: FakeDraw) -> None:
    first = page("save_drawing", strokes=[LINE], label="cat", key="k" * 16)
    second = page("save_drawing", strokes=[LINE], label="cat", key="k" * 16)
    assert first["saved"]["id"] == second["saved"]["id"]
    assert len(draw.kept) == 1


@pytest.mark.parametrize("consent", [True, False, None, "true", 1, "no"])
def test_only_a_plain_yes_is_consent(page: Page, draw: FakeDraw, consent: object) -> None:
    page("save_drawing", strokes=[LINE], label="cat", consent=consent)
    assert draw.saves[0]["consent"] is (consent is True)


@pytest.mark.parametrize(("kind", "source"), [("game", "game"), ("x", "canvas"), (None, "canvas")])
def test_where_it_was_drawn(page: Page, draw: FakeDraw, kind: object, source: str) -> None:
    page("save_drawing", strokes=[LINE], label="cat", kind=kind)
    assert draw.saves[0]["source"] == source


def test_gallery(page: Page, draw: FakeDraw) -> None:
    for i in range(3):
        draw.save([[[0, i + 1], [0, 1]]], "cat", visitor=VISITOR)
    draw.save([LINE], "blorp", visitor=VISITOR)
    draw.save([LINE], "moon", visitor="x" * 32)
    answer = page("gallery", "ja", offset=1, limit=2)
    assert answer["total"] == 4
    assert [entry["label"] for entry in answer["drawings"]] == ["猫", "猫"]
    assert answer["everyone"] == 5
    assert answer["next"] == 10
    assert [(entry["label"], entry["count"], entry["missing"]) for entry in answer["counts"]] == [
        ("猫", 3, 0),
        ("blorp", 1, 4),
    ]
    assert page("gallery", label="blorp")["total"] == 1


def test_another_visitors_drawing_is_out_of_reach(page: Page, draw: FakeDraw) -> None:
    saved = draw.save([LINE], "cat", visitor="x" * 32)
    for name in ("remove", "relabel"):
        answer = page(name, id=saved.id, label="dog")
        assert answer["problem"] == TaggerError("drawing-not-found").message("en")
    assert page("withdraw") == {"count": 0}
    assert len(draw.kept) == 1


def test_the_game_asks_for_words_that_were_not_drawn(page: Page) -> None:
    words = list(WORDS)
    assert page("challenge", "ja", seen=words[:-1])["label"] == WORDS[words[-1]]
    # When all were drawn it begins again; whatever a client says it has seen.
    for seen in (words, None, "cat", [1, {}, None], {"a": 1}):
        assert page("challenge", seen=seen)["word"] in WORDS


def test_complete(page: Page) -> None:
    answer = page("complete", "ja", query="太")
    assert answer["words"] == [{"word": "sun", "label": "太陽", "learnt": False, "count": 0}]
    assert len(page("complete", query="")["words"]) == draw_tab.COMPLETIONS


def test_trace(draw: FakeDraw) -> None:
    trace = Page(draw).functions["trace_picture"]
    upload = SimpleNamespace(files=[("a.png", picture((0, 0, 0)))], data={"lang": "ja"})
    assert trace(upload, browser())["strokes"] == [[[0, 19], [0, 11]], [[0, 19], [11, 0]]]
    bad = SimpleNamespace(files=[("a.png", b"x")], data={"lang": "ja"})
    assert trace(bad, browser())["problem"] == TaggerError("image-unreadable").message("ja")
    nothing = TaggerError("request-no-file").message("en")
    assert trace({"files": [["a", "/etc/passwd"]]}, browser())["problem"] == nothing


HOSTILE = [None, "", "x", 3, [], [[1, 2]], {"visitor": None}, {"visitor": ["a"] * 32}, {"a": 1}]


@pytest.mark.parametrize("data", HOSTILE)
def test_whatever_a_client_sends_ends_in_an_answer(page: Page, data: object) -> None:
    for name, function in page.functions.items():
        answer = function(data, browser("ja"))
        assert "problem" in answer or name == "challenge"


@given(
    st.dictionaries(
        st.sampled_from(
            ["visitor", "strokes", "label", "id", "key", "query", "seen", "offset", "limit"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=12,
        ),
    )
)
def test_no_request_raises(data: dict[str, Any]) -> None:
    page = Page(FakeDraw())
    for name, function in page.functions.items():
        if name != "trace_picture":
            assert isinstance(function(data, browser()), dict)


def test_an_unforeseen_failure_leaks_nothing(draw: FakeDraw, page: Page, caplog: Any) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("secret /path")

    draw.before = fail
    answer = page("recognise", "ja", strokes=[LINE])
    assert answer == {"problem": TaggerError("internal").message("ja"), "again": True}
    assert "secret" in caplog.text


@pytest.mark.parametrize("value", [-1, 1.5, "3", None, True, [], 10**30])
def test_numbers_are_checked(value: object) -> None:
    call = calls.Call({"offset": value}, browser())
    if value == 10**30:
        assert call.number("offset", 0, 9) == 9
        return
    with pytest.raises(RequestError):
        call.number("offset", 0, 9)


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        ([["cat", 0.5], ["dog", 0]], [("cat", 0.5), ("dog", 0.0)]),
        ([["cat", 2], ["cat", -1], ["cat", float("nan")], ["cat"], [1, 1], "ab", None], []),
        (None, []),
        ("ab", []),
        ([["cat", 0.1]] * 50, [("cat", 0.1)] * 10),
    ],
)
def test_predictions_are_read_as_they_were_told(value: object, pairs: list[object]) -> None:
    assert draw_tab.parse_predicted(value) == pairs


@given(st.integers(0, 10**9))
def test_the_next_amount_is_round_and_ahead(count: int) -> None:
    amount = draw_tab.next_amount(count)
    assert amount > count
    assert re.fullmatch("[125]0+", str(amount))
    assert amount == 10 or amount <= 2.5 * count


def test_progress_of_words_that_the_model_knows() -> None:
    for kind in ("word", "digit"):
        assert draw_tab.progress(KnownWord("x", kind=kind, drawings=5)) == {
            "count": 5,
            "missing": 0,
            "learns": False,
        }


# --- what programs call ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeDraw, Client]]:
    draw = FakeDraw()
    services = make_services(draw=draw)
    served = server.launch(services)
    yield draw, Client(served.url, verbose=False)
    served.close()
    services.close()


def test_programs_find_the_endpoints(served: tuple[FakeDraw, Client]) -> None:
    named = served[1].view_api(return_format="dict")["named_endpoints"]
    assert named.keys() == {"/tag", "/recognise", "/save_drawing"}


def test_programs_recognise(served: tuple[FakeDraw, Client]) -> None:
    draw, client = served
    answer = client.predict(strokes=[LINE, LINE, LINE], top=3, api_name="/recognise")
    assert answer == draw.recognise([LINE] * 3, top=3).to_dict()
    with pytest.raises(AppError, match=re.escape(StrokesError("strokes-empty").message())):
        client.predict(strokes=[], api_name="/recognise")
    with pytest.raises(AppError):
        client.predict(strokes={"a": 1}, api_name="/recognise")


def test_programs_save(served: tuple[FakeDraw, Client]) -> None:
    draw, client = served
    given = {"strokes": [LINE], "label": "blorp", "visitor": VISITOR, "key": "k" * 20}
    saved = client.predict(**given, consent=True, api_name="/save_drawing")
    assert saved["label"] == "blorp"
    again = client.predict(**given, consent=True, api_name="/save_drawing")
    assert again["id"] == saved["id"]
    assert again["duplicate"] is True
    [kept] = draw.saves
    assert kept["source"] == "api"
    assert kept["consent"] is True
    with pytest.raises(AppError):
        client.predict(**{**given, "visitor": "short"}, api_name="/save_drawing")
