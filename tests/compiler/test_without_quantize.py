"""The compiler option `without_quantize`: bytes of an image in place of the real numbers that they stand for."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.compiler.quantized_nets import floats, tiny

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.isa.errors import OptionError
from furiosa.runtime.sync import create_runner


def option(**parameters: Any) -> dict[str, object]:
    return {"without_quantize": {"parameters": [parameters]}}


def real(x: np.ndarray[Any, Any], least: float, most: float) -> np.ndarray[Any, Any]:
    """What the bytes stand for, in float32 as the compiled model computes it."""
    scaled = x.astype(np.float32) * np.float32((most - least) / 255)
    return np.asarray(scaled + np.float32(least) if least else scaled, np.float32)


@pytest.mark.parametrize("model", [tiny(), floats()])
@pytest.mark.parametrize(("least", "most"), [(0.0, 1.0), (-1.0, 1.0), (-2.1, 2.6), (0, 255)])
@pytest.mark.parametrize("nhwc", [False, True])
def test_bytes_in_place_of_real_numbers(model: bytes, least: float, most: float, nhwc: bool) -> None:
    x = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 8), np.uint8)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    right = session.run(None, {session.get_inputs()[0].name: real(x, least, most)})
    config = option(input_min=least, input_max=most, **({"permute": [0, 2, 3, 1]} if nhwc else {}))
    given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if nhwc else x
    with create_runner(model, compiler_config=config) as runner:
        assert runner.model.input(0).dtype == np.uint8
        assert runner.model.input(0).shape == given.shape
        np.testing.assert_array_equal(runner.run(given)[0], right[0])


def test_no_quantization_is_left_to_the_host() -> None:
    compiled = compile_model(tiny(), config=option(input_min=0.0, input_max=1.0, permute=[0, 2, 3, 1]))
    assert [type(step).__name__ for step in enf.load(compiled.enf).steps][:2] == ["Lower", "RunNpu"]


@pytest.mark.parametrize(("value", "message", "hint"), [
    ({}, "must have `parameters` for 1 inputs", "write it like"),
    ({"parameters": []}, "must have `parameters` for 1 inputs", "write it like"),
    ({"parameters": [3]}, "gives 3 for input `x`", "write it like"),
    ({"parameters": [{"input_min": 0, "inputmax": 1}]}, "no parameter `inputmax`", "did you mean `input_max`?"),
    ({"parameters": [{"input_min": 1, "input_max": 0}]}, "no range for input `x`: 1 to 0", "give numbers"),
    ({"parameters": [{"input_min": "0", "input_max": 1}]}, "no range for input `x`", "give numbers"),
    ({"parameters": [{"input_min": 0, "input_max": 1, "permute": [0, 1]}]}, "no permutation of [0, 1, 2, 3]", "name"),
])  # fmt: skip
def test_faults(value: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)) as caught:
        compile_model(tiny(), config={"without_quantize": value})
    assert str(caught.value.hint).startswith(hint)


def test_permuting_twice_is_refused() -> None:
    config = option(input_min=0, input_max=1, permute=[0, 2, 3, 1]) | {"permute_input": [[0, 2, 3, 1]]}
    with pytest.raises(OptionError, match="both permute the inputs"):
        compile_model(tiny(), config=config)
