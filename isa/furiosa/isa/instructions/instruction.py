"""What all instructions share, and the units that execute them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class Engine(IntEnum):
    """The units that work in parallel: the tensor unit, and the two DMA queues between DRAM and SRAM."""

    COMPUTE = 0
    LOAD = 1
    STORE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions share. Fields are integers, float32 values, views and tuples of integers."""

    opcode: ClassVar[int]
    engine: ClassVar[Engine]
    sdk_name: ClassVar[str]

    waits: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The operator name that the profiler and traces show."""
        return self.sdk_name

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of useful work."""
        return 0
