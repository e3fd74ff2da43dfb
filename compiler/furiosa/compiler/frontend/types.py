"""The type of every tensor of an ONNX model: shapes are static, with the batch size applied."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from furiosa.compiler.frontend.fold import constant
from furiosa.compiler.frontend.modelfile import first_line
from furiosa.compiler.frontend.node import ELEMENT
from furiosa.compiler.frontend.session import add_light, plain_session
from furiosa.compiler.graph import TensorType
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import ModelError, UnsupportedError

DTYPES: dict[int, DType] = {number: dtype for dtype, number in ELEMENT.items()}


def static_input(value: ValueInfoProto, where: str, batch_size: int) -> ValueInfoProto:
    """The graph input with its first axis multiplied. Raises ModelError when the shape is not known."""
    place = f"{where}, input `{value.name}`"
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise ModelError(f"input `{value.name}` has no tensor type with a shape", where=place,
                         hint="give every input a static shape when exporting")  # fmt: skip
    if value.type.tensor_type.elem_type not in DTYPES:
        raise UnsupportedError(f"input `{value.name}` has elements of a type that is not supported", where=place,
                               hint=f"use one of {', '.join(d.numpy_name for d in DType)}")  # fmt: skip
    new = ValueInfoProto()
    new.CopyFrom(value)
    for axis, dim in enumerate(new.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            found = f"`{dim.dim_param}`" if dim.dim_param else str(dim.dim_value if dim.HasField("dim_value") else "?")
            raise ModelError(
                f"the static shape of tensor `{value.name}` contains an unsupported dimension value: {found}",
                where=f"{where}, axis {axis} of input `{value.name}`",
                hint="fix the shape, e.g. with `python -m onnxruntime.tools.make_dynamic_shape_fixed`",
            )
        if axis == 0:
            dim.dim_value *= batch_size
    return new


def infer(model: ModelProto, inputs: list[ValueInfoProto], where: str, batch_size: int) -> dict[str, TensorType]:
    """The types by name, from ONNX's checker and inference on the model without its large weights.

    Where the standard has no inference for an operator, ONNX Runtime is asked. Raises ModelError for an inconsistent
    model, and UnsupportedError when ONNX Runtime does not know an operator either.
    """
    light = _without_weights(model, inputs)
    try:
        onnx.checker.check_model(light)
        if batch_size > 1:
            _forget_batch(light.graph)
        typed = onnx.shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True).graph
    except Exception as error:
        raise ModelError(
            f"the model is not valid ONNX: {first_line(error)}", where=where,
            hint="check it with `onnx.checker.check_model(path, full_check=True)`"
            if batch_size == 1 else f"a batch size of {batch_size} may not suit its fixed shapes; try 1",
        ) from None  # fmt: skip
    values: Iterable[ValueInfoProto] = [*typed.input, *typed.value_info, *typed.output]
    types = {value.name: found for value in values if (found := tensor_type(value)) is not None}
    if any(node.domain for node in light.graph.node):
        types.update(_asked(light, types, where))
    return types


def _without_weights(model: ModelProto, inputs: list[ValueInfoProto]) -> ModelProto:
    light = ModelProto(ir_version=max(model.ir_version, 4))
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(inputs)
    graph.output.extend(model.graph.output)
    add_light(graph, model.graph.initializer)
    return light


def _asked(light: ModelProto, types: dict[str, TensorType], where: str) -> dict[str, TensorType]:
    """What ONNX Runtime finds for the tensors whose type is not known, or not whole."""
    missing = [name for node in light.graph.node for name in node.output
               if name and (name not in types or -1 in types[name].shape)]  # fmt: skip
    if not missing:
        return {}
    given = {value.name for value in light.graph.output}
    light.graph.output.extend(ValueInfoProto(name=name) for name in missing if name not in given)
    try:
        session = plain_session(light.SerializeToString())
    except Exception as error:
        raise UnsupportedError(f"ONNX Runtime cannot run the model: {first_line(error)}", where=where,
                               hint="replace the operator by standard ones") from None  # fmt: skip
    found = {}
    for value in session.get_outputs():
        element = value.type.removeprefix("tensor(").removesuffix(")")
        if value.name in missing and element in _ORT_NAMES:
            shape = tuple(d if isinstance(d, int) else -1 for d in value.shape)
            found[value.name] = TensorType(shape, _ORT_NAMES[element])
    return found


_ORT_NAMES = {dtype.numpy_name: dtype for dtype in DType} | {
    "float": DType.F32, "double": DType.F64, "string": DType.STR,
}  # fmt: skip


def tensor_type(value: ValueInfoProto) -> TensorType | None:
    """The type as the graph has it, -1 for axes that are not known; None for anything but a tensor of a known type."""
    tensor = value.type.tensor_type
    if tensor.elem_type not in DTYPES:
        return None
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    return TensorType(shape if tensor.HasField("shape") else (-1,), DTYPES[tensor.elem_type])


def _forget_batch(graph: onnx.GraphProto) -> None:
    """Let shapes follow from the inputs: those of the batch size 1 that the file records are dropped."""
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]


_TARGETS = {"Reshape": 1, "Resize": 3}
"""Operators with an operand that holds the shape of the result, batch included."""


def multiply_targets(model: ModelProto, batch_size: int) -> None:
    """Fixed first dimensions in the target shapes of Reshape and Resize grow with the batch, weights apart."""
    graph = model.graph
    values: dict[str, TensorProto | NodeProto] = {t.name: t for t in graph.initializer}
    values |= {node.output[0]: node for node in graph.node if node.op_type == "Constant" and node.attribute}
    computed = {value.name for value in graph.input} - {t.name for t in graph.initializer}
    for index, node in enumerate(graph.node):
        if not computed.intersection(node.input):
            continue
        computed.update(node.output)
        place = _TARGETS.get(node.op_type, 0)
        if not 0 < place < len(node.input) or node.input[0] not in computed or node.input[place] not in values:
            continue
        given = values[node.input[place]]
        target = (constant(given) if isinstance(given, NodeProto) else numpy_helper.to_array(given)).copy()
        if target.ndim == 1 and target.size and target[0] > 0:
            target[0] *= batch_size
            node.input[place] = f"{node.input[place]}:batch{index}"
            graph.initializer.append(numpy_helper.from_array(target, node.input[place]))
