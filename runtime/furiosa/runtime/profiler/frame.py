"""A recording as a data frame of pandas, which is imported only here: one row a span, columns as the SDK documents."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.instructions import Instruction, Load, Store
from furiosa.runtime.modelled import ModelledProgram
from furiosa.runtime.profiler.recorder import ROOT
from furiosa.runtime.profiler.recording import Execution, Recording

if TYPE_CHECKING:
    import pandas as pd

EXECUTION = "Execution"
RUNTIME, NPU = "Runtime", "NPU"
TRANSFERS = ("Load", "Store")
NPU_THREAD = 0x10000
_NULLABLE = ("dram_base", "pe_index", "execution_index", "instruction_index", "operator_index")
COLUMNS = ("trace_id", "parent_span_id", "span_id", "start", "end", "cat", "name", "thread.id", *_NULLABLE, "dur")
_ABSENT = -1
_ROOT_ID = "0" * 16


def frame(recording: Recording) -> pd.DataFrame:
    """All spans in order of their starts: those of the host, NPU executions, and their instructions.

    Times are ns since the epoch. Identifiers are unique in the world, as those of other tracing systems.
    """
    import pandas as pd

    rows = _Rows(recording)
    table: dict[str, Any] = {name: rows.column(name) for name in COLUMNS if name != "dur"}
    for name in _NULLABLE:
        values = table[name].astype(np.int64)
        table[name] = pd.arrays.IntegerArray(values, values == _ABSENT)
    result = pd.DataFrame(table)
    result["dur"] = result["end"] - result["start"]
    return result.sort_values("start", kind="stable", ignore_index=True)[list(COLUMNS)]


class _Rows:
    """The rows in blocks: the host's spans, then for each execution itself and its instructions."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._seed = int.from_bytes(os.urandom(8), "little")
        self._programs: dict[int, dict[str, NDArray[Any]]] = {}
        self._blocks: list[dict[str, Any]] = [self._host()]
        last = max((each.number for each in recording.executions), default=ROOT)
        for execution in recording.executions:
            self._blocks.append(self._execution(execution, last))
            last += len(execution.program.operators)

    def column(self, name: str) -> NDArray[Any]:
        """One column of all rows; values of a block that are not arrays hold for all its rows."""
        dtype = object if name in ("trace_id", "parent_span_id", "span_id", "cat", "name") else np.int64
        parts = []
        for block in self._blocks:
            value = block.get(name, _ABSENT)
            listed = isinstance(value, list | np.ndarray)
            parts.append(np.asarray(value, dtype) if listed else np.full(len(block["name"]), value, dtype))
        return np.concatenate(parts)

    def _host(self) -> dict[str, Any]:
        spans = self._recording.spans
        return {
            "trace_id": self._traces([self._recording.root(span.number) for span in spans]),
            "parent_span_id": self._ids([span.parent for span in spans]),
            "span_id": self._ids([span.number for span in spans]),
            "start": [span.start for span in spans],
            "end": [span.end for span in spans],
            "cat": [span.category for span in spans],
            "name": [span.name for span in spans],
            "thread.id": [span.thread for span in spans],
            "operator_index": [int(span.args.get("operator_index", _ABSENT)) for span in spans],
        }

    def _execution(self, execution: Execution, last: int) -> dict[str, Any]:
        """The row of an execution and those of its operators, numbered from ``last`` + 1 on."""
        operators = len(execution.program.operators)
        span_ids = self._ids([execution.number, *range(last + 1, last + 1 + operators)])
        root = self._recording.root(execution.parent) if execution.parent != ROOT else execution.number
        static = self._columns_of(execution.program)
        return {
            "trace_id": self._traces([root])[0],
            "parent_span_id": self._ids([execution.parent]) + span_ids[:1] * operators,
            "span_id": span_ids,
            "start": execution.start + static["start"],
            "end": execution.start + static["end"],
            "cat": NPU,
            "name": static["name"],
            "thread.id": NPU_THREAD + execution.layout.pe_index,
            "dram_base": static["dram_base"],
            "pe_index": execution.layout.pe_index,
            "execution_index": execution.index,
            "instruction_index": static["instruction_index"],
        }

    def _columns_of(self, program: ModelledProgram) -> dict[str, NDArray[Any]]:
        """What is the same in all executions of a program; times are ns from its start."""
        columns = self._programs.get(id(program))
        if columns is None:
            columns = self._programs[id(program)] = _program_columns(program)
        return columns

    def _ids(self, numbers: Sequence[int]) -> list[str]:
        mixed = _mix(np.array(numbers, np.uint64) + np.uint64(self._seed))
        return [_ROOT_ID if number == ROOT else f"{word:016x}" for number, word in zip(numbers, mixed.tolist())]

    def _traces(self, roots: Sequence[int]) -> list[str]:
        words = np.array(roots, np.uint64) + np.uint64(self._seed)
        return [f"{high:016x}{low:016x}" for high, low in zip(_mix(~words).tolist(), _mix(words).tolist())]


def _program_columns(program: ModelledProgram) -> dict[str, NDArray[Any]]:
    parts = program.operators
    addresses = [_dram_address(program.instructions[number]) for number, _ in parts]
    starts = [0, *(part.start for _, part in parts)]
    ends = [program.timeline.cycles, *(part.end for _, part in parts)]
    return {
        "start": np.array(list(map(program.nanoseconds, starts)), np.int64),
        "end": np.array(list(map(program.nanoseconds, ends)), np.int64),
        "name": np.array([EXECUTION, *(part.label for _, part in parts)], object),
        "dram_base": np.array([_ABSENT, *addresses], np.int64),
        "instruction_index": np.array([_ABSENT, *(number for number, _ in parts)], np.int64),
    }


def _dram_address(inst: Instruction) -> int:
    """Where a transfer begins in the memory of its program."""
    return inst.src if isinstance(inst, Load) else inst.dst if isinstance(inst, Store) else _ABSENT


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit words that scatters neighbours: the finalizer of SplitMix64 (Steele et al., 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
