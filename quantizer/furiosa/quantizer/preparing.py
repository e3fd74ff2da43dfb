"""The float model in the form that the quantizer's rules are written for: opset, names, constants as initializers."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from furiosa.compiler.frontend.fold import constant
from furiosa.compiler.frontend.modelfile import first_line
from furiosa.compiler.frontend.session import plain_session
from furiosa.isa.errors import ModelError, UnsupportedError
from furiosa.quantizer.graph import Array
from furiosa.quantizer.names import captured, name_nodes, subgraphs

MIN_OPSET = 13
"""The first with a DequantizeLinear that has a scale for each channel."""
_MIN_IR = 7
_RANDOM = ("RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
_TENSORS = ("value", "value_float", "value_floats", "value_int", "value_ints")


def prepare(model: ModelProto) -> ModelProto:
    """The same function in opset 13 or later: nodes with unique names, what is constant computed. Edits ``model``."""
    name_nodes(model.graph)
    model = _converted(model)
    name_nodes(model.graph)
    _initializers_only(model.graph)
    _fold_constants(model)
    drop_unused(model.graph)
    return model


def _converted(model: ModelProto) -> ModelProto:
    version = next((item.version for item in model.opset_import if item.domain == ""), MIN_OPSET)
    if version < MIN_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, MIN_OPSET)
        except Exception as error:  # its exceptions have no common base
            raise UnsupportedError(f"the model cannot be converted from opset {version} to {MIN_OPSET}: "
                                   f"{first_line(error)}",
                                   hint=f"export it with opset {MIN_OPSET} or later") from None  # fmt: skip
    model.ir_version = max(model.ir_version, _MIN_IR)
    return model


def replace_nodes(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Give the graph other nodes, some of which may be its own."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def _initializers_only(graph: GraphProto) -> None:
    """Constant nodes and inputs with a value become plain initializers."""
    kept = []
    for node in graph.node:
        plain = node.op_type == "Constant" and not node.domain and node.attribute[0].name in _TENSORS
        value = constant(node) if plain else None
        if value is not None:
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        else:
            kept.append(node)
    replace_nodes(graph, kept)
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)


def _fold_constants(model: ModelProto) -> None:
    """Nodes that read constants only are computed now, by ONNX Runtime; results of the model stay computed."""
    graph = model.graph
    known = {tensor.name for tensor in graph.initializer}
    results = {value.name for value in graph.output}
    constants, kept = [], []
    for node in graph.node:
        pure = node.op_type not in _RANDOM and not any(subgraphs(node)) and not results.intersection(node.output)
        if pure and any(node.input) and all(not name or name in known for name in node.input):
            constants.append(node)
            known.update(node.output)
        else:
            kept.append(node)
    used = {name for node in kept for name in (*node.input, *captured(node))}
    wanted = [name for node in constants for name in node.output if name in used]
    if wanted:
        values = _evaluated(model, constants, wanted)
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in zip(wanted, values))
    replace_nodes(graph, kept)


def _evaluated(model: ModelProto, nodes: list[NodeProto], wanted: list[str]) -> list[Array]:
    needed = {name for node in nodes for name in node.input}
    part = ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.graph.name = "constants"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in needed)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    try:
        return list(plain_session(part.SerializeToString()).run(wanted, {}))
    except Exception as error:  # its exceptions have no common base
        raise ModelError(f"the constants of the model cannot be computed: {first_line(error)}",
                         hint="run the model in ONNX Runtime to see more") from None  # fmt: skip


def needed(graph: GraphProto) -> set[str]:
    """The tensors that the results of the model depend on, with all results of the nodes that make them."""
    used = {value.name for value in graph.output}
    for node in reversed(graph.node):
        if used.intersection(node.output):
            used.update((*node.input, *node.output, *captured(node)))
    return used


def drop_unused(graph: GraphProto) -> None:
    """Remove the nodes and initializers that no result of the model depends on."""
    used = needed(graph)
    replace_nodes(graph, [node for node in graph.node if used.intersection(node.output)])
    unused = [index for index, tensor in enumerate(graph.initializer) if tensor.name not in used]
    for index in reversed(unused):  # one by one: to extend is to copy, and weights are large
        del graph.initializer[index]
