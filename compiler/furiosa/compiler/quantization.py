"""DFG passes over explicit quantization: what ONNX Runtime changes about it before it computes anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from furiosa.compiler.frontend.node import Affine
from furiosa.compiler.graph import Graph, Op, Quant, TensorType, rebuild, with_inputs
from furiosa.compiler.ops import qlinear, row_of
from furiosa.isa.dtypes import DType


def type_integers(graph: Graph) -> Graph:
    """Int8 and uint8 tensors get the quantization that an operator which gives or reads them states."""
    order = list(graph)
    known: dict[Op, Quant] = {op: op.type.quant for op in order if op.type.quant is not None}
    for op in order:
        _state_result(op, known)
    for op in reversed(order):
        for x, quant in _stated_operands(op, known):
            if x.kind != "const" and x.type.dtype.quantized:
                known.setdefault(x, quant)
    for op in order:
        _state_result(op, known)

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        new = with_inputs(op, inputs)
        typed = op in known and op.type.quant is None and op.kind in ("input", "onnx", "project")
        return replace(new, type=replace(op.type, quant=known[op])) if typed else new

    return rebuild(graph, change)


def moves_integers(op: Op) -> bool:
    """Whether the op is a model's node that only moves int8 or uint8 elements."""
    node = op.maker
    row = row_of(node)
    if row is None or not row.moves_data or (op.kind == "project" and row.name != "split"):
        return False
    return op.type.dtype.quantized and node.inputs[0].type.dtype == op.type.dtype


def _state_result(op: Op, known: dict[Op, Quant]) -> None:
    """Note the quantization of an op's result where the op itself or its operand tells."""
    stated = qlinear.result(op) if op.kind == "onnx" else None
    if stated is None and moves_integers(op):
        stated = known.get(op.maker.inputs[0])
    if stated is not None:
        known.setdefault(op, stated)


def _stated_operands(op: Op, known: dict[Op, Quant]) -> list[tuple[Op, Quant]]:
    """The operands whose quantization the op tells."""
    if op.kind == "dequantize" and op.attrs.quant.axis is None:
        return [(op.inputs[0], op.attrs.quant)]
    if moves_integers(op):
        node = op.maker
        count = len(node.inputs) if node.attrs.op_type == "Concat" else 1
        return [(x, known[op]) for x in node.inputs[:count] if op in known]
    if op.kind != "onnx":
        return []
    return [(x, quant) for x, quant in qlinear.operands(op) or () if quant.axis is None]


def merge_pairs(graph: Graph) -> Graph:
    """quantize - dequantize - quantize - dequantize with nothing between becomes one pair over the common range.

    ONNX Runtime's DoubleQDQPairsRemover; its float32 steps decide the new scale and zero point. The first quantize and
    dequantize have no other reader; the second quantize may be dequantized several times.
    """
    edges = _edges(graph)
    kept = {x.name for op in graph if op.kind != "dequantize" for x in op.inputs} | {op.name for op in graph.outputs}
    merged: dict[str, Op] = {}

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        op = with_inputs(op, inputs)
        match op:
            case Op(kind="dequantize", inputs=(Op(kind="quantize", inputs=(Op(
                    kind="dequantize", inputs=(Op(kind="quantize") as first,)) as between,)) as second,)):  # fmt: skip
                pass
            case _:
                return op
        if second.name not in merged:
            apart = edges[first.name] == edges[between.name] == 1 and second.name not in kept
            if not apart or first.type.dtype != second.type.dtype or not _pair(first, between) or not _pair(second, op):
                return op
            quant = _common(first.attrs.quant, second.attrs.quant, first.type.dtype)
            if quant is None:
                return op
            merged[second.name] = replace(
                first, attrs=Affine(quant), type=replace(first.type, quant=quant),
                sources=first.sources + between.sources + second.sources,
            )  # fmt: skip
        quantized = merged[second.name]
        return replace(op, inputs=(quantized,), attrs=Affine(quantized.type.per_tensor()))

    return rebuild(graph, change)


def _edges(graph: Graph) -> Counter[str]:
    """How often each op is read, outputs of the graph included.

    Every reader of a ``dequantize`` counts for its operand, since ONNX Runtime gives each its own.
    """
    edges = Counter(x.name for op in graph for x in op.inputs)
    edges.update(op.name for op in graph.outputs)
    for op in graph:
        if op.kind == "dequantize":
            edges[op.inputs[0].name] += edges[op.name] - 1
    return edges


def _pair(quantize: Op, dequantize: Op) -> bool:
    """Whether two ops are each other's inverse, on an 8-bit tensor quantized as a whole."""
    return (
        quantize.type.dtype.quantized
        and quantize.attrs.quant.axis is None
        and quantize.attrs.quant == dequantize.attrs.quant
    )


def _common(a: Quant, b: Quant, dtype: DType) -> Quant | None:
    """The quantization of the range that both cover; None when there is none."""
    if a == b:
        return a
    info = np.iinfo(dtype.numpy_name)
    (low_a, high_a), (low_b, high_b) = (
        [np.float32(edge - q.zero_point[0]) * np.float32(q.scale[0]) for edge in (info.min, info.max)] for q in (a, b)
    )
    low, high = max(low_a, low_b), min(high_a, high_b)
    scale = np.float32(high - low) / np.float32(info.max - info.min)
    if not scale > 0:
        return None
    zero = float(np.float32(info.min) - low / scale)
    rounded = int(np.copysign(np.floor(abs(zero) + 0.5), zero))
    return Quant((float(scale),), (min(max(rounded, int(info.min)), int(info.max)),))


def store_unsigned(graph: Graph) -> Graph:
    """An int8 tensor with one reader is stored as uint8, zero point + 128, as ONNX Runtime does on x86.

    The values it stands for are the same; element-wise sums and means round by the stored integers. What the model
    quantizes without dequantizing it (the QLinear form) stays as it is.
    """
    edges = _edges(graph)
    readers = {op.inputs[0].name: op for op in graph if op.kind == "dequantize"}
    shifted: set[str] = set()

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        op = with_inputs(op, inputs)
        if op.kind == "dequantize" and op.inputs[0].name in shifted:
            return replace(op, attrs=Affine(op.inputs[0].type.per_tensor()))
        if op.kind != "quantize" or op.type.dtype is not DType.I8 or op.inputs[0].kind == "const":
            return op
        reader = readers.get(op.name)
        if reader is None or edges[op.name] != 1 or not _pair(op, reader):
            return op
        shifted.add(op.name)
        quant = Quant(op.type.per_tensor().scale, (op.type.zero + 128,))
        return replace(op, attrs=Affine(quant), type=TensorType(op.type.shape, DType.U8, quant))

    return rebuild(graph, change)
