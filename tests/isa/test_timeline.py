"""When instructions start and end."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from furiosa.isa import instructions as lir
from furiosa.isa.hazards import required_waits
from furiosa.isa.instructions import Engine, Instruction, View
from furiosa.isa.target import target
from furiosa.isa.timeline import schedule

WARBOY = target("warboy")
V = View.dense(0, (1, 1, 1, 64))


def load(address: int = 0, waits: tuple[int, ...] = ()) -> Instruction:
    return lir.Load(dst=replace(V, address=address), src=0, src_strides=V.strides, waits=waits)


def store(address: int = 0, waits: tuple[int, ...] = ()) -> Instruction:
    return lir.Store(src=replace(V, address=address), dst=4096 + address, dst_strides=V.strides, waits=waits)


def fill(address: int = 0, waits: tuple[int, ...] = ()) -> Instruction:
    return lir.Fill(y=replace(V, address=address), value=0, waits=waits)


STORIES: list[tuple[str, list[Instruction], list[int], list[tuple[int, int]]]] = [
    ("engines run side by side", [load(), fill(64)], [10, 7], [(0, 10), (0, 7)]),
    ("an engine is in order", [fill(), fill(64)], [10, 7], [(0, 10), (10, 17)]),
    ("a token is waited for", [load(), fill(64, (0,))], [10, 7], [(0, 10), (10, 17)]),
    ("load and store share the port", [load(), store(64)], [10, 7], [(0, 10), (10, 17)]),
    ("the port is in program order", [load(), fill(64, (0,)), store(64, (1,)), load(128)],
     [10, 30, 7, 10], [(0, 10), (10, 40), (40, 47), (47, 57)]),
    ("a transfer before a store does not wait for it", [load(), load(128), fill(64, (0,)), store(64, (2,))],
     [10, 10, 30, 7], [(0, 10), (10, 20), (10, 40), (40, 47)]),
]  # fmt: skip


@pytest.mark.parametrize(("program", "costs", "spans"), [s[1:] for s in STORIES], ids=[s[0] for s in STORIES])
def test_story(program: list[Instruction], costs: list[int], spans: list[tuple[int, int]]) -> None:
    timeline = schedule(program, WARBOY, costs)
    assert timeline.spans == tuple(spans)
    assert timeline.cycles == max(end for _, end in spans)


def test_an_empty_program_takes_no_time() -> None:
    timeline = schedule([], WARBOY)
    assert (timeline.cycles, timeline.compute_cycles, timeline.spans) == (0, 0, ())


@pytest.mark.parametrize("seed", range(20))
def test_every_rule_holds_for_random_programs(seed: int) -> None:
    rng = random.Random(seed)
    kinds = [load, store, fill]
    program = [rng.choice(kinds)(64 * rng.randrange(6)) for _ in range(60)]
    program = [replace(inst, waits=waits) for inst, waits in zip(program, required_waits(program))]
    costs = [rng.randint(1, 50) for _ in program]
    timeline = schedule(program, WARBOY, costs)
    assert timeline == schedule(program, WARBOY, costs)
    assert all(end - start == cost for (start, end), cost in zip(timeline.spans, costs))
    for inst, (start, _) in zip(program, timeline.spans):
        assert all(timeline.spans[token][1] <= start for token in inst.waits)
    for engines in ({Engine.COMPUTE}, {Engine.LOAD, Engine.STORE}):
        spans = sorted(span for inst, span in zip(program, timeline.spans) if inst.engine in engines)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    busy = sum(cost for inst, cost in zip(program, costs) if inst.engine is Engine.COMPUTE)
    assert timeline.compute_cycles == busy <= timeline.cycles <= sum(costs)
    assert sorted(timeline.order) == list(range(len(program)))


@pytest.mark.parametrize("seed", range(20))
def test_a_program_of_shorter_instructions_never_takes_longer(seed: int) -> None:
    rng = random.Random(seed)
    kinds = [load, store, fill]
    program = [rng.choice(kinds)(64 * rng.randrange(6)) for _ in range(60)]
    program = [replace(inst, waits=waits) for inst, waits in zip(program, required_waits(program))]
    costs = [rng.randint(1, 50) for _ in program]
    shorter = [rng.randint(0, cost) for cost in costs]
    before, after = schedule(program, WARBOY, costs), schedule(program, WARBOY, shorter)
    assert all(end <= limit for (_, end), (_, limit) in zip(after.spans, before.spans))
    assert after.cycles <= before.cycles
