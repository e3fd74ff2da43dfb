"""Sum, difference and product of two quantized tensors, by each of the formulas that instructions know."""

from __future__ import annotations

from typing import Literal

from numpy.typing import DTypeLike

from furiosa.isa.arithmetic.elementwise import Scaling, add, float_add, float_mul, float_sub, mul
from furiosa.isa.arithmetic.float32 import Quantized
from furiosa.isa.arithmetic.lite import lite_binary
from furiosa.isa.instructions import BinaryForm


def binary(
    kind: Literal["add", "sub", "mul"],
    form: BinaryForm,
    a: Quantized,
    b: Quantized,
    qa: Scaling,
    qb: Scaling,
    qy: Scaling,
    dtype: DTypeLike,
    *,
    lo: int,
    hi: int,
) -> Quantized:
    """``kind`` of a and b by the formula of ``form``, clamped to [lo, hi]. SCALED is for add and mul only."""
    if form is BinaryForm.LITE:
        return lite_binary(kind, a, b, qa, qb, qy, dtype, lo, hi)
    if form is BinaryForm.SCALED:
        return {"add": add, "mul": mul}[kind](a, b, qa, qb, qy, lo=lo, hi=hi)
    real = {"add": float_add, "sub": float_sub, "mul": float_mul}[kind]
    return real(a, b, qa, qb, qy, dtype, lo=lo, hi=hi)
