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
