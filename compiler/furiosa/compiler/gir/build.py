"""From a cluster to its GIR: the fastest of a few schedules, or of many."""

from __future__ import annotations

from collections.abc import Iterator

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.effort import DEFAULT_EFFORT, Effort
from furiosa.compiler.gir.candidate import Candidate, candidate
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.gir.program import Gir
from furiosa.compiler.gir.search import search
from furiosa.isa.errors import UnsupportedError
from furiosa.isa.target import Target

_TRIED = 4
_LEAST = 1 << 16


def build(cluster: Cluster, target: Target, effort: Effort = DEFAULT_EFFORT) -> Gir:
    """Tile, schedule and place an NPU cluster on a target; equal arguments give the equal GIR.

    Where SRAM is tight or the tensor unit waits, the schedules for less SRAM are tried too, and the one with the
    shortest timeline is taken: a rule that looks one job ahead can do worse with more room, and so can transfers that
    come to hold each other up. More effort never makes the timeline longer.

    Raises UnsupportedError naming the operator and its bytes when one does not fit the target's SRAM however it is cut.
    """
    first = candidate(cluster, target, Choices(target.sram_bytes))
    if effort.level == 0:
        return first.gir
    best = first
    if first.tight or first.waits:
        best = min((first, *_with_less(cluster, target)), key=lambda each: each.cycles)
    return search(cluster, best, effort).gir if effort.level > 1 else best.gir


def _with_less(cluster: Cluster, target: Target) -> Iterator[Candidate]:
    """The schedules for the next sizes of SRAM below the target's, as far as there are any."""
    for room in _smaller(target.sram_bytes):
        try:
            yield candidate(cluster, target, Choices(room))
        except UnsupportedError:
            return


def _smaller(room: int) -> list[int]:
    """The next sizes below ``room`` of the form 2**n or 3 * 2**n, descending; small ones take long and gain nothing."""
    top = room.bit_length()
    sizes = {base << power for power in range(top - _TRIED, top) if power >= 0 for base in (1, 3)}
    return sorted((size for size in sizes if _LEAST <= size < room), reverse=True)[:_TRIED]
