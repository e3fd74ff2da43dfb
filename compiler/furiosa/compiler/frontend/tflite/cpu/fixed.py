"""LiteRT's own arithmetic on int8 tensors, in nodes of int64: factors of 31 bits and a shift, rounded after each."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu
from furiosa.compiler.graph import Op
from furiosa.isa.arithmetic import lite_tables
from furiosa.isa.dtypes import DType

_HALF = 1 << 30


def applies(cpu: Cpu, operands: int, dtypes: tuple[DType, ...] = (DType.I8,)) -> bool:
    """Whether the operands and the result are of one of these types, each with one scale."""
    to = cpu.site.result()
    types = [*(cpu.stored(index).type for index in range(operands)), to]
    return to.dtype in dtypes and all(
        t.dtype is to.dtype and t.quant is not None and t.quant.axis is None and t.quant.scale[0] > 0 for t in types
    )


def centred(cpu: Cpu, x: Op) -> Op:
    """Stored integers less their zero point, in int32."""
    zero = cpu.constant(np.int32(x.type.zero))
    return cpu.add("Sub", [cpu.cast(x, DType.I32), zero], x.type.shape, DType.I32)


def multiplied(cpu: Cpu, x: Op, ratio: float) -> Op:
    """``x`` times a positive number in fixed point, rounded half away from zero twice. int64"""
    integer, exponent = lite_tables.fixed_multiplier(ratio)
    product = combined(cpu, cpu.cast(x, DType.I64), "Mul", integer << max(exponent, 0))
    high = _divided(cpu, product, 2 * _HALF, _HALF, 1 - _HALF)
    if exponent >= 0:
        return high
    step = 1 << -exponent
    return _divided(cpu, high, step, step // 2, -(step // 2))


def saturated(cpu: Cpu, steps: Op) -> Op:
    """Steps of the result's scale as its stored integers."""
    to = cpu.site.result()
    limits = np.iinfo(to.dtype.numpy_name)
    bounds = [cpu.constant(np.int64(bound)) for bound in (limits.min, limits.max)]
    return cpu.cast(
        cpu.add("Clip", [combined(cpu, steps, "Add", to.zero), *bounds], steps.type.shape, DType.I64), to.dtype
    )


def combined(cpu: Cpu, x: Op, op_type: str, value: int) -> Op:
    """An int64 tensor and a number."""
    return cpu.add(op_type, [x, cpu.constant(np.int64(value))], x.type.shape, DType.I64)


def _divided(cpu: Cpu, x: Op, by: int, above: int, below: int) -> Op:
    """(x + above) / by towards zero, or (x + below) / by where x is negative."""
    shape = x.type.shape
    negative = cpu.add("Less", [x, cpu.constant(np.int64(0))], shape, DType.BOOL)
    more = [cpu.constant(np.int64(value)) for value in (below, above)]
    nudge = cpu.add("Where", [negative, *more], shape, DType.I64)
    return combined(cpu, cpu.add("Add", [x, nudge], shape, DType.I64), "Div", by)
