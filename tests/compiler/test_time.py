"""The modelled time of compiled programs: bounds, what better hardware does to it, and what batches cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.small_clusters import BIG, Net

from furiosa.compiler import gir, lir
from furiosa.compiler.cluster import Cluster
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
    for npus in ([with_sram(1 << power) for power in range(16, 23)],
                 [replace(BIG, slices=slices) for slices in (16, 32, 64, 128, 256)]):  # fmt: skip
        times = [schedule(program(cluster(name), npu), npu).cycles for npu in npus]
        assert times == sorted(times, reverse=True)


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
