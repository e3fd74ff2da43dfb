"""Operators that carry their quantization (QLinearConv ...) as dequantize - operator - quantize, like all others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from furiosa.compiler.frontend.node import Affine, OnnxNode
from furiosa.compiler.graph import Op, Quant, TensorType
from furiosa.compiler.ops.table import refuse
from furiosa.isa.dtypes import DType

Operand = tuple[int, int, int]
_DATA_FIRST: tuple[Operand, ...] = ((0, 1, 2),)
_TWO: tuple[Operand, ...] = ((0, 1, 2), (3, 4, 5))


@dataclass(frozen=True, slots=True)
class Form:
    """Where an operator has what: (tensor, scale, zero point) of its operands, the int32 bias, scale and zero point of
    the result; ``onnx`` is the operator of the standard that it computes.
    """

    onnx: str
    operands: tuple[Operand, ...]
    result: tuple[int, int]
    bias: int | None = None


FORMS = {
    "QLinearConv": Form("Conv", _TWO, (6, 7), 8),
    "QLinearMatMul": Form("MatMul", _TWO, (6, 7)),
    "QGemm": Form("Gemm", _TWO, (7, 8), 6),
    "QLinearAdd": Form("Add", _TWO, (6, 7)),
    "QLinearMul": Form("Mul", _TWO, (6, 7)),
    "QLinearAveragePool": Form("AveragePool", _DATA_FIRST, (3, 4)),
    "QLinearGlobalAveragePool": Form("GlobalAveragePool", _DATA_FIRST, (3, 4)),
    "QLinearSigmoid": Form("Sigmoid", _DATA_FIRST, (3, 4)),
    "QLinearLeakyRelu": Form("LeakyRelu", _DATA_FIRST, (3, 4)),
    "QLinearSoftmax": Form("Softmax", _DATA_FIRST, (3, 4)),
}

CONCAT = "QLinearConcat"
"""It has any number of operands."""


def form(op: Op) -> Form | None:
    """The form of a model's node; None when it is of another kind, or its result is not quantized."""
    node: OnnxNode = op.attrs
    if op.kind != "onnx" or not op.type.dtype.quantized or node.domain not in ("", "com.microsoft"):
        return None
    if node.op_type == CONCAT:
        return Form("Concat", tuple((i, i + 1, i + 2) for i in range(2, len(op.inputs), 3)), (0, 1))
    return FORMS.get(node.op_type)


def result(op: Op) -> Quant | None:
    """The quantization of the node's result; None for a node of another kind, or a computed scale."""
    found = form(op)
    return None if found is None else _quant(op, *found.result, None)


def operands(op: Op) -> list[tuple[Op, Quant]] | None:
    """The node's operands with their quantization; None for a node of another kind, or a computed scale."""
    found = form(op)
    if found is None:
        return None
    pairs = [(op.inputs[x], _quant(op, scale, zero, _weight_axis(op, x))) for x, scale, zero in found.operands]
    known = [(x, quant) for x, quant in pairs if quant is not None]
    return known if len(known) == len(pairs) else None


def _quant(op: Op, scale: int, zero: int, axis: int | None) -> Quant | None:
    """Scale and zero point at these inputs; a zero point that is left out is 0."""
    points = [op.inputs[i] for i in (scale, zero) if i < len(op.inputs)]
    if any(x.kind not in ("const", "absent") for x in points) or points[0].kind != "const":
        return None
    scales = tuple(float(s) for s in np.ravel(points[0].value))
    given = len(points) > 1 and points[1].kind == "const"
    zeros = tuple(int(z) for z in np.ravel(points[1].value)) if given else (0,)
    if len(scales) == 1 and len(zeros) == 1:
        return Quant(scales, zeros)
    count = max(len(scales), len(zeros))
    return Quant(scales * (count // len(scales)), zeros * (count // len(zeros)), axis)


def _weight_axis(op: Op, index: int) -> int | None:
    """The axis of an operand along which scales may differ: that of the output channels."""
    node: OnnxNode = op.attrs
    if index != 3:
        return None
    if node.op_type == "QLinearConv" or (node.op_type == "QGemm" and node.int("transB", 0)):
        return 0
    return len(op.inputs[3].type.shape) - 1


def expand(op: Op) -> Op | None:
    """The ``quantize`` op of a node in this form; None for a node of another kind.

    Raises Refusal when a scale or zero point is computed.
    """
    found = form(op)
    if found is None:
        return None
    given, to = operands(op), result(op)
    if given is None or to is None:
        raise refuse("computed_operand", "scales and zero points must be constants", op.attrs.op_type, "constants",
                     "store them as initializers")  # fmt: skip
    if op.attrs.int("channels_last", 0):
        raise refuse("channels_last", "the channels must be the second axis", "channels_last = 1", 0,
                     "export the model channels-first")  # fmt: skip
    inputs = [dequantized(x, quant, f"{op.name}:operand{i}", op.node) for i, (x, quant) in enumerate(given)]
    if found.bias is not None and found.bias < len(op.inputs):
        inputs.append(op.inputs[found.bias])
    return quantized(op, found.onnx, tuple(inputs), to)


def dequantized(x: Op, quant: Quant, name: str, node: str) -> Op:
    """``x`` as real numbers; a constant, which others may read otherwise, under a name of its own."""
    if x.kind == "const":
        x = replace(x, name=f"{name}:integers", type=replace(x.type, quant=quant))
    return Op("dequantize", (x,), Affine(quant), TensorType(x.type.shape, DType.F32), name, node)


def quantized(op: Op, op_type: str, inputs: tuple[Op, ...], to: Quant) -> Op:
    """The node as the float operator ``op_type`` of ``inputs``, quantized to what the node gives."""
    import onnx

    given: OnnxNode = op.maker.attrs
    proto = onnx.NodeProto()
    proto.CopyFrom(given.message)
    proto.op_type, proto.domain = op_type, ""
    node = OnnxNode.of(proto, given.name, given.int("opset", 13) if given.domain else given.opset, 0)
    real = Op("onnx", inputs, node, TensorType(op.type.shape, DType.F32), f"{op.name}:real", op.node)
    if op.kind == "project":
        real = replace(real, kind="project", inputs=(real,), attrs=op.attrs, name=f"{op.name}:part")
    return Op("quantize", (real,), Affine(to), replace(op.type, quant=to), op.name, op.node, sources=op.sources)
