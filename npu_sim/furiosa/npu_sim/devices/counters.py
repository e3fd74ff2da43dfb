"""The counter page of a PE: a small mapped file with the work it has done, for all who watch.

It holds the four counts twice. A writer fills the half that is not valid, then makes it the valid one by storing one
word: a process that is killed at whatever moment leaves whole counts behind.
"""

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
_WORDS = "QQ" + 2 * "QQQQ"  # magic, turn, and in each half executions, task, compute, io
_MAGIC = int.from_bytes(b"NPUCNT02", "little")
_BYTES = struct.calcsize(_WORDS)
_LOOKS = 8


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
        descriptor = state.open_existing(path, os.O_RDONLY)
    except FileNotFoundError:
        return Counters(time.monotonic_ns(), 0, 0, 0, 0)
    try:
        content = os.pread(descriptor, _BYTES, 0)
        for _ in range(_LOOKS):  # until the writer took no turn meanwhile, so that the valid half was left alone
            again = os.pread(descriptor, _BYTES, 0)
            if again[:16] == content[:16]:
                break
            content = again
    finally:
        os.close(descriptor)
    _, counts = _valid(content)
    return Counters(time.monotonic_ns(), *counts)


class CounterPage:
    """The page as its only writer sees it: the process that holds the PE."""

    def __init__(self, path: Path) -> None:
        """Map the page, making it when it is missing. Raises OSError when it cannot be used."""
        descriptor = _open(path)
        try:
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        self._turn, self._counts = _valid(self._map[:_BYTES])
        # Native 64-bit items are stored in one piece.
        self._words = memoryview(self._map).cast("Q")
        self._guard = threading.Lock()
        self._store()
        self._words[0] = _MAGIC

    def add(self, task_cycles: int, compute_cycles: int, io_cycles: int, executions: int = 1) -> None:
        """Count executions of so many cycles each."""
        with self._guard:
            done, task, compute, io = self._counts
            self._counts = (
                done + executions, task + executions * task_cycles, compute + executions * compute_cycles,
                io + executions * io_cycles,
            )  # fmt: skip
            self._turn += 1
            self._store()

    def _store(self) -> None:
        words, half = self._words, _half(self._turn)
        words[half], words[half + 1], words[half + 2], words[half + 3] = self._counts
        words[1] = self._turn

    def close(self) -> None:
        """Unmap the page; the counts stay."""
        self._words.release()
        self._map.close()


def _half(turn: int) -> int:
    """Where the half that is valid at this turn begins, in words."""
    return 2 + 4 * (turn & 1)


def _valid(content: bytes) -> tuple[int, tuple[int, int, int, int]]:
    """The turn and the valid counts of a page; all zero for what is none, or holds counts that nobody can reach."""
    words = struct.unpack(_WORDS, content) if len(content) == _BYTES else (0,)
    if words[0] != _MAGIC or max(words[1:]) >= 2**63:
        return 0, (0, 0, 0, 0)
    done, task, compute, io = words[_half(words[1]) :][:4]
    return words[1], (done, task, compute, io)


def _open(path: Path) -> int:
    descriptor = state.open_file(path, _SIZE)
    if os.fstat(descriptor).st_size == _SIZE:
        return descriptor
    os.close(descriptor)
    path.unlink(missing_ok=True)  # not a page of ours: start anew
    return state.open_file(path, _SIZE)
