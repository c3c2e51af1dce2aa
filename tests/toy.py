"""A bundle made in milliseconds that keeps the contract of the real one.

Its model knows colours: the nearer a picture's mean colour is to a tag's, the more probable the
tag. What it answers can therefore be worked out by hand, which :func:`reference` does.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32
HEADER = "tag_id,name,category,count,group,name_ja,best_threshold,precision,recall,support,aliases"

# name, colour (RGB 0..255), group, Japanese name, aliases. Some names are traps for readers.
TAGS: list[tuple[str, tuple[int, int, int], str, str, str]] = [
    ("red", (255, 0, 0), "color", "赤", "scarlet|crimson"),
    ("green", (0, 255, 0), "color", "緑", ""),
    ("blue", (0, 0, 255), "color", "青", "azure"),
    ("yellow", (255, 255, 0), "color", "黄", ""),
    ("magenta", (255, 0, 255), "color", "マゼンタ", ""),
    ("cyan", (0, 255, 255), "color", "シアン", ""),
    ("white_background", (255, 255, 255), "style", "白背景", "white_ground"),
    ("black_background", (0, 0, 0), "style", "黒背景", ""),
    ("grey", (128, 128, 128), "color", "灰色", "gray"),
    ("orange", (255, 128, 0), "color", "オレンジ", ""),
    ("blue_sky", (128, 200, 255), "nature", "青空", ""),
    ("grass", (80, 160, 60), "nature", "草", ""),
    ("cat", (150, 100, 60), "animal", "猫", "kitty"),
    ("dog", (170, 130, 90), "animal", "犬", ""),
    ("tanuki_(raccoon_dog)", (90, 70, 50), "animal", "たぬき", ""),
    ("^_^", (250, 220, 180), "face", "", "happy_face"),
    ("nan", (200, 170, 120), "food", "ナン", "naan"),
    ("null", (20, 20, 60), "symbol", "", ""),
    ('say_"hi"', (230, 230, 120), "symbol", "", ""),
    ("salt,_pepper", (60, 60, 60), "food", "塩と胡椒", ""),
    ("apple", (200, 30, 40), "food", "りんご", ""),
    ("sea", (20, 80, 160), "nature", "海", "ocean"),
    ("rose", (220, 60, 110), "plant", "薔薇", ""),
    ("t-shirt", (240, 240, 250), "clothing", "Tシャツ", "tee_shirt"),
]
NAMES = [tag[0] for tag in TAGS]
CERTAIN, STEEPNESS = 3.0, 12.0


def reference(rgb: np.ndarray) -> list[float]:
    """The model's answer for a square uint8 RGB picture of SIZE pixels, by plain loops."""
    mean = [sum(int(p) for p in rgb[..., c].flat) / rgb[..., c].size / 255 for c in range(3)]
    answer = []
    for _, colour, *_ in TAGS:
        distance = sum((m - c / 255) ** 2 for m, c in zip(mean, colour, strict=True))
        answer.append(1 / (1 + math.exp(STEEPNESS * distance - CERTAIN)))
    return answer


def toy_model(
    size: int = SIZE, *, layout: str = "NHWC", batch: int | str = "N", wd: bool = False
) -> onnx.ModelProto:
    """The model as ONNX; `wd` for one output only, ``NCHW`` for RGB 0..1 and named logits."""
    bgr = layout == "NHWC"
    colours = np.array([tag[1] for tag in TAGS], np.float32) / 255
    colours = colours[:, ::-1] if bgr else colours
    constants = {
        "colours": colours[None].copy(),
        "scale": np.float32([255.0 if bgr else 1.0]),
        "steepness": np.float32([-STEEPNESS]),
        "certain": np.float32([CERTAIN]),
        "mixing": np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32),
        "middle": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "plane": np.array([2, 3], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Transpose", ["input"], ["chw"], perm=[0, 3, 1, 2])
        if bgr
        else node("Identity", ["input"], ["chw"]),
        node("Div", ["chw", "scale"], ["unit"]),
        node("ReduceMean", ["unit", "plane"], ["mean"], keepdims=0),
        node("Unsqueeze", ["mean", "middle"], ["row"]),
        node("Sub", ["row", "colours"], ["difference"]),
        node("Mul", ["difference", "difference"], ["square"]),
        node("ReduceSum", ["square", "last"], ["distance"], keepdims=0),
        node("Mul", ["distance", "steepness"], ["steep"]),
        node("Add", ["steep", "certain"], ["logits"]),
        node("Sigmoid", ["logits"], ["probabilities" if bgr else "prediction"]),
        node("MatMul", ["mean", "mixing"], ["mixed"]),
        node("LpNormalization", ["mixed"], ["embedding"], axis=1, p=2),
        node(
            "AveragePool",
            ["unit"],
            ["features"],
            kernel_shape=[size // 4] * 2,
            strides=[size // 4] * 2,
        ),
    ]
    floats = TensorProto.FLOAT
    shape = [batch, size, size, 3] if bgr else [batch, 3, size, size]
    outputs = {
        "probabilities": [batch, len(TAGS)],
        "embedding": [batch, 8],
        "features": [batch, 3, 4, 4],
    }
    if not bgr:  # in the order of the deepghs form
        outputs = {
            "embedding": [batch, 8],
            "logits": [batch, len(TAGS)],
            "prediction": [batch, len(TAGS)],
        }
    elif wd:
        outputs = {"probabilities": [batch, len(TAGS)]}
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("input", floats, shape)],
        [helper.make_tensor_value_info(n, floats, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def write_tags(path: Path, *, wd: bool = False) -> None:
    """Write the tag list, with the four columns of the WD form only if `wd`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        columns = HEADER.split(",")
        writer.writerow(columns[:4] if wd else columns)
        for i, (name, _, group, name_ja, aliases) in enumerate(TAGS):
            row = [i, name, 0, 1000 - i, group, name_ja, 0.5, 0.8, 0.7, 40 + i, aliases]
            writer.writerow(row[:4] if wd else row)


def config(**changes: object) -> dict[str, object]:
    """The toy's ``config.json``."""
    return {
        "format_version": 1,
        "task": "illustration-tagging",
        "name": "toy",
        "version": "1.0",
        "licence": "Apache-2.0",
        "author": "the tests",
        "input": {
            "name": "input",
            "size": SIZE,
            "layout": "NHWC",
            "color": "BGR",
            "range": [0, 255],
            "pad_color": 255,
        },
        "outputs": [
            {"name": "probabilities", "shape": ["N", len(TAGS)], "meaning": "probability a tag"},
            {"name": "embedding", "shape": ["N", 8], "meaning": "of length one"},
            {"name": "features", "shape": ["N", 3, 4, 4], "meaning": "mean colours"},
        ],
        "tags": len(TAGS),
        "training_data": [{"name": "none", "licence": "CC0-1.0"}],
        "default_top": 10,
        **changes,
    }


def make_bundle(folder: Path) -> Path:
    """Write the toy in the house's form."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(toy_model(), folder / "model.onnx")
    write_tags(folder / "selected_tags.csv")
    (folder / "config.json").write_text(json.dumps(config()), encoding="utf-8")
    metrics = {"split": "test", "command": "none", "map": 0.5}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "README.md").write_text("# Toy\n", encoding="utf-8")
    return folder


def make_wd_bundle(folder: Path) -> Path:
    """Write the toy as a plain WD folder: two files, one output."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(toy_model(wd=True), folder / "model.onnx")
    write_tags(folder / "selected_tags.csv", wd=True)
    return folder


def make_deepghs_bundle(folder: Path) -> Path:
    """Write the toy in the multi-label form of deepghs."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(toy_model(layout="NCHW"), folder / "model.onnx")
    write_tags(folder / "selected_tags.csv", wd=True)
    stages = [
        {
            "type": "pad_to_size",
            "size": [SIZE + 8, SIZE + 8],
            "background_color": "white",
            "interpolation": "bilinear",
        },
        {"type": "resize", "size": SIZE, "interpolation": "bicubic", "antialias": True},
        {"type": "center_crop", "size": [SIZE, SIZE]},
        {"type": "maybe_to_tensor"},
        {"type": "normalize", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
    ]
    (folder / "preprocess.json").write_text(json.dumps({"test": stages, "val": stages}))
    (folder / "categories.json").write_text('[{"category": 0, "name": "everything"}]')
    (folder / "thresholds.csv").write_text("category,name,threshold\n0,everything,0.4\n0,x,0.9\n")
    return folder


# --- a recogniser of drawings -------------------------------------------------------------------
# It knows directions: a line along one is the more of its word the more of its ink lies so.

SKETCH_SIZE = 16
SKETCH_WORDS = [
    ("level", "横線", "word"),
    ("upright", "縦線", "word"),
    ("top left", "左上", "word"),
    ("the corner", "角", "word"),
    ("0", "数字の0", "digit"),
]
SKETCH_DIMENSION = 8


def sketch_weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the toy sees: from pixels ``[S*S]`` to ``[8]``, and its last layer."""
    y, x = np.mgrid[0:SKETCH_SIZE, 0:SKETCH_SIZE] / (SKETCH_SIZE - 1) - 0.5
    middle_y, middle_x = np.exp(-((6 * y) ** 2)), np.exp(-((6 * x) ** 2))
    seen = [middle_y, middle_x, (x < 0) * (y < 0), (x > 0) * (y > 0), x * x + y * y, x, y, x * y]
    eyes = np.stack([np.asarray(part, np.float64).ravel() for part in seen], axis=1)
    weights = 6 * np.eye(len(SKETCH_WORDS), SKETCH_DIMENSION)
    bias = np.linspace(0.2, -0.2, len(SKETCH_WORDS))
    return eyes.astype(np.float32), weights.astype(np.float32), bias.astype(np.float32)


def sketch_model(
    *, batch: int | str = "N", order: bool = False, softmax: bool = True, words: int | None = None
) -> onnx.ModelProto:
    """The toy recogniser as ONNX; without `softmax` its answers are no probabilities."""
    eyes, weights, bias = sketch_weights()
    planes, side = 1 + order, SKETCH_SIZE
    eyes = np.concatenate([eyes] + [np.zeros_like(eyes)] * order)
    words = len(SKETCH_WORDS) if words is None else words
    constants = {
        "eyes": eyes,
        "weights": weights.T[:, :words].copy(),
        "bias": bias[:words],
        "flat": np.array([-1, planes * side * side], np.int64),
        "little": np.float32([1e-3]),
    }
    node = helper.make_node
    nodes = [
        node("Reshape", ["input", "flat"], ["pixels"]),
        node("MatMul", ["pixels", "eyes"], ["seen"]),
        node("Add", ["seen", "little"], ["more"]),
        node("LpNormalization", ["more"], ["embedding"], axis=1, p=2),
        node("MatMul", ["embedding", "weights"], ["product"]),
        node("Add", ["product", "bias"], ["logits"]),
        node("Softmax" if softmax else "Identity", ["logits"], ["probabilities"]),
    ]
    if softmax:
        nodes[-1].attribute.append(helper.make_attribute("axis", 1))
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "toy-sketch",
        [helper.make_tensor_value_info("input", floats, [batch, planes, side, side])],
        [
            helper.make_tensor_value_info("probabilities", floats, [batch, words]),
            helper.make_tensor_value_info("embedding", floats, [batch, SKETCH_DIMENSION]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def sketch_config(**changes: object) -> dict[str, object]:
    """The toy recogniser's ``config.json``."""
    return {
        "format_version": 1,
        "task": "sketch-recognition",
        "name": "toy-sketch",
        "version": "1.0",
        "licence": "Apache-2.0",
        "author": "the tests",
        "input": {
            "name": "input",
            "size": SKETCH_SIZE,
            "layout": "NCHW",
            "range": [0, 1],
            "raster": {"width": 1.5, "margin": 1.0},
        },
        "outputs": [{"name": "probabilities"}, {"name": "embedding"}],
        "words": len(SKETCH_WORDS),
        "memory": {"scale": 60.0, "bias": -55.0, "shots": 4.0, "sharpness": 5.0, "familiar": 0.0},
        "training_data": [{"name": "none", "licence": "CC0-1.0"}],
        **changes,
    }


def make_sketch_bundle(folder: Path, **changes: object) -> Path:
    """Write the toy recogniser; `changes` are of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(sketch_model(), folder / "model.onnx")
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "word", "name_ja", "kind"])
        writer.writerows([i, *row] for i, row in enumerate(SKETCH_WORDS))
    (folder / "config.json").write_text(json.dumps(sketch_config(**changes)), encoding="utf-8")
    metrics = {"split": "test", "command": "none", "top_1": 1.0}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "README.md").write_text("# Toy\n", encoding="utf-8")
    _, weights, bias = sketch_weights()
    np.savez(folder / "head.npz", weights=weights, bias=bias)
    return folder
