"""Somebody at the Compare tab: their taste, their hand, and what they read."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from playwright.sync_api import Locator, expect

from tests import galleries
from tests.browser.person import Person

KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowUp", "both-bad": "ArrowDown"}

# Milliseconds until a wait is given up: a guard against a hang on a busy machine, no measure.
PATIENCE = 60_000

# Waits until another pair than the one given is there to be voted on.
_NEXT = """async ([before, patience]) => {
  const find = (name) => document.querySelector(`#compare-tab .cp-${name}`);
  const pair = () => [Number(find('pair').dataset.left), Number(find('pair').dataset.right)];
  const end = performance.now() + patience;
  while (find('vote').dataset.state !== 'ready' || `${pair()}` === `${before}`) {
    if (performance.now() > end) throw new Error(`${find('vote').dataset.state} at ${pair()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return pair();
}"""


def redness(number: int) -> float:
    """How much red there is in one of the toy gallery's pictures."""
    red, green, blue = galleries.colour(number)
    return red - (green + blue) / 2


class Voter:
    """A visitor who has opened the Compare tab of a page."""

    def __init__(self, person: Person, *, open_tab: bool = True) -> None:
        self.person = person
        self.page = person.page
        self.api = f"http://{person.origin}/api/v1"
        if open_tab:
            self.page.locator("#tab-compare-button").click()
            self.wait_for_pair()

    # --- places ---

    def at(self, name: str) -> Locator:
        """An element of the tab by the name of its class."""
        return self.page.locator(f"#compare-tab .cp-{name}")

    def card(self, side: str) -> Locator:
        """One of the two pictures that are voted on."""
        return self.page.locator(f"#compare-tab .cp-card[data-choice={side}]")

    def tool(self, choice: str) -> Locator:
        """One of the buttons below them."""
        return self.page.locator(f"#compare-tab .cp-tools [data-choice={choice}]")

    def slot(self, side: str, name: str) -> Locator:
        """Part of one of the two pictures that are compared."""
        return self.page.locator(f"#compare-tab .cp-slot[data-side={side}] .cp-{name}")

    def word(self, tag: str) -> Locator:
        """A word of the taste."""
        return self.page.locator(f"#compare-tab .cp-word[data-tag='{tag}']")

    @property
    def news(self) -> Locator:
        return self.page.locator("#compare-tab .tg-news")

    @property
    def message(self) -> Locator:
        return self.page.locator("#compare-tab").get_by_role("alert")

    # --- reading ---

    def wait_for_pair(self) -> None:
        """Wait until there is a pair to vote on."""
        expect(self.at("vote")).to_have_attribute("data-state", "ready")

    def pair(self) -> tuple[int, int]:
        """The numbers of the two pictures."""
        shown = self.at("pair")
        return int(shown.get_attribute("data-left") or ""), int(
            shown.get_attribute("data-right") or ""
        )

    def order(self, name: str = "strip") -> list[int]:
        """The numbers of pictures that stand in an order, the first first."""
        return [int(number) for number in (self.at(name).get_attribute("data-order") or "").split()]

    def wait_for_count(self, count: int) -> None:
        """Wait until so many votes are learnt from, and none is on its way."""
        expect(self.at("learnt")).to_have_attribute("data-count", str(count))
        expect(self.at("vote")).to_have_attribute("data-waiting", "0")

    def ask(self, path: str) -> Any:
        """JSON of the API, as this visitor gets it."""
        visitor = self.page.evaluate("localStorage.getItem('tagger-visitor')")
        request = urllib.request.Request(f"{self.api}/{path}", headers={"X-Visitor": visitor})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def be_new(self) -> None:
        """Be somebody who was never here, before the tab is opened."""
        self.page.evaluate("localStorage.clear()")
        self.page.evaluate("(id) => localStorage.setItem('tagger-visitor', id)", uuid4().hex)

    def choices(self) -> list[str]:
        """What the server has of this visitor's votes, the first first."""
        return [vote["choice"] for vote in self.ask("votes")["votes"]][::-1]

    # --- the hand ---

    def open(self, section: str) -> None:
        """Choose one of the tab's sections."""
        choice = self.page.locator(f"#compare-tab .cp-sections [value={section}]")
        choice.locator("xpath=..").click()
        expect(self.at(section)).to_be_visible()

    def press(self, choice: str) -> None:
        """Answer by a key; the next pair stands there when this returns."""
        self.wait_for_pair()
        before = self.pair()
        self.page.keyboard.press(KEYS.get(choice, choice))
        self._next(before)

    def vote(self, count: int, likes: Callable[[int], float] = redness) -> None:
        """Answer so many pairs by what this visitor likes."""
        self.wait_for_pair()
        left, right = self.pair()
        for _ in range(count):
            self.page.keyboard.press(KEYS["left" if likes(left) > likes(right) else "right"])
            left, right = self._next((left, right))

    def _next(self, before: tuple[int, int]) -> tuple[int, int]:
        left, right = self.page.evaluate(_NEXT, [list(before), PATIENCE])
        return left, right

    def save(self, button: Locator) -> bytes:
        """Click what writes a file; its content."""
        with self.page.expect_download() as download:
            button.click()
        return download.value.path().read_bytes()

    def choose_file(self, button: Locator, name: str, data: bytes) -> None:
        """Click what asks for a file and give one."""
        with self.page.expect_file_chooser() as chooser:
            button.click()
        kind = "application/octet-stream"
        chooser.value.set_files({"name": name, "mimeType": kind, "buffer": data})
