"""Convolutions and matrix products."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.isa.instructions.instruction import Engine, Instruction
from furiosa.isa.instructions.operands import F32, Activation, Int, Rounding, SramAddress, View


@dataclass(frozen=True, slots=True)
class _Convolution(Instruction):
    """Operands of the two convolutions.

    ``x`` (N, H, W, C) and ``y`` (N, P, Q, K) are views with channel stride 1. Rows and columns outside ``x`` read as
    ``x_zero``; ``pads`` are the (top, left) pixels before the first of ``x``, bottom and right follow from the shapes.
    At ``weights`` lie int8 values, at ``bias`` K int32, at ``multipliers`` K float32 (both 4-byte aligned).

        acc = sum((x - x_zero) * (w - w_zero)) + bias[k]                           exact, int32
        y   = saturate(rint(float32(acc) * multipliers[k]) + y_zero), then clamped to [lo, hi]

    ``rint`` rounds half to even; ``saturate`` is to the range of ``y_type``.
    """

    x: View
    y: View
    weights: SramAddress
    bias: SramAddress
    multipliers: SramAddress
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    groups: Int
    x_type: Activation
    y_type: Activation
    x_zero: Int
    y_zero: Int
    lo: Int
    hi: Int
    w_zero: Int = 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of int8 weights."""
        return self.y.shape[3] * self.kernel[0] * self.kernel[1] * (self.x.shape[3] // self.groups)

    @property
    def multiplier_bytes(self) -> int:
        """Bytes of what sums are multiplied with."""
        return 4 * self.y.shape[3]

    @property
    def macs(self) -> int:
        return self.y.size * self.kernel[0] * self.kernel[1] * (self.x.shape[3] // self.groups)


@dataclass(frozen=True, slots=True)
class Conv2d(_Convolution):
    """Convolution, also matrix products (1x1). Weights: int8 [K][kh][kw][C/groups].

    With rounding FIXED, at ``multipliers`` lie K rows of three int32, and y = ``arithmetic.fixed_requantize(acc)``.
    """

    opcode = 0x10
    engine = Engine.COMPUTE
    sdk_name = "LowLevelConv2d"

    rounding: Rounding = Rounding.FLOAT

    @property
    def multiplier_bytes(self) -> int:
        return (12 if self.rounding is Rounding.FIXED else 4) * self.y.shape[3]


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d(_Convolution):
    """Convolution with groups = C, so that output k reads input channel k // (K/C). Weights: int8 [kh][kw][K]."""

    opcode = 0x11
    engine = Engine.COMPUTE
    sdk_name = "LowLevelDepthwiseConv2d"


@dataclass(frozen=True, slots=True)
class MatMul(Instruction):
    """Matrix products of two computed tensors, one for each batch and row of ``a``.

    ``a`` (N, H, W, K), ``b`` (N, H, K, C) and ``y`` (N, H, W, C) are views, the first and the last with channel
    stride 1.

        acc = sum((a - a_zero) * (b - b_zero)) over K                              exact, int32
        y   = saturate(rint(float32(acc) * multiplier) + y_zero), then clamped to [lo, hi]
    """

    opcode = 0x12
    engine = Engine.COMPUTE
    sdk_name = "LowLevelMatMul"

    a: View
    b: View
    y: View
    a_type: Activation
    b_type: Activation
    y_type: Activation
    a_zero: Int
    b_zero: Int
    y_zero: Int
    multiplier: F32
    lo: Int
    hi: Int

    @property
    def macs(self) -> int:
        return self.y.size * self.a.shape[3]
