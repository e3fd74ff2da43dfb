"""A model that cannot be compiled gives one good message: what, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper, parser

from furiosa.compiler import compile_model
from furiosa.isa.errors import FuriosaError, ModelError, UnsupportedError

GOOD = "g (float[1,4] x) => (float[1,4] y) <float[4] c = {1,2,3,4}> { y = Add(x, c) }"


def model(text: str, opsets: str = '"": 13', ir: int = 8) -> ModelProto:
    found: ModelProto = parser.parse_model(f"<ir_version: {ir}, opset_import: [{opsets}]> {text}")
    return found


def message(data: bytes | str, kind: type[FuriosaError]) -> str:
    """The rendered error of a compilation."""
    with pytest.raises(kind) as caught:
        compile_model(data)
    error = caught.value
    assert type(error) is kind
    assert error.hint
    assert "Traceback" not in error.render()
    assert not error.message.endswith(".")
    return error.render()


def bad(text: str, kind: type[FuriosaError] = ModelError, opsets: str = '"": 13', ir: int = 8) -> str:
    return message(model(text, opsets, ir).SerializeToString(), kind)


def test_no_model_at_all() -> None:
    data = model(GOOD).SerializeToString()
    assert "the model file is empty" in message(b"", ModelError)
    for junk in (data[: len(data) // 2], b"no model at all\n", np.random.default_rng(0).bytes(500), b"\x00" * 64):
        assert "not an ONNX model" in message(junk, ModelError)


def test_any_damage() -> None:
    """Every byte changed, every length cut: a model still, or one of the two errors."""
    data = model(GOOD).SerializeToString()
    for index, byte in enumerate(data):
        for damaged in (data[:index], *(data[:index] + bytes([b]) + data[index + 1 :] for b in (0, 255, byte ^ 1))):
            try:
                compile_model(damaged, target_ir="cdfg")
            except (ModelError, UnsupportedError) as error:
                assert error.hint  # noqa: PT017  # either outcome is right


@pytest.mark.parametrize(("text", "parts"), [
    ("g (float[1,4] x) => (float[1,4] y) { y = Add(x, z) z = Relu(y) }", ["topologically sorted", "`z`|'z'"]),
    ("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }", ["tensor `x` contains an unsupported", "`N`", "axis 0"]),
    ("g (float[] x) => (float[] y) { y = Relu(x) }", ["input `x` has no type with a shape"]),
    ("g (int64[1,1,4,4] x) => (int64[1,1,4,4] y) <int64[1,1,1,1] w = {1}> { y = Conv(x, w) }",
     ["Conv", "unsupported type: tensor(int64)"]),
    ("g (float[1,1,4,4] x) => (float[1,1,4,4] y) { y = Conv(x, w) }", ["input 'w'", "Conv"]),
    ("g (float[1,4] x) => (float[1,4] y) { y = Relu(x) y = Sigmoid(x) }", ["'y' has been used as output names"]),
    ("g (float[1,4] x, float[1,4] x) => (float[1,4] y) { y = Relu(x) }", ["'x' has been used as graph input"]),
    ("g (float[1,4] x) => () { y = Relu(x) }", ["the model has no output"]),
    ("g (float[1,4] x) => (float[1,4] z) { y = Relu(x) }", ["'z' is not an output"]),
    ("g (float[1,4] x, float[1,3] b) => (float[1,4] y) { y = Add(x, b) }", ["Add", "Incompatible dimensions"]),
    ("g (float[1,4] x) => (float[1,5] y) { y = Relu(x) }", ["Relu", "(4) vs (5)"]),
    ("g (float[1,1,4,4] x) => (float[1,1,4,4] y) { y = MaxPool(x) }", ["'kernel_shape' is missing"]),
    ("g (float[1,4] x) => (float[1,4] y) { y = my.ops.Foo(x) }", ["`Foo` is of domain `my.ops`", "node `y`"]),
    ("g (float[1,4] x) => (float[1,4] y) <float[3] s = {1,2,3}, uint8[3] z = {1,2,3}> "
     "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }", ["`s` has 3 scales", "(1, 4)"]),
])  # fmt: skip
def test_inconsistent_model(text: str, parts: list[str]) -> None:
    said = bad(text)
    for part in parts:
        assert any(choice in said for choice in part.split("|")), said


@pytest.mark.parametrize(("text", "opsets", "parts"), [
    ("g (float[1,4] x) => (float[1,4] y) { y = Frobnicate(x) }", '"": 13',
     ["operator `Frobnicate` of opset 13 is unknown", "node `y`", "replace the operator"]),
    ("g (float[1,4] x) => (float[1,4] y) { y = HardSwish(x) }", '"": 8', ["operator `HardSwish` of opset 8", "opset"]),
    ("g (float[1,4] x) => (float[1,4] y) { y = my.ops.Foo(x) }", '"": 13, "my.ops": 2', ["`Foo` of `my.ops` opset 2"]),
    ("g (float[1,4] x) => (float[1,4] y) { y = com.microsoft.Foo(x) }", '"": 13, "com.microsoft": 1',
     ["operator `Foo` of opset 1", "node `Foo_0`"]),
    ("g (float[1,4] x) => (float[1,4] y) { z = com.microsoft.Foo(x) y = Relu(z) }", '"": 13, "com.microsoft": 1',
     ["com.microsoft:Foo", "ONNX Runtime cannot run the model"]),
    ("g (bfloat16[1,4] x) => (bfloat16[1,4] y) { y = Relu(x) }", '"": 13', ["operator `Relu` of opset 13", "`Relu_0`"]),
    ("g (float[1,4] x) => (float[1,4] y) { y = Relu(x) }", '"": 99', ["ONNX Runtime"]),
])  # fmt: skip
def test_model_that_nothing_here_can_run(text: str, opsets: str, parts: list[str]) -> None:
    said = bad(text, UnsupportedError, opsets)
    for part in parts:
        assert part in said, said


def test_too_new_a_format() -> None:
    assert "ir_version 99" in bad(GOOD, ir=99)


def test_no_operator_set() -> None:
    broken = model(GOOD)
    del broken.opset_import[:]
    assert "does not import" in message(broken.SerializeToString(), ModelError)


@pytest.mark.parametrize("scale", ["nan", "0", "-1", "inf"])
def test_impossible_scale(scale: str) -> None:
    broken = model("g (float[1,4] x) => (float[1,4] y) <float s = {1}, uint8 z = {3}> "
                   "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }")  # fmt: skip
    broken.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(float(scale), np.float32), "s"))
    said = message(broken.SerializeToString(), ModelError)
    assert f"scale `s` is {float(scale)}" in said
    assert "QuantizeLinear" in said


def _external(broken: ModelProto) -> None:
    tensor = broken.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="gone.bin")


def _damaged(broken: ModelProto) -> None:
    broken.graph.initializer[0].ClearField("float_data")
    broken.graph.initializer[0].raw_data = b"123"


def _twice(broken: ModelProto) -> None:
    broken.graph.initializer.append(broken.graph.initializer[0])


@pytest.mark.parametrize(("break_it", "kind", "part"), [
    (_external, ModelError, "initializer `c` lies outside the file"), (_twice, ModelError, "c initializer name"),
    (_damaged, ModelError, "c"),
])  # fmt: skip
def test_broken_weights(break_it: Callable[[ModelProto], None], kind: type[FuriosaError], part: str) -> None:
    broken = model(GOOD)
    break_it(broken)
    assert part in message(broken.SerializeToString(), kind)


def test_missing_external_data(tmp_path: Path) -> None:
    broken = model(GOOD)
    _external(broken)
    path = tmp_path / "model.onnx"
    path.write_bytes(broken.SerializeToString())
    said = message(str(path), ModelError)
    assert "external data of initializer `c`" in said
    assert str(path) in said


def test_external_data(tmp_path: Path) -> None:
    onnx.save(model(GOOD), str(tmp_path / "model.onnx"), save_as_external_data=True, size_threshold=0)
    assert compile_model(tmp_path / "model.onnx").report["cpu_clusters"] == 1
