"""Float32 functions of one variable, bit for bit as ONNX Runtime's x86 kernels compute them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from furiosa.isa.arithmetic.float32 import Float32, fma

# Coefficients of the rational approximations x * P(x^2) / Q(x^2), highest power first (those of Eigen and of MLAS).
_LOGISTIC_P = (4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03,
               2.48287947061529e-01)  # fmt: skip
_LOGISTIC_Q = (6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03,
               1.16817656904453e-01, 9.93151921023180e-01)  # fmt: skip
_TANH_P = (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
           1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03)  # fmt: skip
_TANH_Q = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


def identity(x: Float32) -> Float32:
    """x: the table of a change of scale, as in QLinearConcat and DequantizeLinear -> QuantizeLinear."""
    return x


def relu(x: Float32) -> Float32:
    """max(x, 0)."""
    return clip(x, 0)


def clip(x: Float32, low: float = -np.inf, high: float = np.inf) -> Float32:
    """min(max(x, low), high)."""
    clipped: Float32 = np.minimum(np.maximum(x, np.float32(low)), np.float32(high))
    return clipped


def leaky_relu(x: Float32, alpha: float = 0.01) -> Float32:
    """x where x >= 0, else alpha * x."""
    return np.where(x >= 0, x, x * np.float32(alpha))


def sigmoid(x: Float32) -> Float32:
    """Logistic function: 0.5 + x P(x^2) / Q(x^2), x clamped to [-18, 18], Horner with FMA; result within [0, 1]."""
    x = clip(x, -18, 18)
    square = x * x
    return clip(_horner(square, _LOGISTIC_P) * x / _horner(square, _LOGISTIC_Q) + np.float32(0.5), 0, 1)


def tanh(x: Float32) -> Float32:
    """x P(x^2) / Q(x^2), x clamped to [-9, 9], Horner with FMA."""
    x = clip(x, -9, 9)
    square = x * x
    return _horner(square, _TANH_P) * x / _horner(square, _TANH_Q)


def hard_sigmoid(x: Float32, alpha: float = 0.2, beta: float = 0.5) -> Float32:
    """min(max(alpha * x + beta, 0), 1); product and sum round separately."""
    return clip(np.float32(alpha) * x + np.float32(beta), 0, 1)


def hard_swish(x: Float32) -> Float32:
    """x * hard_sigmoid(x) with alpha = 1/6 and beta = 1/2: ONNX Runtime expands HardSwish to the two operators."""
    return x * hard_sigmoid(x, 1 / 6, 0.5)


def softsign(x: Float32) -> Float32:
    """x / (1 + |x|)."""
    return np.asarray(x / (np.float32(1) + np.abs(x)), np.float32)


def scaled(x: Float32, factor: float = 1.0) -> Float32:
    """x * factor."""
    return x * np.float32(factor)


def shifted(x: Float32, by: float = 0.0) -> Float32:
    """x + by."""
    return x + np.float32(by)


def subtracted(x: Float32, minuend: float = 0.0) -> Float32:
    """minuend - x."""
    return np.float32(minuend) - x


def divided(x: Float32, divisor: float = 1.0) -> Float32:
    """x / divisor."""
    return x / np.float32(divisor)


def inverted(x: Float32, dividend: float = 1.0) -> Float32:
    """dividend / x."""
    return np.float32(dividend) / x


def batch_normalization(
    gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, variance: ArrayLike, epsilon: float
) -> tuple[Float32, Float32]:
    """The (scale, offset) of y = x * scale + offset, one of each a channel, in float32.

    scale = gamma * (1 / sqrt(variance + epsilon)); offset = beta - mean * scale; every step rounds.
    """
    inverse = np.float32(1) / np.sqrt(np.asarray(variance, np.float32) + np.float32(epsilon))
    scale = np.asarray(gamma, np.float32) * inverse
    return scale, np.asarray(beta, np.float32) - np.asarray(mean, np.float32) * scale


def _horner(x: Float32, coefficients: tuple[float, ...]) -> Float32:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = fma(value, x, np.float32(coefficient))
    return value
