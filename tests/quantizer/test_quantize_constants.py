"""Weights and biases: in integers of every shape and size, and wherever a model may keep them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import NodeProto, helper, numpy_helper
from tests.compiler.quantized import on_cpu, run_both
from tests.parity import current_onnxruntime
from tests.quantizer.quantizing import EVALUATED, decibels, feeds, min_max, model, quantized, run, skeleton

from furiosa.quantizer.encodings import Encoding
from furiosa.quantizer.products import Product
from furiosa.quantizer.quantize import quantize_model
from furiosa.quantizer.weights import quantize_product

F32 = np.float32
TINY = np.finfo(np.float32).tiny
CONV = Product(NodeProto(name="c", op_type="Conv", input=["x", "w", "b"]), np.zeros((2, 1, 1, 1), F32), None, 0, 1, 4)


def product(weights: list[float], bias: list[float] | None = None) -> Product:
    """A Conv with a weight and a bias for each of its channels."""
    values = np.asarray(weights, F32).reshape(-1, 1, 1, 1)
    return replace(CONV, weights=values, bias=None if bias is None else np.asarray(bias, F32))


numbers = st.floats(-1e10, 1e10, width=32)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5), st.floats(2.0**-64, 2.0**40))
def test_integers_stand_for_the_constants(pairs: list[tuple[float, float]], x: float) -> None:
    made = product([w for w, _ in pairs], [b for _, b in pairs])
    found = quantize_product(made, Encoding(F32(x), 0))
    assert found.bias is not None
    assert np.abs(found.weights.astype(int)).max() <= 127
    assert np.abs(found.bias.astype(np.int64)).max() <= 2**30 + 2**8  # the scale is rounded to float32
    assert (found.scales >= TINY).all()
    assert (found.bias_scales >= TINY).all()
    np.testing.assert_array_equal(found.bias_scales, F32(x) * found.scales)
    scales = found.scales.astype(float)
    weights = made.weights.ravel().astype(float)
    assert (np.abs(found.weights.ravel() * scales - weights) <= scales / 2 + np.abs(weights) * 1e-6).all()
    bias = np.array([b for _, b in pairs])
    error = np.abs(found.bias * found.bias_scales.astype(float) - bias)
    assert (error <= found.bias_scales / 2 + np.abs(bias) * 1e-6).all()


def test_scales_follow_the_greatest_weight() -> None:
    found = quantize_product(product([1.27, -2.54], [0.5, -0.5]), Encoding(F32(0.5), 128))
    np.testing.assert_allclose(found.scales, [0.01, 0.02], rtol=1e-6)
    np.testing.assert_array_equal(found.weights.ravel(), [127, -127])
    np.testing.assert_array_equal(found.bias, [100, -50])


def test_rounding_is_to_even() -> None:
    weights = np.asarray([127, 0.5, 1.5, 2.5, -0.5, -1.5], F32).reshape(1, 6, 1, 1)
    found = quantize_product(replace(CONV, weights=weights), Encoding(F32(1), 0))
    np.testing.assert_array_equal(found.weights.ravel(), [127, 0, 2, 2, 0, -2])


@pytest.mark.parametrize(
    ("weight", "bias"), [(0, 0), (0, 3), (1e-45, 0), (1e-30, 5), (1e-6, 1e6), (0, 1e-38), (3, 1e-40)]
)
def test_scales_grow_where_float32_or_int32_would_not_do(weight: float, bias: float) -> None:
    graph = "(float[1,2] x) => (float[N] y) { y = Gemm(x, w, b) }"
    constants = {"w": np.array([[weight, 1], [weight, -1]], F32), "b": np.array([bias, 0.1], F32)}
    made = model(graph, constants=constants)
    result = quantized(made)
    fed = feeds(made, EVALUATED)
    exact, found = run(made, fed)[0], run(result, fed)[0]
    step = max(abs(exact).max() / 100, 1e-2)
    np.testing.assert_allclose(found, exact, atol=step)


def test_a_shared_weight_is_stored_once() -> None:
    graph = """(float[1,3,4,4] x) => (float[N] y)
               { a = Conv<pads = [1,1,1,1]>(x, w) b = Conv<pads = [1,1,1,1]>(a, w) y = Add(a, b) }"""
    result = quantized(model(graph, w=(3, 3, 3, 3)))
    assert [tensor.name for tensor in result.graph.initializer].count("w_quantized") == 1
    weights = {node.input[0] for node in result.graph.node if node.output[0].startswith("w_dequantized")}
    assert weights == {"w_quantized"}


FORMS = {
    "initializer": "{ y = Conv(x, w) }",
    "identity": "{ i = Identity(w) y = Conv(x, i) }",
    "two identities": "{ i = Identity(w) j = Identity(i) y = Conv(x, j) }",
    "computed": "{ m = ReduceMean<axes = [1,2,3]>(w) d = Sub(w, m) y = Conv(x, d) }",
    "reshaped": "{ s = Constant<value_ints = [4,3,1,1]>() r = Reshape(w, s) y = Conv(x, r) }",
    "cast": "{ h = Cast<to = 10>(w) f = Cast<to = 1>(h) y = Conv(x, f) }",
}


@current_onnxruntime
@pytest.mark.parametrize("name", FORMS)
def test_weights_may_come_from_anywhere(name: str) -> None:
    made = model(f"(float[1,3,4,4] x) => (float[N] y) {FORMS[name]}", w=(4, 3, 1, 1))
    result = quantized(made)
    assert skeleton(result) == "Q D Conv Q D"
    want, have, report = run_both(result.SerializeToString())
    np.testing.assert_array_equal(have[0], want[0])
    assert on_cpu(report) == {}


def test_weights_may_be_inputs_with_a_value() -> None:
    made = model("(float[1,3,4,4] x, float[4,3,1,1] w) => (float[N] y) { y = Conv(x, w) }", w=(4, 3, 1, 1))
    made.ir_version = 3
    result = quantized(made)
    assert [value.name for value in result.graph.input] == ["x"]
    assert skeleton(result) == "Q D Conv Q D"


def test_weights_may_be_constant_nodes() -> None:
    made = model("(float[1,3,4,4] x) => (float[N] y) { y = Conv(x, w) }", w=(4, 3, 1, 1))
    tensor = made.graph.initializer.pop()
    made.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    assert skeleton(quantized(made)) == "Q D Conv Q D"


def test_names_of_nodes_may_be_missing_or_repeated() -> None:
    made = model("(float[1,3,4,4] x) => (float[N] y) { a = Relu(x) b = Tanh(a) c = Tanh(b) y = Relu(c) }")
    for node in made.graph.node[1:3]:
        node.name = "same"
    ranges = dict.fromkeys("xabcy", (-1.0, 1.0))
    names = [node.name for node in quantize_model(made, ranges).graph.node]
    assert len(set(names)) == len(names)
    assert {"same", "Relu_0", "Tanh_2", "Relu_3"} <= set(names)


def test_names_of_new_tensors_avoid_those_of_the_model() -> None:
    made = model("(float[4] x) => (float[N] x_quantized) { y_float = Relu(x) x_quantized = Tanh(y_float) }")
    result = quantized(made)
    fed = feeds(made, EVALUATED)
    assert decibels(run(made, fed)[0], run(result, fed)[0]) > 28


def test_subgraphs_stay_float_and_read_the_same_names() -> None:
    then = onnx.parser.parse_graph("then () => (float[1,3,4,4] t) { s = Sin(r) t = Add(s, x) }")
    other = onnx.parser.parse_graph("other () => (float[1,3,4,4] e) { e = Identity(r) }")
    made = model("(float[1,3,4,4] x, bool[1] c) => (float[N] y) { r = Sigmoid(x) i = Identity(r) y = Tanh(i) }")
    made.graph.node[1].CopyFrom(helper.make_node("If", ["c"], ["i"], then_branch=then, else_branch=other))
    ranges = {"x": (-4.0, 4.0), "r": (0.0, 1.0), "i": (-5.0, 5.0), "y": (-1.0, 1.0)}
    result = quantize_model(made, ranges)
    onnx.checker.check_model(result, full_check=True)
    assert skeleton(result) == "Q D Sigmoid Q D If Q D Tanh Q D"
    for condition in (True, False):
        fed = {"x": np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(F32), "c": np.array([condition])}
        np.testing.assert_allclose(run(result, fed)[0], run(made, fed)[0], atol=0.1)


@pytest.mark.parametrize("opset", [8, 9, 10, 11, 12])
def test_older_opsets_are_converted(opset: int) -> None:
    graph = """(float[1,3,4,4] x) => (float[N] y) { c = Conv(x, w, b) n = BatchNormalization(c, g, o, m, v)
               r = Relu(n) s = Squeeze<axes = [0]>(r) u = Unsqueeze<axes = [0]>(s) y = Flatten(u) }"""
    ones = np.ones(4, F32)
    made = model(graph, opset, constants={"g": ones, "o": ones, "m": ones, "v": ones}, w=(4, 3, 1, 1), b=(4,))
    result = quantized(made)
    assert {item.domain: item.version for item in result.opset_import} == {"": 13}
    assert skeleton(result) == "Q D Conv Relu Q D Squeeze Q D Unsqueeze Q D Flatten Q D"
    fed = feeds(made, EVALUATED)
    assert decibels(run(made, fed)[0], run(result, fed)[0]) > 28


def test_newer_opsets_are_kept() -> None:
    made = model("(float[1,3,4,4] x) => (float[N] y) { y = Relu(x) }", opset=21)
    result = quantize_model(made, min_max(made))
    assert result.opset_import[0].version == 21


def test_a_symbolic_batch_is_kept() -> None:
    made = model("(float[N,3,4,4] x) => (float[M] y) { c = Conv(x, w) s = Add(c, k) y = Flatten(s) }",
                 w=(4, 3, 1, 1), k=(4, 1, 1))  # fmt: skip
    result = quantized(made)
    fed = {"x": np.random.default_rng(0).uniform(-1, 1, (5, 3, 4, 4)).astype(F32)}
    assert run(result, fed)[0].shape == (5, 64)
    assert decibels(run(made, fed)[0], run(result, fed)[0]) > 25


def test_metadata_of_the_model_is_kept() -> None:
    made = model("(float[4] x) => (float[N] y) { y = Relu(x) }", opset=12)
    helper.set_model_props(made, {"author": "me"})
    result = quantized(made)
    assert {item.key: item.value for item in result.metadata_props} == {"author": "me"}


def test_external_weights_have_to_be_loaded() -> None:
    made = model("(float[1,2] x) => (float[N] y) { y = Gemm(x, w) }", w=(2, 2))
    tensor = made.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(np.ones((2, 2), F32), "w"))
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    with pytest.raises(Exception, match="lies outside the file"):
        quantize_model(made, {"x": (0, 1), "y": (0, 1)})
