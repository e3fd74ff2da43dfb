"""Linear interpolation between the pixels of an image, as ONNX Runtime's Resize and LiteRT's RESIZE_BILINEAR do it.

Where an element of the result lies in the operand follows from a few numbers (`Coordinates`), so that any tile of a
result finds its neighbours by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from furiosa.isa.arithmetic.elementwise import Scaling
from furiosa.isa.arithmetic.float32 import Float32, Quantized
from furiosa.isa.arithmetic.quantization import dequantize, quantize

SHARE_BITS = 11
"""Bits of a share of LiteRT's, on each axis."""

Int32 = NDArray[np.int32]


class Coordinates(NamedTuple):
    """Element i of the result lies at (i + lead) * factor / divisor + offset of the operand, along one axis.

    All are meant as float32, and each operation rounds to float32. The factor is at least 0, the divisor above it.
    """

    lead: float
    factor: float
    divisor: float
    offset: float


IDENTITY = Coordinates(0.0, 1.0, 1.0, 0.0)
"""Of an axis that stays as it is."""


class Neighbours(NamedTuple):
    """For each element of the result, the two elements of the operand that it lies between: their indices.

    ``near`` and ``far`` are its distances from the second and from the first, in float32: the shares of the first and
    of the second. At the last element both are that one, with a half each.
    """

    first: Int32
    second: Int32
    near: Float32
    far: Float32

    def inside(self, start: int) -> Neighbours:
        """The same with indices counted from ``start`` on."""
        return self._replace(first=self.first - np.int32(start), second=self.second - np.int32(start))


def positions(at: Coordinates, start: int, count: int) -> Float32:
    """Where elements ``start`` to ``start + count`` of the result lie along an axis: ONNX Runtime's order of steps."""
    lead, factor, divisor, offset = map(np.float32, at)
    index = np.arange(start, start + count, dtype=np.float32)
    with np.errstate(over="ignore"):  # an infinite position is beyond the last element
        return np.asarray((index + lead) * factor / divisor + offset)


def neighbours(at: Coordinates, start: int, count: int, extent: int) -> Neighbours:
    """Those of elements ``start`` to ``start + count`` along an axis where the operand has ``extent`` elements.

    Positions are cut to those of the operand's elements.
    """
    position = np.clip(positions(at, start, count), np.float32(0), np.float32(extent - 1))
    first = position.astype(np.int32)
    second = np.minimum(first + np.int32(1), np.int32(extent - 1))
    same = first == second
    near, far = (np.abs(position - index.astype(np.float32)) for index in (second, first))
    half = np.float32(0.5)
    return Neighbours(first, second, np.where(same, half, near), np.where(same, half, far))


def interpolate(
    x: Quantized, rows: Neighbours, columns: Neighbours, qx: Scaling, qy: Scaling, dtype: DTypeLike
) -> Quantized:
    """DequantizeLinear, Resize, QuantizeLinear of x (N, H, W, C), for these rows and columns of the result.

    The sum of the four neighbours times (column share * row share), left to right, each operation in float32.
    """
    real = dequantize(x, qx.scale, qx.zero_point)
    total: Any = None
    for row, height in ((rows.first, rows.near), (rows.second, rows.far)):
        for column, width in ((columns.first, columns.near), (columns.second, columns.far)):
            share = width * height[:, None]
            product = share[..., None] * _picked(real, row, column)
            total = product if total is None else total + product
    return quantize(total, qy.scale, qy.zero_point, dtype)


def lite_interpolate(x: Quantized, rows: Neighbours, columns: Neighbours) -> Quantized:
    """RESIZE_BILINEAR of x (N, H, W, C) as XNNPACK computes it: (sum + half) >> 22, of shares with 11 bits an axis."""
    one = 1 << SHARE_BITS
    (above, below), (left, right) = ((one - share, share) for share in (_fixed(rows), _fixed(columns)))
    total: Any = 1 << (2 * SHARE_BITS - 1)
    for row, height in ((rows.first, above), (rows.second, below)):
        for column, width in ((columns.first, left), (columns.second, right)):
            total = total + (height[:, None] * width)[..., None] * _picked(x.astype(np.int32), row, column)
    return np.asarray(total >> 2 * SHARE_BITS).astype(x.dtype)


def _fixed(axis: Neighbours) -> Int32:
    """The shares of the second neighbours; where it is the first, any will do."""
    return np.asarray(np.rint(axis.far * np.float32(1 << SHARE_BITS)).astype(np.int32))


def _picked(x: NDArray[Any], rows: Int32, columns: Int32) -> NDArray[Any]:
    return x[:, rows[:, None], columns]
