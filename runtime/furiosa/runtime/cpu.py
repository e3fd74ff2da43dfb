"""CPU clusters of a compiled model: ONNX subgraphs that run in ONNX Runtime, imported only when there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from furiosa.isa import env
from furiosa.isa.errors import EnfError, UnsupportedError

Array = NDArray[Any]


class CpuModel:
    """One CPU cluster, ready to run; may be run by several threads at once."""

    def __init__(self, data: bytes, threads: int | None = None) -> None:
        """One run uses ``threads`` threads (default: FURIOSA_SIM_THREADS).

        Raises UnsupportedError when ONNX Runtime is not installed, EnfError when it refuses the subgraph.
        """
        try:
            import onnxruntime
        except ImportError:
            raise UnsupportedError(
                "the model has parts that run on the CPU, and ONNX Runtime is not installed",
                hint="install it with `pip install onnxruntime`",
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or env.THREADS.get()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise EnfError(f"ONNX Runtime refuses a CPU cluster: {error}") from error

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs. Raises EnfError when ONNX Runtime fails on these values."""
        try:
            results: list[Array] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:
            raise EnfError(f"a CPU cluster failed in ONNX Runtime: {error}") from error
        return results
