"""Nodes whose result is known at import: constants, shapes of static tensors, and whatever follows from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from furiosa.compiler.frontend.node import OnnxNode
from furiosa.compiler.graph import Array, Op, Quant, TensorType, const
from furiosa.isa import arithmetic
from furiosa.isa.dtypes import DType

_NOT_PURE = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
_EXACT = frozenset((
    "Abs", "Add", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Floor",
    "Gather", "Greater", "Identity", "Less", "Max", "Min", "Mul", "Neg", "Pad", "ReduceMax", "ReduceMin", "Relu",
    "Reshape", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip
"""Operators that have one right result in floating point too; ONNX Runtime computes the others its own way."""
_LARGE = 1 << 20
"""Elements from which a result that is larger than the operands stays computed: it takes less room, and hostile files
cannot fill the memory."""


def fold(
    node: OnnxNode, outputs: list[str], inputs: tuple[Op, ...], types: Mapping[str, TensorType]
) -> dict[str, Op] | None:
    """The results of the node by name when they are known now, else None. ``outputs`` are those that somebody reads."""
    passes = node.op_type in ("Identity", "Dropout") and node.domain == ""
    if passes and outputs == [node.message.output[0]] and not _trains(inputs):
        return {outputs[0]: inputs[0]}
    if node.op_type == "Shape" and inputs[0].type.static:
        rank = len(inputs[0].type.shape)
        part = slice(*slice(node.int("start", 0), node.int("end", rank)).indices(rank))
        return {outputs[0]: const(outputs[0], np.array(inputs[0].type.shape[part], np.int64), node=node.name)}
    if node.op_type == "Constant":
        value = constant(node.message)
        known = value is not None and value.dtype.name in _KNOWN
        return {outputs[0]: const(outputs[0], value, node=node.name)} if value is not None and known else None
    if node.op_type in ("DequantizeLinear", "QuantizeLinear") or node.op_type in _NOT_PURE or node.captured:
        return None
    if not inputs or any(op.kind not in ("const", "absent") for op in inputs):
        return None
    floats = any(op.kind == "const" and op.value.dtype.kind == "f" for op in inputs)
    if floats and (node.op_type not in _EXACT or node.domain):
        return None
    most = max(_LARGE, sum(op.type.size for op in inputs))
    if any(name in types and types[name].static and types[name].size > most for name in outputs):
        return None
    return _evaluate(node, inputs)


def _trains(inputs: tuple[Op, ...]) -> bool:
    """Whether a Dropout's third input switches training on, or is computed."""
    return len(inputs) > 2 and (inputs[2].kind != "const" or bool(inputs[2].value))


def constant(node: onnx.NodeProto) -> Array | None:
    """The value of a Constant node; None for strings and sparse values, which stay nodes."""
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.array(value, kinds[attribute.name]) if attribute.name in kinds else None


def quantized(values: Array, quant: Quant, dtype: DType) -> Array:
    """What QuantizeLinear gives of a float32 constant, as int8 or uint8."""
    if quant.axis is None:
        return arithmetic.quantize(values, quant.scale[0], quant.zero_point[0], dtype.numpy_name)
    parts = zip(np.moveaxis(values, quant.axis, 0), quant.scale, quant.zero_point)
    stored = [arithmetic.quantize(part, scale, zero, dtype.numpy_name) for part, scale, zero in parts]
    return np.moveaxis(np.stack(stored), 0, quant.axis)


def _evaluate(node: OnnxNode, inputs: tuple[Op, ...]) -> dict[str, Op] | None:
    """The node's results from ONNX's own reference implementation; None when that has none."""
    from onnx.reference import ReferenceEvaluator

    values = {name: op.value for name, op in zip(node.message.input, inputs) if op.kind == "const"}
    function = onnx.helper.make_function(
        "fold", "fold", list(values), list(node.message.output), [node.message],
        [onnx.helper.make_opsetid(node.domain, node.opset)],
    )  # fmt: skip
    try:
        results = ReferenceEvaluator(function).run(None, values, attributes={})
    except Exception:  # an operator the reference lacks stays a node, ONNX Runtime runs it
        return None
    folded: dict[str, Op] = {}
    for name, value in zip(node.message.output, results):
        array = np.asarray(value)
        if array.dtype.name not in _KNOWN:
            return None
        folded[name] = const(name, array, node=node.name)
    return folded


_KNOWN = {dtype.numpy_name for dtype in DType}
