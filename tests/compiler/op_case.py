"""What cases of operators are made with: a table of small quantized models, and models that many cases have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.compiler.quantized import Builder

Case = Callable[[Builder], str]
"""Builds a model and gives its output."""
Shape = tuple[int, ...]


class Cases:
    """Cases by name; ``opsets`` has those of the cases that do not take the usual ones."""

    def __init__(self, *tables: Cases) -> None:
        self.builds: dict[str, Case] = {}
        self.opsets: dict[str, tuple[int, ...]] = {}
        for table in tables:
            for name, build in table.builds.items():
                self.add(name, build, *table.opsets.get(name, ()))

    def add(self, name: str, build: Case, *opsets: int) -> None:
        """Enter a case."""
        assert name not in self.builds
        self.builds[name] = build
        if opsets:
            self.opsets[name] = opsets

    def case(self, name: str, *opsets: int) -> Callable[[Case], Case]:
        """Enter the function below."""

        def enter(build: Case) -> Case:
            self.add(name, build, *opsets)
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


def reduction(b: Builder, kind: str, x: str, axes: list[int], keep: int = 1) -> str:
    """A Reduce, its axes an operand in the opsets that have them so; no axes are all."""
    operand = b.opset >= (13 if kind == "ReduceSum" else 18)
    more = (b.const(axes, np.int64),) if operand and axes else ()
    attributes = {} if operand or not axes else {"axes": axes}
    return b.op(kind, x, *more, keepdims=keep, **attributes)


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
