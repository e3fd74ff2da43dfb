"""Which elements of an axis a resize takes, in float32 as LiteRT computes it."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.graph import Array
from furiosa.isa.arithmetic import Coordinates

_MOST = 1 << 20


def nearest(before: int, after: int, corners: bool, half: bool) -> Array:
    """The element for each of the result's. int64 [after]; raises ValueError for sizes that no image has."""
    position = (_counted(before, after) + np.float32(0.5 if half else 0)) * _scale(before, after, corners)
    index = np.floor(position + np.float32(0.5)) if corners else np.floor(position)
    return np.asarray(np.clip(index, 0, before - 1).astype(np.int64))


def coordinates(before: int, after: int, corners: bool, half: bool) -> Coordinates:
    """Where a bilinear resize finds an element of the result."""
    scale = _scale(before, after, corners)
    shift = np.float32(0.5) * scale - np.float32(0.5) if half and not corners else 0.0
    return Coordinates(0.0, float(scale), 1.0, float(shift))


def _counted(before: int, after: int) -> Array:
    if not (before >= 1 and 1 <= after <= _MOST):
        raise ValueError(f"{before} elements become {after}")
    return np.arange(after, dtype=np.float32)


def _scale(before: int, after: int, corners: bool) -> np.float32:
    """Elements of the operand for one of the result."""
    ends = 1 if corners and after > 1 else 0
    return np.float32(before - ends) / np.float32(after - ends)
