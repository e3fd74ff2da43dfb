"""Cases of operators of two tensors, and of windows."""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.compiler.op_case import Case, Cases, Shape, conv, of, quantized_constant, reshape
from tests.compiler.quantized import Builder

CASES = Cases()
add, case = CASES.add, CASES.case

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


_SUMMANDS: tuple[list[Shape], ...] = (
    [(7,)], [(1, 4, 5, 5)] * 3, [(2, 5, 7, 9)] * 5, [(1, 4, 6, 6), (1, 4, 1, 1), (6,)],
    [(1, 1, 1, 1), (2, 3, 4, 5), (3, 1, 1)], [(2, 3, 4, 5, 6), (4, 5, 6), (4, 1, 1)], [(1, 16, 12, 12)] * 7,
)  # fmt: skip
for _kind, _summands in product(("Sum", "Mean"), _SUMMANDS):
    add(f"{_kind.lower()} of {len(_summands)}, {' '.join(map(str, _summands))}", of(_kind, *_summands))


@case("sum of three relu")
def _(b: Builder) -> str:
    return b.q(b.op("Relu", b.op("Sum", *(b.qinput(1, 4, 5, 5) for _ in range(3)))))


@case("sum of a tensor twice and a constant")
def _(b: Builder) -> str:
    x = b.qinput(2, 4, 5, 5)
    return b.q(b.op("Sum", x, quantized_constant(b, 4, 1, 1), b.q(b.op("Relu", x)), x))


@case("mean of convs")
def _(b: Builder) -> str:
    x = b.qinput(1, 3, 8, 8)
    return b.q(b.op("Mean", *(b.q(conv(b, x, (6, 3, 3, 3), pads=[1, 1, 1, 1])) for _ in range(4))))


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
