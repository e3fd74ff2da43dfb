"""What LiteRT (TensorFlow Lite) computes on 8-bit tensors, where it differs from ONNX Runtime.

LiteRT runs a model with two sets of kernels: those of XNNPACK wherever it takes an operator, and its own for the rest.
These are the formulas of the set that runs by default on x86-64, measured with ``ai-edge-litert`` 2.3. Convolutions,
products with weights and means over axes are ``requantize`` of an exact sum in both worlds.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from furiosa.isa.arithmetic.elementwise import Scaling
from furiosa.isa.arithmetic.float32 import Float32, Quantized, saturate
from furiosa.isa.arithmetic.pooling import _inside, _padded, _taps

MULTIPLIER_BITS = 20
LEAST_RATIO, MOST_RATIO = 2.0**-10, 2.0**8
"""The larger ratio of a sum's scales must lie in [least, most)."""


class FixedSum(NamedTuple):
    """(addend + a * factor_a + b * factor_b) >> shift, on stored integers, in int32."""

    factor_a: int
    factor_b: int
    addend: int
    shift: int


def fixed_sum(qa: Scaling, qb: Scaling, qy: Scaling, sign: int = 1) -> FixedSum:
    """The integers of ``lite_add``: ratios of scales with 21 significant bits for the larger of the two.

    Raises ValueError unless the larger ratio is in [2**-10, 2**8).
    """
    ratio_a, ratio_b = (np.float32(q.scale) / np.float32(qy.scale) for q in (qa, qb))
    largest = float(max(ratio_a, ratio_b))
    if not LEAST_RATIO <= largest < MOST_RATIO:
        raise ValueError(f"the ratio of scales is {largest}")
    shift = MULTIPLIER_BITS - (math.frexp(largest)[1] - 1)
    factor_a, factor_b = (int(np.rint(np.ldexp(float(ratio), shift))) for ratio in (ratio_a, ratio_b))
    addend = (1 << (shift - 1)) - factor_a * qa.zero_point - sign * factor_b * qb.zero_point
    return FixedSum(factor_a, sign * factor_b, addend, shift)


def lite_binary(
    kind: Literal["add", "sub", "mul"],
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    dtype: DTypeLike,
    lo: int,
    hi: int,
) -> Quantized:
    """ADD, SUB and MUL; the result is clamped to [lo, hi].

    Sums are in fixed point and round half up: ((a - z_a) * f_a + (b - z_b) * f_b + half) >> shift, plus z_y. Products
    are rint(float32((a - z_a) * (b - z_b)) * r) + z_y with r = float32(s_a * s_b) / s_y. NumPy broadcasting.
    """
    left, right = a.astype(np.int64), b.astype(np.int64)
    if kind == "mul":
        ratio = np.float32(qa.scale) * np.float32(qb.scale) / np.float32(qy.scale)
        product = (left - qa.zero_point) * (right - qb.zero_point)
        return saturate(product.astype(np.float32) * ratio, qy.zero_point, dtype, lo, hi)
    fixed = fixed_sum(qa, qb, qy, -1 if kind == "sub" else 1)
    total = (left * fixed.factor_a + right * fixed.factor_b + fixed.addend) >> fixed.shift
    clamped: Quantized = np.clip(total + qy.zero_point, lo, hi).astype(dtype)
    return clamped


def lite_average_pool(
    x: Quantized, kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int, int, int]
) -> Quantized:
    """AVERAGE_POOL_2D: the mean of the stored integers inside the image, rounded half away from zero. No scales."""
    padded, shape = _padded(x.astype(np.int32), 0, kernel, strides, pads, (1, 1), ceil_mode=False)
    total = np.zeros(shape, np.int32)
    for tap in _taps(padded, shape, kernel, strides, (1, 1)):
        total += tap
    rows = _inside(x.shape[1], shape[1], kernel[0], strides[0], pads[0])
    columns = _inside(x.shape[2], shape[2], kernel[1], strides[1], pads[1])
    count = np.multiply.outer(rows, columns)[:, :, None]
    mean: Quantized = (np.sign(total) * ((np.abs(total) + count // 2) // count)).astype(x.dtype)
    return mean


def lite_exponentials(x_scale: float) -> Float32:
    """float32(exp(float32((i - 255) * x_scale))) for i = 0 ... 255; entry 255 is 1."""
    scale = np.float32(x_scale)
    return np.array([math.exp(float(np.float32(i - 255) * scale)) for i in range(256)], np.float32)


def lite_softmax(x: Quantized, x_scale: float, y_scale: float, y_zero: int) -> Quantized:
    """SOFTMAX over the last dimension; ``x_scale`` is that of x times beta, in float32.

    p = e * (1 / (sum(e) * y_scale)) in float32, the sum from left to right; int8 rounds p half away from zero, uint8
    takes the integer below p + 0.5 (rounded to float32).
    """
    table = lite_exponentials(x_scale)
    wide = x.astype(np.int32)
    terms = table[255 - wide.max(axis=-1, keepdims=True) + wide]
    total = np.cumsum(terms, axis=-1, dtype=np.float32)[..., -1:]
    with np.errstate(all="ignore"):  # absurd scales saturate
        share = terms * (np.float32(1) / (total * np.float32(y_scale)))
        rounded = np.floor(share + np.float32(0.5)) if x.dtype == np.uint8 else _away(share)
        return saturate(rounded, y_zero, x.dtype)


def _away(value: NDArray[Any]) -> NDArray[Any]:
    """Rounded half away from zero, for values that are not negative."""
    whole = np.floor(value)
    return np.asarray(whole + (value - whole >= 0.5))
