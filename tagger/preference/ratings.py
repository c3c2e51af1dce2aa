"""What people think of pictures, as tables and objects that they send: a number for each name."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tagger.errors import PreferenceError

#: Of one table or object.
MAX_RATINGS = 1_000_000
#: Of a table as a file, in bytes.
MAX_BYTES = 64 * 2**20
# Columns that may hold the pictures' names, the first that is there does.
_NAMES = ("file", "name")
_MAX_SHOWN = 80


def read_table(data: bytes) -> dict[str, float]:
    """Read a CSV with the columns ``file`` (or ``name``) and ``rating``.

    Of several ratings of a picture the mean counts; a picture without one is left out.

    Parameters
    ----------
    data : bytes
        UTF-8; other columns do not matter. Semicolons will do for commas, as spreadsheets of
        half the world write them.

    Raises
    ------
    PreferenceError
        ``ratings-table-invalid`` or ``rating-invalid``.
    """
    if len(data) > MAX_BYTES:
        raise PreferenceError("ratings-table-invalid")
    try:
        text = data.decode("utf-8-sig")
        head = text.partition("\n")[0]
        comma = ";" if ";" in head and "," not in head else ","
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=comma)
        columns = {name.strip().lower(): name for name in rows.fieldnames or () if name}
        name = next((columns[name] for name in _NAMES if name in columns), None)
        if name is None or "rating" not in columns:
            raise PreferenceError("ratings-table-invalid")
        return _means((row[name], row[columns["rating"]]) for row in rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PreferenceError("ratings-table-invalid") from error


def read_object(data: Any) -> dict[str, float]:
    """Check an object of names and numbers; null is no rating.

    Raises
    ------
    PreferenceError
        ``ratings-table-invalid`` or ``rating-invalid``.
    """
    if not isinstance(data, dict) or len(data) > MAX_RATINGS:
        raise PreferenceError("ratings-table-invalid")
    for name, value in data.items():
        if value is not None and type(value) not in (int, float):
            raise _no_number(name)
    return _means(data.items())


def _means(rows: Iterable[tuple[str | None, Any]]) -> dict[str, float]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, value in rows:
        if not name or value is None or value == "":
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        # Beyond it sums of them would not be finite.
        if not abs(number) <= 1e100:
            raise _no_number(name)
        entry = sums[name]
        entry[0] += number
        entry[1] += 1
        if len(sums) > MAX_RATINGS:
            raise PreferenceError("ratings-table-invalid")
    return {name: total / count for name, (total, count) in sums.items()}


def _no_number(name: str) -> PreferenceError:
    shown = "".join(c for c in name[:_MAX_SHOWN] if unicodedata.category(c)[0] != "C")
    return PreferenceError("rating-invalid", name=shown)
