"""The forms of the REST API's answers about drawings, with examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tagger.api_models import Model, examples, problem_response
from tagger.collection.records import MAX_KEY, MAX_LABEL

VISITOR_PATTERN = r"^[A-Za-z0-9_-]{16,64}$"


class RankedWord(BaseModel):
    """A word for a drawing."""

    word: str = Field(description="As it is kept: English where the model knows it.")
    label: str = Field(description="Name to show, in the language asked for.")
    probability: float = Field(ge=0, le=1, description="Calibrated; all words add up to one.")
    learnt: bool = Field(description="Whether people taught it; the model itself does not know it.")


class RecogniseResponse(BaseModel):
    """What a drawing shows."""

    words: list[RankedWord] = Field(description="Most probable first.")
    model: Model
    seconds: float = Field(description="Time in the model.")


class SavedDrawing(BaseModel):
    """A receipt: the drawing is on the disk."""

    id: str
    label: str = Field(description="As it is kept.")
    created: int = Field(description="UTC milliseconds.")
    duplicate: bool = Field(description="Whether it was there already: the same key, sent again.")
    drawings: int = Field(description="How many of this word the visitor has given now.")


class DrawingItem(BaseModel):
    """One of the visitor's drawings."""

    id: str
    label: str
    created: int = Field(description="UTC milliseconds.")
    consent: bool
    source: str = Field(description="Where it was drawn: canvas, game, api or import.")
    strokes: list[list[list[float]]] = Field(description="In Quick, Draw!'s simplified form.")


class DrawingsResponse(BaseModel):
    """A page of the visitor's drawings, newest first; `total` counts those of all pages."""

    total: int
    drawings: list[DrawingItem]


class DeletedResponse(BaseModel):
    """How many drawings were deleted."""

    deleted: int


class KnownWord(BaseModel):
    """A word that may be given to a drawing."""

    word: str
    label: str
    kind: str = Field(description="word and digit are the model's own; learnt ones people taught.")
    drawings: int = Field(description="How many of it the visitor has given.")


class WordsResponse(BaseModel):
    """Words, the best match first."""

    words: list[KnownWord]


class AcceptedResponse(BaseModel):
    """The words that people taught and that all recognisers know now."""

    model_config = ConfigDict(protected_namespaces=())

    accepted: list[str]


_STROKES: dict[str, Any] = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    "description": (
        "A list of strokes, each [[x, ...], [y, ...]]; a third list holds milliseconds, a fourth "
        "pressure from 0 to 1. Any unit; x grows to the right, y downwards."
    ),
}
_DRAWN = [[[3, 60, 97], [5, 50, 90]], [[97, 3], [5, 90]]]
_WORD = {"type": "string", "maxLength": MAX_LABEL, "description": "In English or Japanese, or new."}


def _body(properties: dict[str, Any], required: list[str], example: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }


RECOGNISE_REQUEST = _body({"strokes": _STROKES}, ["strokes"], {"strokes": _DRAWN})
SAVE_REQUEST = _body(
    {
        "strokes": _STROKES,
        "label": _WORD,
        "consent": {
            "type": "boolean",
            "default": False,
            "description": "Whether others may have the drawing.",
        },
        "key": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_KEY,
            "description": "Random, of your own: with it a save may be sent again.",
        },
        "predicted": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"word": {"type": "string"}, "probability": {"type": "number"}},
                "required": ["word", "probability"],
            },
            "description": "What was answered when the label was given.",
        },
    },
    ["strokes", "label"],
    {"strokes": _DRAWN, "label": "cat", "consent": True, "key": "b5c1a7d2"},
)
RELABEL_REQUEST = _body({"label": _WORD}, ["label"], {"label": "tiger"})

_MODEL = {"name": "drawing-recogniser", "version": "1", "hash": "0123456789abcdef"}
_ID = "0f5d1c7a9be24e6f8a3b5c6d7e8f9a0b"
_ITEM = {
    "id": _ID,
    "label": "cat",
    "created": 1_767_225_600_000,
    "consent": True,
    "source": "api",
    "strokes": [[[0, 148, 255], [0, 128, 231]], [[255, 0], [0, 231]]],
}
_FAILURES: dict[int | str, dict[str, Any]] = {
    400: problem_response("The body is not JSON."),
    408: problem_response("The body stalled."),
    413: problem_response("The drawing or the body is too large."),
    415: problem_response("The body is not announced as JSON."),
    422: problem_response("The drawing, the label or a parameter cannot be used."),
    429: problem_response("Too fast, or too many at once; Retry-After says when to come back."),
    503: problem_response("There is no recogniser here, or the collection is busy."),
}
_OWN: dict[int | str, dict[str, Any]] = {
    401: problem_response("Nobody says who they are."),
    422: problem_response("A parameter cannot be used."),
    503: _FAILURES[503],
}
_MISSING: dict[int | str, dict[str, Any]] = {
    404: problem_response("There is no such drawing among the visitor's.")
}

RECOGNISE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        cat=(
            "a cat",
            {
                "words": [
                    {"word": "cat", "label": "cat", "probability": 0.83, "learnt": False},
                    {"word": "tanuki", "label": "tanuki", "probability": 0.09, "learnt": True},
                ],
                "model": _MODEL,
                "seconds": 0.002,
            },
        )
    ),
    **_FAILURES,
}
_SAVED = {
    "id": _ID,
    "label": "cat",
    "created": 1_767_225_600_000,
    "duplicate": False,
    "drawings": 3,
}
SAVE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": SavedDrawing,
        "description": "It was there already.",
        **examples(again=("sent again", {**_SAVED, "duplicate": True})),
    },
    201: examples(saved=("saved", _SAVED)),
    **_FAILURES,
    **_OWN,
}
LIST_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(page=("one drawing", {"total": 1, "drawings": [_ITEM]})),
    **_OWN,
}
RELABEL_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(drawing=("with its new label", {**_ITEM, "label": "tiger"})),
    **_FAILURES,
    **_OWN,
    **_MISSING,
}
DELETE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(gone=("gone", {"deleted": 1})),
    **_OWN,
    **_MISSING,
}
WITHDRAW_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(gone=("all gone", {"deleted": 12})),
    **_OWN,
}
EXPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file.",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("application/x-ndjson", "application/octet-stream")
        },
    },
    **_OWN,
    403: problem_response("The token is not the owner's."),
}
WORDS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        completion=(
            "completing “ca”",
            {"words": [{"word": "cat", "label": "cat", "kind": "word", "drawings": 3}]},
        )
    ),
    422: problem_response("A parameter cannot be used."),
    503: _FAILURES[503],
}
ACCEPT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(accepted=("one word", {"accepted": ["tanuki"]})),
    403: problem_response("The token is missing or not the owner's."),
    422: problem_response("Nobody has drawn the word with consent."),
    503: _FAILURES[503],
}
