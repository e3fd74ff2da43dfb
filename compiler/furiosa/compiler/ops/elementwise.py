"""Element-wise operators of two tensors, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op, const
from furiosa.compiler.ops.layout import TO_NHWC, low, nchw, nhwc
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse
from furiosa.isa.instructions import BinaryForm


@dataclass(frozen=True, slots=True)
class Binary(Attrs):
    """Of ``add``, ``sub`` and ``mul``; clamped to [lo, hi].

    ``scaled``: ONNX Runtime has an integer kernel for the operator in this place, and rounds as that does when all
    three tensors have one element type (see BinaryForm).
    """

    scaled: bool
    lo: int
    hi: int


_KIND = {"Add": "add", "Sum": "add", "Sub": "sub", "Mul": "mul"}
_INTEGER_KERNEL = ("Add", "Mul")


def build(unit: Unit) -> Op:
    operands = [op for op in unit.inputs if op is not None]
    if len(operands) != 2:
        raise refuse("two_operands", "sums of more than two tensors are not accelerated", len(operands), 2,
                     "write the sum as a chain of Add")  # fmt: skip
    a, b = unit.x(0), unit.x(1)
    if a.kind == "const" and b.kind == "const":
        raise refuse("constant_operands", "at least one operand must be computed", "two constants")
    scaled = unit.node.op_type in _INTEGER_KERNEL and not unit.clamped
    return unit.op(_KIND[unit.node.op_type], (a, b), Binary(scaled, unit.lo, unit.hi))


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    rank = len(op.type.shape)
    a, b = (_operand(new, old, rank) for new, old in zip(inputs, op.inputs))
    one_type = len({op.type.dtype, a.type.dtype, b.type.dtype}) == 1
    form = BinaryForm.SCALED if op.attrs.scaled and one_type else BinaryForm.REAL
    return low(op.kind, (a, b), lowlevel.Binary(form, op.attrs.lo, op.attrs.hi), nhwc(op.type.shape), op)


def _operand(new: Op, old: Op, rank: int) -> Op:
    """The operand on the NPU's axes; one with fewer axes than the result counts from the last, as broadcasting does."""
    shape = (1,) * (rank - len(old.type.shape)) + old.type.shape
    if old.kind == "const":
        value = old.value.reshape(nchw(shape)).transpose(TO_NHWC)
        return const(old.name, value, old.type.quant, old.node)
    if nhwc(old.type.shape) == nhwc(shape):
        return new
    raise refuse("broadcast", "a computed operand must have as many axes as the result",
                 f"{len(old.type.shape)} axes", f"{rank} axes", "put an Unsqueeze before it")  # fmt: skip


def axes(op: Op) -> str | None:
    """a computed operand must have as many axes as the result"""
    for x in op.inputs:
        rank = len(op.type.shape)
        if x.kind != "const" and nhwc(x.type.shape) != nhwc((1,) * (rank - len(x.type.shape)) + x.type.shape):
            return f"{len(x.type.shape)} axes against {rank}"
    return None


ROWS = tuple(
    OpDef(kind, onnx, build, lower, rules=(four_axes, axes))
    for kind, onnx in (("add", ("Add", "Sum")), ("sub", ("Sub",)), ("mul", ("Mul",)))
)
