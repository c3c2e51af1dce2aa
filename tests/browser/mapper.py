"""Somebody at a map of made-up points, on a page that holds nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route

from tagger.ui import files
from tagger.ui.explore_tab import MAP_SCRIPTS
from tagger.ui.map_words import map_words
from tagger.ui.plotly_js import find_script

ORIGIN = "http://map.test"
EVENTS = (
    "ready",
    "renderer",
    "fallback",
    "mode",
    "view",
    "hover",
    "leave",
    "click",
    "empty",
    "select",
)

RED, GREEN, BLUE = (200, 30, 30), (20, 140, 60), (40, 80, 220)
PALETTE = [f"rgb{colour}" for colour in (RED, GREEN, BLUE)]
GROUND = {"light": (255, 253, 249), "dark": (29, 30, 35)}
SEAL = (178, 58, 36)
ACCENT = (53, 90, 147)
# How often one looks for what is to be seen.
LOOKS = 100

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>map</title>
<link rel="icon" href="data:,">
<style>
body {
  margin: 0; --body-text-color: #23262b; --border-color-primary: #dcd6ca;
  --block-background-fill: rgb(255 253 249); --color-accent: #355a93;
}
body.dark {
  --body-text-color: #ebe7de; --border-color-primary: #3b3c43;
  --block-background-fill: rgb(29 30 35); --color-accent: #9dbbe8;
}
#component { %(style)s }
#component .frame { inline-size: 100vw; block-size: min(80vh, 640px); }
</style></head>
<body><main id="component"><div class="frame"></div></main>
<script>
%(script)s
Object.assign(window, { MapSpace, MapCanvas, ExploreMap, words: %(words)s, log: [] });
</script></body></html>"""


def page_text(lang: str = "en") -> str:
    """The page with the component as the tab has it: its styles inside a rule, its scripts."""
    return _PAGE % {
        "style": files.text("common.css", "map.css"),
        "script": files.text(*MAP_SCRIPTS),
        "words": json.dumps(dict(map_words(lang))),
    }


class Mapper:
    """A visitor before a map; collects what must not happen.

    Parameters
    ----------
    script : bool or str
        Whether plotly's script can be fetched, or what comes instead of it.
    before : str
        Runs in the page before anything else.
    page : Page, optional
        An empty window that somebody has left; by default a new one.
    """

    def __init__(
        self,
        context: BrowserContext,
        *,
        script: bool | str = True,
        before: str = "",
        page: Page | None = None,
    ) -> None:
        self.troubles: list[str] = []
        self.foreign_requests: list[str] = []
        self.requests: list[str] = []
        self.script = script
        self.page = page or context.new_page()
        self._listeners: list[tuple[Any, Callable[..., object]]] = [
            ("pageerror", lambda error: self.troubles.append(str(error))),
            ("console", self._note),
        ]
        for event, listener in self._listeners:
            self.page.on(event, listener)
        self.page.route("**/*", self._answer)
        if before:
            self.page.add_init_script(before)
        self.page.goto(f"{ORIGIN}/")

    def leave(self) -> Page:
        """Leave the window empty: in a new one, plotly's script is read and compiled anew."""
        for event, listener in self._listeners:
            self.page.remove_listener(event, listener)
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        return self.page

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.troubles.append(message.text)

    def _answer(self, route: Route) -> None:
        url = route.request.url
        self.requests.append(urlsplit(url).path)
        if not url.startswith(f"{ORIGIN}/"):
            self.foreign_requests.append(url)
            route.abort()
        elif urlsplit(url).path == "/":
            route.fulfill(content_type="text/html", body=page_text())
        elif url.endswith("plotly.js") and self.script:
            # Megabytes, which the driver reads faster by itself.
            path = find_script()
            assert path is not None
            given = {"path": path} if self.script is True else {"body": self.script}
            route.fulfill(content_type="text/javascript", **given)
        else:
            route.fulfill(status=404)

    # --- the map ---

    def show(
        self,
        x: Sequence[float],
        y: Sequence[float],
        z: Sequence[float] | None = None,
        *,
        values: Sequence[int] | None = None,
        renderer: str | None = "canvas",
        plotly: bool = True,
        theme: str = "light",
        reduced: bool = True,
    ) -> None:
        """Make the map and wait until these points are painted by what was asked for."""
        self.x, self.y = np.asarray(x, np.float32), np.asarray(y, np.float32)
        self.page.evaluate(
            """([points, values, palette, renderer, plotly, theme, reduced, events]) => {
              const dark = theme === 'dark';
              document.body.classList.toggle('dark', dark);
              window.map = ExploreMap.create(document.querySelector('.frame'), {
                dark, reduced, words, plotly: plotly ? 'plotly.js' : null,
                ...(renderer && { renderer }),
              });
              for (const name of events) {
                map.on(name, ({mask, ...told}) => log.push({
                  name, ...told, ...(mask && {mask: [...mask]}),
                }));
              }
              const floats = (list) => list && Float32Array.from(list);
              const [x, y, z] = points.map(floats);
              map.setPoints({count: x.length, x, y, ...(z && {z})});
              map.setColours({kind: 'category', values: Uint8Array.from(values), palette});
            }""",
            [
                [np.asarray(axis).tolist() if axis is not None else None for axis in (x, y, z)],
                list(values) if values is not None else [0] * len(self.x),
                PALETTE,
                renderer,
                plotly,
                theme,
                reduced,
                list(EVENTS),
            ],
        )
        self.wait_for("ready")
        if renderer == "webgl":
            self.wait_for("renderer", renderer="webgl")

    def do(self, script: str, argument: Any = None) -> Any:
        """Call the map: ``do("map.reset()")``; `argument` is ``a`` there."""
        return self.page.evaluate(f"(a) => {script}", argument)

    def told(self, name: str) -> list[dict[str, Any]]:
        """What the map has told under a name so far."""
        return [each for each in self.page.evaluate("log") if each["name"] == name]

    def wait_for(self, name: str, *, more_than: int = 0, **values: Any) -> dict[str, Any]:
        """Wait until the map tells something, with these values; the last that it told."""
        self.page.wait_for_function(
            """([name, values, least]) => log.filter((each) => each.name === name
              && Object.entries(values).every(([key, value]) => each[key] === value)).length > least
            """,
            arg=[name, values, more_than],
        )
        return self.told(name)[-1]

    def at(self, number: int) -> tuple[float, float]:
        """Where a point is in the window."""
        x, y = self.do("map.pixels(a)", number)
        return x, y

    def places(self) -> np.ndarray:
        """Where all are, float [N, 2]."""
        return np.array(self.do("Array.from({length: a}, (_, n) => map.pixels(n))", len(self.x)))

    # --- the hand ---

    def hover(self, number: int) -> None:
        """Move the mouse onto a point."""
        self.page.mouse.move(*self.at(number))

    def drag(self, *places: tuple[float, float], release: bool = True) -> None:
        """Press the mouse at the first place, go along the others."""
        first, *rest = places
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in rest:
            self.page.mouse.move(*place, steps=3)
        if release:
            self.page.mouse.up()

    def touch(self, *steps: Sequence[tuple[float, float]]) -> None:
        """Put fingers down at the places of the first step, move them along, and lift them."""
        session = self.page.context.new_cdp_session(self.page)
        for i, step in enumerate(steps):
            points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(step)]
            session.send(
                "Input.dispatchTouchEvent",
                {"type": "touchMove" if i else "touchStart", "touchPoints": points},
            )
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        session.detach()

    def tool(self, name: str) -> None:
        """Press one of the map's buttons."""
        self.page.locator(f".mp-tools [data-tool={name}]").click()

    # --- the eye ---

    def picture(self) -> np.ndarray:
        """The map as it stands on the screen, uint8 [h, w, 3]."""
        self.page.evaluate(
            "async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }"
        )
        png = self.page.locator(".frame").screenshot()
        picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        scale = picture.shape[1] / self.page.evaluate("innerWidth")
        assert scale == 1, "places would not be those of the picture"
        return picture

    def sees(
        self, place: tuple[float, float], colour: Sequence[int], *, within: float = 40
    ) -> bool:
        """Whether a pixel comes to have nearly this colour, its farthest channel no farther off."""
        x, y = place

        def is_seen() -> bool:
            seen = self.picture()[int(y), int(x)].astype(int)
            return bool(np.abs(seen - np.asarray(colour)).max() <= within)

        # WebGL may paint some frames later on a busy machine.
        return any(is_seen() for _ in range(LOOKS))
