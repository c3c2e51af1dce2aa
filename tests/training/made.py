"""Small tagged pictures made on the fly: coloured circles and squares on clear ground."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

COLORS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220)}


def picture(number: int) -> tuple[bytes, list[str], str]:
    """PNG bytes, raw tags and the style of a made picture; the same for the same number."""
    rng = np.random.default_rng(number)
    color = list(COLORS)[number % 3]
    shape = ("circle", "square")[(number // 3) % 2]
    style = ("flat", "dots")[(number // 6) % 2]
    image = Image.new("RGBA", (48, 40))
    draw = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(2, 16, 2))
    side = int(rng.integers(14, 22))
    box = (x, y, x + side, y + side)
    (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=COLORS[color])
    if style == "dots":
        for px, py in rng.integers(0, 40, (40, 2)):
            draw.point((int(px), int(py)), fill=(0, 0, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue(), [color.title(), f"{shape}s", "gizmo", "12"], style


def folder(where: Path, count: int = 72) -> Path:
    """Pictures with captions beside them, as tools for data sets write them."""
    where.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data, tags, _ = picture(number)
        (where / f"{number}.png").write_bytes(data)
        (where / f"{number}.txt").write_text(", ".join(tags), encoding="utf-8")
    return where


def table(where: Path, count: int = 96) -> Path:
    """The same as a Parquet table in which every concept is drawn in two styles."""
    rows = []
    for number in range(count):
        data, tags, style = picture(number)
        concept = f"{number // 12}-{number % 6}"
        split = ("train", "train", "train", "val", "test")[(number // 12) % 5]
        rows.append(
            {
                "id": str(number),
                "concept": concept,
                "source": style,
                "title": "a made picture",
                "tags": tags,
                "category": ["made"],
                "split": split,
                "image": data,
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), where)
    return where


def styles(where: Path, concepts: int = 20) -> Path:
    """A table of things in three styles each, and as many clip-art pictures of a thing each."""
    rows = []
    for concept in range(concepts):
        split = ("train", "train", "train", "val", "test")[concept % 5]
        for number, style in enumerate(("flat", "dots", "soft", "openclipart")):
            data, tags, _ = picture(concept % 6 + 12 * (4 * concept + number))
            alone = style == "openclipart"
            rows.append(
                {
                    "id": f"{concept}-{style}",
                    "concept": f"clip-{concept}" if alone else f"thing-{concept}",
                    "source": style,
                    "tags": tags,
                    "split": split,
                    "image": data,
                }
            )
    pq.write_table(pa.Table.from_pylist(rows), where)
    return where


def sketch(word: str, rng: np.random.Generator) -> list[list[list[int]]]:
    """A made drawing in Quick, Draw!'s form: a line, box, cross, zigzag or fork, a little moved."""
    shapes = {
        "line": [[(0, 0), (255, 40)]],
        "box": [[(0, 0), (200, 0), (200, 200), (0, 200), (0, 0)]],
        "cross": [[(100, 0), (100, 255)], [(0, 120), (220, 120)]],
        "zigzag": [[(0, 0), (60, 200), (120, 0), (180, 200), (240, 0)]],
        "fork": [[(120, 0), (120, 255)], [(60, 0), (60, 90), (180, 90), (180, 0)]],
    }
    drawing = []
    for stroke in shapes[word]:
        points = np.clip(np.array(stroke) + rng.integers(-12, 13, (len(stroke), 2)), 0, 255)
        drawing.append([points[:, 0].tolist(), points[:, 1].tolist()])
    return drawing


def drawings(where: Path, digits: int = 120) -> Path:
    """A folder as the recogniser's pipeline reads it: sketches, digits, characters, a teacher."""
    where.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    words = ("box", "cross", "line", "zigzag")
    rows = [
        {"word": word, "split": split, "drawing": sketch(word, rng)}
        for word in words
        for split, count in (("train", 24), ("val", 4), ("test", 4))
        for _ in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), where / "sketches.parquet")
    images = np.zeros((digits, 28, 28), np.uint8)
    labels = np.arange(digits) % 10
    for image, label in zip(images, labels, strict=True):
        # A tally of strokes stands for a digit.
        for bar in range(int(label) % 5 + 1):
            image[6:22, 4 + 4 * bar : 6 + 4 * bar] = 255
        image[20 if label > 4 else 6, 4:24] = 255
    np.savez(where / "digits.npz", images=images, labels=labels)
    characters = []
    for number in range(22):
        angle = number * np.pi / 22
        for drawer in range(10):
            page = Image.new("L", (105, 105), 255)
            dx, dy = 40 * np.cos(angle), 40 * np.sin(angle)
            wobble = rng.integers(-2, 3)
            ImageDraw.Draw(page).line(
                (52 - dx + wobble, 52 - dy, 52 + dx, 52 + dy, 52 + dx, 20), fill=0, width=3
            )
            out = io.BytesIO()
            page.save(out, "PNG")
            characters.append(
                {
                    "alphabet": "made",
                    "character": str(number),
                    "drawer": str(drawer),
                    "image": out.getvalue(),
                }
            )
    pq.write_table(pa.Table.from_pylist(characters), where / "omniglot.parquet")
    arrays = {}
    shapes = [(1, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    for name, (before, after) in zip(
        ("conv2d", *(f"conv2d_{i}" for i in range(1, 6))), shapes, strict=True
    ):
        arrays[f"{name}.kernel"] = rng.normal(0, 0.2, (3, 3, before, after)).astype(np.float32)
        arrays[f"{name}.bias"] = np.zeros(after, np.float32)
    for name, (before, after) in (("dense", (576, 512)), ("dense_1", (512, len(words)))):
        arrays[f"{name}.kernel"] = rng.normal(0, 0.05, (before, after)).astype(np.float32)
        arrays[f"{name}.bias"] = np.zeros(after, np.float32)
    np.savez(where / "doodlenet.npz", **arrays)
    (where / "doodlenet_classes.txt").write_text("\n".join(words) + "\n", "utf-8")
    return where
