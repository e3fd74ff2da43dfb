"""Functions of one variable that ONNX Runtime approximates: here the float32 number nearest to the exact value.

The last bit may differ from its kernels; after quantization that shows only where a value lies next to a rounding tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.arithmetic.float32 import Float32

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _nearest(function: Callable[[NDArray[np.float64]], Any], x: Float32) -> Float32:
    """The function in float64, rounded once."""
    with np.errstate(all="ignore"):
        return np.asarray(function(x.astype(np.float64)), np.float64).astype(np.float32)


def exp(x: Float32) -> Float32:
    """e to the power of x."""
    return _nearest(np.exp, x)


def log(x: Float32) -> Float32:
    """The natural logarithm; NaN below 0."""
    return _nearest(np.log, x)


def erf(x: Float32) -> Float32:
    """The error function."""
    return _nearest(_erf, x)


def power(x: Float32, exponent: float = 1.0) -> Float32:
    """x to a constant power; the second and third are products, as in ONNX Runtime."""
    with np.errstate(all="ignore"):
        if exponent == 2:
            return x * x
        if exponent == 3:
            return x * x * x
    return _nearest(lambda v: np.power(v, exponent), x)


def elu(x: Float32, alpha: float = 1.0) -> Float32:
    """x where x >= 0, else alpha * (e^x - 1)."""
    return np.where(x >= 0, x, np.float32(alpha) * (exp(x) - np.float32(1)))


def selu(x: Float32, alpha: float = 1.0, gamma: float = 1.0) -> Float32:
    """gamma * x where x > 0, else gamma * alpha * (e^x - 1)."""
    below = np.float32(alpha) * exp(x) - np.float32(alpha)
    return np.float32(gamma) * np.where(x > 0, x, below)


def celu(x: Float32, alpha: float = 1.0) -> Float32:
    """max(0, x) + min(0, alpha * (e^(x / alpha) - 1))."""
    below = np.float32(alpha) * (exp(x / np.float32(alpha)) - np.float32(1))
    return np.asarray(np.maximum(x, np.float32(0)) + np.minimum(below, np.float32(0)), np.float32)


def softplus(x: Float32) -> Float32:
    """log(1 + e^x)."""
    return _nearest(lambda v: np.logaddexp(v, 0), x)


def mish(x: Float32) -> Float32:
    """x * tanh(softplus(x))."""
    return _nearest(lambda v: v * np.tanh(np.logaddexp(v, 0)), x)


def gelu(x: Float32) -> Float32:
    """x * (1 + erf(x / sqrt(2))) / 2."""
    return _nearest(lambda v: v * (1 + _erf(v * math.sqrt(0.5))) / 2, x)


def gelu_tanh(x: Float32) -> Float32:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2."""
    return _nearest(lambda v: v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2, x)


def quick_gelu(x: Float32, alpha: float = 1.702) -> Float32:
    """x * sigmoid(alpha * x)."""
    return _nearest(lambda v: v / (1 + np.exp(-alpha * v)), x)
