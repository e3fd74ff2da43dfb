"""Makes the operands of one instruction: where they lie in SRAM, which bytes they hold, how they are quantized."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from random import Random
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.instructions import Activation, Instruction, View
from kernel_cases import InstructionCase

Array = NDArray[Any]
Shape = tuple[int, int, int, int]
T = TypeVar("T")

# Bytes between the elements of a view along each axis, and factors of the strides of a view that is only read.
_GAPS = ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 5, 0), (0, 3, 0, 0), (9, 0, 0, 0), (7, 1, 2, 1), (0, 0, 0, 2))
_REPEATS = ((1, 1, 1, 1),) * 6 + ((0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0))


class Maker:
    """Lays out the memory of one case, views first, and chooses what an instruction leaves open.

    A ``loose`` maker leaves gaps, uses odd addresses and goes to extremes, as tests want it; otherwise all is as a
    compiler would have it. The same ``random`` gives the same case.
    """

    def __init__(self, random: Random, loose: bool) -> None:
        self.random = random
        self.loose = loose
        self.values = np.random.default_rng(random.getrandbits(32))
        self._extreme = self.pick(False, False, False, True)
        self._extreme_scale = self.pick(None, *(None,) * 6, 1e-45, 1e30, 3e38)
        self._end = 0
        self._written: list[tuple[int, bytes]] = []
        self._constants = b""

    def pick(self, usual: T, *others: T) -> T:
        """``usual``, or with a loose maker any of the values."""
        return self.random.choice((usual, *others)) if self.loose else usual

    def view(self, shape: Shape, *, dense_channels: bool = False, read: bool = False) -> View:
        """A view of fresh bytes. One that is only ``read`` may repeat elements."""
        gaps = self.pick(_GAPS[0], *_GAPS)
        strides, reach = [0, 0, 0, 0], 1
        for axis in (3, 2, 1, 0):
            strides[axis] = reach + (0 if dense_channels and axis == 3 else gaps[axis])
            reach = strides[axis] * shape[axis]
        repeats = self.pick(_REPEATS[0], *_REPEATS) if read else _REPEATS[0]
        factors = (*repeats[:3], 1 if dense_channels else repeats[3])
        n, h, w, c = (stride * factor for stride, factor in zip(strides, factors))
        view = View(self._place(), shape, (n, h, w, c))
        self._end = view.end
        return view

    def bytes(self, values: Array, alignment: int = 1) -> int:
        """The address of these values in the data that the program reads from its input."""
        address = self._place(alignment)
        self._written.append((address, values.tobytes()))
        self._end = address + values.nbytes
        return address

    def constants(self, *arrays: Array) -> list[int]:
        """The address of each array, aligned to its items: constants, or now and then data like any other.

        Must be called once and last.
        """
        computed = [self.pick(False, False, False, False, True) for _ in arrays]
        found = [self.bytes(array, array.itemsize) if each else 0 for array, each in zip(arrays, computed)]
        at = InstructionCase.constants_at(self._end)
        for index, (array, each) in enumerate(zip(arrays, computed)):
            if not each:
                self._constants += bytes(-len(self._constants) % array.itemsize)
                found[index] = at + len(self._constants)
                self._constants += array.tobytes()
        return found

    def case(self, inst: Instruction, after: tuple[Instruction, ...] = ()) -> InstructionCase:
        """The finished case."""
        data = self.noise(self._end, np.uint8)
        for address, written in self._written:
            data[address : address + len(written)] = np.frombuffer(written, np.uint8)
        return InstructionCase(inst, data, self._constants, after)

    def noise(self, count: int, dtype: Any) -> Array:
        """Random bytes; sometimes only those at the ends of the ranges of int8 and uint8."""
        if self._extreme:
            return self.values.choice(np.array([0, 127, 128, 255], np.uint8), count).view(dtype)
        return self.values.integers(0, 256, count, np.uint8).view(dtype)

    def kind(self) -> Activation:
        """Unsigned or signed bytes."""
        return self.pick(Activation.U8, Activation.I8)

    def zero(self, kind: Activation) -> int:
        """A zero point."""
        low = -128 if kind is Activation.I8 else 0
        if not self.loose:
            return low + 121
        return self.random.choice((low, low + 255, low + 128, self.random.randint(low, low + 255)))

    def clamp(self, kind: Activation) -> tuple[int, int]:
        """The smallest and the largest value of a result."""
        low = -128 if kind is Activation.I8 else 0
        if not self.loose or self.random.randrange(2):
            return low, low + 255
        first, second = sorted(self.random.randint(low, low + 255) for _ in range(2))
        return first, second

    def scale(self, low: float = -2.5, high: float = -0.5) -> float:
        """A float32 scale between ten to the power of ``low`` and of ``high``; extreme in some cases."""
        if self._extreme_scale and self.random.randrange(2):
            return float(np.float32(self._extreme_scale))
        return float(np.float32(10 ** self.random.uniform(low, high)))

    def quantization(self, *names: str) -> dict[str, Any]:
        """Type, scale and zero point of each of these operands, as fields of an instruction."""
        fields: dict[str, Any] = {}
        for name in names:
            kind = self.kind()
            fields |= {f"{name}_type": kind, f"{name}_scale": self.scale(), f"{name}_zero": self.zero(kind)}
        return fields

    def _place(self, alignment: int = 1) -> int:
        start = self._end + (self.random.randint(0, 3) if self.loose else -self._end % 64)
        return start + -start % alignment


def fitting(random: Random, counts: Sequence[int], budget: int, *others: int) -> int:
    """One of the ``counts`` whose product with the ``others`` is within the budget, often the largest, or 1."""
    most = budget // prod(others)
    allowed = [count for count in counts if count <= most] or [1]
    return random.choice((max(allowed), random.choice(allowed)))
