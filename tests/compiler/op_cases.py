"""One small quantized model for each form of each operator that the NPU runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.compiler.quantized import Builder

Case = Callable[[Builder], str]
CASES: dict[str, Case] = {}
OPSETS: dict[str, tuple[int, ...]] = {}
"""Opsets of the cases that do not take the usual ones."""


def case(name: str, *opsets: int) -> Callable[[Case], Case]:
    def enter(build: Case) -> Case:
        assert name not in CASES
        CASES[name] = build
        if opsets:
            OPSETS[name] = opsets
        return build

    return enter


def conv(b: Builder, x: str, weights: tuple[int, ...], *, axis: int | None = 0, bias: bool = True, **attributes: Any) -> str:
    w = b.weight(b.normal(*weights), axis if b.opset >= 13 else None)
    more = (b.bias(b.normal(weights[0]), x, w),) if bias else ()
    return b.op("Conv", x, w, *more, **attributes)


_CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 9, 8), (5, 3, 3, 3), {}),
    "1x1": ((2, 17, 5, 5), (33, 17, 1, 1), {}),
    "strides": ((1, 3, 9, 10), (4, 3, 3, 2), {"strides": [2, 3]}),
    "dilations": ((1, 3, 11, 12), (4, 3, 3, 3), {"dilations": [2, 3]}),
    "wide dilation": ((1, 2, 26, 30), (2, 2, 3, 3), {"dilations": [12, 12]}),
    "pads": ((1, 3, 7, 7), (4, 3, 3, 3), {"pads": [1, 0, 2, 1]}),
    "same upper": ((1, 3, 7, 8), (4, 3, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 3, 7, 8), (4, 3, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 3, 7, 8), (4, 3, 3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    "groups": ((1, 8, 6, 6), (12, 2, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "depthwise": ((1, 16, 6, 6), (16, 1, 3, 3), {"group": 16, "pads": [1, 1, 1, 1]}),
    "depthwise multiplier": ((1, 6, 6, 6), (18, 1, 3, 3), {"group": 6, "strides": [2, 2]}),
    "many groups": ((1, 256, 3, 3), (256, 2, 3, 3), {"group": 128, "pads": [1, 1, 1, 1]}),
    "1d": ((2, 4, 13), (6, 4, 3), {"strides": [2], "dilations": [2], "pads": [1, 2]}),
    "1d same": ((1, 4, 13), (6, 4, 4), {"auto_pad": "SAME_UPPER", "strides": [3]}),
    "1d depthwise": ((1, 4, 9), (8, 1, 3), {"group": 4}),
    "whole image": ((1, 8, 5, 6), (10, 8, 5, 6), {}),
    "no kernel_shape": ((1, 2, 5, 5), (3, 2, 2, 3), {}),
}  # fmt: skip


def _add_convs() -> None:
    for name, (shape, weights, attributes) in _CONVS.items():
        def build(b: Builder, shape: Any = shape, weights: Any = weights, attributes: Any = attributes) -> str:
            return b.q(conv(b, b.qinput(*shape), weights, **attributes))

        case(f"conv {name}")(build)


_add_convs()


@case("conv per tensor weights")
def _(b: Builder) -> str:
    return b.q(conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3), axis=None))


@case("conv without bias")
def _(b: Builder) -> str:
    return b.q(conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3), bias=False))


@case("conv float bias")
def _(b: Builder) -> str:
    x, w = b.qinput(1, 3, 6, 6), b.weight(b.normal(4, 3, 3, 3), 0)
    return b.q(b.op("Conv", x, w, b.const(b.normal(4))))


@case("conv uint8 weights")
def _(b: Builder) -> str:
    x, w = b.qinput(1, 3, 6, 6), b.weight(b.normal(4, 3, 3, 3), None, "uint8", 128)
    return b.q(b.op("Conv", x, w))


@case("conv relu")
def _(b: Builder) -> str:
    return b.q(b.op("Relu", conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3))))


@case("conv clip", 10)
def _(b: Builder) -> str:
    return b.q(b.op("Clip", conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3)), min=0.0, max=6.0))


@case("conv clip operands", 11, 13)
def _(b: Builder) -> str:
    x = conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3))
    return b.q(b.op("Clip", x, b.const(0.0), b.const(6.0)))


@case("conv maxpool")
def _(b: Builder) -> str:
    x = conv(b, b.qinput(1, 3, 8, 8), (4, 3, 3, 3))
    return b.q(b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))


@case("conv relu maxpool")
def _(b: Builder) -> str:
    x = b.op("Relu", conv(b, b.qinput(1, 3, 8, 8), (4, 3, 3, 3)))
    return b.q(b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))


@case("conv chain")
def _(b: Builder) -> str:
    x = b.qinput(1, 3, 8, 8)
    for channels, before in ((8, 3), (5, 8), (7, 5)):
        x = b.q(b.op("Relu", conv(b, x, (channels, before, 3, 3), pads=[1, 1, 1, 1])))
    return x


@case("residual")
def _(b: Builder) -> str:
    x = b.q(conv(b, b.qinput(1, 3, 8, 8), (8, 3, 3, 3), pads=[1, 1, 1, 1]))
    y = b.q(conv(b, x, (8, 8, 3, 3), pads=[1, 1, 1, 1]))
    return b.q(b.op("Relu", b.op("Add", y, x)))


def _products() -> None:
    def gemm(b: Builder, bias: str = "int32", trans_b: int = 1, axis: int | None = None, **attributes: Any) -> str:
        x = b.qinput(3, 10)
        w = b.weight(b.normal(7, 10) if trans_b else b.normal(10, 7), axis)
        if axis is not None:
            axis = axis if trans_b else 1
        more: tuple[str, ...] = ()
        if bias == "int32":
            more = (b.bias(b.normal(7), x, w),)
        if bias == "float":
            more = (b.const(b.normal(7)),)
        return b.q(b.op("Gemm", x, w, *more, transB=trans_b, **attributes))

    for bias in ("int32", "float", "none"):
        for trans_b in (0, 1):
            for axis in (None, 0 if trans_b else 1):
                def build(b: Builder, bias: str = bias, trans_b: int = trans_b, axis: int | None = axis) -> str:
                    return gemm(b, bias, trans_b, axis)

                case(f"gemm {bias} bias, transB {trans_b}, {'per tensor' if axis is None else 'per channel'}")(build)
    case("gemm alpha")(lambda b: gemm(b, "none", alpha=0.5))
    case("gemm odd alpha")(lambda b: gemm(b, "none", alpha=0.7))

    for x_shape in ((5, 6), (2, 5, 6), (1, 5, 6), (2, 3, 5, 6)):
        for axis in (None, 1):
            def matmul(b: Builder, x_shape: Any = x_shape, axis: int | None = axis) -> str:
                return b.q(b.op("MatMul", b.qinput(*x_shape), b.weight(b.normal(6, 9), axis)))

            case(f"matmul {x_shape} {'per tensor' if axis is None else 'per channel'}")(matmul)


_products()


@case("matmul add bias")
def _(b: Builder) -> str:
    product = b.op("MatMul", b.qinput(5, 6), b.weight(b.normal(6, 9)))
    return b.q(b.op("Add", product, b.const(b.normal(9))))


@case("matmul add quantized bias")
def _(b: Builder) -> str:
    x, w = b.qinput(5, 6), b.weight(b.normal(6, 9))
    return b.q(b.op("Add", b.op("MatMul", x, w), b.bias(b.normal(9), x, w)))


@case("matmul q add constant")
def _(b: Builder) -> str:
    product = b.q(b.op("MatMul", b.qinput(5, 6), b.weight(b.normal(6, 9))))
    return b.q(b.op("Add", product, b.weight(b.normal(9), dtype=b.dtype, zero=128 if b.dtype == "uint8" else 0)))


@case("gemm without quantized result")
def _(b: Builder) -> str:
    x, w = b.qinput(3, 10), b.weight(b.normal(7, 10))
    return b.op("Gemm", x, w, b.bias(b.normal(7), x, w), transB=1)


def _quantized_constant(b: Builder, *shape: int) -> str:
    return b.weight(b.normal(*shape), dtype=b.dtype, zero=117 if b.dtype == "uint8" else -11)


_SHAPES = [
    ((2, 5, 4, 3), (2, 5, 4, 3)), ((2, 5, 4, 3), (1, 5, 1, 1)), ((2, 5, 4, 3), (5, 1, 1)), ((2, 5, 4, 3), (1,)),
    ((2, 5, 4, 3), (3,)), ((2, 5, 4, 3), (4, 1)), ((2, 5, 4, 3), ()), ((2, 6), (6,)), ((3, 5, 7), (5, 1)), ((3, 5, 7), (7,)),
    ((1, 5, 1, 1), (2, 5, 4, 3)), ((4, 3), (2, 5, 4, 3)), ((6,), (6,)),
]  # fmt: skip


def _binaries() -> None:
    for kind in ("Add", "Sub", "Mul", "Sum"):
        for a_shape, b_shape in _SHAPES:
            for side in ("computed", "quantized constant", "float constant"):
                for swap in (False, True):
                    if (swap and side == "computed") or (side == "float constant" and kind == "Sum"):
                        continue

                    def build(b: Builder, kind: Any = kind, a_shape: Any = a_shape, b_shape: Any = b_shape,
                              side: Any = side, swap: Any = swap) -> str:  # fmt: skip
                        first = b.qinput(*a_shape)
                        second = b.qinput(*b_shape) if side == "computed" else (
                            _quantized_constant(b, *b_shape) if side == "quantized constant"
                            else b.const(b.normal(*b_shape)))  # fmt: skip
                        return b.q(b.op(kind, *((second, first) if swap else (first, second))))

                    case(f"{kind.lower()} {a_shape} {b_shape} {side}{' first' if swap else ''}")(build)


_binaries()


@case("add to itself")
def _(b: Builder) -> str:
    x = b.qinput(1, 4, 5, 5)
    return b.q(b.op("Add", x, x))


@case("sum of three")
def _(b: Builder) -> str:
    return b.q(b.op("Sum", b.qinput(1, 4, 5, 5), b.qinput(1, 4, 5, 5), b.qinput(1, 4, 5, 5)))


for _kind in ("Add", "Mul", "Sub", "Sum"):
    case(f"{_kind.lower()} relu")(
        lambda b, kind=_kind: b.q(b.op("Relu", b.op(kind, b.qinput(1, 4, 5, 5), b.qinput(1, 4, 5, 5))))  # type: ignore[misc]
    )
    case(f"{_kind.lower()} clip", 11, 13)(
        lambda b, kind=_kind: b.q(b.op("Clip", b.op(kind, b.qinput(1, 4, 5, 5), b.qinput(1, 4, 5, 5)),  # type: ignore[misc]
                                       b.const(-0.5), b.const(0.8)), 0.01, 100)
    )  # fmt: skip

_POOLS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 16, 8, 8), {"kernel_shape": [2, 2]}),
    "strides": ((2, 16, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 3]}),
    "pads": ((1, 16, 9, 8), {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]}),
    "same": ((1, 16, 9, 8), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 16, 9, 8), {"kernel_shape": [2, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 16, 9, 8), {"kernel_shape": [2, 3], "auto_pad": "VALID", "strides": [2, 2]}),
    "ceil": ((1, 16, 8, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "ceil pads": ((1, 16, 8, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]}),
    "1d": ((1, 16, 12), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    "few channels": ((1, 3, 8, 8), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "odd channels": ((2, 37, 5, 6), {"kernel_shape": [5, 4], "pads": [2, 2, 2, 1]}),
}  # fmt: skip


def _pools() -> None:
    for name, (shape, attributes) in _POOLS.items():
        for kind in ("MaxPool", "AveragePool"):
            def build(b: Builder, kind: Any = kind, shape: Any = shape, attributes: Any = attributes) -> str:
                return b.q(b.op(kind, b.qinput(*shape), **attributes))

            case(f"{kind.lower()} {name}")(build)

        def counted(b: Builder, shape: Any = shape, attributes: Any = attributes) -> str:
            return b.q(b.op("AveragePool", b.qinput(*shape), count_include_pad=1, **attributes))

        case(f"averagepool counting pads {name}")(counted)
    for dilations in ([2, 2], [1, 3]):
        case(f"maxpool dilations {dilations}")(
            lambda b, d=dilations: b.q(b.op("MaxPool", b.qinput(1, 5, 9, 9), kernel_shape=[3, 3], dilations=d, pads=[1, 1, 1, 1]))  # type: ignore[misc]
        )
    for shape in ((1, 16, 7, 7), (2, 5, 4, 3), (1, 33, 1, 1), (2, 8, 9)):
        case(f"globalaveragepool {shape}")(lambda b, s=shape: b.q(b.op("GlobalAveragePool", b.qinput(*s))))  # type: ignore[misc]
    case("maxpool same scale")(lambda b: _same_scale(b))


def _same_scale(b: Builder) -> str:
    x = b.q(b.input(1, 4, 6, 6), 0.02, 100 if b.dtype == "uint8" else 5)
    return b.q(b.op("MaxPool", x, kernel_shape=[2, 2]), 0.02, 100 if b.dtype == "uint8" else 5)


_pools()


@case("globalaveragepool flatten")
def _(b: Builder) -> str:
    return b.q(b.op("Flatten", b.op("GlobalAveragePool", b.qinput(1, 32, 7, 7))))


@case("globalaveragepool reshape gemm")
def _(b: Builder) -> str:
    x = b.q(b.op("Reshape", b.op("GlobalAveragePool", b.qinput(2, 32, 7, 7)), b.const([2, -1], np.int64)))
    return b.q(b.op("Gemm", x, b.weight(b.normal(10, 32)), transB=1))


@case("sum relu averagepool reshape")
def _(b: Builder) -> str:
    x = b.op("Relu", b.op("Sum", b.qinput(1, 32, 7, 7), b.qinput(1, 32, 7, 7)))
    x = b.op("AveragePool", x, kernel_shape=[7, 7])
    return b.q(b.op("Reshape", x, b.const([1, 32], np.int64)))


_FUNCTIONS: dict[str, dict[str, Any]] = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.1}, "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {"alpha": 0.17, "beta": 0.4},
}  # fmt: skip
for _function, _attributes in _FUNCTIONS.items():
    case(_function.lower())(
        lambda b, f=_function, a=_attributes: b.q(b.op(f, b.qinput(2, 5, 4, 3), **a))  # type: ignore[misc]
    )
    for _shape in ((7,), (3, 7), (2, 3, 7)):
        case(f"{_function.lower()} {_shape}")(
            lambda b, f=_function, a=_attributes, s=_shape: b.q(b.op(f, b.qinput(*s), **a))  # type: ignore[misc]
        )
case("leakyrelu default")(lambda b: b.q(b.op("LeakyRelu", b.qinput(2, 5, 4, 3))))
case("hardsigmoid default")(lambda b: b.q(b.op("HardSigmoid", b.qinput(2, 5, 4, 3))))
case("hardswish", 14, 17, 21)(lambda b: b.q(b.op("HardSwish", b.qinput(2, 5, 4, 3))))
case("clip attributes", 10)(lambda b: b.q(b.op("Clip", b.qinput(2, 5, 4, 3), min=-0.7, max=0.9)))
case("clip one attribute", 10)(lambda b: b.q(b.op("Clip", b.qinput(2, 5, 4, 3), max=0.9)))
case("clip", 11, 13, 21)(lambda b: b.q(b.op("Clip", b.qinput(2, 5, 4, 3), b.const(-0.7), b.const(0.9))))
case("clip without minimum", 11, 13, 21)(lambda b: b.q(b.op("Clip", b.qinput(2, 5, 4, 3), "", b.const(0.9))))
case("clip without maximum", 11, 13, 21)(lambda b: b.q(b.op("Clip", b.qinput(2, 5, 4, 3), b.const(-0.3))))
case("clip without bounds", 11, 13, 21)(lambda b: b.q(b.op("Clip", b.qinput(2, 5, 4, 3))))
case("chain of functions")(lambda b: b.q(b.op("Tanh", b.op("LeakyRelu", b.op("Sigmoid", b.qinput(2, 5, 4, 3)), alpha=0.2))))
case("requantize")(lambda b: b.q(b.q(b.op("Relu", b.qinput(1, 3, 4, 4)), 0.013, 3), 0.02, 7))
case("swish")(lambda b: _swish(b))


def _swish(b: Builder) -> str:
    x = b.q(conv(b, b.qinput(1, 3, 8, 8), (8, 3, 3, 3)))
    return b.q(b.op("Mul", x, b.q(b.op("Sigmoid", x))))


def _concats() -> None:
    for rank, axes in ((1, (0,)), (2, (0, 1, -1)), (3, (0, 1, 2)), (4, (0, 1, 2, 3, -1))):
        for axis in axes:
            def build(b: Builder, rank: Any = rank, axis: Any = axis) -> str:
                shapes = []
                for size in (2, 3, 5):
                    shape = [2, 5, 4, 3][:rank]
                    shape[axis] = size
                    shapes.append(shape)
                return b.q(b.op("Concat", *(b.qinput(*s) for s in shapes), axis=axis))

            case(f"concat rank {rank} axis {axis}")(build)


_concats()


@case("concat of different scales")
def _(b: Builder) -> str:
    zero = 128 if b.dtype == "uint8" else 0
    xs = [b.q(b.input(1, 4, 3, 3), s, zero + z) for s, z in ((0.01, 3), (0.03, -20), (0.02, 0))]
    return b.q(b.op("Concat", *xs, axis=1), 0.02, zero)


@case("concat of one tensor twice")
def _(b: Builder) -> str:
    x = b.qinput(1, 4, 3, 3)
    return b.q(b.op("Concat", x, x, axis=1))


@case("concat of one")
def _(b: Builder) -> str:
    return b.q(b.op("Concat", b.qinput(1, 4, 3, 3), axis=1))


@case("concat of constant")
def _(b: Builder) -> str:
    return b.q(b.op("Concat", b.qinput(1, 4, 3, 3), _quantized_constant(b, 1, 2, 3, 3), axis=1))


@case("concat of relus")
def _(b: Builder) -> str:
    return b.q(b.op("Concat", b.op("Relu", b.qinput(1, 4, 3, 3)), b.op("Sigmoid", b.qinput(1, 2, 3, 3)), axis=1))


@case("concat of convs")
def _(b: Builder) -> str:
    x = b.q(conv(b, b.qinput(1, 3, 6, 6), (8, 3, 3, 3), pads=[1, 1, 1, 1]))
    parts = [b.q(b.op("Relu", conv(b, x, (n, 8, 1, 1)))) for n in (3, 4)]
    return b.q(b.op("Concat", x, *parts, axis=1))


@case("concat slice of convs")
def _(b: Builder) -> str:
    x = b.q(b.op("Transpose", b.qinput(1, 6, 4, 3), perm=[0, 2, 3, 1]))
    y = b.q(b.op("Reshape", x, b.const([1, 6, 2, 6], np.int64)))
    return b.q(conv(b, y, (5, 6, 2, 2)))


_MOVES: dict[str, tuple[tuple[int, ...], list[int]]] = {
    "flatten image": ((2, 3, 4, 5), [2, -1]), "split channels": ((1, 6, 4, 4), [1, 2, 3, 16]), "to vector": ((1, 3, 2, 2), [12]),
    "from vector": ((12,), [1, 3, 2, 2]), "same": ((1, 3, 2, 2), [1, 3, 2, 2]), "keep axis": ((2, 3, 4, 5), [0, 0, -1]),
    "matrix": ((4, 6), [6, 4]), "image from rows": ((3, 4, 5), [2, 6, 5]),
}  # fmt: skip


def _moves() -> None:
    for name, (shape, target) in _MOVES.items():
        for scale in ("same", "other"):
            def build(b: Builder, shape: Any = shape, target: Any = target, scale: Any = scale) -> str:
                x = b.q(b.input(*shape), 0.02, 10)
                y = b.op("Reshape", x, b.const(target, np.int64))
                return b.q(y, 0.02 if scale == "same" else 0.017, 10 if scale == "same" else 3)

            case(f"reshape {name}, {scale} scale")(build)
    for shape, perm in (((2, 3, 4, 5), [0, 2, 3, 1]), ((2, 3, 4, 5), [3, 2, 1, 0]), ((2, 3, 4, 5), [1, 0, 3, 2]),
                        ((3, 4), [1, 0]), ((2, 3, 4), [2, 0, 1]), ((2, 3, 4), [0, 2, 1]), ((1, 3, 1, 1), [0, 2, 3, 1])):  # fmt: skip
        case(f"transpose {shape} {perm}")(
            lambda b, s=shape, p=perm: b.q(b.op("Transpose", b.qinput(*s), perm=p))  # type: ignore[misc]
        )
    case("transpose default")(lambda b: b.q(b.op("Transpose", b.qinput(2, 3, 4))))
    for axis in (0, 1, 2, 3, 4, -1):
        case(f"flatten axis {axis}")(lambda b, a=axis: b.q(b.op("Flatten", b.qinput(2, 3, 4, 5), axis=a)))  # type: ignore[misc]
    case("squeeze", 10, 11)(lambda b: b.q(b.op("Squeeze", b.qinput(1, 3, 1, 5), axes=[0, 2])))
    case("squeeze operand", 13, 21)(lambda b: b.q(b.op("Squeeze", b.qinput(1, 3, 1, 5), b.const([0, -2], np.int64))))
    case("squeeze all", 13)(lambda b: b.q(b.op("Squeeze", b.qinput(1, 3, 1, 5))))
    case("unsqueeze", 10, 11)(lambda b: b.q(b.op("Unsqueeze", b.qinput(3, 5), axes=[0, 3])))
    case("unsqueeze operand", 13, 21)(lambda b: b.q(b.op("Unsqueeze", b.qinput(3, 5), b.const([1, -1], np.int64))))
    case("identity")(lambda b: b.q(b.op("Identity", b.qinput(3, 5))))


_moves()

_PADS = [0, 1, 2, 0, 0, 2, 1, 3]
case("pad attributes", 10)(lambda b: b.q(b.op("Pad", b.qinput(1, 3, 4, 5), pads=_PADS, value=0.5)))
case("pad", 11, 13, 18, 21)(lambda b: b.q(b.op("Pad", b.qinput(1, 3, 4, 5), b.const(_PADS, np.int64))))
case("pad value", 11, 13, 18, 21)(
    lambda b: b.q(b.op("Pad", b.qinput(1, 3, 4, 5), b.const(_PADS, np.int64), b.const(0.3)))
)
case("pad quantized value", 13, 18, 21)(
    lambda b: b.q(b.op("Pad", b.qinput(1, 3, 4, 5), b.const(_PADS, np.int64), _quantized_constant(b)))
)
case("pad axes", 18, 21)(
    lambda b: b.q(b.op("Pad", b.qinput(1, 3, 4, 5), b.const([1, 2, 3, 4], np.int64), "", b.const([-1, 2], np.int64)))
)
case("pad rank 2", 13)(lambda b: b.q(b.op("Pad", b.qinput(3, 4), b.const([1, 2, 0, 1], np.int64))))
case("pad rank 3", 13)(lambda b: b.q(b.op("Pad", b.qinput(2, 3, 4), b.const([1, 2, 0, 1, 0, 3], np.int64))))


@case("pad conv")
def _(b: Builder) -> str:
    if b.opset < 11:
        x = b.op("Pad", b.qinput(1, 3, 6, 6), pads=[0, 0, 1, 1, 0, 0, 2, 2])
    else:
        x = b.op("Pad", b.qinput(1, 3, 6, 6), b.const([0, 0, 1, 1, 0, 0, 2, 2], np.int64))
    return b.q(conv(b, b.q(x), (4, 3, 3, 3)))


for _axis in (0, 1, 2, 3, -1):
    case(f"softmax axis {_axis}", 13, 17, 21)(lambda b, a=_axis: b.q(b.op("Softmax", b.qinput(2, 3, 4, 5), axis=a)))  # type: ignore[misc]
for _axis in (0, 1, 2, 3):
    case(f"softmax of rows, axis {_axis}", 10, 11)(
        lambda b, a=_axis: b.q(b.op("Softmax", b.qinput(2, 3, 4, 5), axis=a))  # type: ignore[misc]
    )
case("softmax classes")(lambda b: b.q(b.op("Softmax", b.qinput(4, 100), axis=1)))
case("softmax rank 3", 13)(lambda b: b.q(b.op("Softmax", b.qinput(4, 6, 10), axis=1)))
case("softmax of two")(lambda b: b.q(b.op("Softmax", b.qinput(4, 2), axis=1)))


@case("channel shuffle")
def _(b: Builder) -> str:
    x = b.q(b.op("Reshape", b.q(conv(b, b.qinput(2, 3, 5, 6), (12, 3, 1, 1))), b.const([2, 3, 4, 5, 6], np.int64)))
    x = b.q(b.op("Transpose", x, perm=[0, 2, 1, 3, 4]))
    x = b.q(b.op("Reshape", x, b.const([2, 12, 5, 6], np.int64)))
    return b.q(conv(b, x, (4, 3, 1, 1), group=4))


@case("five axes")
def _(b: Builder) -> str:
    x = b.qinput(2, 3, 4, 2, 3)
    return b.q(b.op("Relu", b.q(b.op("Add", x, b.q(b.op("Sigmoid", x))))))


@case("five axes transposed")
def _(b: Builder) -> str:
    return b.q(b.op("Transpose", b.qinput(2, 3, 4, 2, 3), perm=[3, 0, 1, 2, 4]))


@case("space to depth")
def _(b: Builder) -> str:
    x = b.q(b.op("Reshape", b.qinput(2, 3, 4, 6), b.const([2, 3, 2, 2, 3, 2], np.int64)))
    x = b.q(b.op("Transpose", x, perm=[0, 3, 5, 1, 2, 4]))
    return b.q(b.op("Reshape", x, b.const([2, 12, 2, 3], np.int64)))


@case("batchnormalization")
def _(b: Builder) -> str:
    x = b.qinput(2, 6, 4, 3)
    return b.q(b.op("BatchNormalization", x, *(b.const(abs(b.normal(6)) + 0.1) for _ in range(4)), epsilon=0.001))


@case("batchnormalization relu")
def _(b: Builder) -> str:
    x = b.qinput(2, 6, 4, 3)
    return b.q(b.op("Relu", b.op("BatchNormalization", x, *(b.const(abs(b.normal(6)) + 0.1) for _ in range(4)))))


@case("batchnormalization rank 2")
def _(b: Builder) -> str:
    return b.q(b.op("BatchNormalization", b.qinput(4, 6), *(b.const(abs(b.normal(6)) + 0.1) for _ in range(4))))


@case("batchnormalization rank 3")
def _(b: Builder) -> str:
    return b.q(b.op("BatchNormalization", b.qinput(4, 6, 5), *(b.const(abs(b.normal(6)) + 0.1) for _ in range(4))))
