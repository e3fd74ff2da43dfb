"""Operators that say the same in another form in an older opset, one function each.

A function takes the graph, the node and the older opset; it may change the node. It raises ConversionError when there
is no other form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from furiosa.optimizer.failures import ConversionError
from furiosa.optimizer.graph import Graph, attribute, take

_END = np.iinfo(np.int64).max


def refusal(node: NodeProto, opset: int, reason: str) -> ConversionError:
    """The error for a node that cannot be expressed in an older opset."""
    return ConversionError(f"operator `{node.op_type}` cannot be expressed in opset {opset}: {reason}",
                           where=f"node `{node.name or node.output[0]}`",
                           hint=f"export the model with opset_version={opset}, or replace the operator")  # fmt: skip


def _given(node: NodeProto, index: int) -> str:
    """The name of an input; empty when it is left out."""
    return node.input[index] if len(node.input) > index else ""


def _vector(graph: Graph, values: object, node: NodeProto, name: str) -> str:
    return graph.add_constant(np.array(values, np.int64), f"{node.output[0]}_{name}")


def axes_attribute(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """Axes were an attribute: of ReduceSum, Squeeze and Unsqueeze before opset 13, of other reductions before 18."""
    if opset >= 13 and node.op_type in ("ReduceSum", "Squeeze", "Unsqueeze"):
        return [node]
    axes = graph.integers(_given(node, 1)) if _given(node, 1) else []
    if axes is None:
        raise refusal(node, opset, "its axes are computed")
    if take(node, "noop_with_empty_axes", 0) and not axes:
        return [helper.make_node("Identity", node.input[:1], node.output)]
    del node.input[1:]
    if axes:
        node.attribute.append(helper.make_attribute("axes", axes))
    return [node]


def layer_normalization(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, the variance as the mean of squared differences.

    The standard's own definition subtracts two numbers that may be large and nearly equal to get the variance.
    """
    x, scale, bias = node.input[0], node.input[1], _given(node, 2)
    axis, shape, element = attribute(node, "axis", -1), graph.shape(x), graph.element(x)
    if (axis >= 0 and shape is None) or element not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        raise refusal(node, opset, "its input must be a tensor of float32 or float16, of known rank")
    axes = list(range(axis, 0) if axis < 0 else range(axis, len(shape or ())))
    epsilon = graph.add_constant(np.array(attribute(node, "epsilon", 1e-5), np.float32), f"{node.output[0]}_epsilon")
    y, mean, inverse = (*node.output, "", "")[:3]
    nodes: list[NodeProto] = []

    def add(kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or graph.fresh(f"{y}_{kind.lower()}")
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    half = element == TensorProto.FLOAT16  # the statistics are float32 all the same
    wide = add("Cast", x, to=TensorProto.FLOAT) if half else x
    mean = add("ReduceMean", wide, name=mean, axes=axes)
    difference = add("Sub", wide, mean)
    variance = add("ReduceMean", add("Mul", difference, difference), axes=axes)
    deviation = add("Sqrt", add("Add", variance, epsilon))
    normal = add("Div", difference, deviation)
    normal = add("Cast", normal, to=element) if half else normal
    add("Mul", normal, scale, name="" if bias else y)
    if bias:
        add("Add", nodes[-1].output[0], bias, name=y)
    if inverse:
        add("Reciprocal", deviation, name=inverse)
    return nodes


def pad(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """Pads were given for all axes before opset 18."""
    if attribute(node, "mode") == b"wrap":
        raise refusal(node, opset, "its mode `wrap` does not exist there")
    if _given(node, 3):
        pads, axes, shape = graph.integers(node.input[1]), graph.integers(node.input[3]), graph.shape(node.input[0])
        if pads is None or axes is None or shape is None:
            raise refusal(node, opset, "its pads are computed")
        whole = np.zeros((2, len(shape)), np.int64)
        whole[:, axes] = np.reshape(pads, (2, -1))
        node.input[1] = _vector(graph, whole.ravel(), node, "pads")
    del node.input[3:]
    return [node]


def reshape(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """A 0 in the target always copied the input's axis before opset 14."""
    if take(node, "allowzero", 0):
        shape = graph.shape(node.output[0])
        if shape is None or 0 in shape:
            raise refusal(node, opset, "its attribute `allowzero` does not exist there")
        node.input[1] = _vector(graph, shape, node, "shape")
    return [node]


def resize(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """Scales or sizes were given for all axes before opset 18; no operand could be left out before 13."""
    mode = attribute(node, "coordinate_transformation_mode", b"half_pixel")
    if mode == b"half_pixel_symmetric":
        raise refusal(node, opset, "its mode `half_pixel_symmetric` does not exist there")
    roi, scales, sizes = (_given(node, index) for index in (1, 2, 3))
    axes, shape = take(node, "axes"), graph.shape(node.input[0])
    if axes:
        values = graph.array(sizes or scales)
        if shape is None or values is None or mode == b"tf_crop_and_resize":
            raise refusal(node, opset, "its sizes are computed, or it crops")
        whole = np.array(shape, np.int64) if sizes else np.ones(len(shape), np.float32)
        whole[list(axes)] = values
        roi, name = "", graph.add_constant(whole, f"{node.output[0]}_whole")
        scales, sizes = ("", name) if sizes else (name, "")
    if opset < 13:
        empty = "" if roi and scales else graph.add_constant(np.zeros(0, np.float32), f"{node.output[0]}_empty")
        roi, scales = roi or empty, scales or empty
    del node.input[1:]
    node.input.extend([roi, scales, sizes] if sizes else [roi, scales])
    return [node]


def roi_align(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """Coordinates were not shifted by half a pixel before opset 16."""
    if take(node, "coordinate_transformation_mode", b"half_pixel") != b"output_half_pixel":
        raise refusal(node, opset, "its mode `half_pixel` does not exist there")
    return [node]


def shape_part(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """A part of the shape was a slice of it before opset 15."""
    bounds = take(node, "start", 0), take(node, "end", _END)
    if bounds == (0, _END):
        return [node]
    whole = graph.fresh(f"{node.output[0]}_whole")
    ends = [_vector(graph, [bound], node, "bound") for bound in bounds]
    return [helper.make_node("Shape", node.input, [whole]), helper.make_node("Slice", [whole, *ends], node.output)]


def softmax(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """Before opset 13 it worked on all axes from ``axis`` on together: the one axis must be the last."""
    if opset >= 13:
        return [node]
    shape = graph.shape(node.input[0])
    if shape is None:
        raise refusal(node, opset, "the rank of its input is not known")
    last = len(shape) - 1
    axis = take(node, "axis", -1) % len(shape)
    node.attribute.append(helper.make_attribute("axis", last))
    if axis == last:
        return [node]
    order = list(range(len(shape)))
    order[axis], order[last] = last, axis
    turned, done = graph.fresh(f"{node.output[0]}_turned"), graph.fresh(f"{node.output[0]}_done")
    turn = helper.make_node("Transpose", node.input, [turned], perm=order)
    back = helper.make_node("Transpose", [done], node.output, perm=order)
    node.input[0], node.output[0] = turned, done
    return [turn, node, back]


def split(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """Parts that are not equal were given by their sizes before opset 18, which were an attribute before 13."""
    counted, given = take(node, "num_outputs"), _given(node, 1)
    shapes = [graph.shape(name) for name in node.output]
    axis = attribute(node, "axis", 0)
    sizes = graph.integers(given) if given else [shape[axis] for shape in shapes if shape]
    if (opset < 13 or counted) and (sizes is None or len(sizes) < len(node.output)):
        raise refusal(node, opset, "the sizes of its parts are not known")
    if opset < 13:
        del node.input[1:]
        node.attribute.append(helper.make_attribute("split", sizes))
    elif counted:
        node.input[:] = [node.input[0], _vector(graph, sizes, node, "sizes")]
    return [node]


def per_tensor(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """One scale for all channels was all there was before opset 13."""
    if opset < 13 and graph.shape(node.input[1]) != ():
        raise refusal(node, opset, "it has a scale for each channel")
    if opset < 13:
        take(node, "axis")
    return [node]


Counterpart = Callable[[Graph, NodeProto, int], list[NodeProto]]
COUNTERPARTS: dict[str, Counterpart] = {
    "DequantizeLinear": per_tensor,
    "Hardmax": softmax,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": softmax,
    "Pad": pad,
    "QuantizeLinear": per_tensor,
    "ReduceL1": axes_attribute,
    "ReduceL2": axes_attribute,
    "ReduceLogSum": axes_attribute,
    "ReduceLogSumExp": axes_attribute,
    "ReduceMax": axes_attribute,
    "ReduceMean": axes_attribute,
    "ReduceMin": axes_attribute,
    "ReduceProd": axes_attribute,
    "ReduceSum": axes_attribute,
    "ReduceSumSquare": axes_attribute,
    "Reshape": reshape,
    "Resize": resize,
    "RoiAlign": roi_align,
    "Shape": shape_part,
    "Softmax": softmax,
    "Split": split,
    "Squeeze": axes_attribute,
    "Unsqueeze": axes_attribute,
}
