"""Colours and type of the page: warm paper and ink, one blue, the system's own fonts.

The fonts are named, never fetched: a page that loads nothing from elsewhere works offline and
tells nobody about its visitors. Japanese faces stand beside the Latin ones of their weight.
"""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Hiragino Sans",
    "Yu Gothic UI",
    "Noto Sans JP",
    "Noto Sans CJK JP",
    "Meiryo",
    "sans-serif",
)
MONO = (
    "ui-monospace",
    "SFMono-Regular",
    "Menlo",
    "Consolas",
    "Noto Sans Mono",
    "Noto Sans Mono CJK JP",
    "monospace",
)

BLUE = colors.Color(
    name="indigo-dye",
    c50="#eef3fa",
    c100="#dbe5f3",
    c200="#bccde7",
    c300="#95b0d8",
    c400="#6f92c6",
    c500="#4a72ad",
    c600="#355a93",
    c700="#2b4a7a",
    c800="#243d64",
    c900="#1f3352",
    c950="#142238",
)
STONE = colors.Color(
    name="paper",
    c50="#fbfaf7",
    c100="#f4f1eb",
    c200="#e6e1d7",
    c300="#d3ccbf",
    c400="#a59d8f",
    c500="#7a7367",
    c600="#5f594f",
    c700="#46423c",
    c800="#2b2b2f",
    c900="#1d1e23",
    c950="#141519",
)


def make_theme() -> gr.themes.Base:
    """The page's theme, light and dark."""
    theme = gr.themes.Base(
        primary_hue=BLUE,
        secondary_hue=BLUE,
        neutral_hue=STONE,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=SANS,
        font_mono=MONO,
    )
    # Contrast of text on its ground is at least 4.5 in both, of marks and edges at least 3.
    return theme.set(
        body_background_fill="#f6f3ec",
        body_background_fill_dark="#141519",
        body_text_color="#23262b",
        body_text_color_dark="#ebe7de",
        body_text_color_subdued="#625c51",
        body_text_color_subdued_dark="#aba496",
        background_fill_primary="#fffdf9",
        background_fill_primary_dark="#1d1e23",
        background_fill_secondary="#f0ece3",
        background_fill_secondary_dark="#2a2b31",
        border_color_primary="#dcd6ca",
        border_color_primary_dark="#3b3c43",
        block_background_fill="#fffdf9",
        block_background_fill_dark="#1d1e23",
        color_accent="#355a93",
        color_accent_soft="#eef3fa",
        color_accent_soft_dark="#243046",
        link_text_color="#2b4a7a",
        link_text_color_dark="#9dbbe8",
        button_primary_background_fill="#2b4a7a",
        button_primary_background_fill_hover="#1f3352",
        button_primary_background_fill_dark="#9dbbe8",
        button_primary_background_fill_hover_dark="#bccde7",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#141519",
    )
