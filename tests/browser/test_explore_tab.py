"""The Explore tab, used as a person uses it: waited for is what is to be seen, never time."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Route, expect

from tagger import server
from tagger.services import build_services
from tagger.settings import Settings
from tests import galleries, toy
from tests.browser.conftest import MAX_BYTES, Visit
from tests.browser.explorer import Explorer
from tests.browser.test_tag_tab import _CONTRASTS, RED, picture

COUNT = 72
CAT = toy.NAMES.index("cat")
FACTS = re.compile(r"/api/v1/map\?")
CLIPBOARD = ("clipboard-read", "clipboard-write")

Begin = Callable[..., Explorer]


@pytest.fixture(scope="module")
def explore_url(
    toy_bundle: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = galleries.make_gallery(tmp_path_factory.mktemp("gallery") / "toy", toy_bundle, COUNT)
    settings = Settings(
        bundle=str(toy_bundle),
        gallery=str(folder),
        threads=1,
        max_bytes=MAX_BYTES,
        live_rate=1000,
        data_dir=tmp_path_factory.mktemp("exploring"),
    )
    services = build_services(settings)
    served = server.launch(services)
    assert services.explore is not None
    services.explore.settle()
    yield served.url
    served.close()
    services.close()


@pytest.fixture
def begin(visit: Visit, explore_url: str) -> Begin:
    """Open the tab as somebody, without the large script of plotly: test_map.py proves it."""

    def open_tab(**kind: object) -> Explorer:
        person = visit(f"{explore_url}?renderer=canvas", **kind)
        person.page.evaluate("localStorage.clear()")  # of whoever came before
        return Explorer(person)

    return open_tab


def mask_of(numbers: list[int]) -> str:
    mask = np.zeros(COUNT, bool)
    mask[numbers] = True
    return base64.b64encode(np.packbits(mask, bitorder="little").tobytes()).decode()


def boxes(explorer: Explorer, *names: str) -> dict[str, object]:
    """Where parts are on the page, wherever it is scrolled to."""
    measure = """(node) => {
      const {x, y, width, height} = node.getBoundingClientRect();
      return [x, y + scrollY, width, height];
    }"""
    return {name: explorer.at(name).first.evaluate(measure) for name in names}


def illegible(explorer: Explorer) -> list[object]:
    """Texts with less contrast than WCAG asks for."""
    contrasts = explorer.page.evaluate(_CONTRASTS)
    assert len(contrasts) > 20
    return [entry for entry in contrasts if entry[1] < 4.5]


def unnamed(explorer: Explorer) -> list[str]:
    """What can be used but has no name for those who do not see it."""
    return explorer.page.evaluate(
        """() => [...document.querySelectorAll('#explore-tab :is(button, input, select)')]
          .filter((node) => node.checkVisibility() && !node.closest('[aria-hidden]') &&
            !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length))
          .map((node) => node.className)"""
    )


# --- looking --------------------------------------------------------------------------------------


def test_point_click_and_follow_neighbours_there_and_back(begin: Begin) -> None:
    explorer = begin()
    first = explorer.lonely()
    brief = explorer.ask(f"/pictures?numbers={first}")["pictures"][0]
    detail = explorer.ask(f"/pictures/{first}")
    still = boxes(explorer, "stage", "key", "panel", "bar")

    explorer.hover(first)
    card = explorer.at("hover")
    expect(card).to_contain_text(brief["title"])
    expect(card).to_contain_text(brief["tags"][0]["label"])
    shown = "(image) => image.decode().then(() => image.naturalWidth)"
    assert explorer.at("hover-picture").evaluate(shown) == 48

    explorer.click(first)
    body = explorer.at("detail-body")
    expect(body.get_by_role("heading", level=3)).to_have_text(detail["title"])
    for text in (detail["author"], "CC0-1.0", detail["tags"][0]["label"], "48 × 32"):
        expect(body).to_contain_text(text or "CC0")
    expect(explorer.at("place")).to_contain_text(f"Trust {detail['trust']:.2f} of 1")
    near = explorer.at("neighbour")
    listed = near.evaluate_all("(nodes) => nodes.map((node) => Number(node.dataset.number))")
    assert listed == [entry["number"] for entry in detail["neighbours"]]
    assert explorer.at("cosine").all_inner_texts() == [
        f"{entry['cosine']:.2f}" for entry in detail["neighbours"]
    ]
    # The lines to them are on the map.
    expect(explorer.at("stage")).to_have_attribute("data-focus", str(first))
    expect(explorer.at("stage")).to_have_attribute("data-lines", str(len(listed)))

    near.nth(1).click()
    explorer.wait_for_detail(listed[1])
    expect(explorer.at("forward")).to_be_disabled()
    explorer.at("back").click()
    explorer.wait_for_detail(first)
    expect(explorer.at("back")).to_be_disabled()
    explorer.at("forward").click()
    explorer.wait_for_detail(listed[1])
    # Nothing has moved.
    assert boxes(explorer, "stage", "key", "panel", "bar") == still
    assert illegible(explorer) == []

    # The page says how far its map can be trusted.
    about = explorer.at("about")
    expect(about).to_contain_text("projection")
    expect(about).to_contain_text(f"Trustworthiness {explorer.ask()['trustworthiness']:.2f} of 1")
    expect(about).to_contain_text("never read off the map")


def test_colours_are_a_legend_that_filters_and_counts(begin: Begin) -> None:
    explorer = begin()
    still = boxes(explorer, "stage", "about", "panel")
    expect(explorer.at("shown")).to_have_text("72 pictures")
    food = explorer.entry("food")
    count = sum(galleries.metadata(n).get("category") == "food" for n in range(COUNT))
    expect(food).to_have_text(f"food{count}")
    food.click()
    expect(food).to_have_attribute("aria-pressed", "true")
    expect(explorer.at("shown")).to_have_text(f"{count} of 72 shown")
    expect(explorer.at("list-count")).to_have_text(f"{count} pictures shown on the map")
    food_alone = [n for n in range(COUNT) if galleries.metadata(n).get("category") == "food"]
    expect(explorer.rows).to_have_count(len(food_alone))
    assert explorer.numbers() == food_alone
    # Filters of two ways hold together; what is told is what is shown.
    explorer.at("select").select_option("trust")
    expect(explorer.at("legend")).to_have_attribute("data-kind", "trust")
    expect(explorer.at("shown")).to_have_text(f"{count} of 72 shown")
    explorer.at("show-all").click()
    expect(explorer.at("shown")).to_have_text("72 pictures")

    # A tag, chosen with completion.
    explorer.at("select").select_option("tag")
    field = explorer.page.locator("#explore-tab .ex-tag")
    expect(field).to_be_focused()
    field.press_sequentially("ca")
    explorer.page.keyboard.press("ArrowDown")
    explorer.page.keyboard.press("Enter")
    expect(explorer.at("legend")).to_have_attribute("data-tag", str(CAT))
    # Of every other picture people gave the tag; 72 pictures have each colour three times.
    given = [n for n in range(COUNT) if n % len(toy.TAGS) == CAT and n % 2 == 0]
    expect(explorer.entry("given by people")).to_have_text(f"given by people{len(given)}")
    assert explorer.numbers()[: len(given)] == given
    # The counts follow what is selected.
    explorer.at("select-found").click()
    explorer.wait_for_set()
    expect(explorer.entry("given by people")).to_have_text(
        f"given by people{len(given)}/{len(given)}"
    )
    assert boxes(explorer, "stage", "about", "panel") == still


# --- sets -----------------------------------------------------------------------------------------


def test_a_lasso_tells_what_its_pictures_share_and_exports_them(begin: Begin) -> None:
    explorer = begin()
    spots = explorer.spots()
    x = float(np.sort(spots[:, 0])[COUNT // 3 : COUNT // 3 + 2].mean())
    (left, top), bottom = spots.min(axis=0) - 14, spots[:, 1].max() + 14
    explorer.lasso([(left, top), (x, top), (x, bottom), (left, bottom), (left, top)])
    inside = np.flatnonzero(spots[:, 0] < x).tolist()
    explorer.wait_for_set(len(inside))
    expect(explorer.at("set-count")).to_have_text(f"{len(inside)} selected")
    expect(explorer.tab("set")).to_have_text(f"Selection: {len(inside)}")

    said = explorer.ask("/selection", {"mask": mask_of(inside)})
    shared = explorer.at("share")
    first = said["shared"][0]
    expect(shared.first).to_contain_text(first["label"])
    expect(shared.first).to_contain_text(
        "all of them" if first["here"] == len(inside) else f"{first['here']} of {len(inside)}"
    )
    assert shared.count() == min(8, len(said["shared"]))
    expect(explorer.at("tile")).to_have_count(len(inside))

    button = explorer.page.locator("#explore-tab [data-format=csv]")
    name, content = explorer.save(button)
    assert name.endswith(".csv")
    table = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert len(table) == len(inside)
    _, content = explorer.save(explorer.page.locator("#explore-tab [data-format=json]"))
    exported = json.loads(content)
    assert exported["hash"] == explorer.ask()["hash"]
    assert [entry["number"] for entry in exported["pictures"]] == inside
    name, content = explorer.save(explorer.page.locator("#explore-tab [data-format=zip]"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert sum(member.endswith(".webp") for member in archive.namelist()) == len(inside)
    expect(explorer.news).to_have_text(f"{name} was saved.")
    # What they share can be taken from all of them, and given back.
    label = first["label"]
    explorer.page.get_by_role("button", name=f"Remove “{label}” from all of them").click()
    expect(explorer.at("change-list")).to_contain_text(f"“{label}” removed from {len(inside)}")
    row = explorer.at("shared").get_by_role("listitem").first
    expect(row).to_have_attribute("data-removed", "true")
    expect(shared.first).to_be_focused()
    explorer.at("undo").click()
    expect(row).to_have_attribute("data-removed", "false")
    # Escape on the map ends the selection.
    explorer.page.locator("#explore-tab .mp-over").focus()
    explorer.page.keyboard.press("Escape")
    expect(explorer.at("set")).to_have_attribute("data-state", "none")
    expect(explorer.tab("set")).to_have_text("Selection")


def test_tags_of_a_set_are_changed_undone_kept_and_exported(begin: Begin) -> None:
    explorer = begin()
    explorer.pick([0, 3, 5])
    changes = explorer.at("change-list").get_by_role("listitem")
    expect(explorer.at("changes")).to_be_hidden()
    explorer.retag("add", "cat")
    explorer.retag("add", "my own word")
    explorer.retag("remove", "red")
    expect(changes).to_have_text(
        ["“red” removed from 3", "“my own word” added to 3", "“cat” added to 3"]
    )
    explorer.at("undo").click()
    expect(changes).to_have_count(2)
    expect(explorer.news).to_have_text("Taken back: “red” removed from 3")
    explorer.at("undo").click()
    expect(changes).to_have_text(["“cat” added to 3"])
    explorer.at("redo").click()
    expect(changes).to_have_count(2)
    expect(explorer.at("note")).to_contain_text("in this browser alone")

    # They are there again after the page was left, and in the details of a picture.
    explorer.page.reload()
    explorer.page.locator("#tab-explore-button").click()
    explorer.wait_for_map()
    explorer.page.locator("#explore-tab .ex-row[data-number='3']").click()
    explorer.wait_for_detail(3)
    expect(explorer.at("mark")).to_have_text(["catadded by you", "my own wordadded by you"])
    explorer.tab("set").click()
    expect(changes).to_have_count(2)
    _, content = explorer.save(explorer.at("changes-export"))
    entries = json.loads(content)["pictures"]
    assert [entry["number"] for entry in entries] == [0, 3, 5]
    # As the server writes tags.
    assert {tuple(sorted(entry["added"])) for entry in entries} == {("cat", "my_own_word")}
    # A change after a step back takes the place of what was taken back.
    explorer.pick([7])
    explorer.at("undo").click()
    explorer.retag("remove", "cat")
    expect(changes).to_have_text(["“cat” removed from 1", "“cat” added to 3"])
    expect(explorer.at("redo")).to_have_attribute("aria-disabled", "true")
    assert illegible(explorer) == []
    assert unnamed(explorer) == []


# --- searching ------------------------------------------------------------------------------------


def test_all_of_it_by_keys(begin: Begin) -> None:
    explorer = begin()
    page = explorer.page
    explorer.at("query").focus()
    page.keyboard.type("grass")
    expect(explorer.at("list-count")).to_contain_text("“grass”")
    expect(explorer.at("list-pane")).to_have_attribute("data-state", "done")
    found = explorer.numbers()
    assert found == [e["number"] for e in explorer.ask("/search?q=grass")["pictures"]]
    expect(explorer.at("found-tags")).to_contain_text("grass")

    page.keyboard.press("ArrowDown")
    expect(explorer.rows.first).to_be_focused()
    # What the list is at is pointed out on the map.
    expect(explorer.at("stage")).to_have_attribute("data-focus", str(found[0]))
    page.keyboard.press(" ")
    expect(explorer.rows.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    expect(explorer.tab("set")).to_have_text("Selection: 2")
    page.keyboard.press(" ")
    expect(explorer.tab("set")).to_have_text("Selection: 1")
    page.keyboard.press("Enter")
    explorer.wait_for_detail(found[1])
    expect(explorer.at("detail-body")).to_be_focused()
    page.keyboard.press("Escape")
    expect(explorer.rows.nth(1)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    expect(explorer.at("query")).to_be_focused()
    # Enter on the very name of a tag shows all its pictures, given ones first.
    page.keyboard.press("Enter")
    expect(explorer.at("list-pane")).to_have_attribute("data-list", "tag")
    expect(explorer.at("list-count")).to_contain_text("surest first")
    expect(explorer.rows.first).to_be_focused()
    explorer.at("clear").click()
    expect(explorer.at("list-count")).to_have_text("All 72 pictures")
    # All of them are in the list, made as one walks.
    explorer.rows.first.focus()
    for _ in range(4):
        page.keyboard.press("End")
    expect(explorer.rows).to_have_count(COUNT)
    explorer.search("nothing of the kind")
    expect(explorer.at("list-count")).to_contain_text("Nothing found")


# --- where is mine --------------------------------------------------------------------------------


def test_a_picture_lands_among_its_like(begin: Begin) -> None:
    explorer = begin(permissions=CLIPBOARD, troubles=False)  # a refusal is one in the console
    page = explorer.page
    with page.expect_file_chooser() as chooser:
        explorer.at("upload").click()
    chooser.value.set_files([{"name": "mine.png", "mimeType": "image/png", "buffer": picture(RED)}])
    explorer.wait_for_detail("mine")
    body = explorer.at("detail-body")
    expect(body).to_contain_text("Your picture")
    expect(body).to_contain_text("mine.png")
    expect(body).to_contain_text("Placed among its nearest neighbours")
    expect(body).to_contain_text("of its nearest pictures lie around it here")
    expect(explorer.at("bar-row").first).to_contain_text("red")
    # The nearest is one of those of its colour.
    nearest = int(explorer.at("neighbour").first.get_attribute("data-number") or -1)
    assert toy.NAMES[nearest % len(toy.NAMES)] in {"red", "apple", "orange"}
    expect(explorer.at("stage")).to_have_attribute("data-focus", "mine")
    explorer.at("neighbour").first.click()
    explorer.wait_for_detail(nearest)
    explorer.at("back").click()
    explorer.wait_for_detail("mine")

    explorer.person.drop(("dropped.png", picture((0, 0, 255))), on="#explore-tab .ex-stage")
    expect(body).to_contain_text("dropped.png")
    explorer.person.paste_picture(picture((0, 255, 0)))
    expect(explorer.at("bar-row").first).to_contain_text("green")

    # What cannot be read is said; what was there stays.
    explorer.person.drop(("bad.png", picture(RED)[:50]), on="#explore-tab .ex-stage")
    expect(explorer.message).to_contain_text("breaks off before its end")
    page.locator("#explore-tab .tg-dismiss").click()
    expect(explorer.message).to_be_hidden()
    explorer.person.drop(("huge.png", b"x" * (MAX_BYTES + 1)), on="#explore-tab .ex-stage")
    expect(explorer.message).to_contain_text("the limit is 1 MB")
    expect(explorer.at("bar-row").first).to_contain_text("green")


# --- states ---------------------------------------------------------------------------------------


def test_maps_that_come_late_fail_change_or_are_empty(visit: Visit, explore_url: str) -> None:
    person = visit(f"{explore_url}?renderer=canvas", troubles=False)
    explorer = Explorer(person, open_tab=False)
    gallery = explorer.ask()
    maps = [
        {"map": "gallery", "count": COUNT, "status": "ready"},
        {"map": "drawings", "count": 0, "status": "empty"},
    ]
    statuses = iter(["failed", "loading", "computing"])

    def answer(route: Route) -> None:
        facts = {"hash": None, "count": 0, "placement": "neighbours", "maps": maps}
        if "map=drawings" in route.request.url:
            route.fulfill(json={"map": "drawings", "status": "empty", **facts})
        elif status := next(statuses, None):
            route.fulfill(json={"map": "gallery", "status": status, **facts})
        else:
            route.fulfill(json={**gallery, "maps": maps})

    person.page.route(FACTS, answer)
    person.page.locator("#tab-explore-button").click()
    stage, cover = explorer.at("stage"), explorer.at("cover")
    expect(stage).to_have_attribute("data-state", "failed")
    expect(cover).to_contain_text("could not be made")
    explorer.at("cover-act").click()
    expect(cover).to_contain_text("being computed")
    explorer.wait_for_map()

    # Drawings have a map of their own, when there are any.
    person.page.get_by_role("radio", name="Drawings").check()
    expect(stage).to_have_attribute("data-state", "empty")
    expect(cover).to_contain_text("No drawings here yet")
    explorer.at("cover-act").click()
    explorer.wait_for_map()
    expect(person.page.get_by_role("radio", name="Gallery")).to_be_checked()

    # Without an answer it says so, and tries again when asked to.
    searches = re.compile("/map/search")
    person.page.route(searches, lambda route: route.abort())
    explorer.at("query").fill("cat")
    expect(explorer.message).to_contain_text("did not answer")
    person.page.unroute(searches)
    explorer.message.get_by_role("button", name="Try again").click()
    expect(explorer.at("list-count")).to_contain_text("“cat”")

    # What was searched on a map that has been left is not taken for an answer on the next one.
    held: list[Route] = []
    person.page.route(searches, lambda route: held.append(route))
    explorer.at("query").fill("grass")
    person.wait_until(lambda: held)
    person.page.get_by_role("radio", name="Drawings").check()
    expect(stage).to_have_attribute("data-state", "empty")
    explorer.at("cover-act").click()
    explorer.wait_for_map()
    with person.page.expect_response(searches):
        held[0].continue_()
    person.page.unroute(searches)
    explorer.at("query").press("ArrowDown")
    expect(explorer.rows.first).to_be_focused()
    expect(explorer.at("list-count")).to_have_text("All 72 pictures")

    # A picture that does not come leaves the one that is there, until it is asked for again.
    details = re.compile(r"/map/pictures/\d+\?")
    first = explorer.lonely()
    second = next(n for n in explorer.numbers() if n != first)
    explorer.click(first)
    person.page.route(details, lambda route: route.abort())
    explorer.tab("list").click()
    explorer.at("list").locator(f"[data-number='{second}']").click()
    expect(explorer.message).to_contain_text("did not answer")
    expect(stage).to_have_attribute("data-focus", str(first))
    expect(explorer.at("forward")).to_be_enabled()
    person.page.unroute(details)
    explorer.message.get_by_role("button", name="Try again").click()
    explorer.wait_for_detail(second)
    explorer.at("back").click()
    explorer.wait_for_detail(first)

    # A map that has changed is loaded anew, without a word of blame.
    stale = {"status": 409, "detail": "The map has changed.", "code": "explore-stale"}
    person.page.route(details, lambda route: route.fulfill(status=409, json=stale))
    with person.page.expect_response(FACTS):
        person.page.mouse.click(*explorer.spots()[second])
    person.page.unroute(details)
    expect(explorer.at("list-count")).to_have_text("All 72 pictures")
    explorer.wait_for_map()
    expect(explorer.message).to_be_hidden()
    explorer.click(first)


# --- between the tabs -----------------------------------------------------------------------------


def test_a_tag_leads_to_its_pictures_and_a_picture_to_its_place(
    visit: Visit, explore_url: str
) -> None:
    person = visit(f"{explore_url}?renderer=webgl")
    scripts: list[str] = []

    def answer(route: Route) -> None:
        """The large script is served; a small one that fails comes instead of it."""
        scripts.append(route.fetch().text())
        body = "window.Plotly = {react() { throw new Error('no'); }, purge() {}};"
        route.fulfill(content_type="text/javascript", body=body)

    person.page.route(re.compile("/explore/plotly.js"), answer)
    person.drop(("rose.png", picture((220, 60, 110))))
    [first, *_] = person.read_tags()
    person.page.get_by_role("button", name=f"See pictures with “{first}” on the map").click()
    explorer = Explorer(person, open_tab=False)
    explorer.wait_for_map()
    expect(explorer.at("list-pane")).to_have_attribute("data-list", "tag")
    expect(explorer.at("list-count")).to_contain_text(f"“{first}”")
    expect(explorer.at("legend")).to_have_attribute("data-tag", str(toy.NAMES.index("rose")))
    person.page.get_by_role("tab").first.click()
    person.page.get_by_role("button", name="See it on the map").click()
    explorer.wait_for_detail("mine")
    expect(explorer.at("detail-body")).to_contain_text("rose.png")
    # The map has asked for plotly where it is, and goes on without.
    expect(explorer.at("map")).to_have_attribute("data-fallback", "plotly-failed")
    assert [len(text) > 1_000_000 for text in scripts] == [True]


# --- everybody ------------------------------------------------------------------------------------


def test_a_phone_in_japanese_and_in_the_dark(begin: Begin) -> None:
    explorer = begin(width=390, height=844, locale="ja-JP", color_scheme="dark")
    page = explorer.page
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wider)
    number = explorer.lonely()
    page.touchscreen.tap(*explorer.spots()[number])
    explorer.wait_for_detail(number)
    expect(explorer.at("detail-body")).to_contain_text("本当に近い画像")
    explorer.tab("list").tap()
    explorer.at("check").first.tap()
    explorer.tab("set").tap()
    explorer.wait_for_set(1)
    explorer.retag("add", "猫")
    expect(explorer.at("change-list")).to_contain_text("「猫」を1枚に追加")
    assert not page.evaluate(wider)
    # What is to be touched is large enough to be hit (WCAG 2.5.8 asks for 24 pixels).
    for button in page.locator("#explore-tab button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.get_attribute("class")
    assert illegible(explorer) == []
    # Lying on its side, the screen keeps a place beside the map from which the page scrolls.
    page.set_viewport_size({"width": 844, "height": 390})
    box = explorer.at("stage").bounding_box()
    assert box["height"] < 0.8 * 390
