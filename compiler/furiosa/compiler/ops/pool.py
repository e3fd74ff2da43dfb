"""Pools: the largest or the mean value of each window, or of the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.ops.layout import conform, low, nhwc
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse, rule
from furiosa.compiler.ops.windows import Window, padding_below_kernel, window, window_size
from furiosa.isa.instructions import Framework


@dataclass(frozen=True, slots=True)
class Pool(Attrs):
    """Of the window pools: as in ONNX, pads (top, left, bottom, right) with what rounding up added.

    ``floor`` is set when the operand is the sum of two tensors, computed on the way: the sum is not below it.
    ``framework`` says whose rounding a mean has.
    """

    kernel_shape: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    count_include_pad: bool = False
    floor: float | None = None
    framework: Framework = Framework.ONNX


@dataclass(frozen=True, slots=True)
class GlobalPool(Attrs):
    """Of ``global_average_pool``; ``floor`` as in Pool."""

    floor: float | None = None


@rule(2, "join axes with a Reshape")
def spatial(op: Op) -> str | None:
    """pools work on tensors with one or two spatial axes"""
    rank = len(op.inputs[0].type.shape)
    return None if rank in (3, 4) else f"{rank - 2} spatial axes"


@rule("1 element", "reduce the padding")
def taps_inside(op: Op) -> str | None:
    """every window must have an element of the image in it"""
    if isinstance(op.attrs, GlobalPool):
        return None
    sizes = nhwc(op.inputs[0].type.shape)[1:3]
    for size, kernel, stride, dilation, pad in zip(
        sizes, op.attrs.kernel_shape, op.attrs.strides, op.attrs.dilations, op.attrs.pads
    ):
        for first in range(-pad, 0, stride):
            tap = -(first // dilation)
            if tap >= kernel or first + tap * dilation >= size:
                return f"the one from {first} on has none of {size}"
    return None


@rule("dilation 1", "write the mean as a depthwise convolution")
def no_dilation(op: Op) -> str | None:
    """windows of a mean must not be dilated"""
    return f"dilations {op.attrs.dilations}" if max(op.attrs.dilations) > 1 else None


@rule(1 << 16, "split the pool into two")
def window_elements(op: Op) -> str | None:
    """windows must have at most 65536 elements"""
    count = prod(op.attrs.kernel_shape)
    return f"{count}" if count > 1 << 16 else None


@rule("4194304, 65536 of a sum", "take the mean in two steps")
def image_elements(op: Op) -> str | None:
    """the mean of an image can be over at most 4194304 pixels, or 65536 of a sum"""
    pixels = prod(op.inputs[0].type.shape[2:])
    return f"{pixels}" if pixels > (1 << 22 if op.attrs.floor is None else 1 << 16) else None


def _window(unit: Unit) -> Window:
    shape = next(op for op in unit.inputs if op is not None).type.shape
    if len(shape) not in (3, 4):
        raise refuse("spatial", "pools work on tensors with one or two spatial axes", len(shape) - 2, 2,
                     "join axes with a Reshape")  # fmt: skip
    return window(unit.node, shape, (), unit.out.shape)


def _pads(box: Window) -> tuple[int, int, int, int]:
    top, left, bottom, right = box.pads
    return top, left, bottom + box.extra[0], right + box.extra[1]


def build_max_pool(unit: Unit) -> Op:
    """A MaxPool; rounding up is more padding."""
    if unit.node.int("storage_order", 0):
        raise refuse("storage_order", "the storage order must be row major", 1, 0, "leave storage_order out")
    box = _window(unit)
    return unit.op("max_pool2d", (unit.x(),), Pool(box.kernel, box.strides, box.dilations, _pads(box)))


def build_average_pool(unit: Unit) -> Op:
    """An AveragePool; rounding up is more padding."""
    box = _window(unit)
    include_pad = bool(unit.node.int("count_include_pad", 0))
    no_clamp(unit)
    attrs = Pool(box.kernel, box.strides, box.dilations, _pads(box), include_pad, unit.summed)
    return unit.op("average_pool2d", _operands(unit), attrs)


def build_global_average_pool(unit: Unit) -> Op:
    """A GlobalAveragePool."""
    no_clamp(unit)
    return unit.op("global_average_pool", _operands(unit), GlobalPool(unit.summed))


def no_clamp(unit: Unit) -> None:
    """Raises Refusal when an activation lies between a mean and its quantization."""
    if unit.clamped:
        raise refuse("activation_after_mean", "an activation between a mean and its quantization is not accelerated",
                     unit.node.op_type, "none", "quantize the result of the pool")  # fmt: skip


def _operands(unit: Unit) -> tuple[Op, ...]:
    if unit.summed is None:
        return (unit.x(),)
    if unit.x(0).type.shape != unit.x(1).type.shape:
        raise refuse("broadcast", "the two operands of a sum under a mean must have one shape",
                     f"{unit.x(0).type.shape} and {unit.x(1).type.shape}", "one shape",
                     "quantize the sum")  # fmt: skip
    return unit.x(0), unit.x(1)


def lower_max_pool(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One instruction; another quantization of the result is a table before it."""
    a: Pool = op.attrs
    attrs = lowlevel.Pool(a.kernel_shape, a.strides, a.dilations, a.pads)
    return low("max_pool2d", (conform(inputs[0], op.type, op),), attrs, nhwc(op.type.shape), op)


def lower_average_pool(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One instruction, with or without the sum."""
    a: Pool = op.attrs
    if a.floor is not None:
        summed = lowlevel.AddPool(a.kernel_shape, a.strides, a.dilations, a.pads, a.count_include_pad, a.floor)
        return low("add_average_pool2d", inputs, summed, nhwc(op.type.shape), op)
    attrs = lowlevel.Pool(a.kernel_shape, a.strides, a.dilations, a.pads, a.count_include_pad, a.framework)
    return low("average_pool2d", inputs, attrs, nhwc(op.type.shape), op)


def lower_global_average_pool(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One instruction; with a sum, a pool over the whole image."""
    _, h, w, _ = inputs[0].type.shape
    if op.attrs.floor is None:
        return low("global_average_pool", inputs, lowlevel.GlobalPool(h * w), nhwc(op.type.shape), op)
    attrs = lowlevel.AddPool((h, w), (1, 1), (1, 1), (0, 0, 0, 0), False, op.attrs.floor)
    return low("add_average_pool2d", inputs, attrs, nhwc(op.type.shape), op)


_MEAN = "where ONNX Runtime adds the window up in another order (float32), the mean may differ by one step at a tie"
ROWS = (
    OpDef("max_pool2d", ("MaxPool",), build_max_pool, lower_max_pool,
          rules=(four_axes, padding_below_kernel, window_size, window_elements, taps_inside), moves_data=True),
    OpDef("average_pool2d", ("AveragePool",), build_average_pool, lower_average_pool,
          rules=(four_axes, no_dilation, padding_below_kernel, window_size, window_elements, taps_inside),
          parity=_MEAN, turns=True),
    OpDef("global_average_pool", ("GlobalAveragePool",), build_global_average_pool, lower_global_average_pool,
          rules=(four_axes, spatial, image_elements), parity=_MEAN, turns=True),
)  # fmt: skip
