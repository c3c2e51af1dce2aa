"""Put an embedding head into the exported file of a tagger, or see whether one is there.

The head is a branch from the output ``features`` to the output ``embedding``; nothing else of the
graph is touched, so probabilities and heat maps stay what they are, to the bit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tagger.atomic import replacing
from tagger.training.embedding.head import ROOT_FLOOR, EmbeddingHead

# Every name that the head brings begins so; by it a head is found again.
_MARK = "embedding_head."


def attach(source: Path, head: EmbeddingHead, target: Path) -> None:
    """Write the model with this head as its output ``embedding``, in place of what was there.

    Raises
    ------
    ValueError
        If the model gives no features ``[N, C, h, w]`` of the width that the head takes.
    """
    model = onnx.load(source)
    _check(model, head)
    _replace(model, *_nodes(head))
    _write(model, head.shape["dimension"], target)


def transplant(source: Path, target: Path) -> None:
    """Give the model at ``target`` the head that the one at ``source`` has."""
    model, donor = onnx.load(target), onnx.load(source)
    nodes = [n for n in donor.graph.node if n.name.startswith(_MARK)]
    values = [t for t in donor.graph.initializer if t.name.startswith(_MARK)]
    if not nodes:
        raise ValueError(f"{source} has no trained embedding")
    width = next(o for o in donor.graph.output if o.name == "embedding")
    _replace(model, nodes, values)
    _write(model, width.type.tensor_type.shape.dim[1].dim_value, target)


def has_head(path: Path) -> bool:
    """Whether the embedding of a model comes from a head that was trained for it."""
    return any(node.name.startswith(_MARK) for node in onnx.load(path).graph.node)


def network_mark(path: Path) -> str:
    """Name the network of a model by its weights, whatever its embedding is made by."""
    graph = onnx.load(path).graph
    _, tensors = _without_embedding(graph)
    digest = hashlib.sha256()
    for tensor in sorted(tensors, key=lambda t: t.name):
        digest.update(tensor.name.encode() + numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()[:16]


def features_agree(first: Path, second: Path, pictures: NDArray[np.uint8]) -> bool:
    """Whether two models see the same in pictures uint8 ``[N, S, S, 3]``, but for rounding."""
    import onnxruntime as ort

    x = np.ascontiguousarray(pictures[..., ::-1]).astype(np.float32)
    found = []
    for path in (first, second):
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        if entry.shape[1:] != list(x.shape[1:]):
            return False
        found.append(session.run(["features"], {entry.name: x})[0])
    a, b = found
    return a.shape == b.shape and bool(np.abs(a - b).max() <= 0.01 * np.abs(a).max())


def _check(model: ModelProto, head: EmbeddingHead) -> None:
    outputs = {o.name: o for o in model.graph.output}
    if "features" not in outputs or "embedding" not in outputs:
        raise ValueError("the model needs the outputs features and embedding")
    dims = [d.dim_value for d in outputs["features"].type.tensor_type.shape.dim[1:]]
    places = head.shape["places"]
    if dims[0] != head.shape["channels"] or (places > 1 and dims[1] * dims[2] != places):
        raise ValueError(f"the head does not fit features of {dims}")


def _nodes(head: EmbeddingHead) -> tuple[list[NodeProto], list[TensorProto]]:
    nodes, values = [], []

    def add(kind: str, inputs: list[str], output: str, **settings: Any) -> str:
        name = output if output == "embedding" else _MARK + output
        made = helper.make_node(kind, inputs, [name], name=_MARK + output, **settings)
        nodes.append(made)
        return name

    def keep(name: str, value: NDArray[np.float32]) -> str:
        values.append(numpy_helper.from_array(value, _MARK + name))
        return _MARK + name

    at = "features"
    if head.shape["places"] == 1:
        at = add("GlobalAveragePool", [at], "pooled")
    at = add("Flatten", [at], "flat", axis=1)
    if head.shape["root"]:
        at = add("Relu", [at], "positive")
        at = add("Add", [at, keep("floor", np.array([ROOT_FLOOR], np.float32))], "floored")
        at = add("Sqrt", [at], "root")
    for number, (weight, bias) in enumerate(head.layers()):
        if number:
            at = add("Relu", [at], f"hidden_{number}")
        given = [keep(f"weight_{number}", weight.numpy()), keep(f"bias_{number}", bias.numpy())]
        at = add("Gemm", [at, *given], f"layer_{number}", transB=1)
    add("LpNormalization", [at], "embedding", axis=1, p=2)
    return nodes, values


def _replace(model: ModelProto, nodes: list[NodeProto], values: list[TensorProto]) -> None:
    """Let ``nodes`` make the output ``embedding``; what only the former one needed goes."""
    graph = model.graph
    kept, tensors = _without_embedding(graph)
    shapes = [v for v in graph.value_info if any(v.name in n.output for n in kept)]
    for field, content in (
        (graph.node, [*kept, *nodes]),
        (graph.initializer, [*tensors, *values]),
        (graph.value_info, shapes),
    ):
        del field[:]  # type: ignore[attr-defined]
        field.extend(content)  # type: ignore[attr-defined]


def _without_embedding(graph: GraphProto) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes and tensors that the other outputs need."""
    others = [n for n in graph.node if "embedding" not in n.output]
    if any("embedding" in n.input for n in others):
        raise ValueError("other parts of the model rest on its embedding")
    needed = {o.name for o in graph.output if o.name != "embedding"}
    kept = []
    for node in reversed(others):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1], [t for t in graph.initializer if t.name in needed]


def _write(model: ModelProto, dimension: int, target: Path) -> None:
    output = next(o for o in model.graph.output if o.name == "embedding")
    axis = output.type.tensor_type.shape.dim[1]
    axis.Clear()
    axis.dim_value = dimension
    onnx.checker.check_model(model, full_check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as file:
        file.write(model.SerializeToString())
