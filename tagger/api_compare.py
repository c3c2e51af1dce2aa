"""The REST API's addresses to compare: two pictures, sets in order, votes and tastes.

A taste belongs to whoever sends the header ``X-Visitor`` that its votes were sent with, as drawings
do; see `tagger.api_draw`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from tagger import api_compare_forms as forms
from tagger import api_compare_models as models
from tagger.api_draw import (
    TOKEN,
    VISITOR,
    answer,
    blocks,
    client_of,
    known_visitor,
    token_of,
    visitor_of,
)
from tagger.collection.vote_records import VoteSource
from tagger.comparing import CompareServices
from tagger.comparing.ballots import MAX_NEXT, MAX_PENDING
from tagger.comparing.keeping import MAX_BYTES as MAX_PROFILE
from tagger.errors import RequestError, TaggerError
from tagger.intake import WaitingLine, Workers, parse_json_object, read_json_body
from tagger.languages import Language
from tagger.problems import language
from tagger.services import Services
from tagger.uploads import file_name, received, request_bytes

# Scores and ratings of 100,000 pictures.
_MAX_ROWS = 8 * 2**20
# Descriptions of 2000 pictures, and what judges them.
_MAX_DESCRIBED = 2000 * 4096 + MAX_PROFILE
# A vote, with as many pairs pending as there may be.
_MAX_VOTE = 16 * 1024
_MAX_SMALL_BODY = 4096
_SPOOL = 2**20
_MEDIA = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

_LANG = Query(description="Language of labels and messages; by default what the browser prefers.")

_OFFSET = Query(ge=0, le=10**9, description="How many to leave out at the start.")

Lang = Annotated[Language | None, _LANG]
Offset = Annotated[int, _OFFSET]
Visitor = Annotated[str | None, VISITOR]
Token = Annotated[str | None, TOKEN]


def add_routes(app: FastAPI, services: Services) -> None:
    """Add the addresses below ``/v1``; without a gallery there are no votes, but all else is."""
    settings = services.settings
    in_thread = Workers(2 * settings.threads, settings.queue_size, "api-compare")
    with_model = Workers(settings.concurrency, settings.queue_size, "api-compare-model")
    for_exports = Workers(1, 4, "api-compare-export")
    line = WaitingLine(settings.queue_size)
    two_pictures = request_bytes(int(settings.max_bytes), 2) + MAX_PROFILE
    many_pictures = request_bytes(int(settings.max_bytes)) + MAX_PROFILE + forms.MAX_RATINGS

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
        client = client_of(request)
        data = await in_thread(lambda: service.rankers(who, chosen, client=client))
        return answer(data, chosen)

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
                forms.check_fields(form, forms.COMPARED)
                left, right = (forms.side_of(form, side) for side in models.SIDES)
                ranker, hash = forms.text_of(form, "ranker"), forms.text_of(form, "hash") or None

                def work() -> dict[str, Any]:
                    return service.compare(
                        left,
                        right,
                        ranker=ranker,
                        profile=forms.profile_of(form),
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

        With `describe`, each picture has a `description`: what the model saw, some kilobytes of
        text, by which `POST v1/rank/scores` lets another ranker judge it.
        """
        service, who, chosen = comparing(), visitor_of(visitor), lang or language(request)
        client = client_of(request)
        await in_thread(lambda: service.expect(0, client))
        with line.place():
            most = settings.max_files + 2
            async with received(request, most, many_pictures, forms.MAX_RATINGS) as form:
                forms.check_fields(form, forms.RANKED)
                files = forms.pictures_of(form, settings.max_files)
                ranker, top = forms.text_of(form, "ranker"), forms.number_of(form, "top")
                described = forms.flag_of(form, "describe")

                def work() -> dict[str, Any]:
                    ratings = forms.ratings_of(form)
                    return ranked(
                        service,
                        [(file.filename or "", file.file) for file in files],
                        ranker=ranker,
                        profile=forms.profile_of(form),
                        ratings=forms.by_place(files, ratings),
                        top=top,
                        described=described,
                        visitor=who,
                        lang=chosen,
                        client=client,
                    )

                return answer(await with_model(work), chosen)

    @app.post(
        "/v1/rank/scores",
        summary="Score described pictures by another ranker",
        response_model=models.ScoresResponse,
        openapi_extra=models.SCORES_REQUEST,
        responses=models.SCORES_RESPONSES,
        operation_id="score_descriptions",
    )
    async def scores(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """Send descriptions of `POST v1/rank`, get a score for each, without sending pictures.

        They are good for the model that made them: another one answers 409.
        """
        service, who, chosen = comparing(), visitor_of(visitor), lang or language(request)
        body = await read_json_body(request, _MAX_DESCRIBED)
        client = client_of(request)

        def work() -> dict[str, Any]:
            sent = parse_json_object(body)
            ranker = sent.get("ranker") or ""
            if not isinstance(ranker, str):
                raise RequestError("request-invalid", field="ranker", reason="it must be a text")
            return service.rescore(
                forms.needed(sent, "descriptions"),
                model=forms.needed(sent, "model"),
                ranker=ranker,
                profile=sent.get("profile"),
                visitor=who,
                lang=chosen,
                client=client,
            )

        return answer(await in_thread(work), chosen)

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
        service, client = comparing(), client_of(request)
        body = await read_json_body(request, _MAX_ROWS)

        def work() -> Any:
            return service.evaluate(parse_json_object(body).get("pictures"), client=client)

        return answer(await in_thread(work))

    # --- votes -----------------------------------------------------------------------------------

    @app.get(
        "/v1/votes/next",
        summary="What to vote on next",
        response_model=models.NextResponse,
        responses=models.NEXT_RESPONSES,
        operation_id="next_votes",
    )
    async def next_votes(
        request: Request,
        count: Annotated[int, Query(ge=1, le=MAX_NEXT, description="How many pairs.")] = 3,
        pending: Annotated[
            str,
            Query(
                max_length=40 * MAX_PENDING,
                description="Pairs that you have and will vote on, with commas: `12-45-active`.",
            ),
        ] = "",
        lang: Lang = None,
        visitor: Visitor = None,
    ) -> Response:
        """Pairs of pictures of the gallery whose votes teach the visitor's taste most.

        Some are asked to judge what was learnt (`check`), and one in ten is an earlier pair with
        its sides swapped (`repeat`), to learn how much the visitor agrees with themselves.
        """
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        asked, client = forms.pending_of(pending), client_of(request)
        data = await in_thread(
            lambda: service.next_pairs(who, count, asked, lang=chosen, client=client)
        )
        return answer(data, chosen)

    @app.post(
        "/v1/votes",
        summary="Vote",
        status_code=201,
        response_model=models.SavedVote,
        openapi_extra=models.VOTE_REQUEST,
        responses=models.VOTE_RESPONSES,
        operation_id="vote",
    )
    async def vote(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """Say which of two pictures you prefer; the visitor's taste learns from it at once.

        Send JSON with numbers of the gallery, or `multipart/form-data` with pictures of your own:
        of these a description by the model is kept, and never given away. Without `consent` nobody
        else gets the vote. It is on the disk when the answer comes: 201, or 200 if it was there
        already because the same `key` was sent again.
        """
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        client = client_of(request)
        # As browsers say; programs do not.
        on_page = request.headers.get("sec-fetch-site") == "same-origin"

        def keep(ballot: Mapping[str, Any]) -> dict[str, Any]:
            source: VoteSource = "page" if on_page else "api"
            return service.vote(who, ballot, source=source, lang=chosen, client=client)

        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            await in_thread(lambda: service.expect(0, client))
            with line.place():
                async with received(request, 2, two_pictures, _MAX_VOTE) as form:
                    ballot = forms.ballot_of(form)
                    saved = await with_model(lambda: keep(ballot))
        else:
            body = await read_json_body(request, _MAX_VOTE)
            saved = await in_thread(lambda: keep(parse_json_object(body)))
        return answer(saved, chosen, 200 if saved["duplicate"] else 201)

    @app.get(
        "/v1/votes",
        summary="Your own votes",
        response_model=models.VotesResponse,
        responses=models.VOTES_RESPONSES,
        operation_id="list_votes",
    )
    async def list_votes(
        request: Request,
        offset: Offset = 0,
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
        lang: Lang = None,
        visitor: Visitor = None,
    ) -> Response:
        """List the visitor's votes, newest first."""
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        client = client_of(request)

        def work() -> dict[str, Any]:
            return service.votes(who, offset=offset, limit=limit, lang=chosen, client=client)

        return answer(await in_thread(work), chosen)

    @app.delete(
        "/v1/votes",
        summary="Take back all your votes",
        response_model=models.ForgottenResponse,
        responses=models.FORGET_RESPONSES,
        operation_id="withdraw_votes",
    )
    async def withdraw_votes(visitor: Visitor = None) -> Response:
        """Delete all of the visitor's votes, and the taste, whatever it was learnt from."""
        service, who = comparing(), known_visitor(visitor)
        return answer(await in_thread(lambda: service.withdraw(who)))

    @app.get(
        "/v1/votes/export",
        summary="Votes as a file",
        response_class=Response,
        responses=models.EXPORT_RESPONSES,
        operation_id="export_votes",
    )
    async def export_votes(
        request: Request,
        format: Annotated[
            Literal["jsonl", "csv", "parquet"], Query(description="Of the file.")
        ] = "jsonl",
        visitor: Visitor = None,
        authorization: Token = None,
    ) -> Response:
        """The app's owner gets all that was given with consent, a visitor all of their own.

        The owner sends `Authorization: Bearer` and their token; a visitor sends `X-Visitor`.
        """
        service, client = comparing(), client_of(request)
        whose = None if authorization is not None else known_visitor(visitor)

        def work() -> BinaryIO:
            if whose is None:
                service.check_owner(token_of(authorization), client)
            # Closed by whoever reads it out.
            file: Any = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115
            try:
                service.export(file, format, visitor=whose, client=client)
                file.seek(0)
            except BaseException:
                file.close()
                raise
            return file  # type: ignore[no-any-return]

        file = await for_exports(work)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="votes.{format}"',
        }
        return StreamingResponse(blocks(file), media_type=_MEDIA[format], headers=headers)

    @app.get(
        "/v1/votes/report",
        summary="What all voters together say",
        response_model=models.ReportResponse,
        responses=models.REPORT_RESPONSES,
        operation_id="report_votes",
    )
    async def report(request: Request, lang: Lang = None, authorization: Token = None) -> Response:
        """For the app's owner: the pictures' standings by the votes given with consent.

        Strengths are Bradley and Terry's, with bootstrap intervals. Beside them stands what tells
        whether the votes can be trusted: the share of the left side, votes given twice, voters
        who vote unlike all others.
        """
        service, chosen, client = comparing(), lang or language(request), client_of(request)
        token = token_of(authorization)
        return answer(await for_exports(lambda: service.report(token, client, chosen)), chosen)

    @app.delete(
        "/v1/votes/{id}",
        summary="Take back a vote",
        status_code=204,
        response_class=Response,
        responses=models.UNDO_RESPONSES,
        operation_id="undo_vote",
    )
    async def undo_vote(
        id: Annotated[str, Path(max_length=64, description="Of a vote of your own.")],
        visitor: Visitor = None,
    ) -> Response:
        """Delete one of the visitor's votes, and what was learnt from it."""
        service, who = comparing(), known_visitor(visitor)
        await in_thread(lambda: service.undo(who, id))
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    # --- tastes ----------------------------------------------------------------------------------

    @app.get(
        "/v1/taste",
        summary="What your votes have taught",
        response_model=models.TasteResponse,
        responses=models.TASTE_RESPONSES,
        operation_id="taste",
    )
    async def taste(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """What the visitor's taste likes, in tags, and how well it is known.

        `agreement` is with votes that it had not learnt from, `consistency` how much the visitor
        agrees with themselves, and so the most that any taste can reach.
        """
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        client = client_of(request)
        data = await in_thread(lambda: service.taste(who, lang=chosen, client=client))
        return answer(data, chosen)

    @app.get(
        "/v1/taste/order",
        summary="The gallery in order",
        response_model=models.OrderResponse,
        responses=models.ORDER_RESPONSES,
        operation_id="taste_order",
    )
    async def order(
        request: Request,
        ranker: Annotated[
            str, Query(max_length=200, description="By which, from `GET v1/rankers`.")
        ] = "taste",
        offset: Offset = 0,
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 24,
        worst: Annotated[bool, Query(description="The worst first.")] = False,
        lang: Lang = None,
        visitor: Visitor = None,
    ) -> Response:
        """The gallery's pictures by a ranker or the visitor's taste, the best first."""
        service, who, chosen = comparing(), visitor_of(visitor), lang or language(request)
        client = client_of(request)

        def work() -> dict[str, Any]:
            return service.order(
                who,
                ranker=ranker,
                offset=offset,
                limit=limit,
                worst_first=worst,
                lang=chosen,
                client=client,
            )

        return answer(await in_thread(work), chosen)

    @app.put(
        "/v1/taste/words",
        summary="Say how much you like a tag",
        response_model=models.TasteResponse,
        openapi_extra=models.WORDS_REQUEST,
        responses=models.TAUGHT_RESPONSES,
        operation_id="taste_words",
    )
    async def taste_words(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """Set a tag's weight by hand; what else the visitor's taste thinks adapts to it."""
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        body, client = await read_json_body(request, _MAX_SMALL_BODY), client_of(request)

        def work() -> dict[str, Any]:
            sent = parse_json_object(body)
            tag, weight = (forms.needed(sent, name) for name in ("tag", "weight"))
            return service.edit(who, tag, weight, lang=chosen, client=client)

        return answer(await in_thread(work), chosen)

    @app.get(
        "/v1/taste/profile",
        summary="Your taste as a file",
        response_class=Response,
        responses=models.PROFILE_RESPONSES,
        operation_id="taste_profile",
    )
    async def profile(request: Request, visitor: Visitor = None) -> Response:
        """Some kilobytes of JSON, bound to the model: it scores pictures wherever that model is.

        It holds the visitor's votes as numbers, but no picture, and no name of one.
        """
        service, who, client = comparing(), known_visitor(visitor), client_of(request)
        data = await in_thread(lambda: service.profile(who, client=client))
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="taste.json"',
        }
        return Response(data, media_type="application/json", headers=headers)

    @app.put(
        "/v1/taste/profile",
        summary="Take a taste from a file",
        response_model=models.TasteResponse,
        openapi_extra=models.PROFILE_REQUEST,
        responses=models.TAUGHT_RESPONSES,
        operation_id="load_taste",
    )
    async def load(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """It takes the place of the visitor's taste; from a ranker the taste begins.

        Votes given before stay in the collection, but are no part of the taste any more.
        """
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        body, client = await read_json_body(request, MAX_PROFILE), client_of(request)
        data = await in_thread(lambda: service.load(who, body, lang=chosen, client=client))
        return answer(data, chosen)

    @app.post(
        "/v1/taste/blend",
        summary="Mix another taste into yours",
        response_model=models.TasteResponse,
        openapi_extra=models.BLEND_REQUEST,
        responses=models.TAUGHT_RESPONSES,
        operation_id="blend_taste",
    )
    async def blend(request: Request, lang: Lang = None, visitor: Visitor = None) -> Response:
        """What comes of it is the visitor's taste from then on, and learns from further votes."""
        service, who, chosen = comparing(), known_visitor(visitor), lang or language(request)
        body = await read_json_body(request, MAX_PROFILE + _MAX_SMALL_BODY)
        client = client_of(request)

        def work() -> dict[str, Any]:
            sent = parse_json_object(body)
            theirs, share = (forms.needed(sent, name) for name in ("profile", "share"))
            return service.blend(who, theirs, share, lang=chosen, client=client)

        return answer(await in_thread(work), chosen)


def ranked(
    service: CompareServices, files: Sequence[tuple[str, Any]], **more: Any
) -> dict[str, Any]:
    """JSON-ready: files in order, whose names may repeat, by their names as sent and their places.

    Parameters
    ----------
    service : CompareServices
        What orders them.
    files : sequence of (str, source)
        Names and pictures.
    **more
        Of :meth:`CompareServices.rank`; ratings by place, as text.
    """
    found = service.rank([(str(place), file) for place, (_, file) in enumerate(files)], **more)
    for picture in found["pictures"]:
        place = int(picture["name"])
        picture.update(name=file_name(files[place][0]), place=place)
    return found
