"""Instructions on one element at a time."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.isa.instructions.instruction import Engine, Instruction
from furiosa.isa.instructions.operands import F32, Activation, BinaryForm, Int, SramAddress, View


@dataclass(frozen=True, slots=True)
class _Binary(Instruction):
    """Operands of the element-wise instructions; ``a`` and ``b`` have the shape of ``y`` (stride 0 broadcasts).

    The result is clamped to [lo, hi] in the stored integer type.
    """

    a: View
    b: View
    y: View
    a_type: Activation
    b_type: Activation
    y_type: Activation
    a_scale: F32
    a_zero: Int
    b_scale: F32
    b_zero: Int
    y_scale: F32
    y_zero: Int
    form: BinaryForm
    lo: Int
    hi: Int


@dataclass(frozen=True, slots=True)
class Add(_Binary):
    """y = a + b, as ``arithmetic.binary`` and ``lite_binary`` define it for each form."""

    opcode = 0x20
    engine = Engine.COMPUTE
    sdk_name = "LowLevelAdd"


@dataclass(frozen=True, slots=True)
class Sub(_Binary):
    """y = a - b, as Add."""

    opcode = 0x21
    engine = Engine.COMPUTE
    sdk_name = "LowLevelSub"


@dataclass(frozen=True, slots=True)
class Mul(_Binary):
    """y = a * b, as Add."""

    opcode = 0x22
    engine = Engine.COMPUTE
    sdk_name = "LowLevelMul"


@dataclass(frozen=True, slots=True)
class Sum(Instruction):
    """y = the sum of ``count`` tensors times ``factor``, as ``arithmetic.float_sum`` defines it, clamped to [lo, hi].

    The tensors lie one after the other on the first axis of ``x``, which has ``count`` times the extent of that of
    ``y``. ``scales`` are ``count`` float32, and ``zeros`` as many bytes of ``x_type``.
    """

    opcode = 0x23
    engine = Engine.COMPUTE
    sdk_name = "LowLevelSum"

    x: View
    y: View
    count: Int
    scales: SramAddress
    zeros: SramAddress
    x_type: Activation
    y_type: Activation
    y_scale: F32
    y_zero: Int
    factor: F32
    lo: Int
    hi: Int


@dataclass(frozen=True, slots=True)
class Table(Instruction):
    """y = table[c][x] with the byte of x read as unsigned index; ``tables`` is 1 (shared) or C, each 256 bytes."""

    opcode = 0x28
    engine = Engine.COMPUTE
    sdk_name = "LowLevelTable"

    x: View
    y: View
    table: SramAddress
    tables: Int
