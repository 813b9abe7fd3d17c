"""A part of an ONNX graph as a model of its own.

In:  the bytes of an ONNX file, names of tensors in it.   Out: the bytes of an ONNX file that computes some of these
tensors from others.

What `onnx.utils.extract_model` does, without that package. Field numbers are those of `onnx.proto`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processors.protobuf import LENGTH_DELIMITED, Field, bytes_field, read_fields, varint_field

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE = 1, 2, 3, 4
_INITIALIZER_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2
_SHAPE_DIMENSION = 1
_FLOAT = 1


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Attributes:
        name: As the exporter named it; may be empty.
        type: The operator, such as `Conv`.
        inputs: Names of tensors; empty for one that is left out.
        outputs: Names of tensors.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OnnxGraph:
    """A graph whose parts can be taken out.

    Args:
        data: An ONNX file, the weights in it.

    Attributes:
        nodes: In the order of the file, each behind those that it needs.
        outputs: Names of the tensors that the whole graph gives.

    Raises:
        ValueError: It ends too early or is no ONNX file; the message says which.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._model = list(read_fields(data, (0, len(data))))
        graphs = [field for field in self._model if field.number == _MODEL_GRAPH and field.kind == LENGTH_DELIMITED]
        if not graphs:
            raise ValueError("it is no ONNX file")
        self._fields = [field for graph in graphs for field in read_fields(data, graph.span)]
        self._node_fields = [field for field in self._fields if field.number == _GRAPH_NODE]
        self.nodes = [self._node(field) for field in self._node_fields]
        named = [self._texts(field) for field in self._fields if field.number == _GRAPH_OUTPUT]
        self.outputs = [texts[_VALUE_NAME][0] for texts in named if _VALUE_NAME in texts]

    def part(self, inputs: Mapping[str, int], outputs: Sequence[str]) -> bytes:
        """The part that computes `outputs`, given `inputs` and what of the graph's own inputs it needs.

        Args:
            inputs: Names of float tensors, such as those between two halves of a network, and how many dimensions
                each has.
            outputs: Names of float tensors.

        Returns:
            An ONNX file. Its inputs are `inputs`, then the graph's own.
        """
        needed = set(outputs)
        kept: list[Field] = []
        for node, field in zip(reversed(self.nodes), reversed(self._node_fields), strict=True):
            if needed.isdisjoint(set(node.outputs) - set(inputs)):
                continue
            kept.append(field)
            needed.update(node.inputs)
        body = [self._raw(field) for field in reversed(kept)]
        body += [bytes_field(_GRAPH_INPUT, _float_tensor(name, n)) for name, n in inputs.items()]
        for field in self._fields:
            if field.number in (_GRAPH_NODE, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO):
                continue
            named = {_GRAPH_INITIALIZER: _INITIALIZER_NAME, _GRAPH_INPUT: _VALUE_NAME}.get(field.number)
            if named is None or self._texts(field).get(named, [""])[0] in needed:
                body.append(self._raw(field))
        body += [bytes_field(_GRAPH_OUTPUT, _float_tensor(name, None)) for name in outputs]
        around = [self._raw(field) for field in self._model if field.number != _MODEL_GRAPH]
        return b"".join([*around, bytes_field(_MODEL_GRAPH, b"".join(body))])

    def _raw(self, field: Field) -> bytes:
        return self._data[field.start : field.end]

    def _node(self, field: Field) -> Node:
        texts = self._texts(field)
        name, kind = texts.get(_NODE_NAME, [""])[0], texts.get(_NODE_TYPE, [""])[0]
        return Node(name, kind, tuple(texts.get(_NODE_INPUT, [])), tuple(texts.get(_NODE_OUTPUT, [])))

    def _texts(self, field: Field) -> dict[int, list[str]]:
        """The short texts in a message, by number."""
        texts: dict[int, list[str]] = {}
        for inner in read_fields(self._data, field.span):
            if inner.kind == LENGTH_DELIMITED and inner.number <= _INITIALIZER_NAME and inner.end - inner.content < 256:
                text = self._data[inner.content : inner.end].decode(errors="replace")
                texts.setdefault(inner.number, []).append(text)
        return texts


def _float_tensor(name: str, n_dimensions: int | None) -> bytes:
    tensor = varint_field(_TENSOR_ELEMENT, _FLOAT)
    if n_dimensions is not None:
        # A dimension that says nothing may be of any size.
        tensor += bytes_field(_TENSOR_SHAPE, bytes_field(_SHAPE_DIMENSION, b"") * n_dimensions)
    return bytes_field(_VALUE_NAME, name.encode()) + bytes_field(_VALUE_TYPE, bytes_field(_TYPE_TENSOR, tensor))
