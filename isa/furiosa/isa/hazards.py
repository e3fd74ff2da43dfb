"""Hazards: which instructions of other engines must be done before an instruction may start.

Two instructions conflict when one writes bytes the other reads or writes. Bytes are rounded up to the bounding
intervals of ``memory.accesses``, so waits may be stronger than the bytes demand, never weaker. Instructions of one
engine are always in order, hence interleaved views that one engine works on never cost a wait.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from furiosa.isa.instructions import Engine, Instruction
from furiosa.isa.memory import Memory, accesses

Clock = tuple[int, int, int]
"""For each engine the index of its last instruction that is known to be done; -1 for none."""

_NONE: Clock = (-1, -1, -1)
_FIRST = -1


class _Tracker:
    """Who touched each byte of one memory last: sorted segments, each with its writer and its readers since.

    Segment k covers ``_starts[k]`` to ``_starts[k + 1]``. A state is (writer's clock, readers' clock): for each engine
    the last instruction that wrote, or read, the segment's bytes.
    """

    def __init__(self) -> None:
        self._starts: list[int] = [_FIRST]
        self._states: list[tuple[Clock, Clock]] = [(_NONE, _NONE)]

    def read(self, start: int, end: int, index: int, engine: int, need: list[int]) -> None:
        """Note a read by instruction ``index``; raise ``need`` to what it must wait for."""
        starts, states = self._starts, self._states
        first, last = self._span(start, end)
        if last == first + 1:
            writer, readers = states[first]
            _raise(need, writer)
            states[first] = (writer, _with(readers, engine, index))
            return
        fresh: list[int] = []
        after: list[tuple[Clock, Clock]] = []
        for k in range(first, last):
            writer, readers = states[k]
            _raise(need, writer)
            state = (writer, _with(readers, engine, index))
            if not after or after[-1] != state:
                fresh.append(starts[k])
                after.append(state)
        starts[first:last] = fresh
        states[first:last] = after

    def write(self, start: int, end: int, index: int, engine: int, need: list[int]) -> None:
        """Note a write by instruction ``index``; raise ``need`` to what it must wait for."""
        first, last = self._span(start, end)
        for writer, readers in self._states[first:last]:
            _raise(need, writer)
            _raise(need, readers)
        self._starts[first:last] = [start]
        self._states[first:last] = [(_with(_NONE, engine, index), _NONE)]

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """Split so that segments begin at ``start`` and at ``end``; the segments between, as a half-open range."""
        first = self._split(start)
        return first, self._split(end)

    def _split(self, at: int) -> int:
        k = bisect_right(self._starts, at) - 1
        if self._starts[k] == at:
            return k
        self._starts.insert(k + 1, at)
        self._states.insert(k + 1, self._states[k])
        return k + 1


def _with(clock: Clock, engine: int, index: int) -> Clock:
    a, b, c = clock
    return (index, b, c) if engine == 0 else (a, index, c) if engine == 1 else (a, b, index)


def _raise(need: list[int], clock: Clock) -> None:
    if clock is not _NONE:
        a, b, c = clock
        if a > need[0]:
            need[0] = a
        if b > need[1]:
            need[1] = b
        if c > need[2]:
            need[2] = c


def needs(instructions: Iterable[Instruction]) -> list[Clock]:
    """For each instruction and engine, the last instruction of that engine that it conflicts with; -1 for none."""
    trackers = {memory: _Tracker() for memory in Memory}
    found: list[Clock] = []
    for index, inst in enumerate(instructions):
        need = [-1, -1, -1]
        engine = int(inst.engine)
        reads, writes = accesses(inst)
        for memory, start, end in reads:
            trackers[memory].read(start, end, index, engine, need)
        for memory, start, end in writes:
            trackers[memory].write(start, end, index, engine, need)
        need[engine] = -1
        found.append((need[0], need[1], need[2]))
    return found


class _Order:
    """Vector clocks: what is known to be done when an instruction starts, from engine order and waits."""

    def __init__(self) -> None:
        self._last = [-1, -1, -1]
        self._clocks: list[Clock] = []

    def before(self, engine: int) -> list[int]:
        """What the engine's own order says is done when its next instruction starts."""
        last = self._last[engine]
        return list(self._clocks[last]) if last >= 0 else [-1, -1, -1]

    def clock(self, index: int) -> Clock:
        """What is done when instruction ``index`` is done, itself included."""
        return self._clocks[index]

    def issue(self, engine: int, known: list[int]) -> None:
        """The next instruction starts on ``engine``, knowing ``known``."""
        index = len(self._clocks)
        known[engine] = self._last[engine] = index
        self._clocks.append((known[0], known[1], known[2]))


def required_waits(instructions: Iterable[Instruction]) -> list[tuple[int, ...]]:
    """For each instruction the fewest tokens that order it after everything it conflicts with.

    Tokens are indices of earlier instructions on other engines, ascending, at most one an engine. What the order of
    the engines and earlier waits already imply is left out. The instructions' own ``waits`` are not looked at.
    """
    program = tuple(instructions)
    order = _Order()
    waits: list[tuple[int, ...]] = []
    for inst, need in zip(program, needs(program)):
        engine = int(inst.engine)
        known = order.before(engine)
        tokens: list[int] = []
        for token in sorted(need, reverse=True):
            if token >= 0 and known[program[token].engine] < token:
                tokens.append(token)
                _raise(known, order.clock(token))
        order.issue(engine, known)
        waits.append(tuple(reversed(tokens)))
    return waits


def first_missing_wait(instructions: Sequence[Instruction]) -> tuple[int, int] | None:
    """The first instruction whose ``waits`` are too weak, with the token it lacks; None for a program in order.

    Tokens must be smaller than the index of the instruction that waits for them.
    """
    order = _Order()
    for index, (inst, need) in enumerate(zip(instructions, needs(instructions))):
        engine = int(inst.engine)
        known = order.before(engine)
        for token in inst.waits:
            _raise(known, order.clock(token))
        for other in Engine:
            if need[other] > known[other]:
                return index, need[other]
        order.issue(engine, known)
    return None
