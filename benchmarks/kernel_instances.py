"""Instances of the instructions: each function gives a case for shapes that are drawn or those of a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import instructions as lir
from furiosa.isa.arithmetic import Coordinates, neighbours
from furiosa.isa.instructions import BinaryForm, CopyKind, Framework, Rounding, Summation, View
from kernel_cases import InstructionCase
from kernel_maker import Maker, Shape
from kernel_windows import Windows

Six = tuple[int, ...]
Binary = type[lir.Add] | type[lir.Sub] | type[lir.Mul]

_INT32 = np.iinfo(np.int32)


def convolution(
    m: Maker,
    windows: Windows,
    channels: int,
    outputs: int,
    groups: int = 1,
    batch: int = 1,
    depthwise: bool = False,
    fixed: bool = False,
    w_zero: int = 0,
) -> InstructionCase:
    """Conv2d, or DepthwiseConv2d for ``depthwise`` with as many groups as channels; also a matrix product.

    ``fixed``: Conv2d that rounds in fixed point.
    """
    x = m.view((batch, *windows.image, channels), dense_channels=True, read=True)
    y = m.view((batch, *windows.result, outputs), dense_channels=True)
    products = windows.taps * (channels // groups)
    weights = m.noise(outputs * products, np.int8)
    multipliers = (_fixed if fixed else _multipliers)(m, outputs, products)
    weights_at, bias_at, multipliers_at = m.constants(weights, _bias(m, outputs), multipliers)
    x_type, y_type = m.kind(), m.kind()
    lo, hi = m.clamp(y_type)
    fields: dict[str, Any] = {**windows.fields, **({"rounding": Rounding.FIXED} if fixed else {})}
    fields["w_zero"] = m.pick(w_zero, 0, 0, 0, m.random.randint(-127, 127), -128)
    cls = lir.DepthwiseConv2d if depthwise else lir.Conv2d
    return m.case(
        cls(
            x=x, y=y, weights=weights_at, bias=bias_at, multipliers=multipliers_at, groups=groups, x_type=x_type,
            y_type=y_type, x_zero=m.zero(x_type), y_zero=m.zero(y_type), lo=lo, hi=hi, **fields,
        )
    )  # fmt: skip


def matmul(m: Maker, batch: tuple[int, int], rows: int, depth: int, columns: int) -> InstructionCase:
    """Products of two tensors; the second lies in any order."""
    a = m.view((*batch, rows, depth), dense_channels=True, read=True)
    y = m.view((*batch, rows, columns), dense_channels=True)
    b = m.view((*batch, columns, depth), read=True)
    turned = View(b.address, (*batch, depth, columns), (*b.strides[:2], b.strides[3], b.strides[2]))
    fields: dict[str, Any] = {f"{name}_type": m.kind() for name in "aby"}
    fields |= {f"{name}_zero": m.zero(fields[f"{name}_type"]) for name in "aby"}
    lo, hi = m.clamp(fields["y_type"])
    factor = float(_multipliers(m, 1, depth)[0])
    b = m.pick(turned, m.view((*batch, depth, columns), read=True))
    return m.case(lir.MatMul(a=a, b=b, y=y, multiplier=factor, lo=lo, hi=hi, **fields))


def _bias(m: Maker, outputs: int) -> NDArray[np.int32]:
    """Of the size of the sums, or so large that sums leave the range of int32, around which they wrap."""
    usual = m.values.integers(-30000, 30000, outputs, np.int32)
    return m.pick(usual, m.values.choice(np.array([_INT32.min, _INT32.max], np.int32), outputs))


def _multipliers(m: Maker, outputs: int, products: int) -> NDArray[np.float32]:
    """Such that results fill the range of a byte; or at and above 1, of any size, or beyond all integers."""
    usual = m.values.uniform(20, 120, outputs) / (74 * 74 * np.sqrt(products))
    anything = 10 ** m.values.uniform(-9, 9, outputs)
    above = m.values.choice([0.5, 1.0, 1.5], outputs)
    return np.asarray(m.pick(usual, usual, usual, above, anything, usual * 1e30), np.float32)


def _fixed(m: Maker, outputs: int, products: int) -> NDArray[np.int32]:
    """The same in fixed point: factors, exponents, and on which side ties go."""
    fraction, exponent = np.frexp(m.values.uniform(20, 120, outputs) / (74 * 74 * np.sqrt(products)))
    exponents = m.pick(exponent, exponent, exponent, m.values.integers(-31, 32, outputs))
    rows = np.rint(fraction * 2**31), exponents, m.pick(np.zeros(outputs), m.values.integers(0, 2, outputs))
    return np.stack(rows, axis=1).astype(np.int32)


def max_pool(m: Maker, windows: Windows, channels: int, batch: int = 1) -> InstructionCase:
    x = m.view((batch, *windows.image, channels), read=True)
    y = m.view((batch, *windows.result, channels))
    return m.case(lir.MaxPool2d(x=x, y=y, type=m.kind(), **windows.fields))


def average_pool(m: Maker, windows: Windows, channels: int, batch: int = 1) -> InstructionCase:
    x = m.view((batch, *windows.image, channels), read=True)
    y = m.view((batch, *windows.result, channels))
    fields = m.quantization("x", "y") | windows.fields
    return m.case(lir.AveragePool2d(x=x, y=y, counted=_counted(m, windows), **fields))


def lite_average_pool(m: Maker, windows: Windows, channels: int, batch: int = 1) -> InstructionCase:
    x = m.view((batch, *windows.image, channels), read=True)
    y = m.view((batch, *windows.result, channels))
    fields = m.quantization("x") | windows.fields
    same = {f"y_{key}": fields[f"x_{key}"] for key in ("type", "scale", "zero")}
    counted, framework = _counted(m, windows), Framework.TFLITE
    return m.case(lir.AveragePool2d(x=x, y=y, counted=counted, framework=framework, **same, **fields))


def add_average_pool(m: Maker, windows: Windows, channels: int, batch: int = 1) -> InstructionCase:
    a, b = (m.view((batch, *windows.image, channels), read=True) for _ in range(2))
    y = m.view((batch, *windows.result, channels))
    fields = m.quantization("a", "b", "y") | windows.fields
    floor = m.pick(0.0, float("-inf"))
    return m.case(lir.AddAveragePool2d(a=a, b=b, y=y, counted=_counted(m, windows), floor=floor, **fields))


def _counted(m: Maker, windows: Windows) -> Any:
    """The image, or with some of its padding."""
    top, left, bottom, right = m.pick((0, 0, 0, 0), (*windows.pads, *windows.pads), (1, 0, 2, 3))
    return -top, -left, windows.image[0] + bottom, windows.image[1] + right


def interpolate(
    m: Maker, size: tuple[int, int], to: tuple[int, int], channels: int, batch: int = 1, lite: bool = False
) -> InstructionCase:
    """A resize of an image, or of as much of it as some rows and columns of the result need."""
    rows, columns = (_stretch(m, before, after) for before, after in zip(size, to))
    x = m.view((batch, rows.x_count, columns.x_count, channels), read=True)
    y = m.view((batch, rows.y_count, columns.y_count, channels))
    fields = m.quantization("x", "y")
    if lite:
        fields |= {f"y_{key}": fields[f"x_{key}"] for key in ("type", "scale", "zero")}
    for name, axis in (("row", rows), ("column", columns)):
        fields |= {f"{name}_{key}": value for key, value in axis.at._asdict().items()}
    fields |= {"x_start": (rows.x_start, columns.x_start), "y_start": (rows.y_start, columns.y_start)}
    framework = Framework.TFLITE if lite else Framework.ONNX
    return m.case(lir.Interpolate(x=x, y=y, extents=size, framework=framework, **fields))


class _Stretch(NamedTuple):
    """One axis of a resize: where elements lie, and the intervals of operand and result."""

    at: Coordinates
    x_start: int
    x_count: int
    y_start: int
    y_count: int


def _stretch(m: Maker, before: int, after: int) -> _Stretch:
    half = Coordinates(0.5, 1.0, _float32(after / before), -0.5)
    corners = Coordinates(0.0, before - 1, max(1, after - 1), 0.0)
    anywhere = Coordinates(0.25, _float32(m.random.uniform(0, 2)), 1.0, _float32(m.random.uniform(-3, 3)))
    at = m.pick(half, corners, anywhere)
    start = m.pick(0, m.random.randrange(after))
    count = after - start if not m.loose else m.random.choice((after - start, m.random.randint(1, after - start)))
    both = neighbours(at, start, count, before)
    first, last = int(both.first[0]), int(both.second[-1])
    first, last = m.pick(0, first), m.pick(before - 1, last)
    return _Stretch(at, first, last + 1 - first, start, count)


def _float32(value: float) -> float:
    return float(np.float32(value))


def global_average(
    m: Maker, size: tuple[int, int], channels: int, batch: int = 1, summation: Summation = Summation.EXACT
) -> InstructionCase:
    x, y = m.view((batch, *size, channels), read=True), m.view((batch, 1, 1, channels))
    rows = (m.pick(0, 1, 2, 3), channels % 4) if summation is Summation.VECTORS else (0, 0)
    divisor = m.pick(size[0] * size[1], 1)
    fields = {"divisor": divisor, "summation": summation, "rows": rows, **m.quantization("x", "y")}
    return m.case(lir.GlobalAveragePool(x=x, y=y, **fields))


def binary(m: Maker, cls: Binary, form: BinaryForm, shape: Shape) -> InstructionCase:
    """Add, Sub or Mul of two views; sometimes of a view with itself, or in place."""
    a, b = m.view(shape, read=True), m.view(shape, read=True)
    b = m.pick(b, b, b, a)
    y = m.pick(m.view(shape), *(view for view in (a, b) if 0 not in view.strides))
    return m.case(_binary(m, cls, form, a, b, y))


def all_pairs(m: Maker, cls: Binary, form: BinaryForm) -> InstructionCase:
    """Each byte with each other one."""
    every = m.bytes(np.arange(256, dtype=np.uint8))
    shape = (1, 256, 256, 1)
    a, b = View(every, shape, (0, 1, 0, 0)), View(every, shape, (0, 0, 1, 0))
    return m.case(_binary(m, cls, form, a, b, m.view(shape)))


def _binary(m: Maker, cls: Binary, form: BinaryForm, a: View, b: View, y: View) -> lir.Add | lir.Sub | lir.Mul:
    fields = m.quantization("a", "b", "y")
    if form is BinaryForm.SCALED:
        kind = fields["y_type"]
        fields |= {"a_type": kind, "b_type": kind, "a_zero": m.zero(kind), "b_zero": m.zero(kind)}
    factor = m.pick(1.0, 1.0, 1.0, 1e-7, 1e-12)
    if cls is lir.Mul:
        factor *= fields["a_scale"] * m.random.uniform(20, 200)
    fields["y_scale"] = _finite(fields["y_scale"] * factor)
    if form is BinaryForm.LITE and cls is not lir.Mul:
        largest = max(fields["a_scale"], fields["b_scale"])
        fields["y_scale"] = _finite(largest * m.pick(1.0, m.random.uniform(0.3, 3), 0.004, 1000.0))
    lo, hi = m.clamp(fields["y_type"])
    return cls(a=a, b=b, y=y, form=form, lo=lo, hi=hi, **fields)


def _finite(scale: float) -> float:
    """The float32 scale that is nearest and neither zero nor infinite."""
    limits = np.finfo(np.float32)
    return float(np.float32(min(max(scale, float(limits.smallest_subnormal)), float(limits.max))))


def total(m: Maker, shape: Shape, count: int) -> InstructionCase:
    """A Sum of ``count`` tensors; their scales and zero points are whatever bytes there are."""
    n, h, w, c = shape
    x, y = m.view((count * n, h, w, c), read=True), m.view(shape)
    fields = m.quantization("x", "y")
    del fields["x_scale"], fields["x_zero"]
    lo, hi = m.clamp(fields["y_type"])
    scales = np.array([m.scale() for _ in range(count)], np.float32)
    at, zeros = m.constants(scales, m.noise(count, np.uint8))
    factor = float(np.float32(m.pick(1.0, 1 / count, 1e-3)))
    return m.case(lir.Sum(x=x, y=y, count=count, scales=at, zeros=zeros, factor=factor, lo=lo, hi=hi, **fields))


def table(m: Maker, shape: Shape, shared: bool) -> InstructionCase:
    tables = 1 if shared else shape[3]
    x = m.view(shape, read=True)
    y = m.pick(m.view(shape), *([] if 0 in x.strides else [x]))
    (address,) = m.constants(m.noise(256 * tables, np.uint8))
    return m.case(lir.Table(x, y, address, tables))


def softmax(m: Maker, shape: Shape, framework: Framework = Framework.ONNX) -> InstructionCase:
    x, y = m.view(shape, read=True), m.view(shape)
    fields = m.quantization("x", "y") | {"y_scale": _finite(m.pick(1 / 256, 1 / 255, 0.01, 2.0, 1e-9, 1e-37, 1e-45))}
    return m.case(lir.Softmax(x=x, y=y, framework=framework, **fields))


def reduce_l2(m: Maker, shape: Shape) -> InstructionCase:
    x, y = m.view(shape, read=True), m.view((*shape[:3], 1))
    return m.case(lir.ReduceL2(x=x, y=y, **_norm(m)))


def l2_normalize(m: Maker, shape: Shape) -> InstructionCase:
    x, y = m.view(shape, read=True), m.view(shape)
    return m.case(lir.L2Normalize(x=x, y=y, **_norm(m)))


def _norm(m: Maker) -> dict[str, Any]:
    return m.quantization("x", "y") | {"y_scale": _finite(m.pick(1 / 128, 1 / 255, 0.3, 2.0, 1e-9, 1e-45))}


def copy(m: Maker, shape: Six, dst: Six, src: Six, kind: CopyKind) -> InstructionCase:
    """A copy along six axes with these strides; the first elements lie where a view of as many bytes would."""
    reach = [1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides)) for strides in (dst, src)]
    to, source = (m.view((1, 1, 1, each)) for each in reach)
    axes: dict[str, Any] = {"dst_strides": dst, "src_strides": src, "shape": shape}
    return m.case(lir.Copy(dst=to.address, src=source.address, kind=kind, **axes))


def fill(m: Maker, shape: Shape) -> InstructionCase:
    return m.case(lir.Fill(m.view(shape), m.random.randrange(256)))


def load(m: Maker, shape: Shape) -> InstructionCase:
    """The input lies at the first bytes of DRAM, where there are no constants."""
    source, dst = m.view(shape, read=True), m.view(shape)
    return m.case(lir.Load(dst, source.address, source.strides))


def store(m: Maker, shape: Shape) -> InstructionCase:
    """Over a part of the input; then all of the input is loaded again, for the output to show it."""
    src, to = m.view(shape, read=True), m.view(shape)
    case = m.case(lir.Store(src, to.address, to.strides))
    whole = View.dense(0, (1, 1, 1, case.data.size))
    return replace(case, after=(lir.Load(whole, 0, whole.strides),))


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a box without gaps."""
    strides = [1]
    for extent in shape[:0:-1]:
        strides.insert(0, strides[0] * extent)
    return tuple(strides)
