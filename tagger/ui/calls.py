"""What the page calls: server functions that trust nothing and always answer.

Such calls go past Gradio's queue and its checks, and an exception would reach the page as silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from tagger.errors import RequestError, TaggerError
from tagger.languages import LANGUAGES, Language, choose_language
from tagger.ui.answers import problem

_log = logging.getLogger(__name__)

MAX_TEXT = 300

Answer = dict[str, Any]
Handler = Callable[["Call"], Answer]


class Call:
    """What a browser sent, trusting none of it.

    Parameters
    ----------
    data
        The one argument of a server function: whatever a client sent.
    request : gr.Request
        Of the same call.
    """

    def __init__(self, data: Any, request: Any) -> None:
        self.data: Mapping[str, Any] = data if isinstance(data, dict) else {}
        wanted = self.data.get("lang")
        accepted = choose_language(request.headers.get("accept-language"))
        self.lang: Language = next((lang for lang in LANGUAGES if lang == wanted), accepted)
        self.client = client_of(request)

    @property
    def visitor(self) -> str:
        """The browser's random id."""
        return self.text("visitor", least=16, most=64)

    def text(self, name: str, *, least: int = 0, most: int = MAX_TEXT) -> str:
        """A text of so many characters.

        Raises
        ------
        RequestError
            ``request-malformed``, if it is anything else.
        """
        value = self.data.get(name, "")
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise RequestError("request-malformed")
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`."""
        value = self.data.get(name, default)
        if type(value) is not int or value < 0:
            raise RequestError("request-malformed")
        return min(value, most)


def client_of(request: Any) -> str:
    """The address that a request comes from, or nothing where it is not known."""
    return str(getattr(getattr(request, "client", None), "host", "") or "")


def guarded(name: str, handler: Handler) -> Callable[..., Answer]:
    """A server function that answers whatever comes.

    Gradio gives it one argument and the request, and knows it by its name.
    """

    def function(data: Any, request: gr.Request) -> Answer:
        call = Call(data, request)
        return answered(lambda: handler(call), call.lang)

    function.__name__ = name
    return function


def answered(work: Callable[[], Answer], lang: Language) -> Answer:
    """The answer of `work`, or what went wrong, in the reader's language."""
    try:
        return work()
    except TaggerError as error:
        return problem(error, lang)
    except Exception:
        _log.exception("the page's request failed")
        return problem(TaggerError("internal"), lang)
