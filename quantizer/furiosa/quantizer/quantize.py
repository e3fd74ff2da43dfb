"""``quantize``: from a float model and the ranges of its tensors to an int8 model in QDQ form."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import onnx
from onnx import ModelProto, TensorProto

from furiosa.isa.errors import ModelError, OptionError, did_you_mean
from furiosa.quantizer.canonical import canonicalize
from furiosa.quantizer.editor import Border, EditorError, TensorType, take_border
from furiosa.quantizer.encodings import Encodings, Ranges, check_ranges
from furiosa.quantizer.floatmodel import load_float_model
from furiosa.quantizer.folding import fold_affine
from furiosa.quantizer.graph import FloatGraph
from furiosa.quantizer.names import get_output_names, get_pure_input_names, name_nodes
from furiosa.quantizer.placement import place
from furiosa.quantizer.preparing import prepare
from furiosa.quantizer.qdq import QdqWriter

FLOAT = TensorProto.FLOAT


def quantize(
    model: ModelProto | bytes,
    tensor_name_to_range: Ranges,
    *,
    with_quantize: bool = True,
    normalized_pixel_outputs: Sequence[int] | None = None,
) -> bytes:
    """The int8 model as the bytes of an ONNX file: QuantizeLinear and DequantizeLinear around what computes on int8.

    ``model`` is a float model. ``tensor_name_to_range`` gives (min, max) of its tensors, as `Calibrator.compute_range`
    does; pairs may be lists. Activations have one scale a tensor, weights one for each output channel.

    Deprecated: ``with_quantize=False`` makes every input uint8; ``normalized_pixel_outputs`` lists the outputs, by
    index, that are uint8 0 to 255 for real values 0 to 1. Use a `ModelEditor` instead.

    Raises OptionError for ranges that are missing or not usable, ModelError and UnsupportedError for the model.
    """
    border = _deprecated_border(model, with_quantize, normalized_pixel_outputs)
    return bytes(quantize_model(model, tensor_name_to_range, border=border).SerializeToString(deterministic=True))


def quantize_model(
    model: ModelProto | bytes, ranges: Ranges, *, exclude: Collection[str] = (), border: Border | None = None
) -> ModelProto:
    """As `quantize`; nodes that ``exclude`` names, or whose operator it names, stay float32.

    ``border`` holds for the inputs and outputs that no ModelEditor converted.
    """
    model = load_float_model(model)
    name_nodes(model.graph)
    border = take_border(model).over(border or Border())
    border.check(model)
    props = {item.key: item.value for item in model.metadata_props}
    stays = _excluded(model, exclude)
    model = prepare(model)
    canonicalize(model, stays)
    fold_affine(model, stays)
    graph = FloatGraph(model)
    known = check_ranges(graph, ranges)
    placement = place(graph, known, border.ranges, stays)
    if not (placement.schemes or stays):
        raise _nothing_to_quantize(graph)
    quantized = QdqWriter(placement, Encodings(placement, known, border.ranges), border).write()
    onnx.helper.set_model_props(quantized, props)
    return quantized


def _nothing_to_quantize(graph: FloatGraph) -> ModelError:
    others = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
    found = next(((name, info.element) for name, info in graph.infos.items() if info.element in others), None)
    if found is not None:
        kind = TensorProto.DataType.Name(found[1]).lower()
        return ModelError(f"tensor `{found[0]}` is {kind}: only float32 can be quantized",
                          hint="export the model in float32")  # fmt: skip
    return ModelError("the model has no operator that can be quantized",
                      hint="the compiler takes it as it is, for the CPU")  # fmt: skip


def _excluded(model: ModelProto, exclude: Collection[str]) -> set[str]:
    """The names of the excluded nodes. Raises OptionError for what names neither a node nor an operator."""
    nodes = model.graph.node
    known = {name for node in nodes for name in (node.name, node.op_type)}
    for name in exclude:
        if name not in known:
            raise OptionError(f"cannot exclude `{name}`: no node and no operator of the model has this name",
                              hint=did_you_mean(name, known) or "name nodes or operators")  # fmt: skip
    return {node.name for node in nodes if node.name in exclude or node.op_type in exclude}


def _deprecated_border(
    model: ModelProto | bytes, with_quantize: bool, normalized_pixel_outputs: Sequence[int] | None
) -> Border:
    """What the deprecated keywords ask for, with a warning for each."""
    border = Border()
    if not with_quantize:
        _deprecated("with_quantize", "convert_input_type")
        floats = [v.name for v in load_float_model(model).graph.input if v.type.tensor_type.elem_type == FLOAT]
        border.inputs.update((n, TensorType.UINT8) for n in get_pure_input_names(model) if n in floats)
    if normalized_pixel_outputs is not None:
        _deprecated("normalized_pixel_outputs", "convert_output_type")
        names = get_output_names(model)
        if not isinstance(normalized_pixel_outputs, Sequence):
            raise EditorError(f"outputs are a list of indices, not `{type(normalized_pixel_outputs).__name__}`",
                              where="normalized_pixel_outputs", hint="write `[0]` for the first output")  # fmt: skip
        for index in normalized_pixel_outputs:
            if index not in range(len(names)):
                raise EditorError(f"the model has no output {index}, only {len(names)} outputs",
                                  where="normalized_pixel_outputs", hint="indices begin with 0")  # fmt: skip
            border.outputs[names[index]] = TensorType.UINT8
            border.ranges[names[index]] = (0.0, 1.0)
    return border


def _deprecated(keyword: str, method: str) -> None:
    warnings.warn(f"`{keyword}` is deprecated: use `ModelEditor.{method}`", DeprecationWarning, stacklevel=4)
