"""The counter page of a PE: a small mapped file with the work it has done, for all who watch."""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from furiosa.npu_sim.devices import state

_SIZE = 4096
_WORDS = "QQQQQ"  # magic, executions, task, compute, io
_MAGIC = int.from_bytes(b"NPUCNT01", "little")
_BYTES = struct.calcsize(_WORDS)


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading of a PE's counters. They only grow, whoever uses the PE, so differences of readings are meaningful.

    ``time_ns`` is when they were read, on the monotonic clock that all processes of the host share.
    ``task_cycles`` is the modelled time in which a program was running, ``compute_cycles`` and ``io_cycles`` its parts.
    """

    time_ns: int
    executions: int
    task_cycles: int
    compute_cycles: int
    io_cycles: int


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a device was between two readings of its counters, as shares from 0 to 1.

    ``npu`` is the modelled time in which programs ran over the time that passed, at most 1: without
    FURIOSA_SIM_PACE=realtime a simulated device may do in a second more or less than a card does. ``compute`` and
    ``io`` are shares of the modelled time; both are 0 when nothing ran.
    """

    npu: float
    compute: float
    io: float

    @classmethod
    def between(cls, before: Counters, after: Counters, clock_hz: int) -> Load:
        """The load from two readings."""
        task = after.task_cycles - before.task_cycles
        elapsed = (after.time_ns - before.time_ns) * clock_hz / 1e9
        if task <= 0 or elapsed <= 0:
            return cls(0.0, 0.0, 0.0)
        compute = min(1.0, (after.compute_cycles - before.compute_cycles) / task)
        return cls(min(1.0, task / elapsed), compute, 1.0 - compute)


def read(path: Path) -> Counters:
    """The counters in a page; all zero when the PE was never opened. Raises OSError when the page cannot be read."""
    try:
        content = path.read_bytes()[:_BYTES]
    except FileNotFoundError:
        content = b""
    words = struct.unpack(_WORDS, content) if len(content) == _BYTES else (0, 0, 0, 0, 0)
    return Counters(time.monotonic_ns(), *(words[1:] if words[0] == _MAGIC else (0, 0, 0, 0)))


class CounterPage:
    """The page as its only writer sees it: the process that holds the PE."""

    def __init__(self, path: Path) -> None:
        """Map the page, making it when it is missing. Raises OSError when it cannot be used."""
        descriptor = _open(path)
        try:
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        # Native 64-bit items are stored in one piece: a reader never sees half a counter.
        self._words = memoryview(self._map).cast("Q")
        self._guard = threading.Lock()
        if self._words[0] != _MAGIC:
            self._words[1:5] = memoryview(bytes(32)).cast("Q")
            self._words[0] = _MAGIC

    def add(self, task_cycles: int, compute_cycles: int, io_cycles: int, executions: int = 1) -> None:
        """Count executions of so many cycles each."""
        words = self._words
        with self._guard:
            words[1] += executions
            words[2] += executions * task_cycles
            words[3] += executions * compute_cycles
            words[4] += executions * io_cycles

    def close(self) -> None:
        """Unmap the page; the counts stay."""
        self._words.release()
        self._map.close()


def _open(path: Path) -> int:
    descriptor = state.open_file(path, _SIZE)
    if os.fstat(descriptor).st_size == _SIZE:
        return descriptor
    os.close(descriptor)
    path.unlink(missing_ok=True)  # not a page of ours: start anew
    return state.open_file(path, _SIZE)
