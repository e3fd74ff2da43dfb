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
    movement,
    normalization,
    pool,
    prelu,
    reduce,
    resize,
    selection,
)
from furiosa.compiler.ops.table import OpDef

OPS: dict[str, OpDef] = {
    row.name: row
    for room in (
        axes_mean,
        conv,
        conv_transpose,
        elementwise,
        functions,
        prelu,
        movement,
        selection,
        blocks,
        normalization,
        reduce,
        pool,
        interpolate,
        resize,
    )
    for row in room.ROWS
}
BY_ONNX: dict[str, OpDef] = {onnx: row for row in OPS.values() for onnx in row.onnx}


def row_of(op: Op) -> OpDef | None:
    """The row of a model's node; None for other ops, and for operators that have none."""
    if op.kind != "onnx" or op.attrs.domain:
        return None
    row = BY_ONNX.get(op.attrs.op_type)
    linear = row is not None and row.name == "resize" and op.attrs.str("mode", "nearest") == "linear"
    return OPS["interpolate"] if linear else row


__all__ = ["BY_ONNX", "OPS", "OpDef", "row_of"]
