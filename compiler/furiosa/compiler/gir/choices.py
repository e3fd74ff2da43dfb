"""Choices: what the schedule of a cluster may do in more than one way, as plain data that a search can vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Choices:
    """How to schedule a cluster; every combination is legal, and without further choices the schedule's rules decide.

    ``room`` is how many bytes of SRAM it uses, ``ends`` whether buffers come to lie at its two ends in turn, and
    not all as low as they can: what lives shortly then leaves fewer holes that are too small for the next.
    ``parts`` is how many parts of the batch are computed one after the other, ``bands`` how many of the first jobs
    are done in turns, and in how many bands of rows each. ``order`` are the numbers of all jobs (none: as they
    come). ``tiles`` says for jobs, by number, which tiles they get: -1 none, 1 the best ones, 2 the second best ...
    ``outside`` are the numbers of buffers that are never in SRAM whole, ``late`` those of jobs whose transfers do
    not run ahead of the job before.
    """

    room: int
    ends: bool = False
    parts: int = 1
    bands: tuple[int, int] = (0, 1)
    order: tuple[int, ...] = ()
    tiles: Mapping[int, int] = field(default_factory=dict)
    outside: frozenset[int] = frozenset()
    late: frozenset[int] = frozenset()
