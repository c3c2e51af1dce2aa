"""The languages that people are answered in, and which of them a browser asks for."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "ja"]

LANGUAGES: tuple[Language, ...] = ("en", "ja")

# Of what a client sends: more than any browser, and no work for those that send too much.
_MAX_LENGTH = 1000


def choose_language(accept_language: str | None) -> Language:
    """The language for an ``Accept-Language`` header (RFC 9110, section 12.5.4).

    Parameters
    ----------
    accept_language : str or None
        Such as ``"ja,en-US;q=0.9"``; whatever a client sends.

    Returns
    -------
    {"en", "ja"}
        The one of the two with the greater weight, the earlier of equals; English for neither.
        Parts that are no range with a weight from 0 to 1 are passed over.
    """
    best: Language = "en"
    weight = 0.0
    for part in (accept_language or "")[:_MAX_LENGTH].split(","):
        name, semicolon, parameter = part.partition(";")
        primary = name.strip().lower().partition("-")[0]
        try:
            value = float(parameter.strip().lower().removeprefix("q=")) if semicolon else 1.0
        except ValueError:
            continue
        for language in LANGUAGES:
            if primary == language and weight < value <= 1.0:
                best, weight = language, value
    return best
