"""Drawings varied as strokes, before they become pictures.

What differs between two people's cats is where the lines go, not which pixels are dark; so lines
are what is varied: bent, shifted, stretched, left out, and cut short in the middle of drawing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tagger.strokes import Stroke, Strokes, partial


@dataclass(frozen=True)
class StrokeAugmentation:
    """How much is varied; lengths are shares of the drawing's longer side.

    Attributes
    ----------
    partial
        Probability that only the first part is drawn, from ``shortest`` of the points on.
    drop
        Probability that one stroke of several is missing.
    rotate, shear, stretch
        Degrees; tangent; logarithm. Standard deviations.
    bend
        Amplitude of a smooth wave through the whole drawing.
    jitter
        Standard deviation of each point.
    shift, resize
        Of each stroke by itself: standard deviations.
    flip
        Probability of a mirror image, for those that have none of their own.
    width
        Least and greatest line width in pixels.
    """

    partial: float = 0.3
    shortest: float = 0.25
    drop: float = 0.1
    rotate: float = 7.0
    shear: float = 0.08
    stretch: float = 0.12
    bend: float = 0.03
    jitter: float = 0.006
    shift: float = 0.015
    resize: float = 0.05
    flip: float = 0.5
    width: tuple[float, float] = (1.2, 2.4)


def mix(first: Strokes, second: Strokes, rng: np.random.Generator) -> Strokes:
    """Most strokes of one drawing with some of another of the same word, both made equally large.

    Neither person drew it, yet it stays near what people draw: one more place at which a teacher
    can be asked.
    """
    kept = [s for s in _placed(first) if rng.random() < 0.7] or [_placed(first)[0]]
    added = [s for s in _placed(second) if rng.random() < 0.3]
    return tuple(kept + added)


def _placed(strokes: Strokes) -> list[Stroke]:
    """Centred at 0, the longer side 1."""
    x = np.concatenate([stroke.x for stroke in strokes])
    y = np.concatenate([stroke.y for stroke in strokes])
    side = max(float(np.ptp(x)), float(np.ptp(y)), 1e-3)
    mx, my = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    return [Stroke((s.x - mx) / side, (s.y - my) / side) for s in strokes]


def vary(
    strokes: Strokes, settings: StrokeAugmentation, rng: np.random.Generator, *, mirror: bool = True
) -> Strokes:
    """One more drawing of the same thing.

    Parameters
    ----------
    mirror
        Whether a mirror image is the same thing; a digit's is not.
    """
    if rng.random() < settings.partial:
        strokes = partial(strokes, rng.uniform(settings.shortest, 1.0))
    if len(strokes) > 2 and rng.random() < settings.drop:
        gone = int(rng.integers(len(strokes)))
        strokes = strokes[:gone] + strokes[gone + 1 :]
    lengths = [len(stroke) for stroke in strokes]
    x = np.concatenate([stroke.x for stroke in strokes]).astype(np.float64)
    y = np.concatenate([stroke.y for stroke in strokes]).astype(np.float64)
    side = max(np.ptp(x), np.ptp(y), 1e-3)
    x, y = (x - (x.min() + x.max()) / 2) / side, (y - (y.min() + y.max()) / 2) / side
    number = np.repeat(np.arange(len(strokes)), lengths)
    if settings.resize or settings.shift:
        count = len(strokes)
        scale = np.exp(rng.normal(0, settings.resize, count))[number]
        per = np.maximum(np.bincount(number), 1)
        mx, my = (np.bincount(number, axis)[number] / per[number] for axis in (x, y))
        move = rng.normal(0, settings.shift, (2, count))[:, number]
        x, y = mx + (x - mx) * scale + move[0], my + (y - my) * scale + move[1]
    if settings.bend:
        # Two waves of random direction bend the plane like rubber.
        fx, fy, gx, gy = rng.uniform(-1.5, 1.5, 4) * 2 * math.pi
        p, q = rng.uniform(0, 2 * math.pi, 2)
        a, b = rng.normal(0, settings.bend, 2)
        x, y = x + a * np.sin(fx * x + fy * y + p), y + b * np.sin(gx * x + gy * y + q)
    if settings.jitter:
        x, y = (axis + rng.normal(0, settings.jitter, len(axis)) for axis in (x, y))
    angle = math.radians(rng.normal(0, settings.rotate)) if settings.rotate else 0.0
    shear = rng.normal(0, settings.shear)
    stretch = math.exp(rng.normal(0, settings.stretch) / 2)
    flip = -1.0 if mirror and rng.random() < settings.flip else 1.0
    x, y = flip * stretch * (x + shear * y), y / stretch
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = (cos * x - sin * y).astype(np.float32), (sin * x + cos * y).astype(np.float32)
    ends = np.cumsum(lengths)
    return tuple(
        Stroke(x[end - length : end], y[end - length : end])
        for end, length in zip(ends, lengths, strict=True)
    )
