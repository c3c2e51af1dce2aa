"""A model bundle: a folder with a model, its tags and what is known about them.

Three forms are read: ours (``config.json`` with a task), a plain WD folder (``model.onnx`` and
``selected_tags.csv``) and the multi-label form of deepghs (``preprocess.json``, channels first).
All end in the same :class:`Bundle`, so that nothing behind it asks where a model came from.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

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
    optional_output,
    parse_hub_ref,
    read_json,
    read_model_header,
    read_object,
    read_text,
)
from tagger.errors import BundleError
from tagger.onnxfile import FLOAT, OnnxHeader, TensorInfo
from tagger.tags import TagList, read_tags

if TYPE_CHECKING:
    import onnxruntime

__all__ = [
    "Bundle",
    "BundleConfig",
    "InputSpec",
    "ModelFacts",
    "OutputNames",
    "OutputSpec",
    "bundle_hash",
    "load",
    "parse_hub_ref",
]

TASK = "illustration-tagging"

TAGS_FILE = "selected_tags.csv"
PREPROCESS_FILE = "preprocess.json"
CATEGORIES_FILE = "categories.json"
THRESHOLDS_FILE = "thresholds.csv"
HUB_FILES = (
    MODEL_FILE,
    TAGS_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    PREPROCESS_FILE,
    CATEGORIES_FILE,
    THRESHOLDS_FILE,
)

# Names under which published models give their sigmoid outputs.
_PROBABILITY_NAMES = ("probabilities", "prediction", "predictions_sigmoid", "predictions")


class InputSpec(FrozenModel):
    """What the model's one input takes.

    Attributes
    ----------
    name : str
        Of the graph's input; empty for the only one.
    size : int
        Side S of the square picture, in pixels.
    layout : {"NHWC", "NCHW"}
        Order of the axes.
    color : {"BGR", "RGB"}
        Order of the channels.
    range : (float, float)
        What black and white become before `mean` and `std` are applied.
    mean, std : (float, float, float)
        Subtracted and divided by, per channel in the order of `color`.
    pad_color : int
        Grey level of the margin that makes a picture square; 255 is white.
    """

    name: str = ""
    size: int = Field(ge=8, le=4096)
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    color: Literal["BGR", "RGB"] = "BGR"
    range: tuple[float, float] = (0.0, 255.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad_color: int = Field(default=255, ge=0, le=255)


class BundleConfig(FrozenModel):
    """``config.json``: who a model is and how to speak to it."""

    format_version: int = 1
    task: str = TASK
    name: str = Field(min_length=1, max_length=200)
    version: str = ""
    licence: str = ""
    author: str = ""
    input: InputSpec
    outputs: tuple[OutputSpec, ...] = ()
    tags: int | None = None
    training_data: tuple[Any, ...] = ()
    default_top: int = Field(default=10, ge=1, le=100)


@dataclass(frozen=True, slots=True)
class OutputNames:
    """Which output of the graph is what; None where the model has none such."""

    probabilities: str
    embedding: str | None = None
    features: str | None = None


@dataclass(frozen=True)
class Bundle:
    """A checked model folder.

    Attributes
    ----------
    path : Path
        The folder.
    config : BundleConfig
        Read from ``config.json``, or worked out for other people's forms.
    tags : TagList
        T tags, in the order of the outputs.
    metrics : mapping
        ``metrics.json``; empty if there is none.
    hash : str
        First 16 hexadecimal digits of the SHA-256 over model and tag list: what is derived from a
        model carries it.
    input_name : str
        Of the graph.
    output_names : OutputNames
        Of the graph.
    fixed_batch : int or None
        The only batch size the graph takes, if it takes but one.
    """

    path: Path
    config: BundleConfig
    tags: TagList
    metrics: Mapping[str, Any]
    hash: str
    input_name: str
    output_names: OutputNames
    fixed_batch: int | None = None

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.path / MODEL_FILE

    @property
    def tags_path(self) -> Path:
        """The tag list."""
        return self.path / TAGS_FILE

    def open_session(self, threads: int) -> onnxruntime.InferenceSession:
        """Open the model on the CPU.

        Parameters
        ----------
        threads : int
            Threads within one operator. More than the process may use makes it slower, so take
            the count of usable cores, not of the machine's.

        Raises
        ------
        BundleError
            If ONNX Runtime does not take the model.
        """
        return open_session(self.model_path, threads)


def load(ref: str | Path, *, download: Callable[[str, str | None], Path] | None = None) -> Bundle:
    """Read and check a bundle.

    Parameters
    ----------
    ref : str or Path
        A folder, or ``hf:owner/name@revision`` on the Hugging Face Hub. Name a commit or a tag as
        revision: a branch may change under you.
    download : callable, optional
        Fetches ``(owner/name, revision)`` into a folder; by default from the Hub, whose library is
        imported only here.

    Raises
    ------
    BundleError
        If something is missing, torn or of another kind; the message says what.
    """
    return _load_folder(*locate(ref, HUB_FILES, download))


def _load_folder(folder: Path, name: str, version: str) -> Bundle:
    for required in (MODEL_FILE, TAGS_FILE):
        if not (folder / required).is_file():
            raise BundleError("bundle-file-missing", file=required)
    header = read_model_header(folder / MODEL_FILE)
    config = _read_config(folder, header, name, version)
    tags = _read_tag_list(folder)
    info = _check_input(header, config)
    return Bundle(
        path=folder,
        config=config,
        tags=tags,
        metrics=MappingProxyType(read_object(folder / METRICS_FILE, missing={})),
        hash=bundle_hash(folder),
        input_name=info.name,
        output_names=_check_outputs(header, config, tags),
        fixed_batch=info.shape[0],
    )


def bundle_hash(folder: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 over ``model.onnx`` and ``selected_tags.csv``."""
    return hash_files(folder, (MODEL_FILE, TAGS_FILE))


# --- the model file -----------------------------------------------------------------------------


def _check_input(header: OnnxHeader, config: BundleConfig) -> TensorInfo:
    spec = config.input
    named = [info for info in header.inputs if info.name == spec.name or not spec.name]
    if len(header.inputs) != 1 or not named:
        raise mismatch("the model must have one input, named as the configuration says")
    info = named[0]
    if info.element != FLOAT or len(info.shape) != 4:
        raise mismatch("the model's input must be float32 with four axes")
    side, channels = spec.size, 3
    wanted = (side, side, channels) if spec.layout == "NHWC" else (channels, side, side)
    if any(have not in (None, want) for have, want in zip(info.shape[1:], wanted, strict=True)):
        raise mismatch(f"the model's input is not {spec.layout} of {side} pixels")
    return info


def _check_outputs(header: OnnxHeader, config: BundleConfig, tags: TagList) -> OutputNames:
    outputs = {info.name: info for info in header.outputs}
    for spec in config.outputs:
        if spec.name not in outputs:
            raise mismatch(f"the model has no output {spec.name!r}")
    if config.tags not in (None, len(tags)):
        raise mismatch(f"{config.tags} tags are announced, {len(tags)} listed")
    probabilities = next(
        (name for name in _PROBABILITY_NAMES if name in outputs), header.outputs[0].name
    )
    shape = outputs[probabilities].shape
    if len(shape) != 2 or shape[1] not in (None, len(tags)):
        raise mismatch(f"{len(tags)} tags are listed, but the model does not give as many")
    return OutputNames(
        probabilities,
        optional_output(outputs, "embedding", 2),
        optional_output(outputs, "features", 4),
    )


# --- what is written beside it ------------------------------------------------------------------


def _read_config(folder: Path, header: OnnxHeader, name: str, version: str) -> BundleConfig:
    data = read_object(folder / CONFIG_FILE, missing={})
    if "task" in data:
        if data["task"] != TASK:
            raise BundleError("bundle-wrong-task", file=CONFIG_FILE)
        try:
            config = BundleConfig.model_validate(data)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise BundleError("bundle-file-invalid", file=CONFIG_FILE, reason=where) from error
        if config.format_version > FORMAT_VERSION:
            raise BundleError("bundle-too-new", file=CONFIG_FILE)
        return config
    # Any other config.json is timm's, which says nothing about the exported graph.
    if (folder / PREPROCESS_FILE).is_file():
        spec = _input_from_stages(read_object(folder / PREPROCESS_FILE))
    else:
        spec = _input_from_header(header)
    return BundleConfig(name=name, version=version, input=spec)


def _input_from_header(header: OnnxHeader) -> InputSpec:
    """The WD form: the input's own shape says the size."""
    shape = header.inputs[0].shape if header.inputs else ()
    if len(shape) == 4 and shape[3] == 3 and shape[1] is not None and shape[1] == shape[2]:
        return InputSpec(size=shape[1])
    raise mismatch("without config.json, the model's input must be [N, S, S, 3]")


def _input_from_stages(data: Mapping[str, Any]) -> InputSpec:
    """The deepghs form: a list of steps, of which those are taken that mean our letterbox.

    A picture padded to a white square, resized, made a tensor in 0..1 and normalised. The padding
    at another size before the resize is one interpolation more in the original; here the picture
    is scaled once.
    """
    stages = data.get("test", data.get("stages"))
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise _stages_error("no list of steps")
    size: int | None = None
    padded = False
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    for stage in stages:
        kind = stage.get("type")
        if kind == "pad_to_size":
            if not _is_white(stage.get("background_color", "white")):
                raise _stages_error("the padding is not white")
            size, padded = _side(stage.get("size")), True
        elif kind == "resize" and padded:
            size = _side(stage.get("size"))
        elif kind == "center_crop" and _side(stage.get("size")) == size:
            continue
        elif kind == "normalize":
            mean, std = _triple(stage.get("mean")), _triple(stage.get("std"))
        elif kind not in ("convert_rgb", "to_tensor", "maybe_to_tensor"):
            raise _stages_error(f"no step {str(kind)[:40]!r} is known here")
    if size is None or not padded or min(std) <= 0:
        raise _stages_error("no padding to a square")
    return InputSpec(size=size, layout="NCHW", color="RGB", range=(0.0, 1.0), mean=mean, std=std)


def _is_white(color: Any) -> bool:
    return color in ("white", 255) or (isinstance(color, list) and set(color) == {255})


def _side(size: Any) -> int:
    if isinstance(size, list) and size and all(value == size[0] for value in size):
        size = size[0]
    if isinstance(size, int) and 8 <= size <= 4096:
        return size
    raise _stages_error("a size is not that of a square")


def _triple(values: Any) -> tuple[float, float, float]:
    if isinstance(values, list) and len(values) in (1, 3):
        numbers = [v for v in values * (3 // len(values)) if isinstance(v, int | float)]
        if len(numbers) == 3:
            return float(numbers[0]), float(numbers[1]), float(numbers[2])
    raise _stages_error("mean and std must be three numbers")


def _stages_error(reason: str) -> BundleError:
    return BundleError("bundle-file-invalid", file=PREPROCESS_FILE, reason=reason)


def _read_tag_list(folder: Path) -> TagList:
    """Read the tags, with what the deepghs form keeps of them in files of their own."""
    tags = read_tags(folder / TAGS_FILE)
    names: dict[int, str] = {}
    if (folder / CATEGORIES_FILE).is_file():
        entries = read_json(folder / CATEGORIES_FILE)
        if not isinstance(entries, list):
            raise BundleError("bundle-file-invalid", file=CATEGORIES_FILE, reason="not a list")
        for entry in entries:
            if isinstance(entry, dict) and isinstance(entry.get("category"), int):
                names[entry["category"]] = str(entry.get("name", ""))[:40]
    thresholds: dict[int, float] = {}
    if (folder / THRESHOLDS_FILE).is_file():
        for row in csv.DictReader(io.StringIO(read_text(folder / THRESHOLDS_FILE), newline="")):
            try:
                category, value = int(row["category"]), float(row["threshold"])
            except (KeyError, TypeError, ValueError):
                continue
            if 0.0 <= value <= 1.0:
                thresholds.setdefault(category, value)
    if not names and not thresholds:
        return tags
    return TagList(
        dataclasses.replace(
            tag,
            group=names.get(tag.category) or tag.group,
            threshold=thresholds.get(tag.category) if tag.threshold is None else tag.threshold,
        )
        for tag in tags
    )
