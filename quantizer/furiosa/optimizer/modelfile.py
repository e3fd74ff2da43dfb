"""From a model to the graph that is rewritten, and back."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, checker, defs, helper, inliner

from furiosa.compiler.frontend.modelfile import first_line
from furiosa.isa.errors import InternalError
from furiosa.optimizer.failures import ArgumentTypeError, ConversionError, InvalidModelError
from furiosa.optimizer.fold import constant_value
from furiosa.optimizer.graph import Graph, add_constant, static_shape
from furiosa.optimizer.inputs import Shapes, static_inputs, symbol_values
from furiosa.optimizer.scopes import all_nodes

_IR_VERSION = 8  # every program that knows opset 13 can read it
_EXPORT = "export the model again; a valid one passes `onnx.checker.check_model`"


def read(model: ModelProto, input_shapes: Shapes | None) -> Graph:
    """The graph of a model: inputs of static shape, its own functions inlined. The model stays as it is.

    Initializers that are inputs as well become constants, the values that they have when nobody gives others.
    """
    if not isinstance(model, ModelProto):
        raise ArgumentTypeError(f"the model must be an onnx.ModelProto, not a {type(model).__name__}",
                                hint="read a file with `onnx.load(path)`")  # fmt: skip
    if not model.graph.output:
        raise InvalidModelError("the model has no output: it is empty, or no ONNX model", hint=_EXPORT)
    constants = _constants(model)
    given = [value for value in model.graph.input if value.name not in constants]
    inputs = static_inputs(given, input_shapes)
    graph = Graph(
        nodes=[_copy(node) for node in model.graph.node if not _is_constant(node)],
        inputs=inputs,
        outputs=list(model.graph.output),
        constants=constants,
        opsets={_domain(item.domain): item.version for item in model.opset_import},
    )
    _check(graph, model)
    graph.hints = _foreign_types(graph, model, symbol_values(given, inputs))
    return graph


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    """The initializers, and the values of Constant nodes, which may be as large."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    found.update((node.output[0], constant_value(node)) for node in model.graph.node if _is_constant(node))
    for name, tensor in found.items():
        if tensor.data_location == TensorProto.EXTERNAL:
            raise InvalidModelError(f"the values of `{name}` are in a file of their own, and not loaded",
                                    hint="read the model with `onnx.load(path)`, which loads them")  # fmt: skip
    for sparse in model.graph.sparse_initializer:
        raise ConversionError(f"initializer `{sparse.values.name}` is sparse", hint="store the weights densely")
    return found


def _is_constant(node: NodeProto) -> bool:
    plain = node.op_type == "Constant" and not _domain(node.domain) and len(node.attribute) == 1
    return plain and len(node.output) == 1 and node.attribute[0].name.startswith("value")


def _copy(node: NodeProto) -> NodeProto:
    new = NodeProto()
    new.CopyFrom(node)
    for inner in all_nodes([new]):
        inner.domain = _domain(inner.domain)
    return new


def _domain(name: str) -> str:
    """The standard's operators have two names, of which the empty one is used here."""
    return "" if name == "ai.onnx" else name


def _foreign_types(graph: Graph, model: ModelProto, symbols: dict[str, int]) -> dict[str, TypeProto]:
    """What the file says about results of operators outside the standard, where that makes a static shape."""
    foreign = {name for node in graph.nodes if node.domain for name in node.output}
    types: dict[str, TypeProto] = {}
    for value in model.graph.value_info:
        if value.name in foreign:
            kind = types[value.name] = TypeProto()
            kind.CopyFrom(value.type)
            for axis in kind.tensor_type.shape.dim:
                if axis.dim_param in symbols:
                    axis.dim_value = symbols[axis.dim_param]
    return {name: kind for name, kind in types.items() if static_shape(kind) is not None}


def _check(graph: Graph, model: ModelProto) -> None:
    """Let ONNX check the model, and inline its functions."""
    version = graph.opsets.get("", 0)
    if version > defs.onnx_opset_version():
        raise ConversionError(f"the model is of opset {version}, which the installed onnx does not know",
                              hint="install a newer onnx, or export the model with opset_version=13")  # fmt: skip
    light = graph.light(graph.outputs)
    light.functions.extend(model.functions)
    for value in light.graph.output:  # the checker insists on a shape, which is inferred later
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    try:
        checker.check_model(light)
        if light.functions:
            graph.update(inliner.inline_local_functions(light, convert_version=True))
    except Exception as error:  # checker.ValidationError, and what protobuf and the inliner raise
        raise InvalidModelError(f"the model is not valid ONNX: {first_line(error)}", hint=_EXPORT) from None


def write(graph: Graph, model: ModelProto) -> ModelProto:
    """The graph as a model with the name and the properties of ``model``: nodes named anew, all types written down.

    It passes ONNX's full check; InternalError would say that it does not.
    """
    graph.drop_constants()
    used = {node.domain for node in all_nodes(graph.nodes)} | {""}
    graph.opsets = {domain: version for domain, version in graph.opsets.items() if domain in used}
    graph.outputs = [_typed(graph, value) for value in graph.outputs]
    for index, node in enumerate(graph.nodes):
        node.name = f"{node.op_type}_{index}"
    _verify(graph)
    new = ModelProto(
        ir_version=_IR_VERSION, opset_import=graph.opset_imports(), producer_name=model.producer_name,
        producer_version=model.producer_version, domain=model.domain, model_version=model.model_version,
        doc_string=model.doc_string, metadata_props=model.metadata_props,
    )  # fmt: skip
    made = new.graph
    made.name, made.doc_string = model.graph.name or "graph", model.graph.doc_string
    made.node.extend(graph.nodes)
    made.input.extend(graph.inputs)
    made.output.extend(graph.outputs)
    results = {value.name for value in graph.outputs}
    names = [name for node in graph.nodes for name in node.output if name in graph.types and name not in results]
    made.value_info.extend(ValueInfoProto(name=name, type=graph.types[name]) for name in names)
    for name, tensor in graph.constants.items():
        add_constant(made, name, tensor)
    return new


def _typed(graph: Graph, value: ValueInfoProto) -> ValueInfoProto:
    """An output of the model with the type that was found for it, else with that of the file."""
    shape = graph.shape(value.name)
    if shape is not None:
        return helper.make_tensor_value_info(value.name, graph.element(value.name), shape)
    kind = graph.types.get(value.name, value.type)
    if kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape"):
        kind = value.type
    if kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape"):
        raise InvalidModelError(f"the shape of output `{value.name}` is not known", hint="give it in the model")
    return ValueInfoProto(name=value.name, type=kind)


def _verify(graph: Graph) -> None:
    light = graph.light(graph.outputs)
    light.ir_version = _IR_VERSION
    try:
        checker.check_model(light, full_check=True)
    except Exception as error:
        raise InternalError(f"the optimized model is not valid ONNX: {first_line(error)}",
                            hint="please report this with the model") from error  # fmt: skip
