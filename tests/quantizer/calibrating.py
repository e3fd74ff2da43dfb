"""A float model with branches for the tests of the Calibrator, random images for it, and the ranges it finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from furiosa.quantizer.calibration import CalibrationMethod, Calibrator

Array = NDArray[Any]
M = CalibrationMethod
RNG = np.random.default_rng(3)

BRANCHES = """
<ir_version: 8, opset_import: ["": {opset}]>
branches (float[1, 3, 16, 16] image) => (float[1, 10] logits) {{
  stem = Conv <pads = [1, 1, 1, 1]> (image, w1, b1)
  norm = BatchNormalization (stem, gamma, beta, mean, var)
  left = Relu (norm)
  right = Sigmoid (norm)
  joined = Concat <axis = 1> (left, right)
  pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (joined)
  plain = Conv (pooled, w2)
  clipped = Relu (plain)
  average = GlobalAveragePool (clipped)
  flat = Flatten (average)
  logits = Gemm <transB = 1> (flat, w3, b3)
}}
"""
TENSORS = [
    "image",
    "stem",
    "norm",
    "left",
    "right",
    "joined",
    "pooled",
    "plain",
    "clipped",
    "average",
    "flat",
    "logits",
]


def constants(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    for name, shape in shapes.items():
        value = np.abs(rng.normal(size=shape)) + 0.1 if name == "var" else rng.normal(size=shape)
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    return model


def branches(opset: int = 13) -> onnx.ModelProto:
    shapes: dict[str, tuple[int, ...]] = {
        "w1": (8, 3, 3, 3),
        "b1": (8,),
        "w2": (4, 16, 1, 1),
        "w3": (10, 4),
        "b3": (10,),
    }
    shapes |= dict.fromkeys(("gamma", "beta", "mean", "var"), (8,))
    return constants(parser.parse_model(BRANCHES.format(opset=opset)), shapes)


def images(count: int) -> list[list[Array]]:
    return [[RNG.normal(size=(1, 3, 16, 16)).astype(np.float32)] for _ in range(count)]


def calibrated(model: onnx.ModelProto | bytes, samples: Iterable[Sequence[Array]],
               method: M = M.MIN_MAX_ASYM) -> dict[str, tuple[float, float]]:  # fmt: skip
    calibrator = Calibrator(model, method)
    calibrator.collect_data(samples)
    return calibrator.compute_range()


def text(body: str, imports: str = '"": 13') -> onnx.ModelProto:
    return parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]> g {body}")
