"""Reading an ONNX file: bytes to a model that can be trusted to be one, its weights inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.inliner
from onnx import NodeProto, TensorProto

from furiosa.isa.errors import ModelError, UnsupportedError

_EXPORT = "export the model again; a valid file passes `onnx.checker.check_model`"
DOMAINS = ("", "ai.onnx.ml", "com.microsoft")
"""Operator sets that ONNX Runtime has."""
_SOURCE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ (?:[\w:~ ]+\(.*?\)(?: const)? )?")
"""What ONNX Runtime writes in front of a reason: its own status, a file of its sources, the function there."""


def read(data: bytes, where: str, folder: Path | None) -> onnx.ModelProto:
    """The model in a file, its own functions inlined and external weights loaded from ``folder``.

    ``where`` names the file in errors. Raises ModelError for a file that is none, and UnsupportedError for what is
    legal but unknown here: operators.
    """
    model = _parse(data, where)
    _use_one_name(model)
    if model.functions:
        model = _inlined(model, where)
    _load_external(model, where, folder)
    _use_sparse_constants(model.graph)
    opsets = {item.domain: item.version for item in model.opset_import}
    for node in model.graph.node:
        _known(node, opsets, where)
    return model


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    if not data:
        raise ModelError("the model file is empty", where=where, hint=_EXPORT)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf has several classes for the same fact
        raise ModelError("not an ONNX model: the file is damaged or of another kind",
                         where=where, hint=_EXPORT) from None  # fmt: skip
    if not model.graph.node and not model.graph.output:
        raise ModelError("not an ONNX model: there is no graph in it", where=where, hint=_EXPORT)
    if not model.graph.output:
        raise ModelError("the model has no output", where=where, hint=_EXPORT)
    return model


def _use_one_name(model: onnx.ModelProto) -> None:
    """The standard's operator set has two names, of which the empty one is used from here on."""
    for item in [*model.opset_import, *all_nodes(model.graph.node)]:
        if item.domain == "ai.onnx":
            item.domain = ""


def all_nodes(nodes: Iterator[NodeProto] | list[NodeProto]) -> Iterator[NodeProto]:
    """The nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from all_nodes(graph.node)


def _inlined(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    try:
        inlined: onnx.ModelProto = onnx.inliner.inline_local_functions(model)
        return inlined
    except Exception as error:
        raise ModelError(f"the functions of the model cannot be inlined: {first_line(error)}", where=where,
                         hint=_EXPORT) from None  # fmt: skip


def _load_external(model: onnx.ModelProto, where: str, folder: Path | None) -> None:
    external = [t.name for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    if not external:
        return
    if folder is None:
        raise ModelError(f"initializer `{external[0]}` lies outside the file", where=where,
                         hint="give the model as a path, so that the files beside it can be read")  # fmt: skip
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except Exception as error:
        raise ModelError(f"cannot read the external data of initializer `{external[0]}`: {first_line(error)}",
                         where=where, hint="keep the data files beside the model file") from None  # fmt: skip


def _use_sparse_constants(graph: onnx.GraphProto) -> None:
    """Sparse initializers become constants, which ONNX Runtime makes dense."""
    constants = [onnx.helper.make_node("Constant", [], [tensor.values.name], sparse_value=tensor)
                 for tensor in graph.sparse_initializer]  # fmt: skip
    nodes = list(graph.node)
    del graph.sparse_initializer[:], graph.node[:]
    graph.node.extend(constants + nodes)


def _known(node: NodeProto, opsets: dict[str, int], where: str) -> None:
    """Refuse an operator that is neither the standard's nor ONNX Runtime's."""
    place = f"{where}, node `{node.name or node.output[0] if node.output else node.name}`"
    if node.domain not in opsets:
        raise ModelError(f"operator `{node.op_type}` is of domain `{node.domain}`, which the model does not import",
                         where=place, hint=_EXPORT)  # fmt: skip
    version = opsets[node.domain]
    known = node.domain in DOMAINS
    if node.domain == "":
        try:
            onnx.defs.get_schema(node.op_type, version, "")
        except onnx.defs.SchemaError:
            known = False
    if not known:
        domain = f"`{node.domain}` " if node.domain else ""
        raise UnsupportedError(
            f"operator `{node.op_type}` of {domain}opset {version} is unknown, both here and to ONNX Runtime",
            where=place, hint="replace the operator by standard ones, or convert the model to an opset that has it",
        )  # fmt: skip


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line: the first of its reasons, without places in its source."""
    paragraph = re.split("\n\n|==>|\n(?=\\(op_type:)", str(error).strip())[0]
    return " ".join(_SOURCE.sub("", paragraph).split()).rstrip(".") or type(error).__name__
