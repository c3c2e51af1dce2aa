"""Make the README's pictures of the page: ``python -m tests.browser.make_screenshots``.

The page is served with the model that the settings name (the shipped one unless ``TAGGER_BUNDLE``
says otherwise), an example is given, something drawn, the gallery looked through or voted on, and
the window is taken as it stands: in English and Japanese, light and dark, on a desk and on a
phone. What is saved is forgotten again.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tagger import server
from tagger.services import build_services
from tagger.settings import load_settings
from tests import chromium
from tests.browser.artist import CAT, FISH, HOUSE, SUN, Artist, circle
from tests.browser.conftest import FLAGS, PATIENCE
from tests.browser.explorer import Explorer
from tests.browser.person import Person
from tests.browser.voter import Voter

ASSETS = Path(__file__).resolve().parents[2] / "assets"
FOLDER, EXAMPLES = ASSETS / "screenshots", ASSETS / "examples"


@dataclass(frozen=True)
class View:
    """A kind of visitor, and which of the examples they try; the name begins with the tab's."""

    name: str
    locale: str
    color_scheme: str
    width: int
    height: int
    example: str = ""

    @property
    def phone(self) -> bool:
        """Whether it is a small screen with touch."""
        return self.width < 500


VIEWS = (
    View("tag-en-light", "en-US", "light", 1280, 1010, "elephant.webp"),
    View("tag-ja-dark", "ja-JP", "dark", 1280, 1050, "house.webp"),
    View("tag-phone-en-light", "en-US", "light", 390, 1240, "rubber-ducks.webp"),
    View("tag-phone-ja-dark", "ja-JP", "dark", 390, 1240, "christmas-tree.webp"),
    View("draw-en-light", "en-US", "light", 1280, 1240),
    View("draw-ja-dark", "ja-JP", "dark", 1280, 1240),
    View("draw-phone-en-light", "en-US", "light", 390, 1240),
    View("draw-phone-ja-dark", "ja-JP", "dark", 390, 1240),
    View("explore-en-light", "en-US", "light", 1280, 1150, "elephant.webp"),
    View("explore-ja-dark", "ja-JP", "dark", 1280, 1150),
    View("explore-phone-en-light", "en-US", "light", 390, 1240),
    View("explore-phone-ja-dark", "ja-JP", "dark", 390, 1240, "elephant.webp"),
    View("compare-en-light", "en-US", "light", 1280, 1020),
    View("compare-ja-dark", "ja-JP", "dark", 1280, 1060),
    View("compare-phone-en-light", "en-US", "light", 390, 1240),
    View("compare-phone-ja-dark", "ja-JP", "dark", 390, 1240),
)

# What whoever votes likes and dislikes: tags as people gave them.
TASTE = {"animal": 2.0, "food": 1.0, "flower": 1.0, "symbol": -1.0, "transport": -1.0}
VOTES = 40

# What stands in the gallery of each.
SAVED = {
    "en-US": ((HOUSE, "house"), (SUN, "sun"), (FISH, "blorp"), (FISH, "blorp")),
    "ja-JP": ((HOUSE, "家"), (SUN, "太陽"), (FISH, "ぷくぷく"), (FISH, "ぷくぷく")),
}


def take(browser: Browser, url: str, view: View) -> Image.Image:
    """Visit the page as `view`, do what they came for, and look."""
    context = browser.new_context(
        locale=view.locale,
        color_scheme=view.color_scheme,
        viewport={"width": view.width, "height": view.height},
        has_touch=view.phone,
        is_mobile=view.phone,
        reduced_motion="reduce",
        device_scale_factor=1.5,
    )
    context.set_default_timeout(PATIENCE)
    person = Person(context, url)
    ACTS[view.name.partition("-")[0]](person, view)
    png = person.page.screenshot()
    context.close()
    return Image.open(io.BytesIO(png)).convert("RGB")


def give_example(person: Person, view: View) -> None:
    """Give an example and point at the first tag."""
    person.page.locator(f".tg-example:has(img[src$='{view.example}'])").click()
    person.wait_for_tags()
    expect(person.drop_zone).to_have_attribute("data-preview", "shown")
    for picture in person.page.locator(".tg-example img").all():
        picture.evaluate("(image) => { image.loading = 'eager'; return image.decode(); }")
    person.rows.first.hover()


def draw_something(person: Person, view: View) -> None:
    """Save some drawings, teach a word, and draw a cat."""
    artist = Artist(person)
    for count, (drawing, word) in enumerate(SAVED[view.locale], 1):
        artist.draw(drawing)
        artist.read_words()
        artist.save_as(word)
        expect(artist.at("tile")).to_have_count(count)
    artist.field.fill("")
    artist.draw(CAT)
    artist.read_words()
    artist.page.evaluate("scrollTo(0, 0)")


def explore(person: Person, view: View) -> None:
    """Find an example's place; else look at what a part of the map shares, or at one picture."""
    explorer = Explorer(person)
    spots = explorer.spots()
    middle = np.median(spots, axis=0)
    if view.example:
        person.page.locator("#explore-tab .ex-file").set_input_files(EXAMPLES / view.example)
        explorer.wait_for_detail("mine")
    elif view.phone:
        x, y = spots[int(np.linalg.norm(spots - middle, axis=1).argmin())]
        person.page.touchscreen.tap(x, y)
        expect(explorer.at("detail")).to_have_attribute("data-state", "done")
    else:
        explorer.lasso(circle(*middle, 90))
    for picture in person.page.locator("#explore-tab img:visible").all():
        picture.evaluate("(image) => { image.loading = 'eager'; return image.decode(); }")
    person.page.mouse.move(0, 0)
    person.page.evaluate("scrollTo(0, 0)")


def compare(person: Person, view: View) -> None:
    """Teach a taste; then look at the next pair, in Japanese at what was learnt."""
    voter = Voter(person)

    def likes(number: int) -> float:
        tags = voter.ask(f"map/pictures/{number}")["tags"]
        liked = sum(TASTE.get(tag["name"], 0.0) for tag in tags if tag["given"])
        return liked + 1e-6 * number  # of one mind where neither is liked more

    voter.vote(VOTES, likes)
    voter.wait_for_count(VOTES)
    if view.locale == "ja-JP":
        voter.open("taste")
        expect(voter.at("taste")).to_have_attribute("data-state", "some")
    for picture in person.page.locator("#compare-tab img:visible").all():
        picture.evaluate("(image) => { image.loading = 'eager'; return image.decode(); }")
    person.page.mouse.move(0, 0)
    person.page.evaluate("scrollTo(0, 0)")


ACTS = {"tag": give_example, "draw": draw_something, "explore": explore, "compare": compare}


def main() -> int:
    """Take all pictures and say how large the files became."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    parser.add_argument("--only", default="", help="first letters of the views to take")
    options = parser.parse_args()
    out = options.out
    executable = chromium.find()
    if executable is None:
        print("No Chromium here: `python tests/chromium.py` installs one.")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as folder:
        make_all(executable, out, folder, options.only)
    return 0


def make_all(executable: Path, out: Path, folder: str, only: str = "") -> None:
    """Serve the page, with `folder` for what is saved, and take the views whose name begins so."""
    services = build_services(load_settings(data_dir=folder))
    served = server.launch(services)
    if services.explore is not None:
        services.explore.settle()
    if services.compare is not None:
        services.compare.settle()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(executable), args=list(FLAGS))
            for view in VIEWS:
                if only and not view.name.startswith(only):
                    continue
                if getattr(services, view.name.partition("-")[0], None) is None:
                    continue
                path = out / f"{view.name}.webp"
                take(browser, served.url, view).save(path, "WEBP", quality=82, method=6)
                print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", flush=True)
            browser.close()
    finally:
        served.close()
        services.close()


if __name__ == "__main__":
    raise SystemExit(main())
