"""The operators that the NPU accelerates, one row each; everything else runs on the CPU."""

from furiosa.compiler.ops import conv, elementwise, functions, movement, normalization, pool, resize
from furiosa.compiler.ops.table import OpDef

OPS: dict[str, OpDef] = {
    row.name: row for room in (conv, elementwise, functions, movement, normalization, pool, resize) for row in room.ROWS
}
BY_ONNX: dict[str, OpDef] = {onnx: row for row in OPS.values() for onnx in row.onnx}

__all__ = ["BY_ONNX", "OPS", "OpDef"]
