"""The forms of the REST API's answers about preferences, with examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tagger.api_explore_models import NamedTag, PictureBrief
from tagger.api_models import Model, Picture, examples, problem_response
from tagger.collection.records import MAX_KEY
from tagger.preference.votes import CHOICES, KINDS

# What stands before a field's name where it is a picture's.
SIDES = ("left", "right")


class RankerName(BaseModel):
    """What judged."""

    id: str = Field(description="For the field `ranker`; `file` for one that was sent.")
    label: str


class RankerChoice(RankerName):
    """What may judge."""

    about: str = Field(description="What it was taught, in the language asked for.")
    ready: bool = Field(description="A taste is ready after a few votes.")


class GalleryState(BaseModel):
    """The pictures that are voted on."""

    status: str = Field(description="ready, loading, computing, failed, empty or off.")
    hash: str | None
    count: int


class RankersResponse(BaseModel):
    """What may judge, and what is voted on."""

    model_config = ConfigDict(protected_namespaces=())

    rankers: list[RankerChoice]
    model: Model
    gallery: GalleryState


class SideTag(NamedTag):
    """A tag of a picture of a pair."""

    probability: float
    passes: bool = Field(description="Whether it reaches the tag's operating point.")
    group: str | None = Field(None, description="Of a file that was sent.")
    given: bool | None = Field(None, description="Of the gallery: whether people gave it.")


class Side(BaseModel):
    """One picture of a pair: a file that was sent, or one of the gallery."""

    score: float
    tags: list[SideTag] = Field(description="At most five.")
    picture: Picture | None = Field(None, description="Facts of a file that was sent.")
    number: int | None = Field(None, description="Of a picture of the gallery; as what follows.")
    id: str | None = None
    title: str | None = None
    author: str | None = None
    category: str | None = None
    source: str | None = None


class WhyTag(BaseModel):
    """A tag that speaks for one of two pictures."""

    tag: str
    label: str
    left: float = Field(description="Probability that it holds for the left picture.")
    right: float
    speaks_for: str = Field(description="left or right.")
    weight: float = Field(description="How much; the most first.")


class CompareResponse(BaseModel):
    """Which of two pictures is preferred."""

    model_config = ConfigDict(protected_namespaces=())

    left: Side
    right: Side
    p_left: float = Field(ge=0, le=1, description="Probability that the left one is; calibrated.")
    tie: bool = Field(description="Whether that is too near to one half to tell.")
    verdict: str = Field(description="left, right or tie.")
    why: list[WhyTag]
    ranker: RankerName
    model: Model


class Reason(BaseModel):
    """Why a picture has no score."""

    code: str = Field(description="As of a problem.")
    message: str


class RankedPicture(BaseModel):
    """A picture in its place, or why it has none."""

    name: str = Field(description="File name as sent.")
    place: int = Field(description="In the form, from 0 on: names may repeat.")
    score: float | None = None
    rank: int | None = Field(None, description="From 1 on.")
    rating: float | None = None
    description: str | None = Field(None, description="For `POST v1/rank/scores`, if asked for.")
    error: Reason | None = None


class Evaluation(BaseModel):
    """How well an order agrees with ratings; null where that is not defined."""

    ndcg: dict[str, float | None] = Field(description="Of the first 10, 50 and 100.")
    pairwise_accuracy: float | None = Field(
        description="Share of the pairs of different ratings that are in the right order."
    )
    kendall_tau: float | None = Field(description="-1 to 1, ties taken off (tau-b).")
    rated: int = Field(description="Pictures with a rating.")


class RankResponse(BaseModel):
    """Pictures in order, those that cannot be read at the end."""

    model_config = ConfigDict(protected_namespaces=())

    pictures: list[RankedPicture] = Field(description="The best first.")
    evaluation: Evaluation | None = Field(description="Where ratings were sent.")
    ranker: RankerName
    model: Model


class ScoresResponse(BaseModel):
    """Scores in the order of the descriptions."""

    model_config = ConfigDict(protected_namespaces=())

    scores: list[float]
    ranker: RankerName
    model: Model


class VotePair(BaseModel):
    """Two pictures to choose from."""

    left: PictureBrief
    right: PictureBrief
    kind: str = Field(description="Why they are asked: active, check or repeat. Goes back with it.")


class NextResponse(BaseModel):
    """What is asked next."""

    hash: str = Field(description="Of the gallery; goes back with the vote.")
    pairs: list[VotePair]
    count: int = Field(description="Votes of the visitor until now.")


class SavedVote(BaseModel):
    """A receipt: the vote is on the disk."""

    id: str
    count: int = Field(description="Votes of the visitor until now.")
    duplicate: bool = Field(description="Whether it was there already: the same key, sent again.")
    p_left: float | None = Field(description="What the taste had expected before it.")
    pairs: list[VotePair] = Field(description="What is asked next, as many as `next` said.")
    hash: str


class VoteItem(BaseModel):
    """One of the visitor's votes."""

    id: str
    left: PictureBrief | None = Field(None, description="Null for one not of the gallery.")
    right: PictureBrief | None = None
    choice: str
    kind: str
    created: int = Field(description="UTC milliseconds.")


class VotesResponse(BaseModel):
    """A page of the visitor's votes, newest first; `total` counts those of all pages."""

    votes: list[VoteItem]
    total: int


class ForgottenResponse(BaseModel):
    """How many votes were deleted."""

    deleted: int


class Interval(BaseModel):
    """A figure with its 95 % interval; null where there is too little to tell."""

    value: float | None
    low: float | None
    high: float | None
    count: int = Field(description="Votes that it is of.")


class Consistency(BaseModel):
    """How much the visitor agrees with themselves."""

    repeated: Interval = Field(description="Of pairs that were asked twice.")
    ceiling: float | None = Field(description="No taste can agree with them more often.")


class TasteWord(BaseModel):
    """What a taste thinks of a tag."""

    tag: str
    label: str
    weight: float = Field(
        ge=-1, le=1, description="1: a picture with it always wins; -1: it always loses."
    )
    low: float = Field(description="95 % interval.")
    high: float
    edited: bool = Field(description="Whether the visitor set it.")


class TasteResponse(BaseModel):
    """What was learnt of a visitor's taste."""

    count: int = Field(description="Votes.")
    skipped: int
    agreement: Interval = Field(description="With votes that it had not learnt from.")
    consistency: Consistency
    certainty: float | None = Field(description="0.5 to 1: how sure it is of a typical pair.")
    votes_to_go: int | None = Field(description="Until the goal, about; null where unknown.")
    goal: float
    words: list[TasteWord] = Field(description="What it is surest of, and all that were set.")
    begun_from: str | None = Field(None, description="The ranker or taste that it began as.")
    hash: str | None = Field(description="Of the gallery.")


class OrderedPicture(PictureBrief):
    """A picture of the gallery in its place."""

    score: float
    rank: int = Field(description="From 1 on, for the best.")


class OrderResponse(BaseModel):
    """A page of the gallery's pictures in order."""

    pictures: list[OrderedPicture]
    total: int
    hash: str


class Standing(BaseModel):
    """A picture and what all voters think of it."""

    name: str = Field(description="Its id.")
    picture: PictureBrief | None = None
    strength: float = Field(description="Bradley and Terry's; 0 on average.")
    low: float = Field(description="95 % interval.")
    high: float
    votes: int
    wins: float


class Suspect(BaseModel):
    """A voter whose votes look odd."""

    voter: str
    votes: int
    reasons: list[str] = Field(description="one-sided, unlike-others or too-quick.")


class ReportResponse(BaseModel):
    """What all voters together say, and whether their votes can be trusted."""

    votes: int
    voters: int
    choices: dict[str, int]
    standings: list[Standing] = Field(description="The best first.")
    left: Interval = Field(description="Share of the left picture: 0.5 is no bias.")
    duplicates: int
    suspects: list[Suspect]
    hash: str | None = Field(description="Of the gallery that the pictures' numbers are of.")


# --- what is sent --------------------------------------------------------------------------------

_FILE = {
    "type": "string",
    "contentMediaType": "application/octet-stream",
    "description": "PNG, JPEG, WebP, GIF, AVIF, HEIC, BMP or TIFF.",
}
_RANKER = {
    "type": "string",
    "description": "What judges, from `GET v1/rankers`; by default the first of them. `taste` "
    "needs `X-Visitor`.",
}
_PROFILE = {
    "type": "string",
    "contentMediaType": "application/json",
    "description": "A ranker or a saved taste that judges instead, as a file.",
}
_HASH = {"type": "string", "description": "Of the gallery, if numbers are of it."}


def _number(side: str) -> dict[str, Any]:
    return {"type": "integer", "description": f"Of a picture of the gallery, instead of `{side}`."}


def _form(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"multipart/form-data": {"schema": schema}}


def _json(properties: dict[str, Any], required: list[str], example: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"application/json": {"schema": schema, "example": example}}


def _body(**content: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


COMPARE_REQUEST = _body(
    **_form(
        {
            "left": {**_FILE, "description": "The left picture."},
            "right": {**_FILE, "description": "The right picture."},
            "left_number": _number("left"),
            "right_number": _number("right"),
            "hash": _HASH,
            "ranker": _RANKER,
            "profile": _PROFILE,
        },
        [],
    )
)
RANK_REQUEST = _body(
    **_form(
        {
            "files": {"type": "array", "items": _FILE, "description": "The pictures."},
            "ranker": _RANKER,
            "profile": _PROFILE,
            "ratings": {
                "type": "string",
                "description": "What people think of them: an object of names and numbers as JSON, "
                "or a CSV file with the columns `file` and `rating`.",
            },
            "top": {"type": "integer", "description": "Only so many, the best."},
            "describe": {"type": "boolean", "description": "Whether to describe each picture."},
        },
        ["files"],
    )
)
_SCORED = {
    "type": "object",
    "properties": {"score": {"type": "number"}, "rating": {"type": "number"}},
    "required": ["score", "rating"],
}
EVALUATE_REQUEST = _body(
    **_json(
        {
            "pictures": {
                "type": "array",
                "items": _SCORED,
                "description": "Score and rating of each; those without a rating do not count.",
            }
        },
        ["pictures"],
        {"pictures": [{"score": 1.4, "rating": 5}, {"score": 0.2, "rating": 3}]},
    )
)
SCORES_REQUEST = _body(
    **_json(
        {
            "descriptions": {
                "type": "array",
                "items": {"type": "string"},
                "description": "At most 2000, as `POST v1/rank` told them.",
            },
            "model": {"type": "string", "description": "Hash of the model of that answer."},
            "ranker": _RANKER,
            "profile": {"type": "object", "description": "A ranker or a saved taste instead."},
        },
        ["descriptions", "model"],
        {"descriptions": ["zDAAPA=="], "model": "0f5d1c7a9be24e6f", "ranker": "taste"},
    )
)
_EXAMPLE_HASH = "0f5d1c7a9be24e6f8a3b5c6d7e8f9a0b"
_VOTE: dict[str, Any] = {
    "hash": {"type": "string", "description": "Of the gallery, from `GET v1/votes/next`."},
    "left": {"type": "integer", "description": "Number of the left picture."},
    "right": {"type": "integer", "description": "Number of the right picture."},
    "choice": {"type": "string", "enum": list(CHOICES), "description": "What you prefer."},
    "kind": {
        "type": "string",
        "enum": list(KINDS),
        "description": "As it was asked; own for a pair of your choice, which is the default.",
    },
    "milliseconds": {"type": "integer", "description": "That you looked at the pair."},
    "consent": {
        "type": "boolean",
        "default": False,
        "description": "Whether others may have the vote.",
    },
    "key": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY,
        "description": "Random, of your own: with it a vote may be sent again.",
    },
    "ranker": {"type": "string", "description": "What had judged the pair before you, if any."},
    "pending": {
        "type": "array",
        "items": {"type": "array", "items": {}},
        "description": "Pairs that you have already and will be asked: `[left, right, kind]`.",
    },
    "next": {"type": "integer", "description": "How many more pairs you want, 0 to 10."},
}
_OWN = {
    **_VOTE,
    "left": {**_FILE, "description": "The left picture; or its number in `left_number`."},
    "right": {**_FILE, "description": "The right picture; or its number in `right_number`."},
    "left_number": _number("left"),
    "right_number": _number("right"),
    "pending": {"type": "string", "description": "As JSON."},
}
VOTE_REQUEST = _body(
    **_json(
        _VOTE,
        ["hash", "left", "right", "choice"],
        {
            "hash": _EXAMPLE_HASH,
            "left": 12,
            "right": 45,
            "choice": "left",
            "kind": "active",
            "milliseconds": 1840,
            "key": "b5c1a7d2",
            "next": 1,
        },
    ),
    **_form(_OWN, ["choice"]),
)
WORDS_REQUEST = _body(
    **_json(
        {
            "tag": {"type": "string", "description": "In any spelling that the model knows."},
            "weight": {
                "anyOf": [{"type": "number", "minimum": -1, "maximum": 1}, {"type": "null"}],
                "description": "From -1, never, to 1, always; null lets it be learnt again.",
            },
        },
        ["tag", "weight"],
        {"tag": "cat", "weight": 0.8},
    )
)
_PROFILE_BODY = {
    "type": "object",
    "description": "As `GET v1/taste/profile` gives it; or a ranker.",
}
PROFILE_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": {"format": "taste"}}
        },
    }
}
BLEND_REQUEST = _body(
    **_json(
        {
            "profile": _PROFILE_BODY,
            "share": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Of the profile; the rest is the visitor's taste.",
            },
        },
        ["profile", "share"],
        {"profile": {"format": "taste"}, "share": 0.3},
    )
)

# --- what is answered ----------------------------------------------------------------------------

_MODEL = {"name": "illustration", "version": "2.0.0", "hash": "0123456789abcdef"}
_SMILE = {"tag": 31, "name": "smile", "label": "smile", "probability": 0.93, "passes": True}
_FACTS = {
    "width": 640,
    "height": 480,
    "format": "PNG",
    "had_alpha": False,
    "frames": 1,
    "notes": [],
}
_CHEERFUL = {"id": "cheerfulness", "label": "Cheerfulness"}
_WHY = {
    "tag": "smile",
    "label": "smile",
    "left": 0.93,
    "right": 0.02,
    "speaks_for": "left",
    "weight": 0.84,
}
_BRIEF = {
    "number": 12,
    "id": "animals/cat.png",
    "title": "Sleeping cat",
    "tags": [
        {"tag": 12, "name": "cat", "label": "cat", "probability": 1, "given": True, "passes": True}
    ],
    "author": "Ann",
    "category": "animals",
    "source": "an archive",
}
_OTHER = {**_BRIEF, "number": 45, "id": "animals/dog.png", "title": "Dog", "tags": []}
_PAIR = {"left": _BRIEF, "right": _OTHER, "kind": "active"}
_EVALUATION = {
    "ndcg": {"10": 0.912, "50": 0.934, "100": 0.941},
    "pairwise_accuracy": 0.78,
    "kendall_tau": 0.55,
    "rated": 120,
}
_VOTE_ID = "0f5d1c7a9be24e6f8a3b5c6d7e8f9a0b"
_INTERVAL = {"value": 0.82, "low": 0.71, "high": 0.91, "count": 39}
_TASTE = {
    "count": 57,
    "skipped": 3,
    "agreement": _INTERVAL,
    "consistency": {"repeated": {**_INTERVAL, "count": 6}, "ceiling": 0.91},
    "certainty": 0.74,
    "votes_to_go": 34,
    "goal": 0.85,
    "words": [
        {
            "tag": "cat",
            "label": "cat",
            "weight": 0.42,
            "low": 0.21,
            "high": 0.6,
            "edited": False,
        }
    ],
    "begun_from": None,
    "hash": _EXAMPLE_HASH,
}

_UNUSABLE = problem_response("A parameter or something that was sent cannot be used.")
_TOO_FAST = problem_response("Too fast, or too many at once; Retry-After says when to come back.")
_ABSENT = problem_response("The model, the gallery or the collection is not there, or not ready.")
_NOBODY = problem_response("Nobody says who they are.")
_CHANGED = problem_response("The gallery has changed, or a file is of another model.")
_FAILURES: dict[int | str, dict[str, Any]] = {422: _UNUSABLE, 429: _TOO_FAST, 503: _ABSENT}
_SENT: dict[int | str, dict[str, Any]] = {
    **_FAILURES,
    400: problem_response("The body is not well-formed."),
    404: problem_response("There is no such picture or ranker."),
    408: problem_response("The body stalled."),
    409: _CHANGED,
    413: problem_response("The body is too large, or holds too many files."),
    415: problem_response("The body is announced as something else, or is no picture."),
}
_VISITOR: dict[int | str, dict[str, Any]] = {**_FAILURES, 401: _NOBODY, 409: _CHANGED}
_VISITOR_SENT: dict[int | str, dict[str, Any]] = {**_SENT, 401: _NOBODY}
_LEARNT = examples(taste=("a taste after 57 votes", _TASTE))

RANKERS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        two=(
            "the shipped one, and a taste without votes",
            {
                "rankers": [
                    {**_CHEERFUL, "about": "How glad people find a picture.", "ready": True},
                    {"id": "taste", "label": "My taste", "about": "From votes.", "ready": False},
                ],
                "model": _MODEL,
                "gallery": {"status": "ready", "hash": _EXAMPLE_HASH, "count": 2000},
            },
        )
    ),
    **_FAILURES,
}
COMPARE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        left=(
            "a file, and a picture of the gallery",
            {
                "left": {"score": 1.31, "tags": [_SMILE], "picture": _FACTS},
                "right": {"score": -0.2, **_OTHER},
                "p_left": 0.82,
                "tie": False,
                "verdict": "left",
                "why": [_WHY],
                "ranker": _CHEERFUL,
                "model": _MODEL,
            },
        )
    ),
    **_SENT,
}
RANK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        three=(
            "three pictures, of which one is empty",
            {
                "pictures": [
                    {"name": "smile.png", "place": 2, "score": 1.31, "rank": 1, "rating": 5},
                    {"name": "rain.png", "place": 0, "score": -0.2, "rank": 2, "rating": 1},
                    {
                        "name": "empty.png",
                        "place": 1,
                        "error": {"code": "image-empty", "message": "The file is empty."},
                    },
                ],
                "evaluation": {**_EVALUATION, "rated": 2},
                "ranker": _CHEERFUL,
                "model": _MODEL,
            },
        )
    ),
    **_SENT,
}
SCORES_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        two=("two pictures", {"scores": [1.31, -0.2], "ranker": _CHEERFUL, "model": _MODEL})
    ),
    **_SENT,
    409: problem_response("The server has another model by now; send the pictures again."),
}
EVALUATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(rated=("120 pictures", _EVALUATION)),
    **_SENT,
}
NEXT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        pair=("one pair", {"hash": _EXAMPLE_HASH, "pairs": [_PAIR], "count": 56}),
    ),
    **_VISITOR,
}
_SAVED = {
    "id": _VOTE_ID,
    "count": 57,
    "duplicate": False,
    "p_left": 0.64,
    "pairs": [_PAIR],
    "hash": _EXAMPLE_HASH,
}
VOTE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        **examples(again=("the same, sent again", {**_SAVED, "duplicate": True})),
        "model": SavedVote,
        "description": "It was there already.",
    },
    201: examples(saved=("a new vote", _SAVED)),
    **_VISITOR_SENT,
}
VOTES_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        one=(
            "one vote",
            {
                "votes": [
                    {
                        "id": _VOTE_ID,
                        "left": _BRIEF,
                        "right": None,
                        "choice": "left",
                        "kind": "own",
                        "created": 1_767_225_600_000,
                    }
                ],
                "total": 57,
            },
        )
    ),
    **_VISITOR,
}
UNDO_RESPONSES: dict[int | str, dict[str, Any]] = {
    **_VISITOR,
    404: problem_response("There is no such vote among the visitor's."),
}
FORGET_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(all=("57 votes", {"deleted": 57})),
    **_VISITOR,
}
TASTE_RESPONSES: dict[int | str, dict[str, Any]] = {200: _LEARNT, **_VISITOR}
TAUGHT_RESPONSES: dict[int | str, dict[str, Any]] = {200: _LEARNT, **_VISITOR_SENT}
ORDER_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        best=(
            "the best one",
            {
                "pictures": [{**_BRIEF, "score": 1.72, "rank": 1}],
                "total": 2000,
                "hash": _EXAMPLE_HASH,
            },
        )
    ),
    **_VISITOR,
    404: problem_response("There is no such ranker."),
}
PROFILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **_VISITOR,
}
EXPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    **_VISITOR,
    403: problem_response("Somebody else than the app's owner."),
}
REPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(
        report=(
            "one picture's standing",
            {
                "votes": 812,
                "voters": 9,
                "choices": {"left": 391, "right": 377, "tie": 30, "both-bad": 4, "skip": 10},
                "standings": [
                    {
                        "name": "animals/cat.png",
                        "picture": _BRIEF,
                        "strength": 1.42,
                        "low": 0.6,
                        "high": 2.3,
                        "votes": 14,
                        "wins": 11.5,
                    }
                ],
                "left": {"value": 0.509, "low": 0.475, "high": 0.542, "count": 768},
                "duplicates": 2,
                "suspects": [{"voter": "5f3c", "votes": 40, "reasons": ["too-quick"]}],
                "hash": _EXAMPLE_HASH,
            },
        )
    ),
    **_FAILURES,
    403: problem_response("Somebody else than the app's owner."),
}
