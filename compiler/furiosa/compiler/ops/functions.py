"""Functions of one tensor: any chain of them is one table of 256 entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from furiosa.compiler.graph import Array, Attrs, Op, TensorType, real_values
from furiosa.compiler.ops.layout import affine, table
from furiosa.compiler.ops.table import Node, OpDef, Unit, from_no_node, refuse
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


Reader = Callable[[Node, Operands], "Function | None"]


def _plain(name: str, **defaults: float) -> Reader:
    """Reads the attributes with these names and defaults."""
    return lambda node, _: (name, tuple((key, node.float(key, value)) for key, value in defaults.items()))


def _clip(node: Node, operand: Operands) -> Function:
    """Bounds are attributes before opset 11, operands since."""
    low, high = operand(1), operand(2)
    low = node.float("min", float(_FLOAT32.min)) if low is None else low
    high = node.float("max", float(_FLOAT32.max)) if high is None else high
    return "clip", (("low", low), ("high", high))


def _gelu(node: Node, _: Operands) -> Function:
    return ("gelu_tanh" if node.str("approximate", "none") == "tanh" else "gelu"), ()


def _scalar(name: str, parameter: str, exchanged: str = "") -> Reader:
    """Reads an operator of the tensor and a scalar; ``exchanged`` is the function of 1/x kind, scalar first."""

    def reader(node: Node, operand: Operands) -> Function | None:
        first, second = operand(0), operand(1)
        if second is not None:
            return name, ((parameter, second),)
        parameters = {"subtracted": "minuend", "inverted": "dividend"}
        if first is not None and exchanged:
            return exchanged, ((parameters.get(exchanged, parameter), first),)
        return None

    return reader


def _difference(_: Node, operand: Operands) -> Function | None:
    minuend, subtrahend = operand(0), operand(1)
    if subtrahend is not None:
        return "shifted", (("by", -subtrahend),)
    return None if minuend is None else ("subtracted", (("minuend", minuend),))


def _bound(node: Node, operand: Operands) -> Function | None:
    """A Min or Max with a scalar is a Clip of one side."""
    value = operand(1) if operand(0) is None else operand(0)
    if value is None:
        return None
    low, high = (value, float(_FLOAT32.max)) if node.op_type == "Max" else (float(_FLOAT32.min), value)
    return "clip", (("low", low), ("high", high))


READERS: dict[str, Reader] = {
    "Relu": _plain("relu"),
    "Clip": _clip,
    "LeakyRelu": _plain("leaky_relu", alpha=0.01),
    "Sigmoid": _plain("sigmoid"),
    "Tanh": _plain("tanh"),
    "HardSigmoid": _plain("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": _plain("hard_swish"),
    "Exp": _plain("exp"),
    "Log": _plain("log"),
    "Sqrt": _plain("sqrt"),
    "Erf": _plain("erf"),
    "Abs": _plain("abs"),
    "Neg": _plain("neg"),
    "Floor": _plain("floor"),
    "Ceil": _plain("ceil"),
    "Round": _plain("round"),
    "Reciprocal": lambda *_: ("inverted", (("dividend", 1.0),)),
    "Softsign": _plain("softsign"),
    "Softplus": _plain("softplus"),
    "Mish": _plain("mish"),
    "Elu": _plain("elu", alpha=1.0),
    "Selu": _plain("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Celu": _plain("celu", alpha=1.0),
    "Gelu": _gelu,
    "FastGelu": lambda *_: ("gelu_tanh", ()),
    "QuickGelu": _plain("quick_gelu", alpha=1.702),
    "Pow": _scalar("power", "exponent"),
    "Div": _scalar("divided", "divisor", "inverted"),
    "Add": _scalar("shifted", "by", "shifted"),
    "Sub": _difference,
    "Mul": _scalar("scaled", "factor", "scaled"),
    "Min": _bound,
    "Max": _bound,
}
_OF_TWO = ("Pow", "Div", "Add", "Sub", "Mul", "Min", "Max")
"""Operators of which one operand must be a scalar, on either side."""


def read(node: Node, inputs: tuple[Op, ...]) -> tuple[Function, int] | None:
    """The function that a node computes of one of its inputs, and which; None when it is not one."""
    if node.op_type not in READERS:
        return None
    computed = [index for index, op in enumerate(inputs) if op.kind not in ("const", "absent")]
    if len(computed) != 1 or (computed[0] and node.op_type not in _OF_TWO):
        return None
    if node.op_type in _OF_TWO and len(inputs) != 2:
        return None

    def operand(index: int) -> float | None:
        given = index < len(inputs) and inputs[index].kind == "const" and inputs[index].type.size == 1
        return float(real_values(inputs[index]).reshape(())) if given else None

    function = READERS[node.op_type](node, operand)
    return None if function is None else (function, computed[0])


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


_OTHERWISE = {
    "Div": "x * Reciprocal(y), with a quantization in between (of a constant y: a Mul by 1 / y)",
    "Min": "x - Relu(x - y), with a quantization behind each",
    "Max": "x + Relu(y - x), with a quantization behind each",
    "Pow": "Exp(y * Log(x)) where x is positive, with a quantization behind each",
    "Clip": "a Min and a Max with scalars",
}
"""How else to write an operator of two computed tensors; Min and Max of many are those of two, one after the other."""


def build(unit: Unit) -> Op:
    """A function alone, without others before it."""
    found = read(unit.node, tuple(op for op in unit.inputs if op is not None))
    if found is None:
        otherwise = _OTHERWISE.get(unit.node.op_type, "Add, Sub and Mul")
        raise refuse("computed_operand", "a function of one tensor needs constant parameters, all scalars",
                     f"{unit.node.op_type} of {sum(op is not None for op in unit.inputs)} operands", "one tensor",
                     f"store the parameters as scalar initializers, or write it as {otherwise}")  # fmt: skip
    function, index = found
    return unit.op("function", (unit.x(index),), Chain((function,)))


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """A table of the chain."""
    source = op.inputs[0].type
    values = arithmetic.table(lambda x: evaluate(op.attrs.chain, x), *affine(source), *affine(op.type))
    return table(inputs[0], values, op)


def lower_lookup(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The tables as they are: ``lookup`` of (x, entries), uint8 [256] or [C, 256] indexed by the byte of x."""
    return table(inputs[0], op.inputs[1].value, op)


PARITY = (
    "bit-equal, but for Exp, Log, Erf, Pow, Elu, Selu, Celu, Softplus, Mish and the Gelus, which ONNX Runtime "
    "approximates: where its last bit differs from the exact value, the result may differ by one step at a rounding tie"
)
ROWS = (
    OpDef("function", tuple(kind for kind in READERS if kind not in ("Add", "Sub", "Mul")), build, lower, parity=PARITY,
          turns=True),
    OpDef("lookup", (), from_no_node, lower_lookup, turns=True),
)  # fmt: skip
