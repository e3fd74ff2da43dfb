"""From a float model to int8: optimize, calibrate, quantize, compile, and the accuracy on the simulated NPU.

python examples/quantize_digits.py              # every calibration method
python examples/quantize_digits.py MSE_SYM      # one or several of them
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from furiosa.optimizer import optimize_model
from furiosa.quantizer import CalibrationMethod, Calibrator, quantize
from furiosa.runtime.sync import create_runner

DIGITS = Path(__file__).parent / "digits"
INPUT, INNER, OUTPUT = "image", "stem.out", "logits"
Ranges = dict[str, tuple[float, float]]


def data() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Held-back images, their labels, and calibration images; pixels are uint8 `(count, 1, 28, 28)`."""
    with np.load(DIGITS / "digits.npz") as file:
        return file["images"], file["labels"], file["calibration"]


def to_float(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels as the float model takes them, from 0 to 1."""
    return pixels.astype(np.float32) / np.float32(255)


def float_model() -> onnx.ModelProto:
    """The trained network after the quantizer's optimizations, which change no result."""
    return optimize_model(onnx.load(DIGITS / "digits.onnx"))


def calibrate(model: onnx.ModelProto, method: CalibrationMethod = CalibrationMethod.MIN_MAX_ASYM) -> Ranges:
    """The range of every tensor: a sample is a list with one array for each input."""
    calibrator = Calibrator(model, method)
    calibrator.collect_data([image[None]] for image in to_float(data()[2]))
    return calibrator.compute_range()


def logits(model: bytes, inputs: NDArray[Any], **options: Any) -> NDArray[Any]:
    """Compile the model and run the inputs through the simulated NPU, one after another."""
    with create_runner(model, **options) as runner:
        return np.concatenate([runner.run([x[None]])[0] for x in inputs])


def accuracy(outputs: NDArray[Any]) -> float:
    """The share of the held-back images that are recognised."""
    return float((outputs.argmax(axis=1) == data()[1]).mean())


def main() -> None:
    model = float_model()
    images = to_float(data()[0])
    methods = [CalibrationMethod[name] for name in sys.argv[1:]] or list(CalibrationMethod)
    # A float32 model compiles too: all of it runs on the CPU.
    print(f"{'float32':<16}{accuracy(logits(model.SerializeToString(), images)):8.2%}")
    print(f"\n{'method':<16}{'accuracy':>8}   {f'range of {INPUT}':<20}range of {INNER}")
    for method in methods:
        ranges = calibrate(model, method)
        quantized = quantize(model, ranges)
        given, result = (f"{low:.4f} to {high:.4f}" for low, high in (ranges[INPUT], ranges[INNER]))
        print(f"{method.name:<16}{accuracy(logits(quantized, images)):8.2%}   {given:<20}{result}")


if __name__ == "__main__":
    main()
