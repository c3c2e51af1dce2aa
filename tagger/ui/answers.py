"""What the Tag tab is told about a picture, as plain data in the reader's language.

Pure functions: results and errors of the services go in, JSON goes out. All four text formats
travel with the answer, so that choosing another needs neither inference nor request.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagger.errors import TaggerError
from tagger.languages import Language
from tagger.services import PictureFacts, TagResult
from tagger.tags import DEFAULT_THRESHOLD, RankedTag, format_tags
from tagger.ui.translations import NOTES, group_label

STYLES = ("text", "danbooru", "hashtags", "json")
# Formats that every browser of today shows by itself; of others it is sent a small picture.
SHOWN_BY_BROWSERS = frozenset({"PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP"})
PREVIEW_SIDE = 640
ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
# As their makers write them, where Pillow's names differ.
FORMAT_NAMES = {"WEBP": "WebP"}
# Errors that the same request may outlive.
PASSING_ERRORS = frozenset({"busy", "too-fast", "store-busy", "out-of-memory", "internal"})


def tag_entry(ranked: RankedTag, lang: Language) -> dict[str, Any]:
    """One row of the ranking, with the evidence behind its cut-off (None where unknown)."""
    tag = ranked.tag
    return {
        **ranked.to_dict(lang),
        "group_label": group_label(tag.group, lang),
        "threshold": DEFAULT_THRESHOLD if tag.threshold is None else tag.threshold,
        "precision": tag.precision,
        "recall": tag.recall,
        "support": tag.support,
    }


def facts(picture: PictureFacts) -> list[str]:
    """Size in pixels and format of the file."""
    name = FORMAT_NAMES.get(picture.format, picture.format)
    return [f"{picture.width} × {picture.height}", name]


def notes(picture: PictureFacts, lang: Language) -> list[str]:
    """What was done to the picture, where a person would want to know it.

    That a large one was reduced is left out: the model sees all of them small.
    """
    # The frames of files that do not move are pages, or pictures beside each other.
    frames = "first-frame" if picture.format in ANIMATED else "first-page"
    codes = [frames if code == "first-frame" else code for code in picture.notes]
    if picture.had_alpha:
        codes.append("transparent")
    words = NOTES[lang]
    return [words[code].format(frames=picture.frames) for code in codes if code in words]


def answer(result: TagResult, lang: Language, preview: str | None = None) -> dict[str, Any]:
    """All that the tab shows of a result.

    Parameters
    ----------
    result : TagResult
        From the services.
    lang : {"en", "ja"}
        Of the reader.
    preview : str or None
        A ``data:`` URL, for files that browsers cannot show.
    """
    passing = [entry for entry in result.tags if entry.passes]
    return {
        "tags": [tag_entry(entry, lang) for entry in result.tags],
        "formats": {
            style: {
                "all": format_tags(result.tags, style, lang),
                "passing": format_tags(passing, style, lang) if passing else "",
            }
            for style in STYLES
        },
        "facts": facts(result.picture),
        "notes": notes(result.picture, lang),
        "model": f"{result.model.name} {result.model.version}".strip(),
        "milliseconds": max(1, round(1000 * result.seconds)),
        "preview": preview,
    }


def problem(error: TaggerError, lang: Language) -> dict[str, Any]:
    """Why there is no answer, what to do, and whether trying again may help."""
    return {"problem": error.message(lang), "again": error.code in PASSING_ERRORS}


def preview_url(rgb: npt.NDArray[np.uint8]) -> str:
    """A small picture (uint8, shape [h, w, 3]) as a ``data:`` URL that travels with an answer."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
