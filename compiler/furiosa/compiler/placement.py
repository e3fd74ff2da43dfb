"""Where every operator of the model runs, and why not on the NPU: for people, reports and JSON."""

from __future__ import annotations

from furiosa.compiler.borders import Raw
from furiosa.compiler.graph import Graph, Op
from furiosa.compiler.lowlevel import KINDS

Row = dict[str, str]
_BOUNDARY = {
    "quantize": ("Quantize", "the model takes real numbers, the NPU integers"),
    "dequantize": ("Dequantize", "the model gives real numbers, the NPU integers"),
    "lower": ("Lower", "the host brings the tensor into the NPU's layout"),
    "unlower": ("Unlower", "the host brings the tensor out of the NPU's layout"),
    "widen": ("Pad", "the width becomes a multiple of 32, so that the NPU can change the layout"),
    "narrow": ("Slice", "what was padded for the NPU is cut off"),
}
_ON_NPU = {
    "Lower": "the width is a multiple of 32: the NPU brings the tensor into its layout",
    "Unlower": "the width is a multiple of 32: the NPU brings the tensor out of its layout",
}
_HOST_LIMIT = "a width, last, that is a multiple of 32"
_HOST_HINT = "give images channels-first, with a width that is a multiple of 32"


def placement(graph: Graph) -> list[Row]:
    """A row for each node of the model that runs, and for each layout operator at a border; producers first.

    Keys: ``node, op, device, reason_code, reason, actual, limit, hint``; ``device`` is ``npu`` or ``cpu``, and the
    reason is empty on the NPU, but for the layout operators.
    """
    rows: dict[str, Row] = {}
    for op in graph:
        for row in _rows(op):
            rows.setdefault(row["node"], row)
    return list(rows.values())


def hints(rows: list[Row]) -> list[str]:
    """A line for each operator on the CPU in the form of the SDK, numbered by its place among the model's operators."""
    operators = [row for row in rows if row["reason_code"] != "boundary_layout"]
    return [f"Hint [{index}]: {_hint(row)}" for index, row in enumerate(operators) if row["device"] == "cpu"]


def _hint(row: Row) -> str:
    if row["reason_code"] == "no_lowering":
        return f"'{row['op']}' cannot be accelerated yet; {row['hint']}"
    found = f": {row['actual']}, limit {row['limit']}" if row["actual"] else ""
    return f"'{row['op']}' cannot be accelerated: {row['reason']}{found}; {row['hint']}"


def _rows(op: Op) -> list[Row]:
    if op.kind in KINDS:
        return [_npu_row(node, kind) for node, kind in op.sources]
    if op.kind == "onnx":
        r = op.cpu
        reason = (r.code, r.sentence, r.actual, r.limit, r.hint) if r else ()
        return [_row(op.node, op.attrs.op_type, "cpu", *reason)]
    if op.kind in _BOUNDARY and not isinstance(op.attrs, Raw):
        kind, why = _BOUNDARY[op.kind]
        if op.kind == "quantize" and op.inputs[0].type.dtype.quantized:
            why = "the model takes uint8, the NPU int8"
        found = _found(op.inputs[0] if op.kind == "lower" else op)
        more = (found, _HOST_LIMIT, _HOST_HINT) if op.kind in ("lower", "unlower") else ()
        return [_row(op.name, kind, "cpu", "boundary_layout", why, *more)]
    return []


def _npu_row(node: str, kind: str) -> Row:
    return _row(node, kind, "npu", *(("boundary_layout", _ON_NPU[kind]) if kind in _ON_NPU else ()))


def _found(op: Op) -> str:
    return f"a tensor of shape {op.type.shape}"


def _row(node: str, kind: str, device: str, code: str = "", reason: str = "", actual: str = "", limit: str = "",
         hint: str = "") -> Row:  # fmt: skip
    return {"node": node, "op": kind, "device": device, "reason_code": code, "reason": reason, "actual": actual,
            "limit": limit, "hint": hint}  # fmt: skip
