"""What the memory page shows, as plain data: the work of the engines and the buffers they work on, over cycles."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from furiosa.compiler import lir
from furiosa.compiler.gir import Gir, Slot
from furiosa.compiler.graph import Graph, TensorType
from furiosa.compiler.module import Module
from furiosa.isa.instructions import Engine
from furiosa.isa.memory import Memory, Region, Regions, regions
from furiosa.isa.target import Target, target
from furiosa.isa.timeline import schedule

SCHEMA_VERSION = 1
WORK = ("program", "engine", "label", "node", "start", "end", "bytes", "macs")
BUFFERS = ("program", "memory", "role", "tensor", "node", "type", "part", "address", "size", "start", "end", "tip",
           "writes", "reads")  # fmt: skip

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Run:
    """A program in time: what each instruction touches and when, in cycles from the start of the first program."""

    program: Gir
    stream: lir.Lir
    touched: list[Regions]
    spans: list[Span]
    start: int
    end: int

    @classmethod
    def of(cls, program: Gir, npu: Target, start: int) -> _Run:
        stream = lir.linearize(program)
        timeline = schedule(stream.instructions, npu)
        spans = [(start + first, start + last) for first, last in timeline.spans]
        touched = [regions(inst) for inst in stream.instructions]
        return cls(program, stream, touched, spans, start, start + timeline.cycles)


@dataclass(slots=True)
class _Uses:
    """The instructions that write and read a buffer, by their index in the program."""

    writes: list[int] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)


def page_data(module: Module[Gir], model: str, graph: Graph | None) -> dict[str, Any]:
    """Everything on the page. ``graph`` is the model in the LDFG, for types and fused nodes; None where there is none.

    The programs stand one after the other on one axis of modelled cycles, as they run. ``work`` has a row for each
    instruction (``bytes`` moved from or to DRAM), ``buffers`` one for each slot of the GIR: its bytes are in use from
    the first access, at cycle ``start``, to the last; ``writes`` and ``reads`` are rows of ``work``.
    """
    npu = target(module.target)
    types = {} if graph is None else {op.name: _type(op.type) for op in graph}
    work: list[list[Any]] = []
    buffers: list[list[Any]] = []
    programs: list[dict[str, Any]] = []
    cycles = 0
    for index, program in enumerate(module.programs):
        run = _Run.of(program, npu, cycles)
        buffers += _buffer_rows(index, run, types, len(buffers), len(work))
        work += _work_rows(index, run)
        programs.append({"name": f"pe#0:exe#{index}", "cluster": program.name, "sram_peak_bytes": program.sram_bytes,
                         "start": run.start, "end": run.end})  # fmt: skip
        cycles = run.end
    done = [dict(zip(WORK, row)) for row in work]
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model,
        "batch_size": module.batch_size,
        "target": _target(npu),
        "npu_cycles": cycles,
        "compute_cycles": sum(row["end"] - row["start"] for row in done if row["engine"] == Engine.COMPUTE.name),
        "npu_latency_us": round(npu.microseconds(cycles), 3),
        "sram_peak_bytes": max((program.sram_bytes for program in module.programs), default=0),
        "dram_bytes": sum(row["bytes"] for row in done),
        "macs": sum(row["macs"] for row in done),
        "programs": programs,
        "fused": {} if graph is None else _fused(graph),
        "work": {"columns": WORK, "rows": work},
        "buffers": {"columns": BUFFERS, "rows": buffers},
    }


def _target(npu: Target) -> dict[str, Any]:
    return {"name": npu.name, "pes": npu.pes, "sram_bytes": npu.sram_bytes, "clock_hz": npu.clock_hz,
            "dram_bytes_per_second": npu.dram_bytes_per_second, "macs_per_cycle": npu.macs_per_cycle}  # fmt: skip


def _fused(graph: Graph) -> dict[str, list[str]]:
    """The other nodes of the model that the instructions of a node stand for."""
    found: dict[str, dict[str, None]] = {}
    for op in graph:
        for name, _ in op.sources:
            if name != op.node:
                found.setdefault(op.node, {})[name] = None
    return {node: list(names) for node, names in found.items()}


def _work_rows(index: int, run: _Run) -> Iterator[list[Any]]:
    """The instructions of program ``index``."""
    for inst, node, span, touches in zip(run.stream.instructions, run.stream.nodes, run.spans, run.touched):
        yield [index, inst.engine.name, inst.label, node, *span, _moved(touches), inst.macs]


def _buffer_rows(index: int, run: _Run, types: dict[str, str], number: int, work: int) -> Iterator[list[Any]]:
    """The slots of program ``index``, SRAM first, from buffer ``number`` on; its instructions from ``work`` on.

    A slot that nothing touches, as a GIR that people edited may have it, takes the whole time of its program.
    """
    pairs = zip(run.program.slots, _uses(run.program, run.touched))
    for slot, uses in sorted(pairs, key=lambda pair: pair[0].memory):
        spans = [run.spans[i] for i in (*uses.writes, *uses.reads)] or [(run.start, run.end)]
        start, end = min(first for first, _ in spans), max(last for _, last in spans)
        type_ = "" if slot.role == "parameters" else types.get(slot.tensor, "")
        tip = f"T{number}] [{start}, {end}) [{slot.address:#x}, {slot.address + slot.size:#x})"
        yield [index, slot.memory.name, slot.role, slot.tensor, _node(uses, run.stream), type_, _part(slot),
               slot.address, slot.size, start, end, tip,
               [work + i for i in uses.writes], [work + i for i in uses.reads]]  # fmt: skip
        number += 1


def _uses(program: Gir, touched: list[Regions]) -> list[_Uses]:
    """Who uses each slot. What lives at one step does not overlap: an address and a step make one slot."""
    uses = [_Uses() for _ in program.slots]
    arriving = sorted(range(len(uses)), key=lambda index: program.slots[index].first, reverse=True)
    alive: dict[Memory, list[tuple[int, int]]] = {memory: [] for memory in Memory}

    def users(touched: tuple[Region, ...], step: int) -> set[int]:
        return {slot for region in touched if (slot := user(region, step)) is not None}

    def user(region: Region, step: int) -> int | None:
        row = alive[region.memory]
        at = bisect_right(row, (region.address, len(uses))) - 1
        while at >= 0 and program.slots[row[at][1]].last < step:
            del row[at]
            at -= 1
        if at < 0 or region.address >= row[at][0] + program.slots[row[at][1]].size:
            return None
        return row[at][1]

    for index, (step, (reads, writes)) in enumerate(zip(_steps(program), touched)):
        while arriving and program.slots[arriving[-1]].first <= step:
            slot = program.slots[arriving[-1]]
            insort(alive[slot.memory], (slot.address, arriving.pop()))
        for number in users(reads, step):
            uses[number].reads.append(index)
        for number in users(writes, step):
            uses[number].writes.append(index)
    return uses


def _steps(program: Gir) -> Iterator[int]:
    """The step of each instruction of the linear stream: the loads issued at a step, its instruction, its stores."""
    loads = Counter(fetch.issue for step in program.steps for fetch in step.loads)
    for index, step in enumerate(program.steps):
        yield from (index for _ in range(loads[index] + 1 + len(step.stores)))


def _node(uses: _Uses, stream: lir.Lir) -> str:
    """The model's node that a buffer belongs to: the one that computes it, else the first one that computes with it."""
    users = uses.writes + uses.reads
    computing = [index for index in users if stream.instructions[index].engine is Engine.COMPUTE]
    return stream.nodes[(computing or users)[0]] if users else ""


def _moved(touches: Regions) -> int:
    """Bytes that an instruction moves between DRAM and SRAM."""
    return sum(prod(region.shape) for region in (*touches.reads, *touches.writes) if region.memory is Memory.DRAM)


def _part(slot: Slot) -> str:
    """What of its tensor, or of a node's parameters, a buffer holds; nothing when it is all of it."""
    if slot.box is None:
        return ""
    bounds = [f"{axis} {low}:{high}" for axis, low, high in zip("NHWC", slot.box.start, slot.box.stop)]
    return bounds[-1] if slot.role == "parameters" else ", ".join(bounds)


def _type(type_: TensorType) -> str:
    return f"{type_.dtype.value} {'x'.join(map(str, type_.shape)) or 'scalar'}"
