"""The Compare tab, used as a person uses it: waited for is what is to be seen, never time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, Route, expect

from tagger import server
from tagger.preference import Profile
from tests.browser.conftest import MAX_BYTES, Visit
from tests.browser.test_tag_tab import _CONTRASTS, BLUE, RED, picture
from tests.browser.voter import Voter, redness
from tests.comparing.made import make_services

VOTES = re.compile(r"/api/v1/votes\?")
IMAGE = re.compile(r"/api/v1/map/pictures/(\d+)/image")

Begin = Callable[..., Voter]


@pytest.fixture(scope="module")
def compare_url(
    toy_bundle: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("comparing")
    services = make_services(toy_bundle, folder, max_bytes=MAX_BYTES)
    served = server.launch(services)
    yield served.url
    served.close()
    services.close()


@pytest.fixture
def begin(visit: Visit, compare_url: str) -> Iterator[Begin]:
    """Open the tab as somebody who has never voted.

    They see pictures put in order without a glide, which takes a browser without a graphics card
    longer than all else, unless it is ``calm=False``.
    """
    voters: list[Voter] = []

    def open_tab(*, open_tab: bool = True, calm: bool = True, **kind: object) -> Voter:
        person = visit(f"{compare_url}?renderer=canvas", **kind)
        voters.append(Voter(person, open_tab=False))
        if calm:
            person.page.emulate_media(reduced_motion="reduce")
        voters[-1].be_new()
        return Voter(person) if open_tab else voters[-1]

    yield open_tab
    for voter in voters:
        voter.page.emulate_media(reduced_motion="null")


def blueness(number: int) -> float:
    return -redness(number)


def redness_of(numbers: list[int]) -> float:
    """The mean of some pictures."""
    return sum(map(redness, numbers)) / len(numbers)


def check_legible(voter: Voter) -> None:
    """Check that no text has less contrast than WCAG asks for, and that all has a name."""
    contrasts = voter.page.evaluate(_CONTRASTS)
    assert len(contrasts) > 20
    assert [entry for entry in contrasts if entry[1] < 4.5] == []
    unnamed = voter.page.evaluate(
        """() => [...document.querySelectorAll('#compare-tab :is(button, input, select)')]
          .filter((node) => node.checkVisibility() && !node.closest('[aria-hidden]') &&
            !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length))
          .map((node) => node.className)"""
    )
    assert unnamed == []


# --- voting and what it teaches -------------------------------------------------------------------


def test_thirty_votes_teach_a_taste_that_is_edited_saved_and_forgotten(begin: Begin) -> None:
    voter = begin()
    expect(voter.at("best-note")).to_contain_text("Cheerfulness")
    shipped = voter.order()
    assert redness_of(shipped) > 50  # whom the server's own ranker likes
    voter.vote(10, blueness)
    voter.wait_for_count(10)
    expect(voter.at("best-note")).to_have_text("of 60 pictures, most of which you never saw")
    voter.vote(20, blueness)
    voter.wait_for_count(30)
    expect(voter.at("receipt-line")).to_contain_text("%")
    expect(voter.at("foresees")).to_contain_text("It foresees")
    expect(voter.at("strip").get_by_role("button")).to_have_count(12)
    learnt = [picture["number"] for picture in voter.ask("taste/order?limit=12")["pictures"]]
    expect(voter.at("strip")).to_have_attribute("data-order", " ".join(map(str, learnt)))
    assert redness_of(voter.order()) < redness_of(shipped) - 50

    # In words, which can be corrected.
    voter.open("taste")
    expect(voter.at("top").get_by_role("button")).to_have_count(8)
    # All of it stands there for whoever wants to see it.
    for shown in (48, 60):
        voter.at("more-best").click()
        expect(voter.at("top").get_by_role("button")).to_have_count(shown)
    expect(voter.at("more-best")).to_be_hidden()
    assert sorted(voter.order("top")) == list(range(60))
    before = voter.order("top")
    assert redness_of(before[:8]) < redness_of(voter.order("worst")) - 50
    field = voter.at("word-field")
    field.fill("red")
    voter.page.keyboard.press("Enter")
    red = voter.word("red")
    expect(red).to_have_attribute("data-edited", "true")
    expect(red.locator("input")).to_be_focused()
    red.locator("input").fill("1")
    expect(voter.news).to_have_text("red is now +100.")
    expect(voter.at("top")).not_to_have_attribute("data-order", " ".join(map(str, before)))
    said = {word["tag"]: word for word in voter.ask("taste")["words"]}
    assert said["red"]["edited"] and said["red"]["weight"] > 0.9
    red.get_by_role("button", name="Less").click()
    expect(red.locator(".cp-weight")).to_have_text("+90")

    saved = voter.save(voter.at("save"))
    assert len(saved) < 16_000
    profile = Profile.from_dict(json.loads(saved))
    assert profile.ranker.model == voter.ask("rankers")["model"]["hash"]
    # Let it learn the word again.
    red.get_by_role("button", name="Let it learn").click()
    expect(voter.news).to_have_text("red is learnt from your votes again.")

    forget = voter.at("forget")
    forget.click()
    assert voter.ask("votes")["total"] == 30
    expect(forget).to_have_text("Really forget all votes and the taste?")
    forget.click()
    expect(voter.news).to_have_text("Forgotten: 30 votes and your taste.")
    expect(voter.at("ends-none")).to_be_visible()
    assert voter.ask("votes")["total"] == 0
    voter.choose_file(voter.at("load"), "mine.json", saved)
    expect(voter.news).to_have_text("“mine.json” is your taste now.")
    expect(red.locator(".cp-weight")).to_have_text("+90")
    voter.open("vote")
    voter.wait_for_count(30)
    voter.wait_for_pair()


def test_the_next_pair_does_not_wait_for_the_server(begin: Begin) -> None:
    voter = begin(open_tab=False)
    held: list[Route] = []
    free: list[bool] = []
    fetched: set[int] = set()

    def hold(route: Route) -> None:
        if route.request.method == "POST" and not free:
            held.append(route)
        else:
            route.continue_()

    def note(request: Request) -> None:
        if found := IMAGE.search(request.url):
            fetched.add(int(found[1]))

    voter.page.route(VOTES, hold)
    voter.page.on("request", note)
    voter = Voter(voter.person)
    shown = [voter.pair()]
    voter.person.wait_until(lambda: len(fetched) >= 12)
    before = set(fetched)
    voter.page.remove_listener("request", note)
    for choice in ("left", "tie", "both-bad"):
        voter.press(choice)
        shown.append(voter.pair())
    assert len(set(shown)) == 4
    # The pictures were asked for before, and answers go one after the other.
    assert {number for pair in shown for number in pair} <= before
    assert len(held) == 1
    voter.page.keyboard.press("ArrowRight")
    expect(voter.at("vote")).to_have_attribute("data-state", "waiting")
    expect(voter.at("cover")).to_contain_text("Your votes are kept")
    voter.page.keyboard.press("ArrowRight")  # there is nothing to answer
    expect(voter.at("vote")).to_have_attribute("data-waiting", "4")
    # What never left is taken back here.
    voter.page.keyboard.press("z")
    voter.wait_for_pair()
    assert voter.pair() == shown[3]
    expect(voter.at("vote")).to_have_attribute("data-waiting", "3")
    free.append(True)
    held[0].continue_()
    voter.wait_for_count(3)
    assert voter.choices() == ["left", "tie", "both-bad"]
    # And what the server has, there; even by who comes back.
    voter.page.keyboard.press("z")
    expect(voter.at("learnt")).to_have_attribute("data-count", "2")
    assert voter.pair() == shown[2]
    assert voter.choices() == ["left", "tie"]
    voter.page.reload()
    again = Voter(voter.person)
    again.at("undo").click()
    expect(again.at("learnt")).to_have_attribute("data-count", "1")
    assert again.pair() == shown[1]
    assert again.choices() == ["left"]


def test_votes_without_a_connection_are_kept_and_sent(begin: Begin) -> None:
    voter = begin(troubles=False)
    voter.page.route(VOTES, lambda route: route.abort())
    voter.press("right")
    voter.press("left")
    expect(voter.at("receipt-line")).to_have_text(
        "Not sent yet: 2. Kept here until the server answers."
    )
    voter.page.reload()
    voter = Voter(voter.person)
    expect(voter.at("vote")).to_have_attribute("data-waiting", "2")
    assert voter.choices() == []
    voter.page.unroute(VOTES)
    voter.page.evaluate("dispatchEvent(new Event('online'))")
    voter.wait_for_count(2)
    assert voter.choices() == ["right", "left"]
    assert voter.page.evaluate(
        "Object.keys(localStorage).filter((key) => key.startsWith('tagger-vote:')).length"
    ) == (0)

    # A vote that the server will never take is given up, and the others go on.
    refused = {"code": "vote-choice-invalid", "detail": "No such answer."}
    voter.page.route(VOTES, lambda route: route.fulfill(status=422, json=refused), times=1)
    voter.press("left")
    expect(voter.message).to_contain_text("A vote could not be kept. No such answer.")
    voter.press("tie")
    voter.wait_for_count(3)
    assert voter.choices() == ["right", "left", "tie"]


def test_keys_mean_a_vote_only_where_they_should(begin: Begin) -> None:
    voter = begin()
    page = voter.page
    first = voter.pair()
    page.keyboard.press("Control+z")
    page.keyboard.press("Shift+ArrowLeft")
    # At the choice above, arrows choose; after a click on it, they vote.
    page.locator("#compare-tab .cp-sections [value=vote]").focus()
    page.keyboard.press("ArrowRight")
    expect(voter.at("taste")).to_be_visible()
    voter.at("word-field").press_sequentially("z ")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("tab", name="Tag").click()
    page.keyboard.press("ArrowRight")
    page.locator("#tab-compare-button").click()
    voter.open("vote")
    assert voter.pair() == first
    with page.expect_request(VOTES) as sent:
        voter.press("right")
    assert sent.value.post_data_json["consent"] is False
    voter.at("consent").click()
    with page.expect_request(VOTES) as sent:
        voter.press("left")
    assert sent.value.post_data_json["consent"] is True
    voter.at("consent").click()
    voter.press(" ")
    expect(voter.at("receipt-line")).to_have_text("Skipped.")
    # Buttons do the same, and leave the keys to the pair.
    for choice in ("both-bad", "tie"):
        before = voter.pair()
        voter.tool(choice).click()
        voter.wait_for_pair()
        assert voter.pair() != before
    voter.card("left").click()
    voter.press("tie")
    voter.wait_for_count(6)
    assert voter.choices() == ["right", "left", "skip", "both-bad", "tie", "left", "tie"]
    check_legible(voter)

    # A picture leads to its place in Explore.
    left, _ = voter.pair()
    voter.at("side").first.get_by_role("button", name="Explore").click()
    detail = page.locator("#explore-tab .ex-detail")
    expect(detail).to_have_attribute("data-number", str(left))
    page.keyboard.press("ArrowLeft")
    page.locator("#tab-compare-button").click()
    assert voter.pair()[0] == left


# --- two pictures ---------------------------------------------------------------------------------


def test_two_pictures_are_judged_turned_and_voted_on(begin: Begin) -> None:
    voter = begin(troubles=False)  # a file is refused
    voter.open("two")
    result = voter.at("result")
    expect(result).to_have_attribute("data-state", "done")  # of two by chance
    voter.person.drop(
        ("red.png", picture(RED)), ("blue.png", picture(BLUE)), on="#compare-tab .cp-slot >> nth=0"
    )
    expect(voter.at("verdict")).to_have_text("Cheerfulness prefers the left one")
    expect(voter.slot("left", "slot-name")).to_have_text("red.png")
    shares = [int(voter.at(f"odds-{side}").inner_text().strip("%<>")) for side in ("left", "right")]
    assert sum(shares) == pytest.approx(100, abs=2) and shares[0] > 70
    expect(voter.at("why")).to_contain_text("red")
    expect(voter.at("why-row").first).to_have_attribute("data-side", "left")
    voter.at("swap").click()
    expect(voter.at("verdict")).to_have_text("Cheerfulness prefers the right one")
    expect(voter.slot("right", "slot-name")).to_have_text("red.png")
    # The same picture twice is a tie, and nothing else.
    voter.choose_file(voter.slot("left", "choose"), "twice.png", picture(RED))
    expect(voter.at("verdict")).to_have_text("A tie: Cheerfulness cannot tell them apart")
    check_legible(voter)

    # One of the gallery, found by a word.
    voter.slot("left", "find").click()
    voter.slot("left", "search").get_by_role("searchbox").fill("blue")
    tile = voter.slot("left", "finds").get_by_role("button").first
    title = (tile.get_attribute("title") or "").removeprefix("Take ")
    tile.click()
    expect(voter.slot("left", "slot-name")).to_have_text(title)
    expect(voter.at("verdict")).to_have_text("Cheerfulness prefers the right one")
    # A vote on it teaches, though one of them is nobody's but the voter's.
    voter.at("own").get_by_role("button", name="The left one").click()
    expect(voter.at("own-line")).to_contain_text("Noted")
    assert voter.choices() == ["left"]
    # By the voter's own taste, they are judged anew at once.
    voter.at("ranker").select_option("taste")
    expect(voter.at("verdict")).to_contain_text("My taste")
    expect(voter.at("own-line")).to_have_text("")
    with voter.page.expect_response("**/api/v1/compare*"):
        voter.at("own").get_by_role("button", name="The left one").click()
    expect(result).to_have_attribute("data-state", "done")
    expect(voter.at("own-line")).to_contain_text("Noted")
    with voter.page.expect_file_chooser() as chooser:
        voter.at("ranker").select_option("file:choose")
    chooser.value.set_files({"name": "bad.json", "mimeType": "application/json", "buffer": b"{}"})
    expect(voter.message).to_be_visible()
    expect(voter.at("ranker")).to_have_value("taste")


# --- elsewhere ------------------------------------------------------------------------------------


def test_a_phone_in_japanese_and_in_the_dark(begin: Begin) -> None:
    voter = begin(calm=False, locale="ja-JP", color_scheme="dark", width=390, height=844)
    page = voter.page
    expect(page.locator("#compare-tab h2").first).to_have_text("どちらが好きですか？")
    boxes = [voter.card(side).bounding_box() for side in ("left", "right")]
    assert all(box is not None for box in boxes)
    left, right = (box for box in boxes if box is not None)
    # One below the other, both in view, and nothing wider than the screen.
    assert left["y"] + left["height"] <= right["y"] and right["y"] + right["height"] < 844
    for section in ("vote", "taste", "two"):
        voter.open(section)
        if section == "vote":
            before = voter.pair()
            voter.card("left").tap()
            voter.tool("tie").tap()
            voter.wait_for_count(2)
            assert voter.pair() != before
        elif section == "taste":
            expect(voter.at("top").get_by_role("button")).to_have_count(8)
        else:
            expect(voter.at("result")).to_have_attribute("data-state", "done")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        check_legible(voter)
    assert voter.choices() == ["left", "tie"]


def test_a_gallery_that_is_not_there_yet_or_not_at_all(begin: Begin) -> None:
    voter = begin(troubles=False, open_tab=False)
    page = voter.page
    following = re.compile(r"/api/v1/votes/next\?")
    loading = {"code": "compare-loading", "detail": "Later."}
    page.route(following, lambda route: route.fulfill(status=503, json=loading))
    page.locator("#tab-compare-button").click()
    expect(voter.at("cover")).to_contain_text("being made ready")
    page.unroute(following)
    voter.wait_for_pair()  # it looks again by itself
    page.route(IMAGE, lambda route: route.abort())
    page.reload()
    page.locator("#tab-compare-button").click()
    expect(voter.at("cover")).to_contain_text("The pictures did not come")
    page.unroute(IMAGE)
    voter.at("again").click()
    voter.wait_for_pair()
    nothing = {"code": "compare-no-gallery", "detail": "None."}
    page.route(following, lambda route: route.fulfill(status=503, json=nothing))
    page.reload()
    page.locator("#tab-compare-button").click()
    expect(voter.at("cover")).to_contain_text("There is no gallery here to vote on.")
