"""A recording as Chrome trace events, for chrome://tracing and Perfetto.

The host is one process whose threads carry measured wall time. Each NPU is a process of its own whose threads carry
modelled device time: executions, and one thread an engine, because engines work in parallel; its counters show what
it does. Flows lead from who asked for an inference to the execution.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, TextIO

import numpy as np

from furiosa.isa.instructions import Engine
from furiosa.runtime.activity import Curve
from furiosa.runtime.modelled import ModelledProgram
from furiosa.runtime.profiler.recorder import HostSpan, Layout
from furiosa.runtime.profiler.recording import Execution, Recording

Event = dict[str, Any]

# Process numbers of NPUs and of extra lanes lie above every number that Linux gives to a process or thread (2**22).
_BEYOND_PIDS = 10_000_000
_EXECUTION_THREAD = 0x10000
_ENGINE_THREADS = {engine: _EXECUTION_THREAD + 1 + engine for engine in Engine}
_MB = 1_000_000


def write(recording: Recording, file: TextIO) -> None:
    """Write the trace: a JSON array, one event a line."""
    _write(_Trace(recording).lines(), file)


def export(recording: Recording, file: TextIO) -> None:
    """Write the spans alone, as the SDK exports a data frame: complete events of one process, one thread an NPU.

    Transfers have threads of their own, because they overlap with operators.
    """
    _write(_Export(recording).lines(), file)


def _write(lines: Iterable[str], file: TextIO) -> None:
    separator = "[\n"
    for line in lines:
        file.write(separator + line)
        separator = ",\n"
    file.write("\n]\n" if separator != "[\n" else "[]\n")
    file.flush()


class _Lanes:
    """Where spans of the host go: threads, and as many tracks of each as its spans need to nest.

    Tasks of an event loop may overlap on one thread, and so may inferences that a worker executes together.
    """

    def __init__(self, recording: Recording) -> None:
        self.names: dict[int, str] = {}
        self.tracks: dict[int, list[HostSpan]] = {}
        self.of_span: dict[int, int] = {}
        threads: dict[int, list[HostSpan]] = {}
        for span in recording.spans:
            threads.setdefault(span.thread, []).append(span)
        for thread, spans in threads.items():
            for lane, lane_spans in enumerate(_lanes(spans)):
                track = thread + lane * _BEYOND_PIDS
                self.names[track] = recording.threads[thread] + (f" ({lane + 1})" if lane else "")
                self.tracks[track] = lane_spans
                self.of_span.update((span.number, track) for span in lane_spans)


def _lanes(spans: Iterable[HostSpan]) -> list[list[HostSpan]]:
    lanes: list[list[HostSpan]] = []
    stacks: list[list[HostSpan]] = []
    for span in spans:
        for stack in stacks:
            while stack and stack[-1].end <= span.start:
                stack.pop()
        lane = next((i for i, stack in enumerate(stacks) if not stack or span.end <= stack[-1].end), len(lanes))
        if lane == len(lanes):
            lanes.append([])
            stacks.append([])
        lanes[lane].append(span)
        stacks[lane].append(span)
    return lanes


class _Trace:
    """The trace of a recording."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._lanes = _Lanes(recording)
        self._pid = os.getpid()
        layouts = {execution.layout.device: execution.layout for execution in recording.executions}
        self._devices = dict.fromkeys(sorted(layouts))
        self._pids = {device: _BEYOND_PIDS + index for index, device in enumerate(self._devices)}
        self._templates: dict[tuple[int, str], _Template] = {}

    def lines(self) -> Iterator[str]:
        """All events as JSON; on every track spans nest strictly, times are us from the start of the recording."""
        for event in (*self._names(), *self._host(), *self._requests()):
            yield _json(event)
        for execution in self._recording.executions:
            yield from self._execution(execution)
        for execution in self._recording.executions:
            yield from map(_json, self._flow(execution))

    def _names(self) -> Iterator[Event]:
        yield _name("process_name", self._pid, 0, "host (measured wall time)")
        for track, name in self._lanes.names.items():
            yield _name("thread_name", self._pid, track, f"{name} (measured)")
        for device, pid in self._pids.items():
            yield _name("process_name", pid, 0, f"{device} (modelled device time)")
            yield _name("thread_name", pid, _EXECUTION_THREAD, "Executions (modelled)")
            for engine, tid in _ENGINE_THREADS.items():
                yield _name("thread_name", pid, tid, f"{engine.name.capitalize()} (modelled)")

    def _host(self) -> Iterator[Event]:
        for track, spans in self._lanes.tracks.items():
            stack: list[HostSpan] = []
            for span in spans:
                while stack and stack[-1].end <= span.start:
                    yield self._event("E", stack.pop(), track)
                stack.append(span)
                yield self._event("B", span, track)
            while stack:
                yield self._event("E", stack.pop(), track)

    def _event(self, phase: str, span: HostSpan, track: int) -> Event:
        at = span.start if phase == "B" else span.end
        event = {"name": span.name, "cat": span.category, "ph": phase, "ts": self._us(at),
                 "pid": self._pid, "tid": track}  # fmt: skip
        return event | {"args": span.args} if phase == "B" else event

    def _requests(self) -> Iterator[Event]:
        """Asynchronous events: requests overlap, as those that wait in a queue do."""
        for number, model, thread, start, end in self._recording.requests:
            event = {"name": f"Inference ({model})", "cat": "Runtime", "id": number, "pid": self._pid, "tid": thread}
            yield event | {"ph": "b", "ts": self._us(start)}
            yield event | {"ph": "e", "ts": self._us(end)}

    def _execution(self, execution: Execution) -> Iterator[str]:
        layout, index = execution.layout, execution.index
        pid = self._pids[layout.device]
        head = {"name": f"Task({layout.pe_index},{index})", "cat": "NPU", "id": index, "pid": pid,
                "tid": _EXECUTION_THREAD}  # fmt: skip
        args = {"pe_index": str(layout.pe_index), "execution_index": str(index)}
        yield _json(head | {"ph": "B", "ts": self._us(execution.start), "args": args})
        yield _json(head | {"ph": "E", "ts": self._us(execution.end)})
        key = id(execution.program), layout.device
        if key not in self._templates:
            self._templates[key] = _Template(execution.program, _operators(execution.program, layout, pid))
            self._templates[key].add(_counters(execution.program, pid))
        if text := self._templates[key].at(execution.start - self._recording.began, index):
            yield text

    def _flow(self, execution: Execution) -> Iterator[Event]:
        """From the span that asked, if that was elsewhere, over the inference's to the device."""
        flow = {"name": "request", "cat": "NPU", "id": execution.index}
        here = self._lanes.of_span.get(execution.parent)
        origin = execution.origin
        there = self._lanes.of_span.get(origin.span) if origin else None
        if here is None:
            return
        if origin and there is not None and there != here:
            yield flow | {"ph": "s", "ts": self._us(origin.time), "pid": self._pid, "tid": there}
            yield flow | {"ph": "t", "ts": self._us(execution.asked), "pid": self._pid, "tid": here}
        else:
            yield flow | {"ph": "s", "ts": self._us(execution.asked), "pid": self._pid, "tid": here}
        pid = self._pids[execution.layout.device]
        yield flow | {"ph": "f", "bp": "e", "ts": self._us(execution.start), "pid": pid, "tid": _EXECUTION_THREAD}

    def _us(self, nanoseconds: int) -> float:
        return (nanoseconds - self._recording.began) / 1000


class _Export:
    """The spans of a recording as complete events."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        starts = [spans[0].start for spans in (recording.spans, recording.executions) if spans]
        self._began = min(starts, default=0)
        self._pid = os.getpid()

    def lines(self) -> Iterator[str]:
        """All events as JSON; times are us from the first start."""
        lanes = _Lanes(self._recording)
        for track, spans in lanes.tracks.items():
            yield from (_json(self._host(span, track)) for span in spans)
        layouts = {each.layout.pe_index: each.layout for each in self._recording.executions}
        for pe, layout in sorted(layouts.items()):
            for engine, tid in _npu_threads(layout).items():
                suffix = "" if engine is Engine.COMPUTE else f" {engine.name.capitalize()}"
                yield _json(_name("thread_name", self._pid, tid, f"NPU {pe}{suffix}"))
        templates: dict[tuple[int, int], _Template] = {}
        for execution in self._recording.executions:
            yield _json(self._execution(execution))
            key = id(execution.program), execution.layout.pe_index
            if key not in templates:
                threads = _npu_threads(execution.layout)
                templates[key] = _Template(
                    execution.program, _operators(execution.program, execution.layout, self._pid, threads)
                )
            if text := templates[key].at(execution.start - self._began, execution.index):
                yield text

    def _host(self, span: HostSpan, track: int) -> Event:
        event = {"name": span.name, "cat": span.category, "ph": "X", "ts": (span.start - self._began) / 1000,
                 "dur": (span.end - span.start) / 1000, "pid": self._pid, "tid": track}  # fmt: skip
        index = span.args.get("operator_index")
        return event | ({"args": {"operator_index": index}} if index is not None else {})

    def _execution(self, execution: Execution) -> Event:
        layout = execution.layout
        return {"name": "Execution", "cat": "NPU", "ph": "X", "ts": (execution.start - self._began) / 1000,
                "dur": (execution.end - execution.start) / 1000, "pid": self._pid,
                "tid": _npu_threads(layout)[Engine.COMPUTE],
                "args": {"pe_index": str(layout.pe_index), "execution_index": str(execution.index)}}  # fmt: skip


def _npu_threads(layout: Layout) -> dict[Engine, int]:
    return {engine: layout.pe_index + _BEYOND_PIDS * (1 + engine) for engine in Engine}


_INDEX = "\x7f"  # stands for the number of an execution in a template
_INDEX_TEXT = json.dumps(_INDEX)[1:-1]


class _Template:
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
            self._texts.append('{"ts":%.3f,' + _json(event)[1:].replace("%", "%%"))

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


def _operators(
    program: ModelledProgram, layout: Layout, pid: int, threads: dict[Engine, int] = _ENGINE_THREADS
) -> Iterator[tuple[int, Event]]:
    """A complete event for each operator of each instruction."""
    for number, part in program.operators:
        yield part.start, {
            "name": part.label, "cat": "NPU", "ph": "X",
            "dur": (program.nanoseconds(part.end) - program.nanoseconds(part.start)) / 1000,
            "pid": pid, "tid": threads[program.instructions[number].engine],
            "args": {"instruction_index": str(number), "pe_index": str(layout.pe_index), "execution_index": _INDEX,
                     "node": program.nodes[number].replace(_INDEX, "")},
        }  # fmt: skip


def _counters(program: ModelledProgram, pid: int) -> Iterator[tuple[int, Event]]:
    """The counters of a device, at each change."""
    curves: list[tuple[str, str, float, Curve]] = [
        ("SRAM in use (modelled)", "bytes", 1, program.sram_bytes),
        ("DRAM bandwidth (modelled)", "MB/s", 1 / _MB, program.dram_bandwidth),
        ("MAC utilisation (modelled)", "%", 100, program.mac_utilisation),
    ]
    for name, unit, factor, curve in curves:
        for cycle, value in curve:
            yield cycle, {"name": name, "ph": "C", "pid": pid, "tid": 0, "args": {unit: round(value * factor, 2)}}


def _name(kind: str, pid: int, tid: int, name: str) -> Event:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _json(event: Event) -> str:
    return json.dumps(event, separators=(",", ":"))
