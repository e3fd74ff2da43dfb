"""Operators over the channels: BatchNormalization as a table for each channel, Softmax and LpNormalization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, const, real_values
from furiosa.compiler.ops.layout import affine, innermost, low, nhwc, reshape, table
from furiosa.compiler.ops.table import QUANTIZE, OpDef, Unit, refuse, rule
from furiosa.isa import arithmetic
from furiosa.isa.instructions import Framework


@dataclass(frozen=True, slots=True)
class ChannelAffine(Attrs):
    """Of ``channel_affine`` of (x, scale, offset): y = x * scale[c] + offset[c], clamped to [lo, hi].

    c is the index on ``axis``.
    """

    lo: int
    hi: int
    axis: int


@dataclass(frozen=True, slots=True)
class Softmax(Attrs):
    """Of ``softmax``: the axis over which the results add up to one; ``flattened``: together with all behind it.

    ``framework`` says whose rounding it has; ``beta`` is the factor of the operand that LiteRT's operator has.
    """

    axis: int
    flattened: bool
    framework: Framework = Framework.ONNX
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class LpNormalization(Attrs):
    """Of ``lp_normalization``: the axis along which x is divided by its Euclidean norm."""

    axis: int


@rule(2, "compile with a batch of 1 or 2; join other axes that come first with the next one by Reshape")
def batch(op: Op) -> str | None:
    """Softmax and LpNormalization are accelerated for a batch of at most 2"""
    shape = op.inputs[0].type.shape
    return f"a batch of {shape[0]}" if len(shape) > 1 and shape[0] > 2 else None


def build_batch_norm(unit: Unit) -> Op:
    """A BatchNormalization with constant parameters."""
    if unit.node.int("training_mode", 0):
        raise refuse("training_mode", "BatchNormalization must be in inference mode", 1, 0,
                     "export the model for inference")  # fmt: skip
    gamma, beta, mean, variance = (_real(unit.constant(i)) for i in range(1, 5))
    scale, offset = arithmetic.batch_normalization(gamma, beta, mean, variance, unit.node.float("epsilon", 1e-5))
    return channel_affine(unit, unit.x(), scale, offset, min(1, len(unit.out.shape) - 1))


def channel_affine(unit: Unit, x: Op, scale: Array, offset: Array, axis: int) -> Op:
    """The op of a unit that computes x * scale[c] + offset[c] in float32, where c is the index on ``axis``."""
    inputs = (x, const(f"{unit.name}:scale", scale), const(f"{unit.name}:offset", offset))
    return unit.op("channel_affine", inputs, ChannelAffine(unit.lo, unit.hi, axis))


def _real(op: Op | None) -> Array:
    if op is None or op.kind == "absent":
        raise refuse("computed_operand", "the parameters of BatchNormalization must be constant", "computed",
                     "constants", "export the model for inference")  # fmt: skip
    return real_values(op)


def lower_channel_affine(op: Op, inputs: tuple[Op, ...]) -> Op:
    """A table for each channel; another axis is brought to where the channels are."""
    _, scale, offset = op.inputs
    values = arithmetic.affine_table(scale.value, offset.value, *affine(op.inputs[0].type), *affine(op.type))
    clamped = np.clip(values.view(op.type.dtype.numpy_name), op.attrs.lo, op.attrs.hi)
    shape, axis = op.type.shape, op.attrs.axis
    if len(shape) <= 4 and axis == min(1, len(shape) - 1):
        return table(inputs[0], clamped.view(np.uint8), op)
    x, extents = innermost(inputs[0], shape, range(axis, axis + 1), op)
    return reshape(table(x, clamped.view(np.uint8), op, ":table"), extents, shape, op, "")


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
    axes = range(axis, len(shape) if op.attrs.flattened else axis + 1)
    rows, extents = innermost(inputs[0], shape, axes, op)
    return reshape(low("softmax", (rows,), attrs, nhwc(extents), op, ":softmax"), extents, shape, op, "")


def build_lp_normalization(unit: Unit) -> Op:
    """A LpNormalization by the Euclidean norm."""
    order = unit.node.int("p", 2)
    if order != 2:
        raise refuse("norm_order", "only the Euclidean norm is accelerated", f"p = {order}", "p = 2",
                     "normalize with p = 2")  # fmt: skip
    if unit.clamped:
        raise refuse("activation", "an activation after LpNormalization needs a quantization in between",
                     "Relu or Clip", "none", QUANTIZE)  # fmt: skip
    x = unit.x()
    return unit.op("lp_normalization", (x,), LpNormalization(unit.node.int("axis", -1) % len(x.type.shape)))


def lower_lp_normalization(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The axis is brought to where the channels are."""
    shape, axis = op.type.shape, op.attrs.axis
    rows, extents = innermost(inputs[0], shape, range(axis, axis + 1), op)
    return reshape(low("l2_normalize", (rows,), Attrs(), nhwc(extents), op, ":normalized"), extents, shape, op, "")


ROWS = (
    OpDef("channel_affine", ("BatchNormalization",), build_batch_norm, lower_channel_affine),
    OpDef("softmax", ("Softmax",), build_softmax, lower_softmax, rules=(batch,), turns=True,
          parity="where ONNX Runtime computes Softmax in float32 (int8 in, uint8 out or the other way round), the "
                 "result may differ by one step"),
    OpDef("lp_normalization", ("LpNormalization",), build_lp_normalization, lower_lp_normalization, rules=(batch,),
          parity="written out with ReduceSum or as a product with a reciprocal, ONNX Runtime rounds otherwise: the "
                 "result may differ by one step at a tie"),
)  # fmt: skip
