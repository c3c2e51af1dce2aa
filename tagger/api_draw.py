"""The REST API's addresses for drawings: recognise, collect, take back, export.

Who sends the header ``X-Visitor``, a random id of their own, is the owner of what they save under
it: nobody else can guess it, and it is stored only as a salted hash. A header of that name cannot
be sent by another site's form. The app's owner sends their token as a bearer token.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import FastAPI, Header, Path, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tagger import api_draw_models as models
from tagger.drawing import DrawServices
from tagger.errors import RequestError, TaggerError
from tagger.intake import Workers, parse_json_object, read_json_body
from tagger.languages import Language
from tagger.problems import language
from tagger.services import Services

# The largest drawing that is taken, with times and pressures, has about so many characters.
MAX_BODY = 4 * 2**20
_MAX_SMALL_BODY = 4096
# An export up to this size is made in memory, a larger one in a file that has no name.
_SPOOL = 2**20

_MEDIA = {
    "ndjson": ("application/x-ndjson", "ndjson"),
    "parquet": ("application/octet-stream", "parquet"),
}

_LANG = Query(description="Language of labels and messages; by default what the browser prefers.")
VISITOR = Header(
    alias="X-Visitor",
    description="An id of your own, random: 16 to 64 letters, digits, hyphens and underscores.",
)
TOKEN = Header(description="`Bearer` and the token of the app's owner.")
_ID = Path(max_length=64, description="Of a drawing of your own.")
_WORD = Path(max_length=64, description="A word that people taught.")


def add_routes(app: FastAPI, services: Services) -> None:
    """Add the addresses below ``/v1``; without a recogniser they answer that there is none."""
    settings = services.settings
    in_thread = Workers(2 * settings.threads, settings.queue_size, "api-draw")

    def draw() -> DrawServices:
        if services.draw is None:
            raise TaggerError("drawing-off")
        if not services.draw.ready:
            raise TaggerError("not-ready")
        return services.draw

    @app.post(
        "/v1/recognise",
        summary="Recognise a drawing",
        response_model=models.RecogniseResponse,
        openapi_extra=models.RECOGNISE_REQUEST,
        responses=models.RECOGNISE_RESPONSES,
        operation_id="recognise",
    )
    async def recognise(
        request: Request,
        top: Annotated[int, Query(ge=1, le=100, description="How many words at most.")] = 10,
        lang: Annotated[Language | None, _LANG] = None,
        visitor: Annotated[str | None, VISITOR] = None,
    ) -> Response:
        """Send strokes as JSON, get words with calibrated probabilities.

        With `X-Visitor`, the words taught under that id are among them. A visitor may ask some
        forty times a second, so a drawing can be sent while it grows.
        """
        service, who = draw(), visitor_of(visitor)
        client = client_of(request)
        # Before the body is looked at: a flood should cost nothing.
        service.admit(who, client)
        body = await read_json_body(request, MAX_BODY)

        def work() -> Any:
            drawn = _field(parse_json_object(body), "strokes")
            return service.recognise(drawn, top=top, visitor=who, client=client, admitted=True)

        found = await in_thread(work)
        return answer(found.to_dict(lang or language(request)), lang or language(request))

    @app.post(
        "/v1/drawings",
        summary="Save a drawing under a word",
        status_code=201,
        response_model=models.SavedDrawing,
        openapi_extra=models.SAVE_REQUEST,
        responses=models.SAVE_RESPONSES,
        operation_id="save_drawing",
    )
    async def save_drawing(
        request: Request, visitor: Annotated[str | None, VISITOR] = None
    ) -> Response:
        """Keep a drawing; the visitor's recogniser learns from it at once.

        About five drawings teach a new word. Without `consent` a drawing is seen by nobody else
        and teaches nobody else. It is on the disk when the answer comes: 201, or 200 if it was
        there already because the same `key` was sent again.
        """
        service, who = draw(), known_visitor(visitor)
        body = await read_json_body(request, MAX_BODY)
        client = client_of(request)

        def work() -> Any:
            data = parse_json_object(body)
            return service.save(
                _field(data, "strokes"),
                _text(data, "label"),
                visitor=who,
                consent=_flag(data, "consent"),
                predicted=_predicted(data),
                source="api",
                key=_text(data, "key") if data.get("key") is not None else None,
                client=client,
            )

        saved = await in_thread(work)
        return answer(saved.to_dict(), status=200 if saved.duplicate else 201)

    @app.get(
        "/v1/drawings",
        summary="Your own drawings",
        response_model=models.DrawingsResponse,
        responses=models.LIST_RESPONSES,
        operation_id="list_drawings",
    )
    async def list_drawings(
        visitor: Annotated[str | None, VISITOR] = None,
        label: Annotated[str | None, Query(max_length=64, description="Only of this word.")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
        offset: Annotated[
            int, Query(ge=0, le=10**9, description="How many to leave out at the start.")
        ] = 0,
    ) -> Response:
        """List what was saved under the visitor's id, newest first."""
        service, who = draw(), known_visitor(visitor)
        page = await in_thread(
            lambda: service.gallery(who, label=label, offset=offset, limit=limit)
        )
        return answer(
            {"total": page.total, "drawings": [drawing.to_dict() for drawing in page.drawings]}
        )

    @app.delete(
        "/v1/drawings",
        summary="Take back all your drawings",
        response_model=models.DeletedResponse,
        responses=models.WITHDRAW_RESPONSES,
        operation_id="withdraw_drawings",
    )
    async def withdraw_drawings(visitor: Annotated[str | None, VISITOR] = None) -> Response:
        """Delete everything that was saved under the visitor's id, and what was learnt from it."""
        service, who = draw(), known_visitor(visitor)
        return answer({"deleted": await in_thread(lambda: service.withdraw(who))})

    @app.get(
        "/v1/drawings/export",
        summary="Drawings as a file",
        response_class=Response,
        responses=models.EXPORT_RESPONSES,
        operation_id="export_drawings",
    )
    async def export_drawings(
        request: Request,
        format: Annotated[
            Literal["ndjson", "ndjson-simplified", "parquet", "npz"],
            Query(description="Quick, Draw!'s lines, raw or simplified; Parquet; MNIST-style."),
        ] = "ndjson",
        visitor: Annotated[str | None, VISITOR] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """The app's owner gets all that was given with consent, a visitor all of their own.

        The owner sends `Authorization: Bearer` and their token; a visitor sends `X-Visitor`.
        """
        service = draw()
        whose = None
        if authorization is None:
            whose = known_visitor(visitor)
        else:
            owner_only(service, authorization, client_of(request))

        def work() -> BinaryIO:
            # Closed by whoever reads it out.
            file: Any = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115
            try:
                service.export(file, format, visitor=whose)
                file.seek(0)
            except BaseException:
                file.close()
                raise
            return file  # type: ignore[no-any-return]

        file = await in_thread(work)
        kind, _, simplified = format.partition("-")
        media, suffix = _MEDIA.get(kind, ("application/octet-stream", kind))
        name = f"drawings{'-simplified' if simplified else ''}.{suffix}"
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
        return StreamingResponse(blocks(file), media_type=media, headers=headers)

    @app.patch(
        "/v1/drawings/{id}",
        summary="Change a drawing's label",
        response_model=models.DrawingItem,
        openapi_extra=models.RELABEL_REQUEST,
        responses=models.RELABEL_RESPONSES,
        operation_id="relabel_drawing",
    )
    async def relabel_drawing(
        request: Request,
        id: Annotated[str, _ID],
        visitor: Annotated[str | None, VISITOR] = None,
    ) -> Response:
        """Give one of your drawings another word."""
        service, who = draw(), known_visitor(visitor)
        body = await read_json_body(request, _MAX_SMALL_BODY)
        label = _text(parse_json_object(body), "label")
        drawing = await in_thread(lambda: service.relabel(id, label, who))
        return answer(drawing.to_dict())

    @app.delete(
        "/v1/drawings/{id}",
        summary="Delete a drawing",
        response_model=models.DeletedResponse,
        responses=models.DELETE_RESPONSES,
        operation_id="delete_drawing",
    )
    async def delete_drawing(
        id: Annotated[str, _ID], visitor: Annotated[str | None, VISITOR] = None
    ) -> Response:
        """Delete one of your drawings, and what was learnt from it."""
        service, who = draw(), known_visitor(visitor)
        await in_thread(lambda: service.delete(id, who))
        return answer({"deleted": 1})

    @app.get(
        "/v1/words",
        summary="Words for drawings",
        response_model=models.WordsResponse,
        responses=models.WORDS_RESPONSES,
        operation_id="words",
    )
    async def words(
        request: Request,
        query: Annotated[
            str, Query(max_length=64, description="Part of a name, in either language.")
        ] = "",
        lang: Annotated[Language | None, _LANG] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 20,
        visitor: Annotated[str | None, VISITOR] = None,
    ) -> Response:
        """Complete a label: words that the model knows, and those that the visitor taught."""
        service, who = draw(), visitor_of(visitor)
        chosen = lang or language(request)
        found = await in_thread(lambda: service.words(query, lang=chosen, visitor=who, limit=limit))
        return answer({"words": [word.to_dict(chosen) for word in found]}, chosen)

    @app.put(
        "/v1/words/{word}",
        summary="Accept a word for all",
        response_model=models.AcceptedResponse,
        responses=models.ACCEPT_RESPONSES,
        operation_id="accept_word",
    )
    async def accept_word(
        request: Request,
        word: Annotated[str, _WORD],
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """The app's owner lets every recogniser know a word that somebody taught.

        It is learnt from the drawings that were given with consent.
        """
        service = draw()
        owner_only(service, authorization, client_of(request))
        await in_thread(lambda: service.accept(word))
        return answer({"accepted": list(await in_thread(lambda: service.accepted))})

    @app.delete(
        "/v1/words/{word}",
        summary="Undo the acceptance of a word",
        response_model=models.AcceptedResponse,
        responses=models.ACCEPT_RESPONSES,
        operation_id="reject_word",
    )
    async def reject_word(
        request: Request,
        word: Annotated[str, _WORD],
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """Only those who drew it know the word then."""
        service = draw()
        owner_only(service, authorization, client_of(request))
        await in_thread(lambda: service.reject(word))
        return answer({"accepted": list(await in_thread(lambda: service.accepted))})


def answer(data: Any, lang: str | None = None, status: int = 200) -> JSONResponse:
    """An answer that nobody keeps, in a language if it holds words of one."""
    headers = {"Cache-Control": "no-store"}
    if lang is not None:
        headers["Content-Language"] = lang
    return JSONResponse(data, status, headers)


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Read a file out, and close it."""
    with file:
        while block := file.read(2**16):
            yield block


# --- who asks -----------------------------------------------------------------------------------

_VISITOR_FORM = re.compile(models.VISITOR_PATTERN)


def client_of(request: Request) -> str:
    """The address that a request comes from, or nothing where it is not known."""
    return request.client.host if request.client is not None else ""


def visitor_of(visitor: str | None) -> str:
    """The visitor, or nothing for who does not say; what cannot be an id is refused."""
    if visitor is None:
        return ""
    return known_visitor(visitor)


def known_visitor(visitor: str | None) -> str:
    """The visitor, who has to say who they are.

    Raises
    ------
    RequestError
        ``visitor-missing``.
    """
    if visitor is None or _VISITOR_FORM.fullmatch(visitor) is None:
        raise RequestError("visitor-missing")
    return visitor


def owner_only(service: DrawServices, authorization: str | None, client: str) -> None:
    """Let the app's owner pass and nobody else.

    Raises
    ------
    TaggerError
        As `DrawServices.check_owner`.
    """
    service.check_owner(token_of(authorization), client)


def token_of(authorization: str | None) -> str:
    """The bearer token of a header, or nothing."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


# --- what was sent ------------------------------------------------------------------------------


def _field(data: dict[str, Any], name: str) -> Any:
    if name not in data:
        raise RequestError("request-invalid", field=name, reason="it is missing")
    return data[name]


def _text(data: dict[str, Any], name: str) -> str:
    value = _field(data, name)
    if not isinstance(value, str):
        raise RequestError("request-invalid", field=name, reason="it must be a text")
    return value


def _flag(data: dict[str, Any], name: str) -> bool:
    value = data.get(name, False)
    if not isinstance(value, bool):
        raise RequestError("request-invalid", field=name, reason="it must be true or false")
    return value


def _predicted(data: dict[str, Any]) -> list[tuple[str, float]]:
    entries = data.get("predicted", [])
    pairs = []
    for entry in entries if isinstance(entries, list) else [None]:
        match entry:
            case {"word": str() as word, "probability": float() | int() as probability}:
                pairs.append((word, float(probability)))
            case _:
                reason = "it must be a list of objects with word and probability"
                raise RequestError("request-invalid", field="predicted", reason=reason)
    return pairs
