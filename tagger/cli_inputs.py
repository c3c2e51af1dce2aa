"""What commands have in common: reading numbers, finding pictures, being stopped."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

# What a folder is searched for. A file that is named itself is tried whatever it is called.
PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for kind in ("png apng gif webp avif bmp dib tif tiff", "jpg jpeg jpe jfif heic heif")
    for suffix in kind.split()
)


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, and the path that it has below the folder that was named."""

    path: Path
    relative: Path


def collect(
    paths: Sequence[Path], recursive: bool, problems: list[tuple[str, str]]
) -> Iterator[Item]:
    """Files as named, and the pictures of folders in order of their names, each once.

    Of a single folder nothing is kept in memory, however many pictures it has.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            files = _pictures(path, recursive, problems)
            found: Iterable[Item] = (Item(file, file.relative_to(path)) for file in files)
        elif path.exists():
            found = [Item(path, Path(path.name))]
        else:
            problems.append((str(path), "there is no such file"))
            continue
        for item in found:
            real = item.path.absolute()
            if real not in seen:
                if len(paths) > 1:
                    seen.add(real)
                yield item


def _pictures(folder: Path, recursive: bool, problems: list[tuple[str, str]]) -> Iterator[Path]:
    def closed(error: OSError) -> None:
        problems.append((str(error.filename), f"cannot be opened: {error.strerror}"))

    # Links to folders are not followed: they may lead in circles.
    for root, folders, names in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in PICTURE_SUFFIXES:
                yield path
        if not recursive:
            return


@contextmanager
def interrupt_asked() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C was pressed, instead of breaking off in the middle of a file.

    The second time it breaks off at once.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    # Only the main thread may set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def whole(most: int) -> Callable[[str], int]:
    """A reader of whole numbers from 1 to `most`, for `argparse`."""

    def read(text: str) -> int:
        value = int(text) if text.isascii() and text.isdecimal() else 0
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}")
        return value

    return read


def share(text: str) -> float:
    """Read a number from 0 to 1, for `argparse`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("must be a number from 0 to 1")
    return value
