"""The Compare tab's section that puts many pictures in order: a folder, scored and sorted.

One HTML component with its own scripts, as the tab's others are. The pictures stay on the reader's
machine but for their scoring: batches of them go to the REST API (:mod:`tagger.api_compare`), and
the order, its table and its archive are made in the browser.
"""

from __future__ import annotations

import gradio as gr

from tagger.languages import LANGUAGES
from tagger.services import Services
from tagger.ui import files
from tagger.ui.icons import CROSS, WARNING, icon
from tagger.ui.order_words import order_labels
from tagger.uploads import LARGEST_PICTURES

# Pictures in a request: so few that the order begins to show soon, and a lost one costs little.
BATCH = 16
# Bytes in a request, as long as a single picture is not larger.
BATCH_BYTES = 24 * 2**20
# Pictures in one order. The browser holds the names and scores of all, the pictures of none.
MOST = 50_000

_STACK = icon("M4 7h9v9H4z", "M8 7V4h12v12h-7", "M4 20h16")
_DOWN = icon("M12 4v11", "M8 11l4 4 4-4", "M4 20h16")
_BEFORE = icon("M14 6l-6 6 6 6")
_AFTER = icon("M10 6l6 6-6 6")

# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<section class="od-drop" data-state="empty" data-label="drop">
  <div class="od-invite">
    {_STACK}
    <strong class="od-mouse" data-word="invite"></strong>
    <strong class="od-touch" data-word="invite_touch"></strong>
    <span class="od-invite-more" data-word="invite_more"></span>
    <span class="od-invite-again" data-word="invite_again"></span>
  </div>
  <div class="od-ways">
    <button type="button" class="tg-button od-choose" data-word="choose"></button>
    <button type="button" class="tg-plain od-folder" data-word="folder"></button>
  </div>
  <input type="file" class="od-files tg-aside" tabindex="-1" aria-hidden="true" multiple
    accept="image/*,.heic,.heif,.avif,.tif,.tiff">
  <input type="file" class="od-directory tg-aside" tabindex="-1" aria-hidden="true" multiple
    webkitdirectory>
  <div class="od-release" data-word="release"></div>
  <div class="tg-problem" role="alert" hidden>
    {WARNING}
    <span class="tg-message"></span>
    <button type="button" class="tg-dismiss" data-label="dismiss">{CROSS}</button>
  </div>
</section>
<div class="od-controls" role="group" data-label="controls">
  <label class="od-by"><span data-word="by"></span>
    <select class="od-select od-ranker"></select></label>
  <input type="file" class="od-ranker-file tg-aside" tabindex="-1" aria-hidden="true"
    accept=".json,application/json">
  <label class="od-top"><span data-word="top"></span>
    <input type="number" class="od-select od-most" inputmode="numeric" min="1" step="1"
      data-placeholder="top_all"></label>
  <button type="button" class="tg-plain od-rate" data-word="rate"></button>
  <input type="file" class="od-rate-file tg-aside" tabindex="-1" aria-hidden="true"
    accept=".csv,.tsv,text/csv,text/tab-separated-values,text/plain">
  <i class="od-space"></i>
  <button type="button" class="tg-plain od-csv">{_DOWN}<span data-word="csv"></span></button>
  <button type="button" class="tg-plain od-zip">{_DOWN}<span data-word="zip"></span></button>
  <button type="button" class="tg-quiet od-clear" data-word="clear"></button>
</div>
<div class="od-course" data-state="empty">
  <p class="od-status"></p>
  <div class="od-aside">
    <p class="od-note"></p>
    <button type="button" class="tg-quiet od-problems-open" aria-expanded="false"
      aria-controls="od-problems" hidden></button>
  </div>
  <button type="button" class="tg-plain od-run"></button>
  <div class="od-track" role="progressbar" aria-valuemin="0" aria-valuemax="100"
    data-label="course"><i></i></div>
</div>
<ul class="od-problems" id="od-problems" role="list" data-label="problems_list" hidden></ul>
<section class="od-figures" data-label="agreement" hidden>
  <div class="tg-head">
    <h3 data-word="agreement"></h3>
    <button type="button" class="tg-quiet od-unrate" data-word="remove_ratings"
      data-label="remove_ratings_label"></button>
  </div>
  <p class="od-rated"></p>
  <dl class="od-ndcg"></dl>
  <p class="od-pairwise"></p>
  <p class="od-tau"></p>
  <p class="od-lost"></p>
</section>
<ol class="od-list" role="list" data-label="list"></ol>
<dialog class="od-large" data-label="large">
  <div class="od-large-head">
    <p class="od-large-name"></p>
    <button type="button" class="od-icon od-close" data-label="close">{CROSS}</button>
  </div>
  <div class="od-large-frame">
    <img class="od-large-picture" alt="">
    <p class="od-large-unseen"></p>
  </div>
  <div class="od-large-foot">
    <button type="button" class="od-icon od-before" data-label="before">{_BEFORE}</button>
    <p class="od-large-facts" role="status"></p>
    <button type="button" class="od-icon od-after" data-label="after">{_AFTER}</button>
  </div>
  <div class="od-large-deeds">
    <button type="button" class="tg-quiet od-versus" data-word="versus"></button>
    <button type="button" class="tg-quiet od-place" data-word="place"></button>
  </div>
</dialog>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""

SCRIPTS = (
    "common.js",
    "visitor.js",
    "explore_data.js",
    "compare_source.js",
    "compare_rankers.js",
    "zip.js",
    "order_table.js",
    "order_files.js",
    "order_send.js",
    "order_grid.js",
    "order.js",
)
STYLES = ("common.css", "order.css")


def build_order_section(services: Services) -> None:
    """Put the section into the open Blocks."""
    settings = services.settings
    largest = int(settings.max_bytes)
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text(*STYLES),
        js_on_load=files.text(*SCRIPTS),
        apply_default_css=False,
        elem_id="compare-order",
        words={lang: dict(order_labels(lang)) for lang in LANGUAGES},
        language=settings.language,
        max_bytes=largest,
        batch=min(BATCH, settings.max_files),
        batch_bytes=min(BATCH_BYTES, LARGEST_PICTURES * largest),
        most=MOST,
        explore=services.explore is not None,
    )
