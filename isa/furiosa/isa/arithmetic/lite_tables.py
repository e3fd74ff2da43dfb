"""LiteRT's functions of one 8-bit tensor: what each gives for all 256 stored values, in the order of their bytes.

Some of its kernels multiply in fixed point: a factor is 31 bits and a shift, products round twice. The others compute
in float32. Which one runs by default was measured with ``ai-edge-litert`` 2.3 on x86-64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Real = NDArray[np.float64]

_BOUNDS = {1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


def requantize(
    x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str
) -> NDArray[Any]:  # fmt: skip
    """QUANTIZE of integers: ((x - z_x) * rint(256 * s_x / s_y) + 128 >> 8) + z_y.

    Between types it is the doubled high half of a product with 31 bits, rounded, then shifted and rounded half up.
    """
    centred = _centred(x_zero, x_dtype)
    if x_dtype == y_dtype:
        return _saturated(_scaled(centred, _eighth_bits(np.float32(x_scale) / np.float32(y_scale))) + y_zero, y_dtype)
    integer, exponent = fixed_multiplier(float(np.float32(x_scale)) / float(np.float32(y_scale)))
    high = doubled_high(centred << max(exponent, 0), integer)
    half = 1 << -exponent >> 1 if exponent < 0 else 0
    return _saturated(((high + half) >> max(-exponent, 0)) + y_zero, y_dtype)


def concatenated(
    x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str
) -> NDArray[Any]:  # fmt: skip
    """An operand of CONCATENATION: round(x * r - z_x * r) + z_y in float32 with r = s_x * (1 / s_y)."""
    ratio = np.float32(x_scale) * (np.float32(1) / np.float32(y_scale))
    stored = _centred(0, x_dtype).astype(np.float32)
    return _saturated(_away(stored * ratio + np.float32(-x_zero) * ratio) + y_zero, y_dtype)


def leaky_relu(
    x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str, alpha: float
) -> NDArray[Any]:  # fmt: skip
    """LEAKY_RELU: as ``requantize`` of one type, with a factor of its own below zero."""
    ratio = np.float32(x_scale) / np.float32(y_scale)
    centred = _centred(x_zero, x_dtype)
    factor = np.where(centred >= 0, _eighth_bits(ratio), _eighth_bits(ratio * np.float32(alpha)))
    return _saturated(_scaled(centred, factor) + y_zero, y_dtype)


def prelu(
    x_scale: float,
    x_zero: int,
    x_dtype: str,
    y_scale: float,
    y_zero: int,
    y_dtype: str,
    slope: int,
    slope_scale: float,
) -> NDArray[Any]:
    """PRELU of one channel: ``multiplied``, below zero with the slope, an integer at its own scale."""
    centred = _centred(x_zero, x_dtype)
    ratio = float(np.float32(x_scale)) / float(np.float32(y_scale))
    below = float(np.float32(x_scale)) * float(np.float32(slope_scale)) / float(np.float32(y_scale))
    product = np.where(centred >= 0, _multiplied(centred, ratio), _multiplied(centred * slope, below))
    return _saturated(product + y_zero, y_dtype)


def relu(
    x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str, activation: int
) -> NDArray[Any]:  # fmt: skip
    """RELU (1), RELU_N1_TO_1 (2) and RELU6 (3) as operators of their own: ``multiplied``, then clamped."""
    product = _multiplied(_centred(x_zero, x_dtype), float(np.float32(x_scale)) / float(np.float32(y_scale)))
    low, high = (None if b is None else y_zero + int(_away(np.float32(b) / np.float32(y_scale)))
                 for b in _BOUNDS[activation])  # fmt: skip
    return _saturated(np.clip(product + y_zero, low, high), y_dtype)


def function(
    name: str, x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str
) -> NDArray[Any]:  # fmt: skip
    """A function of FUNCTIONS: round(f(s_x * (x - z_x)) / s_y) + z_y, in float32, half away from zero."""
    real = (_centred(x_zero, x_dtype).astype(np.float32) * np.float32(x_scale)).astype(np.float64)
    value = FUNCTIONS[name](real).astype(np.float32) * (np.float32(1) / np.float32(y_scale))
    return _saturated(_away(np.nan_to_num(np.clip(value, -1e6, 1e6), nan=-1e6)) + y_zero, y_dtype)


def sqrt(
    x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str
) -> NDArray[Any]:  # fmt: skip
    """SQRT: floor(sqrt(s_x * (x - z_x)) / s_y) + z_y in float32. Of what is below zero, which LiteRT refuses: z_y."""
    real = np.maximum(_centred(x_zero, x_dtype), 0).astype(np.float32) * np.float32(x_scale)
    steps = np.floor(np.sqrt(real) / np.float32(y_scale))
    return _saturated(np.nan_to_num(np.minimum(steps, 1e6)) + y_zero, y_dtype)


def hard_swish(
    x_scale: float, x_zero: int, x_dtype: str, y_scale: float, y_zero: int, y_dtype: str
) -> NDArray[Any]:  # fmt: skip
    """HARD_SWISH in int16: x * 2**7, times the ratio of scales, times relu6(x + 3) / 6 as a fraction of 2**15."""
    fine = _centred(x_zero, x_dtype) << 7
    fine_scale = np.float32(1 / 128) * np.float32(x_scale)
    out, out_shift = _half_multiplier(float(fine_scale / np.float32(y_scale)))
    gate_factor, gate_shift = _half_multiplier(float(fine_scale / np.float32(3 / 32768)))
    gate = fine
    if gate_shift > 0:
        gate = _int16(gate << (gate_shift - 1))
    gate = _high_product(gate, gate_factor)
    gate = _int16(gate << 1) if gate_shift > 0 else _shifted(gate, -gate_shift)
    gate = (gate + (1 << 15)) >> 1
    product = gate * _high_product(fine, out)
    doubled = np.sign(product) * (np.abs(product) >> 15)
    result = _shifted(doubled, -out_shift) if out_shift <= 0 else _int16(doubled << out_shift)
    return _saturated(result + y_zero, y_dtype)


def _gelu(x: Real) -> Real:
    return np.asarray(0.5 * x * (1.0 + np.vectorize(math.erf)(x * math.sqrt(0.5))))


def _gelu_tanh(x: Real) -> Real:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


FUNCTIONS: dict[str, Callable[[Real], Real]] = {
    "abs": np.abs,
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "exp": np.exp,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "log": np.log,
    "logistic": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "tanh": np.tanh,
}


def _centred(zero: int, dtype: str) -> Integers:
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.int64) - zero


def _saturated(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    info = np.iinfo(dtype)
    return np.asarray(np.clip(values, info.min, info.max).astype(dtype))


def _away(value: Any) -> Any:
    """Rounded half away from zero."""
    return np.sign(value) * np.floor(np.abs(value) + 0.5)


def _eighth_bits(ratio: np.float32) -> int:
    """A factor with eight bits behind the point."""
    return int(np.rint(np.clip(np.float32(256) * ratio, -(2.0**31), 2.0**31)))


def _scaled(centred: Integers, factor: Any) -> Integers:
    return np.asarray((centred * factor + 128) >> 8)


def fixed_multiplier(factor: float) -> tuple[int, int]:
    """A factor as an integer of 31 bits and an exponent: factor = integer / 2**31 * 2**exponent."""
    if not 0 < factor < math.inf:
        return 0, 0
    fraction, exponent = math.frexp(factor)
    integer = math.floor(fraction * 2**31 + 0.5)
    if integer == 1 << 31:
        integer, exponent = integer // 2, exponent + 1
    return (0, 0) if exponent < -31 else (integer, min(exponent, 31))


def _multiplied(x: Integers, factor: float) -> Integers:
    """x * factor in fixed point: the doubled high half of the product rounded, then shifted right and rounded again."""
    integer, exponent = fixed_multiplier(factor)
    return _shifted(doubled_high(x << max(exponent, 0), integer), max(-exponent, 0))


def doubled_high(x: Integers, integer: Integers | int) -> Integers:
    """The upper 32 bits of twice a product, rounded half away from zero."""
    product = x * integer
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    return np.asarray(np.sign(nudged) * (np.abs(nudged) >> 31))


def _shifted(x: Integers, shift: int) -> Integers:
    """x / 2**shift, rounded half away from zero."""
    if shift <= 0:
        return x
    rest, threshold = x & ((1 << shift) - 1), (1 << shift) - 1 >> 1
    return (x >> shift) + (rest > threshold + (x < 0))


def _half_multiplier(factor: float) -> tuple[int, int]:
    """``_multiplier`` with 15 bits."""
    integer, exponent = fixed_multiplier(factor)
    return min((integer + (1 << 15)) >> 16, (1 << 15) - 1), exponent


def _high_product(x: Integers, factor: int) -> Integers:
    product = x * factor
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.asarray(np.sign(nudged) * (np.abs(nudged) >> 15))


def _int16(x: Integers) -> Integers:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)
