"""Pools: the largest or the mean value of each window, or of the whole image."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.ops.layout import conform, low, nhwc
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse
from furiosa.compiler.ops.windows import Window, window


@dataclass(frozen=True, slots=True)
class Pool(Attrs):
    """Of the window pools: as in ONNX, pads (top, left, bottom, right) with what rounding up added.

    ``floor`` is set when the operand is the sum of two tensors, computed on the way: the sum is not below it.
    """

    kernel_shape: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    count_include_pad: bool = False
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class GlobalPool(Attrs):
    """Of ``global_average_pool``; ``floor`` as in Pool."""

    floor: float | None = None


def spatial(op: Op) -> str | None:
    """pools work on tensors with one or two spatial axes"""
    rank = len(op.inputs[0].type.shape)
    return None if rank in (3, 4) else f"{rank - 2} spatial axes"


def padding_below_kernel(op: Op) -> str | None:
    """the padding must be smaller than the window"""
    top, left, bottom, right = op.attrs.pads
    reach = [d * (k - 1) + 1 for d, k in zip(op.attrs.dilations, op.attrs.kernel_shape)]
    return f"{max(top, left, bottom, right)}" if max(top, bottom) >= reach[0] or max(left, right) >= reach[1] else None


def _window(unit: Unit) -> Window:
    shape = next(op for op in unit.inputs if op is not None).type.shape
    if len(shape) not in (3, 4):
        raise refuse("spatial", "pools work on tensors with one or two spatial axes", len(shape) - 2, 2)
    return window(unit.node, shape, (), unit.out.shape)


def _pads(box: Window) -> tuple[int, int, int, int]:
    top, left, bottom, right = box.pads
    return top, left, bottom + box.extra[0], right + box.extra[1]


def build_max_pool(unit: Unit) -> Op:
    if unit.node.int("storage_order", 0):
        raise refuse("storage_order", "the storage order must be row major", 1, 0)
    box = _window(unit)
    return unit.op("max_pool2d", (unit.x(),), Pool(box.kernel, box.strides, box.dilations, _pads(box)))


def build_average_pool(unit: Unit) -> Op:
    box = _window(unit)
    include_pad = bool(unit.node.int("count_include_pad", 0))
    _no_clamp(unit)
    attrs = Pool(box.kernel, box.strides, box.dilations, _pads(box), include_pad, unit.summed)
    return unit.op("average_pool2d", _operands(unit), attrs)


def build_global_average_pool(unit: Unit) -> Op:
    _no_clamp(unit)
    return unit.op("global_average_pool", _operands(unit), GlobalPool(unit.summed))


def _no_clamp(unit: Unit) -> None:
    if unit.clamped:
        raise refuse("activation_after_mean", "an activation between a mean and its quantization is not accelerated",
                     unit.node.op_type, hint="quantize the result of the pool")  # fmt: skip


def _operands(unit: Unit) -> tuple[Op, ...]:
    if unit.summed is None:
        return (unit.x(),)
    if unit.x(0).type.shape != unit.x(1).type.shape:
        raise refuse("broadcast", "the two operands of a sum under a mean must have one shape",
                     f"{unit.x(0).type.shape} and {unit.x(1).type.shape}")  # fmt: skip
    return unit.x(0), unit.x(1)


def lower_max_pool(op: Op, inputs: tuple[Op, ...]) -> Op:
    a: Pool = op.attrs
    attrs = lowlevel.Pool(a.kernel_shape, a.strides, a.dilations, a.pads)
    return low("max_pool2d", (conform(inputs[0], op.type, op),), attrs, nhwc(op.type.shape), op)


def lower_average_pool(op: Op, inputs: tuple[Op, ...]) -> Op:
    a: Pool = op.attrs
    if a.floor is not None:
        summed = lowlevel.AddPool(a.kernel_shape, a.strides, a.dilations, a.pads, a.count_include_pad, a.floor)
        return low("add_average_pool2d", inputs, summed, nhwc(op.type.shape), op)
    attrs = lowlevel.Pool(a.kernel_shape, a.strides, a.dilations, a.pads, a.count_include_pad)
    return low("average_pool2d", inputs, attrs, nhwc(op.type.shape), op)


def lower_global_average_pool(op: Op, inputs: tuple[Op, ...]) -> Op:
    if op.attrs.floor is None:
        return low("global_average_pool", inputs, Attrs(), nhwc(op.type.shape), op)
    _, h, w, _ = inputs[0].type.shape
    attrs = lowlevel.AddPool((h, w), (1, 1), (1, 1), (0, 0, 0, 0), False, op.attrs.floor)
    return low("add_average_pool2d", inputs, attrs, nhwc(op.type.shape), op)


_MEAN = "where ONNX Runtime adds the window up in another order (float32), the mean may differ by one step at a tie"
ROWS = (
    OpDef("max_pool2d", ("MaxPool",), build_max_pool, lower_max_pool, rules=(four_axes, padding_below_kernel),
          moves_data=True),
    OpDef("average_pool2d", ("AveragePool",), build_average_pool, lower_average_pool,
          rules=(four_axes, padding_below_kernel), parity=_MEAN),
    OpDef("global_average_pool", ("GlobalAveragePool",), build_global_average_pool, lower_global_average_pool,
          rules=(four_axes, spatial), parity=_MEAN),
)  # fmt: skip
