"""The timeline of a program: when each instruction starts and ends on the engines of a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furiosa.isa.cost import program_cycles
from furiosa.isa.instructions import Engine, Instruction
from furiosa.isa.target import Target


@dataclass(frozen=True, slots=True)
class Timeline:
    """Start and end of every instruction, in cycles from the start of the program, in program order.

    ``cycles`` is the end of the last instruction; ``compute_cycles`` is how long the tensor unit is busy.
    """

    spans: tuple[tuple[int, int], ...]
    cycles: int
    compute_cycles: int

    @property
    def order(self) -> list[int]:
        """The instructions in order of their starts, ties in program order; a legal order of execution."""
        return sorted(range(len(self.spans)), key=lambda index: (self.spans[index][0], index))


def schedule(instructions: Sequence[Instruction], target: Target, costs: Sequence[int] | None = None) -> Timeline:
    """The timeline of a program on a target; equal arguments always give the equal timeline.

    An instruction starts when its engine has finished the one before and its tokens are given. LOAD and STORE share the
    DRAM port: one transfer at a time, in program order. So what an instruction waits for never depends on how long
    others take, and a program whose instructions take less never takes longer.

    ``costs`` replaces the modelled cycles of each instruction. Tokens must be smaller than the index of the instruction
    that waits for them.
    """
    if costs is None:
        costs = program_cycles(instructions, target)
    unit = port = computing = 0
    spans: list[tuple[int, int]] = []
    for inst, cost in zip(instructions, costs):
        compute = inst.engine is Engine.COMPUTE
        start = unit if compute else port
        for token in inst.waits:
            start = max(start, spans[token][1])
        spans.append((start, start + cost))
        if compute:
            unit = start + cost
            computing += cost
        else:
            port = start + cost
    return Timeline(tuple(spans), max(unit, port), computing)
