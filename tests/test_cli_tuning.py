"""``python -m tagger drawings refit`` and what belongs to it, called as functions."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagger import cli, tuning
from tests import learning, trainer
from tests.learning import GOOD, IDLE, TRAINER, World, alive

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learning.make_bundle(tmp_path_factory.mktemp("shipped") / "toy-sketch")


@pytest.fixture
def world(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A collection and a recogniser that the settings name; training is a stand-in."""
    world = World(tmp_path, shipped)
    monkeypatch.setenv("TAGGER_DATA_DIR", str(world.data))
    monkeypatch.setenv("TAGGER_SKETCH_BUNDLE", str(world.bundle))
    monkeypatch.setenv("TAGGER_TRAINING_DATA", str(world.training))
    monkeypatch.setattr(
        tuning.TuningService.__init__,
        "__kwdefaults__",
        {
            **(tuning.TuningService.__init__.__kwdefaults__ or {}),
            "program": TRAINER,
            "installed": lambda: True,
            "grace": 0.5,
        },
    )
    yield world
    world.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an action; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main(["drawings", *map(str, arguments)])
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *capsys.readouterr()

    return run


def versions(run: Run) -> dict[str, bool]:
    code, out, _ = run("versions", "--json")
    assert code == 0
    return {row["id"]: row["current"] for row in map(json.loads, out.splitlines())}


def test_a_refit_goes_live_and_back(run: Run, world: World) -> None:
    world.fill(*GOOD)
    assert run("runs") == (0, "", "There are no runs.\n")
    code, out, err = run("refit")
    assert (code, out.startswith("Better, and what it knew is kept.")) == (0, True)
    lines = err.splitlines()
    assert lines[0].startswith("140 drawings of 2 words, ") and "new words: bracket." in lines[0]
    (id,) = [id for id in versions(run) if id != "shipped"]
    assert lines[-1].startswith(f"Live from now on: {id}, after ")
    assert versions(run) == {id: True, "shipped": False}
    code, out, _ = run("versions")
    assert out.splitlines()[0].startswith(f"* {id}") and "6 words" in out.splitlines()[0]
    assert run("back") == (0, "Live from now on: shipped.\n", "")
    assert versions(run) == {id: False, "shipped": True}
    code, _, err = run("back")
    assert code == 2 and "no version before" in err
    assert run("activate", id) == (0, f"Live from now on: {id}.\n", "")
    code, _, err = run("--lang", "ja", "activate", "nothing")
    assert code == 2 and "見つかりません" in err
    code, out, _ = run("--lang", "ja", "runs")
    assert code == 0 and id in out and "live" in out and "改善" in out
    (row,) = map(json.loads, run("runs", "--json")[1].splitlines())
    assert row["verdict"]["passes"] is True and row["said"].startswith("Better")


def test_what_is_refused_is_said(run: Run, world: World) -> None:
    world.fill(*IDLE)
    code, out, _ = run("--lang", "ja", "refit", "--set", "penalty=2")
    assert code == 1 and out.startswith("不採用")
    (row,) = map(json.loads, run("runs", "--json")[1].splitlines())
    assert row["parameters"] == {"penalty": 2} and row["version"] is None
    assert "refused" in run("runs")[1]


def test_a_training_says_how_far_it_is(run: Run, world: World) -> None:
    world.fill(*GOOD)
    code, out, err = run("tune", "--set", "layers=embed", "--set", "epochs=3")
    assert code == 0 and out.startswith("Better")
    (id,) = [id for id, current in versions(run).items() if current]
    seen = json.loads((world.data / "tuning" / id / "seen.json").read_text())
    assert seen["parameters"] == {"layers": "embed", "epochs": 3, "words": ["bracket"]}
    code, out, err = run("tune", "--set", f"seed={trainer.FAILS}")
    assert code == 2 and "log.txt" in out and "loss is no longer a number" in err
    assert versions(run)[id] is True


def test_interrupting_cancels(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill(*GOOD)
    real, waits = tuning.TuningService.wait, []

    def wait(self: tuning.TuningService, seconds: float | None = None) -> bool:
        if seconds is not None and any((world.data / "tuning").glob("*/pids")):
            waits.append(seconds)
            if len(waits) == 2:  # how far it is was said in between
                raise KeyboardInterrupt
        return real(self, seconds)

    monkeypatch.setattr(tuning.TuningService, "wait", wait)
    code, _, err = run("tune", "--set", f"seed={trainer.PATIENT}")
    assert code == 130 and "Interrupted" in err
    assert "training, epoch 1: loss 2.500, frozen 50.0%, held back 25.0%" in err
    (pids,) = [path.read_text().split() for path in (world.data / "tuning").glob("*/pids")]
    assert not any(alive(int(pid)) for pid in pids)


def test_whoever_is_impatient_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    """Two interrupts in a row, as of a shell's Ctrl-C pressed twice."""
    world.fill(*GOOD)
    program = (
        "import sys; from tagger import cli, tuning\n"
        "defaults = tuning.TuningService.__init__.__kwdefaults__\n"
        f"defaults.update(program={TRAINER!r}, installed=lambda: True)\n"
        f"sys.exit(cli.main(['drawings', 'tune', '--set', 'seed={trainer.PATIENT}']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        (file,) = learning.until(lambda: list((world.data / "tuning").glob("*/pids")))
        pids = [int(pid) for pid in file.read_text().split()]
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "Ending" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    finally:
        process.kill()
        process.communicate()
    assert not any(map(alive, pids))
    assert world.start()[1].run(file.parent.name)["state"] == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["refit", "--set", "penalty"], "KEY=VALUE"),
        (["refit", "--set", "penalty=-1"], "penalty"),
        (["refit", "--set", "epochs=3"], "parameter"),
        (["tune", "--set", "layers=none"], "last_stage"),
        (["activate"], "ID"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, world: World, arguments: list[str], said: str
) -> None:
    world.fill(*GOOD)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and said in err
    assert not (world.data / "tuning").exists()


def test_while_a_server_learns_nobody_else_does(run: Run, world: World) -> None:
    world.fill(*GOOD)
    _, service = world.start()
    id = service.start("tuning", {"seed": trainer.PATIENT})["id"]
    code, _, err = run("refit")
    assert code == 2 and "learnt already" in err
    assert "running" in run("runs")[1]
    service.cancel(id)
    learning.finished(service, id)
    service.watch(0.01)
    assert run("refit")[0] == 0
    learning.until(lambda: service.live != "shipped")
    assert service.live in versions(run)


def test_without_a_recogniser_there_is_nothing_to_teach(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGGER_SKETCH_BUNDLE", "none")
    for action in ("refit", "tune", "runs", "versions", "back"):
        code, out, err = run(action)
        assert (code, out) == (2, "") and "no model" in err
    world.fill()
    monkeypatch.setenv("TAGGER_SKETCH_BUNDLE", str(world.bundle))
    code, _, err = run("refit")
    assert code == 2 and "consent" in err
