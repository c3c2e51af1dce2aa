"""Which pictures are worth showing: pure functions of what is known about the candidates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.training.pipelines.gallery.titles import series

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_BLOCK = 512


def within(category: Sequence[str], folders: Sequence[str]) -> str | None:
    """The first of some folders that a category path lies in; None if it does in none."""
    path = "/".join(category) + "/"
    return next((folder for folder in folders if path.startswith(folder + "/")), None)


def shown_category(category: Sequence[str], names: Mapping[str, str]) -> str:
    """What a category path is shown as: by the longest of the folders that it lies in."""
    found = [folder for folder in names if within(category, [folder])]
    if found:
        return names[max(found, key=len)]
    return category[0] if category else ""


def blank(rgb: Pixels, ink: float, contrast: float) -> bool:
    """Whether hardly anything is on a picture: uint8 [h, w, 3], on white."""
    values = rgb.astype(np.float32) / 255
    marked = (values < 0.94).any(axis=-1)
    return bool(marked.mean() < ink or values.std() < contrast)


def twins(
    small: Floats,
    embeddings: Floats,
    order: Sequence[int],
    *,
    same_pixels: float,
    same_cosine: float,
    alike_pixels: float,
) -> dict[int, int]:
    """Find pictures that repeat one that comes before them.

    Parameters
    ----------
    small : float32, shape [N, p]
        Pixels of each at a small size, 0..1.
    embeddings : float32, shape [N, D]
        Of length one.
    order : sequence of int
        All numbers, the best first: it is the later that goes.
    same_pixels, alike_pixels : float
        Mean differences, 0..1, up to which pictures are the same, or the same if the model finds
        them so, too.
    same_cosine : float
        From where on it does.

    Returns
    -------
    dict
        Those that go, and what each repeats.
    """
    kept: list[int] = []
    gone: dict[int, int] = {}
    for number in order:
        if kept:
            others = np.array(kept)
            differences = np.abs(small[others] - small[number]).mean(axis=1)
            cosines = embeddings[others] @ embeddings[number]
            same = (differences < same_pixels) | (
                (cosines > same_cosine) & (differences < alike_pixels)
            )
            if same.any():
                gone[number] = int(others[same][differences[same].argmin()])
                continue
        kept.append(number)
    return gone


def balanced(
    ids: Sequence[str],
    categories: Sequence[Sequence[str]],
    scores: Sequence[float],
    settings: Mapping[str, Any],
) -> list[int]:
    """Choose pictures in turn from all folders, the best of each first.

    Parameters
    ----------
    ids, categories, scores
        Name, category path and worth of each candidate.
    settings
        ``count``, ``series``, ``folder``, ``few`` and ``few_of`` of the parameters.

    Returns
    -------
    list of int
        Numbers, ascending; fewer than `count` where the bounds leave fewer.
    """
    folders: dict[str, list[int]] = defaultdict(list)
    for number, category in enumerate(categories):
        folders["/".join(category[:2])].append(number)
    for numbers in folders.values():
        numbers.sort(key=lambda number: (-scores[number], ids[number]))
    most = {
        name: settings["few"] if within(name.split("/"), settings["few_of"]) else settings["folder"]
        for name in folders
    }
    chosen: list[int] = []
    of_series: Counter[str] = Counter()
    of_folder: Counter[str] = Counter()
    while len(chosen) < settings["count"]:
        before = len(chosen)
        for name in sorted(folders):
            waiting = folders[name]
            while waiting and of_folder[name] < most[name]:
                number = waiting.pop(0)
                key = series(ids[number])
                if of_series[key] < settings["series"]:
                    of_series[key] += 1
                    of_folder[name] += 1
                    chosen.append(number)
                    break
            if len(chosen) == settings["count"]:
                break
        if len(chosen) == before:
            break
    return sorted(chosen)
