"""The Draw tab, used as a person uses it: what is waited for is what is to be seen, never time."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Route, expect

from tagger import server
from tagger.errors import LimitError, StoreError
from tagger.services import build_services
from tagger.settings import DEFAULT_SKETCH_BUNDLE, Settings
from tagger.ui import draw_tab, files
from tests import toy
from tests.browser.artist import FISH, HOUSE, SUN, Artist, Line, circle, lines
from tests.browser.conftest import Visit
from tests.browser.person import Person
from tests.browser.test_tag_tab import _CONTRASTS
from tests.fakes import WORDS, FakeDraw, make_services

KNOWN = list(WORDS)
ASKING = re.compile(r"/component_server/?$")
CLIPBOARD = ("clipboard-read", "clipboard-write")

Begin = Callable[..., Artist]


@pytest.fixture(scope="module")
def draw() -> FakeDraw:
    return FakeDraw()


@pytest.fixture(scope="module")
def draw_url(draw: FakeDraw, browser: Browser) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        # So long that no machine is too slow to draw a line in it.
        patch.setattr(draw_tab, "GAME_SECONDS", 3600)
        services = make_services(draw=draw)
        served = server.launch(services)
    yield served.url
    served.close()
    services.close()


@pytest.fixture
def begin(visit: Visit, draw: FakeDraw, draw_url: str) -> Iterator[Begin]:
    """Open the tab as somebody; nothing has been saved yet."""
    draw.kept.clear()
    draw.keys.clear()
    draw.saves.clear()
    draw.asked.clear()
    draw.before = None

    def open_tab(**kind: object) -> Artist:
        return Artist(visit(draw_url, **kind))

    yield open_tab
    draw.before = None


def expected(strokes: int, language: str = "en") -> list[str]:
    """The stand-in's ten words for a drawing of so many strokes."""
    order = KNOWN[strokes - 1 :] + KNOWN[: strokes - 1]
    return [WORDS[word] if language == "ja" else word for word in order[:10]]


def asks(route: Route, name: str) -> bool:
    return json.loads(route.request.post_data or "{}").get("fn_name") == name


# --- drawing --------------------------------------------------------------------------------------


def test_the_words_move_while_the_pen_does(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    expect(artist.at("empty")).to_be_visible()
    artist.press(circle(0.5, 0.5, 0.3))
    # The button is still down.
    expect(artist.at("rows")).to_have_attribute("data-answer", re.compile(r"[1-9]"))
    assert artist.read_words() == expected(1)
    expect(artist.at("guess")).to_have_text("I see: cat")
    artist.page.mouse.up()
    artist.draw(lines(2))
    assert artist.read_words() == expected(3)
    expect(artist.at("guess")).to_have_text("I see: sun")
    assert 3 in draw.asked
    expect(artist.at("model")).to_have_text(re.compile(r"^fake-sketch 1 · \d+ ms$"))
    expect(artist.page.locator("#draw-tab .tg-news")).to_contain_text("It could be sun 60%, tree")


def test_nothing_on_the_page_jumps_while_words_move(begin: Begin) -> None:
    artist = begin()
    watched = ["easel", "tools", "results", "frame", "label", "save", "gallery"]

    def boxes() -> dict[str, object]:
        found = {name: artist.at(name).first.bounding_box() for name in watched}
        return {name: [box["x"], box["y"], box["height"]] for name, box in found.items()}

    before = boxes()
    artist.draw(lines(3))
    artist.read_words()
    assert boxes() == before
    artist.draw([circle(0.5, 0.5, 0.1)])
    artist.read_words()
    assert boxes() == before


def test_rows_stand_in_the_order_of_their_ranks_for_those_who_hear_them(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(2))
    artist.read_words()
    artist.draw(lines(1))
    artist.read_words()
    order = artist.page.locator("#draw-tab .dr-place .dr-name")
    expect(order).to_have_text(expected(3))
    expect(artist.page.get_by_role("button", name="1. sun, 60%.")).to_be_visible()


def test_a_late_answer_never_replaces_a_later_one(begin: Begin) -> None:
    artist = begin()
    # Until one was answered, the next one waits for it.
    artist.draw(lines(1))
    assert artist.read_words() == expected(1)
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if asks(route, "recognise") and not held:
            held.append(route)
        else:
            route.continue_()

    artist.page.route(ASKING, hold_first)
    artist.draw(lines(1))
    artist.person.wait_until(lambda: held)
    artist.draw(lines(2))
    assert artist.read_words() == expected(4)
    with artist.page.expect_response(lambda answer: answer.request == held[0].request):
        held[0].continue_()
    assert artist.read_words() == expected(4)
    expect(artist.page.locator("#draw-tab .dr-first .dr-name")).to_have_text("tree")


def test_few_questions_travel_at_a_time_and_the_last_stroke_is_asked(begin: Begin) -> None:
    artist = begin()
    held: list[Route] = []
    holding = True

    def hold(route: Route) -> None:
        if holding and asks(route, "recognise"):
            held.append(route)
        else:
            route.continue_()

    artist.page.route(ASKING, hold)
    artist.draw(lines(6))
    artist.person.wait_until(lambda: held)
    assert 1 <= len(held) <= 3
    holding = False
    for route in held:
        route.continue_()
    assert artist.read_words() == expected(6)


def test_without_an_answer_it_says_so_and_asks_again(begin: Begin) -> None:
    artist = begin(troubles=False)
    artist.page.route(ASKING, lambda route: route.abort())
    artist.draw(lines(2))
    expect(artist.at("offline")).to_contain_text("does not answer")
    artist.page.unroute(ASKING)
    assert artist.read_words() == expected(2)
    expect(artist.at("offline")).to_be_empty()


def test_a_refusal_is_shown_and_outlived(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    refused = threading.Event()

    def refuse(name: str) -> None:
        if name == "recognise" and not refused.is_set():
            refused.set()
            raise LimitError("busy")

    draw.before = refuse
    artist.draw(lines(4))
    assert artist.read_words() == expected(4)
    assert refused.is_set()


def test_undo_redo_and_clear(begin: Begin) -> None:
    artist = begin()
    for name in ("undo", "redo", "clear", "png", "svg"):
        expect(artist.act(name)).to_have_attribute("aria-disabled", "true")
    artist.draw(lines(3))
    assert len(artist.strokes()) == 3
    artist.act("undo").click()
    assert artist.read_words() == expected(2)
    artist.act("undo").click()
    artist.act("redo").click()
    assert artist.read_words() == expected(2)
    artist.act("clear").click()
    expect(artist.at("results")).to_have_attribute("data-state", "empty")
    expect(artist.at("guess")).to_have_text("Draw, and watch it being named.")
    assert artist.strokes() == []
    assert artist.ink() == 0
    artist.act("undo").click()
    assert artist.read_words() == expected(2)
    # A new line ends what could be done again.
    artist.act("undo").click()
    artist.draw(lines(1))
    expect(artist.act("redo")).to_have_attribute("aria-disabled", "true")


def test_the_eraser_takes_whole_strokes_and_one_step_brings_them_back(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(4))
    drawn = artist.strokes()
    ink = artist.ink()
    artist.act("eraser").click()
    expect(artist.act("eraser")).to_have_attribute("aria-pressed", "true")
    # Over the second and the third line.
    artist.draw([[(0.25 + 0.02 * i, 0.3) for i in range(20)]])
    assert artist.strokes() == [drawn[0], drawn[3]]
    assert artist.read_words() == expected(2)
    assert artist.ink() < ink
    artist.act("undo").click()
    assert artist.strokes() == drawn
    assert artist.read_words() == expected(4)
    # A sweep over nothing is no step.
    artist.draw([[(0.02, 0.02), (0.03, 0.9)]])
    assert artist.strokes() == drawn
    artist.act("pen").click()
    artist.draw(lines(1))
    assert len(artist.strokes()) == 5


def test_keys(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(3))
    page = artist.page
    page.keyboard.press("ControlOrMeta+z")
    assert len(artist.strokes()) == 2
    page.keyboard.press("ControlOrMeta+Shift+z")
    assert len(artist.strokes()) == 3
    page.keyboard.press("ControlOrMeta+z")
    page.keyboard.press("ControlOrMeta+y")
    assert len(artist.strokes()) == 3
    page.keyboard.press("e")
    expect(artist.pad).to_have_attribute("data-tool", "eraser")
    page.keyboard.press("p")
    expect(artist.pad).to_have_attribute("data-tool", "pen")
    # Not where somebody writes.
    artist.field.focus()
    page.keyboard.type("epe")
    page.keyboard.press("Delete")
    expect(artist.field).to_have_value("epe")
    expect(artist.pad).to_have_attribute("data-tool", "pen")
    assert len(artist.strokes()) == 3
    artist.pad.focus()
    page.keyboard.press("Delete")
    assert artist.strokes() == []


def test_draw_and_save_with_keys_alone(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    page = artist.page
    artist.pad.focus()
    outline = "(pad) => parseFloat(getComputedStyle(pad).outlineWidth)"
    page.keyboard.press("ArrowLeft")
    assert artist.pad.evaluate(outline) >= 2
    page.keyboard.press(" ")
    for key in ["ArrowUp"] * 5 + ["ArrowRight"] * 5:
        page.keyboard.press(key)
    page.keyboard.press(" ")
    assert artist.read_words() == expected(1)
    [[x, y, *_]] = artist.strokes()
    assert [x[0], y[0]] == [246, 256]
    assert [x[-1], y[-1]] == [296, 206]
    for _ in range(30):
        page.keyboard.press("Tab")
        if "dr-row" in page.evaluate("document.activeElement.className"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(artist.field).to_have_value("house")
    expect(artist.at("save")).to_be_focused()
    page.keyboard.press("Enter")
    expect(artist.at("tile")).to_have_count(1)
    assert draw.saves[0]["label"] == "house"


def test_a_line_has_times_and_stays_on_the_pad(begin: Begin) -> None:
    artist = begin()
    artist.draw([[(0.5, 0.5), (0.9, 0.5), (1.2, 0.6)], [(0.2, 0.2), (0.3, 0.3)]])
    (x, _, t), (_, _, later) = artist.strokes()
    assert max(x) == 512
    assert t[0] == 0
    assert t == sorted(t)
    assert later[0] >= t[-1]
    assert later == sorted(later)


def test_a_pen_gives_its_pressure_and_a_mouse_none(begin: Begin) -> None:
    artist = begin()
    artist.pen([(0.2, 0.5), (0.4, 0.5), (0.6, 0.5)], force=[0.25, 0.5, 0.75])
    artist.draw([[(0.2, 0.8), (0.6, 0.8)]])
    pen, mouse = artist.strokes()
    assert len(pen) == 4
    assert pen[3][:3] == pytest.approx([0.25, 0.5, 0.75], abs=0.01)
    assert len(mouse) == 3


def test_a_finger_draws_and_does_not_scroll(begin: Begin) -> None:
    artist = begin(width=390, height=844)
    artist.pad.scroll_into_view_if_needed()
    before = artist.page.evaluate("scrollY")
    artist.touch([(0.5, 0.2 + 0.05 * i) for i in range(12)])
    artist.touch(circle(0.5, 0.5, 0.2))
    assert artist.read_words() == expected(2)
    assert artist.page.evaluate("scrollY") == before


def test_a_dense_screen_gets_all_its_dots(browser: Browser, begin: Begin, draw_url: str) -> None:
    context = browser.new_context(
        locale="en-US", viewport={"width": 1280, "height": 900}, device_scale_factor=2
    )
    try:
        artist = Artist(Person(context, draw_url))
        width = artist.pad.evaluate("(pad) => pad.clientWidth")
        assert artist.pad.evaluate("(pad) => pad.width") == 2 * width
        artist.draw(lines(2))
        assert artist.read_words() == expected(2)
    finally:
        context.close()


def test_another_size_another_tab_and_a_reload_lose_nothing(begin: Begin) -> None:
    artist = begin()
    artist.draw([circle(0.5, 0.5, 0.3), *lines(2)])
    drawn = artist.strokes()
    assert artist.ink() > 0
    artist.page.set_viewport_size({"width": 390, "height": 844})
    artist.page.wait_for_function("innerWidth === 390")
    small = artist.ink()
    assert small > 0
    assert artist.read_words() == expected(3)
    artist.page.set_viewport_size({"width": 1280, "height": 900})
    artist.page.wait_for_function("innerWidth === 1280")
    large = artist.ink()
    assert large > small
    artist.page.get_by_role("tab").nth(0).click()
    expect(artist.pad).to_be_hidden()
    artist.open_tab()
    assert artist.ink() == large
    assert artist.strokes() == drawn
    artist.act("undo").click()
    artist.act("redo").click()
    assert artist.read_words() == expected(3)
    artist.page.reload()
    artist.open_tab()
    assert artist.read_words() == expected(3)
    assert artist.strokes() == drawn
    # It goes on where it was: times never run back.
    artist.draw(lines(1))
    starts = [stroke[2][0] for stroke in artist.strokes()]
    assert starts == sorted(starts)


# --- labels ---------------------------------------------------------------------------------------


def test_save_under_a_suggestion_and_take_it_back(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    expect(artist.at("save")).to_have_attribute("aria-disabled", "true")
    artist.draw(lines(2))
    artist.read_words()
    drawn = artist.strokes()
    artist.page.get_by_role("button", name="2. sun").click()
    expect(artist.field).to_have_value("sun")
    artist.page.get_by_role("button", name="Save as “sun”").click()
    expect(artist.at("status")).to_have_text("Saved as “sun”.")
    [saved] = draw.saves
    assert saved["data"] == drawn
    assert saved["label"] == "sun"
    assert saved["consent"] is False
    assert saved["source"] == "canvas"
    assert [word for word, _ in saved["predicted"]] == expected(2)
    assert re.fullmatch("[0-9a-f]{32}", saved["visitor"])
    # The pad is free for the next one, the field, too.
    assert artist.strokes() == []
    expect(artist.field).to_have_value("")
    expect(artist.at("tile")).to_have_count(1)
    artist.at("unsave").click()
    expect(artist.at("tile")).to_have_count(0)
    assert draw.kept == {}
    assert artist.strokes() == drawn
    expect(artist.field).to_have_value("sun")
    expect(artist.at("unsave")).to_be_hidden()


def test_others_get_a_drawing_only_with_consent(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    artist.draw(lines(1))
    expect(artist.consent()).not_to_be_checked()
    artist.consent().check()
    artist.save_as("cat")
    artist.draw(lines(1))
    artist.consent().uncheck()
    artist.save_as("cat")
    expect(artist.at("tile")).to_have_count(2)
    assert [saved["consent"] for saved in draw.saves] == [True, False]


def test_completion_by_keys_and_by_mouse(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(1))
    artist.field.press_sequentially("s")
    expect(artist.options).to_contain_text(["sun", "star", "house", "fish", "New word: “s”"])
    expect(artist.field).to_have_attribute("aria-expanded", "true")
    artist.page.keyboard.press("ArrowDown")
    artist.page.keyboard.press("ArrowDown")
    marked = artist.page.locator("[role=option][aria-selected=true]")
    expect(marked).to_have_text("star")
    expect(artist.field).to_have_attribute(
        "aria-activedescendant", marked.get_attribute("id") or "-"
    )
    artist.page.keyboard.press("Enter")
    expect(artist.field).to_have_value("star")
    expect(artist.at("list").first).to_be_hidden()
    artist.field.fill("fl")
    expect(artist.options).to_contain_text(["flower", "New word: “fl”"])
    artist.options.first.click()
    expect(artist.field).to_have_value("flower")
    artist.field.fill("ho")
    expect(artist.options.first).to_be_visible()
    artist.page.keyboard.press("Escape")
    expect(artist.options.first).to_be_hidden()
    expect(artist.field).to_have_value("ho")


def test_teach_a_new_word_and_let_it_be_forgotten(begin: Begin) -> None:
    artist = begin()
    for count in range(1, 6):
        artist.draw(lines(2))
        artist.read_words()
        if count == 1:
            artist.field.fill("blorp")
            expect(artist.options).to_have_text(["New word: “blorp”"])
            artist.options.first.click()
        # Later ones need no writing: the word stays while it is being taught.
        expect(artist.field).to_have_value("blorp")
        artist.at("save").click()
        expect(artist.at("tile")).to_have_count(count)
        if count < 5:
            expect(artist.at("status")).to_contain_text(f"{5 - count} more until it is recognised")
            dots = artist.at("dots").locator(".dr-full")
            expect(dots).to_have_count(count)
    expect(artist.at("status")).to_contain_text("“blorp” has been learnt")
    expect(artist.at("dots")).to_have_count(0)
    artist.draw(lines(2))
    assert artist.read_words()[0] == "blorp"
    expect(artist.at("first").locator(".dr-yours")).to_have_text("taught by you")
    # With one drawing less it is not known any more, and the words follow at once.
    artist.at("tile").first.click()
    artist.at("remove").click()
    expect(artist.at("remove")).to_have_text("Really delete?")
    artist.at("remove").click()
    expect(artist.at("tile")).to_have_count(4)
    expect(artist.page.locator("#draw-tab .dr-first .dr-name")).to_have_text("house")


def test_a_name_in_japanese_is_the_known_word(begin: Begin, draw: FakeDraw) -> None:
    artist = begin(locale="ja-JP")
    artist.draw(lines(2))
    assert artist.read_words() == expected(2, "ja")
    artist.field.fill("太")
    expect(artist.options).to_have_text(["太陽", "新しい言葉：「太」"])
    artist.options.first.click()
    artist.at("save").click()
    expect(artist.at("status")).to_have_text("「太陽」で保存しました。")
    assert draw.saves[0]["label"] == "sun"
    expect(artist.at("caption").first).to_have_text("太陽")
    expect(artist.page.get_by_role("tab", name="お絵かき")).to_be_visible()


def test_a_word_is_text_whatever_it_holds(begin: Begin) -> None:
    artist = begin()
    hostile = "<img src=x onerror=alert(1)>${alert(2)}{{x}}"
    artist.draw(lines(1))
    artist.save_as(hostile)
    expect(artist.at("status")).to_contain_text(hostile)
    expect(artist.at("caption").first).to_have_text(hostile)
    expect(artist.at("word").first).to_have_text(hostile)
    artist.page.reload()
    artist.open_tab()
    expect(artist.at("caption").first).to_have_text(hostile)
    assert artist.page.locator("#draw-tab img").count() == 0


def test_a_save_that_fails_loses_nothing_and_is_sent_once(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    artist.draw(lines(2))
    drawn = artist.strokes()

    def refuse(name: str) -> None:
        if name == "save":
            raise StoreError("store-full")

    draw.before = refuse
    artist.field.fill("cat")
    artist.at("save").click()
    expect(artist.message).to_be_visible()
    assert artist.strokes() == drawn
    expect(artist.field).to_have_value("cat")
    draw.before = None
    artist.at("save").click()
    expect(artist.at("tile")).to_have_count(1)
    expect(artist.message).to_be_hidden()
    assert len(draw.saves) == 1


# --- the gallery ----------------------------------------------------------------------------------


def test_look_through_rename_and_delete(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    for count, word in ((1, "cat"), (2, "cat"), (3, "moon")):
        artist.draw(lines(count))
        artist.save_as(word)
        expect(artist.at("tile")).to_have_count(count)
    expect(artist.at("sum")).to_have_text("3 drawings · 2 words")
    expect(artist.at("everyone")).to_have_text("All visitors together: 3 drawings, 7 more to 10.")
    expect(artist.at("caption")).to_have_text(["moon", "cat", "cat"])
    # Only those of one word.
    artist.page.get_by_role("button", name="cat: 2").click()
    expect(artist.at("tile")).to_have_count(2)
    artist.page.get_by_role("button", name="cat: 2").click()
    expect(artist.at("tile")).to_have_count(3)
    artist.at("tile").nth(1).click()
    expect(artist.at("panel")).to_be_visible()
    field = artist.at("panel").locator(".dr-field")
    expect(field).to_be_focused()
    field.fill("ca")
    expect(artist.at("panel").locator(".dr-option")).to_contain_text(["cat", "car", "New word"])
    field.fill("car")
    artist.at("relabel").click()
    expect(artist.at("caption")).to_have_text(["moon", "car", "cat"])
    expect(artist.at("told")).to_have_text("Renamed to “car”.")
    # Back on the pad, to be drawn on.
    artist.at("open").click()
    assert artist.read_words() == expected(2)
    assert len(artist.strokes()) == 2
    artist.at("remove").click()
    # Whoever turns to something else did not mean it.
    artist.at("panel").locator(".dr-field").focus()
    expect(artist.at("remove")).to_have_text("Delete")
    artist.at("remove").click()
    artist.at("remove").click()
    expect(artist.at("caption")).to_have_text(["moon", "cat"])
    expect(artist.at("panel")).to_be_hidden()
    artist.at("withdraw").click()
    artist.at("withdraw").click()
    expect(artist.at("tile")).to_have_count(0)
    expect(artist.at("told")).to_have_text("All your drawings were deleted: 2.")
    expect(artist.at("none")).to_be_visible()
    assert draw.kept == {}


def test_the_gallery_is_there_at_the_next_visit_and_is_nobody_elses(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(1))
    artist.save_as("cat")
    artist.page.reload()
    artist.open_tab()
    expect(artist.at("tile")).to_have_count(1)
    other = begin(locale="ja-JP")
    expect(other.at("everyone")).to_contain_text("1枚")
    expect(other.at("tile")).to_have_count(0)


def test_a_large_gallery_comes_in_parts(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    visitor = artist.page.evaluate("localStorage.getItem('tagger-visitor')")
    for i in range(30):
        draw.save([[[0, i + 1], [0, 9]]], "cat", visitor=visitor)
    artist.page.reload()
    artist.open_tab()
    expect(artist.at("tile")).to_have_count(24)
    artist.at("more").click()
    expect(artist.at("tile")).to_have_count(30)
    expect(artist.at("more")).to_be_hidden()
    expect(artist.at("tile").nth(24)).to_be_focused()


# --- the game -------------------------------------------------------------------------------------


def play(artist: Artist) -> int:
    """Begin a round; how many strokes win it."""
    artist.at("next").click()
    expect(artist.at("easel")).to_have_attribute("data-phase", "round")
    return KNOWN.index(artist.at("task-word").inner_text()) + 1


def test_a_game_that_is_won_and_given(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    artist.draw(lines(2))
    mine = artist.strokes()
    artist.page.get_by_role("radio", name="Play: draw this!").check()
    expect(artist.at("verdict")).to_contain_text("You get a word and 3600 seconds")
    words = []
    for round_ in (1, 2):
        needed = play(artist)
        words.append(KNOWN[needed - 1])
        # Whatever begins to look like it wins, so the lines come one by one.
        for line in lines(needed):
            artist.draw([line])
        expect(artist.at("verdict")).to_contain_text(f"“{words[-1]}”, recognised after")
        expect(artist.at("next")).to_be_focused()
        expect(artist.at("score")).to_have_text(f"{round_} of {round_} recognised")
        assert draw.saves == []
    assert len(set(words)) == 2
    # With consent the earlier ones are given, too, and the next one as it ends.
    artist.consent().check()
    expect(artist.page.locator(".dr-round[data-saved=true]")).to_have_count(2)
    needed = play(artist)
    artist.draw(lines(needed))
    expect(artist.page.locator(".dr-round[data-saved=true]")).to_have_count(3)
    assert {saved["source"] for saved in draw.saves} == {"game"}
    assert {saved["consent"] for saved in draw.saves} == {True}
    assert [saved["label"] for saved in draw.saves] == [*words, KNOWN[needed - 1]]
    expect(artist.at("tile")).to_have_count(3)
    # The drawing from before the game is there again.
    artist.page.get_by_role("radio", name="Draw freely").check()
    assert artist.read_words() == expected(2)
    assert artist.strokes() == mine


def test_a_word_can_be_skipped_and_nothing_is_kept_unasked(begin: Begin, draw: FakeDraw) -> None:
    artist = begin()
    artist.page.get_by_role("radio", name="Play: draw this!").check()
    play(artist)
    artist.at("skip").click()
    expect(artist.at("verdict")).to_contain_text("was left out")
    expect(artist.at("score")).to_have_text("0 of 1 recognised")
    # Between rounds the pad is closed.
    artist.draw([[(0.2, 0.2), (0.8, 0.2)]])
    assert artist.ink() == 0
    assert draw.saves == []


def test_time_is_up(begin: Begin, draw: FakeDraw, visit: Visit) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_tab, "GAME_SECONDS", 1)
        services = make_services(draw=draw)
        served = server.launch(services)
    try:
        artist = Artist(visit(served.url))
        artist.page.get_by_role("radio", name="Play: draw this!").check()
        artist.at("next").click()
        expect(artist.at("easel")).to_have_attribute("data-phase", "result")
        expect(artist.at("score")).to_have_text("0 of 1 recognised")
        expect(artist.at("next")).to_have_text("Next word")
    finally:
        served.close()
        services.close()


# --- in and out -----------------------------------------------------------------------------------


def bring(artist: Artist, name: str, data: bytes, kind: str = "") -> None:
    with artist.page.expect_file_chooser() as chooser:
        artist.act("bring").click()
    chooser.value.set_files([{"name": name, "mimeType": kind, "buffer": data}])


def test_download_and_bring_in_again(begin: Begin) -> None:
    artist = begin()
    artist.draw([circle(0.5, 0.4, 0.2), [(0.2, 0.8), (0.8, 0.8)]])
    artist.field.fill("A <cat>/..")
    with artist.page.expect_download() as downloaded:
        artist.act("svg").click()
    assert downloaded.value.suggested_filename == "A cat.svg"
    svg = downloaded.value.path().read_bytes()
    with artist.page.expect_download() as downloaded:
        artist.act("png").click()
    with Image.open(downloaded.value.path()) as image:
        assert image.size == (1024, 1024)
        grey = np.asarray(image.convert("L"))
    assert grey[0, 0] == 255
    # The straight line is black across its width, and the picture is white elsewhere below.
    assert (grey[815:823, 420:600] < 40).all()
    assert (grey[860:] == 255).all()
    artist.act("clear").click()
    bring(artist, "cat.svg", svg, "image/svg+xml")
    assert artist.read_words() == expected(2)
    (x, y), _ = artist.strokes()
    # Round still, as large as the pad allows.
    width, height = max(x) - min(x), max(y) - min(y)
    assert width == pytest.approx(height, rel=0.03)
    artist.act("undo").click()
    assert artist.strokes() == []


def test_a_hostile_svg_gives_its_lines_and_nothing_else(begin: Begin) -> None:
    artist = begin()
    svg = """<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"
      xmlns:xlink="http://www.w3.org/1999/xlink">
      <script>alert(2)</script>
      <style>@import url("http://example.org/a.css"); body { display: none }</style>
      <image xlink:href="http://example.org/a.png" width="9" height="9"/>
      <foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><img src="http://example.org/x"
        onerror="alert(3)"/></body></foreignObject>
      <defs><path d="M0 0L1 1"/></defs>
      <g display="none"><path d="M0 0L1 1"/></g>
      <use xlink:href="http://example.org/a.svg#x"/>
      <rect width="100" height="100" fill="white"/>
      <g transform="translate(10 20) scale(2)"><line x1="0" y1="0" x2="10" y2="0"/></g>
      <path d="M0 0 L 9e999 0" onclick="alert(4)"/>
      <path d="M10,20l5,5m1-1.5.5.5z"/>
      <circle r="5" cx="20" cy="20"/><ellipse rx="4" ry="2"/><polygon points="0,0 4,0 4,4"/>
      <polyline points="0 0 1 1 2 0"/><rect x="1" y="1" width="2" height="3"/></svg>"""
    bring(artist, "bad.svg", svg.encode())
    # A line, two of the last path, and one of each other shape that is no paper.
    assert artist.read_words() == expected(8)
    assert artist.page.locator("#draw-tab :is(image, script, foreignObject)").count() == 0
    for bad in (
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<svg><broken",
        b'<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg">'
        b'<path d="M0 0L1 1"/></svg>',
        b"<svg xmlns='http://www.w3.org/2000/svg'>" + b" " * 2_000_001 + b"</svg>",
    ):
        bring(artist, "none.svg", bad)
        expect(artist.message).to_contain_text("none.svg holds no lines")
        artist.message.get_by_role("button").click()
        expect(artist.message).to_be_hidden()
    assert artist.read_words() == expected(8)


PATHS = [
    "M10 10 L90 20 H50 V80 Z",
    "m10 10 20 5 l-5 30 h10 v-5 z m50 50 10 10",
    "M10 80 C 40 10, 65 10, 95 80 S 150 150, 180 80",
    "M10 80 Q 52.5 10, 95 80 T 180 80 t 20 20",
    "M10 80 c 30-70 55-70 85 0 s 55 70 85 0 q5-5 10 0t10 0",
    "M80 80 A 45 45 0 0 0 125 125 L 125 80 Z",
    "M10 315 L 110 215 A 30 50 0 0 1 162.55 162.45 L 172.55 152.45 A 30 50 -45 0 1 215.1 109.9",
    "M230 80 a 45 45, 0, 1, 0, 45 45 l 0 -45 z",
    "M6 4a2 2 0 10-4 0 2 2 0 114 0",
    "M1.5.5-.5.5 1e1-1E-1",
]


def test_paths_are_sampled_where_the_browser_draws_them(begin: Begin) -> None:
    # The reference is the browser's own geometry, walked in small steps.
    artist = begin()
    code = files.text("pad.js", "svg.js")
    for data in PATHS:
        ours, theirs = artist.page.evaluate(
            """([code, data]) => {
              const linesOfPath = new Function(code + '; return linesOfPath;')();
              const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
              path.setAttribute('d', data);
              const length = path.getTotalLength();
              const theirs = Array.from({length: 1501}, (_, i) => {
                const {x, y} = path.getPointAtLength(length * i / 1500); return [x, y];
              });
              return [linesOfPath(data), theirs];
            }""",
            [code, data],
        )
        reference = np.array(theirs)
        scale = np.ptp(reference, axis=0).max()
        for line in ours:
            for x, y in line:
                away = np.hypot(reference[:, 0] - x, reference[:, 1] - y).min()
                assert away < 0.005 * scale, data
        # And back: no part of the path is left out.
        dense = np.concatenate(
            [
                np.linspace(a, b, 60)
                for line in ours
                for a, b in zip(np.array(line), np.array(line)[1:], strict=False)
            ]
        )
        for point in reference[::15]:
            assert np.hypot(*(dense - point).T).min() < 0.01 * scale, data


def test_transformations_are_those_of_the_standard(begin: Begin) -> None:
    artist = begin()
    code = files.text("pad.js", "svg.js")
    for transform in (
        "translate(5)",
        "translate(5, -6) scale(2)",
        "scale(2 -3) rotate(30)",
        "rotate(40, 10 20)",
        "skewX(20) skewY(-10)",
        "matrix(1 2 3 4 5 6) translate(1e1 .5)",
        "",
    ):
        ours, theirs = artist.page.evaluate(
            """([code, transform]) => {
              const matrixOf = new Function(code + '; return matrixOf;')();
              const space = 'http://www.w3.org/2000/svg';
              const svg = document.createElementNS(space, 'svg');
              const g = document.createElementNS(space, 'g');
              g.setAttribute('transform', transform);
              svg.append(g);
              const m = g.transform.baseVal.consolidate()?.matrix ?? svg.createSVGMatrix();
              return [matrixOf(transform), [m.a, m.b, m.c, m.d, m.e, m.f]];
            }""",
            [code, transform],
        )
        assert ours == pytest.approx(theirs, abs=1e-4), transform


def photo() -> bytes:
    image = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(image).rectangle((50, 60, 250, 140), outline="black", width=4)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_bring_in_a_photo(begin: Begin) -> None:
    artist = begin()
    bring(artist, "photo.png", photo(), "image/png")
    assert artist.read_words() == expected(2)
    # Fitted evenly: as wide as the pad but for its margin, and as flat as it was.
    (x, y), _ = artist.strokes()
    assert max(x) - min(x) == pytest.approx(512 - 96, abs=1)
    assert max(y) - min(y) == pytest.approx((512 - 96) * 80 / 200, rel=0.02)
    bring(artist, "broken.png", b"nothing", "image/png")
    expect(artist.message).to_be_visible()
    assert artist.read_words() == expected(2)


def test_drop_and_paste_a_photo(begin: Begin) -> None:
    artist = begin(permissions=CLIPBOARD)
    artist.person.drop(("photo.png", photo()), on="#draw-tab .dr-easel")
    assert artist.read_words() == expected(2)
    artist.act("clear").click()
    artist.person.paste_picture(photo())
    assert artist.read_words() == expected(2)
    # The other tab did not take them.
    artist.page.get_by_role("tab").nth(0).click()
    expect(artist.person.results).to_have_attribute("data-state", "empty")


# --- everyone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(begin: Begin, scheme: str) -> None:
    artist = begin(color_scheme=scheme)
    artist.draw(lines(2))
    artist.read_words()
    artist.save_as("blorp")
    expect(artist.at("tile")).to_have_count(1)
    artist.at("tile").first.click()
    artist.at("remove").click()
    artist.draw(lines(1))
    artist.read_words()
    contrasts = artist.page.evaluate(_CONTRASTS)
    assert len(contrasts) > 40
    # Buttons that can do nothing now are exempt (WCAG 1.4.3).
    low = [entry for entry in contrasts if entry[1] < 4.5]
    assert [text for text, _ in low if text.strip() not in ("PNG", "SVG")] == []


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_a_phone_needs_no_sideways_scrolling(begin: Begin, locale: str) -> None:
    artist = begin(width=390, height=844, locale=locale)
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not artist.page.evaluate(wider)
    artist.touch(circle(0.5, 0.5, 0.3))
    artist.read_words()
    artist.field.fill("a" * 60)
    expect(artist.options.first).to_be_visible()
    assert not artist.page.evaluate(wider)
    artist.page.keyboard.press("Enter")
    expect(artist.at("tile")).to_have_count(1)
    artist.at("tile").first.tap()
    expect(artist.at("panel")).to_be_visible()
    assert not artist.page.evaluate(wider)
    tops = {button.bounding_box()["y"] for button in artist.at("tools").locator("button").all()}
    assert len(tops) == 1, "the tools stand in one line"
    for button in artist.page.locator("#draw-tab button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.get_attribute("class")


def test_names_for_screen_readers(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(1))
    artist.read_words()
    for name in ("Drawing", "What it could be", "Your drawings"):
        region = artist.page.get_by_role("region", name=name, exact=True)
        expect(region).to_be_visible()
    unnamed = artist.page.evaluate(
        """() => [...document.querySelectorAll('#draw-tab :is(button, input, canvas)')]
          .filter((node) => node.checkVisibility() && !node.disabled && !node.closest('label'))
          .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim()))
          .filter((node) => node.getAttribute('aria-hidden') !== 'true')
          .map((node) => node.className)"""
    )
    assert unnamed == []


def test_less_motion_for_those_who_ask(browser: Browser, begin: Begin, draw_url: str) -> None:
    context = browser.new_context(locale="en-US", reduced_motion="reduce")
    try:
        artist = Artist(Person(context, draw_url))
        artist.draw(lines(2))
        artist.read_words()
        moving = artist.page.evaluate(
            """() => [...document.querySelectorAll('#draw-tab [data-ready] *')]
              .filter((node) => parseFloat(getComputedStyle(node).transitionDuration) > 0)
              .map((node) => node.className)"""
        )
        assert moving == []
    finally:
        context.close()


def test_the_tab_asks_nobody_but_its_server(begin: Begin) -> None:
    artist = begin()
    artist.draw(lines(2))
    artist.save_as("cat")
    urls = artist.page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")
    origin = artist.person.origin
    assert [u for u in urls if origin not in u and not u.startswith(("data:", "blob:"))] == []


# --- with the services themselves -----------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_url(
    toy_bundle: Path, toy_sketch_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The page with a small recogniser, a collection on the disk and all that is between."""
    services = build_services(
        Settings(
            bundle=str(toy_bundle),
            sketch_bundle=str(toy_sketch_bundle),
            data_dir=tmp_path_factory.mktemp("data"),
            threads=1,
        )
    )
    served = server.launch(services)
    yield served.url
    served.close()
    services.close()


def test_a_person_draws_teaches_sees_it_learnt_and_takes_it_back(
    visit: Visit, whole_url: str
) -> None:
    artist = Artist(visit(whole_url))
    level: list[Line] = [[(0.1, 0.5), (0.5, 0.5), (0.9, 0.5)]]
    artist.draw(level)
    assert artist.read_words()[0] == "level"
    assert len(artist.read_words()) == len(toy.SKETCH_WORDS)
    artist.page.get_by_role("button", name="1. level").click()
    artist.at("save").click()
    expect(artist.at("status")).to_have_text("Saved as “level”.")
    # A shape that it has no word for.
    new: list[Line] = [circle(0.5, 0.5, 0.35)]
    artist.draw(new)
    assert "ring" not in artist.read_words()
    for count in range(1, 6):
        if count > 1:
            artist.draw(new)
            artist.read_words()
        artist.save_as("ring")
        expect(artist.at("tile")).to_have_count(count + 1)
    expect(artist.at("status")).to_contain_text("has been learnt")
    artist.draw(new)
    assert artist.read_words()[0] == "ring"
    expect(artist.at("first").locator(".dr-yours")).to_be_visible()
    # What it knew before it knows still.
    artist.act("clear").click()
    artist.draw(level)
    assert artist.read_words()[0] == "level"
    artist.act("clear").click()
    artist.draw(new)
    assert artist.read_words()[0] == "ring"
    artist.at("withdraw").click()
    artist.at("withdraw").click()
    expect(artist.at("tile")).to_have_count(0)
    expect(artist.page.locator("#draw-tab .dr-first .dr-name")).not_to_have_text("ring")
    artist.act("undo").click()
    artist.act("redo").click()
    assert "ring" not in artist.read_words()


def test_a_photo_becomes_lines(visit: Visit, whole_url: str) -> None:
    artist = Artist(visit(whole_url))
    bring(artist, "photo.png", photo(), "image/png")
    artist.read_words()
    drawn = artist.strokes()
    assert drawn
    x = np.concatenate([stroke[0] for stroke in drawn])
    y = np.concatenate([stroke[1] for stroke in drawn])
    # The frame that was drawn, in its proportions.
    assert np.ptp(x) == pytest.approx(512 - 96, abs=2)
    assert np.ptp(y) / np.ptp(x) == pytest.approx(80 / 200, abs=0.03)


@pytest.mark.real_bundle
def test_the_shipped_recogniser_names_what_people_draw(
    toy_bundle: Path, tmp_path: Path, visit: Visit
) -> None:
    if not (Path(DEFAULT_SKETCH_BUNDLE) / "model.onnx").is_file():
        pytest.skip("the shipped recogniser is not exported")
    services = build_services(
        Settings(
            bundle=str(toy_bundle),
            sketch_bundle=DEFAULT_SKETCH_BUNDLE,
            data_dir=tmp_path,
            threads=1,
        )
    )
    served = server.launch(services)
    try:
        artist = Artist(visit(served.url))
        seen = 0
        for drawing, word in ((HOUSE, "house"), (SUN, "sun"), (FISH, "fish")):
            artist.draw(drawing)
            seen += word in artist.read_words()[:3]
            artist.act("clear").click()
        assert seen >= 2
    finally:
        served.close()
        services.close()
