"""Asking ONNX Runtime about a model: as it stands, not optimized, and without its large weights, which take time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onnx import GraphProto, ModelProto, TensorProto, helper

from furiosa.compiler.frontend.node import ELEMENT

LIGHT_BYTES = 1024  # up to which a constant is worth keeping: shapes, axes, scales


def plain_session(data: bytes) -> Any:
    """An InferenceSession that runs each node as the model has it, silently. Raises what ONNX Runtime raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def refusal(model: ModelProto) -> str | None:
    """What ONNX Runtime says against the model, None when it opens it."""
    try:
        plain_session(model.SerializeToString())
    except Exception as error:  # its exceptions have no common base
        return " ".join(str(error).split()).rstrip(".")
    return None


def add_light(graph: GraphProto, tensors: Iterable[TensorProto]) -> None:
    """Give a graph these constants: small ones as they are, large ones of a known type as inputs."""
    known = set(ELEMENT.values())
    for tensor in tensors:
        if len(tensor.raw_data) > LIGHT_BYTES and tensor.data_type in known:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            graph.initializer.append(tensor)
