"""The forms of the REST API's answers about learning for good, with examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from tagger.api_models import examples, problem_response


class Can(BaseModel):
    """What can be started now, and why something cannot."""

    refit: bool
    why_refit: str | None = Field(None, description="A code; null if it can.")
    why_refit_said: str | None = Field(None, description="The same for a person.")
    tune: bool
    why: str | None = Field(None, description="Of a training.")
    why_said: str | None = None


class Collected(BaseModel):
    """Drawings that were given with consent."""

    shared: int
    held_back: int = Field(description="How many of them never teach: they judge.")
    words: int


class NewWord(BaseModel):
    """A word that the recogniser does not know and that people gave with consent."""

    word: str
    drawings: int
    accepted: bool


class Point(BaseModel):
    """A point of a training's curve."""

    epoch: float | None = None
    loss: float | None = None
    frozen: float | None = Field(
        None, description="Share that is right of the frozen test drawings."
    )
    held_back: float | None = Field(
        None, description="Share that is right of the held-back drawings."
    )


class Progress(BaseModel):
    """How far a run is."""

    done: float = Field(ge=0, le=1)
    step: str = Field(description="reading, drawing, training, judging or writing.")
    curve: list[Point]


class RunData(BaseModel):
    """What a run learnt from."""

    hash: str = Field(description="Of content and word of each drawing.")
    drawings: int = Field(description="How many teach or judge.")
    held_back: int = Field(description="How many of them judge.")
    words: int
    new_words: list[str]


class Change(BaseModel):
    """The same drawings before and after."""

    count: int
    before: float = Field(ge=0, le=1, description="Share whose first answer was right.")
    after: float = Field(ge=0, le=1)
    low: float = Field(description="95 % bootstrap interval of the difference.")
    high: float


class Verdict(BaseModel):
    """What the gate said of a candidate."""

    passes: bool
    reason: str = Field(description="better, worse-frozen, not-better, too-few or no-frozen-set.")
    frozen: Change | None = None
    held_back: Change | None = None
    margin: float
    least: int


class Run(BaseModel):
    """A run, as it stands."""

    id: str
    kind: str = Field(description="refit or tuning.")
    state: str = Field(description="running, done, failed or cancelled.")
    started: int = Field(description="UTC milliseconds.")
    ended: int | None = None
    parameters: dict[str, Any] = Field(description="What was asked for, beyond the defaults.")
    data: RunData
    progress: Progress
    verdict: Verdict | None = None
    version: str | None = Field(None, description="What it became, if it went live.")
    seconds: float | None = None
    error: str | None = Field(None, description="A code, if it failed.")
    detail: str | None = Field(None, description="The last line of its log, if it failed.")
    said: str | None = Field(None, description="What came of it, for a person.")


class Version(BaseModel):
    """A recogniser that can be live."""

    id: str
    name: str
    created: int = Field(description="UTC milliseconds.")
    kind: str = Field(description="shipped, refit or tuning.")
    run: str | None = None
    words: int
    current: bool


class TuningResponse(BaseModel):
    """All that the app's owner is shown."""

    can: Can
    running: str | None = Field(None, description="Id of the run that goes on.")
    collected: Collected
    words: list[NewWord] = Field(description="Most drawn first.")
    runs: list[Run] = Field(description="Newest first.")
    versions: list[Version] = Field(description="Newest first.")
    previous: str | None = Field(None, description="The version to which one goes back.")


_ID = "20260102-030405-6a7b"
_CHANGE = {"count": 112, "before": 0.78, "after": 0.9, "low": 0.05, "high": 0.19}
_FROZEN = {"count": 1725, "before": 0.71, "after": 0.71, "low": -0.004, "high": 0.003}
_SAID = (
    "Better, and what it knew is kept. Collected drawings (112): 78.0% before, 90.0% after "
    "(+5.0 to +19.0 points). Frozen test drawings (1,725): 71.0% before, 71.0% after "
    "(−0.4 to +0.3 points)."
)
_RUN: dict[str, Any] = {
    "id": _ID,
    "kind": "refit",
    "state": "done",
    "started": 1_767_322_800_000,
    "ended": 1_767_322_804_200,
    "parameters": {},
    "data": {
        "hash": "0123456789abcdef",
        "drawings": 560,
        "held_back": 112,
        "words": 31,
        "new_words": ["tanuki"],
    },
    "progress": {"done": 1.0, "step": "writing", "curve": []},
    "verdict": {
        "passes": True,
        "reason": "better",
        "frozen": _FROZEN,
        "held_back": _CHANGE,
        "margin": 0.01,
        "least": 20,
    },
    "version": _ID,
    "seconds": 4.2,
    "error": None,
    "detail": None,
    "said": _SAID,
}
_BEGUN = {
    **_RUN,
    "state": "running",
    "ended": None,
    "progress": {"done": 0.0, "step": "reading", "curve": []},
    "verdict": None,
    "version": None,
    "seconds": 0.0,
    "said": None,
}
_VERSION = {
    "id": _ID,
    "name": f"drawing-recogniser 1+{_ID}",
    "created": 1_767_322_804_200,
    "kind": "refit",
    "run": _ID,
    "words": 356,
    "current": True,
}
_SHIPPED = {
    "id": "shipped",
    "name": "drawing-recogniser 1",
    "created": 1_767_225_600_000,
    "kind": "shipped",
    "run": None,
    "words": 355,
    "current": False,
}
_STATE = {
    "can": {
        "refit": True,
        "why_refit": None,
        "why_refit_said": None,
        "tune": False,
        "why": "training-missing",
        "why_said": "training is not installed; install requirements-train.txt",
    },
    "running": None,
    "collected": {"shared": 560, "held_back": 112, "words": 32},
    "words": [{"word": "kappa", "drawings": 3, "accepted": False}],
    "runs": [_RUN],
    "versions": [_VERSION, _SHIPPED],
    "previous": "shipped",
}

START_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {
                        "kind": {
                            "type": "string",
                            "enum": ["refit", "tuning"],
                            "description": "The last layer in seconds, or more in minutes.",
                        },
                        "parameters": {
                            "type": "object",
                            "description": (
                                "Of a training: `layers` (head, embed, last_stage or all), "
                                "`epochs`, `repeat`, `batch`, `rate`, `replay`, `distil`, "
                                "`blind`, `least`, `seed`, `threads`. Of a refit: `penalty`, "
                                "`anchor`, `most`, `iterations`, `least`."
                            ),
                        },
                    },
                },
                "example": {"kind": "tuning", "parameters": {"layers": "last_stage", "epochs": 6}},
            }
        },
    }
}

_COMMON: dict[int | str, dict[str, Any]] = {
    403: problem_response("The token is missing or not the owner's."),
    422: problem_response("A parameter cannot be used."),
    429: problem_response("Too many wrong tokens came from there."),
    503: problem_response("There is no recogniser here, or the collection is busy."),
}
_MISSING: dict[int | str, dict[str, Any]] = {404: problem_response("There is none of that id.")}
_BODY: dict[int | str, dict[str, Any]] = {
    400: problem_response("The body is not JSON."),
    408: problem_response("The body stalled."),
    413: problem_response("The body is too large."),
    415: problem_response("The body is not announced as JSON."),
}

STATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(state=("a word was learnt", _STATE)),
    **_COMMON,
}
START_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: examples(run=("it begins", _BEGUN)),
    **_BODY,
    **_COMMON,
    409: problem_response("Something is being learnt already."),
    422: problem_response("It cannot be learnt here, or a parameter cannot be used."),
    507: problem_response("The data folder cannot be written."),
}
RUN_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(run=("it went live", _RUN)),
    **_COMMON,
    **_MISSING,
}
CANCEL_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: examples(run=("it is about to end", _BEGUN)),
    **_COMMON,
    **_MISSING,
}
ACTIVATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    **STATE_RESPONSES,
    **_MISSING,
    422: problem_response("The version cannot be opened; nothing has changed."),
    507: problem_response("The data folder cannot be written; nothing has changed."),
}
BACK_RESPONSES: dict[int | str, dict[str, Any]] = {
    **STATE_RESPONSES,
    409: problem_response("There is no version before this one."),
    507: problem_response("The data folder cannot be written; nothing has changed."),
}
