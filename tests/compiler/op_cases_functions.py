"""Cases of functions of one tensor, and of normalizations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from tests.compiler.op_case import Case, Cases, of, with_operands
from tests.compiler.quantized import Builder

CASES = Cases()
add, case = CASES.add, CASES.case

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
