"""Softmax of a quantized tensor along its last dimension."""

from __future__ import annotations

import math

import numpy as np

from furiosa.isa.arithmetic.float32 import Float32, Quantized, saturate


def exponentials(x_scale: float, length: int) -> Float32:
    """float32(exp((i - 255 + headroom) * x_scale)) for i = 0 … 255; entry 255 stands for the largest input of a row.

    headroom * x_scale = max(0, log(FLT_MAX / length) - 5) lifts the values so that a sum of `length` of them stays
    finite while small ones do not vanish. The logarithm is rounded to float32; all else is computed in float64.
    """
    scale = float(np.float32(x_scale))
    headroom = float(np.float32(math.log(np.finfo(np.float32).max / np.float32(length))))
    headroom = max(0.0, headroom - 5.0) / scale
    return np.array([math.exp((i - 255 + headroom) * scale) for i in range(256)], np.float32)


def softmax(x: Quantized, x_scale: float, y_scale: float, y_zero: int) -> Quantized:
    """QLinearSoftmax: saturate(rint(e * floor(1 / y_scale) / sum(e)) + y_zero) over the last dimension.

    e = exponentials[255 - max + x]; floor and sum are float32, the sum from left to right; product and quotient are
    float64; rint rounds half to even. Equal for int8 and uint8, for every opset; the zero point of x cancels out.
    """
    table = exponentials(x_scale, x.shape[-1])
    wide = x.astype(np.int32)
    terms = table[255 - wide.max(axis=-1, keepdims=True) + wide]
    total = np.cumsum(terms, axis=-1, dtype=np.float32)[..., -1:]
    with np.errstate(over="ignore", invalid="ignore"):
        inverse = np.floor(np.float32(1.0) / np.float32(y_scale))
        quotient = terms.astype(np.float64) * inverse / total
    return saturate(quotient, y_zero, x.dtype)
