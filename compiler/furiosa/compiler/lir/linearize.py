"""From a GIR to one stream of instructions, and from that to a program of the ENF."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from furiosa.compiler.gir.program import Gir
from furiosa.compiler.lir.program import Lir
from furiosa.isa.encoding import encode
from furiosa.isa.enf import Origin, Program
from furiosa.isa.hazards import required_waits
from furiosa.isa.instructions import Instruction, Load


def linearize(gir: Gir) -> Lir:
    """The steps in order: the loads issued at a step, in the order they are needed, its instruction, its stores."""
    issued: list[list[tuple[Load, str]]] = [[] for _ in gir.steps]
    for step in gir.steps:
        for fetch in step.loads:
            issued[fetch.issue].append((fetch.load, step.node))
    stream: list[Instruction] = []
    nodes: list[str] = []
    for loads, step in zip(issued, gir.steps):
        for load, node in loads:
            stream.append(load)
            nodes.append(node)
        stream += (step.instruction, *step.stores)
        nodes += (step.node,) * (1 + len(step.stores))
    waiting = (replace(inst, waits=waits) if waits else inst for inst, waits in zip(stream, required_waits(stream)))
    return Lir(
        gir.name, gir.target, tuple(waiting), tuple(nodes), gir.inputs, gir.outputs, gir.sram_bytes, gir.dram_bytes,
        gir.constants,
    )  # fmt: skip


def to_program(lir: Lir) -> Program:
    """The program of the ENF, with the origins of its instructions as runs."""
    origins = tuple(Origin(len(list(run)), node) for node, run in groupby(lir.nodes))
    return Program(
        encode(lir.instructions), lir.constants, lir.sram_bytes, lir.dram_bytes, lir.inputs, lir.outputs, origins
    )
