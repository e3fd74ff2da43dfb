"""The operator table: what one row is, and how a quantized unit of the model is matched against it.

A *unit* is an ONNX node whose inputs are dequantized integers (or constants) and whose result is quantized. A row
turns a unit into one DFG op, says by rules whether the NPU can run it, and lowers it to the NPU's operators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from furiosa.compiler.graph import Array, Attrs, Op, Reason, TensorType
from furiosa.isa.dtypes import DType


class Node(Protocol):
    """A model's node, whatever framework it is from: its operator, and attributes by the names of the ONNX standard."""

    name: str
    op_type: str
    opset: int

    def ints(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]: ...

    def int(self, name: str, default: int) -> int: ...

    def float(self, name: str, default: float) -> float: ...

    def str(self, name: str, default: str) -> str: ...


QUANTIZE = (
    "quantize the operator's inputs and its result (QDQ form), e.g. with `furiosa quantize`; "
    "what that leaves in float32 would lose too much in int8"
)


FOLD = "store the operator's result as a constant, e.g. with a simplifier such as onnxsim"


class Refusal(Exception):
    """Raised by a row when the NPU cannot run a unit; carries the reason that the user reads."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def refuse(code: str, sentence: str, actual: object, limit: object, hint: str) -> Refusal:
    """A refusal with its reason."""
    return Refusal(Reason(code, sentence, str(actual), str(limit), hint))


@dataclass(frozen=True)
class Unit:
    """A node with quantized inputs (int8/uint8 ops, or constants; None where an optional input is left out).

    ``out`` is the quantized type of the result and ``name`` its name; the result is clamped to [lo, hi] (integers), by
    which activations between the node and its quantization are absorbed; ``clamped`` tells whether there were any.
    ``summed`` is set when the operand of the node is itself the sum of the two inputs, not below that value.
    ``integer_kernel``: the model's node computes on integers, so that ONNX Runtime has no choice but to do so.
    ``index``: which result of the node it is.
    """

    node: Node
    inputs: tuple[Op | None, ...]
    out: TensorType
    name: str
    lo: int
    hi: int
    clamped: bool = False
    summed: float | None = None
    integer_kernel: bool = False
    index: int = 0

    def x(self, index: int = 0) -> Op:
        """The activation at this input: int8 or uint8, quantized as a whole. Raises Refusal for anything else."""
        op = self.inputs[index] if index < len(self.inputs) else None
        if op is None or not op.type.dtype.quantized or op.type.quant is None or op.type.quant.axis is not None:
            raise refuse("not_quantized", "the inputs must be int8 or uint8 with one scale",
                         "no such input" if op is None else op.type.dtype.value, "i8 or u8",
                         QUANTIZE)  # fmt: skip
        return op

    def constant(self, index: int) -> Op | None:
        """The constant at this input, None when left out. Raises Refusal when it is computed."""
        op = self.inputs[index] if index < len(self.inputs) else None
        if op is not None and op.kind != "const":
            raise refuse("computed_operand", "this operand must be a constant", f"`{op.name}` is computed",
                         "a constant", "store the operand as an initializer")  # fmt: skip
        return op

    def array(self, index: int) -> Array | None:
        """The value of the constant at this input."""
        op = self.constant(index)
        return None if op is None else op.value

    def op(self, kind: str, inputs: tuple[Op, ...], attrs: Attrs) -> Op:
        """The DFG op for this unit."""
        source = ((self.node.name, self.node.op_type),)
        return Op(kind, inputs, attrs, self.out, self.name, self.node.name, sources=source)


def from_no_node(unit: Unit) -> Op:
    """The ``build`` of a row that no ONNX node becomes: front ends write its op themselves."""
    raise refuse("no_lowering", "no node becomes this operator", unit.node.op_type, "none", "replace the operator")


@dataclass(frozen=True)
class Rule:
    """What must hold for an op of a row: ``broken`` answers None, or the value that breaks it.

    The name of ``broken`` is the reason's code and its docstring the sentence that the user reads.
    """

    broken: Callable[[Op], str | None]
    limit: str
    hint: str

    @property
    def code(self) -> str:
        """The stable name of the reason."""
        return self.broken.__name__

    @property
    def sentence(self) -> str:
        """What must hold."""
        return (self.broken.__doc__ or "").strip()

    def reason(self, op: Op) -> Reason | None:
        """Why the NPU cannot run the op, when it breaks the rule."""
        actual = self.broken(op)
        return None if actual is None else Reason(self.code, self.sentence, actual, self.limit, self.hint)


def rule(limit: object, hint: str) -> Callable[[Callable[[Op], str | None]], Rule]:
    """Make a rule of the function below: what is allowed, and what to do about a broken one."""
    return lambda broken: Rule(broken, str(limit), hint)


@dataclass(frozen=True)
class OpDef:
    """One row. ``onnx`` names the operators it takes in QDQ form, ``build`` makes the DFG op of a unit.

    ``rules`` hold for every op that the NPU runs. ``lower`` gets the op and its inputs in the NPU's layout and gives
    the result in the NPU's layout. ``moves_data`` marks operators that only move elements, so that quantization
    commutes with them. ``parity`` says where results may differ from ONNX Runtime by one step, and why; empty means
    bit-equal. ``takes`` tells rows of one ONNX operator apart: whether a node is this row's. ``turns`` marks operators
    through which ONNX Runtime moves transpositions of images (see ``channels_last``).
    """

    name: str
    onnx: tuple[str, ...]
    build: Callable[[Unit], Op]
    lower: Callable[[Op, tuple[Op, ...]], Op]
    rules: tuple[Rule, ...] = ()
    moves_data: bool = False
    parity: str = ""
    takes: Callable[[Node], bool] = lambda node: True
    turns: bool = False

    def why_not(self, op: Op) -> Reason | None:
        """The first broken rule as a reason, None when the NPU can run the op; every op must not be empty."""
        return next((reason for each in self.every_rule if (reason := each.reason(op)) is not None), None)

    @property
    def every_rule(self) -> tuple[Rule, ...]:
        """The row's rules and those that hold in all rows."""
        return not_empty, *self.rules


@rule("1 element", "leave out the operators behind it: there is nothing to compute")
def not_empty(op: Op) -> str | None:
    """tensors on the NPU have at least one element"""
    empty = [t.type.shape for t in (op, *op.inputs) if t.type.size < 1]
    return f"shape {empty[0]}" if empty else None


@rule("4 axes", "join axes with a Reshape")
def four_axes(op: Op) -> str | None:
    """tensors on the NPU have at most 4 axes"""
    rank = max(len(t.type.shape) for t in (op, *op.inputs) if t.kind != "const" or t.type.dtype.quantized)
    return f"{rank} axes" if rank > 4 else None


def integer_range(dtype: DType) -> tuple[int, int]:
    """The least and greatest value of i8 or u8."""
    return (-128, 127) if dtype is DType.I8 else (0, 255)
