"""The Draw tab: a drawing is named while it grows, and teaches the words it is saved under.

One HTML component with its own scripts, as the Tag tab is. While somebody draws, their browser asks
a server function some twenty times a second; such calls go past Gradio's queue, so the bounds are
those of :class:`tagger.drawing.DrawServices`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.events import api as endpoint

from tagger.drawing import DrawServices, KnownWord
from tagger.errors import TaggerError
from tagger.languages import LANGUAGES, Language, choose_language
from tagger.services import Services
from tagger.ui import files
from tagger.ui.answers import problem
from tagger.ui.calls import Answer, Call, Handler, answered, guarded
from tagger.ui.draw_words import draw_labels
from tagger.ui.icons import CROSS, WARNING, icon
from tagger.ui.tag_tab import CONCURRENCY_ID, parse_upload

TOP = 10
# So many drawings of a new word, and it is recognised.
ENOUGH = 5
GAME_SECONDS = 20
# Read by the browser alone, in one piece.
MAX_SVG_BYTES = 2_000_000
COMPLETIONS = 8
PAGE_OF_DRAWINGS = 200


_PEN = icon("M4 20l1-5L16 4l4 4L9 19z", "M13.5 6.5l4 4")
_ERASER = icon("M8 20h12", "M4.5 14.5l9-9 6 6-8.5 8.5h-3z", "M9 10l6 6")
_UNDO = icon("M4 9h10a6 6 0 0 1 0 12h-3", "M8 5L4 9l4 4")
_REDO = icon("M20 9H10a6 6 0 0 0 0 12h3", "M16 5l4 4-4 4")
_CLEAR = icon("M4 7h16", "M9 7V4h6v3", "M6 7l1 13h10l1-13")
_BRING = icon("M12 15V4", "M8 8l4-4 4 4", "M4 15v5h16v-5")
_DOWN = icon("M12 4v11", "M8 11l4 4 4-4", "M4 20h16")

# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<fieldset class="dr-modes tg-formats" data-label="modes">
  <label><input type="radio" name="dr-mode" value="free" checked>
    <span data-word="mode_free"></span></label>
  <label><input type="radio" name="dr-mode" value="game">
    <span data-word="mode_game"></span></label>
</fieldset>
<div class="dr-banner">
  <p class="dr-guess"></p>
  <div class="dr-task">
    <p><span data-word="task"></span> <strong class="dr-task-word"></strong></p>
    <span class="dr-clock" role="timer"></span>
    <button type="button" class="tg-quiet dr-skip" data-word="skip" hidden></button>
    <div class="dr-timebar"><div class="dr-time"></div></div>
  </div>
</div>
<div class="dr-left">
  <section class="dr-easel" data-state="empty" data-label="easel">
    <canvas class="dr-pad" tabindex="0" role="application" data-label="pad"></canvas>
    <div class="dr-invite" aria-hidden="true">
      <strong data-word="invite"></strong><span data-word="invite_more"></span>
    </div>
    <div class="dr-release" data-word="release"></div>
    <div class="tg-progress"></div>
    <div class="dr-verdict" hidden>
      <div>
        <p class="dr-verdict-line"></p>
        <p class="dr-verdict-seen"></p>
      </div>
      <button type="button" class="tg-button dr-next"></button>
    </div>
    <div class="tg-problem" role="alert" hidden>
      {WARNING}
      <span class="tg-message"></span>
      <button type="button" class="tg-dismiss" data-label="dismiss">{CROSS}</button>
    </div>
  </section>
  <div class="dr-tools" role="group" data-label="tools">
    <button type="button" data-tool="pen" data-label="pen" data-keys="P">{_PEN}</button>
    <button type="button" data-tool="eraser" data-label="eraser" data-keys="E">{_ERASER}</button>
    <i></i>
    <button type="button" data-act="undo" data-label="undo" data-keys="Ctrl+Z">{_UNDO}</button>
    <button type="button" data-act="redo" data-label="redo" data-keys="Ctrl+Y">{_REDO}</button>
    <button type="button" data-act="clear" data-label="clear" data-keys="Del">{_CLEAR}</button>
    <i class="dr-space"></i>
    <button type="button" data-act="bring" data-label="bring">{_BRING}<span class="dr-wide"
      data-word="bring_short"></span></button>
    <button type="button" data-act="png" data-label="png">{_DOWN}<span>PNG</span></button>
    <button type="button" data-act="svg" data-label="svg">{_DOWN}<span>SVG</span></button>
    <input type="file" class="dr-file tg-aside" tabindex="-1" aria-hidden="true"
      accept=".svg,image/*,.heic,.heif,.avif,.tif,.tiff">
  </div>
</div>
<div class="dr-right">
  <section class="dr-results" data-state="empty" data-label="words">
    <div class="tg-head">
      <h2 data-word="words"></h2>
      <p class="dr-model"></p>
    </div>
    <div class="dr-frame">
      <ol class="dr-rows" role="list"></ol>
      <div class="dr-empty"><span data-word="empty"></span></div>
      <p class="dr-offline"></p>
    </div>
    <div class="dr-label" role="group" data-label="label">
      <h2 data-word="label"></h2>
      <div class="dr-write">
        <div class="dr-combo">
          <input type="text" class="dr-field" role="combobox" aria-autocomplete="list"
            aria-expanded="false" aria-controls="dr-words" autocomplete="off" autocapitalize="off"
            spellcheck="false" maxlength="64" data-label="field" data-placeholder="placeholder">
          <ul class="dr-list" id="dr-words" role="listbox" data-label="field" hidden></ul>
        </div>
        <button type="button" class="tg-button dr-save" aria-disabled="true"></button>
      </div>
      <div class="dr-said">
        <p class="dr-status"></p>
        <button type="button" class="tg-quiet dr-unsave" data-word="unsave" hidden></button>
      </div>
      <label class="dr-consent"><input type="checkbox">
        <span><strong data-word="consent"></strong> <span data-word="consent_more"></span></span>
      </label>
    </div>
    <div class="dr-game" role="group" data-label="game" hidden>
      <p class="dr-score"></p>
      <ul class="dr-rounds" role="list" data-label="rounds"></ul>
      <label class="dr-consent"><input type="checkbox">
        <span><strong data-word="give"></strong> <span data-word="give_more"></span></span>
      </label>
    </div>
  </section>
</div>
<section class="dr-gallery" tabindex="-1" data-state="none" data-label="gallery">
  <div class="tg-head">
    <h2 data-word="gallery"></h2>
    <p class="dr-sum"></p>
  </div>
  <p class="dr-none" data-word="gallery_none"></p>
  <ul class="dr-counts" role="list" data-label="counts"></ul>
  <div class="dr-panel" role="group" data-label="panel" hidden>
    <div class="dr-large"></div>
    <div class="dr-deeds">
      <div class="dr-write">
        <div class="dr-combo">
          <input type="text" class="dr-field" role="combobox" aria-autocomplete="list"
            aria-expanded="false" aria-controls="dr-other-words" autocomplete="off"
            autocapitalize="off" spellcheck="false" maxlength="64" data-label="field">
          <ul class="dr-list" id="dr-other-words" role="listbox" data-label="field" hidden></ul>
        </div>
        <button type="button" class="tg-button dr-relabel" data-word="relabel"></button>
      </div>
      <div class="dr-row-of-deeds">
        <button type="button" class="tg-quiet dr-open" data-word="open"></button>
        <button type="button" class="tg-quiet dr-remove" data-word="remove"
          data-sure="remove_sure"></button>
        <button type="button" class="tg-quiet dr-close" data-word="close"></button>
      </div>
    </div>
  </div>
  <ul class="dr-tiles" role="list" data-label="gallery"></ul>
  <div class="dr-foot">
    <button type="button" class="tg-quiet dr-more" data-word="more" hidden></button>
    <p class="dr-told"></p>
    <button type="button" class="tg-quiet dr-withdraw" data-word="withdraw"
      data-sure="withdraw_sure" hidden></button>
  </div>
  <div class="dr-goal">
    <p class="dr-everyone"></p>
    <div class="dr-goal-bar"><div class="dr-goal-fill"></div></div>
  </div>
</section>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""

SCRIPTS = (
    "common.js",
    "visitor.js",
    "pad.js",
    "svg.js",
    "live.js",
    "picker.js",
    "gallery.js",
    "game.js",
    "draw.js",
)
STYLES = ("common.css", "picker.css", "draw.css")


def build_draw_tab(services: Services, draw: DrawServices) -> None:
    """Put the tab's component, and the endpoints for programs, into the open Blocks."""
    settings = services.settings
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text(*STYLES),
        js_on_load=files.text(*SCRIPTS),
        apply_default_css=False,
        server_functions=server_functions(draw),
        elem_id="draw-tab",
        words={lang: dict(draw_labels(lang)) for lang in LANGUAGES},
        language=settings.language,
        max_bytes=int(settings.max_bytes),
        max_svg_bytes=MAX_SVG_BYTES,
        top=TOP,
        seconds=GAME_SECONDS,
        known=len(draw.prompts),
    )
    build_endpoints(services, draw)


# --- what the page calls --------------------------------------------------------------------------


def server_functions(draw: DrawServices) -> list[Callable[..., Answer]]:
    """The functions behind the tab, under the names by which its script calls them."""
    return [
        *(guarded(name, handler) for name, handler in _handlers(draw).items()),
        make_trace_picture(draw),
    ]


def _handlers(draw: DrawServices) -> dict[str, Handler]:
    def recognise(call: Call) -> Answer:
        found = draw.recognise(
            call.data.get("strokes"), top=TOP, visitor=call.visitor, client=call.client
        )
        return {
            "words": [word.to_dict(call.lang) for word in found.words],
            "model": f"{found.model.name} {found.model.version}".strip(),
            "milliseconds": max(1, round(1000 * found.seconds)),
        }

    def save_drawing(call: Call) -> Answer:
        visitor = call.visitor
        saved = draw.save(
            call.data.get("strokes"),
            call.text("label"),
            visitor=visitor,
            consent=call.data.get("consent") is True,
            predicted=parse_predicted(call.data.get("predicted")),
            source="game" if call.data.get("kind") == "game" else "canvas",
            key=call.text("key", most=64) or None,
            client=call.client,
        )
        own = {word.word: word for word in draw.counts(visitor)}
        word = own.get(saved.label, KnownWord(saved.label))
        return {
            "saved": {"id": saved.id, "word": saved.label, "label": word.label(call.lang)},
            "progress": progress(word),
        }

    def complete(call: Call) -> Answer:
        found = draw.words(
            call.text("query"), lang=call.lang, visitor=call.visitor, limit=COMPLETIONS
        )
        return {"words": [_known_word(word, call.lang) for word in found]}

    def gallery(call: Call) -> Answer:
        visitor = call.visitor
        page = draw.gallery(
            visitor,
            label=call.text("label") or None,
            offset=call.number("offset", 0, 10**9),
            limit=call.number("limit", PAGE_OF_DRAWINGS, PAGE_OF_DRAWINGS),
        )
        own = draw.counts(visitor)
        labels = {word.word: word.label(call.lang) for word in own}
        everyone = sum(word.drawings for word in draw.counts(None))
        return {
            "drawings": [
                {
                    "id": drawing.id,
                    "word": drawing.label,
                    "label": labels.get(drawing.label, drawing.label),
                    "created": drawing.created,
                    "strokes": drawing.strokes,
                }
                for drawing in page.drawings
            ],
            "total": page.total,
            "counts": [{**_known_word(word, call.lang), **progress(word)} for word in own],
            "everyone": everyone,
            "next": next_amount(everyone),
        }

    def relabel(call: Call) -> Answer:
        visitor = call.visitor
        drawing = draw.relabel(call.text("id"), call.text("label"), visitor)
        labels = {word.word: word.label(call.lang) for word in draw.counts(visitor)}
        label = labels.get(drawing.label, drawing.label)
        return {"saved": {"id": drawing.id, "word": drawing.label, "label": label}}

    def remove(call: Call) -> Answer:
        draw.delete(call.text("id"), call.visitor)
        return {"removed": True}

    def withdraw(call: Call) -> Answer:
        return {"count": draw.withdraw(call.visitor)}

    def challenge(call: Call) -> Answer:
        seen = call.data.get("seen")
        known = (
            {word for word in seen if isinstance(word, str)} if isinstance(seen, list) else set()
        )
        prompts = draw.prompts
        word = random.choice([word for word in prompts if word.word not in known] or prompts)
        return {"word": word.word, "label": word.label(call.lang)}

    handlers = (
        recognise,
        save_drawing,
        complete,
        gallery,
        relabel,
        remove,
        withdraw,
        challenge,
    )
    return {handler.__name__: handler for handler in handlers}


def make_trace_picture(draw: DrawServices) -> Callable[..., Answer]:
    """The function that turns a photo into strokes."""

    def trace_picture(upload: Any, request: gr.Request) -> Answer:
        lang = choose_language(request.headers.get("accept-language"))
        try:
            data, lang = parse_upload(upload, lang)
        except TaggerError as error:
            return problem(error, lang)
        return answered(lambda: {"strokes": draw.trace(data)}, lang)

    return trace_picture


def _known_word(word: KnownWord, lang: Language) -> Answer:
    return {
        "word": word.word,
        "label": word.label(lang),
        "learnt": word.kind == "learnt",
        "count": word.drawings,
    }


def progress(word: KnownWord) -> Answer:
    """How far a word has come that somebody teaches.

    Returns
    -------
    dict
        ``count`` drawings; ``missing`` until it is recognised, 0 for the model's own words;
        ``learns``: whether just this drawing made it known.
    """
    taught = word.kind == "learnt"
    missing = max(0, ENOUGH - word.drawings) if taught else 0
    return {
        "count": word.drawings,
        "missing": missing,
        "learns": taught and word.drawings == ENOUGH,
    }


def next_amount(count: int) -> int:
    """The next round number above `count`: 10, 20, 50, 100, 200, 500 ..."""
    amount = 10
    while True:
        for step in (1, 2, 5):
            if step * amount > count:
                return step * amount
        amount *= 10


def parse_predicted(value: Any) -> list[tuple[str, float]]:
    """Words and probabilities as the browser was told them, without what has another form."""
    if not isinstance(value, list):
        return []
    pairs = []
    for entry in value[:TOP]:
        match entry:
            case [str() as word, (int() | float()) as probability] if 0 <= probability <= 1:
                pairs.append((word, float(probability)))
    return pairs


# --- what programs call ---------------------------------------------------------------------------


def build_endpoints(services: Services, draw: DrawServices) -> None:
    """``/recognise`` and ``/save_drawing`` for Gradio's clients."""

    def recognise(request: gr.Request, strokes: list, top: int = TOP, visitor: str = "") -> dict:
        """Say what a drawing shows.

        Returns words with their probability, most probable first, the model and the seconds it
        took. Send `Accept-Language: ja` for Japanese labels.

        Args:
            strokes: [[[x, ...], [y, ...]], ...], a pair of lists for each stroke
            top: how many words to return
            visitor: an id of your own, to get the words taught under it, too
        """
        call = Call({}, request)
        with _for_programs(call.lang):
            found = draw.recognise(
                strokes,
                top=max(1, min(int(top), 100)),
                visitor=str(visitor)[:64],
                client=call.client,
            )
            return found.to_dict(call.lang)

    def save_drawing(
        request: gr.Request,
        strokes: list,
        label: str,
        visitor: str,
        consent: bool = False,
        key: str = "",
    ) -> dict:
        """Keep a drawing under a word and let it teach the recogniser.

        Returns the drawing's id, its word as it is kept, and how many of it the visitor has given.

        Args:
            strokes: [[[x, ...], [y, ...]], ...], a pair of lists for each stroke; a third list
                holds milliseconds, a fourth pressure from 0 to 1
            label: the word, a known one in English or Japanese or a new one
            visitor: an id of your own, hard to guess: the key to what is saved under it
            consent: whether others may have the drawing
            key: random, to send the same drawing again without keeping it twice
        """
        call = Call({"visitor": visitor}, request)
        with _for_programs(call.lang):
            saved = draw.save(
                strokes,
                str(label),
                visitor=call.visitor,
                consent=bool(consent),
                source="api",
                key=str(key) or None,
                client=call.client,
            )
            return saved.to_dict()

    for function in (recognise, save_drawing):
        endpoint(
            function,
            api_name=function.__name__,
            concurrency_id=CONCURRENCY_ID,
            concurrency_limit=services.settings.concurrency,
        )


@contextmanager
def _for_programs(lang: Language) -> Iterator[None]:
    """Turn what is wrong into Gradio's error, in the caller's language."""
    try:
        yield
    except TaggerError as error:
        raise gr.Error(error.message(lang), print_exception=False) from error
