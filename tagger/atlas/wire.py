"""Messages between the server and the process of the maps: a line of JSON, then arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Arrays = Sequence[npt.NDArray[Any]]

_MAX_LINE = 1 << 20


def send(file: IO[bytes], header: dict[str, Any], arrays: Arrays = ()) -> None:
    """Write a message.

    Raises
    ------
    OSError
        If nobody reads it any more.
    """
    solid = [np.ascontiguousarray(array) for array in arrays]
    kinds = [[array.dtype.str, array.shape] for array in solid]
    file.write(json.dumps({**header, "arrays": kinds}, allow_nan=False).encode() + b"\n")
    for array in solid:
        file.write(array.reshape(-1).view(np.uint8).data)
    file.flush()


def receive(file: IO[bytes]) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Read a message.

    Raises
    ------
    EOFError
        If there is none, or only a part of one.
    """
    line = file.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        raise EOFError
    header = json.loads(line)
    return header, [_array(file, np.dtype(kind), shape) for kind, shape in header.pop("arrays")]


def _array(file: IO[bytes], kind: np.dtype[Any], shape: list[int]) -> npt.NDArray[Any]:
    array = np.empty(shape, kind)
    data = file.read(array.nbytes)
    if len(data) < array.nbytes:
        raise EOFError
    array.reshape(-1)[:] = np.frombuffer(data, kind)
    return array
