"""Strokes in, words out: one forward pass of a recogniser of drawings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.errors import BundleError, TaggerError
from tagger.sketch_bundle import HEAD_FILE, SketchBundle
from tagger.strokes import Stroke, Strokes, rasterise_many
from tagger.words import WordList

Floats = npt.NDArray[np.float32]

# Bounds the memory of one pass; on a CPU, larger batches are no faster.
BATCH_SIZE = 32

# How far rows may be from adding up to one, and the model from its own last layer.
_TOLERANCE = 1e-2

_DOT: Strokes = (Stroke(np.zeros(1, np.float32), np.zeros(1, np.float32)),)
_HOUSE: Strokes = (
    Stroke(
        np.array([0, 4, 4, 0, 0, 2, 4], np.float32), np.array([3, 3, 7, 7, 3, 0, 3], np.float32)
    ),
)


@dataclass(frozen=True, slots=True)
class SketchPrediction:
    """What the model says about N drawings.

    Attributes
    ----------
    probabilities : float32, shape [N, W]
        Calibrated; each row adds up to one.
    embedding : float32, shape [N, D]
        Of length one.
    """

    probabilities: Floats
    embedding: Floats


class SketchRecogniser:
    """A model in memory, warmed up. One object serves any number of threads.

    Parameters
    ----------
    bundle : SketchBundle
        What to load.
    threads : int
        Threads within one operator. The model is so small that one is enough: drawings of several
        people are better worked on side by side.

    Raises
    ------
    BundleError
        If the model cannot be opened, or does not answer as its bundle says.
    """

    def __init__(self, bundle: SketchBundle, threads: int = 1) -> None:
        self.bundle = bundle
        self._dimension = bundle.dimension or 0
        # The last layer that stands in for the model's own, where there is one.
        self._head = bundle.head if bundle.config.refitted else None
        self._session = bundle.open_session(threads)
        start = time.perf_counter()
        # The first pass allocates; it also shows a model that loads but does not keep the form.
        try:
            first = self.predict([_HOUSE, _DOT])
        except TaggerError as error:
            if error.code == "drawing-failed":
                raise BundleError("model-unreadable", file="model.onnx") from error
            raise
        self._dimension = first.embedding.shape[1]
        if bundle.head is not None and not bundle.config.refitted:
            again = bundle.head.probabilities(first.embedding)
            if not np.allclose(again, first.probabilities, atol=_TOLERANCE):
                raise _mismatch(f"{HEAD_FILE} is not the last layer of this model")
        self.warm_up_seconds = time.perf_counter() - start

    @property
    def words(self) -> WordList:
        """W words, in the order of the probabilities."""
        return self.bundle.words

    @property
    def size(self) -> int:
        """Side of the picture that the model sees, in pixels."""
        return self.bundle.config.input.size

    @property
    def dimension(self) -> int:
        """D, the length of an embedding."""
        return self._dimension

    @property
    def hash(self) -> str:
        """Of the bundle."""
        return self.bundle.hash

    @property
    def embedding_hash(self) -> str:
        """Of what makes the embeddings; see `SketchBundle`."""
        return self.bundle.embedding_hash

    @property
    def ready(self) -> bool:
        """True: the constructor has seen an answer."""
        return True

    def predict(self, drawings: Sequence[Sequence[Stroke]]) -> SketchPrediction:
        """Recognise drawings.

        Parameters
        ----------
        drawings : sequence of Strokes
            Each of at least one stroke.

        Raises
        ------
        BundleError
            If the model fails or does not answer with probabilities.
        """
        batch = self.bundle.fixed_batch or BATCH_SIZE
        parts = [self._run(drawings[i : i + batch]) for i in range(0, len(drawings), batch)]
        if not parts:
            return SketchPrediction(
                np.empty((0, len(self.words)), np.float32),
                np.empty((0, self._dimension), np.float32),
            )
        probabilities, embedding = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        return SketchPrediction(probabilities, embedding)

    def _run(self, drawings: Sequence[Sequence[Stroke]]) -> tuple[Floats, Floats]:
        count = len(drawings)
        if self.bundle.fixed_batch:
            drawings = [*drawings, *[_DOT] * (self.bundle.fixed_batch - count)]
        raster = self.bundle.config.input.raster
        pictures = rasterise_many(
            drawings, self.size, width=raster.width, margin=raster.margin, order=raster.order
        )
        names = ["embedding"] if self._head else ["embedding", "probabilities"]
        try:
            outputs = self._session.run(names, {self.bundle.input_name: pictures})
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise BundleError("drawing-failed") from error
        embedding, *said = (np.asarray(output, np.float32)[:count] for output in outputs)
        shape = (count, self._dimension or embedding.shape[-1])
        if embedding.shape != shape or not np.isfinite(embedding).all():
            raise _mismatch("the model's embeddings are not what its files say")
        length = np.linalg.norm(embedding, axis=1, keepdims=True)
        embedding = embedding / np.maximum(length, np.float32(1e-12))
        probabilities = self._head.probabilities(embedding) if self._head else said[0]
        if probabilities.shape != (count, len(self.words)) or not _are_shares(probabilities):
            raise _mismatch("the model's answers are not probabilities that add up to one")
        probabilities = np.clip(probabilities, 0.0, 1.0)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return probabilities, embedding


def _are_shares(rows: Floats) -> bool:
    # NaN fails all comparisons.
    total = rows.sum(axis=1)
    return bool((rows >= -1e-4).all() and (np.abs(total - 1.0) <= _TOLERANCE).all())


def _mismatch(reason: str) -> BundleError:
    return BundleError("bundle-mismatch", reason=reason)
