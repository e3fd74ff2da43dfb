"""What no device can hold: refused at once, because tiling would take as long as the tensors are large."""

from __future__ import annotations

from math import prod

import numpy as np

from furiosa.compiler.gir.program import Gir
from furiosa.compiler.graph import Graph
from furiosa.isa.errors import UnsupportedError
from furiosa.isa.target import Target

_MOST_OF_A_TENSOR = 2**31 - 1  # the strides of an instruction are int32
_HINT = "check the model's shapes, and use a smaller batch size"


def check_tensors(graph: Graph, target: Target) -> Graph:
    """The graph. Raises UnsupportedError when a tensor is larger than the device's DRAM."""
    for op in (*graph.inputs, *graph):
        size = prod(op.type.shape) * np.dtype(op.type.dtype.numpy_name).itemsize
        if size > target.dram_bytes:
            raise UnsupportedError(
                f"tensor `{op.name}` takes {size} bytes, `{target.name}` has {target.dram_bytes} bytes of DRAM",
                where=f"node `{op.node}`" if op.node else f"input `{op.name}`", hint=_HINT,
            )  # fmt: skip
    return graph


def check_program(program: Gir, target: Target) -> Gir:
    """The program. Raises UnsupportedError when what it keeps in DRAM does not fit or cannot be addressed."""
    if program.dram_bytes > target.dram_bytes:
        raise UnsupportedError(
            f"the model needs {program.dram_bytes} bytes of DRAM, `{target.name}` has {target.dram_bytes}", hint=_HINT
        )
    for slot in program.slots:
        if slot.size > _MOST_OF_A_TENSOR:
            raise UnsupportedError(f"tensor `{slot.tensor}` takes {slot.size} bytes on the NPU, at most "
                                   f"{_MOST_OF_A_TENSOR} can be addressed", hint=_HINT)  # fmt: skip
    return program
