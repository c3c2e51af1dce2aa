"""Which language a browser is answered in: one rule for the page and the REST API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.languages import LANGUAGES, choose_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("en-US,en;q=0.9,ja;q=0.8", "en"),
        ("fr,ja;q=0.5,en;q=0.4", "ja"),
        ("en;q=0.4, ja; q=0.5", "ja"),
        ("en ; Q=0.4 , ja;Q=0.5", "ja"),
        ("JA", "ja"),
        ("*,ja;q=0.1", "ja"),
        ("fr-FR", "en"),
        ("ja;q=0", "en"),
        ("ja;q=x", "en"),
        ("ja;", "en"),
        ("ja;q=2", "en"),
        ("ja;q=nan", "en"),
        ("ja;q=-1", "en"),
        ("en;q=0.5,ja;q=0.5", "en"),
        ("ja;q=0.5,en;q=0.5", "ja"),
        ("japanese", "en"),
        ("", "en"),
        (None, "en"),
        (",;=;,q=q" * 1000, "en"),
        ("fr," * 1000 + "ja", "en"),
    ],
)
def test_language_of_a_browser(header: str | None, language: str) -> None:
    assert choose_language(header) == language


@given(st.text(max_size=60) | st.text("enja-;q=.0159, *", max_size=60))
def test_whatever_a_client_sends_there_is_a_language(header: str) -> None:
    assert choose_language(header) in LANGUAGES
