"""Drawings to keep, and strategies for any drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tagger.collection import Drawing, NewDrawing, NewVote, own_id
from tagger.strokes import Strokes, dump, parse

CAT = parse([[[0, 100, 50.25], [0, 10, 80], [0, 20, 45]], [[10, 20], [5, 5], [100, 130]]])
DOG = parse([[[0, 30], [0, 70]], [[5], [5]]])


def scribble(seed: int, points: int = 60) -> Strokes:
    """Lines that no other seed gives."""
    rng = np.random.default_rng(seed)
    way = np.cumsum(rng.normal(size=(2, points)), 1).round(2)
    return parse([[*way.tolist(), list(range(0, 8 * points, 8))]])


def new(label: str = "cat", strokes: Strokes = CAT, **more: Any) -> NewDrawing:
    """A drawing that its contributor lets others have."""
    return NewDrawing(label, strokes, **({"consent": True} | more))


def vote(left: str = "a.png", right: str = "b.png", choice: Any = "left", **more: Any) -> NewVote:
    """A vote that its contributor lets others have."""
    return NewVote(left, right, choice, **({"consent": True} | more))


def description(seed: int) -> bytes:
    """Of a picture in no gallery: one that no other seed gives."""
    return np.random.default_rng(seed).normal(size=24).astype("<f2").tobytes()


def own_vote(seed: int, right: str = "b.png", **more: Any) -> NewVote:
    """A vote on a picture of the voter's own, on the left."""
    held = description(seed)
    return vote(own_id(held), right, own={own_id(held): held}, **more)


def facts(drawing: Drawing) -> dict[str, Any]:
    """All of a drawing in a form that can be compared."""
    names = [*Drawing.__slots__, "recognized"]
    return {name: getattr(drawing, name) for name in names} | {"strokes": dump(drawing.strokes)}


_COORDINATES = st.floats(-10_000, 10_000, width=32)


@st.composite
def _stroke(draw: st.DrawFn) -> list[list[float]]:
    count = draw(st.integers(1, 6))
    axis = st.lists(_COORDINATES, min_size=count, max_size=count)
    times = st.lists(st.integers(0, 1_000_000), min_size=count, max_size=count).map(sorted)
    pressures = st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count)
    form = draw(st.sampled_from(["plain", "timed", "pressed", "both"]))
    axes = [draw(axis), draw(axis)]
    if form != "plain":
        axes.append(draw(times) if form in ("timed", "both") else [])
    if form in ("pressed", "both"):
        axes.append(draw(pressures))
    return axes


#: Any drawing, in the precision in which drawings are kept.
STROKES = st.lists(_stroke(), min_size=1, max_size=3).map(lambda data: parse(dump(parse(data))))
#: Any label in the form in which labels are kept.
LABELS = st.from_regex(r"[A-Za-zぁ-ん漢é!'-]{1,12}( [a-z0-9]{1,8})?", fullmatch=True)
