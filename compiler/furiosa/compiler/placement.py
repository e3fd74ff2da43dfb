"""Where every operator of the model runs, and why not on the NPU: for people, reports and JSON."""

from __future__ import annotations

from furiosa.compiler.graph import Graph, Op
from furiosa.compiler.lowlevel import KINDS

Row = dict[str, str]
_BOUNDARY = {
    "quantize": ("Quantize", "the model takes real numbers, the NPU integers"),
    "dequantize": ("Dequantize", "the model gives real numbers, the NPU integers"),
    "lower": ("Lower", "the host brings the tensor into the NPU's layout"),
    "unlower": ("Unlower", "the host brings the tensor out of the NPU's layout"),
}


def placement(graph: Graph) -> list[Row]:
    """A row for each node of the model that runs, and for each layout operator at a border; producers first.

    Keys: ``node, op, device, reason_code, reason, actual, limit, hint``; ``device`` is ``npu`` or ``cpu``, and the
    reason is empty on the NPU.
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
        return [_row(node, kind, "npu") for node, kind in op.sources]
    if op.kind == "onnx":
        r = op.cpu
        reason = (r.code, r.sentence, r.actual, r.limit, r.hint) if r else ()
        return [_row(op.node, op.attrs.op_type, "cpu", *reason)]
    if op.kind in _BOUNDARY:
        kind, why = _BOUNDARY[op.kind]
        return [_row(op.name, kind, "cpu", "boundary_layout", why)]
    return []


def _row(node: str, kind: str, device: str, code: str = "", reason: str = "", actual: str = "", limit: str = "",
         hint: str = "") -> Row:  # fmt: skip
    return {"node": node, "op": kind, "device": device, "reason_code": code, "reason": reason, "actual": actual,
            "limit": limit, "hint": hint}  # fmt: skip
