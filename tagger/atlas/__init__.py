"""Maps of embeddings: made by PCA or UMAP, with how far to trust each point.

Nothing here imports UMAP: it runs in a process of its own (:mod:`tagger.atlas.child`).
"""

from tagger.atlas.model import (
    MAX_POINTS,
    TRUST_K,
    Atlas,
    MapParameters,
    hash_embeddings,
    read_atlas,
    write_atlas,
)
from tagger.atlas.projection import pca, place
from tagger.atlas.trusting import sample_of, trust, trust_of_all, trustworthiness
from tagger.atlas.worker import MapWorker

__all__ = [
    "MAX_POINTS",
    "TRUST_K",
    "Atlas",
    "MapParameters",
    "MapWorker",
    "hash_embeddings",
    "pca",
    "place",
    "read_atlas",
    "sample_of",
    "trust",
    "trust_of_all",
    "trustworthiness",
    "write_atlas",
]
