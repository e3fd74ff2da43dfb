"""From a cluster to its GIR: the fastest of a few schedules, or of many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.effort import DEFAULT_EFFORT, Effort
from furiosa.compiler.gir.candidate import Candidate, candidate
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.gir.program import Gir
from furiosa.isa.errors import UnsupportedError
from furiosa.isa.target import Target


def build(cluster: Cluster, target: Target, effort: Effort = DEFAULT_EFFORT) -> Gir:
    """Tile, schedule and place an NPU cluster on a target; equal arguments give the equal GIR.

    The schedules for less SRAM are tried too, and the one with the shortest timeline is taken: a rule that looks one
    job ahead can do worse with more room, and so can transfers that come to hold each other up. So of two targets whose
    SRAM is 2**n or 3 * 2**n bytes the larger one is never slower. More effort never makes the timeline longer.

    Raises UnsupportedError naming the operator and its bytes when one does not fit the target's SRAM however it is cut.
    """
    best = candidate(cluster, target, Choices(target.sram_bytes))
    if effort.level == 0:
        return best.gir
    best = min((best, *_others(cluster, best)), key=lambda each: each.cycles)
    if effort.level == 1:
        return best.gir
    from furiosa.compiler.gir.search import search  # only who searches pays for its import

    return search(cluster, best, effort).gir


def _others(cluster: Cluster, first: Candidate) -> Iterator[Candidate]:
    """The schedules for the sizes of SRAM below, and where one is tight, also that which fills it from both ends.

    Sizes that would not change a schedule are passed over. The last is one that takes a quarter longer than the best:
    with still less room, more and more is moved.
    """
    best, found = first.cycles, first
    sizes = iter(_smaller(first.target.sram_bytes))
    with suppress(UnsupportedError):
        while 4 * found.cycles <= 5 * best:
            if found.tight and not found.choices.ends:
                choices = replace(found.choices, ends=True)
            elif size := next((size for size in sizes if found.tight or size < found.gir.sram_bytes), 0):
                choices = Choices(size)
            else:
                return
            found = candidate(cluster, first.target, choices)
            best = min(best, found.cycles)
            yield found


def _smaller(room: int) -> list[int]:
    """The sizes below ``room`` of the form 2**n or 3 * 2**n, descending."""
    sizes = {base << power for power in range(room.bit_length()) for base in (1, 3)}
    return sorted((size for size in sizes if size < room), reverse=True)
