"""What happened when: host spans in measured time, NPU executions in modelled time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Flag

from furiosa.runtime.modelled import ModelledProgram


class Resource(Flag):
    """What is recorded: spans of the host's CPU, executions of the NPU, or both. User records always are."""

    Cpu = CPU = 1
    Npu = NPU = 2
    All = ALL = 3


@dataclass(slots=True)
class HostSpan:
    """A span of one thread, in ns since the epoch; ``end`` is 0 while the span is open."""

    name: str
    category: str
    thread: int
    args: dict[str, str]
    start: int
    end: int = 0


@dataclass(frozen=True, slots=True)
class NpuExecution:
    """One execution of a program on a device, from ``start`` (ns since the epoch) on the device's modelled clock."""

    device: str
    index: int
    start: int
    program: ModelledProgram

    @property
    def end(self) -> int:
        return self.start + self.program.nanoseconds(self.program.timeline.cycles)

    def span(self, instruction: int) -> tuple[int, int]:
        """Start and end of one instruction, in ns since the epoch."""
        start, end = self.program.timeline.spans[instruction]
        return self.start + self.program.nanoseconds(start), self.start + self.program.nanoseconds(end)


@dataclass(slots=True)
class Recorder:
    """Collects spans from all threads until it is asked for them."""

    resource: Resource = Resource.All
    recording: bool = True
    began: int = field(default_factory=lambda: now())
    spans: list[HostSpan] = field(default_factory=list)
    executions: list[NpuExecution] = field(default_factory=list)
    threads: dict[int, str] = field(default_factory=dict)
    _indices: Iterator[int] = field(default_factory=itertools.count)
    _free: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def span(self, name: str, category: str, args: dict[str, str]) -> Iterator[None]:
        """Record what happens inside as one span of this thread; a span that opens while paused is left out."""
        if not self.recording or (category and Resource.Cpu not in self.resource):
            yield
            return
        thread = threading.get_native_id()
        self.threads[thread] = threading.current_thread().name
        span = HostSpan(name, category, thread, args, now())
        self.spans.append(span)
        try:
            yield
        finally:
            span.end = now()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing inside."""
        before, self.recording = self.recording, False
        try:
            yield
        finally:
            self.recording = before

    def execute(self, device: str, program: ModelledProgram, started: int) -> None:
        """Record an execution that the host began at ``started``.

        The device has its own clock: an execution starts no earlier than the host began it and than the one before it
        ended, however fast or slow the simulation was. One device is never recorded by two threads at once.
        """
        if not self.recording or Resource.Npu not in self.resource:
            return
        start = max(started, self._free.get(device, 0))
        execution = NpuExecution(device, next(self._indices), start, program)
        self._free[device] = execution.end
        self.executions.append(execution)


_EPOCH = time.time_ns() - time.perf_counter_ns()
_active: list[Recorder] = []


def now() -> int:
    """Nanoseconds since the epoch, never going back."""
    return _EPOCH + time.perf_counter_ns()


def activate(recorder: Recorder) -> None:
    """Send all spans of this process to ``recorder`` from now on; the last one activated gets them."""
    _active.append(recorder)


def deactivate(recorder: Recorder) -> None:
    """End what ``activate`` began."""
    _active.remove(recorder)


def active() -> Recorder | None:
    """The recorder that gets the spans of this process, if any."""
    return _active[-1] if _active else None


def span(name: str, **args: str) -> AbstractContextManager[None]:
    """A span of the runtime itself; costs next to nothing when nobody records."""
    recorder = active()
    return recorder.span(name, "Runtime", args) if recorder else nullcontext()
