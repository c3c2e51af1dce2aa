"""What a map is: places of points, how far to trust each, and how it was made."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tagger.atomic import replacing
from tagger.bundlefiles import read_arrays

Floats = npt.NDArray[np.float32]

Method = Literal["umap", "pca"]

#: Neighbours by which trust is told: what everybody reports.
TRUST_K = 15
#: Points of one map at most.
MAX_POINTS = 1_000_000

_FORMAT = "map"
_FORMAT_VERSION = 1
# 1,000,000 points of three coordinates and a trust, and the header.
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class MapParameters:
    """How a map is made. Distances between embeddings are always cosines.

    Attributes
    ----------
    method : {"umap", "pca"}
        What makes it. The others mean UMAP alone, but for `dimensions`.
    neighbours : int
        How many of each point count as near, 2 to 200.
    min_distance : float
        How close points may lie, 0..1.
    dimensions : {2, 3}
        Of the map.
    dens : bool
        Whether dense places stay dense (densMAP).
    supervised : bool
        Whether tags pull pictures together, too.
    seed : int
        Of the random numbers; the same gives the same map on the same machine.

    Raises
    ------
    ValueError
        If one of them is not possible.
    """

    method: Method = "umap"
    neighbours: int = 15
    min_distance: float = 0.1
    dimensions: int = 2
    dens: bool = False
    supervised: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        good = (
            self.method in get_args(Method)
            and _whole(self.neighbours, 2, 200)
            and type(self.min_distance) in (int, float)
            and 0 <= self.min_distance <= 1
            and _whole(self.dimensions, 2, 3)
            and type(self.dens) is bool
            and type(self.supervised) is bool
            and _whole(self.seed, 0, 2**31 - 1)
        )
        if not good:
            raise ValueError("no such map")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: what has a meaning for the method."""
        if self.method == "pca":
            return {"method": "pca", "dimensions": self.dimensions}
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MapParameters:
        """Read what :meth:`to_dict` wrote; what it does not know it passes over."""
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in data.items() if name in known})


@dataclass(frozen=True, eq=False)
class Atlas:
    """A map of N points.

    Attributes
    ----------
    positions : float32, shape [N, 2] or [N, 3]
        Finite; in units of its own.
    trust : float32, shape [N], 0..1
        How well the neighbourhood of each point survived; see :func:`tagger.atlas.trust`.
    parameters : MapParameters
        How it was made.
    trustworthiness : float
        Of the whole map, 0..1: scikit-learn's, with 15 neighbours.
    pca_trustworthiness : float
        That of PCA's map of the same embeddings, to compare with.
    seconds : float
        How long making it took.
    embeddings : str
        Hash of what it is a map of, see :func:`hash_embeddings`.
    sample : int or None
        By how many points, drawn at random, trust was estimated; None where all were compared.

    Raises
    ------
    ValueError
        If they do not fit together.
    """

    positions: Floats
    trust: Floats
    parameters: MapParameters
    trustworthiness: float
    pca_trustworthiness: float
    seconds: float
    embeddings: str
    sample: int | None = None

    def __post_init__(self) -> None:
        count = len(self.positions)
        figures = (self.trustworthiness, self.pca_trustworthiness)
        good = (
            count <= MAX_POINTS
            and self.positions.dtype == self.trust.dtype == np.float32
            and self.positions.shape == (count, self.parameters.dimensions)
            and self.trust.shape == (count,)
            and bool(np.isfinite(self.positions).all())
            # Written so that "not a number" fails, too.
            and bool(((self.trust >= 0) & (self.trust <= 1)).all())
            and all(0 <= value <= 1 for value in figures)
            and 0 <= self.seconds < math.inf
            and (self.sample is None or _whole(self.sample, 1, count))
        )
        if not good:
            raise ValueError("no map")

    def __len__(self) -> int:
        return len(self.positions)


def hash_embeddings(vectors: npt.NDArray[Any]) -> str:
    """SHA-256 of embeddings as halves, in hexadecimal digits, whatever they were kept in.

    Parameters
    ----------
    vectors : float, shape [N, D]
        Of length one.
    """
    digest = hashlib.sha256(f"{vectors.shape[0]} x {vectors.shape[1]}\n".encode())
    for start in range(0, len(vectors), 16_384):
        digest.update(vectors[start : start + 16_384].astype("<f2").tobytes())
    return digest.hexdigest()


# --- file ----------------------------------------------------------------------------------------


def write_atlas(path: Path, atlas: Atlas) -> None:
    """Write a map; the file takes its place when it is complete.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    header = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "parameters": atlas.parameters.to_dict(),
        "trustworthiness": atlas.trustworthiness,
        "pca_trustworthiness": atlas.pca_trustworthiness,
        "seconds": round(atlas.seconds, 3),
        "embeddings": atlas.embeddings,
        "sample": atlas.sample,
    }
    data = io.BytesIO()
    np.savez(
        data,
        positions=atlas.positions,
        trust=atlas.trust,
        header=np.frombuffer(json.dumps(header, allow_nan=False).encode(), np.uint8),
    )
    with replacing(path) as file:
        file.write(data.getbuffer())


def read_atlas(path: Path) -> Atlas:
    """Read a map that may come from a stranger.

    Raises
    ------
    ValueError
        If it is torn, or none.
    OSError
        If it cannot be opened.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("too large")
    try:
        arrays = read_arrays(data, ("positions", "trust", "header"), _MAX_BYTES)
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != _FORMAT or header["format_version"] != _FORMAT_VERSION:
            raise ValueError("no map of this version")
        return Atlas(
            positions=np.ascontiguousarray(arrays["positions"]),
            trust=np.ascontiguousarray(arrays["trust"]),
            parameters=MapParameters.from_dict(header["parameters"]),
            trustworthiness=float(header["trustworthiness"]),
            pca_trustworthiness=float(header["pca_trustworthiness"]),
            seconds=float(header["seconds"]),
            embeddings=str(header["embeddings"]),
            sample=header.get("sample"),
        )
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError("torn") from error


def of_these(atlas: Atlas, embeddings: str) -> Atlas:
    """The same map, of embeddings that differ only in how they were rounded."""
    return replace(atlas, embeddings=embeddings)


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
