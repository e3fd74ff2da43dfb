"""Euclidean norms of a quantized tensor along its last dimension, and division by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from furiosa.isa.arithmetic.elementwise import Scaling
from furiosa.isa.arithmetic.float32 import Float32, Quantized
from furiosa.isa.arithmetic.quantization import dequantize, quantize


def reduce_l2(x: Quantized, qx: Scaling, qy: Scaling, dtype: DTypeLike) -> Quantized:
    """ReduceL2 between DequantizeLinear and QuantizeLinear: quantize(norm(dequantize(x))); y [..., 1].

    norm(r) = sqrt(sum(r * r)): every operation is float32 and rounds by itself, the sum from left to right. So ONNX
    Runtime computes it along any axes but all.
    """
    return quantize(_norm(dequantize(x, qx.scale, qx.zero_point)), qy.scale, qy.zero_point, dtype)


def l2_normalize(x: Quantized, qx: Scaling, qy: Scaling, dtype: DTypeLike) -> Quantized:
    """LpNormalization with p = 2 between DequantizeLinear and QuantizeLinear: quantize(r / norm(r)), r = dequantize(x).

    The quotient is float32, and 0 where the norm is; ``norm`` as in `reduce_l2`.
    """
    real = dequantize(x, qx.scale, qx.zero_point)
    norm = _norm(real)
    quotient = np.divide(real, norm, out=np.zeros_like(real), where=norm != 0)
    return quantize(quotient, qy.scale, qy.zero_point, dtype)


def _norm(real: Float32) -> Float32:
    norm: Float32 = np.sqrt(np.cumsum(real * real, axis=-1, dtype=np.float32)[..., -1:])
    return norm
