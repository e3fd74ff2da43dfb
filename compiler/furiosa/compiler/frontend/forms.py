"""Types of values that are no plain tensors, as text: ``seq(float[])``, ``optional(int64[])``, ``int4[2,3]``."""

from __future__ import annotations

from onnx import GraphProto, TypeProto, parser, printer


def form_of(type_: TypeProto) -> str:
    """The type as ONNX's textual format has it; names of extents are left out."""
    plain = TypeProto()
    plain.CopyFrom(type_)
    _forget_names(plain)
    graph = GraphProto(name="g")
    graph.input.add(name="x", type=plain)
    text: str = printer.to_text(graph)
    return text.split("(", 1)[1].split(" x)")[0]


def parsed(form: str) -> TypeProto:
    """The type that ``form_of`` wrote."""
    type_: TypeProto = parser.parse_graph(f"g ({form} x) => () {{}}").input[0].type
    return type_


def form_in_runtime(text: str) -> str:
    """The form of a type as ONNX Runtime names it: ``seq(tensor(float))`` is ``seq(float[])``."""
    kind, _, inner = text.removesuffix(")").partition("(")
    if kind == "tensor":
        return f"{inner}[]"
    key, comma, value = inner.partition(",")
    if kind == "map" and comma:
        return f"map({key}, {form_in_runtime(value)})"
    return f"{kind}({form_in_runtime(inner)})" if inner else text


def _forget_names(type_: TypeProto) -> None:
    while True:
        match type_.WhichOneof("value"):
            case "sequence_type":
                type_ = type_.sequence_type.elem_type
            case "optional_type":
                type_ = type_.optional_type.elem_type
            case "map_type":
                type_ = type_.map_type.value_type
            case _:
                break
    for dim in type_.tensor_type.shape.dim:
        dim.ClearField("dim_param")
