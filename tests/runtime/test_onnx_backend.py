"""The ONNX standard's own tests of backends: what ONNX Runtime passes, compiled models pass too."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test import BackendTest
from tests.parity import current_onnxruntime

from furiosa.runtime import onnx_backend

pytestmark = current_onnxruntime

# Names of tests that ONNX Runtime passes and this backend does not, with the reason. A test in it that passes fails.
EXCLUDED: dict[str, str] = {}


class RuntimeRep(BackendRep):
    """A session of ONNX Runtime."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session

    def run(self, inputs: Any, **_: Any) -> Any:
        return self.session.run(None, dict(zip((x.name for x in self.session.get_inputs()), inputs)))


class RuntimeBackend(Backend):
    """ONNX Runtime's default CPU build, by whose results the suite is judged."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> RuntimeRep:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        data = model.SerializeToString()
        return RuntimeRep(onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]))


class Either(Backend):
    """The backend under test, or ONNX Runtime where that has failed: loading the suite once saves seconds."""

    now: type[Backend] = onnx_backend.FuriosaBackend

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> BackendRep | None:
        return cls.now.prepare(model, device, **options)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return onnx_backend.supports_device(device)


def judged(name: str, run: Callable[[Any], None]) -> Callable[[Any], None]:
    """The test as this project sees it: it may fail only where ONNX Runtime fails, or where a reason is given."""

    def test(self: unittest.TestCase) -> None:
        try:
            run(self)
        except Exception:
            if name in EXCLUDED:
                raise unittest.SkipTest(EXCLUDED[name]) from None
            with mock.patch.object(Either, "now", RuntimeBackend):
                try:
                    run(self)
                except Exception:
                    raise unittest.SkipTest("ONNX Runtime does not pass it either") from None
            raise
        assert name not in EXCLUDED, "it passes: take it off the list"

    return test


def suite() -> dict[str, type[unittest.TestCase]]:
    """The suite's test cases, each with its tests for the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own arithmetic overflows on purpose
        cases = BackendTest(Either, __name__).test_cases
    for case in cases.values():
        for name, test in [(name, test) for name, test in vars(case).items() if name.startswith("test_")]:
            if onnx_backend.supports_device(name.rpartition("_")[2].upper()):
                setattr(case, name, judged(name, test))
            else:
                delattr(case, name)
    return cases


CASES = suite()
globals().update(CASES)


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the suite writes the inputs of its larger models."""
    monkeypatch.setenv("ONNX_MODELS", str(tmp_path))


def test_excluded_tests_exist() -> None:
    assert EXCLUDED.keys() <= {name for case in CASES.values() for name in vars(case)}


def test_node_of_its_own() -> None:
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    (y,) = onnx_backend.run_node(relu, [np.array([-1.0, 2.0], np.float32)])
    assert y.tolist() == [0.0, 2.0]


def test_outputs_by_name() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[2] x) => (float[2] y) {y = Neg(x)}'
    )
    outputs: Any = onnx_backend.prepare(model).run([np.array([1, 2], np.float32)])
    assert outputs["y"].tolist() == outputs[0].tolist() == [-1, -2]


def test_shapes_that_the_model_leaves_open() -> None:
    """They are those of the arrays, which may be others in each run."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[n, 2] x, float[n, 2] y) => (float[n, 2] z) {z = Sub(x, y)}'
    )
    prepared = onnx_backend.prepare(model)
    for count in (3, 1, 1, 4):
        x = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
        assert np.array_equal(prepared.run([x, x / 2])[0], x / 2)


def test_unknown_device() -> None:
    with pytest.raises(ValueError, match="unknown device `CUDA`: the devices are CPU, NPU"):
        onnx_backend.prepare(onnx.ModelProto(), "CUDA")
