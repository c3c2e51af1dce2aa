"""The forms of the REST API's answers about maps, with examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tagger.api_models import Model, Picture, Problem, examples, problem_response


class MapSummary(BaseModel):
    """One of the maps."""

    map: str
    count: int
    status: str = Field(description="ready, loading, computing, failed or empty.")


class LegendEntry(BaseModel):
    """A value of a legend."""

    value: int = Field(description="In the column.")
    name: str = Field(description="Empty where unknown; `other` at the end stands for the rest.")
    label: str = Field(description="Name to show, in the language asked for.")
    count: int


class Legends(BaseModel):
    """What points may be coloured by, the most frequent value first."""

    category: list[LegendEntry]
    source: list[LegendEntry]
    language: list[LegendEntry]


class MapTag(BaseModel):
    """A tag that pictures of the map have."""

    tag: int = Field(description="Its number: its column is `tag-` and this.")
    name: str
    label: str
    group: str
    count: int = Field(description="Pictures for which it holds.")


class MapResponse(BaseModel):
    """A map; beyond the first few only where it is ready."""

    map: str
    hash: str | None = Field(None, description="Of its content; null before it is ready.")
    status: str = Field(description="ready, loading, computing, failed or empty.")
    placement: str = Field(description="How a picture would be placed now: umap or neighbours.")
    count: int
    maps: list[MapSummary]
    dimensions: int | None = Field(None, description="2 or 3.")
    bounds: dict[str, list[float]] | None = Field(
        None, description="Lowest and highest value of x, y and z."
    )
    method: str | None = Field(None, description="umap or pca.")
    parameters: dict[str, Any] | None = Field(None, description="Of the method.")
    trustworthiness: float | None = Field(
        None, description="0 to 1: how true neighbourhoods on the map are, of 15 neighbours."
    )
    pca_trustworthiness: float | None = Field(None, description="The same of a map by PCA.")
    trust_sample: int | None = Field(
        None,
        description="Of many pictures trust is estimated: by so many of them, drawn at random.",
    )
    model: Model | None = Field(None, description="What made the embeddings.")
    name: str | None = Field(None, description="Of the collection.")
    licence: str | None = None
    credits: str | None = None
    legends: Legends | None = None
    tags: list[MapTag] | None = Field(None, description="The most frequent first.")
    columns: list[str] | None = Field(None, description="Of `GET v1/map/points`, in their order.")
    bytes_per_point: int | None = None


class NamedTag(BaseModel):
    """A tag by its number and names."""

    tag: int
    name: str
    label: str


class PictureTag(NamedTag):
    """A tag of a picture."""

    probability: float = Field(ge=0, le=1, description="1 where people gave it.")
    given: bool = Field(description="Whether people gave it.")
    passes: bool = Field(description="Whether it reaches the tag's operating point, or was given.")


class PictureBrief(BaseModel):
    """A picture at a glance."""

    number: int
    id: str
    title: str
    tags: list[PictureTag] = Field(description="Given ones first; at most five.")
    author: str
    category: str
    source: str


class PicturesResponse(BaseModel):
    """Pictures, in the order asked for or the best match first."""

    pictures: list[PictureBrief]


class NearPicture(BaseModel):
    """A neighbour."""

    number: int
    id: str
    title: str
    cosine: float = Field(description="Of the embeddings: 1 for the same.")
    shared: list[NamedTag] = Field(description="Tags in common, the rarest first.")


class PictureDetail(PictureBrief):
    """A picture with all that is known of it."""

    metadata: dict[str, Any] = Field(description="As the gallery has it.")
    trust: float = Field(description="0 to 1: how well its neighbourhood survived on the map.")
    position: list[float]
    neighbours: list[NearPicture] = Field(description="Nearest first.")


class SearchResponse(PicturesResponse):
    """What was found, the best match first."""

    map: str
    hash: str = Field(description="Of the map whose numbers they are.")
    tags: list[MapTag]


class SharedTag(NamedTag):
    """A tag of a selection."""

    here: int = Field(description="Pictures of the selection with it.")
    everywhere: int = Field(description="Pictures of the map with it.")
    lift: float = Field(description="Its share of the selection over its share of the map.")
    p_value: float = Field(description="Chance of a random selection to have it as often.")


class SelectedEntry(LegendEntry):
    """A value of a legend in a selection."""

    here: int = Field(description="Pictures of the selection with it.")


class SelectedLegends(BaseModel):
    """Values that the selection has."""

    category: list[SelectedEntry]
    source: list[SelectedEntry]
    language: list[SelectedEntry]


class SelectionResponse(BaseModel):
    """What a selection shares."""

    count: int
    shared: list[SharedTag] = Field(description="Over-represented ones first; at most 200.")
    legends: SelectedLegends
    numbers: list[int] = Field(description="Of its pictures, the first 500.")
    milliseconds: float


class PlaceTag(BaseModel):
    """A tag of a picture that was sent."""

    tag: int
    name: str
    label: str
    group: str
    probability: float
    passes: bool = Field(description="Whether it reaches the tag's operating point.")


class PlaceResponse(BaseModel):
    """Where a picture lies."""

    map: str
    hash: str
    position: list[float]
    by: str = Field(description="neighbours or umap.")
    trust: float = Field(description="Share of its true neighbours that are near it on the map.")
    tags: list[PlaceTag]
    neighbours: list[NearPicture]
    picture: Picture | None = Field(description="Facts of the file; null for a drawing.")


class SimilarResponse(BaseModel):
    """What is near."""

    map: str
    hash: str
    neighbours: list[NearPicture] = Field(description="Nearest first.")
    model: Model


class Embedded(BaseModel):
    """A picture's embedding, or why there is none."""

    name: str
    embedding: list[float] | None = Field(None, description="Of length one.")
    error: Problem | None = None


class EmbedResponse(BaseModel):
    """Embeddings, in the order in which the pictures were sent."""

    model_config = ConfigDict(protected_namespaces=())

    embeddings: list[Embedded]
    dimension: int | None
    model: Model


# --- what is sent --------------------------------------------------------------------------------

_HASH_FIELD = {"type": "string", "description": "Of the map, from `GET v1/map`."}
_MASK_FIELD = {
    "type": "string",
    "description": "Base64 of one bit a picture, the first in the lowest bit of the first byte.",
}
_EXAMPLE_HASH = "0f5d1c7a9be24e6f8a3b5c6d7e8f9a0b"


def _json_body(
    properties: dict[str, Any], required: list[str], example: dict[str, Any]
) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }


SELECTION_REQUEST = _json_body(
    {"mask": _MASK_FIELD, "hash": _HASH_FIELD}, ["mask"], {"hash": _EXAMPLE_HASH, "mask": "DwA="}
)
_EDIT = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "integer"}},
}
EXPORT_REQUEST = _json_body(
    {
        "mask": _MASK_FIELD,
        "hash": _HASH_FIELD,
        "format": {"type": "string", "enum": ["csv", "json", "zip"], "description": "Of the file."},
        "edits": {
            "type": "object",
            "properties": {"add": _EDIT, "remove": _EDIT},
            "description": "Tags to add and to remove: the numbers of the pictures by tag.",
        },
    },
    ["mask"],
    {
        "hash": _EXAMPLE_HASH,
        "mask": "DwA=",
        "format": "json",
        "edits": {"add": {"night": [0, 2]}, "remove": {"cat": [1]}},
    },
)

_FILE = {
    "type": "string",
    "contentMediaType": "application/octet-stream",
    "description": "PNG, JPEG, WebP, GIF, AVIF, HEIC, BMP or TIFF.",
}
_ONE: dict[str, Any] = {
    "schema": {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
}
ONE_FILE: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"multipart/form-data": _ONE}}
}
MANY_FILES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": _FILE}},
                    "required": ["file"],
                }
            }
        },
    }
}
_ASKED = _json_body(
    {
        "embedding": {
            "type": "array",
            "items": {"type": "number"},
            "description": "As many numbers as the model's embeddings have; of any length.",
        },
        "id": {"type": "string", "description": "Of a picture of the map, instead."},
        "k": {"type": "integer", "description": "How many at most."},
        "map": {"type": "string", "enum": ["gallery", "drawings"], "description": "Which map."},
    },
    [],
    {"id": "animals/cat.png", "k": 5},
)
SIMILAR_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {**_ASKED["requestBody"]["content"], "multipart/form-data": _ONE},
    }
}

# --- what is answered ----------------------------------------------------------------------------

_MODEL = {"name": "illustration", "version": "2.0.0", "hash": "0123456789abcdef"}
_CAT = {"tag": 12, "name": "cat", "label": "cat"}
_BRIEF = {
    "number": 0,
    "id": "animals/cat.png",
    "title": "Sleeping cat",
    "tags": [{**_CAT, "probability": 1.0, "given": True, "passes": True}],
    "author": "Ann",
    "category": "animals",
    "source": "an archive",
}
_NEAR = {
    "number": 7,
    "id": "animals/kitten.png",
    "title": "Kitten",
    "cosine": 0.8731,
    "shared": [_CAT],
}
_ENTRY = {"value": 0, "name": "animals", "label": "animals", "count": 418}
_LEGENDS = {"category": [_ENTRY], "source": [], "language": []}
_SUMMARY = {"map": "gallery", "count": 2000, "status": "ready"}
_MAP_TAG = {**_CAT, "group": "animal", "count": 61}

_FAILURES: dict[int | str, dict[str, Any]] = {
    404: problem_response("There is no such picture, tag or column, or the map is empty."),
    409: problem_response("The map has changed: its hash is another one."),
    422: problem_response("A parameter cannot be used."),
    429: problem_response("Too fast, or too many at once; Retry-After says when to come back."),
    503: problem_response("There is no map here, or it is not ready yet."),
}
_SENT: dict[int | str, dict[str, Any]] = {
    **_FAILURES,
    400: problem_response("The body is not well-formed."),
    408: problem_response("The body stalled."),
    413: problem_response("The body or the selection is too large."),
    415: problem_response("The body is announced as something else, or is no picture."),
}


def _binary(description: str, media: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "binary"}
    return {"description": description, "content": {media: {"schema": schema}}}


_SAME: dict[int | str, dict[str, Any]] = {
    304: {"description": "As the one that the caller has, by its `ETag`."}
}

MAP_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        ready=(
            "a gallery",
            {
                "map": "gallery",
                "hash": _EXAMPLE_HASH,
                "status": "ready",
                "placement": "neighbours",
                "count": 2000,
                "maps": [_SUMMARY, {"map": "drawings", "count": 0, "status": "empty"}],
                "dimensions": 2,
                "bounds": {"x": [-4.2, 15.9], "y": [-3.0, 11.4]},
                "method": "umap",
                "parameters": {"method": "umap", "neighbours": 15, "min_distance": 0.1},
                "trustworthiness": 0.93,
                "pca_trustworthiness": 0.81,
                "trust_sample": None,
                "model": _MODEL,
                "name": "Clip art",
                "licence": "CC0-1.0",
                "credits": "Their authors",
                "legends": _LEGENDS,
                "tags": [_MAP_TAG],
                "columns": ["x", "y", "category", "source", "language", "trust"],
                "bytes_per_point": 8,
            },
        ),
        loading=(
            "not ready yet",
            {
                "map": "gallery",
                "hash": None,
                "status": "loading",
                "placement": "neighbours",
                "count": 0,
                "maps": [{"map": "gallery", "count": 0, "status": "loading"}],
            },
        ),
    ),
    422: _FAILURES[422],
    503: _FAILURES[503],
    **_SAME,
}
POINTS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _binary("The columns.", "application/octet-stream"),
    **_FAILURES,
    **_SAME,
}
COLUMN_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _binary("The column.", "application/octet-stream"),
    **_FAILURES,
    **_SAME,
}
IMAGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _binary("The picture.", "image/webp"),
    **_FAILURES,
    **_SAME,
}
PICTURES_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(pictures=("one picture", {"pictures": [_BRIEF]})),
    **_FAILURES,
    **_SAME,
    413: problem_response("Too many at once."),
}
DETAIL_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        picture=(
            "a picture",
            {
                **_BRIEF,
                "metadata": {"title": "Sleeping cat", "licence": "CC0-1.0", "width": 640},
                "trust": 0.87,
                "position": [3.4, 7.25],
                "neighbours": [_NEAR],
            },
        )
    ),
    **_FAILURES,
    **_SAME,
}
_FOUND = {"map": "gallery", "hash": _EXAMPLE_HASH, "pictures": [_BRIEF], "tags": [_MAP_TAG]}
SEARCH_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(found=("searching “cat”", _FOUND)),
    **_FAILURES,
    **_SAME,
}
SELECTION_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        cats=(
            "four pictures",
            {
                "count": 4,
                "shared": [{**_CAT, "here": 3, "everywhere": 61, "lift": 24.59, "p_value": 0.0001}],
                "legends": {**_LEGENDS, "category": [{**_ENTRY, "here": 4}]},
                "numbers": [0, 1, 2, 3],
                "milliseconds": 1.8,
            },
        )
    ),
    **_SENT,
}
EXPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file.",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("text/csv", "application/zip")
        },
    },
    **_SENT,
}
PLACE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        cat=(
            "a cat",
            {
                "map": "gallery",
                "hash": _EXAMPLE_HASH,
                "position": [3.38, 7.3],
                "by": "neighbours",
                "trust": 0.8,
                "tags": [{**_CAT, "group": "animal", "probability": 0.91, "passes": True}],
                "neighbours": [_NEAR],
                "picture": {
                    "width": 640,
                    "height": 480,
                    "format": "PNG",
                    "had_alpha": False,
                    "frames": 1,
                    "notes": [],
                },
            },
        )
    ),
    **_SENT,
}
SIMILAR_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        near=(
            "one neighbour",
            {"map": "gallery", "hash": _EXAMPLE_HASH, "neighbours": [_NEAR], "model": _MODEL},
        )
    ),
    **_SENT,
}
EMBED_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        one=(
            "one picture; really of some hundred numbers",
            {
                "embeddings": [{"name": "cat.png", "embedding": [0.6, -0.8]}],
                "dimension": 2,
                "model": _MODEL,
            },
        )
    ),
    **{status: _SENT[status] for status in (400, 408, 413, 415, 422, 429, 503)},
}
