"""The model that calibration and quantization begin with: parsed, whole, and not quantized yet."""

from __future__ import annotations

from pathlib import Path

import onnx

from furiosa.compiler.frontend.modelfile import all_nodes, read
from furiosa.isa.errors import ModelError, OptionError, UnsupportedError
from furiosa.quantizer.names import captured

_QUANTIZED = frozenset((
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulNBits", "MatMulBnb4",
    "QAttention", "QEmbedLayerNormalization", "QGemm", "QMoE",
))  # fmt: skip
_QUANTIZED_FAMILIES = ("QLinear", "QOrdered")
_TFLITE = b"TFL3"  # FlatBuffers have it behind the offset of their root
_EXPORT = "export the model again; a valid one passes `onnx.checker.check_model`"


def load_float_model(model: onnx.ModelProto | bytes) -> onnx.ModelProto:
    """A copy of the model that the caller may edit, functions inlined. Initializers must lie inside.

    Raises OptionError for what is neither bytes nor a ModelProto, ModelError for bytes that are no ONNX model and for a
    model that is quantized already, and UnsupportedError for operators that ONNX Runtime does not have.
    """
    return load_with_bytes(model)[0]


def read_float_model(path: Path) -> onnx.ModelProto:
    """The model in a file, with the weights in files beside it. Raises what `load_float_model` raises, naming it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model `{path}`: {error.strerror}",
                         hint="check the path and its permissions") from None  # fmt: skip
    model = _whole(data, str(path), path.parent)
    refuse_quantized(model, str(path))
    return model


def load_with_bytes(model: onnx.ModelProto | bytes) -> tuple[onnx.ModelProto, bytes]:
    """As `load_float_model`, and the bytes of the same model: the given ones, unless functions had to be inlined."""
    loaded, data = load_model(model, "the model")
    refuse_quantized(loaded, "the model")
    return loaded, data


def load_model(model: onnx.ModelProto | bytes, where: str) -> tuple[onnx.ModelProto, bytes]:
    """As `load_with_bytes`, of a model that may be quantized; ``where`` names it in errors."""
    if isinstance(model, onnx.ModelProto):
        data, functions = model.SerializeToString(), bool(model.functions)
    elif isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        functions = _has_functions(data)
    else:
        raise OptionError(f"a model is bytes or an `onnx.ModelProto`, not `{type(model).__name__}`",
                          hint="read a file with `onnx.load(path)` or `pathlib.Path(path).read_bytes()`")  # fmt: skip
    loaded = _whole(data, where, None)
    return loaded, loaded.SerializeToString() if functions else data


def _whole(data: bytes, where: str, folder: Path | None) -> onnx.ModelProto:
    """The model, with weights from files in ``folder``; every tensor in it is made before it is read."""
    if data[4:8] == _TFLITE:
        raise ModelError("not an ONNX model but a TFLite model", where=where,
                         hint="TensorFlow's converter quantizes those; the compiler takes the result")  # fmt: skip
    model = read(data, where, folder)
    _refuse_unknown_opset(model, where)
    _refuse_disorder(model.graph, where)
    return model


def _has_functions(data: bytes) -> bool:
    try:
        return bool(onnx.ModelProto.FromString(data).functions)
    except Exception:  # protobuf has several classes for the same fact; `read` says what it means
        return False


def refuse_quantized(model: onnx.ModelProto, where: str) -> None:
    """Raises ModelError naming the first operator that computes with quantized tensors, if there is one."""
    for node in all_nodes(model.graph.node):
        if node.op_type in _QUANTIZED or node.op_type.startswith(_QUANTIZED_FAMILIES):
            raise ModelError(
                f"the model is quantized already: it has a `{node.op_type}`",
                where=_place(node, where),
                hint="give the float32 model that it was made from; the compiler takes this one as it is",
            )


def _refuse_unknown_opset(model: onnx.ModelProto, where: str) -> None:
    newest = onnx.defs.onnx_opset_version()
    found = next((item.version for item in model.opset_import if not item.domain), 0)
    if found > newest:
        raise UnsupportedError(f"the model is of opset {found}, and the installed onnx knows those up to {newest}",
                               where=where, hint="install a newer onnx, or export with an older opset")  # fmt: skip


def _refuse_disorder(graph: onnx.GraphProto, where: str) -> None:
    """Raises ModelError for a tensor that is made twice, and for one that is read though nothing before makes it."""
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for name in filter(None, (*node.input, *captured(node))):
            if name not in known:
                raise ModelError(f"tensor `{name}` is read, and nothing before makes it", where=_place(node, where),
                                 hint=_EXPORT)  # fmt: skip
        for name in filter(None, node.output):
            if name in known:
                raise ModelError(f"tensor `{name}` is made twice", where=_place(node, where), hint=_EXPORT)
            known.add(name)
    for value in graph.output:
        if value.name not in known:
            raise ModelError(f"output `{value.name}` is made by no node", where=where, hint=_EXPORT)


def _place(node: onnx.NodeProto, where: str) -> str:
    return f"{where}, node `{node.name or next(iter(node.output), node.op_type)}`"
