"""The tag list of a model, the ranking of its answers and the text formats they leave in.

Row ``i`` of ``selected_tags.csv`` names output ``i`` of the model: the convention that the WD
taggers set and that every tool around them reads. Their four columns come first; ours (group,
Japanese name, operating point with its evidence, aliases) follow and may be missing.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from tagger.errors import BundleError

# Numbers that Danbooru and the WD taggers give to their categories. "rating" and "year" are not
# descriptions of the picture's content.
CATEGORY_GROUPS: Mapping[int, str] = {
    0: "general",
    1: "artist",
    3: "copyright",
    4: "character",
    5: "meta",
    9: "rating",
    10: "year",
}
RATING = 9

# Used where a list brings no operating point of its own; the WD demo's default.
DEFAULT_THRESHOLD = 0.35

# Classes of characters that reorder what is shown after them.
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

MAX_TAGS = 200_000
MAX_NAME_LENGTH = 200
MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Tag:
    """One output of a model.

    Attributes
    ----------
    index : int
        Position in the model's output.
    name : str
        Canonical name, ``lower_case_with_underscores``.
    category : int
        Danbooru's number: 0 general, 4 character, 9 rating...
    group : str
        A word for the kind of thing: animal, food, place... From the category where the list
        has no such column.
    tag_id, count : int
        Identifier in its source, and number of pictures that carry it.
    name_ja : str or None
        Japanese display name.
    threshold : float or None
        Operating point in 0..1: the probability from which the tag counts as present.
    precision, recall : float or None
        Measured at that operating point, 0..1.
    support : int or None
        Number of pictures behind those two figures.
    aliases : tuple of str
        Other names for the same thing.
    """

    index: int
    name: str
    category: int = 0
    group: str = "general"
    tag_id: int = 0
    count: int = 0
    name_ja: str | None = None
    threshold: float | None = None
    precision: float | None = None
    recall: float | None = None
    support: int | None = None
    aliases: tuple[str, ...] = ()

    def display(self, lang: str = "en") -> str:
        """The name as a person reads it, in Japanese where there is one and it is asked for."""
        if lang == "ja" and self.name_ja:
            return self.name_ja
        return display_name(self.name)

    def passes(self, probability: float) -> bool:
        """Whether a probability (0..1) reaches this tag's operating point."""
        threshold = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
        return probability >= threshold


@dataclass(frozen=True, slots=True)
class RankedTag:
    """A tag with the probability (0..1) that it belongs to one picture.

    ``passes`` says whether the probability reaches the tag's operating point.
    """

    tag: Tag
    probability: float
    passes: bool

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form, the same in files, in the REST API and on the page."""
        return {
            "name": self.tag.name,
            "label": self.tag.display(lang),
            "group": self.tag.group,
            "probability": round(self.probability, 4),
            "passes": self.passes,
        }


class TagList(Sequence[Tag]):
    """An immutable sequence of tags, in the order of the model's outputs."""

    def __init__(self, tags: Iterable[Tag]) -> None:
        self._tags = tuple(tags)

    @overload
    def __getitem__(self, index: int) -> Tag: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tag, ...]: ...
    def __getitem__(self, index: int | slice) -> Tag | tuple[Tag, ...]:
        return self._tags[index]

    def __len__(self) -> int:
        return len(self._tags)

    def __iter__(self) -> Iterator[Tag]:
        return iter(self._tags)

    def __repr__(self) -> str:
        return f"TagList({len(self)} tags)"

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that occur, in order of first occurrence."""
        return tuple(dict.fromkeys(tag.group for tag in self._tags))

    @cached_property
    def _by_key(self) -> dict[str, Tag]:
        # Names win over aliases, earlier rows over later ones.
        keys: dict[str, Tag] = {}
        for tag in self._tags:
            keys.setdefault(normalise(tag.name), tag)
        for tag in self._tags:
            for other in (*tag.aliases, tag.name_ja or ""):
                if other:
                    keys.setdefault(normalise(other), tag)
        return keys

    def find(self, name: str) -> Tag | None:
        """The tag of that name, alias or Japanese name, however it is spaced or cased."""
        return self._by_key.get(normalise(name))

    def search(self, text: str, *, prefix: bool = False) -> list[Tag]:
        """Tags that a person may mean by a few typed letters, best first.

        Parameters
        ----------
        text : str
            Part of a name, an alias or a Japanese name; all tags if empty.
        prefix : bool
            Match from the start of a name only, else also inside it.

        Returns
        -------
        list of Tag
            First those that begin with the text, then those with a word that does, then those
            that contain it; within each the most used first.
        """
        wanted = normalise(text)
        found: list[tuple[int, int, int, Tag]] = []
        for tag in self._tags:
            names = (tag.name, *tag.aliases, tag.name_ja or "")
            place = min(_match(normalise(name), wanted) for name in names if name)
            if place == 0 or (place < 3 and not prefix):
                found.append((place, -tag.count, tag.index, tag))
        return [entry[-1] for entry in sorted(found, key=lambda entry: entry[:3])]


def _match(name: str, wanted: str) -> int:
    """0 begins with, 1 has a word that begins with, 2 contains, 3 does not."""
    if name.startswith(wanted):
        return 0
    if f"_{wanted}" in name:
        return 1
    return 2 if wanted in name else 3


def normalise(name: str) -> str:
    """One form for all ways to write a tag: width, case, spaces and underscores made equal."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_]+", "_", folded).strip("_") or folded.strip()


def is_kaomoji(name: str) -> bool:
    """Whether a name is a face such as ``^_^`` or ``0_0``, whose underscore is its mouth.

    A face has one underscore and on either side at most one letter or digit, the rest being
    marks. The rule holds for every face in the published tag lists and for those to come.
    """
    left, mouth, right = name.partition("_")
    if not mouth or "_" in right or not name.isascii() or not left or not right:
        return False
    return all(sum(character.isalnum() for character in side) <= 1 for side in (left, right))


def display_name(name: str) -> str:
    """A tag's name with spaces for underscores, faces left whole."""
    return name if is_kaomoji(name) else name.replace("_", " ").strip() or name


# --- reading ------------------------------------------------------------------------------------


def read_tags(path: Path | str) -> TagList:
    """Read ``selected_tags.csv``.

    Only ``name`` is required; numbers that are absent or unreadable as evidence are left out, but
    what would shift or spoil the list is refused. A tag may be called ``nan`` or ``null``.

    Raises
    ------
    BundleError
        If the file is absent, too large, not UTF-8, without a ``name`` column, or has a row that
        cannot be a tag. The message names the line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _invalid(1, "the file is too large")
        return parse_tags(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BundleError("bundle-file-missing", file=path.name) from error
    except UnicodeDecodeError as error:
        raise _invalid(1, "it is not UTF-8 text") from error


def parse_tags(text: str) -> TagList:
    """Read the text of a ``selected_tags.csv``; see :func:`read_tags`."""
    reader = csv.reader(io.StringIO(text, newline=""))
    tags: list[Tag] = []
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        if "name" not in header:
            raise _invalid(1, "the header has no column 'name'")
        for row in reader:
            if not row:
                continue
            if len(tags) >= MAX_TAGS:
                raise _invalid(reader.line_num, f"there are more than {MAX_TAGS} tags")
            cells = dict(zip(header, row, strict=False))
            tags.append(_tag(len(tags), cells, reader.line_num))
    except csv.Error as error:
        raise _invalid(reader.line_num, "it is not well-formed CSV") from error
    if not tags:
        raise _invalid(1, "there are no tags")
    return TagList(tags)


def _invalid(line: int, reason: str) -> BundleError:
    return BundleError("tags-invalid", line=line, reason=reason)


def _tag(index: int, cells: Mapping[str, str], line: int) -> Tag:
    name = cells.get("name", "").strip()
    if not name:
        raise _invalid(line, "the tag has no name")
    texts = (name, cells.get("name_ja", ""), cells.get("group", ""), cells.get("aliases", ""))
    if len(name) > MAX_NAME_LENGTH or not all(_printable(text) for text in texts):
        raise _invalid(line, "the tag's name is too long or has control characters")
    category = _integer(cells.get("category", ""), 0)
    aliases = (alias.strip() for alias in cells.get("aliases", "").split("|"))
    return Tag(
        index=index,
        name=name,
        category=category,
        group=cells.get("group", "").strip() or CATEGORY_GROUPS.get(category, "general"),
        tag_id=_integer(cells.get("tag_id", ""), 0),
        count=max(0, _integer(cells.get("count", ""), 0)),
        name_ja=cells.get("name_ja", "").strip() or None,
        threshold=_share(cells.get("best_threshold", "")),
        precision=_share(cells.get("precision", "")),
        recall=_share(cells.get("recall", "")),
        support=_support(cells.get("support", "")),
        aliases=tuple(dict.fromkeys(alias for alias in aliases if alias)),
    )


def _printable(text: str) -> bool:
    # Control characters, lone surrogates and the marks that turn the direction of writing.
    return not any(
        unicodedata.category(character) in {"Cc", "Cs"}
        or unicodedata.bidirectional(character) in _TURNING
        for character in text
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _integer(text: str, default: int) -> int:
    value = _number(text)
    # Beyond this, a double no longer holds every whole number.
    return default if value is None or abs(value) > 2**53 else int(value)


def _share(text: str) -> float | None:
    value = _number(text)
    return value if value is not None and 0.0 <= value <= 1.0 else None


def _support(text: str) -> int | None:
    value = _integer(text, -1)
    return value if value >= 0 else None


# --- ranking ------------------------------------------------------------------------------------


def rank(
    probabilities: npt.ArrayLike,
    tags: TagList,
    top: int | None = 10,
    min_probability: float | None = None,
    groups: Collection[str] | None = None,
) -> list[RankedTag]:
    """The tags of one picture, most probable first.

    Without ``min_probability`` the list is always filled: what is below its operating point is
    marked, never hidden. Equal probabilities keep the order of the tag list.

    Parameters
    ----------
    probabilities : array_like, float, shape [T]
        One probability (0..1) a tag, in the order of `tags`.
    tags : TagList
        T tags.
    top : int or None
        How many to return at most; None for all.
    min_probability : float or None
        Leave out what is less probable than this.
    groups : collection of str or None
        Only tags of these groups. None: all but ratings, which answer another question.

    Raises
    ------
    ValueError
        If the shapes differ, `top` is negative or a probability is not a number.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.shape != (len(tags),):
        raise ValueError(f"expected {len(tags)} probabilities, got an array of {values.shape}")
    if np.isnan(values).any():
        raise ValueError("a probability is not a number")
    if top is not None and top < 0:
        raise ValueError("top is negative")
    ranked: list[RankedTag] = []
    for index in np.argsort(-values, kind="stable"):
        if len(ranked) == top:
            break
        tag, value = tags[int(index)], float(values[index])
        if min_probability is not None and value < min_probability:
            break
        if tag.category == RATING if groups is None else tag.group not in groups:
            continue
        ranked.append(RankedTag(tag, value, tag.passes(value)))
    return ranked


# --- text formats -------------------------------------------------------------------------------


def format_tags(ranked: Iterable[RankedTag], style: str = "text", lang: str = "en") -> str:
    """Ranked tags as text to paste elsewhere.

    Parameters
    ----------
    ranked : iterable of RankedTag
        In the order in which they are to appear.
    style : {"text", "danbooru", "prompt", "hashtags", "json"}
        - text: display names joined by ", ", as captions are written;
        - danbooru: names with underscores joined by spaces, as its tag box takes them;
        - prompt: as text, with the parentheses and backslashes escaped that image generators read
          as weights;
        - hashtags: letters, digits and underscores only, each tag once;
        - json: an array of objects.
    lang : {"en", "ja"}
        Language of the names in text, prompt and hashtags, and of the labels in json.

    Raises
    ------
    ValueError
        If there is no such style.
    """
    try:
        formatter = FORMATS[style]
    except KeyError:
        raise ValueError(f"no such text format: {style}") from None
    return formatter(list(ranked), lang)


def _plain(tag: Tag, lang: str) -> str:
    # The list is split at commas again by whoever reads it.
    return re.sub(r"\s*,\s*", " ", tag.display(lang)).strip() or tag.display(lang)


def _text(ranked: Sequence[RankedTag], lang: str) -> str:
    return ", ".join(_plain(entry.tag, lang) for entry in ranked)


def _prompt(ranked: Sequence[RankedTag], lang: str) -> str:
    return ", ".join(re.sub(r"([\\()])", r"\\\1", _plain(e.tag, lang)) for e in ranked)


def _danbooru(ranked: Sequence[RankedTag], lang: str) -> str:
    return " ".join(re.sub(r"\s+", "_", entry.tag.name) for entry in ranked)


def _hashtags(ranked: Sequence[RankedTag], lang: str) -> str:
    tags = (hashtag(entry.tag.display(lang)) for entry in ranked)
    return " ".join(dict.fromkeys(f"#{tag}" for tag in tags if tag))


def hashtag(name: str) -> str:
    """A name as social networks accept it behind ``#``; empty if nothing of it can stay."""
    composed = unicodedata.normalize("NFKC", name)
    # Letters with their marks and digits stay, apostrophes vanish, all else parts words.
    kept = re.sub(r"['\u2019]", "", composed)
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else "_" for c in kept)
    kept = re.sub(r"_+", "_", kept).strip("_")
    return "" if kept.isdecimal() else kept


def _json(ranked: Sequence[RankedTag], lang: str) -> str:
    return json.dumps([entry.to_dict(lang) for entry in ranked], ensure_ascii=False, indent=2)


FORMATS: Mapping[str, Callable[[Sequence[RankedTag], str], str]] = {
    "text": _text,
    "danbooru": _danbooru,
    "prompt": _prompt,
    "hashtags": _hashtags,
    "json": _json,
}
