"""The modelled time of one NPU program: its timeline on a target, and what crosses the host link for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat

from furiosa.isa.cost import Operator, operators
from furiosa.isa.enf import Program
from furiosa.isa.instructions import Instruction
from furiosa.isa.target import Target
from furiosa.isa.timeline import Timeline, schedule
from furiosa.runtime import activity
from furiosa.runtime.activity import Curve


@dataclass(frozen=True)
class ModelledProgram:
    """One execution of a program on ``target``; ``nodes`` holds the model's node of each instruction.

    ``input_bytes`` and ``output_bytes`` are what the host link carries before and after the execution.
    """

    target: Target
    timeline: Timeline
    instructions: tuple[Instruction, ...]
    nodes: tuple[str, ...]
    input_bytes: int
    output_bytes: int

    @classmethod
    def of(cls, program: Program, instructions: Sequence[Instruction], target: Target) -> ModelledProgram:
        """The timeline of a verified program, decoded as ``instructions``."""
        origins = chain.from_iterable(repeat(origin.node, origin.count) for origin in program.origins)
        nodes = chain(origins, repeat(""))
        return cls(
            target=target,
            timeline=schedule(instructions, target),
            instructions=tuple(instructions),
            nodes=tuple(next(nodes) for _ in instructions),
            input_bytes=sum(port.size for port in program.inputs),
            output_bytes=sum(port.size for port in program.outputs),
        )

    @cached_property
    def io_cycles(self) -> int:
        """Cycles in which the tensor unit waits for data: total - compute."""
        return self.timeline.cycles - self.timeline.compute_cycles

    @cached_property
    def operators(self) -> tuple[tuple[int, Operator], ...]:
        """What the device reports, in program order: the number of the instruction, and the operator."""
        timed = enumerate(zip(self.instructions, self.timeline.spans))
        return tuple((number, part) for number, (inst, span) in timed for part in operators(inst, span, self.target))

    @cached_property
    def sram_bytes(self) -> Curve:
        """Bytes of SRAM in use over cycles."""
        return activity.sram_bytes(self.instructions, self.timeline)

    @cached_property
    def dram_bandwidth(self) -> Curve:
        """Bytes a second through the DRAM port over cycles."""
        return activity.dram_bandwidth(self.instructions, self.timeline, self.target)

    @cached_property
    def mac_utilisation(self) -> Curve:
        """The share of the MAC units at work over cycles, 0 to 1."""
        return activity.mac_utilisation(self.instructions, self.timeline, self.target)

    def link_cycles(self, count: int) -> int:
        """Device cycles that ``count`` bytes take on the host link: bytes * clock / link bandwidth, rounded up."""
        return -(-count * self.target.clock_hz // self.target.host_bytes_per_second)

    def nanoseconds(self, cycles: int) -> int:
        """The time that ``cycles`` take, rounded down; monotonic, so that spans that do not overlap stay so."""
        return cycles * 1_000_000_000 // self.target.clock_hz
