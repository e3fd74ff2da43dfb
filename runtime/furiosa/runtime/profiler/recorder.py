"""What is noted while a program runs: spans of the host, and the marks of inferences, in as few words as possible.

What they mean is worked out afterwards, by `recording.py`: noting must not slow down what it watches.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Flag
from typing import Any, NamedTuple

from numpy.typing import NDArray

from furiosa.runtime.modelled import ModelledProgram

Marks = NDArray[Any]
ROOT = 0
"""The number that no span has: the parent of those that have none."""


class Resource(Flag):
    """What is recorded: spans of the host's CPU, executions of the NPU, or both. User records always are."""

    Cpu = CPU = 1
    Npu = NPU = 2
    All = ALL = 3


@dataclass(slots=True)
class HostSpan:
    """A span of one thread, in ns since the epoch; ``end`` is 0 while it is open. User records have no category."""

    number: int
    parent: int
    name: str
    category: str
    thread: int
    args: dict[str, str]
    start: int
    end: int = 0


class Origin(NamedTuple):
    """Who asked for an inference: the innermost span open at that time (ns since the epoch)."""

    span: int
    time: int


@dataclass(frozen=True, slots=True)
class MarkedStep:
    """A step of an inference lies between two of its marks. ``program`` is what it executes on the NPU, if it does."""

    name: str
    index: int
    first: int
    last: int
    program: ModelledProgram | None


@dataclass(frozen=True, slots=True)
class Layout:
    """What the marks of inferences of a model on one device mean. ``pe_index`` counts the PEs of all cards."""

    model: str
    device: str
    pe_index: int
    steps: tuple[MarkedStep, ...]


class Batch(NamedTuple):
    """Inferences that a thread executed in one go.

    ``marks`` are arrays with a row for each inference, to be joined to one: ns of `time.perf_counter_ns`, ascending
    from the begin of its first step to the end of its last. Inferences of ``origins`` were asked for there, others by
    the span ``parent``.
    """

    layout: Layout
    thread: int
    parent: int
    marks: Sequence[Marks]
    origins: Sequence[Origin | None]


@dataclass(slots=True)
class Recorder:
    """Collects from all threads until it is asked for what it has."""

    resource: Resource = Resource.All
    recording: bool = True
    began: int = field(default_factory=lambda: now())
    spans: list[HostSpan] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    threads: dict[int, str] = field(default_factory=dict)

    @contextmanager
    def span(self, name: str, category: str, args: dict[str, str]) -> Iterator[None]:
        """Record what happens inside as one span of this thread; a span that opens while paused is left out."""
        if not self.recording or (category and Resource.Cpu not in self.resource):
            yield
            return
        parent = _innermost.get()
        span = HostSpan(next(_numbers), parent, name, category, self._thread(), args, now())
        self.spans.append(span)
        _innermost.set(span.number)
        try:
            yield
        finally:
            span.end = now()
            _innermost.set(parent)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing inside."""
        before, self.recording = self.recording, False
        try:
            yield
        finally:
            self.recording = before

    def inferences(self, layout: Layout, marks: Sequence[Marks], origins: Sequence[Origin | None]) -> None:
        """Record inferences that this thread has executed, see ``Batch``."""
        self.batches.append(Batch(layout, self._thread(), _innermost.get(), marks, origins))

    def _thread(self) -> int:
        thread = threading.get_native_id()
        if thread not in self.threads:
            self.threads[thread] = threading.current_thread().name
        return thread


_EPOCH = time.time_ns() - time.perf_counter_ns()
_numbers = itertools.count(ROOT + 1)
_innermost: ContextVar[int] = ContextVar("innermost span", default=ROOT)
_active: list[Recorder] = []
_NO_SPAN = nullcontext()


def since_epoch(mark: int) -> int:
    """A time of `time.perf_counter_ns` as nanoseconds since the epoch."""
    return _EPOCH + mark


def now() -> int:
    """Nanoseconds since the epoch, never going back."""
    return _EPOCH + time.perf_counter_ns()


def activate(recorder: Recorder) -> None:
    """Send all spans of this process to ``recorder`` from now on; the last one activated gets them."""
    _active.append(recorder)


def deactivate(recorder: Recorder) -> None:
    """End what ``activate`` began."""
    _active.remove(recorder)


def recording() -> Recorder | None:
    """The recorder that gets the spans of this process, unless there is none or it is paused."""
    return _active[-1] if _active and _active[-1].recording else None


def span(name: str, **args: str) -> AbstractContextManager[None]:
    """A span of the runtime itself; costs next to nothing when nobody records."""
    recorder = recording()
    return recorder.span(name, "Runtime", args) if recorder else _NO_SPAN


def origin() -> Origin | None:
    """The origin of a request that is made now; None when nobody records."""
    return Origin(_innermost.get(), now()) if recording() else None
