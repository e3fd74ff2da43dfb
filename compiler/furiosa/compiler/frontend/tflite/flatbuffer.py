"""FlatBuffers, read with every offset checked: tables by the number of their fields, vectors as views of the file.

A file is little-endian. A table starts with the distance back to its vtable, which lists where the fields lie; strings,
vectors and other tables are found by unsigned distances forward. Offsets of a damaged file may point anywhere, also to
one place many times, so what all vectors of a file hold together is bounded by a multiple of its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError

import numpy as np

from furiosa.compiler.graph import Array

_U16, _U32, _I32 = Struct("<H"), Struct("<I"), Struct("<i")
_SCALARS = {code: Struct(f"<{code}") for code in "bBhHiIqQf?"}
_SHARED = 64
_ROOM = 1 << 24


class Damaged(ValueError):
    """Bytes that are no FlatBuffers file; the message says what is wrong with them."""


class File:
    """A file's bytes, and how many bytes its vectors may still have together."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = len(data) * _SHARED + _ROOM

    def root(self) -> Table:
        """The table that the file is about."""
        return Table(self, self.reference(0))

    def scalar(self, form: Struct, at: int) -> int:
        """The integer at an offset."""
        if at < 0:
            raise Damaged("an offset lies before the file")
        try:
            value: int = form.unpack_from(self.data, at)[0]
        except StructError:
            raise Damaged("an offset lies beyond the end") from None
        return value

    def reference(self, at: int) -> int:
        """Where the reference at an offset leads."""
        return at + self.scalar(_U32, at)

    def vector(self, at: int, width: int) -> tuple[int, int]:
        """Where the elements of the vector at an offset start, and their number; ``width`` is bytes of one."""
        count = self.scalar(_U32, at)
        size = count * width
        if at + 4 + size > len(self.data):
            raise Damaged("a vector ends beyond the end")
        self.left -= size
        if self.left < 0:
            raise Damaged("its vectors overlap")
        return at + 4, count


class Table:
    """A table; fields are asked for by their number in the schema, with the default of those that are left out."""

    __slots__ = ("_at", "_file", "_size", "_vtable")

    def __init__(self, file: File, at: int) -> None:
        self._file, self._at = file, at
        self._vtable = at - file.scalar(_I32, at)
        self._size = file.scalar(_U16, self._vtable)

    def _place(self, slot: int) -> int:
        """Where a field lies; 0 for one that is left out."""
        entry = 4 + 2 * slot
        if entry + 2 > self._size:
            return 0
        offset = self._file.scalar(_U16, self._vtable + entry)
        return self._at + offset if offset else 0

    def number(self, slot: int, code: str, default: float) -> float:
        """A number; ``code`` is its type as in the module ``struct``."""
        place = self._place(slot)
        return self._file.scalar(_SCALARS[code], place) if place else default

    def integer(self, slot: int, code: str = "i", default: int = 0) -> int:
        """An integer, an enumeration or a truth value."""
        return int(self.number(slot, code, default))

    def table(self, slot: int) -> Table | None:
        """The table that a field refers to."""
        place = self._place(slot)
        return Table(self._file, self._file.reference(place)) if place else None

    def tables(self, slot: int) -> Iterator[Table]:
        """The tables of a vector."""
        place = self._place(slot)
        if place:
            first, count = self._file.vector(self._file.reference(place), 4)
            for index in range(count):
                yield Table(self._file, self._file.reference(first + 4 * index))

    def array(self, slot: int, dtype: str) -> Array | None:
        """A vector of numbers, as a view of the file."""
        place = self._place(slot)
        if not place:
            return None
        kind = np.dtype(dtype).newbyteorder("<")
        first, count = self._file.vector(self._file.reference(place), kind.itemsize)
        return np.frombuffer(self._file.data, kind, count, first)

    def integers(self, slot: int) -> tuple[int, ...]:
        """A vector of int32; empty when it is left out."""
        found = self.array(slot, "i4")
        return () if found is None else tuple(found.tolist())

    def text(self, slot: int) -> str:
        """A string; empty when it is left out. Bytes that are no UTF-8 are replaced."""
        found = self.array(slot, "u1")
        return "" if found is None else found.tobytes().decode(errors="replace")
