"""The GIR: a cluster as tiles with memory, transfers and addresses settled; plain data."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler.gir.boxes import Box
from furiosa.isa.enf import Port
from furiosa.isa.instructions import Instruction, Load, Store
from furiosa.isa.memory import Memory


@dataclass(frozen=True, slots=True)
class Slot:
    """``size`` bytes of memory that hold one thing from step ``first`` to step ``last``, both included.

    ``role`` is ``activation`` (a whole buffer), ``tile`` (``box`` of a tensor), ``parameters`` (weights, bias,
    multipliers or tables of the channels in ``box``), ``constants``, ``input``, ``output`` or ``spill``. The slots of
    one memory that live at the same step never overlap.
    """

    memory: Memory
    address: int
    size: int
    first: int
    last: int
    role: str
    tensor: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Prefetch:
    """A load for a step, issued when step ``issue`` begins: that step or an earlier one."""

    issue: int
    load: Load


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of the tensor unit, the loads it needs and the stores that follow it.

    ``node`` is the model's node it comes from. A load of an earlier step may serve this one too.
    """

    node: str
    instruction: Instruction
    loads: tuple[Prefetch, ...] = ()
    stores: tuple[Store, ...] = ()


@dataclass(frozen=True, slots=True)
class Gir:
    """A cluster as steps in order. ``constants`` is the DRAM image from address 0; ports are dense (N, H, W, C).

    ``sram_bytes`` and ``dram_bytes`` are the highest addresses used plus one.
    """

    name: str
    target: str
    slots: tuple[Slot, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    sram_bytes: int
    dram_bytes: int
    constants: bytes
