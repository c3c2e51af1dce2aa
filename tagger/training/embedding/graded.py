"""Similarity in degrees: by the tags in common, rare ones counting more, as a loss.

Losses of metric learning know two answers, same class or not, and their libraries take one number
as a label. Pictures have many tags, and two may have some in common. The degree is that of
:func:`tagger.similarity.labels.overlap`, by which retrieval is judged, too.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.similarity.labels import Labels, rarity


def tag_sets(labels: NDArray[np.uint8]) -> Labels:
    """Rows of 0 and 1, ``[N, T]``, as sets of tag numbers."""
    return Labels(np.flatnonzero(row).tolist() for row in labels)


def tag_weights(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rarity of each tag among pictures with labels uint8 ``[N, T]``: float32 ``[T]``.

    A tag that no picture has weighs as much as the rarest.
    """
    found = rarity(tag_sets(labels))
    weights = np.full(labels.shape[1], max(found.values(), default=1.0), np.float32)
    weights[list(found)] = list(found.values())
    return weights


def overlap(tags: Tensor, weights: Tensor) -> Tensor:
    """Weighted Jaccard index of every two pictures: float ``[N, N]``, 0-1.

    Parameters
    ----------
    tags
        Float ``[N, T]``, 0 or 1.
    weights
        Float ``[T]``, of :func:`tag_weights`.
    """
    shared = (tags * weights) @ tags.T
    have = tags @ weights
    union = have[:, None] + have[None] - shared
    return torch.where(union > 0, shared / union.clamp_min(1e-9), torch.zeros_like(shared))


class GradedOverlapLoss(nn.Module):
    """Make the order of neighbours that of the tags in common.

    Each picture's neighbours in the batch are given probabilities, by the softmax of their
    overlaps and by the softmax of their cosines; the loss is the cross-entropy between the two,
    as ListNet ranks (Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach",
    ICML 2007). Pictures that share a tag with none in the batch teach nothing and are left out.

    Parameters
    ----------
    weights
        Float ``[T]``: what each tag counts.
    temperature
        Of the cosines.
    sharpness
        Temperature of the overlaps: small, and only the best are wanted near.
    """

    weights: Tensor

    def __init__(
        self, weights: NDArray[np.float32], temperature: float = 0.1, sharpness: float = 0.2
    ) -> None:
        super().__init__()
        self.register_buffer("weights", torch.as_tensor(weights))
        self.temperature = temperature
        self.sharpness = sharpness

    def forward(self, embeddings: Tensor, tags: Tensor) -> Tensor:
        """One number of embeddings ``[N, D]`` of length 1 and tags ``[N, T]``."""
        itself = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
        wanted = overlap(tags, self.weights).masked_fill(itself, 0)
        teaches = wanted.amax(1) > 0
        if not teaches.any():
            return embeddings.sum() * 0
        # Not minus infinity: 0 times that would be no number.
        target = torch.softmax((wanted / self.sharpness).masked_fill(itself, -1e4), 1)
        cosines = embeddings @ embeddings.T / self.temperature
        said = torch.log_softmax(cosines.masked_fill(itself, -1e4), 1)
        cells = -(target * said).masked_fill(itself, 0).sum(1)
        return cells[teaches].mean()
