"""ConvTranspose as a convolution whose outputs are the pixels of blocks.

With stride s, output s*q + r is the sum over t of input q - t times weight s*t + r: for each r a convolution of
ceil(k / s) taps. All together they are one convolution with s*s times the channels, and no product with a zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, const
from furiosa.compiler.ops import nine_bits
from furiosa.compiler.ops.blocks import channels_innermost, to_space
from furiosa.compiler.ops.conv import (
    dilation,
    groups,
    is_wide,
    one_zero_point,
    output_channel_scales,
    products,
    quantized_bias,
    quantized_weights,
    weights_zero,
)
from furiosa.compiler.ops.layout import channel_scales, low, nhwc
from furiosa.compiler.ops.table import Node, OpDef, Unit, four_axes, refuse, rule
from furiosa.compiler.ops.windows import window
from furiosa.isa.arithmetic import multiplier
from furiosa.isa.arithmetic.lite_tables import fixed_multiplier
from furiosa.isa.dtypes import DType
from furiosa.isa.instructions import Framework, Rounding

Two = tuple[int, int]
PARITY = "ONNX Runtime runs the operator in float32: the result may differ by one step at a rounding tie"


@dataclass(frozen=True, slots=True)
class ConvTranspose(Attrs):
    """Of ``conv_transpose2d`` of (x, weights, bias); weights are const [K, C / group, kh, kw]; clamped to [lo, hi].

    ``before``: rows and columns that are cut off in front of the result. ``framework`` says whose multipliers it has,
    ``rounding`` is FIXED where LiteRT's own kernel computes it.
    """

    kernel_shape: Two
    strides: Two
    dilations: Two
    before: Two
    group: int
    lo: int
    hi: int
    framework: Framework = Framework.ONNX
    rounding: Rounding = Rounding.FLOAT


@rule("less than the window", "cut with a Slice instead")
def cut_below_kernel(op: Op) -> str | None:
    """the padding of a ConvTranspose must be smaller than the window"""
    spans = [d * (k - 1) + 1 for k, d in zip(op.attrs.kernel_shape, op.attrs.dilations)]
    if all(cut < span for cut, span in zip(op.attrs.before, spans)):
        return None
    return f"padding {op.attrs.before} of windows of {spans[0]} x {spans[1]}"


def build(unit: Unit) -> Op:
    """A ConvTranspose with constant int8 weights."""
    x, weights, group = unit.x(), quantized_weights(unit), unit.node.int("group", 1)
    rank = len(x.type.shape)
    if rank not in (3, 4):
        raise refuse("spatial_axes", "convolutions must have one or two spatial axes", rank - 2, 2,
                     "write it with two spatial axes")  # fmt: skip
    if is_wide(unit, weights):
        x, weights = nine_bits.twice(x, 1, unit.name, unit.node.name), nine_bits.halves(weights, 0)
    weights = _output_major(weights, group, rank)
    box = window(unit.node, x.type.shape, weights.type.shape[2:])
    spans = [d * (k - 1) + 1 for k, d in zip(box.kernel, box.dilations)]
    full = [s * (n - 1) + span for s, n, span in zip(box.strides, nhwc(x.type.shape)[1:3], spans)]
    before = _before(unit.node, full, nhwc(unit.out.shape)[1:3])
    attrs = ConvTranspose(box.kernel, box.strides, box.dilations, before, group, unit.lo, unit.hi)
    bias = quantized_bias(unit, 2, x, weights, weights.type.shape[0])
    return unit.op("conv_transpose2d", (x, weights, bias), attrs)


def _output_major(weights: Op, group: int, rank: int) -> Op:
    """Weights (C, K / group, kh, kw) as (K, C / group, kh, kw), their scales along the outputs."""
    quant, value = weights.type.quant, weights.value
    value = value[:, :, None, :] if rank == 3 else value
    c, each, kh, kw = value.shape
    turned = value.reshape(group, c // group, each, kh, kw).swapaxes(1, 2).reshape(group * each, c // group, kh, kw)
    if quant is not None and quant.axis is not None:
        quant = replace(quant, axis=0, scale=quant.scale * group, zero_point=quant.zero_point * group) \
            if quant.axis == 1 else replace(quant, axis=1)  # fmt: skip
    return const(f"{weights.name}:outputs", np.ascontiguousarray(turned), quant, weights.node)


def _before(node: Node, full: list[int], out: Two) -> Two:
    """Rows and columns cut off in front: as given, or a half of what is too much."""
    mode = node.str("auto_pad", "NOTSET")
    if mode == "VALID" or (mode == "NOTSET" and not node.ints("output_shape")):
        pads = node.ints("pads") if mode == "NOTSET" else ()
        rows, columns = {0: (0, 0), 2: (0, *pads[:1]), 4: pads[:2]}[len(pads)]
        return rows, columns
    extra = node.ints("output_padding") or (0, 0)
    extra = extra if len(extra) == 2 else (0, *extra)
    total = [max(0, f + e - o) for f, e, o in zip(full, extra, out)]
    rows, columns = (t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in total)
    return rows, columns


@dataclass(frozen=True, slots=True)
class _Axis:
    """One spatial axis of the convolution: taps, padding, and what is cut from its blocks in front."""

    taps: int
    front: int
    back: int
    cut: int


def _axis(stride: int, span: int, before: int, size: int, out: int) -> _Axis:
    first = before // stride
    count = -(-(before - first * stride + out) // stride)
    back = count + first - size
    taps = max(-(-span // stride), back + 1)
    return _Axis(taps, taps - 1 - first, max(back, 0), before - first * stride)


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Convolution, blocks to pixels, and a cut at the borders."""
    attrs: ConvTranspose = op.attrs
    x, weights, bias = inputs[0], op.inputs[1], op.inputs[2]
    n, h, w, _ = nhwc(op.inputs[0].type.shape)
    _, rows, columns, outputs = nhwc(op.type.shape)
    spans = [d * (k - 1) + 1 for k, d in zip(attrs.kernel_shape, attrs.dilations)]
    vertical = _axis(attrs.strides[0], spans[0], attrs.before[0], h, rows)
    across = _axis(attrs.strides[1], spans[1], attrs.before[1], w, columns)
    blocks = attrs.strides[0] * attrs.strides[1]
    zero = weights_zero(weights)
    packed = _phases(weights.value, zero, attrs, (vertical.taps, across.taps))
    depthwise = attrs.group > 1 and weights.type.shape[1] == 1
    if depthwise:
        packed = np.ascontiguousarray(packed[..., 0].transpose(1, 2, 0))
    factors = _spread(_factors(op), attrs.group, blocks)
    parameters = (const(f"{op.name}:weights", packed, node=op.node),
                  const(f"{op.name}:bias", _spread(bias.value, attrs.group, blocks), node=op.node),
                  const(f"{op.name}:multipliers", factors, node=op.node))  # fmt: skip
    pads = (vertical.front, across.front, vertical.back, across.back)
    conv = lowlevel.Conv((vertical.taps, across.taps), (1, 1), (1, 1), pads, attrs.group, attrs.lo, attrs.hi,
                         zero, attrs.rounding)  # fmt: skip
    high = h + vertical.front + vertical.back - vertical.taps + 1
    wide = w + across.front + across.back - across.taps + 1
    kind = "depthwise_conv2d" if depthwise else "conv2d"
    y = low(kind, (x, *parameters), conv, (n, high, wide, blocks * outputs), op, ":blocks")
    if attrs.group > 1:
        y = channels_innermost(y, attrs.group, blocks, op, ":phases")
    y = to_space(y, attrs.strides, op, ":space")
    start = (0, vertical.cut, across.cut, 0)
    if y.type.shape == (n, rows, columns, outputs):
        return y
    return low("slice", (y,), lowlevel.Slice(start, (1, 1, 1, 1)), (n, rows, columns, outputs), op)


def _factors(op: Op) -> Array:
    """What sums are multiplied with: float32 [K], or rows of three int32 for rounding in fixed point."""
    attrs: ConvTranspose = op.attrs
    x, weights, y = op.inputs[0].type.scale, op.inputs[1].type, op.type.scale
    scales = channel_scales(weights.quant, weights.shape[0])
    if attrs.rounding is Rounding.FIXED:
        return _fixed(x, scales, y, op.type.dtype)
    if attrs.framework is Framework.ONNX:  # which computes in float32: the nearest multiplier comes closest
        return np.asarray((scales.astype(np.float64) * x / y).astype(np.float32))
    return multiplier(x, scales, y)


def _fixed(x: float, scales: Array, y: float, dtype: DType) -> Array:
    """Factor, exponent and direction of ties of each channel, as in LiteRT's TRANSPOSE_CONV.

    Its vectors round ties up: eight channels of int8 at a time. The channels that are left round away from zero. Of
    uint8, vectors take 16 elements of the whole result: ties among the last ones, where 16 is no divisor, differ.
    """
    products = scales.astype(np.float64) * x if dtype is DType.I8 else (scales * np.float32(x)).astype(np.float64)
    whole = len(scales) // 8 * 8 if dtype is DType.I8 else len(scales)
    rows = [(*fixed_multiplier(product / y), int(k >= whole)) for k, product in enumerate(products.tolist())]
    return np.array(rows, np.int32)


def _phases(weights: Array, zero: int, attrs: ConvTranspose, taps: Two) -> Array:
    """The weights of the convolution, [group * rows * columns * K / group][taps][taps][C / group]: tap u of phase r has
    weight s * (taps - 1 - u) + r.
    """
    (sh, sw), (dh, dw) = attrs.strides, attrs.dilations
    outputs, channels, kh, kw = weights.shape
    dense = np.full((outputs, channels, taps[0] * sh, taps[1] * sw), zero, np.int8)
    dense[:, :, : dh * (kh - 1) + 1 : dh, : dw * (kw - 1) + 1 : dw] = weights
    each = outputs // attrs.group
    phases = dense.reshape(attrs.group, each, channels, taps[0], sh, taps[1], sw)[:, :, :, ::-1, :, ::-1, :]
    ordered = phases.transpose(0, 4, 6, 1, 3, 5, 2)
    return np.ascontiguousarray(ordered.reshape(-1, taps[0], taps[1], channels))


def _spread(values: Array, group: int, blocks: int) -> Array:
    """The values of a channel for each pixel of a block, in the order of ``_phases``."""
    rest = values.shape[1:]
    grouped = np.broadcast_to(values.reshape(group, 1, -1, *rest), (group, blocks, values.shape[0] // group, *rest))
    return np.ascontiguousarray(grouped.reshape(-1, *rest))


ROWS = (
    OpDef("conv_transpose2d", ("ConvTranspose",), build, lower, parity=PARITY,
          rules=(four_axes, groups, dilation, cut_below_kernel, products, one_zero_point,
                 output_channel_scales)),
)  # fmt: skip
