"""What an ONNX file declares, read without running it.

ONNX Runtime starts native code on whatever file it is given and, where the file says so, opens
other files that hold its weights. A bundle may come from a stranger, so its declarations are read
first: inputs, outputs and references to other files. An ONNX file is one protocol buffer; only the
few fields named below are looked at, tensors are passed over, and nothing is copied.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FLOAT = 1

# Real models nest two or three graphs (If, Loop) and have some ten thousand nodes.
_MAX_DEPTH = 16
_MAX_FIELDS = 20_000_000


class OnnxFormatError(ValueError):
    """The bytes are not a whole ONNX model."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, element type (ONNX's number) and shape of an input or output.

    A dimension is a number, or None where it is free or named.
    """

    name: str
    element: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """Inputs, outputs and the other files that a model refers to."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    external_files: tuple[str, ...]


def read_header(path: Path) -> OnnxHeader:
    """Read the declarations of a model file.

    Raises
    ------
    OnnxFormatError
        If the file is empty, torn or no ONNX model.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # an empty file cannot be mapped
            raise OnnxFormatError("the file is empty") from error
        # Not closed by hand: that fails while a traceback still holds a part of it. It is
        # unmapped when the last part is gone, which is at the return.
        return _Reader().model(memoryview(mapped))


class _Reader:
    """One pass over one file; counts what it has read, since a file may be made to waste time."""

    def __init__(self) -> None:
        self.fields_read = 0
        self.external: dict[str, None] = {}

    def model(self, data: memoryview) -> OnnxHeader:
        inputs: dict[str, TensorInfo] = {}
        outputs: list[TensorInfo] = []
        weights: set[str] = set()
        graphs = 0
        for number, value in self.fields(data):
            if not isinstance(value, memoryview):
                continue
            if number == 7:  # graph
                graphs += 1
                for inner, part in self.fields(value):
                    if not isinstance(part, memoryview):
                        continue
                    if inner == 5:  # initializer
                        weights.add(self.text(part, 8))
                    elif inner == 11:  # input
                        info = self.tensor_info(part)
                        inputs[info.name] = info
                    elif inner == 12:  # output
                        outputs.append(self.tensor_info(part))
                self.graph(value, 0)
            elif number == 20:  # training_info: initialization, algorithm
                for inner, part in self.fields(value):
                    if inner in (1, 2) and isinstance(part, memoryview):
                        self.graph(part, 0)
            elif number == 25:  # functions
                for inner, part in self.fields(value):
                    if inner == 7 and isinstance(part, memoryview):
                        self.node(part, 0)
        if graphs != 1 or not inputs or not outputs:
            raise OnnxFormatError("it has no graph with inputs and outputs")
        # Old files list the weights among the inputs, too.
        real = tuple(info for name, info in inputs.items() if name not in weights)
        return OnnxHeader(real, tuple(outputs), tuple(self.external))

    def graph(self, data: memoryview, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise OnnxFormatError("its graphs are nested too deep")
        for number, value in self.fields(data):
            if not isinstance(value, memoryview):
                continue
            if number == 1:
                self.node(value, depth)
            elif number == 5:
                self.tensor(value)
            elif number == 15:
                self.sparse_tensor(value)

    def node(self, data: memoryview, depth: int) -> None:
        for number, value in self.fields(data):
            if number != 5 or not isinstance(value, memoryview):
                continue
            for inner, part in self.fields(value):  # attribute
                if not isinstance(part, memoryview):
                    continue
                if inner in (5, 10):
                    self.tensor(part)
                elif inner in (6, 11):
                    self.graph(part, depth + 1)
                elif inner in (22, 23):
                    self.sparse_tensor(part)

    def sparse_tensor(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number in (1, 2) and isinstance(value, memoryview):
                self.tensor(value)

    def tensor(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number == 13 and isinstance(value, memoryview):  # external_data
                if self.text(value, 1) == "location":
                    self.external[self.text(value, 2)] = None
            elif number == 14 and value == 1:  # data_location: EXTERNAL, whatever else it says
                self.external.setdefault("", None)

    def tensor_info(self, data: memoryview) -> TensorInfo:
        element, shape = 0, list[int | None]()
        for type_ in self.messages(data, 2):
            for tensor in self.messages(type_, 1):
                for number, value in self.fields(tensor):
                    if number == 1 and isinstance(value, int):
                        element = value
                    elif number == 2 and isinstance(value, memoryview):
                        shape = [self.dimension(part) for part in self.messages(value, 1)]
        return TensorInfo(self.text(data, 1), element, tuple(shape))

    def dimension(self, data: memoryview) -> int | None:
        sizes = [v for n, v in self.fields(data) if n == 1 and isinstance(v, int)]
        return sizes[-1] if sizes and 0 < sizes[-1] < 2**31 else None

    def messages(self, data: memoryview, wanted: int) -> Iterator[memoryview]:
        for number, value in self.fields(data):
            if number == wanted and isinstance(value, memoryview):
                yield value

    def text(self, data: memoryview, wanted: int) -> str:
        text = ""
        for value in self.messages(data, wanted):
            text = bytes(value[:4096]).decode("utf-8", "replace")
        return text

    def fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Number and value of every field of a message: a whole number or the bytes of a part."""
        position, end = 0, len(data)
        while position < end:
            self.fields_read += 1
            if self.fields_read > _MAX_FIELDS:
                raise OnnxFormatError("it has too many parts")
            key, position = _varint(data, position)
            number, kind = key >> 3, key & 7
            if number == 0:
                raise OnnxFormatError("it is not a protocol buffer")
            if kind == 0:
                value, position = _varint(data, position)
                yield number, value
                continue
            if kind == 2:
                length, position = _varint(data, position)
            elif kind in (1, 5):
                length = 8 if kind == 1 else 4
            else:
                raise OnnxFormatError("it is not a protocol buffer")
            if length > end - position:
                raise OnnxFormatError("it ends too early")
            yield number, data[position : position + length]
            position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise OnnxFormatError("it ends too early")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
