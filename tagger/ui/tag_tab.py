"""The first tab: give a picture, read its tags.

The tab is one HTML component with a script of its own, because the page must take any file that
:mod:`tagger.images` reads (Gradio's picture component refuses some before we see them), by
clicking, dropping, pasting or an example, and show ten rows that never move. A picture travels in
one request to a server function and is not kept: the temporary file that Gradio makes of a request
is gone before the model sees the picture.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from tagger.errors import LimitError, RequestError, TaggerError
from tagger.languages import LANGUAGES, Language, choose_language
from tagger.services import Services
from tagger.ui import files
from tagger.ui.answers import PREVIEW_SIDE, SHOWN_BY_BROWSERS, answer, preview_url, problem
from tagger.ui.examples import Example
from tagger.ui.icons import icon
from tagger.ui.translations import labels

_log = logging.getLogger(__name__)

TOP = 10
# Below so many pictures behind a tag's figures the tab says that they are few.
FEW = 20
# All events that end in the model share its bound.
CONCURRENCY_ID = "model"

_CROSS = '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.5" \
stroke-linecap="round" aria-hidden="true"><path d="M6 6l12 12M18 6L6 18"/></svg>'
_WARNING = '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" \
stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">\
<path d="M12 4l9 16H3z"/><path d="M12 10v4M12 17v.1"/></svg>'
_PICTURE = '<svg viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="1.75" \
stroke-linejoin="round" aria-hidden="true"><rect x="5" y="8" width="38" height="32" rx="3"/>\
<circle cx="16" cy="18" r="4"/><path d="M5 35l11-10 8 7 9-9 10 9"/></svg>'
_DOTS = icon(
    "M6 17.5v.01M10 9.5v.01M13.5 15v.01M18 7v.01M18.5 13v.01M8 13.500v.01M14 19v.01M13 5.500v.01"
)

# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<div class="tg-left">
  <section class="tg-drop" data-state="empty" data-preview="none" data-label="picture">
    <img class="tg-preview" alt="">
    <div class="tg-unseen"></div>
    <div class="tg-invite">
      {_PICTURE}
      <strong class="tg-mouse" data-word="invite"></strong>
      <strong class="tg-touch" data-word="invite_touch"></strong>
      <span class="tg-mouse" data-word="invite_paste"></span>
    </div>
    <button type="button" class="tg-choose"></button>
    <button type="button" class="tg-place" hidden>{_DOTS}<span
      data-word="see_place"></span></button>
    <input type="file" class="tg-input tg-aside" tabindex="-1" aria-hidden="true" multiple
      accept="image/*,.heic,.heif,.avif,.tif,.tiff">
    <div class="tg-release" data-word="release"></div>
    <div class="tg-progress"></div>
    <div class="tg-problem" role="alert" hidden>
      {_WARNING}
      <span class="tg-message"></span>
      <button type="button" class="tg-retry" data-word="retry" hidden></button>
      <button type="button" class="tg-dismiss" data-label="dismiss">{_CROSS}</button>
    </div>
  </section>
  <p class="tg-facts"></p>
  <section class="tg-examples" data-label="examples">
    <h2 data-word="examples"></h2>
    <ul class="tg-shelf" role="list"></ul>
  </section>
  <p class="tg-credit"></p>
  <section class="tg-yours" data-label="yours" hidden>
    <div class="tg-head">
      <h2 data-word="yours"></h2>
      <button type="button" class="tg-clear" data-word="clear"></button>
    </div>
    <ul class="tg-strip" role="list"></ul>
  </section>
</div>
<div class="tg-right">
  <section class="tg-results" data-state="empty" data-label="tags">
    <div class="tg-head">
      <h2 data-word="tags"></h2>
      <p class="tg-model"></p>
    </div>
    <div class="tg-frame">
      <ol class="tg-rows" role="list"></ol>
      <div class="tg-empty"><span data-word="empty"></span></div>
    </div>
    <p class="tg-detail"></p>
    <div class="tg-takeaway">
      <fieldset>
        <legend data-word="copy_as"></legend>
        <div class="tg-formats">
          <label><input type="radio" name="tg-format" value="text" checked>
            <span data-word="format_text"></span></label>
          <label><input type="radio" name="tg-format" value="danbooru">
            <span data-word="format_danbooru"></span></label>
          <label><input type="radio" name="tg-format" value="hashtags">
            <span data-word="format_hashtags"></span></label>
          <label><input type="radio" name="tg-format" value="json">
            <span data-word="format_json"></span></label>
        </div>
        <label class="tg-only"><input type="checkbox" checked>
          <span data-word="only_passing"></span></label>
      </fieldset>
      <div class="tg-paste">
        <textarea class="tg-output" readonly data-label="output"></textarea>
        <button type="button" class="tg-copy" disabled></button>
      </div>
    </div>
  </section>
</div>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""


def build_tag_tab(services: Services, examples: Sequence[Example]) -> None:
    """Put the tab's component, and the endpoint ``/tag`` for programs, into the open Blocks."""
    settings = services.settings
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text("common.css", "tag.css"),
        js_on_load=files.text("common.js", "tag.js"),
        apply_default_css=False,
        server_functions=[make_tag_picture(services)],
        elem_id="tag-tab",
        words={lang: dict(labels(lang)) for lang in LANGUAGES},
        language=settings.language,
        examples=[example.to_dict() for example in examples],
        max_bytes=int(settings.max_bytes),
        max_files=settings.max_files,
        top=TOP,
        few=FEW,
        explore=services.explore is not None,
    )
    build_endpoint(services)


def build_endpoint(services: Services) -> None:
    """The same for Gradio's clients: ``client.predict(handle_file(path), api_name="/tag")``.

    Its components are not part of the page; they check that the file was uploaded and that the
    number is within its bounds.
    """
    picture = gr.File(label="picture", visible=False)
    top = gr.Slider(1, 100, value=TOP, step=1, label="top", visible=False)
    result = gr.JSON(label="result", visible=False)

    def tag(picture: str | None, top: int, request: gr.Request) -> dict[str, Any]:
        """Rank the tags of an illustration.

        Returns tags with their probability, most probable first, facts about the picture, the
        model and the seconds it took. Send `Accept-Language: ja` for Japanese labels.

        Args:
            picture: an image file: PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF or BMP
            top: how many tags to return
        """
        lang = choose_language(request.headers.get("accept-language"))
        try:
            if not picture:
                raise RequestError("request-no-file")
            return services.tag(Path(picture), top=int(top)).to_dict(lang)
        except TaggerError as error:
            raise gr.Error(error.message(lang), print_exception=False) from error

    picture.upload(
        tag,
        [picture, top],
        result,
        api_name="tag",
        concurrency_id=CONCURRENCY_ID,
        concurrency_limit=services.settings.concurrency,
        show_progress="hidden",
    )


def make_tag_picture(services: Services) -> Callable[..., dict[str, Any]]:
    """The function behind the tab.

    Server functions go past Gradio's queue, so the bound on waiting requests is kept here: what
    would be too many is told to come back.
    """
    places = threading.BoundedSemaphore(services.settings.queue_size)

    def tag_picture(upload: Any, request: gr.Request) -> dict[str, Any]:
        # Whatever a client sends ends in an answer: an exception would reach the page as silence.
        lang = choose_language(request.headers.get("accept-language"))
        try:
            data, lang = parse_upload(upload, lang)
            if not places.acquire(blocking=False):
                raise LimitError("busy")
            try:
                result = services.tag(data, top=TOP)
                preview = make_preview(services, data, result.picture.format)
            finally:
                places.release()
            return answer(result, lang, preview)
        except TaggerError as error:
            return problem(error, lang)
        except Exception:
            _log.exception("the page's request failed")
            return problem(TaggerError("internal"), lang)

    return tag_picture


def make_preview(services: Services, data: bytes, format: str) -> str | None:
    """A ``data:`` URL of a picture whose format browsers do not show; None for all others.

    Tags without a preview are better than none: where it fails, the page says that it has none.
    """
    if format in SHOWN_BY_BROWSERS:
        return None
    try:
        return preview_url(services.preview(data, side=PREVIEW_SIDE))
    except TaggerError:
        return None


def parse_upload(upload: Any, lang: Language) -> tuple[bytes, Language]:
    """Take picture and language out of what the browser sent, trusting none of it.

    Parameters
    ----------
    upload
        Gradio's form of a multipart request: ``files``, pairs of name and bytes, and ``data``.
    lang : {"en", "ja"}
        Used unless the page names one of its languages.

    Raises
    ------
    RequestError
        ``request-no-file``, if it is anything else.
    """
    match getattr(upload, "files", None):
        case [[_, bytes() as data], *_]:
            pass
        case _:
            raise RequestError("request-no-file")
    fields = getattr(upload, "data", None)
    wanted = fields.get("lang") if isinstance(fields, dict) else None
    return data, next((known for known in LANGUAGES if known == wanted), lang)
