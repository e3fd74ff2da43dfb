"""Convolutions and matrix products with constant weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, Quant, const
from furiosa.compiler.ops.layout import channel_scales, low, nhwc, transpose
from furiosa.compiler.ops.table import Node, OpDef, Unit, four_axes, refuse, rule
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


@dataclass(frozen=True, slots=True)
class MatMul(Attrs):
    """Of ``matmul``: y = x @ w.T * alpha + bias over the last axis of x, clamped to [lo, hi]; w is const i8 [M, K].

    ``in_float32`` as in Conv.
    """

    lo: int
    hi: int
    in_float32: bool
    alpha: float = 1.0


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


@rule(1 << 16, "split the input channels over several operators")
def products(op: Op) -> str | None:
    """an output must be the sum of at most 65536 products"""
    weights = op.inputs[1].type
    count = weights.size // weights.shape[0]
    return f"{count}" if count > 1 << 16 else None


@rule("int8 around 0", "quantize the weights symmetrically, as int8")
def symmetric_weights(op: Op) -> str | None:
    """weights must be int8 with zero point 0"""
    weights = op.inputs[1].type
    if weights.dtype is not DType.I8:
        return f"they are {weights.dtype.numpy_name}"
    zeros = weights.quant.zero_point if weights.quant else (0,)
    return f"a zero point is {next(z for z in zeros if z)}" if any(zeros) else None


@rule("axis of the output channels", "quantize the weights per tensor or per output channel")
def output_channel_scales(op: Op) -> str | None:
    """the weights' scales must be per tensor or per output channel"""
    quant = op.inputs[1].type.quant
    if quant is None or quant.axis in (None, 0):
        return None
    return f"they lie along axis {quant.axis}"


def quantized_weights(unit: Unit) -> Op:
    """The weights; as int8 with zero point 0 wherever their values fit into it."""
    second = unit.inputs[1] if len(unit.inputs) > 1 else None
    if second is not None and second.kind != "const":
        raise refuse("computed_weights", "products of two computed tensors are not accelerated",
                     f"`{second.name}` is computed", "constant weights",
                     "keep it on the CPU, or use a network without such products (attention)")  # fmt: skip
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
    if centred.size == 0 or centred.min() < -128 or centred.max() > 127:
        return weights
    symmetric = Quant(quant.scale, (0,) * len(quant.scale), quant.axis)
    return const(f"{unit.name}:centred", centred.astype(np.int8), symmetric, weights.node)


def quantized_bias(unit: Unit, index: int, x: Op, weights: Op, channels: int, alpha: float = 1.0) -> Op:
    """The bias as int32 at scale s_x * s_w * alpha; zeros when left out. A float bias is rounded to it."""
    bias = unit.constant(index)
    if bias is None or bias.kind == "absent":
        return const(f"{unit.name}:bias", np.zeros(channels, np.int32))
    if bias.type.size not in (1, channels):
        raise refuse("bias_shape", "the bias must have one value for each output channel",
                     f"shape {bias.type.shape}", channels, "add it with an Add")  # fmt: skip
    scales = np.float32(x.type.scale) * channel_scales(weights.type.quant, channels) * np.float32(alpha)
    value = np.broadcast_to(bias.value.reshape(-1), (channels,))
    if bias.type.dtype is not DType.I32:
        value = np.clip(np.rint(value / scales).astype(np.float64), -(2**31), 2**31 - 1)
    return const(f"{unit.name}:bias", value.astype(np.int32))


def build_conv(unit: Unit) -> Op:
    """A Conv with constant int8 weights."""
    x, weights = unit.x(), quantized_weights(unit)
    rank = len(x.type.shape)
    if rank not in (3, 4):
        raise refuse("spatial_axes", "convolutions must have one or two spatial axes", rank - 2, 2,
                     "write it with two spatial axes")  # fmt: skip
    if rank == 3:
        weights = replace(weights, data=weights.value[:, :, None, :], name=f"{weights.name}:2d")
        weights = replace(weights, type=replace(weights.type, shape=weights.value.shape))
    box = window(unit.node, x.type.shape, weights.type.shape[2:])
    group = unit.node.int("group", 1)
    attrs = Conv(box.kernel, box.strides, box.dilations, box.pads, group, unit.lo, unit.hi, _in_float32(unit))
    bias = quantized_bias(unit, 2, x, weights, weights.type.shape[0])
    return unit.op("conv2d", (x, weights, bias), attrs)


def build_matmul(unit: Unit) -> Op:
    """A Gemm or MatMul with constant int8 weights."""
    x, weights = unit.x(), quantized_weights(unit)
    if weights.type.size == 0 or len(weights.type.shape) != 2:
        raise refuse("weights_rank", "the weights of a matrix product must have two axes",
                     len(weights.type.shape), 2, "split the operator, or flatten the weights")  # fmt: skip
    alpha = _gemm_factors(unit.node)
    if unit.node.op_type == "MatMul" or not unit.node.int("transB", 0):
        quant = weights.type.quant
        if quant is not None and quant.axis is not None:
            quant = replace(quant, axis=1 - quant.axis)
        weights = const(f"{weights.name}:transposed", weights.value.T, quant)
    bias = quantized_bias(unit, 2, x, weights, weights.type.shape[0], alpha)
    gemm = unit.node.op_type == "Gemm" or unit.constant(2) is not None
    return unit.op("matmul", (x, weights, bias), MatMul(unit.lo, unit.hi, _in_float32(unit, gemm), alpha))


def _gemm_factors(node: Node) -> float:
    if node.op_type != "Gemm":
        return 1.0
    if node.int("transA", 0):
        raise refuse("trans_a", "the first operand of Gemm must not be transposed", "transA = 1", "transA = 0",
                     "put a Transpose before it")  # fmt: skip
    if node.float("beta", 1.0) != 1.0:
        raise refuse("beta", "beta of Gemm must be 1", node.float("beta", 1.0), 1, "scale the bias")
    return node.float("alpha", 1.0)


def lower_conv(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Weights are packed channels-last; one group a channel is the depthwise instruction."""
    x, weights, bias = inputs[0], op.inputs[1], op.inputs[2]
    attrs: Conv = op.attrs
    channels = nhwc(op.inputs[0].type.shape)[3]
    depthwise = attrs.group == channels and weights.type.shape[1] == 1 and attrs.group > 1
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    packed = np.ascontiguousarray(np.transpose(weights.value, order))
    packed = packed[0] if depthwise else packed
    out = lowlevel.Conv(attrs.kernel_shape, attrs.strides, attrs.dilations, attrs.pads, attrs.group, attrs.lo, attrs.hi)
    kind = "depthwise_conv2d" if depthwise else "conv2d"
    return low(kind, (x, *_parameters(op, packed, weights, bias, 1.0)), out, nhwc(op.type.shape), op)


def lower_matmul(op: Op, inputs: tuple[Op, ...]) -> Op:
    """A 1x1 convolution; the reduced axis, which is the last, must lie where the channels are."""
    x, weights, bias = inputs[0], op.inputs[1], op.inputs[2]
    rank = len(op.type.shape)
    packed = weights.value[:, None, None, :]
    attrs = lowlevel.Conv((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, op.attrs.lo, op.attrs.hi)
    parameters = _parameters(op, packed, weights, bias, op.attrs.alpha)
    if rank <= 2:
        return low("conv2d", (x, *parameters), attrs, nhwc(op.type.shape), op)
    turned = transpose(x, (0, 1, 3, 2), op, ":rows")
    n, h, s, _ = turned.type.shape
    product = low("conv2d", (turned, *parameters), attrs, (n, h, s, weights.type.shape[0]), op, ":product")
    return transpose(product, (0, 1, 3, 2), op, "")


def _parameters(op: Op, packed: Array, weights: Op, bias: Op, alpha: float) -> tuple[Op, Op, Op]:
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


def _in_float32(unit: Unit, gemm: bool = False) -> bool:
    """Whether ONNX Runtime computes this product in float32 (see PARITY); it has an int8 kernel for Gemm only."""
    types = {unit.x().type.dtype, unit.out.dtype}
    integer = len(types) == 1 if gemm else types == {DType.U8}
    return not unit.integer_kernel and (unit.clamped or not integer)


conv2d = OpDef(
    name="conv2d", onnx=("Conv",), build=build_conv, lower=lower_conv, parity=PARITY,
    rules=(four_axes, groups, dilation, padding_below_kernel, window_size, products, symmetric_weights,
           output_channel_scales),
)  # fmt: skip
matmul = OpDef(
    name="matmul", onnx=("Gemm", "MatMul"), build=build_matmul, lower=lower_matmul, parity=PARITY,
    rules=(four_axes, products, symmetric_weights, output_channel_scales),
)  # fmt: skip
ROWS = (conv2d, matmul)
