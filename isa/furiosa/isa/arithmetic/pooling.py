"""Pooling over windows and over whole images, NHWC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from furiosa.isa.arithmetic.elementwise import Scaling
from furiosa.isa.arithmetic.float32 import Float32, Quantized, saturate
from furiosa.isa.arithmetic.quantization import dequantize, quantize
from furiosa.isa.arithmetic.requantize import requantize


def pooled_size(
    size: int, kernel: int, stride: int, pad_begin: int, pad_end: int, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """How many windows fit along one dimension; with `ceil_mode` one more may hang over, if it starts in the input."""
    room = size + pad_begin + pad_end - ((kernel - 1) * dilation + 1)
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + pad_begin else count


def max_pool(
    x: Quantized,
    kernel: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
) -> Quantized:
    """The largest storage value of every window; positions outside the input do not count. No requantisation.

    `pads` are top, left, bottom, right. A window that lies wholly outside gives the dtype's minimum.
    """
    lowest = np.iinfo(x.dtype).min
    padded, shape = _padded(x, lowest, kernel, strides, pads, dilations, ceil_mode)
    y = np.full(shape, lowest, x.dtype)
    for tap in _taps(padded, shape, kernel, strides, dilations):
        np.maximum(y, tap, out=y)
    return y


def average_pool(
    x: Quantized,
    qx: Scaling,
    qy: Scaling,
    kernel: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    shift: int = 0,
    lo: int | None = None,
    hi: int | None = None,
) -> Quantized:
    """QLinearAveragePool: clamp(rint(float32(mean / y_scale) + y_zero)), rint half to even.

    mean = sum / count, where the dequantized values of the window are added in float32, row by row and from left to
    right, and count is the number of positions inside the input, or all of the kernel with `count_include_pad`.
    `shift` is 128 where ONNX Runtime computes this int8 operator as uint8 (see `elementwise`).
    """
    mean = float_average_pool(
        dequantize(x, qx.scale, qx.zero_point),
        kernel,
        strides=strides,
        pads=pads,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    rounded = np.rint(mean / np.float32(qy.scale) + np.float32(qy.zero_point + shift)) - np.float32(shift)
    return saturate(rounded, 0, x.dtype, lo, hi)


def float_average_pool(
    x: Float32,
    kernel: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Float32:
    """sum / count in float32, the window added row by row and from left to right; see `average_pool`.

    Also what the float AveragePool of ONNX Runtime gives where it uses its blocked layout (channels a multiple of the
    block, 16 with AVX-512 and 8 otherwise); its plain layout adds in another order.
    """
    padded, shape = _padded(x, 0.0, kernel, strides, pads, (1, 1), ceil_mode)
    total = np.zeros(shape, np.float32)
    for tap in _taps(padded, shape, kernel, strides, (1, 1)):
        total += tap
    if count_include_pad:
        total /= np.float32(kernel[0] * kernel[1])
        return total
    rows = _inside(x.shape[1], shape[1], kernel[0], strides[0], pads[0])
    columns = _inside(x.shape[2], shape[2], kernel[1], strides[1], pads[1])
    total /= np.multiply.outer(rows, columns).astype(np.float32)[:, :, None]
    return total


def global_average_pool(
    x: Quantized, qx: Scaling, qy: Scaling, divisor: int | None = None, *, lo: int | None = None, hi: int | None = None
) -> Quantized:
    """QLinearGlobalAveragePool: requantize(sum(x - x_zero), x_scale / float32(y_scale * H * W)); y [N, 1, 1, C].

    The sum is an exact int32; the scale is float32, each step rounded. `divisor` takes the place of H * W.
    """
    count = x.shape[1] * x.shape[2]
    acc = x.sum(axis=(1, 2), keepdims=True, dtype=np.int32) - np.int32(qx.zero_point * count)
    factor = np.float32(qx.scale) / (np.float32(qy.scale) * np.float32(divisor or count))
    return requantize(acc.astype(np.int32), factor, qy.zero_point, x.dtype, lo, hi)


def forward_sum(x: Float32) -> Float32:
    """The float32 sum of every image and channel, pixel by pixel; y [N, 1, 1, C].

    So ONNX Runtime adds in ReduceSum and ReduceMean over other axes than the innermost.
    """
    pixels = x.reshape(x.shape[0], -1, 1, x.shape[3])
    total: Float32 = np.cumsum(pixels, axis=1, dtype=np.float32)[:, -1:]
    return total


def vector_sum(x: Float32, rows: tuple[int, int] | None = None) -> Float32:
    """The float32 sum of every image and channel in the order of ReduceSum and ReduceMean over the innermost axes.

    ONNX Runtime adds the H * W values of a row, contiguous in memory, with vectors of four: two running vectors take
    turns from the first 16-byte boundary on, are added, folded to (0 + 2) + (1 + 3), and then take up the values before
    that boundary and those left at the end, one by one. Channel c of image n is row `rows[0]` + n * `rows[1]` + c, of
    NCHW without `rows`; y [N, 1, 1, C].
    """
    images, height, width, channels = x.shape
    size = height * width
    values = np.moveaxis(x, -1, 1).reshape(images * channels, size)
    first, pitch = rows or (0, channels)
    number = (first + np.add.outer(np.arange(images) * pitch, np.arange(channels))).reshape(-1)
    total = np.empty(images * channels, np.float32)
    for phase in range(4):
        chosen = number * size % 4 == phase
        total[chosen] = _in_vectors(values[chosen], min(-phase % 4, size))
    return total.reshape(images, 1, 1, channels)


def _in_vectors(rows: Float32, head: int) -> Float32:
    """The sum of each row in the order that `vector_sum` describes; the first `head` values lie before the boundary."""
    vectors = (rows.shape[1] - head) // 4
    tail = head + vectors * 4
    body = rows[:, head:tail].reshape(rows.shape[0], vectors, 4)
    total = np.zeros(rows.shape[0], np.float32)
    if vectors:
        lanes = body[:, 0]
        if vectors > 1:  # cumsum adds from first to last
            even, odd = (np.cumsum(body[:, start : vectors // 2 * 2 : 2], axis=1)[:, -1] for start in (0, 1))
            lanes = even + odd
            if vectors % 2:
                lanes = lanes + body[:, -1]
        total = (lanes[:, 0] + lanes[:, 2]) + (lanes[:, 1] + lanes[:, 3])
    for index in (*range(head), *range(tail, rows.shape[1])):
        total = total + rows[:, index]
    return total


def real_mean(total: Float32, divisor: int, qy: Scaling, dtype: DTypeLike) -> Quantized:
    """quantize(total / divisor): what becomes of a sum of real values, all in float32."""
    return quantize(total / np.float32(divisor), qy.scale, qy.zero_point, dtype)


def _padded(
    x: NDArray[Any],
    fill: float,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    ceil_mode: bool,
) -> tuple[NDArray[Any], tuple[int, int, int, int]]:
    """The input with `fill` wherever a window reaches outside, and the shape of the output."""
    top, left, bottom, right = pads
    height = pooled_size(x.shape[1], kernel[0], strides[0], top, bottom, dilations[0], ceil_mode)
    width = pooled_size(x.shape[2], kernel[1], strides[1], left, right, dilations[1], ceil_mode)
    reach_h = (height - 1) * strides[0] + (kernel[0] - 1) * dilations[0] + 1
    reach_w = (width - 1) * strides[1] + (kernel[1] - 1) * dilations[1] + 1
    below, beyond = max(0, reach_h - top - x.shape[1]), max(0, reach_w - left - x.shape[2])
    padded = np.pad(x, ((0, 0), (top, below), (left, beyond), (0, 0)), constant_values=fill)
    return padded, (x.shape[0], height, width, x.shape[3])


def _taps(
    padded: NDArray[Any],
    shape: tuple[int, int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> Iterator[NDArray[Any]]:
    """The values under each position of the kernel, row by row, each of the output's shape."""
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            rows = padded[:, row * dilations[0] :: strides[0]][:, : shape[1]]
            yield rows[:, :, column * dilations[1] :: strides[1]][:, :, : shape[2]]


def _inside(size: int, windows: int, kernel: int, stride: int, pad: int) -> NDArray[np.int64]:
    """How many positions of each window lie inside the input, along one dimension."""
    start = np.arange(windows) * stride - pad
    return np.minimum(start + kernel, size) - np.maximum(start, 0)
