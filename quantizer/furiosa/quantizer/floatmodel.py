"""The model that calibration and quantization begin with: parsed, whole, and not quantized yet."""

from __future__ import annotations

import onnx

from furiosa.compiler.frontend.modelfile import all_nodes, read
from furiosa.isa.errors import ModelError, OptionError

_QUANTIZED = frozenset((
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulNBits", "MatMulBnb4",
    "QAttention", "QEmbedLayerNormalization", "QGemm", "QMoE",
))  # fmt: skip
_QUANTIZED_FAMILIES = ("QLinear", "QOrdered")


def load_float_model(model: onnx.ModelProto | bytes) -> onnx.ModelProto:
    """A copy of the model that the caller may edit, functions inlined. Initializers must lie inside.

    Raises OptionError for what is neither bytes nor a ModelProto, ModelError for bytes that are no ONNX model and for a
    model that is quantized already, and UnsupportedError for operators that ONNX Runtime does not have.
    """
    return load_with_bytes(model)[0]


def load_with_bytes(model: onnx.ModelProto | bytes) -> tuple[onnx.ModelProto, bytes]:
    """As `load_float_model`, and the bytes of the same model: the given ones, unless functions had to be inlined."""
    if isinstance(model, onnx.ModelProto):
        data, functions = model.SerializeToString(), bool(model.functions)
    elif isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        functions = _has_functions(data)
    else:
        raise OptionError(f"a model is bytes or an `onnx.ModelProto`, not `{type(model).__name__}`",
                          hint="read a file with `onnx.load(path)` or `pathlib.Path(path).read_bytes()`")  # fmt: skip
    loaded = read(data, "the model", None)
    refuse_quantized(loaded)
    return loaded, loaded.SerializeToString() if functions else data


def _has_functions(data: bytes) -> bool:
    try:
        return bool(onnx.ModelProto.FromString(data).functions)
    except Exception:  # protobuf has several classes for the same fact; `read` says what it means
        return False


def refuse_quantized(model: onnx.ModelProto) -> None:
    """Raises ModelError naming the first operator that computes with quantized tensors, if there is one."""
    for node in all_nodes(model.graph.node):
        if node.op_type in _QUANTIZED or node.op_type.startswith(_QUANTIZED_FAMILIES):
            raise ModelError(
                f"the model is quantized already: it has a `{node.op_type}`",
                where=f"node `{node.name or node.output[0]}`",
                hint="give the float32 model that it was made from; the compiler takes this one as it is",
            )
