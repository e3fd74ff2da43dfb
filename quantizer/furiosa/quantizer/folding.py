"""BatchNormalization, and additions and factors that are constant for each channel, become part of their neighbours."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from furiosa.quantizer.graph import Array, FloatGraph, attribute
from furiosa.quantizer.names import Names
from furiosa.quantizer.preparing import drop_unused, replace_nodes
from furiosa.quantizer.products import WEIGHTS, Product, per_channel, read_product


@dataclass(frozen=True, slots=True)
class Affine:
    """y = x * scale + offset, with one value for each channel, or one in all; in float64."""

    scale: Array
    offset: Array

    def then(self, after: Affine) -> Affine:
        """Both, this one first."""
        return Affine(self.scale * after.scale, self.offset * after.scale + after.offset)


def fold_affine(model: ModelProto, stays: Collection[str] = ()) -> None:
    """Fold into products what follows them; other rows of affine nodes become one BatchNormalization. Edits ``model``.

    Each quantized result rounds: one operator rounds once. It has the name of the row's first node, and its result the
    name of the last's. Nodes that ``stays`` names are folded only into a product that it names, too.
    """
    folding = _Folding(model, stays)
    for node in folding.graph.nodes:
        if node.name not in folding.gone:
            folding.visit(node)
    kept = (folding.changed.get(node.name, node) for node in folding.graph.nodes if node.name not in folding.gone)
    replace_nodes(model.graph, kept)
    drop_unused(model.graph)


class _Folding:
    """The graph as it is, the nodes that change, and those that go."""

    def __init__(self, model: ModelProto, stays: Collection[str]) -> None:
        self.model, self.stays = model, stays
        self.graph, self.names = FloatGraph(model), Names(model.graph)
        self.changed: dict[str, NodeProto] = {}
        self.gone: set[str] = set()

    def visit(self, node: NodeProto) -> None:
        """Let a node take in the affine nodes behind it, if there are any that it can."""
        product = read_product(self.graph, node)
        row, new = self._into_product(product) if product is not None else self._into_normalization(node)
        if row:
            new.output.append(row[-1].output[0])
            self.changed[node.name] = new
            self.gone.update(each.name for each in row)

    def _into_product(self, product: Product) -> tuple[list[NodeProto], NodeProto]:
        """The product's node with new constants."""
        row: list[NodeProto] = []
        for node, affine in self._behind(product.node, product.rank, product.result_axis, product.channels):
            folded = product.then(affine.scale, affine.offset)
            if folded is None:
                break
            row.append(node)
            product = folded
        new = NodeProto()
        new.CopyFrom(product.node)
        del new.input[WEIGHTS:], new.output[:]
        if row:
            given = (*filter(None, product.node.input[WEIGHTS:]), f"{new.name}_bias")
            constants = (product.weights, product.bias)
            new.input.extend(self._constant(v, f"{n}_folded") for v, n in zip(constants, given) if v is not None)
        return row, new

    def _into_normalization(self, node: NodeProto) -> tuple[list[NodeProto], NodeProto]:
        """One BatchNormalization for a row of affine nodes over the second axis."""
        new = NodeProto(op_type="BatchNormalization", name=node.name)
        shape, data = self.graph.shape(node.output[0]), _data(self.graph, node)
        if shape is None or len(shape) < 2 or shape[1] < 1 or data not in self.graph.data:
            return [], new
        total = _affine(self.graph, node, data, len(shape), 1, shape[1])
        if total is None or self.graph.shape(data) != shape or node.name in self.stays:
            return [], new
        row: list[NodeProto] = []
        for reader, affine in self._behind(node, len(shape), 1, shape[1]):
            row.append(reader)
            total = total.then(affine)
        scale, offset = (np.broadcast_to(v, (shape[1],)).astype(np.float32) for v in (total.scale, total.offset))
        if not row or not (np.isfinite(scale).all() and np.isfinite(offset).all()):
            return [], new
        new.attribute.append(helper.make_attribute("epsilon", 0.0))
        new.input.append(data)
        for kind, value in (("scale", scale), ("bias", offset), ("mean", scale * 0), ("variance", scale * 0 + 1)):
            new.input.append(self._constant(value, f"{node.name}_{kind}"))
        return row, new

    def _behind(
        self, node: NodeProto, rank: int | None, axis: int, channels: int
    ) -> Iterator[tuple[NodeProto, Affine]]:
        """The affine nodes behind a node, each the only reader of the one before."""
        first = node
        while (reader := self.graph.only_reader(node.output[0])) is not None and rank is not None:
            affine = _affine(self.graph, reader, node.output[0], rank, axis, channels)
            if affine is None or (reader.name in self.stays and first.name not in self.stays):
                return
            yield reader, affine
            node = reader

    def _constant(self, value: Array, like: str) -> str:
        name = self.names.fresh(like)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _data(graph: FloatGraph, node: NodeProto) -> str | None:
    """The only computed operand of a node."""
    computed = [name for name in node.input if name and name not in graph.constants]
    return computed[0] if len(computed) == 1 else None


def _affine(graph: FloatGraph, node: NodeProto, data: str, rank: int, axis: int, channels: int) -> Affine | None:
    """What a node does to each channel of ``data``; None when it is something else."""
    if node.domain or _data(graph, node) != data:
        return None
    if node.op_type == "BatchNormalization":
        return _statistics(graph, node) if axis % rank == 1 else None
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    index = 1 if node.input[0] == data else 0
    constant = graph.array(node.input[index])
    if constant is None or constant.dtype != np.float32:
        return None
    values = per_channel(constant, rank, axis, channels)
    if values is None or (node.op_type == "Div" and (index == 0 or not values.all())):
        return None
    values = values.astype(np.float64)
    one, zero = np.ones(1), np.zeros(1)
    return {
        "Add": Affine(one, values),
        "Sub": Affine(one, -values) if index == 1 else Affine(-one, values),
        "Mul": Affine(values, zero),
        "Div": Affine(1 / np.where(values == 0, 1, values), zero),
    }[node.op_type]


def _statistics(graph: FloatGraph, node: NodeProto) -> Affine | None:
    """scale = gamma / sqrt(variance + epsilon), offset = beta - mean * scale."""
    given = [graph.array(name) for name in node.input[1:5]]
    if attribute(node, "training_mode", 0) or any(graph.readers.get(name) for name in node.output[1:]):
        return None
    if any(value is None for value in given):
        return None
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in given)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    offset = beta - mean * scale
    return Affine(scale, offset) if np.isfinite(scale).all() and np.isfinite(offset).all() else None
