"""Waits against a brute-force reading of the conflicts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from furiosa.isa import instructions as lir
from furiosa.isa.hazards import first_missing_wait, needs, required_waits
from furiosa.isa.instructions import Instruction, View
from furiosa.isa.memory import Interval, accesses


def random_instructions(seed: int, count: int) -> list[Instruction]:
    """Moves between few places, so that conflicts are many."""
    rng = random.Random(seed)

    def view() -> View:
        c, gap = rng.randint(1, 6), rng.randint(0, 3)
        return View(rng.randrange(40), (1, 1, 3, c), (0, 0, c + gap, 1))

    def one() -> Instruction:
        v, kind = view(), rng.randrange(4)
        if kind == 0:
            return lir.Load(dst=v, src=rng.randrange(40), src_strides=v.strides)
        if kind == 1:
            return lir.Store(src=v, dst=rng.randrange(40), dst_strides=v.strides)
        if kind == 2:
            return lir.Fill(y=v, value=0)
        return lir.Table(x=v, y=replace(v, address=rng.randrange(40)), table=rng.randrange(100), tables=1)

    return [one() for _ in range(count)]


def overlap(a: tuple[Interval, ...], b: tuple[Interval, ...]) -> bool:
    return any(p.memory == q.memory and p.start < q.end and q.start < p.end for p in a for q in b)


def conflict(earlier: Instruction, later: Instruction) -> bool:
    a, b = accesses(earlier), accesses(later)
    return overlap(a.writes, b.reads + b.writes) or overlap(a.reads, b.writes)


def ordered_after(program: list[Instruction], waits: list[tuple[int, ...]]) -> list[set[int]]:
    """For each instruction all that engine order and waits put before it."""
    last: dict[int, int] = {}
    before: list[set[int]] = []
    for index, inst in enumerate(program):
        sources = [*waits[index], *([last[inst.engine]] if inst.engine in last else [])]
        before.append({i for source in sources for i in before[source] | {source}})
        last[inst.engine] = index
    return before


@pytest.mark.parametrize("seed", range(25))
def test_waits_order_all_conflicts_and_none_is_superfluous(seed: int) -> None:
    program = random_instructions(seed, 40)
    waits = required_waits(program)
    before = ordered_after(program, waits)
    conflicts = [
        {i for i in range(index) if conflict(program[i], inst)} for index, inst in enumerate(program)
    ]  # fmt: skip
    assert all(needed <= done for needed, done in zip(conflicts, before))
    for index, tokens in enumerate(waits):
        assert list(tokens) == sorted(set(tokens)) and len({program[t].engine for t in tokens}) == len(tokens)
        for token in tokens:
            weaker = [*waits]
            weaker[index] = tuple(t for t in tokens if t != token)
            assert not conflicts[index] <= ordered_after(program, weaker)[index]


@pytest.mark.parametrize("seed", range(10))
def test_the_check_accepts_exactly_strong_enough_waits(seed: int) -> None:
    program = random_instructions(seed, 40)
    waits = required_waits(program)
    whole = [replace(inst, waits=tokens) for inst, tokens in zip(program, waits)]
    assert first_missing_wait(whole) is None
    for index in [i for i, tokens in enumerate(waits) if tokens]:
        weak = [*whole]
        weak[index] = replace(whole[index], waits=waits[index][1:])
        missing = first_missing_wait(weak)
        assert missing is not None and missing[0] == index


def test_interleaved_views_of_one_engine_need_no_wait() -> None:
    halves = [View(8 * half, (1, 4, 4, 8), (256, 64, 16, 1)) for half in (0, 1)]
    program = [lir.Fill(y=half, value=0) for half in halves]
    assert required_waits(program) == [(), ()]
    assert needs(program) == [(-1, -1, -1), (-1, -1, -1)]


def test_a_chain_waits_only_for_its_last_writer() -> None:
    v = View.dense(0, (1, 1, 1, 64))
    load = lir.Load(dst=v, src=0, src_strides=v.strides)
    store = lir.Store(src=v, dst=4096, dst_strides=v.strides)
    table = lir.Table(x=v, y=v, table=1024, tables=1)
    assert required_waits([load, table, table, store, load]) == [(), (0,), (), (2,), (3,)]
