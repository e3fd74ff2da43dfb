"""What must be true of a graph in each layer, one sentence each; the pipeline checks them between passes."""

from __future__ import annotations

from collections.abc import Callable

from furiosa.compiler.graph import Graph, Op
from furiosa.compiler.lowlevel import KINDS
from furiosa.compiler.ops import OPS

Spec = Callable[[Op], "str | None"]
_ALWAYS = ("input", "const", "absent", "onnx", "project", "quantize", "dequantize")
_LAYOUT = ("lower", "unlower", "widen", "narrow")


def quantized(op: Op) -> str | None:
    """the NPU's operators give int8 or uint8 with one scale"""
    if op.kind not in OPS and op.kind not in KINDS:
        return None
    quant = op.type.quant
    good = op.type.dtype.quantized and quant is not None and quant.axis is None
    return None if good else f"it gives {op.type.dtype.value} quantized as {quant}"


def dfg_kinds(op: Op) -> str | None:
    """a DFG holds operators of the table, nodes of the model, and quantization at their borders"""
    return None if op.kind in _ALWAYS or op.kind in OPS else f"`{op.kind}` does not belong there"


def ldfg_kinds(op: Op) -> str | None:
    """an LDFG holds the NPU's operators, changes of layout, and nodes of the model with the reason"""
    return None if op.kind in (*_ALWAYS, *_LAYOUT) or op.kind in KINDS else f"`{op.kind}` does not belong there"


def placed(op: Op) -> str | None:
    """a node that is not on the NPU says why"""
    return "there is no reason" if op.kind == "onnx" and op.cpu is None else None


def four_axes(op: Op) -> str | None:
    """tensors on the NPU have four axes, each at least 1"""
    shape = op.type.shape
    return f"its shape is {shape}" if op.kind in KINDS and (len(shape) != 4 or min(shape) < 1) else None


DFG: tuple[Spec, ...] = (dfg_kinds, quantized)
LDFG: tuple[Spec, ...] = (ldfg_kinds, quantized, placed, four_axes)


def broken(graph: Graph, specs: tuple[Spec, ...]) -> str | None:
    """The first broken sentence with its op; names must be unique in every layer."""
    names: set[str] = set()
    for op in graph:
        if op.name in names and op.kind != "absent":
            return f"`{op.name}`: names are unique"
        names.add(op.name)
        for spec in specs:
            found = spec(op)
            if found:
                return f"`{op.name}` ({op.kind}): {spec.__doc__}, but {found}"
    return None
