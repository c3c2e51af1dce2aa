"""The REST API's addresses to compare: two pictures, sets in order, votes and tastes.

A taste belongs to whoever sends the header ``X-Visitor`` that its votes were sent with, as drawings
do; see `tagger.api_draw`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, BinaryIO

from fastapi import FastAPI, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from tagger import api_compare_models as models
from tagger.api_draw import VISITOR, answer, client_of, visitor_of
from tagger.comparing import CompareServices
from tagger.errors import LimitError, RequestError, TaggerError
from tagger.intake import WaitingLine, Workers, parse_json_object, read_json_body
from tagger.languages import Language
from tagger.preference.ranker import read_json
from tagger.preference.ratings import read_object, read_table
from tagger.problems import language
from tagger.services import Services
from tagger.uploads import file_name, received, request_bytes

# A saved taste has some kilobytes, with thousands of votes on pictures of one's own a megabyte.
_MAX_PROFILE = 8 * 2**20
# Of some ten thousand pictures.
_MAX_RATINGS = 2**20
# Scores and ratings of 100,000 pictures.
_MAX_ROWS = 8 * 2**20

_PICTURES = ("file", "files")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

_LANG = Query(description="Language of labels and messages; by default what the browser prefers.")

Lang = Annotated[Language | None, _LANG]
Visitor = Annotated[str | None, VISITOR]


def add_routes(app: FastAPI, services: Services) -> None:
    """Add the addresses below ``/v1``; without a gallery there are no votes, but all else is."""
    settings = services.settings
    in_thread = Workers(2 * settings.threads, settings.queue_size, "api-compare")
    with_model = Workers(settings.concurrency, settings.queue_size, "api-compare-model")
    line = WaitingLine(settings.queue_size)
    two_pictures = request_bytes(int(settings.max_bytes), 2) + _MAX_PROFILE
    many_pictures = request_bytes(int(settings.max_bytes)) + _MAX_PROFILE + _MAX_RATINGS

    def comparing() -> CompareServices:
        if services.compare is None:
            raise TaggerError("compare-off")
        return services.compare

    # --- pictures --------------------------------------------------------------------------------

    @app.get(
        "/v1/rankers",
        summary="What can say which picture is preferred",
        response_model=models.RankersResponse,
        responses=models.RANKERS_RESPONSES,
        operation_id="rankers",
    )
    async def rankers(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """The server's own ranker, the visitor's taste, and the gallery that is voted on.

        A taste is `ready` after some votes of `X-Visitor`.
        """
        service, who, chosen = comparing(), visitor_of(visitor), lang or language(request)
        return answer(await in_thread(lambda: service.rankers(who, chosen)), chosen)

    @app.post(
        "/v1/compare",
        summary="Which of two pictures is preferred",
        response_model=models.CompareResponse,
        openapi_extra=models.COMPARE_REQUEST,
        responses=models.COMPARE_RESPONSES,
        operation_id="compare",
    )
    async def compare(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """Send two pictures as `multipart/form-data`, `left` and `right`.

        Either may be a picture of the gallery instead, by `left_number` or `right_number`. `why`
        are the tags that speak most for one of them, by what judges. Nothing of the pictures is
        kept.
        """
        service, who, chosen = comparing(), visitor_of(visitor), lang or language(request)
        client = client_of(request)
        # Before anything is received: a flood should cost nothing.
        await in_thread(lambda: service.expect(0, client))
        with line.place():
            async with received(request, 3, two_pictures) as form:
                _check_fields(form, _COMPARED)
                left, right = (_side(form, side) for side in models.SIDES)
                ranker, hash = _text(form, "ranker"), _text(form, "hash") or None

                def work() -> dict[str, Any]:
                    return service.compare(
                        left,
                        right,
                        ranker=ranker,
                        profile=_profile(form),
                        visitor=who,
                        hash=hash,
                        lang=chosen,
                        client=client,
                    )

                looks = not (isinstance(left, int) and isinstance(right, int))
                return answer(await (with_model if looks else in_thread)(work), chosen)

    @app.post(
        "/v1/rank",
        summary="Put pictures in order",
        response_model=models.RankResponse,
        openapi_extra=models.RANK_REQUEST,
        responses=models.RANK_RESPONSES,
        operation_id="rank",
    )
    async def rank(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """Send pictures as `multipart/form-data`, in fields named `files` (or `file`).

        The best comes first. Each is scored by itself, so that the answers to several requests
        can be put together. Those that cannot be read are listed with their `error`. With
        `ratings` you are told how good the order is: NDCG of gains `2^grade - 1`, where the grade
        is the rating stretched to 0 to 4 and the discount of a rank `1 / log2(1 + rank)`; the
        share of pairs in the right order; Kendall's tau-b.
        """
        service, who, chosen = comparing(), visitor_of(visitor), lang or language(request)
        client = client_of(request)
        await in_thread(lambda: service.expect(0, client))
        with line.place():
            most = settings.max_files + 2
            async with received(request, most, many_pictures, _MAX_RATINGS) as form:
                _check_fields(form, _RANKED)
                files = _pictures(form, settings.max_files)
                ranker, top = _text(form, "ranker"), _number(form, "top")

                def work() -> dict[str, Any]:
                    ratings = _ratings(form)
                    # Names may repeat: within, pictures go by their places.
                    found = service.rank(
                        [(str(place), file.file) for place, file in enumerate(files)],
                        ranker=ranker,
                        profile=_profile(form),
                        ratings=_by_place(files, ratings),
                        top=top,
                        visitor=who,
                        lang=chosen,
                        client=client,
                    )
                    for picture in found["pictures"]:
                        place = int(picture["name"])
                        picture["name"] = file_name(files[place].filename)
                        picture["place"] = place
                    return found

                return answer(await with_model(work), chosen)

    @app.post(
        "/v1/rank/evaluate",
        summary="How good an order is",
        response_model=models.Evaluation | None,
        openapi_extra=models.EVALUATE_REQUEST,
        responses=models.EVALUATE_RESPONSES,
        operation_id="evaluate_rank",
    )
    async def evaluate(request: Request) -> Response:
        """Send scores, put together from any number of `POST v1/rank`, with ratings.

        Says the same as `POST v1/rank` of all of them at once; null of fewer than two.
        """
        service = comparing()
        body = await read_json_body(request, _MAX_ROWS)

        def work() -> Any:
            return service.evaluate(parse_json_object(body).get("pictures"))

        return answer(await in_thread(work))


# --- what was sent -------------------------------------------------------------------------------

_COMPARED = frozenset({*models.SIDES, "left_number", "right_number", "hash", "ranker", "profile"})
_RANKED = frozenset({*_PICTURES, "ranker", "profile", "ratings", "top"})


def _check_fields(form: FormData, known: frozenset[str]) -> None:
    """Refuse what would be ignored, and what is given twice but for pictures of a set."""
    seen: set[str] = set()
    for field, _ in form.multi_items():
        if field not in known or (field in seen and field not in _PICTURES):
            twice = "it is given twice" if field in seen else "there is no such field"
            raise RequestError("request-invalid", field=file_name(field), reason=twice)
        seen.add(field)


def _text(form: FormData, field: str) -> str:
    value = form.get(field, "")
    if not isinstance(value, str):
        raise RequestError("request-invalid", field=field, reason="it must be a text")
    return value


def _number(form: FormData, field: str) -> int | None:
    text = _text(form, field)
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise RequestError("request-invalid", field=field, reason="it must be a whole number")
    return int(text)


def _file(form: FormData, field: str) -> UploadFile | None:
    value = form.get(field)
    if isinstance(value, str):
        # As a field that was left empty; a text is no file.
        if value:
            raise RequestError("request-invalid", field=field, reason="it must be a file")
        return None
    # A browser sends a form's empty file field as a nameless empty file.
    return value if value is not None and (value.filename or value.size) else None


def _side(form: FormData, side: str) -> BinaryIO | int:
    """A picture of a pair, or its number in the gallery."""
    file, number = _file(form, side), _number(form, f"{side}_number")
    if (file is None) == (number is None):
        reason = f"either a picture or {side}_number is needed"
        raise RequestError("request-invalid", field=side, reason=reason)
    if file is not None:
        return file.file
    assert number is not None
    return number


def _pictures(form: FormData, most: int) -> list[UploadFile]:
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


def _profile(form: FormData) -> Any:
    """A ranker or taste, as JSON that nobody has looked at; None where there is none."""
    data = _read(form, "profile", _MAX_PROFILE)
    if data is None:
        return None
    # Whatever it is: not null, which would stand for nothing.
    return read_json(data, "taste-damaged") or {}


def _ratings(form: FormData) -> Mapping[str, float]:
    value = form.get("ratings")
    data = value.encode() if isinstance(value, str) else _read(form, "ratings", _MAX_RATINGS)
    if not data:
        return {}
    if data.lstrip()[:1] == b"{":
        return read_object(read_json(data, "ratings-table-invalid"))
    return read_table(data)


def _by_place(files: list[UploadFile], ratings: Mapping[str, float]) -> dict[str, float]:
    """The ratings of those that have one, by the name as sent, else by the last part of it."""
    found: dict[str, float] = {}
    for place, file in enumerate(files):
        for name in (file.filename or "", file_name(file.filename)):
            if name in ratings:
                found[str(place)] = ratings[name]
                break
    return found
