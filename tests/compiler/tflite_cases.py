"""A small TFLite model for each operator, by name: random shapes, scales and constants from a seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tflite_writer import Writer

Case = Callable[[Writer, np.random.Generator, str], None]
SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


def scale(rng: np.random.Generator, low: float = 0.02, high: float = 0.1) -> float:
    return float(np.float32(rng.uniform(low, high)))


def zero(rng: np.random.Generator, dtype: str) -> int:
    return int(rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1))


def _input(w: Writer, rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> tuple[int, float, int]:
    s, z = scale(rng), zero(rng, dtype)
    return w.input(shape, dtype, s, z), s, z


def _output(w: Writer, rng: np.random.Generator, dtype: str, shape: tuple[int, ...], size: float = 1.0) -> int:
    w.outputs.append(w.tensor(shape, dtype, scale(rng) * size, zero(rng, dtype)))
    return w.outputs[-1]


def _weights(
    w: Writer,
    rng: np.random.Generator,
    dtype: str,
    shape: tuple[int, ...],
    x_scale: float,
    axis: int,
    wide: bool = False,
) -> tuple[int, int]:
    """Weights and a bias; uint8 ones have a zero point, with ``wide`` far from the middle."""
    channels = shape[axis]
    info = np.iinfo(dtype)
    data = rng.integers(info.min, info.max + 1, shape).astype(dtype)
    scales: Any = rng.uniform(1e-3, 6e-3, channels).astype(np.float32) if dtype == "int8" else 0.004
    middle = 0 if dtype == "int8" else 77 if wide else 128
    weights = w.tensor(shape, dtype, scales, middle, axis if dtype == "int8" else 0, data)
    bias = rng.integers(-2000, 2000, channels).astype(np.int32)
    return weights, w.tensor((channels,), "int32", np.float32(x_scale) * np.asarray(scales), 0, 0, bias)


def conv(
    w: Writer, rng: np.random.Generator, dtype: str, kernel: tuple[int, int] = (3, 3), stride: int = 1,
    dilation: int = 1, padding: int = SAME, activation: int = NONE, channels: int = 8,
    wide: bool = False, groups: int = 1,
) -> None:  # fmt: skip
    x, s, _ = _input(w, rng, dtype, (1, 11, 10, channels))
    weights = _weights(w, rng, dtype, (16, *kernel, channels // groups), s, 0, wide)
    spans = [dilation * (k - 1) + 1 for k in kernel]
    size = [-(-n // stride) if padding == SAME else (n - span) // stride + 1 for n, span in zip((11, 10), spans)]
    y = _output(w, rng, dtype, (1, *size, 16), 4.0)
    w.op("CONV_2D", (x, *weights), [y], padding=padding, strideW=stride, strideH=stride, dilationWFactor=dilation,
         dilationHFactor=dilation, fusedActivationFunction=activation)  # fmt: skip


def depthwise(
    w: Writer, rng: np.random.Generator, dtype: str, channels: int = 8, multiplier: int = 1, stride: int = 1,
    dilation: int = 1, activation: int = NONE, wide: bool = False,
) -> None:  # fmt: skip
    x, s, _ = _input(w, rng, dtype, (1, 11, 10, channels))
    weights = _weights(w, rng, dtype, (1, 3, 3, channels * multiplier), s, 3, wide)
    y = _output(w, rng, dtype, (1, -(-11 // stride), -(-10 // stride), channels * multiplier), 2.0)
    w.op("DEPTHWISE_CONV_2D", (x, *weights), [y], padding=SAME, strideW=stride, strideH=stride,
         depthMultiplier=multiplier, dilationWFactor=dilation, dilationHFactor=dilation,
         fusedActivationFunction=activation)  # fmt: skip


def dilated(w: Writer, rng: np.random.Generator, dtype: str, depthwise: bool = False, padding: int = VALID) -> None:
    """A convolution in blocks of 2 x 3 between the operators that sort pixels; borders of zeros, cut at the end."""
    x, s, z = _input(w, rng, dtype, (1, 11, 10, 8))
    blocks, pads = w.ints(2, 3), w.tensor((2, 2), "int32", data=np.array([[2, 3], [3, 5]], np.int32))
    crops = w.tensor((2, 2), "int32", data=np.array([[0, 1], [0, 2]], np.int32))
    sorted_ = w.tensor((6, 8, 6, 8), dtype, s, z)
    w.op("SPACE_TO_BATCH_ND", [x, blocks, pads], [sorted_])
    shape, axis = ((1, 3, 3, 8), 3) if depthwise else ((8, 3, 3, 8), 0)
    weights = _weights(w, rng, dtype, shape, s, axis)
    rows, columns = (6, 4) if padding == VALID else (8, 6)
    quant = scale(rng) * 4, zero(rng, dtype)
    y = w.tensor((6, rows, columns, 8), dtype, *quant)
    w.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (sorted_, *weights), [y], padding=padding, strideW=1,
         strideH=1, fusedActivationFunction=RELU6, **({"depthMultiplier": 1} if depthwise else {}))  # fmt: skip
    w.outputs = [w.tensor((1, 2 * rows - 1, 3 * columns - 2, 8), dtype, *quant)]
    w.op("BATCH_TO_SPACE_ND", [y, blocks, crops], w.outputs)


def transpose_conv(
    w: Writer, rng: np.random.Generator, dtype: str, kernel: int = 3, stride: int = 2, padding: int = SAME,
    activation: int = NONE, wide: bool = False, outputs: int = 7, computed: bool = False,
) -> None:  # fmt: skip
    """With ``computed`` the shape is what converters write for any batch; then LiteRT's own kernel computes it."""
    size = [n * stride if padding == SAME else (n - 1) * stride + max(kernel, stride) for n in (5, 4)]
    x, s, _ = _input(w, rng, dtype, (1, 5, 4, 6))
    shape = w.ints(1, *size, outputs)
    if computed:
        sizes, batch, shape = w.tensor((4,), "int32"), w.tensor((), "int32"), w.tensor((4,), "int32")
        w.op("SHAPE", [x], [sizes], outType=2)
        w.op("STRIDED_SLICE", [sizes, w.ints(0), w.ints(1), w.ints(1)], [batch], shrinkAxisMask=1)
        rest = [w.tensor((), "int32", data=np.int32(value)) for value in (*size, outputs)]
        w.op("PACK", [batch, *rest], [shape], valuesCount=4)
    weights, bias = _weights(w, rng, dtype, (outputs, kernel, kernel, 6), s, 0, wide)
    y = _output(w, rng, dtype, (1, *size, outputs), 3.0)
    w.op("TRANSPOSE_CONV", [shape, weights, x, bias], [y], strideW=stride, strideH=stride, padding=padding,
         fusedActivationFunction=activation)  # fmt: skip


def prelu(w: Writer, rng: np.random.Generator, dtype: str) -> None:
    x, _, _ = _input(w, rng, dtype, (1, 9, 8, 6))
    info = np.iinfo(dtype)
    slopes = rng.integers(info.min, info.max + 1, (1, 1, 6)).astype(dtype)
    w.op("PRELU", [x, w.tensor((1, 1, 6), dtype, 0.01, zero(rng, dtype), data=slopes)],
         [_output(w, rng, dtype, (1, 9, 8, 6))])  # fmt: skip


def fully_connected(
    w: Writer, rng: np.random.Generator, dtype: str, shape: tuple[int, ...] = (3, 24), keep: bool = False,
    wide: bool = False, activation: int = NONE,
) -> None:  # fmt: skip
    x, s, _ = _input(w, rng, dtype, shape)
    inputs = 24 if shape[-1] == 24 else int(np.prod(shape))
    weights = _weights(w, rng, dtype, (10, inputs), s, 0, wide)
    rows = int(np.prod(shape)) // inputs
    y = _output(w, rng, dtype, (*shape[:-1], 10) if keep else (rows, 10), 3.0)
    w.op("FULLY_CONNECTED", (x, *weights), [y], keepNumDims=keep, fusedActivationFunction=activation)


def binary(
    w: Writer, rng: np.random.Generator, dtype: str, name: str, other: tuple[int, ...] = (1, 6, 5, 12),
    activation: int = NONE, constant: bool = False,
) -> None:  # fmt: skip
    a, s, _ = _input(w, rng, dtype, (1, 6, 5, 12))
    if constant:
        info = np.iinfo(dtype)
        data = rng.integers(info.min, info.max + 1, other).astype(dtype)
        b = w.tensor(other, dtype, scale(rng), zero(rng, dtype), data=data)
    else:
        b, _, _ = _input(w, rng, dtype, other)
    y = _output(w, rng, dtype, (1, 6, 5, 12), s * 40 if name == "MUL" else 1.0)
    w.op(name, [a, b], [y], fusedActivationFunction=activation)


def pool(
    w: Writer, rng: np.random.Generator, dtype: str, name: str, kernel: int = 2, stride: int = 2, padding: int = VALID,
    activation: int = NONE,
) -> None:  # fmt: skip
    x, s, z = _input(w, rng, dtype, (1, 9, 8, 12))
    size = [-(-n // stride) if padding == SAME else (n - kernel) // stride + 1 for n in (9, 8)]
    w.outputs = [w.tensor((1, *size, 12), dtype, s, z)]
    w.op(name, [x], w.outputs, filterWidth=kernel, filterHeight=kernel, strideW=stride, strideH=stride,
         padding=padding, fusedActivationFunction=activation)  # fmt: skip


def mean(
    w: Writer, rng: np.random.Generator, dtype: str, axes: tuple[int, ...], keep: bool = False,
    shape: tuple[int, ...] = (2, 7, 6, 9), name: str = "MEAN",
) -> None:  # fmt: skip
    x, _, _ = _input(w, rng, dtype, shape)
    kept = (1 if k in axes else n for k, n in enumerate(shape) if keep or k not in axes)
    y = _output(w, rng, dtype, tuple(kept))
    w.op(name, [x, w.ints(*axes)], [y], keepDims=keep)


def softmax(
    w: Writer, rng: np.random.Generator, dtype: str, shape: tuple[int, ...] = (2, 10), beta: float = 1.0
) -> None:
    x, _, _ = _input(w, rng, dtype, shape)
    w.outputs = [w.tensor(shape, dtype, 1 / 256, np.iinfo(dtype).min)]
    w.op("SOFTMAX", [x], w.outputs, beta=beta)


def function(
    w: Writer, rng: np.random.Generator, dtype: str, name: str, out: tuple[float, int] | None = None, **options: Any
) -> None:
    """All 256 values go through; ``out`` is scale and distance of the zero point from the least value."""
    x, _, _ = _input(w, rng, dtype, (1, 16, 16, 1))
    if out is None:
        y = _output(w, rng, dtype, (1, 16, 16, 1))
    else:
        y = w.tensor((1, 16, 16, 1), dtype, out[0], out[1] + np.iinfo(dtype).min)
        w.outputs = [y]
    w.op(name, [x], [y], **options)


def sqrt(w: Writer, rng: np.random.Generator, _: str) -> None:
    """Of int8 alone, whose least value is 0: LiteRT takes no other."""
    x = w.input((1, 16, 16, 1), "int8", scale(rng), -128)
    w.outputs = [w.tensor((1, 16, 16, 1), "int8", scale(rng, 0.003, 0.02), zero(rng, "int8"))]
    w.op("SQRT", [x], w.outputs)


def to_other_type(w: Writer, rng: np.random.Generator, dtype: str) -> None:
    x, _, _ = _input(w, rng, dtype, (1, 16, 16, 1))
    y = _output(w, rng, "uint8" if dtype == "int8" else "int8", (1, 16, 16, 1))
    w.op("QUANTIZE", [x], [y])


def moved(
    w: Writer, rng: np.random.Generator, dtype: str, name: str, shape: tuple[int, ...], to: tuple[int, ...],
    operands: tuple[tuple[int, ...], ...] = (), **options: Any,
) -> None:  # fmt: skip
    """An operator that only moves elements, with constant operands behind the first."""
    x, s, z = _input(w, rng, dtype, shape)
    w.outputs = [w.tensor(to, dtype, s, z)]
    rest = [w.ints(*values) for values in operands]
    w.op(name, [x, *rest], w.outputs, **options)


def pad(w: Writer, rng: np.random.Generator, dtype: str, value: int | None = None) -> None:
    x, s, z = _input(w, rng, dtype, (1, 5, 6, 7))
    pads = np.array([[0, 0], [1, 2], [0, 3], [2, 0]], np.int32)
    operands = [x, w.tensor((4, 2), "int32", data=pads)]
    if value is not None:
        operands.append(w.tensor((1,), dtype, s, z, data=np.array([value], dtype)))
    w.outputs = [w.tensor((1, 8, 9, 9), dtype, s, z)]
    w.op("PAD" if value is None else "PADV2", operands, w.outputs)


def concatenation(w: Writer, rng: np.random.Generator, dtype: str, axis: int, mixed: bool = False) -> None:
    s, z = scale(rng), zero(rng, dtype)
    shapes = [[2, 3, 4, 5], [2, 3, 4, 5]]
    shapes[1][axis] = 7
    parts = [w.input(shape, dtype, *((scale(rng), zero(rng, dtype)) if mixed else (s, z))) for shape in shapes]
    total = list(shapes[0])
    total[axis] += 7
    w.outputs = [w.tensor(total, dtype, s, z)]
    w.op("CONCATENATION", parts, w.outputs, axis=axis)


def split(w: Writer, rng: np.random.Generator, dtype: str, axis: int, sizes: tuple[int, ...] = ()) -> None:
    x, s, z = _input(w, rng, dtype, (1, 6, 4, 8))
    each = sizes or ((1, 6, 4, 8)[axis] // 2,) * 2
    w.outputs = [w.tensor([n if k == axis else d for k, d in enumerate((1, 6, 4, 8))], dtype, s, z) for n in each]
    if sizes:
        w.op("SPLIT_V", [x, w.ints(*sizes), w.ints(axis)], w.outputs, numSplits=len(sizes))
    else:
        w.op("SPLIT", [w.ints(axis), x], w.outputs, numSplits=2)


def pack(w: Writer, rng: np.random.Generator, dtype: str, axis: int) -> None:
    s, z = scale(rng), zero(rng, dtype)
    parts = [w.input((3, 4, 5), dtype, s, z) for _ in range(2)]
    shape = [3, 4, 5]
    shape.insert(axis, 2)
    w.outputs = [w.tensor(shape, dtype, s, z)]
    w.op("PACK", parts, w.outputs, valuesCount=2, axis=axis)


def unpack(w: Writer, rng: np.random.Generator, dtype: str, axis: int) -> None:
    x, s, z = _input(w, rng, dtype, (3, 4, 2, 5))
    shape = [3, 4, 2, 5]
    count = shape.pop(axis)
    w.outputs = [w.tensor(shape, dtype, s, z) for _ in range(count)]
    w.op("UNPACK", [x], w.outputs, num=count, axis=axis)


def real_borders(w: Writer, rng: np.random.Generator, dtype: str) -> None:
    x = w.input((1, 8, 8, 3), "float32")
    s, z = scale(rng), zero(rng, dtype)
    q, r = w.tensor((1, 8, 8, 3), dtype, s, z), w.tensor((1, 8, 8, 3), dtype, s, z)
    w.op("QUANTIZE", [x], [q])
    w.op("MAX_POOL_2D", [q], [r], filterWidth=2, filterHeight=2, strideW=1, strideH=1, padding=SAME)
    w.outputs = [w.tensor((1, 8, 8, 3), "float32")]
    w.op("DEQUANTIZE", [r], w.outputs)


_p = partial
_LEAST: tuple[float, int] = (1 / 256, 0)
_PAIRS: dict[str, dict[str, Any]] = {
    "of one shape": {}, "and ReLU": {"activation": RELU}, "of a row": {"other": (12,)},
    "of a scalar": {"other": (1,), "constant": True}, "of a constant": {"constant": True, "activation": RELU6},
    "of a column": {"other": (1, 6, 5, 1)}, "of three axes": {"other": (1, 5, 12)},
}  # fmt: skip
_WINDOWS: dict[str, dict[str, Any]] = {
    "2x2": {}, "3x3, same": {"kernel": 3, "stride": 1, "padding": SAME},
    "3x3 / 2, same": {"kernel": 3, "padding": SAME}, "whole image": {"kernel": 8, "stride": 1},
    "and ReLU6": {"activation": RELU6},
}  # fmt: skip
CASES: dict[str, Case] = {
    "CONV_2D": conv,
    "CONV_2D valid, stride 2, ReLU": _p(conv, padding=VALID, stride=2, activation=RELU),
    "CONV_2D dilated, ReLU6": _p(conv, dilation=2, activation=RELU6),
    "CONV_2D in blocks": dilated,
    "CONV_2D in blocks, same": _p(dilated, padding=SAME),
    "DEPTHWISE_CONV_2D in blocks": _p(dilated, depthwise=True),
    "CONV_2D 1x1": _p(conv, kernel=(1, 1)),
    "CONV_2D 5x2": _p(conv, kernel=(5, 2), stride=2),
    "CONV_2D groups": _p(conv, groups=2),
    "CONV_2D nine bits": _p(conv, wide=True, stride=2, activation=RELU_N1_TO_1),
    "CONV_2D nine bits, dilated": _p(conv, wide=True, dilation=2),
    "DEPTHWISE_CONV_2D": depthwise,
    "DEPTHWISE_CONV_2D stride 2": _p(depthwise, stride=2, activation=RELU6),
    "DEPTHWISE_CONV_2D multiplier": _p(depthwise, multiplier=3),
    "DEPTHWISE_CONV_2D one channel": _p(depthwise, channels=1, multiplier=16),
    "DEPTHWISE_CONV_2D dilated": _p(depthwise, dilation=3),
    "DEPTHWISE_CONV_2D nine bits": _p(depthwise, wide=True, stride=2),
    "DEPTHWISE_CONV_2D nine bits, dilated": _p(depthwise, wide=True, dilation=2),
    "FULLY_CONNECTED": fully_connected,
    "FULLY_CONNECTED of an image": _p(fully_connected, shape=(1, 3, 4, 5), activation=RELU),
    "FULLY_CONNECTED keeps axes": _p(fully_connected, shape=(1, 4, 5, 24), keep=True),
    "FULLY_CONNECTED of three axes": _p(fully_connected, shape=(2, 5, 24), keep=True),
    "FULLY_CONNECTED nine bits": _p(fully_connected, wide=True),
    **{f"{name} {what}": _p(binary, name=name, **options)
       for name in ("ADD", "SUB", "MUL") for what, options in _PAIRS.items()},
    **{f"{name} {what}": _p(pool, name=name, **options)
       for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D") for what, options in _WINDOWS.items()},
    "MEAN of an image": _p(mean, axes=(1, 2)),
    "MEAN of an image, kept": _p(mean, axes=(1, 2), keep=True),
    "MEAN of rows": _p(mean, axes=(1,)),
    "MEAN of columns": _p(mean, axes=(2,), keep=True),
    "MEAN of channels": _p(mean, axes=(3,)),
    "MEAN of all": _p(mean, axes=(1, 2, 3)),
    "MEAN of three axes": _p(mean, axes=(1,), shape=(1, 5, 8)),
    "MEAN of a row": _p(mean, axes=(1,), shape=(4, 8), keep=True),
    "SUM": _p(mean, axes=(1, 2), name="SUM"),
    "SUM of channels": _p(mean, axes=(3,), name="SUM", keep=True),
    "TRANSPOSE_CONV": transpose_conv,
    "TRANSPOSE_CONV valid": _p(transpose_conv, kernel=2, padding=VALID, activation=RELU),
    "TRANSPOSE_CONV 4x4 / 3": _p(transpose_conv, kernel=4, stride=3),
    "TRANSPOSE_CONV nine bits": _p(transpose_conv, wide=True),
    "TRANSPOSE_CONV 2x2 / 3": _p(transpose_conv, kernel=2, stride=3, outputs=16),
    "TRANSPOSE_CONV of any batch": _p(transpose_conv, computed=True, outputs=28),
    "TRANSPOSE_CONV of any batch, nine bits": _p(transpose_conv, kernel=4, computed=True, outputs=64, wide=True),
    "TRANSPOSE_CONV of any batch, valid": _p(transpose_conv, padding=VALID, computed=True, outputs=40,
                                             activation=RELU),
    "PRELU": prelu,
    "RESIZE_BILINEAR by 8": _p(moved, name="RESIZE_BILINEAR", shape=(1, 5, 4, 7), to=(1, 40, 32, 7),
                               operands=((40, 32),), halfPixelCenters=True),
    "SQRT": sqrt,
    "RESIZE_BILINEAR": _p(moved, name="RESIZE_BILINEAR", shape=(1, 5, 4, 7), to=(1, 10, 8, 7), operands=((10, 8),),
                          halfPixelCenters=True),
    "RESIZE_BILINEAR points": _p(moved, name="RESIZE_BILINEAR", shape=(1, 5, 4, 7), to=(1, 10, 16, 7),
                                 operands=((10, 16),)),
    "SOFTMAX": softmax,
    "SOFTMAX of an image": _p(softmax, shape=(1, 4, 5, 21)),
    "SOFTMAX with beta": _p(softmax, beta=0.7),
    "LOGISTIC": _p(function, name="LOGISTIC", out=_LEAST),
    "TANH": _p(function, name="TANH", out=(1 / 128, 128)),
    "HARD_SWISH": _p(function, name="HARD_SWISH"),
    "LEAKY_RELU": _p(function, name="LEAKY_RELU", alpha=0.1),
    "RELU": _p(function, name="RELU"),
    "RELU6": _p(function, name="RELU6"),
    "RELU_N1_TO_1": _p(function, name="RELU_N1_TO_1"),
    "GELU": _p(function, name="GELU", approximate=False),
    "GELU approximate": _p(function, name="GELU", approximate=True),
    "QUANTIZE": _p(function, name="QUANTIZE"),
    "QUANTIZE to the other type": to_other_type,
    "QUANTIZE and DEQUANTIZE": real_borders,
    "RESHAPE image to row": _p(moved, name="RESHAPE", shape=(1, 3, 4, 5), to=(1, 60), operands=((1, 60),)),
    "RESHAPE row to image": _p(moved, name="RESHAPE", shape=(1, 60), to=(1, 4, 3, 5), operands=((1, 4, 3, 5),)),
    "RESHAPE image to image": _p(moved, name="RESHAPE", shape=(1, 4, 6, 5), to=(1, 2, 3, 20),
                                 operands=((1, 2, 3, 20),)),
    "RESHAPE to five axes": _p(moved, name="RESHAPE", shape=(1, 4, 6, 5), to=(1, 2, 2, 6, 5),
                               operands=((1, 2, 2, 6, 5),)),
    "SQUEEZE": _p(moved, name="SQUEEZE", shape=(1, 1, 4, 5), to=(4, 5), squeezeDims=[0, 1]),
    "EXPAND_DIMS": _p(moved, name="EXPAND_DIMS", shape=(2, 4, 5), to=(2, 1, 4, 5), operands=((1,),)),
    "TRANSPOSE of an image": _p(moved, name="TRANSPOSE", shape=(1, 3, 4, 5), to=(1, 5, 3, 4), operands=((0, 3, 1, 2),)),
    "TRANSPOSE of three axes": _p(moved, name="TRANSPOSE", shape=(3, 4, 5), to=(4, 5, 3), operands=((1, 2, 0),)),
    "SLICE": _p(moved, name="SLICE", shape=(1, 6, 7, 8), to=(1, 3, 7, 4), operands=((0, 2, 0, 1), (1, 3, -1, 4))),
    "STRIDED_SLICE": _p(moved, name="STRIDED_SLICE", shape=(1, 6, 7, 8), to=(1, 3, 2, 8),
                        operands=((0, 0, 1, 0), (1, 6, -1, 8), (1, 2, 3, 1)), beginMask=8, endMask=10),
    "STRIDED_SLICE drops axes": _p(moved, name="STRIDED_SLICE", shape=(1, 6, 7, 8), to=(1, 7, 8),
                                   operands=((0, 2), (1, 3), (1, 1)), shrinkAxisMask=2),
    "SPACE_TO_DEPTH": _p(moved, name="SPACE_TO_DEPTH", shape=(1, 6, 4, 5), to=(1, 3, 2, 20), blockSize=2),
    "DEPTH_TO_SPACE": _p(moved, name="DEPTH_TO_SPACE", shape=(1, 3, 2, 20), to=(1, 6, 4, 5), blockSize=2),
    **{f"RESIZE_BILINEAR to {size}{name}": _p(moved, name="RESIZE_BILINEAR", shape=(1, 6, 5, 4), to=(1, *size, 4),
                                             operands=(size,), **options)
       for size in ((18, 15), (7, 23), (4, 2), (1, 5))
       for name, options in (("", {}), (", half", {"halfPixelCenters": True}), (", corners", {"alignCorners": True}))},
    "RESIZE_BILINEAR of one pixel": _p(moved, name="RESIZE_BILINEAR", shape=(1, 1, 1, 7), to=(1, 9, 5, 7),
                                       operands=((9, 5),), alignCorners=True),
    "RESIZE_BILINEAR of one column": _p(moved, name="RESIZE_BILINEAR", shape=(1, 5, 1, 7), to=(1, 10, 3, 7),
                                        operands=((10, 3),), halfPixelCenters=True),
    "RESIZE_NEAREST_NEIGHBOR": _p(moved, name="RESIZE_NEAREST_NEIGHBOR", shape=(1, 3, 4, 5), to=(1, 6, 12, 5),
                                  operands=((6, 12),)),
    "RESIZE_NEAREST_NEIGHBOR half pixels": _p(moved, name="RESIZE_NEAREST_NEIGHBOR", shape=(1, 6, 4, 5),
                                              to=(1, 3, 2, 5), operands=((3, 2),), halfPixelCenters=True),
    "PAD": pad,
    "PADV2": _p(pad, value=5),
    **{f"CONCATENATION along {axis}": _p(concatenation, axis=axis) for axis in range(4)},
    "SPLIT channels": _p(split, axis=3),
    "SPLIT rows": _p(split, axis=1),
    "SPLIT_V": _p(split, axis=3, sizes=(3, 5)),
    "PACK": _p(pack, axis=1),
    "UNPACK": _p(unpack, axis=2),
}  # fmt: skip


def model(name: str, dtype: str, seed: int) -> bytes:
    """The model of a case."""
    w = Writer()
    CASES[name](w, np.random.default_rng(seed), dtype)
    return w.bytes()
