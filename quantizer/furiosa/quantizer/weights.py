"""Constants in integers: int8 weights with a scale for each output channel, int32 biases, uint8 operands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from furiosa.isa.errors import ModelError
from furiosa.quantizer.encodings import Encoding, encode
from furiosa.quantizer.graph import Array
from furiosa.quantizer.products import BIAS, WEIGHTS, Product

_MOST_BIAS = 2**30  # what is left of int32 is for the sum of products
_LEAST_NORMAL = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class IntegerProduct:
    """``weights`` in [-127, 127]; ``scales``: one for each index of the axis of the output channels, or one in all.

    ``bias`` has ``bias_scales`` = scale of the operand * ``scales``, one for each output channel.
    """

    weights: Array
    scales: Array
    bias: Array | None
    bias_scales: Array


def quantize_product(product: Product, operand: Encoding) -> IntegerProduct:
    """The constants of a product whose operand has this encoding.

    A scale puts the greatest weight of its channel at 127. It is larger where the bias would not fit into int32, or a
    scale would be no normal float32. Raises ModelError for constants that are not finite, or too large for float32.
    """
    place = f"node `{product.node.name}`"
    names = (*product.node.input, "bias")  # that of a MatMul belongs to an Add
    weights = finite(product.weights, names[WEIGHTS], place)
    bias = None if product.bias is None else finite(product.bias, names[BIAS], place).astype(np.float64)
    axis, x = product.axis, float(operand.scale)
    over = None if axis is None else tuple(i for i in range(weights.ndim) if i != axis)
    greatest = np.maximum(weights.max(axis=over), -weights.min(axis=over)).astype(np.float64)
    to_add = np.zeros(product.channels) if bias is None else np.abs(bias)
    to_add = to_add.reshape(product.groups, *greatest.shape).max(axis=0)
    least = np.maximum(to_add / (x * _MOST_BIAS), _LEAST_NORMAL * max(1, 2 / x))
    scales = np.where(greatest + to_add == 0, 1, np.maximum(greatest / 127, least)).astype(np.float32)
    shape = [1] * weights.ndim
    if axis is not None:
        shape[axis] = -1
    ratios = weights / scales.reshape(shape)  # within 127, and a rounding of float32
    integers = np.rint(ratios, out=ratios).astype(np.int8)
    with np.errstate(over="ignore"):
        bias_scales = np.tile(operand.scale * scales, product.groups)
    if not np.isfinite(bias_scales).all():
        raise ModelError("the weights times their operand exceed float32", where=place,
                         hint="exclude the node from quantization")  # fmt: skip
    rounded = None if bias is None else np.rint(bias / bias_scales.astype(np.float64)).astype(np.int32)
    return IntegerProduct(integers, scales, rounded, bias_scales)


def quantize_constant(value: Array, name: str, place: str) -> tuple[Array, Encoding]:
    """A constant operand as uint8, with its own encoding. ``place`` names the node in the ModelError for NaN."""
    real = finite(value, name, place).astype(np.float64)
    encoding = encode(float(real.min(initial=0)), float(real.max(initial=0)))
    codes = np.rint(real / float(encoding.scale)) + encoding.zero_point
    return np.clip(codes, 0, 255).astype(np.uint8), encoding


def finite(value: Array, name: str, place: str) -> Array:
    """The constant itself. Raises ModelError when an element is not finite."""
    if not np.isfinite(value).all():
        raise ModelError(f"the constant `{name}` has NaN or Inf in it", where=place,
                         hint="train or export the model again, or exclude the node from quantization")  # fmt: skip
    return value
