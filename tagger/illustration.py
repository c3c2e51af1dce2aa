"""One forward pass: pictures in, tag probabilities, embeddings and feature maps out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger import images
from tagger.bundles import Bundle, InputSpec
from tagger.errors import BundleError
from tagger.tags import TagList

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Bounds the memory of one pass; on a CPU, larger batches are no faster.
BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about N pictures.

    Attributes
    ----------
    probabilities : float32, shape [N, T], 0..1
        Calibrated probability of every tag, each by itself.
    embedding : float32, shape [N, D], or None
        Of length one; None if the model has none.
    features : float32, shape [N, C, h, w], or None
        Feature maps; None if the model has none or they were not asked for.
    """

    probabilities: Floats
    embedding: Floats | None = None
    features: Floats | None = None


class IllustrationTagger:
    """A model in memory, warmed up. One object serves any number of threads.

    Parameters
    ----------
    bundle : Bundle
        What to load.
    threads : int
        Threads within one operator.
    batch_size : int
        Pictures in one pass at most.

    Attributes
    ----------
    load_seconds, warm_up_seconds : float
        How long the session took to open, and its first answer.

    Raises
    ------
    BundleError
        If the model cannot be opened, or does not answer with probabilities.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, batch_size: int = BATCH_SIZE) -> None:
        if batch_size < 1:
            raise ValueError("batch_size must be at least 1")
        self.bundle = bundle
        self._batch_size = min(batch_size, bundle.fixed_batch or batch_size)
        start = time.perf_counter()
        self._session = bundle.open_session(threads)
        self.load_seconds = time.perf_counter() - start
        start = time.perf_counter()
        # The first pass allocates; it also shows a model that loads but does not keep the form.
        grey = np.full((bundle.config.input.size, bundle.config.input.size, 3), 127, np.uint8)
        self.predict([grey], features=True)
        self.warm_up_seconds = time.perf_counter() - start

    @property
    def size(self) -> int:
        """Side of the square picture that the model sees, in pixels."""
        return self.bundle.config.input.size

    @property
    def tags(self) -> TagList:
        """T tags, in the order of the probabilities."""
        return self.bundle.tags

    @property
    def ready(self) -> bool:
        """True: the constructor has seen an answer."""
        return True

    def predict(self, rgbs: Sequence[Pixels], *, features: bool = False) -> Prediction:
        """Tag pictures.

        Parameters
        ----------
        rgbs : sequence of uint8 arrays, shape [h, w, 3]
            RGB pictures of any size, upright, without transparency.
        features : bool
            Return the feature maps, too; they are large.

        Raises
        ------
        BundleError
            If the model fails or does not answer with one probability a tag.
        """
        names = self.bundle.output_names
        wanted = [names.probabilities]
        wanted += [names.embedding] if names.embedding else []
        wanted += [names.features] if names.features and features else []
        # An empty list still asks once, for the shapes, and drops the answer.
        chunks = [
            self._run(list(rgbs[start : start + self._batch_size]), wanted)
            for start in range(0, len(rgbs), self._batch_size)
        ] or [[output[:0] for output in self._run([_BLANK], wanted)]]
        outputs = {
            name: np.concatenate(parts) for name, *parts in zip(wanted, *chunks, strict=True)
        }
        embedding = outputs.get(names.embedding) if names.embedding else None
        return Prediction(
            probabilities=outputs[names.probabilities],
            embedding=None if embedding is None else _unit(embedding),
            features=outputs.get(names.features) if names.features else None,
        )

    def _run(self, rgbs: list[Pixels], wanted: list[str]) -> list[Floats]:
        count = len(rgbs)
        if self.bundle.fixed_batch:
            rgbs = rgbs + [_BLANK] * (self.bundle.fixed_batch - count)
        feed = adapt(images.to_model_input(rgbs, self.size), self.bundle.config.input)
        try:
            outputs = self._session.run(wanted, {self.bundle.input_name: feed})
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise BundleError("model-failed") from error
        outputs = [np.asarray(output, np.float32)[:count] for output in outputs]
        probabilities = outputs[0]
        good = probabilities.shape == (count, len(self.tags)) and bool(
            # NaN fails both comparisons.
            np.all((probabilities >= -1e-4) & (probabilities <= 1 + 1e-4))
        )
        if not good:
            raise BundleError("model-not-probabilities")
        outputs[0] = np.clip(probabilities, 0.0, 1.0)
        return outputs


_BLANK: Pixels = np.full((1, 1, 3), 255, np.uint8)


def adapt(batch: Floats, spec: InputSpec) -> Floats:
    """Turn the house's tensor, ``[N, S, S, 3]`` BGR 0..255, into the one that a model takes."""
    if spec.color == "RGB":
        batch = batch[..., ::-1]
    # One multiplication and one addition do for range, mean and deviation together.
    low, high = spec.range
    deviation = np.asarray(spec.std, np.float64)
    scale = ((high - low) / 255.0 / deviation).astype(np.float32)
    shift = ((low - np.asarray(spec.mean, np.float64)) / deviation).astype(np.float32)
    if np.any(scale != 1) or np.any(shift != 0):
        batch = batch * scale + shift
    if spec.layout == "NCHW":
        batch = batch.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
