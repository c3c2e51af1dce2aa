"""What ``python -m tagger tag`` writes: one class a format, each fed one picture at a time."""

from __future__ import annotations

import csv
import io
import json
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, TextIO

from tagger.atomic import replacing
from tagger.cli_inputs import Item
from tagger.errors import TaggerError
from tagger.safetext import csv_text
from tagger.services import TagResult
from tagger.tags import RankedTag, format_tags


class Writer(Protocol):
    """Takes results and failures in order."""

    def result(self, item: Item, result: TagResult) -> None:
        """Write a picture's tags."""

    def failure(self, item: Item, error: TaggerError) -> None:
        """Write, where the format has a place for it, that a picture has none."""

    def close(self) -> None:
        """Write what belongs at the end."""


# --- safe text ----------------------------------------------------------------------------------


def screen_text(text: str) -> str:
    """A file name for a terminal: what could move the cursor or hide text is shown escaped."""
    return "".join(
        character if _shows(character) else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _shows(character: str) -> bool:
    # C: controls, direction marks, lone surrogates; Zl, Zp: line ends that are no newline.
    category = unicodedata.category(character)
    return category[0] != "C" and category not in {"Zl", "Zp"}


def data_text(path: Path) -> str:
    """A path for a data file: as it is, but for bytes that are no text, which are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def cell_width(text: str) -> int:
    """Columns that a text takes on a terminal: East Asian characters take two."""
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1
        for c in text
    )


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_width(text))


class Progress:
    """A line on a terminal that counts pictures; nothing at all without one.

    Parameters
    ----------
    out : TextIO or None
        The terminal.
    total : int
        Pictures to come.
    clock : callable
        Seconds; tests bring their own.
    """

    _SECONDS_BETWEEN = 0.1

    def __init__(
        self, out: TextIO | None, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._total = total
        self._clock = clock
        self._start = self._last = clock()
        self._done = 0
        self._drawn = False

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line as it was found."""
        self.clear()

    def step(self) -> None:
        """Count one picture."""
        self._done += 1
        now = self._clock()
        if self._out is None or now - self._last < self._SECONDS_BETWEEN:
            return
        self._last = now
        rate = self._done / max(now - self._start, 1e-6)
        left = (self._total - self._done) / rate
        text = f"{self._done}/{self._total} pictures, {rate:.1f}/s, {_duration(left)} left"
        self._out.write(f"\r\x1b[K{text}")
        self._out.flush()
        self._drawn = True

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._out is not None and self._drawn:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._drawn = False
            self._last = float("-inf")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    )


# --- files --------------------------------------------------------------------------------------


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes its place only when it is complete."""
    # There may be thousands: to wait for the disk after each would take most of the time.
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()  # with what is still in it; the file is not the text's to close


# --- formats ------------------------------------------------------------------------------------


class TableWriter:
    """For people: a small table a picture."""

    def __init__(self, out: TextIO, lang: str, keep: str) -> None:
        self._out = out
        self._lang = lang
        self._keep = keep

    def result(self, item: Item, result: TagResult) -> None:
        """Write a picture's tags."""
        facts, tags = result.picture, kept_tags(result, self._keep)
        notes = "".join(f", {note}" for note in facts.notes)
        size = f"{facts.width} × {facts.height} {facts.format}{notes}"
        self._out.write(f"{screen_text(str(item.path))}  ({size})\n")
        labels = [screen_text(entry.tag.display(self._lang)) for entry in tags]
        groups = [screen_text(entry.tag.group) for entry in tags]
        label_width = max(map(cell_width, labels), default=0)
        group_width = max(map(cell_width, groups), default=0)
        for label, group, entry in zip(labels, groups, tags, strict=True):
            mark = "*" if entry.passes else " "
            self._out.write(
                f"  {mark} {entry.probability:7.1%}  {_pad(label, label_width)}"
                f"  {_pad(group, group_width)}".rstrip()
                + "\n"
            )
        self._out.flush()

    def failure(self, item: Item, error: TaggerError) -> None:
        """Nothing: failures are listed at the end."""

    def close(self) -> None:
        """Explain the mark."""
        self._out.write("* reaches the tag's operating point\n")


class CaptionWriter:
    """For training: one text file a picture, its tags on one line."""

    def __init__(self, target: Callable[[Item], Path], style: str, lang: str, keep: str) -> None:
        self._target = target
        self._style = style
        self._lang = lang
        self._keep = keep
        self.empty = 0

    def result(self, item: Item, result: TagResult) -> None:
        """Write a picture's caption; whole or not at all."""
        kept = kept_tags(result, self._keep)
        self.empty += not kept
        with replacing_text(self._target(item)) as file:
            file.write(format_tags(kept, self._style, self._lang) if kept else "")

    def failure(self, item: Item, error: TaggerError) -> None:
        """Nothing: a caption that is there stays."""

    def close(self) -> None:
        """Nothing is left to write."""


class CsvWriter:
    """For spreadsheets: one row a tag."""

    HEADER = ("file", "rank", "tag", "label", "group", "probability", "passes")

    def __init__(self, out: IO[str], lang: str, keep: str) -> None:
        self._rows = csv.writer(out, lineterminator="\n")
        self._rows.writerow(self.HEADER)
        self._lang = lang
        self._keep = keep

    def result(self, item: Item, result: TagResult) -> None:
        """Write a picture's rows."""
        for rank, entry in enumerate(kept_tags(result, self._keep), 1):
            tag = entry.tag
            texts = [tag.name, tag.display(self._lang), tag.group]
            self._rows.writerow(
                [
                    csv_text(data_text(item.path)),
                    rank,
                    *map(csv_text, texts),
                    f"{entry.probability:.4f}",
                    int(entry.passes),
                ]
            )

    def failure(self, item: Item, error: TaggerError) -> None:
        """Nothing: a row is a tag."""

    def close(self) -> None:
        """Nothing is left to write."""


class JsonWriter:
    """For programs: an object a picture, in one array or one a line."""

    def __init__(self, out: IO[str], lang: str, keep: str, *, lines: bool) -> None:
        self._out = out
        self._lang = lang
        self._keep = keep
        self._lines = lines
        self._count = 0
        if not lines:
            out.write("[")

    def result(self, item: Item, result: TagResult) -> None:
        """Write a picture's tags and facts."""
        data = result.to_dict(self._lang)
        data["tags"] = [tag.to_dict(self._lang) for tag in kept_tags(result, self._keep)]
        self._write({"file": data_text(item.path), **data})

    def failure(self, item: Item, error: TaggerError) -> None:
        """Write what went wrong, so that every picture of the run is accounted for."""
        reason = {"code": error.code, "detail": error.message(self._lang)}
        self._write({"file": data_text(item.path), "error": reason})

    def close(self) -> None:
        """End the array."""
        if not self._lines:
            self._out.write("\n]\n" if self._count else "]\n")

    def _write(self, data: dict[str, Any]) -> None:
        text = json.dumps(data, ensure_ascii=False)
        if self._lines:
            self._out.write(text + "\n")
        else:
            self._out.write((",\n" if self._count else "\n") + text)
        self._count += 1
        self._out.flush()


def kept_tags(result: TagResult, keep: str) -> list[RankedTag]:
    """All ranked tags of a result, or those that reach their operating point."""
    return [entry for entry in result.tags if keep == "all" or entry.passes]
