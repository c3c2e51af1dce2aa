"""The words that a recogniser of drawings knows: reading the list, finding one by any of its names.

``labels.csv`` has a header with the columns ``index``, ``word``, ``name_ja`` and ``kind``; row i
is output i. A kind is ``word``, ``digit``, or ``learnt`` for what people taught. Further columns
are passed over.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

Kind = Literal["word", "digit", "learnt"]

MAX_WORDS = 100_000
MAX_WORD = 64


class WordsFormatError(ValueError):
    """The list cannot be used; the text says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word: which output it is, its names, and whether it is a digit or was taught by people."""

    index: int
    word: str
    name_ja: str | None = None
    kind: Kind = "word"

    def label(self, lang: str = "en") -> str:
        """The name to show, in ``"en"`` or ``"ja"``."""
        return self.name_ja or self.word if lang == "ja" else self.word


class WordList(Sequence[Word]):
    """Words in the order of the outputs. Immutable."""

    def __init__(self, words: Iterable[Word]) -> None:
        self._words = tuple(words)
        self._by_word = {word.word: word for word in self._words}
        self._by_name: dict[str, Word] = {}
        for word in self._words:  # an English name wins over a Japanese one
            self._by_name.setdefault(normalise(word.word), word)
        for word in self._words:
            if word.name_ja:
                self._by_name.setdefault(normalise(word.name_ja), word)

    @overload
    def __getitem__(self, index: int) -> Word: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Word, ...]: ...
    def __getitem__(self, index: int | slice) -> Word | tuple[Word, ...]:
        return self._words[index]

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[Word]:
        return iter(self._words)

    def get(self, word: str) -> Word | None:
        """The word that is written exactly so."""
        return self._by_word.get(word)

    def find(self, name: str) -> Word | None:
        """The word that is meant by a name: in either language, whatever its case and spacing."""
        return self._by_word.get(name) or self._by_name.get(normalise(name))


def normalise(name: str) -> str:
    """The form in which names are compared: NFKC, no case, no spaces, hyphens or underscores."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    kept = "".join(c for c in folded if not c.isspace() and c not in "-_")
    return kept or folded


def match(query: str, word: str, name_ja: str | None = None) -> int | None:
    """How well a word completes a query: 0 for the very word, more for worse, None for not at all.

    Parameters
    ----------
    query : str
        By :func:`normalise`; empty matches everything.
    word, name_ja
        The names.
    """
    best: int | None = None
    for name in (word, name_ja):
        if not name:
            continue
        whole = normalise(name)
        if whole == query:
            return 0
        if whole.startswith(query):
            rank = 1
        elif any(normalise(part).startswith(query) for part in name.replace("-", " ").split()):
            rank = 2
        elif query in whole:
            rank = 3
        else:
            continue
        best = rank if best is None else min(best, rank)
    return best


_KINDS: dict[str, Kind] = {"word": "word", "digit": "digit", "learnt": "learnt"}


def parse_words(text: str) -> WordList:
    """Read ``labels.csv``.

    Raises
    ------
    WordsFormatError
        If a column or a row cannot be used.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    words: list[Word] = []
    seen: set[str] = set()
    try:
        if not {"word"} <= set(reader.fieldnames or ()):
            raise WordsFormatError("no column “word”")
        for row in reader:
            place = f"line {reader.line_num}"
            if len(words) >= MAX_WORDS:
                raise WordsFormatError("too many words")
            word = (row["word"] or "").strip()
            index = (row.get("index") or str(len(words))).strip()
            kind = (row.get("kind") or "word").strip()
            name_ja = (row.get("name_ja") or "").strip() or None
            if index != str(len(words)):
                raise WordsFormatError(f"{place}: the index is not that of its row")
            if not is_name(word) or (name_ja is not None and not is_name(name_ja)):
                raise WordsFormatError(f"{place}: no word")
            if word in seen:
                raise WordsFormatError(f"{place}: a word that was there before")
            known = _KINDS.get(kind)
            if known is None:
                raise WordsFormatError(f"{place}: no such kind")
            seen.add(word)
            words.append(Word(len(words), word, name_ja, known))
    except csv.Error as error:
        raise WordsFormatError(f"line {reader.line_num}: not CSV") from error
    if not words:
        raise WordsFormatError("no words")
    return WordList(words)


def format_words(words: Iterable[Word]) -> str:
    """Write what :func:`parse_words` reads."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["index", "word", "name_ja", "kind"])
    writer.writerows([word.index, word.word, word.name_ja or "", word.kind] for word in words)
    return file.getvalue()


def is_name(text: str) -> bool:
    """Whether a text may stand in the list as a word."""
    return 0 < len(text) <= MAX_WORD and text.isprintable()
