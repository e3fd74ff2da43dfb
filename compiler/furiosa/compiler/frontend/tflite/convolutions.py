"""Convolutions and products with constant weights."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from furiosa.compiler.frontend.tflite.site import Site, scaled
from furiosa.compiler.frontend.tflite.window import SAME, Two
from furiosa.compiler.graph import Array, Attrs, Op, Quant, TensorType
from furiosa.compiler.ops.conv import Conv
from furiosa.compiler.ops.conv_transpose import ConvTranspose
from furiosa.compiler.ops.matmul import MatMul, Product
from furiosa.compiler.ops.movement import Transpose
from furiosa.compiler.ops.table import integer_range, refuse
from furiosa.isa.dtypes import DType
from furiosa.isa.instructions import Framework, Rounding


def conv_2d(site: Site) -> None:
    """CONV_2D, also in groups; weights are [O, kh, kw, I]."""
    weights, quant = _weights(site, 1, 4)
    _convolution(site, weights.transpose(0, 3, 1, 2), quant, site.operand(0).type.shape[1])


def depthwise_conv_2d(site: Site) -> None:
    """DEPTHWISE_CONV_2D; weights are [1, kh, kw, O], each input channel has O / C outputs."""
    weights, quant = _weights(site, 1, 4)
    if weights.shape[0] != 1:
        raise site.fault(f"its weights have shape {weights.shape}")
    axis = None if quant.axis is None else 0
    _convolution(site, weights.transpose(3, 0, 1, 2), replace(quant, axis=axis), site.operand(0).type.shape[1])


def _convolution(site: Site, weights: Array, quant: Quant, channels: int) -> None:
    x, to = site.x(), site.npu_result()
    outputs, inputs, *_ = weights.shape
    if len(x.type.shape) != 4 or not inputs or channels % inputs or outputs % max(1, channels // inputs):
        raise site.fault(f"{channels} channels and weights of shape {weights.shape}")
    kernel = (weights.shape[2], weights.shape[3])
    strides, dilations = site.pair("stride"), site.pair("dilation")
    pads, size = site.padding(x.type.shape[2:], kernel, strides, dilations)
    bias = _bias(site, 2, outputs)
    attrs = Conv(kernel, strides, dilations, pads, channels // inputs, *site.clamp(), in_float32=False)
    w = Op("const", (), Attrs(), TensorType(weights.shape, DType.I8, quant), f"{site.name()}:weights", data=weights)
    site.give(site.op("conv2d", (x, w, bias), attrs, replace(to, shape=(x.type.shape[0], outputs, *size))))


def fully_connected(site: Site) -> None:
    """FULLY_CONNECTED; weights are [O, I], the operand is seen as rows of I elements."""
    weights, quant = _weights(site, 1, 2)
    x, to = site.x(0, images=False), site.npu_result()
    outputs, inputs = weights.shape
    if not inputs or not x.type.size or x.type.size % inputs or site.options.get("weights_format"):
        raise site.fault(f"an operand of shape {x.type.shape} and weights of shape {weights.shape}")
    rows = (x.type.size // inputs, inputs)
    if x.type.shape != rows:
        x = site.op("reshape", (x,), Attrs(), replace(x.type, shape=rows), ":rows")
    bias = _bias(site, 2, outputs)
    w = Op("const", (), Attrs(), TensorType(weights.shape, DType.I8, quant), f"{site.name()}:weights", data=weights)
    lo, hi = site.clamp()
    shape = (rows[0], outputs)
    if prod(to.shape) != prod(shape):
        raise site.fault(f"a result of shape {to.shape}")
    product = site.op("matmul", (x, w, bias), MatMul(lo, hi, False), replace(to, shape=shape),
                      "" if to.shape == shape else ":product")  # fmt: skip
    if to.shape != shape:
        product = site.op("reshape", (product,), Attrs(), to)
    site.give(product, images=False)


def batch_matmul(site: Site) -> None:
    """BATCH_MATMUL of int8 whose second operand has zero point 0: XNNPACK takes that, the rest is LiteRT's."""
    a, b, to = site.x(0, images=False), site.x(1, images=False), site.npu_result()
    if {a.type.dtype, b.type.dtype, to.dtype} != {DType.I8}:
        raise refuse("not_quantized", "operands and result of a product must be int8", b.type.dtype.numpy_name,
                     "int8", "quantize the model to int8")  # fmt: skip
    if b.type.zero:
        raise refuse("product_zero_point", "the second operand of a product must have zero point 0", b.type.zero, 0,
                     "quantize it symmetrically")  # fmt: skip
    a, b = (_adjoint(site, x, key) for x, key in ((a, "adj_x"), (b, "adj_y")))
    if min(len(a.type.shape), len(b.type.shape)) < 2 or a.type.shape[-1] != b.type.shape[-2]:
        raise site.fault(f"operands of shapes {a.type.shape} and {b.type.shape}")
    shape = (*np.broadcast_shapes(a.type.shape[:-2], b.type.shape[:-2]), a.type.shape[-2], b.type.shape[-1])
    product = Product(*integer_range(to.dtype), in_float32=False)
    site.give(site.op("product", (a, b), product, replace(to, shape=shape)), images=False)


def _adjoint(site: Site, x: Op, option: str) -> Op:
    rank = len(x.type.shape)
    if not site.options[option] or rank < 2:
        return x
    perm = (*range(rank - 2), rank - 1, rank - 2)
    shape = tuple(x.type.shape[axis] for axis in perm)
    if x.kind == "const":
        return replace(x, data=x.value.transpose(perm), type=replace(x.type, shape=shape), name=f"{x.name}:turned")
    return site.op("transpose", (x,), Transpose(perm), replace(x.type, shape=shape), f":{option}")


def transpose_conv(site: Site) -> None:
    """TRANSPOSE_CONV of (shape, weights [O, kh, kw, I], x, bias)."""
    weights, quant = _weights(site, 1, 4)
    x, to = site.x(2), site.npu_result()
    weights = weights.transpose(0, 3, 1, 2)
    outputs, inputs, *kernel = weights.shape
    if len(x.type.shape) != 4 or len(to.shape) != 4 or x.type.shape[1] != inputs or to.shape[3] != outputs:
        raise site.fault(f"an operand of shape {x.type.shape} and weights of shape {weights.shape}")
    strides, bias = site.pair("stride"), _bias(site, 3, outputs)
    whole = [(n - 1) * s + k for n, s, k in zip(x.type.shape[2:], strides, kernel)]
    cut = [max(0, size - out) // 2 if site.options["padding"] == SAME else 0
           for size, out in zip(whole, to.shape[1:3])]  # fmt: skip
    if any(not size - k < out <= size + s for size, k, s, out in zip(whole, kernel, strides, to.shape[1:3])):
        raise site.fault(f"a result of shape {to.shape} from an image of {x.type.shape[2:]}")
    w = Op("const", (), Attrs(), TensorType(weights.shape, DType.I8, quant), f"{site.name()}:weights", data=weights)
    rounding = Rounding.FLOAT if _by_xnnpack(site, x.type.shape[2:], to.shape[1:3], kernel, strides) else Rounding.FIXED
    attrs = ConvTranspose((kernel[0], kernel[1]), strides, (1, 1), (cut[0], cut[1]), 1, *site.clamp(),
                          Framework.TFLITE, rounding)  # fmt: skip
    shape = (x.type.shape[0], outputs, *to.shape[1:3])
    site.give(site.op("conv_transpose2d", (x, w, bias), attrs, replace(to, shape=shape)))


def _by_xnnpack(site: Site, size: tuple[int, ...], to: tuple[int, ...], kernel: list[int], strides: Two) -> bool:
    """Whether XNNPACK takes a TRANSPOSE_CONV: its shape must be a constant, and with SAME padding no stride larger than
    the window, and the image that which a convolution would make of the result.
    """
    shape = site.tensor(0)
    if shape is None or shape.data is None:
        return False
    usual = all(-(-out // s) == n and k >= s for n, out, k, s in zip(size, to, kernel, strides))
    return bool(site.options["padding"] != SAME or usual)


def _weights(site: Site, index: int, rank: int) -> tuple[Array, Quant]:
    """The weights as int8, with zero point 0 where that holds them, and their scales."""
    value, tensor = site.array(index), site.tensor(index)
    quant = None if tensor is None else tensor.quant
    if value.dtype.name not in ("int8", "uint8") or quant is None:
        raise refuse("weights_not_quantized", "the weights must be int8 or uint8", value.dtype.name, "int8",
                     "quantize the weights")  # fmt: skip
    if value.ndim != rank or not value.size:
        raise site.fault(f"its weights have shape {value.shape}")
    if value.dtype == np.int8 and not any(quant.zero_point):
        return value, quant
    if len(set(quant.zero_point)) > 1:
        raise refuse("one_zero_point", "weights must be int8 with one zero point", quant.zero_point, 0,
                     "quantize the weights symmetrically, as int8")  # fmt: skip
    offset, zero = 128 if value.dtype == np.uint8 else 0, quant.zero_point[0]
    least, most = int(value.min()) - zero, int(value.max()) - zero
    if least >= -128 and most <= 127:
        return (value.astype(np.int16) - zero).astype(np.int8), scaled(quant)
    if not -128 <= zero - offset <= 127:
        raise site.fault(f"its weights have zero point {zero}")
    return (value.astype(np.int16) - offset).astype(np.int8), scaled(quant, zero - offset)


def _bias(site: Site, index: int, channels: int) -> Op:
    """The bias, int32 at the scale of the products; zeros when it is left out."""
    name = f"{site.name()}:bias"
    if site.tensor(index) is None:
        return Op("const", (), Attrs(), TensorType((channels,), DType.I32), name, data=np.zeros(channels, np.int32))
    value = site.array(index)
    if value.dtype != np.int32 or value.size != channels:
        raise refuse("bias", "the bias must be int32 with one value for each output channel",
                     f"{value.dtype.name} {value.shape}", f"int32 ({channels},)",
                     "quantize the model again")  # fmt: skip
    return Op("const", (), Attrs(), TensorType((channels,), DType.I32), name, data=value.reshape(-1))
