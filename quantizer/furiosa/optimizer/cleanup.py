"""Rewrites that remove what does nothing. Each keeps the values exactly."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from furiosa.optimizer.graph import attribute
from furiosa.optimizer.rewrite import View
from furiosa.optimizer.scopes import own_names, rename

RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
"""Operators that change nothing but the shape."""
_NEUTRAL = {"Add": 0, "Div": 1, "Mul": 1, "Pow": 1, "Sub": 0}
_COMMUTATIVE = ("Add", "Mul")


def same(view: View, node: NodeProto) -> str:
    """identity(x) = x"""
    return str(node.input[0])


def dropout(view: View, node: NodeProto) -> str | None:
    """Dropout passes x on, unless it trains or its mask is read"""
    training = view.graph.integers(node.input[2]) if len(node.input) > 2 and node.input[2] else [0]
    return str(node.input[0]) if training == [0] and not view.reads(*node.output[1:]) else None


def single(view: View, node: NodeProto) -> str | None:
    """concat(x) = sum(x) = max(x) = x"""
    return str(node.input[0]) if len(node.input) == 1 else None


def same_type(view: View, node: NodeProto) -> str | None:
    """cast(x) = x to the type that x has"""
    return str(node.input[0]) if view.graph.element(node.input[0]) == attribute(node, "to") else None


def same_shape(view: View, node: NodeProto) -> str | None:
    """reshape(x) = expand(x) = x when the shape stays the same"""
    return str(node.input[0]) if _keeps_shape(view, node) else None


def _keeps_shape(view: View, node: NodeProto, index: int = 0) -> bool:
    shape = view.graph.shape(node.input[index])
    return shape is not None and shape == view.graph.shape(node.output[0])


def whole_slice(view: View, node: NodeProto) -> str | None:
    """slice(x) = x when it begins at the beginning, leaves nothing out and turns nothing round"""
    steps = view.graph.integers(node.input[4]) if len(node.input) > 4 and node.input[4] else [1]
    return str(node.input[0]) if steps is not None and min(steps) > 0 and _keeps_shape(view, node) else None


def one_element(view: View, node: NodeProto) -> str | None:
    """pool(x) = x where each window is one element"""
    sizes = [*attribute(node, "kernel_shape"), *attribute(node, "strides", [])]
    return str(node.input[0]) if set(sizes) == {1} and len(node.output) == 1 and _keeps_shape(view, node) else None


def same_order(view: View, node: NodeProto) -> str | None:
    """transpose(x) = x when every axis stays where it is"""
    order = attribute(node, "perm")
    return str(node.input[0]) if order is not None and list(order) == sorted(order) else None


def neutral_operand(view: View, node: NodeProto) -> str | None:
    """x + 0 = x - 0 = x * 1 = x / 1 = x ** 1 = x"""
    for index in (0, 1) if node.op_type in _COMMUTATIVE else (0,):
        values = view.graph.array(node.input[1 - index])
        if values is not None and np.all(values == _NEUTRAL[node.op_type]) and _keeps_shape(view, node, index):
            return str(node.input[index])
    return None


def two_reshapes(view: View, node: NodeProto) -> list[NodeProto] | None:
    """reshape(reshape(x)) = reshape(x)"""
    first = view.producer(node.input[0], *RESHAPES)
    shape = view.graph.shape(node.output[0])
    if first is None or shape is None or 0 in shape or view.reads(node.input[0]) > 1:
        return None
    target = view.graph.add_constant(np.array(shape, np.int64), f"{node.output[0]}_shape")
    return [helper.make_node("Reshape", [first.input[0], target], node.output)]


def two_transposes(view: View, node: NodeProto) -> list[NodeProto] | None:
    """transpose(transpose(x)) = transpose(x)"""
    first = view.producer(node.input[0], "Transpose")
    orders = [attribute(each, "perm") for each in (first, node) if each is not None]
    if first is None or None in orders or view.reads(node.input[0]) > 1:
        return None
    order = [orders[0][axis] for axis in orders[1]]
    return [helper.make_node("Transpose", first.input, node.output, perm=order)]


def unread_outputs(view: View, node: NodeProto) -> list[NodeProto] | None:
    """max_pool(x) has no second result when nobody reads it"""
    if len(node.output) == 1 or view.reads(*node.output[1:]):
        return None
    new = NodeProto()
    new.CopyFrom(node)
    del new.output[1:]
    return [new]


def known_branch(view: View, node: NodeProto) -> list[NodeProto] | None:
    """if(true) is its first branch"""
    condition = view.graph.array(node.input[0])
    if condition is None:
        return None
    branch = attribute(node, "then_branch" if condition.item() else "else_branch")
    names = {name: view.graph.fresh(f"{node.output[0]}_{name}") for name in sorted(own_names(branch))}
    for tensor in branch.initializer:
        view.graph.constants[names[tensor.name]] = tensor
    nodes = [NodeProto.FromString(inner.SerializeToString()) for inner in branch.node]
    for inner in nodes:
        rename(inner, names)
    ends = zip(branch.output, node.output)
    return nodes + [helper.make_node("Identity", [names[value.name]], [result]) for value, result in ends if result]


CLEANUP = {
    "AveragePool": (one_element,),
    "Cast": (same_type,),
    "Concat": (single,),
    "Dropout": (dropout, unread_outputs),
    "Expand": (same_shape,),
    "Flatten": (same_shape, two_reshapes),
    "Identity": (same,),
    "If": (known_branch,),
    "Max": (single,),
    "MaxPool": (unread_outputs, one_element),
    "Mean": (single,),
    "Min": (single,),
    "Reshape": (same_shape, two_reshapes),
    "Slice": (whole_slice,),
    "Squeeze": (same_shape, two_reshapes),
    "Sum": (single,),
    "Tile": (same_shape,),
    "Transpose": (same_order, two_transposes),
    "Unsqueeze": (same_shape, two_reshapes),
    **dict.fromkeys(_NEUTRAL, (neutral_operand,)),
}
