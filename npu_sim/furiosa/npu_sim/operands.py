"""What the operands of each instruction must satisfy, on their own: ranges, shapes that fit, alignment, finite scales.

These rules make arithmetic on addresses and sizes safe in 32 bits and bound the memory and accumulators that executing
an instruction needs; whether the bytes exist and are in order is the business of ``verify``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite, prod
from typing import Any

from furiosa.isa import instructions as lir
from furiosa.isa.arithmetic import Coordinates, Scaling, fixed_sum, neighbours
from furiosa.isa.instructions import Activation, BinaryForm, Framework, Instruction, Summation, View

WINDOW_LIMIT = 1 << 16
"""Largest kernel extent (dilated), stride and padding, in pixels."""

REDUCTION_LIMIT = 1 << 16
"""Most products in one accumulator, and elements of a window: 2**16 * 255 * 128 is below 2**31."""

PRODUCT_LIMIT = 1 << 15
"""Most products of two numbers of nine bits in one accumulator: 2**15 * 255 * 255 is below 2**31."""

PADDED_LIMIT = 1 << 26
"""Most elements of an input with its padding."""

SUM_LIMIT = 1 << 16
"""Most tensors in one sum."""

MEAN_LIMIT = 1 << 22
"""Most elements in one mean: 2**22 * 255 is below 2**31."""


EXTENT_LIMIT = 1 << 20
"""Most rows and columns of an image between whose pixels is interpolated: float32 has them all, and their halves."""


class Illegal(Exception):
    """A broken rule: the fact and the limit, as one sentence."""


def check(inst: Instruction, sram_bytes: int) -> None:
    """Check an instruction for a program with ``sram_bytes`` of SRAM. Raises Illegal with the first broken rule."""
    _CHECKS[type(inst)](inst, sram_bytes)


def _ranged(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Illegal(f"`{name}` is {value}, it must be {low} to {high}")


def _equal(name: str, value: object, other: str, limit: object) -> None:
    if value != limit:
        raise Illegal(f"`{name}` is {value}, {other} demands {limit}")


def _box(name: str, address: int, shape: tuple[int, ...], strides: tuple[int, ...], sram_bytes: int) -> None:
    if min(shape) < 1:
        raise Illegal(f"`{name}` has shape {shape}, extents must be at least 1")
    if min(strides) < 0 or max(strides) > sram_bytes:
        raise Illegal(f"`{name}` has strides {strides}, they must be 0 to {sram_bytes}")
    if prod(shape) > sram_bytes:
        raise Illegal(f"`{name}` has {prod(shape)} elements, SRAM has {sram_bytes} bytes")
    end = address + sum((extent - 1) * stride for extent, stride in zip(shape, strides)) + 1
    if address < 0 or end > sram_bytes:
        raise Illegal(f"`{name}` lies at bytes {address} to {end} of SRAM, which has {sram_bytes}")


def _view(name: str, view: View, sram_bytes: int) -> None:
    _box(name, view.address, view.shape, view.strides, sram_bytes)


def _block(name: str, address: int, size: int, alignment: int, sram_bytes: int) -> None:
    if address < 0 or address + size > sram_bytes:
        raise Illegal(f"`{name}` lies at bytes {address} to {address + size} of SRAM, which has {sram_bytes}")
    if address % alignment:
        raise Illegal(f"`{name}` is at byte {address}, which is not aligned to {alignment}")


def _zero(name: str, value: int, kind: Activation) -> None:
    low, high = _range(kind)
    _ranged(name, value, low, high)


def _range(kind: Activation) -> tuple[int, int]:
    return (-128, 127) if kind is Activation.I8 else (0, 255)


def _scale(name: str, value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise Illegal(f"`{name}` is {value}, it must be finite and above 0")


def _dram(name: str, address: int, strides: tuple[int, ...]) -> None:
    if address < 0 or min(strides) < 0:
        raise Illegal(f"`{name}` is at byte {address} with strides {strides}, none may be negative")


def _load(inst: lir.Load, sram_bytes: int) -> None:
    _view("dst", inst.dst, sram_bytes)
    _dram("src", inst.src, inst.src_strides)


def _store(inst: lir.Store, sram_bytes: int) -> None:
    _view("src", inst.src, sram_bytes)
    _dram("dst", inst.dst, inst.dst_strides)


def _windows(inst: Any, x: View, *, taps_inside: bool) -> None:
    """Batches agree, and each window reaches into ``x``; with ``taps_inside`` at least one of its taps does."""
    _equal("y batch", inst.y.shape[0], "the input", x.shape[0])
    padded = x.shape[0] * x.shape[3]
    for axis, side in enumerate(("rows", "columns")):
        kernel, stride, dilation, pad = inst.kernel[axis], inst.strides[axis], inst.dilations[axis], inst.pads[axis]
        _ranged(f"kernel {side}", kernel, 1, WINDOW_LIMIT)
        _ranged(f"stride of {side}", stride, 1, WINDOW_LIMIT)
        _ranged(f"dilation of {side}", dilation, 1, WINDOW_LIMIT)
        _ranged(f"padding of {side}", pad, 0, WINDOW_LIMIT)
        reach = (kernel - 1) * dilation + 1
        _ranged(f"dilated kernel {side}", reach, 1, WINDOW_LIMIT)
        extent, count = x.shape[1 + axis], inst.y.shape[1 + axis]
        if reach <= pad or (count - 1) * stride - pad >= extent:
            raise Illegal(f"a window of {count} output {side} lies outside the {extent} {side} of the input")
        padded *= max(pad + extent, (count - 1) * stride + reach)
        if taps_inside:
            before = min(count, -(-pad // stride))
            _taps_inside(side, [index * stride - pad for index in range(before)], extent, kernel, dilation)
    _ranged("elements of the padded input", padded, 1, PADDED_LIMIT)


def _taps_inside(side: str, firsts: list[int], extent: int, kernel: int, dilation: int) -> None:
    """Of each window that starts at a negative coordinate, the first tap that is not negative is inside."""
    for index, first in enumerate(firsts):
        tap = -(first // dilation)
        if tap >= kernel or first + tap * dilation >= extent:
            raise Illegal(f"the window of output {side} {index} has no tap inside the {extent} {side} of the input")


def _convolution(inst: lir.Conv2d | lir.DepthwiseConv2d, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    _equal("x channel stride", inst.x.strides[3], "a convolution", 1)
    _equal("y channel stride", inst.y.strides[3], "a convolution", 1)
    channels, outputs, groups = inst.x.shape[3], inst.y.shape[3], inst.groups
    _ranged("groups", groups, 1, channels)
    if channels % groups or outputs % groups:
        raise Illegal(f"`groups` is {groups}, it must divide {channels} input and {outputs} output channels")
    _windows(inst, inst.x, taps_inside=False)
    most = PRODUCT_LIMIT if inst.w_zero else REDUCTION_LIMIT
    _ranged("products an output", inst.kernel[0] * inst.kernel[1] * (channels // groups), 1, most)
    _block("weights", inst.weights, inst.weight_bytes, 1, sram_bytes)
    _block("bias", inst.bias, 4 * outputs, 4, sram_bytes)
    _block("multipliers", inst.multipliers, inst.multiplier_bytes, 4, sram_bytes)
    _zero("x_zero", inst.x_zero, inst.x_type)
    _zero("w_zero", inst.w_zero, Activation.I8)
    _zero("y_zero", inst.y_zero, inst.y_type)
    _clamp(inst)


def _depthwise(inst: lir.DepthwiseConv2d, sram_bytes: int) -> None:
    _equal("groups", inst.groups, "a depthwise convolution", inst.x.shape[3])
    _convolution(inst, sram_bytes)


def _matmul(inst: lir.MatMul, sram_bytes: int) -> None:
    for name in ("a", "b", "y"):
        _view(name, getattr(inst, name), sram_bytes)
    (n, h, w, k), c = inst.a.shape, inst.y.shape[3]
    _equal("b shape", inst.b.shape, "the shapes of `a` and `y`", (n, h, k, c))
    _equal("y shape", inst.y.shape, "the shapes of `a` and `b`", (n, h, w, c))
    _equal("a channel stride", inst.a.strides[3], "a product", 1)
    _equal("y channel stride", inst.y.strides[3], "a product", 1)
    _ranged("products an output", k, 1, PRODUCT_LIMIT)
    _zero("a_zero", inst.a_zero, inst.a_type)
    _zero("b_zero", inst.b_zero, inst.b_type)
    _zero("y_zero", inst.y_zero, inst.y_type)
    _clamp(inst)


def _pool(inst: lir.MaxPool2d | lir.AveragePool2d | lir.AddAveragePool2d, x: View, sram_bytes: int) -> None:
    _view("y", inst.y, sram_bytes)
    _equal("y channels", inst.y.shape[3], "the input", x.shape[3])
    _windows(inst, x, taps_inside=True)
    _ranged("kernel elements", inst.kernel[0] * inst.kernel[1], 1, REDUCTION_LIMIT)


def _max_pool(inst: lir.MaxPool2d, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _pool(inst, inst.x, sram_bytes)


def _counted(counted: tuple[int, int, int, int], x: View) -> None:
    """The counted rows and columns hold the input, so that no window divides by zero."""
    top, left, bottom, right = counted
    _ranged("counted top row", top, -WINDOW_LIMIT, 0)
    _ranged("counted left column", left, -WINDOW_LIMIT, 0)
    _ranged("counted end row", bottom, x.shape[1], x.shape[1] + WINDOW_LIMIT)
    _ranged("counted end column", right, x.shape[2], x.shape[2] + WINDOW_LIMIT)


def _average_pool(inst: lir.AveragePool2d, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _pool(inst, inst.x, sram_bytes)
    _equal("dilations", inst.dilations, "a mean", (1, 1))
    _counted(inst.counted, inst.x)
    _unary_types(inst)
    if inst.framework is Framework.TFLITE:
        _equal("type, scale and zero point of y", (inst.y_type, inst.y_scale, inst.y_zero), "a mean of TFLITE",
               (inst.x_type, inst.x_scale, inst.x_zero))  # fmt: skip


def _add_average_pool(inst: lir.AddAveragePool2d, sram_bytes: int) -> None:
    _view("a", inst.a, sram_bytes)
    _view("b", inst.b, sram_bytes)
    _equal("b shape", inst.b.shape, "the shape of `a`", inst.a.shape)
    _pool(inst, inst.a, sram_bytes)
    _equal("dilations", inst.dilations, "a mean", (1, 1))
    _counted(inst.counted, inst.a)
    _binary_types(inst)
    if inst.floor not in (0.0, -inf):
        raise Illegal(f"`floor` is {inst.floor}, it must be 0 or -inf")


def _interpolate(inst: lir.Interpolate, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    _equal("y batch", inst.y.shape[0], "the input", inst.x.shape[0])
    _equal("y channels", inst.y.shape[3], "the input", inst.x.shape[3])
    row = Coordinates(inst.row_lead, inst.row_factor, inst.row_divisor, inst.row_offset)
    column = Coordinates(inst.column_lead, inst.column_factor, inst.column_divisor, inst.column_offset)
    for axis, (side, at) in enumerate((("row", row), ("column", column))):
        _between(inst, axis, side, at)
    _unary_types(inst)
    if inst.framework is Framework.TFLITE:
        _equal("type, scale and zero point of y", (inst.y_type, inst.y_scale, inst.y_zero), "an image of TFLITE",
               (inst.x_type, inst.x_scale, inst.x_zero))  # fmt: skip


def _between(inst: lir.Interpolate, axis: int, side: str, at: Coordinates) -> None:
    """All neighbours along an axis lie in ``x``: those of the ends do, and positions never fall."""
    if not all(map(isfinite, at)) or at.factor < 0 or at.divisor <= 0:
        raise Illegal(f"the coordinates of a {side} are {tuple(at)}, they must be finite, the factor at least 0 and "
                      "the divisor above 0")  # fmt: skip
    extent, start, count = inst.extents[axis], inst.y_start[axis], inst.y.shape[1 + axis]
    _ranged(f"extent in {side}s", extent, 1, EXTENT_LIMIT)
    _ranged(f"first {side} of y", start, 0, EXTENT_LIMIT)
    _ranged(f"last {side} of y", start + count - 1, 0, EXTENT_LIMIT)
    first = int(neighbours(at, start, 1, extent).first[0])
    last = int(neighbours(at, start + count - 1, 1, extent).second[0])
    begin, end = inst.x_start[axis], inst.x_start[axis] + inst.x.shape[1 + axis]
    if not begin <= first <= last < end:
        raise Illegal(f"{side}s {first} to {last} of the image are read, `x` has {begin} to {end - 1}")


def _unary_types(
    inst: lir.AveragePool2d | lir.GlobalAveragePool | lir.Interpolate | lir.Softmax | lir.ReduceL2 | lir.L2Normalize,
) -> None:
    _scale("x_scale", inst.x_scale)
    _scale("y_scale", inst.y_scale)
    _zero("x_zero", inst.x_zero, inst.x_type)
    _zero("y_zero", inst.y_zero, inst.y_type)


def _global_average(inst: lir.GlobalAveragePool, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    n, h, w, c = inst.x.shape
    _equal("y shape", inst.y.shape, "the shape of `x`", (n, 1, 1, c))
    _ranged("pixels", h * w, 1, MEAN_LIMIT)
    _ranged("divisor", inst.divisor, 1, MEAN_LIMIT)
    for row in inst.rows:
        _ranged("rows", row, 0, 3 if inst.summation is Summation.VECTORS else 0)
    _unary_types(inst)


def _softmax(inst: lir.Softmax, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    _equal("y shape", inst.y.shape, "the shape of `x`", inst.x.shape)
    _unary_types(inst)


def _reduce_l2(inst: lir.ReduceL2, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    _equal("y shape", inst.y.shape, "the shape of `x`", (*inst.x.shape[:3], 1))
    _unary_types(inst)


def _l2_normalize(inst: lir.L2Normalize, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    _equal("y shape", inst.y.shape, "the shape of `x`", inst.x.shape)
    _unary_types(inst)


def _binary(inst: lir.Add | lir.Sub | lir.Mul, sram_bytes: int) -> None:
    for name, view in (("a", inst.a), ("b", inst.b), ("y", inst.y)):
        _view(name, view, sram_bytes)
        _equal(f"{name} shape", view.shape, "the shape of `y`", inst.y.shape)
    _binary_types(inst)
    _clamp(inst)
    if inst.form is BinaryForm.SCALED and (isinstance(inst, lir.Sub) or not inst.a_type == inst.b_type == inst.y_type):
        raise Illegal("`form` is SCALED, which is for Add and Mul of operands of one type")
    if inst.form is BinaryForm.LITE and not isinstance(inst, lir.Mul):
        try:
            fixed_sum(Scaling(inst.a_scale, 0), Scaling(inst.b_scale, 0), Scaling(inst.y_scale, 0))
        except ValueError as error:
            raise Illegal(f"`form` is LITE, but {error}, it must be in [2**-10, 2**8)") from None


def _binary_types(inst: lir.Add | lir.Sub | lir.Mul | lir.AddAveragePool2d) -> None:
    _scale("a_scale", inst.a_scale)
    _scale("b_scale", inst.b_scale)
    _scale("y_scale", inst.y_scale)
    _zero("a_zero", inst.a_zero, inst.a_type)
    _zero("b_zero", inst.b_zero, inst.b_type)
    _zero("y_zero", inst.y_zero, inst.y_type)


def _sum(inst: lir.Sum, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    n, h, w, c = inst.y.shape
    _ranged("count", inst.count, 1, SUM_LIMIT)
    _equal("x shape", inst.x.shape, "the shape of `y`", (inst.count * n, h, w, c))
    _block("scales", inst.scales, 4 * inst.count, 4, sram_bytes)
    _block("zeros", inst.zeros, inst.count, 1, sram_bytes)
    _scale("y_scale", inst.y_scale)
    _scale("factor", inst.factor)
    _zero("y_zero", inst.y_zero, inst.y_type)
    _clamp(inst)


def _clamp(inst: lir.Conv2d | lir.DepthwiseConv2d | lir.Add | lir.Sub | lir.Mul | lir.MatMul | lir.Sum) -> None:
    low, high = _range(inst.y_type)
    _ranged("lo", inst.lo, low, high)
    _ranged("hi", inst.hi, inst.lo, high)


def _table(inst: lir.Table, sram_bytes: int) -> None:
    _view("x", inst.x, sram_bytes)
    _view("y", inst.y, sram_bytes)
    _equal("y shape", inst.y.shape, "the shape of `x`", inst.x.shape)
    if inst.tables not in (1, inst.x.shape[3]):
        raise Illegal(f"`tables` is {inst.tables}, it must be 1 or the {inst.x.shape[3]} channels of `x`")
    _block("table", inst.table, 256 * inst.tables, 1, sram_bytes)


def _copy(inst: lir.Copy, sram_bytes: int) -> None:
    _box("dst", inst.dst, inst.shape, inst.dst_strides, sram_bytes)
    _box("src", inst.src, inst.shape, inst.src_strides, sram_bytes)


def _fill(inst: lir.Fill, sram_bytes: int) -> None:
    _view("y", inst.y, sram_bytes)
    _ranged("value", inst.value, 0, 255)


_CHECKS: dict[type[Instruction], Callable[[Any, int], None]] = {
    lir.Load: _load, lir.Store: _store, lir.Conv2d: _convolution, lir.DepthwiseConv2d: _depthwise, lir.MatMul: _matmul,
    lir.MaxPool2d: _max_pool, lir.AveragePool2d: _average_pool, lir.GlobalAveragePool: _global_average,
    lir.AddAveragePool2d: _add_average_pool, lir.Interpolate: _interpolate, lir.Add: _binary, lir.Sub: _binary,
    lir.Mul: _binary, lir.Sum: _sum, lir.Table: _table, lir.Softmax: _softmax, lir.ReduceL2: _reduce_l2,
    lir.L2Normalize: _l2_normalize, lir.Copy: _copy, lir.Fill: _fill,
}  # fmt: skip
