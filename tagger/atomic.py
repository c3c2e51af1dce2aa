"""Files that take their place only when they are complete: whoever reads one reads it whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# Drafts that a killed process left are removed after a day: by then nobody writes them any more.
_STALE_SECONDS = 86_400.0


@contextmanager
def replacing(path: Path, *, private: bool = False, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file for writing; it replaces the one at `path` when the block ends well.

    Parameters
    ----------
    path : Path
        Its folder has to be there.
    private : bool
        Whether nobody but this user may read it.
    durable : bool
        Whether it is on the disk when the block has ended, even if the power then fails.

    Raises
    ------
    OSError
        If it cannot be written; what was there stays.
    """
    if durable:
        _sweep(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(draft, flags, 0o600 if private else 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Let a file, or the entries of a folder, reach the disk, where the system can do that."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a system on which folders cannot be opened
        return
    try:
        # Some file systems know no syncing of folders: then there is nothing more to do.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    for draft in path.parent.glob(f".{_plain(path.name)}.*.part"):
        # Somebody else may be quicker.
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _STALE_SECONDS:
                draft.unlink()


def _plain(name: str) -> str:
    """A name in which no character stands for others."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
