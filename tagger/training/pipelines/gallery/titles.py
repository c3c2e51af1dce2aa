"""What a picture of a clip art library is called, and who drew it, as people should read it.

Titles there are often those of a whole collection, and file names end in a part of the author's.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence

# Authors' marks in file names that are no part of their names.
_MARKS = frozenset({"ganson", "aiga", "clipart", "oclipart", "svg", "r", "inkscape"})
_COLLECTION = re.compile(
    r"clipart by|various cliparts|collection|theme|iconset|aiga|road signs|sibmission|gramastar",
    re.IGNORECASE,
)
# A title that this many pictures share is none of theirs.
_SHARED = 8
_ADDRESS = re.compile(r"[(\[<]?\s*\S+@\S+?\s*[)\]>]?(?=\s|$)|https?://\S+")
_COLOURS = frozenset(
    (
        *("red", "green", "blue", "yellow", "orange", "purple", "black", "white", "grey", "gray"),
        *("brown", "pink", "bw", "color", "colour", "dark", "light", "gold", "silver"),
    )
)


def clean_titles(titles: Sequence[str], ids: Sequence[str], authors: Sequence[str]) -> list[str]:
    """Give each picture a title: its own, or one made of its file's name."""
    plain = [_plain(title) for title in titles]
    shared = Counter(plain)
    found = []
    for title, id, author in zip(plain, ids, authors, strict=True):
        own = title
        if not title or shared[title] >= _SHARED or _COLLECTION.search(title):
            own = _from_name(id, author) or title
        # "hat - clothing", "tree - RPG map elements": what stands behind says where it belongs.
        own = own.partition(" - ")[0].strip()
        found.append(own[:1].upper() + own[1:])
    return found


def clean_author(author: str) -> str:
    """A name without addresses; empty if there is nothing else."""
    text = _ADDRESS.sub(" ", html.unescape(html.unescape(author or "")))
    return re.sub(r"\s+", " ", text).strip(" ,;()[]")


def series(id: str) -> str:
    """What file names have in common that differ by numbers, colours or single letters only."""
    folder, _, name = id.rpartition("/")
    words = [word for word in _words(name) if len(word) > 1 and word not in _COLOURS]
    return f"{folder}/{' '.join(words) or 'one'}"


def _plain(title: str) -> str:
    text = html.unescape(html.unescape(title or "")).replace("_", " ")
    return re.sub(r"\s+", " ", text).strip(" .")


def _from_name(id: str, author: str) -> str:
    words = _words(id.rpartition("/")[2])
    signed = [word for word in re.split(r"[^a-z0-9]+", clean_author(author).lower()) if word]
    # From the end, as long as a word begins as one of the author's names does.
    while len(words) > 1 and any(name.startswith(words[-1]) for name in (*signed, *_MARKS)):
        words.pop()
    return " ".join(word for word in words if word not in _MARKS)


def _words(name: str) -> list[str]:
    """Words of a file name, in lower case, without numbers: ``MapPin02`` -> map, pin."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^a-zà-ÿ]+", name.lower()) if word]
