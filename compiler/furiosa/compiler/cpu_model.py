"""A CPU cluster as an ONNX model for ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.frontend.types import onnx_type
from furiosa.compiler.graph import Op

_AFFINE = {"quantize": "QuantizeLinear", "dequantize": "DequantizeLinear"}
_OLDEST_AFFINE = 13  # QuantizeLinear and DequantizeLinear with an axis


def to_onnx(cluster: Cluster) -> bytes:
    """The cluster as a serialized model; its inputs and outputs have the names of the ops."""
    graph = onnx.GraphProto(name=cluster.name)
    graph.input.extend(_info(op) for op in cluster.inputs)
    graph.output.extend(_info(op) for op in cluster.outputs)
    opsets: dict[str, int] = {}
    projections: dict[Op, dict[int, str]] = {}
    for op in cluster.ops:
        if op.kind == "project":
            projections.setdefault(op.inputs[0], {})[op.attrs.index] = op.name
    for op in cluster.ops:
        if op.kind == "const":
            graph.initializer.append(numpy_helper.from_array(op.value, op.name))
        elif op.kind in _AFFINE:
            _add_affine(graph, op)
        elif op.kind == "onnx":
            graph.node.append(_node(op, projections.get(op, {})))
            opsets[op.attrs.domain] = op.attrs.opset
    opsets.setdefault("", _OLDEST_AFFINE)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opsets[domain]) for domain in sorted(opsets)],
        producer_name="furiosa-sim", ir_version=8 if opsets[""] < 19 else 10,
    )  # fmt: skip
    return bytes(model.SerializeToString(deterministic=True))


def _info(op: Op) -> onnx.ValueInfoProto:
    return helper.make_value_info(op.name, onnx_type(op.type))


def _node(op: Op, projections: dict[int, str]) -> onnx.NodeProto:
    """The model's node between the tensors that its ops are named after; ``projections`` names its results."""
    node = onnx.NodeProto()
    node.ParseFromString(op.attrs.proto)
    node.name = op.node
    explicit = op.inputs[: len(op.inputs) - op.attrs.captured]
    del node.input[:]
    node.input.extend(x.name for x in explicit)
    if not projections:
        node.output[0] = op.name
        del node.output[1:]
    else:
        for index, given in enumerate(node.output):
            node.output[index] = projections.get(index, given and f"{op.name}:{index}")
    return node


def _add_affine(graph: onnx.GraphProto, op: Op) -> None:
    quant = op.attrs.quant
    stored = op.type.dtype if op.kind == "quantize" else op.inputs[0].type.dtype
    shape = () if quant.axis is None else (len(quant.scale),)
    scale = np.asarray(quant.scale, np.float32).reshape(shape)
    zero = np.asarray(quant.zero_point).astype(stored.numpy_name).reshape(shape)
    names = [f"{op.name}:scale", f"{op.name}:zero_point"]
    graph.initializer.extend(numpy_helper.from_array(v, n) for v, n in zip((scale, zero), names))
    attributes = {} if quant.axis is None else {"axis": quant.axis}
    graph.node.append(
        helper.make_node(_AFFINE[op.kind], [op.inputs[0].name, *names], [op.name], name=op.name, **attributes)
    )
