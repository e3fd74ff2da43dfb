"""The host's steps at the border of the NPU: casts and changes of layout, native where that module is built."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import arithmetic, env
from furiosa.isa.dtypes import DType
from furiosa.npu_sim.kernels import REFERENCE, choose, native

Array = NDArray[Any]
Shape = tuple[int, int, int, int]


class Boundary:
    """Executes boundary steps; their results do not depend on the kernels."""

    def __init__(self) -> None:
        self._native: ModuleType | None = None if choose() == REFERENCE else native()
        self._threads = env.THREADS.get()

    def quantize(self, x: Array, scale: float, zero_point: int, dtype: DType, by_product: bool = False) -> Array:
        """Float32 to one-byte integers, as ``arithmetic.quantize`` defines it; uint8 to the int8 of the same values."""
        if x.dtype == np.uint8:
            return self._to_signed(x)
        if self._native is None:
            # Infinities and NaN are legal inputs, their results are defined: NumPy need not warn of them.
            with np.errstate(all="ignore"):
                return arithmetic.quantize(x, scale, zero_point, dtype.numpy_name, by_product=by_product)
        y = np.empty(x.shape, dtype.numpy_name)
        signed = dtype is DType.I8
        self._native.quantize(
            np.ascontiguousarray(x), y, scale, zero_point, signed, self._threads, by_product=by_product
        )
        return y

    def _to_signed(self, x: Array) -> Array:
        if self._native is None:
            return arithmetic.to_signed(x)
        y = np.empty(x.shape, np.int8)
        self._native.to_signed(np.ascontiguousarray(x), y, self._threads)
        return y

    def dequantize(self, x: Array, scale: float, zero_point: int) -> Array:
        """One-byte integers to float32, as ``arithmetic.dequantize`` defines it."""
        if self._native is None:
            return arithmetic.dequantize(x, scale, zero_point)
        y = np.empty(x.shape, np.float32)
        signed = x.dtype == np.int8
        self._native.dequantize(np.ascontiguousarray(x), y, scale, zero_point, signed, self._threads)
        return y

    def resize_rows(self, x: Array, width: int) -> Array:
        """The values of ``x`` with a last axis of ``width`` elements: cut, or with zeros behind."""
        y = np.zeros((*x.shape[:-1], width), x.dtype)
        common = min(width, x.shape[-1])
        y[..., :common] = x[..., :common]
        return y

    def lower(self, x: Array, nchw: Shape) -> Array:
        """The values of ``x``, read as ``nchw``, as (N, H, W, C); shares memory with ``x`` where that is dense."""
        n, c, h, w = nchw
        if self._native is None or c == 1 or h * w == 1:
            return np.ascontiguousarray(x.reshape(nchw).transpose(0, 2, 3, 1))
        y = np.empty((n, h, w, c), x.dtype)
        self._native.nchw_to_nhwc(np.ascontiguousarray(x), y, n, c, h, w, x.itemsize, self._threads)
        return y

    def unlower(self, x: Array, nchw: Shape) -> Array:
        """The inverse of ``lower``: (N, H, W, C) as ``nchw``."""
        n, c, h, w = nchw
        if self._native is None or c == 1 or h * w == 1:
            return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        y = np.empty(nchw, x.dtype)
        self._native.nhwc_to_nchw(np.ascontiguousarray(x), y, n, c, h, w, x.itemsize, self._threads)
        return y
