"""The LIR: one stream in a legal order, whatever the engines' speeds; origins; text."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.compiler.small_clusters import BIG, Net, execute, shrunk

from furiosa.compiler import gir, lir
from furiosa.compiler.graph import Op
from furiosa.isa.encoding import decode
from furiosa.isa.errors import ModelError
from furiosa.isa.hazards import first_missing_wait
from furiosa.isa.instructions import Engine, Instruction, Load, Store
from furiosa.isa.timeline import schedule
from furiosa.npu_sim.reference import Interpreter


def _branches(net: Net) -> Op:
    x = net.conv(net.input(1, 14, 14, 8), 16)
    left, right = net.conv(x, 16, 3, groups=16), net.pool("average", x, 3, 1)
    return net.mean(net.binary("add", net.concat(3, left, right), net.conv(x, 32, 1, pads=(0, 0, 0, 0))))


def _lir(size: int) -> lir.Lir:
    net = Net()
    return lir.linearize(gir.build(net.cluster(_branches(net)), shrunk(size)))


@pytest.mark.parametrize("size", [2500, 5000, 12_000, 1 << 20])
def test_every_conflict_waits(size: int) -> None:
    assert first_missing_wait(_lir(size).instructions) is None


def _any_order(instructions: tuple[Instruction, ...], rng: random.Random) -> list[int]:
    """A random order that keeps each engine in order and every wait."""
    queues = [[i for i, inst in enumerate(instructions) if inst.engine is engine] for engine in Engine]
    done: set[int] = set()
    order: list[int] = []
    while len(order) < len(instructions):
        ready = [queue for queue in queues if queue and done.issuperset(instructions[queue[0]].waits)]
        index = rng.choice(ready).pop(0)
        done.add(index)
        order.append(index)
    return order


@pytest.mark.parametrize("size", [2500, 5000, 1 << 20])
def test_results_do_not_depend_on_the_speed_of_engines(size: int) -> None:
    net = Net()
    cluster = net.cluster(_branches(net))
    want = execute(gir.build(cluster, BIG), BIG)[0]
    stream = lir.linearize(gir.build(cluster, shrunk(size)))
    program = lir.to_program(stream)
    data = np.random.default_rng(0).integers(0, 256, program.inputs[0].size).astype(np.uint8)
    for seed in range(5):
        order = _any_order(stream.instructions, random.Random(seed))
        (have,) = Interpreter(program, stream.instructions).run([data], order)
        np.testing.assert_array_equal(have, want)


def test_transfers_overlap_computing() -> None:
    net = Net()
    x = net.input(4, 64, 64, 32)
    stream = lir.linearize(gir.build(net.cluster(net.conv(x, 32)), shrunk(100_000)))
    spans = schedule(stream.instructions, BIG).spans
    busy = sum(end - start for start, end in spans)
    assert max(end for _, end in spans) < 0.75 * busy


def test_loads_keep_the_order_of_need() -> None:
    net = Net()
    program = gir.build(net.cluster(_branches(net)), shrunk(5000))
    issues = [fetch.issue for step in program.steps for fetch in step.loads]
    assert issues == sorted(issues)
    loads = [fetch.load for step in program.steps for fetch in step.loads]
    stream = lir.linearize(program).instructions
    assert [(x.dst, x.src) for x in stream if isinstance(x, Load)] == [(x.dst, x.src) for x in loads]


def test_program_holds_the_stream_and_its_origins() -> None:
    stream = _lir(5000)
    program = lir.to_program(stream)
    assert len(decode(program.code)) == len(stream.instructions)
    assert sum(origin.count for origin in program.origins) == len(stream.instructions)
    assert [o.node for o in program.origins for _ in range(o.count)] == list(stream.nodes)
    assert {"node_conv2d3", "node_global_average_pool15"} <= set(stream.nodes)
    assert isinstance(stream.instructions[-1], Store)


@pytest.mark.parametrize("size", [2500, 1 << 20])
def test_text_is_read_back_exactly(size: int) -> None:
    stream = _lir(size)
    assert lir.parse_lir(lir.print_lir(stream), stream.constants) == stream


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("lir Head", "gir Head", "`gir` is not expected here"),
        ("  0 Load", "  1 Load", "`1` is not expected here"),
        ("0 Load", "0 Lead", "`Lead` is none of Load, Store"),
        ("node '", "node ", "is no str"),
        ("constants=", "constants=1", "bytes of constants, here are"),
        ("waits=(", "waits=(-", "it is not written like"),
    ],
)
def test_broken_text_is_refused_with_its_line(old: str, new: str, why: str) -> None:
    stream = _lir(1 << 20)
    text = lir.print_lir(stream).replace(old, new, 1)
    if old == "waits=(":
        text = text.replace("waits=(-", "waits=)", 1)
    with pytest.raises(ModelError, match="the LIR text cannot be read") as error:
        lir.parse_lir(text, stream.constants)
    assert why in error.value.message
