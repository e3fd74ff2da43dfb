"""Resizing on the CPU: elements are picked by index; integers between others are computed as XNNPACK does."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.frontend.tflite import positions
from furiosa.compiler.frontend.tflite.cpu.nodes import ABSENT, Cpu, Handler
from furiosa.compiler.graph import Op
from furiosa.isa.dtypes import DType


def _resize_nearest(cpu: Cpu) -> None:
    x = _image(cpu)
    options = bool(cpu.options["align_corners"]), bool(cpu.options["half_pixel_centers"])
    for axis in (1, 2):
        x = _picked(cpu, x, positions.nearest(x.type.shape[axis], cpu.shape()[axis], *options), axis)
    cpu.give(x)


def _resize_bilinear(cpu: Cpu) -> None:
    x = _image(cpu)
    if x.type.dtype.quantized:
        cpu.give(_between_integers(cpu, x))
    else:
        _between_reals(cpu)


def _between_integers(cpu: Cpu, x: Op) -> Op:
    """(sum of the four neighbours times their shares + half) >> 22; shares have 11 bits on each axis."""
    options = bool(cpu.options["align_corners"]), bool(cpu.options["half_pixel_centers"])
    dtype, least = x.type.dtype, int(np.iinfo(x.type.dtype.numpy_name).min)
    x = cpu.add("Sub", [cpu.cast(x, DType.I32), cpu.constant(np.int32(least))], x.type.shape, DType.I32)
    for axis in (2, 1):
        first, second, share = positions.between(x.type.shape[axis], cpu.shape()[axis], *options)
        near, far = (_picked(cpu, x, where, axis) for where in (first, second))
        column = cpu.constant(share.reshape([-1 if k == axis else 1 for k in range(4)]))
        apart = cpu.add("Mul", [_integers(cpu, "Sub", far, near), column], near.type.shape, DType.I32)
        x = _integers(cpu, "Add", _integers(cpu, "Mul", near, cpu.constant(np.int32(1 << positions.SHARE_BITS))), apart)
    whole = np.int32(1 << 2 * positions.SHARE_BITS)
    x = _integers(cpu, "Div", _integers(cpu, "Add", x, cpu.constant(whole >> 1)), cpu.constant(whole))
    return cpu.cast(_integers(cpu, "Add", x, cpu.constant(np.int32(least))), dtype)


def _integers(cpu: Cpu, op_type: str, a: Op, b: Op) -> Op:
    return cpu.add(op_type, [a, b], a.type.shape, DType.I32)


def _picked(cpu: Cpu, x: Op, where: np.ndarray, axis: int) -> Op:
    shape = (*x.type.shape[:axis], len(where), *x.type.shape[axis + 1 :])
    return cpu.add("Gather", [x, cpu.constant(where)], shape, x.type.dtype, axis=axis)


def _between_reals(cpu: Cpu) -> None:
    x, shape = cpu.real(0, images=True), cpu.shape(images=True)
    corners, half = cpu.options["align_corners"], cpu.options["half_pixel_centers"]
    coordinates = "align_corners" if corners else "half_pixel" if half else "asymmetric"
    operands = [x, ABSENT, ABSENT, cpu.integers(shape)]
    cpu.give(cpu.add("Resize", operands, shape, mode="linear", coordinate_transformation_mode=coordinates), images=True)


def _image(cpu: Cpu) -> Op:
    x, to = cpu.stored(0), cpu.site.result()
    if x.type.dtype is not to.dtype or x.type.quant != to.quant:
        x = cpu.real(0)
    if len(x.type.shape) != 4 or len(cpu.shape()) != 4:
        raise cpu.site.fault(f"an operand of shape {x.type.shape}")
    return x


RESIZES: dict[str, Handler] = {"RESIZE_BILINEAR": _resize_bilinear, "RESIZE_NEAREST_NEIGHBOR": _resize_nearest}
