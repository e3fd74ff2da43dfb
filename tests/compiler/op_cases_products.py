"""Cases of convolutions and matrix products with constant weights."""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.compiler.op_case import Case, Cases, Shape, conv, conv_of, quantized_constant, reshape
from tests.compiler.quantized import Builder

CASES = Cases()
add, case = CASES.add, CASES.case

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
