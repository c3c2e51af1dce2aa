"""A sheet of pictures: queries, and what an index found for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagger.figures.style import BAD, GOOD, GREY, Names, lay_out, name_of, short, text
from tagger.figures.thumbnails import Picture, Pictures, find, thumbnail
from tagger.similarity import Neighbour

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tagger.gallery import Gallery

# Of a cell: the picture, and the lines below it.
_PICTURE, _CELL = 0.92, 1.36
_SHOWN = 3


@dataclass(frozen=True)
class _Cell:
    uri: str
    lines: tuple[str, ...]
    hover: str
    colour: str


def neighbour_sheet(
    queries: Sequence[Picture] | Sequence[int],
    neighbours: Sequence[Sequence[Neighbour]] | Sequence[Sequence[int]] | None = None,
    *,
    pictures: Pictures | None = None,
    gallery: Gallery | None = None,
    cosines: Sequence[Sequence[float]] | None = None,
    query_labels: Sequence[Iterable[int]] | None = None,
    labels: Sequence[Iterable[int]] | None = None,
    names: Names | None = None,
    k: int = 8,
    side: int = 112,
    title: str = "",
    dark: bool = False,
) -> go.Figure:
    """Show queries, a row each, and their neighbours, nearest first.

    A neighbour's frame says whether it has a tag in common with the query, and so does the text
    below it, which names the cosine and the first tags in common.

    Parameters
    ----------
    queries : sequence of pictures, or of int
        Pictures (see :data:`tagger.figures.thumbnails.Picture`); or, with a gallery, numbers of
        its pictures.
    neighbours : sequence of sequences, optional
        For each query what was found: of ``Index.lookup_many``, or numbers of `pictures`. With a
        gallery, by default the nearest of its other pictures.
    pictures : sequence, mapping or callable, optional
        Of what can be found: by number, or by the ``id`` of a :class:`Neighbour`. By default the
        gallery's.
    gallery : Gallery, optional
        Gives pictures, labels and titles where they are not given.
    cosines : float, optional
        Of neighbours that are given as numbers.
    query_labels, labels : sequence of iterables of int, optional
        Tags of the queries, and of what can be found by number.
    names : list, mapping or callable, optional
        Of tags.
    k : int
        Neighbours a query at most.
    side : int
        Of a picture, in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        ``layout.images`` are the pictures, row by row, the query first.
    """
    import plotly.graph_objects as go

    rows = [
        _row(
            at, query, neighbours, pictures, gallery, cosines, query_labels, labels, names, k, side
        )
        for at, query in enumerate(queries)
    ]
    width = max((len(row) for row in rows), default=1)
    figure = go.Figure()
    for at, row in enumerate(rows):
        for column, cell in enumerate(row):
            # The query stands a little apart.
            left = column + (0.15 if column else 0.0)
            top = -at * _CELL
            figure.add_layout_image(
                source=cell.uri,
                x=left + _PICTURE / 2,
                y=top - _PICTURE / 2,
                xanchor="center",
                yanchor="middle",
                sizex=_PICTURE,
                sizey=_PICTURE,
                xref="x",
                yref="y",
                sizing="contain",
            )
            figure.add_shape(
                type="rect",
                x0=left - 0.02,
                x1=left + _PICTURE + 0.02,
                y0=top + 0.02,
                y1=top - _PICTURE - 0.02,
                line={"color": cell.colour, "width": 2 if column else 1},
            )
            figure.add_annotation(
                x=left + _PICTURE / 2,
                y=top - _PICTURE - 0.04,
                text="<br>".join(cell.lines),
                showarrow=False,
                yanchor="top",
                font={"size": 11},
            )
    centres = [
        (column + (0.15 if column else 0.0) + _PICTURE / 2, -at * _CELL - _PICTURE / 2, cell.hover)
        for at, row in enumerate(rows)
        for column, cell in enumerate(row)
    ]
    figure.add_trace(
        go.Scatter(
            x=[one[0] for one in centres],
            y=[one[1] for one in centres],
            text=[one[2] for one in centres],
            mode="markers",
            marker={"size": side * 0.7, "opacity": 0},
            hovertemplate="%{text}<extra></extra>",
        )
    )
    hidden = {"visible": False, "fixedrange": True}
    figure.update_xaxes(range=[-0.1, width + 0.2], **hidden)
    bottom = -max(1, len(rows)) * _CELL
    figure.update_yaxes(range=[bottom, 0.1], scaleanchor="x", **hidden)
    scale = side / _PICTURE
    lay_out(
        figure,
        title=title,
        width=int((width + 0.3) * scale) + 40,
        height=int((0.1 - bottom) * scale) + (80 if title else 40),
        dark=dark,
    )
    figure.update_layout(
        margin={"l": 20, "r": 20, "t": 60 if title else 20, "b": 20}, showlegend=False
    )
    return figure


def _row(
    at: int,
    query: Any,
    neighbours: Any,
    pictures: Pictures | None,
    gallery: Gallery | None,
    cosines: Any,
    query_labels: Any,
    labels: Any,
    names: Names | None,
    k: int,
    side: int,
) -> list[_Cell]:
    inside = gallery is not None and isinstance(query, int)
    if neighbours is None:
        if gallery is None or not inside:
            raise ValueError("neighbours are needed, or a gallery and numbers of its pictures")
        found: Any = gallery.index.neighbours(gallery.id(query), k)
    else:
        found = neighbours[at]
    mine: set[int] | None = None
    if query_labels is not None:
        mine = set(query_labels[at])
    elif gallery is not None and inside:
        mine = {tag for tag, _ in gallery.labels.of(query)}
    picture = gallery.pictures.get(query) if gallery is not None and inside else query
    own = _title(gallery, query) if inside else f"query {at + 1}"
    words = [name_of(names, tag) for tag in sorted(mine or ())]
    cells = [
        _Cell(
            thumbnail(picture, side=side),
            (f"<b>{short(own, side)}</b>", short(", ".join(words[:_SHOWN]), side)),
            "<br>".join([text(own), *map(text, words)]),
            GREY,
        )
    ]
    for place, one in enumerate(list(found)[:k]):
        key, cosine, theirs = _facts(one, at, place, cosines, labels, gallery)
        number = key if isinstance(key, int) else gallery.number_of.get(key) if gallery else None
        store: Any = gallery.pictures.get if pictures is None and gallery is not None else pictures
        if store is None:
            raise ValueError("pictures of what can be found are needed, or a gallery")
        uri = thumbnail(find(store, key if pictures is not None else number), side=side)
        name = _title(gallery, number) if gallery is not None and number is not None else str(key)
        said = "" if cosine is None else f"{cosine:.3f}"
        colour, common = GREY, ""
        hover = [text(name), f"cosine {said}" if said else ""]
        if mine is not None and theirs is not None:
            shared = [name_of(names, tag) for tag in sorted(mine & theirs)]
            colour = GOOD if shared else BAD
            common = short(", ".join(shared[:_SHOWN]) or "nothing in common", side)
            hover += ["in common:", *map(text, shared)] if shared else ["nothing in common"]
        cells.append(_Cell(uri, (said, common), "<br>".join(filter(None, hover)), colour))
    return cells


def _facts(
    one: Any, at: int, place: int, cosines: Any, labels: Any, gallery: Gallery | None
) -> tuple[Any, float | None, set[int] | None]:
    """Key, cosine and tags of a neighbour, as far as they are known."""
    if isinstance(one, Neighbour):
        return one.item.id, one.cosine, set(one.item.labels)
    number = int(one)
    cosine = None if cosines is None else float(cosines[at][place])
    if labels is not None:
        return number, cosine, set(labels[number])
    if gallery is not None:
        return number, cosine, {tag for tag, _ in gallery.labels.of(number)}
    return number, cosine, None


def _title(gallery: Gallery | None, n: int) -> str:
    assert gallery is not None
    return str(gallery.metadata(n).get("title") or gallery.id(n))
