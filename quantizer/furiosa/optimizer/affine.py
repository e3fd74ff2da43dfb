"""Multiplications and additions by channel go into the operator before them, where that has weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from onnx import NodeProto, helper

from furiosa.optimizer.graph import Array, attribute
from furiosa.optimizer.rewrite import View


class Affine(NamedTuple):
    """x * scale + shift; both have one number for all channels (axis 1 of ``x``), or one for each."""

    x: str
    scale: Array
    shift: Array


def batch_norm(view: View, node: NodeProto) -> Affine | None:
    """scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale, where nothing is learned any more"""
    parameters = [view.graph.array(name) for name in node.input[1:5]]
    if len(node.output) > 1 or any(values is None for values in parameters):
        return None
    gamma, beta, mean, variance = (np.asarray(values, np.float64) for values in parameters)
    with np.errstate(all="ignore"):  # what is not finite is refused later
        scale = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        return Affine(node.input[0], scale, beta - mean * scale)


def arithmetic(view: View, node: NodeProto) -> Affine | None:
    """x + c, x - c, c - x, x * c and x / c, where c is constant"""
    for index in (0, 1):
        x = node.input[index]
        c = _by_channel(view, x, node.input[1 - index])
        if c is None or view.graph.shape(x) != view.graph.shape(node.output[0]):
            continue
        one, zero = np.ones(1), np.zeros(1)
        match node.op_type, index:
            case "Add", _:
                return Affine(x, one, c)
            case "Sub", 0:
                return Affine(x, one, -c)
            case "Sub", _:
                return Affine(x, -one, c)
            case "Mul", _:
                return Affine(x, c, zero)
            case "Div", 0 if c.all():
                return Affine(x, 1 / c, zero)
    return None


def _by_channel(view: View, x: str, constant: str) -> Array | None:
    """The constant as a vector along axis 1 of ``x``; None when it varies along another axis."""
    values, shape = view.graph.array(constant), view.graph.shape(x)
    if values is None or shape is None or not 2 <= len(shape) >= values.ndim or values.dtype.kind != "f":
        return None
    aligned = (1,) * (len(shape) - values.ndim) + values.shape
    return values.ravel().astype(np.float64) if values.size == aligned[1] else None


def into_weights(view: View, node: NodeProto) -> list[NodeProto] | None:
    """linear(x) * scale + shift = linear'(x): the weights take the scale, the bias takes both"""
    affine = batch_norm(view, node) if node.op_type == "BatchNormalization" else arithmetic(view, node)
    linear = view.producer(affine.x, "Conv", "ConvTranspose", "Gemm") if affine else None
    if affine is None or linear is None or view.reads(affine.x) > 1:
        return None
    weights = view.graph.array(linear.input[1])
    biased = len(linear.input) > 2 and linear.input[2] != ""
    bias = view.graph.array(linear.input[2]) if biased else np.zeros(1)
    if weights is None or bias is None or weights.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        shift = bias * attribute(linear, "beta", 1.0) * affine.scale + affine.shift
        scaled = weights * _along_outputs(linear, weights, affine.scale)
    if not (np.isfinite(scaled).all() and np.isfinite(shift).all()):
        return None
    new = helper.make_node(linear.op_type, [linear.input[0]], node.output)
    new.attribute.extend(item for item in linear.attribute if item.name != "beta")
    new.input.append(view.graph.add_constant(scaled.astype(weights.dtype), f"{linear.input[1]}_fused"))
    if biased or shift.any():
        whole = shift if linear.op_type == "Gemm" else np.broadcast_to(shift, _outputs(linear, weights))
        new.input.append(view.graph.add_constant(whole.astype(weights.dtype), f"{node.output[0]}_bias_fused"))
    return [new]


def _outputs(linear: NodeProto, weights: Array) -> int:
    """How many channels a convolution has at its output."""
    if linear.op_type == "Conv":
        return int(weights.shape[0])
    return int(weights.shape[1] * attribute(linear, "group", 1))


def _along_outputs(linear: NodeProto, weights: Array, scale: Array) -> Array:
    """A factor for each output channel, shaped so that it multiplies the weights of that channel."""
    scale = scale.astype(np.promote_types(weights.dtype, np.float32))
    ones = (1,) * (weights.ndim - 2)
    if scale.size == 1:
        return scale.reshape(1, 1, *ones)
    match linear.op_type:
        case "Conv":
            return scale.reshape(-1, 1, *ones)
        case "ConvTranspose":  # a row for each input channel; those of one group share the output channels
            groups = attribute(linear, "group", 1)
            rows = np.repeat(scale.reshape(groups, -1), weights.shape[0] // groups, axis=0)
            return rows.reshape(*rows.shape, *ones)
    return scale.reshape(-1, 1) if attribute(linear, "transB", 0) else scale


def multiply_add(view: View, node: NodeProto) -> list[NodeProto] | None:
    """batch_norm(x) = x * scale + shift"""
    affine, shape = batch_norm(view, node), view.graph.shape(node.input[0])
    if affine is None or shape is None or len(shape) < 2:
        return None
    dtype = helper.tensor_dtype_to_np_dtype(view.graph.element(node.input[0]))
    values = [part.astype(dtype).reshape(-1, *(1,) * (len(shape) - 2)) for part in (affine.scale, affine.shift)]
    if not all(np.isfinite(part).all() for part in values):
        return None
    result = node.output[0]
    scale, shift = (view.graph.add_constant(part, f"{result}_{name}") for part, name in zip(values, ("scale", "shift")))
    product = view.graph.fresh(f"{result}_multiplied")
    return [
        helper.make_node("Mul", [affine.x, scale], [product]),
        helper.make_node("Add", [product, shift], [result]),
    ]


def multiply(view: View, node: NodeProto) -> list[NodeProto] | None:
    """x / c = x * (1 / c)"""
    values = view.graph.array(node.input[1])
    if values is None or values.dtype not in (np.float32, np.float64):
        return None
    with np.errstate(all="ignore"):
        factor = np.asarray(1 / values, values.dtype)
    if not (np.isfinite(factor).all() and factor.all()):
        return None
    constant = view.graph.add_constant(factor, f"{node.output[0]}_factor")
    return [helper.make_node("Mul", [node.input[0], constant], node.output)]


AFFINE = {
    "Add": (into_weights,),
    "BatchNormalization": (into_weights, multiply_add),
    "Div": (into_weights, multiply),
    "Mul": (into_weights,),
    "Sub": (into_weights,),
}
