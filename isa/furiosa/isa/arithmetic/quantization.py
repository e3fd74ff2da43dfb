"""Between float32 and 8-bit storage: QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from furiosa.isa.arithmetic.float32 import Float32, Quantized, saturate


def quantize(
    x: ArrayLike,
    scale: float,
    zero_point: int,
    dtype: DTypeLike,
    lo: int | None = None,
    hi: int | None = None,
    by_product: bool = False,
) -> Quantized:
    """clamp(rint(x / scale) + zero_point): QuantizeLinear of ONNX Runtime, division and result in float32.

    rint rounds half to even; infinities saturate; NaN becomes the smallest storage value (what the x86 kernels give).
    A Relu or Clip in front of it is `lo` and `hi`, inclusive storage values: quantisation is monotone, so the clamp may
    be applied after it. ``by_product`` is QUANTIZE of LiteRT: x * float32(1 / scale) instead of the quotient.
    """
    if by_product:
        inverse = np.float32(1) / np.float32(scale)
        return saturate(np.asarray(np.asarray(x, np.float32) * inverse), zero_point, dtype, lo, hi)
    scaled = np.asarray(np.divide(np.asarray(x, np.float32), np.float32(scale), dtype=np.float32))
    return saturate(scaled, zero_point, dtype, lo, hi)


def to_signed(q: NDArray[np.uint8]) -> NDArray[np.int8]:
    """uint8 as the int8 of the same real values under a zero point that is less by 128: q - 128."""
    return (q ^ np.uint8(0x80)).view(np.int8)


def dequantize(q: NDArray[Any], scale: ArrayLike, zero_point: ArrayLike = 0) -> Float32:
    """float32(q - zero_point) * scale, one rounding: DequantizeLinear of ONNX Runtime.

    `scale` and `zero_point` are scalars, or arrays that broadcast against `q` (per-channel weights, int32 biases).
    """
    centred = np.subtract(q, zero_point, dtype=np.int32)
    real: Float32 = centred.astype(np.float32) * np.asarray(scale, np.float32)
    return real
