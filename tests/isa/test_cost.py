"""Cycles of single instructions: the formulas' shape, and published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from furiosa.isa import instructions as lir
from furiosa.isa.cost import cycles
from furiosa.isa.instructions import Activation, BinaryForm, Instruction, View
from furiosa.isa.target import Target, target

FUSED, ONE = target("warboy-2pe"), target("warboy")
V = View.dense(0, (1, 28, 28, 64))
WINDOW = {"kernel": (3, 3), "strides": (1, 1), "dilations": (1, 1), "pads": (1, 1)}
TYPES = {"x_type": Activation.U8, "y_type": Activation.U8, "x_zero": 0, "y_zero": 0}
SCALES = {"x_scale": 1.0, "y_scale": 1.0}
BINARY = {
    "a": V, "b": V, "y": V, "a_type": Activation.U8, "b_type": Activation.U8, "y_type": Activation.U8, "a_zero": 0,
    "b_zero": 0, "y_zero": 0, "a_scale": 1.0, "b_scale": 1.0, "y_scale": 1.0,
}  # fmt: skip
ADD = BINARY | {"form": BinaryForm.REAL, "lo": 0, "hi": 255}
CONV = WINDOW | TYPES | {"weights": 0, "bias": 0, "multipliers": 0, "lo": 0, "hi": 255}
AXES = (0, 0, 1792, 64, 1, 1)


def convolution(size: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> lir.Conv2d:
    x = View.dense(0, (1, size, size, inputs))
    y = View.dense(0, (1, size // stride, size // stride, outputs))
    return lir.Conv2d(**(CONV | {"x": x, "y": y, "groups": 1, "kernel": (kernel, kernel)}))


def depthwise(size: int, channels: int, stride: int) -> lir.DepthwiseConv2d:
    y = View.dense(0, (1, size // stride, size // stride, channels))
    return lir.DepthwiseConv2d(**(CONV | {"x": View.dense(0, (1, size, size, channels)), "y": y, "groups": channels}))


EXAMPLES: list[Instruction] = [
    lir.Load(dst=V, src=0, src_strides=V.strides),
    lir.Store(src=V, dst=0, dst_strides=V.strides),
    convolution(28, 64, 64, 3),
    depthwise(28, 64, 1),
    lir.MaxPool2d(x=V, y=V, type=Activation.U8, **WINDOW),
    lir.AveragePool2d(x=V, y=V, counted=(0, 0, 28, 28), **WINDOW, **TYPES, **SCALES),
    lir.GlobalAveragePool(x=V, y=View.dense(0, (1, 1, 1, 64)), **TYPES, **SCALES),
    lir.AddAveragePool2d(counted=(0, 0, 28, 28), floor=0.0, **WINDOW, **BINARY),
    lir.Add(**ADD),
    lir.Sub(**ADD),
    lir.Mul(**ADD),
    lir.Table(x=V, y=V, table=0, tables=1),
    lir.Softmax(x=V, y=V, **TYPES, **SCALES),
    lir.Copy(dst=0, dst_strides=AXES, src=0, src_strides=AXES, shape=(1, 1, 28, 28, 64, 1), kind=lir.CopyKind.PAD),
    lir.Fill(y=V, value=0),
]


def test_there_is_an_example_of_every_opcode() -> None:
    assert {type(inst) for inst in EXAMPLES} == set(lir.INSTRUCTIONS.values())


@pytest.mark.parametrize("inst", EXAMPLES, ids=lambda inst: type(inst).__name__)
def test_better_hardware_is_never_slower(inst: Instruction) -> None:
    base = cycles(inst, ONE)
    assert base > 0 and cycles(inst, FUSED) <= base
    for slices in (1, 3, 64, 65, 1000):
        assert cycles(inst, replace(ONE, slices=slices + 1)) <= cycles(inst, replace(ONE, slices=slices))
    better: list[Target] = [
        replace(ONE, dram_bytes_per_second=2 * ONE.dram_bytes_per_second), replace(ONE, vector_bytes_per_slice=16),
        replace(ONE, mac_columns=8), replace(ONE, dma_setup_cycles=0, issue_cycles=0),
    ]  # fmt: skip
    assert all(cycles(inst, hardware) <= base for hardware in better)


def test_a_transfer_takes_its_bytes_at_the_bandwidth() -> None:
    megabyte = View.dense(0, (1, 1, 1, 1 << 20))
    inst = lir.Load(dst=megabyte, src=0, src_strides=megabyte.strides)
    microseconds = ONE.microseconds(cycles(inst, ONE) - ONE.dma_setup_cycles)
    assert microseconds == pytest.approx((1 << 20) / 66e3, rel=1e-3)


def test_a_large_convolution_reaches_most_of_the_peak() -> None:
    inst = convolution(64, 512, 512, 3)
    assert 0.9 < inst.macs / FUSED.macs_per_cycle / cycles(inst, FUSED) <= 1


def test_mobilenet_lands_within_twice_of_the_published_operator_times() -> None:
    """Published for both PEs fused: 15 convolutions 79.9 us; 13 depthwise convolutions and the average pool 19.8 us."""
    widths = [(112, 32, 64), (56, 64, 128), (56, 128, 128), (28, 128, 256), (28, 256, 256), (14, 256, 512)]
    widths += 5 * [(14, 512, 512)] + [(7, 512, 1024), (7, 1024, 1024), (1, 1024, 1001)]
    pointwise = [convolution(size, inputs, outputs, 1) for size, inputs, outputs in widths]
    convolutions = FUSED.microseconds(sum(cycles(i, FUSED) for i in [convolution(224, 3, 32, 3, 2), *pointwise]))
    assert 79.9 / 2 < convolutions < 79.9 * 2
    channels = [(112, 32, 1), (112, 64, 2), (56, 128, 1), (56, 128, 2), (28, 256, 1), (28, 256, 2)]
    channels += 5 * [(14, 512, 1)] + [(14, 512, 2), (7, 1024, 1)]
    pool = lir.GlobalAveragePool(x=View.dense(0, (1, 7, 7, 1024)), y=View.dense(0, (1, 1, 1, 1024)), **TYPES, **SCALES)
    windows = FUSED.microseconds(sum(cycles(i, FUSED) for i in [*(depthwise(*c) for c in channels), pool]))
    assert 19.8 / 2 < windows < 19.8 * 2
