"""ONNX models: `optimize_model` under the name that SDK programs import."""

from furiosa.optimizer.optimize import OPSET, optimize_model

__all__ = ["__DOMAIN__", "__OPSET_VERSION__", "optimize_model"]

__DOMAIN__ = ""
__OPSET_VERSION__ = OPSET
