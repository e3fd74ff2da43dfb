"""What exporters write as many small nodes, of which int8 node by node would leave little: functions, and divisors."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto

from furiosa.quantizer.graph import FloatGraph

_SIZING = ("Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Unique")
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_MEAN = ("ReduceMean", "GlobalAveragePool")
_DEVIATION = (("Sqrt",), ("Add",), _MEAN, ("Pow", "Mul"), ("Sub",))


def float_parts(graph: FloatGraph) -> set[str]:
    """The names of the nodes of every layer normalization and every Gelu that is written out, and what the other
    functions here find.
    """
    parts = {"Div": _layer_norm, "Erf": _gelu}
    starts = ((node, parts.get(node.op_type)) for node in graph.nodes if not node.domain)
    written = {node.name for start, part in starts if part is not None for node in part(graph, start)}
    return written | _divisors(graph) | _sized_by_data(graph)


def _sized_by_data(graph: FloatGraph) -> set[str]:
    """What has results whose size depends on values, such as boxes that were found: the NPU takes none of those."""
    found: set[str] = set()
    sized: set[str] = set()
    for node in graph.nodes:
        if node.op_type in _SIZING or sized.intersection(node.input):
            results = {name for name in node.output if name and _is_open(graph, name)}
            sized |= results
            found.update(node.name for _ in results)
    return found


def _is_open(graph: FloatGraph, name: str) -> bool:
    shape = graph.shape(name)
    return shape is None or min(shape, default=0) < 0


def _divisors(graph: FloatGraph) -> set[str]:
    """What is computed to be divided by only, down to a product: in int8 its small values would be 0, and 0 / 0 NaN."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        results = [name for name in node.output if name]
        inside = graph.captured.isdisjoint(results) and not set(graph.outputs).intersection(results)
        readers = [(reader, name) for name in results for reader in graph.readers.get(name, [])]
        divides = inside and all(reader.name in found or _divides(reader, name) for reader, name in readers)
        if readers and divides and (node.domain or node.op_type not in _PRODUCTS):
            found.add(node.name)
    return found


def _divides(node: NodeProto, name: str) -> bool:
    """Whether a node divides by this tensor, and does nothing else with it."""
    operands = {"Div": ["", name], "Reciprocal": [name]}.get("" if node.domain else node.op_type)
    return operands is not None and [other if other == name else "" for other in node.input] == operands


def _layer_norm(graph: FloatGraph, divide: NodeProto) -> Iterator[NodeProto]:
    """d / sqrt(mean(d ** 2) + epsilon) with d = x - mean(x), and the constant factor and offset behind it"""
    row, name = [divide], divide.input[1]
    for kinds in _DEVIATION:
        node = graph.producers.get(name)
        if node is None or node.op_type not in kinds:
            return
        row.append(node)
        name = next((name for name in node.input if name not in graph.constants), "")
    difference = row[-1]
    if divide.input[0] != difference.output[0]:
        return
    yield from row
    yield from (node for name in difference.input if (node := graph.producers.get(name)) and node.op_type in _MEAN)
    yield from (node for node in _behind(graph, divide, "Mul", "Add") if _has_constant(graph, node))


def _gelu(graph: FloatGraph, erf: NodeProto) -> Iterator[NodeProto]:
    """x * (1 + erf(x / sqrt(2))) / 2, halved at the end, or before at one of the factors"""
    argument, row = graph.producers.get(erf.input[0]), list(_behind(graph, erf, "Add", "Mul", "Mul"))
    scaled = argument is not None and argument.op_type in ("Mul", "Div") and _has_constant(graph, argument)
    if argument is None or not scaled or len(row) < 2 or not _has_constant(graph, row[0]):
        return
    yield from (argument, erf, *row[:2])
    yield from (node for node in row[2:] if _has_constant(graph, node))
    for name in row[1].input:
        half = graph.producers.get(name)
        if half is not None and half.op_type == "Mul" and graph.only_reader(name) and _has_constant(graph, half):
            yield half


def _behind(graph: FloatGraph, node: NodeProto, *kinds: str) -> Iterator[NodeProto]:
    """The nodes that read the result one after the other, alone, as long as they are of these kinds."""
    for kind in kinds:
        reader = graph.only_reader(node.output[0])
        if reader is None or reader.op_type != kind:
            return
        yield reader
        node = reader


def _has_constant(graph: FloatGraph, node: NodeProto) -> bool:
    return any(name in graph.constants for name in node.input)
