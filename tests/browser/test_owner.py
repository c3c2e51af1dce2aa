"""The owner's section, used as an owner uses it: what is waited for is what is to be seen."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tagger import server
from tagger.drawing import DrawServices
from tagger.errors import LimitError, StoreError
from tagger.gate import Change, Verdict
from tagger.messages import REASONS
from tagger.services import build_services
from tagger.tuning import TuningService
from tagger.ui import owner
from tagger.ui.owner_words import OWNER
from tests import learning
from tests.browser.artist import Artist, Line
from tests.browser.conftest import Visit
from tests.browser.test_tag_tab import _CONTRASTS
from tests.fakes import FakeDraw, FakeTuning, make_services
from tests.learning import World
from tests.toy import SKETCH_WORDS

LINE = [[0, 10], [0, 10]]
TOKEN = "an owner's token"
KEPT = Change(3450, 0.7113, 0.7104, -0.0042, 0.0025)
BETTER = Verdict(True, "better", KEPT, Change(42, 0.619, 0.7857, 0.0476, 0.2857))
CHANCE = Verdict(False, "not-better", KEPT, Change(42, 0.7857, 0.7619, -0.0952, 0.0476))
ASKING = re.compile(r"/component_server/?$")


class Owner:
    """Somebody who knows the token, or not, at the section below the gallery."""

    def __init__(self, artist: Artist) -> None:
        self.artist = artist
        self.page = artist.page
        self.root = self.page.locator("#draw-owner")
        expect(self.root.locator("[data-ready=true]")).to_be_visible()

    def at(self, name: str) -> Locator:
        """An element of the section by the name of its class."""
        return self.root.locator(f".ow-{name}")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.root.get_by_role("button", name=name)

    def open(self, token: str = TOKEN) -> None:
        """Open the section and say the token."""
        if not self.at("token").is_visible():
            self.at("title").click()
        self.at("token").fill(token)
        self.page.keyboard.press("Enter")

    def enter(self) -> None:
        """Be let in."""
        self.open()
        expect(self.at("room")).to_be_visible()

    @property
    def runs(self) -> Locator:
        return self.at("run")

    def cells(self, run: int) -> list[str]:
        """What a run's row says, without the drawing of its curve."""
        return self.runs.nth(run).locator(".ow-figures td").all_inner_texts()


Begin = Callable[..., Owner]


@pytest.fixture(scope="module")
def draw() -> FakeDraw:
    return FakeDraw(owner_token=TOKEN)


@pytest.fixture(scope="module")
def owner_url(draw: FakeDraw, browser: Browser) -> Iterator[str]:
    draw.tuning = FakeTuning(draw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, "PACE", {"running": 0.05, "idle": 0.1})
        services = make_services(draw=draw, owner_token=TOKEN)
        served = server.launch(services)
    yield served.url
    served.close()
    services.close()


@pytest.fixture
def tuning(draw: FakeDraw, owner_url: str) -> FakeTuning:
    """Nothing has been learnt; two new words have been given."""
    assert draw.tuning is not None
    # The page has it already, and what it holds begins anew.
    draw.tuning.__init__(draw)  # type: ignore[misc]
    for part in (draw.kept, draw.keys, draw.saves, draw.accepted):
        part.clear()
    draw.before = None
    for word, count in (("blorp", 6), ("<b>x</b>", 2), ("cat", 30)):
        for _ in range(count):
            draw.save([LINE], word, visitor="x" * 32, consent=True)
    return draw.tuning


@pytest.fixture
def begin(visit: Visit, draw: FakeDraw, tuning: FakeTuning, owner_url: str) -> Iterator[Begin]:
    """Open the tab as somebody who has not been here before."""

    def open_tab(**kind: object) -> Owner:
        return Owner(Artist(visit(owner_url, **kind)))

    yield open_tab
    draw.before = None


# --- one whole visit ------------------------------------------------------------------------------


def test_an_owner_accepts_learns_reads_the_verdict_and_goes_back(
    begin: Begin, draw: FakeDraw, tuning: FakeTuning
) -> None:
    somebody = begin()
    page = somebody.page
    expect(somebody.at("room")).to_be_hidden()
    somebody.open("a guess")
    expect(somebody.at("refused")).to_have_text(OWNER["en"]["wrong_token"])
    expect(somebody.at("room")).to_be_hidden()
    somebody.enter()
    expect(somebody.at("refused")).to_have_text("")
    expect(somebody.at("collected")).to_contain_text("38 drawings of 3 words")

    somebody.button("Accept “blorp” for everybody").click()
    expect(somebody.at("row").filter(has_text="blorp")).to_contain_text("Accepted")
    assert draw.accepted == {"blorp"}

    somebody.button("Learn now").click()
    expect(somebody.at("running")).to_be_visible()
    expect(somebody.at("running")).to_be_focused()
    expect(somebody.button("Learn now")).to_be_hidden()
    tuning.go_on(0.4, "training")
    bar = somebody.root.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "40")
    expect(somebody.at("step")).to_have_text("Training, 40%")
    tuning.go_on(0.9, "judging")
    expect(somebody.at("step")).to_have_text("Comparing with the one in use, 90%")
    tuning.end(BETTER)

    expect(somebody.button("Learn now")).to_be_visible()
    expect(somebody.at("last")).to_be_focused()
    expect(somebody.at("result")).to_contain_text("Went live")
    expect(somebody.at("result")).to_contain_text(BETTER.sentence())
    expect(somebody.root.locator(".tg-news")).to_contain_text(BETTER.sentence())
    versions = somebody.at("kept").get_by_role("listitem")
    expect(versions).to_have_count(2)
    expect(versions.first).to_contain_text("In use")
    expect(versions.first).to_contain_text("13 words")

    # A second one, by training, that is refused: the two stand side by side.
    somebody.at("layers").select_option("embed")
    somebody.at("epochs").fill("3")
    somebody.button("Train").click()
    expect(somebody.at("what")).to_have_text("Training")
    tuning.go_on(0.7, "training", 1.9, 1.2)
    expect(somebody.at("step")).to_have_text("Training, round 2, 70%")
    expect(somebody.at("running").locator(".ow-line")).to_have_count(3)
    tuning.go_on(1.0, "writing", 1.9, 1.2, 1.0)
    tuning.end(CHANCE)
    expect(somebody.at("result")).to_contain_text(CHANCE.sentence())
    expect(versions).to_have_count(2)
    expect(somebody.runs).to_have_count(2)
    [_, kind, drawings, words, frozen, collected, _, outcome] = somebody.cells(0)
    assert (kind, drawings, words.split()) == ("Training", "38", ["3", "+1", "new"])
    assert frozen.split() == ["71.1%", "→", "71.0%"]
    assert collected.split() == ["78.6%", "→", "76.2%"]
    assert outcome == "Refused"
    assert [somebody.cells(1)[i] for i in (1, 7)] == ["Learning", "Went live"]
    expect(somebody.runs.nth(0).locator("svg")).not_to_have_count(0)
    expect(somebody.runs.nth(1)).to_contain_text(BETTER.sentence())
    details = somebody.runs.nth(0).get_by_text("Details")
    details.click()
    for text in ("layers = embed", "epochs = 3", tuning.runs[-1].data["hash"], "3 rounds"):
        expect(somebody.runs.nth(0)).to_contain_text(text)
    expect(somebody.runs.nth(0)).to_contain_text("−2.4 points (−9.5 to +4.8), 42 drawings")

    somebody.button("Back to the one before").click()
    expect(versions.nth(1)).to_contain_text("In use")
    expect(versions.first).not_to_contain_text("In use")
    assert tuning.chain == ["shipped"]
    expect(somebody.button("Back to the one before")).to_have_attribute("aria-disabled", "true")
    somebody.button(re.compile("^Use fake-sketch 2 of ")).click()
    expect(versions.first).to_contain_text("In use")
    expect(somebody.root.locator(".tg-news")).to_contain_text("fake-sketch 2 of")
    # What was opened has stayed so, whatever was drawn anew.
    expect(somebody.runs.nth(0).locator("dl")).to_be_visible()

    somebody.button("Undo the acceptance of “blorp”").click()
    expect(somebody.button("Accept “blorp” for everybody")).to_be_focused()
    assert draw.accepted == set()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_long_run_is_cancelled(begin: Begin, tuning: FakeTuning) -> None:
    somebody = begin(locale="ja-JP")
    somebody.enter()
    somebody.button("訓練する").click()
    expect(somebody.at("what")).to_have_text("訓練しています")
    tuning.go_on(0.01, "training", 2.5)
    expect(somebody.at("step")).to_have_text("訓練中（1回目）、1%")
    somebody.button("中止").click()
    expect(somebody.at("result")).to_contain_text("中止しました。")
    expect(somebody.button("訓練する")).to_be_visible()
    assert tuning.runs[-1].state == "cancelled"
    assert somebody.cells(0)[-1] == "中止"
    # The next one can be cancelled, too.
    somebody.button("いま学ぶ").click()
    expect(somebody.button("中止")).to_have_attribute("aria-disabled", "false")
    somebody.button("中止").click()
    expect(somebody.runs).to_have_count(2)
    expect(somebody.button("いま学ぶ")).to_be_visible()


def test_what_goes_on_is_there_at_the_next_visit(begin: Begin, tuning: FakeTuning) -> None:
    somebody = begin()
    somebody.enter()
    somebody.button("Train").click()
    expect(somebody.at("running")).to_be_visible()
    tuning.go_on(0.3, "training", 1.0)
    expect(somebody.at("step")).to_have_text("Training, round 1, 30%")
    somebody.page.reload()
    somebody.artist.open_tab()
    # The token is the window's: nobody asks for it again.
    expect(somebody.at("step")).to_have_text("Training, round 1, 30%")
    tuning.end(error="stopped", detail="Killed")
    expect(somebody.at("result")).to_contain_text("The server stopped before it had ended.")
    expect(somebody.at("result").locator(".ow-chip")).to_have_text("Failed")
    somebody.button("Lock again").click()
    expect(somebody.at("room")).to_be_hidden()
    expect(somebody.at("token")).to_be_focused()
    somebody.page.reload()
    somebody.artist.open_tab()
    expect(somebody.at("frame")).not_to_have_attribute("open", "")
    assert TOKEN not in somebody.page.evaluate("JSON.stringify({...sessionStorage})")


def test_another_window_has_to_say_the_token(begin: Begin) -> None:
    begin().enter()
    other = begin()
    expect(other.at("room")).to_be_hidden()
    other.at("title").click()
    expect(other.at("token")).to_be_focused()


def test_where_no_token_is_set_nothing_is_to_be_seen(visit: Visit, browser: Browser) -> None:
    draw = FakeDraw()
    draw.tuning = FakeTuning(draw)
    services = make_services(draw=draw)
    served = server.launch(services)
    try:
        artist = Artist(visit(served.url))
        expect(artist.at("gallery")).to_be_visible()
        expect(artist.page.locator("#draw-owner")).to_have_count(0)
        assert "owner_start" not in artist.page.content()
    finally:
        served.close()
        services.close()


# --- when it does not go well ---------------------------------------------------------------------


def test_what_cannot_be_done_says_why(begin: Begin, tuning: FakeTuning) -> None:
    tuning.why_tune, tuning.why_refit = "training-missing", "nothing-given"
    somebody = begin()
    somebody.enter()
    for name, reason in (("Train", "training-missing"), ("Learn now", "nothing-given")):
        button = somebody.button(name)
        expect(button).to_have_attribute("aria-disabled", "true")
        button.click(force=True)
        expect(somebody.at("idle")).to_contain_text(REASONS[reason][0])
    expect(somebody.at("layers")).to_be_disabled()
    assert tuning.runs == []
    # As soon as there is something to learn from, it can be pressed.
    tuning.why_refit = None
    expect(somebody.button("Learn now")).to_have_attribute("aria-disabled", "false")


def test_trouble_is_said_and_outlived(begin: Begin, draw: FakeDraw, tuning: FakeTuning) -> None:
    somebody = begin()
    somebody.enter()
    message = somebody.root.locator(".tg-problem")

    def full(name: str) -> None:
        if name == "check_owner":
            raise StoreError("store-full")

    draw.before = full
    somebody.button("Learn now").click()
    expect(message).to_contain_text(StoreError("store-full").message())
    assert tuning.runs == []
    draw.before = None
    # It stays until it was read, though the page has had answers since.
    draw.accepted.add("blorp")
    expect(somebody.at("new")).to_contain_text("Accepted")
    expect(message).to_be_visible()
    message.get_by_role("button").click()
    expect(message).to_be_hidden()


def test_without_an_answer_it_says_so_and_asks_again(begin: Begin) -> None:
    somebody = begin(troubles=False)
    somebody.enter()

    def drop(route: Route) -> None:
        if json.loads(route.request.post_data or "{}").get("fn_name") == "owner_state":
            route.abort()
        else:
            route.continue_()

    somebody.page.route(ASKING, drop)
    message = somebody.root.locator(".tg-problem")
    expect(message).to_have_text(OWNER["en"]["no_answer"])
    somebody.page.unroute(ASKING)
    expect(message).to_be_hidden()


def test_too_many_guesses_are_told_to_wait(begin: Begin, draw: FakeDraw) -> None:
    def too_fast(name: str) -> None:
        if name == "check_owner":
            raise LimitError("too-fast")

    draw.before = too_fast
    somebody = begin()
    somebody.open()
    expect(somebody.at("refused")).to_have_text(LimitError("too-fast").message())
    expect(somebody.at("room")).to_be_hidden()
    draw.before = None
    somebody.enter()


def test_a_token_that_is_changed_locks_the_page(begin: Begin, draw: FakeDraw) -> None:
    somebody = begin()
    somebody.enter()
    draw.owner_token = "another"
    try:
        expect(somebody.at("refused")).to_have_text(OWNER["en"]["wrong_token"])
        expect(somebody.at("room")).to_be_hidden()
    finally:
        draw.owner_token = TOKEN


def test_a_word_is_text_whatever_it_holds(begin: Begin, tuning: FakeTuning) -> None:
    somebody = begin()
    somebody.enter()
    somebody.button("Accept “<b>x</b>” for everybody").click()
    row = somebody.at("row").filter(has_text="<b>x</b>")
    expect(row).to_contain_text("Accepted")
    somebody.button("Learn now").click()
    expect(somebody.at("running")).to_be_visible()
    tuning.end(BETTER)
    expect(somebody.runs).to_have_count(1)
    somebody.runs.first.get_by_text("Details").click()
    expect(somebody.runs.first).to_contain_text("<b>x</b>")
    expect(somebody.root.locator("bdi b, dd b")).to_have_count(0)


def test_keys_alone(begin: Begin, tuning: FakeTuning) -> None:
    somebody = begin()
    page = somebody.page
    somebody.at("title").focus()
    page.keyboard.press("Enter")
    expect(somebody.at("token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(somebody.button("Lock again")).to_be_focused()
    page.keyboard.press("Tab")
    expect(somebody.button("Accept “blorp” for everybody")).to_be_focused()
    page.keyboard.press("Enter")
    expect(somebody.button("Undo the acceptance of “blorp”")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(somebody.button("Learn now")).to_be_focused()
    page.keyboard.press("Enter")
    expect(somebody.at("running")).to_be_focused()
    page.keyboard.press("Tab")
    expect(somebody.button("Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(somebody.at("last")).to_be_focused()
    assert tuning.runs[-1].state == "cancelled"


# --- everyone -------------------------------------------------------------------------------------


def fill(somebody: Owner, tuning: FakeTuning) -> None:
    """Let there be everything that can be seen."""
    somebody.enter()
    somebody.button(re.compile("blorp")).first.click()
    tuning.start("refit")
    tuning.end(BETTER)
    tuning.start("tuning", {"layers": "all", "epochs": 6})
    tuning.go_on(1.0, "writing", 1.9, 1.4, 1.1)
    tuning.end(error="failed", detail="a very long line " * 20)
    expect(somebody.runs).to_have_count(2)
    somebody.runs.first.locator("summary").click()
    tuning.start("tuning")
    tuning.go_on(0.5, "training", 1.9, 1.4)
    expect(somebody.at("running").locator(".ow-line")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(begin: Begin, tuning: FakeTuning, scheme: str) -> None:
    somebody = begin(color_scheme=scheme)
    somebody.open("a guess")
    expect(somebody.at("refused")).not_to_be_empty()
    low = [entry for entry in somebody.page.evaluate(_CONTRASTS) if entry[1] < 4.5]
    fill(somebody, tuning)
    contrasts = somebody.page.evaluate(_CONTRASTS.replace("main *", "#draw-owner *"))
    assert len(contrasts) > 60
    low += [entry for entry in contrasts if entry[1] < 4.5]
    # Buttons that can do nothing now are exempt (WCAG 1.4.3).
    assert [text for text, _ in low if text.strip() not in ("PNG", "SVG")] == []


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_a_phone_needs_no_sideways_scrolling(begin: Begin, tuning: FakeTuning, locale: str) -> None:
    somebody = begin(width=390, height=844, locale=locale)
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    somebody.at("title").tap()
    assert not somebody.page.evaluate(wider)
    fill(somebody, tuning)
    assert not somebody.page.evaluate(wider)
    outside = somebody.page.evaluate(
        """() => {
          const room = document.querySelector('.ow-room');
          const edge = room.getBoundingClientRect().right + 1;
          return [...room.querySelectorAll('*')]
            .filter((node) => node.getBoundingClientRect().right > edge)
            .map((node) => node.className);
        }"""
    )
    assert outside == []
    small = somebody.page.evaluate(
        """() => [...document.querySelectorAll('#draw-owner :is(button, summary, select, input)')]
          .filter((node) => node.checkVisibility({visibilityProperty: true}))
          .map((node) => [node.className, node.getBoundingClientRect()])
          .filter(([name, box]) => Math.min(box.width, box.height) < 24)
          .map(([name]) => name)"""
    )
    assert small == []


def test_nothing_else_moves_when_a_run_begins_and_ends(begin: Begin, tuning: FakeTuning) -> None:
    somebody = begin()
    somebody.enter()
    watched = ("frame", "stage", "last", "versions", "runs")

    def places() -> list[float]:
        """Of these places in the section, wherever it has been scrolled to."""
        tops = [somebody.at(name).bounding_box()["y"] for name in watched]
        return [top - tops[0] for top in tops]

    before = places()
    somebody.button("Train").click()
    expect(somebody.at("running")).to_be_visible()
    assert places() == before
    tuning.go_on(0.5, "training", 1.9, 1.4)
    expect(somebody.at("running").locator(".ow-line")).to_have_count(3)
    assert places() == before
    tuning.end(error="failed")
    expect(somebody.button("Train")).to_be_visible()
    assert places() == before


def test_names_for_screen_readers(begin: Begin, tuning: FakeTuning) -> None:
    somebody = begin()
    fill(somebody, tuning)
    for name in ("New words", "Learning", "Versions", "Runs, side by side"):
        expect(somebody.root.get_by_role("region", name=name, exact=True)).to_be_visible()
    table = somebody.root.get_by_role("table", name="Runs, side by side")
    expect(table.get_by_role("columnheader")).to_have_count(8)
    expect(somebody.root.get_by_role("progressbar")).to_have_attribute(
        "aria-valuetext", "Training, round 2, 50%"
    )
    unnamed = somebody.page.evaluate(
        """() => [...document.querySelectorAll('#draw-owner :is(button, input, select)')]
          .filter((node) => node.checkVisibility() && !node.closest('label'))
          .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim()))
          .map((node) => node.className)"""
    )
    assert unnamed == []


# --- with the services themselves -----------------------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path, toy_bundle: Path) -> Iterator[tuple[str, DrawServices]]:
    """The page around a small recogniser that can be taught; its trainings never end."""
    world = World(tmp_path, learning.make_bundle(tmp_path / "made"))
    world.fill(*learning.GOOD, accepted=())
    settings = world.settings(bundle=str(toy_bundle), owner_token=TOKEN, threads=1)
    services = build_services(settings)
    draw = services.draw
    assert draw is not None
    draw.settle()
    program = (sys.executable, "-c", "import time; time.sleep(600)")
    draw.tuning = TuningService(settings, draw, program=program, installed=lambda: True, grace=0.5)
    served = server.launch(services)
    yield served.url, draw
    served.close()
    services.close()


def test_what_is_learnt_is_recognised_until_one_goes_back(
    visit: Visit, whole: tuple[str, DrawServices]
) -> None:
    url, draw = whole
    artist = Artist(visit(url))
    bracket: list[Line] = [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8)]]
    artist.draw(bracket)
    assert "bracket" not in artist.read_words()
    somebody = Owner(artist)
    somebody.enter()
    expect(somebody.at("new")).to_contain_text("bracket60 drawings")
    somebody.button("Accept “bracket” for everybody").click()
    expect(somebody.at("new")).to_contain_text("Accepted")

    somebody.button("Learn now").click()
    expect(somebody.at("result").locator(".ow-chip")).to_have_text("Went live")
    expect(somebody.at("result")).to_contain_text("Better, and what it knew is kept.")
    versions = somebody.at("kept").get_by_role("listitem")
    expect(versions.first).to_contain_text("In use")
    expect(versions.first).to_contain_text(f"{len(SKETCH_WORDS) + 1} words")
    [run] = [somebody.cells(0)]
    assert (run[1], run[2], run[7]) == ("Learning", "140", "Went live")
    # By its last layer now, not by what everybody's visitors taught.
    draw.reject("bracket")
    artist.act("clear").click()
    artist.draw(bracket)
    assert artist.read_words()[0] == "bracket"

    # A training goes on in a program of its own; people draw meanwhile, and it can be cancelled.
    somebody.at("epochs").fill("200")
    somebody.button("Train").click()
    expect(somebody.at("what")).to_have_text("Training")
    artist.act("clear").click()
    artist.draw([[(0.1, 0.5), (0.5, 0.5), (0.9, 0.5)]])
    assert artist.read_words()[0] == "level"
    somebody.button("Cancel").click()
    expect(somebody.at("result").locator(".ow-chip")).to_have_text("Cancelled")
    expect(somebody.runs).to_have_count(2)
    expect(versions).to_have_count(2)

    somebody.button("Back to the one before").click()
    expect(versions.last).to_contain_text("In use")
    artist.act("clear").click()
    artist.draw(bracket)
    assert "bracket" not in artist.read_words()
