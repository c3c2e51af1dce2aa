"""Services that compare, on a small gallery of the toy's colours, and people who vote there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tagger import bundles
from tagger.comparing import CompareServices
from tagger.preference import Ranker
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import galleries, toy

VISITOR = "visitor-0123456789"
OTHER = "another-0123456789"
DIMENSION = 8 + len(toy.TAGS)

Brief = dict[str, Any]


def write_ranker(path: Path, bundle: Path, *, name: str = "cheerfulness", **more: Any) -> Path:
    """Write a ranker for the toy's model: red is cheerful, blue is not."""
    weights = np.zeros(DIMENSION, np.float32)
    weights[8 + toy.NAMES.index("red")], weights[8 + toy.NAMES.index("blue")] = 2, -2
    given = {"name": name, "model": bundles.load(bundle).hash, "weights": weights, **more}
    Ranker(**given).save(path)
    return path


def make_services(bundle: Path, folder: Path, **settings: Any) -> Services:
    """Services that can be voted on at once.

    Parameters
    ----------
    bundle : Path
        The toy's model.
    folder : Path
        Takes a ranker, the collection and, unless ``gallery`` is given, a gallery of 60 pictures.
    **settings
        Of `Settings`; ``gallery="none"`` for none, ``ranker="none"`` for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if "gallery" not in settings:
        made = folder / "gallery"
        settings["gallery"] = str(
            made if made.exists() else galleries.make_gallery(made, bundle, 60)
        )
    if "ranker" not in settings:
        settings["ranker"] = str(write_ranker(folder / "ranker.json", bundle))
    given = {"threads": 1, "live_rate": 1000, "data_dir": folder / "data", **settings}
    services = build_services(Settings(bundle=str(bundle), **given))
    assert services.compare is not None
    services.compare.settle()
    return services


def compare_of(services: Services) -> CompareServices:
    """What compares; it is always there."""
    assert services.compare is not None
    return services.compare


def redness(brief: Brief) -> float:
    """How much red there is in one of the gallery's pictures."""
    red, green, blue = galleries.colour(brief["number"])
    return red - (green + blue) / 2


@dataclass
class Person:
    """Somebody who answers what is asked, three pairs ahead as the page does.

    Parameters
    ----------
    compare : CompareServices
        Whom they vote at.
    visitor : str
        Who they are.
    likes : callable
        From what is shown of a picture to how much they like it.
    """

    compare: CompareServices
    visitor: str = VISITOR
    likes: Callable[[Brief], float] = redness
    pairs: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def choice(self, pair: dict[str, Any]) -> str:
        """What they answer."""
        left, right = self.likes(pair["left"]), self.likes(pair["right"])
        return "tie" if left == right else "left" if left > right else "right"

    def vote(self, count: int = 1, choice: str | None = None, **more: Any) -> dict[str, Any]:
        """Answer so many pairs; the last answer of the server."""
        answer: dict[str, Any] = {}
        for _ in range(count):
            if not self.pairs:
                self.pairs = self.compare.next_pairs(self.visitor, 3)["pairs"]
            pair = self.pairs.pop(0)
            answer = self.compare.vote(
                self.visitor,
                {
                    **numbers(pair),
                    "choice": choice or self.choice(pair),
                    "pending": [list(numbers(other).values()) for other in self.pairs],
                    "next": 1,
                    **more,
                },
            )
            self.ids.append(answer["id"])
            self.pairs += answer["pairs"]
        return answer

    def order(self) -> list[int]:
        """The gallery's pictures, best first."""
        found = self.compare.order(self.visitor, limit=200)
        return [picture["number"] for picture in found["pictures"]]


def scores(compare: CompareServices, visitor: str = VISITOR) -> np.ndarray:
    """Of the gallery's pictures by somebody's taste, in the order of their numbers."""
    found = compare.order(visitor, limit=200)["pictures"]
    return np.array([p["score"] for p in sorted(found, key=lambda p: p["number"])])


def check_same(left: np.ndarray, right: np.ndarray) -> None:
    """Scores of one taste, learnt in two ways: alike up to where the steps end."""
    np.testing.assert_allclose(left, right, atol=2e-4)


def numbers(pair: dict[str, Any]) -> dict[str, Any]:
    """A pair as it is sent back."""
    left, right = pair["left"]["number"], pair["right"]["number"]
    return {"left": left, "right": right, "kind": pair["kind"]}
