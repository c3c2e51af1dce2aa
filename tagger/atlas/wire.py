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
    line = json.dumps({**header, "arrays": len(arrays)}, allow_nan=False)
    file.write(line.encode() + b"\n")
    for array in arrays:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
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
    try:
        arrays = [
            np.lib.format.read_array(file, allow_pickle=False) for _ in range(header.pop("arrays"))
        ]
    except ValueError as error:  # what breaks off in the middle of an array
        raise EOFError from error
    return header, arrays
