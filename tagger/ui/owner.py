"""The section for the app's owner, below the Draw tab's gallery; built only where a token is set.

Here new words are accepted for everybody, the recogniser learns for good, its runs are compared
and its versions exchanged. Whoever opens it sends the owner's token with every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from tagger.drawing import DrawServices
from tagger.errors import RequestError
from tagger.gate import LEAST_DRAWINGS
from tagger.languages import LANGUAGES
from tagger.tuning import LAYERS, TuningService
from tagger.ui import files
from tagger.ui.calls import Answer, Call, Handler, guarded
from tagger.ui.icons import CROSS, WARNING, icon
from tagger.ui.owner_words import OWNER, owner_labels

# What a training offers at first, as the pipeline does.
DEFAULT_LAYERS = "last_stage"
DEFAULT_EPOCHS = 6
MAX_EPOCHS = 200
# Seconds between two looks at the server, while something runs and while nothing does.
PACE = {"running": 1.0, "idle": 10.0}

_CHEVRON = icon("M9 6l6 6-6 6")
_LAYERS = "".join(
    f'<option value="{layers}" data-word="layers_{layers}"'
    f"{' selected' if layers == DEFAULT_LAYERS else ''}></option>"
    for layers in LAYERS
)

# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<details class="ow-frame" data-state="locked">
  <summary class="ow-title">{_CHEVRON}<h2 data-word="owner"></h2></summary>
  <form class="ow-door">
    <p class="ow-hint" data-word="door"></p>
    <div class="ow-key">
      <input type="password" class="ow-field ow-token" autocomplete="off" autocapitalize="off"
        spellcheck="false" maxlength="300" data-label="token" data-placeholder="token">
      <button type="submit" class="tg-button" data-word="enter"></button>
    </div>
    <p class="ow-refused" role="alert"></p>
  </form>
  <div class="ow-room">
    <div class="ow-lead">
      <p class="ow-collected"></p>
      <button type="button" class="tg-quiet ow-leave" data-word="leave"></button>
    </div>
    <section class="ow-words" data-label="words">
      <h3 data-word="words"></h3>
      <p class="ow-hint ow-words-hint"></p>
      <ul class="ow-list ow-new" role="list" data-label="words"></ul>
    </section>
    <section class="ow-learn" data-label="learn">
      <h3 data-word="learn"></h3>
      <p class="ow-hint" data-word="learn_hint"></p>
      <div class="ow-stage" data-state="idle">
        <div class="ow-idle">
          <div class="ow-choice">
            <button type="button" class="tg-button ow-refit" data-word="refit"></button>
            <p class="ow-hint ow-refit-hint"></p>
          </div>
          <div class="ow-choice">
            <button type="button" class="tg-button ow-tune" data-word="tune"></button>
            <p class="ow-hint ow-tune-hint"></p>
            <div class="ow-options">
              <label><span data-word="layers"></span>
                <select class="ow-field ow-layers">{_LAYERS}</select></label>
              <label><span data-word="epochs"></span>
                <input type="number" class="ow-field ow-epochs" inputmode="numeric" min="1"
                  max="{MAX_EPOCHS}" step="1" value="{DEFAULT_EPOCHS}" required></label>
            </div>
          </div>
        </div>
        <div class="ow-running" tabindex="-1" role="group">
          <div class="tg-head">
            <p class="ow-what"></p>
            <button type="button" class="tg-quiet ow-cancel" data-word="cancel"></button>
          </div>
          <div class="ow-bar" role="progressbar" aria-valuemin="0" aria-valuemax="100">
            <div class="ow-fill"></div>
          </div>
          <p class="ow-hint ow-step"></p>
          <div class="ow-course"></div>
        </div>
      </div>
      <div class="ow-last" tabindex="-1" role="group" data-label="last">
        <div class="tg-head">
          <h3 data-word="last"></h3>
          <span class="ow-last-when"></span>
        </div>
        <div class="ow-result"></div>
      </div>
    </section>
    <section class="ow-versions" data-label="versions">
      <div class="tg-head">
        <h3 data-word="versions"></h3>
        <button type="button" class="tg-quiet ow-back" data-word="back"></button>
      </div>
      <ul class="ow-list ow-kept" role="list" data-label="versions"></ul>
    </section>
    <section class="ow-runs" data-label="runs">
      <h3 data-word="runs"></h3>
      <p class="ow-hint ow-no-runs" data-word="runs_none"></p>
      <table class="ow-table" role="table" data-label="runs"></table>
    </section>
  </div>
  <div class="tg-problem" role="alert" hidden>
    {WARNING}
    <span class="tg-message"></span>
    <button type="button" class="tg-dismiss" data-label="dismiss">{CROSS}</button>
  </div>
</details>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""

SCRIPTS = ("common.js", "course.js", "owner.js")
STYLES = ("common.css", "owner.css")


def build_owner(draw: DrawServices, tuning: TuningService, language: str) -> None:
    """Put the section into the open Blocks.

    Parameters
    ----------
    draw : DrawServices
        Knows the owner, accepts words.
    tuning : TuningService
        Learns, and keeps what was learnt.
    language : {"auto", "en", "ja"}
        Of the page.
    """
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text(*STYLES),
        js_on_load=files.text(*SCRIPTS),
        apply_default_css=False,
        server_functions=server_functions(draw, tuning),
        elem_id="draw-owner",
        words={lang: dict(owner_labels(lang)) for lang in LANGUAGES},
        language=language,
        least=LEAST_DRAWINGS,
        pace=PACE,
    )


def server_functions(draw: DrawServices, tuning: TuningService) -> list[Callable[..., Answer]]:
    """The functions behind the section; each answers with the state after what it did."""
    return [
        guarded(name, _for_the_owner(draw, tuning, handler))
        for name, handler in _handlers(draw, tuning).items()
    ]


def _for_the_owner(
    draw: DrawServices, tuning: TuningService, handler: Callable[[Call], None]
) -> Handler:
    """Let a call pass that brings the owner's token; the page asks for another one otherwise."""

    def handle(call: Call) -> Answer:
        try:
            draw.check_owner(call.text("token"), call.client)
        except RequestError as error:
            if error.code != "owner-only":
                raise
            return {"problem": OWNER[call.lang]["wrong_token"], "again": False, "locked": True}
        handler(call)
        return {"state": tuning.state().to_dict(call.lang)}

    return handle


def _handlers(draw: DrawServices, tuning: TuningService) -> dict[str, Callable[[Call], None]]:
    def owner_state(call: Call) -> None:
        """Nothing is done, only looked."""

    def owner_start(call: Call) -> None:
        tuning.start(*parse_run(call))

    def owner_cancel(call: Call) -> None:
        tuning.cancel(call.text("id"))

    def owner_activate(call: Call) -> None:
        tuning.activate(call.text("id"))

    def owner_back(call: Call) -> None:
        tuning.back()

    def owner_accept(call: Call) -> None:
        draw.accept(call.text("word"))

    def owner_reject(call: Call) -> None:
        draw.reject(call.text("word"))

    handlers = (
        owner_state,
        owner_start,
        owner_cancel,
        owner_activate,
        owner_back,
        owner_accept,
        owner_reject,
    )
    return {handler.__name__: handler for handler in handlers}


def parse_run(call: Call) -> tuple[str, dict[str, Any]]:
    """Kind and parameters of a run that is asked for, which the service judges.

    Raises
    ------
    RequestError
        ``request-malformed``, for what has another form.
    """
    parameters: dict[str, Any] = {}
    if "layers" in call.data:
        parameters["layers"] = call.text("layers")
    if "epochs" in call.data:
        parameters["epochs"] = call.number("epochs", 1, 10**9)
    return call.text("kind"), parameters
