"""Products of matrices on the CPU; those of two integer tensors in LiteRT's fixed point."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.frontend.tflite.cpu import fixed
from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu, Handler
from furiosa.compiler.graph import Op
from furiosa.isa.dtypes import DType


def _batch_matmul(cpu: Cpu) -> None:
    if fixed.applies(cpu, 2):
        stored = [cpu.stored(index) for index in range(2)]
        scales = [np.float32(x.type.scale) for x in stored]
        a, b = (fixed.centred(cpu, _adjoint(cpu, x, key)) for x, key in zip(stored, ("adj_x", "adj_y")))
        product, scale = _matmul(cpu, a, b), np.float32(cpu.site.result().scale)
        if stored[1].type.zero == 0:
            return cpu.give(fixed.saturated(cpu, _rounded(cpu, product, scales[0] * scales[1] / scale)))
        ratio = float(scales[0] * scales[1]) / float(scale)
        return cpu.give(fixed.saturated(cpu, fixed.multiplied(cpu, product, ratio)))
    a, b = (_adjoint(cpu, cpu.real(index), key) for index, key in enumerate(("adj_x", "adj_y")))
    return cpu.give(_matmul(cpu, a, b))


def _rounded(cpu: Cpu, x: Op, factor: np.float32) -> Op:
    """``x`` times a number in float32, half to even, as XNNPACK does it. int64"""
    scaled = cpu.add("Mul", [cpu.cast(x, DType.F32), cpu.constant(factor)], x.type.shape)
    return cpu.cast(cpu.add("Round", [scaled], x.type.shape), DType.I64)


def _adjoint(cpu: Cpu, x: Op, option: str) -> Op:
    rank = len(x.type.shape)
    if rank < 2:
        raise cpu.site.fault(f"an operand of shape {x.type.shape}")
    if not cpu.options[option]:
        return x
    perm = (*range(rank - 2), rank - 1, rank - 2)
    shape = tuple(x.type.shape[axis] for axis in perm)
    turned = cpu.add("Transpose", [x], shape, x.type.dtype, perm=list(perm))
    return cpu.typed(turned, x.type.quant)


def _matmul(cpu: Cpu, a: Op, b: Op) -> Op:
    batch = np.broadcast_shapes(a.type.shape[:-2], b.type.shape[:-2])
    return cpu.add("MatMul", [a, b], (*batch, a.type.shape[-2], b.type.shape[-1]), a.type.dtype)


def _fully_connected(cpu: Cpu) -> None:
    """Rows of the operand by weights [O, I], and a bias."""
    x, weights = cpu.real(0), cpu.real(1)
    outputs, inputs = weights.type.shape if len(weights.type.shape) == 2 else (0, 0)
    if not inputs or x.type.size % inputs:
        raise cpu.site.fault(f"an operand of shape {x.type.shape} and weights of shape {weights.type.shape}")
    rows = cpu.reshaped(x, (x.type.size // inputs, inputs))
    bias = [] if cpu.site.tensor(2) is None else [cpu.real(2)]
    product = cpu.add("Gemm", [rows, weights, *bias], (rows.type.shape[0], outputs), transB=1)
    cpu.give(cpu.reshaped(cpu.activated(product), cpu.shape()))


PRODUCTS: dict[str, Handler] = {"BATCH_MATMUL": _batch_matmul, "FULLY_CONNECTED": _fully_connected}
