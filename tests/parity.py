"""Which ONNX Runtime results are compared with."""

import onnxruntime
import pytest

current_onnxruntime = pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 32),
    reason=f"results are those of ONNX Runtime 1.32; here is {onnxruntime.__version__}, which rounds a few otherwise",
)
