"""The web page: a Gradio Blocks app over the services.

:func:`build_app` makes the page, :func:`launch_options` what Gradio takes only at launch (theme,
styles, languages) and :func:`routes` the few files that it fetches from this server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Any

import gradio as gr
from starlette.routing import BaseRoute

from tagger.languages import LANGUAGES, Language
from tagger.services import Services
from tagger.ui.compare_endpoints import build_compare_endpoints
from tagger.ui.compare_tab import build_compare_tab
from tagger.ui.draw_tab import build_draw_tab
from tagger.ui.examples import example_route, load_examples
from tagger.ui.explore_endpoints import build_explore_endpoints
from tagger.ui.explore_tab import build_explore_tab
from tagger.ui.files import STATIC
from tagger.ui.order_section import build_order_section
from tagger.ui.owner import build_owner
from tagger.ui.plotly_js import plotly_route
from tagger.ui.report_section import build_report_section
from tagger.ui.tag_tab import build_tag_tab
from tagger.ui.theme import make_theme
from tagger.ui.translations import PAGE, TAG_TAB

__all__ = ["build_app", "launch_options", "routes"]

# Uploads through Gradio's own endpoints are files; they go after ten minutes.
_KEEP_SECONDS = 600
# Gradio sets a dot after its one link; page.css does not reach the footer.
_HEAD = """
<meta name="color-scheme" content="light dark">
<meta name="description" content="{description}">
<style>footer .divider {{ display: none !important; }}</style>
"""


def build_app(services: Services) -> gr.Blocks:
    """Build the page; queue and launch it with :func:`launch_options` and :func:`routes`.

    Parameters
    ----------
    services : Services
        The model and the limits.
    """
    i18n = _i18n(services)
    with gr.Blocks(
        title=PAGE["en"]["title"],  # not translated by Gradio; the tab's script does it
        analytics_enabled=False,
        delete_cache=(_KEEP_SECONDS, _KEEP_SECONDS),
    ) as app:
        gr.Markdown(i18n("header"), elem_id="tagger-header")
        with gr.Tabs():
            with gr.Tab(i18n("tab_tag"), id="tag"):
                gr.Markdown(i18n("about"), elem_id="tagger-about")
                build_tag_tab(services, load_examples())
            if services.draw is not None:
                with gr.Tab(i18n("tab_draw"), id="draw"):
                    build_draw_tab(services, services.draw)
                    tuning = services.draw.tuning
                    if services.settings.owner_token.get_secret_value() and tuning is not None:
                        build_owner(services.draw, tuning, services.settings.language)
            if services.explore is not None:
                with gr.Tab(i18n("tab_explore"), id="explore", elem_id="tab-explore"):
                    build_explore_tab(services)
                    build_explore_endpoints(services, services.explore)
            if services.compare is not None:
                with gr.Tab(i18n("tab_compare"), id="compare", elem_id="tab-compare"):
                    build_compare_tab(services)
                    build_order_section(services)
                    if services.settings.owner_token.get_secret_value():
                        build_report_section(services)
                    build_compare_endpoints(services, services.compare)
    return app


def launch_options(services: Services) -> dict[str, Any]:
    """Arguments for ``Blocks.launch`` that belong to the page's looks and languages."""
    fixed = services.settings.language
    return {
        "theme": make_theme(),
        "css_paths": [STATIC / "page.css"],
        # One language for all, as the title of the page.
        "head": _HEAD.format(
            description=escape(lead(services, "en" if fixed == "auto" else fixed))
        ),
        "i18n": _i18n(services),
        "favicon_path": STATIC / "icon.svg",
        # Not "settings": its language switch knows Gradio's words, not those of our components.
        "footer_links": ["api"],
    }


def routes() -> list[BaseRoute]:
    """Routes that the page fetches from; give them to ``launch(app_kwargs={"routes": ...})``."""
    return [example_route(load_examples()), plotly_route()]


def _i18n(services: Services) -> gr.I18n:
    fixed = services.settings.language
    tables = {}
    for language in LANGUAGES:
        shown = language if fixed == "auto" else fixed
        words = PAGE[shown]
        tables[language] = {
            "tab_tag": words["tab_tag"],
            "tab_draw": words["tab_draw"],
            "tab_explore": words["tab_explore"],
            "tab_compare": words["tab_compare"],
            "header": f"# {words['title']}\n\n{lead(services, shown)}",
            "about": about(services, shown),
        }
    return gr.I18n(**tables)


def lead(services: Services, lang: Language) -> str:
    """What can be done on the page, as its tabs are, in one sentence; and what is kept."""
    words = PAGE[lang]
    there = {
        "draw": services.draw is not None,
        "explore": services.explore is not None,
        # Votes are on the gallery's pictures.
        "compare": services.compare is not None and services.explore is not None,
    }
    deeds = [words["do_tag"], *(words[f"do_{tab}"] for tab, shown in there.items() if shown)]
    if len(deeds) == 1:
        return words["lead"]
    kept = words["kept_" + "_".join(tab for tab in ("draw", "compare") if there[tab])]
    done = words["do_gap"].join(deeds[:-1]) + words["do_last"] + deeds[-1]
    return words["lead_many"].format(done=done, kept=kept)


def about(services: Services, lang: Language) -> str:
    """Which model the page shows, what it learnt from and what it does not know, as Markdown."""
    words = PAGE[lang]
    data = data_names(services.config.training_data)
    model = words["model"].format(
        name=_plain(services.config.name),
        count=len(services.tagger.tags),
        data=words["model_data"].format(data=_listed(data, lang)) if data else "",
    )
    programs = words["programs"].format(root=services.settings.root_path)
    return f"{model}{TAG_TAB[lang]['gap']}{programs}"


def data_names(training_data: Iterable[Any]) -> list[str]:
    """Names of collections of pictures, from what a bundle says of its training data.

    An entry is an object with a name, or a line such as ``Noto Emoji (where), licence``, of which
    the name is kept. A line such as ``Tags: where from`` names no pictures.
    """
    entries = (entry.get("name") if isinstance(entry, dict) else entry for entry in training_data)
    names = (re.split(r" \(|[,;]", entry)[0] for entry in entries if isinstance(entry, str))
    return list(dict.fromkeys(_plain(name) for name in names if name.strip() and ":" not in name))


def _listed(names: list[str], lang: Language, most: int = 5) -> str:
    separator = "、" if lang == "ja" else ", "
    first = separator.join(names[:most])
    if len(names) <= most:
        return first
    return PAGE[lang]["more_data"].format(first=first, count=len(names) - most)


def _plain(text: str) -> str:
    """Text of a bundle without what Markdown or HTML would read as more than text."""
    return "".join(c for c in text.strip() if c.isprintable() and c not in "<>&`*[]\\|~$")
