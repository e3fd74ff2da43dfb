"""Where the NPU's time goes: the times of all nodes add up, and each is bound by what it would take to be faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.runtime.tiny_models import npu_model

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.isa import instructions as lir
from furiosa.isa.encoding import decode
from furiosa.isa.instructions import Engine
from furiosa.isa.target import names, target
from furiosa.isa.timeline import Timeline
from furiosa.runtime.activity import moved_bytes
from furiosa.runtime.breakdown import operator_times
from furiosa.runtime.modelled import ModelledProgram

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
NPU = target("warboy-2pe")


def conv(size: int, channels: int) -> lir.Conv2d:
    x = lir.View.dense(0, (1, size, size, channels))
    return lir.Conv2d(
        x=x, y=x, weights=0, bias=0, multipliers=0, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), pads=(1, 1),
        groups=1, x_type=lir.Activation.U8, y_type=lir.Activation.U8, x_zero=0, y_zero=0, lo=0, hi=255,
    )  # fmt: skip


def load(count: int) -> lir.Load:
    view = lir.View.dense(0, (1, 1, 1, count))
    return lir.Load(dst=view, src=0, src_strides=view.strides)


def program(*work: tuple[str, lir.Instruction, tuple[int, int]]) -> ModelledProgram:
    """Instructions with their nodes at given times."""
    spans = tuple(span for _, _, span in work)
    made = ModelledProgram.of(replace(npu_model().programs[0], origins=()), [inst for _, inst, _ in work], NPU)
    return replace(made, nodes=tuple(node for node, _, _ in work), timeline=Timeline(spans, spans[-1][1], 0))


def test_bounds() -> None:
    x = lir.View.dense(0, (1, 1, 1, 64))
    store = lir.Store(src=x, dst=0, dst_strides=x.strides)
    rows = operator_times([
        program(
            ("waits", load(1000), (0, 50_000)),
            ("waits", conv(8, 8), (50_000, 53_000)),
            ("starts", conv(4, 4), (53_000, 56_000)),
            ("works", conv(224, 256), (56_000, 5_000_000)),
            ("works", store, (5_000_000, 5_000_100)),
        )
    ])  # fmt: skip
    assert [(row.node, row.bound) for row in rows] == [("works", "compute"), ("waits", "DMA"), ("starts", "floor")]
    works, waits, starts = rows
    assert (works.compute, works.wait, works.instructions) == (4_944_000, 100, 2)
    assert (waits.compute, waits.wait, waits.transfer, waits.dram_bytes) == (3000, 50_000, 50_000, 1000)
    assert starts.utilisation(NPU) == conv(4, 4).macs / (3000 * NPU.macs_per_cycle)


@pytest.mark.parametrize("npu", names())
def test_times_add_up(npu: str) -> None:
    compiled = enf.load(compile_model(DIGITS / "digits.onnx", npu).enf)
    model = npu_model(npu)
    for programs in (compiled.programs, (*model.programs, *model.programs)):
        made = [ModelledProgram.of(each, decode(each.code), target(npu)) for each in programs]
        rows = operator_times(made)
        assert sum(row.time for row in rows) == sum(each.timeline.cycles for each in made)
        assert sum(row.compute for row in rows) == sum(each.timeline.compute_cycles for each in made)
        everything = [inst for each in made for inst in each.instructions]
        assert sum(row.macs for row in rows) == sum(inst.macs for inst in everything)
        assert sum(row.dram_bytes for row in rows) == sum(moved_bytes(inst) for inst in everything)
        assert sum(row.instructions for row in rows) == len(everything)
        for row in rows:
            assert 0 <= row.floor <= row.compute
            assert row.wait >= 0
            assert 0 <= row.utilisation(target(npu)) <= 1
        assert [row.time for row in rows] == sorted((row.time for row in rows), reverse=True)
    assert all(inst.engine in Engine for inst in everything)
