"""The REST API's addresses for learning for good: the app's owner alone may use them.

The owner sends their token as a bearer token. Starting a run answers at once; how far it is, its
own address says.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from tagger import api_tuning_models as models
from tagger.api_draw import TOKEN, answer, client_of, owner_only
from tagger.errors import RequestError, TaggerError
from tagger.intake import Workers, parse_json_object, read_json_body
from tagger.languages import Language
from tagger.problems import language
from tagger.services import Services
from tagger.tuning import TuningService

_MAX_BODY = 16_384

_LANG = Query(description="Language of what is said; by default what the browser prefers.")
_RUN = Path(max_length=64, description="Of a run.")
_VERSION = Path(max_length=64, description="Of a version; `shipped` is the first one.")


def add_routes(app: FastAPI, services: Services) -> None:
    """Add the addresses below ``/v1/tuning``."""
    # Of their own: exchanging a recogniser may take a while, and nobody else waits for it.
    in_thread = Workers(2, 8, "api-tuning")

    def tuning(request: Request, authorization: str | None) -> TuningService:
        """The service, for its owner."""
        draw = services.draw
        if draw is None or draw.tuning is None:
            raise TaggerError("drawing-off")
        owner_only(draw, authorization, client_of(request))
        return draw.tuning

    async def state(service: TuningService, chosen: str) -> Response:
        shown = await in_thread(lambda: service.state().to_dict(chosen))
        return answer(shown, chosen)

    @app.get(
        "/v1/tuning",
        summary="What was learnt for good",
        response_model=models.TuningResponse,
        responses=models.STATE_RESPONSES,
        operation_id="tuning",
    )
    async def look(
        request: Request,
        lang: Annotated[Language | None, _LANG] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """What there is to learn from, runs and versions. For the app's owner."""
        return await state(tuning(request, authorization), lang or language(request))

    @app.post(
        "/v1/tuning/runs",
        summary="Learn for good",
        status_code=202,
        response_model=models.Run,
        openapi_extra=models.START_REQUEST,
        responses=models.START_RESPONSES,
        operation_id="start_tuning",
    )
    async def start(
        request: Request,
        lang: Annotated[Language | None, _LANG] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """Begin a run over the drawings that were given with consent. For the app's owner.

        What it makes goes live only if it is not worse on the frozen test drawings and better on
        held-back drawings of the collection.
        """
        service, chosen = tuning(request, authorization), lang or language(request)
        body = await read_json_body(request, _MAX_BODY)

        def work() -> dict[str, Any]:
            data = parse_json_object(body)
            kind, parameters = data.get("kind"), data.get("parameters", {})
            if not isinstance(kind, str):
                raise RequestError("request-invalid", field="kind", reason="refit or tuning")
            if not isinstance(parameters, dict):
                reason = "it must be an object"
                raise RequestError("request-invalid", field="parameters", reason=reason)
            return service.run(service.start(kind, parameters)["id"], chosen)

        return answer(await in_thread(work), chosen, status=202)

    @app.get(
        "/v1/tuning/runs/{id}",
        summary="How far a run is",
        response_model=models.Run,
        responses=models.RUN_RESPONSES,
        operation_id="tuning_run",
    )
    async def run(
        request: Request,
        id: Annotated[str, _RUN],
        lang: Annotated[Language | None, _LANG] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """A run with its progress, curve and verdict. For the app's owner."""
        service, chosen = tuning(request, authorization), lang or language(request)
        return answer(await in_thread(lambda: service.run(id, chosen)), chosen)

    @app.delete(
        "/v1/tuning/runs/{id}",
        summary="Cancel a run",
        response_model=models.Run,
        responses=models.CANCEL_RESPONSES,
        operation_id="cancel_tuning",
    )
    async def cancel(
        request: Request,
        id: Annotated[str, _RUN],
        lang: Annotated[Language | None, _LANG] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """Ask a run to end; one that has ended stays as it is. For the app's owner."""
        service, chosen = tuning(request, authorization), lang or language(request)

        def work() -> dict[str, Any]:
            service.cancel(id)
            return service.run(id, chosen)

        return answer(await in_thread(work), chosen)

    @app.post(
        "/v1/tuning/versions/{id}",
        summary="Use a version",
        response_model=models.TuningResponse,
        responses=models.ACTIVATE_RESPONSES,
        operation_id="use_version",
    )
    async def activate(
        request: Request,
        id: Annotated[str, _VERSION],
        lang: Annotated[Language | None, _LANG] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """Let a version of the recogniser answer from now on. For the app's owner."""
        service = tuning(request, authorization)
        await in_thread(lambda: service.activate(id))
        return await state(service, lang or language(request))

    @app.post(
        "/v1/tuning/back",
        summary="Go back to the version before",
        response_model=models.TuningResponse,
        responses=models.BACK_RESPONSES,
        operation_id="tuning_back",
    )
    async def back(
        request: Request,
        lang: Annotated[Language | None, _LANG] = None,
        authorization: Annotated[str | None, TOKEN] = None,
    ) -> Response:
        """Let the version before the current one answer again. For the app's owner."""
        service = tuning(request, authorization)
        await in_thread(service.back)
        return await state(service, lang or language(request))
