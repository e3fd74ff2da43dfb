"""Rows in bands: the first jobs of a cluster in turns, a band of rows each, so that computing need not wait for all of
the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from furiosa.compiler.gir.boxes import Box, input_box, parts
from furiosa.compiler.gir.jobs import Job, Work


def bandable(work: Work) -> int:
    """How many jobs from the first one on can be cut into bands of rows."""
    return next((index for index, job in enumerate(work.jobs) if not job.split[1]), len(work.jobs))


def in_bands(work: Work, jobs: int, count: int) -> Work:
    """The same work with its first ``jobs`` jobs, at most ``bandable(work)``, in up to ``count`` bands each.

    Always the last of these jobs that has all it reads is next.
    """
    ordered = [*_in_turns(work.jobs[:jobs], count), *work.jobs[jobs:]]
    return replace(work, jobs=tuple(replace(job, number=number) for number, job in enumerate(ordered))).linked()


def _in_turns(jobs: Sequence[Job], count: int) -> Iterator[Job]:
    bands = [_bands(job, count)[::-1] for job in jobs]
    done = [0] * len(jobs)
    while any(bands):
        index = next(i for i in reversed(range(len(jobs))) if bands[i] and _ready(bands[i][-1], jobs[:i], done))
        band = bands[index].pop()
        done[index] += band.shape[1]
        yield band


def _bands(job: Job, count: int) -> list[Job]:
    _, height, _, _ = job.shape
    return [_band(job, first, end) for first, end in parts(height, -(-height // count))]


def _band(job: Job, first: int, end: int) -> Job:
    n, _, w, c = job.shape
    output = job.output.part(job.output.name, (0, first, 0, 0), (n, end - first, w, c))
    return replace(job, output=output, row_start=first)


def _ready(band: Job, earlier: Sequence[Job], done: Sequence[int]) -> bool:
    """Whether the jobs before it have made all that a band reads, when so many rows of each are done."""
    box = band.placed(Box.whole(band.shape))
    for ref, reads in zip(band.inputs, band.reads):
        last = input_box(reads, box).stop[1]
        for job, rows in zip(earlier, done):
            if job.output.buffer is ref.buffer and rows < (last if job.output.place == ref.place else job.shape[1]):
                return False
    return True
