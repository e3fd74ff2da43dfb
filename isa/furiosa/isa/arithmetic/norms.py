"""Euclidean norms of a quantized tensor along its last dimension, and division by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from furiosa.isa.arithmetic.elementwise import Scaling
from furiosa.isa.arithmetic.float32 import Float32, Quantized
from furiosa.isa.arithmetic.quantization import dequantize, quantize


def reduce_l2(x: Quantized, qx: Scaling, qy: Scaling, dtype: DTypeLike) -> Quantized:
    """ReduceL2 between DequantizeLinear and QuantizeLinear: quantize(norm(x)); y [..., 1].

    norm(x) = float32(sqrt(sum((x - x_zero)**2)) * x_scale): the sum is exact, root and product are float64. ONNX
    Runtime adds squares of real values up in float32, in an order that depends on the processor.
    """
    return quantize(_norm(x, qx), qy.scale, qy.zero_point, dtype)


def l2_normalize(x: Quantized, qx: Scaling, qy: Scaling, dtype: DTypeLike) -> Quantized:
    """LpNormalization with p = 2 between DequantizeLinear and QuantizeLinear: quantize(dequantize(x) / norm(x)).

    The quotient is float32, and 0 where the norm is; ``norm`` as in `reduce_l2`.
    """
    norm = _norm(x, qx)
    real = dequantize(x, qx.scale, qx.zero_point)
    quotient = np.divide(real, norm, out=np.zeros_like(real), where=norm != 0)
    return quantize(quotient, qy.scale, qy.zero_point, dtype)


def _norm(x: Quantized, qx: Scaling) -> Float32:
    centred = np.subtract(x, qx.zero_point, dtype=np.int64)
    squares = (centred * centred).sum(axis=-1, keepdims=True)
    norm: Float32 = (np.sqrt(squares.astype(np.float64)) * float(np.float32(qx.scale))).astype(np.float32)
    return norm
