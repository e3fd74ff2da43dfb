"""Events of a Chrome trace, and those of one execution of a program on an NPU: made once, written many times."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TextIO

import numpy as np

from furiosa.isa.instructions import Engine
from furiosa.runtime.activity import Curve
from furiosa.runtime.modelled import ModelledProgram

Event = dict[str, Any]

# Process numbers of NPUs and of extra lanes lie above every number that Linux gives to a process or thread (2**22).
BEYOND_PIDS = 10_000_000
EXECUTION_THREAD = 0x10000
ENGINE_THREADS: Mapping[Engine, int] = {engine: EXECUTION_THREAD + 1 + engine for engine in Engine}
_MB = 1_000_000


def write_events(lines: Iterable[str], file: TextIO) -> None:
    """Write a trace of these events: a JSON array, one event a line."""
    separator = "[\n"
    for line in lines:
        file.write(separator + line)
        separator = ",\n"
    file.write("\n]\n" if separator != "[\n" else "[]\n")
    file.flush()


def device_names(pid: int, device: str) -> Iterator[Event]:
    """The names of an NPU's process and threads."""
    yield metadata("process_name", pid, 0, f"{device} (modelled device time)")
    yield metadata("thread_name", pid, EXECUTION_THREAD, "Executions (modelled)")
    for engine, tid in ENGINE_THREADS.items():
        yield metadata("thread_name", pid, tid, f"{engine.name.capitalize()} (modelled)")


_INDEX = "\x7f"  # stands for the number of an execution in a template
_INDEX_TEXT = json.dumps(_INDEX)[1:-1]


class Template:
    """The events of one execution of a program, made once as text: only their times and its number are filled in.

    A trace holds an event for every instruction of every execution.
    """

    def __init__(self, program: ModelledProgram, events: Iterable[tuple[int, Event]]) -> None:
        self._program = program
        self._texts: list[str] = []
        self._cycles: list[int] = []
        self.add(events)

    def add(self, events: Iterable[tuple[int, Event]]) -> None:
        """More events, each with its time in cycles from the start of the program."""
        for cycle, event in events:
            self._cycles.append(cycle)
            self._texts.append('{"ts":%.3f,' + as_json(event)[1:].replace("%", "%%"))

    @cached_property
    def _text(self) -> str:
        return ",\n".join(self._texts)

    @cached_property
    def _offsets(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([self._program.nanoseconds(cycle) for cycle in self._cycles], np.int64)

    def at(self, start: int, index: int) -> str:
        """The events of the execution ``index`` that starts at ``start``, in ns on the clock of the trace."""
        times = ((self._offsets + start) / 1000).tolist()
        return (self._text % tuple(times)).replace(_INDEX_TEXT, str(index))


def operators(
    program: ModelledProgram, pe_index: int, pid: int, threads: Mapping[Engine, int] = ENGINE_THREADS
) -> Iterator[tuple[int, Event]]:
    """A complete event for each operator of each instruction."""
    for number, part in program.operators:
        yield part.start, {
            "name": part.label, "cat": "NPU", "ph": "X",
            "dur": (program.nanoseconds(part.end) - program.nanoseconds(part.start)) / 1000,
            "pid": pid, "tid": threads[program.instructions[number].engine],
            "args": {"instruction_index": str(number), "pe_index": str(pe_index), "execution_index": _INDEX,
                     "node": program.nodes[number].replace(_INDEX, "")},
        }  # fmt: skip


def counters(program: ModelledProgram, pid: int) -> Iterator[tuple[int, Event]]:
    """The counters of a device, at each change."""
    curves: list[tuple[str, str, float, Curve]] = [
        ("SRAM in use (modelled)", "bytes", 1, program.sram_bytes),
        ("DRAM bandwidth (modelled)", "MB/s", 1 / _MB, program.dram_bandwidth),
        ("MAC utilisation (modelled)", "%", 100, program.mac_utilisation),
    ]
    for name, unit, factor, curve in curves:
        for cycle, value in curve:
            yield cycle, {"name": name, "ph": "C", "pid": pid, "tid": 0, "args": {unit: round(value * factor, 2)}}


def metadata(kind: str, pid: int, tid: int, name: str) -> Event:
    """What a process or thread is called: ``kind`` is ``process_name`` or ``thread_name``."""
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def as_json(event: Event) -> str:
    """An event on one line."""
    return json.dumps(event, separators=(",", ":"))
