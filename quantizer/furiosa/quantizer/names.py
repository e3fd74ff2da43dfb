"""Names of a model's inputs and outputs, and unique names for what is added to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import GraphProto, NodeProto

from furiosa.isa.errors import ModelError


def get_pure_input_names(model: onnx.ModelProto | bytes) -> list[str]:
    """The graph inputs that have to be fed, in order: those that are not initializers."""
    graph = _graph(model)
    constants = {tensor.name for tensor in graph.initializer}
    return [value.name for value in graph.input if value.name not in constants]


def get_output_names(model: onnx.ModelProto | bytes) -> list[str]:
    """The graph outputs, in order."""
    return [value.name for value in _graph(model).output]


def _graph(model: onnx.ModelProto | bytes) -> GraphProto:
    if isinstance(model, onnx.ModelProto):
        return model.graph
    try:
        return onnx.load_model_from_string(bytes(model)).graph
    except Exception:  # protobuf has several classes for the same fact
        raise ModelError("not an ONNX model: the bytes are damaged or of another kind",
                         hint="give an `onnx.ModelProto`, or the bytes of an ONNX file") from None  # fmt: skip


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs in a node's attributes: branches of an If, bodies of loops."""
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def captured(node: NodeProto) -> list[str]:
    """Names that the node's subgraphs read from outside, once for each use."""
    names = []
    for graph in subgraphs(node):
        own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        own.update(name for inner in graph.node for name in inner.output)
        read = [name for inner in graph.node for name in (*inner.input, *captured(inner))]
        names += [name for name in (*read, *(v.name for v in graph.output)) if name and name not in own]
    return names


class Names:
    """Gives out names that the model does not have yet."""

    def __init__(self, graph: GraphProto) -> None:
        self._taken = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
        self._take_nodes(graph.node)

    def _take_nodes(self, nodes: Iterable[NodeProto]) -> None:
        for node in nodes:
            self._taken.update((node.name, *node.input, *node.output))
            for graph in subgraphs(node):
                self._taken.update(value.name for value in (*graph.input, *graph.output, *graph.initializer))
                self._take_nodes(graph.node)

    def fresh(self, wanted: str) -> str:
        """``wanted``, or the first of ``wanted_1``, ``wanted_2`` ... that is free."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def name_nodes(graph: GraphProto) -> None:
    """Nodes without a name, or with that of an earlier one, become ``<OpType>_<index>``."""
    names = Names(graph)
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            node.name = names.fresh(f"{node.op_type}_{index}")
        seen.add(node.name)
