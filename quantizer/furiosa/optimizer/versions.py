"""Another version of the standard's operators: up with ONNX's converter, down with rules of our own.

On the way down ONNX's converter refuses nearly every model: it has no step for Relu from 14 to 13, for instance.
"""

from __future__ import annotations

from onnx import ModelProto, helper, shape_inference, version_converter

from furiosa.compiler.frontend.modelfile import first_line
from furiosa.optimizer.downgrade import downgrade
from furiosa.optimizer.failures import ConversionError, InvalidModelError
from furiosa.optimizer.fold import settle
from furiosa.optimizer.graph import Graph
from furiosa.optimizer.scopes import all_nodes


def convert(graph: Graph, opset: int) -> None:
    """Bring a settled graph to another version of the standard's operators; those of other domains stay.

    Raises ConversionError naming the operator that has no counterpart there.
    """
    before = graph.opset
    if before < opset:
        _upgrade(graph, opset)
    elif before > opset:
        downgrade(graph, opset)
    try:
        settle(graph)
    except InvalidModelError as error:  # in the other version an operator does not take the type of an input
        raise _refusal(before, opset, error.message) from None


def _upgrade(graph: Graph, opset: int) -> None:
    typed = shape_inference.infer_shapes(graph.light(), data_prop=True)
    try:
        converted = version_converter.convert_version(typed, opset)
    except Exception as error:  # RuntimeError for what it does not support, and others
        raise _refusal(graph.opset, opset, first_line(error).rpartition("failed: ")[2].replace("$", "")) from None
    if graph.opset < 11:
        _keep_sampling(converted)
    graph.update(converted)


def _keep_sampling(model: ModelProto) -> None:
    """Let Resize take the samples that it took before opset 11, which ONNX's converter forgets."""
    for node in all_nodes(model.graph.node):
        if node.op_type == "Resize" and not node.domain:
            node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
            node.attribute.append(helper.make_attribute("nearest_mode", "floor"))


def _refusal(before: int, after: int, reason: str) -> ConversionError:
    return ConversionError(f"the model cannot be converted from opset {before} to {after}: {reason}",
                           hint=f"export the model with opset_version={after}, or replace the operator")  # fmt: skip
