"""The figures of a benchmark: latencies and how often each occurred, what was busy, and what held queries up."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import fsum
from typing import Literal, TypeAlias

from furiosa.runtime.modelled import ModelledProgram

HostClock: TypeAlias = Literal["reference", "measured"]

_SATURATED = 0.95


@dataclass(frozen=True)
class Latencies:
    """Each latency of a run in us, ascending, and how many queries had it."""

    counts: tuple[tuple[float, int], ...] = field(repr=False)

    def __len__(self) -> int:
        return self._ranks[-1]

    @cached_property
    def _ranks(self) -> list[int]:
        return list(accumulate(count for _, count in self.counts))

    @property
    def least(self) -> float:
        return self.counts[0][0]

    @property
    def most(self) -> float:
        return self.counts[-1][0]

    @property
    def mean(self) -> float:
        return fsum(latency * count for latency, count in self.counts) / len(self)

    def percentile(self, percent: Fraction) -> float:
        """The latency that ``percent`` of 100 queries stay below: an observed one, never interpolated."""
        rank = min(int(len(self) * percent // 100), len(self) - 1)
        return self.counts[bisect_right(self._ranks, rank)][0]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the simulator itself is here: measured seconds of so many queries, host steps included."""

    kernels: str
    queries: int
    seconds: float

    @property
    def query_us(self) -> float:
        return self.seconds * 1e6 / self.queries


@dataclass(frozen=True, slots=True)
class Usage:
    """The share of the run's time in which a resource was at work, 0 to 1, all its ``number`` taken together."""

    resource: str
    number: int
    share: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a query and how long it takes when nothing is in its way, in us."""

    name: str
    us: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The figures of one run on the virtual clock; times are in us.

    ``host`` says whose time that of host steps is: modelled, or measured on this computer. ``total`` is the time of
    the run, ``query`` one query alone, ``programs`` what it executes on the NPU, in order. ``traced`` is the number of
    queries in the trace, ``speed`` that of the simulator.
    """

    batch_size: int
    target: str
    devices: tuple[str, ...]
    workload: Literal["L", "T"]
    workers: int
    io_threads: int
    warm_up: int
    host: HostClock
    latencies: Latencies
    total: float
    usage: tuple[Usage, ...]
    query: tuple[Part, ...]
    programs: tuple[ModelledProgram, ...] = field(repr=False)
    traced: int
    speed: Speed | None

    @property
    def queries_per_second(self) -> float:
        return len(self.latencies) * 1e6 / self.total if self.total else 0.0

    @property
    def npu_us(self) -> float:
        """The NPU's part of one query."""
        return fsum(part.us for part in self.query if part.name == "Execute")

    @property
    def bottleneck(self) -> str:
        """What bounds the throughput: the busiest resource; ``workers`` when nothing is busy all of the time."""
        busiest = max(self.usage, key=lambda usage: usage.share)
        return busiest.resource if busiest.share >= _SATURATED else "workers"
