"""The type of every tensor: ONNX infers those of the standard's operators, ONNX Runtime those of its own."""

from __future__ import annotations

from onnx import NodeProto, TensorProto, TypeProto, ValueInfoProto, defs, helper, shape_inference

from furiosa.compiler.frontend.modelfile import first_line
from furiosa.optimizer.failures import InvalidModelError
from furiosa.optimizer.graph import Graph, is_light, static_shape
from furiosa.optimizer.scopes import subgraphs
from furiosa.optimizer.session import session


def infer(graph: Graph) -> None:
    """Set the types of the graph anew. Raises InvalidModelError when its tensors contradict their operators."""
    graph.types = _inferred(graph)
    foreign = [name for node in graph.nodes if node.domain for name in node.output if name]
    unknown = [name for name in foreign if name not in graph.types or static_shape(graph.types[name]) is None]
    found = _asked(graph, unknown) if unknown else {}
    if found:
        graph.hints.update(found)
        graph.types = _inferred(graph)


def infer_node(graph: Graph, node: NodeProto) -> dict[str, TypeProto]:
    """The types of a node's results as they follow from its inputs; nothing where ONNX cannot tell."""
    if node.domain or subgraphs(node):
        return {}
    types = {name: graph.type_of(name) for name in node.input if name in graph.constants or name in graph.types}
    constants = {name: graph.constants[name] for name in node.input if name in graph.constants}
    values = {name: tensor for name, tensor in constants.items() if is_light(tensor)}
    try:
        schema = defs.get_schema(node.op_type, graph.opset, "")
        found = shape_inference.infer_node_outputs(schema, node, types, values, opset_imports=graph.opset_imports())
    except Exception:  # where the file is wrong, `infer` says so
        return {}
    return dict(found)


def _inferred(graph: Graph) -> dict[str, TypeProto]:
    try:
        typed = shape_inference.infer_shapes(graph.light(), check_type=True, strict_mode=True, data_prop=True).graph
    except Exception as error:  # of several classes without a common base
        raise InvalidModelError(f"the types of the model's tensors contradict each other: {first_line(error)}",
                                hint="check it with `onnx.checker.check_model(path, full_check=True)`",
                                ) from None  # fmt: skip
    return {value.name: value.type for value in (*typed.output, *typed.value_info, *typed.input)}


def _asked(graph: Graph, names: list[str]) -> dict[str, TypeProto]:
    """What ONNX Runtime finds for these tensors; nothing when there is an operator that it does not know."""
    try:
        outputs = session(graph.light([ValueInfoProto(name=name) for name in names])).get_outputs()
    except Exception:  # what it does not know stays as it is, of unknown type
        return {}
    tensors = [value for value in outputs if value.type.startswith("tensor(")]
    return {value.name: _type(value.type, value.shape) for value in tensors}


def _type(text: str, shape: list[int | str | None]) -> TypeProto:
    """A type as ONNX Runtime writes it, such as ``tensor(float)``."""
    element = TensorProto.DataType.Value(text.removeprefix("tensor(").removesuffix(")").upper())
    return helper.make_tensor_type_proto(element, shape)
