"""Quantized models made by hand, node by node, and how they are compared with ONNX Runtime: shared by tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from furiosa.compiler import compile_model
from furiosa.runtime.sync import create_runner

Array = NDArray[Any]
_ELEMENT = {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8, "float32": onnx.TensorProto.FLOAT,
            "int64": onnx.TensorProto.INT64}  # fmt: skip
_IR_VERSION = 10


class Builder:
    """A model in QDQ form. Tensors are their names; ``q`` quantizes and dequantizes with a scale that suits them.

    Scales are found by running the float model once, so that results use their whole range.
    """

    def __init__(self, dtype: str = "uint8", opset: int = 13, seed: int = 0, **domains: int) -> None:
        self.dtype, self.opset, self.domains = dtype, opset, domains
        if opset < 10:  # QuantizeLinear is younger; ONNX Runtime has it for older models
            self.domains["com_microsoft"] = 1
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.values: dict[str, Array] = {}
        self.points: dict[str, tuple[float, int] | None] = {}

    def _name(self, kind: str) -> str:
        return f"{kind.lower()}{len(self.nodes) + len(self.values) + len(self.inputs)}"

    def input(self, *shape: int, dtype: str = "float32") -> str:
        """A float input of the model."""
        name = self._name("x")
        self.inputs.append(helper.make_tensor_value_info(name, _ELEMENT[dtype], shape))
        return name

    def qinput(self, *shape: int) -> str:
        """A float input, quantized."""
        return self.q(self.input(*shape))

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        """An initializer."""
        name = self._name("c")
        self.values[name] = np.asarray(value, dtype)
        return name

    def normal(self, *shape: int) -> Array:
        """Random float32 values."""
        return self.rng.standard_normal(shape).astype(np.float32)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """A node; the name of its (first) output."""
        name = self._name(kind)
        names = [name, *(f"{name}:{i}" for i in range(1, outputs))]
        if self.opset < 10 and kind in ("QuantizeLinear", "DequantizeLinear"):
            attributes["domain"] = "com.microsoft"
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"node_{name}", **attributes))
        return name

    def quantize(self, x: str, scale: float | None = None, zero: int = 0) -> str:
        """QuantizeLinear of a float tensor; with a scale that suits it when none is given."""
        name = self._name("q")
        self.points[name] = None if scale is None else (scale, zero)
        inputs = [x, f"{name}_s", f"{name}_z"]
        domain = {"domain": "com.microsoft"} if self.opset < 10 else {}
        self.nodes.append(helper.make_node("QuantizeLinear", inputs, [name], name=f"node_{name}", **domain))
        return name

    def dequantize(self, q: str) -> str:
        """DequantizeLinear of what ``quantize`` gave, with the same parameters."""
        return self.op("DequantizeLinear", q, f"{q}_s", f"{q}_z")

    def q(self, x: str, scale: float | None = None, zero: int = 0) -> str:
        """The tensor quantized and dequantized."""
        return self.dequantize(self.quantize(x, scale, zero))

    def weight(self, value: Array, axis: int | None = None, dtype: str = "int8", zero: int = 0) -> str:
        """A dequantized constant: per tensor, or per index of ``axis``.

        Of 7 bits: without VNNI, ONNX Runtime's own sums of 8-bit products saturate.
        """
        info = np.iinfo(dtype)
        over = None if axis is None else tuple(i for i in range(value.ndim) if i != axis)
        scale = np.asarray(np.abs(value).max(axis=over, keepdims=True) / min(info.max - zero, 63), np.float32)
        stored = np.clip(np.rint(value / scale) + zero, info.min, info.max).astype(dtype)
        shape = () if axis is None else (-1,)
        zeros = np.full_like(scale, zero).astype(dtype)
        names = (self.const(stored, dtype), self.const(scale.reshape(shape)), self.const(zeros.reshape(shape), dtype))
        return self.op("DequantizeLinear", *names, **({} if axis is None else {"axis": axis}))

    def bias(self, value: Array, x: str, weight: str) -> str:
        """A dequantized int32 constant at the scale of a product; its scale is filled in at the end."""
        name = self.const(value)
        out = self._name("bias")
        node = helper.make_node("DequantizeLinear", [name, f"{out}_s"], [out], name=f"node_{out}")
        node.doc_string = f"{x} {weight}"
        self.nodes.append(node)
        return out

    def model(self, *outputs: str, types: Sequence[onnx.ValueInfoProto] = ()) -> bytes:
        """The file of the model with these outputs; ``types`` where ONNX Runtime cannot tell."""
        self._calibrate()
        nodes, values = list(self.nodes), dict(self.values)
        for name, point in self.points.items():
            assert point is not None
            values[f"{name}_s"] = np.array(point[0], np.float32)
            values[f"{name}_z"] = np.array(point[1], self.dtype)
        by_output = {node.output[0]: node for node in nodes}
        for node in nodes:
            if node.doc_string:
                x, weight = node.doc_string.split()
                scale = values[by_output[x].input[1]] * values[by_output[weight].input[1]]
                values[node.input[1]] = np.atleast_1d(scale) if scale.ndim else scale
                real = values[node.input[0]]
                values[node.input[0]] = np.rint(real / scale.astype(np.float64)).astype(np.int32)
                if scale.ndim:
                    node.attribute.append(helper.make_attribute("axis", 0))
                node.ClearField("doc_string")
        return _file(nodes, self.inputs, values, outputs, self.opset, self.domains, types)

    def _calibrate(self) -> None:
        """Scales for the points that have none, from one run of the float model."""
        missing = [name for name, point in self.points.items() if point is None]
        if not missing:
            return
        nodes = []
        for node in self.nodes:
            float_node = onnx.NodeProto()
            float_node.CopyFrom(node)
            if node.doc_string or node.output[0] in self.points or (node.input[:1] and node.input[0] in self.points):
                float_node.op_type, float_node.domain = "Identity", ""
                del float_node.input[1:]
                float_node.ClearField("attribute")
            nodes.append(float_node)
        model = _file(nodes, self.inputs, self.values, missing, self.opset, self.domains)
        session = ort.InferenceSession(model, quiet())
        feeds = random_inputs(self.inputs, self.rng)
        info = np.iinfo(self.dtype)
        for name, value in zip(missing, session.run(missing, feeds)):
            low, high = min(0.0, float(value.min())), max(0.0, float(value.max()), 1e-3)
            scale = np.float32((high - low) / 255)
            self.points[name] = float(scale), int(np.clip(np.rint(info.min - low / scale), info.min, info.max))


def _file(
    nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], values: dict[str, Array],
    outputs: Sequence[str], opset: int, domains: dict[str, int], types: Sequence[onnx.ValueInfoProto] = (),
) -> bytes:  # fmt: skip
    results = types or [onnx.ValueInfoProto(name=name) for name in outputs]
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "g", inputs, results, tensors)
    versions = {"": opset} | {domain.replace("_", "."): version for domain, version in domains.items()}
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes((model if types else typed(model)).SerializeToString())


def typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the types of its outputs, as ONNX Runtime finds them."""
    options = quiet()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    kinds = {"tensor(float)": 1, "tensor(uint8)": 2, "tensor(int8)": 3, "tensor(int64)": 7, "tensor(int32)": 6}
    for value, found in zip(model.graph.output, session.get_outputs()):
        value.CopyFrom(helper.make_tensor_value_info(value.name, kinds[found.type], found.shape))
    return model


def random_inputs(inputs: list[onnx.ValueInfoProto], rng: np.random.Generator) -> dict[str, Array]:
    """Values for the inputs of a model: normal floats, and integers over the whole range."""
    feeds = {}
    for value in inputs:
        tensor = value.type.tensor_type
        shape = [d.dim_value for d in tensor.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if np.issubdtype(dtype, np.floating):
            feeds[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            info = np.iinfo(dtype)
            feeds[value.name] = rng.integers(info.min, info.max + 1, shape).astype(dtype)
    return feeds


def run_both(model: bytes, seed: int = 1) -> tuple[list[Array], list[Array], dict[str, Any]]:
    """The outputs of ONNX Runtime and of the simulated device on random inputs, and the compiler's report."""
    graph = onnx.load_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    feeds = random_inputs(inputs, np.random.default_rng(seed))
    want = ort.InferenceSession(model, quiet(), providers=["CPUExecutionProvider"]).run(None, feeds)
    compiled = compile_model(model, target="warboy")
    with create_runner(compiled.enf, device="npu:0:0") as runner:
        have = runner.run([feeds[value.name] for value in inputs])
    return want, list(have), compiled.report


def same(model: bytes, step: float = 0.0, seed: int = 1) -> dict[str, Any]:
    """Check that the device gives what ONNX Runtime gives, up to ``step``; the compiler's report."""
    want, have, report = run_both(model, seed)
    assert len(want) == len(have)
    for ours, theirs in zip(have, want):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if step:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=step)
        else:
            np.testing.assert_array_equal(ours, theirs)
    return report


def quiet() -> ort.SessionOptions:
    """Options of a session that does not warn about the models of tests."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return options


def on_cpu(report: dict[str, Any]) -> dict[str, str]:
    """The operators that a report places on the CPU, layout at the borders apart, with the reason's code."""
    rows = [row for row in report["placement"] if row["device"] == "cpu" and row["reason_code"] != "boundary_layout"]
    return {row["node"]: row["reason_code"] for row in rows}
