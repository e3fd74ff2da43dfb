"""A Gelu that an exporter wrote as many small nodes is found: as one node it is one table, and rounds once."""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto

from furiosa.quantizer.graph import FloatGraph

_TOLERANCE = 1e-4


def written_gelu(graph: FloatGraph, last: NodeProto) -> tuple[str, list[NodeProto]] | None:
    """The x of x * (1 + erf(x / sqrt(2))) / 2 when the product ``last`` ends it, in whatever order, and its nodes."""
    products, factors = _factors(graph, last)
    computed = [name for name in factors if name not in graph.constants]
    values = [_number(graph, name) for name in factors if name in graph.constants]
    if len(computed) != 2 or None in values or not _close(math.prod(filter(None, values)), 0.5):
        return None
    for x, gate in (computed, computed[::-1]):
        nodes = _gate(graph, gate, x)
        if nodes is not None and graph.shape(x) == graph.shape(last.output[0]) is not None:
            return x, [*products, *nodes]
    return None


def _factors(graph: FloatGraph, last: NodeProto) -> tuple[list[NodeProto], list[str]]:
    """The products that nobody else reads, as one: their nodes, and what they multiply."""
    products, factors, left = [last], [], list(last.input)
    while left and len(products) < 4:
        name = left.pop()
        maker = graph.producers.get(name)
        if maker is not None and maker.op_type == "Mul" and graph.only_reader(name) is not None:
            products.append(maker)
            left += maker.input
        else:
            factors.append(name)
    return products, [*factors, *left]


def _gate(graph: FloatGraph, name: str, x: str) -> list[NodeProto] | None:
    """The nodes of 1 + erf(x / sqrt(2))"""
    add = graph.producers.get(name)
    curve = _beside(graph, add, "Add", 1.0)
    erf = graph.producers.get(curve) if curve else None
    if add is None or erf is None or erf.op_type != "Erf":
        return None
    scale = graph.producers.get(erf.input[0])
    if scale is None or x not in (_beside(graph, scale, "Mul", math.sqrt(0.5)),
                                  _beside(graph, scale, "Div", math.sqrt(2))):  # fmt: skip
        return None
    return [add, erf, scale]


def _beside(graph: FloatGraph, node: NodeProto | None, kind: str, value: float) -> str | None:
    """The operand beside a constant of this value; None when the node is another one."""
    if node is None or node.op_type != kind or node.domain:
        return None
    for index in (1,) if kind == "Div" else (0, 1):
        found = _number(graph, node.input[index])
        if found is not None and _close(found, value):
            return str(node.input[1 - index])
    return None


def _number(graph: FloatGraph, name: str) -> float | None:
    """The value of a constant of one float32 element."""
    value = graph.array(name)
    return float(value.reshape(())) if value is not None and value.size == 1 and value.dtype == np.float32 else None


def _close(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=_TOLERANCE)
