"""Several ways to write one thing become that one which has an int8 form. No value changes but by float32 rounding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from furiosa.quantizer.floatparts import float_parts
from furiosa.quantizer.gelu import written_gelu
from furiosa.quantizer.graph import Array, FloatGraph, attribute
from furiosa.quantizer.names import Names, subgraphs
from furiosa.quantizer.preparing import drop_unused, replace_nodes
from furiosa.quantizer.products import BIAS, WEIGHTS, read_product
from furiosa.quantizer.schemes import MICROSOFT_DOMAIN

_TINY = 1e-6


def canonicalize(model: ModelProto, stays: Collection[str] = ()) -> None:
    """Apply `FORMS` to every node, after those that pass a tensor on are gone. Edits ``model``.

    Nodes that ``stays`` names do not become a part of another one.
    """
    _bypass(model)
    writer = _Writer(model, stays)
    replace_nodes(model.graph, [new for node in writer.graph.nodes for new in writer.formed(node)])
    drop_unused(model.graph)


class _Writer:
    """What the forms need: the graph as it is, and constants to be added to it."""

    def __init__(self, model: ModelProto, stays: Collection[str]) -> None:
        self.model, self.graph, self.names, self.stays = model, FloatGraph(model), Names(model.graph), stays
        self.floats = float_parts(self.graph)

    def formed(self, node: NodeProto) -> list[NodeProto]:
        """The nodes in place of one: what the first form that fits gives, or itself."""
        forms = FORMS.get(node.op_type, ()) if not node.domain else ()
        return next((made for form in forms if (made := form(self, node))), [node])

    def needs(self, domain: str) -> None:
        """Let the model have the operators of a domain."""
        if domain not in {item.domain for item in self.model.opset_import}:
            self.model.opset_import.append(helper.make_opsetid(domain, 1))

    def constant(self, value: Array, like: str) -> str:
        """The name of a new initializer, made from that of the tensor it stems from."""
        name = self.names.fresh(like)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _bypass(model: ModelProto) -> None:
    """Readers of a node that changes nothing read what it reads."""
    graph = FloatGraph(model)
    results = set(graph.outputs)
    names: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        idle = not node.domain and not results.intersection(node.output) and _changes_nothing(graph, node)
        rename_inputs(node, names)
        if idle:
            names[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    replace_nodes(model.graph, kept)


def _changes_nothing(graph: FloatGraph, node: NodeProto) -> bool:
    """An Identity; a Dropout that does not train; what moves elements to where they are."""
    if node.op_type == "Identity":
        return True
    if any(graph.readers.get(name) or name in graph.captured for name in node.output[1:]):
        return False
    if node.op_type == "Dropout":
        training = graph.array(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1)
        return training is not None and not training.any()
    shape = graph.shape(node.input[0]) if node.input else None
    if shape is None or shape != graph.shape(node.output[0]) or min(shape, default=1) < 0:
        return False
    if node.op_type == "Slice":
        steps = graph.array(node.input[4]) if len(node.input) > 4 and node.input[4] else np.ones(1)
        return steps is not None and bool((steps > 0).all())
    if node.op_type == "Pad":
        pads = graph.array(node.input[1])
        return pads is not None and not pads.any()
    return node.op_type in ("Expand", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


def rename_inputs(node: NodeProto, names: Mapping[str, str]) -> None:
    """Let a node, subgraphs included, read other tensors."""
    for index, name in enumerate(node.input):
        if name in names:
            node.input[index] = names[name]
    for graph in subgraphs(node):
        for inner in graph.node:
            rename_inputs(inner, names)
        for value in graph.output:
            value.name = names.get(value.name, value.name)


def _product_of_two_axes(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """MatMul(x, w) of matrices is Gemm(x, w), which takes a bias"""
    shape, product = writer.graph.shape(node.input[0]), read_product(writer.graph, node)
    if product is None or shape is None or len(shape) != 2 or product.weights.ndim != 2:
        return None
    return [helper.make_node("Gemm", node.input, node.output, name=node.name)]


def _factors_of_gemm(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """alpha * x @ w + beta * c is x @ (alpha * w) + (beta * c)"""
    product = read_product(writer.graph, node)
    factors = {WEIGHTS: attribute(node, "alpha", 1.0), BIAS: attribute(node, "beta", 1.0)}
    if product is None or set(factors.values()) == {1.0}:
        return None
    kept = {item.name: attribute(node, item.name) for item in node.attribute if item.name not in ("alpha", "beta")}
    inputs = list(node.input)
    for index, value in ((WEIGHTS, product.weights), (BIAS, product.bias)):
        if value is not None and factors[index] != 1.0:
            inputs[index] = writer.constant(value * np.float32(factors[index]), f"{inputs[index]}_scaled")
    return [helper.make_node("Gemm", inputs, node.output, name=node.name, **kept)]


def _quotient(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """x / c is x * (1 / c)"""
    divisor = writer.graph.array(node.input[1])
    if divisor is None or divisor.dtype != np.float32 or not divisor.all() or node.input[0] not in writer.graph.data:
        return None
    inverse = writer.constant(np.float32(1) / divisor, f"{node.input[1]}_inverse")
    return [helper.make_node("Mul", [node.input[0], inverse], node.output, name=node.name)]


def _normalized(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """x / max(||x||, bound), expanded or not, is LpNormalization(x) for a bound that no norm of int8 values is below

    The norm may be the root of the sum of squares and such a bound's square.
    """
    graph = writer.graph
    row, name = _chain(graph, node.input[1], ("Expand",), ("Clip", "Max"), ("ReduceL2", "Sqrt"))
    if row and row[-1].op_type == "Sqrt":
        rest, name = _chain(graph, name, ("Add", "Max"), ("ReduceSum", "ReduceSumSquare"))
        row += rest
    reduction = row[-1] if row else node
    if reduction.op_type == "ReduceSum":
        row, name = _through_square(graph, row, name)
    found = reduction.op_type in ("ReduceL2", "ReduceSum", "ReduceSumSquare") and name == node.input[0]
    if not found or any(part.name in writer.stays for part in (node, *row)):
        return None
    axes = graph.array(reduction.input[1]) if len(reduction.input) > 1 else attribute(reduction, "axes")
    if axes is None or len(axes) != 1 or not attribute(reduction, "keepdims", 1) or not _tiny_bounds(graph, row):
        return None
    return [helper.make_node("LpNormalization", [name], node.output, name=node.name, axis=int(axes[0]), p=2)]


def _chain(graph: FloatGraph, name: str, *kinds: tuple[str, ...]) -> tuple[list[NodeProto], str]:
    """The makers of a tensor, one of each of these kinds or none, and what the last of them is made of."""
    row = []
    for each in kinds:
        maker = graph.producers.get(name)
        if maker is not None and maker.op_type in each and not maker.domain:
            row.append(maker)
            name = next((operand for operand in maker.input if operand not in graph.constants), maker.input[0])
    return row, name


def _through_square(graph: FloatGraph, row: list[NodeProto], name: str) -> tuple[list[NodeProto], str]:
    """A row with x * x or x ** 2 at its end, and x; without when the tensor is another one."""
    square = graph.producers.get(name)
    if square is None or square.domain or square.op_type not in ("Mul", "Pow"):
        return row, ""
    power = graph.array(square.input[1])
    twice = square.input[0] == square.input[1] if square.op_type == "Mul" else power is not None and (power == 2).all()
    return ([*row, square], square.input[0]) if twice else (row, "")


def _tiny_bounds(graph: FloatGraph, row: list[NodeProto]) -> bool:
    """Whether no bound in the makers of a norm changes one of int8 values; under the root it is the square of one."""
    rooted = False
    for part in row:
        rooted = rooted or part.op_type == "Sqrt"
        given = part.input if part.op_type in ("Clip", "Max", "Add") else ()
        values = [graph.array(name) for name in given if name in graph.constants]
        if any(value is None or (value > (_TINY**2 if rooted else _TINY)).any() for value in values):
            return False
        if sum(bool(name) for name in given) - len(values) > 1:
            return False
    return True


def _mean_of_image(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """the mean over all axes behind the channels is GlobalAveragePool, flattened when the axes go"""
    shape = writer.graph.shape(node.input[0])
    given = writer.graph.array(node.input[1]) if len(node.input) > 1 else attribute(node, "axes")
    if shape is None or given is None or len(shape) < 3 or writer.graph.is_float(node.input[0]) is not True:
        return None
    if node.name in writer.floats:  # ONNX Runtime knows a layer normalization by its ReduceMean
        return None
    if {int(axis) % len(shape) for axis in given} != set(range(2, len(shape))):
        return None
    if attribute(node, "keepdims", 1):
        return [helper.make_node("GlobalAveragePool", node.input[:1], node.output, name=node.name)]
    pooled = writer.names.fresh(f"{node.output[0]}_pooled")
    return [
        helper.make_node("GlobalAveragePool", node.input[:1], [pooled], name=node.name),
        helper.make_node("Flatten", [pooled], node.output, name=writer.names.fresh(f"{node.name}_flatten"), axis=1),
    ]


def _one_slope(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """PRelu with one slope is LeakyRelu"""
    slope = writer.graph.array(node.input[1])
    if slope is None or slope.size != 1 or slope.dtype != np.float32:
        return None
    return [helper.make_node("LeakyRelu", node.input[:1], node.output, name=node.name, alpha=float(slope.reshape(())))]


def _sum_of_two(_: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """Sum(a, b) is Add(a, b)"""
    if len(node.input) != 2:
        return None
    return [helper.make_node("Add", node.input, node.output, name=node.name)]


def _expanded_operand(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """expand(a) + b is a + b when b has the shape of the result"""
    graph, inputs = writer.graph, list(node.input)
    whole = graph.shape(node.output[0])
    for index, name in enumerate(inputs):
        producer, others = graph.producers.get(name), inputs[:index] + inputs[index + 1 :]
        if producer is None or producer.op_type != "Expand" or producer.domain or not whole or min(whole) < 0:
            continue
        if any(graph.shape(other) == whole for other in others):
            inputs[index] = producer.input[0]
    if inputs == list(node.input):
        return None
    return [helper.make_node(node.op_type, inputs, node.output, name=node.name)]


def _whole_gelu(writer: _Writer, node: NodeProto) -> list[NodeProto] | None:
    """x * (1 + erf(x / sqrt(2))) / 2 is Gelu(x)"""
    found = written_gelu(writer.graph, node)
    if found is None or any(part.name in writer.stays for part in found[1]):
        return None
    writer.needs(MICROSOFT_DOMAIN)
    return [helper.make_node("Gelu", [found[0]], node.output, name=node.name, domain=MICROSOFT_DOMAIN)]


FORMS: dict[str, tuple[Callable[[_Writer, NodeProto], list[NodeProto] | None], ...]] = {
    "MatMul": (_product_of_two_axes,),
    "Gemm": (_factors_of_gemm,),
    "Div": (_quotient, _normalized),
    "ReduceMean": (_mean_of_image,),
    "PRelu": (_one_slope,), "Sum": (_sum_of_two,),
    "Mul": (_whole_gelu, _expanded_operand), "Add": (_expanded_operand,), "Sub": (_expanded_operand,),
}  # fmt: skip
"""What is tried for each operator, in this order."""
