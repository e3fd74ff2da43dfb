"""How much a CPU cluster has to do: operators, bytes and operations of an ONNX subgraph, from its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from onnx import NodeProto

Shape: TypeAlias = "tuple[int, ...]"

# Operator -> where its weights stand among its inputs; each result is a sum over all axes of the weights but the first.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"}
_FREE = {"Constant", "Identity"}
_FLOAT_BYTES = 4


class ClusterWork(NamedTuple):
    """Work of one run: ``moved`` bytes are read or written by operators, ``elements`` are results without MACs."""

    operators: int
    moved: int
    macs: int
    elements: int


def cluster_work(data: bytes) -> ClusterWork:
    """The work of the model ``data``. Tensors whose shapes ONNX cannot infer count as nothing; loops count once."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
    tensors: dict[str, tuple[Shape, int]] = {}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        type_ = value.type.tensor_type
        dims = tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in type_.shape.dim)
        tensors[value.name] = dims, _itemsize(type_.elem_type)
    for weight in model.graph.initializer:
        tensors[weight.name] = tuple(weight.dims), _itemsize(weight.data_type)

    def shape(name: str) -> Shape:
        return tensors[name][0] if name in tensors else (0,)

    operators = moved = macs = elements = 0
    for node in model.graph.node:
        if node.op_type in _FREE:
            continue
        operators += 1
        touched = [tensors[name] for name in (*node.input, *node.output) if name in tensors]
        moved += sum(prod(dims) * itemsize for dims, itemsize in touched)
        multiplications = _macs(node, [shape(name) for name in node.input], shape(node.output[0]))
        macs += multiplications
        if not multiplications:
            elements += sum(prod(shape(name)) for name in node.output)
    return ClusterWork(operators, moved, macs, elements)


def _itemsize(kind: int) -> int:
    import onnx

    try:
        return onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
    except (KeyError, ValueError):
        return _FLOAT_BYTES


def _macs(node: NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    """Multiply-accumulate operations of a node; 0 for operators that have none."""
    operator = node.op_type
    if operator in _CONVOLUTIONS and len(inputs) > _CONVOLUTIONS[operator]:
        return prod(output) * prod(inputs[_CONVOLUTIONS[operator]][1:])
    if operator == "ConvTranspose":
        return prod(inputs[0]) * prod(inputs[1][1:])
    if operator in _PRODUCTS and inputs[0]:
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return prod(output) * (inputs[0][0] if transposed else inputs[0][-1])
    return 0
