"""Rings: the slots in SRAM of a job's streamed operands, each operand's used in turn."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler.gir.allocate import LastUse
from furiosa.compiler.gir.boxes import Box
from furiosa.compiler.gir.jobs import Job
from furiosa.compiler.gir.program import Slot
from furiosa.compiler.gir.tiling import Role, Tiling
from furiosa.isa.memory import Memory


@dataclass(slots=True)
class Ring:
    """The slots of one streamed operand of a job. ``held`` is what the current one holds, from step ``first`` on.

    What a slot held is noted in ``history``, and when its bytes were last used in ``last_use``.
    """

    address: int
    role: Role
    tensor: str
    kind: str
    history: list[Slot]
    last_use: LastUse
    number: int = -1
    held: Box | None = None
    first: int = 0
    last: int = 0

    @property
    def slot(self) -> int:
        """Address of the current slot."""
        return self.address + (self.number % self.role.count) * self.role.size

    def turn(self, box: Box, step: int) -> None:
        """Go on to the next slot, which holds ``box`` from ``step`` on."""
        self.close()
        self.number += 1
        self.held, self.first = box, step

    def use(self, step: int) -> None:
        """The current slot is in use until the end of ``step``."""
        if self.held is not None:
            self.last = step
            self.last_use.mark(self.slot, self.slot + self.role.size, step)

    def close(self) -> None:
        """Note what the current slot held."""
        if self.held is not None:
            self.history.append(
                Slot(Memory.SRAM, self.slot, self.role.size, self.first, self.last, self.kind, self.tensor, self.held)
            )


@dataclass(frozen=True, slots=True)
class Rings:
    """Those of a job, side by side from one address on."""

    inputs: tuple[Ring, ...]
    params: Ring
    output: Ring

    @classmethod
    def of(cls, job: Job, tiling: Tiling, address: int, history: list[Slot], last_use: LastUse) -> Rings:
        """The rings of a job that is cut like this; operands that do not stream have empty ones."""
        names = [*((ref.name, "tile") for ref in job.inputs), (job.op.name, "parameters"), (job.output.name, "tile")]
        rings = []
        for (name, kind), role in zip(names, (*tiling.inputs, tiling.params, tiling.output)):
            rings.append(Ring(address, role, name, kind, history, last_use))
            address += role.bytes
        return cls(tuple(rings[:-2]), rings[-2], rings[-1])

    def use(self, step: int) -> None:
        """All current slots are in use until the end of ``step``."""
        for ring in (*self.inputs, self.params, self.output):
            ring.use(step)

    def close(self) -> None:
        """Note what the current slots held."""
        for ring in (*self.inputs, self.params, self.output):
            ring.close()
