"""A figure as HTML, with the pictures of :func:`tagger.figures.projector` on hover.

plotly draws no pictures in its hover labels. It can run a script of ours where the figure stands:
that one shows the picture of the point under the pointer, which it finds by the point's number
(``customdata``) among those that the figure carries (``layout.meta.thumbnails``).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import plotly.graph_objects as go


def to_html(
    figure: go.Figure,
    *,
    plotly_js: Literal["inline", "cdn", "none"] = "inline",
    page: bool = True,
) -> str:
    """Write a figure.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Any; thumbnails show if it carries some.
    plotly_js : {"inline", "cdn", "none"}
        Where plotly's script comes from: within the text (4 MB, works anywhere), from the network,
        or from the page into which it is put.
    page : bool
        A whole page; else a ``<div>`` to be put into one.
    """
    script = resources.files("tagger.figures").joinpath("hover.js").read_text("utf-8")
    source: Any = {"inline": True, "cdn": "cdn", "none": False}[plotly_js]
    html: str = figure.to_html(include_plotlyjs=source, full_html=page, post_script=script)
    return html


@dataclass(frozen=True)
class Shown:
    """HTML that a notebook shows as a cell's result."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def notebook(figure: go.Figure, *, plotly_js: Literal["inline", "cdn", "none"] = "inline") -> Shown:
    """The figure for the last line of a notebook's cell, thumbnails included."""
    return Shown(to_html(figure, plotly_js=plotly_js, page=False))
