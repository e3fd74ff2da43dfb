"""What a program does with its device while it runs: SRAM in use, DRAM traffic, MAC utilisation, over cycles."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from furiosa.isa.instructions import Engine, Instruction
from furiosa.isa.memory import Memory, accesses, regions
from furiosa.isa.target import Target
from furiosa.isa.timeline import Timeline

Curve = list[tuple[int, float]]
"""A step function: (cycle, value from there on), cycles ascending, the last value 0."""


def moved_bytes(inst: Instruction) -> int:
    """Bytes that an instruction moves between DRAM and SRAM."""
    if inst.engine is Engine.COMPUTE:
        return 0
    reads, writes = regions(inst)
    return sum(prod(region.shape) for region in (*reads, *writes) if region.memory is Memory.DRAM)


def sram_bytes(instructions: Sequence[Instruction], timeline: Timeline) -> Curve:
    """Bytes of SRAM that hold something: from the start of the write to the end of the last read of it.

    Strided boxes count with their gaps, as the intervals that ``memory.accesses`` names.
    """
    sram = _Occupancy()
    for index in timeline.order:
        start, end = timeline.spans[index]
        reads, writes = accesses(instructions[index])
        for memory, low, high in reads:
            if memory is Memory.SRAM:
                sram.read(low, high, end)
        for memory, low, high in writes:
            if memory is Memory.SRAM:
                sram.write(low, high, start, end)
    return _sum(sram.held())


def dram_bandwidth(instructions: Sequence[Instruction], timeline: Timeline, target: Target) -> Curve:
    """Bytes a second through the DRAM port; a transfer's bytes spread evenly over its time."""
    return _sum(
        (start, end, moved_bytes(inst) * target.clock_hz / (end - start))
        for inst, (start, end) in zip(instructions, timeline.spans)
        if inst.engine is not Engine.COMPUTE and end > start
    )


def mac_utilisation(instructions: Sequence[Instruction], timeline: Timeline, target: Target) -> Curve:
    """The share of all MAC units at work, 0 to 1; an instruction's work spread evenly over its time."""
    return _sum(
        (start, end, inst.macs / (end - start) / target.macs_per_cycle)
        for inst, (start, end) in zip(instructions, timeline.spans)
        if inst.macs and end > start
    )


Part = tuple[int, int, float]


def _sum(parts: Iterable[Part]) -> Curve:
    """The sum of (start, end, value): at each cycle the values of the parts that cover it."""
    begun: Counter[int] = Counter()
    values: dict[int, list[float]] = {}
    for start, end, value in parts:
        if end > start:
            values.setdefault(start, []).append(value)
            values.setdefault(end, []).append(-value)
            begun[start] += 1
            begun[end] -= 1
    curve: Curve = []
    total, alive = 0.0, 0
    for cycle in sorted(values):
        alive += begun[cycle]
        total = total + sum(values[cycle]) if alive else 0.0  # no rounding is left over where nothing is
        if not curve or curve[-1][1] != total:
            curve.append((cycle, total))
    return curve


@dataclass(slots=True)
class _Segment:
    """Bytes written together; ``used`` is the end of their last use so far."""

    low: int
    high: int
    start: int
    used: int
    read: bool = False


class _Occupancy:
    """Who wrote each byte of SRAM last, as segments that do not overlap, in order of addresses."""

    def __init__(self) -> None:
        self._segments: list[_Segment] = []
        self._past: list[Part] = []

    def read(self, low: int, high: int, end: int) -> None:
        for segment in self._cut(low, high):
            segment.used = max(segment.used, end)
            segment.read = True

    def write(self, low: int, high: int, start: int, end: int) -> None:
        for segment in (covered := self._cut(low, high)):
            # Several instructions may write parts of one strided box before somebody reads it: it is held meanwhile.
            self._forget(segment, segment.used if segment.read else max(segment.used, start))
        at = self._at(low)
        self._segments[at : at + len(covered)] = [_Segment(low, high, start, end)]

    def held(self) -> Iterator[Part]:
        """(start, end, bytes) of all that was ever held."""
        for segment in self._segments:
            self._forget(segment, segment.used)
        self._segments.clear()
        yield from self._past

    def _forget(self, segment: _Segment, end: int) -> None:
        self._past.append((segment.start, end, segment.high - segment.low))

    def _at(self, address: int) -> int:
        return bisect_right(self._segments, address, key=lambda segment: segment.high)

    def _cut(self, low: int, high: int) -> list[_Segment]:
        """The segments within [low, high), after cutting those that reach over its ends."""
        for border in (low, high):
            at = self._at(border)
            if at < len(self._segments) and self._segments[at].low < border:
                old = self._segments[at]
                left = _Segment(old.low, border, old.start, old.used, old.read)
                right = _Segment(border, old.high, old.start, old.used, old.read)
                self._segments[at : at + 1] = [left, right]
        first = self._at(low)
        last = first
        while last < len(self._segments) and self._segments[last].high <= high:
            last += 1
        return self._segments[first:last]
