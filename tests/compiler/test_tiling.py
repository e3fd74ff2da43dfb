"""Tiles: they cover the output once, fit, and cost as few transfers as they can."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import pytest
from tests.compiler.small_clusters import BIG, Net, execute, same_at_any_size, shrunk

from furiosa.compiler import gir
from furiosa.compiler.gir.allocate import aligned
from furiosa.compiler.gir.jobs import lone_job
from furiosa.compiler.gir.rows import ROWS
from furiosa.compiler.gir.tiling import RUN_LIMIT, Streams, tile
from furiosa.compiler.graph import Op
from furiosa.compiler.lowlevel import KINDS
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import InternalError, UnsupportedError
from furiosa.isa.instructions import Conv2d, Load
from furiosa.isa.memory import regions

CASES: dict[str, Callable[[Net], Op]] = {
    "conv": lambda n: n.conv(n.input(2, 11, 9, 8), 12),
    "conv strided": lambda n: n.conv(n.input(1, 17, 13, 4), 8, 3, stride=2),
    "conv dilated": lambda n: n.conv(n.input(1, 15, 15, 4), 8, 3, dilation=3, pads=(3, 2, 1, 0)),
    "conv with uneven padding": lambda n: n.conv(n.input(1, 6, 12, 4), 8, 4, pads=(3, 0, 1, 2)),
    "conv grouped": lambda n: n.conv(n.input(2, 9, 9, 12), 24, 3, groups=4),
    "conv int8 result": lambda n: n.conv(n.input(1, 9, 9, 4), 8, dtype=DType.I8),
    "depthwise": lambda n: n.conv(n.input(2, 12, 10, 16), 16, 3, stride=2, groups=16),
    "depthwise multiplied": lambda n: n.conv(n.input(1, 9, 9, 8), 24, 5, pads=(2, 2, 2, 2), groups=8),
    "matrix product": lambda n: n.conv(n.input(3, 1, 1, 300), 200, 1, pads=(0, 0, 0, 0)),
    "max pool": lambda n: n.pool("max", n.input(2, 14, 15, 8)),
    "average pool": lambda n: n.pool("average", n.input(1, 13, 13, 8), 5, 3, (2, 2, 2, 2)),
    "average pool with padding": lambda n: n.pool("average", n.input(1, 13, 13, 8), include_pad=True),
    "add average pool": lambda n: n.add_pool(n.input(1, 12, 12, 8), n.input(1, 12, 12, 8)),
    "interpolate": lambda n: n.interpolate(n.input(2, 9, 7, 8), 20, 15),
    "interpolate to less": lambda n: n.interpolate(n.input(1, 19, 17, 8), 7, 5),
    "mean": lambda n: n.mean(n.input(3, 6, 6, 32)),
    "add": lambda n: n.binary("add", n.input(2, 9, 9, 8), n.input(2, 9, 9, 8)),
    "sub broadcast": lambda n: n.binary("sub", n.input(2, 9, 9, 8), n.input(1, 1, 9, 1)),
    "mul constant": lambda n: n.binary("mul", n.input(2, 9, 9, 8), n.constant(1, 1, 1, 8)),
    "mul by scale": lambda n: n.binary("mul", n.input(2, 9, 9, 8), n.input(2, 1, 1, 8)),
    "sum": lambda n: n.sum(n.input(2, 9, 9, 8), n.input(2, 9, 9, 8), n.input(2, 9, 9, 8)),
    "table": lambda n: n.table(n.input(2, 10, 10, 8)),
    "tables": lambda n: n.table(n.input(2, 10, 10, 8), shared=False),
    "softmax": lambda n: n.softmax(n.input(2, 10, 10, 16)),
    "matmul": lambda n: n.matmul(n.input(2, 3, 40, 16), n.input(2, 3, 16, 30)),
    "matmul broadcast": lambda n: n.matmul(n.input(2, 1, 40, 16), n.constant(1, 3, 16, 30)),
    "norm": lambda n: n.norm("reduce_l2", n.input(2, 10, 10, 16), 1),
    "normalize": lambda n: n.norm("l2_normalize", n.input(2, 10, 10, 16), 16),
    "pad": lambda n: n.pad(n.input(1, 9, 9, 4), (0, 3, 2, 1), (1, 4, 0, 2)),
    "slice": lambda n: n.slice(n.input(2, 12, 12, 8), (1, 2, 3, 1), (1, 2, 3, 2), (1, 5, 3, 3)),
    "expand": lambda n: n.expand(n.input(2, 9, 1, 8), (2, 9, 5, 8)),
    "transpose": lambda n: n.transpose(n.input(2, 9, 10, 11), (2, 3, 0, 1)),
    "concat": lambda n: n.concat(1, n.input(1, 6, 9, 8), n.constant(1, 3, 9, 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_computes_the_same_in_tiles(name: str) -> None:
    net = Net()
    op = CASES[name](net)
    least = gir.smallest_working_set(op)
    cluster = net.cluster(op)
    sizes = sorted({least, least + 64, (least + 2000) // 2 + 64, 3000, 8192} - set(range(least)))
    assert len(same_at_any_size(cluster, sizes)[0].steps) > 1
    with pytest.raises(UnsupportedError, match=rf"`{op.name}` needs {least} bytes of SRAM at once, `small` has"):
        gir.build(cluster, shrunk(least - 64))


def test_every_kind_has_a_row_and_a_case() -> None:
    kinds = {CASES[name](Net()).kind for name in CASES}
    assert kinds == KINDS - {"npu.view"}
    assert set(ROWS) == KINDS - {"npu.view", "npu.concat"}


@pytest.mark.parametrize("name", sorted(set(CASES) - {"concat"}))
@pytest.mark.parametrize("room", [700, 2000, 9000])
def test_tiles_cover_the_output_once_and_fit(name: str, room: int) -> None:
    job = lone_job(CASES[name](Net()))
    tiling = tile(job, Streams((True,) * len(job.reads), True), room, shrunk(room))
    if tiling is None:
        return
    seen = np.zeros(job.shape, int)
    for box in tiling.boxes:
        seen[tuple(slice(a, b) for a, b in zip(box.start, box.stop))] += 1
        assert box.size <= tiling.output.size
    assert (seen == 1).all()
    assert tiling.bytes <= room


def test_weights_are_loaded_once_when_they_fit_and_rows_do_not() -> None:
    net = Net()
    op = net.conv(net.input(1, 64, 64, 16), 16)
    (program,) = same_at_any_size(net.cluster(op), [24_000])
    loads = [fetch.load for step in program.steps for fetch in step.loads]
    assert len(program.steps) > 3
    assert sum(load.src < len(program.constants) for load in loads) == 1
    rows = sum(load.dst.size for load in loads if load.src >= len(program.constants))
    assert rows <= 64 * 64 * 16 * (1 + 2 * len(program.steps) / 64)


def test_inputs_are_loaded_once_when_they_fit_and_weights_do_not() -> None:
    net = Net()
    op = net.conv(net.input(4, 1, 1, 512), 512, 1, pads=(0, 0, 0, 0))
    (program,) = same_at_any_size(net.cluster(op), [64 * 1024])
    loads = [fetch.load for step in program.steps for fetch in step.loads]
    assert sum(load.src >= len(program.constants) for load in loads) == 1
    weights = sum(load.dst.size for load in loads if load.src < len(program.constants))
    assert weights == 512 * 512 + 2 * 4 * 512


def test_the_outer_loop_is_the_one_that_moves_fewer_bytes() -> None:
    """Neither the image nor the weights fit: what is read again for each tile of the other is the smaller one."""
    for size, channels in ((40, 32), (8, 128)):
        net = Net()
        op = net.conv(net.input(1, size, size, channels), channels)
        (program,) = same_at_any_size(net.cluster(op), [24_000])
        moved = sum(fetch.load.dst.size for step in program.steps for fetch in step.loads)
        image, weights = size * size * channels, 9 * channels * channels
        assert moved < 4 * max(image, weights) + min(image, weights)


def test_grouped_convolution_is_cut_between_groups() -> None:
    net = Net()
    op = net.conv(net.input(1, 4, 4, 64), 128, 3, groups=16)
    (program,) = same_at_any_size(net.cluster(op), [2500])
    runs = [step.instruction for step in program.steps]
    assert all(isinstance(run, Conv2d) and run.y.shape[3] == 8 * run.groups for run in runs)


def test_large_matrix_product_streams_its_weights_through_two_slots() -> None:
    net = Net()
    op = net.conv(net.input(1, 1, 1, 4096), 1024, 1, pads=(0, 0, 0, 0))
    program = gir.build(net.cluster(op), shrunk(1 << 20))
    slots = {slot.address for slot in program.slots if slot.role == "parameters"}
    assert len(program.steps) >= 8
    assert len(slots) == 2
    ahead = [index - step.loads[0].issue for index, step in enumerate(program.steps) if step.loads]
    assert ahead[1:] == [1] * (len(ahead) - 1)
    np.testing.assert_array_equal(execute(program, BIG)[0], execute(gir.build(net.cluster(op), BIG), BIG)[0])


def test_smallest_working_set_of_copies_and_views() -> None:
    net = Net()
    x = net.input(1, 8, 8, 4)
    assert gir.smallest_working_set(net.view(x, 1, 1, 1, 256)) == 128
    assert gir.smallest_working_set(net.concat(1, x, x)) == 128
    with pytest.raises(InternalError, match="is no operator of the NPU"):
        gir.smallest_working_set(x)


def test_the_smallest_tile_of_a_convolution() -> None:
    net = Net()
    op = net.conv(net.input(1, 32, 32, 32), 64, 3)
    window, weights = aligned(9 * 32), aligned(9 * 32)
    assert gir.smallest_working_set(op) == window + weights + 64 + 64 + 64
    assert prod(op.type.shape) > gir.smallest_working_set(op)
    assert isinstance(gir.build(net.cluster(op), BIG).steps[0].loads[0].load, Load)


def test_tensors_of_many_pixels_are_cut_so_that_no_instruction_is_too_scattered() -> None:
    makers: tuple[Callable[[Net], Op], ...] = (
        lambda n: n.concat(3, n.table(n.input(1, 3000, 3000, 1)), n.table(n.input(1, 3000, 3000, 1))),
        lambda n: n.slice(n.input(1, 64, 128, 1024), (0, 0, 0, 0), (1, 1, 1, 2), (1, 64, 128, 512)),
        lambda n: n.transpose(n.input(1, 128, 256, 256), (0, 3, 1, 2)),
    )
    for make in makers:
        net = Net()
        program = gir.build(net.cluster(make(net)), BIG)
        runs = [
            prod(region.runs()[0])
            for step in program.steps
            for inst in (step.instruction, *step.stores, *(fetch.load for fetch in step.loads))
            for access in regions(inst)
            for region in access
        ]
        assert max(runs) <= RUN_LIMIT


def test_channels_stay_together_where_rows_can_be_cut() -> None:
    net = Net()
    x = net.table(net.input(2, 64, 64, 32))
    program = gir.build(net.cluster(net.conv(x, 64)), shrunk(1 << 19))
    assert {step.instruction.y.shape[3] for step in program.steps if isinstance(step.instruction, Conv2d)} == {64}
