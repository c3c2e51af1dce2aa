"""The REST API: ``/api/v1/...`` and the health checks.

An application of its own, mounted beside the page, around services that are given to it. It keeps
no state, sets no cookie and knows no login: what it answers depends on the request alone. So it
sends no CORS headers by itself; who serves it decides which pages' scripts may read its answers.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

import tagger
from tagger import api_compare, api_docs, api_draw, api_explore, api_models, api_tuning
from tagger.errors import TaggerError
from tagger.intake import WaitingLine
from tagger.languages import Language
from tagger.problems import handle_problems, language, problem, respond
from tagger.services import Outcome, Services
from tagger.tags import Tag
from tagger.uploads import file_name, request_bytes, uploads

T = TypeVar("T")

_LANG = Query(description="Language of labels and messages; by default what the browser prefers.")


def routes(services: Services) -> list[BaseRoute]:
    """All addresses of the API, to be put before those of the page."""
    mount = Mount("/api", app=create_api(services))
    # A line break in a path is odd, but below /api it is still ours to refuse in our form.
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return [*health_routes(services), Route("/api", _to_docs), mount]


def _to_docs(request: Request) -> Response:
    # Relative, since a proxy may serve the app under a path that it does not tell.
    return RedirectResponse("docs" if request.url.path.endswith("/") else "api/docs")


def health_routes(services: Services) -> list[BaseRoute]:
    """``/healthz``: the process answers. ``/readyz``: so does the model."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def readyz(request: Request) -> Response:
        if not services.ready:
            return respond(TaggerError("not-ready"), language(request))
        ready = {"status": "ready", "model": services.model.to_dict()}
        return JSONResponse(ready, headers={"Cache-Control": "no-store"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def create_api(services: Services) -> FastAPI:
    """Build the API around services; mount it under ``/api``."""
    settings = services.settings
    line = WaitingLine(settings.queue_size)
    # Requests beyond these wait in order; threads of their own keep them from taking the page's.
    workers = ThreadPoolExecutor(settings.concurrency, "api")
    limit = request_bytes(int(settings.max_bytes))

    app = FastAPI(
        title="Illustration tagger",
        version=tagger.__version__,
        summary="Suggests tags for illustrations.",
        description=api_docs.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        responses={"default": api_models.PROBLEM},
    )
    handle_problems(app)

    async def in_thread(function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(workers, function)

    @app.post(
        "/v1/tag",
        summary="Tag one or several pictures",
        response_model=api_models.TagResponse,
        openapi_extra=api_models.TAG_REQUEST,
        responses=api_models.TAG_RESPONSES,
        operation_id="tag",
    )
    async def tag(
        request: Request,
        top: Annotated[
            int, Query(ge=1, le=100, description="How many tags a picture gets at most.")
        ] = 10,
        lang: Annotated[Language | None, _LANG] = None,
        min_probability: Annotated[
            float | None,
            Query(ge=0, le=1, description="Leave out less probable tags. By default none is."),
        ] = None,
    ) -> Response:
        """Send pictures as `multipart/form-data`, in fields named `file` (or `files`).

        The most probable tags come first. Without `min_probability` there are always `top` of
        them; `passes` tells which reach their operating point. Of several pictures, those that
        cannot be read are listed with their `error` and do not stop the rest; a single one that
        cannot be read is the answer's error.
        """
        if not services.ready:
            raise TaggerError("not-ready")
        with line.place():
            async with uploads(request, settings.max_files, limit) as files:
                sources = [(file_name(file.filename), file.file) for file in files]
                outcomes = await in_thread(
                    lambda: list(
                        services.tag_many(sources, top=top, min_probability=min_probability)
                    )
                )
        chosen = lang or language(request)
        if len(outcomes) == 1 and outcomes[0].error is not None:
            raise outcomes[0].error
        answer = {
            "model": services.model.to_dict(),
            "results": [_result(outcome, chosen) for outcome in outcomes],
        }
        headers = {"Cache-Control": "no-store", "Content-Language": chosen}
        return JSONResponse(answer, headers=headers)

    @app.get(
        "/v1/tags",
        summary="The tags that the model knows",
        response_model=api_models.TagsResponse,
        responses=api_models.TAGS_RESPONSES,
        operation_id="tags",
    )
    async def tags(
        request: Request,
        query: Annotated[
            str,
            Query(max_length=200, description="Part of a name, an alias or a Japanese name."),
        ] = "",
        prefix: Annotated[bool, Query(description="Match the beginning of names only.")] = False,
        group: Annotated[
            str | None, Query(max_length=100, description="Only tags of this group.")
        ] = None,
        lang: Annotated[Language | None, _LANG] = None,
        limit: Annotated[
            int, Query(ge=1, le=10_000, description="How many to list at most.")
        ] = 1000,
        offset: Annotated[
            int, Query(ge=0, le=1_000_000, description="How many to leave out at the start.")
        ] = 0,
    ) -> Response:
        """List the tags, with groups, names in both languages and measured operating points.

        Without `query` they come in the order of the model's outputs, with it the best match
        first, as completion needs it.
        """
        chosen = lang or language(request)
        known = services.tagger.tags
        found = known.search(query, prefix=prefix) if query.strip() else list(known)
        found = [tag for tag in found if not group or tag.group == group]
        counts = Counter(tag.group for tag in known)
        answer = {
            "model": services.model.to_dict(),
            "groups": [{"name": name, "tags": counts[name]} for name in known.groups],
            "total": len(found),
            "tags": [_tag(tag, chosen) for tag in found[offset : offset + limit]],
        }
        return JSONResponse(answer, headers={"Content-Language": chosen})

    @app.get(
        "/v1/models",
        summary="The models behind this API, and its limits",
        response_model=api_models.ModelsResponse,
        responses=api_models.MODELS_RESPONSES,
        operation_id="models",
    )
    async def models() -> Response:
        """Who the model is, what it was trained on, how well it does, and what may be sent."""
        config = services.config
        model = {
            **services.model.to_dict(),
            "task": config.task,
            "licence": config.licence,
            "author": config.author,
            "tags": len(services.tagger.tags),
            "groups": list(services.tagger.tags.groups),
            "input_size": services.tagger.size,
            "default_top": config.default_top,
            "ready": services.ready,
            "training_data": list(config.training_data),
            "metrics": dict(services.metrics),
        }
        limits = {
            "max_bytes": int(settings.max_bytes),
            "max_pixels": settings.max_pixels,
            "max_side": settings.max_side,
            "max_frames": settings.max_frames,
            "max_files": settings.max_files,
            "max_request_bytes": limit,
            "max_drawing_bytes": api_draw.MAX_BODY,
        }
        recogniser = None if services.draw is None else dict(services.draw.about)
        return JSONResponse({"models": [model], "recogniser": recogniser, "limits": limits})

    api_draw.add_routes(app, services)
    api_tuning.add_routes(app, services)
    api_explore.add_routes(app, services)
    api_compare.add_routes(app, services)

    # Made when somebody reads it: describing everything takes longer than building the rest.
    @functools.cache
    def page() -> str:
        return api_docs.render(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(await in_thread(page), headers=api_docs.HEADERS)

    app.add_route("/", _to_docs, include_in_schema=False)
    return app


def _result(outcome: Outcome, lang: str) -> dict[str, Any]:
    if outcome.result is None:
        error = outcome.error or TaggerError("internal")
        return {"name": outcome.name, "error": problem(error, lang)}
    result = outcome.result.to_dict(lang)
    del result["model"]  # said once for all
    return {"name": outcome.name, **result}


def _tag(tag: Tag, lang: str) -> dict[str, Any]:
    return {
        "name": tag.name,
        "label": tag.display(lang),
        "name_ja": tag.name_ja,
        "group": tag.group,
        "category": tag.category,
        "count": tag.count,
        "aliases": list(tag.aliases),
        "threshold": tag.threshold,
        "precision": tag.precision,
        "recall": tag.recall,
        "support": tag.support,
    }
