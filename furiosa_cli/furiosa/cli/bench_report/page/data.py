"""What the page shows, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from furiosa.cli.bench_report.numbers import figures, parts, setting
from furiosa.runtime.activity import moved_bytes
from furiosa.runtime.breakdown import operator_times

if TYPE_CHECKING:
    from furiosa.isa.target import Target
    from furiosa.runtime.activity import Curve
    from furiosa.runtime.latencies import BenchResult
    from furiosa.runtime.modelled import ModelledProgram

SCHEMA_VERSION = 1
WORK = ("engine", "label", "node", "start", "end", "bytes", "macs")
OPERATORS = ("operator", "node", "cycles", "compute", "wait", "floor", "transfer", "utilisation", "macs", "bytes",
             "instructions", "bound")  # fmt: skip


def page_data(result: BenchResult, model: str) -> dict[str, Any]:
    """Everything on the page. The programs of a query stand one after the other on one axis of modelled cycles."""
    starts = list(_starts(result.programs))
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model,
        **setting(result),
        **figures(result),
        **parts(result),
        "cycles": starts[-1],
        "npu": _npu(result.programs[0].target) if result.programs else None,
        "programs": [{"start": start, "end": end} for start, end in pairwise(starts)],
        "work": {"columns": WORK, "rows": list(_work(result.programs, starts))},
        "curves": {
            "macs": _curve([program.mac_utilisation for program in result.programs], starts, 4),
            "dram": _curve([program.dram_bandwidth for program in result.programs], starts, 0),
            "sram": _curve([program.sram_bytes for program in result.programs], starts, 0),
        },
        "operators": {"columns": OPERATORS, "rows": list(_operators(result.programs))},
    }


def _starts(programs: tuple[ModelledProgram, ...]) -> Iterator[int]:
    start = 0
    yield start
    for program in programs:
        start += program.timeline.cycles
        yield start


def _npu(target: Target) -> dict[str, Any]:
    return {"name": target.name, "clock_hz": target.clock_hz, "macs_per_cycle": target.macs_per_cycle,
            "dram_bytes_per_second": target.dram_bytes_per_second, "sram_bytes": target.sram_bytes}  # fmt: skip


def _work(programs: tuple[ModelledProgram, ...], starts: list[int]) -> Iterator[list[Any]]:
    for program, at in zip(programs, starts):
        for inst, node, (start, end) in zip(program.instructions, program.nodes, program.timeline.spans):
            yield [inst.engine.name, inst.label, node, at + start, at + end, moved_bytes(inst), inst.macs]


def _curve(curves: list[Curve], starts: list[int], digits: int) -> list[list[float]]:
    return [[at + cycle, round(value, digits)] for curve, at in zip(curves, starts) for cycle, value in curve]


def _operators(programs: tuple[ModelledProgram, ...]) -> Iterator[list[Any]]:
    for row in operator_times(programs):
        utilisation = round(row.utilisation(programs[0].target), 6)
        yield [row.operator, row.node, row.time, row.compute, row.wait, row.floor, row.transfer, utilisation, row.macs,
               row.dram_bytes, row.instructions, row.bound]  # fmt: skip
