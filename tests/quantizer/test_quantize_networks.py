"""Whole networks: random ones of the usual blocks run in ONNX Runtime and, bit for bit the same, on the NPU alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper
from tests.compiler.quantized import on_cpu, run_both
from tests.parity import current_onnxruntime
from tests.quantizer.quantizing import EVALUATED, decibels, feeds, min_max, quantized, run

from furiosa.quantizer.quantize import quantize, quantize_model

SIZE = 8


@dataclass
class Net:
    """A float network under construction; ``x`` is its last tensor, of ``channels`` channels."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    x: str = "x"
    channels: int = 3
    size: int = SIZE

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [f"t{len(self.nodes)}"], **attributes))
        return f"t{len(self.nodes) - 1}"

    def constant(self, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"c{len(self.constants)}"))
        return f"c{len(self.constants) - 1}"

    def normal(self, *shape: int, gain: float = 1.0) -> str:
        return self.constant((self.rng.standard_normal(shape) * gain).astype(np.float32))

    def conv(self, x: str, channels: int, out: int, k: int = 3, **attributes: Any) -> str:
        per_group = channels // attributes.get("group", 1)
        w = self.normal(out, per_group, k, k, gain=(2 / per_group) ** 0.5 / k)
        return self.op("Conv", x, w, self.normal(out, gain=0.1), pads=[k // 2] * 4, **attributes)

    def normalized(self, x: str, channels: int) -> str:
        variance = self.constant(self.rng.uniform(0.5, 2, channels).astype(np.float32))
        statistics = [self.normal(channels), self.normal(channels, gain=0.1), self.normal(channels, gain=0.1), variance]
        return self.op("BatchNormalization", x, *statistics)

    def activated(self, kind: str, x: str) -> str:
        if kind == "Clip":
            return self.op("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))
        if kind == "Silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        return x if kind == "none" else self.op(kind, x)

    def block(self, kind: str, activation: str) -> None:
        getattr(self, f"_{kind}")(activation)

    def _plain(self, activation: str) -> None:
        self.x = self.activated(activation, self.normalized(self.conv(self.x, self.channels, 6), 6))
        self.channels = 6

    def _separable(self, activation: str) -> None:
        y = self.activated(activation, self.conv(self.x, self.channels, self.channels, group=self.channels))
        self.x, self.channels = self.conv(y, self.channels, 5, 1), 5

    def _residual(self, activation: str) -> None:
        y = self.conv(self.activated(activation, self.conv(self.x, self.channels, 4)), 4, self.channels)
        self.x = self.activated(activation, self.op("Add", y, self.x))

    def _preactivated(self, activation: str) -> None:
        y = self.activated("Relu", self.normalized(self.x, self.channels))
        self.x = self.op("Add", self.conv(y, self.channels, self.channels), self.x)

    def _branches(self, activation: str) -> None:
        a = self.activated(activation, self.conv(self.x, self.channels, 3, 1))
        b = self.op("MaxPool", self.x, kernel_shape=[3, 3], pads=[1] * 4)
        self.x, self.channels = self.op("Concat", a, b, self.x, axis=1), 3 + 2 * self.channels

    def _squeezed(self, activation: str) -> None:
        s = self.op("ReduceMean", self.x, axes=[2, 3])
        s = self.conv(self.activated(activation, self.conv(s, self.channels, 2, 1)), 2, self.channels, 1)
        self.x = self.op("Mul", self.x, self.op("Sigmoid", s))

    def _pooled(self, _: str) -> None:
        if self.size > 2:
            self.x = self.op("AveragePool", self.x, kernel_shape=[2, 2], strides=[2, 2])
            self.size //= 2

    def _shuffled(self, _: str) -> None:
        split = self.constant(np.array([1, self.channels, self.size // 2, 2, self.size], np.int64))
        joined = self.constant(np.array([1, self.channels, self.size, self.size], np.int64))
        y = self.op("Transpose", self.op("Reshape", self.x, split), perm=[0, 1, 3, 2, 4])
        self.x = self.op("Reshape", y, joined)

    def model(self) -> ModelProto:
        """With a mean and a classifier at the end."""
        flat = self.op("Flatten", self.op("GlobalAveragePool", self.x))
        w = self.normal(7, self.channels)
        self.op("Gemm", flat, w, self.normal(7), transB=1)
        self.nodes[-1].output[0] = "y"
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, SIZE, SIZE])
        y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 7])
        graph = helper.make_graph(self.nodes, "net", [x], [y], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


BLOCKS = ("plain", "separable", "residual", "preactivated", "branches", "squeezed", "pooled", "shuffled")
ACTIVATIONS = ("Relu", "Clip", "Silu", "HardSwish", "LeakyRelu", "Tanh", "none")


@st.composite
def networks(draw: st.DrawFn) -> ModelProto:
    """A row of two to five blocks."""
    net = Net(np.random.default_rng(draw(st.integers(0, 1000))))
    for kind in draw(st.lists(st.sampled_from(BLOCKS), min_size=2, max_size=5)):
        net.block(kind, draw(st.sampled_from(ACTIVATIONS)))
    return net.model()


@current_onnxruntime
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_random_networks(made: ModelProto) -> None:
    result = quantized(made)
    want, have, report = run_both(result.SerializeToString())
    assert on_cpu(report) == {}
    assert report["npu_clusters"] == 1
    np.testing.assert_array_equal(have[0], want[0])
    fed = feeds(made, EVALUATED)
    assert decibels(run(made, fed)[0], run(result, fed)[0]) > 15


def network() -> ModelProto:
    net = Net(np.random.default_rng(3))
    for kind, activation in zip(BLOCKS, ACTIVATIONS):
        net.block(kind, activation)
    return net.model()


def test_the_order_of_ranges_does_not_matter() -> None:
    made = network()
    ranges = min_max(made)
    backwards = {name: list(ranges[name]) for name in reversed(ranges)}
    assert quantize(made, ranges) == quantize(made.SerializeToString(), backwards)


def test_the_float_model_is_left_alone() -> None:
    made = network()
    before = made.SerializeToString(deterministic=True)
    quantize(made, min_max(made))
    assert made.SerializeToString(deterministic=True) == before


def test_tensors_keep_their_names_on_the_real_side() -> None:
    made = network()
    result = quantized(made)
    kept = {name for node in result.graph.node for name in node.output}
    folded = {node.input[0] for node in made.graph.node if node.op_type == "BatchNormalization"} - {"x"}
    assert {name for node in made.graph.node for name in node.output} - folded <= kept
    fed = feeds(made, EVALUATED)
    for name in ("t2", "t10"):
        exact, found = (run(_with_result(each, name), fed)[-1] for each in (made, result))
        assert decibels(exact, found) > 20


def _with_result(made: ModelProto, name: str) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(made)
    copy.graph.output.append(onnx.ValueInfoProto(name=name))
    return copy


def test_excluded_nodes_stay_float() -> None:
    made = network()
    convolution = next(node.name for node in quantized(made).graph.node if node.op_type == "Conv")
    result = quantize_model(made, min_max(made), exclude=[convolution, "Gemm"])
    makers = {name: node.op_type for node in result.graph.node for name in node.output}
    floats = [node for node in result.graph.node if node.name == convolution or node.op_type == "Gemm"]
    weights = {tensor.name for tensor in result.graph.initializer}
    assert floats[0].input[1] in weights
    assert makers[floats[1].input[0]] == "DequantizeLinear"
    assert floats[1].output[0] == "y"
    report = run_both(result.SerializeToString())[2]
    assert {row["op"] for row in report["placement"] if row["reason_code"] == "not_quantized"} >= {"Conv", "Gemm"}
