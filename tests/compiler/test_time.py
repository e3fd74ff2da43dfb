"""The modelled time of compiled programs: bounds, what better hardware does to it, and what batches cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.small_clusters import BIG, Net

from furiosa.compiler import gir, lir
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.gir.candidate import candidate
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.graph import Op
from furiosa.isa.instructions import Instruction, Load, Store
from furiosa.isa.target import Target
from furiosa.isa.timeline import schedule


def residual(net: Net, batch: int = 1) -> Op:
    x = net.conv(net.input(batch, 40, 40, 8), 32)
    for _ in range(2):
        x = net.binary("add", x, net.conv(net.conv(x, 32), 32))
    return net.mean(x)


def concatenated(net: Net, batch: int = 1) -> Op:
    """Like YOLOv8's C2f: convolutions read what is also concatenated."""
    x = net.conv(net.input(batch, 24, 24, 16), 32)
    halves = [net.slice(x, (0, 0, 0, at), (1, 1, 1, 1), (batch, 24, 24, 16)) for at in (0, 16)]
    last = net.conv(net.conv(halves[1], 16), 16)
    return net.conv(net.concat(3, *halves, last), 32, 1, pads=(0, 0, 0, 0))


def separable(net: Net, batch: int = 1) -> Op:
    x = net.conv(net.input(batch, 48, 48, 8), 16, stride=2)
    return net.conv(net.conv(x, 16, groups=16), 64, 1, pads=(0, 0, 0, 0))


NETS: dict[str, Callable[[Net, int], Op]] = {
    "residual": residual, "concatenated": concatenated, "separable": separable
}  # fmt: skip


def cluster(name: str, batch: int = 1) -> Cluster:
    net = Net()
    return net.cluster(NETS[name](net, batch))


def program(parts: Cluster, npu: Target) -> tuple[Instruction, ...]:
    return lir.linearize(gir.build(parts, npu)).instructions


def with_sram(size: int) -> Target:
    return replace(BIG, name="small", slices=4, slice_sram_bytes=size // 4)


PROGRAMS = [(with_sram(size), program(cluster(name), with_sram(size))) for name in NETS for size in (1 << 16, 1 << 20)]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(PROGRAMS), st.integers(1, 64), st.integers(1, 64), st.booleans())
def test_better_hardware_never_makes_a_program_slower(
    case: tuple[Target, tuple[Instruction, ...]], slices: int, bandwidth: int, sram: bool
) -> None:
    npu, instructions = case
    better = replace(npu, slices=npu.slices + slices, slice_sram_bytes=npu.slice_sram_bytes << sram,
                     dram_bytes_per_second=npu.dram_bytes_per_second * bandwidth)  # fmt: skip
    assert schedule(instructions, better).cycles <= schedule(instructions, npu).cycles


@pytest.mark.parametrize("name", NETS)
def test_compiled_for_more_sram_or_slices_a_network_is_not_slower(name: str) -> None:
    for npus in ([with_sram(base << power) for power in range(12, 21) for base in (4, 6)],
                 [replace(BIG, slices=slices) for slices in (16, 32, 64, 128, 256)]):  # fmt: skip
        times = [schedule(program(cluster(name), npu), npu).cycles for npu in npus]
        assert times == sorted(times, reverse=True)


BETTER = {
    "slices": 2, "slice_sram_bytes": 2, "dram_bytes_per_second": 2, "pes": 2, "mac_columns": 2,
    "vector_bytes_per_slice": 2, "broadcast_bytes_per_cycle": 2, "exchange_bytes_per_cycle": 2,
    "spread_bytes_per_cycle": 2, "gather_cycles": 0.5, "broadcast_strips": 0.5, "issue_cycles": 0.5,
    "window_start_cycles": 0.5, "conv_start_cycles": 0.5, "dma_setup_cycles": 0.5,
}  # fmt: skip
"""For each constant what makes it better. ``mac_rows`` is missing: longer strips also broadcast more idle pixels."""


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("size", [200_000, 1 << 18, 1 << 22])
def test_compiled_for_better_hardware_a_network_is_not_slower(name: str, size: int) -> None:
    """Where tensors spill and where they do not. Half of the step is tried, too."""
    npu = replace(BIG, slices=64, slice_sram_bytes=size // 64)
    parts = cluster(name)
    cycles = schedule(program(parts, npu), npu).cycles
    for constant, factor in BETTER.items():
        value = getattr(npu, constant)
        for better in (int(value * factor), int(value * factor**0.5)):
            other = replace(npu, **{constant: better})
            assert schedule(program(parts, other), other).cycles <= cycles, (constant, value, better)


@pytest.mark.parametrize(("npu", "instructions"), PROGRAMS)
def test_a_program_is_never_below_its_roofline(npu: Target, instructions: tuple[Instruction, ...]) -> None:
    moved = sum(inst.dst.size for inst in instructions if isinstance(inst, Load))
    moved += sum(inst.src.size for inst in instructions if isinstance(inst, Store))
    cycles = schedule(instructions, npu).cycles
    assert cycles * npu.macs_per_cycle >= sum(inst.macs for inst in instructions)
    assert cycles * npu.dram_bytes_per_second >= moved * npu.clock_hz


@pytest.mark.parametrize("name", NETS)
def test_batches_cost_evenly_while_they_fit(name: str) -> None:
    """Each further image costs something, never more than the first and about as much as the one before."""
    times = [schedule(program(cluster(name, batch), BIG), BIG).cycles for batch in (1, 2, 4, 8, 16, 32)]
    each = [(after - before) / images for (before, after), images in zip(pairwise(times), (1, 2, 4, 8, 16))]
    assert all(0 < cost < times[0] for cost in each)
    assert all(0.5 < after / before < 1.5 for before, after in pairwise(each))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("size", [1 << 20, BIG.sram_bytes])
def test_an_image_takes_no_longer_in_a_larger_batch_until_tensors_spill(name: str, size: int) -> None:
    npu = replace(BIG, slice_sram_bytes=size // BIG.slices)
    found = [candidate(cluster(name, batch), npu, Choices(size)) for batch in range(1, 33)]
    fitting = list(takewhile(lambda each: not each.tight, found))
    assert len(fitting) == 32 or size < BIG.sram_bytes
    times = [each.cycles / batch for batch, each in enumerate(fitting, 1)]
    assert all(after <= before * 1.02 for before, after in pairwise(times))


@pytest.mark.parametrize("name", NETS)
def test_data_never_change_time(name: str) -> None:
    """Nor do weights: two networks of one shape have one timeline."""
    programs = []
    for seed in (0, 1):
        net = Net(seed)
        programs.append(gir.build(net.cluster(NETS[name](net, 1)), BIG))
    assert programs[0].constants != programs[1].constants
    first, second = (schedule(lir.linearize(each).instructions, BIG) for each in programs)
    assert first == second
