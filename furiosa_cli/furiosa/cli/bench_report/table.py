"""What was busy and where the NPU's time goes, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from furiosa.isa.target import Target
    from furiosa.runtime.breakdown import OperatorTime
    from furiosa.runtime.latencies import BenchResult

Cells = Sequence[str]
_OPERATORS = ("operator", "node", "time us", "share", "cycles", "MACs busy", "DRAM bytes", "bound by")
_LEFT = {"operator", "node", "bound by", "resource", "step"}


def tables(result: BenchResult) -> str:
    """Use of resources, the parts of a query, and the operators of the NPU by their time: all modelled."""
    parts = [
        _table(("resource", "number", "at work"),
               [(each.resource, f"{each.number}", f"{each.share:.1%}") for each in result.usage]),
        _table(("step", "time us", "share"), _query(result)),
    ]  # fmt: skip
    if result.programs:
        from furiosa.runtime.breakdown import operator_times

        target = result.programs[0].target
        rows = operator_times(result.programs)
        parts.append(_table(_OPERATORS, _operators(rows, target)))
    return "\n\n".join(parts)


def _query(result: BenchResult) -> list[Cells]:
    total = sum(part.us for part in result.query) or 1.0
    return [(part.name, f"{part.us:.3f}", f"{part.us / total:.1%}") for part in result.query]


def _operators(rows: Sequence[OperatorTime], target: Target) -> list[Cells]:
    total = sum(row.time for row in rows) or 1
    return [
        (row.operator, row.node, f"{target.microseconds(row.time):.3f}", f"{row.time / total:.1%}", f"{row.time}",
         f"{row.utilisation(target):.1%}" if row.macs else "", f"{row.dram_bytes}", row.bound)
        for row in rows
    ]  # fmt: skip


def _table(titles: Cells, rows: Sequence[Cells]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    lines = []
    for row in (titles, *rows):
        cells = [cell.ljust(width) if title in _LEFT else cell.rjust(width)
                 for cell, width, title in zip(row, widths, titles)]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
