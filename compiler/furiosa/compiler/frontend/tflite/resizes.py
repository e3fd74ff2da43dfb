"""Resizing on the NPU: elements are repeated or left out, or lie between those of the operand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from furiosa.compiler.frontend.tflite import positions
from furiosa.compiler.frontend.tflite.elementwise import same_quantization
from furiosa.compiler.frontend.tflite.site import TO_FIRST, Site, ordered
from furiosa.compiler.graph import Array, Op, TensorType
from furiosa.compiler.ops.interpolate import Interpolate
from furiosa.compiler.ops.resize import Resize
from furiosa.compiler.ops.table import refuse
from furiosa.isa.instructions import Framework


def resize_nearest(site: Site) -> None:
    """RESIZE_NEAREST_NEIGHBOR where it repeats every element, or takes every n-th."""
    x, to = _image(site)
    options = bool(site.options["align_corners"]), bool(site.options["half_pixel_centers"])
    sizes = zip(x.type.shape[2:], to.shape[2:])
    rows, columns = (_pattern(positions.nearest(before, after, *options), before) for before, after in sizes)
    starts, steps, repeats = zip((0, 1, 1), (0, 1, 1), rows, columns)
    site.give(site.op("resize", (x,), Resize(starts, steps, repeats), to))


def resize_bilinear(site: Site) -> None:
    """RESIZE_BILINEAR; its coordinates are float32 in XNNPACK, too."""
    x, to = _image(site)
    corners, half = bool(site.options["align_corners"]), bool(site.options["half_pixel_centers"])
    sizes = zip(x.type.shape[2:], to.shape[2:])
    rows, columns = (positions.coordinates(before, after, corners, half) for before, after in sizes)
    site.give(site.op("interpolate", (x,), Interpolate(rows, columns, Framework.TFLITE), to))


def _image(site: Site) -> tuple[Op, TensorType]:
    """The operand and the type of the result, channels-first."""
    x, to = site.x(), site.npu_result()
    same_quantization(site, x.type, to)
    shape = ordered(to.shape, TO_FIRST)
    if len(x.type.shape) != 4 or x.type.shape[:2] != shape[:2] or min(*x.type.shape, *shape) < 1:
        raise site.fault(f"an image of shape {x.type.shape} becomes {shape}")
    return x, replace(to, shape=shape)


def _pattern(indices: Array, before: int) -> tuple[int, int, int]:
    """Start, step and repeats of an axis. Raises Refusal when there are none."""
    after, counted = len(indices), np.arange(len(indices))
    repeats = after // before
    if repeats and after == before * repeats and np.array_equal(indices, counted // repeats):
        return 0, 1, repeats
    start, step = int(indices[0]), int(indices[1] - indices[0]) if after > 1 else 1
    if step > 0 and np.array_equal(indices, start + step * counted):
        return start, step, 1
    raise refuse("resize_pattern", "a resize must repeat every element equally often, or take every n-th",
                 f"{before} to {after} elements", "a whole ratio", "resize by a whole factor")  # fmt: skip


RESIZES: dict[str, Callable[[Site], None]] = {
    "RESIZE_BILINEAR": resize_bilinear, "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
}  # fmt: skip
