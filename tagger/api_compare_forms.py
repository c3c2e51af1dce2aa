"""What is sent to compare: forms and queries, read and checked field by field.

All functions raise a TaggerError where a field cannot be used: mostly ``request-invalid``, which
says which one it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from starlette.datastructures import FormData, UploadFile

from tagger.api_compare_models import SIDES
from tagger.comparing.keeping import MAX_BYTES as MAX_PROFILE
from tagger.errors import LimitError, RequestError
from tagger.preference.ranker import read_json
from tagger.preference.ratings import read_object, read_table
from tagger.uploads import file_name

#: Bytes of ratings: some ten thousand pictures.
MAX_RATINGS = 2**20

_PICTURES = ("file", "files")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

#: Fields of each form.
COMPARED = frozenset({*SIDES, "left_number", "right_number", "hash", "ranker", "profile"})
_VOTED = frozenset(
    {
        *SIDES,
        *("left_number", "right_number", "hash", "choice", "kind", "milliseconds", "consent"),
        *("key", "ranker", "pending", "next"),
    }
)
RANKED = frozenset({*_PICTURES, "ranker", "profile", "ratings", "top", "describe"})


def check_fields(form: FormData, known: frozenset[str]) -> None:
    """Refuse what would be ignored, and what is given twice but for pictures of a set."""
    seen: set[str] = set()
    for field, _ in form.multi_items():
        if field not in known or (field in seen and field not in _PICTURES):
            twice = "it is given twice" if field in seen else "there is no such field"
            raise RequestError("request-invalid", field=file_name(field), reason=twice)
        seen.add(field)


def text_of(form: FormData, field: str) -> str:
    """A field that is no file; empty where it is absent."""
    value = form.get(field, "")
    if not isinstance(value, str):
        raise RequestError("request-invalid", field=field, reason="it must be a text")
    return value


def number_of(form: FormData, field: str) -> int | None:
    """A whole number; None where it is absent or left empty."""
    text = text_of(form, field)
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise RequestError("request-invalid", field=field, reason="it must be a whole number")
    return int(text)


def flag_of(form: FormData, field: str) -> bool:
    """Whether a field is ``true``; absent, it is not."""
    text = text_of(form, field)
    if text not in ("", "true", "false"):
        raise RequestError("request-invalid", field=field, reason="true or false")
    return text == "true"


def _file(form: FormData, field: str) -> UploadFile | None:
    value = form.get(field)
    if isinstance(value, str):
        # As a field that was left empty; a text is no file.
        if value:
            raise RequestError("request-invalid", field=field, reason="it must be a file")
        return None
    # A browser sends a form's empty file field as a nameless empty file.
    return value if value is not None and (value.filename or value.size) else None


def side_of(form: FormData, side: str) -> BinaryIO | int:
    """A picture of a pair, or its number in the gallery."""
    file, number = _file(form, side), number_of(form, f"{side}_number")
    if (file is None) == (number is None):
        reason = f"either a picture or {side}_number is needed"
        raise RequestError("request-invalid", field=side, reason=reason)
    if file is not None:
        return file.file
    assert number is not None
    return number


def pictures_of(form: FormData, most: int) -> list[UploadFile]:
    """The files of a set, at least one and at most so many."""
    files = [
        value
        for field, value in form.multi_items()
        if field in _PICTURES and isinstance(value, UploadFile) and (value.filename or value.size)
    ]
    if not files:
        raise RequestError("request-no-file")
    if len(files) > most:
        raise LimitError("request-too-many-files", count=len(files), limit=most)
    return files


def _read(form: FormData, field: str, most: int) -> bytes | None:
    """The content of a small file; to be called where waiting does no harm."""
    file = _file(form, field)
    if file is None:
        return None
    data = file.file.read(most + 1)
    if len(data) > most:
        raise LimitError("request-too-large", limit=most)
    return data


def profile_of(form: FormData) -> Any:
    """A ranker or taste, as JSON that nobody has looked at; None where there is none."""
    data = _read(form, "profile", MAX_PROFILE)
    if data is None:
        return None
    # Whatever it is: not null, which would stand for nothing.
    return read_json(data, "taste-damaged") or {}


def ratings_of(form: FormData) -> Mapping[str, float]:
    """What people think of the pictures, by their names: a text or a file, JSON or a table."""
    value = form.get("ratings")
    data = value.encode() if isinstance(value, str) else _read(form, "ratings", MAX_RATINGS)
    if not data:
        return {}
    if data.lstrip()[:1] == b"{":
        return read_object(read_json(data, "ratings-table-invalid"))
    return read_table(data)


def by_place(files: list[UploadFile], ratings: Mapping[str, float]) -> dict[str, float]:
    """The ratings of those that have one, by the name as sent, else by the last part of it."""
    found: dict[str, float] = {}
    for place, file in enumerate(files):
        for name in (file.filename or "", file_name(file.filename)):
            if name in ratings:
                found[str(place)] = ratings[name]
                break
    return found


def pending_of(text: str) -> list[tuple[int, int, str]]:
    """Pairs of a query: ``12-45-active,3-7-check``."""
    found = []
    for pair in text.split(",") if text else ():
        left, right, kind = (*pair.split("-"), "", "")[:3]
        if not (_NUMBER.fullmatch(left) and _NUMBER.fullmatch(right)):
            reason = "it must be pairs as 12-45-active, with commas between them"
            raise RequestError("request-invalid", field="pending", reason=reason)
        found.append((int(left), int(right), kind))
    return found


def ballot_of(form: FormData) -> dict[str, Any]:
    """The vote in a form, in the form that JSON has."""
    check_fields(form, _VOTED)
    ballot: dict[str, Any] = {side: side_of(form, side) for side in SIDES}
    for field in ("hash", "choice", "kind", "key", "ranker"):
        ballot[field] = text_of(form, field) or None
    for field in ("milliseconds", "next"):
        ballot[field] = number_of(form, field)
    ballot["consent"] = flag_of(form, "consent")
    try:
        ballot["pending"] = json.loads(text_of(form, "pending") or "[]")
    except (ValueError, RecursionError):
        raise RequestError("request-invalid", field="pending", reason="no JSON") from None
    return ballot


def needed(sent: Mapping[str, Any], field: str) -> Any:
    """A field of a JSON object that must be there, whatever it is."""
    if field not in sent:
        raise RequestError("request-invalid", field=field, reason="it is missing")
    return sent[field]
