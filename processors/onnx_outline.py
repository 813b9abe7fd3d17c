"""What an ONNX file says of itself, read without loading it.

In:  an .onnx file of any size.   Out: its metadata and how many inputs and outputs it has.

Field numbers are those of `onnx.proto`. Weights are stepped over by their
length, so 600 MB take no longer than 1 MB.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

from processors.protobuf import LENGTH_DELIMITED, Span, read_fields

_MODEL_GRAPH = 7
_MODEL_METADATA = 14
_ENTRY_KEY = 1
_ENTRY_VALUE = 2
_GRAPH_INPUT = 11
_GRAPH_OUTPUT = 12


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
        graphs: list[Span] = []
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


def _fields(data: mmap.mmap, span: Span) -> list[tuple[int, Span]]:
    """The fields of a message that hold text, bytes or another message: number, and where the content lies."""
    return [(field.number, field.span) for field in read_fields(data, span) if field.kind == LENGTH_DELIMITED]
