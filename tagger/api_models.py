"""The forms of the REST API's answers, with examples: what its OpenAPI document is made of."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RankedTag(BaseModel):
    """A tag of one picture."""

    name: str = Field(description="Canonical name, with underscores.")
    label: str = Field(description="Name to show, in the language asked for.")
    group: str = Field(description="Kind of thing: animal, food, place...")
    probability: float = Field(ge=0, le=1, description="Calibrated.")
    passes: bool = Field(description="Whether it reaches the tag's operating point.")


class Picture(BaseModel):
    """What the file turned out to be."""

    width: int = Field(description="Upright, in pixels.")
    height: int
    format: str
    had_alpha: bool = Field(description="Whether it had transparency, which was put on white.")
    frames: int = Field(description="More than 1 for an animation, of which the first was read.")
    notes: list[str] = Field(description="What was done to it: first-frame, rotated, reduced...")


class Model(BaseModel):
    """Which model answered."""

    name: str
    version: str
    hash: str = Field(description="Of its weights and tag list.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, for a person.")
    code: str = Field(description="The same for a program; stable.")


class Result(BaseModel):
    """One picture: its tags, or the error that it met."""

    name: str = Field(description="File name as sent.")
    tags: list[RankedTag] | None = Field(None, description="Most probable first.")
    picture: Picture | None = None
    seconds: float | None = Field(None, description="Time in the model.")
    error: Problem | None = None


class TagResponse(BaseModel):
    """The pictures of a request, in the order in which they were sent."""

    model: Model
    results: list[Result]


class Tag(BaseModel):
    """A tag that the model knows."""

    name: str
    label: str
    name_ja: str | None
    group: str
    category: int = Field(description="Danbooru's number: 0 general, 4 character, 9 rating.")
    count: int = Field(description="Pictures with it in the training data.")
    aliases: list[str]
    threshold: float | None = Field(description="Operating point: present from here on.")
    precision: float | None = Field(description="Measured at the operating point.")
    recall: float | None
    support: int | None = Field(description="Pictures behind those two figures.")


class Group(BaseModel):
    """A kind of tag."""

    name: str
    tags: int


class TagsResponse(BaseModel):
    """The tags asked for; `total` counts them all, beyond `limit` too."""

    model: Model
    groups: list[Group]
    total: int
    tags: list[Tag]


class ModelCard(Model):
    """Who a model is."""

    model_config = ConfigDict(protected_namespaces=())

    task: str
    licence: str
    author: str
    tags: int
    groups: list[str]
    input_size: int = Field(description="Side of the square that it sees, in pixels.")
    default_top: int
    ready: bool
    training_data: list[Any]
    metrics: dict[str, Any]


class Recogniser(Model):
    """Who the recogniser of drawings is."""

    words: int
    ready: bool
    task: str | None = None
    licence: str | None = None
    author: str | None = None
    input_size: int | None = None
    training_data: list[Any] = []
    metrics: dict[str, Any] = {}


class Limits(BaseModel):
    """What may be sent."""

    max_bytes: int = Field(description="A picture's.")
    max_pixels: int
    max_side: int
    max_frames: int
    max_files: int = Field(description="In one request.")
    max_request_bytes: int = Field(description="All pictures of a request together.")
    max_drawing_bytes: int = Field(description="A drawing's, as JSON.")


class ModelsResponse(BaseModel):
    """The models and the limits."""

    models: list[ModelCard]
    recogniser: Recogniser | None = Field(description="Of drawings; null where there is none.")
    limits: Limits


_MODEL = {"name": "illustration", "version": "1.0.0", "hash": "0123456789abcdef"}
_RESULT = {
    "name": "cat.png",
    "tags": [
        {"name": "cat", "label": "cat", "group": "animal", "probability": 0.91, "passes": True},
        {
            "name": "night",
            "label": "night",
            "group": "nature",
            "probability": 0.08,
            "passes": False,
        },
    ],
    "picture": {
        "width": 640,
        "height": 480,
        "format": "PNG",
        "had_alpha": True,
        "frames": 1,
        "notes": [],
    },
    "seconds": 0.021,
}
_PROBLEM = {
    "type": "urn:illustration-tagger:problem:image-empty",
    "title": HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
    "status": 422,
    "detail": "The file is empty. Choose it again, or save it again from the program that made it.",
    "code": "image-empty",
}

PROBLEM: dict[str, Any] = {
    "description": "An error.",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": _PROBLEM,
        }
    },
}

_FILES = {
    "type": "array",
    "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    "description": "PNG, JPEG, WebP, GIF, AVIF, HEIC, BMP or TIFF.",
}
TAG_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": _FILES, "files": _FILES},
                    "anyOf": [{"required": ["file"]}, {"required": ["files"]}],
                }
            }
        },
    }
}


def problem_response(description: str) -> dict[str, Any]:
    """An answer that is an error, for this reason."""
    return {**PROBLEM, "description": description}


def examples(**named: tuple[str, Any]) -> dict[str, Any]:
    """The content of a JSON answer, with examples."""
    shown = {name: {"summary": text, "value": value} for name, (text, value) in named.items()}
    return {"content": {"application/json": {"examples": shown}}}


TAG_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        one=("one picture", {"model": _MODEL, "results": [_RESULT]}),
        several=(
            "two pictures, of which one is empty",
            {"model": _MODEL, "results": [_RESULT, {"name": "empty.png", "error": _PROBLEM}]},
        ),
    ),
    400: problem_response("The form is not well-formed."),
    408: problem_response("The upload stalled."),
    413: problem_response("Too many or too large files."),
    415: problem_response("Not a picture, or not a form."),
    422: problem_response("A parameter or the one picture sent cannot be used."),
    429: problem_response("Too many requests at once; Retry-After says when to come back."),
    503: problem_response("The model is not ready."),
}

TAGS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        completion=(
            "completing “kit”",
            {
                "model": _MODEL,
                "groups": [{"name": "animal", "tags": 41}, {"name": "food", "tags": 57}],
                "total": 1,
                "tags": [
                    {
                        "name": "cat",
                        "label": "cat",
                        "name_ja": "猫",
                        "group": "animal",
                        "category": 0,
                        "count": 218,
                        "aliases": ["kitten", "kitty"],
                        "threshold": 0.41,
                        "precision": 0.83,
                        "recall": 0.76,
                        "support": 29,
                    }
                ],
            },
        )
    ),
    422: problem_response("A parameter cannot be used."),
}

MODELS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        model=(
            "one model",
            {
                "models": [
                    {
                        **_MODEL,
                        "task": "illustration-tagging",
                        "licence": "Apache-2.0",
                        "author": "its makers",
                        "tags": 98,
                        "groups": ["animal", "food"],
                        "input_size": 224,
                        "default_top": 10,
                        "ready": True,
                        "training_data": [{"name": "a data set", "licence": "CC0-1.0"}],
                        "metrics": {"split": "test", "map": 0.33},
                    }
                ],
                "recogniser": {
                    "name": "drawing-recogniser",
                    "version": "1",
                    "hash": "fedcba9876543210",
                    "words": 355,
                    "ready": True,
                    "task": "sketch-recognition",
                    "licence": "Apache-2.0",
                    "author": "its makers",
                    "input_size": 64,
                    "training_data": [{"name": "a data set", "licence": "CC0-1.0"}],
                    "metrics": {"split": "test", "top_1": 0.7},
                },
                "limits": {
                    "max_bytes": 20_971_520,
                    "max_pixels": 64_000_000,
                    "max_side": 65_535,
                    "max_frames": 2000,
                    "max_files": 32,
                    "max_request_bytes": 104_923_136,
                    "max_drawing_bytes": 4_194_304,
                },
            },
        )
    )
}
