"""Small TFLite models of operators that the NPU does not run: on real numbers, on integers, hybrid, with 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from tflite_writer import Writer

Case = Callable[[Writer, np.random.Generator], None]
_IMAGE = (1, 6, 5, 4)
_IMAGE_OPTIONS = {"strideW": 1, "strideH": 1, "padding": 0}


def one(w: Writer, rng: np.random.Generator, name: str, dtype: str = "float32", **options: Any) -> None:
    x = w.input(_IMAGE, dtype)
    w.outputs = [w.tensor(_IMAGE, dtype)]
    w.op(name, [x], w.outputs, **options)


def positive(w: Writer, rng: np.random.Generator, name: str) -> None:
    """Of a square, which is not negative."""
    x = w.input(_IMAGE, "float32")
    square, y = w.tensor(_IMAGE, "float32"), w.tensor(_IMAGE, "float32")
    w.op("SQUARE", [x], [square])
    w.op(name, [square], [y])
    w.outputs = [y]


def two(
    w: Writer, rng: np.random.Generator, name: str, dtype: str = "float32", result: str = "", other: Any = _IMAGE,
    **options: Any,
) -> None:  # fmt: skip
    inputs = [w.input(_IMAGE, dtype), w.input(other, dtype)]
    w.outputs = [w.tensor(_IMAGE, result or dtype)]
    w.op(name, inputs, w.outputs, **options)


def conv(w: Writer, rng: np.random.Generator, hybrid: bool = False, depthwise: bool = False) -> None:
    x = w.input(_IMAGE, "float32")
    shape, axis = ((1, 3, 3, 8), 3) if depthwise else ((8, 3, 3, 4), 0)
    if hybrid:
        weights = w.tensor(shape, "int8", 0.01, 0, 0, rng.integers(-127, 128, shape).astype(np.int8))
    else:
        weights = w.tensor(shape, "float32", data=rng.normal(size=shape).astype(np.float32))
    bias = w.tensor((shape[axis],), "float32", data=rng.normal(size=8).astype(np.float32))
    w.outputs = [w.tensor((1, 6, 5, 8), "float32")]
    extra = {"depthMultiplier": 2} if depthwise else {}
    w.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, weights, bias], w.outputs, fusedActivationFunction=3,
         **_IMAGE_OPTIONS, **extra)  # fmt: skip


def transpose_conv(w: Writer, rng: np.random.Generator) -> None:
    x = w.input(_IMAGE, "float32")
    weights = w.tensor((3, 3, 3, 4), "float32", data=rng.normal(size=(3, 3, 3, 4)).astype(np.float32))
    w.outputs = [w.tensor((1, 12, 10, 3), "float32")]
    w.op("TRANSPOSE_CONV", [w.ints(1, 12, 10, 3), weights, x], w.outputs, strideW=2, strideH=2, padding=0)


def fully_connected(w: Writer, rng: np.random.Generator) -> None:
    x = w.input((3, 12), "float32")
    weights = w.tensor((7, 12), "float32", data=rng.normal(size=(7, 12)).astype(np.float32))
    w.outputs = [w.tensor((3, 7), "float32")]
    w.op("FULLY_CONNECTED", [x, weights, -1], w.outputs, fusedActivationFunction=1)


def pool(w: Writer, rng: np.random.Generator, name: str) -> None:
    x = w.input(_IMAGE, "float32")
    w.outputs = [w.tensor((1, 3, 3, 4), "float32")]
    w.op(name, [x], w.outputs, filterWidth=3, filterHeight=3, strideW=2, strideH=2, padding=0)


def moved(
    w: Writer, rng: np.random.Generator, name: str, to: tuple[int, ...], operands: tuple[Any, ...] = (),
    dtype: str = "float32", shape: tuple[int, ...] = _IMAGE, scale: tuple[float, int] | tuple[()] = (), **options: Any,
) -> None:  # fmt: skip
    x = w.input(shape, dtype, *scale)
    w.outputs = [w.tensor(to, dtype, *scale)]
    constants = [np.array(values, np.int32) for values in operands]
    rest = [w.tensor(value.shape, "int32", data=value) for value in constants]
    w.op(name, [x, *rest], w.outputs, **options)


def split(w: Writer, rng: np.random.Generator) -> None:
    x = w.input(_IMAGE, "float32")
    w.outputs = [w.tensor((1, 6, 5, 2), "float32") for _ in range(2)]
    w.op("SPLIT", [w.tensor((), "int32", data=np.int32(3)), x], w.outputs, numSplits=2)


def gather(w: Writer, rng: np.random.Generator) -> None:
    x = w.input((5, 4, 3), "int8", 0.1, 3)
    w.outputs = [w.tensor((5, 2, 3), "int8", 0.1, 3)]
    w.op("GATHER", [x, w.ints(3, 1)], w.outputs, axis=1)


def arg_max(w: Writer, rng: np.random.Generator) -> None:
    x = w.input(_IMAGE, "int8", 0.1, 3)
    w.outputs = [w.tensor((1, 6, 5), "int32")]
    w.op("ARG_MAX", [x, w.tensor((), "int32", data=np.int32(3))], w.outputs, outputType=2)


def cast(w: Writer, rng: np.random.Generator) -> None:
    x = w.input(_IMAGE, "int32")
    w.outputs = [w.tensor(_IMAGE, "float32")]
    w.op("CAST", [x], w.outputs, inDataType=2, outDataType=0)


def between(w: Writer, rng: np.random.Generator) -> None:
    """A quantized operator that only the CPU has, among the NPU's."""
    x = w.input(_IMAGE, "int8", 0.05, 3)
    a, b, c = (w.tensor(_IMAGE, "int8", 0.05, 3) for _ in range(3))
    w.op("MAX_POOL_2D", [x], [a], filterWidth=2, filterHeight=2, **_IMAGE_OPTIONS)
    w.op("MAXIMUM", [a, x], [b])
    w.op("MAX_POOL_2D", [b], [c], filterWidth=2, filterHeight=2, **_IMAGE_OPTIONS)
    w.outputs = [c, a]


def sixteen_bits(w: Writer, rng: np.random.Generator) -> None:
    x = w.input(_IMAGE, "int16", 0.001)
    y = w.input(_IMAGE, "int16", 0.002)
    total = w.tensor(_IMAGE, "int16", 0.004)
    w.outputs = [w.tensor(_IMAGE, "float32")]
    w.op("ADD", [x, y], [total], potScaleInt16=False)
    w.op("DEQUANTIZE", [total], w.outputs)


def conv_of_sixteen_bits(w: Writer, rng: np.random.Generator) -> None:
    """Activations of 16 bits, weights of 8, a bias of 64."""
    x = w.input(_IMAGE, "int16", 0.001)
    scales = rng.uniform(1e-3, 6e-3, 8).astype(np.float32)
    weights = w.tensor((8, 3, 3, 4), "int8", scales, 0, 0, rng.integers(-127, 128, (8, 3, 3, 4)).astype(np.int8))
    bias = w.tensor((8,), "int64", scales * np.float32(0.001), 0, 0, rng.integers(-50000, 50000, 8))
    sums = w.tensor((1, 6, 5, 8), "int16", 0.002)
    w.outputs = [w.tensor((1, 6, 5, 8), "float32")]
    w.op("CONV_2D", [x, weights, bias], [sums], **_IMAGE_OPTIONS)
    w.op("DEQUANTIZE", [sums], w.outputs)


def batch_matmul(w: Writer, rng: np.random.Generator, adjoint: bool) -> None:
    a = w.input((2, 24, 16) if adjoint else (2, 16, 24), "int8", 0.02, 5)
    b = w.input((2, 40, 24) if adjoint else (2, 24, 40), "int8", 0.03, -7)
    w.outputs = [w.tensor((2, 16, 40), "int8", 0.2, 3)]
    w.op("BATCH_MATMUL", [a, b], w.outputs, adjX=adjoint, adjY=adjoint)


def squared_difference(w: Writer, rng: np.random.Generator) -> None:
    inputs = [w.input(_IMAGE, "int8", 0.03, 5), w.input((1, 1, 5, 4), "int8", 0.01, -60)]
    w.outputs = [w.tensor(_IMAGE, "int8", 0.11, -128)]
    w.op("SQUARED_DIFFERENCE", inputs, w.outputs)


def division(w: Writer, rng: np.random.Generator, dtype: str, divisors: tuple[int, ...], **options: Any) -> None:
    """By constants, none of which is zero: LiteRT refuses that."""
    info, zero = np.iinfo(dtype), 40
    stored = np.setdiff1d(np.arange(info.min, info.max + 1), [zero]).astype(dtype)
    x = w.input((1, 9, 255, 4), dtype, 0.03, zero - 9)
    constant = w.tensor(divisors, dtype, 0.02, zero, data=np.resize(rng.permutation(stored), divisors))
    w.outputs = [w.tensor((1, 9, 255, 4), dtype, 0.04, zero + 11)]
    w.op("DIV", [x, constant], w.outputs, **options)


def detection(
    w: Writer, rng: np.random.Generator, dtype: str, regular: bool, background: int = 1, of_box: int = 1
) -> None:
    """50 boxes of 3 classes around anchors; of equal scores the order is told, so uint8 scores may be equal."""
    boxes = w.input((1, 50, 4), dtype, *((0.07, 130) if dtype == "uint8" else ()))
    scores = w.input((1, 50, 3 + background), dtype, *((1 / 256, 0) if dtype == "uint8" else ()))
    values = np.concatenate([rng.uniform(0, 1, (50, 2)), rng.uniform(0.1, 0.5, (50, 2))], axis=1)
    if dtype == "uint8":
        anchors = w.tensor((50, 4), "uint8", 1 / 200, 0, data=np.rint(values * 200).astype(np.uint8))
    else:
        anchors = w.tensor((50, 4), "float32", data=values.astype(np.float32))
    w.outputs = [w.tensor((), "float32") for _ in range(4)]  # converters give these tensors no shape
    payload = flexbuffers.Dumps({
        "max_detections": 12, "max_classes_per_detection": of_box, "detections_per_class": 7,
        "use_regular_nms": regular, "nms_score_threshold": 0.3, "nms_iou_threshold": 0.5, "num_classes": 3,
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    })  # fmt: skip
    w.op("CUSTOM", [boxes, scores, anchors], w.outputs, "TFLite_Detection_PostProcess", bytes(payload))


_p = partial
_ONE = ("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOGISTIC", "NEG", "RELU", "RELU6", "RELU_N1_TO_1",
        "ROUND", "SIN", "SQUARE", "TANH")  # fmt: skip
_TWO = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
_COMPARED = ("EQUAL", "NOT_EQUAL", "LESS", "GREATER_EQUAL")
CASES: dict[str, Case] = {
    **{name: _p(one, name=name) for name in _ONE},
    **{name: _p(two, name=name) for name in _TWO},
    **{name: _p(two, name=name, dtype="int32", result="bool") for name in _COMPARED},
    **{name: _p(positive, name=name) for name in ("SQRT", "RSQRT")},
    "LEAKY_RELU": _p(one, name="LEAKY_RELU", alpha=0.1),
    "SOFTMAX": _p(one, name="SOFTMAX", beta=1.0),
    "LOG_SOFTMAX": _p(one, name="LOG_SOFTMAX"),
    "ADD of a row": _p(two, name="ADD", other=(4,), fusedActivationFunction=1),
    "FLOOR_MOD": _p(two, name="FLOOR_MOD"),
    "CONV_2D": conv,
    "CONV_2D hybrid": _p(conv, hybrid=True),
    "DEPTHWISE_CONV_2D": _p(conv, depthwise=True),
    "TRANSPOSE_CONV": transpose_conv,
    "FULLY_CONNECTED": fully_connected,
    "AVERAGE_POOL_2D": _p(pool, name="AVERAGE_POOL_2D"),
    "MAX_POOL_2D": _p(pool, name="MAX_POOL_2D"),
    "RESHAPE": _p(moved, name="RESHAPE", to=(6, 20), operands=((6, 20),)),
    "TRANSPOSE": _p(moved, name="TRANSPOSE", to=(5, 4, 1, 6), operands=((2, 3, 0, 1),)),
    "REDUCE_MAX": _p(moved, name="REDUCE_MAX", to=(1, 5, 4), operands=((1,),)),
    "MEAN": _p(moved, name="MEAN", to=(1, 1, 1, 4), operands=((1, 2),), keepDims=True),
    "SUM": _p(moved, name="SUM", to=(1, 5, 4), operands=((1,),)),
    "TILE": _p(moved, name="TILE", to=(1, 12, 5, 8), operands=((1, 2, 1, 2),)),
    "REVERSE_V2": _p(moved, name="REVERSE_V2", to=_IMAGE, operands=((1,),)),
    "STRIDED_SLICE backwards": _p(moved, name="STRIDED_SLICE", to=(1, 6, 5, 2),
                                  operands=((0, 0, 0, 3), (1, 6, 5, 0), (1, 1, 1, -2))),
    "RESIZE_BILINEAR": _p(moved, name="RESIZE_BILINEAR", to=(1, 12, 10, 4), operands=((12, 10),),
                          halfPixelCenters=True),
    "RESIZE_BILINEAR corners": _p(moved, name="RESIZE_BILINEAR", to=(1, 11, 9, 4), operands=((11, 9),),
                                  alignCorners=True),
    "RESIZE_NEAREST_NEIGHBOR": _p(moved, name="RESIZE_NEAREST_NEIGHBOR", to=(1, 9, 7, 4), operands=((9, 7),)),
    "SPACE_TO_DEPTH": _p(moved, name="SPACE_TO_DEPTH", to=(1, 3, 2, 16), shape=(1, 6, 4, 4), blockSize=2),
    "GATHER of integers": gather,
    "ARG_MAX of integers": arg_max,
    "CAST": cast,
    "MAXIMUM of integers": between,
    "ADD of 16 bits": sixteen_bits,
    "BATCH_MATMUL of int8": _p(batch_matmul, adjoint=False),
    "BATCH_MATMUL of int8, adjoint": _p(batch_matmul, adjoint=True),
    "SQUARED_DIFFERENCE of int8": squared_difference,
    "DIV": _p(two, name="DIV"),
    "DIV of int8": _p(division, dtype="int8", divisors=(1, 9, 255, 4)),
    "DIV of uint8 by a column, ReLU6": _p(division, dtype="uint8", divisors=(255, 1), fusedActivationFunction=3),
    "CONV_2D of 16 bits": conv_of_sixteen_bits,
    "L2_POOL_2D": _p(pool, name="L2_POOL_2D"),
    "SPACE_TO_BATCH_ND": _p(moved, name="SPACE_TO_BATCH_ND", to=(6, 4, 2, 4), operands=((2, 3), ((1, 1), (0, 1)))),
    "SPACE_TO_BATCH_ND of int8": _p(moved, name="SPACE_TO_BATCH_ND", to=(4, 4, 3, 4), dtype="int8", scale=(0.1, 7),
                                    operands=((2, 2), ((1, 1), (0, 1)))),
    "BATCH_TO_SPACE_ND": _p(moved, name="BATCH_TO_SPACE_ND", shape=(12, 3, 2, 4), to=(2, 5, 5, 4),
                            operands=((2, 3), ((1, 0), (0, 1)))),
    "REVERSE_SEQUENCE": _p(moved, name="REVERSE_SEQUENCE", to=(6, 5, 4), shape=(6, 5, 4),
                           operands=((1, 5, 2, 3, 4, 1),), seqDim=1, batchDim=0),
    "SPLIT": split,
    **{f"TFLite_Detection_PostProcess {dtype}{' regular' * regular}": _p(detection, dtype=dtype, regular=regular)
       for dtype in ("float32", "uint8") for regular in (False, True)},
    "TFLite_Detection_PostProcess, 2 classes": _p(detection, dtype="float32", regular=False, background=0, of_box=2),
}  # fmt: skip

COARSE = {"CONV_2D hybrid": 0.2, "ADD of 16 bits": 0.0041, "CONV_2D of 16 bits": 0.0021}
"""How far results may lie apart: LiteRT rounds activations of hybrid operators to 8 bits; sums of 16 bits by a step."""


def model(name: str) -> bytes:
    """The model of a case."""
    w = Writer()
    CASES[name](w, np.random.default_rng(0))
    return w.bytes()
