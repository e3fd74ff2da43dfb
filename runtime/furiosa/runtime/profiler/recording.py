"""What a recorder noted, as spans: the host's in measured time, executions of the NPU in modelled time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from furiosa.runtime.modelled import ModelledProgram
from furiosa.runtime.profiler.recorder import ROOT, Batch, HostSpan, Layout, Origin, Recorder, Resource, since_epoch

INFERENCE = "Inference"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a program, from ``start`` (ns since the epoch) on the device's modelled clock.

    It comes from the span ``parent`` of thread ``thread``, which began at ``asked``, for a request from ``origin``.
    """

    number: int
    parent: int
    index: int
    layout: Layout
    program: ModelledProgram
    start: int
    end: int
    thread: int
    asked: int
    origin: Origin | None


class Request(NamedTuple):
    """An inference from when it was asked for to its end; ``number`` is that of its span."""

    number: int
    model: str
    thread: int
    start: int
    end: int


@dataclass(slots=True)
class Recording:
    """All that was recorded: spans and executions in order of their starts. ``began`` is the zero of its clock."""

    began: int
    threads: dict[int, str]
    spans: list[HostSpan]
    requests: list[Request]
    executions: list[Execution]
    roots: dict[int, int] = field(repr=False)

    @classmethod
    def of(cls, recorder: Recorder) -> Recording:
        """The spans that have ended so far."""
        unfolding = _Unfolding(recorder)
        spans = sorted(unfolding.spans, key=lambda span: (span.start, span.number))  # those around others first
        requests = unfolding.requests
        if Resource.Cpu not in recorder.resource:
            spans, requests = [span for span in spans if not span.category], []
        executions = unfolding.executions() if Resource.Npu in recorder.resource else []
        known = {span.number: span for span in spans}
        for span in spans:
            span.parent = span.parent if span.parent in known else ROOT
        executions = [each if each.parent in known else replace(each, parent=ROOT) for each in executions]
        return cls(recorder.began, dict(recorder.threads), spans, requests, executions, _roots(spans))

    def root(self, number: int) -> int:
        """The outermost span around span ``number``; itself when nothing is around it."""
        return self.roots.get(number, number)


def _roots(spans: Sequence[HostSpan]) -> dict[int, int]:
    parents = {span.number: span.parent for span in spans}
    roots: dict[int, int] = {}
    for number in parents:
        path = []
        while number not in roots and parents[number] != ROOT:
            path.append(number)
            number = parents[number]
        root = roots.get(number, number)
        roots.update((each, root) for each in (*path, number))
    return roots


class _Asked(NamedTuple):
    """An execution that the host began at ``time``."""

    time: int
    parent: int
    layout: Layout
    program: ModelledProgram
    thread: int
    origin: Origin | None


class _Unfolding:
    """Turns the marks of inferences into spans; their numbers follow those of the spans that were noted."""

    def __init__(self, recorder: Recorder) -> None:
        self.spans = [span for span in list(recorder.spans) if span.end]
        self._numbers = itertools.count(max((span.number for span in recorder.spans), default=ROOT) + 1)
        self.requests: list[Request] = []
        self._asked: list[_Asked] = []
        self._host = Resource.Cpu in recorder.resource
        for batch in list(recorder.batches):
            self._unfold(batch)

    def _unfold(self, batch: Batch) -> None:
        joined = batch.marks[0] if len(batch.marks) == 1 else np.concatenate(batch.marks, axis=1)
        origins = batch.origins or itertools.repeat(None)
        for marks, origin in zip(joined.tolist(), origins):
            self._inference(batch, [since_epoch(mark) for mark in marks], origin)

    def _inference(self, batch: Batch, times: list[int], origin: Origin | None) -> None:
        asked_by = origin.span if origin else batch.parent
        outer = self._span(asked_by, INFERENCE, batch.thread, {}, times[0], times[-1])
        asked = origin.time if origin else times[0]
        self.requests.append(Request(outer, batch.layout.model, batch.thread, asked, times[-1]))
        for step in batch.layout.steps:
            start, end = times[step.first], times[step.last]
            if step.program is None:
                self._span(outer, step.name, batch.thread, {"operator_index": str(step.index)}, start, end)
                continue
            enqueue = self._span(outer, "Enqueue", batch.thread, {}, start, end)
            wait = self._span(enqueue, "WaitForCommit", batch.thread, {"device": batch.layout.device}, start, end)
            parent = wait if self._host else asked_by
            self._asked.append(_Asked(start, parent, batch.layout, step.program, batch.thread, origin))

    def _span(self, parent: int, name: str, thread: int, args: dict[str, str], start: int, end: int) -> int:
        number = next(self._numbers)
        self.spans.append(HostSpan(number, parent, name, "Runtime", thread, args, start, end))
        return number

    def executions(self) -> list[Execution]:
        """Each device executes what the host asks of it in turn.

        It has its own clock: an execution starts no earlier than the host began it and than the one before it ended,
        however fast or slow the simulation was.
        """
        return sorted(self._executions(), key=attrgetter("start"))

    def _executions(self) -> Iterator[Execution]:
        free: dict[str, int] = {}
        for index, asked in enumerate(sorted(self._asked, key=attrgetter("time"))):
            device, program = asked.layout.device, asked.program
            start = max(asked.time, free.get(device, 0))
            free[device] = end = start + program.nanoseconds(program.timeline.cycles)
            yield Execution(next(self._numbers), asked.parent, index, asked.layout, program, start, end,
                            asked.thread, asked.time, asked.origin)  # fmt: skip
