"""PRelu with a slope for each channel: a table for each channel."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.graph import Attrs, Op, const, real_values
from furiosa.compiler.ops.layout import affine, nhwc, table
from furiosa.compiler.ops.table import OpDef, Unit, refuse
from furiosa.isa import arithmetic


def build(unit: Unit) -> Op:
    """A PRelu with constant slopes, quantized or not: (x, slopes)."""
    x, slopes = unit.x(), unit.constant(1)
    if slopes is None:
        raise refuse("computed_operand", "the slopes of PRelu must be constant", "computed", "a constant",
                     "store the slopes as an initializer")  # fmt: skip
    values = real_values(slopes)
    rank, channels = len(x.type.shape), nhwc(x.type.shape)[3]
    shape = (1,) * (rank - values.ndim) + values.shape
    if len(shape) > rank or any(size != 1 for axis, size in enumerate(shape) if axis != min(1, rank - 1)):
        raise refuse("slope_per_channel", "PRelu must have one slope, or one for each channel",
                     f"slopes of shape {values.shape}", f"{channels} channels",
                     "use a slope for each channel")  # fmt: skip
    each = np.broadcast_to(values.reshape(-1).astype(np.float32), (channels,))
    return unit.op("prelu", (x, const(f"{unit.name}:slopes", each)), Attrs())


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One table for each channel."""
    source = op.inputs[0].type
    rows = [arithmetic.table("leaky_relu", *affine(source), *affine(op.type), alpha=float(slope))
            for slope in op.inputs[1].value]  # fmt: skip
    return table(inputs[0], np.stack(rows), op)


ROWS = (OpDef("prelu", ("PRelu",), build, lower, turns=True),)
