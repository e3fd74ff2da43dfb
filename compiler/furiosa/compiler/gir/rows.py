"""The table of low-level kinds."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from furiosa.compiler.gir.boxes import Axis, Between, Four, Reads, all_of, same
from furiosa.compiler.gir.row import Parameter, Row, Tile, four
from furiosa.compiler.graph import Op, TensorType
from furiosa.compiler.lowlevel import (
    AddPool,
    Binary,
    Conv,
    GlobalPool,
    Interpolate,
    MatMul,
    Pad,
    Pool,
    Slice,
    Softmax,
    Sum,
    Transpose,
)
from furiosa.isa import instructions as isa
from furiosa.isa.arithmetic import Coordinates
from furiosa.isa.instructions import Activation, CopyKind, Instruction, View


def _activation(type: TensorType) -> Activation:
    return Activation.of(type.dtype)


def _windows(op: Op, channels: Axis) -> tuple[Reads, ...]:
    attrs: Conv | Pool | AddPool = op.attrs
    n, h, w, _ = four(op.inputs[0])
    (kh, kw), (sh, sw), (dh, dw) = attrs.kernel, attrs.strides, attrs.dilations
    top, left = attrs.pads[:2]
    return ((
        Axis(0, n), Axis(1, h, reach=(kh - 1) * dh + 1, step=sh, shift=top),
        Axis(2, w, reach=(kw - 1) * dw + 1, step=sw, shift=left), channels,
    ),)  # fmt: skip


def _pads(tile: Tile) -> tuple[int, int]:
    """Rows and columns of padding before the first of the tile's input."""
    attrs: Conv | Pool | AddPool = tile.op.attrs
    (_, p, q, _), (_, r, c, _) = tile.box.start, tile.inputs[0].start
    return r - (p * attrs.strides[0] - attrs.pads[0]), c - (q * attrs.strides[1] - attrs.pads[1])


def _conv_reads(op: Op) -> tuple[Reads, ...]:
    channels, groups = op.inputs[0].type.shape[3], op.attrs.groups
    if groups == 1:
        return _windows(op, all_of(3, channels))
    each = channels // groups
    return _windows(op, Axis(3, channels, reach=each, step=each, grain=_conv_grain(op)))


def _conv_grain(op: Op) -> int:
    groups: int = op.attrs.groups
    return op.type.shape[3] // groups if groups > 1 else 1


def _conv_params(op: Op) -> tuple[Parameter, ...]:
    _, weights, bias, multipliers = op.inputs
    channels = op.type.shape[3]
    return (Parameter(weights, weights.type.size, weights.type.size // channels),
            Parameter(bias, 4 * channels, 4), _multipliers(multipliers, channels))  # fmt: skip


def _multipliers(multipliers: Op, channels: int) -> Parameter:
    each = 4 * multipliers.type.size // channels
    return Parameter(multipliers, each * channels, each)


def _depthwise_reads(op: Op) -> tuple[Reads, ...]:
    return _windows(op, Axis(3, op.inputs[0].type.shape[3], grain=_depthwise_grain(op)))


def _depthwise_grain(op: Op) -> int:
    return op.type.shape[3] // op.inputs[0].type.shape[3]


def _depthwise_params(op: Op) -> tuple[Parameter, ...]:
    _, weights, bias, multipliers = op.inputs
    channels = op.type.shape[3]
    return (Parameter(weights, weights.type.size, 1, op.attrs.kernel),
            Parameter(bias, 4 * channels, 4), _multipliers(multipliers, channels))  # fmt: skip


def _convolution(cls: type[isa.Conv2d] | type[isa.DepthwiseConv2d], tile: Tile) -> tuple[Instruction, ...]:
    op, x, y = tile.op, tile.x, tile.y
    attrs: Conv = op.attrs
    source = op.inputs[0].type
    groups = 1 if attrs.groups == 1 else x.shape[3] // (source.shape[3] // attrs.groups)
    weights, bias, multipliers = tile.params
    own: dict[str, Any] = {"rounding": attrs.rounding} if cls is isa.Conv2d else {}
    return (cls(
        x=x, y=y, weights=weights, bias=bias, multipliers=multipliers, kernel=attrs.kernel, strides=attrs.strides,
        dilations=attrs.dilations, pads=_pads(tile), groups=groups, x_type=_activation(source),
        y_type=_activation(op.type), x_zero=source.zero, y_zero=op.type.zero, lo=attrs.lo, hi=attrs.hi,
        w_zero=attrs.w_zero, **own,
    ),)  # fmt: skip


def _matmul_reads(op: Op) -> tuple[Reads, ...]:
    (an, ah, w, k), (bn, bh, _, c) = four(op.inputs[0]), four(op.inputs[1])
    return ((_spreading(op, 0, an), _spreading(op, 1, ah), Axis(2, w), all_of(3, k)),
            (_spreading(op, 0, bn), _spreading(op, 1, bh), all_of(2, k), Axis(3, c)))  # fmt: skip


def _matmul(tile: Tile) -> tuple[Instruction, ...]:
    attrs: MatMul = tile.op.attrs
    a, b, y = tile.op.inputs[0].type, tile.op.inputs[1].type, tile.op.type
    n, h, w, c = tile.y.shape
    depth = tile.operand(0).shape[3]
    return (isa.MatMul(
        a=_spread(tile.operand(0), (n, h, w, depth)), b=_spread(tile.operand(1), (n, h, depth, c)), y=tile.y,
        a_type=_activation(a), b_type=_activation(b), y_type=_activation(y), a_zero=a.zero, b_zero=b.zero,
        y_zero=y.zero, multiplier=attrs.multiplier, lo=attrs.lo, hi=attrs.hi,
    ),)  # fmt: skip


def _pool_reads(op: Op) -> tuple[Reads, ...]:
    return _windows(op, Axis(3, op.inputs[0].type.shape[3]))


def _max_pool(tile: Tile) -> tuple[Instruction, ...]:
    attrs: Pool = tile.op.attrs
    return (isa.MaxPool2d(
        x=tile.x, y=tile.y, kernel=attrs.kernel, strides=attrs.strides, dilations=attrs.dilations, pads=_pads(tile),
        type=_activation(tile.op.type),
    ),)  # fmt: skip


def _counted(tile: Tile) -> Four:
    """The rows and columns that count in a mean, seen from the tile's input."""
    attrs: Pool | AddPool = tile.op.attrs
    _, h, w, _ = tile.op.inputs[0].type.shape
    top, left, bottom, right = attrs.pads if attrs.include_pad else (0, 0, 0, 0)
    _, row, column, _ = tile.inputs[0].start
    return -top - row, -left - column, h + bottom - row, w + right - column


def _average_pool(tile: Tile) -> tuple[Instruction, ...]:
    attrs: Pool = tile.op.attrs
    return (isa.AveragePool2d(
        x=tile.x, y=tile.y, kernel=attrs.kernel, strides=attrs.strides, dilations=attrs.dilations, pads=_pads(tile),
        counted=_counted(tile), framework=attrs.framework, **_scaled(tile.op),
    ),)  # fmt: skip


def _add_pool_reads(op: Op) -> tuple[Reads, ...]:
    return _pool_reads(op) * 2


def _add_average_pool(tile: Tile) -> tuple[Instruction, ...]:
    attrs: AddPool = tile.op.attrs
    a, b, y = tile.op.inputs[0].type, tile.op.inputs[1].type, tile.op.type
    return (isa.AddAveragePool2d(
        a=tile.operand(0), b=tile.operand(1), y=tile.y, kernel=attrs.kernel, strides=attrs.strides,
        dilations=attrs.dilations, pads=_pads(tile), counted=_counted(tile), a_type=_activation(a),
        b_type=_activation(b), y_type=_activation(y), a_scale=a.scale, a_zero=a.zero, b_scale=b.scale, b_zero=b.zero,
        y_scale=y.scale, y_zero=y.zero, floor=attrs.floor,
    ),)  # fmt: skip


def _interpolate_reads(op: Op) -> tuple[Reads, ...]:
    attrs: Interpolate = op.attrs
    n, h, w, c = four(op.inputs[0])
    rows, columns = Coordinates(*attrs.rows), Coordinates(*attrs.columns)
    return ((Axis(0, n), Between(1, h, rows), Between(2, w, columns), Axis(3, c)),)


def _interpolate(tile: Tile) -> tuple[Instruction, ...]:
    attrs: Interpolate = tile.op.attrs
    _, h, w, _ = four(tile.op.inputs[0])
    row, column = (
        {f"{side}_{name}": value for name, value in Coordinates(*at)._asdict().items()}
        for side, at in (("row", attrs.rows), ("column", attrs.columns))
    )
    return (isa.Interpolate(
        x=tile.x, y=tile.y, extents=(h, w), x_start=tile.inputs[0].start[1:3], y_start=tile.box.start[1:3], **row,
        **column, framework=attrs.framework, **_scaled(tile.op),
    ),)  # fmt: skip


def _scaled(op: Op) -> dict[str, Any]:
    """Operands of the instructions from one quantized tensor to another."""
    x, y = op.inputs[0].type, op.type
    return {"x_type": _activation(x), "y_type": _activation(y), "x_scale": x.scale, "x_zero": x.zero,
            "y_scale": y.scale, "y_zero": y.zero}  # fmt: skip


def _global_reads(op: Op) -> tuple[Reads, ...]:
    n, h, w, c = four(op.inputs[0])
    return ((Axis(0, n), all_of(1, h), all_of(2, w), Axis(3, c)),)


def _global_average_pool(tile: Tile) -> tuple[Instruction, ...]:
    attrs: GlobalPool = tile.op.attrs
    (image, _, _, channel), channels = tile.box.start, tile.op.type.shape[3]
    rows = ((image * channels + channel) % 4, channels % 4) if attrs.summation is isa.Summation.VECTORS else (0, 0)
    return (isa.GlobalAveragePool(
        x=tile.x, y=tile.y, divisor=attrs.divisor, summation=attrs.summation, rows=rows, **_scaled(tile.op),
    ),)  # fmt: skip


def _softmax_reads(op: Op) -> tuple[Reads, ...]:
    n, h, w, c = four(op)
    return ((Axis(0, n), Axis(1, h), Axis(2, w), all_of(3, c)),)


def _softmax(tile: Tile) -> tuple[Instruction, ...]:
    attrs: Softmax = tile.op.attrs
    fields = _scaled(tile.op)
    fields["x_scale"] = float(np.float32(fields["x_scale"]) * np.float32(attrs.beta))
    return (isa.Softmax(x=tile.x, y=tile.y, framework=attrs.framework, **fields),)


def _norm_reads(op: Op) -> tuple[Reads, ...]:
    return _softmax_reads(op.inputs[0])


def _norm(cls: type[isa.ReduceL2] | type[isa.L2Normalize], tile: Tile) -> tuple[Instruction, ...]:
    return (cls(x=tile.x, y=tile.y, **_scaled(tile.op)),)


def _broadcast_reads(op: Op) -> tuple[Reads, ...]:
    return tuple(
        (_spreading(op, 0, n), _spreading(op, 1, h), _spreading(op, 2, w), _spreading(op, 3, c))
        for n, h, w, c in map(four, op.inputs)
    )


def _spreading(op: Op, axis: int, extent: int) -> Axis:
    """An axis of an input that has one element where the output has more, or as many as the output."""
    return Axis(axis, extent) if extent == op.type.shape[axis] else all_of(axis, 1)


def _spread(view: View, shape: Four) -> View:
    """The view repeated over ``shape`` on the axes where it has one element."""
    n, h, w, c = (0 if have == 1 < want else stride for have, want, stride in zip(view.shape, shape, view.strides))
    return View(view.address, shape, (n, h, w, c))


def _binary(cls: type[isa.Add] | type[isa.Sub] | type[isa.Mul], tile: Tile) -> tuple[Instruction, ...]:
    attrs: Binary = tile.op.attrs
    a, b, y = tile.op.inputs[0].type, tile.op.inputs[1].type, tile.op.type
    shape = tile.y.shape
    return (cls(
        a=_spread(tile.operand(0), shape), b=_spread(tile.operand(1), shape), y=tile.y, a_type=_activation(a),
        b_type=_activation(b), y_type=_activation(y), a_scale=a.scale * attrs.factor, a_zero=a.zero,
        b_scale=b.scale * attrs.factor, b_zero=b.zero, y_scale=y.scale, y_zero=y.zero, form=attrs.form, lo=attrs.lo,
        hi=attrs.hi,
    ),)  # fmt: skip


def _sum_reads(op: Op) -> tuple[Reads, ...]:
    n, h, w, c = four(op.inputs[0])
    return ((all_of(0, n), Axis(1, h), Axis(2, w), Axis(3, c)),)


def _sum_params(op: Op) -> tuple[Parameter, ...]:
    _, scales, zeros = op.inputs
    return Parameter(scales, 4 * scales.type.size, 0), Parameter(zeros, zeros.type.size, 0)


def _sum(tile: Tile) -> tuple[Instruction, ...]:
    attrs: Sum = tile.op.attrs
    x, y = tile.op.inputs[0].type, tile.op.type
    scales, zeros = tile.params
    return (isa.Sum(
        x=tile.x, y=tile.y, count=tile.op.inputs[1].type.size, scales=scales, zeros=zeros, x_type=_activation(x),
        y_type=_activation(y), y_scale=y.scale, y_zero=y.zero, factor=attrs.factor, lo=attrs.lo, hi=attrs.hi,
    ),)  # fmt: skip


def _same_reads(op: Op) -> tuple[Reads, ...]:
    return (same(four(op)),)


def _table_params(op: Op) -> tuple[Parameter, ...]:
    table = op.inputs[1]
    shared = table.type.shape[0] == 1
    return (Parameter(table, table.type.size, 0 if shared else 256),)


def _table(tile: Tile) -> tuple[Instruction, ...]:
    tables = 1 if tile.op.inputs[1].type.shape[0] == 1 else tile.y.shape[3]
    return (isa.Table(x=tile.x, y=tile.y, table=tile.params[0], tables=tables),)


def _copy(kind: CopyKind, dst: View, src: int, strides: Four) -> isa.Copy:
    return isa.Copy(
        dst=dst.address, dst_strides=(0, 0, *dst.strides), src=src, src_strides=(0, 0, *strides),
        shape=(1, 1, *dst.shape), kind=kind,
    )  # fmt: skip


def plain_copy(kind: CopyKind, tile: Tile) -> tuple[Instruction, ...]:
    """Move a box as it is."""
    return (_copy(kind, tile.y, tile.x.address, tile.x.strides),)


def _slice_reads(op: Op) -> tuple[Reads, ...]:
    attrs: Slice = op.attrs
    n, h, w, c = (
        Axis(i, extent, step=attrs.steps[i], shift=-attrs.start[i]) for i, extent in enumerate(four(op.inputs[0]))
    )
    return ((n, h, w, c),)


def _slice(tile: Tile) -> tuple[Instruction, ...]:
    n, h, w, c = (stride * step for stride, step in zip(tile.x.strides, tile.op.attrs.steps))
    return (_copy(CopyKind.SLICE, tile.y, tile.x.address, (n, h, w, c)),)


def _transpose_reads(op: Op) -> tuple[Reads, ...]:
    attrs: Transpose = op.attrs
    n, h, w, c = (Axis(attrs.perm.index(i), extent) for i, extent in enumerate(four(op.inputs[0])))
    return ((n, h, w, c),)


def _transpose(tile: Tile) -> tuple[Instruction, ...]:
    n, h, w, c = (tile.x.strides[axis] for axis in tile.op.attrs.perm)
    return (_copy(CopyKind.TRANSPOSE, tile.y, tile.x.address, (n, h, w, c)),)


def _expand(tile: Tile) -> tuple[Instruction, ...]:
    spread = _spread(tile.x, tile.y.shape)
    return (_copy(CopyKind.EXPAND, tile.y, spread.address, spread.strides),)


def _pad_reads(op: Op) -> tuple[Reads, ...]:
    attrs: Pad = op.attrs
    n, h, w, c = (Axis(i, extent, shift=attrs.before[i]) for i, extent in enumerate(four(op.inputs[0])))
    return ((n, h, w, c),)


def _pad(tile: Tile) -> tuple[Instruction, ...]:
    attrs: Pad = tile.op.attrs
    fill = isa.Fill(y=tile.y, value=attrs.value)
    x = tile.xs[0]
    if x is None:
        return (fill,)
    at = tile.y.address
    for axis in range(4):
        at += (tile.inputs[0].start[axis] + attrs.before[axis] - tile.box.start[axis]) * tile.y.strides[axis]
    copy = _copy(CopyKind.PAD, View(at, x.shape, tile.y.strides), x.address, x.strides)
    return (copy,) if x.shape == tile.y.shape else (fill, copy)


COPY = Row("NHWC", _same_reads, partial(plain_copy, CopyKind.RESHAPE))
CONCAT = Row("NHWC", _same_reads, partial(plain_copy, CopyKind.CONCAT))

ROWS: dict[str, Row] = {
    "npu.conv2d": Row(
        "NHWC", _conv_reads, partial(_convolution, isa.Conv2d), _conv_params, _conv_grain, windowed=True
    ),
    "npu.depthwise_conv2d": Row(
        "NHWC", _depthwise_reads, partial(_convolution, isa.DepthwiseConv2d), _depthwise_params, _depthwise_grain,
        windowed=True,
    ),
    "npu.matmul": Row("NHWC", _matmul_reads, _matmul),
    "npu.max_pool2d": Row("NHWC", _pool_reads, _max_pool, windowed=True),
    "npu.average_pool2d": Row("NHWC", _pool_reads, _average_pool, windowed=True),
    "npu.global_average_pool": Row("NC", _global_reads, _global_average_pool),
    "npu.add_average_pool2d": Row("NHWC", _add_pool_reads, _add_average_pool, windowed=True),
    "npu.interpolate": Row("NHWC", _interpolate_reads, _interpolate, windowed=True),
    "npu.add": Row("NHWC", _broadcast_reads, partial(_binary, isa.Add)),
    "npu.sub": Row("NHWC", _broadcast_reads, partial(_binary, isa.Sub)),
    "npu.mul": Row("NHWC", _broadcast_reads, partial(_binary, isa.Mul)),
    "npu.sum": Row("HWC", _sum_reads, _sum, _sum_params),
    "npu.table": Row("NHWC", _same_reads, _table, _table_params),
    "npu.softmax": Row("NHW", _softmax_reads, _softmax),
    "npu.reduce_l2": Row("NHW", _norm_reads, partial(_norm, isa.ReduceL2)),
    "npu.l2_normalize": Row("NHW", _norm_reads, partial(_norm, isa.L2Normalize)),
    "npu.slice": Row("NHWC", _slice_reads, _slice, scattered=True),
    "npu.transpose": Row("NHWC", _transpose_reads, _transpose, scattered=True),
    "npu.expand": Row("NHWC", _broadcast_reads, _expand),
    "npu.pad": Row("NHWC", _pad_reads, _pad),
}  # fmt: skip
"""``npu.view`` and ``npu.concat`` are missing: they only say where tensors lie, see ``jobs``."""
