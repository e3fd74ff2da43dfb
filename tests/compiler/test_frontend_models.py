"""What models may contain beside quantized operators: it runs on ONNX Runtime, bit for bit; and batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tests.compiler.op_case import conv, reshape
from tests.compiler.quantized import Builder, on_cpu, quiet, random_inputs, same
from tests.compiler.test_frontend_errors import model

from furiosa.compiler import compile_model
from furiosa.runtime.sync import create_runner

LOOP = """g (float[4] x) => (float[4] y) <int64 n = {3}, bool c = {1}, float[1] w = {2}> {
  y = Loop(n, c, x) <body = b (int64 i, bool ci, float[4] a) => (bool co, float[4] o) {
    co = Identity(ci) o = Add(a, w) }> }"""
IF = """g (float[4] x) => (float[4] y) <float[1] w = {2}> {
  s = ReduceSum <keepdims = 0> (x) zero = Constant <value_float = 0.0> () b = Greater(s, zero)
  y = If(b) <then_branch = t () => (float[4] p) { p = Mul(x, w) },
             else_branch = e () => (float[4] q) { q = Neg(x) }> }"""
FLOAT = {
    "two outputs": "g (float[4,6] x) => (float[4,3] y, float[4,3] z) { y, z = Split <axis = 1> (x) }",
    "outputs of two types": "g (float[4,6] x) => (float[4,3] y, int64[4,3] z) <int64[1] k = {3}> { y, z = TopK(x, k) }",
    "the second output": "g (float[4,6] x) => (int64[4,3] z) <int64[1] k = {3}> { y, z = TopK(x, k) }",
    "if": IF,
    "loop": LOOP,
    "int64": "g (int64[4,6] x) => (int64[4,6] y) { y = Add(x, x) }",
    "bool": "g (float[4,6] x) => (int64[4,6] y) <float z = {0}> { b = Greater(x, z) y = Cast <to = 7> (b) }",
    "a constant result": """g (float[4] x) => (float[4] y, float[2] c) {
        y = Relu(x) c = Constant <value_floats = [1.0,2.0]> () }""",
    "an initializer as a result": "g (float[2] x) => (float[2] y, float[2] c) <float[2] c = {1,2}> { y = Add(x, c) }",
    "one result twice": "g (float[4] x) => (float[4] y, float[4] z) { y = Relu(x) z = Identity(y) }",
    "an input as a result": "g (float[2] x) => (float[2] x) { }",
    "an unused input": "g (float[2] x, float[3] u) => (float[2] y) { y = Relu(x) }",
    "identity": "g (float[2] x) => (float[2] y) { y = Identity(x) }",
    "a scalar": "g (float x) => (float y) { y = Sin(x) }",
    "a computed shape": """g (float[2,3,4] x) => (float[2,12] y) {
        s = Shape(x) i = Constant <value_ints = [0]> () n = Gather(s, i) r = Constant <value_ints = [-1]> ()
        t = Concat <axis = 0> (n, r) u = Relu(x) y = Reshape(u, t) }""",
    "half precision": "g (float16[4,6] x) => (float16[4,6] y) { y = Relu(x) }",
    "quantization with computed scale": """g (float[4,6] x, float s) => (float[4,6] y) {
        a = Abs(s) q = QuantizeLinear(x, a) y = DequantizeLinear(q, a) }""",
    "quantization per channel": """g (float[4,2] x) => (float[4,2] y) <float[2] s = {0.1,0.2}, uint8[2] z = {1,2}> {
        q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }""",
    "no elements": """g (float[2,4] x) => (float[2,0] y) <int64[1] b = {2}, int64[1] e = {2}, int64[1] a = {1}> {
        z = Relu(x) y = Slice(z, b, e, a) }""",
}


@pytest.mark.parametrize("name", FLOAT)
def test_float_model(name: str) -> None:
    report = same(model(FLOAT[name]).SerializeToString())
    assert report["npu_clusters"] == 0
    assert report["cpu_clusters"] <= 1


def test_initializers_among_the_inputs() -> None:
    text = """g (float[1,2,4,4] x, float[3,2,1,1] w) => (float[1,3,4,4] y)
        <float[3,2,1,1] w = {1,2,3,4,5,6}> { y = Conv(x, w) }"""
    same(model(text, '"": 8', 3).SerializeToString())


def test_strings() -> None:
    text = "g (string[3] x) => (string[2] y) <int64[2] i = {2,0}> { z = Identity(x) y = Gather(z, i) }"
    compiled = compile_model(model(text).SerializeToString(), target="warboy")
    with create_runner(compiled.enf, device="npu:0:0") as runner:
        assert list(runner.run([np.array(["a", "bb", "c"], object)])[0]) == ["c", "a"]


def test_duplicate_node_names_are_told_apart() -> None:
    doubled = model("g (float[1,4] x) => (float[1,4] y) { z = Sin(x) y = Cos(z) }")
    for node in doubled.graph.node:
        node.name = "same"
    compiled = compile_model(doubled.SerializeToString(), target="warboy")
    assert list(on_cpu(compiled.report)) == ["same", "Cos_1"]
    x = np.ones((1, 4), np.float32)
    with create_runner(compiled.enf, device="npu:0:0") as runner:
        np.testing.assert_allclose(runner.run([x])[0], np.cos(np.sin(x)), rtol=1e-6)


def test_the_standard_has_two_names() -> None:
    same(model("g (float[1,4] x) => (float[1,4] y) { y = ai.onnx.Relu(x) }", '"ai.onnx": 13').SerializeToString())


def test_functions_of_the_model() -> None:
    text = """<ir_version: 9, opset_import: ["": 13, "mine": 1]>
        g (float[1,4] x) => (float[1,4] y) { y = mine.twice(x) }
        <domain: "mine", opset_import: ["": 13]> twice (a) => (b) { b = Add(a, a) }"""
    same(onnx.parser.parse_model(text).SerializeToString())


def test_operators_of_onnx_runtime() -> None:
    b = Builder(com_microsoft=1)
    x = b.op("BiasGelu", b.qinput(2, 3, 4, 4), b.const(b.normal(4)), domain="com.microsoft")
    report = same(b.model(b.q(b.op("MaxPool", b.q(x), kernel_shape=[2, 2]))))
    assert list(on_cpu(report).values()) == ["no_lowering"]
    assert report["npu_clusters"] == 1


@pytest.mark.parametrize("kind", ["Gelu", "FastGelu", "QuickGelu"])
def test_functions_of_onnx_runtime(kind: str) -> None:
    b = Builder(com_microsoft=1)
    x = b.op(kind, b.qinput(2, 3, 4, 4), domain="com.microsoft")
    assert on_cpu(same(b.model(b.q(x)), 0.1)) == {}


def _head(b: Builder, target: list[int]) -> str:
    x = b.q(reshape(b, b.q(conv(b, b.qinput(1, 3, 6, 6), (4, 3, 3, 3))), *target))
    return b.q(b.op("Gemm", x, b.weight(b.normal(64, 5))))


def _squeezed(b: Builder) -> str:
    x = b.q(b.op("Squeeze", b.q(b.op("GlobalAveragePool", b.qinput(1, 3, 6, 6))), b.const([2, 3], np.int64)))
    return b.q(b.op("Softmax", x, axis=-1))


def _shuffled(b: Builder) -> str:
    x = b.q(b.op("Transpose", b.q(reshape(b, b.qinput(1, 6, 4, 4), 1, 2, 3, 4, 4)), perm=[0, 2, 1, 3, 4]))
    return b.q(reshape(b, x, 1, 6, 4, 4))


BATCHES: dict[str, Callable[[Builder], str]] = {
    "reshape to 1, 64": lambda b: _head(b, [1, 64]),
    "reshape to -1, 64": lambda b: _head(b, [-1, 64]),
    "reshape to 0, -1": lambda b: _head(b, [0, -1]),
    "flatten softmax": lambda b: b.q(b.op("Softmax", b.q(b.op("Flatten", b.qinput(1, 3, 6, 6))), axis=1)),
    "squeeze softmax": _squeezed,
    "softmax over channels": lambda b: b.q(b.op("Softmax", b.qinput(1, 3, 6, 6), axis=1)),
    "channel shuffle": _shuffled,
    "reshaped weights": lambda b: b.q(b.op("Gemm", b.qinput(1, 12), reshape(b, b.weight(b.normal(3, 4, 5)), 12, 5))),
    "float reshape": lambda b: b.op("Relu", reshape(b, b.input(1, 3, 4, 4), 1, 48)),
    "resize": lambda b: b.op("Resize", b.input(1, 3, 4, 4), "", "", b.const([1, 3, 8, 8], np.int64)),
    "quantized constant": lambda b: b.q(b.op("Add", b.qinput(1, 3, 4), b.weight(b.normal(1, 3, 4), dtype="uint8"))),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batch(name: str) -> None:
    """A batch gives what ONNX Runtime gives for its parts, one after the other."""
    b = Builder()
    data = b.model(BATCHES[name](b))
    inputs = list(onnx.load_from_string(data).graph.input)
    session = ort.InferenceSession(data, quiet(), providers=["CPUExecutionProvider"])
    for batch in (2, 4):
        feeds = [random_inputs(inputs, np.random.default_rng(i)) for i in range(batch)]
        want = [np.concatenate(parts) for parts in zip(*(session.run(None, feed) for feed in feeds))]
        compiled = compile_model(data, target="warboy", batch_size=batch)
        with create_runner(compiled.enf, device="npu:0:0") as runner:
            have = runner.run([np.concatenate([feed[value.name] for feed in feeds]) for value in inputs])
        for ours, theirs in zip(have, want):
            np.testing.assert_array_equal(ours, theirs)
