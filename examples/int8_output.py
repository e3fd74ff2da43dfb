"""The NPU's integers come out as they are: with an int8 output the Dequantize step disappears.

python examples/int8_output.py
"""

from __future__ import annotations

import numpy as np

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.quantizer import ModelEditor, TensorType, quantize
from quantize_digits import OUTPUT, accuracy, calibrate, data, float_model, logits, to_float


def main() -> None:
    images = to_float(data()[0])
    model = float_model()
    ranges = calibrate(model)
    real = logits(quantize(model, ranges), images)
    ModelEditor(model).convert_output_type(OUTPUT, TensorType.INT8)
    quantized = quantize(model, ranges)
    integers = logits(quantized, images)

    print(" -> ".join(type(step).__name__ for step in enf.load(compile_model(quantized).enf).steps))
    print(f"output: {integers.dtype}, accuracy {accuracy(integers):.2%}")

    # int8 value q stands for low + (q + 128) * (high - low) / 255. A range always contains 0, and 0 is one of the
    # integers exactly: the quantizer moves the range by up to half a step for it.
    low, high = min(ranges[OUTPUT][0], 0.0), max(ranges[OUTPUT][1], 0.0)
    step = (high - low) / 255
    restored = low + (integers.astype(np.float32) + 128) * step
    print(f"largest difference to the float output: {np.abs(restored - real).max() / step:.2f} quantization steps")


if __name__ == "__main__":
    main()
