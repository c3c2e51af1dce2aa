"""A program beside the server: it ends with all its children, and with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tagger.worker import Worker
from tests.learning import alive, until

ROOT = Path(__file__).resolve().parents[1]
# It starts a child that does not care for signals, tells both numbers, and does the rest.
FAMILY = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn])
with open("part", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.replace("part", "pids")
"""


def start(folder: Path, program: str) -> Worker:
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-c", program]
        return Worker(command, folder=folder, environment=dict(os.environ), log=log)


def pids(folder: Path) -> list[int]:
    file = folder / "pids"
    return [int(pid) for pid in until(lambda: file.exists() and file.read_text()).split()]


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import os; print('said', os.getcwd())", 0),
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
    ],
)
def test_it_runs_to_its_end(tmp_path: Path, program: str, code: int) -> None:
    worker = start(tmp_path, program)
    assert until(lambda: worker.wait(1), lambda ended: ended is not None) == code
    assert worker.wait(0) == code
    worker.stop()
    if code == 0:
        assert (tmp_path / "log").read_text() == f"said {tmp_path}\n"


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    worker = start(tmp_path, FAMILY)  # it ends, its child does not
    own, child = pids(tmp_path)
    until(lambda: worker.wait(1) is not None)
    until(lambda: not alive(own) and not alive(child))
    assert worker.wait(0) == 0


@pytest.mark.parametrize("stubborn", [False, True])
def test_it_is_stopped_with_its_children(tmp_path: Path, stubborn: bool) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if stubborn else ""
    worker = start(tmp_path, FAMILY.replace("child =", f"{ignore}child =") + "time.sleep(600)")
    both = pids(tmp_path)
    assert all(map(alive, both)) and worker.wait(0) is None
    worker.stop(grace=0.2 if stubborn else 60)
    until(lambda: not any(map(alive, both)))
    assert worker.wait(0) not in (None, 0)


def test_it_is_of_low_priority_and_cannot_read(tmp_path: Path) -> None:
    worker = start(tmp_path, "import os, sys; print(os.nice(0), sys.stdin.read() == '')")
    until(lambda: worker.wait(1) is not None)
    nice, nothing = (tmp_path / "log").read_text().split()
    assert int(nice) >= min(19, os.nice(0) + 10) and nothing == "True"


SERVER = """
import os, sys, time
from pathlib import Path
from tagger.worker import Worker
folder = Path.cwd()
with open("log", "wb") as log:
    command = [sys.executable, "-c", sys.argv[1]]
    worker = Worker(command, folder=folder, environment=dict(os.environ), log=log)
print(worker.group, flush=True)
{rest}
"""


@pytest.mark.parametrize(
    "end",
    [
        lambda process: process.kill(),
        lambda process: process.send_signal(signal.SIGTERM),
        lambda process: process.stdin.close(),
    ],
    ids=["killed", "stopped", "ended"],
)
def test_it_ends_with_whoever_started_it(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], object]
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = FAMILY + "time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER.format(rest="sys.stdin.read(); os._exit(3)"), program],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        own, child = pids(tmp_path)
        assert alive(own) and alive(child)
        end(process)
        process.wait()
        until(lambda: not alive(own))
        assert process.returncode != 0
        # The stubborn child has some seconds, then it goes as well.
        until(lambda: not alive(child))
    finally:
        process.kill()
        process.wait()
