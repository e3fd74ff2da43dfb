"""The GIR: residency, concatenation in place, spilling, ports, constants, text; results never depend on SRAM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compiler.small_clusters import BIG, Net, check_slots, execute, same_at_any_size, shrunk

from furiosa.compiler import gir
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.graph import Op
from furiosa.isa.errors import ModelError, UnsupportedError
from furiosa.isa.instructions import Add, Copy, Load, Store, Table
from furiosa.isa.target import target


def _copies(program: gir.Gir) -> int:
    return sum(isinstance(step.instruction, Copy) for step in program.steps)


def _loads(program: gir.Gir) -> list[Load]:
    return [fetch.load for step in program.steps for fetch in step.loads]


def _stores(program: gir.Gir) -> list[Store]:
    return [store for step in program.steps for store in step.stores]


def _residual(net: Net) -> Op:
    x = net.conv(net.input(1, 16, 16, 8), 16)
    for _ in range(3):
        y = net.conv(net.conv(x, 16, 1, pads=(0, 0, 0, 0)), 16)
        x = net.binary("add", y, x)
    return net.mean(x)


def test_activations_stay_in_sram_when_there_is_room() -> None:
    net = Net()
    program = gir.build(net.cluster(_residual(net)), BIG)
    check_slots(program, BIG)
    assert [load.src >= len(program.constants) for load in _loads(program)].count(True) == 1
    assert len(_stores(program)) == 1
    assert len(program.steps) == 11
    assert program.dram_bytes == len(program.constants) + 16 * 16 * 8 + 64


def test_addresses_are_used_again() -> None:
    net = Net()
    x = net.input(1, 16, 16, 16)
    for _ in range(40):
        x = net.binary("add", x, x)
    program = gir.build(net.cluster(x), BIG)
    assert program.sram_bytes <= 4 * 4096


def test_weights_are_prefetched_ahead() -> None:
    net = Net()
    program = gir.build(net.cluster(_residual(net)), BIG)
    ahead = [index - fetch.issue for index, step in enumerate(program.steps) for fetch in step.loads]
    assert max(ahead) >= 8


def test_spilled_tensors_give_the_same_results() -> None:
    net = Net()
    programs = same_at_any_size(net.cluster(_residual(net)), [2300, 3000, 4000, 5200, 7000, 9000, 12_000, 20_000])
    spills = [sum(slot.role == "spill" for slot in program.slots) for program in programs]
    assert spills[0] > spills[-2] >= spills[-1]


def test_the_tensor_needed_last_is_the_one_to_leave() -> None:
    net = Net()
    early = net.table(net.input(1, 16, 16, 8))
    x = early
    for _ in range(6):
        x = net.binary("add", x, x)
    (program,) = same_at_any_size(net.cluster(net.binary("add", x, early)), [5000])
    assert [slot.tensor for slot in program.slots if slot.role == "spill"] == [early.name]


def test_concatenation_costs_no_instruction_when_its_inputs_are_made_for_it() -> None:
    net = Net()
    x = net.input(1, 8, 8, 8)
    a, b = net.conv(x, 8), net.conv(x, 24)
    inner = net.concat(3, b, net.pool("max", x, 3, 1))
    (program,) = same_at_any_size(net.cluster(net.mean(net.concat(3, a, inner))), [6000])
    assert _copies(program) == 0


def test_growing_concatenation_lives_in_one_buffer() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 8, 4), 8)
    for _ in range(5):
        x = net.concat(3, x, net.conv(net.table(x), 4))
    program = same_at_any_size(net.cluster(net.mean(x)), [1 << 20, 4000])[0]
    assert _copies(program) == 0
    assert len({slot.address for slot in program.slots if slot.tensor == x.name}) == 1


def test_no_result_lies_over_a_concatenation_of_what_is_read_again() -> None:
    net = Net()
    x = net.input(1, 8, 8, 8)
    a, b = net.conv(x, 8), net.conv(x, 8)
    outputs = net.table(net.concat(3, a, b)), net.binary("add", a, b)
    _same_as_apart(net.cluster(*outputs))


def _same_as_apart(cluster: Cluster) -> None:
    """Check results against those of the cluster with each tensor as an output, which nothing may lie over."""
    computed = [op for op in cluster.ops if op.kind.startswith("npu.") and op.kind != "npu.view"]
    apart = replace(cluster, outputs=(*cluster.outputs, *(op for op in computed if op not in cluster.outputs)))
    want = execute(gir.build(apart, BIG), BIG)
    for have, expected in zip(execute(gir.build(cluster, BIG), BIG), want):
        np.testing.assert_array_equal(have, expected)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_concatenation_of_what_must_stay_elsewhere_is_copied(axis: int) -> None:
    net = Net()
    x = net.input(2, 6, 6, 4)
    shown = net.table(x)
    shape = list(x.type.shape)
    twice = net.table(x)
    result = net.concat(axis, x, shown, twice, twice, net.constant(*shape), net.view(shown, *shape))
    programs = same_at_any_size(net.cluster(result, net.mean(net.view(shown, *shape))), [1 << 20, 1500])
    assert _copies(programs[0]) == 5


def test_part_written_concatenation_may_leave_sram() -> None:
    net = Net()
    x = net.input(1, 12, 12, 8)
    a = net.table(x)
    y = net.conv(net.conv(a, 32), 8)
    cluster = net.cluster(net.mean(net.concat(3, a, y)), net.pool("max", a))
    for program in same_at_any_size(cluster, [3000, 5000, 6000, 7000, 8000, 9000, 10_000]):
        assert _copies(program) == 0


def test_functions_and_sums_are_written_over_what_nothing_else_reads() -> None:
    net = Net()
    x = net.conv(net.input(1, 16, 16, 8), 16)
    y = net.table(net.conv(x, 16))
    total = net.binary("add", x, y)
    program, *_ = same_at_any_size(net.cluster(net.mean(total)), [1 << 20, 6000, 3000])
    held = [slot for slot in program.slots if slot.role == "activation" and slot.size == x.type.size]
    assert len(held) == 2  # x, which both convolution and sum read, and one buffer for all that is made of it
    table, add = (step.instruction for step in program.steps if isinstance(step.instruction, Table | Add))
    assert isinstance(table, Table) and isinstance(add, Add)
    assert table.x == table.y and add.y in (add.a, add.b)


def test_what_is_read_again_keeps_its_bytes() -> None:
    net = Net()
    x = net.conv(net.input(1, 16, 16, 8), 16)
    result = net.concat(3, net.binary("add", net.table(x), net.table(x)), net.binary("mul", x, x))
    same_at_any_size(net.cluster(net.mean(result), net.binary("sub", x, net.table(x))), [1 << 20, 6000, 3000])


def test_views_cost_nothing() -> None:
    net = Net()
    x = net.table(net.input(1, 4, 4, 8))
    y = net.view(net.view(x, 1, 1, 1, 128), 2, 1, 1, 64)
    program = same_at_any_size(net.cluster(net.binary("add", y, y)), [1024])[0]
    assert len(program.steps) == 2


def test_outputs_that_are_inputs_or_one_another_have_their_own_bytes() -> None:
    net = Net()
    x = net.input(1, 4, 4, 8)
    y = net.table(x)
    cluster = net.cluster(net.view(x, 1, 1, 1, 128), y, net.view(y, 2, 8, 8, 1), y)
    programs = same_at_any_size(cluster, [1024])
    ports = programs[0].outputs
    assert [port.tensor for port in ports] == [op.name for op in cluster.outputs]
    assert len({port.address for port in ports}) == 4
    data = np.random.default_rng(0).integers(0, 256, 128).astype(np.uint8)
    np.testing.assert_array_equal(execute(programs[0], BIG)[0], data)


def test_an_output_may_be_read_on() -> None:
    net = Net()
    x = net.table(net.input(1, 8, 8, 8))
    cluster = net.cluster(x, net.concat(3, x, net.table(x)))
    same_at_any_size(cluster, [700, 1500, 3000])


def test_equal_constants_lie_once() -> None:
    net = Net()
    x = net.input(1, 4, 4, 256)
    net.rng = np.random.default_rng(5)
    a = net.conv(x, 64, 1, pads=(0, 0, 0, 0))
    net.rng = np.random.default_rng(5)
    b = net.conv(x, 64, 1, pads=(0, 0, 0, 0))
    program = gir.build(net.cluster(net.binary("add", a, b)), BIG)
    assert len(program.constants) == 64 * 256 + 2 * 256


def test_parameters_of_an_operator_come_in_one_transfer() -> None:
    net = Net()
    program = gir.build(net.cluster(net.conv(net.input(1, 4, 4, 5), 7)), BIG)
    assert len(_loads(program)) == 2


def test_broadcast_operands_are_read_where_they_lie() -> None:
    net = Net()
    x = net.input(1, 8, 8, 4)
    program = gir.build(net.cluster(net.binary("mul", x, net.mean(x))), BIG)
    assert len(program.steps) == 2


def test_equal_clusters_give_equal_girs() -> None:
    first, second = Net(), Net()
    for size in (3000, 1 << 20):
        assert gir.build(first.cluster(_residual(first)), shrunk(size)) == gir.build(
            second.cluster(_residual(second)), shrunk(size)
        )
        first, second = Net(), Net()


def test_dram_that_is_too_small_is_an_error() -> None:
    net = Net()
    cluster = net.cluster(_residual(net))
    with pytest.raises(UnsupportedError, match="finds no room in 20000 bytes of DRAM"):
        gir.build(cluster, replace(shrunk(2300), dram_bytes=20_000))


@st.composite
def _clusters(draw: st.DrawFn) -> Cluster:
    """Random graphs of all kinds; every op without a reader is an output, and some others are."""
    net = Net(draw(st.integers(0, 3)))
    shapes = st.tuples(st.integers(1, 2), st.integers(3, 10), st.integers(3, 10), st.sampled_from((4, 8)))
    values = [net.input(*draw(shapes)) for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, 9))):
        x = values[-1] if draw(st.booleans()) else draw(st.sampled_from(values))
        values.append(_grown(draw, net, x, values))
    read = {op for op in net.ops for op in op.inputs}
    made = [op for op in values if op in net.ops]
    outputs = [op for op in made if op not in read or draw(st.integers(0, 5)) == 0]
    return net.cluster(*outputs)


def _grown(draw: st.DrawFn, net: Net, x: Op, values: list[Op]) -> Op:
    """One more op that reads ``x``."""
    n, h, w, c = x.type.shape
    kind = draw(st.integers(0, 12))
    if kind == 0 and min(h, w) > 2 and c <= 32:
        return net.conv(x, draw(st.sampled_from((4, 8, 12))), 3, draw(st.integers(1, 2)))
    if kind == 1 and min(h, w) > 2 and c > 1:
        return net.conv(x, c, 3, groups=c)
    if kind == 2 and c % 2 == 0 and c <= 32:
        return net.conv(x, 8, 1, pads=(0, 0, 0, 0), groups=2 if c > 2 else 1)
    if kind == 3 and min(h, w) > 2:
        return net.pool(draw(st.sampled_from(("max", "average"))), x, include_pad=draw(st.booleans()))
    if kind == 4:
        return net.mean(x)
    if kind in (5, 6):
        fitting = [y for y in values if all(p == q or q == 1 for p, q in zip(x.type.shape, y.type.shape))]
        return net.binary(draw(st.sampled_from(("add", "sub", "mul"))), x, draw(st.sampled_from(fitting)))
    if kind == 7:
        return net.softmax(x)
    if kind in (8, 9) and x.type.size < 5000:
        axis = draw(st.integers(0, 3))
        fitting = [
            y for y in values
            if all(i == axis or p == q for i, (p, q) in enumerate(zip(x.type.shape, y.type.shape)))
            and y.type.size < 5000
        ]  # fmt: skip
        return net.concat(axis, *draw(st.permutations([x, *draw(st.lists(st.sampled_from(fitting), max_size=3))])))
    if kind == 10 and x.type.size < 5000:
        before = draw(st.tuples(*[st.integers(0, 2)] * 4))
        return net.pad(x, before, draw(st.tuples(*[st.integers(0, 2)] * 4)))
    if kind == 11:
        perm = draw(st.permutations(range(4)))
        return net.transpose(x, (perm[0], perm[1], perm[2], perm[3]))
    if kind == 12:
        return net.view(x, 1, n * h, 1, w * c)
    return net.table(x, shared=c > 8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_clusters(), st.integers(0, 9000))
def test_random_graphs_compute_the_same_with_little_sram(cluster: Cluster, extra: int) -> None:
    least = max((gir.smallest_working_set(op) for op in cluster.ops if op.kind != "const"), default=0)
    (program,) = same_at_any_size(cluster, [max(64, least) + extra])
    _same_as_apart(cluster)
    assert gir.parse_gir(gir.print_gir(program), program.constants) == program


def test_text_is_read_back_exactly() -> None:
    net = Net()
    x = net.input(2, 9, 9, 8)
    odd = replace(net.add_pool(x, x), name="a 'b'\n\\ü\u2028,c")
    net.ops[-1] = odd
    for op in (_residual(net), odd, net.table(net.softmax(x), shared=False)):
        program = gir.build(net.cluster(op), shrunk(9000))
        assert gir.parse_gir(gir.print_gir(program), program.constants) == program


def test_text_is_readable() -> None:
    net = Net()
    program = gir.build(net.cluster(net.table(net.input(1, 4, 4, 4))), BIG)
    assert (
        gir.print_gir(program)
        == """\
gir Head(name='npu0', target='warboy-2pe', sram_bytes=384, dram_bytes=384, constants=256)
input Port(tensor='input0', address=0x100, size=64)
output Port(tensor='table1', address=0x140, size=64)
slot Slot(memory=SRAM, address=0x0, size=64, first=0, last=0, role='tile', tensor='input0', \
box=Box[0:1, 0:4, 0:4, 0:4])
slot Slot(memory=SRAM, address=0x40, size=256, first=0, last=0, role='parameters', tensor='table1', \
box=Box[0:1, 0:1, 0:1, 0:4])
slot Slot(memory=SRAM, address=0x140, size=64, first=0, last=0, role='tile', tensor='table1', \
box=Box[0:1, 0:4, 0:4, 0:4])
slot Slot(memory=DRAM, address=0x0, size=256, first=0, last=0, role='constants', tensor='')
slot Slot(memory=DRAM, address=0x100, size=64, first=0, last=0, role='input', tensor='input0')
slot Slot(memory=DRAM, address=0x140, size=64, first=0, last=0, role='output', tensor='table1')
step 0 'node_table1'
  load 0 Load(dst=View(0x40, (1, 1, 1, 256)), src=0x0, src_strides=(256, 256, 256, 1))
  load 0 Load(dst=View(0x0, (1, 4, 4, 4)), src=0x100, src_strides=(64, 16, 4, 1))
  run Table(x=View(0x0, (1, 4, 4, 4)), y=View(0x140, (1, 4, 4, 4)), table=0x40, tables=1)
  store Store(src=View(0x140, (1, 4, 4, 4)), dst=0x140, dst_strides=(64, 16, 4, 1))
"""
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("gir Head", "gir Tail", "`Tail` is none of Head"),
        ("sram_bytes=", "sram=", "`Head` has no field `sram`"),
        ("first=0, ", "", "`Slot` lacks first"),
        ("first=0", "first='0'", "`first` cannot be `'0'`"),
        ("role='tile'", "role=__import__('os')", "`__import__('os')` is no value"),
        ("step 0", "step 7", "this is step 0"),
        ("  run ", "  walk ", "`walk` is not expected here"),
        ("load 0", "load 5", "a load of step 0 is issued at step 5"),
        ("Box[0:1", "Box[0", "a box is"),
        ("View(0x", "View('0x", "it is not written like"),
        ("constants=", "constants=1", "bytes of constants, here are"),
        ("gir Head(", "# Head(", "`#` is not expected here"),
        ("src=0x", "src=-0x1", "it touches bytes before the first of a memory"),
        ("strides=(1, 1)", "strides=(99999999999, 1)", "a value is out of range"),
        ("src_strides=(416,", "src_strides=((1,),", "`src_strides` cannot be"),
    ],
)
def test_broken_text_is_refused_with_its_line(old: str, new: str, why: str) -> None:
    net = Net()
    program = gir.build(net.cluster(net.conv(net.input(1, 4, 4, 4), 8)), BIG)
    text = gir.print_gir(program).replace(old, new, 1)
    with pytest.raises(ModelError, match="the GIR text cannot be read") as error:
        gir.parse_gir(text, program.constants)
    assert why in error.value.message
    assert error.value.where is not None
    assert error.value.where.startswith("line ")


def test_large_models_fit_both_targets() -> None:
    """What does not fit SRAM by far: images of 1280 x 1280 in batches, and a product with 100 MB of weights."""
    for name in ("warboy", "warboy-2pe"):
        net = Net()
        x = net.conv(net.input(4, 1280, 1280, 3), 32)
        program = gir.build(net.cluster(net.mean(net.pool("max", net.conv(x, 32)))), target(name))
        assert program.sram_bytes <= target(name).sram_bytes
        assert len(program.steps) < 600


def test_steps_grow_with_operators_alone() -> None:
    counts = []
    for length in (300, 600):
        net = Net()
        x = net.input(1, 4, 4, 4)
        for _ in range(length):
            x = net.binary("add", x, x)
        counts.append(len(gir.build(net.cluster(x), BIG).steps))
    assert counts == [300, 600]
