"""What an ONNX file says of itself, read without loading it.

In:  an .onnx file of any size.   Out: its metadata and how many inputs and outputs it has.

Field numbers are those of `onnx.proto`; the encoding is Protocol Buffers' own. Weights are stepped over by their
length, so 600 MB take no longer than 1 MB.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MODEL_GRAPH = 7
_MODEL_METADATA = 14
_ENTRY_KEY = 1
_ENTRY_VALUE = 2
_GRAPH_INPUT = 11
_GRAPH_OUTPUT = 12

_VARINT = 0
_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_MAX_VARINT_BYTES = 10

_Span = tuple[int, int]  # start and end in the file


@dataclass(frozen=True)
class OnnxOutline:
    """The outline of a model.

    Attributes:
        metadata: What the exporter wrote beside the graph.
        n_inputs: Of the graph.
        n_outputs: Of the graph.
    """

    metadata: dict[str, str]
    n_inputs: int
    n_outputs: int


def read_outline(path: Path) -> OnnxOutline:
    """Read the outline of an ONNX file; a graph in several pieces counts as one, as Protocol Buffers reads it.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is empty, ends too early or is no ONNX file; the message says which.
    """
    if path.stat().st_size == 0:
        raise ValueError("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        metadata: dict[str, str] = {}
        graphs: list[_Span] = []
        for number, span in _fields(data, (0, len(data))):
            if number == _MODEL_GRAPH:
                graphs.append(span)
            elif number == _MODEL_METADATA:
                entry = {key: data[start:end].decode() for key, (start, end) in _fields(data, span)}
                metadata[entry.get(_ENTRY_KEY, "")] = entry.get(_ENTRY_VALUE, "")
        if not graphs:
            raise ValueError("it is no ONNX file")
        numbers = [number for graph in graphs for number, _ in _fields(data, graph)]
        return OnnxOutline(metadata, numbers.count(_GRAPH_INPUT), numbers.count(_GRAPH_OUTPUT))


def _fields(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, _Span]]:
    """The length-delimited fields of a message: number, and where the content lies."""
    at, end = span
    while at < end:
        key, at = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, at = _varint(data, at, end)
            continue
        if kind == _LENGTH_DELIMITED:
            length, at = _varint(data, at, end)
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            raise ValueError("it is no ONNX file")
        if at + length > end:
            raise ValueError("it ends too early")
        if kind == _LENGTH_DELIMITED:
            yield number, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where the next field begins."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if at + index >= end:
            raise ValueError("it ends too early")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("it is no ONNX file")
