"""Random small float models: images through convolutions and whatever exporters put between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Draw = Callable[[st.SearchStrategy[Any]], Any]
Shape = tuple[int, ...]


class Builder:
    """A model that grows: tensors with their shapes, of which each step reads one or two and adds another."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[NodeProto] = []
        self.constants: list[tuple[str, NDArray[Any]]] = []
        self.shapes: dict[str, Shape] = {"x": (1, draw(st.sampled_from((1, 2, 4))), 6, 5)}

    def choose(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def constant(self, values: Any, kind: type = np.float32) -> str:
        """A constant as an initializer, or as a Constant node, or as something that is computed from one."""
        name = f"c{len(self.constants) + len(self.nodes)}"
        array: NDArray[Any] = np.asarray(values, kind)
        match self.choose("initializer", "initializer", "node", "computed"):
            case "initializer":
                self.constants.append((name, array))
            case "node":
                tensor = numpy_helper.from_array(array)
                self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
            case _:
                self.constants.append((f"{name}_raw", array))
                self.nodes.append(helper.make_node("Identity", [f"{name}_raw"], [name]))
        return name

    def normal(self, *shape: int) -> NDArray[Any]:
        return self.rng.standard_normal(shape).astype(np.float32)

    def add(self, kind: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        self.shapes[name] = shape
        return name

    def image(self) -> str:
        """A tensor that exists, with four axes; mostly the newest."""
        images = [name for name, shape in self.shapes.items() if len(shape) == 4 and min(shape) > 0]
        return images[-1] if self.draw(st.booleans()) else str(self.choose(*images))

    def model(self) -> ModelProto:
        """All that nobody reads, or some of it, and perhaps a tensor that is read, are the outputs."""
        read = {name for node in self.nodes for name in node.input}
        unread = [name for name in self.shapes if name not in read and name != "x"]
        outputs = [*unread[len(unread) // 2 :], *self.draw(st.sets(st.sampled_from(sorted(self.shapes)), max_size=2))]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shapes["x"])]
        constants = [numpy_helper.from_array(values, name) for name, values in self.constants]
        if self.draw(st.booleans()):
            inputs += [helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in constants]
        graph = helper.make_graph(
            self.nodes, "random", inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(outputs or ["x"])],
            constants,
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def conv(b: Builder) -> str:
    x = b.image()
    _, channels, height, width = b.shapes[x]
    groups = b.choose(1, channels)
    out = groups * b.choose(1, 2)
    size = b.choose(*(k for k in (1, 2, 3) if k <= min(height, width)))
    inputs = [x, b.constant(b.normal(out, channels // groups, size, size) * 0.5)]
    if b.draw(st.booleans()):
        inputs.append(b.constant(b.normal(out)))
    return b.add("Conv", inputs, (1, out, height - size + 1, width - size + 1), group=groups)


def conv_transpose(b: Builder) -> str:
    x = b.image()
    _, channels, height, width = b.shapes[x]
    groups, each, stride = b.choose(1, channels), b.choose(1, 2), b.choose(1, 2)
    inputs = [x, b.constant(b.normal(channels, each, 2, 2) * 0.5)]
    if b.draw(st.booleans()):
        inputs.append(b.constant(b.normal(groups * each)))
    shape = (1, groups * each, (height - 1) * stride + 2, (width - 1) * stride + 2)
    return b.add("ConvTranspose", inputs, shape, group=groups, strides=[stride, stride])


def batch_norm(b: Builder) -> str:
    x = b.image()
    channels = b.shapes[x][1]
    spread = b.rng.uniform(0.5, 2, (2, channels))
    parameters = [spread[0], b.normal(channels), b.normal(channels), spread[1]]
    return b.add("BatchNormalization", [x, *(b.constant(each) for each in parameters)], b.shapes[x])


def arithmetic(b: Builder) -> str:
    x = b.image()
    shape = b.shapes[x]
    kind = b.choose("Add", "Sub", "Mul", "Div")
    form = b.choose((), (1,), (shape[1], 1, 1), (1, shape[1], 1, 1), shape[2:], shape)
    values = b.choose(np.full(form, 1.0), np.full(form, 0.0), b.rng.uniform(0.5, 2, form))
    inputs = [x, b.constant(np.ones(form) if kind == "Div" and not values.all() else values)]
    return b.add(kind, inputs if kind == "Div" else list(b.draw(st.permutations(inputs))), shape)


def add_tensors(b: Builder) -> str:
    x = b.image()
    same = [name for name, shape in b.shapes.items() if shape == b.shapes[x]]
    return b.add("Add", [x, str(b.choose(*same))], b.shapes[x])


def activation(b: Builder) -> str:
    x = b.image()
    return b.add(b.choose("Relu", "Sigmoid", "Identity", "Dropout", "LeakyRelu"), [x], b.shapes[x])


def prelu(b: Builder) -> str:
    x = b.image()
    channels = b.shapes[x][1]
    slope = b.constant(b.normal(channels, 1, 1))
    if b.draw(st.booleans()):
        mean = b.add("GlobalAveragePool", [x], (1, channels, 1, 1))
        slope = b.add("Mul", [mean, slope], (1, channels, 1, 1))
    return b.add("PRelu", [x, slope], b.shapes[x])


def pad(b: Builder) -> str:
    x = b.image()
    shape = b.shapes[x]
    pads = [[0, 0], [0, b.choose(0, 0, 1, -1) if shape[1] > 1 else 0]]
    pads += [[b.choose(0, 1, 2, -1, -2), b.choose(0, 1, -1)] for _ in range(2)]
    grown = tuple(size + sum(pair) for size, pair in zip(shape, pads))
    cropped = [size + sum(min(each, 0) for each in pair) for size, pair in zip(shape, pads)]
    if min(cropped) < 3 and min(cropped[2:]) < 3:
        return x
    inputs = [x, b.constant([pair[end] for end in (0, 1) for pair in pads], np.int64)]
    mode = b.choose("constant", "edge", "reflect") if pads[1][1] <= 0 else "constant"
    if b.draw(st.booleans()) and mode == "constant":
        inputs.append(b.constant(b.choose(0, 0.5)))
    return b.add("Pad", inputs, grown, mode=mode)


def reshaped(b: Builder) -> str:
    """Through a matrix and back, by arithmetic with the shape."""
    x = b.image()
    shape = b.shapes[x]
    dims = b.add("Shape", [x], (4,))
    first = b.add("Slice", [dims, b.constant([0], np.int64), b.constant([2], np.int64)], (2,))
    target = b.add("Concat", [first, b.constant([-1], np.int64)], (3,), axis=0)
    flat = b.add("Reshape", [x, target], (1, shape[1], shape[2] * shape[3]))
    for name in (dims, first, target):
        del b.shapes[name]
    return b.add("Reshape", [flat, b.constant(shape, np.int64)], shape)


def transposed(b: Builder) -> str:
    x = b.image()
    shape = b.shapes[x]
    order = [0, *b.draw(st.permutations((1, 2, 3)))]
    turned = b.add("Transpose", [x], tuple(shape[axis] for axis in order), perm=order)
    return b.add("Transpose", [turned], shape, perm=[int(axis) for axis in np.argsort(order)])


def squeezed(b: Builder) -> str:
    x = b.image()
    shape = b.shapes[x]
    axes = b.constant([0], np.int64)
    return b.add("Unsqueeze", [b.add("Squeeze", [x, axes], shape[1:]), axes], shape)


def pooled(b: Builder) -> str:
    x = b.image()
    _, channels, height, width = b.shapes[x]
    size = b.choose(*(k for k in (1, 2, 3) if k <= min(height, width)))
    kind = b.choose("MaxPool", "AveragePool")
    return b.add(kind, [x], (1, channels, height - size + 1, width - size + 1), kernel_shape=[size, size])


def dense(b: Builder) -> str:
    x = b.image()
    _, channels, height, width = b.shapes[x]
    count = channels * height * width
    flat = b.add("Flatten", [x], (1, count))
    product = b.add("MatMul", [flat, b.constant(b.normal(count, 3) / count)], (1, 3))
    total = b.add("Add", [b.constant(b.normal(3)), product], (1, 3))
    scaled = b.add("Mul", [total, b.constant(b.normal(1, 3))], (1, 3))
    return b.add("Reshape", [scaled, b.constant([1, 3, 1, 1], np.int64)], (1, 3, 1, 1))


def concatenated(b: Builder) -> str:
    x = b.image()
    same = [name for name, shape in b.shapes.items() if len(shape) == 4 and shape[2:] == b.shapes[x][2:]]
    parts = [x, *b.draw(st.lists(st.sampled_from(same), max_size=2))]
    return b.add("Concat", parts, (1, sum(b.shapes[name][1] for name in parts), *b.shapes[x][2:]), axis=1)


def branch(b: Builder) -> str:
    """A condition, known or not, and branches that read what is outside."""
    x = b.image()
    outer = [name for name, shape in b.shapes.items() if shape == b.shapes[x]]
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, b.shapes[x])
    bodies = [
        helper.make_graph([helper.make_node("Mul", [x, str(b.choose(*outer))], ["r"])], "then", [], [result]),
        helper.make_graph([helper.make_node("Neg", [x], ["n"]), helper.make_node("Exp", ["n"], ["e"]),
                           helper.make_node("Min", ["e", x], ["r"])], "else", [], [result]),
    ]  # fmt: skip
    if b.draw(st.booleans()):
        condition = b.constant(b.draw(st.booleans()), np.bool_)
    else:
        total = b.add("ReduceSum", [x], (), keepdims=0)
        condition = b.add("Greater", [total, b.constant(0.0)], ())
        del b.shapes[total], b.shapes[condition]
    return b.add("If", [condition], b.shapes[x], then_branch=bodies[0], else_branch=bodies[1])


STEPS = (
    conv, conv, conv_transpose, batch_norm, batch_norm, arithmetic, arithmetic, add_tensors, activation, prelu, pad,
    reshaped, transposed, squeezed, pooled, dense, concatenated, branch,
)  # fmt: skip


@st.composite
def models(draw: Draw) -> ModelProto:
    """A model of up to ten steps."""
    builder = Builder(draw)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=10)):
        step(builder)
    return builder.model()
