"""A bundle that recognises drawings: model, words, last layer, and how few drawings teach a word.

A folder of ``config.json`` (task ``sketch-recognition``), ``model.onnx``, ``labels.csv``, and, if
it can be fitted anew without its training code, ``head.npz``. Where ``config.json`` says
``refitted``, that was done: probabilities are those of ``head.npz`` over the model's embedding, and
``labels.csv`` may list more words than the model's own output has.

``frozen.npz`` holds what candidates for its place are judged by: drawings that no run learns from,
as this model embeds them. ``weights.npz`` is for training alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from tagger.bundlefiles import (
    CONFIG_FILE,
    FORMAT_VERSION,
    METRICS_FILE,
    MODEL_FILE,
    FrozenModel,
    ModelFacts,
    OutputSpec,
    hash_files,
    locate,
    mismatch,
    open_session,
    read_arrays,
    read_model_header,
    read_object,
    read_text,
)
from tagger.errors import BundleError
from tagger.fewshot import MemorySpec
from tagger.head import Head
from tagger.onnxfile import FLOAT, OnnxHeader, TensorInfo
from tagger.strokes import MARGIN, WIDTH
from tagger.words import WordList, WordsFormatError, parse_words

if TYPE_CHECKING:
    import onnxruntime

TASK = "sketch-recognition"

LABELS_FILE = "labels.csv"
HEAD_FILE = "head.npz"
FROZEN_FILE = "frozen.npz"
WEIGHTS_FILE = "weights.npz"
CARD_FILE = "README.md"
FILES = (
    MODEL_FILE,
    LABELS_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    HEAD_FILE,
    FROZEN_FILE,
    WEIGHTS_FILE,
    CARD_FILE,
)

_MAX_ARRAYS_BYTES = 256 * 1024 * 1024
_MAX_DIMENSION = 65_536


class RasterSpec(FrozenModel):
    """How strokes become the picture; see `tagger.strokes.rasterise`.

    Attributes
    ----------
    width, margin : float
        Of the line and around the drawing, in pixels.
    order : bool
        Whether a second plane says when the ink came.
    """

    width: float = Field(default=WIDTH, gt=0, le=64)
    margin: float = Field(default=MARGIN, ge=0, le=64)
    order: bool = False


class SketchInput(FrozenModel):
    """What the model's one input takes: ``[N, 1 or 2, S, S]``, ink 1 on 0."""

    name: str = ""
    size: int = Field(ge=8, le=1024)
    layout: Literal["NCHW"] = "NCHW"
    range: tuple[float, float] = (0.0, 1.0)
    raster: RasterSpec = RasterSpec()


class NetworkSpec(FrozenModel):
    """How the network behind the model is built, for who trains on; serving does not need it.

    Attributes
    ----------
    channels, blocks : tuple of int
        Of each stage.
    width : int
        D, the length of an embedding.
    closer : bool
        Whether the model's embedding is the mean of the drawing's and of the same drawing's seen a
        tenth closer.
    """

    channels: tuple[int, ...] = Field(min_length=1, max_length=16)
    blocks: tuple[int, ...] = Field(min_length=1, max_length=16)
    width: int = Field(ge=1, le=_MAX_DIMENSION)
    closer: bool = False


class SketchConfig(FrozenModel):
    """``config.json``: who a recogniser is and how to speak to it."""

    format_version: int = 1
    task: str
    name: str = Field(min_length=1, max_length=200)
    version: str = ""
    licence: str = ""
    author: str = ""
    input: SketchInput
    outputs: tuple[OutputSpec, ...] = ()
    words: int | None = None
    memory: MemorySpec = MemorySpec()
    refitted: bool = False
    training_data: tuple[Any, ...] = ()
    default_top: int = Field(default=10, ge=1, le=100)
    network: NetworkSpec | None = None


@dataclass(frozen=True)
class SketchBundle:
    """A checked folder.

    Attributes
    ----------
    path : Path
        The folder.
    config : SketchConfig
        ``config.json``.
    words : WordList
        W words, in the order of the outputs.
    dimension : int or None
        D, the length of an embedding, if the model declares it.
    head : Head or None
        The last layer: probabilities are its softmax over the embedding.
    metrics : mapping
        ``metrics.json``; empty if there is none.
    hash : str
        First 16 hexadecimal digits of the SHA-256 over model and words, and the last layer where
        it was refitted: what is derived from a model carries it.
    embedding_hash : str
        Of what makes the embeddings: a refitted bundle has it in common with the one that it came
        from.
    input_name : str
        Of the graph.
    fixed_batch : int or None
        The only batch size the graph takes, if it takes but one.
    """

    path: Path
    config: SketchConfig
    words: WordList
    dimension: int | None
    head: Head | None
    hash: str
    embedding_hash: str
    input_name: str
    fixed_batch: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> ModelFacts:
        """Name, version and hash."""
        return ModelFacts(self.config.name, self.config.version, self.hash)

    @property
    def about(self) -> dict[str, Any]:
        """JSON-ready: what it was trained on, how well it does."""
        return {
            "task": self.config.task,
            "licence": self.config.licence,
            "author": self.config.author,
            "input_size": self.config.input.size,
            "training_data": list(self.config.training_data),
            "metrics": dict(self.metrics),
        }

    def open_session(self, threads: int) -> onnxruntime.InferenceSession:
        """Open the model on the CPU; see `tagger.bundlefiles.open_session`."""
        return open_session(self.path / MODEL_FILE, threads)


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """The frozen test drawings of a model.

    Attributes
    ----------
    embedding : float32, shape [N, D]
        As the model embeds them, of length one.
    labels : int64, shape [N]
        Rows of ``labels.csv``.
    """

    embedding: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @property
    def anchors(self) -> npt.NDArray[np.float32]:
        """Every other one, ``[A, D]``: where no drawings of the first training are at hand, a new
        last layer is held to what the old one says of these. Their labels are not looked at.
        """
        return self.embedding[::2]

    @property
    def judges(self) -> Frozen:
        """Those that are no anchors: they judge such a layer, and nothing ever learns from them."""
        return Frozen(self.embedding[1::2], self.labels[1::2])


def load(
    ref: str | Path, *, download: Callable[[str, str | None], Path] | None = None
) -> SketchBundle:
    """Read and check a bundle.

    Parameters
    ----------
    ref, download
        As `tagger.bundles.load` takes them.

    Raises
    ------
    BundleError
        If something is missing, torn or of another kind; the message says what.
    """
    try:
        folder, _, _ = locate(ref, FILES, download)
    except BundleError as error:
        if error.code == "bundle-not-found":
            raise BundleError("bundle-sketch-not-found", name=str(ref)) from error
        raise
    for required in (CONFIG_FILE, MODEL_FILE, LABELS_FILE):
        if not (folder / required).is_file():
            raise BundleError("bundle-file-missing", file=required)
    config = _read_config(folder)
    header = read_model_header(folder / MODEL_FILE)
    try:
        words = parse_words(read_text(folder / LABELS_FILE))
    except WordsFormatError as error:
        raise BundleError("bundle-file-invalid", file=LABELS_FILE, reason=str(error)) from error
    if config.words not in (None, len(words)):
        raise mismatch(f"{config.words} words are announced, {len(words)} listed")
    info = _check_input(header, config)
    dimension = _check_outputs(header, config, words)
    head = _read_head(folder / HEAD_FILE)
    if head is None and config.refitted:
        raise BundleError("bundle-file-missing", file=HEAD_FILE)
    if head is not None:
        rows, columns = head.weights.shape
        if rows != len(words) or dimension not in (None, columns):
            raise mismatch(f"{HEAD_FILE} is not the last layer of this model")
        dimension = columns
    return SketchBundle(
        path=folder,
        config=config,
        words=words,
        dimension=dimension,
        head=head,
        metrics=MappingProxyType(read_object(folder / METRICS_FILE, missing={})),
        hash=hash_files(folder, (MODEL_FILE, LABELS_FILE, *[HEAD_FILE] * config.refitted)),
        embedding_hash=_embedding_hash(folder, config),
        input_name=info.name,
        fixed_batch=info.shape[0],
    )


def _read_config(folder: Path) -> SketchConfig:
    data = read_object(folder / CONFIG_FILE)
    if data.get("task") != TASK:
        raise BundleError("bundle-sketch-task", file=CONFIG_FILE)
    try:
        config = SketchConfig.model_validate(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BundleError("bundle-file-invalid", file=CONFIG_FILE, reason=where) from error
    if config.format_version > FORMAT_VERSION:
        raise BundleError("bundle-too-new", file=CONFIG_FILE)
    if config.input.range != (0.0, 1.0):
        raise BundleError("bundle-file-invalid", file=CONFIG_FILE, reason="input.range")
    if 2 * config.input.raster.margin >= config.input.size:
        raise BundleError("bundle-file-invalid", file=CONFIG_FILE, reason="input.raster.margin")
    return config


def _check_input(header: OnnxHeader, config: SketchConfig) -> TensorInfo:
    spec = config.input
    named = [info for info in header.inputs if info.name == spec.name or not spec.name]
    if len(header.inputs) != 1 or not named:
        raise mismatch("the model must have one input, named as the configuration says")
    info = named[0]
    if info.element != FLOAT or len(info.shape) != 4:
        raise mismatch("the model's input must be float32 with four axes")
    wanted = (1 + spec.raster.order, spec.size, spec.size)
    if any(have not in (None, want) for have, want in zip(info.shape[1:], wanted, strict=True)):
        raise mismatch(f"the model's input is not {wanted[0]} planes of {spec.size} pixels")
    return info


def _check_outputs(header: OnnxHeader, config: SketchConfig, words: WordList) -> int | None:
    outputs = {info.name: info for info in header.outputs}
    for name in ("probabilities", "embedding", *(spec.name for spec in config.outputs)):
        if name not in outputs:
            raise mismatch(f"the model has no output {name!r}")
    for name in ("probabilities", "embedding"):
        if outputs[name].element != FLOAT or len(outputs[name].shape) != 2:
            raise mismatch(f"the model's output {name!r} must be float32 with two axes")
    columns = outputs["probabilities"].shape[1]
    if columns not in (None, len(words)) and not (config.refitted and columns < len(words)):
        raise mismatch(f"{len(words)} words are listed, but the model does not give as many")
    dimension = outputs["embedding"].shape[1]
    if dimension is not None and dimension > _MAX_DIMENSION:
        raise mismatch("the model's embedding is too long")
    return dimension


def read_frozen(bundle: SketchBundle) -> Frozen | None:
    """Read the frozen test drawings of a bundle; None if it has none.

    Raises
    ------
    BundleError
        If the file is torn, or was made with another model.
    """
    path = bundle.path / FROZEN_FILE
    if not path.is_file():
        return None
    arrays = _read_arrays(path, ("embedding", "labels", "model"), "no frozen test drawings")
    if str(arrays["model"]) != model_hash(bundle.path):
        raise mismatch(f"{FROZEN_FILE} was made with another model")
    embedding, labels = arrays["embedding"], arrays["labels"]
    good = (
        embedding.dtype.kind == "f"
        and embedding.ndim == 2
        and labels.dtype.kind in "iu"
        and labels.shape == embedding.shape[:1]
        and bundle.dimension in (None, embedding.shape[1])
        and bool(np.isfinite(embedding).all())
        and bool(((labels >= 0) & (labels < len(bundle.words))).all())
    )
    if not good:
        raise BundleError("bundle-file-invalid", file=path.name, reason="no frozen test drawings")
    # Half precision is enough to keep, but lengths are one only to three digits then.
    rows = embedding.astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return Frozen(rows, labels.astype(np.int64))


def write_frozen(
    folder: Path, embedding: npt.NDArray[Any], labels: npt.NDArray[np.integer[Any]]
) -> None:
    """Write the frozen test drawings beside the model that embedded them.

    Parameters
    ----------
    folder : Path
        Of the bundle; its ``model.onnx`` is there already.
    embedding : floating-point, shape [N, D]
        As the file's model gives it, of length one.
    labels : integers, shape [N]
        Rows of ``labels.csv``.
    """
    np.savez(
        folder / FROZEN_FILE,
        embedding=np.asarray(embedding, np.float16),
        labels=np.asarray(labels, np.int16),
        model=np.array(model_hash(folder)),
    )


def model_hash(folder: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 over ``model.onnx``."""
    return hash_files(folder, (MODEL_FILE,))


def _embedding_hash(folder: Path, config: SketchConfig) -> str:
    made = f"{model_hash(folder)} {config.input.model_dump_json()}"
    return hashlib.sha256(made.encode()).hexdigest()[:16]


def _read_head(path: Path) -> Head | None:
    if not path.is_file():
        return None
    reason = "not the weights and bias of a last layer"
    arrays = _read_arrays(path, ("weights", "bias"), reason)
    try:
        return Head(arrays["weights"], arrays["bias"])
    except ValueError as error:
        raise BundleError("bundle-file-invalid", file=path.name, reason=reason) from error


def _read_arrays(path: Path, names: tuple[str, ...], reason: str) -> dict[str, npt.NDArray[Any]]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_ARRAYS_BYTES + 1)
        if len(data) > _MAX_ARRAYS_BYTES:
            raise ValueError("too large")
        return read_arrays(data, names, _MAX_ARRAYS_BYTES)
    except (OSError, ValueError, KeyError) as error:
        raise BundleError("bundle-file-invalid", file=path.name, reason=reason) from error
