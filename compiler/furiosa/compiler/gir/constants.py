"""The DRAM image of the constants: what an instruction needs together lies together, equal constants lie once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from furiosa.compiler.gir.allocate import aligned
from furiosa.compiler.graph import Op

Bytes = NDArray[np.uint8]

_EDGE = 256


class Constants:
    """Constants placed one after the other from DRAM address 0, each aligned."""

    def __init__(self) -> None:
        self._chunks: list[memoryview | bytes] = []
        self._known: dict[tuple[int, bytes, bytes], list[tuple[Bytes, int]]] = {}
        self._placed: dict[Op, int] = {}
        self.size = 0

    def place(self, consts: Sequence[Op]) -> tuple[int, ...]:
        """The addresses of constants that are read together; those that are new come to lie side by side."""
        return tuple(self._place(op) for op in consts)

    def image(self) -> bytes:
        """All bytes from address 0 on."""
        return b"".join(self._chunks)

    def _place(self, op: Op) -> int:
        address = self._placed.get(op)
        if address is None:
            address = self._placed[op] = self._find_or_add(np.ascontiguousarray(op.value).reshape(-1).view(np.uint8))
        return address

    def _find_or_add(self, data: Bytes) -> int:
        size = len(data)
        same = self._known.setdefault((size, data[:_EDGE].tobytes(), data[-_EDGE:].tobytes()), [])
        for other, address in same:
            if np.array_equal(other, data):
                return address
        address = self.size
        same.append((data, address))
        self._chunks.append(data.data)
        self.size = aligned(address + size)
        if self.size > address + size:
            self._chunks.append(bytes(self.size - address - size))
        return address
