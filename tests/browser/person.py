"""Somebody at the page: what a person does with it, in a few verbs, and what they read."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

# Seconds: a guard against a hang, no measure.
WAIT = 60
# In a page without a network the browser itself may still ask for these.
LOCAL_SCHEMES = {"data", "blob", "about", "chrome-error"}

_MAKE_TRANSFER = """(files) => {
  const transfer = new DataTransfer();
  for (const {name, type, data} of files) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type}));
  }
  return transfer;
}"""
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".avif": "image/avif"}


class Person:
    """A visitor with a browser of their own; collects what must not happen.

    Parameters
    ----------
    troubles : bool
        Whether what the console complains of must not happen.
    page : Page, optional
        An empty window that somebody has left; by default a new one.
    """

    def __init__(
        self,
        context: BrowserContext,
        url: str,
        *,
        troubles: bool = True,
        page: Page | None = None,
    ) -> None:
        self.foreign_requests: list[str] = []
        self.troubles: list[str] = []
        self.origin = urlsplit(url).netloc
        self.page: Page = page or context.new_page()
        self._size = self.page.viewport_size
        self._listeners: list[tuple[Any, Callable[..., object]]] = []
        self._listen("request", self._note_request)
        # Listening from the start: interception that begins with the key press comes too late.
        self._listen("filechooser", lambda chooser: None)
        self._listen("pageerror", lambda error: self.troubles.append(str(error)))
        if troubles:
            self._listen("console", self._note_console)
        self._listen("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        self.page.goto(url)
        expect(self.page.locator("[data-ready=true]")).to_be_attached()

    def leave(self) -> Page:
        """Leave the window as empty as a new one, which takes the browser twice as long."""
        for event, listener in self._listeners:
            self.page.remove_listener(event, listener)
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.evaluate("sessionStorage.clear()")
        self.page.goto("about:blank")
        if self._size is not None and self.page.viewport_size != self._size:
            self.page.set_viewport_size(self._size)
        self.page.mouse.move(0, 0)
        return self.page

    def _listen(self, event: Any, listener: Callable[..., object]) -> None:
        self.page.on(event, listener)
        self._listeners.append((event, listener))

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in LOCAL_SCHEMES and parts.netloc != self.origin:
            self.foreign_requests.append(request.url)

    def _note_console(self, message: object) -> None:
        if message.type == "error":
            self.troubles.append(message.text)

    # --- places on the page ---

    @property
    def drop_zone(self) -> Locator:
        return self.page.locator(".tg-drop")

    @property
    def results(self) -> Locator:
        return self.page.locator(".tg-results")

    @property
    def rows(self) -> Locator:
        return self.page.locator(".tg-row")

    @property
    def message(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def facts(self) -> Locator:
        return self.page.locator(".tg-facts")

    @property
    def output(self) -> Locator:
        return self.page.locator(".tg-output")

    @property
    def tiles(self) -> Locator:
        return self.page.locator(".tg-tile")

    # --- ways to give a picture ---

    def choose(self, *files: tuple[str, bytes]) -> None:
        """Click the button and take files from the chooser."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator(".tg-choose").click()
        chooser.value.set_files(
            [{"name": n, "mimeType": "application/octet-stream", "buffer": d} for n, d in files]
        )

    def drop(self, *files: tuple[str, bytes], on: str = ".tg-drop") -> None:
        """Drag files over an element and let go."""
        described = [
            {
                "name": name,
                "type": _TYPES.get(PurePath(name).suffix, ""),
                "data": base64.b64encode(data).decode(),
            }
            for name, data in files
        ]
        transfer = self.page.evaluate_handle(_MAKE_TRANSFER, described)
        for kind in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event(on, kind, {"dataTransfer": transfer})

    def paste_picture(self, png: bytes) -> None:
        """Put a picture on the real clipboard (needs the permissions) and press Ctrl+V."""
        self.page.evaluate(
            """async (data) => {
              const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
              const blob = new Blob([bytes], {type: 'image/png'});
              await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
            }""",
            base64.b64encode(png).decode(),
        )
        self.page.keyboard.press("ControlOrMeta+V")

    def wait_until(self, happened: Callable[[], object]) -> None:
        """Let the browser go on until something is seen from here, such as a held request."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if happened():
                return
            self.page.wait_for_function("true")
        raise AssertionError("it did not happen")

    # --- reading ---

    def wait_for_tags(self) -> None:
        """Wait until the tags of the chosen picture stand there."""
        expect(self.results).to_have_attribute("data-state", "done")

    def read_tags(self) -> list[str]:
        """The names as they are written, first to last."""
        self.wait_for_tags()
        return self.page.locator(".tg-name").all_inner_texts()
