"""A map of points that can be turned, filtered and hovered over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagger.figures.style import GREY, Names, lay_out, name_of, palette, text

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tagger.atlas import Atlas
    from tagger.gallery import Gallery
    from tagger.similarity import Index

OTHER = "other"


def projector(
    points: npt.ArrayLike | Gallery | Atlas | Index,
    *,
    labels: Sequence[Any] | None = None,
    values: npt.ArrayLike | None = None,
    names: Names | None = None,
    titles: Sequence[str] | None = None,
    thumbnails: Sequence[str] | None = None,
    edges: npt.ArrayLike | None = None,
    dimensions: int = 2,
    most: int = 20,
    size: float = 6,
    opacity: float = 0.8,
    value_name: str = "",
    title: str = "",
    width: int | None = 900,
    height: int | None = 700,
    dark: bool = False,
) -> go.Figure:
    """Show points in two or three dimensions.

    Parameters
    ----------
    points : float, shape [N, 2], [N, 3] or [N, D]; or Gallery, Atlas, Index
        Positions; embeddings of more than three numbers are projected by PCA
        (:func:`tagger.atlas.pca`). A gallery and an atlas give their map, with the trust of each
        point for `values` where nothing else is given; a gallery gives titles, too.
    labels : sequence, optional
        One a point, a number or a text: a colour and an entry in the legend each, the rarest ones
        together as "other".
    values : float, shape [N], optional
        A number a point, as a scale of colours instead: the probability of a tag
        (``gallery.predicted.column(tag)``), say.
    names : list, mapping or callable, optional
        Of labels that are numbers.
    titles : sequence of str, optional
        Shown on hover.
    thumbnails : sequence of str, optional
        Of :func:`tagger.figures.thumbnails`; shown on hover by :func:`tagger.figures.to_html`.
    edges : int, shape [M, 2], optional
        Pairs of points to draw lines between: true neighbours, say.
    dimensions : {2, 3}
        Of a projection by PCA.
    most : int
        Labels that have a colour of their own.
    size, opacity : float
        Of points: pixels, 0..1.
    value_name : str
        What `values` are.

    Returns
    -------
    plotly.graph_objects.Figure
        A trace a label; ``customdata`` are the numbers of the points, ``layout.meta`` holds the
        thumbnails.
    """
    import plotly.graph_objects as go

    positions, found_values, found_titles = _read(points, dimensions)
    count = len(positions)
    titles = found_titles if titles is None else titles
    if labels is None and values is None and found_values is not None:
        values, value_name = found_values, value_name or "trust"
    for given in (labels, values, titles, thumbnails):
        if given is not None and len(given) != count:  # type: ignore[arg-type]
            raise ValueError("as many labels, values, titles and thumbnails as points are needed")
    words = [text(one) for one in titles] if titles is not None else [f"{n}" for n in range(count)]
    kind = go.Scatter3d if positions.shape[1] == 3 else go.Scattergl
    figure = go.Figure()
    if edges is not None:
        _draw_edges(figure, positions, np.asarray(edges, np.int64).reshape(-1, 2))
    if values is not None:
        marker: dict[str, Any] = {
            "color": np.asarray(values, np.float64),
            "colorscale": "Viridis",
            "showscale": True,
            "colorbar": {"title": {"text": text(value_name)}},
        }
        groups = [("", np.arange(count), marker)]
    else:
        groups = _groups(labels, names, count, most)
    for name, rows, marker in groups:
        extra = "<extra></extra>" if not name else f"<extra>{name}</extra>"
        shown = "%{text}" + ("<br>%{marker.color:.3f}" if values is not None else "") + extra
        figure.add_trace(
            kind(
                **_axes(positions[rows]),
                customdata=rows,
                text=[words[n] for n in rows.tolist()],
                mode="markers",
                name=name,
                showlegend=bool(name),
                marker={"size": size if kind is go.Scattergl else size / 2, "opacity": opacity}
                | marker,
                hovertemplate=shown,
            )
        )
    lay_out(figure, title=title, width=width, height=height, dark=dark)
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "title": ""}
    figure.update_xaxes(**bare)
    figure.update_yaxes(**bare, scaleanchor="x")
    figure.update_layout(
        scene={axis: bare for axis in ("xaxis", "yaxis", "zaxis")},
        legend={"itemsizing": "constant"},
        hovermode="closest",
        meta=None if thumbnails is None else {"thumbnails": list(thumbnails)},
    )
    return figure


def _read(
    points: Any, dimensions: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any] | None, list[str] | None]:
    """Positions; and where they are known, a value for each and titles."""
    titles = None
    embeddings = None
    if hasattr(points, "predicted"):  # a gallery
        names = [points.metadata(n).get("title") or points.id(n) for n in range(len(points))]
        titles = [str(name) for name in names]
        embeddings = points.embeddings
        points = points.atlas if points.atlas is not None else embeddings
    if hasattr(points, "trust"):  # an atlas
        return points.positions, points.trust, titles
    if hasattr(points, "snapshot"):  # an index
        now = points.snapshot()
        titles = [now.items[row].id for row in now.rows.tolist()]
        points = now.embeddings
    positions = np.asarray(points, np.float32)
    if positions.ndim != 2 or positions.shape[1] < 2:
        raise ValueError("positions of two or three numbers are needed, or embeddings")
    if positions.shape[1] > 3:
        from tagger.atlas import pca

        if dimensions not in (2, 3):
            raise ValueError("dimensions must be 2 or 3")
        positions = pca(positions, dimensions)
    return positions, None, titles


def _groups(
    labels: Sequence[Any] | None, names: Names | None, count: int, most: int
) -> list[tuple[str, npt.NDArray[np.int64], dict[str, Any]]]:
    """Name, rows and colour of each trace: by how many points they have."""
    if labels is None:
        return [("", np.arange(count), {"color": palette(1)[0]})]
    plain = [_plain(one) for one in labels]
    ranked = [label for label, _ in Counter(plain).most_common()]
    shown = ranked if len(ranked) <= most else ranked[: most - 1]
    rows: dict[Any, list[int]] = {label: [] for label in shown}
    rest: list[int] = []
    for n, label in enumerate(plain):
        rows.get(label, rest).append(n)
    colours = palette(len(shown))
    groups = [
        (
            text(name_of(names, label) if isinstance(label, int) else label),
            np.array(rows[label], np.int64),
            {"color": colour},
        )
        for label, colour in zip(shown, colours, strict=True)
    ]
    if rest:
        groups.append((OTHER, np.array(rest, np.int64), {"color": GREY}))
    return groups


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _draw_edges(
    figure: Any, positions: npt.NDArray[np.float32], edges: npt.NDArray[np.int64]
) -> None:
    import plotly.graph_objects as go

    # The gap after each pair parts the lines.
    gap = np.full((len(edges), 1, positions.shape[1]), np.nan, np.float32)
    path = np.concatenate([positions[edges], gap], axis=1).reshape(-1, positions.shape[1])
    kind = go.Scatter3d if positions.shape[1] == 3 else go.Scattergl
    figure.add_trace(
        kind(
            **_axes(path),
            mode="lines",
            line={"color": GREY, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    )


def _axes(positions: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    return {name: positions[:, at] for at, name in enumerate("xyz"[: positions.shape[1]])}
