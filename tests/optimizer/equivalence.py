"""What must hold of every optimized model, whatever it was before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, helper

from furiosa.optimizer import optimize_model
from furiosa.optimizer.scopes import read_by

Feeds = Mapping[str, NDArray[Any]]
onnxruntime.set_default_logger_severity(4)


def run(model: ModelProto, feeds: Feeds) -> list[NDArray[Any]]:
    """The outputs as ONNX Runtime computes them, node by node as the model stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[NDArray[Any]] = session.run(None, dict(feeds))
    return results


def random_feeds(model: ModelProto, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Values for the inputs of a model with static shapes: standard normal, integers 0 and 1, or booleans."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = [axis.dim_value for axis in kind.shape.dim]
        values = rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 2, shape)
        feeds[value.name] = np.asarray(values).astype(dtype)
    return feeds


def kinds(model: ModelProto) -> list[str]:
    """The operators in order."""
    return [node.op_type for node in model.graph.node]


def assert_equivalent(model: ModelProto, **arguments: Any) -> ModelProto:
    """The optimized model, after everything that is promised of it has been checked."""
    before = model.SerializeToString(deterministic=True)
    optimized = optimize_model(model, **arguments)
    assert model.SerializeToString(deterministic=True) == before
    assert optimize_model(model, **arguments).SerializeToString() == optimized.SerializeToString()
    assert_tidy(optimized, arguments.get("opset_version", 13))
    assert [value.name for value in optimized.graph.output] == [value.name for value in model.graph.output]
    assert kinds(optimize_model(optimized, opset_version=arguments.get("opset_version", 13))) == kinds(optimized)
    for seed in range(2):
        feeds = random_feeds(optimized, seed)
        for old, new in zip(run(model, feeds), run(optimized, feeds)):
            assert old.dtype == new.dtype
            if old.dtype.kind != "f":
                np.testing.assert_array_equal(new, old)
                continue
            largest = float(np.abs(old[np.isfinite(old)]).max(initial=0))
            np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4 * largest)
    return optimized


def assert_tidy(model: ModelProto, opset: int = 13) -> None:
    """Valid, of static types throughout, with nothing in it that is not used."""
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    assert {item.domain: item.version for item in model.opset_import}[""] == opset
    assert [node.name for node in graph.node] == [f"{node.op_type}_{i}" for i, node in enumerate(graph.node)]
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    for name in (name for node in graph.node for name in node.output if name):
        assert name in shapes and all(axis.HasField("dim_value") for axis in shapes[name]), name
    constants = [tensor.name for tensor in graph.initializer]
    assert not Counter(constants) - Counter(set(constants))
    assert not set(constants) & {value.name for value in graph.input}
    results = {value.name for value in graph.output}
    assert all(node.output[0] in results for node in graph.node if node.op_type == "Identity")
    assert "Constant" not in kinds(model)
    assert set(constants) <= results.union(*(read_by(node) for node in graph.node))
