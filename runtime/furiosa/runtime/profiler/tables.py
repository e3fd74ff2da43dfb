"""What a profile prints: tables in box characters, and the summary of inferences."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from furiosa.runtime.profiler.frame import EXECUTION, NPU, RUNTIME, TRANSFERS
from furiosa.runtime.profiler.recording import INFERENCE

if TYPE_CHECKING:
    import pandas as pd

EMPTY = "DataFrame is empty."
_PERCENTILES = (90.0, 95.0, 97.0, 99.0, 99.9)
_LABEL = 32
_RULE = "=" * 48
_NARROWEST = 8


def inferences(frame: pd.DataFrame) -> pd.DataFrame:
    """One row an inference: its duration in ns."""
    rows = frame[(frame["name"] == INFERENCE) & (frame["cat"] == RUNTIME)]
    return rows[["trace_id", "span_id", "thread.id", "dur"]]


def npu_executions(frame: pd.DataFrame) -> pd.DataFrame:
    """One row an execution, in ns: NPU Total = NPU Run, the time of its operators, + NPU IoWait."""
    npu = frame[frame["cat"] == NPU]
    operators = npu[npu["instruction_index"].notna() & ~npu["name"].isin(TRANSFERS)]
    run = operators.groupby("parent_span_id")["dur"].sum()
    rows = npu[npu["name"] == EXECUTION][["trace_id", "span_id", "pe_index", "execution_index", "dur"]]
    rows = rows.rename(columns={"dur": "NPU Total"})
    rows["NPU Run"] = rows["span_id"].map(run).fillna(0).astype("int64")
    rows["NPU IoWait"] = rows["NPU Total"] - rows["NPU Run"]
    return rows


def npu_operators(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of NPU operator: its mean duration in ns, and how often it ran; the slowest first."""
    npu = frame[(frame["cat"] == NPU) & frame["instruction_index"].notna() & ~frame["name"].isin(TRANSFERS)]
    rows = npu.groupby("name", as_index=False)["dur"].agg(["mean", "count"])
    rows = rows.rename(columns={"mean": "average_elapsed (ns)"})
    rows["average_elapsed (ns)"] = rows["average_elapsed (ns)"].astype("float64").round(6)
    return rows.sort_values(["average_elapsed (ns)", "name"], ascending=[False, True], ignore_index=True)


def external_operators(frame: pd.DataFrame) -> pd.DataFrame:
    """One row an operator that the host's CPU executed."""
    rows = frame[(frame["cat"] == RUNTIME) & frame["operator_index"].notna()]
    return rows[["trace_id", "span_id", "thread.id", "name", "operator_index", "dur"]]


def summary(frame: pd.DataFrame) -> str:
    """Latencies of the inferences, in ns rounded to nearest; percentiles are interpolated linearly."""
    durations = inferences(frame)["dur"]
    rows: list[tuple[str, float]] = [("Inference counts", len(durations))]
    if len(durations):
        rows += [
            ("Min latency (ns)", durations.min()),
            ("Max latency (ns)", durations.max()),
            ("Mean latency (ns)", durations.mean()),
            ("Median latency (ns)", durations.median()),
        ]
        rows += [
            (f"{percent} percentile Latency (ns)", float(durations.quantile(percent / 100))) for percent in _PERCENTILES
        ]
    lines = [_RULE, "  Inference Results Summary", _RULE]
    return "\n".join([*lines, *(f"{label:{_LABEL}}: {int(value + 0.5)}" for label, value in rows)])


def box(table: pd.DataFrame) -> str:
    """A table in box characters, as wide as its cells, or as the terminal, where cells are wrapped."""
    cells = [list(map(str, table.columns)), *(list(map(str, row)) for row in table.itertuples(index=False))]
    widths = _fitted([max(len(row[column]) for row in cells) for column in range(len(cells[0]))])
    lines = [_ruled("┌", "─", "┬", "┐", widths)]
    lines += _wrapped(cells[0], widths)
    lines.append(_ruled("╞", "═", "╪", "╡", widths))
    for row in cells[1:]:
        lines += _wrapped(row, widths)
    lines.append(_ruled("└", "─", "┴", "┘", widths))
    return "\n".join(lines)


def _fitted(widths: list[int]) -> list[int]:
    """The widths of columns, the widest made narrower until the table fits the terminal, if there is one."""
    if not sys.stdout.isatty():
        return widths
    room = shutil.get_terminal_size().columns - 3 * len(widths) - 1
    widths = list(widths)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _ruled(left: str, line: str, between: str, right: str, widths: Sequence[int]) -> str:
    return left + between.join(line * (width + 2) for width in widths) + right


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    pieces = [
        [cell[at : at + width] for at in range(0, max(len(cell), 1), width)] for cell, width in zip(cells, widths)
    ]
    for line in range(max(map(len, pieces))):
        texts = [piece[line] if line < len(piece) else "" for piece in pieces]
        yield "│ " + " ┆ ".join(text.ljust(width) for text, width in zip(texts, widths)) + " │"
