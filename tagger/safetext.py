"""Text from outside in places where it could do more than be read."""

from __future__ import annotations

import re
import unicodedata

_FORMULA_STARTS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
# What some system takes for something else within a file's name.
_UNSAFE = re.compile(r'[\\/:*?"<>|]+')
_MAX_STEM = 80
# Classes of characters that reorder what is shown after them.
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def csv_text(text: str) -> str:
    """A cell that a spreadsheet takes for text and never for a formula."""
    return f"'{text}" if text[:1] in _FORMULA_STARTS else text


def is_shown(text: str) -> bool:
    """Whether every character can be seen and leaves the others in their order."""
    return not any(
        unicodedata.category(c)[0] == "C" or unicodedata.bidirectional(c) in _TURNING for c in text
    )


def file_stem(text: str) -> str:
    """A part of a file's name: no folder, nothing unseen, nothing that a system refuses.

    Empty where nothing of the text can stay.
    """
    if text.isascii() and text.isprintable():  # most are, and an archive holds thousands
        return _UNSAFE.sub("-", text).strip(" .-")[:_MAX_STEM].rstrip(" .-")
    kept = "".join(c for c in text if unicodedata.category(c)[0] not in "CZ" or c == " ")
    return _UNSAFE.sub("-", kept).strip(" .-")[:_MAX_STEM].rstrip(" .-")
