"""Instructions over the channels of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.isa.instructions.instruction import Engine, Instruction
from furiosa.isa.instructions.operands import F32, Activation, Framework, Int, View


@dataclass(frozen=True, slots=True)
class Softmax(Instruction):
    """y = softmax of x over the channels, as ``arithmetic.softmax`` or ``lite_softmax`` defines it for the type of y.

    The formula depends on differences of x only, so ``x_type`` and ``y_type`` may differ.
    """

    opcode = 0x29
    engine = Engine.COMPUTE
    sdk_name = "LowLevelSoftmax"

    x: View
    y: View
    x_type: Activation
    y_type: Activation
    x_scale: F32
    x_zero: Int
    y_scale: F32
    y_zero: Int
    framework: Framework = Framework.ONNX


@dataclass(frozen=True, slots=True)
class _Norm(Instruction):
    """Operands of the instructions that take the Euclidean norm of the channels."""

    x: View
    y: View
    x_type: Activation
    y_type: Activation
    x_scale: F32
    x_zero: Int
    y_scale: F32
    y_zero: Int


@dataclass(frozen=True, slots=True)
class ReduceL2(_Norm):
    """y (N, H, W, 1) = the Euclidean norm of the channels of x, as ``arithmetic.reduce_l2`` defines it."""

    opcode = 0x2A
    engine = Engine.COMPUTE
    sdk_name = "LowLevelReduceL2"


@dataclass(frozen=True, slots=True)
class L2Normalize(_Norm):
    """y = x divided by the Euclidean norm of its channels, as ``arithmetic.l2_normalize`` defines it."""

    opcode = 0x2B
    engine = Engine.COMPUTE
    sdk_name = "LowLevelLpNormalization"
