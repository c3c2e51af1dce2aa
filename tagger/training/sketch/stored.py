"""The network that a bundle carries, so that it can be trained on from the bundle alone.

``weights.npz`` holds the state dict of the torch module by its own names. Large arrays are float16,
as they are in the shipped model; small ones, biases and statistics, stay float32.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagger.bundlefiles import read_arrays
from tagger.head import Head
from tagger.sketch_bundle import WEIGHTS_FILE, NetworkSpec, SketchBundle
from tagger.training.sketch.network import SketchNetwork

_SMALL = 1024
_MAX_BYTES = 256 * 2**20
_HEAD = ("weight", "bias", "log_scale")


class FreeNetwork(SketchNetwork):
    """The network with a last layer whose rows may be of any length.

    As trained from the beginning, the rows of the last layer are equally long. What was fitted
    anew since is not, so the layer of ``head.npz`` can be put in as it is.
    """

    def head(self) -> tuple[Tensor, Tensor]:
        """Weights ``[W, D]``, scaled, and bias ``[W]`` of the last layer."""
        return self.weight * self.log_scale.exp(), self.bias

    def with_head(self, head: Head) -> FreeNetwork:
        """The same network with another last layer; its number of words may differ."""
        made = FreeNetwork(
            len(head.bias),
            planes=self.planes,
            channels=self.channels,
            blocks=self.blocks,
            width=self.width,
            dropout=0.0,
        )
        state = {k: v for k, v in self.state_dict().items() if k not in _HEAD}
        length = float(np.linalg.norm(head.weights, axis=1).mean())
        state["weight"] = torch.from_numpy(head.weights / length)
        state["bias"] = torch.from_numpy(head.bias.copy())
        state["log_scale"] = torch.tensor(length).log()
        made.load_state_dict(state)
        return made.eval()

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits ``[N, W]`` of embeddings ``[N, D]``."""
        weight, bias = self.head()
        return embedding @ weight.T + bias

    def as_head(self) -> Head:
        """The last layer as numbers."""
        with torch.inference_mode():
            return Head(*(t.cpu().numpy() for t in self.head()))


def spec_of(network: SketchNetwork, *, closer: bool) -> NetworkSpec:
    """What rebuilds the network, for ``config.json``."""
    return NetworkSpec(
        channels=network.channels, blocks=network.blocks, width=network.width, closer=closer
    )


def write_weights(network: SketchNetwork) -> bytes:
    """Contents of ``weights.npz``."""
    arrays = {}
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu().contiguous().numpy()
        half = values.dtype == np.float32 and values.size >= _SMALL
        arrays[name] = values.astype(np.float16) if half else values
    return write_arrays(arrays)


def read_network(bundle: SketchBundle) -> FreeNetwork:
    """Rebuild the network of a bundle from its files alone; the last layer is ``head.npz``'s.

    Raises
    ------
    ValueError
        If the bundle lacks what is needed, or its files do not fit together.
    """
    spec, file = bundle.config.network, bundle.path / WEIGHTS_FILE
    if spec is None or bundle.head is None or not file.is_file():
        raise ValueError(
            f"{bundle.config.name} cannot be trained on: its folder needs {WEIGHTS_FILE}, head.npz "
            "and `network` in config.json; pipeline `sketch` writes them"
        )
    network = FreeNetwork(
        1,
        planes=1 + bundle.config.input.raster.order,
        channels=spec.channels,
        blocks=spec.blocks,
        width=spec.width,
        dropout=0.0,
    )
    wanted = {k: v for k, v in network.state_dict().items() if k not in _HEAD}
    try:
        arrays = read_arrays(file.read_bytes(), tuple(wanted), _MAX_BYTES)
        state = {
            name: torch.from_numpy(arrays[name].astype(_numpy(tensor)))
            for name, tensor in wanted.items()
        }
        network.load_state_dict(state, strict=False)
        return network.with_head(bundle.head)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(f"{WEIGHTS_FILE} is not of the network in config.json") from error


def _numpy(tensor: Tensor) -> np.dtype:
    return tensor.numpy().dtype


def write_arrays(arrays: Mapping[str, NDArray]) -> bytes:
    """Contents of an ``.npz``."""
    buffer = io.BytesIO()
    values: dict[str, Any] = dict(arrays)
    np.savez(buffer, **values)
    return buffer.getvalue()
