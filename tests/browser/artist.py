"""Somebody at the Draw tab: their hand, and what they read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.person import Person

# In shares of the pad's side.
Line = Sequence[tuple[float, float]]


def circle(x: float, y: float, radius: float, points: int = 24) -> list[tuple[float, float]]:
    turns = (2 * math.pi * i / points for i in range(points + 1))
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def lines(count: int) -> list[Line]:
    """So many strokes beside each other, for a recogniser that counts them."""
    return [
        [(0.1 + 0.8 * i / count, 0.2), (0.15 + 0.8 * i / count, 0.5), (0.1 + 0.8 * i / count, 0.8)]
        for i in range(count)
    ]


def arc(
    x: float, y: float, rx: float, ry: float, start: float, end: float, points: int = 16
) -> list[tuple[float, float]]:
    """Part of an ellipse, from one angle to another in turns."""
    turns = (2 * math.pi * (start + (end - start) * i / points) for i in range(points + 1))
    return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]


# What a person might draw.
CAT: list[Line] = [
    arc(0.5, 0.56, 0.27, 0.24, -0.2, 0.83, 30),
    [(0.27, 0.45), (0.25, 0.32), (0.24, 0.2), (0.31, 0.27), (0.39, 0.35)],
    [(0.6, 0.34), (0.68, 0.26), (0.75, 0.19), (0.75, 0.32), (0.73, 0.44)],
    circle(0.4, 0.5, 0.022, 10),
    circle(0.6, 0.5, 0.022, 10),
    [(0.47, 0.59), (0.53, 0.59), (0.5, 0.63), (0.47, 0.59)],
    [*arc(0.455, 0.63, 0.045, 0.06, 0.5, 0.0, 8), *arc(0.545, 0.63, 0.045, 0.06, 0.5, 0.0, 8)],
    [(0.33, 0.6), (0.22, 0.57), (0.12, 0.55)],
    [(0.33, 0.65), (0.22, 0.66), (0.11, 0.67)],
    [(0.67, 0.6), (0.78, 0.57), (0.88, 0.55)],
    [(0.67, 0.65), (0.78, 0.66), (0.89, 0.67)],
]
HOUSE: list[Line] = [
    [(0.25, 0.45), (0.25, 0.62), (0.26, 0.8), (0.5, 0.8), (0.76, 0.79), (0.75, 0.6), (0.75, 0.45)],
    [
        (0.18, 0.47),
        (0.34, 0.31),
        (0.5, 0.17),
        (0.66, 0.32),
        (0.82, 0.47),
        (0.5, 0.46),
        (0.18, 0.47),
    ],
    [(0.45, 0.8), (0.45, 0.6), (0.56, 0.6), (0.56, 0.8)],
    [(0.32, 0.54), (0.4, 0.54), (0.4, 0.63), (0.32, 0.63), (0.32, 0.54)],
    [(0.62, 0.54), (0.7, 0.54), (0.7, 0.63), (0.62, 0.63), (0.62, 0.54)],
]
SUN: list[Line] = [
    circle(0.5, 0.5, 0.17),
    *(
        [
            (0.5 + r * math.cos(2 * math.pi * i / 9), 0.5 + r * math.sin(2 * math.pi * i / 9))
            for r in (0.23, 0.29, 0.36)
        ]
        for i in range(9)
    ),
]
FISH: list[Line] = [
    [*arc(0.45, 0.5, 0.28, 0.17, 0.06, 0.94, 26), (0.85, 0.66), (0.85, 0.34), (0.71, 0.56)],
    circle(0.28, 0.45, 0.02, 10),
    arc(0.3, 0.5, 0.07, 0.14, -0.18, 0.18, 10),
]


class Artist:
    """A visitor who has opened the Draw tab."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.page = person.page
        self.open_tab()

    def open_tab(self) -> None:
        """Choose the second tab and wait until it is ready."""
        self.page.get_by_role("tab").nth(1).click()
        expect(self.page.locator("#draw-tab [data-ready=true]")).to_be_visible()
        # The gallery has come, too: nothing is asked or moved by it later.
        expect(self.at("everyone")).not_to_be_empty()

    # --- places ---

    def at(self, name: str) -> Locator:
        """An element of the tab by the name of its class."""
        return self.page.locator(f"#draw-tab .dr-{name}")

    @property
    def pad(self) -> Locator:
        return self.at("pad")

    @property
    def message(self) -> Locator:
        return self.page.locator("#draw-tab").get_by_role("alert")

    @property
    def field(self) -> Locator:
        return self.page.locator("#draw-tab .dr-label .dr-field")

    @property
    def options(self) -> Locator:
        return self.page.locator("#draw-tab .dr-label .dr-option")

    def act(self, name: str) -> Locator:
        """A button below the pad."""
        return self.page.locator(f".dr-tools :is([data-act={name}], [data-tool={name}])")

    def consent(self) -> Locator:
        return self.page.locator("#draw-tab .dr-consent:visible input")

    # --- the hand ---

    def points(self, line: Line) -> list[tuple[float, float]]:
        """Where a line is in the window."""
        left, top, width, height = self.pad.evaluate(
            """(pad) => {
              pad.scrollIntoView({block: 'nearest', inline: 'nearest', behavior: 'instant'});
              const {x, y, width, height} = pad.getBoundingClientRect();
              return [x, y, width, height];
            }"""
        )
        return [(left + x * width, top + y * height) for x, y in line]

    def press(self, line: Line) -> None:
        """Draw a line with the mouse and do not let go."""
        first, *rest = self.points(line)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for point in rest:
            self.page.mouse.move(*point)

    def draw(self, drawing: Iterable[Line]) -> None:
        """Draw lines with the mouse."""
        for line in drawing:
            self.press(line)
            self.page.mouse.up()

    def touch(self, line: Line) -> None:
        """Draw a line with a finger."""
        session = self.page.context.new_cdp_session(self.page)
        places = self.points(line)
        for kind, place in zip(
            ["touchStart", *["touchMove"] * (len(places) - 1)], places, strict=True
        ):
            point = {"x": place[0], "y": place[1]}
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        session.detach()

    def pen(self, line: Line, force: Sequence[float]) -> None:
        """Draw a line with a pen that is pressed as hard as said."""
        session = self.page.context.new_cdp_session(self.page)
        places = self.points(line)
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, place, pressure in zip(kinds, [*places, places[-1]], [*force, 0.0], strict=True):
            session.send(
                "Input.dispatchMouseEvent",
                {
                    "type": kind,
                    "x": place[0],
                    "y": place[1],
                    "button": "left",
                    "buttons": 0 if kind == "mouseReleased" else 1,
                    "clickCount": 1,
                    "pointerType": "pen",
                    "force": pressure,
                },
            )
        session.detach()

    def save_as(self, word: str) -> None:
        """Write the drawing's word and save it."""
        self.field.fill(word)
        self.page.keyboard.press("Enter")
        expect(self.at("status")).to_have_attribute("data-state", "saved")

    # --- reading ---

    def wait_for_words(self) -> None:
        """Wait until the words are those of the drawing as it stands."""
        expect(self.at("results")).to_have_attribute("data-state", "done")

    def read_words(self) -> list[str]:
        """The words as they stand, first to last."""
        self.wait_for_words()
        return self.page.evaluate(
            """() => [...document.querySelectorAll('#draw-tab .dr-place[data-state=full]')]
              .sort((a, b) => a.style.getPropertyValue('--dr-rank') -
                              b.style.getPropertyValue('--dr-rank'))
              .map((row) => row.querySelector('.dr-name').textContent)"""
        )

    def strokes(self) -> list[Any]:
        """The drawing as the browser keeps it for its next visit."""
        kept = self.page.evaluate("sessionStorage.getItem('tagger-drawing')")
        return json.loads(kept or "[]")

    def ink(self) -> int:
        """How many dots of the screen the drawing on the pad covers."""
        return self.page.evaluate(
            """async () => {
              for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
              const pad = document.querySelector('.dr-pad');
              const data = pad.getContext('2d').getImageData(0, 0, pad.width, pad.height).data;
              let count = 0;
              for (let i = 3; i < data.length; i += 4) count += data[i] > 128;
              return count;
            }"""
        )
