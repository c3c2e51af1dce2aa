"""From the features of the network to the embedding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Keeps the slope of the root finite where a feature is silent.
ROOT_FLOOR = 1e-4


class EmbeddingHead(nn.Module):
    """Standardised features through one linear layer, or two, to length one.

    It is a branch of its own: tags and heat maps do not pass through it.

    Parameters
    ----------
    channels
        ``C`` of the features ``[N, C, h, w]``.
    places
        ``h * w`` to see what is where, 1 for the mean over places.
    dimension
        ``D`` of the embedding.
    hidden
        Width of a layer between; 0 for none.
    root
        Take the square root of the features first: it evens out strong and weak ones (Perronnin
        et al., "Improving the Fisher Kernel for Large-Scale Image Classification", ECCV 2010).
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        channels: int,
        places: int,
        dimension: int,
        *,
        hidden: int = 0,
        root: bool = True,
    ) -> None:
        super().__init__()
        self.shape = {
            "channels": channels,
            "places": places,
            "dimension": dimension,
            "hidden": hidden,
            "root": root,
        }
        width = channels * places
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.first = nn.Linear(width, hidden or dimension)
        self.second = nn.Linear(hidden, dimension) if hidden else None

    @classmethod
    def from_state(cls, saved: dict[str, Any]) -> EmbeddingHead:
        """Build from what :meth:`state` gave."""
        head = cls(**saved["shape"])
        head.load_state_dict(saved["weights"])
        return head.eval()

    def state(self) -> dict[str, Any]:
        """Shape and weights."""
        return {"shape": self.shape, "weights": self.state_dict()}

    def flat(self, features: Tensor) -> Tensor:
        """Features ``[N, C, h, w]`` as the first layer takes them, before they are standardised."""
        if self.shape["places"] == 1:
            features = features.mean((2, 3))
        x = features.flatten(1)
        return (x.clamp_min(0) + ROOT_FLOOR).sqrt() if self.shape["root"] else x

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation of the features of some training pictures."""
        x = self.flat(features)
        self.mean.copy_(x.mean(0))
        # A feature that is silent in training must not shout later.
        self.scale.copy_(1 / (x.std(0) + 0.05))

    def forward(self, features: Tensor) -> Tensor:
        """Embeddings ``[N, D]`` of length 1 of features ``[N, C, h, w]``."""
        x = self.first((self.flat(features) - self.mean) * self.scale)
        if self.second is not None:
            x = self.second(F.relu(x))
        return F.normalize(x, dim=1)

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weights ``[out, in]`` and biases of the layers, the standardisation folded into them."""
        weight = self.first.weight.detach() * self.scale
        found = [(weight, self.first.bias.detach() - weight @ self.mean)]
        if self.second is not None:
            found.append((self.second.weight.detach(), self.second.bias.detach()))
        return found
