"""Resizing on the CPU: elements are picked by index, or are real numbers between others."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.frontend.tflite import positions
from furiosa.compiler.frontend.tflite.cpu.nodes import ABSENT, Cpu, Handler
from furiosa.compiler.graph import Op


def _resize_nearest(cpu: Cpu) -> None:
    _images(cpu)
    x, to = cpu.stored(0), cpu.site.result()
    if x.type.dtype is not to.dtype or x.type.quant != to.quant:
        x = cpu.real(0)
    options = bool(cpu.options["align_corners"]), bool(cpu.options["half_pixel_centers"])
    for axis in (1, 2):
        x = _picked(cpu, x, positions.nearest(x.type.shape[axis], cpu.shape()[axis], *options), axis)
    cpu.give(x)


def _resize_bilinear(cpu: Cpu) -> None:
    _images(cpu)
    x, shape = cpu.real(0, images=True), cpu.shape(images=True)
    corners, half = cpu.options["align_corners"], cpu.options["half_pixel_centers"]
    coordinates = "align_corners" if corners else "half_pixel" if half else "asymmetric"
    operands = [x, ABSENT, ABSENT, cpu.integers(shape)]
    cpu.give(cpu.add("Resize", operands, shape, mode="linear", coordinate_transformation_mode=coordinates), images=True)


def _picked(cpu: Cpu, x: Op, where: np.ndarray, axis: int) -> Op:
    shape = (*x.type.shape[:axis], len(where), *x.type.shape[axis + 1 :])
    return cpu.add("Gather", [x, cpu.constant(where)], shape, x.type.dtype, axis=axis)


def _images(cpu: Cpu) -> None:
    """Raises ModelError for an operand or a result that is no image."""
    shape = cpu.site.operand(0).type.shape
    if len(shape) != 4 or len(cpu.shape()) != 4:
        raise cpu.site.fault(f"an operand of shape {shape}")


RESIZES: dict[str, Handler] = {"RESIZE_BILINEAR": _resize_bilinear, "RESIZE_NEAREST_NEIGHBOR": _resize_nearest}
