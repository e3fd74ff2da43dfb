"""LiteRT's interpreter: what it computes by default, with XNNPACK where that takes an operator."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class LiteRT:
    """A model opened once."""

    def __init__(self, data: bytes) -> None:
        self._interpreter = Interpreter(model_content=data, num_threads=1)
        self._interpreter.allocate_tensors()

    def random(self, rng: np.random.Generator) -> list[Any]:
        """Inputs: all integers of one byte, few others, real numbers around 0."""
        return [_random(detail, rng) for detail in self._interpreter.get_input_details()]

    def scales(self) -> list[float]:
        """The scales of the tensors that have one."""
        details = self._interpreter.get_tensor_details()
        return [float(detail["quantization"][0]) for detail in details if detail["quantization"][0]]

    def run(self, inputs: list[Any]) -> list[Any]:
        """The results."""
        for detail, value in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(d["index"]) for d in self._interpreter.get_output_details()]


def _random(detail: dict[str, Any], rng: np.random.Generator) -> Any:
    shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return rng.normal(0, 2, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.itemsize == 1:
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max + 1, shape, dtype)
    return rng.integers(0, 3, shape).astype(dtype) if dtype.itemsize > 2 else rng.integers(-999, 999, shape, dtype)
