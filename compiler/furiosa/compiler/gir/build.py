"""From a cluster to its GIR."""

from __future__ import annotations

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.gir.constants import Constants
from furiosa.compiler.gir.jobs import Buffer, jobs_of
from furiosa.compiler.gir.program import Gir, Slot
from furiosa.compiler.gir.schedule import Schedule
from furiosa.compiler.graph import Op
from furiosa.isa.enf import Port
from furiosa.isa.memory import Memory
from furiosa.isa.target import Target


def build(cluster: Cluster, target: Target) -> Gir:
    """Tile, schedule and place an NPU cluster on a target; equal clusters give the equal GIR.

    Raises UnsupportedError naming the operator and its bytes when one does not fit the target's SRAM however it is cut.
    """
    work = jobs_of(cluster)
    constants = Constants()
    schedule = Schedule(work, target, constants)
    schedule.run()
    steps = schedule.steps
    inputs = _ports(cluster.inputs, work.inputs)
    outputs = _ports(cluster.outputs, work.outputs)
    last = max(0, len(steps) - 1)
    slots = list(schedule.slots)
    if constants.size:
        slots.append(Slot(Memory.DRAM, 0, constants.size, 0, last, "constants", ""))
    for role, ports in (("input", inputs), ("output", outputs)):
        slots += [Slot(Memory.DRAM, port.address, port.size, 0, last, role, port.tensor) for port in ports]
    slots.sort(key=lambda slot: (slot.memory, slot.first, slot.address, slot.last))
    return Gir(
        cluster.name, target.name, tuple(slots), steps, inputs, outputs, schedule.sram_bytes, schedule.dram_bytes,
        constants.image(),
    )  # fmt: skip


def _ports(ops: tuple[Op, ...], buffers: tuple[Buffer, ...]) -> tuple[Port, ...]:
    return tuple(Port(op.name, buffer.dram or 0, buffer.size) for op, buffer in zip(ops, buffers))
