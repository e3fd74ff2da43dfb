"""From int32 accumulators to storage: the multiplier and the rounding of every matrix product."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from furiosa.isa.arithmetic.float32 import Float32, Int32, Quantized, saturate


def multiplier(x_scale: float, w_scale: ArrayLike, y_scale: float, alpha: float = 1.0) -> Float32:
    """float32(float32(alpha * x_scale) * w_scale) / y_scale, every step rounded to float32; one value a channel.

    The order of QLinearConv, QLinearMatMul and QGemm; `alpha` is Gemm's attribute. With `y_scale` 1 it is the factor
    of a product that stays float32 (`scale_accumulator`). Always an array of rank 1; length 1 means per tensor.
    """
    factor = np.float32(alpha) * np.float32(x_scale)
    return np.atleast_1d(factor * np.asarray(w_scale, np.float32) / np.float32(y_scale))


def requantize(
    acc: Int32, multipliers: ArrayLike, y_zero: int, dtype: DTypeLike, lo: int | None = None, hi: int | None = None
) -> Quantized:
    """clamp(rint(float32(acc) * multiplier) + y_zero); rint rounds half to even.

    `acc` is int32[..., C], `multipliers` float32[C] or float32[1]. The conversion to float32 rounds half to even (it is
    inexact above 2**24). `lo` and `hi` are inclusive storage values, the dtype's own where None.
    """
    return saturate(scale_accumulator(acc, multipliers), y_zero, dtype, lo, hi)


def fixed_requantize(
    acc: Int32, factors: NDArray[np.int32], y_zero: int, dtype: DTypeLike, lo: int | None = None, hi: int | None = None
) -> Quantized:
    """clamp(acc * factor / 2**31 * 2**exponent + y_zero) in fixed point: LiteRT's own requantization.

    ``factors`` are rows (factor, exponent, away), one a channel; a factor is positive, an exponent -31 to 31. The sum
    is shifted left first where the exponent is positive (int32, which wraps around). The product is rounded half up,
    and shifted right where the exponent is negative: rounded half up once more, or with ``away`` 1 half away from zero.
    """
    factor, exponent, away = (column.astype(np.int64) for column in np.moveaxis(factors, -1, 0))
    left, right = np.clip(exponent, 0, 31), np.clip(-exponent, 0, 31)
    shifted = (acc.astype(np.int64) << left).astype(np.int32).astype(np.int64)
    high = (shifted * factor + (1 << 30)) >> 31
    half = (1 << right) >> 1
    steps = (high + half - np.where((high < 0) & (right > 0), away, 0)) >> right
    return saturate(steps.astype(np.float64), y_zero, dtype, lo, hi)


def scale_accumulator(acc: Int32, multipliers: ArrayLike) -> Float32:
    """float32(acc) * multiplier: the float32 result of a Gemm or MatMul that no QuantizeLinear follows."""
    return acc.astype(np.float32) * np.asarray(multipliers, np.float32)
