"""The Compare tab: two pictures, which one is preferred, and the taste that votes teach.

This component holds the voting, the taste and the comparison of two pictures. The order of a set
(:mod:`tagger.ui.order_section`) and the owner's report are components of their own below it; the
choice above shows one of them at a time. All that is shown comes from the REST API
(:mod:`tagger.api_compare`) at addresses below the page's own: the first page never waits for it.
"""

from __future__ import annotations

import gradio as gr

from tagger.languages import LANGUAGES
from tagger.services import Services
from tagger.ui import files
from tagger.ui.compare_words import compare_labels
from tagger.ui.icons import CROSS, WARNING, icon

# Votes from which a taste's words are worth a mention.
FIRST_WORDS = 5

_MAP = icon("M12 21s-7-6.2-7-11a7 7 0 0 1 14 0c0 4.8-7 11-7 11z", "M12 7.5a2.5 2.5 0 1 0 .01 0")
_DICE = icon(
    "M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1z",
    "M8.5 8.5v.01M15.5 8.5v.01M12 12v.01M8.5 15.5v.01M15.5 15.5v.01",
)
_SEARCH = icon("M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13", "M15.5 15.5L20 20")
_FOLDER = icon("M4 16v4h16v-4", "M12 15V4M7.5 8.5L12 4l4.5 4.5")
_SWAP = icon("M4 8h15M15 4l4 4-4 4", "M20 16H5M9 12l-4 4 4 4")
_DOWN = icon("M4 16v4h16v-4", "M12 4v11M7.5 10.5L12 15l4.5-4.5")

_FILES = "image/*,.heic,.heif,.avif,.tif,.tiff"


def _side(side: str, key: str) -> str:
    """One of the two pictures that are voted on."""
    return f"""
      <figure class="cp-side" data-side="{side}">
        <button type="button" class="cp-card" data-choice="{side}">
          <span class="cp-paper"></span><kbd aria-hidden="true">{key}</kbd>
        </button>
        <figcaption class="cp-caption">
          <span class="cp-title"></span>
          <button type="button" class="cp-icon cp-see">{_MAP}</button>
        </figcaption>
      </figure>"""


def _slot(side: str) -> str:
    """One of the two pictures that are compared."""
    return f"""
    <div class="cp-slot" data-side="{side}" data-state="empty" role="group"
      data-label="slot_{side}">
      <div class="cp-frame">
        <img class="cp-picture" alt="" hidden>
        <div class="cp-invite"><strong data-word="invite"></strong>
          <span data-word="invite_more"></span></div>
        <p class="cp-unseen" hidden></p>
        <div class="cp-release" data-word="release"></div>
      </div>
      <div class="cp-slot-line"><p class="cp-slot-name"></p>
        <p class="cp-score"></p>
        <button type="button" class="cp-icon cp-see" hidden>{_MAP}</button></div>
      <div class="cp-slot-tools">
        <button type="button" class="tg-plain cp-choose" data-title="choose_title">{_FOLDER}<span
          data-word="choose"></span></button>
        <button type="button" class="tg-plain cp-random" data-title="random_title">{_DICE}<span
          data-word="random"></span></button>
        <button type="button" class="tg-plain cp-find" data-title="search_title"
          aria-expanded="false">{_SEARCH}<span data-word="search"></span></button>
        <input type="file" class="cp-file tg-aside" tabindex="-1" aria-hidden="true"
          accept="{_FILES}">
      </div>
      <div class="cp-search" hidden>
        <input type="search" class="dr-field" autocomplete="off" autocapitalize="off"
          spellcheck="false" maxlength="200" data-label="search_field"
          data-placeholder="search_hint">
        <p class="cp-none" role="status"></p>
        <ul class="cp-finds" role="list" data-label="search_field"></ul>
      </div>
    </div>"""


# Static: no value is ever put into it. The script fills in the words of the reader's language.
TEMPLATE = f"""
<div class="cp-bar">
<fieldset class="cp-sections tg-formats" data-label="sections">
  <label><input type="radio" name="cp-section" value="vote" checked>
    <span data-word="section_vote"></span></label>
  <label><input type="radio" name="cp-section" value="taste">
    <span data-word="section_taste"></span></label>
  <label><input type="radio" name="cp-section" value="two">
    <span data-word="section_two"></span></label>
  <label><input type="radio" name="cp-section" value="order">
    <span data-word="section_order"></span></label>
  <label class="cp-report"><input type="radio" name="cp-section" value="report">
    <span data-word="section_report"></span></label>
</fieldset>
</div>
<section class="cp-section cp-vote" data-section="vote" data-state="loading" tabindex="-1"
  data-label="section_vote">
  <div class="cp-arena">
    <h2 data-word="question"></h2>
    <div class="cp-pair" role="group" data-label="question">
      {_side("left", "←")}
      {_side("right", "→")}
      <div class="cp-cover">
        <div class="cp-dots"><i></i><i></i><i></i></div>
        <p class="cp-cover-line"></p>
        <button type="button" class="tg-button cp-again" data-word="retry" hidden></button>
      </div>
    </div>
    <div class="cp-tools" role="group" data-label="choices">
      <button type="button" data-choice="tie" data-title="title_tie"><kbd>↑</kbd><span
        data-word="tie"></span></button>
      <button type="button" data-choice="both-bad" data-title="title_both_bad"><kbd>↓</kbd><span
        data-word="both_bad"></span></button>
      <button type="button" data-choice="skip" data-title="title_skip"><kbd
        data-word="key_space"></kbd><span data-word="skip"></span></button>
      <button type="button" class="cp-undo" data-title="title_undo"><kbd>Z</kbd><span
        data-word="undo"></span></button>
    </div>
    <div class="cp-receipt"><span class="cp-thumbs" aria-hidden="true"></span>
      <p class="cp-receipt-line"></p></div>
  </div>
  <div class="cp-beside">
    <aside class="cp-learnt" data-label="learnt">
      <p class="cp-count"><strong>0</strong> <span data-word="votes_many"></span></p>
      <div class="cp-meter" role="img"><i class="cp-range"></i><i class="cp-value"></i><i
        class="cp-coin"></i><i class="cp-ceiling"></i></div>
      <p class="cp-foresees"></p>
      <p class="cp-foresees-range"></p>
      <p class="cp-to-go"></p>
      <p class="cp-self"></p>
      <div class="cp-leanings" hidden>
        <h3 data-word="likes"></h3>
        <ul class="cp-likes" role="list" data-label="likes"></ul>
        <h3 class="cp-dislikes-head" data-word="dislikes"></h3>
        <ul class="cp-dislikes" role="list" data-label="dislikes"></ul>
      </div>
      <button type="button" class="tg-quiet cp-to-taste" data-word="see_taste"></button>
    </aside>
    <div class="cp-best" hidden>
      <div class="cp-best-head">
        <h2 data-word="best"></h2>
        <p class="cp-best-note"></p>
      </div>
      <ol class="cp-strip" role="list" data-label="best"></ol>
    </div>
  </div>
  <label class="cp-consent"><input type="checkbox">
    <span><strong data-word="consent"></strong> <span data-word="consent_more"></span></span>
  </label>
</section>
<section class="cp-section cp-taste" data-section="taste" data-state="loading" tabindex="-1"
  data-label="section_taste" hidden>
  <div class="cp-words-part">
    <h2 data-word="words"></h2>
    <p class="cp-hint" data-word="words_hint"></p>
    <p class="cp-begun" hidden></p>
    <ul class="cp-words" role="list" data-label="words"></ul>
    <p class="cp-words-none" data-word="words_none" hidden></p>
    <div class="cp-add">
      <div class="dr-combo">
        <input type="text" class="dr-field cp-word-field" role="combobox" aria-autocomplete="list"
          aria-expanded="false" aria-controls="cp-word-list" autocomplete="off"
          autocapitalize="off" spellcheck="false" maxlength="64" data-label="word_field"
          data-placeholder="word_placeholder">
        <ul class="dr-list" id="cp-word-list" role="listbox" data-label="word_field" hidden></ul>
      </div>
      <button type="button" class="tg-plain cp-word-add" data-word="word_add"></button>
    </div>
  </div>
  <div class="cp-ends">
    <h2 data-word="top"></h2>
    <ol class="cp-grid cp-top" role="list" data-label="top"></ol>
    <button type="button" class="tg-quiet cp-more-best" data-word="more_best" hidden></button>
    <h2 data-word="worst"></h2>
    <ol class="cp-grid cp-worst" role="list" data-label="worst"></ol>
    <p class="cp-ends-none" data-word="ends_none" hidden></p>
  </div>
  <div class="cp-keep">
    <h2 data-word="keep"></h2>
    <p class="cp-hint" data-word="keep_hint"></p>
    <div class="cp-deeds">
      <button type="button" class="tg-plain cp-save">{_DOWN}<span
        data-word="save"></span></button>
      <button type="button" class="tg-plain cp-load" data-title="load_title">{_FOLDER}<span
        data-word="load"></span></button>
      <button type="button" class="tg-plain cp-blend" data-word="blend"></button>
      <button type="button" class="tg-quiet cp-forget" data-word="forget"
        data-title="forget_hint"></button>
      <input type="file" class="cp-load-file tg-aside" tabindex="-1" aria-hidden="true"
        accept=".json,application/json">
      <input type="file" class="cp-blend-file tg-aside" tabindex="-1" aria-hidden="true"
        accept=".json,application/json">
    </div>
    <div class="cp-blending" role="group" data-label="blend" hidden>
      <p class="cp-blend-name"></p>
      <input type="range" class="cp-share" min="0" max="100" step="5" value="50"
        data-label="blend">
      <p class="cp-share-line"></p>
      <button type="button" class="tg-button cp-blend-go" data-word="blend_go"></button>
      <button type="button" class="tg-quiet cp-blend-cancel" data-word="cancel"></button>
    </div>
  </div>
</section>
<section class="cp-section cp-two" data-section="two" tabindex="-1" data-label="section_two" hidden>
  <div class="cp-two-bar">
    <label class="cp-judge"><span data-word="judge"></span>
      <select class="cp-select cp-ranker"></select></label>
    <input type="file" class="cp-ranker-file tg-aside" tabindex="-1" aria-hidden="true"
      accept=".json,application/json">
    <span class="cp-space"></span>
    <button type="button" class="tg-plain cp-random-pair">{_DICE}<span
      data-word="pair_random"></span></button>
    <button type="button" class="tg-plain cp-swap">{_SWAP}<span data-word="swap"></span></button>
  </div>
  <div class="cp-slots">{_slot("left")}{_slot("right")}
  </div>
  <div class="cp-result" data-state="empty">
    <div class="tg-progress"></div>
    <p class="cp-verdict"></p>
    <div class="cp-odds" role="img"><span class="cp-odds-left"></span>
      <i class="cp-odds-bar"><b></b></i><span class="cp-odds-right"></span></div>
    <div class="cp-own" role="group" data-label="own_vote">
      <span data-word="own_vote"></span>
      <button type="button" class="tg-plain" data-choice="left" data-word="own_left"></button>
      <button type="button" class="tg-plain" data-choice="tie" data-word="own_tie"></button>
      <button type="button" class="tg-plain" data-choice="right" data-word="own_right"></button>
      <p class="cp-own-line"></p>
    </div>
    <div class="cp-why-part">
      <h3 data-word="why"></h3>
      <ul class="cp-why" role="list" data-label="why"></ul>
    </div>
  </div>
  <p class="cp-hint cp-private" data-word="private"></p>
</section>
<div class="tg-problem" role="alert" hidden>
  {WARNING}
  <span class="tg-message"></span>
  <button type="button" class="tg-retry" data-word="retry" hidden></button>
  <button type="button" class="tg-dismiss" data-label="dismiss">{CROSS}</button>
</div>
<div class="tg-news tg-aside" role="status" aria-live="polite"></div>
"""

SCRIPTS = (
    "common.js",
    "picker.js",
    "visitor.js",
    "explore_data.js",
    "compare_source.js",
    "compare_rankers.js",
    "compare_queue.js",
    "compare_strip.js",
    "compare_vote.js",
    "compare_learnt.js",
    "compare_taste.js",
    "compare_two.js",
    "compare.js",
)
STYLES = ("common.css", "picker.css", "compare.css")


def build_compare_tab(services: Services) -> None:
    """Put the tab's component into the open Blocks."""
    settings = services.settings
    gr.HTML(
        html_template=TEMPLATE,
        css_template=files.text(*STYLES),
        js_on_load=files.text(*SCRIPTS),
        apply_default_css=False,
        elem_id="compare-tab",
        words={lang: dict(compare_labels(lang)) for lang in LANGUAGES},
        language=settings.language,
        max_bytes=int(settings.max_bytes),
        first_words=FIRST_WORDS,
        report=bool(settings.owner_token.get_secret_value()),
    )
