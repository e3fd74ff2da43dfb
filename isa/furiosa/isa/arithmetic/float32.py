"""Float32 steps that NumPy lacks: the fused multiply-add, and the types every module here shares."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Quantized: TypeAlias = NDArray[Any]  # int8 or uint8
Float32: TypeAlias = NDArray[np.float32]
Int32: TypeAlias = NDArray[np.int32]


def fma(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Float32:
    """round(a * b + c) in float32 with one rounding, half to even, as the FMA instruction does.

    The product of two float32 is exact in float64; the sum is brought to float64 by rounding to odd, after which the
    rounding to float32 cannot go wrong (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums").
    """
    product = np.multiply(a, b, dtype=np.float64)
    addend = np.asarray(c, dtype=np.float64)
    total = np.asarray(product + addend)
    rest = total - product
    error = (product - (total - rest)) + (addend - rest)
    bits = total.view(np.int64)
    inexact = (error != 0) & (bits & 1 == 0) & np.isfinite(error)
    odd = bits + np.where((error > 0) == (total > 0), 1, -1) * inexact
    fused: Float32 = odd.view(np.float64).astype(np.float32)
    return fused


def saturate(
    value: NDArray[Any], zero_point: int, dtype: DTypeLike, lo: int | None = None, hi: int | None = None
) -> Quantized:
    """clamp(rint(value) + zero_point, lo, hi) as `dtype`; rint rounds half to even; NaN becomes the lower bound.

    `value`, float32 or float64, is overwritten. `lo` and `hi` are inclusive storage values, by default the dtype's.
    """
    info = np.iinfo(np.dtype(dtype).name)
    low, high = info.min if lo is None else lo, info.max if hi is None else hi
    np.fmax(value, np.float32(low - zero_point), out=value)
    np.fmin(value, np.float32(high - zero_point), out=value)
    np.rint(value, out=value)
    np.add(value, np.float32(zero_point), out=value)
    return value.astype(dtype)
