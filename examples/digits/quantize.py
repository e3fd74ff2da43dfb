"""Quantizes `digits.onnx` to int8 with ONNX Runtime's static quantization, in QDQ form.

python examples/digits/quantize.py build/digits-int8.onnx
python examples/digits/quantize.py build/digits-uint8.onnx --activations uint8
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from digit_images import MODEL, Floats, load, to_input

ACTIVATIONS = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}


class CalibrationImages(CalibrationDataReader):  # type: ignore[misc]  # the base is untyped
    """The calibration images of `digits.npz`, one by one, as ONNX Runtime asks for them."""

    def __init__(self) -> None:
        self._images: Iterator[Floats] = iter(to_input(load().calibration))

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def quantize(output: Path, activations: str = "int8") -> None:
    """Write the quantized model to ``output``: int8 weights per channel, activations per tensor, min-max ranges.

    ``activations`` is a key of `ACTIVATIONS`.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="digits-") as folder:
        prepared = Path(folder, "prepared.onnx")
        # ONNX Runtime warns about a model without this step; the graph is optimal already, so only shapes are noted.
        quant_pre_process(MODEL, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            output,
            CalibrationImages(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=ACTIVATIONS[activations],
            weight_type=QuantType.QInt8,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Quantize the digit network to int8 (QDQ ONNX).")
    parser.add_argument("output", type=Path, help="the quantized model to write")
    parser.add_argument("--activations", choices=list(ACTIVATIONS), default="int8", help="default: int8")
    options = parser.parse_args()
    quantize(options.output, options.activations)


if __name__ == "__main__":
    main()
