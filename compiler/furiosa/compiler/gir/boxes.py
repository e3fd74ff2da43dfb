"""Boxes of a tensor, and which box of an input an output box needs."""

from __future__ import annotations

from math import ceil, prod
from typing import NamedTuple

from furiosa.isa.arithmetic import Coordinates, neighbours

Four = tuple[int, int, int, int]


class Box(NamedTuple):
    """The elements from ``start`` to before ``stop`` on each of the axes (N, H, W, C)."""

    start: Four
    stop: Four

    @classmethod
    def whole(cls, shape: Four) -> Box:
        """All of a tensor."""
        return cls((0, 0, 0, 0), shape)

    @property
    def shape(self) -> Four:
        """Extents; 0 on an axis where the box is empty."""
        (a, b, c, d), (e, f, g, h) = self
        return e - a, f - b, g - c, h - d

    @property
    def size(self) -> int:
        """Elements (= bytes) in the box."""
        return prod(self.shape)


class Axis(NamedTuple):
    """How the interval of one input axis follows from the interval [a, b) of an output axis.

        first = a // grain * step - shift,    end = (b - 1) // grain * step - shift + reach

    cut to [0, extent). ``source`` is the output's axis; intervals of it begin and end at multiples of ``grain``.
    """

    source: int
    extent: int
    reach: int = 1
    step: int = 1
    shift: int = 0
    grain: int = 1

    def first(self, a: int) -> int:
        """Where the interval would begin if the input had no border."""
        return a // self.grain * self.step - self.shift

    def interval(self, a: int, b: int) -> tuple[int, int]:
        """The interval of the input, inside its extent; (0, 0) when nothing of it is needed."""
        first = a // self.grain * self.step - self.shift
        end = (b - 1) // self.grain * self.step - self.shift + self.reach
        first, end = max(first, 0), min(end, self.extent)
        return (first, end) if first < end else (0, 0)

    def most(self, extent: int) -> int:
        """The longest interval that an output interval of ``extent`` elements needs."""
        return min(self.extent, (extent - 1) // self.grain * self.step + self.reach)


class Between(NamedTuple):
    """How the interval of an input axis follows from that of the output axis ``source``, interpolated from it."""

    source: int
    extent: int
    at: Coordinates
    step: int = 1

    def interval(self, a: int, b: int) -> tuple[int, int]:
        """The interval of the input, inside its extent."""
        first = neighbours(self.at, a, 1, self.extent).first[0]
        return int(first), int(neighbours(self.at, b - 1, 1, self.extent).second[0]) + 1

    def most(self, extent: int) -> int:
        """A bound for the interval that any output interval of ``extent`` elements needs."""
        return min(self.extent, ceil((extent - 1) * self.at.factor / self.at.divisor) + 3)


Reads = tuple[Axis, Axis | Between, Axis | Between, Axis]
"""The axes (N, H, W, C) of one input."""


def same(shape: Four) -> Reads:
    """An input read element by element."""
    n, h, w, c = shape
    return Axis(0, n), Axis(1, h), Axis(2, w), Axis(3, c)


def all_of(source: int, extent: int) -> Axis:
    """An axis that every output needs whole."""
    return Axis(source, extent, reach=extent, step=0)


def input_box(reads: Reads, box: Box) -> Box:
    """The box of the input that the output box needs."""
    start, stop = box
    n, h, w, c = (axis.interval(start[axis.source], stop[axis.source]) for axis in reads)
    return Box((n[0], h[0], w[0], c[0]), (n[1], h[1], w[1], c[1]))


def most_shape(reads: Reads, extents: Four) -> Four:
    """The largest extents of the input that any output box of these extents needs."""
    n, h, w, c = reads
    return (n.most(extents[n.source]), h.most(extents[h.source]), w.most(extents[w.source]), c.most(extents[c.source]))


def most_bytes(reads: Reads, extents: Four) -> int:
    """The most bytes of the input that any output box of these extents needs."""
    return prod(most_shape(reads, extents))


def parts(extent: int, tile: int) -> list[tuple[int, int]]:
    """[0, extent) cut into intervals of ``tile``; the last may be shorter."""
    return [(a, min(a + tile, extent)) for a in range(0, extent, tile)]
