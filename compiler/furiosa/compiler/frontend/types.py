"""The type of every value of an ONNX model, with the batch size applied; inputs have static shapes."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from furiosa.compiler.frontend.fold import constant
from furiosa.compiler.frontend.forms import form_in_runtime, form_of, parsed
from furiosa.compiler.frontend.modelfile import first_line
from furiosa.compiler.frontend.node import ELEMENT
from furiosa.compiler.frontend.session import add_light, plain_session, refusal
from furiosa.compiler.graph import TensorType
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import ModelError, UnsupportedError

DTYPES: dict[int, DType] = {number: dtype for dtype, number in ELEMENT.items()}


def static_input(value: ValueInfoProto, where: str, batch_size: int) -> ValueInfoProto:
    """The graph input with its first axis multiplied; sequences and optionals as they are.

    Raises ModelError when the shape is not known.
    """
    given = value_type(value)
    tensor = value.type.HasField("tensor_type")
    if given is None or (tensor and not value.type.tensor_type.HasField("shape")):
        raise ModelError(f"input `{value.name}` has no type with a shape", where=f"{where}, input `{value.name}`",
                         hint="give every input a static shape when exporting")  # fmt: skip
    new = ValueInfoProto()
    new.CopyFrom(value)
    for axis, dim in enumerate(new.type.tensor_type.shape.dim if tensor else ()):
        if not dim.HasField("dim_value") or dim.dim_value < 0:
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
        typed = _inferred(light)
    except Exception as error:
        raise ModelError(
            f"the model is not valid ONNX: {first_line(error)}", where=where,
            hint="check it with `onnx.checker.check_model(path, full_check=True)`"
            if batch_size == 1 else f"a batch size of {batch_size} may not suit its fixed shapes; try 1",
        ) from None  # fmt: skip
    values: Iterable[ValueInfoProto] = [*typed.input, *typed.value_info, *typed.output]
    types = {value.name: found for value in values if (found := value_type(value)) is not None}
    results = [name for node in light.graph.node for name in node.output if name]
    if any(node.domain for node in light.graph.node) or any(name not in types for name in results):
        types.update(_asked(light, types, where))
    return types


def _inferred(light: ModelProto) -> onnx.GraphProto:
    """The graph with the types that the standard infers.

    Its inference errs inside some operators that it defines by others; there ONNX Runtime decides.
    """
    try:
        return onnx.shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True).graph
    except Exception as error:
        inside = str(error).count("op_type:") > 1
        if not inside or refusal(light) is not None:
            raise
    return onnx.shape_inference.infer_shapes(light, data_prop=True).graph


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
               if name and (name not in types or not types[name].static)]  # fmt: skip
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
        if value.name in missing:
            asked = ValueInfoProto(type=parsed(form_in_runtime(value.type)))
            for size in value.shape:  # empty when the rank is not known, too
                asked.type.tensor_type.shape.dim.add(dim_value=size if isinstance(size, int) else -1)
            kind = value_type(asked)
            if kind is not None and (kind.dtype is not DType.ANY or value.name not in types):
                found[value.name] = kind
    return found


def value_type(value: ValueInfoProto) -> TensorType | None:
    """The type as the graph has it, -1 for axes that are not known; None when there is none."""
    tensor = value.type.tensor_type
    if value.type.HasField("tensor_type") and tensor.elem_type == TensorProto.UNDEFINED:
        return None
    if tensor.elem_type in DTYPES and tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
        return TensorType(shape, DTYPES[tensor.elem_type])
    return TensorType((), DType.ANY, form=form_of(value.type)) if value.type.WhichOneof("value") else None


def onnx_type(type_: TensorType) -> onnx.TypeProto:
    """The type in ONNX's own form."""
    if type_.dtype is DType.ANY:
        return parsed(type_.form)
    shape = [size if size >= 0 else None for size in type_.shape]
    return onnx.helper.make_tensor_type_proto(ELEMENT[type_.dtype], shape)


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
        value = constant(given) if isinstance(given, NodeProto) else numpy_helper.to_array(given)
        if value is None:
            continue
        target = value.copy()
        if target.ndim == 1 and target.size and target[0] > 0:
            target[0] *= batch_size
            node.input[place] = f"{node.input[place]}:batch{index}"
            graph.initializer.append(numpy_helper.from_array(target, node.input[place]))
