"""A model for a bug report: cleaned of what is private, and with weights that a seed replaces where that is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from furiosa.isa.errors import FuriosaError, ModelError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

MARK = "furiosa.litmus.weights"
_SEED = 0
_OURS = "furiosa."
# Values of string attributes that decide what an operator of the ONNX standard computes.
_CHOICES = (
    "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge", "wrap", "nearest", "linear",
    "cubic", "bilinear", "bicubic", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
    "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn", "floor", "ceil", "round_prefer_floor",
    "round_prefer_ceil", "stretch", "not_larger", "not_smaller", "forward", "reverse", "bidirectional", "DCR",
    "CRD", "avg", "max", "min", "sum", "mean", "none", "add", "mul", "zeros", "border", "output_half_pixel", "tanh",
    "LEFT", "RIGHT",
)  # fmt: skip
# Float weights of any size are replaced where they enter these; elsewhere only large ones, which are no shapes.
_COMPUTES = {
    "Add", "BatchNormalization", "Conv", "ConvTranspose", "Div", "GRU", "Gather", "Gemm", "GroupNormalization",
    "InstanceNormalization", "LSTM", "LayerNormalization", "MatMul", "Mul", "PRelu", "RNN", "Sub",
}  # fmt: skip
_LARGE = 16
# Values that decide shapes, and scales, which must agree with one another.
_EXACT = {"Resize", "Upsample", "RoiAlign", "QuantizeLinear", "DequantizeLinear"}
# Where integers are weights, by input: everywhere else they are shapes, indices or zero points.
_INTEGER_WEIGHTS = {
    "DequantizeLinear": (0,), "QLinearConv": (3, 8), "QLinearMatMul": (0, 3), "ConvInteger": (1,),
    "MatMulInteger": (0, 1),
}  # fmt: skip
_BYTES = (2, 3)  # element types UINT8 and INT8, in which texts may lie
_FLOATS, _INTEGERS = (1, 10, 11), (2, 3, 6)  # element types: FLOAT, FLOAT16, DOUBLE; UINT8, INT8, INT32


class NotOnnxError(ModelError):
    """The file is no ONNX model."""


def load(path: Path) -> ModelProto:
    """The model in a file, with weights made from their seed if it has one. Raises NotOnnxError, and ModelError."""
    import onnx

    try:
        model = onnx.load_model(str(path), format="protobuf", load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read the model `{path}`: {error.strerror}") from None
    except Exception:  # protobuf has several classes for the same fact
        raise _no_model(path) from None
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"cannot read the model `{path}`: {' '.join(str(error).split())}",
                         hint="keep the files of external data beside the model") from None  # fmt: skip
    if not model.graph.output:
        raise _no_model(path)
    restore(model)
    return model


def _no_model(path: Path) -> NotOnnxError:
    return NotOnnxError(f"`{path}` is no ONNX model",
                        hint="convert it; with `--skip-quantization` its format may be another")  # fmt: skip


def clean(message: Any, scrub: Callable[[str], str], same_length: Callable[[bytes], bytes]) -> None:
    """Scrub every text in a message of the ONNX format, consistently; the model computes the same.

    Descriptions, which exporters fill with source paths, are removed, and so is what no version of the format knows.
    """
    message.DiscardUnknownFields()
    for field, value in message.ListFields():
        many = not isinstance(value, (str, bytes, int, float)) and not hasattr(value, "ListFields")
        first = value[0] if many else value
        if field.name in ("doc_string", "metadata_props"):
            _keep_ours(message, field.name, scrub)
        elif hasattr(first, "ListFields"):
            for item in value if many else [value]:
                clean(item, scrub, same_length)
        elif isinstance(first, (str, bytes)):
            texts = [_cleaned(message, field.name, text, scrub, same_length) for text in (value if many else [value])]
            if many:
                value[:] = texts
            else:
                setattr(message, field.name, texts[0])


def _cleaned(
    message: Any, field: str, text: str | bytes, scrub: Callable[[str], str], same_length: Callable[[bytes], bytes]
) -> str | bytes:
    if isinstance(text, str):
        return text if text in _standard_words() else scrub(text)
    if field == "raw_data":
        return same_length(text) if message.data_type in _BYTES else text
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return same_length(text)
    return text if decoded in _standard_words() else scrub(decoded).encode()


def _keep_ours(message: Any, field: str, scrub: Callable[[str], str]) -> None:
    """Of the properties of a model, those that the quantizer wrote decide what is computed."""
    ours = [] if field != "metadata_props" else [(item.key, item.value) for item in message.metadata_props
                                                 if item.key.startswith(_OURS)]  # fmt: skip
    message.ClearField(field)
    for key, value in ours:
        start, _, name = key.partition("_type.")
        message.metadata_props.add(key=f"{start}_type.{scrub(name)}" if name else key, value=value)


@cache
def _standard_words() -> frozenset[str]:
    """Operators, domains, attributes and choices of the ONNX standard: they stay, even when the user is called so."""
    from onnx import defs

    schemas = defs.get_all_schemas_with_history()
    return frozenset((*_CHOICES, *(word for each in schemas for word in (each.name, each.domain, *each.attributes))))


def _distinct(scrub: Callable[[str], str]) -> Callable[[str], str]:
    """The same, but what was different stays different: two names must not become one."""
    known: dict[str, str] = {}
    given: set[str] = set()

    def renamed(text: str) -> str:
        if text not in known:
            new = scrub(text)
            while new != text and new in given:
                new += "_"
            known[text] = new
            given.add(new)
        return known[text]

    return renamed


def strip_weights(model: ModelProto) -> None:
    """Replace the weights by what is needed to make others like them: shape, type, mean, deviation and extremes."""
    uses = _uses(model.graph)
    statistics = {}
    for index, (name, tensor) in enumerate(_tensors(model.graph)):
        if _is_weight(tensor, uses.get(name, [])):
            statistics[str(index)] = _statistics(tensor)
            _empty(tensor)
    model.metadata_props.add(key=MARK, value=json.dumps({"seed": _SEED, "tensors": statistics}))


def restore(model: ModelProto) -> bool:
    """Make the weights that ``strip_weights`` replaced, the same on every computer; whether there were any.

    Raises ModelError when the description of the weights does not fit the model.
    """
    marks = [index for index, item in enumerate(model.metadata_props) if item.key == MARK]
    if not marks:
        return False
    try:
        description = json.loads(model.metadata_props.pop(marks[0]).value)
        tensors = [tensor for _, tensor in _tensors(model.graph)]
        for index, (mean, deviation, low, high) in description["tensors"].items():
            _fill(tensors[int(index)], (description["seed"], int(index)), mean, deviation, low, high)
    except (ValueError, LookupError, TypeError) as error:
        raise ModelError(f"the weights cannot be made again: {error}", where=f"metadata `{MARK}`",
                         hint="take the model from the archive once more") from None  # fmt: skip
    return True


def for_dump(path: Path, structure: bool, scrub: Any) -> bytes | None:
    """The bytes of the model for the archive; None where weights cannot be taken out, as the file is no ONNX model."""
    try:
        model = load(path)
    except FuriosaError:
        return None if structure else scrub.same_length(path.read_bytes())
    clean(model, _distinct(scrub.text), scrub.same_length)
    if structure:
        strip_weights(model)
    return bytes(model.SerializeToString(deterministic=True))


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and those inside it, in the order of the file."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _graphs(inner)


def _tensors(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """The constant tensors with the names under which nodes read them, in the order of the file."""
    for inner in _graphs(graph):
        yield from ((tensor.name, tensor) for tensor in inner.initializer)
        for node in inner.node:
            yield from (
                (node.output[0], item.t) for item in node.attribute if _is_constant(node) and item.name == "value"
            )


def _is_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and len(node.output) == 1


def _uses(graph: GraphProto) -> dict[str, list[tuple[str, int]]]:
    """Which operators read each tensor, and as which input."""
    uses: dict[str, list[tuple[str, int]]] = {}
    for inner in _graphs(graph):
        for node in inner.node:
            for position, name in enumerate(node.input):
                uses.setdefault(name, []).append((node.op_type, position))
    return uses


def _is_weight(tensor: TensorProto, uses: list[tuple[str, int]]) -> bool:
    import math

    size = math.prod(tensor.dims)
    if size < 2 or not uses:
        return False
    if tensor.data_type in _INTEGERS:
        return all(position in _INTEGER_WEIGHTS.get(kind, ()) for kind, position in uses)
    if tensor.data_type not in _FLOATS or any(kind in _EXACT or kind.startswith("QLinear") for kind, _ in uses):
        return False
    return size > _LARGE or all(kind in _COMPUTES for kind, _ in uses)


def _statistics(tensor: TensorProto) -> list[float]:
    import numpy as np
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor).astype(np.float64)
    values = values[np.isfinite(values)]
    return [float(f(values)) for f in (np.mean, np.std, np.min, np.max)] if values.size else [0.0] * 4


def _empty(tensor: TensorProto) -> None:
    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(field)


def _fill(tensor: TensorProto, seed: tuple[int, int], mean: float, deviation: float, low: float, high: float) -> None:
    import numpy as np
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    values = np.random.default_rng(seed).normal(mean, deviation, tuple(tensor.dims)).clip(low, high)
    values = np.rint(values) if dtype.kind in "iu" else values
    tensor.raw_data = values.astype(dtype.newbyteorder("<")).tobytes()
