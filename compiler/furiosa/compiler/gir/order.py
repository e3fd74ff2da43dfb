"""Orders of the jobs of a cluster: which must come before which, and legal ways to move one."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa.compiler.gir.jobs import Buffer, Job, Work

Order = tuple[int, ...]
"""The numbers of all jobs."""


class Dependencies:
    """For each job, by number, those that must come before it and those that must come after it.

    Who writes a buffer and who reads it keep their order.
    """

    def __init__(self, work: Work) -> None:
        self.before: dict[int, set[int]] = {job.number: set() for job in work.jobs}
        self.after: dict[int, set[int]] = {job.number: set() for job in work.jobs}
        for buffer in work.buffers:
            writers: list[int] = []
            readers: list[int] = []
            for job in (work.jobs[index] for index in buffer.jobs):
                if _reads(job, buffer):
                    self._add(writers, job.number)
                    readers.append(job.number)
                if job.output.buffer is buffer:
                    self._add(readers, job.number)
                    writers.append(job.number)

    def _add(self, earlier: Sequence[int], later: int) -> None:
        others = [number for number in earlier if number != later]
        self.before[later].update(others)
        for number in others:
            self.after[number].add(later)

    def earlier(self, order: Order, place: int, to: int) -> Order:
        """The job at ``place`` moved to before the one at ``to``, and with it what it needs from there on."""
        moved, stay = self._split(order[to : place + 1][::-1], self.before)
        return (*order[:to], *moved[::-1], *stay[::-1], *order[place + 1 :])

    def later(self, order: Order, place: int, to: int) -> Order:
        """The job at ``place`` moved to behind the one at ``to``, and with it what needs it up to there."""
        moved, stay = self._split(order[place : to + 1], self.after)
        return (*order[:place], *stay, *moved, *order[to + 1 :])

    @staticmethod
    def _split(jobs: Sequence[int], bound: dict[int, set[int]]) -> tuple[list[int], list[int]]:
        """The first of the jobs with all that are bound to it, and the others."""
        moved, stay = [jobs[0]], []
        needed = set(bound[jobs[0]])
        for number in jobs[1:]:
            if number in needed:
                moved.append(number)
                needed |= bound[number]
            else:
                stay.append(number)
        return moved, stay


def outputs_first(work: Work, dependencies: Dependencies) -> Order:
    """The jobs as they come, but what only a result needs comes as soon as it can, so that it is stored early."""
    order = tuple(job.number for job in work.jobs)
    for job in work.jobs:
        if job.output.buffer.output:
            own = _own(job.number, dependencies)
            needed = set[int]().union(*(dependencies.before[number] for number in own)) - own
            to = 1 + max((place for place, number in enumerate(order) if number in needed), default=-1)
            order = dependencies.earlier(order, order.index(job.number), to)
    return order


def _own(number: int, dependencies: Dependencies) -> set[int]:
    """The job with this number, and those that only it needs."""
    own, waiting = {number}, [number]
    while waiting:
        for earlier in dependencies.before[waiting.pop()]:
            if earlier not in own and dependencies.after[earlier] <= own:
                own.add(earlier)
                waiting.append(earlier)
    return own


def _reads(job: Job, buffer: Buffer) -> bool:
    return any(ref.buffer is buffer for ref in job.inputs)
