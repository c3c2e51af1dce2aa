"""Curves: cut-points, reliability, and what a training run says while it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagger.figures.style import GREY, lay_out, palette, text
from tagger.similarity import Calibration

if TYPE_CHECKING:
    import plotly.graph_objects as go

Doubles = npt.NDArray[np.float64]


def cut_points(
    calibration: Calibration,
    *,
    title: str = "",
    width: int | None = 720,
    height: int | None = 440,
    dark: bool = False,
) -> go.Figure:
    """Show precision, recall and F1 by cut-point, and the one that was chosen for all tags.

    Parameters
    ----------
    calibration : Calibration
        Of ``Index.calibrate``.
    """
    import plotly.graph_objects as go

    curve = calibration.curve
    figure = go.Figure()
    for name, colour in zip(("precision", "recall", "f1"), palette(3), strict=True):
        figure.add_trace(
            go.Scatter(
                x=list(curve.score),
                y=list(getattr(curve, name)),
                name="F1" if name == "f1" else name,
                mode="lines",
                line={"color": colour},
                hovertemplate="from %{x:.3f}: %{y:.1%}",
            )
        )
    if calibration.cut.score is not None:
        figure.add_vline(
            x=calibration.cut.score,
            line={"color": GREY, "dash": "dash"},
            annotation_text=f"chosen: {calibration.cut.score:.3f}",
        )
    lay_out(figure, title=title, width=width, height=height, dark=dark)
    figure.update_xaxes(title="score from which a decision counts")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def reliability_bins(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, *, bins: int = 15
) -> tuple[Doubles, Doubles, npt.NDArray[np.int64], float]:
    """What share of predictions of each probability came true.

    Parameters
    ----------
    truth : bool, any shape
        Whether each came true.
    probabilities : float, same shape, 0..1
        As predicted.
    bins : int
        Of equal width; a probability on a border counts to the upper bin, 1 to the last.

    Returns
    -------
    predicted, true : float64, shape [bins]
        Mean probability and share; NaN where there is none.
    counts : int64, shape [bins]
        Of predictions.
    error : float
        The expected calibration error: ``sum(count * |predicted - true|) / sum(count)`` (Naeini,
        Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
        AAAI 2015).
    """
    right = np.asarray(truth, np.float64).ravel()
    sure = np.asarray(probabilities, np.float64).ravel()
    if right.shape != sure.shape:
        raise ValueError("as many truths as probabilities are needed")
    if not bool(((sure >= 0) & (sure <= 1)).all()):
        raise ValueError("probabilities must be from 0 to 1")
    which = np.minimum((sure * bins).astype(np.int64), bins - 1)
    counts = np.bincount(which, minlength=bins)
    sums = [np.bincount(which, weights=one, minlength=bins) for one in (sure, right)]
    predicted, true = (
        np.divide(one, counts, out=np.full(bins, np.nan), where=counts > 0) for one in sums
    )
    error = float(np.abs(sums[0] - sums[1]).sum() / max(1, len(sure)))
    return predicted, true, counts.astype(np.int64), error


def reliability(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    bins: int = 15,
    title: str = "",
    width: int | None = 560,
    height: int | None = 520,
    dark: bool = False,
) -> go.Figure:
    """Show whether probabilities mean what they say; see :func:`reliability_bins`.

    The size of a point says how many predictions it stands for.
    """
    import plotly.graph_objects as go

    predicted, true, counts, error = reliability_bins(truth, probabilities, bins=bins)
    there = counts > 0
    biggest = float(counts.max()) if len(counts) else 1.0
    figure = go.Figure(
        [
            go.Scatter(
                x=[0, 1],
                y=[0, 1],
                mode="lines",
                line={"color": GREY, "dash": "dash"},
                hoverinfo="skip",
            ),
            go.Scatter(
                x=predicted[there],
                y=true[there],
                customdata=counts[there],
                mode="lines+markers",
                line={"color": palette(1)[0]},
                marker={"size": 6 + 18 * np.sqrt(counts[there] / max(1.0, biggest))},
                hovertemplate="said %{x:.1%}, came true %{y:.1%}<br>"
                "%{customdata:,} predictions<extra></extra>",
            ),
        ]
    )
    figure.add_annotation(
        x=0.02, y=0.98, text=f"ECE {error:.3f}", showarrow=False, xanchor="left", yanchor="top"
    )
    lay_out(figure, title=title, width=width, height=height, dark=dark)
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="predicted probability", range=[-0.03, 1.03])
    figure.update_yaxes(title="share that came true", range=[-0.03, 1.03], scaleanchor="x")
    return figure


def learning_curves(
    history: Mapping[str, Sequence[float]],
    *,
    steps: Sequence[float] | None = None,
    losses: Sequence[str] | None = None,
    step_name: str = "epoch",
    title: str = "",
    width: int | None = 720,
    height: int | None = 440,
    dark: bool = False,
) -> go.Figure:
    """Show how losses and measures (NDCG, precision...) went.

    Parameters
    ----------
    history : mapping of str to sequences of float
        A value a step; NaN or None where there is none.
    steps : sequence of float, optional
        By default 1, 2, 3...
    losses : sequence of str, optional
        Which of them belong to the left axis; by default those with "loss" in their names. The
        others are drawn dotted on the right one.
    """
    import plotly.graph_objects as go

    if losses is None:
        losses = [name for name in history if "loss" in name.lower()]
    both = 0 < len([name for name in history if name in losses]) < len(history)
    figure = go.Figure()
    for (name, values), colour in zip(history.items(), palette(len(history)), strict=True):
        right = both and name not in losses
        figure.add_trace(
            go.Scatter(
                x=list(steps) if steps is not None else list(range(1, len(values) + 1)),
                y=[None if one is None else float(one) for one in values],
                name=text(name),
                mode="lines+markers",
                line={"color": colour, "dash": "dot" if right else "solid"},
                yaxis="y2" if right else "y",
                hovertemplate="%{y:.4f}",
            )
        )
    lay_out(figure, title=title, width=width, height=height, dark=dark)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title=text(step_name))
    if both:
        figure.update_layout(
            yaxis={"title": {"text": "loss"}},
            yaxis2={"overlaying": "y", "side": "right", "showgrid": False},
            legend={"x": 1.08},
        )
    return figure
