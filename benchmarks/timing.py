"""Times of things measured side by side: they take turns, so that what else the computer does falls on all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


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


def alternate(contenders: Mapping[str, Callable[[], Sequence[float]]], rounds: int) -> dict[str, Times]:
    """Call all contenders, ``rounds`` times in turn; each gives the seconds of one or more runs."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds):
        names = list(contenders)
        for name in names[index % len(names) :] + names[: index % len(names)]:
            seconds[name] += contenders[name]()
    return {name: Times(tuple(values)) for name, values in seconds.items()}


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
        return max(0.0, elsewhere) / max(everything - self._all, 1e-9)


def _processor_seconds() -> tuple[float, float, float]:
    """All processors' time since the computer started, the busy part of it (stolen time too), and our own part."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, idle, waiting, *rest = (int(word) for word in file.readline().split()[1:9])
    second = os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + sum(rest)
    return (busy + idle + waiting) / second, busy / second, sum(os.times()[:4])
