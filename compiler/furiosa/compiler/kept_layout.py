"""LDFG pass: inputs and results in the NPU's layout, for the options ``remove_lower`` and ``remove_unlower``.

Such a tensor is int8 of six axes (N, Ho, Co, H, C, W): blocks of rows and of channels (here one of each), rows,
channels, columns. A row of columns takes the next multiple of 32 bytes in memory. Neither layout nor quantization is
left to the host.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from furiosa.compiler.borders import WIDTH, Raw
from furiosa.compiler.graph import Graph, Op, TensorType, consumers, rebuild, with_inputs
from furiosa.compiler.lowlevel import Four, Pad, Slice
from furiosa.compiler.ops.layout import flipped, low, signed_type, transpose, view
from furiosa.isa.dtypes import DType

FORMAT = "NHoCoHCW"
_ROWS = {"onnx": (0, 1, 3, 2), "tflite": (0, 3, 2, 1)}
"""The axes (N, H, C, W) among those of the NPU's tensor. TFLite's images come with their axes read as (N, C, H, W)."""


@dataclass(frozen=True, slots=True)
class Kept(Raw):
    """Of an ``input`` or ``unlower`` in the NPU's layout: the bytes that a row takes in memory."""

    width: int


def keep_layout(graph: Graph) -> Graph:
    """The inputs and results that can be in the NPU's layout, where the graph says so."""
    if graph.keep_unlowered:
        graph = replace(graph, outputs=tuple(_result(op, graph.framework) or op for op in graph.outputs))
    return _inputs(graph) if graph.keep_lowered else graph


def _result(op: Op, framework: str) -> Op | None:
    """A result of the model as the NPU makes it; None for one that the CPU makes."""
    unlower = op.inputs[0] if op.kind == "dequantize" else op
    if unlower.kind != "unlower":
        return None
    bare = replace(op, sources=(), type=unlower.inputs[0].type)
    x = _signed(unlower.inputs[0], bare)
    x = transpose(x, _ROWS[framework], replace(bare, type=x.type), ":turned")
    n, h, c, w = _four(x)
    wide = -(-w // WIDTH) * WIDTH
    like = replace(bare, type=x.type)
    if wide != w:
        x = low("pad", (x,), Pad((0, 0, 0, 0), (0, 0, 0, wide - w), 0), (n, h, c, wide), like, ":padded")
    flat = view(x, (1, 1, 1, n * h * c * wide), like, ":flat")
    type_ = TensorType((n, 1, 1, h, c, w), DType.I8, x.type.quant)
    return Op("unlower", (flat,), Kept(wide), type_, f"{op.name}:kept", op.node)


def _inputs(graph: Graph) -> Graph:
    """The inputs that only the NPU reads."""
    readers = consumers(graph)
    new: dict[Op, Op] = {}
    for x in graph.inputs:
        lowers = _lowers(x, readers)
        if lowers and x not in graph.outputs:
            given, new[x] = _given(x, lowers[0], graph.framework)
            new |= dict.fromkeys(lowers, given)
    changed = rebuild(graph, lambda op, inputs: new.get(op) or with_inputs(op, inputs))
    return replace(changed, inputs=tuple(new.get(op, op) for op in graph.inputs))


def _lowers(x: Op, readers: dict[Op, list[Op]]) -> list[Op]:
    """The ``lower`` ops of one quantized tensor through which alone an input is read; none otherwise."""
    found = readers.get(x, [])
    if len(set(found)) == 1 and found[0].kind == "quantize":
        found = readers[found[0]]
    return found if all(op.kind == "lower" for op in found) else []


def _given(x: Op, lower: Op, framework: str) -> tuple[Op, Op]:
    """What the NPU reads in place of ``lower``, and the input behind it."""
    order = _ROWS[framework]
    n, h, c, w = (lower.type.shape[axis] for axis in order)
    wide = -(-w // WIDTH) * WIDTH
    signed = signed_type(lower.type)
    source = Op("input", (), Kept(wide), replace(signed, shape=(n, 1, 1, h, c, w)), x.name)
    flat = replace(lower, inputs=(source,), attrs=Raw(), type=replace(signed, shape=(1, 1, 1, n * h * c * wide)),
                   name=f"{lower.name}:flat", sources=())  # fmt: skip
    bare = replace(lower, type=signed, sources=())
    rows = view(flat, (n, h, c, wide), bare, ":seen")
    if wide != w:
        rows = low("slice", (rows,), Slice((0, 0, 0, 0), (1, 1, 1, 1)), (n, h, c, w), bare, ":cut")
    turned = transpose(rows, _inverse(order), bare, ":turned")
    return turned if lower.type.dtype is DType.I8 else flipped(turned, lower, ":unsigned"), source


def _signed(x: Op, like: Op) -> Op:
    """``x`` as int8: the same real values."""
    return x if x.type.dtype is DType.I8 else flipped(x, like, ":signed")


def _inverse(order: Four) -> Four:
    n, h, w, c = (order.index(axis) for axis in range(4))
    return n, h, w, c


def _four(op: Op) -> Four:
    n, h, w, c = op.type.shape
    return n, h, w, c
