"""The REST API's addresses to explore: the map, its pictures, what is near, what a set shares.

Whatever the hash of a map fixes may be kept for good by whoever asks with that hash; a hash that
is no longer the map's is refused. Pictures are known by numbers alone.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tempfile
from collections.abc import Mapping
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import FastAPI, Path, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response, StreamingResponse

from tagger import api_explore_models as models
from tagger.api_draw import answer, blocks, client_of
from tagger.errors import LimitError, RequestError, TaggerError
from tagger.exploring import ExploreServices
from tagger.exploring.service import MAX_NEIGHBOURS, MAX_NUMBERS, MAX_QUERY
from tagger.intake import WaitingLine, Workers, parse_json_object, read_json_body
from tagger.languages import Language
from tagger.problems import language, problem
from tagger.services import Outcome, Services
from tagger.uploads import file_name, request_bytes, uploads

# A mask of a million pictures, and edits of the tags of all of 100,000.
_MAX_MASK = 256 * 1024
_MAX_EDITS = 8 * 2**20
# An embedding as JSON.
_MAX_EMBEDDING = 512 * 1024
_SPOOL = 2**20
# Answers from this size on are worth packing.
_PACKED = 1024

_FOR_GOOD = "public, max-age=31536000, immutable"
# Words in it may change with the program.
_A_WHILE = "public, max-age=600"
# A drawing may be taken back.
_SHORTLY = "private, max-age=60"
_ASK_AGAIN = "no-cache"

_LANG = Query(description="Language of labels and messages; by default what the browser prefers.")
_MAP = Query(description="Which map: the gallery's, or that of the collected drawings.")
_HASH = Query(
    max_length=64,
    description="Of the map that you know, from `GET v1/map`; refused if it has changed.",
)
_NUMBER = Path(ge=0, le=10**9, description="Of a picture, from 0 on.")
_K = Query(ge=1, le=MAX_NEIGHBOURS, description="How many neighbours at most.")

MapName = Literal["gallery", "drawings"]
Map = Annotated[MapName, _MAP]
Hash = Annotated[str | None, _HASH]
Lang = Annotated[Language | None, _LANG]

_MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json", "zip": "application/zip"}


def add_routes(app: FastAPI, services: Services) -> None:
    """Add the addresses below ``/v1``; without a gallery they answer that there is none."""
    settings = services.settings
    in_thread = Workers(2 * settings.threads, settings.queue_size, "api-explore")
    # Of their own: hovering must not wait for somebody's export.
    for_pictures = Workers(2, 4 * settings.queue_size, "api-explore-pictures")
    with_model = Workers(settings.concurrency, settings.queue_size, "api-explore-model")
    for_exports = Workers(1, 4, "api-explore-export")
    line = WaitingLine(settings.queue_size)
    one_picture = request_bytes(int(settings.max_bytes), 1)
    many_pictures = request_bytes(int(settings.max_bytes))

    def explore() -> ExploreServices:
        if services.explore is None:
            raise TaggerError("explore-off")
        return services.explore

    # --- the map as a whole ----------------------------------------------------------------------

    @app.get(
        "/v1/map",
        summary="A map of pictures",
        response_model=models.MapResponse,
        responses=models.MAP_RESPONSES,
        operation_id="map",
    )
    async def about(request: Request, map: Map = "gallery", lang: Lang = None) -> Response:
        """What the map shows, how it was made, what colours it may be given.

        Until `status` is `ready`, the rest is missing: ask again. The points themselves are in
        `GET v1/map/points`.
        """
        service, chosen = explore(), lang or language(request)
        return await in_thread(
            lambda: _json(request, service.about(map, chosen), chosen, _ASK_AGAIN)
        )

    @app.get(
        "/v1/map/points",
        summary="All points of a map",
        response_class=Response,
        responses=models.POINTS_RESPONSES,
        operation_id="map_points",
    )
    async def points(request: Request, map: Map = "gallery", hash: Hash = None) -> Response:
        """Binary columns, one after another, little-endian, N values each.

        `x` and `y` as uint16, `category`, `source`, `language` and `trust` as uint8: 8 bytes a
        point. A position is `low + value / 65535 * (high - low)` within the map's `bounds`; the
        three in the middle are values of the map's `legends`; trust is 0 to 255.
        """
        service = explore()
        return await in_thread(lambda: _column(request, service.points(map, hash), map, hash))

    @app.get(
        "/v1/map/columns/{name}",
        summary="One more column of a map",
        response_class=Response,
        responses=models.COLUMN_RESPONSES,
        operation_id="map_column",
    )
    async def column(
        request: Request,
        name: Annotated[str, Path(max_length=40, description="`z`, or `tag-` and its number.")],
        map: Map = "gallery",
        hash: Hash = None,
    ) -> Response:
        """The third dimension `z` as uint16, or a tag (`tag-7`) as uint8.

        A tag is 255 where people gave it, else its probability times 254, where the model gives it.
        """
        service = explore()
        return await in_thread(lambda: _column(request, service.column(name, map, hash), map, hash))

    # --- its pictures ----------------------------------------------------------------------------

    @app.get(
        "/v1/map/pictures",
        summary="Some pictures of a map at a glance",
        response_model=models.PicturesResponse,
        responses=models.PICTURES_RESPONSES,
        operation_id="map_pictures",
    )
    async def pictures(
        request: Request,
        numbers: Annotated[
            str,
            Query(
                max_length=MAX_NUMBERS * 11,
                description="Of the pictures, with commas; at most 200.",
            ),
        ],
        map: Map = "gallery",
        hash: Hash = None,
        lang: Lang = None,
    ) -> Response:
        """Title, author and first tags of each, in the order asked for."""
        service, chosen = explore(), lang or language(request)
        wanted, client = _numbers(numbers), client_of(request)

        def work() -> Response:
            data = service.briefs(wanted, map=map, hash=hash, lang=chosen, client=client)
            return _json(request, data, chosen, _kept(map, hash, _A_WHILE))

        return await for_pictures(work)

    @app.get(
        "/v1/map/pictures/{number}",
        summary="A picture of a map",
        response_model=models.PictureDetail,
        responses=models.DETAIL_RESPONSES,
        operation_id="map_picture",
    )
    async def detail(
        request: Request,
        number: Annotated[int, _NUMBER],
        k: Annotated[int, _K] = 12,
        map: Map = "gallery",
        hash: Hash = None,
        lang: Lang = None,
    ) -> Response:
        """All its tags, what is known of it, and its true neighbours, which the map may part.

        `shared` are the tags that it has in common with a neighbour, the rarest first.
        """
        service, chosen = explore(), lang or language(request)
        client = client_of(request)

        def work() -> Response:
            data = service.detail(number, k=k, map=map, hash=hash, lang=chosen, client=client)
            return _json(request, data, chosen, _kept(map, hash, _A_WHILE))

        return await in_thread(work)

    @app.get(
        "/v1/map/pictures/{number}/image",
        summary="A picture's file, small",
        response_class=Response,
        responses=models.IMAGE_RESPONSES,
        operation_id="map_image",
    )
    async def image(
        request: Request,
        number: Annotated[int, _NUMBER],
        map: Map = "gallery",
        hash: Hash = None,
    ) -> Response:
        """WebP, at most 160 pixels wide and high."""
        service = explore()
        data, media = await for_pictures(lambda: service.image(number, map=map, hash=hash))
        headers = {"Cache-Control": _kept(map, hash, _FOR_GOOD)}
        return _fixed(request, data, media, headers)

    @app.get(
        "/v1/map/search",
        summary="Find pictures and tags by text",
        response_model=models.SearchResponse,
        responses=models.SEARCH_RESPONSES,
        operation_id="map_search",
    )
    async def search(
        request: Request,
        q: Annotated[
            str, Query(max_length=MAX_QUERY, description="Part of a title, an author or a tag.")
        ] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_NUMBERS, description="How many at most.")] = 50,
        map: Map = "gallery",
        hash: Hash = None,
        lang: Lang = None,
    ) -> Response:
        """Titles and authors of pictures; names and aliases of tags in both languages.

        Case, accents, width and kana make no difference. What begins with the text comes first.
        """
        service, chosen = explore(), lang or language(request)
        client = client_of(request)

        def work() -> Response:
            data = service.search(q, limit=limit, map=map, hash=hash, lang=chosen, client=client)
            return _json(request, data, chosen, _ASK_AGAIN)

        return await in_thread(work)

    # --- sets of them ----------------------------------------------------------------------------

    @app.post(
        "/v1/map/selection",
        summary="What a set of pictures shares",
        response_model=models.SelectionResponse,
        openapi_extra=models.SELECTION_REQUEST,
        responses=models.SELECTION_RESPONSES,
        operation_id="map_selection",
    )
    async def selection(request: Request, map: Map = "gallery", lang: Lang = None) -> Response:
        """Tags that the set has more often than chance would give it, the surest first.

        `lift` is a tag's share of the set over its share of all; `p_value` the chance that a set
        of as many, drawn at random, has it at least as often (hypergeometric).
        """
        service, chosen = explore(), lang or language(request)
        body = await read_json_body(request, _MAX_MASK)
        client = client_of(request)

        def work() -> Any:
            sent = parse_json_object(body)
            return service.selection(
                sent.get("mask"), map=map, hash=_hash(sent), lang=chosen, client=client
            )

        return answer(await in_thread(work), chosen)

    @app.post(
        "/v1/map/export",
        summary="A set of pictures as a file",
        response_class=Response,
        openapi_extra=models.EXPORT_REQUEST,
        responses=models.EXPORT_RESPONSES,
        operation_id="map_export",
    )
    async def export(request: Request, map: Map = "gallery") -> Response:
        """A table (`csv`), `json` for `python -m tagger gallery apply`, or a `zip`.

        The archive holds the pictures, a text of tags beside each, the table and the credits.
        `edits` are tags to add or remove in the file; nothing is kept of them here.
        """
        service = explore()
        body = await read_json_body(request, _MAX_EDITS)
        client = client_of(request)

        def work() -> tuple[BinaryIO, str]:
            sent = parse_json_object(body)
            format = sent.get("format", "csv")
            # Closed by whoever reads it out.
            file: Any = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115
            try:
                service.export(
                    file,
                    sent.get("mask"),
                    format if isinstance(format, str) else "",
                    sent.get("edits"),
                    map=map,
                    hash=_hash(sent),
                    client=client,
                )
                file.seek(0)
            except BaseException:
                file.close()
                raise
            return file, str(format)

        file, format = await for_exports(work)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="pictures.{format}"',
        }
        return StreamingResponse(blocks(file), media_type=_MEDIA[format], headers=headers)

    # --- pictures from outside -------------------------------------------------------------------

    @app.post(
        "/v1/map/place",
        summary="Where a picture of yours lies on the map",
        response_model=models.PlaceResponse,
        openapi_extra=models.ONE_FILE,
        responses=models.PLACE_RESPONSES,
        operation_id="map_place",
    )
    async def place(request: Request, map: Map = "gallery", lang: Lang = None) -> Response:
        """Send one picture as `multipart/form-data`, get its place, its tags and its neighbours.

        `by` says how it was placed: at once by its neighbours, or by UMAP. `trust` is the share of
        its true neighbours that are near it on the map, too. Nothing of the picture is kept.
        """
        service, chosen = explore(), lang or language(request)
        client = client_of(request)
        # Before anything is received: a flood should cost nothing.
        await in_thread(lambda: service.expect(map, client))
        with line.place():
            async with uploads(request, 1, one_picture) as files:
                data = await with_model(
                    lambda: service.place(files[0].file, map=map, lang=chosen, client=None)
                )
        return answer(data, chosen)

    @app.post(
        "/v1/similar",
        summary="The pictures nearest to a picture",
        response_model=models.SimilarResponse,
        openapi_extra=models.SIMILAR_REQUEST,
        responses=models.SIMILAR_RESPONSES,
        operation_id="similar",
    )
    async def similar(
        request: Request,
        k: Annotated[int, _K] = 10,
        map: Map = "gallery",
        lang: Lang = None,
    ) -> Response:
        """Send a picture as `multipart/form-data`, or JSON with an `embedding` or an `id`.

        In JSON, `k` and `map` may stand in the body, too.
        """
        service, chosen = explore(), lang or language(request)
        client = client_of(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            body = await read_json_body(request, _MAX_EMBEDDING)

            def work() -> Any:
                sent = parse_json_object(body)
                asked = _similar(sent, k, map)
                return service.similar(**asked, lang=chosen, client=client)

            return answer(await in_thread(work), chosen)
        await in_thread(lambda: service.expect(map, client))
        with line.place():
            async with uploads(request, 1, one_picture) as files:
                data = await with_model(
                    lambda: service.similar(
                        source=files[0].file, k=k, map=map, lang=chosen, client=None
                    )
                )
        return answer(data, chosen)

    @app.post(
        "/v1/embed",
        summary="Embeddings of pictures",
        response_model=models.EmbedResponse,
        openapi_extra=models.MANY_FILES,
        responses=models.EMBED_RESPONSES,
        operation_id="embed",
    )
    async def embed(request: Request, lang: Lang = None) -> Response:
        """Send pictures as `multipart/form-data`, get the embedding of each, of length one.

        The cosine of two of them says how alike the pictures are. Those that cannot be read are
        listed with their `error`; a single one that cannot is the answer's error.
        """
        if not services.ready:
            raise TaggerError("not-ready")
        chosen = lang or language(request)
        with line.place():
            async with uploads(request, settings.max_files, many_pictures) as files:
                outcomes = await with_model(lambda: _outcomes(services, files))
        if len(outcomes) == 1 and outcomes[0].error is not None:
            raise outcomes[0].error
        return answer(embeddings(services, outcomes, chosen), chosen)


def _outcomes(services: Services, files: list[UploadFile]) -> list[Outcome]:
    return list(services.tag_many(((file_name(file.filename), file.file) for file in files), top=0))


def embeddings(services: Services, outcomes: list[Outcome], lang: str) -> dict[str, Any]:
    """JSON-ready: the embeddings of pictures, or why one has none.

    Raises
    ------
    RequestError
        ``index-no-embedding``, if the model gives none.
    """
    entries: list[dict[str, Any]] = []
    dimension = 0
    for outcome in outcomes:
        if outcome.result is None:
            error = outcome.error or TaggerError("internal")
            entries.append({"name": outcome.name, "error": problem(error, lang)})
            continue
        row = outcome.result.embedding
        if row is None:
            raise RequestError("index-no-embedding")
        dimension = len(row)
        rounded = [round(value, 7) for value in row.tolist()]
        entries.append({"name": outcome.name, "embedding": rounded})
    return {
        "embeddings": entries,
        "dimension": dimension or None,
        "model": services.model.to_dict(),
    }


# --- what was sent ------------------------------------------------------------------------------

_LIST = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*", re.ASCII)


def _numbers(text: str) -> list[int]:
    if _LIST.fullmatch(text) is None:
        reason = "it must be whole numbers with commas between them"
        raise RequestError("request-invalid", field="numbers", reason=reason)
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) > MAX_NUMBERS:
        raise LimitError("explore-too-many", limit=MAX_NUMBERS)
    return numbers


def _hash(sent: Mapping[str, Any]) -> str | None:
    value = sent.get("hash")
    if value is not None and not isinstance(value, str):
        raise RequestError("request-invalid", field="hash", reason="it must be a text")
    return value


def _similar(sent: Mapping[str, Any], k: int, map: str) -> dict[str, Any]:
    """The arguments of a search without a picture."""
    if ("embedding" in sent) == ("id" in sent):
        reason = "either an embedding or an id is needed"
        raise RequestError("request-invalid", field="embedding", reason=reason)
    id, k, map = sent.get("id"), sent.get("k", k), sent.get("map", map)
    if "id" in sent and not isinstance(id, str):
        raise RequestError("request-invalid", field="id", reason="it must be a text")
    if type(k) is not int or not 1 <= k <= MAX_NEIGHBOURS:
        reason = f"it must be a whole number from 1 to {MAX_NEIGHBOURS}"
        raise RequestError("request-invalid", field="k", reason=reason)
    if not isinstance(map, str):
        raise RequestError("request-invalid", field="map", reason="gallery or drawings")
    embedding = sent.get("embedding")
    if "embedding" in sent:
        good = isinstance(embedding, list) and all(type(v) in (int, float) for v in embedding)
        embedding = embedding if good else []
    return {"embedding": embedding, "id": id, "k": k, "map": map}


# --- what is answered ---------------------------------------------------------------------------


def _kept(map: str, hash: str | None, for_how_long: str) -> str:
    if hash is None:
        return _ASK_AGAIN
    return _SHORTLY if map == "drawings" else for_how_long


def _packed(request: Request, data: bytes) -> tuple[bytes, bool]:
    """The body as it is sent, and whether it is packed."""
    if len(data) < _PACKED or "gzip" not in request.headers.get("accept-encoding", ""):
        return data, False
    packed = gzip.compress(data, 5, mtime=0)
    return (packed, True) if len(packed) < 0.9 * len(data) else (data, False)


def _column(request: Request, data: bytes, map: str, hash: str | None) -> Response:
    body, packed = _packed(request, data)
    headers = {"Cache-Control": _kept(map, hash, _FOR_GOOD), "Vary": "Accept-Encoding"}
    return _fixed(request, body, "application/octet-stream", headers, packed=packed)


def _json(request: Request, data: Any, lang: str, cache: str) -> Response:
    body, packed = _packed(request, JSONResponse(data).body)  # type: ignore[arg-type]
    headers = {
        "Cache-Control": cache,
        "Content-Language": lang,
        "Vary": "Accept-Language, Accept-Encoding",
    }
    return _fixed(request, body, "application/json", headers, packed=packed)


def _fixed(
    request: Request, body: bytes, media: str, headers: dict[str, str], *, packed: bool = False
) -> Response:
    """An answer with a mark of its content: who has it already is told so."""
    mark = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {**headers, "ETag": mark}
    known = request.headers.get("if-none-match", "")
    if mark in [entry.strip().removeprefix("W/") for entry in known[:2000].split(",")]:
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=media, headers=headers)
