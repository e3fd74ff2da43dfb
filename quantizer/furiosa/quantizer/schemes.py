"""The operator table of the quantizer: which operators get an int8 form, and how their tensors are treated in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How an operator's result gets its scale."""

    PRODUCT = "constant weights in int8 with a scale a channel, bias in int32; the result has a range of its own"
    COMPUTE = "the result has a range of its own"
    CLAMP = "as COMPUTE; behind an operator whose result nobody else reads, it is a part of that operator"
    MOVE = "elements only move: the result has the scale of the operand"
    JOIN = "the result has a range of its own, and operands that nobody else reads have its scale"


@dataclass(frozen=True, slots=True)
class Scheme:
    """``data``: the operands that are quantized, by position; None for all of them. The others stay as they are.

    ``clamps``: a Relu or Clip behind it needs no quantization in between. ``result``: the range of the result where it
    does not depend on data; where less than half of it is used, the operator stays float32.
    """

    kind: Kind
    data: tuple[int, ...] | None = (0,)
    clamps: bool = False
    result: tuple[float, float] | None = None


_PRODUCT = Scheme(Kind.PRODUCT, (0,), clamps=True)
_BINARY = Scheme(Kind.COMPUTE, None, clamps=True)
_FUNCTION = Scheme(Kind.COMPUTE)
_MOVE = Scheme(Kind.MOVE)
_CLAMP = Scheme(Kind.CLAMP, (0,), clamps=True)

COMPUTED_PRODUCT = Scheme(Kind.COMPUTE, (0, 1), clamps=True)
"""Of a product of two activations."""

SCHEMES: dict[str, Scheme] = {
    # Products; see also COMPUTED_PRODUCT.
    "Conv": _PRODUCT, "ConvTranspose": _PRODUCT, "Gemm": _PRODUCT, "MatMul": _PRODUCT,
    # Of several tensors.
    "Add": _BINARY, "Sub": _BINARY, "Mul": _BINARY, "Sum": _BINARY, "Mean": Scheme(Kind.COMPUTE, None),
    "Concat": Scheme(Kind.JOIN, None),
    # Of one tensor; exponents, slopes and statistics stay float32.
    "BatchNormalization": Scheme(Kind.COMPUTE, (0,), clamps=True),
    "Relu": _CLAMP, "Clip": _CLAMP,
    "Celu": _FUNCTION, "Elu": _FUNCTION, "Erf": _FUNCTION, "Exp": _FUNCTION, "Gelu": _FUNCTION,
    "HardSigmoid": _FUNCTION, "HardSwish": _FUNCTION, "LeakyRelu": _FUNCTION, "Log": _FUNCTION, "Mish": _FUNCTION,
    "PRelu": _FUNCTION, "Pow": _FUNCTION, "Selu": _FUNCTION, "Sigmoid": _FUNCTION, "Softplus": _FUNCTION,
    "Softsign": _FUNCTION, "Sqrt": _FUNCTION, "Tanh": _FUNCTION, "ThresholdedRelu": _FUNCTION,
    # Over windows and axes.
    "AveragePool": _FUNCTION, "GlobalAveragePool": _FUNCTION, "LpNormalization": _FUNCTION, "ReduceL2": _FUNCTION,
    "ReduceSum": _FUNCTION,
    # ONNX Runtime's integer kernel multiplies by the integer part of 1 / scale, and what exceeds 255 begins at 0 again.
    "Softmax": Scheme(Kind.COMPUTE, result=(0.0, 1.0)),
    # Nothing but moves. Means of neighbours do not leave the range either; a cubic Resize does, and some Pads.
    "DepthToSpace": _MOVE, "Dropout": _MOVE, "Expand": _MOVE, "Flatten": _MOVE, "Gather": _MOVE,
    "GlobalMaxPool": _MOVE, "Identity": _MOVE, "MaxPool": _MOVE, "Pad": _MOVE, "Reshape": _MOVE, "Resize": _MOVE,
    "Slice": _MOVE, "SpaceToDepth": _MOVE, "Split": _MOVE, "Squeeze": _MOVE, "Tile": _MOVE, "Transpose": _MOVE,
    "Unsqueeze": _MOVE,
}  # fmt: skip
"""What is not here stays float32: int8 would lose too much (LayerNormalization), or has no meaning (TopK, loops)."""

MICROSOFT_DOMAIN = "com.microsoft"
MICROSOFT = frozenset(("Gelu",))
"""Operators of the `MICROSOFT_DOMAIN` that are treated like those of the standard."""
