"""The trace of a benchmark on the virtual clock, as Chrome trace events: equal on every computer and in every run."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from furiosa.isa.target import Target
from furiosa.runtime.devices import Npu
from furiosa.runtime.modelled import ModelledProgram
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
)
from furiosa.runtime.query import Stay, grouped
from furiosa.runtime.virtual import Resource, Visit

_HOST = 1
_QUERIES = 0
_THREADS = {"host thread": 1, "I/O thread": 10_000}
"""The number of the first track of each kind."""


class _Track(NamedTuple):
    """A kind of threads or devices, and which of them."""

    kind: str
    lane: int


class BenchTrace:
    """What the first queries of a run did: their ``visits``, where a query is ``stays`` and executes ``programs``."""

    def __init__(
        self, visits: Sequence[Visit], stays: Sequence[Stay], programs: Sequence[ModelledProgram], npus: Sequence[Npu]
    ) -> None:
        self._visits = sorted(visits, key=lambda visit: (visit.start, visit.query, visit.work))
        self._groups = grouped(stays)
        self._npus = npus
        self._target: Target = npus[0].target
        executing = [number for number, (stay, *_) in enumerate(self._groups) if stay.work.resource is Resource.EXECUTE]
        self._programs = dict(zip(executing, programs, strict=True))
        self._tracks = _tracks(self._visits, [_kind(group[0]) for group in self._groups])

    def lines(self) -> Iterator[str]:
        """All events as JSON; on every track spans nest, times are us from the start of the run."""
        for event in (*self._names(), *self._queries(), *self._host()):
            yield as_json(event)
        yield from self._executions()

    def _names(self) -> Iterator[Event]:
        yield metadata("process_name", _HOST, 0, "host (virtual clock)")
        yield metadata("thread_name", _HOST, _QUERIES, "queries")
        for kind, lane in sorted(set(self._tracks)):
            if kind in _THREADS:
                yield metadata("thread_name", _HOST, _THREADS[kind] + lane, f"{kind} {lane + 1}")
        for number, npu in enumerate(self._npus):
            yield from device_names(BEYOND_PIDS + number, npu.trace_name)

    def _queries(self) -> Iterator[Event]:
        """Asynchronous events, because queries overlap: from the start of the first stay to the end of the last."""
        spans: dict[int, tuple[int, int]] = {}
        for visit in self._visits:
            start, end = spans.get(visit.query, (visit.start, visit.end))
            spans[visit.query] = min(start, visit.start), max(end, visit.end)
        for query, (start, end) in sorted(spans.items()):
            event: Event = {"name": "Inference", "cat": "Runtime", "id": query, "pid": _HOST, "tid": _QUERIES}
            yield event | {"ph": "b", "ts": self._ns(start) / 1000}
            yield event | {"ph": "e", "ts": self._ns(end) / 1000}

    def _host(self) -> Iterator[Event]:
        """A complete event for each step of the host and each transfer."""
        for visit, track in zip(self._visits, self._tracks):
            if track.kind not in _THREADS:
                continue
            start = visit.start
            group = self._groups[visit.work]
            for stay in group:
                end = visit.end if stay is group[-1] else start + stay.work.cycles
                yield {"name": stay.name, "cat": "Runtime", "ph": "X", "ts": self._ns(start) / 1000,
                       "dur": (self._ns(end) - self._ns(start)) / 1000, "pid": _HOST,
                       "tid": _THREADS[track.kind] + track.lane, "args": {"query": visit.query}}  # fmt: skip
                start = end

    def _executions(self) -> Iterator[str]:
        """Tasks with their operators, and an arrow from the transfer before to each."""
        sent: dict[int, tuple[int, _Track]] = {}
        templates: dict[tuple[int, int], Template] = {}
        index = 0
        for visit, track in zip(self._visits, self._tracks):
            if track.kind in _THREADS:
                sent[visit.query] = visit.start, track
                continue
            program, npu, pid = self._programs[visit.work], self._npus[track.lane], BEYOND_PIDS + track.lane
            key = visit.work, track.lane
            if key not in templates:
                templates[key] = Template(program, operators(program, npu.pe_index, pid))
                templates[key].add(counters(program, pid))
            start, end = self._ns(visit.start), self._ns(visit.start) + program.nanoseconds(program.timeline.cycles)
            task: Event = {"name": f"Task({npu.pe_index},{index})", "cat": "NPU", "id": index, "pid": pid,
                           "tid": EXECUTION_THREAD}  # fmt: skip
            args = {"pe_index": str(npu.pe_index), "execution_index": str(index), "query": visit.query}
            yield as_json(task | {"ph": "B", "ts": start / 1000, "args": args})
            yield as_json(task | {"ph": "E", "ts": end / 1000})
            if text := templates[key].at(start, index):
                yield text
            if visit.query in sent:
                at, (kind, lane) = sent[visit.query]
                flow: Event = {"name": "request", "cat": "NPU", "id": index}
                yield as_json(flow | {"ph": "s", "ts": self._ns(at) / 1000, "pid": _HOST, "tid": _THREADS[kind] + lane})
                yield as_json(flow | {"ph": "f", "bp": "e", "ts": start / 1000, "pid": pid, "tid": EXECUTION_THREAD})
            index += 1

    def _ns(self, cycles: int) -> int:
        return cycles * 1_000_000_000 // self._target.clock_hz


def _kind(stay: Stay) -> str:
    resource = stay.work.resource
    return {Resource.HOST: "host thread", Resource.EXECUTE: "NPU"}.get(resource, "I/O thread")


def _tracks(visits: Sequence[Visit], kinds: Sequence[str]) -> list[_Track]:
    """For each visit, in order of starts, the first thread or device of its kind that is free."""
    found: list[_Track] = []
    free: dict[str, list[int]] = {kind: [] for kind in kinds}
    busy: dict[str, list[tuple[int, int]]] = {kind: [] for kind in kinds}
    for visit in visits:
        kind = kinds[visit.work]
        while busy[kind] and busy[kind][0][0] <= visit.start:
            heapq.heappush(free[kind], heapq.heappop(busy[kind])[1])
        lane = heapq.heappop(free[kind]) if free[kind] else len(busy[kind])
        heapq.heappush(busy[kind], (visit.end, lane))
        found.append(_Track(kind, lane))
    return found
