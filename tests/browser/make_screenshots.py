"""Make the README's pictures of the page: ``python -m tests.browser.make_screenshots``.

The page is served with the model that the settings name (the shipped one unless ``TAGGER_BUNDLE``
says otherwise), an example is given, and the window is taken as it stands: in English and Japanese,
light and dark, on a desk and on a phone.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tagger import server
from tagger.services import build_services
from tagger.settings import load_settings
from tests import chromium
from tests.browser.conftest import FLAGS, PATIENCE
from tests.browser.person import Person

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "screenshots"


@dataclass(frozen=True)
class View:
    """A kind of visitor, and which of the examples they try."""

    name: str
    locale: str
    color_scheme: str
    width: int
    height: int
    example: str

    @property
    def phone(self) -> bool:
        """Whether it is a small screen with touch."""
        return self.width < 500


VIEWS = (
    View("tag-en-light", "en-US", "light", 1280, 1010, "elephant.webp"),
    View("tag-ja-dark", "ja-JP", "dark", 1280, 1050, "house.webp"),
    View("tag-phone-en-light", "en-US", "light", 390, 1240, "rubber-ducks.webp"),
    View("tag-phone-ja-dark", "ja-JP", "dark", 390, 1240, "christmas-tree.webp"),
)


def take(browser: Browser, url: str, view: View) -> Image.Image:
    """Visit the page as `view`, give an example, point at the first tag, and look."""
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
    person.page.locator(f".tg-example:has(img[src$='{view.example}'])").click()
    person.wait_for_tags()
    expect(person.drop_zone).to_have_attribute("data-preview", "shown")
    for picture in person.page.locator(".tg-example img").all():
        picture.evaluate("(image) => { image.loading = 'eager'; return image.decode(); }")
    person.rows.first.hover()
    png = person.page.screenshot()
    context.close()
    return Image.open(io.BytesIO(png)).convert("RGB")


def main() -> int:
    """Take all pictures and say how large the files became."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    out = parser.parse_args().out
    executable = chromium.find()
    if executable is None:
        print("No Chromium here: `python tests/chromium.py` installs one.")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    services = build_services(load_settings())
    served = server.launch(services)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(executable), args=list(FLAGS))
            for view in VIEWS:
                path = out / f"{view.name}.webp"
                take(browser, served.url, view).save(path, "WEBP", quality=82, method=6)
                print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", flush=True)
            browser.close()
    finally:
        served.close()
        services.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
