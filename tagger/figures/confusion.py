"""What is taken for what: a confusion matrix, of single labels and of sets of tags alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagger.figures.style import Names, lay_out, name_of, text
from tagger.similarity import UNKNOWN, Labels

if TYPE_CHECKING:
    import plotly.graph_objects as go

Doubles = npt.NDArray[np.float64]

NONE, OTHERS = "(none)", "(others)"
# Cells are labelled with their values in tables of up to so many tags.
_WRITTEN = 15


def count_confusions(truth: Labels, said: Labels, tags: Sequence[int]) -> Doubles:
    """Count which tags are said in place of which.

    A tag that holds and is said counts on the diagonal. One that holds and is not said (missed) is
    taken for the tags that are said and do not hold (wrong): an equal part of it for each of
    them, or all of it for none. Wrong tags where nothing is missed are taken for none that holds.
    So each row sums to how often its tag holds; and for single labels it is the usual matrix. The
    idea of a row and a column for none is that of Heydarian, Doyle and Samavi, "MLCM: Multi-Label
    Confusion Matrix" (IEEE Access, 2022), whose parts are weighted otherwise.

    Parameters
    ----------
    truth, said : Labels
        Tags that hold and tags that are said, of N items.
    tags : sequence of int
        T tags; others are not counted.

    Returns
    -------
    float64, shape [T + 1, T + 1]
        Rows hold, columns are said; the last of each is none.
    """
    if len(truth) != len(said):
        raise ValueError("as many answers as items are needed")
    place = {tag: at for at, tag in enumerate(tags)}
    none = len(place)
    matrix = np.zeros((none + 1, none + 1))
    for holds, says in zip(truth, said, strict=True):
        true = {place[tag] for tag in holds if tag in place}
        given = {place[tag] for tag in says if tag in place}
        for at in true & given:
            matrix[at, at] += 1
        missed, wrong = sorted(true - given), sorted(given - true)
        if not missed and not true & given and not wrong:
            matrix[none, none] += 1  # nothing holds and nothing is said
        columns = wrong or [none]
        for at in missed:
            matrix[at, columns] += 1 / len(columns)
        if not missed:
            matrix[none, wrong] += 1
    return matrix


def confusion_matrix(
    truth: Iterable[int] | Iterable[Iterable[int]],
    said: Iterable[int] | Iterable[Iterable[int]],
    *,
    names: Names | None = None,
    tags: Sequence[int] | None = None,
    most: int = 25,
    normalise: bool = True,
    title: str = "",
    width: int | None = None,
    height: int | None = None,
    dark: bool = False,
) -> go.Figure:
    """Show what is taken for what; see :func:`count_confusions`.

    Parameters
    ----------
    truth, said : iterables of int, or of iterables of int
        Labels of N items, one each (``UNKNOWN`` for none) or sets of them.
    names : list, mapping or callable, optional
        Of tags.
    tags : sequence of int, optional
        To show; by default those that are most confused with others, by their numbers.
    most : int
        How many at most.
    normalise : bool
        Shares of how often each tag holds; else counts.

    Returns
    -------
    plotly.graph_objects.Figure
        A heat map; ``customdata`` are the counts. What is taken for tags that are not shown is in
        a column of its own.
    """
    import plotly.graph_objects as go

    true, given = _labels(truth), _labels(said)
    known = sorted({*true.holders, *given.holders, *(tags or ())})
    matrix = count_confusions(true, given, known)
    place = {tag: at for at, tag in enumerate(known)}
    if tags is None:
        # With each other: what is only missed says nothing about confusions.
        off = (matrix - np.diag(np.diag(matrix)))[:-1, :-1]
        weight = off.sum(axis=0) + off.sum(axis=1)
        order = np.argsort(-weight, kind="stable")[:most]
        shown = [known[at] for at in sorted(order.tolist())]
    else:
        shown = list(tags)[:most]
    counts, labels = _choose(matrix, [place[tag] for tag in shown])
    words = [text(name_of(names, tag)) for tag in shown]
    columns = [*words, *labels]
    rows = [*words, NONE]
    sums = np.array([matrix[place[tag]].sum() for tag in shown] + [matrix[-1].sum()])
    shares = np.divide(counts, sums[:, None], out=np.zeros_like(counts), where=sums[:, None] > 0)
    values = shares if normalise else counts
    form = ".0%" if normalise else ".4g"
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            customdata=counts,
            text=[[f"{value:{form}}" if value else "" for value in row] for row in values],
            hovertext=[[f"{row} → {column}" for column in columns] for row in rows],
            colorscale="Cividis" if dark else "Blues",
            zmin=0,
            zmax=1 if normalise else None,
            colorbar={"tickformat": ".0%" if normalise else ""},
            hovertemplate="%{hovertext}<br>%{z:"
            + form
            + "} (%{customdata:.4~g} times)<extra></extra>",
            texttemplate="%{text}" if len(shown) <= _WRITTEN else None,
        )
    )
    size = max(420, 26 * len(columns) + 220)
    lay_out(figure, title=title, width=width or size + 60, height=height or size, dark=dark)
    # Numbered, so that two tags of one name stay two.
    ticks: dict[str, Any] = {"tickmode": "array", "showgrid": False, "zeroline": False}
    figure.update_xaxes(
        title="said", tickvals=list(range(len(columns))), ticktext=columns, tickangle=-45, **ticks
    )
    figure.update_yaxes(
        title="holds",
        tickvals=list(range(len(rows))),
        ticktext=rows,
        autorange="reversed",
        automargin=True,
        **ticks,
    )
    figure.update_xaxes(automargin=True)
    return figure


def _choose(matrix: Doubles, places: list[int]) -> tuple[Doubles, list[str]]:
    """Rows and columns of some tags, the columns of the others added up, and that of none."""
    left_out = sorted(set(range(len(matrix) - 1)) - set(places))
    rows = matrix[[*places, len(matrix) - 1]]
    parts = [rows[:, places]]
    labels = []
    if left_out:
        parts.append(rows[:, left_out].sum(axis=1, keepdims=True))
        labels.append(OTHERS)
    parts.append(rows[:, -1:])
    return np.concatenate(parts, axis=1), [*labels, NONE]


def _labels(values: Any) -> Labels:
    """One label an item, or sets of them."""
    return Labels(
        one if isinstance(one, Iterable) else () if int(one) == UNKNOWN else (int(one),)
        for one in values
    )
