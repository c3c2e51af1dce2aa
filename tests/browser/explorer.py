"""Somebody at the Explore tab: their hand, and what they read."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from playwright.sync_api import Locator, expect

from tests.browser.person import Person

# Pixels that the map keeps free around its points.
MARGIN = 28


class Explorer:
    """A visitor who has opened the Explore tab of a page."""

    def __init__(self, person: Person, *, open_tab: bool = True) -> None:
        self.person = person
        self.page = person.page
        self.api = f"http://{person.origin}/api/v1/map"
        if open_tab:
            self.page.locator("#tab-explore-button").click()
            self.wait_for_map()

    def wait_for_map(self) -> None:
        """Wait until points are there."""
        expect(self.at("stage")).to_have_attribute("data-state", "ready")
        expect(self.at("map")).to_have_attribute("data-ready", "true")
        expect(self.at("list-pane")).to_have_attribute("data-state", "done")

    # --- places ---

    def at(self, name: str) -> Locator:
        """An element of the tab by the name of its class."""
        return self.page.locator(f"#explore-tab .ex-{name}")

    @property
    def rows(self) -> Locator:
        return self.at("row")

    @property
    def message(self) -> Locator:
        return self.page.locator("#explore-tab").get_by_role("alert")

    @property
    def news(self) -> Locator:
        return self.page.locator("#explore-tab .tg-news")

    def entry(self, label: str) -> Locator:
        """A button of the legend."""
        return self.at("entry").filter(has_text=label)

    def tab(self, name: str) -> Locator:
        """A tab of the panel: list, detail or set."""
        return self.page.locator(f"#explore-tab [role=tab][data-tab={name}]")

    # --- what the server says ---

    def ask(self, path: str = "", body: dict[str, Any] | None = None) -> Any:
        """JSON of the API, as any program gets it."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api}{path}", data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def numbers(self) -> list[int]:
        """Of the rows of the list, as they stand."""
        rows = self.rows.evaluate_all("(rows) => rows.map((row) => Number(row.dataset.number))")
        return [int(number) for number in rows]

    # --- the hand ---

    def spots(self) -> np.ndarray:
        """Where all points are in the window while the whole map is shown; shape [N, 2]."""
        facts = self.ask()
        count = facts["count"]
        with urllib.request.urlopen(f"{self.api}/points") as answer:
            raw = np.frombuffer(answer.read(4 * count), "<u2").reshape(2, count) / 65535
        lows, highs = np.array([facts["bounds"]["x"], facts["bounds"]["y"]]).T
        data = lows[:, None] + raw * (highs - lows)[:, None]
        box = self.at("map").bounding_box()
        assert box is not None
        room = np.array([box["width"], box["height"]])
        low, high = data.min(axis=1), data.max(axis=1)
        scale = float(np.min((room - 2 * MARGIN) / (high - low)))
        away = (data - ((low + high) / 2)[:, None]) * scale * np.array([[1], [-1]])
        return (away + (room / 2 + [box["x"], box["y"]])[:, None]).T

    def lonely(self) -> int:
        """The point that lies farthest from all others, but not below the map's tools."""
        spots = self.spots()
        far = np.linalg.norm(spots[:, None] - spots[None], axis=2)
        np.fill_diagonal(far, np.inf)
        nearest = far.min(axis=1)
        nearest[spots[:, 0] > spots[:, 0].max() - 60] = 0
        return int(nearest.argmax())

    def hover(self, number: int) -> None:
        x, y = self.spots()[number]
        self.page.mouse.move(x, y)
        expect(self.at("hover")).to_have_attribute("data-number", str(number))

    def click(self, number: int) -> None:
        """Click a point and wait for its details."""
        x, y = self.spots()[number]
        self.page.mouse.click(x, y)
        self.wait_for_detail(number)

    def wait_for_detail(self, number: int | str) -> None:
        expect(self.at("detail")).to_have_attribute("data-number", str(number))
        expect(self.at("detail")).to_have_attribute("data-state", "done")

    def lasso(self, corners: Sequence[tuple[float, float]], tool: str = "lasso") -> None:
        """Draw a line around points, in pixels of the window, and wait for what they share."""
        self.page.locator(f"#explore-tab [data-tool={tool}]").click()
        self.page.mouse.move(*corners[0])
        self.page.mouse.down()
        for corner in corners[1:]:
            self.page.mouse.move(*corner, steps=3)
        self.page.mouse.up()
        self.wait_for_set()

    def wait_for_set(self, count: int | None = None) -> None:
        pane = self.at("set")
        expect(pane).to_have_attribute("data-state", "done")
        if count is not None:
            expect(pane).to_have_attribute("data-count", str(count))

    def pick(self, numbers: Iterable[int]) -> None:
        """Select pictures by their marks in the list, and look at the set."""
        numbers = list(numbers)
        self.tab("list").click()
        for number in numbers:
            row = self.page.locator(f"#explore-tab .ex-row[data-number='{number}']")
            row.locator(".ex-check").click()
        self.tab("set").click()
        self.wait_for_set(len(numbers))

    def retag(self, kind: str, tag: str) -> None:
        """Add a tag to all that is selected, or remove it."""
        self.page.locator("#explore-tab .ex-set-tag").fill(tag)
        self.at(f"set-{kind}").click()

    def save(self, button: Locator) -> tuple[str, bytes]:
        """Click what writes a file; its name and content."""
        with self.page.expect_download() as download:
            button.click()
        path = download.value.path()
        return download.value.suggested_filename, path.read_bytes()

    def search(self, text: str) -> None:
        """Type into the search field and wait for what is found."""
        self.at("query").fill(text)
        expect(self.at("list-count")).to_contain_text(f"“{text}”")
        expect(self.at("list-pane")).to_have_attribute("data-state", "done")
