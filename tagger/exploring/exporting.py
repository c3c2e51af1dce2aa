"""A selection of pictures as a file: a table, JSON, or an archive to train with.

Tags that a person adds or removes are their own: they are nowhere kept but in what is exported.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from tagger.errors import LimitError, RequestError
from tagger.exploring.chart import Chart
from tagger.safetext import csv_text, file_stem, is_shown
from tagger.tags import MAX_NAME_LENGTH, TagList, display_name

Bools = npt.NDArray[np.bool_]

Format = Literal["csv", "json", "zip"]

#: Format of the JSON, by which those who read it know it.
SELECTION = "gallery-selection"

MAX_EDITED_TAGS = 1000
#: Pictures in one archive: some 100 MB.
MAX_ARCHIVE = 20_000

_CSV_COLUMNS = (
    *("number", "id", "title", "title_ja", "tags", "added", "removed"),
    *("author", "licence", "source", "category", "language", "url"),
)
_SUFFIXES = {"image/webp": "webp", "image/png": "png"}
# The same archive for the same selection, whenever it is made.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Edits:
    """Tags that a person gave to pictures, or took from them: ``{tag name: numbers}``."""

    add: Mapping[str, frozenset[int]] = field(default_factory=dict)
    remove: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a selection: its tags now, and which of them are new, which are gone."""

    number: int
    tags: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def parse_edits(data: object, tags: TagList, count: int) -> Edits:
    """Read edits as somebody sent them.

    Parameters
    ----------
    data : object
        ``{"add": {"tag name": [number, ...]}, "remove": {...}}``, either of which may be missing.
        A name that the model knows, in any spelling or language, is that tag; any other word is a
        tag of its own.
    tags : TagList
        What the model knows.
    count : int
        Numbers are below it.

    Raises
    ------
    TaggerError
        ``request-invalid`` or ``explore-too-many``.
    """
    if data is None:
        return Edits()
    if not isinstance(data, dict) or not set(data) <= {"add", "remove"}:
        raise _bad_edits("it must be an object with add and remove")
    return Edits(*(_named_numbers(data.get(name), tags, count) for name in ("add", "remove")))


def _named_numbers(data: object, tags: TagList, count: int) -> dict[str, frozenset[int]]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _bad_edits("each must be an object of tags")
    if len(data) > MAX_EDITED_TAGS:
        raise LimitError("explore-too-many", limit=MAX_EDITED_TAGS)
    found: dict[str, frozenset[int]] = {}
    for text, numbers in data.items():
        good = isinstance(numbers, list) and all(
            type(number) is int and 0 <= number < count for number in numbers
        )
        if not good:
            raise _bad_edits("a tag's pictures must be a list of their numbers")
        name = tag_name(text, tags)
        found[name] = found.get(name, frozenset()) | frozenset(numbers)
    return found


def tag_name(text: str, tags: TagList) -> str:
    """The tag that somebody means: one that is known, or a word of their own as names are written.

    Raises
    ------
    RequestError
        ``request-invalid``, if it cannot be a tag.
    """
    known = tags.find(text)
    if known is not None:
        return known.name
    name = re.sub(r"\s+", "_", text.strip())
    if not name or len(name) > MAX_NAME_LENGTH or not is_shown(name):
        raise _bad_edits(f"a tag has 1 to {MAX_NAME_LENGTH} letters that can be seen")
    return name


def entries(chart: Chart, mask: Bools, edits: Edits) -> Iterator[Entry]:
    """The pictures of a selection with their tags, in the order of their numbers.

    A tag that is both added and removed is removed.
    """
    new_of, gone_of = _by_picture(edits.add), _by_picture(edits.remove)
    for number in np.flatnonzero(mask).tolist():
        before = [chart.tags[tag].name for tag in chart.held(number)]
        gone, new = set(gone_of.get(number, ())), new_of.get(number, ())
        added = tuple(name for name in new if name not in gone and name not in before)
        removed = tuple(name for name in before if name in gone)
        kept = tuple(name for name in before if name not in gone)
        yield Entry(number, kept + added, added, removed)


def _by_picture(edits: Mapping[str, frozenset[int]]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for name, numbers in edits.items():
        for number in numbers:
            names.setdefault(number, []).append(name)
    return names


def write(file: BinaryIO, chart: Chart, mask: Bools, format: Format, edits: Edits) -> None:
    """Write a selection to a file.

    Parameters
    ----------
    file : binary file
        Open for writing; for ``"zip"`` it must be seekable.
    chart : Chart
        Whose pictures.
    mask : bool, shape [N]
        Which.
    format : {"csv", "json", "zip"}
        A table that spreadsheets open; JSON that `tagger gallery apply` takes; the pictures with
        a text of tags beside each, the table and the credits.
    edits : Edits
        What the person changed.

    Raises
    ------
    LimitError
        ``explore-too-many``, if an archive would hold more than `MAX_ARCHIVE` pictures.
    GalleryError
        ``gallery-damaged``, if one of them cannot be read any more.
    """
    if format == "json":
        _write_json(file, chart, mask, edits)
    elif format == "csv":
        file.write(_table(chart, entries(chart, mask, edits)))
    else:
        if int(np.count_nonzero(mask)) > MAX_ARCHIVE:
            raise LimitError("explore-too-many", limit=MAX_ARCHIVE)
        _write_zip(file, chart, mask, edits)


def _write_json(file: BinaryIO, chart: Chart, mask: Bools, edits: Edits) -> None:
    head = {
        "format": SELECTION,
        "format_version": 1,
        "map": chart.map,
        "name": chart.name,
        "hash": chart.hash,
        "model": chart.model.to_dict(),
    }
    file.write(_json(head)[:-1].encode() + b',"pictures":[')
    for place, entry in enumerate(entries(chart, mask, edits)):
        picture = {
            "number": entry.number,
            "id": chart.id(entry.number),
            "title": chart.title(entry.number),
            "tags": entry.tags,
            "added": entry.added,
            "removed": entry.removed,
        }
        file.write((",\n" if place else "\n").encode() + _json(picture).encode())
    file.write(b"\n]}\n")


def _table(chart: Chart, chosen: Iterable[Entry]) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(_CSV_COLUMNS)
    for entry in chosen:
        data = chart.metadata(entry.number)
        known = {
            **{name: value for name, value in data.items() if isinstance(value, str)},
            "id": chart.id(entry.number),
            "title": chart.title(entry.number),
            # No tag's name has a space.
            "tags": " ".join(entry.tags),
            "added": " ".join(entry.added),
            "removed": " ".join(entry.removed),
        }
        cells = [csv_text(known.get(name, "")) for name in _CSV_COLUMNS[1:]]
        rows.writerow([entry.number, *cells])
    # The mark tells spreadsheets that it is UTF-8; half characters of file names are escaped.
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "backslashreplace")


def _write_zip(file: BinaryIO, chart: Chart, mask: Bools, edits: Edits) -> None:
    suffix = _SUFFIXES.get(chart.media_type, "img")
    chosen = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries(chart, mask, edits):
            try:
                picture = chart.pictures.get(entry.number)
            except RequestError:  # taken back meanwhile: nothing tells of it
                continue
            chosen.append(entry)
            stem = file_stem(chart.title(entry.number))
            name = f"pictures/{entry.number:06}{'-' if stem else ''}{stem}"
            archive.writestr(_member(f"{name}.{suffix}"), picture)
            archive.writestr(_member(f"{name}.txt"), _caption(entry.tags))
        archive.writestr(_member("tags.csv"), _table(chart, chosen), zipfile.ZIP_DEFLATED)
        there = [entry.number for entry in chosen]
        archive.writestr(_member("credits.txt"), _credits(chart, there), zipfile.ZIP_DEFLATED)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o644 << 16
    return info


def _caption(tags: tuple[str, ...]) -> str:
    # As captions are written: whoever reads it splits it at commas again.
    return ", ".join(map(_caption_tag, tags)) + "\n"


@functools.lru_cache(2048)
def _caption_tag(name: str) -> str:
    return re.sub(r"\s*,\s*", " ", display_name(name))


def _credits(chart: Chart, numbers: Iterable[int]) -> str:
    counted: Counter[tuple[str, str, str]] = Counter()
    for number in numbers:
        data = chart.metadata(number)
        author, licence, source = (
            " ".join(str(data.get(name) or "").split()) for name in ("author", "licence", "source")
        )
        counted[author or "unknown", licence or chart.licence or "unknown", source] += 1
    lines = [chart.name, chart.licence, chart.credits, ""]
    for (author, licence, source), count in sorted(counted.items(), key=lambda e: (-e[1], e[0])):
        where = f", {source}" if source else ""
        lines.append(f"{author} ({licence}{where}): {count}")
    text = "\n".join(line for line in lines if line or line == "") + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _json(value: Any) -> str:
    # Escaped, so that half characters of file names do not spoil the file.
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _bad_edits(reason: str) -> RequestError:
    return RequestError("request-invalid", field="edits", reason=reason)
