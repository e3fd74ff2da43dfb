"""The standard's operators in an older version of the standard.

Since opset 13 most new versions of an operator only add types of elements, or an attribute whose default is what was
before. A new operator that the standard defines by older ones is replaced by these. The rest is in `counterparts`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from onnx import NodeProto, defs, helper, inliner

from furiosa.optimizer.counterparts import COUNTERPARTS, refusal
from furiosa.optimizer.fold import settle
from furiosa.optimizer.graph import Graph
from furiosa.optimizer.scopes import all_nodes, subgraphs


def downgrade(graph: Graph, opset: int) -> None:
    """Bring a graph whose types are known to an older version of the standard's operators.

    Raises ConversionError naming the operator that cannot be expressed there.
    """
    _expand(graph, opset)
    graph.nodes = [new for node in graph.nodes for new in _lowered(graph, node, opset)]
    graph.opsets[""] = opset


@cache
def _schema(kind: str, opset: int) -> defs.OpSchema | None:
    try:
        return defs.get_schema(kind, opset, "")
    except defs.SchemaError:
        return None


def _expand(graph: Graph, opset: int) -> None:
    """Replace operators that ``opset`` does not have by the standard's definition of them."""
    done: set[str] = set()
    while found := _defined(graph, opset) - done:
        light = graph.light()
        light.graph.value_info.extend(  # definitions depend on types, and the inliner does not look at initializers
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in light.graph.initializer
        )
        functions = [("", kind) for kind in sorted(found)]
        try:
            inlined = inliner.inline_selected_functions(light, functions, inline_schema_functions=True)
        except RuntimeError:  # a type that it does not know
            return
        graph.update(inlined)
        settle(graph)
        done |= found


def _defined(graph: Graph, opset: int) -> set[str]:
    """The operators in the graph that are missing in ``opset``, and that the standard defines by others."""
    kinds = {node.op_type for node in all_nodes(graph.nodes) if not node.domain}
    new = {kind: _schema(kind, graph.opset) for kind in kinds - COUNTERPARTS.keys() if not _schema(kind, opset)}
    return {kind for kind, schema in new.items() if schema and _is_function(schema)}


def _is_function(schema: Any) -> bool:  # the stub lacks these attributes
    return bool(schema.has_function or schema.has_context_dependent_function)


def _lowered(graph: Graph, node: NodeProto, opset: int) -> list[NodeProto]:
    """The node in the older opset: itself, changed, or others that give its results."""
    for body in subgraphs(node):
        nodes = [new for inner in body.node for new in _lowered(graph, inner, opset)]
        del body.node[:]
        body.node.extend(nodes)
    new, old = _schema(node.op_type, graph.opset), _schema(node.op_type, opset)
    if node.domain or (new and old and new.since_version == old.since_version):
        return [node]
    made = COUNTERPARTS[node.op_type](graph, node, opset) if node.op_type in COUNTERPARTS else [node]
    for other in made:
        _fit(other, graph.opset, opset)
    return made


def _fit(node: NodeProto, before: int, after: int) -> None:
    """Drop attributes that are new and say nothing new. Raises ConversionError for what the older opset lacks."""
    new, old = _schema(node.op_type, before), _schema(node.op_type, after)
    if new is None or old is None:
        raise refusal(node, after, "it does not exist there")
    for item in [item for item in node.attribute if item.name not in old.attributes]:
        default = new.attributes[item.name].default_value
        value = helper.get_attribute_value(item)
        if not (default.type and value == helper.get_attribute_value(default)) and not _is_one(item.name, value):
            raise refusal(node, after, f"its attribute `{item.name}` does not exist there")
        node.attribute.remove(item)
    if len(node.input) > old.max_input:
        raise refusal(node, after, f"it takes at most {old.max_input} inputs there")


def _is_one(name: str, value: object) -> bool:
    return name == "dilations" and isinstance(value, list) and set(value) == {1}
