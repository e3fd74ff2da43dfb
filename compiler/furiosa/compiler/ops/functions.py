"""Functions of one tensor: any chain of them is one table of 256 entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from furiosa.compiler.graph import Array, Attrs, Op, TensorType
from furiosa.compiler.ops.layout import affine, table
from furiosa.compiler.ops.table import Node, OpDef, Unit, refuse
from furiosa.isa import arithmetic

Function = tuple[str, tuple[tuple[str, float], ...]]
_FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True, slots=True)
class Chain(Attrs):
    """Of ``function``: names of ``arithmetic.FUNCTIONS`` with their parameters, the first applied first.

    An empty chain changes the quantization only.
    """

    chain: tuple[Function, ...]


Operands = Callable[[int], "float | None"]


def _plain(name: str, **defaults: float) -> Callable[[Node, Operands], Function]:
    """Reads the attributes with these names and defaults."""
    return lambda node, _: (name, tuple((key, node.float(key, value)) for key, value in defaults.items()))


def _clip(node: Node, operand: Operands) -> Function:
    """Bounds are attributes before opset 11, operands since."""
    low, high = operand(1), operand(2)
    low = node.float("min", float(_FLOAT32.min)) if low is None else low
    high = node.float("max", float(_FLOAT32.max)) if high is None else high
    return "clip", (("low", low), ("high", high))


READERS: dict[str, Callable[[Node, Operands], Function]] = {
    "Relu": _plain("relu"),
    "Clip": _clip,
    "LeakyRelu": _plain("leaky_relu", alpha=0.01),
    "Sigmoid": _plain("sigmoid"),
    "Tanh": _plain("tanh"),
    "HardSigmoid": _plain("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": _plain("hard_swish"),
}


def read(node: Node, inputs: tuple[Op, ...]) -> Function | None:
    """The function that a node computes of its first input; None when it is not one, or a parameter is computed."""
    if node.op_type not in READERS or any(op.kind not in ("const", "absent") for op in inputs[1:]):
        return None

    def operand(index: int) -> float | None:
        given = index < len(inputs) and inputs[index].kind == "const" and inputs[index].type.size == 1
        return float(inputs[index].value.reshape(())) if given else None

    return READERS[node.op_type](node, operand)


def clamp(chain: tuple[Function, ...], to: TensorType, lo: int, hi: int) -> tuple[int, int] | None:
    """The integer bounds that a chain of Relu and Clip sets on a result quantized as ``to``; None for other chains.

    Quantization never falls, so that clamping before it equals clamping the integers to the quantized bounds.
    """
    for name, parameters in chain:
        bounds = {"relu": (0.0, float("inf"))}.get(name) or tuple(value for _, value in parameters)
        if name not in ("relu", "clip"):
            return None
        low, high = (int(arithmetic.quantize(np.array(b, np.float32), *affine(to))) for b in (bounds[0], bounds[1]))
        lo, hi = min(max(lo, low), high), max(min(hi, high), low)
    return lo, hi


def evaluate(chain: tuple[Function, ...], values: Array) -> Array:
    """The chain applied to float32 values."""
    for name, parameters in chain:
        values = arithmetic.FUNCTIONS[name](values, **dict(parameters))
    return values


def build(unit: Unit) -> Op:
    """A function alone, without others before it."""
    function = read(unit.node, tuple(op for op in unit.inputs if op is not None))
    if function is None:
        raise refuse("computed_operand", "the parameters must be constant", unit.node.op_type, "constants",
                     "store the parameters as initializers")  # fmt: skip
    return unit.op("function", (unit.x(),), Chain((function,)))


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """A table of the chain."""
    source = op.inputs[0].type
    values = arithmetic.table(lambda x: evaluate(op.attrs.chain, x), *affine(source), *affine(op.type))
    return table(inputs[0], values, op)


ROWS = (OpDef("function", tuple(READERS), build, lower),)
