"""What to do about an operator that the NPU does not run: the hint of the reason ``no_lowering``."""

from __future__ import annotations

_CUT = "end the model before it (ModelEditor, onnx.utils.extract_model) and do this step in the program"
_NEXT = "keep it on the CPU: quantize what lies before and after, so that the NPU gets those parts"
_STATIC = "export the model with static shapes, so that it is a constant, or end the model before what depends on data"
_ALTERNATIVES = {
    "ArgMax": "give out its operand and take the argmax in the program",
    "ArgMin": "give out its operand and take the argmin in the program",
    "Cast": "leave the cast out, or do it in the program before or after the model",
    "ConstantOfShape": _STATIC,
    "CumSum": _CUT,
    "Einsum": "write it with MatMul, Transpose and Reshape",
    "GatherElements": _CUT,
    "GatherND": _CUT,
    "GlobalMaxPool": "write it as a MaxPool over the whole image",
    "GroupNormalization": "train with BatchNormalization, which follows a Conv at no cost",
    "GRU": "unroll it into MatMul, Add, Sigmoid and Tanh",
    "Hardmax": "give out its operand and take the argmax in the program",
    "InstanceNormalization": "train with BatchNormalization, which follows a Conv at no cost",
    "LayerNormalization": "train with BatchNormalization, which follows a Conv at no cost, or keep it on the CPU",
    "LogSoftmax": "end with Softmax, and take the logarithm in the program",
    "LpPool": "use AveragePool or MaxPool",
    "LRN": "leave it out when training: BatchNormalization has taken its place",
    "LSTM": "unroll it into MatMul, Add, Mul, Sigmoid and Tanh",
    "If": _STATIC,
    "Loop": _STATIC,
    "MaxUnpool": "use Resize or ConvTranspose",
    "NonMaxSuppression": _CUT,
    "NonZero": _CUT,
    "OneHot": _CUT,
    "ReduceMax": "write it as a MaxPool over the whole image where it is over rows and columns",
    "RNN": "unroll it into MatMul, Add and Tanh",
    "RoiAlign": _CUT,
    "ScatterElements": _CUT,
    "ScatterND": "write it with Slice and Concat",
    "Shape": _STATIC,
    "Tile": "write it as Expand of an axis of 1",
    "TopK": _CUT,
    "Where": "write a choice between tensors as Mul and Add with a mask, or as Clip",
}


def alternative(op_type: str) -> str:
    """The hint for an operator without an NPU lowering."""
    return _ALTERNATIVES.get(op_type, _NEXT)
