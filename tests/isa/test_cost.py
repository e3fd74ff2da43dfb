"""Cycles of single instructions: the formulas' shape, and published figures."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from furiosa.isa import instructions as lir
from furiosa.isa.arithmetic import Coordinates
from furiosa.isa.cost import cycles, operators, pad_cycles, program_cycles
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
HALF = Coordinates(0.5, 1.0, 2.0, -0.5)
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
    lir.MatMul(
        a=V,
        b=View.dense(0, (1, 28, 64, 28)),
        y=View.dense(0, (1, 28, 28, 28)),
        a_type=Activation.U8,
        b_type=Activation.U8,
        y_type=Activation.U8,
        a_zero=0,
        b_zero=0,
        y_zero=0,
        multiplier=0.1,
        lo=0,
        hi=255,
    ),
    lir.MaxPool2d(x=V, y=V, type=Activation.U8, **WINDOW),
    lir.AveragePool2d(x=V, y=V, counted=(0, 0, 28, 28), **WINDOW, **TYPES, **SCALES),
    lir.GlobalAveragePool(x=V, y=View.dense(0, (1, 1, 1, 64)), divisor=784, **TYPES, **SCALES),
    lir.AddAveragePool2d(counted=(0, 0, 28, 28), floor=0.0, **WINDOW, **BINARY),
    lir.Interpolate(
        x=View.dense(0, (1, 14, 14, 64)),
        y=V,
        extents=(14, 14),
        x_start=(0, 0),
        y_start=(0, 0),
        **{f"{axis}_{name}": value for axis in ("row", "column") for name, value in HALF._asdict().items()},
        **TYPES,
        **SCALES,
    ),
    lir.Add(**ADD),
    lir.Sub(**ADD),
    lir.Mul(**ADD),
    lir.Sum(
        x=View.dense(0, (3, 28, 28, 64)),
        y=V,
        count=3,
        scales=0,
        zeros=12,
        x_type=Activation.U8,
        y_type=Activation.U8,
        y_scale=0.1,
        y_zero=0,
        factor=1.0,
        lo=0,
        hi=255,
    ),
    lir.Table(x=V, y=V, table=0, tables=1),
    lir.Softmax(x=V, y=V, **TYPES, **SCALES),
    lir.ReduceL2(x=V, y=View.dense(0, (1, 28, 28, 1)), **TYPES, **SCALES),
    lir.L2Normalize(x=V, y=V, **TYPES, **SCALES),
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
        replace(ONE, mac_columns=8), replace(ONE, dma_setup_cycles=0, issue_cycles=0), replace(ONE, pes=2),
        replace(ONE, broadcast_bytes_per_cycle=100), replace(ONE, exchange_bytes_per_cycle=100),
        replace(ONE, spread_bytes_per_cycle=100), replace(ONE, gather_cycles=1),
    ]  # fmt: skip
    assert all(cycles(inst, hardware) <= base for hardware in better)


def test_never_below_the_roofline() -> None:
    """Neither the array nor the DRAM port does more than the hardware can."""
    for inst in EXAMPLES:
        for npu in (ONE, FUSED):
            moved = sum(view.size for view in (getattr(inst, "dst", None), getattr(inst, "src", None))
                        if isinstance(view, View))  # fmt: skip
            assert cycles(inst, npu) * npu.macs_per_cycle >= inst.macs
            assert cycles(inst, npu) * npu.dram_bytes_per_second >= moved * npu.clock_hz


def test_parameters_move_at_the_bandwidth_of_dram_and_activations_as_they_are_spread() -> None:
    for shape, cycles_a_byte in (((1, 1, 1, 1 << 20), 2e9 / 66e9), ((1, 64, 64, 256), 1 / ONE.spread_bytes_per_cycle)):
        view = View.dense(0, shape)
        moving = cycles(lir.Load(dst=view, src=0, src_strides=view.strides), ONE) - ONE.dma_setup_cycles
        assert moving == pytest.approx(cycles_a_byte * (1 << 20), rel=1e-3)


def test_utilisation_grows_with_the_convolution() -> None:
    growing = (convolution(8, 16, 16, 1), convolution(32, 64, 64, 3), convolution(64, 512, 512, 3))
    used = [inst.macs / FUSED.macs_per_cycle / cycles(inst, FUSED) for inst in growing]
    assert used == sorted(used) and used[0] < 0.01 and 0.5 < used[-1] < 0.9


def test_width_counts_in_steps_of_32() -> None:
    def wide(columns: int) -> int:
        x = View.dense(0, (1, 80, columns, 64))
        return cycles(replace(convolution(80, 64, 64, 3), x=x, y=x, pads=(1, 1)), FUSED)

    array = [wide(columns) - padding(columns) for columns in (1, 32, 33, 64)]
    assert array[0] == array[1] < array[2] == array[3]


def padding(columns: int) -> int:
    """What padding a row of this width costs."""
    x = View.dense(0, (1, 80, columns, 64))
    return pad_cycles(replace(convolution(80, 64, 64, 3), x=x, y=x, pads=(1, 1)), FUSED)


def test_fusing_two_pes_never_halves_a_convolution() -> None:
    """Published gains of whole networks are 1.16 to 1.62: floors and what all slices share do not shrink."""
    for inst in (convolution(80, 64, 64, 3), convolution(40, 192, 192, 3), convolution(20, 384, 384, 3)):
        assert 1 < cycles(inst, ONE) / cycles(inst, FUSED) < 1.9


def test_some_channels_of_a_wider_tensor_are_slow_to_read() -> None:
    inst = convolution(40, 128, 128, 3)
    part = replace(inst, x=replace(inst.x, strides=(40 * 40 * 256, 40 * 256, 256, 1)))
    assert cycles(part, FUSED) > 2 * cycles(inst, FUSED)
    column = replace(inst.x, shape=(1, 40, 1, 128))
    alone = replace(inst, x=column, y=replace(inst.y, shape=(1, 40, 1, 128)))
    assert cycles(replace(alone, x=replace(column, strides=(0, 256, 999, 1))), FUSED) == cycles(alone, FUSED)


def test_one_element_wise_instruction_is_chained_to_a_convolution() -> None:
    inst = convolution(40, 128, 128, 3)
    other = View.dense(1 << 20, inst.y.shape)
    table = lir.Table(x=inst.y, y=inst.y, table=0, tables=1)
    add = lir.Add(**(ADD | {"a": inst.y, "b": other, "y": inst.y}))
    load = EXAMPLES[0]
    assert program_cycles([inst, load, table], FUSED)[2] == FUSED.issue_cycles < cycles(table, FUSED)
    assert FUSED.issue_cycles < program_cycles([inst, add], FUSED)[1] < cycles(add, FUSED)
    for program in ([inst, table, table], [table, table], [inst, replace(table, x=other)], [inst, table, add]):
        assert program_cycles(program, FUSED)[-1] == cycles(program[-1], FUSED)


@pytest.mark.parametrize("inst", EXAMPLES, ids=lambda inst: type(inst).__name__)
def test_operators_fill_the_span_of_an_instruction(inst: Instruction) -> None:
    start, end = 100, 100 + cycles(inst, ONE)
    parts = operators(inst, (start, end), ONE)
    assert parts[0].start == start and parts[-1].end == end and parts[-1].label == inst.label
    assert all(before.end == after.start for before, after in pairwise(parts))
    assert all(part.start < part.end for part in parts)
    assert (len(parts) == 2 and parts[0].label == "LowLevelPad") == (pad_cycles(inst, ONE) > 0)


def test_only_what_reaches_beyond_the_input_is_padded() -> None:
    inst = convolution(28, 64, 64, 3)
    assert pad_cycles(inst, ONE) > ONE.issue_cycles
    inside = replace(inst, pads=(0, 0), y=View.dense(0, (1, 26, 26, 64)))
    assert pad_cycles(inside, ONE) == 0
    assert pad_cycles(replace(inside, y=View.dense(0, (1, 26, 28, 64))), ONE) > 0


def test_mobilenet_lands_within_a_fifth_of_the_published_operator_times() -> None:
    """Published for both PEs fused: 15 convolutions 79.9 us; 13 depthwise convolutions and the average pool 19.8 us."""

    def unpadded(inst: Instruction) -> int:
        return cycles(inst, FUSED) - pad_cycles(inst, FUSED)

    widths = [(112, 32, 64), (56, 64, 128), (56, 128, 128), (28, 128, 256), (28, 256, 256), (14, 256, 512)]
    widths += 5 * [(14, 512, 512)] + [(7, 512, 1024), (7, 1024, 1024), (1, 1024, 1001)]
    pointwise = [convolution(size, inputs, outputs, 1) for size, inputs, outputs in widths]
    convolutions = FUSED.microseconds(sum(unpadded(i) for i in [convolution(224, 3, 32, 3, 2), *pointwise]))
    assert convolutions == pytest.approx(79.9, rel=0.2)
    channels = [(112, 32, 1), (112, 64, 2), (56, 128, 1), (56, 128, 2), (28, 256, 1), (28, 256, 2)]
    channels += 5 * [(14, 512, 1)] + [(14, 512, 2), (7, 1024, 1)]
    image, vector = View.dense(0, (1, 7, 7, 1024)), View.dense(0, (1, 1, 1, 1024))
    pool = lir.GlobalAveragePool(x=image, y=vector, divisor=49, **TYPES, **SCALES)
    windows = FUSED.microseconds(sum(unpadded(i) for i in [*(depthwise(*c) for c in channels), pool]))
    assert windows == pytest.approx(19.8, rel=0.2)
