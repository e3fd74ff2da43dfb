"""Pixels go in as they are: with a uint8 input the Quantize step is a cheap one.

python examples/uint8_input.py
"""

from __future__ import annotations

import json
import statistics
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.quantizer import CalibrationMethod, Calibrator, ModelEditor, TensorType, get_pure_input_names, quantize
from furiosa.runtime.profiler import profile
from furiosa.runtime.sync import create_runner
from quantize_digits import INPUT, accuracy, calibrate, data, float_model, logits

SHAPE = (1, 3, 640, 640)  # of the detector whose steps are measured
RUNS = 9


def camera_models() -> tuple[bytes, bytes]:
    """A convolution of a large picture with values from 0 to 255, in int8: with a float32 and with a uint8 input."""
    weights = np.random.default_rng(0).normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Conv", ["images", "w"], ["y"], name="conv", strides=[8, 8])],
            "camera",
            [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, SHAPE)],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 8, 80, 80))],
            [numpy_helper.from_array(weights, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    calibrator = Calibrator(model, CalibrationMethod.MIN_MAX_ASYM)
    calibrator.collect_data([[np.linspace(0, 255, np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)]])
    ranges = calibrator.compute_range()
    before = quantize(model, ranges)
    for name in get_pure_input_names(model):
        ModelEditor(model).convert_input_type(name, TensorType.UINT8)
    return before, quantize(model, ranges)


def steps(compiled: bytes) -> str:
    """What one inference does, in order."""
    return " -> ".join(type(step).__name__ for step in enf.load(compiled).steps)


def quantize_time(compiled: bytes, x: NDArray[Any]) -> float:
    """Microseconds that the host takes to make the NPU's integers of an input: median of some runs, measured."""
    with profile() as profiler, create_runner(compiled) as runner:
        for _ in range(RUNS):
            runner.run([x])
    profiler.file.seek(0)
    events = [event for event in json.load(profiler.file) if event["name"] == "Quantize"]
    starts, ends = ([event["ts"] for event in events if event["ph"] == kind] for kind in "BE")
    return statistics.median(end - start for start, end in zip(starts, ends, strict=True)) if starts else 0.0


def main() -> None:
    # Recognition: the pixels 0 to 255 are the integers of the range 0 to 1, which is that of the float input.
    pixels = data()[0]
    model = float_model()
    ranges = calibrate(model)
    ModelEditor(model).convert_input_type(INPUT, TensorType.UINT8)
    print(f"accuracy with uint8 pixels: {accuracy(logits(quantize(model, ranges), pixels)):.2%}\n")

    # Speed, on a larger picture.
    picture = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)
    before, after = (compile_model(each).enf for each in camera_models())
    for name, compiled, x in (("float32", before, picture.astype(np.float32)), ("uint8", after, picture)):
        print(f"{name:<8} {steps(compiled)}\n{'':8} Quantize: {quantize_time(compiled, x):.1f} us (measured)")


if __name__ == "__main__":
    main()
