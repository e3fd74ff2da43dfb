"""Small float models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def conv_model(tail: str = "LogSoftmax", size: int | str = 8, described: str = "") -> onnx.ModelProto:
    """A convolution, Relu, a scaling by a vector of four, and an operator that the NPU does not have."""
    generator = np.random.default_rng(1)
    weights = numpy_helper.from_array(generator.standard_normal((4, 3, 3, 3)).astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", described, pads=[1] * 4),
        helper.make_node("Relu", ["c"], [f"{described}r"], f"{described}relu"),
        helper.make_node(tail, [f"{described}r"], ["y"], "tail"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [weights],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    """The model in a file."""
    onnx.save(model, str(path))
    return path
