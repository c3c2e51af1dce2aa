"""A contact sheet of mistakes: what was asked, what was found, what should have been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tagger.atomic import replacing

_SIDE, _TEXT, _GAP, _COLUMNS = 96, 12, 6, 4


def draw(
    rows: NDArray[np.int64],
    pictures: NDArray[np.uint8],
    names: NDArray[np.str_],
    path: Path,
) -> None:
    """Write a PNG with a group of pictures a mistake, names below them.

    Parameters
    ----------
    rows
        int64 ``[M, 3]``: the query, the wrong answer, the right one that was nearest.
    pictures
        uint8 ``[N, S, S, 3]``.
    names
        Text of each picture, ``[N]``.
    """
    wide = 3 * _SIDE + 2 * _GAP
    lines = -(-len(rows) // _COLUMNS)
    sheet = Image.new(
        "RGB",
        (_COLUMNS * (wide + 3 * _GAP), max(1, lines) * (_SIDE + _TEXT + 2 * _GAP)),
        "#dddddd",
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for number, group in enumerate(rows.tolist()):
        left = number % _COLUMNS * (wide + 3 * _GAP) + _GAP
        top = number // _COLUMNS * (_SIDE + _TEXT + 2 * _GAP) + _GAP
        for place, row in enumerate(group):
            x = left + place * (_SIDE + _GAP)
            one = Image.fromarray(pictures[row]).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            sheet.paste(one, (x, top))
            pen.text((x, top + _SIDE), str(names[row])[:18], fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        sheet.save(file, "PNG")
