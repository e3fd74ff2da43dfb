"""Cases of functions with scalars, parts of tensors, blocks of pixels, means, transposed convolutions."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from tests.compiler.op_case import Case, Cases, Shape, conv, of, reduction, with_operands
from tests.compiler.quantized import Builder

CASES = Cases()
add, case = CASES.add, CASES.case

_shape: Shape
_indices: Any
_axis: int | None
_IMAGE = (2, 5, 4, 3)
_FUNCTIONS: dict[str, dict[str, Any]] = {
    "Exp": {}, "Erf": {}, "Abs": {}, "Neg": {}, "Floor": {}, "Ceil": {}, "Round": {}, "Softsign": {}, "Softplus": {},
    "Elu": {"alpha": 0.7}, "Selu": {}, "Celu": {},
}  # fmt: skip
for _function, _attributes in _FUNCTIONS.items():
    add(f"{_function.lower()}", of(_function, _IMAGE, **_attributes), 13)
add("mish", of("Mish", _IMAGE), 18)
add("gelu", of("Gelu", _IMAGE), 20)
add("gelu by tanh", of("Gelu", _IMAGE, approximate="tanh"), 20)


def positive(kind: str) -> Case:
    """The function of values above 0."""
    return lambda b: b.q(b.op(kind, b.q(b.input(*_IMAGE), 0.02, 0 if b.dtype == "uint8" else -128)))


for _function in ("Log", "Sqrt", "Reciprocal"):
    add(f"{_function.lower()} of what is positive", positive(_function))


def scalar(kind: str, value: float, first: bool, quantized: bool = False) -> Case:
    def build(b: Builder) -> str:
        x, c = b.qinput(*_IMAGE), b.weight(np.array(value)) if quantized else b.const(value)
        return b.q(b.op(kind, *((c, x) if first else (x, c))))

    return build


for _function, _first, _how in product(
    ("Add", "Sub", "Mul", "Div", "Min", "Max"), (False, True), ("a scalar", "a quantized scalar")
):
    if (_function, _first) != ("Div", True):
        _case = scalar(_function, 0.37, _first, _how != "a scalar")
        add(f"{_function.lower()} {'of' if _first else 'with'} {_how}", _case)
for _exponent in (2.0, 3.0):
    add(f"pow {_exponent}", scalar("Pow", _exponent, False))


@case("gelu in parts")
def _(b: Builder) -> str:
    x = b.qinput(*_IMAGE)
    factor = b.q(b.op("Add", b.op("Erf", b.op("Div", x, b.const(2**0.5))), b.const(1.0)))
    return b.q(b.op("Mul", b.q(b.op("Mul", x, factor)), b.const(0.5)))


def slopes(*shape: int) -> Case:
    return lambda b: b.q(b.op("PRelu", b.qinput(*_IMAGE), b.const(b.normal(*shape))))


for _shape in ((5, 1, 1), (1, 5, 1, 1), (1,), (1, 1, 1)):
    add(f"prelu, slopes {_shape}", slopes(*_shape))


@case("one constant of two products")
def _(b: Builder) -> str:
    c = b.weight(b.normal(5, 1, 1), dtype=b.dtype, zero=117 if b.dtype == "uint8" else -11)
    x, y = (b.q(b.op("Mul", b.qinput(*_IMAGE), c)) for _ in range(2))
    return b.q(b.op("Add", x, y))


@case("prelu, quantized slopes")
def _(b: Builder) -> str:
    return b.q(b.op("PRelu", b.qinput(*_IMAGE), b.weight(b.normal(5, 1, 1))))


for _axis in (0, 1, 2, 3, 4):
    _five = [[2, 3, 2, 4, 3], [2, 3, 2, 4, 3], [2, 3, 2, 4, 3]]
    for _part, _size in zip(_five, (1, 2, 3)):
        _part[_axis] = _size
    add(f"concat of 5 axes along {_axis}", of("Concat", *map(tuple, _five), axis=_axis))


# --- Parts ---------------------------------------------------------------------------------------------------------

_SLICES: tuple[tuple[Shape, tuple[Any, ...]], ...] = (
    ((2, 5, 6, 7), ([1], [4], [1])), ((2, 5, 6, 7), ([2, -5], [5, 7], [2, 3])), ((1, 16, 8), ([4], [1000], [1])),
    ((2, 5, 6, 7), ([0, 1], [6, 7], [2, 3], [2, 2])), ((7, 6), ([1], [5], [0])), ((9,), ([2], [9], [0], [3])),
    ((2, 5, 6, 7), ([0, 0, 0, 1], [9, 9, 9, 9])), ((1, 3, 4, 5, 8), ([2], [6], [-1])),
    ((1, 3, 4, 5, 8), ([1, 2], [3, 6], [1, 4])), ((1, 3, 4, 5, 8), ([1], [3], [2])), ((2, 5, 6, 7), ([0], [6], [2])),
)  # fmt: skip
for _shape, _operands in _SLICES:
    add(f"slice {_shape} {_operands}", with_operands("Slice", _shape, *_operands), 13, 21)


_GATHERS: tuple[tuple[Shape, Any, int], ...] = (
    ((2, 5, 6, 7), 2, 1), ((2, 5, 6, 7), -1, -1), ((2, 5, 6, 7), [1, 3], 2), ((2, 5, 6, 7), [-1], 0), ((3, 4), 0, 1),
    ((5,), 3, 0), ((3, 2, 3, 4, 5), 1, 0), ((1, 2, 3, 4, 5), [0, 1, 2], 3),
    ((2, 5, 3), [[0, 1], [2, 3]], 1),
)  # fmt: skip


def gather(shape: Shape, indices: Any, axis: int) -> Case:
    return lambda b: b.q(b.op("Gather", b.qinput(*shape), b.const(indices, np.int64), axis=axis))


for _shape, _indices, _axis in _GATHERS:
    add(f"gather {_indices} of {_shape} along {_axis}", gather(_shape, _indices, _axis), 11, 13)


def with_constant(shape: Shape, axis: int, quantized: bool) -> Case:
    def build(b: Builder) -> str:
        value = b.normal(*(2 if i == axis else size for i, size in enumerate(shape)))
        part = b.weight(value, dtype=b.dtype) if quantized else b.const(value)
        return b.q(b.op("Concat", part, b.qinput(*shape), part, axis=axis))

    return build


for _shape, _axis in (((1, 4, 3, 3), 1), ((2, 5, 6), 1), ((2, 3, 4, 5), 3), ((1, 2, 3, 2, 2), 2)):
    for _quantized in (False, True):
        add(f"concat {_shape} with a constant along {_axis}{', quantized' * _quantized}",
            with_constant(_shape, _axis, _quantized), 13)  # fmt: skip


def nine_bits(kind: str, shape: Shape, weights: Shape, axis: int | None = None, **attributes: Any) -> Case:
    """Weights of uint8 whose distance from their zero point, one or one for each index of ``axis``, takes nine bits."""

    def build(b: Builder) -> str:
        stored = b.rng.integers(0, 128, weights) + 127 * (b.rng.random(weights) < 0.5)
        count = 1 if axis is None else weights[axis]
        scales, zeros = np.linspace(0.01, 0.02, count), np.resize([20, 190, 120], count)
        if axis is None:
            w = b.op("DequantizeLinear", b.const(stored, np.uint8), b.const(0.01), b.const(20, np.uint8))
        else:
            w = b.op(
                "DequantizeLinear", b.const(stored, np.uint8), b.const(scales), b.const(zeros, np.uint8), axis=axis
            )
        return b.q(b.op(kind, b.qinput(*shape), w, **attributes))

    return build


add("conv of nine bits", nine_bits("Conv", (1, 3, 8, 7), (4, 3, 3, 2), pads=[1, 0, 2, 1], strides=[2, 1]), 13)
add("conv of nine bits, dilated", nine_bits("Conv", (1, 4, 8, 8), (4, 2, 3, 3), dilations=[2, 2], group=2), 13)
add("conv of nine bits, a channel each", nine_bits("Conv", (2, 4, 8, 8), (4, 1, 3, 3), group=4), 13)
add("conv of nine bits, 1-D", nine_bits("Conv", (2, 4, 8), (5, 4, 3)), 13)
add("matmul of nine bits", nine_bits("MatMul", (2, 3, 6), (6, 5)), 13)
add("gemm of nine bits", nine_bits("Gemm", (6, 3), (5, 6), transA=1, transB=1), 13)
add("transposed conv of nine bits", nine_bits("ConvTranspose", (1, 4, 5, 6), (4, 3, 3, 2), strides=[2, 3]), 13)
add("conv of nine bits, several zero points", nine_bits("Conv", (1, 3, 8, 7), (4, 3, 3, 2), 0, strides=[2, 1]), 13)
add(
    "conv of nine bits, several zero points, dilated",
    nine_bits("Conv", (1, 4, 8, 8), (4, 2, 3, 3), 0, dilations=[2, 2], group=2),
    13,
)
add("matmul of nine bits, several zero points", nine_bits("MatMul", (2, 3, 6), (6, 5), 1), 13)
add(
    "transposed conv of nine bits, several zero points",
    nine_bits("ConvTranspose", (1, 4, 5, 6), (4, 3, 3, 2), 1, group=2),
    13,
)


@case("slice, then another scale")
def _(b: Builder) -> str:
    middle = 128 if b.dtype == "uint8" else 0
    x = b.q(b.input(1, 8, 4, 4), 0.02, middle)
    bounds = (b.const(v, np.int64) for v in ([2], [7], [1]))
    return b.q(b.op("Slice", x, *bounds), 0.013, middle + 5)


def split(shape: Shape, axis: int, sizes: list[int] | None, count: int) -> Case:
    """The parts of a Split, each through a Relu, put together in another order."""

    def build(b: Builder) -> str:
        x, more, attributes = b.qinput(*shape), [], {"axis": axis}
        if sizes is not None and b.opset >= 13:
            more = [b.const(sizes, np.int64)]
        elif sizes is not None:
            attributes |= {"split": sizes}  # type: ignore[dict-item]  # attributes have values of many types
        elif b.opset >= 18:
            attributes |= {"num_outputs": count}
        first = b.op("Split", x, *more, outputs=count, **attributes)
        parts = [first, *(f"{first}:{i}" for i in range(1, count))]
        return b.q(b.op("Concat", *(b.q(b.op("Relu", b.q(part))) for part in reversed(parts)), axis=axis))

    return build


for _shape, _axis, _sizes, _count in (
    ((1, 12, 4, 4), 1, None, 2), ((1, 12, 4, 4), 1, [3, 4, 5], 3), ((2, 4, 6, 5), -1, [1, 4], 2),
    ((2, 4, 6, 5), 2, None, 3), ((4, 6), 0, [3, 1], 2),
):  # fmt: skip
    add(f"split {_shape} along {_axis}: {_sizes or _count}", split(_shape, _axis, _sizes, _count), 11, 13, 18)
add("split into uneven parts", split((1, 7, 4, 4), 1, None, 3), 18)


def expanded(shape: Shape, target: list[int]) -> Case:
    return lambda b: b.q(b.op("Expand", b.qinput(*shape), b.const(target, np.int64)))


for _shape, _target in (
    ((1, 5, 1, 1), [1, 5, 4, 3]), ((5, 1, 1), [2, 5, 4, 3]), ((3,), [4, 3]), ((2, 1, 4), [1, 3, 1]), ((1,), [2, 3, 4])
):  # fmt: skip
    add(f"expand {_shape} to {_target}", expanded(_shape, _target))
for _mode in ("DCR", "CRD"):
    for _shape, _side in (((1, 8, 3, 4), 2), ((2, 18, 2, 3), 3)):
        add(f"depthtospace {_shape} {_mode}", of("DepthToSpace", _shape, blocksize=_side, mode=_mode), 11, 13)
for _shape, _side in (((1, 3, 4, 6), 2), ((2, 2, 6, 9), 3)):
    add(f"spacetodepth {_shape}", of("SpaceToDepth", _shape, blocksize=_side))


# --- Means, sums and transposed convolutions -----------------------------------------------------------------------


def reduced(kind: str, shape: Shape, axes: list[int], keep: int) -> Case:
    return lambda b: b.q(reduction(b, kind, b.qinput(*shape), axes, keep))


for _kind, (_shape, _axes), _keep in product(
    ("ReduceMean", "ReduceSum"),
    (((2, 5, 4, 3), [2, 3]), ((2, 5, 4, 3), [1]), ((2, 5, 4, 3), [-1]), ((2, 5, 4, 3), []), ((2, 5, 4, 3), [1, 2, 3]),
     ((3, 6, 7), [2]), ((3, 6, 7), [1]), ((3, 6, 7), [0, 2]), ((4, 6), [1]), ((4, 6), [0]), ((2, 3, 4, 2, 3), [3, 4]),
     ((1, 300, 7, 7), [2, 3]), ((2, 61, 14, 14), [2, 3]), ((1, 65, 9, 10), [2, 3]), ((1, 40, 6, 6), [1]),
     ((1, 197, 64), [1]), ((1, 49, 100), [2])),
    (0, 1),
):  # fmt: skip
    _between = _shape[0] > 1 and len(_shape) > 2 and _axes in ([1], [0, 2])
    _name = f"{_kind.lower()} between or around" if _between else _kind.lower()
    _opsets = (11, 13, 18) if _axes == [2, 3] else (13,)
    add(f"{_name} {_shape} over {_axes}, keepdims={_keep}", reduced(_kind, _shape, _axes, _keep), *_opsets)


def mean_between(axes: list[int], behind: bool, before: bool) -> Case:
    """A mean: between two convolutions ONNX Runtime adds in another order than behind one, or before one."""

    def build(b: Builder) -> str:
        x = b.qinput(1, 64, 13, 11)
        x = b.q(conv(b, x, (64, 64, 1, 1))) if behind else b.q(b.op("LeakyRelu", x))
        mean = b.q(reduction(b, "ReduceMean", x, axes))
        weights = (64, 1 if axes == [1] else 64, 1, 1)
        return b.q(b.op("Sigmoid", b.q(conv(b, mean, weights)) if before else mean))

    return build


for _axes, _behind, _before in product(([2, 3], [1], [-1, -2]), (False, True), (False, True)):
    _convolutions = f"{'behind ' * _behind}{'before ' * _before}" or "nowhere "
    add(f"mean over {_axes}, convolutions {_convolutions}", mean_between(_axes, _behind, _before))
add("mean of two", of("Mean", (1, 4, 5, 5), (1, 4, 5, 5)))
add("mean with broadcasting", of("Mean", (1, 4, 5, 5), (4, 1, 1)))


def transposed(shape: Shape, weights: Shape, *, axis: int | None = 1, bias: bool = True, **attributes: Any) -> Case:
    def build(b: Builder) -> str:
        group = attributes.get("group", 1)
        x = b.qinput(*shape)
        w = b.weight(b.normal(*weights), axis)
        per_channel = axis is not None and group > 1
        more = ((b.const(b.normal(weights[1] * group)) if per_channel else b.bias(b.normal(weights[1] * group), x, w)),)
        return b.q(b.op("ConvTranspose", x, w, *(more if bias else ()), **attributes))

    return build


_TRANSPOSED: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
    "2x2, stride 2": ((1, 6, 4, 5), (6, 3, 2, 2), {"strides": [2, 2]}),
    "3x3, stride 2": ((1, 6, 4, 5), (6, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1],
                                                   "output_padding": [1, 1]}),
    "4x4, stride 2": ((2, 6, 4, 5), (6, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "stride 1": ((1, 3, 5, 5), (3, 4, 3, 3), {}),
    "kernel below stride": ((1, 3, 4, 4), (3, 4, 2, 1), {"strides": [3, 2]}),
    "dilations": ((1, 3, 5, 4), (3, 4, 3, 2), {"strides": [2, 1], "dilations": [2, 3], "pads": [1, 0, 2, 1]}),
    "groups": ((1, 6, 4, 4), (6, 2, 3, 3), {"strides": [2, 2], "group": 3}),
    "depthwise": ((1, 6, 4, 4), (6, 1, 4, 4), {"strides": [2, 2], "group": 6, "pads": [1, 1, 1, 1]}),
    "same upper": ((1, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "same lower": ((1, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "valid": ((1, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "auto_pad": "VALID"}),
    "output shape": ((1, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "output_shape": [8, 10]}),
    "1-D": ((1, 3, 7), (3, 4, 4), {"strides": [2], "pads": [1, 1]}),
}  # fmt: skip
for _title, (_shape, _weights, _attributes) in _TRANSPOSED.items():
    for _axis in (None, 1):
        add(f"convtranspose {_title}, scales along {_axis}", transposed(_shape, _weights, axis=_axis, **_attributes))
add("convtranspose without bias", transposed((1, 3, 4, 4), (3, 2, 2, 2), bias=False, strides=[2, 2]))


@case("convtranspose relu")
def _(b: Builder) -> str:
    w = b.weight(b.normal(3, 4, 2, 2), 1)
    return b.q(b.op("Relu", b.op("ConvTranspose", b.qinput(1, 3, 4, 4), w, strides=[2, 2])))


def linear(shape: Shape, scales: list[float], sizes: list[int] | None = None, **attributes: Any) -> Case:
    def build(b: Builder) -> str:
        operands = ["", b.const(scales)] if sizes is None else ["", "", b.const(sizes, np.int64)]
        return b.q(b.op("Resize", b.qinput(*shape), *operands, mode="linear", **attributes))

    return build


for _mode in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"):
    for _factors in ((2, 2), (3, 4), (2.5, 0.75), (0.3, 1)):
        _attributes = {"coordinate_transformation_mode": _mode}
        add(f"resize linear {_mode} by {_factors}", linear((2, 5, 4, 3), [1, 1, *_factors], **_attributes))
for _factors in ((8, 8), (5, 16), (64, 64)):
    add(f"resize linear by {_factors}", linear((1, 5, 4, 3), [1, 1, *_factors]))
add("resize linear of one channel", linear((1, 1, 5, 6), [1, 1, 2, 2]))
add("resize linear by sizes", linear((1, 4, 3, 5), [], [1, 4, 6, 10]))
add(
    "resize linear to one pixel",
    linear((1, 4, 3, 5), [], [1, 4, 1, 1], coordinate_transformation_mode="pytorch_half_pixel"),
)
add(
    "resize linear to one corner",
    linear((1, 4, 3, 5), [], [1, 4, 1, 7], coordinate_transformation_mode="align_corners"),
)
add("resize linear to its own shape", linear((1, 4, 3, 5), [1, 1, 1.1, 1.1]))
add("resize linear of axes", linear((1, 4, 3, 5), [1.7, 2.7], axes=[2, -1]), 18)
for _policy in ("not_larger", "not_smaller"):
    _attributes = {"axes": [2, 3], "keep_aspect_ratio_policy": _policy}
    add(f"resize linear {_policy}", linear((1, 4, 3, 5), [], [7, 8], **_attributes), 18)
add("resize linear 1-D", linear((1, 4, 6), [1, 1, 2]))
