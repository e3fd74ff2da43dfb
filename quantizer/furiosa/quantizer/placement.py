"""Which nodes compute on int8 and which stay float32, and where no quantization stands in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import NodeProto

from furiosa.quantizer.floatparts import float_parts
from furiosa.quantizer.graph import Array, FloatGraph, attribute
from furiosa.quantizer.products import Product, per_channel, read_product
from furiosa.quantizer.schemes import COMPUTED_PRODUCT, MICROSOFT, MICROSOFT_DOMAIN, SCHEMES, Kind, Scheme

Range = tuple[float, float]
_LOWEST = -1e30
_TABLES = ("Add", "Sub", "Mul")


@dataclass(frozen=True)
class Placement:
    """Settled by `place`; everything is found by the name of the node.

    ``schemes``: of the nodes that compute on int8. ``products`` among them, each with the bias that a later Add brings;
    ``biases``: that Add, and the product. ``raw``: results that are not quantized, because the Relu, Clip or bias
    behind them is computed together with them.
    """

    graph: FloatGraph
    schemes: dict[str, Scheme]
    products: dict[str, Product] = field(default_factory=dict)
    raw: set[str] = field(default_factory=set)
    biases: dict[str, str] = field(default_factory=dict)

    def operands(self, node: NodeProto) -> list[int]:
        """The positions of the operands that the node reads quantized, constants of products apart."""
        scheme = self.schemes.get(node.name)
        if scheme is None:
            return []
        positions = [
            index for index in (range(len(node.input)) if scheme.data is None else scheme.data)
            if index < len(node.input) and node.input[index] and node.input[index] not in self.raw
        ]  # fmt: skip
        return [index for index in positions if not self._stays_float(node, index)]

    def _stays_float(self, node: NodeProto, index: int) -> bool:
        """A constant that makes an Add, Sub or Mul a table for each channel, or is the bias of a product."""
        constant = self.graph.array(node.input[index])
        if constant is None:
            return False
        if node.name in self.biases:
            return True
        shape = self.graph.shape(node.input[1 - index]) if node.op_type in _TABLES else None
        if not shape or shape != self.graph.shape(node.output[0]):
            return False
        axis = min(1, len(shape) - 1)
        return per_channel(constant, len(shape), axis, shape[axis]) is not None

    def results(self, node: NodeProto) -> list[str]:
        """The results that the node gives quantized."""
        if node.name not in self.schemes:
            return []
        named = [name for name in node.output if name and self.graph.is_float(name) is not False]
        return [name for name in named[: _float_results(node)] if name not in self.raw]


def _float_results(node: NodeProto) -> int | None:
    """How many of a node's results are data: all parts of a Split, the first of others."""
    return None if node.op_type == "Split" else 1


def place(
    graph: FloatGraph, known: Mapping[str, Range], fixed: Mapping[str, Range], exclude: Collection[str]
) -> Placement:
    """Settle every node. ``known``: calibrated ranges, of tensors that are float32 where inference does not tell.

    ``fixed``: ranges that results of the model must have; ``exclude``: nodes that stay float32, by name.
    """
    stays = float_parts(graph) | set(exclude)
    placement = Placement(graph, {})
    for node in graph.nodes:
        scheme = None if node.name in stays else _scheme(graph, node, known, placement)
        if scheme is not None and _follows(placement, node, scheme) and _suits(scheme, node.output[0], known, fixed):
            placement.schemes[node.name] = scheme
    _drop_islands(placement)
    _drop_idle_moves(placement)
    for node in graph.nodes:
        _fuse(placement, node)
    return placement


def _scheme(graph: FloatGraph, node: NodeProto, known: Mapping[str, Range], placement: Placement) -> Scheme | None:
    """The row of the table for this node; None when it has none, or its tensors are not float32 data."""
    ours = node.domain == "" or (node.domain == MICROSOFT_DOMAIN and node.op_type in MICROSOFT)
    scheme = SCHEMES.get(node.op_type) if ours else None
    if scheme is None:
        return None
    if scheme.kind is Kind.PRODUCT:
        product = read_product(graph, node)
        if product is None:
            scheme = COMPUTED_PRODUCT
        else:
            placement.products[node.name] = product
    elif _leaves_range(graph, node):
        scheme = Scheme(Kind.COMPUTE)
    operands = list(node.input) if scheme.data is None else [node.input[index] for index in scheme.data]
    computed = graph.data.intersection(operands if len(operands) > 1 else operands[:1])
    floats = all(graph.is_float(name) or (graph.is_float(name) is None and name in known)
                 for name in (*operands, node.output[0]))  # fmt: skip
    return scheme if computed and floats else None


def _suits(scheme: Scheme, name: str, known: Mapping[str, Range], fixed: Mapping[str, Range]) -> bool:
    """Whether the range that an operator's result always has, if there is one, is the one to quantize it with."""
    if scheme.result is None:
        return True
    if name in fixed:
        return fixed[name] == scheme.result
    return name not in known or known[name][1] >= scheme.result[1] / 2


def _leaves_range(graph: FloatGraph, node: NodeProto) -> bool:
    """Whether a node that usually only moves elements gives values beyond the range of its operand."""
    if node.op_type == "Resize":
        return bool(attribute(node, "mode", b"nearest") == b"cubic")
    return node.op_type == "Pad" and not _pads_within(graph, node)


def _pads_within(graph: FloatGraph, node: NodeProto) -> bool:
    """Whether a Pad fills with what is in the tensor's range anyway, or with minus infinity before a maximum.

    That becomes the least code, which no maximum prefers either.
    """
    if attribute(node, "mode", b"constant") != b"constant" or len(node.input) < 3 or not node.input[2]:
        return True
    value = graph.array(node.input[2])
    return value is not None and (not value.any() or bool((value <= _LOWEST).all()))


def _follows(placement: Placement, node: NodeProto, scheme: Scheme) -> bool:
    """Whether a clamp finds its operand quantized; behind an operator in float32 it stays so, too."""
    producer = placement.graph.producers.get(node.input[0])
    return scheme.kind is not Kind.CLAMP or producer is None or producer.name in placement.schemes


def _drop_islands(placement: Placement) -> None:
    """Between float32 operators only, without a product, there is nothing to gain: such parts stay float32."""
    graph, schemes = placement.graph, placement.schemes
    above: set[str] = set()
    for node in graph.nodes:
        if node.name in schemes and node.name not in placement.products:
            makers = [graph.producers.get(name) for name in node.input if name in graph.data]
            if all(maker is not None and (maker.name not in schemes or maker.name in above) for maker in makers):
                above.add(node.name)
    below: set[str] = set()
    for node in reversed(graph.nodes):
        readers = [reader.name for name in node.output for reader in graph.readers.get(name, [])]
        inside = node.name in above and not set(graph.outputs).intersection(node.output)
        if inside and all(name not in schemes or name in below for name in readers):
            below.add(node.name)
    for name in below:
        del schemes[name]


def _drop_idle_moves(placement: Placement) -> None:
    """Of a tensor that is float32, only those moves are quantized whose result nobody reads in float32.

    What moves from an input to a result of the model is quantized.
    """
    graph, schemes = placement.graph, placement.schemes
    moved: dict[str, bool] = {}
    for node in graph.nodes:
        if node.name in schemes and schemes[node.name].kind is Kind.MOVE:
            producer = graph.producers.get(node.input[0])
            if producer is None or producer.name not in schemes:
                moved[node.name] = producer is None
            elif producer.name in moved:
                moved[node.name] = moved[producer.name]
    for node in reversed(graph.nodes):
        if node.name in moved and any(_read_in_float32(placement, name, moved[node.name]) for name in node.output):
            del schemes[node.name]


def _read_in_float32(placement: Placement, name: str, of_input: bool) -> bool:
    """Whether a float32 operator reads the tensor; a result of the model does not count when it is ``of_input``."""
    graph = placement.graph
    outside = name in graph.captured or (name in graph.outputs and not of_input)
    return outside or any(reader.name not in placement.schemes for reader in graph.readers.get(name, []))


def _fuse(placement: Placement, node: NodeProto) -> None:
    """Leave out the quantization between a node and the bias, Relu or Clip that alone reads its result."""
    graph, scheme = placement.graph, placement.schemes.get(node.name)
    reader = graph.only_reader(node.output[0])
    if scheme is None or not scheme.clamps or reader is None or reader.name not in placement.schemes:
        return
    if placement.schemes[reader.name].kind is Kind.CLAMP:
        if node.output[0] == reader.input[0] and clip_bounds(graph, reader) is not None:
            placement.raw.add(node.output[0])
        return
    product = placement.products.get(node.name)
    bias = None if product is None or node.op_type != "MatMul" else _bias_row(graph, product, reader)
    if product is not None and bias is not None:
        placement.raw.add(node.output[0])
        placement.products[node.name] = replace(product, bias=bias)
        placement.biases[reader.name] = node.name


def _bias_row(graph: FloatGraph, product: Product, add: NodeProto) -> Array | None:
    """The constant that an Add adds to each row of a matrix product."""
    if add.op_type != "Add" or product.weights.ndim != 2 or product.rank is None:
        return None
    constant = next((value for name in add.input if (value := graph.array(name)) is not None), None)
    row = None if constant is None else per_channel(constant, product.rank, -1, product.channels)
    return None if row is None else np.broadcast_to(row, (product.channels,))


def clip_bounds(graph: FloatGraph, node: NodeProto) -> Range | None:
    """What a Relu or Clip clamps to; None when that is computed, or it is another node."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type != "Clip":
        return None
    bounds = [-np.inf, np.inf]
    for index, name in enumerate(node.input[1:3]):
        value = graph.array(name) if name else None
        if name and (value is None or value.size != 1):
            return None
        if value is not None:
            bounds[index] = float(value.reshape(()))
    return bounds[0], bounds[1]
