"""Float operators between one quantized tensor and the next: what depends on one tensor only is one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from furiosa.compiler.graph import Array, Op
from furiosa.compiler.ops import functions
from furiosa.isa import arithmetic

_MOST = 32
"""Nodes of an expression, so that looking for them takes a bounded time."""
_OF_TWO: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Max": np.maximum, "Min": np.minimum,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """A float32 function of the bytes of ``x``: its 256 ``values``, and the model's nodes that it stands for."""

    x: Op
    values: Array
    sources: tuple[tuple[str, str], ...]


def expression(op: Op) -> Expression | None:
    """A float operator of two operands, not both quantized, as a function of one quantized tensor: x * sigmoid(x).

    None when it depends on other tensors, or is not element-wise.
    """
    if op.kind != "onnx" or op.attrs.domain or op.attrs.op_type not in _OF_TWO:
        return None
    if all(x.kind in ("dequantize", "const") for x in op.inputs):
        return None
    nodes = _nodes(op)
    x = None if nodes is None else _only_tensor(nodes)
    if nodes is None or x is None:
        return None
    values: dict[Op, Array] = {}
    with np.errstate(all="ignore"):
        for node in nodes:
            found = _values(node, x, values)
            if found is None:
                return None
            values[node] = found
    return Expression(x, values[op], tuple((n.node, n.attrs.op_type) for n in nodes if n.kind == "onnx"))


def _nodes(op: Op) -> list[Op] | None:
    """The operators down to dequantized tensors and constants, each after its operands; None when they are many."""
    order: dict[Op, None] = {}
    stack = [(op, False)]
    while stack:
        x, ready = stack.pop()
        if ready:
            order[x] = None
        elif x not in order:
            stack.append((x, True))
            if x.kind == "onnx":
                stack.extend((y, False) for y in x.inputs)
        if len(order) + len(stack) > 3 * _MOST:
            return None
    return list(order)


def _only_tensor(nodes: list[Op]) -> Op | None:
    """The one tensor of 8 bits that is dequantized; None when there are others, or none."""
    tensors = {x.inputs[0] for x in nodes if x.kind == "dequantize"}
    x = tensors.pop() if len(tensors) == 1 else None
    quants = {node.attrs.quant for node in nodes if node.kind == "dequantize"}
    if x is None or not x.type.dtype.quantized or x.type.quant is None or quants != {x.type.quant}:
        return None
    return x if x.type.quant.axis is None and x.kind != "const" else None


def _values(op: Op, x: Op, values: dict[Op, Array]) -> Array | None:
    """What the operator gives for each byte of ``x``; a constant as it is. None when it is no such function."""
    if op.kind == "const":
        return op.value.reshape(()) if op.type.size == 1 and op.value.dtype == np.float32 else None
    if op.type.shape != x.type.shape:
        return None
    if op.kind == "dequantize":
        every = np.arange(256, dtype=np.uint8).view(x.type.dtype.numpy_name)
        return arithmetic.dequantize(every, np.float32(x.type.scale), x.type.zero)
    if op.kind != "onnx" or op.attrs.domain:
        return None
    found = functions.read(op.attrs, op.inputs)
    if found is not None:
        return functions.evaluate((found[0],), values[op.inputs[found[1]]])
    if op.attrs.op_type not in _OF_TWO or len(op.inputs) != 2:
        return None
    return _OF_TWO[op.attrs.op_type](*(values[y] for y in op.inputs))
