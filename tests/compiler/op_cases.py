"""One small quantized model for each form of each operator that the NPU runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from tests.compiler.quantized import Builder

Case = Callable[[Builder], str]
Shape = tuple[int, ...]
CASES: dict[str, Case] = {}
OPSETS: dict[str, tuple[int, ...]] = {}
"""Opsets of the cases that do not take the usual ones."""


def add(name: str, build: Case, *opsets: int) -> None:
    """Enter a case: a function that builds the model and gives its output."""
    assert name not in CASES
    CASES[name] = build
    if opsets:
        OPSETS[name] = opsets


def case(name: str, *opsets: int) -> Callable[[Case], Case]:
    def enter(build: Case) -> Case:
        add(name, build, *opsets)
        return build

    return enter


def of(kind: str, *shapes: Shape, **attributes: Any) -> Case:
    """The operator of quantized inputs of these shapes."""
    return lambda b: b.q(b.op(kind, *(b.qinput(*shape) for shape in shapes), **attributes))


def with_operands(kind: str, shape: Shape, *operands: Any, **attributes: Any) -> Case:
    """The operator of a quantized input and constants; lists are of int64, None is left out."""

    def build(b: Builder) -> str:
        more = [
            "" if value is None else b.const(value, np.int64 if isinstance(value, list) else np.float32)
            for value in operands
        ]
        return b.q(b.op(kind, b.qinput(*shape), *more, **attributes))

    return build


def conv(b: Builder, x: str, weights: Shape, *, axis: int | None = 0, bias: bool = True, **attributes: Any) -> str:
    """A Conv with random weights and a quantized bias."""
    w = b.weight(b.normal(*weights), axis if b.opset >= 13 else None)
    more = (b.bias(b.normal(weights[0]), x, w),) if bias else ()
    return b.op("Conv", x, w, *more, **attributes)


def conv_of(shape: Shape, weights: Shape, **options: Any) -> Case:
    return lambda b: b.q(conv(b, b.qinput(*shape), weights, **options))


def reshape(b: Builder, x: str, *shape: int) -> str:
    return b.op("Reshape", x, b.const(list(shape), np.int64))


def quantized_constant(b: Builder, *shape: int) -> str:
    return b.weight(b.normal(*shape), dtype=b.dtype, zero=117 if b.dtype == "uint8" else -11)


# --- Products ------------------------------------------------------------------------------------------------------

add("conv", conv_of((1, 3, 9, 8), (5, 3, 3, 3)))
add("conv 1x1", conv_of((2, 17, 5, 5), (33, 17, 1, 1)))
add("conv strides", conv_of((1, 3, 9, 10), (4, 3, 3, 2), strides=[2, 3]))
add("conv dilations", conv_of((1, 3, 11, 12), (4, 3, 3, 3), dilations=[2, 3]))
add("conv dilation 12", conv_of((1, 2, 26, 30), (2, 2, 3, 3), dilations=[12, 12]))
add("conv pads", conv_of((1, 3, 7, 7), (4, 3, 3, 3), pads=[1, 0, 2, 1]))
add("conv same upper", conv_of((1, 3, 7, 8), (4, 3, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]))
add("conv same lower", conv_of((1, 3, 7, 8), (4, 3, 4, 3), auto_pad="SAME_LOWER", strides=[2, 2]))
add("conv valid", conv_of((1, 3, 7, 8), (4, 3, 3, 3), auto_pad="VALID", strides=[2, 2]))
add("conv groups", conv_of((1, 8, 6, 6), (12, 2, 3, 3), group=4, pads=[1, 1, 1, 1]))
add("conv depthwise", conv_of((1, 16, 6, 6), (16, 1, 3, 3), group=16, pads=[1, 1, 1, 1]))
add("conv depthwise with multiplier", conv_of((1, 6, 6, 6), (18, 1, 3, 3), group=6, strides=[2, 2]))
add("conv 128 groups", conv_of((1, 256, 3, 3), (256, 2, 3, 3), group=128, pads=[1, 1, 1, 1]))
add("conv 1-D", conv_of((2, 4, 13), (6, 4, 3), strides=[2], dilations=[2], pads=[1, 2]))
add("conv 1-D same", conv_of((1, 4, 13), (6, 4, 4), auto_pad="SAME_UPPER", strides=[3]))
add("conv 1-D depthwise", conv_of((1, 4, 9), (8, 1, 3), group=4))
add("conv of the whole image", conv_of((1, 8, 5, 6), (10, 8, 5, 6)))
add("conv with weights per tensor", conv_of((1, 3, 6, 6), (4, 3, 3, 3), axis=None))
add("conv without bias", conv_of((1, 3, 6, 6), (4, 3, 3, 3), bias=False))
add("conv relu", lambda b: b.q(b.op("Relu", conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3)))))


@case("conv with float bias")
def _(b: Builder) -> str:
    x, w = b.qinput(1, 3, 6, 6), b.weight(b.normal(4, 3, 3, 3), 0)
    return b.q(b.op("Conv", x, w, b.const(b.normal(4))))


@case("conv with uint8 weights")
def _(b: Builder) -> str:
    return b.q(b.op("Conv", b.qinput(1, 3, 6, 6), b.weight(b.normal(4, 3, 3, 3), None, "uint8", 128)))


@case("conv clip", 10, 11, 13)
def _(b: Builder) -> str:
    x = conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3))
    y = b.op("Clip", x, min=0.0, max=6.0) if b.opset < 11 else b.op("Clip", x, b.const(0.0), b.const(6.0))
    return b.q(y)


@case("conv maxpool")
def _(b: Builder) -> str:
    return b.q(b.op("MaxPool", conv(b, b.qinput(1, 3, 8, 8), (4, 3, 3, 3)), kernel_shape=[2, 2], strides=[2, 2]))


@case("conv relu maxpool")
def _(b: Builder) -> str:
    x = b.op("Relu", conv(b, b.qinput(1, 3, 8, 8), (4, 3, 3, 3)))
    return b.q(b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))


@case("chain of convs")
def _(b: Builder) -> str:
    x = b.qinput(1, 3, 8, 8)
    for channels, before in ((8, 3), (5, 8), (7, 5)):
        x = b.q(b.op("Relu", conv(b, x, (channels, before, 3, 3), pads=[1, 1, 1, 1])))
    return x


@case("residual block")
def _(b: Builder) -> str:
    x = b.q(conv(b, b.qinput(1, 3, 8, 8), (8, 3, 3, 3), pads=[1, 1, 1, 1]))
    y = b.q(conv(b, x, (8, 8, 3, 3), pads=[1, 1, 1, 1]))
    return b.q(b.op("Relu", b.op("Add", y, x)))


def gemm(bias: str, trans_b: int, channels: bool, **attributes: Any) -> Case:
    def build(b: Builder) -> str:
        x = b.qinput(3, 10)
        axis = None if not channels else 0 if trans_b else 1
        w = b.weight(b.normal(7, 10) if trans_b else b.normal(10, 7), axis)
        more = {"int32": lambda: (b.bias(b.normal(7), x, w),), "float": lambda: (b.const(b.normal(7)),)}
        return b.q(b.op("Gemm", x, w, *more.get(bias, tuple)(), transB=trans_b, **attributes))

    return build


for _bias, _trans, _channels in product(("int32", "float", "no"), (0, 1), (False, True)):
    add(f"gemm, {_bias} bias, transB={_trans}, scales per channel: {_channels}", gemm(_bias, _trans, _channels))
add("gemm, alpha 1/2", gemm("no", 1, False, alpha=0.5))
add("gemm, alpha 0.7", gemm("no", 1, True, alpha=0.7))


def matmul(shape: Shape, axis: int | None) -> Case:
    return lambda b: b.q(b.op("MatMul", b.qinput(*shape), b.weight(b.normal(6, 9), axis)))


for _shape, _axis in product(((6,), (5, 6), (2, 5, 6), (2, 3, 5, 6)), (None, 1)):
    add(f"matmul {_shape}, scales along {_axis}", matmul(_shape, _axis))


@case("matmul add float bias")
def _(b: Builder) -> str:
    return b.q(b.op("Add", b.op("MatMul", b.qinput(5, 6), b.weight(b.normal(6, 9))), b.const(b.normal(9))))


@case("matmul add quantized bias")
def _(b: Builder) -> str:
    x, w = b.qinput(5, 6), b.weight(b.normal(6, 9))
    return b.q(b.op("Add", b.op("MatMul", x, w), b.bias(b.normal(9), x, w)))


@case("matmul q add constant")
def _(b: Builder) -> str:
    return b.q(b.op("Add", b.q(b.op("MatMul", b.qinput(5, 6), b.weight(b.normal(6, 9)))), quantized_constant(b, 9)))


@case("gemm of reshaped weights")
def _(b: Builder) -> str:
    return b.q(b.op("Gemm", b.qinput(2, 12), reshape(b, b.weight(b.normal(3, 4, 5)), 12, 5)))


# --- Two operands --------------------------------------------------------------------------------------------------

_SHAPES = (
    ((2, 5, 4, 3), (2, 5, 4, 3)), ((2, 5, 4, 3), (1, 5, 1, 1)), ((2, 5, 4, 3), (5, 1, 1)), ((2, 5, 4, 3), (1,)),
    ((2, 5, 4, 3), (3,)), ((2, 5, 4, 3), (4, 1)), ((2, 5, 4, 3), ()), ((2, 6), (6,)), ((3, 5, 7), (5, 1)),
    ((3, 5, 7), (7,)), ((1, 5, 1, 1), (2, 5, 4, 3)), ((4, 3), (2, 5, 4, 3)), ((6,), (6,)),
)  # fmt: skip


def binary(kind: str, a: Shape, b: Shape, operand: str, exchanged: bool) -> Case:
    def build(net: Builder) -> str:
        first = net.qinput(*a)
        second = {
            "computed": lambda: net.qinput(*b),
            "quantized constant": lambda: quantized_constant(net, *b),
            "float constant": lambda: net.const(net.normal(*b)),
        }[operand]()
        return net.q(net.op(kind, *((second, first) if exchanged else (first, second))))

    return build


def _along_one_axis(a: Shape, b: Shape) -> bool:
    """Whether a float constant of shape ``b`` can be a table for each index of an axis of ``a``."""
    return len(a) >= len(b) and sum(size != 1 for size in b) <= 1


for _kind, (_a, _b), _operand in product(
    ("Add", "Sub", "Mul", "Sum"), _SHAPES, ("computed", "quantized constant", "float constant")
):
    if _operand == "float constant" and (_kind == "Sum" or not _along_one_axis(_a, _b)):
        continue
    for _exchanged in (False, True) if _operand != "computed" else (False,):
        _title = f"{_kind.lower()} {_a} {_b} {_operand}{', exchanged' if _exchanged else ''}"
        add(_title, binary(_kind, _a, _b, _operand, _exchanged))
for _a, _b in (((1, 2, 3, 4, 5), (4, 1)), ((4, 6), (4, 1)), ((2, 1, 3, 2, 2), (2, 1, 1, 1, 1))):
    add(f"sub {_a} {_b} float constant", binary("Sub", _a, _b, "float constant", True))


def activated(kind: str, activation: str) -> Case:
    def build(b: Builder) -> str:
        total = b.op(kind, b.qinput(1, 4, 5, 5), b.qinput(1, 4, 5, 5))
        bounds = (b.const(-0.5), b.const(0.8)) if activation == "Clip" else ()
        return b.q(b.op(activation, total, *bounds), *((0.01, 100) if bounds else ()))

    return build


for _kind, _function in product(("Add", "Sub", "Mul", "Sum"), ("Relu", "Clip")):
    add(f"{_kind.lower()} {_function.lower()}", activated(_kind, _function), *((11, 13) if _function == "Clip" else ()))


@case("add to itself")
def _(b: Builder) -> str:
    x = b.qinput(1, 4, 5, 5)
    return b.q(b.op("Add", x, x))


@case("swish")
def _(b: Builder) -> str:
    x = b.q(conv(b, b.qinput(1, 3, 8, 8), (8, 3, 3, 3)))
    return b.q(b.op("Mul", x, b.q(b.op("Sigmoid", x))))


# --- Pools ---------------------------------------------------------------------------------------------------------

_POOLS: dict[str, tuple[Shape, dict[str, Any]]] = {
    "": ((1, 16, 8, 8), {"kernel_shape": [2, 2]}),
    "strides": ((2, 16, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 3]}),
    "pads": ((1, 16, 9, 8), {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]}),
    "same upper": ((1, 16, 9, 8), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 16, 9, 8), {"kernel_shape": [2, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 16, 9, 8), {"kernel_shape": [2, 3], "auto_pad": "VALID", "strides": [2, 2]}),
    "ceil": ((1, 16, 8, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "ceil pads": ((1, 16, 8, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]}),
    "1-D": ((1, 16, 12), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    "3 channels": ((1, 3, 8, 8), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "37 channels": ((2, 37, 5, 6), {"kernel_shape": [5, 4], "pads": [2, 2, 2, 1]}),
}  # fmt: skip
for _title, (_shape, _window) in _POOLS.items():
    add(f"maxpool {_title}", of("MaxPool", _shape, **_window), *((10, 11, 13) if _title == "ceil pads" else ()))
    add(f"averagepool {_title}", of("AveragePool", _shape, **_window), *((10, 11, 13) if _title == "ceil pads" else ()))
    add(f"averagepool {_title}, counting pads", of("AveragePool", _shape, count_include_pad=1, **_window))
for _dilations in ([2, 2], [1, 3]):
    _pool = of("MaxPool", (1, 5, 9, 9), kernel_shape=[3, 3], dilations=_dilations, pads=[1, 1, 1, 1])
    add(f"maxpool dilations {_dilations}", _pool)
for _shape in ((1, 16, 7, 7), (2, 5, 4, 3), (1, 33, 1, 1), (2, 8, 9)):
    add(f"globalaveragepool {_shape}", of("GlobalAveragePool", _shape))


@case("maxpool of one scale")
def _(b: Builder) -> str:
    return b.q(b.op("MaxPool", b.q(b.input(1, 4, 6, 6), 0.02, 5), kernel_shape=[2, 2]), 0.02, 5)


@case("globalaveragepool flatten")
def _(b: Builder) -> str:
    return b.q(b.op("Flatten", b.op("GlobalAveragePool", b.qinput(1, 32, 7, 7))))


@case("globalaveragepool reshape gemm")
def _(b: Builder) -> str:
    x = b.q(reshape(b, b.op("GlobalAveragePool", b.qinput(2, 32, 7, 7)), 2, -1))
    return b.q(b.op("Gemm", x, b.weight(b.normal(10, 32)), transB=1))


@case("sum relu averagepool reshape")
def _(b: Builder) -> str:
    x = b.op("Relu", b.op("Sum", b.qinput(1, 32, 7, 7), b.qinput(1, 32, 7, 7)))
    return b.q(reshape(b, b.op("AveragePool", x, kernel_shape=[7, 7]), 1, 32))


# --- Functions of one tensor ---------------------------------------------------------------------------------------

_IMAGE = (2, 5, 4, 3)
_FUNCTIONS: dict[str, dict[str, Any]] = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.1}, "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {"alpha": 0.17, "beta": 0.4},
}  # fmt: skip
for (_function, _window), _shape in product(_FUNCTIONS.items(), ((7,), (3, 7), (2, 3, 7), _IMAGE)):
    add(f"{_function.lower()} {_shape}", of(_function, _shape, **_window))
add("leakyrelu with its default", of("LeakyRelu", _IMAGE))
add("hardsigmoid with its defaults", of("HardSigmoid", _IMAGE))
add("hardswish", of("HardSwish", _IMAGE), 14, 17, 21)
add("clip attributes", of("Clip", _IMAGE, min=-0.7, max=0.9), 10)
add("clip, one attribute", of("Clip", _IMAGE, max=0.9), 10)
for _title, _bounds in {"": (-0.7, 0.9), "maximum": (None, 0.9), "minimum": (-0.3,), "without bounds": ()}.items():
    add(f"clip {_title}", with_operands("Clip", _IMAGE, *_bounds), 11, 13, 21)


@case("chain of functions")
def _(b: Builder) -> str:
    return b.q(b.op("Tanh", b.op("LeakyRelu", b.op("Sigmoid", b.qinput(*_IMAGE)), alpha=0.2)))


@case("batchnormalization")
def _(b: Builder) -> str:
    return b.q(b.op("BatchNormalization", b.qinput(*_IMAGE), *statistics(b, 5), epsilon=0.001))


@case("batchnormalization relu")
def _(b: Builder) -> str:
    return b.q(b.op("Relu", b.op("BatchNormalization", b.qinput(*_IMAGE), *statistics(b, 5))))


def statistics(b: Builder, channels: int) -> Iterator[str]:
    return (b.const(abs(b.normal(channels)) + 0.1) for _ in range(4))


def normalized(*shape: int) -> Case:
    return lambda b: b.q(b.op("BatchNormalization", b.qinput(*shape), *statistics(b, shape[1])))


for _shape in ((4, 6), (4, 6, 5)):
    add(f"batchnormalization {_shape}", normalized(*_shape))
for _axis in (0, 1, 2, 3, -1):
    add(f"softmax axis {_axis}", of("Softmax", (2, 3, 4, 5), axis=_axis), 10, 11, 13, 17, 21)
add("softmax with its default axis", of("Softmax", (2, 3, 4, 5)), 10, 11, 13)
add("softmax of classes", of("Softmax", (2, 100), axis=1))
add("softmax of two", of("Softmax", (2, 2), axis=1))
add("softmax 3-D", of("Softmax", (2, 6, 10), axis=1))

# --- Operators that move elements ----------------------------------------------------------------------------------

for _rank, _axes in {1: (0,), 2: (0, 1, -1), 3: (0, 1, 2), 4: (0, 1, 2, 3, -1)}.items():
    for _axis in _axes:
        _shapes = [list(_IMAGE[:_rank]) for _ in range(3)]
        for _parts, _size in zip(_shapes, (2, 3, 5)):
            _parts[_axis] = _size
        add(f"concat of {_rank} axes along {_axis}", of("Concat", *map(tuple, _shapes), axis=_axis))
add("concat of one", of("Concat", (1, 4, 3, 3), axis=1))


@case("concat of different scales")
def _(b: Builder) -> str:
    middle = 128 if b.dtype == "uint8" else 0
    xs = [b.q(b.input(1, 4, 3, 3), s, middle + z) for s, z in ((0.01, 3), (0.03, -20), (0.02, 0))]
    return b.q(b.op("Concat", *xs, axis=1), 0.02, middle)


@case("concat of one tensor twice")
def _(b: Builder) -> str:
    x = b.qinput(1, 4, 3, 3)
    return b.q(b.op("Concat", x, x, axis=1))


@case("concat of functions")
def _(b: Builder) -> str:
    return b.q(b.op("Concat", b.op("Relu", b.qinput(1, 4, 3, 3)), b.op("Sigmoid", b.qinput(1, 2, 3, 3)), axis=1))


@case("concat of convs")
def _(b: Builder) -> str:
    x = b.q(conv(b, b.qinput(1, 3, 6, 6), (8, 3, 3, 3), pads=[1, 1, 1, 1]))
    parts = [b.q(b.op("Relu", conv(b, x, (n, 8, 1, 1)))) for n in (3, 4)]
    return b.q(b.op("Concat", x, *parts, axis=1))


_TARGETS = (
    ((2, 3, 4, 5), (2, -1)), ((1, 6, 4, 4), (1, 2, 3, 16)), ((1, 3, 2, 2), (12,)), ((12,), (1, 3, 2, 2)),
    ((1, 3, 2, 2), (1, 3, 2, 2)), ((2, 3, 4, 5), (0, 0, -1)), ((4, 6), (6, 4)), ((3, 4, 5), (2, 6, 5)),
)  # fmt: skip


def reshaped(shape: Shape, target: Shape, scale: float, zero: int) -> Case:
    return lambda b: b.q(reshape(b, b.q(b.input(*shape), 0.02, 10), *target), scale, zero)


for _shape, _target in _TARGETS:
    add(f"reshape {_shape} to {_target}", reshaped(_shape, _target, 0.02, 10))
    add(f"reshape {_shape} to {_target} and another scale", reshaped(_shape, _target, 0.017, 3))
for _shape, _perm in (
    ((2, 3, 4, 5), [0, 2, 3, 1]), ((2, 3, 4, 5), [3, 2, 1, 0]), ((2, 3, 4, 5), [1, 0, 3, 2]), ((3, 4), [1, 0]),
    ((2, 3, 4), [2, 0, 1]), ((2, 3, 4), [0, 2, 1]), ((1, 3, 1, 1), [0, 2, 3, 1]), ((2, 3, 4, 2, 3), [3, 0, 1, 2, 4]),
):  # fmt: skip
    add(f"transpose {_shape} by {_perm}", of("Transpose", _shape, perm=_perm))
add("transpose with its default", of("Transpose", (2, 3, 4)))
for _axis in (0, 1, 2, 3, 4, -1):
    add(f"flatten from {_axis}", of("Flatten", (2, 3, 4, 5), axis=_axis), *((13,) if _axis >= 0 else (11, 13)))
add("squeeze attributes", of("Squeeze", (1, 3, 1, 5), axes=[0, 2]), 10, 11)
add("squeeze", with_operands("Squeeze", (1, 3, 1, 5), [0, -2]), 13, 21)
add("squeeze of all", of("Squeeze", (1, 3, 1, 5)))
add("unsqueeze attributes", of("Unsqueeze", (3, 5), axes=[0, 3]), 10, 11)
add("unsqueeze", with_operands("Unsqueeze", (3, 5), [1, -1]), 13, 21)
add("identity", of("Identity", (3, 5)))


@case("channel shuffle")
def _(b: Builder) -> str:
    x = b.q(reshape(b, b.q(conv(b, b.qinput(2, 3, 5, 6), (12, 3, 1, 1))), 2, 3, 4, 5, 6))
    x = b.q(reshape(b, b.q(b.op("Transpose", x, perm=[0, 2, 1, 3, 4])), 2, 12, 5, 6))
    return b.q(conv(b, x, (4, 3, 1, 1), group=4))


@case("transpose reshape conv")
def _(b: Builder) -> str:
    x = b.q(b.op("Transpose", b.qinput(1, 6, 4, 3), perm=[0, 2, 3, 1]))
    return b.q(conv(b, b.q(reshape(b, x, 1, 6, 2, 6)), (5, 6, 2, 2)))


@case("five axes")
def _(b: Builder) -> str:
    x = b.qinput(2, 3, 4, 2, 3)
    return b.q(b.op("Relu", b.q(b.op("Add", x, b.q(b.op("Sigmoid", x))))))


_PADS = [0, 1, 2, 0, 0, 2, 1, 3]
add("pad attributes", of("Pad", (1, 3, 4, 5), pads=_PADS, value=0.5), 10)
add("pad", with_operands("Pad", (1, 3, 4, 5), _PADS), 11, 13, 18, 21)
add("pad with a value", with_operands("Pad", (1, 3, 4, 5), _PADS, 0.3), 11, 13, 18, 21)
add("pad of axes", with_operands("Pad", (1, 3, 4, 5), [1, 2, 3, 4], None, [-1, 2]), 18, 21)
add("pad 2-D", with_operands("Pad", (3, 4), [1, 2, 0, 1]))
add("pad 3-D", with_operands("Pad", (2, 3, 4), [1, 2, 0, 1, 0, 3]))


@case("pad with a quantized value", 13, 18, 21)
def _(b: Builder) -> str:
    return b.q(b.op("Pad", b.qinput(1, 3, 4, 5), b.const(_PADS, np.int64), quantized_constant(b)))


@case("pad q conv")
def _(b: Builder) -> str:
    x = b.op("Pad", b.qinput(1, 3, 6, 6), b.const([0, 0, 1, 1, 0, 0, 2, 2], np.int64))
    return b.q(conv(b, b.q(x), (4, 3, 3, 3)))


def _resize(shape: Shape, scales: list[float], sizes: list[int] | None = None, **attributes: Any) -> Case:
    """By scales, or by sizes where these are given."""

    def build(b: Builder) -> str:
        operands = ["", b.const(scales)] if sizes is None else ["", "", b.const(sizes, np.int64)]
        return b.q(b.op("Resize", b.qinput(*shape), *operands, mode="nearest", **attributes))

    return build


_FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
add("resize twice", _resize((1, 5, 6, 7), [1, 1, 2, 2], **_FLOOR))
add("resize by sizes", _resize((2, 16, 4, 5), [], [2, 16, 12, 10], **_FLOOR))
add("resize half pixels", _resize((1, 3, 5, 4), [1, 1, 3, 2]))
add("resize channels", _resize((1, 3, 2, 4), [1, 2, 1, 3], **_FLOOR))
add("resize to a half", _resize((1, 4, 8, 10), [1, 1, 0.5, 0.5], **_FLOOR))
add("resize to a third", _resize((1, 4, 9, 6), [1, 1, 1 / 3, 0.5], [1, 4, 3, 3]))
add("resize up and down", _resize((1, 4, 8, 5), [1, 1, 0.25, 2], **_FLOOR))
