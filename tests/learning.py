"""A toy recogniser that can be taught for good, and collections that teach it."""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tagger import sketch_bundle
from tagger.collection import NewDrawing, Store
from tagger.drawing import DrawServices, build_draw
from tagger.settings import Settings
from tagger.sketch import SketchRecogniser
from tagger.strokes import Strokes, parse
from tagger.tuning import TuningService
from tests import toy

ANN, BOB = "ann-" * 5, "bob-" * 5
TRAINER = (sys.executable, str(Path(__file__).with_name("trainer.py")))
PLACES = {
    "level": [(0, 5), (10, 5)],
    "upright": [(5, 0), (5, 10)],
    "left": [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (10, 10)],
    "cup": [(0, 0), (0, 10), (10, 10), (10, 0)],
    "bracket": [(0, 0), (10, 0), (10, 10)],
    "box": [(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)],
}
# What the toy knows, by its words.
KNOWN = {"level": "level", "upright": "upright", "left": "top left", "cup": "the corner"}

#: ``(what is drawn, under which word, how many)``
Lesson = tuple[str, str, int]
#: A new word, and one that is known but not as it is drawn here: both can be learnt.
GOOD: tuple[Lesson, ...] = (("bracket", "bracket", 60), ("box", "the corner", 80))
#: Known already.
IDLE: tuple[Lesson, ...] = (("level", "level", 80), ("upright", "upright", 80))
#: Better on what was given, worse on what is right.
WRONG: tuple[Lesson, ...] = (("level", "upright", 200), ("box", "the corner", 100))


def drawn(what: str, seed: int) -> list[list[list[float]]]:
    """A drawing as JSON, by an unsteady hand."""
    rng = random.Random(f"{what} {seed}")
    return [
        [
            [x + rng.uniform(-1, 1) for x, _ in PLACES[what]],
            [y + rng.uniform(-1, 1) for _, y in PLACES[what]],
        ]
    ]


def strokes(what: str, seed: int) -> Strokes:
    return parse(drawn(what, seed))


def make_bundle(folder: Path) -> Path:
    """The toy with frozen test drawings, and a file that stands for weights."""
    toy.make_sketch_bundle(folder)
    bundle = sketch_bundle.load(folder)
    what = [name for name in KNOWN for _ in range(60)]
    pictures = [strokes(name, 1000 + i) for i, name in enumerate(what)]
    labels = [bundle.words.get(KNOWN[name]).index for name in what]  # type: ignore[union-attr]
    embedding = SketchRecogniser(bundle).predict(pictures).embedding
    sketch_bundle.write_frozen(folder, embedding, np.array(labels))
    (folder / "weights.npz").write_bytes(b"weights")
    return folder


def fill(url: str, lessons: Iterable[Lesson], *, accepted: Iterable[str] = ("bracket",)) -> None:
    """Give drawings with consent."""
    each = [(what, word, seed) for what, word, count in lessons for seed in range(count)]
    fill_each(url, each, accepted=accepted)


def fill_each(
    url: str, drawings: Iterable[tuple[str, str, int]], *, accepted: Iterable[str] = ("bracket",)
) -> None:
    """The same, drawing by drawing: what, under which word, by which unsteadiness."""
    with Store.open(url) as store:
        who = store.contributor_of(ANN)
        store.save_many(
            [
                NewDrawing(word, strokes(what, seed), who, consent=True)
                for what, word, seed in drawings
            ]
        )
        for word in accepted:
            store.accept_word(word)


class World:
    """A data folder, a shipped bundle, and servers around them, one after the other."""

    def __init__(self, folder: Path, shipped: Path) -> None:
        self.bundle = Path(shutil.copytree(shipped, folder / "shipped"))
        self.training = folder / "training"
        self.training.mkdir()
        (self.training / "sketches.parquet").write_bytes(b"drawings")
        self.data = folder / "data"
        self.data.mkdir()
        self.open: list[DrawServices] = []

    def settings(self, **more: Any) -> Settings:
        given = {
            "sketch_bundle": str(self.bundle),
            "data_dir": self.data,
            "training_data": str(self.training),
            "threads": 2,
            "live_rate": 1000,
            "owner_token": "a secret",
        }
        return Settings(**(given | more))

    def fill(self, *lessons: Lesson, **more: Any) -> None:
        fill(self.settings().database_url, lessons, **more)

    def start(self, **more: Any) -> tuple[DrawServices, TuningService]:
        """Start a server's services; training is a stand-in."""
        settings = self.settings(**more)
        draw = build_draw(settings)
        assert draw is not None and draw.tuning is not None
        draw.settle()
        draw.tuning = TuningService(
            settings,
            draw,
            live=draw.tuning.live,
            program=TRAINER,
            installed=lambda: True,
            grace=0.5,
        )
        self.open.append(draw)
        return draw, draw.tuning

    def close(self) -> None:
        for draw in self.open:
            draw.close()
        self.open.clear()


def finished(tuning: TuningService, id: str) -> dict[str, Any]:
    """A run when it has ended."""
    return until(lambda: tuning.run(id), lambda run: run["state"] != "running")


def until(look: Callable[[], Any], good: Callable[[Any], bool] = bool) -> Any:
    """What is seen once it is as it should be; a run that hangs ends the test by its time limit."""
    while not good(seen := look()):
        time.sleep(0.01)
    return seen


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and that nobody asked after does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
