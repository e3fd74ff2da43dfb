"""What users can do wrong, and what they read then."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, parser
from tests.optimizer.equivalence import assert_equivalent

from furiosa.isa.errors import FuriosaError
from furiosa.optimizer import optimize_model

RELU = '<ir_version: 8, opset_import: ["": 13]> g({}) => (float[] y) {{ y = Relu(x) }}'
ADD = '<ir_version: 8, opset_import: ["": 13]> g({}) => (float[] y) {{ y = Add(x, z) }}'


def shapes(model: ModelProto) -> list[list[int]]:
    values = (*model.graph.input, *model.graph.output)
    return [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values]


@pytest.mark.parametrize(
    ("inputs", "given", "result"),
    [
        ("float[N,3] x", None, [[1, 3], [1, 3]]),
        ("float[N,3] x", {}, [[1, 3], [1, 3]]),
        ("float[N,3] x", {"x": [5, 3]}, [[5, 3], [5, 3]]),
        ("float[N,3] x", {"x": (5, None)}, [[5, 3], [5, 3]]),
        ("float[N,3] x", {"x": [None, 3]}, [[1, 3], [1, 3]]),
        ("float[N,C,H] x", {"x": np.array([2, 3, 4]).tolist()}, [[2, 3, 4], [2, 3, 4]]),
        ("float x", {"x": []}, [[], []]),
        ("float[2,3] x", {"x": [2, 3]}, [[2, 3], [2, 3]]),
    ],
)
def test_shapes(inputs: str, given: Any, result: list[list[int]]) -> None:
    assert shapes(assert_equivalent(parser.parse_model(RELU.format(inputs)), input_shapes=given)) == result


def test_zero_stands_for_any_size() -> None:
    assert shapes(optimize_model(parser.parse_model(RELU.format("float[0,3] x")))) == [[1, 3], [1, 3]]


def test_a_symbol_has_one_value() -> None:
    model = parser.parse_model(ADD.format("float[N,3] x, float[1,N,3] z"))
    assert shapes(optimize_model(model, {"x": [4, 3]}))[1] == [1, 4, 3]


def test_the_batch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="furiosa.optimizer"):
        optimize_model(parser.parse_model(RELU.format("float[N,3] x")))
    assert caplog.messages == ["axis 0 of input `x` is dynamic: it is set to 1"]


def without_shape() -> ModelProto:
    model = parser.parse_model(RELU.format("float[1] x"))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def test_an_input_without_shape() -> None:
    assert shapes(optimize_model(without_shape(), {"x": [2, 5]})) == [[2, 5], [2, 5]]


def external() -> ModelProto:
    model = parser.parse_model(ADD.format("float[1,3] x").replace("y)", "y) <float[3] z = {1, 2, 3}>"))
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model


def contradictory(opset: int) -> ModelProto:
    return parser.parse_model(ADD.format("float[2,3] x, float[2,4] z").replace("13", str(opset)))


def unsorted() -> ModelProto:
    return parser.parse_model(RELU.format("float[1] x").replace("Relu(x)", "Relu(a) a = Neg(x)"))


def future() -> ModelProto:
    model = parser.parse_model(RELU.format("float[1] x"))
    model.opset_import[0].version = 1000
    return model


def sparse() -> ModelProto:
    model = parser.parse_model(ADD.format("float[1,3] x"))
    values, indices = helper.make_tensor("z", 1, [1], [2.0]), helper.make_tensor("i", 7, [1], [1])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    return model


STATIC, BATCH, IMAGE = (parser.parse_model(RELU.format(f"float{shape} x")) for shape in ("[2,3]", "[N,3]", "[N,C,H,W]"))
WRONG = [
    (IMAGE, {}, RuntimeError, 'the static shape of input "x" must be given'),
    (IMAGE, {"input_shapes": {"x": [1, 3, None, 4]}}, RuntimeError, 'the static shape of input "x" must be given'),
    (without_shape(), {}, RuntimeError, 'the static shape of input "x" must be given'),
    (STATIC, {"opset_version": 11}, ValueError, "opset_version must be one of (12, 13), not 11"),
    (STATIC, {"opset_version": 14}, ValueError, "opset_version must be one of (12, 13), not 14"),
    (STATIC, {"opset_version": "13"}, ValueError, "opset_version must be one of (12, 13), not 13"),
    (STATIC, {"input_shapes": {"images": [1]}}, ValueError, "input_shapes names `images`, which is no input"),
    (STATIC, {"input_shapes": {"x": [2, 4]}}, ValueError, "gives [2, 4] for input `x`, which is [2, 3] in the model"),
    (BATCH, {"input_shapes": {"x": [2]}}, ValueError, "gives [2] for input `x`, which is [N, 3] in the model"),
    (BATCH, {"input_shapes": {"x": [0, 3]}}, ValueError, "gives [0, 3] for input `x`"),
    (BATCH, {"input_shapes": {"x": ["N", 3]}}, ValueError, "gives ['N', 3] for input `x`"),
    (BATCH, {"input_shapes": {"x": 3}}, ValueError, "gives 3 for input `x`"),
    (BATCH, {"input_shapes": [1, 3]}, TypeError, "input_shapes must map names of inputs to shapes, not be a `list`"),
    (b"", {}, TypeError, "the model must be an onnx.ModelProto, not a bytes"),
    ("model.onnx", {}, TypeError, "the model must be an onnx.ModelProto, not a str"),
    (None, {}, TypeError, "the model must be an onnx.ModelProto, not a NoneType"),
    (ModelProto(), {}, ValueError, "the model has no output"),
    (external(), {}, ValueError, "the values of `z` are in a file of their own"),
    (contradictory(13), {}, ValueError, "contradict each other"),
    (contradictory(9), {}, ValueError, "contradict each other"),
    (contradictory(17), {}, ValueError, "contradict each other"),
    (unsorted(), {}, ValueError, "the model is not valid ONNX"),
    (future(), {}, NotImplementedError, "the model is of opset 1000, which the installed onnx does not know"),
    (sparse(), {}, NotImplementedError, "initializer `z` is sparse"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "arguments", "kind", "message"), WRONG)
def test_refused(model: Any, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        optimize_model(model, **arguments)
    assert message in str(caught.value)
    assert isinstance(caught.value, FuriosaError) and caught.value.hint
