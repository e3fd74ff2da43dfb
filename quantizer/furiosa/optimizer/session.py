"""ONNX Runtime as a calculator: a model as it stands, not optimized, on one thread."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto


def session(model: ModelProto) -> Any:
    """An InferenceSession that runs each node as the model has it, silently. Raises what ONNX Runtime raises."""
    import onnxruntime  # 100 ms, and many models need no calculation

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a pool of threads would take longer to start
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
