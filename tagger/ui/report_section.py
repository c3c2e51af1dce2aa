"""The Compare tab's section for the app's owner: what all votes say; only where a token is set.

It shows what the REST API tells whoever sends the owner's token with a call. The browser keeps the
token as long as its window, for this section and for the one of the Draw tab alike.
"""

from __future__ import annotations

import gradio as gr

from tagger.languages import LANGUAGES
from tagger.services import Services
from tagger.ui import files
from tagger.ui.icons import CROSS, WARNING, icon
from tagger.ui.report_words import report_labels

_DOWN = icon("M12 4v11", "M8 11l4 4 4-4", "M4 20h16")

# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<div class="rp-frame" data-state="locked">
  <div class="tg-head">
    <h2 data-word="report"></h2>
    <div class="rp-deeds">
      <button type="button" class="tg-quiet rp-renew" data-word="renew"></button>
      <button type="button" class="tg-quiet rp-leave" data-word="leave"></button>
    </div>
  </div>
  <form class="rp-door">
    <p class="rp-hint" data-word="door"></p>
    <div class="rp-key">
      <input type="password" class="rp-field rp-token" autocomplete="off" autocapitalize="off"
        spellcheck="false" maxlength="300" data-label="token" data-placeholder="token">
      <button type="submit" class="tg-button" data-word="enter"></button>
    </div>
    <p class="rp-refused" role="alert"></p>
  </form>
  <p class="rp-loading" data-word="loading"></p>
  <p class="rp-empty" data-word="empty"></p>
  <div class="rp-room">
    <div class="rp-facts">
      <section data-label="choices">
        <h3 class="rp-sum"></h3>
        <div class="rp-shares" aria-hidden="true"></div>
        <ul class="rp-choices" role="list" data-label="choices"></ul>
        <div class="rp-exports" role="group" data-label="export">
          <span data-word="export"></span>
          <button type="button" class="rp-button" data-format="jsonl">{_DOWN}<span
            data-word="jsonl"></span></button>
          <button type="button" class="rp-button" data-format="csv">{_DOWN}<span
            data-word="csv"></span></button>
          <button type="button" class="rp-button" data-format="parquet">{_DOWN}<span
            data-word="parquet"></span></button>
        </div>
      </section>
      <section data-label="trust">
        <h3 data-word="trust"></h3>
        <p class="rp-side"></p>
        <p class="rp-doubles"></p>
        <p class="rp-nobody" data-word="suspects_none"></p>
        <ul class="rp-suspects" role="list" data-label="suspects"></ul>
      </section>
    </div>
    <section class="rp-standings" data-label="standings">
      <h3 data-word="standings"></h3>
      <p class="rp-hint" data-word="standings_hint"></p>
      <div class="rp-axis" aria-hidden="true"><div></div></div>
      <ol class="rp-list" role="list" data-label="standings"></ol>
      <button type="button" class="tg-quiet rp-all" hidden></button>
    </section>
  </div>
  <div class="tg-problem" role="alert" hidden>
    {WARNING}
    <span class="tg-message"></span>
    <button type="button" class="tg-dismiss" data-label="dismiss">{CROSS}</button>
  </div>
</div>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""

SCRIPTS = ("common.js", "visitor.js", "explore_data.js", "compare_source.js", "report.js")
STYLES = ("common.css", "report.css")


def build_report_section(services: Services) -> None:
    """Put the section into the open Blocks."""
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text(*STYLES),
        js_on_load=files.text(*SCRIPTS),
        apply_default_css=False,
        elem_id="compare-report",
        words={lang: dict(report_labels(lang)) for lang in LANGUAGES},
        language=services.settings.language,
    )
