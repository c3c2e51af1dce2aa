"""``/compare`` and ``/rank`` for Gradio's clients: what the REST API answers."""

from __future__ import annotations

from typing import Any

import gradio as gr

from tagger.api_compare import ranked
from tagger.comparing import CompareServices
from tagger.comparing.keeping import MAX_BYTES as MAX_PROFILE
from tagger.errors import LimitError, RequestError
from tagger.preference.ranker import read_json
from tagger.services import Services
from tagger.ui.calls import client_of
from tagger.ui.explore_endpoints import for_programs, uploaded
from tagger.ui.tag_tab import CONCURRENCY_ID

_MAX_RANKER = 200


def build_compare_endpoints(services: Services, comparing: CompareServices) -> None:
    """Put the endpoints for programs into the open Blocks.

    Their components are not part of the page; they check that files were uploaded.
    """
    most = services.settings.max_files

    def compare(
        left: str | None, right: str | None, ranker: str, profile: str, request: gr.Request
    ) -> dict[str, Any]:
        """Say which of two pictures is preferred, how probably, and which tags speak for either.

        Returns the same as `POST /api/v1/compare`. Send `Accept-Language: ja` for Japanese labels.

        Args:
            left: an image file: PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF or BMP
            right: another one
            ranker: what judges, from `GET /api/v1/rankers`; empty for the server's own
            profile: a saved taste or a ranker that judges instead, as JSON; empty for none
        """
        with for_programs(request) as lang:
            return comparing.compare(
                uploaded(left),
                uploaded(right),
                ranker=_id(ranker),
                profile=_profile(profile),
                lang=lang,
                client=client_of(request),
            )

    def rank(
        pictures: list[str] | None, ranker: str, profile: str, request: gr.Request
    ) -> dict[str, Any]:
        """Put pictures in order, the best first; those that cannot be read are listed at the end.

        Returns the same as `POST /api/v1/rank`.

        Args:
            pictures: image files: PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF or BMP
            ranker: what judges, from `GET /api/v1/rankers`; empty for the server's own
            profile: a saved taste or a ranker that judges instead, as JSON; empty for none
        """
        with for_programs(request) as lang:
            paths = [uploaded(path) for path in pictures or [""]]
            if len(paths) > most:
                raise LimitError("request-too-many-files", count=len(paths), limit=most)
            return ranked(
                comparing,
                [(path.name, path) for path in paths],
                ranker=_id(ranker),
                profile=_profile(profile),
                lang=lang,
                client=client_of(request),
            )

    result = gr.JSON(label="result", visible=False)
    judges = [
        gr.Textbox("", label="ranker", visible=False),
        gr.Textbox("", label="profile", visible=False),
    ]
    left, right = (gr.File(label=side, visible=False) for side in ("left", "right"))
    pictures = gr.File(label="pictures", file_count="multiple", visible=False)
    for trigger, function, given in (
        (left, compare, [left, right]),
        (pictures, rank, [pictures]),
    ):
        trigger.upload(
            function,
            [*given, *judges],
            result,
            api_name=function.__name__,
            concurrency_id=CONCURRENCY_ID,
            concurrency_limit=services.settings.concurrency,
            show_progress="hidden",
        )


def _id(ranker: Any) -> str:
    if not isinstance(ranker, str) or len(ranker) > _MAX_RANKER:
        reason = f"it must be a text of at most {_MAX_RANKER} characters"
        raise RequestError("request-invalid", field="ranker", reason=reason)
    return ranker.strip()


def _profile(text: Any) -> Any:
    """A ranker or taste, as JSON that nobody has looked at; None where there is none."""
    if not isinstance(text, str) or len(text) > MAX_PROFILE:
        raise LimitError("request-too-large", limit=MAX_PROFILE)
    return read_json(text.encode("utf-8", "replace"), "taste-damaged") or {} if text else None
