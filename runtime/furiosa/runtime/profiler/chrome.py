"""A recording as Chrome trace events, for chrome://tracing and Perfetto.

The host is one process whose threads carry measured wall time. Each NPU is a process of its own whose threads carry
modelled device time: executions, and one thread an engine, because engines work in parallel; its counters show what
it does. Flows lead from who asked for an inference to the execution.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TextIO

from furiosa.isa.instructions import Engine
from furiosa.runtime.profiler.events import (
    BEYOND_PIDS,
    EXECUTION_THREAD,
    Event,
    Template,
    as_json,
    counters,
    device_names,
    metadata,
    operators,
    write_events,
)
from furiosa.runtime.profiler.recorder import HostSpan, Layout
from furiosa.runtime.profiler.recording import Execution, Recording


def write(recording: Recording, file: TextIO) -> None:
    """Write the trace: a JSON array, one event a line."""
    write_events(_Trace(recording).lines(), file)


def export(recording: Recording, file: TextIO) -> None:
    """Write the spans alone, as the SDK exports a data frame: complete events of one process, one thread an NPU.

    Transfers have threads of their own, because they overlap with operators.
    """
    write_events(_Export(recording).lines(), file)


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
                track = thread + lane * BEYOND_PIDS
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
        self._pids = {device: BEYOND_PIDS + index for index, device in enumerate(self._devices)}
        self._templates: dict[tuple[int, str], Template] = {}

    def lines(self) -> Iterator[str]:
        """All events as JSON; on every track spans nest strictly, times are us from the start of the recording."""
        for event in (*self._names(), *self._host(), *self._requests()):
            yield as_json(event)
        for execution in self._recording.executions:
            yield from self._execution(execution)
        for execution in self._recording.executions:
            yield from map(as_json, self._flow(execution))

    def _names(self) -> Iterator[Event]:
        yield metadata("process_name", self._pid, 0, "host (measured wall time)")
        for track, name in self._lanes.names.items():
            yield metadata("thread_name", self._pid, track, f"{name} (measured)")
        for device, pid in self._pids.items():
            yield from device_names(pid, device)

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
                "tid": EXECUTION_THREAD}  # fmt: skip
        args = {"pe_index": str(layout.pe_index), "execution_index": str(index)}
        yield as_json(head | {"ph": "B", "ts": self._us(execution.start), "args": args})
        yield as_json(head | {"ph": "E", "ts": self._us(execution.end)})
        key = id(execution.program), layout.device
        if key not in self._templates:
            self._templates[key] = Template(execution.program, operators(execution.program, layout.pe_index, pid))
            self._templates[key].add(counters(execution.program, pid))
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
        yield flow | {"ph": "f", "bp": "e", "ts": self._us(execution.start), "pid": pid, "tid": EXECUTION_THREAD}

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
            yield from (as_json(self._host(span, track)) for span in spans)
        layouts = {each.layout.pe_index: each.layout for each in self._recording.executions}
        for pe, layout in sorted(layouts.items()):
            for engine, tid in _npu_threads(layout).items():
                suffix = "" if engine is Engine.COMPUTE else f" {engine.name.capitalize()}"
                yield as_json(metadata("thread_name", self._pid, tid, f"NPU {pe}{suffix}"))
        templates: dict[tuple[int, int], Template] = {}
        for execution in self._recording.executions:
            yield as_json(self._execution(execution))
            key = id(execution.program), execution.layout.pe_index
            if key not in templates:
                threads = _npu_threads(execution.layout)
                templates[key] = Template(
                    execution.program, operators(execution.program, execution.layout.pe_index, self._pid, threads)
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
    return {engine: layout.pe_index + BEYOND_PIDS * (1 + engine) for engine in Engine}
