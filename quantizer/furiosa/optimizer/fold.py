"""Whatever does not depend on the inputs becomes a constant. ONNX Runtime computes it, as it would in the model."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from furiosa.optimizer.cleanup import known_branch
from furiosa.optimizer.graph import Graph, add_light, attribute
from furiosa.optimizer.inference import infer, infer_node
from furiosa.optimizer.rewrite import rewrite
from furiosa.optimizer.scopes import all_nodes, read_by
from furiosa.optimizer.session import session

_KEPT = frozenset((
    "Bernoulli", "DequantizeLinear", "Multinomial", "QuantizeLinear", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike",
))  # fmt: skip
"""Operators that give another result each time, or that say how a model is quantized."""
_DOMAINS = ("", "ai.onnx.ml", "com.microsoft")
_MOST_ELEMENTS = 1 << 28  # of a result; a ConstantOfShape in a damaged file must not fill the memory


def settle(graph: Graph) -> None:
    """Infer types and make constants until nothing new is known. Raises InvalidModelError as `infer` does."""
    infer(graph)
    while fold(graph) | _inline_branches(graph):
        infer(graph)
    graph.drop_constants()


def _inline_branches(graph: Graph) -> bool:
    return any(node.op_type == "If" for node in graph.nodes) and rewrite(graph, {"If": (known_branch,)})


def fold(graph: Graph) -> bool:
    """Make constants of what follows from constants and from the shapes of tensors; whether there was any.

    One walk does it for a chain of any length in which shapes follow from values and values from shapes.
    """
    folder = _Folder(graph)
    for node in graph.nodes:
        folder.visit(node)
    folder.compute()
    graph.nodes = [node for node in graph.nodes if id(node) not in folder.done]
    return bool(folder.done)


class _Folder:
    """The walk: nodes that can be computed are collected until somebody needs their values."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.done: set[int] = set()
        self._pending: list[NodeProto] = []
        self._known: set[str] = set()  # the results of the pending nodes
        self._readers: dict[str, set[int]] = {value.name: {0} for value in graph.outputs}
        for node in graph.nodes:
            for name in read_by(node):
                self._readers.setdefault(name, set()).add(id(node))

    def visit(self, node: NodeProto) -> None:
        value = _value(self.graph, node)
        if value is not None:
            self.graph.constants[node.output[0]] = value
            self.done.add(id(node))
            return
        read = read_by(node)
        if all(name in self.graph.constants or name in self._known for name in read) and _foldable(self.graph, node):
            self._pending.append(node)
            self._known.update(node.output)
        elif any(self.graph.shape(name) is None for name in node.output if name):
            if not self._known.isdisjoint(read):
                self.compute()
            self.graph.types.update(infer_node(self.graph, node))

    def compute(self) -> None:
        """Make constants of the results of the pending nodes.

        ONNX Runtime runs all in one session. When it cannot, both halves are tried: in the end only those are left
        over that have no kernel, and what depends on them.
        """
        batches = [self._pending] if self._pending else []
        while batches:
            batch = self._ready(batches.pop())
            inside = {id(node) for node in batch}
            names = [name for node in batch for name in node.output if self._readers.get(name, inside) - inside]
            try:
                self.graph.constants.update(_run(self.graph, batch, names) if names else {})
            except Exception:  # of many classes: no kernel, unknown operator, a result that is no tensor
                half = len(batch) // 2
                batches += [batch[half:], batch[:half]] if half else []
            else:
                self.done |= inside
        self._pending, self._known = [], set()

    def _ready(self, nodes: list[NodeProto]) -> list[NodeProto]:
        """Those nodes that can be computed from constants, and from each other."""
        ready, made = [], set[str]()
        for node in nodes:
            if all(name in self.graph.constants or name in made for name in read_by(node)):
                ready.append(node)
                made.update(node.output)
        return ready


def _value(graph: Graph, node: NodeProto) -> TensorProto | None:
    """What a Constant holds, or the shape or size of a tensor."""
    if node.domain:
        return None
    if node.op_type == "Constant" and node.attribute[0].name != "sparse_value":
        return constant_value(node)
    shape = graph.shape(node.input[0]) if node.op_type in ("Shape", "Size") else None
    if shape is None:
        return None
    if node.op_type == "Size":
        return numpy_helper.from_array(np.array(prod(shape), np.int64))
    part = shape[attribute(node, "start", 0) : attribute(node, "end", len(shape))]
    return numpy_helper.from_array(np.array(part, np.int64))


def constant_value(node: NodeProto) -> TensorProto:
    """The tensor in a Constant node."""
    item = node.attribute[0]
    if item.name == "value":
        tensor: TensorProto = item.t
        return tensor
    kind = {"i": np.int64, "f": np.float32, "s": np.object_}[item.name.removeprefix("value_")[0]]
    return numpy_helper.from_array(np.array(helper.get_attribute_value(item), kind))


def _foldable(graph: Graph, node: NodeProto) -> bool:
    sizes = [prod(graph.shape(name) or ()) for name in node.output]
    pure = (inner.domain in _DOMAINS and inner.op_type not in _KEPT for inner in all_nodes([node]))
    return max(sizes) <= _MOST_ELEMENTS and all(pure)


def _run(graph: Graph, nodes: list[NodeProto], names: list[str]) -> dict[str, TensorProto]:
    proto = helper.make_graph(nodes, "fold", [], [ValueInfoProto(name=name) for name in names])
    read = set().union(*(read_by(node) for node in nodes))
    add_light(proto, {name: graph.constants[name] for name in sorted(read & graph.constants.keys())})
    large = {value.name: numpy_helper.to_array(graph.constants[value.name]) for value in proto.input}
    results = session(graph.model(proto)).run(names, large)
    return {name: numpy_helper.from_array(result) for name, result in zip(names, results)}
