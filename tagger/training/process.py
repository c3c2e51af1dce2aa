"""What a training changes in the process that it runs in, and gives back."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def left_as_found() -> Iterator[None]:
    """Undo, at the end, what a training changes for its whole process; also a decorator.

    That is whether the thread's arithmetic takes the smallest numbers (subnormal ones) for zero,
    which makes a CPU faster, how many threads torch computes with, and the root logger's handlers
    and level, which Kedro makes its own as it is imported.
    """
    flushes, threads = flushes_denormals(), _threads()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        # Who has not imported torch has changed nothing of it.
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_flush_denormal(flushes)
            if threads is not None:
                torch.set_num_threads(threads)
        root.handlers[:] = handlers
        root.setLevel(level)


def flushes_denormals() -> bool:
    """Tell whether this thread's arithmetic takes subnormal numbers for zero."""
    return sys.float_info.min / 2 == 0


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())
