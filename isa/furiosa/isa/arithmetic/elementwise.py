"""Sum, difference and product of two quantized tensors, as ONNX Runtime's kernels and as float operators compute them.

`add` and `mul` are QLinearAdd and QLinearMul: both inputs and the output share one dtype and ONNX Runtime fused the
node. `float_add`, `float_sub` and `float_mul` are DequantizeLinear -> operator -> QuantizeLinear, which is what runs
when it did not (Sub and Sum are never fused); `float_sum` is a Sum or Mean of any number. The two families round
differently.

`shift`: ONNX Runtime on x86 computes most int8 graphs as uint8, every storage value and zero point raised by 128. The
zero points take part in the float32 sums of the QLinear kernels, so results can differ; `shift=128` with int8 arrays
computes what the uint8 kernel does, in int8 storage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from furiosa.isa.arithmetic.float32 import Float32, Quantized, fma, saturate
from furiosa.isa.arithmetic.quantization import dequantize, quantize


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scale and zero point of one per-tensor quantized operand; `scale` is meant as float32."""

    scale: float
    zero_point: int


def add(
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    *,
    shift: int = 0,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """QLinearAdd: clamp(rint(fma(a, ra, fma(b, rb, fixed)))), a and b raw storage values, rint half to even.

    ra = a_scale / y_scale and rb = b_scale / y_scale in float32; fixed = y_zero - fma(ra, a_zero, rb * b_zero). The
    order is that of the operands, so add(a, b) and add(b, a) may differ by one; where ONNX broadcasts `a` as a scalar
    over the innermost dimensions (or both have one element), ONNX Runtime exchanges the operands, and so must the
    caller. NumPy broadcasting.
    """
    ratio_a = np.float32(qa.scale) / np.float32(qy.scale)
    ratio_b = np.float32(qb.scale) / np.float32(qy.scale)
    zero_a, zero_b, zero_y = (np.float32(q.zero_point + shift) for q in (qa, qb, qy))
    fixed = zero_y - fma(ratio_a, zero_a, ratio_b * zero_b)

    def kernel(left: NDArray[Any], right: NDArray[Any]) -> Quantized:
        inner = fma(right.astype(np.float32) + np.float32(shift), ratio_b, fixed)
        total = fma(left.astype(np.float32) + np.float32(shift), ratio_a, inner)
        return _shifted(total, shift, a.dtype, lo, hi)

    return _by_pairs(kernel, a, b)


def mul(
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    *,
    shift: int = 0,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """QLinearMul: clamp(rint(float32(float32((a - a_zero) * (b - b_zero)) * r) + y_zero)), rint half to even.

    r = float32(a_scale * b_scale) / y_scale; the product of the integers is exact; product and sum round separately.
    Commutative. NumPy broadcasting.
    """
    ratio = np.float32(qa.scale) * np.float32(qb.scale) / np.float32(qy.scale)
    zero = np.float32(qy.zero_point + shift)

    def kernel(left: NDArray[Any], right: NDArray[Any]) -> Quantized:
        product = np.subtract(left, qa.zero_point, dtype=np.int32) * np.subtract(right, qb.zero_point, dtype=np.int32)
        return _shifted(product.astype(np.float32) * ratio + zero, shift, a.dtype, lo, hi)

    return _by_pairs(kernel, a, b)


def float_add(
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    dtype: DTypeLike,
    *,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """quantize(dequantize(a) + dequantize(b)) in float32: an Add or a Sum of two that was not fused."""
    return _float(np.add, a, b, qa, qb, qy, dtype, lo, hi)


def float_sum(
    xs: Sequence[Quantized],
    scalings: Sequence[Scaling],
    qy: Scaling,
    dtype: DTypeLike,
    *,
    factor: float = 1.0,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """quantize((dequantize(xs[0]) + dequantize(xs[1]) + ...) * factor) in float32, added in order: Sum of any number.

    A Mean has the ``factor`` float32(1 / number). One shape for all.
    """
    total = np.zeros(xs[0].shape, np.float32)
    for x, q in zip(xs, scalings, strict=True):
        total = total + dequantize(x, q.scale, q.zero_point)
    return quantize(total * np.float32(factor), qy.scale, qy.zero_point, dtype, lo, hi)


def float_sub(
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    dtype: DTypeLike,
    *,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """quantize(dequantize(a) - dequantize(b)) in float32: Sub, which ONNX Runtime never fuses."""
    return _float(np.subtract, a, b, qa, qb, qy, dtype, lo, hi)


def float_mul(
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    dtype: DTypeLike,
    *,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """quantize(dequantize(a) * dequantize(b)) in float32: a Mul that was not fused."""
    return _float(np.multiply, a, b, qa, qb, qy, dtype, lo, hi)


def _float(
    operator: Callable[[Float32, Float32], Float32],
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    dtype: DTypeLike,
    lo: int | None,
    hi: int | None,
) -> Quantized:
    def kernel(left: NDArray[Any], right: NDArray[Any]) -> Quantized:
        value = operator(dequantize(left, qa.scale, qa.zero_point), dequantize(right, qb.scale, qb.zero_point))
        return quantize(value, qy.scale, qy.zero_point, dtype, lo, hi)

    return _by_pairs(kernel, a, b)


def _shifted(value: Float32, shift: int, dtype: DTypeLike, lo: int | None, hi: int | None) -> Quantized:
    """clamp(rint(value) - shift): `value` already holds the (shifted) zero point."""
    return saturate(np.rint(value) - np.float32(shift), 0, dtype, lo, hi)


def _by_pairs(kernel: Callable[[NDArray[Any], NDArray[Any]], Quantized], a: Quantized, b: Quantized) -> Quantized:
    """kernel(a, b), which only depends on the two bytes: large tensors look the 65,536 pairs up in a table."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    if int(np.prod(shape)) <= 1 << 16:
        return np.broadcast_to(kernel(a, b), shape)
    byte = np.arange(256, dtype=np.uint8)
    pairs = kernel(byte.view(a.dtype)[:, None], byte.view(b.dtype)[None, :]).reshape(-1)
    index = (a.view(np.uint8).astype(np.uint16) << 8) | b.view(np.uint8)
    found: Quantized = pairs[index]
    return found
