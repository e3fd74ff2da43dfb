"""The operators that the NPU accelerates, one row each; everything else runs on the CPU."""

from furiosa.compiler.graph import Op
from furiosa.compiler.ops import (
    axes_mean,
    blocks,
    conv,
    conv_transpose,
    elementwise,
    functions,
    interpolate,
    matmul,
    movement,
    normalization,
    pool,
    prelu,
    reduce,
    resize,
    selection,
    sums,
)
from furiosa.compiler.ops.table import OpDef

ROOMS = (
    axes_mean, conv, matmul, conv_transpose, elementwise, sums, functions, prelu, movement, selection, blocks,
    normalization, reduce, pool, interpolate, resize,
)  # fmt: skip
OPS: dict[str, OpDef] = {row.name: row for room in ROOMS for row in room.ROWS}
BY_ONNX = {onnx: tuple(row for row in OPS.values() if onnx in row.onnx) for each in OPS.values() for onnx in each.onnx}


def row_of(op: Op) -> OpDef | None:
    """The row of a model's node, the first that takes it; None for other ops, and for operators that have none."""
    if op.kind != "onnx" or op.attrs.domain:
        return None
    return next((row for row in BY_ONNX.get(op.attrs.op_type, ()) if row.takes(op.attrs)), None)


__all__ = ["BY_ONNX", "OPS", "ROOMS", "OpDef", "row_of"]
