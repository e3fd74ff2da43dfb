"""Cases of divisions by the Euclidean norm that exporters write as many small nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tests.compiler.op_case import Case, Cases, reduction
from tests.compiler.quantized import Builder

CASES = Cases()
Divisor = Callable[[Builder, str, int], str]
"""The divisor of x along an axis."""


def norm(b: Builder, x: str, axis: int) -> str:
    return reduction(b, "ReduceL2", x, [axis])


def squares(b: Builder, x: str, axis: int) -> str:
    return reduction(b, "ReduceSum", b.op("Mul", x, x), [axis])


def powers(b: Builder, x: str, axis: int) -> str:
    return reduction(b, "ReduceSum", b.op("Pow", x, b.const(2.0)), [axis])


DIVISORS: dict[str, Divisor] = {
    "max of norm and epsilon": lambda b, x, axis: b.op("Max", norm(b, x, axis), b.const(1e-12)),
    "a sum: root of squares and epsilon":
        lambda b, x, axis: b.op("Sqrt", b.op("Add", squares(b, x, axis), b.const(1e-12))),
    "a sum: root of max of powers and epsilon":
        lambda b, x, axis: b.op("Sqrt", b.op("Max", powers(b, x, axis), b.const(1e-12))),
    "a sum: power of powers, and epsilon":
        lambda b, x, axis: b.op("Add", b.op("Pow", powers(b, x, axis), b.const(0.5)), b.const(1e-10)),
    "root of epsilon and ReduceSumSquare":
        lambda b, x, axis: b.op("Sqrt", b.op("Add", b.const(1e-12), reduction(b, "ReduceSumSquare", x, [axis]))),
}  # fmt: skip


def divided(divisor: Divisor, axis: int, *shape: int) -> Case:
    return lambda b: b.q(b.op("Div", x := b.qinput(*shape), divisor(b, x, axis)))


for _name, _divisor in DIVISORS.items():
    CASES.add(f"lpnormalization by {_name}", divided(_divisor, 1, 1, 16, 5, 4), 13, 18)
    CASES.add(f"lpnormalization by {_name}, the last axis", divided(_divisor, -1, 2, 40), 11)


@CASES.case("lpnormalization by a clipped norm that is spread out", 11, 13, 18)
def _(b: Builder) -> str:
    x = b.qinput(1, 16, 5, 4)
    clipped = b.op("Clip", norm(b, x, 1), b.const(1e-12))
    return b.q(b.op("Div", x, b.op("Expand", clipped, b.const([1, 16, 5, 4], np.int64))))


@CASES.case("lpnormalization by a reciprocal")
def _(b: Builder) -> str:
    x = b.qinput(1, 16, 5, 4)
    return b.q(b.op("Mul", b.op("Reciprocal", DIVISORS["root of epsilon and ReduceSumSquare"](b, x, 1)), x))


@CASES.case("lpnormalization by a reciprocal, 1 / norm")
def _(b: Builder) -> str:
    x = b.qinput(1, 16, 5, 4)
    return b.q(b.op("Mul", x, b.op("Div", b.const(1.0), DIVISORS["max of norm and epsilon"](b, x, 1))))


@CASES.case("lpnormalization by a norm, of zeros")
def _(b: Builder) -> str:
    x = b.q(b.op("Relu", b.q(b.op("Sub", b.qinput(1, 8, 5, 5), b.const(1.5)))))
    return b.q(b.op("Div", x, DIVISORS["max of norm and epsilon"](b, x, 1)))
