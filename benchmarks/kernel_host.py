"""Instances of the host's steps: casts between float32 and bytes, and changes of layout."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import arithmetic
from kernel_cases import HostCase

Shape = tuple[int, int, int, int]

_TIES = np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)
_SPECIAL = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, -3e9, 0.0, -0.0], np.float32)


def _values(random: Random) -> np.random.Generator:
    return np.random.default_rng(random.getrandbits(32))


def quantize(
    random: Random, count: int, dtype: Any, scale: float, zero: int, by_product: bool = False
) -> HostCase:  # fmt: skip
    """Values of which some saturate, halves between two steps, and what is not a number."""
    values = _values(random)
    x = (values.normal(0, 100, count) * scale).astype(np.float32)
    special = np.concatenate([_TIES * np.float32(scale), _SPECIAL])
    share = values.integers(0, max(1, count), min(count, special.size))
    x[share] = special[: share.size]
    with np.errstate(all="ignore"):
        y = arithmetic.quantize(x, scale, zero, dtype, by_product=by_product)
    return HostCase("quantize", x, y, (scale, zero, dtype is np.int8), options={"by_product": by_product})


def dequantize(random: Random, count: int, dtype: Any, scale: float, zero: int) -> HostCase:
    x = _values(random).integers(0, 256, count, np.uint8).view(dtype)
    return HostCase("dequantize", x, arithmetic.dequantize(x, scale, zero), (scale, zero, dtype is np.int8))


def channels_last(random: Random, shape: Shape, dtype: Any) -> HostCase:
    """From (N, C, H, W), which is ``shape``."""
    x = _elements(random, shape, dtype)
    return HostCase("nchw_to_nhwc", x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)), (*shape, x.itemsize))


def channels_first(random: Random, shape: Shape, dtype: Any) -> HostCase:
    """To (N, C, H, W), which is ``shape``."""
    y = _elements(random, shape, dtype)
    return HostCase("nhwc_to_nchw", np.ascontiguousarray(y.transpose(0, 2, 3, 1)), y, (*shape, y.itemsize))


def _elements(random: Random, shape: Shape, dtype: Any) -> NDArray[Any]:
    return _values(random).integers(0, 1 << 15, shape).astype(dtype)
