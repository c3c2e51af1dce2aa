"""From a trained network to the files of a bundle."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tagger.atomic import replacing
from tagger.taglist import BuiltTag
from tagger.training.calibration import Calibration, OperatingPoint
from tagger.training.network import ExportedTagger, TagNetwork

OUTPUTS = ("probabilities", "embedding", "features")
# Initialisers smaller than this stay float32: they are biases and scales, and save nothing.
_SMALL = 1024


def wrap(network: TagNetwork, calibration: Calibration, mirrored: bool) -> ExportedTagger:
    """The network behind the bundle's contract."""
    slope, offset = (torch.from_numpy(v) for v in (calibration.slope, calibration.offset))
    return ExportedTagger(network.eval(), slope, offset, mirrored).eval()


def to_onnx(wrapped: ExportedTagger, size: int, path: Path) -> None:
    """Write the float32 model with the bundle's contract; the batch is dynamic."""
    module_to_onnx(wrapped, torch.randint(0, 255, (2, size, size, 3)).float(), OUTPUTS, path)


def module_to_onnx(
    module: torch.nn.Module, example: torch.Tensor, outputs: Sequence[str], path: Path
) -> None:
    """Write a module of one input, named ``input``, whose first axis is dynamic, in float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(
        module.eval(),
        (example,),
        input_names=["input"],
        output_names=list(outputs),
        dynamic_shapes={"pictures": {0: torch.export.Dim("batch", min=1, max=4096)}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.optimize()
    model = program.model_proto
    # Names of source files and lines help nobody who runs the model.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    _write(path, model.SerializeToString())


def halve(source: Path, target: Path) -> None:
    """Store large weights as float16 behind a cast, so that arithmetic stays float32.

    Runtimes fold the casts when they load the model; only the file gets smaller.
    """
    model = onnx.load(source)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _SMALL:
            continue
        half = numpy_helper.from_array(
            numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_half"
        )
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        tensor.CopyFrom(half)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model, full_check=True)
    _write(target, model.SerializeToString())


def make_planes_optional(path: Path) -> None:
    """Let a model whose input is ``[N, P, S, S]`` take fewer planes, at least one; others are 0.

    So who knows nothing of the further planes gives the first one alone.
    """
    model = onnx.load(path)
    graph = model.graph
    entry = graph.input[0]
    axis = entry.type.tensor_type.shape.dim[1]
    planes = axis.dim_value
    axis.Clear()
    axis.dim_param = "planes"
    for node in graph.node:
        node.input[:] = ["every_plane" if name == entry.name else name for name in node.input]
    zero, one, every = ("planes_from", "planes_first", "planes_all")
    for name, value in ((zero, 0), (one, 1), (every, planes)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    before = [
        helper.make_node("Slice", [entry.name, zero, one, one], ["first_plane"]),
        helper.make_node("Sub", ["first_plane", "first_plane"], ["empty_plane"]),
        helper.make_node(
            "Concat", [entry.name, *["empty_plane"] * (planes - 1)], ["enough_planes"], axis=1
        ),
        helper.make_node("Slice", ["enough_planes", zero, every, one], ["every_plane"]),
    ]
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*before, *nodes])
    onnx.checker.check_model(model, full_check=True)
    _write(path, model.SerializeToString())


def largest_difference(
    wrapped: ExportedTagger,
    model: Path,
    pictures: NDArray[np.uint8],
) -> dict[str, float]:
    """Largest absolute difference of each output, torch against ONNX Runtime.

    Parameters
    ----------
    pictures
        uint8 ``[N, S, S, 3]`` RGB, as serving makes them.
    """
    import onnxruntime as ort

    x = np.ascontiguousarray(pictures[..., ::-1]).astype(np.float32)
    with torch.inference_mode():
        expected = [t.numpy() for t in wrapped(torch.from_numpy(x))]
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    got = session.run(list(OUTPUTS), {"input": x})
    return {
        name: float(np.abs(a - b).max()) for name, a, b in zip(OUTPUTS, expected, got, strict=True)
    }


def write_tags(path: Path, tags: Sequence[BuiltTag], points: Sequence[OperatingPoint]) -> None:
    """Write ``selected_tags.csv``: the columns of the WD taggers first, then ours."""
    lines = [
        "tag_id,name,category,count,group,name_ja,best_threshold,precision,recall,support,aliases"
    ]
    buffer = _Rows()
    writer = csv.writer(buffer, lineterminator="\n")
    for i, (tag, point) in enumerate(zip(tags, points, strict=True)):
        writer.writerow(
            [
                i,
                tag.name,
                0,
                tag.pictures,
                tag.group,
                tag.name_ja,
                point.threshold,
                "" if point.precision is None else point.precision,
                "" if point.recall is None else point.recall,
                point.support,
                "|".join(a.replace("|", " ") for a in tag.aliases),
            ]
        )
    _write(path, ("\n".join(lines) + "\n" + "".join(buffer.rows)).encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON that a person can read, atomically."""
    _write(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_text(path: Path, text: str) -> None:
    """Write text, atomically."""
    _write(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes, atomically."""
    _write(path, data)


class _Rows:
    """A file for :mod:`csv` that keeps what is written."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def write(self, text: str) -> int:
        self.rows.append(text)
        return len(text)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
