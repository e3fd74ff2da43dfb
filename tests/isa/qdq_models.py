"""Tiny quantized ONNX models, run by ONNX Runtime with its default optimizations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

ELEMENT = {
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.float32): TensorProto.FLOAT,
}


@dataclass
class Model:
    """An ONNX model under construction; every method returns the name of the value it adds."""

    opset: int = 17
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    feeds: dict[str, NDArray[Any]] = field(default_factory=dict)
    outputs: list[ValueInfoProto] = field(default_factory=list)

    def input(self, value: NDArray[Any]) -> str:
        """A graph input that will be fed with `value`."""
        name = f"x{len(self.feeds)}"
        self.feeds[name] = value
        return name

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def quantize(self, x: str, scale: Any, zero: Any, dtype: Any) -> str:
        return self.op("QuantizeLinear", x, self.constant(scale, np.float32), self.constant(zero, dtype))

    def dequantize(self, x: str, scale: Any, zero: Any, dtype: Any, **attributes: Any) -> str:
        scales, zeros = self.constant(scale, np.float32), self.constant(zero, dtype)
        return self.op("DequantizeLinear", x, scales, zeros, **attributes)

    def weight(self, w: NDArray[Any], scale: Any, axis: int = 0) -> str:
        """A dequantized constant with zero point 0; `scale` of rank 1 is per channel along `axis`."""
        attributes = {"axis": axis} if np.ndim(scale) else {}
        return self.dequantize(self.constant(w), scale, np.zeros_like(scale, w.dtype), w.dtype, **attributes)

    def output(self, name: str, dtype: Any = np.float32) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, ELEMENT[np.dtype(dtype)], None))

    def run(self) -> Any:
        """Run it and return the first output."""
        inputs = [helper.make_tensor_value_info(k, ELEMENT[v.dtype], v.shape) for k, v in self.feeds.items()]
        graph = helper.make_graph(self.nodes, "g", inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, self.feeds)[0]


def nchw(x: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def nhwc(x: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))
