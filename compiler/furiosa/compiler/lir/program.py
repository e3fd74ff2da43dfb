"""The LIR: one stream of instructions with tokens, and the model's node each comes from."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.isa.enf import Port
from furiosa.isa.instructions import Instruction


@dataclass(frozen=True, slots=True)
class Lir:
    """A cluster as instructions in order; ``nodes[i]`` is the origin of ``instructions[i]``. The rest is the GIR's."""

    name: str
    target: str
    instructions: tuple[Instruction, ...]
    nodes: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    sram_bytes: int
    dram_bytes: int
    constants: bytes
