"""The allocator and the record of last uses against byte-by-byte models, and no overlap in whole programs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.compiler.gir.allocate import ALIGNMENT, Arena, LastUse, aligned

_STEPS = st.lists(st.tuples(st.sampled_from(("take", "turn", "give")), st.integers(1, 400)), max_size=60)


@given(st.integers(0, 1500), _STEPS)
def test_arena_gives_free_aligned_bytes_whenever_there_are_some(size: int, script: list[tuple[str, int]]) -> None:
    arena = Arena(size)
    used = [False] * (size - size % ALIGNMENT)
    held: list[tuple[int, int]] = []
    for action, amount in script:
        free = "".join(" #"[taken] for taken in used).split("#")
        assert arena.largest()[1] == max(map(len, free))
        if action == "give":
            if held:
                address, amount = held.pop(amount % len(held))
                arena.give(address, amount)
                used[address : address + aligned(amount)] = [False] * aligned(amount)
            continue
        got = arena.take(amount) if action == "take" else arena.take_in_turn(amount, 7 * ALIGNMENT)
        assert (got is not None) == (max(map(len, free)) >= aligned(amount))
        if got is not None:
            assert got % ALIGNMENT == 0
            assert not any(used[got : got + aligned(amount)])
            assert got + aligned(amount) <= len(used)
            used[got : got + aligned(amount)] = [True] * aligned(amount)
            held.append((got, amount))


def test_what_is_freed_grows_together() -> None:
    arena = Arena(640)
    taken = [arena.take(64) for _ in range(10)]
    assert taken == list(range(0, 640, 64))
    for address in (64, 192, 128, 0):
        arena.give(address, 64)
    assert arena.largest() == (0, 256)
    assert arena.take(256) == 0


def test_turns_go_round_the_largest_hole() -> None:
    arena = Arena(1024)
    arena.take(128)
    cursor, found = 0, []
    for _ in range(5):
        address = arena.take_in_turn(256, cursor)
        assert address is not None
        arena.give(address, 256)
        found.append(address)
        cursor = address + 256
    assert found == [128, 384, 640, 128, 384]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=30))
def test_last_use_is_that_of_any_byte(script: list[tuple[int, int]]) -> None:
    uses = LastUse()
    bytes_ = [-1] * 130
    for step, (start, size) in enumerate(script):
        assert uses.latest(start, start + size) == max(bytes_[start : start + size])
        uses.mark(start, start + size, step)
        bytes_[start : start + size] = [step] * size
    assert [uses.latest(i, i + 1) for i in range(120)] == bytes_[:120]
