"""The search for a faster schedule: a local search over choices, which the timeline judges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.effort import Effort
from furiosa.compiler.gir.bands import bandable
from furiosa.compiler.gir.batches import batch_of
from furiosa.compiler.gir.candidate import Candidate, candidate, work_of
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.gir.jobs import Work
from furiosa.compiler.gir.order import Dependencies, outputs_first
from furiosa.isa.errors import UnsupportedError

_TILES = 6
_BANDS = (2, 4)
_BANDED = 8


def search(cluster: Cluster, first: Candidate, effort: Effort) -> Candidate:
    """The fastest of ``first`` and ``effort.budget`` other schedules of a cluster.

    First come large steps: the batch in parts, rows in bands, results early. From the best of these on, each schedule
    differs from the best so far in a choice or two that are drawn at random, and takes its place when it is not slower.
    """
    climb = _Climb(cluster, first, effort.budget)
    for steps in (_in_parts, _in_bands, _results_first):
        for choices in steps(climb.best, work_of(cluster, climb.best.choices)):
            climb.to(choices)
    neighbours = _Neighbours(work_of(cluster, climb.best.choices), effort.seed)
    while climb.left:
        climb.to(neighbours.of(climb.best.choices))
    return climb.best


class _Climb:
    """The best schedule so far, and how many others may still be tried."""

    def __init__(self, cluster: Cluster, best: Candidate, left: int) -> None:
        self._cluster = cluster
        self.best = best
        self.left = left

    def to(self, choices: Choices) -> None:
        """Go where these choices lead, if that is no way down and the budget is not used up."""
        if not self.left:
            return
        self.left -= 1
        try:
            found = candidate(self._cluster, self.best.target, choices)
        except UnsupportedError:  # some choices leave an operator too little SRAM
            return
        if found.cycles <= self.best.cycles:
            self.best = found


def _in_parts(best: Candidate, work: Work) -> Iterator[Choices]:
    """Where SRAM is tight, all of it for the batch in 2, 4, 8 ... parts; inputs are read as they are needed."""
    if best.tight:
        for power in range(1, batch_of(work).bit_length()):
            yield Choices(best.target.sram_bytes, parts=1 << power, outside=_inputs(work))


def _in_bands(best: Candidate, work: Work) -> Iterator[Choices]:
    """A few of the first jobs in a few bands."""
    for jobs in range(1, 1 + min(_BANDED, bandable(work))):
        for count in _BANDS:
            yield replace(best.choices, bands=(jobs, count), outside=best.choices.outside | _inputs(work))


def _results_first(best: Candidate, work: Work) -> Iterator[Choices]:
    yield replace(best.choices, order=outputs_first(work, Dependencies(work)))


def _inputs(work: Work) -> frozenset[int]:
    return frozenset(buffer.number for buffer in work.inputs)


class _Neighbours:
    """Choices for ``work`` that are near to others."""

    def __init__(self, work: Work, seed: int) -> None:
        self._random = Random(seed)
        self._jobs = tuple(job.number for job in work.jobs)
        self._buffers = tuple(buffer.number for buffer in work.buffers if buffer.read and not buffer.constant)
        self._dependencies = Dependencies(work)

    def of(self, choices: Choices) -> Choices:
        """The same with another choice or two."""
        for _ in range(1 + self._draw(2)):
            change = (self._tile, self._move, self._hold_back, self._spill)[self._draw(4)]
            choices = change(choices)
        return choices

    def _draw(self, count: int) -> int:
        """A number below ``count``: from the method of ``Random`` that Python promises to keep as it is."""
        return int(self._random.random() * count)

    def _tile(self, choices: Choices) -> Choices:
        """Other tiles for a job."""
        job = self._jobs[self._draw(len(self._jobs))]
        return replace(choices, tiles={**choices.tiles, job: self._draw(_TILES + 2) - 1})

    def _move(self, choices: Choices) -> Choices:
        """A job somewhere else, with what it needs or what needs it in between."""
        order = choices.order or self._jobs
        place, to = self._draw(len(order)), self._draw(len(order))
        move = self._dependencies.earlier if to < place else self._dependencies.later
        return replace(choices, order=move(order, place, to))

    def _hold_back(self, choices: Choices) -> Choices:
        """The transfers of a job later, or as early as they can be again."""
        return replace(choices, late=choices.late ^ {self._jobs[self._draw(len(self._jobs))]})

    def _spill(self, choices: Choices) -> Choices:
        """A buffer out of SRAM, or in it again."""
        if not self._buffers:
            return choices
        return replace(choices, outside=choices.outside ^ {self._buffers[self._draw(len(self._buffers))]})
