"""``/embed``, ``/similar`` and ``/map`` for Gradio's clients: what the REST API answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api as endpoint

from tagger.api_explore import embeddings
from tagger.errors import RequestError, TaggerError
from tagger.exploring import ExploreServices
from tagger.exploring.service import MAX_NEIGHBOURS
from tagger.languages import Language, choose_language
from tagger.services import Services
from tagger.ui.calls import client_of
from tagger.ui.tag_tab import CONCURRENCY_ID


def build_explore_endpoints(services: Services, explore: ExploreServices) -> None:
    """Put the endpoints for programs into the open Blocks.

    Their components are not part of the page; they check that files were uploaded, and that
    numbers are within their bounds.
    """

    def embed(picture: str | None, request: gr.Request) -> dict[str, Any]:
        """Say where a picture lies among all pictures, as the model sees them.

        Returns its embedding, numbers that make a vector of length one: the cosine of two of
        them says how alike two pictures are.

        Args:
            picture: an image file: PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF or BMP
        """
        with for_programs(request) as lang:
            path = uploaded(picture)
            (outcome,) = services.tag_many([(path.name, path)], top=0)
            if outcome.error is not None:
                raise outcome.error
            return embeddings(services, [outcome], lang)

    def similar(picture: str | None, k: int, request: gr.Request) -> dict[str, Any]:
        """Find the pictures of the gallery that are most like a picture, nearest first.

        Returns neighbours with title, cosine and the tags in common, and the model. Send
        `Accept-Language: ja` for Japanese titles and tags.

        Args:
            picture: an image file: PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF or BMP
            k: how many
        """
        with for_programs(request) as lang:
            path = uploaded(picture)
            return explore.similar(source=path, k=int(k), lang=lang, client=client_of(request))

    def map(request: gr.Request, name: str = "gallery") -> dict[str, Any]:
        """Describe a map of pictures: how it was made, its legends, its tags.

        Returns the same as `GET /api/v1/map`.

        Args:
            name: gallery, or drawings for the map of the collected drawings
        """
        with for_programs(request) as lang:
            return explore.about(str(name), lang)

    result = gr.JSON(label="result", visible=False)
    k = gr.Slider(1, MAX_NEIGHBOURS, value=10, step=1, label="k", visible=False)
    for function, more in ((embed, []), (similar, [k])):
        picture = gr.File(label="picture", visible=False)
        picture.upload(
            function,
            [picture, *more],
            result,
            api_name=function.__name__,
            concurrency_id=CONCURRENCY_ID,
            concurrency_limit=services.settings.concurrency,
            show_progress="hidden",
        )
    endpoint(
        map,
        api_name="map",
        concurrency_id=CONCURRENCY_ID,
        concurrency_limit=services.settings.concurrency,
    )


def uploaded(picture: str | None) -> Path:
    """A file that a program sent.

    Raises
    ------
    RequestError
        ``request-no-file``, if it sent none.
    """
    if not picture:
        raise RequestError("request-no-file")
    return Path(picture)


@contextmanager
def for_programs(request: gr.Request) -> Iterator[Language]:
    """The caller's language; what is wrong becomes Gradio's error in it."""
    lang = choose_language(request.headers.get("accept-language"))
    try:
        yield lang
    except TaggerError as error:
        raise gr.Error(error.message(lang), print_exception=False) from error
