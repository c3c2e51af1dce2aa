"""Errors: every code has its sentences, the sentences are complete, nothing leaks."""

from __future__ import annotations

import ast
import pickle
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger import errors
from tagger.errors import (
    BundleError,
    ImageError,
    LimitError,
    MemoryFileError,
    PreferenceError,
    RequestError,
    SettingsError,
    StoreError,
    StrokesError,
    TaggerError,
)
from tagger.messages import KINDS, MESSAGES

PACKAGE = Path(errors.__file__).parent
CLASSES = (
    TaggerError,
    ImageError,
    StrokesError,
    StoreError,
    LimitError,
    MemoryFileError,
    PreferenceError,
    BundleError,
    RequestError,
    SettingsError,
)


def _raised() -> Iterator[tuple[str, str, set[str], bool]]:
    """Find all calls in the package that make an error: where, code, parameters, whether all."""
    names = {kind.__name__ for kind in CLASSES}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in names or not node.args:
                continue
            if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                given = {keyword.arg for keyword in node.keywords if keyword.arg}
                known = all(keyword.arg for keyword in node.keywords)
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield where, node.args[0].value, given - {"status"}, known


def _fields(text: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


@pytest.mark.parametrize(
    ("where", "code", "given", "known"),
    [pytest.param(*call, id=f"{call[1]}-{call[0]}") for call in _raised()],
)
def test_what_is_raised_can_be_said(where: str, code: str, given: set[str], known: bool) -> None:
    assert code in MESSAGES, f"{where} raises a code that has no message"
    if known:
        missing = _fields(MESSAGES[code][1]) - given
        assert not missing, f"{where} does not say {missing}"


@pytest.mark.parametrize("code", MESSAGES)
def test_sentences_of(code: str) -> None:
    status, english, japanese = MESSAGES[code]
    assert 400 <= status < 600
    assert _fields(english) == _fields(japanese)
    assert english.endswith(".")
    assert japanese.endswith("。")
    assert any(ord(letter) > 0x3000 for letter in japanese)
    assert english.isascii() or set(english) - set(string.printable) <= set("“”×")


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_kinds(kind: str) -> None:
    english, japanese = KINDS[kind]
    assert english
    assert japanese
    error = ImageError("image-foreign", kind=kind)
    assert english in error.message("en")
    assert japanese in error.message("ja")


@pytest.mark.parametrize(
    ("language", "start"),
    [
        ("en", "The file is empty"),
        ("ja", "ファイルが空です"),
        ("ja-JP", "ファイルが空です"),
        ("JA", "ファイルが空です"),
        ("fr", "The file is empty"),
        ("", "The file is empty"),
    ],
)
def test_language(language: str, start: str) -> None:
    assert ImageError("image-empty").message(language).startswith(start)


def test_text_is_english() -> None:
    error = ImageError("image-empty")
    assert str(error) == error.message("en")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"limit": 20 * 2**20}, "20 MiB"),
        ({"limit": 1536}, "0.00146 MiB"),
        ({"limit": 3 * 2**30}, "3 GiB"),
    ],
)
def test_bytes_are_said_in_units(params: dict[str, int], expected: str) -> None:
    error = LimitError("image-too-many-bytes", **params)
    assert expected in error.message("en")
    assert expected in error.message("ja")


def test_pixels_are_said_in_megapixels() -> None:
    params = {"width": 9000, "height": 8000, "pixels": 72_000_000, "limit": 1_500_000}
    error = LimitError("image-too-many-pixels", **params)
    assert "9000 × 8000 (72 megapixels); at most 1.5 megapixels" in error.message("en")
    assert "72メガピクセル" in error.message("ja")


def test_status_comes_from_the_table_or_the_caller() -> None:
    assert ImageError("image-foreign", kind="pdf").status == 415
    assert LimitError("image-too-many-bytes", limit=1).status == 413
    assert ImageError("image-foreign", status=400, kind="pdf").status == 400


@pytest.mark.parametrize(
    "error",
    [
        TaggerError("no-such-code", path="/secret"),
        ImageError("image-foreign"),  # its value is missing
        LimitError("image-too-many-bytes", limit="no number"),
        LimitError("image-too-many-bytes", limit=None),
    ],
    ids=["unknown-code", "missing-value", "wrong-type", "none"],
)
def test_an_error_never_fails_while_it_is_shown(error: TaggerError) -> None:
    for language in ("en", "ja"):
        assert error.message(language) == MESSAGES["internal"][1 if language == "en" else 2]
    assert 400 <= error.status < 600


def test_braces_in_values_are_only_text() -> None:
    error = RequestError("request-unknown-tag", tag="{0.__class__}")
    assert "{0.__class__}" in error.message("en")


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_cross_process_boundaries(kind: type[TaggerError]) -> None:
    error = kind("image-foreign", status=499, kind="pdf")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.code, copy.status, copy.params) == ("image-foreign", 499, {"kind": "pdf"})
    assert copy.message("ja") == error.message("ja")


@pytest.mark.parametrize("kind", CLASSES)
def test_all_are_tagger_errors(kind: type[TaggerError]) -> None:
    with pytest.raises(TaggerError):
        raise kind("internal")
