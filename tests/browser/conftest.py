"""A served page and a real browser, closed again when the tests of this folder are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagger import server
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import chromium
from tests.browser.person import Person

pytest.importorskip("playwright", reason="the browser tests need playwright")
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

HERE = Path(__file__).parent
# Nothing of the browser's own may go out either.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Small enough that a file above it is made in no time.
MAX_BYTES = 2**20
MAX_FILES = 5

# Milliseconds until a wait is given up: a guard against a hang on a busy machine, no measure.
PATIENCE = 60_000

Visit = Callable[..., Person]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def services(toy_bundle: Path) -> Iterator[Services]:
    settings = Settings(bundle=str(toy_bundle), threads=1, max_bytes=MAX_BYTES, max_files=MAX_FILES)
    services = build_services(settings)
    yield services
    services.close()


@pytest.fixture(scope="package")
def url(services: Services) -> Iterator[str]:
    served = server.launch(services)
    yield served.url
    served.close()


# After `url`, so that the server starts while no event loop runs in this thread.
@pytest.fixture(scope="package")
def browser(url: str) -> Iterator[Browser]:
    executable = chromium.find()
    if executable is None:
        pytest.skip("no Chromium here; `python tests/chromium.py` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def contexts(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Browser profiles, one a kind of visitor: the page's files are fetched once for each."""
    profiles: dict[object, BrowserContext] = {}

    def profile(
        locale: str = "en-US",
        color_scheme: str = "light",
        width: int = 1280,
        height: int = 900,
        permissions: tuple[str, ...] = (),
    ) -> BrowserContext:
        key = (locale, color_scheme, width, height, permissions)
        if key not in profiles:
            profiles[key] = browser.new_context(
                locale=locale,
                color_scheme=color_scheme,
                viewport={"width": width, "height": height},
                has_touch=width < 500,
                is_mobile=width < 500,
                permissions=list(permissions),
            )
            profiles[key].set_default_timeout(PATIENCE)
        return profiles[key]

    yield profile
    for context in profiles.values():
        context.close()


@pytest.fixture(scope="package")
def windows() -> dict[BrowserContext, list[Page]]:
    """Empty windows that earlier visitors have left."""
    return {}


@pytest.fixture
def visit(
    contexts: Callable[..., BrowserContext], windows: dict[BrowserContext, list[Page]], url: str
) -> Iterator[Visit]:
    """Open the page as somebody: ``visit(locale="ja-JP", width=390, color_scheme="dark")``."""
    expect.set_options(timeout=PATIENCE)
    people: list[tuple[Person, list[Page]]] = []

    def open_page(at: str = url, *, troubles: bool = True, **kind: object) -> Person:
        context = contexts(**kind)
        empty = windows.setdefault(context, [])
        page = empty.pop() if empty else None
        people.append((Person(context, at, troubles=troubles, page=page), empty))
        return people[-1][0]

    yield open_page
    for person, empty in people:
        empty.append(person.leave())
    for person, _ in people:
        assert person.troubles == []
        assert person.foreign_requests == []
