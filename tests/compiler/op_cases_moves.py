"""Cases of operators that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.compiler.op_case import Case, Cases, Shape, conv, of, quantized_constant, reshape, with_operands
from tests.compiler.quantized import Builder

CASES = Cases()
add, case = CASES.add, CASES.case
_shape: Shape
_IMAGE = (2, 5, 4, 3)

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
for _policy in ("not_larger", "not_smaller"):
    _kept = {"axes": [2, 3], "keep_aspect_ratio_policy": _policy} | _FLOOR
    add(f"resize {_policy}", _resize((1, 3, 4, 6), [], [8, 15] if _policy == "not_larger" else [8, 9], **_kept), 18)
add("resize to its own shape", _resize((1, 3, 4, 30), [1, 1, 1.02, 1.02]))
add("resize up and down", _resize((1, 4, 8, 5), [1, 1, 0.25, 2], **_FLOOR))
