"""Instructions that move bytes: between the memories, and inside SRAM."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.isa.instructions.instruction import Engine, Instruction
from furiosa.isa.instructions.operands import CopyKind, DramAddress, Int, SramAddress, View


@dataclass(frozen=True, slots=True)
class Load(Instruction):
    """DRAM -> SRAM: dst[n, h, w, c] = dram[src + n*sn + h*sh + w*sw + c*sc]."""

    opcode = 0x01
    engine = Engine.LOAD
    sdk_name = "Load"

    dst: View
    src: DramAddress
    src_strides: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Store(Instruction):
    """SRAM -> DRAM: dram[dst + n*sn + h*sh + w*sw + c*sc] = src[n, h, w, c]."""

    opcode = 0x02
    engine = Engine.STORE
    sdk_name = "Store"

    src: View
    dst: DramAddress
    dst_strides: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """sram[dst + i . dst_strides] = sram[src + i . src_strides] for every index i below ``shape`` (six axes)."""

    opcode = 0x30
    engine = Engine.COMPUTE
    sdk_name = "LowLevelReshape"

    dst: SramAddress
    dst_strides: tuple[int, int, int, int, int, int]
    src: SramAddress
    src_strides: tuple[int, int, int, int, int, int]
    shape: tuple[int, int, int, int, int, int]
    kind: CopyKind

    @property
    def label(self) -> str:
        return f"LowLevel{self.kind.name.capitalize()}"


@dataclass(frozen=True, slots=True)
class Fill(Instruction):
    """y = value (the raw byte, 0 to 255) everywhere."""

    opcode = 0x31
    engine = Engine.COMPUTE
    sdk_name = "LowLevelExpand"

    y: View
    value: Int
