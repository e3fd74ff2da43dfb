"""From a cluster to its GIR: the fastest of a few schedules."""

from __future__ import annotations

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.gir.constants import Constants
from furiosa.compiler.gir.jobs import Buffer, jobs_of
from furiosa.compiler.gir.program import Gir, Slot
from furiosa.compiler.gir.schedule import Schedule
from furiosa.compiler.graph import Op
from furiosa.compiler.lir.linearize import linearize
from furiosa.isa.enf import Port
from furiosa.isa.errors import UnsupportedError
from furiosa.isa.memory import Memory
from furiosa.isa.target import Target
from furiosa.isa.timeline import schedule

_TRIED = 4
_LEAST = 1 << 20


def build(cluster: Cluster, target: Target) -> Gir:
    """Tile, schedule and place an NPU cluster on a target; equal clusters give the equal GIR.

    Where SRAM is tight, the schedules for less of it are tried too, and the one with the shortest timeline is taken: a
    rule that looks one job ahead can do worse with more room.

    Raises UnsupportedError naming the operator and its bytes when one does not fit the target's SRAM however it is cut.
    """
    best, tight = _scheduled(cluster, target, target.sram_bytes)
    if not tight:
        return best
    least = _cycles(best, target)
    for room in _smaller(target.sram_bytes):
        try:
            found, _ = _scheduled(cluster, target, room)
        except UnsupportedError:
            break
        cycles = _cycles(found, target)
        if cycles < least:
            best, least = found, cycles
    return best


def _smaller(room: int) -> list[int]:
    """The next sizes below ``room`` of the form 2**n or 3 * 2**n, descending; small ones take long and gain nothing."""
    top = room.bit_length()
    sizes = {base << power for power in range(top - _TRIED, top) if power >= 0 for base in (1, 3)}
    return sorted((size for size in sizes if _LEAST <= size < room), reverse=True)[:_TRIED]


def _cycles(program: Gir, target: Target) -> int:
    return schedule(linearize(program).instructions, target).cycles


def _scheduled(cluster: Cluster, target: Target, room: int) -> tuple[Gir, bool]:
    """The GIR that uses ``room`` bytes of SRAM, and whether that was tight."""
    work = jobs_of(cluster)
    constants = Constants()
    plan = Schedule(work, target, room, constants)
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
    return gir, plan.tight


def _ports(ops: tuple[Op, ...], buffers: tuple[Buffer, ...]) -> tuple[Port, ...]:
    return tuple(Port(op.name, buffer.dram or 0, buffer.size) for op, buffer in zip(ops, buffers))
