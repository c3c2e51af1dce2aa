"""What a picture of a clip art library is called, and who drew it, as people should read it.

Titles there are often those of a whole collection, and file names end in a part of the author's.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence

# Authors' and collections' marks in file names.
_MARKS = frozenset(
    (
        *("ganson", "aiga", "clipart", "oclipart", "svg", "inkscape", "by", "bwh", "rpswb", "cm"),
        *("rpg", "sp", "arki", "etiquette", "pt", "step", "elem", "elements"),
    )
)
_COLLECTION = re.compile(
    r"clipart by|various cliparts|collection|theme|iconset|aiga|road signs|sibmission|gramastar|"
    r"icons$|elements$|^etiquette",
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


def clean_titles(
    titles: Sequence[str], ids: Sequence[str], authors: Sequence[str], folders: Sequence[str]
) -> list[str]:
    """Give each picture a title: its own, one made of its file's name, or that of its folder."""
    plain = [_plain(title) for title in titles]
    shared = Counter(plain)
    found = []
    for title, id, author, folder in zip(plain, ids, authors, folders, strict=True):
        own = title
        collective = shared[title] >= _SHARED or _COLLECTION.search(title)
        if not title or collective or title.lower() == clean_author(author).lower():
            own = _from_name(id, author)
        # "hat - clothing", "tree - RPG map elements": what stands behind says where it belongs.
        own = own.partition(" - ")[0].strip()
        if not any(len(word) > 2 for word in own.split()):
            own = folder.replace("_", " ").replace("-", " ").strip()
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
    if " " not in text.strip():  # "AfricanDrum1", "Elefante01"
        text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = re.sub(r"(?<=[^\W\d])(?:#?\d+|#\d+)$|\s+0\d$", "", text.strip())
    return re.sub(r"\s+", " ", text).replace(" 's", "'s").strip(" .-")


def _from_name(id: str, author: str) -> str:
    """Words of a file's name that are not its author's; the folder of the name has to help else."""
    words = [word for word in _words(id.rpartition("/")[2]) if len(word) > 1]
    signed = {word for word in re.split(r"[^a-z0-9]+", clean_author(author).lower()) if word}
    words = [word for word in words if word not in signed and word not in _MARKS]
    # Names are cut off at a length: from the end, what begins as one of the author's names does.
    while words and any(name.startswith(words[-1]) for name in signed):
        words.pop()
    return " ".join(words)


def _words(name: str) -> list[str]:
    """Words of a file name, in lower case, without numbers: ``MapPin02`` -> map, pin."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^a-zà-ÿ]+", name.lower()) if word]
