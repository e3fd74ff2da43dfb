"""Rewrites of operators that the NPU does not have, or that cost it more, into others."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper

from furiosa.optimizer.graph import Array, attribute
from furiosa.optimizer.rewrite import View

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


def prelu(view: View, node: NodeProto) -> list[NodeProto] | None:
    """PRelu(x) = relu(x) * (1 - slope) + x * slope"""
    x, slope = node.input
    result = node.output[0]
    if view.graph.element(x) not in _FLOATS:
        return None
    values = view.graph.array(slope)
    subtraction = []
    if values is not None:
        rest = view.graph.add_constant(1 - values, f"{result}_rest")
    else:
        dtype = helper.tensor_dtype_to_np_dtype(view.graph.element(x))
        rest, one = view.graph.fresh(f"{result}_rest"), view.graph.add_constant(np.ones((), dtype), f"{result}_one")
        subtraction = [helper.make_node("Sub", [one, slope], [rest])]
    relu, positive, linear = (view.graph.fresh(f"{result}_{name}") for name in ("relu", "positive", "linear"))
    return [
        helper.make_node("Relu", [x], [relu]),
        *subtraction,
        helper.make_node("Mul", [relu, rest], [positive]),
        helper.make_node("Mul", [x, slope], [linear]),
        helper.make_node("Add", [positive, linear], [result]),
    ]


def negative_pads(view: View, node: NodeProto) -> list[NodeProto] | str | None:
    """pad(x) = pad(slice(x)), where some pads are negative; pad(x) = x, where all are zero"""
    x, result = node.input[0], node.output[0]
    pads, shape = view.graph.integers(node.input[1]), view.graph.shape(x)
    if pads is None or not any(pads):
        return None if pads is None else x
    if shape is None or min(pads) >= 0:
        return None
    rank = len(shape)
    axes = [(size, pads[axis], pads[axis + rank]) for axis, size in enumerate(shape)]
    if not all(size + begin > 0 and size + end > 0 and size + begin + end >= 0 for size, begin, end in axes):
        return None
    sliced = view.graph.fresh(f"{result}_sliced")
    starts = [max(-begin, 0) for _, begin, _ in axes]
    ends = [size + min(end, 0) for size, _, end in axes]
    bounds = [view.graph.add_constant(np.array(part, np.int64), f"{result}_{name}")
              for name, part in (("starts", starts), ("ends", ends), ("axes", range(rank)))]  # fmt: skip
    padded = NodeProto()
    padded.CopyFrom(node)
    padded.input[0] = sliced
    padded.input[1] = view.graph.add_constant(np.maximum(pads, 0).astype(np.int64), f"{result}_pads")
    return [helper.make_node("Slice", [x, *bounds], [sliced]), padded]


def pad_into_conv(view: View, node: NodeProto) -> list[NodeProto] | None:
    """conv(pad(x)) = conv(x) with wider pads, where rows and columns of zeros are added"""
    pad = view.producer(node.input[0], "Pad")
    extra = view.graph.integers(pad.input[1]) if pad else None
    if pad is None or extra is None or attribute(pad, "mode", b"constant") != b"constant":
        return None
    value = view.graph.array(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(1)
    rank = len(extra) // 2
    beside = [extra[axis] for axis in (0, 1, rank, rank + 1)]
    if value is None or value.any() or any(beside) or min(extra) < 0:
        return None
    if attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    spatial = [*extra[2:rank], *extra[rank + 2 :]]
    own = attribute(node, "pads") or [0] * len(spatial)
    new = helper.make_node("Conv", [pad.input[0], *node.input[1:]], node.output,
                           pads=[a + b for a, b in zip(own, spatial)])  # fmt: skip
    new.attribute.extend(item for item in node.attribute if item.name not in ("auto_pad", "pads"))
    return [new]


def gather_matmul(view: View, node: NodeProto) -> list[NodeProto] | None:
    """gather(table) @ weights = gather(table @ weights) along axis 0; weights @ gather(table) likewise along axis 1"""
    for index, axis in ((0, 0), (1, 1)):
        gather = view.producer(node.input[index], "Gather")
        weights = _matrix(view, node.input[1 - index])
        table = _matrix(view, gather.input[0]) if gather else None
        if gather is None or weights is None or table is None or attribute(gather, "axis", 0) % 2 != axis:
            continue
        indices = view.graph.shape(gather.input[1])
        if axis == 1 and (indices is None or len(indices) > 1):  # a batch of matrices, of other axes
            continue
        product = table @ weights if axis == 0 else weights @ table
        fused = view.graph.add_constant(product, f"{gather.input[0]}_fused")
        return [helper.make_node("Gather", [fused, gather.input[1]], node.output, axis=axis)]
    return None


def _matrix(view: View, name: str) -> Array | None:
    values = view.graph.array(name)
    return values if values is not None and values.ndim == 2 and values.dtype == np.float32 else None


def gemm(view: View, node: NodeProto) -> list[NodeProto] | None:
    """Gemm is a @ weights + bias, where ``a`` is a matrix"""
    for index in (0, 1):
        matmul = view.producer(node.input[index], "MatMul")
        bias = view.graph.array(node.input[1 - index])
        if matmul is None or bias is None or view.reads(node.input[index]) > 1:
            continue
        weights, shape = view.graph.array(matmul.input[1]), view.graph.shape(node.input[index])
        if weights is None or weights.ndim != 2 or weights.dtype.kind != "f" or shape is None or len(shape) != 2:
            continue
        if shape == view.graph.shape(node.output[0]) and bias.ndim <= 2:
            return [helper.make_node("Gemm", [*matmul.input, node.input[1 - index]], node.output)]
    return None


def global_average(view: View, node: NodeProto) -> list[NodeProto] | None:
    """A mean over height and width is a global average pool"""
    shape, axes = view.graph.shape(node.input[0]), attribute(node, "axes")
    floats = view.graph.element(node.input[0]) in _FLOATS
    if not floats or shape is None or len(shape) < 4 or axes is None:
        return None
    if sorted(axis % len(shape) for axis in axes) != list(range(2, len(shape))):
        return None
    if attribute(node, "keepdims", 1):
        return [helper.make_node("GlobalAveragePool", node.input, node.output)]
    pooled = view.graph.fresh(f"{node.output[0]}_pooled")
    return [
        helper.make_node("GlobalAveragePool", node.input, [pooled]),
        helper.make_node("Flatten", [pooled], node.output),
    ]


def squeeze_axes(view: View, node: NodeProto) -> list[NodeProto] | None:
    """squeeze(x) names the axes of size 1, in opsets where they are an attribute"""
    shape = view.graph.shape(node.input[0])
    if view.graph.opset >= 13 or shape is None or attribute(node, "axes") is not None:
        return None
    axes = [axis for axis, size in enumerate(shape) if size == 1]
    return [helper.make_node("Squeeze", node.input, node.output, axes=axes)]


PATTERNS = {
    "Add": (gemm,),
    "Conv": (pad_into_conv,),
    "MatMul": (gather_matmul,),
    "PRelu": (prelu,),
    "Pad": (negative_pads,),
    "ReduceMean": (global_average,),
    "Squeeze": (squeeze_axes,),
}
