"""Functions of one 8-bit input as tables of 256 bytes, indexed by the raw input byte."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from furiosa.isa.arithmetic import functions, smooth
from furiosa.isa.arithmetic.float32 import Float32, Quantized
from furiosa.isa.arithmetic.quantization import dequantize, quantize

FUNCTIONS = MappingProxyType[str, Callable[..., Float32]]({
    "identity": functions.identity,
    "relu": functions.relu,
    "clip": functions.clip,
    "leaky_relu": functions.leaky_relu,
    "sigmoid": functions.sigmoid,
    "tanh": functions.tanh,
    "hard_sigmoid": functions.hard_sigmoid,
    "hard_swish": functions.hard_swish,
    "softsign": functions.softsign,
    "abs": np.abs,
    "neg": np.negative,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "scaled": functions.scaled,
    "shifted": functions.shifted,
    "subtracted": functions.subtracted,
    "divided": functions.divided,
    "inverted": functions.inverted,
    "exp": smooth.exp,
    "log": smooth.log,
    "erf": smooth.erf,
    "power": smooth.power,
    "elu": smooth.elu,
    "selu": smooth.selu,
    "celu": smooth.celu,
    "softplus": smooth.softplus,
    "mish": smooth.mish,
    "gelu": smooth.gelu,
    "gelu_tanh": smooth.gelu_tanh,
    "quick_gelu": smooth.quick_gelu,
})  # fmt: skip


def table(
    function: str | Callable[..., Float32],
    x_scale: float,
    x_zero: int,
    x_dtype: DTypeLike,
    y_scale: float,
    y_zero: int,
    y_dtype: DTypeLike,
    **parameters: float,
) -> NDArray[np.uint8]:
    """quantize(function(dequantize(x))) for each of the 256 inputs; entry i is the byte for the input byte i.

    `function` is a name of FUNCTIONS or a float32 array function; `parameters` are its own (alpha, beta, low, high).
    Equal to QLinearSigmoid and QLinearLeakyRelu, to QLinearConcat (identity) and to DequantizeLinear -> function ->
    QuantizeLinear. Raises KeyError for an unknown name.
    """
    call = FUNCTIONS[function] if isinstance(function, str) else function
    values = call(dequantize(_inputs(x_dtype), x_scale, x_zero), **parameters)
    return quantize(values, y_scale, y_zero, y_dtype).view(np.uint8)


def affine_table(
    scale: ArrayLike,
    offset: ArrayLike,
    x_scale: float,
    x_zero: int,
    x_dtype: DTypeLike,
    y_scale: float,
    y_zero: int,
    y_dtype: DTypeLike,
) -> NDArray[np.uint8]:
    """uint8[C, 256]: quantize(dequantize(x) * scale[c] + offset[c]), product and sum rounded to float32 separately.

    With `functions.batch_normalization` this is DequantizeLinear -> BatchNormalization -> QuantizeLinear.
    """
    x = dequantize(_inputs(x_dtype), x_scale, x_zero)
    values = x * np.asarray(scale, np.float32)[:, None] + np.asarray(offset, np.float32)[:, None]
    return quantize(values, y_scale, y_zero, y_dtype).view(np.uint8)


def lookup(x: Quantized, entries: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
    """Apply uint8[256], or uint8[C, 256] to the last dimension of x, and read the result bytes as `dtype`."""
    byte = x.view(np.uint8)
    if entries.ndim == 1:
        return entries[byte].view(dtype)
    return entries[np.arange(x.shape[-1]), byte].view(dtype)


def _inputs(dtype: DTypeLike) -> NDArray[Any]:
    return np.arange(256, dtype=np.uint8).view(dtype)
