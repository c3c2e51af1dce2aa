"""What is like what: an index of embeddings, its cut-points, and figures about both."""

from tagger.similarity.calibration import UNKNOWN, Calibration, Match, Options
from tagger.similarity.evaluation import (
    evaluate_classification,
    evaluate_multiple,
    evaluate_retrieval,
    evaluate_single,
    measure,
)
from tagger.similarity.index import Index
from tagger.similarity.items import Item, Neighbour
from tagger.similarity.labels import Labels, overlap, rarity
from tagger.similarity.snapshot import Snapshot
from tagger.similarity.stats import Stats

__all__ = [
    "UNKNOWN",
    "Calibration",
    "Index",
    "Item",
    "Labels",
    "Match",
    "Neighbour",
    "Options",
    "Snapshot",
    "Stats",
    "evaluate_classification",
    "evaluate_multiple",
    "evaluate_retrieval",
    "evaluate_single",
    "measure",
    "overlap",
    "rarity",
]
