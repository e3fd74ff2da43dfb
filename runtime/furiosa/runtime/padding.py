"""Tensors whose rows are padded in memory: an array as the device has it, and as users see it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.enf import Tensor

Array = NDArray[Any]


def stored(array: Array, tensor: Tensor) -> Array:
    """The bytes of a tensor in the order of memory, with its padding; not copied where there is none."""
    if not tensor.width:
        return np.ascontiguousarray(array)
    whole = np.zeros(tensor.storage, array.dtype)
    shown(whole, tensor)[...] = array
    return whole


def shown(whole: Array, tensor: Tensor) -> Array:
    """A tensor without its padding, in the same memory."""
    return whole[..., : tensor.shape[-1]] if tensor.width else whole
