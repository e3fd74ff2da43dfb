"""Sum and Mean of any number of tensors: one instruction, as float32 sums depend on what is rounded in between."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, const
from furiosa.compiler.ops import elementwise
from furiosa.compiler.ops.elementwise import axes, groups_of, joined, operand
from furiosa.compiler.ops.layout import flipped, low, nhwc, reshape
from furiosa.compiler.ops.table import FOLD, OpDef, Unit, refuse
from furiosa.isa.dtypes import DType


@dataclass(frozen=True, slots=True)
class Sum(Attrs):
    """Of ``sum``: the factor, which is that of a Mean; clamped to [lo, hi]."""

    factor: float
    lo: int
    hi: int


def build(unit: Unit) -> Op:
    """A Sum or Mean; of two tensors it is an Add."""
    count = len(unit.inputs)
    if count == 2:
        return elementwise.build(unit)
    if any(op is not None and op.kind == "const" and op.type.dtype is DType.F32 for op in unit.inputs):
        raise refuse("float_constant", "the constants in a sum of three or more tensors must be quantized", "float32",
                     "i8 or u8", "quantize the constant, or add it with an Add")  # fmt: skip
    xs = tuple(unit.x(index) for index in range(count))
    if all(x.kind == "const" for x in xs):
        raise refuse("constant_operands", "at least one operand must be computed", f"{count} constants",
                     "one computed", FOLD)  # fmt: skip
    factor = float(np.float32(1) / np.float32(count)) if unit.node.op_type == "Mean" else 1.0
    return unit.op("sum", xs, Sum(factor, unit.lo, unit.hi))


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The tensors one after the other, all of one element type and with the result's shape."""
    groups = groups_of(op)
    shape = joined(op.type.shape, groups)
    xs = tuple(_spread(operand(x, op, i, groups), shape, op, i) for i, x in enumerate(inputs))
    kind = DType.U8 if any(x.type.dtype is DType.U8 for x in xs) else DType.I8
    xs = tuple(x if x.type.dtype is kind else flipped(x, op, f":unsigned{i}") for i, x in enumerate(xs))
    n, h, w, c = nhwc(shape)
    bare = replace(op, sources=())
    stacked = low("concat", xs, lowlevel.Concat(0), (len(xs) * n, h, w, c), replace(bare, type=xs[0].type), ":stacked")
    scales = _constant(op, ":scales", np.array([x.type.scale for x in xs], np.float32))
    zeros = _constant(op, ":zeros", np.array([x.type.zero for x in xs], kind.numpy_name))
    attrs = lowlevel.Sum(op.attrs.factor, op.attrs.lo, op.attrs.hi)
    total = low("sum", (stacked, scales, zeros), attrs, nhwc(shape), op, ":joined" if shape != op.type.shape else "")
    return reshape(total, shape, op.type.shape, op, "") if shape != op.type.shape else total


def _spread(x: Op, shape: tuple[int, ...], op: Op, index: int) -> Op:
    """An operand with the shape of the result."""
    if x.type.shape == nhwc(shape):
        return x
    if x.kind == "const":
        return const(x.name, np.ascontiguousarray(np.broadcast_to(x.value, nhwc(shape))), x.type.quant, x.node)
    like = replace(op, type=x.type, sources=())
    return low("expand", (x,), Attrs(), nhwc(shape), like, f":spread{index}")


def _constant(op: Op, suffix: str, value: Array) -> Op:
    return const(op.name + suffix, value, node=op.node)


ROWS = (OpDef("sum", ("Sum", "Mean"), build, lower, rules=(axes,), turns=True),)
