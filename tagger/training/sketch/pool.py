"""Drawings made into pictures once, several times varied, with the teacher's answers.

To rasterise takes as long as to learn from the picture, and the teacher looks at every variation
itself: so each version is made once, kept on disk, and seen again some epochs later.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagger.strokes import Strokes, rasterise_many
from tagger.training.sketch.augment import StrokeAugmentation, mix, vary
from tagger.training.sketch.data import Drawings
from tagger.training.sketch.teacher import DoodleNet

_CHUNK = 512


@dataclass(frozen=True)
class Raster:
    """How drawings become pictures; goes into the bundle's configuration.

    Attributes
    ----------
    size
        Side in pixels.
    width, margin
        Pixels.
    order
        Whether a second plane says when the ink came.
    """

    size: int = 40
    width: float = 1.7
    margin: float = 2.0
    order: bool = True

    def draw(
        self, drawings: Sequence[Strokes], width: NDArray[np.float64] | float | None = None
    ) -> NDArray[np.float32]:
        """Pictures float32 ``[N, planes, size, size]``."""
        return rasterise_many(
            drawings,
            self.size,
            width=self.width if width is None else width,
            margin=self.margin,
            order=self.order,
        )


@dataclass(frozen=True)
class Version:
    """Pictures uint8 ``[n, planes, S, S]`` and the teacher's answers float16 ``[n, W]`` or None."""

    pictures: NDArray[np.uint8]
    answers: NDArray[np.float16] | None


def as_bytes(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Ink from 0-1 to 0-255."""
    return np.rint(pictures * 255).astype(np.uint8)


def version(
    drawings: Drawings,
    number: int,
    *,
    raster: Raster,
    augmentation: StrokeAugmentation,
    teacher: DoodleNet | None,
    folder: Path,
    mixed: float = 0.0,
    say: Callable[[str], None] = print,
) -> Version:
    """The varied training drawings of a version; made if no earlier run left them.

    Parameters
    ----------
    number
        0 is as drawn; every other one is varied with a seed of its own.
    mixed
        Share of the words' drawings that get strokes of another drawing of their word.
    """
    rows = drawings.rows("train")
    key = json.dumps(
        {
            "raster": asdict(raster),
            "augmentation": asdict(augmentation),
            "words": drawings.words,
            "drawings": len(rows),
            "points": int(sum(len(s) for i in rows for s in drawings.strokes[i])),
            "teacher": teacher is not None,
            "mixed": mixed,
        },
        sort_keys=True,
    )
    place = folder / f"pool-{hashlib.sha256(key.encode()).hexdigest()[:12]}" / str(number)
    if not (place / "done").exists():
        say(f"drawing version {number} of {len(rows)} drawings")
        _make(drawings, rows, number, raster, augmentation, teacher, mixed, place)
    answers = None
    if teacher is not None:
        answers = np.load(place / "answers.npy", mmap_mode="r")
    return Version(np.load(place / "pictures.npy", mmap_mode="r"), answers)


def _make(
    drawings: Drawings,
    rows: NDArray[np.int64],
    number: int,
    raster: Raster,
    augmentation: StrokeAugmentation,
    teacher: DoodleNet | None,
    mixed: float,
    place: Path,
) -> None:
    place.mkdir(parents=True, exist_ok=True)
    shape = (len(rows), 1 + raster.order, raster.size, raster.size)
    pictures = np.lib.format.open_memmap(
        place / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape
    )
    answers = None
    if teacher is not None:
        answers = np.lib.format.open_memmap(
            place / "answers.npy",
            mode="w+",
            dtype=np.float16,
            shape=(len(rows), len(drawings.words)),
        )
    digits = drawings.digits
    alike = {label: rows[drawings.labels[rows] == label] for label in np.unique(drawings.labels)}
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        if number == 0:
            drawn, width = [drawings.strokes[i] for i in chosen], None
        else:
            rng = np.random.default_rng((number, start))
            width = rng.uniform(*augmentation.width, len(chosen))
            drawn = []
            for i in chosen:
                one = drawings.strokes[i]
                if mixed and not digits[i] and rng.random() < mixed:
                    one = mix(one, drawings.strokes[rng.choice(alike[drawings.labels[i]])], rng)
                drawn.append(vary(one, augmentation, rng, mirror=not digits[i]))
        here = slice(start, start + len(chosen))
        pictures[here] = as_bytes(raster.draw(drawn, width))
        if answers is not None and teacher is not None:
            answers[here] = teacher.answers(drawn, drawings.words)
    pictures.flush()
    if answers is not None:
        answers.flush()
    part = place / f".done.{os.getpid()}"
    part.write_text("")
    part.replace(place / "done")
