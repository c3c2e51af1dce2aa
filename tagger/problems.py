"""Errors of the REST API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagger.errors import RequestError, TaggerError
from tagger.languages import LANGUAGES, Language, choose_language

_log = logging.getLogger(__name__)

# What a client is told to wait after it was turned away.
RETRY_SECONDS = 5

# Codes for what the framework itself refuses.
_HTTP_CODES = {404: "not-found", 405: "method-not-allowed", 413: "request-too-large"}


class ProblemResponse(JSONResponse):
    """A JSON answer that is an error."""

    media_type = "application/problem+json"


def language(request: Request) -> Language:
    """English or Japanese: the query's ``lang``, else what the browser prefers."""
    asked = request.query_params.get("lang")
    for known in LANGUAGES:
        if asked == known:
            return known
    return choose_language(request.headers.get("accept-language"))


def problem(error: TaggerError, lang: str = "en", **more: Any) -> dict[str, Any]:
    """Describe an error: ``type``, ``title``, ``status``, ``detail``, ``code``."""
    return {
        # A name, not an address: it must not depend on where the app is mounted.
        "type": f"urn:illustration-tagger:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message(lang),
        "code": error.code,
        **more,
    }


def respond(
    error: TaggerError, lang: str = "en", headers: Mapping[str, str] | None = None, **more: Any
) -> ProblemResponse:
    """Make the answer for an error; those that pass say when to come back."""
    headers = {"Content-Language": lang, **(headers or {})}
    if error.status in (429, 503):
        headers["Retry-After"] = str(RETRY_SECONDS)
    return ProblemResponse(problem(error, lang, **more), error.status, headers)


async def _on_tagger_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, TaggerError)
    return respond(error, language(request))


async def _on_http_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    # The framework's own text is left out: it may quote what was sent.
    code = _HTTP_CODES.get(error.status_code, "request-malformed")
    if error.status_code >= 500:
        code = "internal"
    known = RequestError(code, status=error.status_code, method=request.method, limit=0)
    return respond(known, language(request), error.headers)


async def _on_invalid_request(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    # Which field and what is wrong with it; never the value, which may be anything.
    faults = [
        {"field": str(fault["loc"][-1]), "reason": str(fault["msg"])} for fault in error.errors()
    ]
    first = RequestError("request-invalid", field=faults[0]["field"], reason=faults[0]["reason"])
    return respond(first, language(request), errors=faults)


def handle_problems(app: FastAPI) -> None:
    """Let every error of an application end as problem+json."""
    app.add_exception_handler(TaggerError, _on_tagger_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_middleware(LastResort)


class LastResort:
    """Turns an unforeseen exception into a plain 500, with the cause in the log only.

    Starlette's own handler answers, too, but raises again: behind a parent application the same
    failure would be handled twice.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:
            _log.exception("unforeseen error while answering a request")
            if started:
                raise
            response = respond(TaggerError("internal"), language(Request(scope)))
            await response(scope, receive, watch)
