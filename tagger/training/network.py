"""The tagger as a torch module, and the same wrapped in the contract of the exported file."""

from __future__ import annotations

from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Seen(NamedTuple):
    """``logits [N, T]``, ``pooled [N, D]``, and ``features [N, D, h, w]`` whose mean it is."""

    logits: Tensor
    pooled: Tensor
    features: Tensor


class TagNetwork(nn.Module):
    """Any timm backbone, a 1x1 projection, mean pooling, one linear layer a tag.

    Pooling comes last, so a tag's logit is the mean over places of the same linear layer applied
    to ``features``: heat maps are exact and need no gradient (Zhou et al., "Learning Deep Features
    for Discriminative Localization", CVPR 2016).

    Parameters
    ----------
    backbone
        A timm model name; its weights start random.
    tags
        Number of tags ``T``.
    width
        ``D``. With ``published`` the backbone's own features are pooled instead.
    bottleneck
        Width of a linear layer between ``pooled`` and the tags; 0 for none.
    """

    backbone: Any
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        tags: int,
        *,
        width: int = 512,
        bottleneck: int = 0,
        dropout: float = 0.2,
        published: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = timm.create_model(backbone, pretrained=False, num_classes=0)
        channels = self.backbone.num_features
        self.published = published
        if published:
            width = channels
            self.project: nn.Module = nn.Identity()
        else:
            self.project = nn.Sequential(
                nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )
        self.dropout = nn.Dropout(dropout)
        self.bottleneck = nn.Linear(width, bottleneck) if bottleneck else nn.Identity()
        self.classify = nn.Linear(bottleneck or width, tags)
        # Tags are rare: starting at their prior spares the first steps of every loss here.
        nn.init.constant_(self.classify.bias, -4.0)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.width = width

    def forward(self, pictures: Tensor) -> Seen:
        """See pictures float ``[N, 3, S, S]``, RGB in 0-1."""
        features = self.backbone.forward_features((pictures - self.mean) / self.std)
        features = self.project(features)
        pooled = features.mean((2, 3))
        return Seen(self.classify(self.bottleneck(self.dropout(pooled))), pooled, features)


class ExportedTagger(nn.Module):
    """The contract of the bundle: NHWC BGR 0-255 in; probabilities, embedding, features out.

    ``slope`` and ``offset`` ``[T]`` calibrate the logits (Platt scaling, a pair a tag). With
    ``mirrored`` the picture is also seen in a mirror, and what is seen at each place is the mean of
    both; the tags remain linear in it, so heat maps stay exact.
    """

    slope: Tensor
    offset: Tensor

    def __init__(
        self, network: TagNetwork, slope: Tensor, offset: Tensor, mirrored: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.mirrored = mirrored
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``[N, S, S, 3]`` -> probabilities ``[N, T]``, embedding ``[N, D]``, features."""
        rgb = pictures.permute(0, 3, 1, 2).flip(1) / 255
        seen = see_mirrored(self.network, rgb) if self.mirrored else self.network(rgb)
        probabilities = torch.sigmoid(seen.logits * self.slope + self.offset)
        return probabilities, F.normalize(seen.pooled, dim=1), seen.features


def see_mirrored(network: TagNetwork, pictures: Tensor) -> Seen:
    """What the network sees in pictures ``[N, 3, S, S]`` and in their mirror images, averaged."""
    # One pass over both, so that the exported file holds the weights once.
    features = network(torch.cat([pictures, pictures.flip(3)])).features
    here, there = features.reshape(2, -1, *features.shape[1:])
    features = (here + there.flip(3)) / 2
    pooled = features.mean((2, 3))
    return Seen(network.classify(network.bottleneck(network.dropout(pooled))), pooled, features)
