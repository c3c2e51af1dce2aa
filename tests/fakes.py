"""Stand-ins for a model, for tests of what is around it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tagger.bundles import BundleConfig, InputSpec
from tagger.illustration import Prediction
from tagger.services import Services
from tagger.settings import Settings
from tagger.tags import Tag, TagList

TAGS = TagList(Tag(i, name) for i, name in enumerate(["red", "green", "blue"]))


@dataclass
class FakeTagger:
    """Answers with the mean colour; counts, and stops where a test wants to look."""

    tags: TagList = TAGS
    size: int = 16
    ready: bool = True
    during: Callable[[], object] | None = None
    running: int = 0
    most_running: int = 0
    batches: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def predict(self, rgbs: Sequence[np.ndarray], *, features: bool = False) -> Prediction:
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.batches.append(len(rgbs))
        try:
            if self.during is not None:
                self.during()
            means = [rgb.reshape(-1, 3).mean(axis=0) / 255 for rgb in rgbs]
            return Prediction(np.array(means, np.float32).reshape(-1, 3))
        finally:
            with self.lock:
                self.running -= 1


def make_services(tagger: FakeTagger | None = None, **settings: Any) -> Services:
    """Services around a stand-in."""
    config = BundleConfig(name="fake", version="0", input=InputSpec(size=16))
    return Services(Settings(**settings), tagger or FakeTagger(), config, "f" * 16)


def picture(
    color: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (20, 12), kind: str = "PNG"
) -> bytes:
    """A file of one colour."""
    file = BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(file, kind)
    return file.getvalue()
