"""The compiler: from ONNX models to programs of the NPU.

>>> from furiosa.compiler import compile_model
>>> compiled = compile_model("model.onnx", target="warboy")      # doctest: +SKIP
>>> compiled.report["npu_latency_us"]                            # doctest: +SKIP
"""

from furiosa.compiler.compilation import Compiled, compile_model

__all__ = ["Compiled", "compile_model"]
