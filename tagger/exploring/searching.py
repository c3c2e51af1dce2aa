"""Finding pictures and tags by a few typed letters, whatever their case, accents and kana."""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

# Letters that are not a plain one with a mark, as a person types them who lacks the key.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
_PLAIN |= str.maketrans({"ı": "i"})
# Katakana to hiragana; the marks of voicing stay, for they make another word.
_KANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_VOICED = "\u3099\u309a"
_GAP = re.compile(r"[\s_\-]+")

# Stands before each text; no folded text holds it.
_START = "\n"
# Longer texts are found by their beginning.
_MAX_TEXT = 300


def fold(text: str) -> str:
    """One form for all ways to write a text.

    Width, case, accents, kana, spaces, underscores and hyphens are made equal.
    """
    text = text[:_MAX_TEXT]
    if text.isascii():  # most are, and then there is little to do
        return _GAP.sub(" ", text.lower()).strip()
    parts = unicodedata.normalize("NFKD", text).casefold()
    # Folding the case may give marks of its own.
    parts = unicodedata.normalize("NFKD", parts)
    plain = "".join(c for c in parts if c in _VOICED or not unicodedata.combining(c))
    plain = unicodedata.normalize("NFC", plain).translate(_PLAIN).translate(_KANA)
    return _GAP.sub(" ", plain).strip()


class TextIndex:
    """Texts of numbered things, all in one long text that is searched at once.

    Parameters
    ----------
    texts : iterable of sequences of str
        Of each thing its names; empty ones are passed over.
    """

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        parts: list[str] = []
        self._begin: list[int] = []
        self._thing: list[int] = []
        # Where the names of each thing begin, and at the end where the last one's end.
        self._names = [0]
        length = 0
        for number, names in enumerate(texts):
            for name in dict.fromkeys(map(fold, names)):
                if name:
                    self._begin.append(length)
                    self._thing.append(number)
                    parts.append(_START + name)
                    length += len(name) + 1
            self._names.append(length)
        self._all = "".join(parts)

    def search(self, query: str, limit: int) -> list[int]:
        """The things that a person may mean, best first.

        First those with a name that begins with the query, then those with a word that does,
        then those that have it anywhere, then those that have all of its words somewhere; within
        each in the order of their numbers.

        Parameters
        ----------
        query : str
            Nothing is found for an empty one.
        limit : int
            How many at most.
        """
        wanted = fold(query)
        if not wanted or limit < 1:
            return []
        found: dict[int, None] = {}
        for before in (_START, " ", ""):
            for number in self._having(before + wanted):
                found.setdefault(number)
                if len(found) >= limit:
                    return list(found)
        words = wanted.split(" ")
        if len(words) > 1:
            rarest, *others = sorted(set(words), key=self._all.count)
            for number in self._having(rarest):
                names = self._all[self._names[number] : self._names[number + 1]]
                if all(word in names for word in others):
                    found.setdefault(number)
                    if len(found) >= limit:
                        break
        return list(found)

    def _having(self, text: str) -> Iterator[int]:
        at = self._all.find(text)
        while at >= 0:
            place = bisect.bisect_right(self._begin, at) - 1
            yield self._thing[place]
            # On behind this name: whether it has the text again says nothing new.
            behind = place + 1
            if behind == len(self._begin):
                return
            at = self._all.find(text, self._begin[behind])
