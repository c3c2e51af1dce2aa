"""Find the Chromium that the browser tests drive, or install one.

``python tests/chromium.py`` prints the browser's path and installs it first where there is none:
on Debian the distribution's own package, elsewhere the build that Playwright offers. A font with
Japanese characters comes along, since the page is tested in Japanese too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
MAC_PATHS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
DEBIAN_PACKAGES = ("chromium", "fonts-noto-cjk")


def find() -> Path | None:
    """Return an installed Chromium or Chrome: the system's, else Playwright's, else None."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    for path in map(Path, MAC_PATHS):
        if path.exists():
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.exists() else None


def has_japanese_font() -> bool:
    """Tell whether fontconfig knows a font for Japanese; True where there is no fontconfig."""
    if not (lister := shutil.which("fc-list")):
        return platform.system() != "Linux"
    return bool(subprocess.run([lister, ":lang=ja"], capture_output=True, check=False).stdout)


def is_debian() -> bool:
    """Tell whether the distribution is Debian itself, whose chromium package is a real one."""
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def install() -> None:
    """Install a browser and a Japanese font; ask for no input."""
    if is_debian():
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        quietly = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive"]
        for step in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", *DEBIAN_PACKAGES],
        ):
            command = [*quietly, "apt-get", *step]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    else:
        command = [sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]
        subprocess.run(command, check=True)


def main() -> int:
    """Install what is missing and print where the browser is."""
    if find() is None or (is_debian() and not has_japanese_font()):
        install()
    found = find()
    print(found or "No Chromium was found, and none could be installed.")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
