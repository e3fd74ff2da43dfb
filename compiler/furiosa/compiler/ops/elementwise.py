"""Element-wise operators of two tensors, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op, const
from furiosa.compiler.ops.layout import TO_NHWC, low, nchw, nhwc, reshape
from furiosa.compiler.ops.normalization import channel_affine
from furiosa.compiler.ops.table import FOLD, OpDef, Unit, refuse, rule
from furiosa.isa.dtypes import DType
from furiosa.isa.instructions import BinaryForm


@dataclass(frozen=True, slots=True)
class Binary(Attrs):
    """Of ``add``, ``sub`` and ``mul``; clamped to [lo, hi].

    ``scaled``: ONNX Runtime has an integer kernel for the operator in this place, and rounds as that does when all
    three tensors have one element type (see BinaryForm). ``factor`` is that of a Mean: of both operands.
    ``lite``: the model is LiteRT's, and so is the rounding.
    """

    scaled: bool
    lo: int
    hi: int
    factor: float = 1.0
    lite: bool = False


_KIND = {"Add": "add", "Sum": "add", "Mean": "add", "Sub": "sub", "Mul": "mul"}
_INTEGER_KERNEL = ("Add", "Mul")


def build(unit: Unit) -> Op:
    """An Add, Sub, Mul, or a Sum or Mean of two."""
    for index, given in enumerate(unit.inputs):
        real = given is not None and given.kind == "const" and given.type.dtype is DType.F32
        if given is not None and real and unit.node.op_type != "Mean":
            return _affine(unit, 1 - index, given)
    a, b = unit.x(0), unit.x(1)
    if a.kind == "const" and b.kind == "const":
        raise refuse("constant_operands", "at least one operand must be computed", "two constants",
                     "one constant", FOLD)  # fmt: skip
    factor = 0.5 if unit.node.op_type == "Mean" else 1.0
    scaled = unit.node.op_type in _INTEGER_KERNEL and not unit.clamped
    return unit.op(_KIND[unit.node.op_type], (a, b), Binary(scaled, unit.lo, unit.hi, factor))


def _affine(unit: Unit, index: int, constant: Op) -> Op:
    """With a float constant: x * scale + offset, which ONNX Runtime computes in float32."""
    x = unit.x(index)
    rank = len(x.type.shape)
    shape = (1,) * (rank - len(constant.type.shape)) + constant.type.shape
    along = [axis for axis, size in enumerate(shape) if size != 1]
    if x.type.shape != unit.out.shape or len(along) > 1:
        raise refuse("float_constant", "a constant that is not quantized must be a scalar, or have values along one "
                     "axis of the operand", f"shape {constant.type.shape} with {x.type.shape}", "1 axis",
                     "quantize the constant")  # fmt: skip
    axis = along[0] if along else min(1, rank - 1)
    count = x.type.shape[axis] if rank else 1
    values = np.broadcast_to(constant.value.reshape(-1), count).astype(np.float32)
    one, zero = np.ones(count, np.float32), np.zeros(count, np.float32)
    scale, offset = {
        "Mul": (values, zero), "Sub": (one, -values) if index == 0 else (-one, values),
    }.get(unit.node.op_type, (one, values))  # fmt: skip
    return channel_affine(unit, x, scale, offset, axis)


@rule("4 groups of axes", "join axes with a Reshape")
def axes(op: Op) -> str | None:
    """the axes of the operands must form at most 4 groups: those all have, and those only some have"""
    count = len(groups_of(op))
    return f"they form {count}" if count > 4 else None


def groups_of(op: Op) -> list[list[int]]:
    """The axes of the result; of more than four, neighbours on which the same operands are spread are one group."""
    if len(op.type.shape) <= 4:
        return [[axis] for axis in range(len(op.type.shape))]
    groups: list[list[int]] = []
    before = None
    for axis, extent in enumerate(op.type.shape):
        spread = tuple(_aligned(x, op)[axis] != extent for x in op.inputs)
        if groups and (extent == 1 or before in (None, spread)):
            groups[-1].append(axis)
        else:
            groups.append([axis])
        before = spread if extent > 1 else before
    return groups


def _aligned(x: Op, op: Op) -> tuple[int, ...]:
    """The shape of an operand with the axes of the result: they count from the last, as broadcasting does."""
    return (1,) * (len(op.type.shape) - len(x.type.shape)) + x.type.shape


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One instruction; operands are broadcast by it. Of more than four axes, those that are spread alike are joined."""
    groups = groups_of(op)
    a, b = (operand(inputs[i], op, i, groups) for i in (0, 1))
    one_type = len({op.type.dtype, a.type.dtype, b.type.dtype}) == 1
    form = BinaryForm.SCALED if op.attrs.scaled and one_type else BinaryForm.REAL
    if op.attrs.lite:
        form = BinaryForm.LITE
    shape = joined(op.type.shape, groups)
    attrs = lowlevel.Binary(form, op.attrs.lo, op.attrs.hi, op.attrs.factor)
    apart = shape != op.type.shape
    result = low(op.kind, (a, b), attrs, nhwc(shape), op, ":joined" if apart else "")
    return reshape(result, shape, op.type.shape, op, "") if apart else result


def joined(shape: tuple[int, ...], groups: list[list[int]]) -> tuple[int, ...]:
    """The shape with the axes of each group as one."""
    return tuple(prod(shape[axis] for axis in group) for group in groups)


def operand(new: Op, op: Op, index: int, groups: list[list[int]]) -> Op:
    """An operand on the NPU's axes."""
    old = op.inputs[index]
    shape = joined(_aligned(old, op), groups)
    if old.kind == "const":
        return const(
            f"{op.name}:operand{index}", old.value.reshape(nchw(shape)).transpose(TO_NHWC), old.type.quant, old.node
        )
    return reshape(new, old.type.shape, shape, op, f":operand{index}")


ROWS = tuple(
    OpDef(kind, onnx, build, lower, rules=(axes,), turns=True)
    for kind, onnx in (("add", ("Add",)), ("sub", ("Sub",)), ("mul", ("Mul",)))
)
