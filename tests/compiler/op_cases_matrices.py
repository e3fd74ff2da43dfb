"""Cases of products of two computed tensors, norms, and attention."""

from __future__ import annotations

import numpy as np
from tests.compiler.op_case import Case, Cases, Shape, of, quantized_constant
from tests.compiler.op_cases_more import reduced
from tests.compiler.quantized import Builder

CASES = Cases()
add, case = CASES.add, CASES.case

_shape: Shape
_left: Shape
_right: Shape

for _left, _right in (
    ((5, 6), (6, 9)), ((1, 6), (6, 1)), ((2, 5, 6), (2, 6, 7)), ((2, 3, 5, 6), (2, 3, 6, 7)),
    ((2, 3, 5, 6), (3, 6, 7)), ((2, 3, 5, 6), (6, 7)), ((3, 5, 6), (2, 1, 6, 7)), ((1, 3, 5, 6), (2, 3, 6, 7)),
    ((1, 4, 33, 70), (1, 4, 70, 41)),
):  # fmt: skip
    add(f"matmul of two, {_left} by {_right}", of("MatMul", _left, _right))


@case("matmul of a constant and a tensor")
def _(b: Builder) -> str:
    return b.q(b.op("MatMul", quantized_constant(b, 5, 6), b.qinput(2, 6, 7)))


@case("matmul of one tensor with itself")
def _(b: Builder) -> str:
    x = b.qinput(2, 6, 6)
    return b.q(b.op("MatMul", x, x))


@case("matmul relu")
def _(b: Builder) -> str:
    return b.q(b.op("Relu", b.op("MatMul", b.qinput(2, 5, 6), b.qinput(2, 6, 7))))


@case("attention", 13, 17)
def _(b: Builder) -> str:
    """Two heads of five features, over seven words."""

    def heads(x: str, *order: int) -> str:
        apart = b.q(b.op("Reshape", x, b.const([1, 7, 2, 5], np.int64)))
        return b.q(b.op("Transpose", apart, perm=order))

    x = b.qinput(1, 7, 10)
    query, key, value = (b.q(b.op("MatMul", x, b.weight(b.normal(10, 10)))) for _ in range(3))
    scores = b.q(b.op("MatMul", heads(query, 0, 2, 1, 3), heads(key, 0, 2, 3, 1)))
    shares = b.q(b.op("Softmax", b.q(b.op("Mul", scores, b.const(5**-0.5))), axis=-1))
    mixed = b.q(b.op("Transpose", b.q(b.op("MatMul", shares, heads(value, 0, 2, 1, 3))), perm=[0, 2, 1, 3]))
    return b.q(b.op("Reshape", mixed, b.const([1, 7, 10], np.int64)))


@case("cosine attention")
def _(b: Builder) -> str:
    """Three heads of 32 features, over a window of 49 pixels."""

    def heads(x: str, *order: int) -> str:
        return b.q(b.op("Transpose", b.q(b.op("Reshape", x, b.const([1, 49, 3, 32], np.int64))), perm=order))

    x = b.qinput(1, 49, 96)
    query, key, value = (b.q(b.op("MatMul", x, b.weight(b.normal(96, 96)))) for _ in range(3))
    query, key = (b.q(b.op("LpNormalization", heads(of, 0, 2, 1, 3), axis=-1)) for of in (query, key))
    scores = b.q(b.op("MatMul", query, b.q(b.op("Transpose", key, perm=[0, 1, 3, 2]))))
    scaled = b.q(b.op("Mul", scores, b.const(b.normal(3, 1, 1))))
    return b.q(b.op("MatMul", b.q(b.op("Softmax", scaled, axis=-1)), heads(value, 0, 2, 1, 3)))


for _shape, _axes in (
    ((2, 5, 4, 3), [1]), ((2, 5, 4, 3), [2, 3]), ((2, 5, 4, 3), [-1]), ((2, 5, 4, 3), []), ((3, 6, 7), [1]),
    ((4, 6), [1]), ((7,), [0]), ((2, 3, 4, 2, 3), [3, 4]), ((1, 300, 2), [1]), ((1, 64, 20, 20), [1]),
):  # fmt: skip
    _what = "reducel2" if 0 < len(_axes) < len(_shape) else "reducel2 of all,"
    for _keep in (0, 1):
        _opsets = (11, 13, 18) if _axes == [1] else (13,)
        add(f"{_what} {_shape} over {_axes}, keepdims={_keep}", reduced("ReduceL2", _shape, _axes, _keep), *_opsets)
for _shape, _axis in (
    ((2, 5, 4, 3), 1), ((2, 5, 4, 3), -1), ((2, 5, 4, 3), 2), ((2, 5, 4, 3), 0), ((1, 6, 7), 1), ((2, 9), -1),
    ((7,), 0), ((2, 3, 4, 2, 3), 3), ((1, 300, 2), 1), ((1, 64, 20, 20), 1), ((1, 4, 49, 32), -1),
):  # fmt: skip
    add(f"lpnormalization {_shape} along {_axis}", of("LpNormalization", _shape, axis=_axis, p=2))


@case("lpnormalization of zeros")
def _(b: Builder) -> str:
    x = b.q(b.op("Relu", b.q(b.op("Sub", b.qinput(1, 8, 5, 5), b.const(1.5)))))
    return b.q(b.op("LpNormalization", x, axis=1))


for _axis in (0, 1, 2, 3, 4, -1):
    add(f"softmax of 5 axes along {_axis}", of("Softmax", (2, 3, 4, 2, 3), axis=_axis), 11, 13)


for _left, _right in (
    ((2, 3, 4, 2, 3), (1, 3, 1, 1, 3)), ((2, 3, 4, 2, 3), (4, 2, 3)), ((2, 3, 4, 2, 3), (2, 1, 1, 1, 1)),
    ((1, 2, 1, 3, 4, 5), (1, 1, 6, 3, 1, 1)), ((2, 3, 1, 2, 3), (1, 1, 4, 2, 3)), ((1, 1, 3, 4, 4), (2, 1, 1, 1, 1)),
):  # fmt: skip
    for _kind in ("Add", "Mul"):
        add(f"{_kind.lower()} of {len(_left)} axes, {_left} and {_right}", of(_kind, _left, _right))
for _kind, _keep in (("ReduceMean", 0), ("ReduceSum", 1), ("ReduceL2", 0)):
    for _shape, _axes in (
        ((2, 5, 4, 3), [0, 2]), ((2, 5, 4, 3), [1, 3]), ((2, 3, 4, 2, 3), [0, 3]), ((3, 1, 4), [0, 2]),
    ):  # fmt: skip
        add(f"{_kind.lower()} {_shape} over {_axes}, keepdims={_keep}", reduced(_kind, _shape, _axes, _keep))


def gemm(transposed: int, beta: float, bias: tuple[int, ...], quantized: bool = False) -> Case:
    def build(b: Builder) -> str:
        x = b.qinput(4, 3) if transposed else b.qinput(3, 4)
        w = b.weight(b.normal(4, 6))
        c = b.bias(b.normal(*bias), x, w) if quantized else b.const(b.normal(*bias))
        return b.q(b.op("Gemm", x, w, c, transA=transposed, beta=beta))

    return build


for _transposed, _beta in ((1, 1.0), (0, 0.5), (1, -1.7), (0, 0.0)):
    add(f"gemm, transA={_transposed}, beta={_beta}", gemm(_transposed, _beta, (6,)))
    add(f"gemm, int32 bias, transA={_transposed}, beta={_beta}", gemm(_transposed, _beta, (6,), True))
