"""A recording as Chrome trace events, for chrome://tracing and Perfetto.

The host is one process whose threads carry measured wall time. Each NPU is a process of its own whose threads carry
modelled device time: executions, and one thread an engine, because engines work in parallel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from furiosa.isa.instructions import Engine
from furiosa.runtime.profiler.recorder import HostSpan, NpuExecution, Recorder

Event = dict[str, Any]

# Process numbers of NPUs and of extra lanes lie above every number that Linux gives to a process or thread (2**22).
_BEYOND_PIDS = 10_000_000
_EXECUTION_THREAD = 0x10000
_ENGINE_THREADS = {engine: _EXECUTION_THREAD + 1 + engine for engine in Engine}


def write(recorder: Recorder, file: TextIO) -> None:
    """Write the trace: a JSON array, one event a line."""
    file.write("[\n")
    for index, event in enumerate(events(recorder)):
        file.write((",\n" if index else "") + json.dumps(event, separators=(",", ":")))
    file.write("\n]\n")
    file.flush()


def events(recorder: Recorder) -> Iterator[Event]:
    """All events; on every track spans nest strictly, times are us from the start of the recording."""
    yield from _host_events(recorder)
    names = dict.fromkeys(execution.device for execution in recorder.executions)
    devices = {name: _BEYOND_PIDS + index for index, name in enumerate(names)}
    for device, pid in devices.items():
        yield _name("process_name", pid, 0, f"{device} (modelled device time)")
        yield _name("thread_name", pid, _EXECUTION_THREAD, "Executions (modelled)")
        for engine, tid in _ENGINE_THREADS.items():
            yield _name("thread_name", pid, tid, f"{engine.name.capitalize()} (modelled)")
    for execution in recorder.executions:
        yield from _execution_events(execution, devices[execution.device], recorder.began)


def _host_events(recorder: Recorder) -> Iterator[Event]:
    pid = os.getpid()
    yield _name("process_name", pid, 0, "host (measured wall time)")
    threads: dict[int, list[HostSpan]] = {}
    for span in recorder.spans:
        if span.end:
            threads.setdefault(span.thread, []).append(span)
    for thread, spans in threads.items():
        for lane, lane_spans in enumerate(_lanes(spans)):
            tid = thread + lane * _BEYOND_PIDS
            name = recorder.threads[thread] + (f" ({lane + 1})" if lane else "")
            yield _name("thread_name", pid, tid, f"{name} (measured)")
            yield from _paired(lane_spans, pid, tid, recorder.began)


def _lanes(spans: Iterable[HostSpan]) -> list[list[HostSpan]]:
    """Spread one thread's spans over tracks in which they nest; tasks of an event loop may overlap on one thread."""
    lanes: list[list[HostSpan]] = []
    stacks: list[list[HostSpan]] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
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


def _paired(spans: list[HostSpan], pid: int, tid: int, origin: int) -> Iterator[Event]:
    """B and E events of spans that nest, in the order in which they happened."""
    stack: list[HostSpan] = []
    for span in spans:
        while stack and stack[-1].end <= span.start:
            yield _end(stack.pop(), pid, tid, origin)
        stack.append(span)
        yield {"name": span.name, "cat": span.category, "ph": "B", "ts": _us(span.start - origin),
               "pid": pid, "tid": tid, "args": span.args}  # fmt: skip
    while stack:
        yield _end(stack.pop(), pid, tid, origin)


def _end(span: HostSpan, pid: int, tid: int, origin: int) -> Event:
    return {"name": span.name, "cat": span.category, "ph": "E", "ts": _us(span.end - origin), "pid": pid, "tid": tid}


def _execution_events(execution: NpuExecution, pid: int, origin: int) -> Iterator[Event]:
    index = {"pe_index": "0", "execution_index": str(execution.index)}
    name = f"Task(0,{execution.index})"
    head = {"name": name, "cat": "NPU", "id": execution.index, "pid": pid, "tid": _EXECUTION_THREAD}
    yield head | {"ph": "B", "ts": _us(execution.start - origin), "args": index}
    yield head | {"ph": "E", "ts": _us(execution.end - origin)}
    program = execution.program
    labels = zip(program.names, program.engines, program.nodes, strict=True)
    for instruction, (label, engine, node) in enumerate(labels):
        start, end = execution.span(instruction)
        yield {"name": label, "cat": "NPU", "ph": "X", "ts": _us(start - origin), "dur": _us(end - start),
               "pid": pid, "tid": _ENGINE_THREADS[engine],
               "args": {"instruction_index": str(instruction), **index, "node": node}}  # fmt: skip


def _name(kind: str, pid: int, tid: int, name: str) -> Event:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _us(nanoseconds: int) -> float:
    return nanoseconds / 1000
