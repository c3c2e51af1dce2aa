"""The process in which maps are made: ``python -m tagger.atlas.child PARENT``.

UMAP compiles itself when it is first used, which takes most of a minute, and may take all that a
processor has: here it does so at low priority and in nobody's way. The process ends with its
parent, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import warnings
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tagger.atlas import wire
from tagger.atlas.model import TRUST_K, MapParameters
from tagger.atlas.projection import pca
from tagger.atlas.trusting import sample_of, trust_of_all

Floats = npt.NDArray[np.float32]
Message = tuple[dict[str, Any], list[npt.NDArray[Any]]]

_NICE = 10
# Fewer points have no neighbourhoods to keep: UMAP's start would fail.
_LEAST = 8
# Linux: <sys/prctl.h>
_PR_SET_PDEATHSIG = 1


class Mapper:
    """Makes maps, and keeps the neighbours of one of them for those that come later."""

    def __init__(self) -> None:
        self._warm: Any = None

    def answer(self, header: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> Message:
        """Do what a message asks for."""
        if header["do"] == "transform":
            return {}, [self._transform(arrays[0].astype(np.float32))]
        parameters = MapParameters.from_dict(header["parameters"])
        embeddings = arrays[0].astype(np.float32)
        if header["do"] == "warm":
            self._keep(embeddings, arrays[1], parameters)
            return {}, []
        return self._fit(embeddings, parameters, arrays[1:])

    def _fit(
        self, embeddings: Floats, parameters: MapParameters, tags: list[npt.NDArray[Any]]
    ) -> Message:
        begun = time.perf_counter()
        plain = pca(embeddings, parameters.dimensions)
        made, maps = parameters, [plain]
        if parameters.method == "umap" and len(embeddings) >= _LEAST:
            model = _umap(parameters, len(embeddings))
            y = _tag_matrix(*tags) if parameters.supervised and tags else None
            maps = [np.asarray(model.fit_transform(embeddings, y), np.float32), plain]
        else:
            made = MapParameters("pca", dimensions=parameters.dimensions)
        seconds = time.perf_counter() - begun
        trusts = trust_of_all(embeddings, maps, TRUST_K)
        figures = [float(one.mean(dtype=np.float64)) if len(one) else 1.0 for one in trusts]
        header = {
            "parameters": made.to_dict(),
            "trustworthiness": figures[0],
            "pca_trustworthiness": figures[-1],
            "seconds": seconds,
            "sample": sample_of(len(embeddings)),
        }
        return header, [maps[0], trusts[0]]

    def _keep(self, embeddings: Floats, positions: Floats, parameters: MapParameters) -> None:
        if len(embeddings) < _LEAST:
            raise ValueError("too few points")
        # densMAP cannot place new points; by the plain rule it can.
        plain = MapParameters(
            "umap", parameters.neighbours, parameters.min_distance, parameters.dimensions
        )
        model = _umap(plain, len(embeddings), n_epochs=0, init=positions.astype(np.float64))
        model.fit(embeddings)
        # The map stays as it is shown, wherever no epoch would have left it.
        model.embedding_ = positions.astype(np.float32)
        model.n_epochs = None
        self._warm = model
        # Compiles the rest: one picture takes another way than several.
        for count in (1, 3):
            self._transform(embeddings[:count] + embeddings[count : 2 * count])

    def _transform(self, embeddings: Floats) -> Floats:
        if self._warm is None:
            raise ValueError("not warm")
        return np.asarray(self._warm.transform(embeddings), np.float32)


def _umap(parameters: MapParameters, count: int, **more: Any) -> Any:
    import umap

    return umap.UMAP(
        n_neighbors=min(parameters.neighbours, count - 1),
        min_dist=parameters.min_distance,
        n_components=parameters.dimensions,
        metric="cosine",
        densmap=parameters.dens,
        random_state=parameters.seed,
        transform_seed=parameters.seed,
        target_metric="cosine",
        n_jobs=1,
        **more,
    )


def _tag_matrix(start: npt.NDArray[Any], tag: npt.NDArray[Any]) -> Floats:
    """Tags of each picture as a row of length one, rare ones counting more.

    A picture without tags has one of its own, so that no two such attract each other.
    """
    count = len(start) - 1
    rows = np.repeat(np.arange(count), np.diff(start))
    width = int(tag.max(initial=-1)) + 1
    weight = np.log1p(count / np.maximum(np.bincount(tag, minlength=width), 1))
    matrix = np.zeros((count, width + 1), np.float32)
    matrix[rows, tag] = weight[tag]
    matrix[np.diff(start) == 0, width] = 1
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Floats = matrix / lengths
    return unit


# --- the process ---------------------------------------------------------------------------------


def main(parent: int) -> None:
    """Answer messages until there is nobody to answer."""
    _end_with(parent)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    # What libraries print must not get among the answers.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, messages), daemon=True).start()
    mapper = Mapper()
    while True:
        header, arrays = messages.get()
        try:
            answer = mapper.answer(header, arrays)
        except Exception as error:  # whatever a library finds: it is told, and the next may do
            answer = {"error": f"{type(error).__name__}: {error}"}, []
        del arrays
        wire.send(out, *answer)


def _read(file: IO[bytes], messages: queue.SimpleQueue[Message]) -> None:
    """Take messages while others are worked on; the end of them is the end of all."""
    with contextlib.suppress(EOFError, OSError, ValueError):
        while True:
            messages.put(wire.receive(file))
    os._exit(0)


def _end_with(parent: int) -> None:
    """Let Linux end us with the thread that started us, even in the midst of compiling."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it was quicker
            os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
