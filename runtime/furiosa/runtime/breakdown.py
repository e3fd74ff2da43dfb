"""Where the time of the NPU goes: for each node of the model its share, its work, and what bounds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from furiosa.isa.cost import cycles
from furiosa.isa.instructions import Engine
from furiosa.isa.target import Target
from furiosa.runtime.activity import moved_bytes
from furiosa.runtime.modelled import ModelledProgram

Bound: TypeAlias = Literal["compute", "floor", "DMA"]

_ENDLESS_SLICES = 2**20


@dataclass(slots=True)
class OperatorTime:
    """What a node costs on the NPU, in cycles of modelled time; the times of all nodes add up to that of the programs.

    ``compute`` is the time of its instructions on the tensor unit, ``wait`` the time in which that unit idled before
    them. ``floor`` is the part of ``compute`` that more slices would not make shorter: the starts of instructions and
    their longest chains of sums. ``transfer`` is the time of its DMA transfers, which others may hide.
    """

    node: str
    operator: str = ""
    compute: int = 0
    wait: int = 0
    floor: int = 0
    transfer: int = 0
    macs: int = 0
    dram_bytes: int = 0
    instructions: int = 0
    _operators: Counter[str] = field(default_factory=Counter, repr=False)

    @property
    def time(self) -> int:
        return self.compute + self.wait

    @property
    def bound(self) -> Bound:
        """What one would have to improve: transfers that it waits for, its floor, or the width of the tensor unit."""
        if self.wait > self.compute:
            return "DMA"
        return "floor" if 2 * self.floor > self.compute else "compute"

    def utilisation(self, target: Target) -> float:
        """The share of the MAC units at work in its time, 0 to 1."""
        return self.macs / (self.time * target.macs_per_cycle) if self.time else 0.0


def operator_times(programs: Sequence[ModelledProgram]) -> list[OperatorTime]:
    """The nodes of all programs, the one that takes the longest first."""
    nodes: dict[str, OperatorTime] = {}
    for program in programs:
        _add(program, nodes)
    for row in nodes.values():
        row.operator = max(row._operators, key=lambda name: row._operators[name], default="")
    return sorted(nodes.values(), key=lambda row: (-row.time, row.node))


def _add(program: ModelledProgram, nodes: dict[str, OperatorTime]) -> None:
    wide = replace(program.target, slices=_ENDLESS_SLICES)
    free = 0
    last = ""
    for inst, node, (start, end) in zip(program.instructions, program.nodes, program.timeline.spans):
        row = nodes.setdefault(node, OperatorTime(node))
        row.instructions += 1
        row.macs += inst.macs
        if inst.engine is not Engine.COMPUTE:
            row.dram_bytes += moved_bytes(inst)
            row.transfer += end - start
            row._operators[inst.label] += 0
            last = node if inst.engine is Engine.STORE else last
            continue
        row._operators[inst.label] += end - start
        row.compute += end - start
        row.floor += min(end - start, cycles(inst, wide))
        row.wait += start - free
        free = end
    if program.timeline.cycles > free:  # the last results are on their way
        nodes.setdefault(last, OperatorTime(last)).wait += program.timeline.cycles - free
