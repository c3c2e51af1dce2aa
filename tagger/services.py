"""The composition root: everything that a door needs, built once from settings.

The page, the REST API and the command line call these functions and nothing below them, so that
limits, bounds and errors are the same behind every door.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagger import bundles, images
from tagger.bundles import BundleConfig, ModelFacts
from tagger.comparing import CompareServices, build_compare
from tagger.drawing import DrawServices, build_draw
from tagger.errors import ImageError, TaggerError
from tagger.exploring import ExploreServices, build_explore
from tagger.illustration import IllustrationTagger, Prediction
from tagger.images import Picture
from tagger.settings import Settings
from tagger.tags import RankedTag, TagList, rank

Source = bytes | bytearray | Path | BinaryIO | Image.Image

_log = logging.getLogger(__name__)

# Pictures in one pass of a run over many.
_BATCH = 4


class Tagger(Protocol):
    """What the services need of a model; tests put their own in."""

    @property
    def size(self) -> int:
        """Side of the square picture that the model sees, in pixels."""

    @property
    def tags(self) -> TagList:
        """The tags, in the order of the probabilities."""

    @property
    def ready(self) -> bool:
        """Whether the model has answered its warm-up."""

    def predict(
        self, rgbs: Sequence[npt.NDArray[np.uint8]], *, features: bool = False
    ) -> Prediction:
        """Tag pictures; see :meth:`tagger.illustration.IllustrationTagger.predict`."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a file turned out to be.

    Attributes
    ----------
    width, height : int
        Upright, in pixels, as stored in the file.
    format : str
        ``"PNG"``, ``"JPEG"``...
    had_alpha : bool
        Whether it had transparency, which was put on white.
    frames : int
        1, or more for an animation, of which the first was read.
    notes : tuple of str
        Codes of what was done to it: ``first-frame``, ``rotated``, ``reduced``...
    """

    width: int
    height: int
    format: str
    had_alpha: bool
    frames: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, picture: Picture) -> PictureFacts:
        """The facts of a picture, without its pixels."""
        return cls(
            picture.width,
            picture.height,
            picture.format,
            picture.had_alpha,
            picture.frames,
            tuple(picture.notes),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "width": self.width,
            "height": self.height,
            "format": self.format,
            "had_alpha": self.had_alpha,
            "frames": self.frames,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class TagResult:
    """What is said about one picture.

    Attributes
    ----------
    tags : tuple of RankedTag
        Most probable first.
    picture : PictureFacts
        About the file.
    model : ModelFacts
        Which model answered.
    seconds : float
        Time in the model: the picture's share of its pass, without reading and waiting.
    probabilities : float32, shape [T]
        For all tags, so that another cut needs no second pass.
    embedding : float32, shape [D], or None
        Of length one.
    """

    tags: tuple[RankedTag, ...]
    picture: PictureFacts
    model: ModelFacts
    seconds: float
    probabilities: npt.NDArray[np.float32] = field(repr=False, compare=False)
    embedding: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form, the same in the REST API and in the command line's files."""
        return {
            "tags": [entry.to_dict(lang) for entry in self.tags],
            "picture": self.picture.to_dict(),
            "model": self.model.to_dict(),
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """One of several pictures: its result, or why there is none."""

    name: str
    result: TagResult | None = None
    error: TaggerError | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Which tags of a picture to return; the arguments of :func:`tagger.tags.rank`."""

    top: int | None = 10
    min_probability: float | None = None
    groups: Collection[str] | None = None


@dataclass(frozen=True, eq=False)
class Services:
    """A model and the bounds under which it works.

    Parameters
    ----------
    settings : Settings
        Limits and threads.
    tagger : Tagger
        The model.
    config : BundleConfig
        Who the model is.
    hash : str
        Of the bundle.
    metrics : mapping
        The bundle's figures.
    draw : DrawServices or None
        What recognises and collects drawings; None where there is no recogniser.
    explore : ExploreServices or None
        What explores a gallery; None where there is none.
    compare : CompareServices or None
        What compares pictures and learns tastes.
    """

    settings: Settings
    tagger: Tagger
    config: BundleConfig
    hash: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    draw: DrawServices | None = None
    explore: ExploreServices | None = None
    compare: CompareServices | None = None
    # Reading and tagging have a bound each, shared by all doors: pictures are read while the
    # model works on others, and neither can take more memory than its places allow.
    _readers: ThreadPoolExecutor = field(init=False, repr=False)
    _model: threading.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = self.settings.concurrency
        object.__setattr__(self, "_readers", ThreadPoolExecutor(places, "picture-reader"))
        object.__setattr__(self, "_model", threading.Semaphore(places))

    @property
    def ready(self) -> bool:
        """Whether the model has answered its warm-up."""
        return self.tagger.ready

    @property
    def model(self) -> ModelFacts:
        """Name, version and hash of the model."""
        return ModelFacts(self.config.name, self.config.version, self.hash)

    def tag(
        self,
        source: Source,
        *,
        top: int | None = 10,
        min_probability: float | None = None,
        groups: Collection[str] | None = None,
    ) -> TagResult:
        """Tag one picture. May be called from any thread; waits for its turn at the model.

        Parameters
        ----------
        source : bytes, Path, binary file or PIL image
            Checked against the limits of the settings.
        top, min_probability, groups
            See :func:`tagger.tags.rank`.

        Raises
        ------
        TaggerError
            With a message for the person who gave the picture.
        """
        cut = Cut(top, min_probability, groups)
        picture = self._readers.submit(self._read, source).result()
        return self._tag_pictures([picture], cut)[0]

    def tag_many(
        self,
        sources: Iterable[tuple[str, Source]],
        *,
        top: int | None = 10,
        min_probability: float | None = None,
        groups: Collection[str] | None = None,
    ) -> Iterator[Outcome]:
        """Tag any number of pictures, in order; a bad one is reported and does not stop the rest.

        Reading goes on while the model works. Only a window of pictures is held at a time, so
        `sources` may be endless.

        Parameters
        ----------
        sources : iterable of (name, source)
            The name comes back with the outcome. A source as in :meth:`tag`.
        """
        cut = Cut(top, min_probability, groups)
        waiting: deque[tuple[str, Future[Picture]]] = deque()
        remaining = iter(sources)
        try:
            while True:
                window = _BATCH + 2 * self.settings.concurrency
                for name, source in islice(remaining, window - len(waiting)):
                    waiting.append((name, self._readers.submit(self._read, source)))
                if not waiting:
                    return
                batch = [waiting.popleft() for _ in range(min(_BATCH, len(waiting)))]
                yield from self._tag_batch(batch, cut)
        finally:
            for _, future in waiting:
                future.cancel()

    def preview(self, source: Source, *, side: int = 640) -> npt.NDArray[np.uint8]:
        """Make a picture small and plain, for those who cannot show its file.

        It is read under the same limits and by the same few threads as those that are tagged.

        Parameters
        ----------
        source : bytes, Path, binary file or PIL image
            As in :meth:`tag`.
        side : int
            Longest side of the result, in pixels; a smaller picture keeps its size.

        Returns
        -------
        ndarray
            uint8 ``[h, w, 3]``: RGB, upright, on white.

        Raises
        ------
        TaggerError
            With a message for the person who gave the picture.
        """
        return self._readers.submit(self._make_preview, source, side).result()

    def _make_preview(self, source: Source, side: int) -> npt.NDArray[np.uint8]:
        image = Image.fromarray(self._read(source, side).rgb)
        image.thumbnail((side, side))
        return np.asarray(image)

    def close(self) -> None:
        """Stop the reading threads when what they have begun is done; keep what was learnt."""
        if self.explore is not None:
            self.explore.close()
        if self.compare is not None:
            self.compare.close()
        self._readers.shutdown(wait=True, cancel_futures=True)
        if self.draw is not None:
            self.draw.close()

    def _tag_batch(self, batch: list[tuple[str, Future[Picture]]], cut: Cut) -> list[Outcome]:
        outcomes: list[Outcome | None] = []
        pictures: list[Picture] = []
        for name, future in batch:
            try:
                pictures.append(future.result())
                outcomes.append(None)
            except TaggerError as error:
                outcomes.append(Outcome(name, error=error))
        try:
            results = iter([Outcome("", r) for r in self._tag_pictures(pictures, cut)])
        except TaggerError as error:
            results = iter([Outcome("", error=error)] * len(pictures))
        return [
            outcome or dataclasses.replace(next(results), name=name)
            for outcome, (name, _) in zip(outcomes, batch, strict=True)
        ]

    def _read(self, source: Source, target: int | None = None) -> Picture:
        """Read for the model, or for a square of `target` pixels."""
        target = target or self.tagger.size
        try:
            return images.read(source, limits=self.settings.image_limits, target=target)
        except TaggerError:
            raise
        except Exception as error:
            # A decoder met something that its author did not foresee. One picture fails, with
            # the cause in the log, never the run.
            _log.exception("unforeseen error while reading a picture")
            raise ImageError("image-unreadable") from error

    def _tag_pictures(self, pictures: list[Picture], cut: Cut) -> list[TagResult]:
        if not pictures:
            return []
        with self._model:
            start = time.perf_counter()
            prediction = self.tagger.predict([picture.rgb for picture in pictures])
            seconds = (time.perf_counter() - start) / len(pictures)
        results = []
        for i, picture in enumerate(pictures):
            probabilities = prediction.probabilities[i]
            ranked = rank(probabilities, self.tagger.tags, cut.top, cut.min_probability, cut.groups)
            embedding = None if prediction.embedding is None else prediction.embedding[i]
            facts = PictureFacts.of(picture)
            results.append(
                TagResult(tuple(ranked), facts, self.model, seconds, probabilities, embedding)
            )
        return results


def build_services(settings: Settings) -> Services:
    """Load the models that the settings name and put them behind the services.

    Raises
    ------
    TaggerError
        If a bundle is missing or broken, or the collection of drawings cannot be opened.
    """
    bundle = bundles.load(settings.bundle)
    tagger = IllustrationTagger(bundle, settings.threads)
    draw = build_draw(settings)

    def look(source: Source) -> TagResult:
        return services.tag(source)

    def look_at_all(sources: Iterable[tuple[str, Source]]) -> Iterator[Outcome]:
        return services.tag_many(sources)

    model = ModelFacts(bundle.config.name, bundle.config.version, bundle.hash)
    explore = build_explore(settings, look, tagger.tags, model, draw)
    compare = build_compare(settings, look_at_all, tagger.tags, model, explore, draw)
    services = Services(
        settings, tagger, bundle.config, bundle.hash, bundle.metrics, draw, explore, compare
    )
    return services
