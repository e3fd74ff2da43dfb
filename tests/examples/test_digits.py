"""The committed digit network and images keep their contract; quantization keeps the accuracy."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture
def digit_images(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("digit_images")


@pytest.fixture
def quantize(digit_images: ModuleType) -> ModuleType:
    return importlib.import_module("quantize")


def accuracy(model: Path, digit_images: ModuleType) -> float:
    digits = digit_images.load()
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    images = digit_images.to_input(digits.images)
    answers = [int(session.run(["logits"], {"image": image[None]})[0].argmax()) for image in images]
    return float((np.array(answers) == digits.labels).mean())


def test_model_is_static_plain_onnx() -> None:
    model = onnx.load(FOLDER / "digits.onnx")
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": [1, 1, 28, 28], "logits": [1, 10]}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert {node.op_type for node in model.graph.node} == {
        *("Conv", "Relu", "Add", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm")
    }
    assert all(node.name for node in model.graph.node)


def test_held_back_images_are_not_calibration_images(digit_images: ModuleType) -> None:
    digits = digit_images.load()
    assert digits.images.shape == (450, 1, 28, 28)
    assert digits.calibration.shape == (128, 1, 28, 28)
    assert set(digits.labels.tolist()) == set(range(10))
    held_back = {image.tobytes() for image in digits.images}
    assert held_back.isdisjoint(image.tobytes() for image in digits.calibration)


@pytest.mark.parametrize(("value", "pixel"), [(0, 0), (8, 128), (16, 255)])
def test_upscale_keeps_a_flat_scan_flat(digit_images: ModuleType, value: int, pixel: int) -> None:
    pixels = digit_images.upscale(np.full((1, 8, 8), value))
    assert pixels.shape == (1, 1, 28, 28)
    assert (pixels[0, 0, 2:-2, 2:-2] == pixel).all()
    assert pixels[0, 0, 2:-2, 2:-2].size * pixel == pixels.sum()


def test_float_accuracy(digit_images: ModuleType) -> None:
    assert accuracy(FOLDER / "digits.onnx", digit_images) >= 0.985


@pytest.mark.parametrize("activations", ["int8", "uint8"])
def test_quantized_accuracy(
    digit_images: ModuleType, quantize: ModuleType, tmp_path: Path, activations: str, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "digits.onnx"
    quantize.quantize(output, activations)
    assert capfd.readouterr() == ("", "")
    assert accuracy(output, digit_images) >= 0.985
