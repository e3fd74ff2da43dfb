"""The timeline of a program: when each instruction starts and ends on the engines of a target."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from furiosa.isa.cost import cycles
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

    An instruction is ready when its engine has finished the one before and its tokens are given. LOAD and STORE share
    the DRAM port: one transfer at a time, the one that was ready first goes first, at a tie the one that comes first in
    the program. ``costs`` replaces the modelled cycles of each instruction. Tokens must be smaller than the index of
    the instruction that waits for them.
    """
    if costs is None:
        costs = [cycles(inst, target) for inst in instructions]
    return _Run(instructions, costs).timeline()


class _Run:
    """One scheduling of a program: what each engine still has to issue, and what is known of the past."""

    def __init__(self, instructions: Sequence[Instruction], costs: Sequence[int]) -> None:
        self._waits = [inst.waits for inst in instructions]
        self._costs = costs
        self._queues: tuple[deque[int], ...] = tuple(deque() for _ in Engine)
        for index, inst in enumerate(instructions):
            self._queues[inst.engine].append(index)
        self._free = [0 for _ in Engine]
        self._port_free = 0
        self._starts = [-1] * len(instructions)
        self._ends = [-1] * len(instructions)

    def timeline(self) -> Timeline:
        compute = sum(self._costs[index] for index in self._queues[Engine.COMPUTE])
        while any(self._queues):
            while (ready := self._ready(Engine.COMPUTE)) is not None:
                self._start(Engine.COMPUTE, ready)
            self._start_transfer()
        return Timeline(tuple(zip(self._starts, self._ends)), max(self._ends, default=0), compute)

    def _ready(self, engine: Engine) -> int | None:
        """When the next instruction of an engine is ready; None while it waits for one that is not scheduled."""
        queue = self._queues[engine]
        if not queue:
            return None
        ready = self._free[engine]
        for token in self._waits[queue[0]]:
            end = self._ends[token]
            if end < 0:
                return None
            ready = max(ready, end)
        return ready

    def _start_transfer(self) -> None:
        """Give the port to the transfer that is ready first.

        When one queue's next transfer waits for an instruction that is not scheduled, then that instruction waits, at
        the end, for the other queue's next transfer: it cannot be ready before that one ends.
        """
        ready = [(at, self._queues[engine][0], engine) for engine in (Engine.LOAD, Engine.STORE)
                 if (at := self._ready(engine)) is not None]  # fmt: skip
        if ready:
            at, _, engine = min(ready)
            self._start(engine, max(at, self._port_free))
            self._port_free = self._free[engine]

    def _start(self, engine: Engine, at: int) -> None:
        index = self._queues[engine].popleft()
        self._starts[index] = at
        self._ends[index] = self._free[engine] = at + self._costs[index]
