"""A deterministic discrete-event model of a host that keeps NPUs busy with queries; all times are device cycles."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from furiosa.isa.errors import OptionError


@dataclass(frozen=True, slots=True)
class Stage:
    """One NPU cluster of a query: its input crosses the host link, it executes, its output crosses back."""

    send: int
    execute: int
    receive: int


@dataclass(frozen=True, slots=True)
class Host:
    """Who takes part: queries in flight at a time, I/O threads that move data, and NPUs."""

    in_flight: int
    io_threads: int
    npus: int


MOST_QUERIES = 10_000_000  # of one run, which is about half a minute of simulation


@dataclass(frozen=True, slots=True)
class Run:
    """What happened: the latency of every query in order of completion, and the end of the last one."""

    latencies: tuple[int, ...]
    total: int


def simulate(stages: Sequence[Stage], host: Host, queries: int, duration: int) -> Run:
    """Queries follow each other in a closed loop until both ``queries`` and ``duration`` (cycles) are reached.

    A transfer occupies one I/O thread and one direction of the link, which is full duplex; an execution occupies one
    NPU. Whoever asks first is served first; ties are served in the order of asking. Raises OptionError for a duration
    that takes more than MOST_QUERIES.
    """
    works = [work for stage in stages for work in ((0, stage.send), (None, stage.execute), (1, stage.receive))]
    threads, npus, link = [0] * host.io_threads, [0] * host.npus, [0, 0]
    latencies: list[int] = []
    issued = now = 0
    events: list[tuple[int, int, int, int]] = []
    while issued < host.in_flight and (issued < queries or duration > 0):
        events.append((0, issued, 0, 0))
        issued += 1
    tie = issued
    while events:
        now, _, began, step = heapq.heappop(events)
        if step == len(works):
            latencies.append(now - began)
            if len(latencies) > MOST_QUERIES:
                raise OptionError(f"the duration takes more than {MOST_QUERIES} queries", hint="shorten it")
            if issued >= queries and now >= duration:
                continue
            issued, began, step = issued + 1, now, 0
        direction, cycles = works[step] if works else (None, 0)
        if direction is None:
            end = max(now, heapq.heappop(npus)) + cycles
            heapq.heappush(npus, end)
        else:
            end = max(now, heapq.heappop(threads), link[direction]) + cycles
            heapq.heappush(threads, end)
            link[direction] = end
        heapq.heappush(events, (end, tie, began, step + 1))
        tie += 1
    return Run(tuple(latencies), now)
