"""Means and sums over axes of a tensor as LiteRT rounds them: a convolution with weights of one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op, const
from furiosa.compiler.ops.layout import low, nhwc, spatial_axis
from furiosa.compiler.ops.table import OpDef, four_axes, from_no_node, integer_range


@dataclass(frozen=True, slots=True)
class Mean(Attrs):
    """Of ``axes_mean``: the axes, which stay with one element; ``total``: the sum instead of the mean."""

    axes: tuple[int, ...]
    total: bool = False


def _count(op: Op) -> int:
    return prod(op.inputs[0].type.shape[axis] for axis in op.attrs.axes)


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """requantize(sum(x - z_x)) with the multiplier float32(s_x / s_y) / n, as XNNPACK computes it."""
    x, y = op.inputs[0].type, op.type
    axes = {spatial_axis(axis, len(x.shape)) for axis in op.attrs.axes}
    _, rows, columns, channels = nhwc(x.shape)
    kernel = (rows if 1 in axes else 1, columns if 2 in axes else 1)
    outputs = 1 if 3 in axes else channels
    alone = 3 in axes or channels == 1
    weights = (outputs, *kernel, channels) if alone else (*kernel, outputs)
    multiplier = np.float32(x.scale) / np.float32(y.scale) / np.float32(1 if op.attrs.total else _count(op))
    constants = (
        const(f"{op.name}:ones", np.ones(weights, np.int8), node=op.node),
        const(f"{op.name}:bias", np.zeros(outputs, np.int32), node=op.node),
        const(f"{op.name}:multipliers", np.full(outputs, multiplier, np.float32), node=op.node),
    )
    attrs = lowlevel.Conv(kernel, (1, 1), (1, 1), (0, 0, 0, 0), 1 if alone else channels, *integer_range(y.dtype))
    return low("conv2d" if alone else "depthwise_conv2d", (inputs[0], *constants), attrs, nhwc(y.shape), op)


ROWS = (OpDef("axes_mean", (), from_no_node, lower, rules=(four_axes,)),)
