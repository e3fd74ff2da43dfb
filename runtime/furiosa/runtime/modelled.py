"""The modelled time of one NPU program: its timeline on a target, and what crosses the host link for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from furiosa.isa.enf import Program
from furiosa.isa.instructions import Engine, Instruction
from furiosa.isa.target import Target
from furiosa.isa.timeline import Timeline, schedule


@dataclass(frozen=True, slots=True)
class ModelledProgram:
    """One execution of a program on ``target``; per instruction: its operator name, engine and the model's node.

    ``input_bytes`` and ``output_bytes`` are what the host link carries before and after the execution.
    """

    target: Target
    timeline: Timeline
    names: tuple[str, ...]
    engines: tuple[Engine, ...]
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
            names=tuple(instruction.label for instruction in instructions),
            engines=tuple(instruction.engine for instruction in instructions),
            nodes=tuple(next(nodes) for _ in instructions),
            input_bytes=sum(port.size for port in program.inputs),
            output_bytes=sum(port.size for port in program.outputs),
        )

    @property
    def io_cycles(self) -> int:
        """Cycles in which the tensor unit waits for data: total - compute."""
        return self.timeline.cycles - self.timeline.compute_cycles

    def link_cycles(self, count: int) -> int:
        """Device cycles that ``count`` bytes take on the host link: bytes * clock / link bandwidth, rounded up."""
        return -(-count * self.target.clock_hz // self.target.host_bytes_per_second)

    def nanoseconds(self, cycles: int) -> int:
        """The time that ``cycles`` take, rounded down; monotonic, so that spans that do not overlap stay so."""
        return cycles * 1_000_000_000 // self.target.clock_hz
