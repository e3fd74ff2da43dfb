"""A candidate: one way to schedule a cluster, with the time that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.gir.bands import in_bands
from furiosa.compiler.gir.batches import in_parts
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.gir.constants import Constants
from furiosa.compiler.gir.jobs import Buffer, Work, jobs_of
from furiosa.compiler.gir.program import Gir, Slot
from furiosa.compiler.gir.schedule import Schedule
from furiosa.compiler.graph import Op
from furiosa.compiler.lir.linearize import linearize
from furiosa.isa.enf import Port
from furiosa.isa.instructions import Instruction
from furiosa.isa.memory import Memory
from furiosa.isa.target import Target
from furiosa.isa.timeline import Timeline, schedule


@dataclass(frozen=True)
class Candidate:
    """A cluster scheduled with some choices. ``tight`` says that more SRAM might have changed it.

    ``starts`` has the first step of each job, in order.
    """

    choices: Choices
    target: Target
    gir: Gir
    tight: bool
    starts: tuple[int, ...]

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """Its instructions as one stream."""
        return linearize(self.gir).instructions

    @cached_property
    def timeline(self) -> Timeline:
        """The timeline of its instructions."""
        return schedule(self.instructions, self.target)

    @property
    def cycles(self) -> int:
        """The time that it takes."""
        return self.timeline.cycles


def work_of(cluster: Cluster, choices: Choices) -> Work:
    """The jobs of a cluster, as the choices want them."""
    work = jobs_of(cluster)
    if choices.parts > 1:
        work = in_parts(work, choices.parts)
    if choices.bands[0]:
        work = in_bands(work, *choices.bands)
    return work.ordered(choices.order) if choices.order else work


def candidate(cluster: Cluster, target: Target, choices: Choices) -> Candidate:
    """Schedule a cluster. Raises UnsupportedError for an operator that does not fit SRAM however it is cut."""
    work = work_of(cluster, choices)
    constants = Constants()
    plan = Schedule(work, target, choices, constants)
    plan.run()
    steps = plan.steps
    inputs = _ports(cluster.inputs, work.inputs)
    outputs = _ports(cluster.outputs, work.outputs)
    last = max(0, len(steps) - 1)
    slots = list(plan.slots)
    if constants.size:
        slots.append(Slot(Memory.DRAM, 0, constants.size, 0, last, "constants", ""))
    for role, ports in (("input", inputs), ("output", outputs)):
        slots += [Slot(Memory.DRAM, port.address, port.size, 0, last, role, port.tensor) for port in ports]
    slots.sort(key=lambda slot: (slot.memory, slot.first, slot.address, slot.last))
    gir = Gir(
        cluster.name, target.name, tuple(slots), steps, inputs, outputs, plan.sram_bytes, plan.dram_bytes,
        constants.image(),
    )  # fmt: skip
    return Candidate(choices, target, gir, plan.tight, tuple(plan.starts))


def _ports(ops: tuple[Op, ...], buffers: tuple[Buffer, ...]) -> tuple[Port, ...]:
    return tuple(Port(op.name, buffer.dram or 0, buffer.size) for op, buffer in zip(ops, buffers))
