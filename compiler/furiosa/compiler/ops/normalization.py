"""Operators over the channels: BatchNormalization as a table for each channel, and Softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from furiosa.compiler.graph import Array, Attrs, Op, const
from furiosa.compiler.ops.layout import affine, low, nhwc, spatial_axis, table, transpose
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse
from furiosa.isa import arithmetic


@dataclass(frozen=True, slots=True)
class BatchNorm(Attrs):
    """Of ``batch_norm`` of (x, scale, offset): y = x * scale[c] + offset[c], clamped to [lo, hi]."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Softmax(Attrs):
    """Of ``softmax``: the axis over which the results add up to one."""

    axis: int


def build_batch_norm(unit: Unit) -> Op:
    if unit.node.int("training_mode", 0):
        raise refuse("training_mode", "BatchNormalization must be in inference mode", 1, 0)
    parameters = [_real(unit.constant(i)) for i in range(1, 5)]
    scale, offset = arithmetic.batch_normalization(*parameters, unit.node.float("epsilon", 1e-5))
    inputs = (unit.x(), const(f"{unit.name}:scale", scale), const(f"{unit.name}:offset", offset))
    return unit.op("batch_norm", inputs, BatchNorm(unit.lo, unit.hi))


def _real(op: Op | None) -> Array:
    if op is None or op.kind == "absent":
        raise refuse("computed_operand", "the parameters of BatchNormalization must be constant")
    if op.type.quant is None:
        return op.value
    quant = op.type.quant
    centred = op.value.astype(np.int32) - np.asarray(quant.zero_point, np.int32)
    return np.asarray(centred.astype(np.float32) * np.asarray(quant.scale, np.float32))


def lower_batch_norm(op: Op, inputs: tuple[Op, ...]) -> Op:
    _, scale, offset = op.inputs
    values = arithmetic.affine_table(scale.value, offset.value, *affine(op.inputs[0].type), *affine(op.type))
    clamped = np.clip(values.view(op.type.dtype.numpy_name), op.attrs.lo, op.attrs.hi)
    return table(inputs[0], clamped.view(np.uint8), op)


def build_softmax(unit: Unit) -> Op:
    rank = len(unit.out.shape)
    axis = unit.node.int("axis", -1 if unit.node.opset >= 13 else 1) % rank
    if unit.node.opset < 13 and any(d > 1 for d in unit.out.shape[axis + 1 :]):
        raise refuse("softmax_axes", "Softmax must be over one axis", f"the axes from {axis} on", "one",
                     "convert the model to opset 13")  # fmt: skip
    if unit.clamped:
        raise refuse("activation", "an activation after Softmax needs a quantization in between", "none")
    return unit.op("softmax", (unit.x(),), Softmax(axis))


def lower_softmax(op: Op, inputs: tuple[Op, ...]) -> Op:
    rank = len(op.type.shape)
    axis = spatial_axis(op.attrs.axis, rank)
    if axis == 3:
        return low("softmax", inputs, Attrs(), nhwc(op.type.shape), op)
    swap = {0: (3, 1, 2, 0), 1: (0, 3, 2, 1), 2: (0, 1, 3, 2)}[axis]
    turned = transpose(inputs[0], swap, op, ":rows")
    n, h, w, c = turned.type.shape
    return transpose(low("softmax", (turned,), Attrs(), (n, h, w, c), op, ":softmax"), swap, op, "")


ROWS = (
    OpDef("batch_norm", ("BatchNormalization",), build_batch_norm, lower_batch_norm, rules=(four_axes,)),
    OpDef("softmax", ("Softmax",), build_softmax, lower_softmax, rules=(four_axes,)),
)
