"""Optimization levels: more effort is never slower, every choice is legal, and the same search finds the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.small_clusters import BIG, Net, check_slots, execute, shrunk
from tests.compiler.test_time import NETS

from furiosa.compiler import gir, lir
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.effort import Effort
from furiosa.compiler.gir.bands import bandable
from furiosa.compiler.gir.batches import batch_of
from furiosa.compiler.gir.candidate import candidate, work_of
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.gir.order import Dependencies, outputs_first
from furiosa.compiler.graph import Op
from furiosa.isa.errors import UnsupportedError
from furiosa.isa.target import Target
from furiosa.isa.timeline import schedule

SIZES = (20_000, 100_000, 1 << 22)


def two_results(net: Net, batch: int) -> tuple[Op, ...]:
    """A large result early, and one of what the rest makes of it; pixels seen as images on the way."""
    x = net.conv(net.input(batch, 12, 12, 8), 16)
    wide = net.expand(net.view(x, 12 * batch, 12, 1, 16), (12 * batch, 12, 2, 16))
    y = net.pool("max", net.view(wide, batch, 12, 24, 16))
    return net.table(net.conv(x, 24)), net.mean(net.binary("add", y, net.constant(1, 1, 1, 16)))


def cut(net: Net, batch: int) -> tuple[Op, ...]:
    """Images are not independent: one of them is left out."""
    x = net.conv(net.input(batch, 8, 8, 8), 8)
    return (net.slice(x, (1, 0, 0, 0), (1, 1, 1, 1), (batch - 1, 8, 8, 8)),)


def _one(make: Callable[[Net, int], Op]) -> Callable[[Net, int], tuple[Op, ...]]:
    return lambda net, batch: (make(net, batch),)


CASES: dict[str, Callable[[Net, int], tuple[Op, ...]]] = {
    **{name: _one(make) for name, make in NETS.items()}, "two_results": two_results, "cut": cut
}  # fmt: skip


def cluster(name: str, batch: int = 1) -> Cluster:
    net = Net()
    return net.cluster(*CASES[name](net, batch))


CLUSTERS = {name: cluster(name, 3) for name in CASES}
WANTED = {name: execute(gir.build(parts, BIG), BIG) for name, parts in CLUSTERS.items()}


def cycles(program: gir.Gir, npu: Target) -> int:
    return schedule(lir.linearize(program).instructions, npu).cycles


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", SIZES[1:])
def test_more_effort_is_never_slower(name: str, size: int) -> None:
    npu, parts = shrunk(size), CLUSTERS[name]
    efforts = [Effort(0), Effort(1), *(Effort(2, budget, seed=3) for budget in (0, 3, 25))]
    programs = [gir.build(parts, npu, effort) for effort in efforts]
    times = [cycles(program, npu) for program in programs]
    assert all(after <= before for before, after in pairwise(times)), times
    assert programs[2] == programs[1] == gir.build(parts, npu)
    check_slots(programs[-1], npu)
    for have, want in zip(execute(programs[-1], npu), WANTED[name], strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_search_depends_on_its_seed_alone() -> None:
    npu = shrunk(30_000)
    programs = [gir.build(CLUSTERS["two_results"], npu, Effort(2, 40, seed)) for seed in (0, 0, 1)]
    assert programs[0] == programs[1] != programs[2]


def test_a_batch_that_does_not_fit_is_computed_in_parts() -> None:
    """Where a batch spills, an image takes several times as long as in one that fits; the search gets that back."""
    one, many = cluster("residual"), cluster("residual", 8)
    npu = replace(BIG, slice_sram_bytes=300_000 // BIG.slices)
    assert candidate(many, npu, Choices(npu.sram_bytes)).tight
    times = [cycles(gir.build(many, npu, effort), npu) for effort in (Effort(1), Effort(2, 4))]
    assert times[1] < times[0] / 2 and times[1] <= 8 * cycles(gir.build(one, npu), npu)


def test_which_batches_have_parts() -> None:
    assert batch_of(work_of(cluster("two_results", 3), Choices(BIG.sram_bytes))) == 3
    assert batch_of(work_of(cluster("residual"), Choices(BIG.sram_bytes))) == 1
    assert batch_of(work_of(cluster("cut", 3), Choices(BIG.sram_bytes))) == 1


@st.composite
def choices(draw: st.DrawFn, parts: Cluster, room: int) -> Choices:
    """Any choices for a cluster."""
    found = Choices(room)
    found = replace(found, parts=draw(st.integers(1, batch_of(work_of(parts, found)))))
    banded = draw(st.integers(0, bandable(work_of(parts, found))))
    found = replace(found, bands=(banded, draw(st.integers(1, 5))) if banded else (0, 1))
    work = work_of(parts, found)
    numbers = st.sampled_from([job.number for job in work.jobs])
    buffers = st.sampled_from([buffer.number for buffer in work.buffers])
    dependencies = Dependencies(work)
    order = draw(st.sampled_from([tuple(range(len(work.jobs))), outputs_first(work, dependencies)]))
    for place, to in draw(st.lists(st.tuples(numbers, numbers), max_size=6)):
        order = (dependencies.earlier if to < place else dependencies.later)(order, place, to)
    assert sorted(order) == list(range(len(work.jobs)))
    return replace(
        found, order=order, tiles=draw(st.dictionaries(numbers, st.integers(-1, 6))),
        outside=draw(st.frozensets(buffers)), late=draw(st.frozensets(numbers)),
    )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from(sorted(CASES)), st.sampled_from(SIZES))
def test_every_choice_is_legal(data: st.DataObject, name: str, size: int) -> None:
    parts, npu = CLUSTERS[name], shrunk(size)
    try:
        found = candidate(parts, npu, data.draw(choices(parts, size)))
    except UnsupportedError:
        return
    check_slots(found.gir, npu)
    for have, want in zip(execute(found.gir, npu), WANTED[name], strict=True):
        np.testing.assert_array_equal(have, want)
