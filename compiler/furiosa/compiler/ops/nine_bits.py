"""Weights of nine bits, which those with a zero point for each channel can have: the sum of two of eight.

What they are multiplied with comes twice: every row of an image, or every element of an axis.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from furiosa.compiler.graph import Array, Op, const
from furiosa.compiler.ops.resize import Resize
from furiosa.compiler.ops.windows import Window

MOST = 254


def interleaved(weights: Array, axis: int) -> Array:
    """int16 as int8 of which two neighbours along an axis, twice as long, have the sum."""
    half = weights >> 1
    both = np.stack((half, weights - half), axis=axis + 1).astype(np.int8)
    return both.reshape(*weights.shape[:axis], 2 * weights.shape[axis], *weights.shape[axis + 1 :])


def halves(weights: Op, axis: int) -> Op:
    """A constant of nine bits as one of eight, twice as long on the axis."""
    return const(f"{weights.name}:halves", interleaved(weights.value, axis), weights.type.quant, weights.node)


def twice(x: Op, axis: int, name: str, node: str) -> Op:
    """Every element of an axis twice."""
    rank = len(x.type.shape)
    repeats = tuple(2 if i == axis % rank else 1 for i in range(rank))
    shape = tuple(size * count for size, count in zip(x.type.shape, repeats))
    attrs = Resize((0,) * rank, (1,) * rank, repeats)
    return Op("resize", (x,), attrs, replace(x.type, shape=shape), f"{name}:twice", node)


def rows_twice(box: Window) -> Window:
    """The window that sees every row twice."""
    top, left, bottom, right = box.pads
    kernel, strides = (2 * box.kernel[0], box.kernel[1]), (2 * box.strides[0], box.strides[1])
    return replace(box, kernel=kernel, strides=strides, pads=(2 * top, left, 2 * bottom, right))
