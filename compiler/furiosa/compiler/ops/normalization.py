"""Operators over the channels: BatchNormalization as a table for each channel, and Softmax."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, const
from furiosa.compiler.ops.layout import affine, low, nhwc, reshape, spatial_axis, table, transpose
from furiosa.compiler.ops.table import QUANTIZE, OpDef, Unit, four_axes, refuse
from furiosa.isa import arithmetic
from furiosa.isa.instructions import Framework


@dataclass(frozen=True, slots=True)
class ChannelAffine(Attrs):
    """Of ``channel_affine`` of (x, scale, offset): y = x * scale[c] + offset[c], clamped to [lo, hi]."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Softmax(Attrs):
    """Of ``softmax``: the axis over which the results add up to one; ``flattened``: together with all behind it.

    ``framework`` says whose rounding it has; ``beta`` is the factor of the operand that LiteRT's operator has.
    """

    axis: int
    flattened: bool
    framework: Framework = Framework.ONNX
    beta: float = 1.0


def build_batch_norm(unit: Unit) -> Op:
    """A BatchNormalization with constant parameters."""
    if unit.node.int("training_mode", 0):
        raise refuse("training_mode", "BatchNormalization must be in inference mode", 1, 0,
                     "export the model for inference")  # fmt: skip
    gamma, beta, mean, variance = (_real(unit.constant(i)) for i in range(1, 5))
    scale, offset = arithmetic.batch_normalization(gamma, beta, mean, variance, unit.node.float("epsilon", 1e-5))
    return channel_affine(unit, unit.x(), scale, offset)


def channel_affine(unit: Unit, x: Op, scale: Array, offset: Array) -> Op:
    """The op of a unit that computes x * scale[c] + offset[c] in float32."""
    inputs = (x, const(f"{unit.name}:scale", scale), const(f"{unit.name}:offset", offset))
    return unit.op("channel_affine", inputs, ChannelAffine(unit.lo, unit.hi))


def _real(op: Op | None) -> Array:
    if op is None or op.kind == "absent":
        raise refuse("computed_operand", "the parameters of BatchNormalization must be constant", "computed",
                     "constants", "export the model for inference")  # fmt: skip
    if op.type.quant is None:
        return op.value
    quant = op.type.quant
    centred = op.value.astype(np.int32) - np.asarray(quant.zero_point, np.int32)
    return np.asarray(centred.astype(np.float32) * np.asarray(quant.scale, np.float32))


def lower_channel_affine(op: Op, inputs: tuple[Op, ...]) -> Op:
    """A table for each channel."""
    _, scale, offset = op.inputs
    values = arithmetic.affine_table(scale.value, offset.value, *affine(op.inputs[0].type), *affine(op.type))
    clamped = np.clip(values.view(op.type.dtype.numpy_name), op.attrs.lo, op.attrs.hi)
    return table(inputs[0], clamped.view(np.uint8), op)


def build_softmax(unit: Unit) -> Op:
    """Before opset 13 the operator sees two axes: those before ``axis`` as one, and the others as one."""
    rank = len(unit.out.shape)
    axis = unit.node.int("axis", -1 if unit.node.opset >= 13 else 1) % rank
    if unit.clamped:
        raise refuse("activation", "an activation after Softmax needs a quantization in between", "Relu or Clip",
                     "none", QUANTIZE)  # fmt: skip
    return unit.op("softmax", (unit.x(),), Softmax(axis, unit.node.opset < 13))


def lower_softmax(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The axis is brought to where the channels are."""
    shape, axis = op.type.shape, op.attrs.axis
    attrs = lowlevel.Softmax(op.attrs.framework, op.attrs.beta)
    if op.attrs.flattened:
        rows = (prod(shape[:axis]), prod(shape[axis:]))
        flat = reshape(inputs[0], shape, rows, op, ":rows")
        return reshape(low("softmax", (flat,), attrs, nhwc(rows), op, ":softmax"), rows, shape, op, "")
    axis = spatial_axis(axis, len(shape))
    if axis == 3:
        return low("softmax", inputs, attrs, nhwc(shape), op)
    swap = {0: (3, 1, 2, 0), 1: (0, 3, 2, 1), 2: (0, 1, 3, 2)}[axis]
    turned = transpose(inputs[0], swap, op, ":rows")
    n, h, w, c = turned.type.shape
    return transpose(low("softmax", (turned,), attrs, (n, h, w, c), op, ":softmax"), swap, op, "")


ROWS = (
    OpDef("channel_affine", ("BatchNormalization",), build_batch_norm, lower_channel_affine, rules=(four_axes,)),
    OpDef("softmax", ("Softmax",), build_softmax, lower_softmax, rules=(four_axes,),
          parity="where ONNX Runtime computes Softmax in float32 (int8 in, uint8 out or the other way round), the "
                 "result may differ by one step"),
)  # fmt: skip
