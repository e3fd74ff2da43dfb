"""Convolutions and matrix products: exact int32 accumulators, then one requantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, DTypeLike, NDArray

from furiosa.isa.arithmetic.float32 import Float32, Int32, Quantized
from furiosa.isa.arithmetic.requantize import requantize

_EXACT = 2**24  # every integer up to here is a float32, so sums below it are exact in any order
_PATCH_ELEMENTS = 1 << 23  # patches are gathered a few output rows at a time: 32 MiB of float32


def conv2d(
    x: Quantized,
    w: NDArray[Any],
    bias: Int32 | None,
    multipliers: ArrayLike,
    x_zero: int,
    y_zero: int,
    dtype: DTypeLike,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """QLinearConv: requantize(sum((x - x_zero) * w) + bias), y NHWC.

    `x` is NHWC, `w` OHWI (I is the input channels of one group; depthwise is I = 1), `bias` int32[O]. `pads` are top,
    left, bottom, right, filled with `x_zero`, i.e. they add nothing. See `requantize` for the rounding.
    """
    acc = conv2d_accumulate(x, w, bias, x_zero, strides, dilations, pads, groups)
    return requantize(acc, multipliers, y_zero, dtype, lo, hi)


def matmul(
    x: Quantized,
    w: NDArray[Any],
    bias: Int32 | None,
    multipliers: ArrayLike,
    x_zero: int,
    y_zero: int,
    dtype: DTypeLike,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """QGemm and QLinearMatMul: requantize(sum((x - x_zero) * w) + bias); x [..., I], w [O, I], y [..., O]."""
    return requantize(matmul_accumulate(x, w, bias, x_zero), multipliers, y_zero, dtype, lo, hi)


def product(
    a: Quantized,
    b: Quantized,
    multiplier: float,
    a_zero: int,
    b_zero: int,
    y_zero: int,
    dtype: DTypeLike,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """QLinearMatMul of two computed tensors: requantize(sum((a - a_zero) * (b - b_zero))).

    a [..., W, K], b [..., K, C], y [..., W, C]; `multiplier` is float32(a_scale * b_scale) / y_scale.
    """
    left, right = (np.subtract(x, zero, dtype=np.int16).astype(np.float32) for x, zero in ((a, a_zero), (b, b_zero)))
    return requantize(_exact_product(left, right), np.float32(multiplier), y_zero, dtype, lo, hi)


def conv2d_accumulate(
    x: Quantized,
    w: NDArray[Any],
    bias: Int32 | None,
    x_zero: int,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
) -> Int32:
    """sum((x - x_zero) * w) + bias, exact, int32 NHWC; arguments as in `conv2d`. int32 overflow wraps."""
    outputs, kernel_h, kernel_w, _ = w.shape
    top, left, bottom, right = pads
    centred = np.subtract(x, x_zero, dtype=np.int16).astype(np.float32)
    centred = np.pad(centred, ((0, 0), (top, bottom), (left, right), (0, 0)))
    span = (kernel_h - 1) * dilations[0] + 1, (kernel_w - 1) * dilations[1] + 1
    windows = sliding_window_view(centred, span, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    acc = np.empty((*windows.shape[:3], outputs), np.int32)
    product = _depthwise if w.shape[3] == 1 and groups > 1 else _grouped
    rows = max(1, _PATCH_ELEMENTS // (windows.shape[2] * x.shape[3] * kernel_h * kernel_w))
    for image in range(x.shape[0]):
        for row in range(0, windows.shape[1], rows):
            acc[image, row : row + rows] = product(windows[image, row : row + rows], w, groups)
    return acc if bias is None else acc + bias.astype(np.int32)


def matmul_accumulate(x: Quantized, w: NDArray[Any], bias: Int32 | None, x_zero: int) -> Int32:
    """sum((x - x_zero) * w) + bias, exact, int32[..., O]; x [..., I], w [O, I]. int32 overflow wraps."""
    centred = np.subtract(x, x_zero, dtype=np.int16).astype(np.float32)
    acc = _exact_product(centred.reshape(-1, x.shape[-1]), w.astype(np.float32).T)
    acc = acc.reshape(*x.shape[:-1], w.shape[0])
    return acc if bias is None else acc + bias.astype(np.int32)


def _grouped(windows: Float32, w: NDArray[Any], groups: int) -> Int32:
    """One matrix product a group; windows [H, W, C, kh, kw] -> [H, W, O]."""
    height, width, channels, kernel_h, kernel_w = windows.shape
    taps = windows.transpose(0, 1, 3, 4, 2).reshape(height * width, kernel_h, kernel_w, groups, channels // groups)
    patches = taps.transpose(3, 0, 1, 2, 4).reshape(groups, height * width, -1)
    weights = w.astype(np.float32).reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    acc: Int32 = _exact_product(patches, weights).swapaxes(0, 1).reshape(height, width, w.shape[0])
    return acc


def _depthwise(windows: Float32, w: NDArray[Any], groups: int) -> Int32:
    """Every output channel reads one input channel: multiply and add tap by tap; windows [H, W, C, kh, kw]."""
    source = np.arange(w.shape[0]) // (w.shape[0] // groups)
    acc = np.zeros((*windows.shape[:2], w.shape[0]), np.int32)
    for row in range(w.shape[1]):
        for column in range(w.shape[2]):
            acc += windows[:, :, source, row, column].astype(np.int32) * w[:, row, column, 0].astype(np.int32)
    return acc


def _exact_product(a: Float32, b: Float32) -> Int32:
    """a @ b for integers held in float32, exact: the inner dimension is cut so that no partial sum reaches 2**24.

    Below that bound every partial sum is an integer that float32 holds exactly, whatever the order of the additions
    and whether they are fused, so any BLAS gives the same bits.
    """
    largest = max(float(np.abs(a).max(initial=0)) * float(np.abs(b).max(initial=0)), 1.0)
    block = int((_EXACT - 1) // largest)
    acc: Int32 = np.matmul(a[..., :block], b[..., :block, :]).astype(np.int32)
    for start in range(block, a.shape[-1], block):
        acc += np.matmul(a[..., start : start + block], b[..., start : start + block, :]).astype(np.int32)
    return acc
