"""LDFG pass: the bytes of uint8 inputs as the int8 that the NPU is given, by a Quantize step of the host.

int8 and uint8 of the same real values differ in the top bit of each byte, and their zero points by 128. An operator of
the NPU that computes with differences from the zero point only takes either; one whose rounding depends on the stored
integers, as ONNX Runtime's does, gets the uint8 from a table.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from furiosa.compiler.frontend.node import Affine
from furiosa.compiler.graph import Graph, Op, rebuild, rewrite, with_inputs
from furiosa.compiler.lowlevel import Interpolate, Pad
from furiosa.compiler.ops.layout import FLIPPED, flipped, signed_type
from furiosa.isa.dtypes import DType
from furiosa.isa.instructions import BinaryForm, Framework

_OF_DIFFERENCES = {
    "npu.conv2d": 1, "npu.depthwise_conv2d": 1, "npu.matmul": 2, "npu.global_average_pool": 1,
    "npu.add_average_pool2d": 2, "npu.interpolate": 1, "npu.softmax": 1, "npu.reduce_l2": 1, "npu.l2_normalize": 1,
}  # fmt: skip
"""Kinds that take either type in each of so many operands."""
_BINARY = ("npu.add", "npu.sub", "npu.mul")
_ORDERED = ("npu.view", "npu.transpose", "npu.slice", "npu.expand", "npu.pad", "npu.max_pool2d")
"""Kinds whose result holds bytes of their operand."""


def sign_inputs(graph: Graph) -> Graph:
    """A Quantize step for every uint8 input that the NPU reads, unless the graph keeps them unsigned."""
    if graph.keep_unsigned:
        return graph
    signed = rebuild(graph, lambda op, inputs: _signed_lower(with_inputs(op, inputs)))
    return rewrite(signed, move_of_flipped, operand_of_either_type)


def _signed_lower(op: Op) -> Op:
    if op.kind != "lower" or op.inputs[0].kind != "input" or op.type.dtype is not DType.U8:
        return op
    x = op.inputs[0]
    type_ = signed_type(replace(x.type, quant=op.type.quant))
    quantize = Op("quantize", (x,), Affine(type_.per_tensor()), type_, f"{x.name}:signed")
    lower = replace(op, inputs=(quantize,), type=signed_type(op.type))
    return flipped(lower, op, ":unsigned")


def _behind(op: Op) -> Op | None:
    """The tensor of the other type of which ``op`` is the flipped form; None for another op."""
    if op.kind != "npu.table" or not np.array_equal(op.inputs[1].value, FLIPPED[None]):
        return None
    x = op.inputs[0]
    same = x.type.dtype is not op.type.dtype and signed_type(x.type) == signed_type(op.type)
    return x if same else None


def move_of_flipped(op: Op) -> Op | None:
    """what moves the bytes of a flipped tensor moves those behind it, and is flipped"""
    x = _behind(op.inputs[0]) if op.kind in _ORDERED else None
    if x is None:
        return None
    attrs = replace(op.attrs, value=op.attrs.value ^ 0x80) if isinstance(op.attrs, Pad) else op.attrs
    type_ = replace(op.type, dtype=x.type.dtype, quant=x.type.quant)
    moved = replace(op, inputs=(x, *op.inputs[1:]), attrs=attrs, type=type_)
    return flipped(moved, op, ":flipped")


def operand_of_either_type(op: Op) -> Op | None:
    """an operator that computes with differences from the zero point reads what is behind a flipped tensor"""
    count = _of_either_type(op)
    read = tuple(_behind(x) or x for x in op.inputs[:count])
    return replace(op, inputs=(*read, *op.inputs[count:])) if read != op.inputs[:count] else None


def _of_either_type(op: Op) -> int:
    """How many operands of an op may be of either type."""
    if op.kind in _BINARY:
        return 2 if op.attrs.form is BinaryForm.REAL else 0
    if isinstance(op.attrs, Interpolate) and op.attrs.framework is Framework.TFLITE:
        return 0
    return _OF_DIFFERENCES.get(op.kind, 0)
