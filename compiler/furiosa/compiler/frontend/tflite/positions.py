"""Which elements of an axis a resize takes, in float32 as LiteRT computes it."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.graph import Array

_MOST = 1 << 20
SHARE_BITS = 11


def nearest(before: int, after: int, corners: bool, half: bool) -> Array:
    """The element for each of the result's. int64 [after]; raises ValueError for sizes that no image has."""
    position = (_counted(before, after) + np.float32(0.5 if half else 0)) * _scale(before, after, corners)
    index = np.floor(position + np.float32(0.5)) if corners else np.floor(position)
    return np.asarray(np.clip(index, 0, before - 1).astype(np.int64))


def between(before: int, after: int, corners: bool, half: bool) -> tuple[Array, Array, Array]:
    """The two elements that each of the result's lies between, and the share of the second in 2**11-ths.

    int64 [after], int64 [after], int32 [after], as XNNPACK rounds them. Raises ValueError as ``nearest``.
    """
    scale = _scale(before, after, corners)
    position = _counted(before, after) * scale
    if half and not corners:
        position = np.clip(position + (np.float32(0.5) * scale - np.float32(0.5)), 0, before - 1)
    first = np.clip(np.floor(position), 0, before - 1)
    share = np.rint((position - first) * np.float32(1 << SHARE_BITS))
    whole = first.astype(np.int64)
    return whole, np.minimum(whole + 1, before - 1), share.astype(np.int32)


def _counted(before: int, after: int) -> Array:
    if not (before >= 1 and 1 <= after <= _MOST):
        raise ValueError(f"{before} elements become {after}")
    return np.arange(after, dtype=np.float32)


def _scale(before: int, after: int, corners: bool) -> np.float32:
    """Elements of the operand for one of the result."""
    ends = 1 if corners and after > 1 else 0
    return np.float32(before - ends) / np.float32(after - ends)
