"""Whole models: control flow, other domains, functions, odd inputs and outputs, long chains."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser
from tests.optimizer.equivalence import assert_equivalent, kinds, random_feeds, run

import furiosa.optimizer.frontend.onnx as frontend
from furiosa.optimizer import optimize_model


def model_of(text: str, *domains: str) -> ModelProto:
    imports = ", ".join(['"": 13', *(f'"{domain}": 1' for domain in domains)])
    return parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]> {text}")


def test_the_other_name() -> None:
    assert frontend.optimize_model is optimize_model
    assert (frontend.__OPSET_VERSION__, frontend.__DOMAIN__) == (13, "")


INNER = "If(c) <then_branch = u() => (float[2] r) { r = Add(b, a) }, else_branch = v() => (float[2] w) { w = Neg(b) }>"
THEN, ELSE = "t() => (float[2] p) { p = Mul(b, s) }", f"e() => (float[2] q) {{ q = {INNER} }}"
BRANCHES = f"y = If(c) <then_branch = {THEN}, else_branch = {ELSE}>"
BODY = "l(int64 i, bool k2, float[2] v) => (bool k3, float[2] z) { k3 = Identity(k2) u = Mul(b, s) z = Add(u, v) }"
CONTROL_FLOW = [
    (f"g(float[2] x, bool c) => (float[2] y) <float s = {{2}}> {{ a = Relu(x) b = Identity(a) {BRANCHES} }}",
     "Relu If"),
    (f"g(float[2] x) => (float[2] y) <float s = {{2}}, bool c = {{0}}> {{ a = Relu(x) b = Exp(a) {BRANCHES} }}",
     "Relu Exp Neg"),
    (f"g(float[2] x) => (float[2] y) <float s = {{2}}> {{ n = Size(x) one = Constant<value_int=1>() a = Identity(x) "
     f"c = Greater(n, one) b = Exp(a) {BRANCHES} }}", "Exp Mul"),
    ("g(float[2] x) => (float[2] y) <int64 n = {3}, bool k = {1}, float s = {2}> { a = Relu(x) b = Dropout(a) "
     f"y = Loop(n, k, x) <body = {BODY}> }}", "Relu Loop"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "left"), CONTROL_FLOW)
def test_control_flow(text: str, left: str) -> None:
    assert kinds(assert_equivalent(model_of(text))) == left.split()


def test_a_branch_with_a_name_that_comes_later() -> None:
    """ONNX allows the `y` inside, since there is none outside at that place; ONNX Runtime does not."""
    model = model_of("g(float[2] x, bool c) => (float[2] y, float[2] z) { a = Relu(x) z = If(c) <"
                     "then_branch = t() => (float[2] p) { y = Neg(a) p = Exp(y) }, "
                     "else_branch = e() => (float[2] q) { q = Abs(a) }> y = Identity(a) }")  # fmt: skip
    optimized = optimize_model(model)
    onnx.checker.check_model(optimized, full_check=True)
    assert kinds(optimized) == ["Relu", "If", "Identity"]


def test_inlined_branches_do_not_mix_their_names() -> None:
    bodies = (
        "then_branch = t() => (float[2] r) { q = Exp(x) r = Neg(q) }, else_branch = e() => (float[2] s) { s = Abs(x) }"
    )
    nodes = f"a = If(k) <{bodies}> b = If(k) <{bodies}> y = Add(a, b)"
    model = model_of(f"g(float[2] x) => (float[2] y) <bool k = {{1}}> {{ {nodes} }}")
    assert kinds(assert_equivalent(model)) == ["Exp", "Neg", "Exp", "Neg", "Add"]


def test_operators_of_onnx_runtime_keep_their_place() -> None:
    model = model_of(
        "g(float[N,4] x) => (float[] y) { a = Identity(x) b = com.microsoft.Gelu(a) s = Shape(b) c = Reshape(b, s) "
        "y = Relu(c) }",
        "com.microsoft",
    )
    assert kinds(assert_equivalent(model)) == ["Gelu", "Relu"]


def test_unknown_operators_stay() -> None:
    model = model_of(
        "g(float[N,4] x) => (float[N,4] y) <float[N,4] b> { a = Identity(x) b = mine.Twist<k=3>(a) s = Shape(b) "
        "c = Reshape(b, s) y = Relu(c) }",
        "mine",
    )
    optimized = optimize_model(model)
    onnx.checker.check_model(optimized, full_check=True)
    assert kinds(optimized) == ["Twist", "Relu"]
    assert list(optimized.graph.node[0].attribute) == list(model.graph.node[1].attribute)
    assert {item.domain for item in optimized.opset_import} == {"", "mine"}


def test_the_standard_has_two_names() -> None:
    model = model_of("g(float[2] x) => (float[2] y) { a = Identity(x) y = Relu(a) }")
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    assert kinds(assert_equivalent(model)) == ["Relu"]


def test_functions_are_inlined() -> None:
    graph = "g(float[2] x) => (float[2] y) { a = mine.f(x) y = mine.f(a) }"
    function = "f(v) => (w) { c = Constant<value_float=2.0>() d = Mul(v, c) w = Relu(d) }"
    model = model_of(f'{graph} <domain: "mine", opset_import: ["": 13]> {function}', "mine")
    assert kinds(assert_equivalent(model)) == ["Mul", "Relu", "Mul", "Relu"]


OUTPUTS = [
    ("g(float[2] x) => (float[2] x) { }", ""),
    ("g(float[2] x) => (float[2] y) { y = Identity(x) }", "Identity"),
    ("g(float[2] x) => (float[2] x, float[2] y) { y = Relu(x) }", "Relu"),
    ("g(float[2] x) => (float[2] y, float[2] z) { a = Relu(x) y = Identity(a) z = Identity(a) }", "Relu Identity"),
    ("g(float[2] x) => (float[2] y, float[2] a) { a = Relu(x) y = Identity(a) }", "Relu Identity"),
    ("g(float[2] x) => (float[2] y, float[2] z) { a = Relu(x) z = Exp(a) y = Identity(a) }", "Relu Exp"),
    ("g(float[2] x) => (float[2] y, float k) <float k = {2}> { y = Relu(x) }", "Relu"),
    ("g(float[2] x) => (float[2] y, float z) <float k = {2}> { y = Relu(x) a = Exp(k) z = Identity(a) }", "Relu"),
    ("g(float[2] x, float[3] unread) => (float[2] y) { y = Relu(x) }", "Relu"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "left"), OUTPUTS)
def test_inputs_and_outputs_stay(text: str, left: str) -> None:
    model = model_of(text)
    optimized = assert_equivalent(model)
    assert kinds(optimized) == left.split()
    assert list(optimized.graph.input) == list(model.graph.input)


def convolutions(dtype: type = np.float32, as_nodes: bool = False, as_inputs: bool = False) -> ModelProto:
    """Two convolutions of the same weights, of which one has a batch normalization."""
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((16, 16, 3, 3)) / 12, **{name: rng.uniform(0.5, 2, 16) for name in "gbmv"}}
    tensors = [numpy_helper.from_array(values.astype(dtype), name) for name, values in arrays.items()]
    element = tensors[0].data_type
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "g", "b", "m", "v"], ["n"]),
        helper.make_node("Conv", ["n", "w"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", element, [1, 16, 5, 5])]
    if as_nodes:
        nodes = [helper.make_node("Constant", [], [each.name], value=each) for each in tensors] + nodes
    if as_inputs:
        inputs += [helper.make_tensor_value_info(each.name, element, each.dims) for each in tensors]
    outputs = [helper.make_tensor_value_info("y", element, [1, 16, 3, 3])]
    graph = helper.make_graph(nodes, "convolutions", inputs, outputs, [] if as_nodes else tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=3 if as_inputs else 8)


@pytest.mark.parametrize("form", [{}, {"as_nodes": True}, {"as_inputs": True}])
def test_shared_weights(form: dict[str, bool]) -> None:
    optimized = assert_equivalent(convolutions(**form))
    assert kinds(optimized) == ["Conv", "Conv"]
    assert [value.name for value in optimized.graph.input] == ["x"]
    assert sorted(list(tensor.dims) for tensor in optimized.graph.initializer) == [[16], [16, 16, 3, 3], [16, 16, 3, 3]]


def test_half_precision() -> None:
    model = convolutions(np.float16)
    optimized = optimize_model(model)
    assert kinds(optimized) == ["Conv", "Conv"]
    feeds = random_feeds(model)
    np.testing.assert_allclose(run(optimized, feeds)[0], run(model, feeds)[0], rtol=0.02, atol=0.02)


def test_what_cannot_be_computed_here_stays() -> None:
    model = model_of("g(float[2] x) => (float[2] y) { k = mine.Secret() c = Constant<value_float=2.0>() e = Exp(c) "
                     "f = Mul(k, e) l = Log(e) z = Mul(f, l) y = Mul(x, z) }", "mine")  # fmt: skip
    assert kinds(optimize_model(model)) == ["Secret", "Mul", "Mul", "Mul"]


def test_shapes_that_depend_on_values_stay_unknown() -> None:
    model = model_of("g(float[4] x) => (float[N] y) { m = Constant<value_ints=[-1]>() a = NonZero(x) b = Flatten(a) "
                     "c = Cast<to=1>(b) y = Reshape(c, m) }")  # fmt: skip
    optimized = optimize_model(model)
    onnx.checker.check_model(optimized, full_check=True)
    assert kinds(optimized) == ["NonZero", "Flatten", "Cast", "Reshape"]


def test_what_belongs_to_the_model_stays() -> None:
    model = convolutions()
    model.producer_name, model.doc_string, model.graph.name = "maker", "text", "name"
    helper.set_model_props(model, {"author": "somebody"})
    optimized = optimize_model(model)
    assert (optimized.producer_name, optimized.doc_string, optimized.graph.name) == ("maker", "text", "name")
    assert optimized.metadata_props == model.metadata_props


def chain(nodes: list[NodeProto], result: str) -> ModelProto:
    weights = np.eye(2, dtype=np.float32)[:, :, None, None]
    constants = {"w": weights, "one": np.ones(2, np.float32), "ones": np.ones(4, np.int64)}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 2, 1]) for name in ("t0", result)]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "chain", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


LENGTH = 10_000
LINKS = [
    ([("Relu", "x"), ("Add", "x", "w")], LENGTH),
    ([("Identity", "x")], 1),
    ([("Conv", "x", "w"), ("BatchNormalization", "x", "one", "one", "one", "one")], LENGTH // 2),
    ([("Shape", "x"), ("Div", "n", "ones"), ("Reshape", "o", "n"), ("Relu", "x")], LENGTH // 4),
]


@pytest.mark.parametrize(("links", "left"), LINKS)
def test_long_chains(links: list[tuple[str, ...]], left: int) -> None:
    """``x`` is the last image, ``n`` the newest tensor, ``o`` the image that the newest numbers come from."""
    nodes: list[NodeProto] = []
    image = newest = "t0"
    for index in range(LENGTH):
        kind, *inputs = links[index % len(links)]
        names = {"x": image, "o": image, "n": newest}
        newest = f"t{index + 1}"
        nodes.append(helper.make_node(kind, [names.get(name, name) for name in inputs], [newest]))
        image = image if kind in ("Shape", "Div") else newest
    optimized = optimize_model(chain(nodes, image))
    assert len(optimized.graph.node) == left
