"""Figures for notebooks, by plotly: what an embedding finds, confuses, and looks like.

Plain functions that take arrays, or our own galleries and indexes, and return a
``plotly.graph_objects.Figure``; :func:`to_html` writes one with pictures that show on hover.
They do what TensorFlow Similarity's ``visualization`` does (``viz_neigbors_imgs``,
``confusion_matrix``, ``projector``), for items with many tags each. The app itself does not use
them: plotly is imported when a figure is made.
"""

from tagger.figures.confusion import confusion_matrix, count_confusions
from tagger.figures.curves import cut_points, learning_curves, reliability, reliability_bins
from tagger.figures.projecting import projector
from tagger.figures.sheet import neighbour_sheet
from tagger.figures.showing import notebook, to_html
from tagger.figures.thumbnails import thumbnails

__all__ = [
    "confusion_matrix",
    "count_confusions",
    "cut_points",
    "learning_curves",
    "neighbour_sheet",
    "notebook",
    "projector",
    "reliability",
    "reliability_bins",
    "thumbnails",
    "to_html",
]
