"""Convolutions with constant weights, and what they share with matrix products."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, Quant, const
from furiosa.compiler.ops import nine_bits
from furiosa.compiler.ops.layout import channel_scales, low, nhwc
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse, rule
from furiosa.compiler.ops.windows import padding_below_kernel, window, window_size
from furiosa.isa.arithmetic import multiplier
from furiosa.isa.dtypes import DType

PARITY = (
    "where ONNX Runtime runs the operator in float32 (int8 activations with several readers, an activation that its "
    "quantization does not imply, a result that is quantized twice), the result may differ by one step at a rounding "
    "tie"
)


@dataclass(frozen=True, slots=True)
class Conv(Attrs):
    """Of ``conv2d``: as ONNX's Conv, pads (top, left, bottom, right); the result is clamped to [lo, hi].

    ``in_float32``: ONNX Runtime computes it so (see PARITY).
    """

    kernel_shape: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    group: int
    lo: int
    hi: int
    in_float32: bool


@rule(128, "split the channels over several operators")
def groups(op: Op) -> str | None:
    """groups must be at most 128, or one for each input channel"""
    group, channels = op.attrs.group, op.inputs[0].type.shape[1]
    return f"this Conv has {group}" if group > 128 and group != channels else None


@rule(12, "use a smaller dilation")
def dilation(op: Op) -> str | None:
    """the dilation must be at most 12"""
    worst = max(op.attrs.dilations)
    return f"it is {worst}" if worst > 12 else None


@rule(1 << 16, "split the input channels over several operators, or quantize the weights symmetrically")
def products(op: Op) -> str | None:
    """an output must be the sum of at most 65536 products, of 32768 where the weights have a zero point"""
    weights = op.inputs[1].type
    count = weights.size // weights.shape[0]
    return f"{count}" if count > 1 << (15 if weights_zero(op.inputs[1]) else 16) else None


@rule("int8, one zero point", "quantize the weights symmetrically, as int8")
def one_zero_point(op: Op) -> str | None:
    """weights must be int8 with one zero point"""
    weights = op.inputs[1].type
    if weights.dtype is not DType.I8:
        return f"they are {weights.dtype.numpy_name}"
    zeros = set(weights.quant.zero_point) if weights.quant else {0}
    return f"zero points are {min(zeros)} to {max(zeros)}" if len(zeros) > 1 else None


@rule("axis of the output channels", "quantize the weights per tensor or per output channel")
def output_channel_scales(op: Op) -> str | None:
    """the weights' scales must be per tensor or per output channel"""
    quant = op.inputs[1].type.quant
    if quant is None or quant.axis in (None, 0):
        return None
    return f"they lie along axis {quant.axis}"


def weights_zero(weights: Op) -> int:
    """The zero point of weights that have one."""
    return weights.type.quant.zero_point[0] if weights.type.quant else 0


def quantized_weights(unit: Unit) -> Op:
    """The weights as int8: with zero point 0 where that holds them, else with the one that they have.

    As int16 with zero point 0 when they have several.
    """
    second = unit.inputs[1] if len(unit.inputs) > 1 else None
    if second is not None and second.kind == "onnx" and second.attrs.op_type == "DequantizeLinear":
        raise refuse("weights_not_quantized", "the weights must be a quantized constant",
                     second.inputs[0].type.form or "not in int8", "int8", "quantize the weights as int8")  # fmt: skip
    if second is not None and second.kind != "const":
        raise refuse("computed_weights", "the weights must be constant", f"`{second.name}` is computed",
                     "constant weights",
                     "store the weights as an initializer, or write the product as MatMul")  # fmt: skip
    weights = unit.constant(1)
    quant = None if weights is None else weights.type.quant
    if weights is None or quant is None:
        raise refuse("weights_not_quantized", "the weights must be a quantized constant", "float32", "int8",
                     "quantize the weights (QDQ form)")  # fmt: skip
    if not weights.type.dtype.quantized or not any(quant.zero_point):
        return weights
    shape = [1] * len(weights.type.shape)
    if quant.axis is not None:
        shape[quant.axis] = -1
    centred = weights.value.astype(np.int16) - np.reshape(quant.zero_point, shape).astype(np.int16)
    value: Array
    if ((centred >= -128) & (centred <= 127)).all():
        value, zero = centred.astype(np.int8), 0
    elif len(set(quant.zero_point)) == 1:
        offset = 128 if weights.type.dtype is DType.U8 else 0
        value, zero = (weights.value.astype(np.int16) - offset).astype(np.int8), quant.zero_point[0] - offset
    elif np.abs(centred).max() <= nine_bits.MOST:
        value, zero = centred, 0
    else:
        return weights
    return const(
        f"{unit.name}:centred", value, Quant(quant.scale, (zero,) * len(quant.scale), quant.axis), weights.node
    )


def is_wide(unit: Unit, weights: Op) -> bool:
    """Whether the weights are those of nine bits that ``quantized_weights`` made."""
    return weights.type.dtype is DType.I16 and weights is not unit.inputs[1]


def quantized_bias(
    unit: Unit, index: int, x: Op, weights: Op, channels: int, alpha: float = 1.0, beta: float = 1.0
) -> Op:
    """beta * bias as int32 at scale s_x * s_w * alpha, to which a float bias is rounded; zeros when it is left out."""
    bias = unit.constant(index)
    if bias is None or bias.kind == "absent":
        return const(f"{unit.name}:bias", np.zeros(channels, np.int32))
    if bias.type.size not in (1, channels):
        raise refuse("bias_shape", "the bias must have one value for each output channel",
                     f"shape {bias.type.shape}", channels, "add it with an Add")  # fmt: skip
    scales = np.float32(x.type.scale) * channel_scales(weights.type.quant, channels) * np.float32(alpha)
    value = np.broadcast_to(bias.value.reshape(-1), (channels,))
    if bias.type.dtype is not DType.I32 or beta != 1.0:
        real = value if bias.type.quant is None else value * channel_scales(bias.type.quant, channels)
        value = np.clip(np.rint(real * np.float32(beta) / scales).astype(np.float64), -(2**31), 2**31 - 1)
    return const(f"{unit.name}:bias", value.astype(np.int32))


def build_conv(unit: Unit) -> Op:
    """A Conv with constant int8 weights."""
    x, weights = unit.x(), quantized_weights(unit)
    wide, rank = is_wide(unit, weights), len(x.type.shape)
    if rank not in (3, 4):
        raise refuse("spatial_axes", "convolutions must have one or two spatial axes", rank - 2, 2,
                     "write it with two spatial axes")  # fmt: skip
    if rank == 3:
        weights = replace(weights, data=weights.value[:, :, None, :], name=f"{weights.name}:2d")
        weights = replace(weights, type=replace(weights.type, shape=weights.value.shape))
    box = window(unit.node, x.type.shape, weights.type.shape[2:])
    if wide:
        axis = 2 if rank == 4 and box.dilations[0] == 1 else 1
        box = nine_bits.rows_twice(box) if axis == 2 else box
        x, weights = nine_bits.twice(x, axis, unit.name, unit.node.name), nine_bits.halves(weights, axis)
    group = unit.node.int("group", 1)
    attrs = Conv(box.kernel, box.strides, box.dilations, box.pads, group, unit.lo, unit.hi, in_float32(unit))
    bias = quantized_bias(unit, 2, x, weights, weights.type.shape[0])
    return unit.op("conv2d", (x, weights, bias), attrs)


def lower_conv(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Weights are packed channels-last; one group a channel is the depthwise instruction."""
    x, weights, bias = inputs[0], op.inputs[1], op.inputs[2]
    attrs: Conv = op.attrs
    channels = nhwc(op.inputs[0].type.shape)[3]
    depthwise = attrs.group == channels and weights.type.shape[1] == 1 and attrs.group > 1
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    packed = np.ascontiguousarray(np.transpose(weights.value, order))
    packed = packed[0] if depthwise else packed
    out = lowlevel.Conv(attrs.kernel_shape, attrs.strides, attrs.dilations, attrs.pads, attrs.group, attrs.lo, attrs.hi,
                        weights_zero(weights))  # fmt: skip
    kind = "depthwise_conv2d" if depthwise else "conv2d"
    return low(kind, (x, *parameters(op, packed, weights, bias, 1.0)), out, nhwc(op.type.shape), op)


def parameters(op: Op, packed: Array, weights: Op, bias: Op, alpha: float) -> tuple[Op, Op, Op]:
    """The constants that the instruction reads: weights, bias, multipliers."""
    scales = channel_scales(weights.type.quant, bias.type.size)
    factors = multiplier(op.inputs[0].type.scale, scales, op.type.scale, alpha)
    if op.attrs.in_float32:  # the nearest multiplier comes closest
        exact = scales.astype(np.float64) * op.inputs[0].type.scale * alpha / op.type.scale
        factors = exact.astype(np.float32)
    return (
        const(f"{op.name}:weights", packed, node=op.node),
        const(f"{op.name}:bias", bias.value, node=op.node),
        const(f"{op.name}:multipliers", factors, node=op.node),
    )


def in_float32(unit: Unit, gemm: bool = False) -> bool:
    """Whether ONNX Runtime computes this product in float32 (see PARITY); it has an int8 kernel for Gemm only."""
    types = {unit.x().type.dtype, unit.out.dtype}
    integer = len(types) == 1 if gemm else types == {DType.U8}
    return not unit.integer_kernel and (unit.clamped or not integer)


conv2d = OpDef(
    name="conv2d", onnx=("Conv",), build=build_conv, lower=lower_conv, parity=PARITY,
    rules=(four_axes, groups, dilation, padding_below_kernel, window_size, products, one_zero_point,
           output_channel_scales),
)  # fmt: skip
ROWS = (conv2d,)
