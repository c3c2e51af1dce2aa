"""DoodleNet, a published recogniser of the same 345 words: to compare with, and to learn from.

github.com/ml5js/ml5-data-and-models, MIT licence. It was trained on about 50,000 drawings a word
where we have 200, so its answers to our training drawings say which other words a drawing could
be (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.strokes import Strokes, rasterise_many

# The bitmaps of Quick, Draw!: a pen of 16 units on a paper of 256 with a margin of 24, all shrunk
# to 28 pixels (their documentation names the script that made them).
SIDE = 28
WIDTH = 16 * SIDE / 304
MARGIN = 24 * SIDE / 304


class DoodleNet(nn.Module):
    """The published network; see the module's text.

    Parameters
    ----------
    weights
        ``.npz`` with its layers' arrays in the order of Keras.
    classes
        Text file with a class a line.
    """

    def __init__(self, weights: Path, classes: Path) -> None:
        super().__init__()
        lines = classes.read_text("utf-8").split("\n")
        self.words = tuple(line.strip().replace("_", " ") for line in lines if line.strip())
        with np.load(weights) as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file.files}
        self.convolutions = nn.ModuleList()
        for name in ("conv2d", *(f"conv2d_{i}" for i in range(1, 6))):
            kernel = arrays[f"{name}.kernel"].permute(3, 2, 0, 1).contiguous()
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            layer.weight.data, layer.bias.data = kernel, arrays[f"{name}.bias"]  # type: ignore[union-attr]
            self.convolutions.append(layer)
        # Keras flattens (height, width, channel), torch (channel, height, width).
        dense = arrays["dense.kernel"].view(3, 3, 64, 512).permute(3, 2, 0, 1).reshape(512, 576)
        self.dense, self.classify = nn.Linear(576, 512), nn.Linear(512, len(self.words))
        self.dense.weight.data, self.dense.bias.data = dense.contiguous(), arrays["dense.bias"]
        self.classify.weight.data = arrays["dense_1.kernel"].T.contiguous()
        self.classify.bias.data = arrays["dense_1.bias"]
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits ``[N, 345]`` of pictures float ``[N, 1, 28, 28]``, ink 1 on 0."""
        return self.classify(self.read(pictures))  # type: ignore[no-any-return]

    def read(self, pictures: Tensor) -> Tensor:
        """What the last layer sees: ``[N, 512]``, from -1 to 1."""
        x = pictures
        for i, layer in enumerate(self.convolutions):
            x = F.relu(layer(x))
            if i % 2:
                x = F.max_pool2d(x, 2)
        return torch.tanh(self.dense(x.flatten(1)))

    def columns(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Where each of ``words`` stands in the answers; -1 for a word that it does not know."""
        place = {word: i for i, word in enumerate(self.words)}
        return np.array([place.get(word, -1) for word in words], np.int64)

    def answers(self, drawings: Sequence[Strokes], words: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities ``[N, len(words)]``; unknown words get none."""
        with torch.inference_mode():
            p = self(_pictures(drawings)).softmax(1).numpy()
        columns = self.columns(words)
        return np.where(columns >= 0, p[:, columns], 0).astype(np.float32)

    def features(self, drawings: Sequence[Strokes]) -> NDArray[np.float32]:
        """What its last layer sees, float32 ``[N, 512]``."""
        with torch.inference_mode():
            return np.asarray(self.read(_pictures(drawings)).numpy())


def _pictures(drawings: Sequence[Strokes]) -> Tensor:
    x = torch.from_numpy(rasterise_many(drawings, SIDE, width=WIDTH, margin=MARGIN))
    return x.contiguous(memory_format=torch.channels_last)
