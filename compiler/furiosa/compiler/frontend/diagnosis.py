"""Why a model that broke a pass is at fault itself, if it is: asked only after the failure, so it may take long."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import onnx

from furiosa.compiler.frontend.session import plain_session
from furiosa.isa.errors import ModelError

if TYPE_CHECKING:
    from furiosa.compiler.pipeline import Source

_MOST_ELEMENTS = 2**26  # of an input that is worth an experiment
_HINT = "export the model again; a valid file passes `onnx.checker.check_model` and opens in ONNX Runtime"


def fault(source: Source) -> ModelError | None:
    """The model's fault as ONNX's checker, its shape inference or ONNX Runtime see it; None when all accept it."""
    for judge in (_readable, _checked, _executed):
        try:
            judge(source.data)
        except Exception as error:  # their exceptions have no common base
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            return ModelError(f"the model is not valid ONNX: {lines[0]}", where=source.where, hint=_HINT)
    return None


def _readable(data: bytes) -> None:
    """Every name is UTF-8: protobuf does not insist, and gives those that are not as bytes or not at all."""
    graph = onnx.ModelProto.FromString(data).graph
    values = (*graph.input, *graph.output, *graph.initializer)
    names: list[str | bytes] = [graph.name, *(value.name for value in values)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    wrong = [name for name in names if isinstance(name, bytes)]
    if wrong:
        raise ValueError(f"the name {wrong[0]!r} is not UTF-8")


def _checked(data: bytes) -> None:
    model = onnx.ModelProto.FromString(data)
    onnx.checker.check_model(model)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def _executed(data: bytes) -> None:
    """ONNX Runtime opens the model and runs it on zeros: some faults show only there."""
    graph = onnx.ModelProto.FromString(data).graph
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input}
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer)
    if external or any(prod(shape) > _MOST_ELEMENTS for shape in shapes.values()):
        return
    session = plain_session(data)
    types = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    session.run(None, {x.name: np.zeros(shapes[x.name], onnx.helper.tensor_dtype_to_np_dtype(types[x.name]))
                       for x in session.get_inputs()})  # fmt: skip
