"""Operators that neither the NPU nor ONNX Runtime has, each with the way out."""

from __future__ import annotations

from furiosa.compiler.frontend.tflite.model import Operator
from furiosa.compiler.graph import Reason
from furiosa.isa.errors import UnsupportedError

_STATE = "make the state an input and a result of the model"
_RECURRENT = "convert with the layer unrolled (Keras: `unroll=True`), which makes matrix products of it"
_CONTROL = "convert without control flow: unroll loops, split the model at a condition"
_DATA = "end the model before it: the shape of its result depends on the data"
_WORDS = "look words up before the model and give it the numbers"
_RANDOM = "make the random numbers an input of the model"
_COMPLEX = "compute the spectrum before the model, or write it as a product with a constant matrix"
_SPARSE = "store the weights densely"
_SPATIAL = "write it with two spatial axes"
_STABLEHLO = "convert to TFLite's own operators"
_OTHER = "replace the operator by standard ones"

_WAYS = {
    _STATE: "ASSIGN_VARIABLE CALL_ONCE READ_VARIABLE SVDF VAR_HANDLE",
    _RECURRENT: "BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN LSTM RNN UNIDIRECTIONAL_SEQUENCE_LSTM "
                "UNIDIRECTIONAL_SEQUENCE_RNN",
    _CONTROL: "CALL IF WHILE",
    _DATA: "NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 UNIQUE WHERE",
    _WORDS: "CONCAT_EMBEDDINGS EMBEDDING_LOOKUP_SPARSE HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_LOOKUP "
            "HASHTABLE_SIZE LSH_PROJECTION SKIP_GRAM",
    _RANDOM: "MULTINOMIAL RANDOM_STANDARD_NORMAL RANDOM_UNIFORM",
    _COMPLEX: "COMPLEX_ABS IMAG REAL RFFT2D",
    _SPARSE: "DENSIFY SPARSE_TO_DENSE",
    _SPATIAL: "CONV_3D CONV_3D_TRANSPOSE",
}  # fmt: skip
_HINTS = {code: way for way, codes in _WAYS.items() for code in codes.split()}


def way_out(code: str) -> str:
    """What to do about a builtin operator that is refused."""
    return _STABLEHLO if code.startswith("STABLEHLO_") else _HINTS.get(code, _OTHER)


def refusal(operator: Operator, where: str) -> UnsupportedError:
    """The error for an operator that is refused."""
    code = operator.code
    place = f"{where}, {operator.name}"
    if operator.custom is None:
        return UnsupportedError(f"operator `{code}` is known neither here nor to ONNX Runtime", where=place,
                                hint=way_out(code))  # fmt: skip
    hint = "end the model before it and compute it in the application"
    if code.startswith("Flex"):
        hint = "convert without `SELECT_TF_OPS`: TensorFlow's own operators need TensorFlow"
    return UnsupportedError(f"custom operator `{code}` is known neither here nor to ONNX Runtime", where=place,
                            hint=hint)  # fmt: skip


def unsupported(operator: Operator, reason: Reason, where: str) -> UnsupportedError:
    """The error for an operator in a form that neither the NPU nor the CPU has."""
    return UnsupportedError(f"operator `{operator.code}`: {reason}", where=f"{where}, {operator.name}",
                            hint=reason.hint or _OTHER)  # fmt: skip


def stateful(operator: Operator, tensor: str, where: str) -> UnsupportedError:
    """The error for an operator that keeps a tensor between inferences."""
    return UnsupportedError(f"operator `{operator.code}` keeps tensor `{tensor}` between inferences",
                            where=f"{where}, {operator.name}", hint=_HINTS.get(operator.code, _STATE))  # fmt: skip
