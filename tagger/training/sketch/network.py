"""The recogniser as a torch module, and the same wrapped in the contract of the exported file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Read(NamedTuple):
    """``logits [N, W]`` and ``embedding [N, D]`` of length one."""

    logits: Tensor
    embedding: Tensor


class _Residual(nn.Module):
    """Two 3x3 convolutions around which the input goes too (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        # Each block begins as the identity (Goyal et al., 2017): deep networks start sooner.
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class SketchNetwork(nn.Module):
    """A small residual network of plain convolutions, which CPUs run at full speed.

    The classes are directions: a logit is the cosine between embedding and class weight, scaled,
    plus a bias (Wang et al., "NormFace", ACM MM 2017). So the embedding alone holds all that is
    known of a drawing: the last layer can be fitted anew from it, and a new word is one more
    direction.

    Parameters
    ----------
    words
        Number of classes ``W``.
    planes
        1, or 2 with the order of the ink.
    channels, blocks
        Width and residual blocks of each stage; each stage halves the side.
    width
        ``D``.
    """

    def __init__(
        self,
        words: int,
        *,
        planes: int = 2,
        channels: Sequence[int] = (32, 64, 160),
        blocks: Sequence[int] = (1, 2, 2),
        width: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = planes
        for i, (count, depth) in enumerate(zip(channels, blocks, strict=True)):
            kernel = 5 if i == 0 else 3
            layers += [
                nn.Conv2d(before, count, kernel, 2, kernel // 2, bias=False),
                nn.BatchNorm2d(count),
                nn.ReLU(inplace=True),
                *(_Residual(count) for _ in range(depth)),
            ]
            before = count
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Sequential(nn.Linear(2 * before, width, bias=False), nn.BatchNorm1d(width))
        self.weight = nn.Parameter(F.normalize(torch.randn(words, width)))
        self.bias = nn.Parameter(torch.zeros(words))
        self.log_scale = nn.Parameter(torch.tensor(16.0).log())
        self.planes, self.width = planes, width
        self.channels, self.blocks = tuple(channels), tuple(blocks)

    def forward(self, pictures: Tensor) -> Read:
        """Read pictures float ``[N, planes, S, S]``."""
        seen = self.body(pictures)
        # The mean says how much of a stroke there is, the largest that there is one at all.
        pooled = torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)
        embedding = F.normalize(self.embed(self.dropout(pooled)))
        weight, bias = self.head()
        return Read(embedding @ weight.T + bias, embedding)

    def head(self) -> tuple[Tensor, Tensor]:
        """Weights ``[W, D]``, scaled, and bias ``[W]`` of the last layer."""
        return F.normalize(self.weight) * self.log_scale.exp(), self.bias


class ExportedRecogniser(nn.Module):
    """The contract of the bundle: pictures in; probabilities and embedding out.

    Parameters
    ----------
    temperature
        The logits are divided by it, so that probabilities are honest (Guo et al., ICML 2017).
    closer
        Whether the mean over the picture and the same seen a tenth closer is taken.
    """

    def __init__(self, network: SketchNetwork, temperature: float, closer: bool) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.closer = closer

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, planes, S, S]`` -> probabilities ``[N, W]``, embedding ``[N, D]``."""
        if self.closer:
            # One pass over both, so that the exported file holds the weights once.
            both = self.network(torch.cat([pictures, seen_closer(pictures)])).embedding
            embedding = F.normalize(both.reshape(2, -1, both.shape[1]).mean(0))
        else:
            embedding = self.network(pictures).embedding
        weight, bias = self.network.head()
        logits = embedding @ weight.T + bias
        return (logits / self.temperature).softmax(1), embedding


def seen_closer(pictures: Tensor) -> Tensor:
    """Pictures ``[N, planes, S, S]`` enlarged by about a tenth, without what is then outside."""
    size = pictures.shape[-1]
    edge = max(1, round(0.05 * size))
    larger = F.interpolate(pictures, (size + 2 * edge,) * 2, mode="bilinear", align_corners=False)
    return larger[..., edge : edge + size, edge : edge + size]
