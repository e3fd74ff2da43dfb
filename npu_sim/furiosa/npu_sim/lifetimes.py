"""Which bytes of a memory hold data, and whether two regions share a byte: exact, also for strided regions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import gcd

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.memory import Region

Starts = NDArray[np.int64]

RUN_LIMIT = 1 << 22
"""Most separate runs of bytes in one region; what is more scattered is refused."""


def run_count(region: Region) -> int:
    """How many separate runs of bytes a region has."""
    count = 1
    for extent in region.runs()[0]:
        count *= extent
    return count


def _runs(region: Region) -> tuple[Starts, int]:
    """The first address of each run, ascending, and the bytes of each."""
    shape, strides, length = region.runs()
    starts = np.array([region.address], np.int64)
    for extent, stride in zip(shape, strides):
        starts = (starts[:, None] + np.arange(extent, dtype=np.int64) * stride).reshape(-1)
    return np.sort(starts), length


def share_a_byte(a: Region, b: Region) -> bool:
    """Whether two regions of at most ``RUN_LIMIT`` runs have a byte in common."""
    memory, start, end = a.interval
    other_memory, other_start, other_end = b.interval
    if memory != other_memory or start >= other_end or other_start >= end:
        return False
    return not _interleaved(a, b) and _runs_meet(a, b)


def _interleaved(a: Region, b: Region) -> bool:
    """Whether both regions repeat with one period and keep to different bytes of it, like halves of a concatenation."""
    _, strides, length = a.runs()
    _, other_strides, other_length = b.runs()
    period = gcd(*strides, *other_strides)
    if period == 0:
        return False
    gap = (b.address - a.address) % period
    return gap >= length and gap + other_length <= period


def _runs_meet(a: Region, b: Region) -> bool:
    starts, length = _runs(a)
    others, other_length = _runs(b)
    following = np.searchsorted(starts, others)
    before = np.where(following > 0, starts[following - 1] + length, others)
    after = np.where(following < len(starts), starts[np.minimum(following, len(starts) - 1)], others + other_length)
    return bool(np.any((before > others) | (after < others + other_length)))


class Defined:
    """The bytes of one memory that hold data: disjoint intervals, ascending and not touching."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, region: Region) -> None:
        """The region's bytes hold data from now on."""
        _, start, end = region.interval
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last and self._starts[first] <= start and self._ends[first] >= end:
            return
        if run_count(region) == 1:
            if first < last:
                start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
            self._starts[first:last], self._ends[first:last] = [start], [end]
            return
        starts, length = _runs(region)
        merged_starts, merged_ends = _union(
            np.concatenate((starts, np.array(self._starts[first:last], np.int64))),
            np.concatenate((starts + length, np.array(self._ends[first:last], np.int64))),
        )
        self._starts[first:last], self._ends[first:last] = merged_starts.tolist(), merged_ends.tolist()

    def missing(self, region: Region) -> int | None:
        """The first byte of the region that holds no data; None when all do."""
        _, start, end = region.interval
        first = bisect_right(self._starts, start) - 1
        if first >= 0 and self._ends[first] >= end:
            return None
        if run_count(region) == 1:
            return max(start, self._ends[first]) if first >= 0 else start
        starts, length = _runs(region)
        first = max(first, 0)
        last = bisect_left(self._starts, end)
        if first >= last:
            return start
        held_starts = np.array(self._starts[first:last], np.int64)
        held_ends = np.array(self._ends[first:last], np.int64)
        holder = np.searchsorted(held_starts, starts, side="right") - 1
        covered = np.where(holder >= 0, held_ends[np.maximum(holder, 0)], starts)
        bad = np.flatnonzero(covered < starts + length)
        return None if not len(bad) else int(max(starts[bad[0]], covered[bad[0]]))


def _union(starts: Starts, ends: Starts) -> tuple[Starts, Starts]:
    """Intervals in any order as disjoint intervals, ascending and not touching."""
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    opens = np.flatnonzero(np.concatenate(([True], starts[1:] > reach[:-1])))
    closes = np.concatenate((opens[1:] - 1, [len(starts) - 1]))
    return starts[opens], reach[closes]
