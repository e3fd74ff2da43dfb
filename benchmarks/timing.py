"""Times of things measured side by side: they take turns, so that what else the computer does falls on all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

QUIET = 0.05  # the share of the processors that others may take of a round


@dataclass(frozen=True, slots=True)
class Times:
    """What one contender took, in seconds, in the order of measurement."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half lies between these two."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


def cores(count: int) -> tuple[int, ...]:
    """The first ``count`` processors that this process was allowed to use when it started; fewer where it has fewer."""
    return _ALLOWED[:count]


_ALLOWED = tuple(sorted(os.sched_getaffinity(0)))


def usable(threads: Sequence[int]) -> list[int]:
    """Those numbers of threads for which there are as many processors; others are named on standard error."""
    for count in threads:
        if len(cores(count)) < count:
            print(
                f"left out: {count} threads, which need as many processors: {len(cores(count))} may be used",
                file=sys.stderr,
            )
    return [count for count in threads if len(cores(count)) == count]


def pin(processors: Collection[int]) -> None:
    """Let all threads of this process, those of libraries too, run on these processors only."""
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), processors)


def alternate(contenders: Mapping[str, Callable[[], Sequence[float]]], rounds: int) -> dict[str, Times]:
    """Call all contenders in turn, ``rounds`` times; each gives the seconds of one or more runs.

    Rounds in which other processes took much are done again, at most half as many; the quietest count.
    """
    done: list[tuple[float, dict[str, Sequence[float]]]] = []
    names = list(contenders)
    while len(done) < rounds + rounds // 2 and sum(share < QUIET for share, _ in done) < rounds:
        first = len(done) % len(names)
        background = Background()
        seconds = {name: contenders[name]() for name in names[first:] + names[:first]}
        done.append((background.share(), seconds))
    quietest = sorted(done, key=lambda each: each[0])[:rounds]
    return {name: Times(tuple(value for _, seconds in quietest for value in seconds[name])) for name in names}


def process_seconds(command: Sequence[str | Path]) -> list[float]:
    """The time of one whole process, from its start to its end. Raises CalledProcessError when it fails."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return [time.perf_counter() - start]


def printed_seconds(code: str, *words: str | Path) -> list[float]:
    """The numbers that a fresh Python process prints when it executes ``code`` with ``words`` in `sys.argv`."""
    command = [sys.executable, "-c", code, *words]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


class Background:
    """What everything but this process and its children takes of the processors, from construction on."""

    def __init__(self) -> None:
        self._all, self._busy, self._own = _processor_seconds()

    def share(self) -> float:
        """The share of all processors' time, 0 to 1. Above a few percent, runs on all processors suffer most."""
        everything, busy, own = _processor_seconds()
        elsewhere = (busy - self._busy) - (own - self._own)
        return min(1.0, max(0.0, elsewhere) / max(everything - self._all, 1e-9))


def _processor_seconds() -> tuple[float, float, float]:
    """All processors' time since the computer started, the busy part of it (stolen time too), and our own part."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, idle, waiting, *rest = (int(word) for word in file.readline().split()[1:9])
    second = os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + sum(rest)
    return (busy + idle + waiting) / second, busy / second, sum(os.times()[:4])
