"""The Explore tab: a gallery as a map, where one looks around, searches, selects and compares.

One HTML component with its own scripts, as the other tabs are. All that it shows it fetches from
the REST API (:mod:`tagger.api_explore`) at addresses below the page's own, so nothing of a gallery
is part of the page and the first page never waits for it.
"""

from __future__ import annotations

import gradio as gr

from tagger.languages import LANGUAGES
from tagger.services import Services
from tagger.tags import DEFAULT_THRESHOLD
from tagger.ui import files
from tagger.ui.explore_words import explore_labels
from tagger.ui.icons import CROSS, WARNING, icon
from tagger.ui.map_words import map_words
from tagger.ui.plotly_js import plotly_url

# Entries of a legend with a colour of their own; the rest is "others".
COLOURS = 11
# From here up a point's trust is called high, from there up middling. A trust of 1 says that its
# neighbours on the map are its nearest; what falls below 0.85 has many that are far off in truth.
TRUST = {"high": 0.95, "middle": 0.85}
# The same of a placed picture: the share of its 15 nearest that are among the 15 around it. Flat
# maps keep few of so many: a third is usual.
SHARE = {"high": 0.4, "middle": 0.15}

_SEARCH = icon("M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13", "M15.5 15.5L20 20")
_PIN = icon("M12 21s-7-6.2-7-11a7 7 0 0 1 14 0c0 4.8-7 11-7 11z", "M12 7.5a2.5 2.5 0 1 0 .01 0")
_BACK = icon("M14 6l-6 6 6 6")
_FORWARD = icon("M10 6l6 6-6 6")
_UNDO = icon("M4 9h10a6 6 0 0 1 0 12h-3", "M8 5L4 9l4 4")
_REDO = icon("M20 9H10a6 6 0 0 0 0 12h3", "M16 5l4 4-4 4")

# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<div class="ex-bar">
  <div class="ex-search" role="search" data-label="search">
    {_SEARCH}
    <input type="search" class="dr-field ex-query" autocomplete="off" autocapitalize="off"
      spellcheck="false" enterkeyhint="search" maxlength="200" data-label="query"
      data-placeholder="query_hint">
  </div>
  <button type="button" class="tg-plain ex-upload">{_PIN}<span
    data-word="by_picture"></span></button>
  <input type="file" class="ex-file tg-aside" tabindex="-1" aria-hidden="true"
    accept="image/*,.heic,.heif,.avif,.tif,.tiff">
  <fieldset class="ex-maps tg-formats" data-label="maps" hidden>
    <label><input type="radio" name="ex-map" value="gallery" checked>
      <span data-word="map_gallery"></span><small></small></label>
    <label><input type="radio" name="ex-map" value="drawings">
      <span data-word="map_drawings"></span><small></small></label>
  </fieldset>
</div>
<section class="ex-stage" data-state="loading" data-label="map">
  <div class="ex-map"></div>
  <div class="ex-hover" aria-hidden="true" hidden>
    <img class="ex-hover-picture" alt="" decoding="sync" fetchpriority="high">
    <div class="ex-hover-words">
      <strong class="ex-hover-title"></strong>
      <span class="ex-hover-tags"></span>
    </div>
  </div>
  <div class="ex-cover">
    <div class="ex-dots"><i></i><i></i><i></i></div>
    <p class="ex-cover-line"></p>
    <button type="button" class="tg-button ex-cover-act" hidden></button>
  </div>
  <div class="ex-release" data-word="release"></div>
  <div class="tg-progress"></div>
  <div class="tg-problem" role="alert" hidden>
    {WARNING}
    <span class="tg-message"></span>
    <button type="button" class="tg-retry" data-word="retry" hidden></button>
    <button type="button" class="tg-dismiss" data-label="dismiss">{CROSS}</button>
  </div>
</section>
<div class="ex-key">
  <div class="ex-key-head">
    <label class="ex-colour"><span data-word="colour"></span>
      <select class="ex-select">
        <option value="category" data-word="colour_category"></option>
        <option value="tag" data-word="colour_tag"></option>
        <option value="source" data-word="colour_source"></option>
        <option value="language" data-word="colour_language"></option>
        <option value="trust" data-word="colour_trust"></option>
      </select></label>
    <div class="dr-combo ex-tag-box" hidden>
      <input type="text" class="dr-field ex-tag" role="combobox" aria-autocomplete="list"
        aria-expanded="false" aria-controls="ex-tag-list" autocomplete="off" autocapitalize="off"
        spellcheck="false" maxlength="64" data-label="colour_tag_field"
        data-placeholder="set_placeholder">
      <ul class="dr-list" id="ex-tag-list" role="listbox" data-label="colour_tag_field" hidden></ul>
    </div>
    <p class="ex-shown"></p>
    <button type="button" class="tg-quiet ex-show-all" data-word="show_all" hidden></button>
  </div>
  <ul class="ex-legend" role="list" data-label="legend"></ul>
  <p class="ex-about"></p>
</div>
<section class="ex-panel" data-tab="list" data-label="panel">
  <div class="ex-tabs" role="tablist" data-label="panel">
    <button type="button" role="tab" id="ex-tab-list" aria-controls="ex-pane-list"
      aria-selected="true" data-tab="list" data-word="tab_list"></button>
    <button type="button" role="tab" id="ex-tab-detail" aria-controls="ex-pane-detail"
      aria-selected="false" tabindex="-1" data-tab="detail" data-word="tab_detail"></button>
    <button type="button" role="tab" id="ex-tab-set" aria-controls="ex-pane-set"
      aria-selected="false" tabindex="-1" data-tab="set" data-word="tab_set"></button>
  </div>
  <div class="ex-pane ex-list-pane" id="ex-pane-list" role="tabpanel"
    aria-labelledby="ex-tab-list" data-state="loading">
    <div class="ex-list-head">
      <p class="ex-list-count"></p>
      <button type="button" class="tg-quiet ex-select-found" data-word="select_found"></button>
      <button type="button" class="tg-quiet ex-clear" data-word="clear_search" hidden></button>
    </div>
    <ul class="ex-found-tags" role="list" data-label="found_tags" hidden></ul>
    <p class="ex-keys" data-word="keys" aria-hidden="true"></p>
    <ul class="ex-list" role="listbox" aria-multiselectable="true" data-label="list"></ul>
    <p class="ex-list-hidden"></p>
  </div>
  <div class="ex-pane ex-detail" id="ex-pane-detail" role="tabpanel"
    aria-labelledby="ex-tab-detail" data-state="none" hidden>
    <div class="ex-nav">
      <button type="button" class="ex-icon ex-back" data-label="back" disabled>{_BACK}</button>
      <button type="button" class="ex-icon ex-forward" data-label="forward"
        disabled>{_FORWARD}</button>
      <span class="ex-nav-space"></span>
      <button type="button" class="tg-quiet ex-locate" data-word="locate"></button>
      <button type="button" class="tg-quiet ex-add" data-word="add"></button>
    </div>
    <p class="ex-none" data-word="detail_none"></p>
    <div class="ex-detail-body" tabindex="-1"></div>
  </div>
  <div class="ex-pane ex-set" id="ex-pane-set" role="tabpanel" aria-labelledby="ex-tab-set"
    data-state="none" hidden>
    <p class="ex-none" data-word="set_none"></p>
    <div class="ex-set-body">
      <div class="ex-nav">
        <h3 class="ex-set-count" tabindex="-1"></h3>
        <span class="ex-nav-space"></span>
        <button type="button" class="tg-quiet ex-set-zoom" data-word="set_zoom"></button>
        <button type="button" class="tg-quiet ex-set-clear" data-word="set_clear"></button>
      </div>
      <div class="ex-exports" role="group" data-label="export">
        <span data-word="export"></span>
        <button type="button" class="tg-plain" data-format="csv" data-word="export_csv"></button>
        <button type="button" class="tg-plain" data-format="json"
          data-word="export_json"></button>
        <button type="button" class="tg-plain" data-format="zip" data-word="export_zip"></button>
      </div>
      <h4 data-word="set_shared"></h4>
      <p class="ex-hint" data-word="set_shared_hint"></p>
      <ul class="ex-shared" role="list" data-label="set_shared"></ul>
      <button type="button" class="tg-quiet ex-shared-more" data-word="more" hidden></button>
      <h4 data-word="set_tags"></h4>
      <div class="ex-retag">
        <div class="dr-combo">
          <input type="text" class="dr-field ex-set-tag" role="combobox" aria-autocomplete="list"
            aria-expanded="false" aria-controls="ex-set-list" autocomplete="off"
            autocapitalize="off" spellcheck="false" maxlength="64" data-label="set_field"
            data-placeholder="set_placeholder">
          <ul class="dr-list" id="ex-set-list" role="listbox" data-label="set_field" hidden></ul>
        </div>
        <button type="button" class="tg-button ex-set-add" data-word="tag_add"
          aria-disabled="true"></button>
        <button type="button" class="tg-plain ex-set-remove" data-word="tag_remove"
          aria-disabled="true"></button>
      </div>
    </div>
    <div class="ex-changes" role="group" data-label="changes" hidden>
      <div class="ex-nav">
        <h4 data-word="changes"></h4>
        <span class="ex-nav-space"></span>
        <button type="button" class="ex-icon ex-undo" data-label="undo">{_UNDO}</button>
        <button type="button" class="ex-icon ex-redo" data-label="redo">{_REDO}</button>
      </div>
      <ol class="ex-change-list"></ol>
      <p class="ex-note"></p>
      <button type="button" class="tg-quiet ex-changes-export"
        data-word="export_changes"></button>
    </div>
    <div class="ex-sheet-part">
      <h4 data-word="sheet"></h4>
      <ul class="ex-sheet" role="list" data-label="sheet"></ul>
    </div>
  </div>
</section>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""

# What draws the map, in the order in which its parts need each other.
MAP_SCRIPTS = (
    "map_space.js",
    "map_scene.js",
    "map_canvas.js",
    "map_plot.js",
    "map_marks.js",
    "map_hand.js",
    "map_tools.js",
    "map.js",
)
SCRIPTS = (
    "common.js",
    "picker.js",
    *MAP_SCRIPTS,
    "explore_data.js",
    "explore_ahead.js",
    "explore_edits.js",
    "explore_legend.js",
    "explore_list.js",
    "explore_detail.js",
    "explore_set.js",
    "explore.js",
)
STYLES = ("common.css", "picker.css", "map.css", "explore.css")


def build_explore_tab(services: Services) -> None:
    """Put the tab's component into the open Blocks."""
    settings = services.settings
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text(*STYLES),
        js_on_load=files.text(*SCRIPTS),
        apply_default_css=False,
        elem_id="explore-tab",
        words={lang: {**map_words(lang), **explore_labels(lang)} for lang in LANGUAGES},
        language=settings.language,
        max_bytes=int(settings.max_bytes),
        plotly=plotly_url(),
        colours=COLOURS,
        trust=TRUST,
        share=SHARE,
        thresholds=[
            DEFAULT_THRESHOLD if tag.threshold is None else tag.threshold
            for tag in services.tagger.tags
        ],
    )
