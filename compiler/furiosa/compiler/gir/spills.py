"""DRAM for buffers that find no room in SRAM."""

from __future__ import annotations

from furiosa.compiler.gir.allocate import Arena
from furiosa.compiler.gir.jobs import Buffer
from furiosa.isa.errors import UnsupportedError


class Spills:
    """DRAM behind the ports, for buffers without room in SRAM. What is given back is free from the next job on."""

    def __init__(self, base: int, limit: int) -> None:
        self._base = base
        self._limit = limit
        self._arena = Arena(max(0, limit - base))
        self._taken: dict[int, tuple[int, int]] = {}
        self._leaving: list[tuple[int, int]] = []
        self.end = 0

    def take(self, buffer: Buffer, step: int) -> int:
        """An address for a buffer that is stored from ``step`` on. Raises UnsupportedError when DRAM is full."""
        offset = self._arena.take(buffer.size)
        if offset is None:
            raise UnsupportedError(
                f"tensor `{buffer.name}` of {buffer.size} bytes finds no room in {self._limit} bytes of DRAM",
                hint="a smaller batch or input makes it fit",
            )
        self._taken[buffer.number] = (step, self._base + offset)
        self.end = max(self.end, self._base + offset + buffer.size)
        return self._base + offset

    def give(self, buffer: Buffer) -> tuple[int, int]:
        """Take leave of a buffer; the step it was taken at and its address."""
        step, address = self._taken.pop(buffer.number)
        self._leaving.append((address - self._base, buffer.size))
        return step, address

    def settle(self) -> None:
        """Free what was given back."""
        for offset, size in self._leaving:
            self._arena.give(offset, size)
        self._leaving.clear()
