"""A long program beside the server: at low priority, and ended with all its children.

Between the server and the program stands this module as a process of its own
(``python worker.py PROGRAM ARGUMENT...``). It holds one end of a pipe whose other end is the
server's: however the server ends, the pipe closes, and the program is ended, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

# Seconds that a program has to end by itself after it was asked to.
GRACE = 10.0
_NICE = 10
_ASK_EVERY = 0.05


class Worker:
    """A running program, in a process group of its own.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Where it runs.
    environment : mapping
        All of its variables.
    log : binary file
        Takes what it says.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        log: BinaryIO,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def group(self) -> int:
        """Number of its process group."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Wait for its end at most so long; its exit code, or None while it runs."""
        until = time.monotonic() + seconds
        while self._process.returncode is None:
            # Not reaped yet, its number cannot be anybody else's: what it left is ended safely.
            ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
            if os.waitid(os.P_PID, self._process.pid, ended) is not None:
                self._signal(signal.SIGKILL)
                self._process.wait()
                if self._process.stdin is not None:
                    self._process.stdin.close()
            elif time.monotonic() >= until:
                return None
            else:
                time.sleep(_ASK_EVERY)
        return self._process.returncode

    def stop(self, grace: float = GRACE) -> None:
        """Ask it to end; after some seconds, end it with all that it started."""
        if self.wait(0) is None:
            self._signal(signal.SIGTERM)
            if self.wait(grace) is None:
                self._signal(signal.SIGKILL)
                while self.wait(GRACE) is None:
                    continue

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def main(command: Sequence[str]) -> int:
    """Run a program until it ends, or whoever started us does; its exit code."""
    os.nice(_NICE)
    # Meant for the program. Unlike an ignored signal, a handler is not inherited by it.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    alone = threading.Event()
    end = threading.Thread(target=_end_with_server, args=(program, alone), daemon=True)
    end.start()
    code = program.wait()
    if alone.is_set():
        end.join()  # its children, too, and us
    return code if code >= 0 else 128 - code


def _end_with_server(program: subprocess.Popen[bytes], alone: threading.Event) -> None:
    while os.read(0, 1):  # nothing ever comes
        continue
    alone.set()
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
