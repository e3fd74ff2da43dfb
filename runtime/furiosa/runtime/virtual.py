"""A deterministic discrete-event model of a host that keeps NPUs busy with queries; all times are device cycles."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from furiosa.isa.errors import OptionError


class Resource(IntEnum):
    """What a query uses, one at a time: a thread of the host, a direction of the link with an I/O thread, an NPU."""

    HOST = 0
    SEND = 1
    EXECUTE = 2
    RECEIVE = 3


class Work(NamedTuple):
    """One stay of a query: ``cycles`` on its resource; a transfer has its I/O thread for ``start`` cycles before."""

    resource: Resource
    cycles: int
    start: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """Who takes part: queries in flight at a time, threads of the host, I/O threads that move data, and NPUs."""

    in_flight: int
    threads: int
    io_threads: int
    npus: int


MOST_QUERIES = 10_000_000
"""That are simulated one by one in a run, which is about a minute."""


class Visit(NamedTuple):
    """The stay of a query for its work number ``work``, from ``start`` to ``end``.

    A transfer has its I/O thread all the time, and the link for the last ``cycles`` of it.
    """

    query: int
    work: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Run:
    """What happened after the warm-up: how often each latency occurred, the time, and how much of it was work.

    ``busy`` are cycles of each resource; ``io_busy`` those of the I/O threads, starts of transfers included. ``visits``
    are those of the first queries, in order of asking.
    """

    latencies: Mapping[int, int]
    total: int
    busy: Mapping[Resource, int]
    io_busy: int
    visits: tuple[Visit, ...] = ()


def simulate(
    works: Sequence[Work], host: Host, queries: int, duration: int = 0, warm_up: int = 0, visits_of: int = 0
) -> Run:
    """Queries follow each other in a closed loop until both ``queries`` and ``duration`` (cycles) are reached.

    A transfer occupies one I/O thread and one direction of the link, which is full duplex; an execution occupies one
    NPU, a host step one thread. Whoever asks first is served first; ties are served in the order of asking. The first
    ``warm_up`` queries do not count; the visits of the first ``visits_of`` that do are kept. Raises OptionError when
    MOST_QUERIES do not suffice.
    """
    if duration > 0 and not any(work.cycles + work.start for work in works):
        raise OptionError("the model takes no time: no duration can be reached", hint="use a number of queries")
    simulation = _Simulation(works, host, visits_of)
    if warm_up:
        simulation.warm_up(warm_up)
    return simulation.run(queries, duration)


class _Simulation:
    """The state of a run.

    A query is (when it next asks, order of asking, when it began, which work comes next, its number).
    """

    def __init__(self, works: Sequence[Work], host: Host, visits_of: int) -> None:
        self._works = works
        self._host = host
        self._lengths = [work.cycles + work.start for work in works]
        self._pools = {Resource.HOST: [0] * host.threads, Resource.EXECUTE: [0] * host.npus}
        self._io_threads = [0] * host.io_threads
        self._link = {Resource.SEND: 0, Resource.RECEIVE: 0}
        self._queries: list[tuple[int, int, int, int, int]] = []
        self._visits_of = visits_of
        self._tie = 0
        self._now = 0
        self._issued = 0
        self._simulated = 0
        self._forget()

    def _forget(self) -> None:
        """Begin to measure here."""
        self._began = self._now
        self._latencies: Counter[int] = Counter()
        self._busy = [0] * (len(self._works) + 1)
        self._issued = len(self._queries)
        self._visits: list[Visit] = []
        order = {number: place for place, number in enumerate(sorted(query[4] for query in self._queries))}
        self._queries = [(at, tie, began, step, order[number]) for at, tie, began, step, number in self._queries]

    def warm_up(self, queries: int) -> None:
        """Complete so many queries that do not count."""
        while self._issued < self._host.in_flight:
            self._issue()
        for _ in range(queries):
            self._complete()
            self._issue()
        self._forget()

    def run(self, queries: int, duration: int) -> Run:
        """Complete so many queries in no less than ``duration``, and those that are in flight then."""
        until = self._began + duration
        while self._issued < self._host.in_flight and (self._issued < queries or duration > 0):
            self._issue()
        past = _Past()
        while self._queries:
            self._latencies[self._complete()] += 1
            if self._issued < queries or self._now < until:
                self._issue()
                if self._issued % self._host.in_flight == 0 and self._issued >= self._visits_of:
                    self._skip(past, queries, until)
        busy: Counter[Resource] = Counter()
        io_busy = 0
        for work, cycles in zip(self._works, self._busy[1:]):
            if work.resource in self._link and work.cycles + work.start:
                io_busy += cycles
                cycles = cycles * work.cycles // (work.cycles + work.start)
            busy[work.resource] += cycles
        return Run(
            dict(sorted(self._latencies.items())), self._now - self._began, busy, io_busy, tuple(self._visits)
        )  # fmt: skip

    def _issue(self) -> None:
        heapq.heappush(self._queries, (self._now, self._tie, self._now, 0, self._issued))
        self._tie += 1
        self._issued += 1

    def _complete(self) -> int:
        """Let time pass until a query is done: its latency. The others get what they ask for meanwhile.

        All of a run's time is spent here, hence the local names.
        """
        works, lengths, queries, busy = self._works, self._lengths, self._queries, self._busy
        pools, link, io_threads = self._pools, self._link, self._io_threads
        measured, tie, last, replace = self._began, self._tie, len(self._works), heapq.heapreplace
        visits_of = self._visits_of
        while True:
            now, _, began, step, number = queries[0]
            if step:
                length = lengths[step - 1]
                busy[step] += length if now - measured >= length else now - measured
            if step == last:
                break
            resource, cycles, start = works[step]
            pool = pools.get(resource)
            if pool is not None:
                first = max(now, pool[0])
                end = first + cycles
                replace(pool, end)
            else:
                first = max(now, io_threads[0])
                end = max(first + start, link[resource]) + cycles
                replace(io_threads, end)
                link[resource] = end
            if number < visits_of:
                self._visits.append(Visit(number, step, first - measured, end - measured))
            replace(queries, (end, tie, began, step + 1, number))
            tie += 1
        heapq.heappop(queries)
        self._now, self._tie = now, tie
        self._simulated += 1
        if self._simulated > MOST_QUERIES:
            raise OptionError(f"the run takes more than {MOST_QUERIES} queries one by one", hint="shorten it")
        return now - began

    def _skip(self, past: _Past, queries: int, until: int) -> None:
        """Leave out whole periods: a host that stands as it stood before will do as it did before."""
        standing = self._standing()
        if past.standing != standing:
            past.look(self, standing)
            return
        period, done = self._now - past.now, self._issued - past.issued
        times = max((queries - self._issued) // done, (until - self._now - 1) // period if period else 0)
        if times <= 0:
            return
        for latency, count in self._latencies.items():
            self._latencies[latency] += times * (count - past.latencies[latency])
        self._busy = [now + times * (now - before) for now, before in zip(self._busy, past.busy)]
        self._issued += times * done
        self._shift(times * period)
        past.standing = None

    def _standing(self) -> object:
        """All that the future depends on, relative to now; times in the past are all alike."""
        now = self._now
        queries = tuple((at - now, now - began, step) for at, _, began, step, _ in sorted(self._queries))
        pools = [sorted(max(0, at - now) for at in pool) for pool in (*self._pools.values(), self._io_threads)]
        return queries, pools, [max(0, at - now) for at in self._link.values()]

    def _shift(self, cycles: int) -> None:
        self._now += cycles
        self._queries = [
            (at + cycles, tie, began + cycles, step, number) for at, tie, began, step, number in self._queries
        ]  # fmt: skip
        for pool in (*self._pools.values(), self._io_threads):
            pool[:] = [at + cycles for at in pool]
        self._link = {resource: at + cycles for resource, at in self._link.items()}


class _Past:
    """How the host stood at a time; which time moves on after ever longer stretches (Brent's search for a cycle)."""

    def __init__(self) -> None:
        self.standing: object = None
        self.now = self.issued = 0
        self.latencies: Counter[int] = Counter()
        self.busy: list[int] = []
        self._looks = 0
        self._stretch = 1

    def look(self, simulation: _Simulation, standing: object) -> None:
        """Another standing than the one that is kept; it may take its place."""
        self._looks += 1
        if self.standing is not None and self._looks < self._stretch:
            return
        self._looks, self._stretch = 0, 2 * self._stretch
        self.standing = standing
        self.now, self.issued = simulation._now, simulation._issued
        self.latencies, self.busy = simulation._latencies.copy(), list(simulation._busy)
