"""Addresses: the free bytes of a memory, and when each byte was used last."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

ALIGNMENT = 64


def aligned(size: int) -> int:
    """``size`` rounded up to the alignment of slots."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class Arena:
    """The free bytes of one memory as holes in order of address. Sizes are rounded up to the alignment."""

    def __init__(self, size: int) -> None:
        size -= size % ALIGNMENT
        self._starts: list[int] = [0] if size else []
        self._ends: list[int] = [size] if size else []

    def take(self, size: int) -> int | None:
        """The lowest free address with room for ``size`` bytes, now taken; None when there is none."""
        size = aligned(size)
        for index, start in enumerate(self._starts):
            if self._ends[index] - start >= size:
                self._cut(index, start, start + size)
                return start
        return None

    def take_last(self, size: int) -> int | None:
        """Like ``take``, but the highest free address."""
        size = aligned(size)
        for index in reversed(range(len(self._starts))):
            if self._ends[index] - self._starts[index] >= size:
                end = self._ends[index]
                self._cut(index, end - size, end)
                return end - size
        return None

    def take_in_turn(self, size: int, cursor: int) -> int | None:
        """Like ``take``, but in the largest hole, from ``cursor`` on where that leaves room.

        What is taken and given back in turn so comes back to the same bytes as late as possible.
        """
        size = aligned(size)
        start, room = self.largest()
        if room < size:
            return None
        address = cursor if start <= cursor and cursor + size <= start + room else start
        self._cut(bisect_right(self._starts, start) - 1, address, address + size)
        return address

    def largest(self) -> tuple[int, int]:
        """Address and size of the largest hole, the first one of equals; size 0 when the memory is full."""
        best, room = 0, 0
        for start, end in zip(self._starts, self._ends):
            if end - start > room:
                best, room = start, end - start
        return best, room

    def give(self, address: int, size: int) -> None:
        """Free what was taken."""
        end = address + aligned(size)
        index = bisect_left(self._starts, address)
        after = index < len(self._starts) and self._starts[index] == end
        before = index > 0 and self._ends[index - 1] == address
        if before and after:
            self._ends[index - 1] = self._ends[index]
            del self._starts[index], self._ends[index]
        elif before:
            self._ends[index - 1] = end
        elif after:
            self._starts[index] = address
        else:
            self._starts.insert(index, address)
            self._ends.insert(index, end)

    def _cut(self, index: int, start: int, end: int) -> None:
        """Take [start, end) out of a hole."""
        first, last = self._starts[index], self._ends[index]
        holes = [(a, b) for a, b in ((first, start), (end, last)) if a < b]
        self._starts[index : index + 1] = [a for a, _ in holes]
        self._ends[index : index + 1] = [b for _, b in holes]


class LastUse:
    """The last step that used each byte of a memory; -1 for bytes that nothing has used."""

    def __init__(self) -> None:
        self._starts: list[int] = [0]
        self._steps: list[int] = [-1]

    def mark(self, start: int, end: int, step: int) -> None:
        """The bytes from ``start`` to before ``end`` are used until ``step``, which is not before earlier marks."""
        first, last = self._split(start), self._split(end)
        self._starts[first:last] = [start]
        self._steps[first:last] = [step]

    def latest(self, start: int, end: int) -> int:
        """The last step that used any of the bytes from ``start`` to before ``end``."""
        return max(self._steps[bisect_right(self._starts, start) - 1 : bisect_left(self._starts, end)])

    def _split(self, at: int) -> int:
        index = bisect_right(self._starts, at) - 1
        if self._starts[index] == at:
            return index
        self._starts.insert(index + 1, at)
        self._steps.insert(index + 1, self._steps[index])
        return index + 1
