"""What programs do over time: bytes held in SRAM, DRAM traffic, MACs at work."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.runtime.tiny_models import npu_model

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import decode
from furiosa.isa.target import target
from furiosa.isa.timeline import Timeline
from furiosa.runtime import activity
from furiosa.runtime.modelled import ModelledProgram

NPU = target("warboy-2pe")


def load(address: int, count: int) -> lir.Load:
    view = lir.View.dense(address, (1, 1, 1, count))
    return lir.Load(dst=view, src=0, src_strides=view.strides)


def store(address: int, count: int) -> lir.Store:
    view = lir.View.dense(address, (1, 1, 1, count))
    return lir.Store(src=view, dst=0, dst_strides=view.strides)


def timeline(*spans: tuple[int, int]) -> Timeline:
    return Timeline(spans, max(end for _, end in spans), 0)


@pytest.mark.parametrize(
    ("instructions", "spans", "curve"),
    [
        ([load(0, 100), store(0, 100)], [(0, 10), (20, 30)], [(0, 100), (30, 0)]),
        ([load(0, 100), store(0, 40)], [(0, 10), (20, 30)], [(0, 100), (10, 40), (30, 0)]),
        ([load(0, 100), load(50, 100)], [(0, 10), (10, 20)], [(0, 100), (10, 100), (20, 0)]),
        ([load(0, 60), load(60, 40), store(0, 100)], [(0, 10), (10, 20), (30, 40)], [(0, 60), (10, 100), (40, 0)]),
        ([load(0, 100), store(0, 100), load(0, 70)], [(0, 10), (10, 20), (30, 40)],
         [(0, 100), (20, 0), (30, 70), (40, 0)]),
        ([load(0, 100), load(20, 30), store(0, 100)], [(0, 10), (40, 50), (60, 70)], [(0, 100), (70, 0)]),
    ],
)  # fmt: skip
def test_sram(instructions: list[lir.Instruction], spans: list[tuple[int, int]], curve: activity.Curve) -> None:
    found = activity.sram_bytes(instructions, timeline(*spans))
    changes = [(cycle, value) for (_, before), (cycle, value) in pairwise([(0, -1.0), *found]) if before != value]
    expected = [(cycle, value) for (_, before), (cycle, value) in pairwise([(0, -1.0), *curve]) if before != value]
    assert changes == expected


def area(curve: activity.Curve) -> float:
    return sum(value * (end - start) for (start, value), (end, _) in pairwise(curve))


def test_areas_are_the_work_done() -> None:
    program = npu_model().programs[0]
    instructions = decode(program.code)
    made = ModelledProgram.of(program, instructions, NPU)
    moved = sum(activity.moved_bytes(inst) for inst in instructions)
    assert moved == 256 + 64 + 64
    assert area(made.dram_bandwidth) == pytest.approx(moved * NPU.clock_hz)
    assert max(value for _, value in made.dram_bandwidth) <= NPU.dram_bytes_per_second
    assert made.mac_utilisation == []
    x, y = lir.View.dense(0, (1, 32, 32, 64)), lir.View.dense(65536, (1, 32, 32, 64))
    conv = lir.Conv2d(
        x=x, y=y, weights=200_000, bias=300_000, multipliers=310_000, kernel=(3, 3), strides=(1, 1), dilations=(1, 1),
        pads=(1, 1), groups=1, x_type=lir.Activation.U8, y_type=lir.Activation.U8, x_zero=0, y_zero=0, lo=0, hi=255,
    )  # fmt: skip
    convs = ModelledProgram.of(replace(program, origins=()), [conv, conv], NPU)
    assert area(convs.mac_utilisation) * NPU.macs_per_cycle == pytest.approx(2 * conv.macs)
    assert all(0 <= value <= 1 for _, value in convs.mac_utilisation)
