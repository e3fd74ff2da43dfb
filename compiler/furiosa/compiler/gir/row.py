"""A low-level kind as tiles see it: what an output tile reads, and the instructions that compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from furiosa.compiler.gir.boxes import Box, Four, Reads
from furiosa.compiler.graph import Op
from furiosa.isa.instructions import Instruction, View


class Parameter(NamedTuple):
    """A constant that the instruction addresses itself: weights, bias, multipliers or tables.

    It lies as [rows[0]][rows[1]][channels] items of ``channel`` bytes, one for each output channel; ``channel`` is 0
    when all channels share its ``size`` bytes.
    """

    const: Op
    size: int
    channel: int
    rows: tuple[int, int] = (1, 1)

    def bytes_of(self, channels: int) -> int:
        """Bytes of the slice for this many output channels."""
        return self.channel * channels * self.rows[0] * self.rows[1] or self.size


class Tile(NamedTuple):
    """One output box with everything settled: what its instructions are made from.

    ``inputs`` are the boxes of the inputs and ``xs`` their views; a view is None where the box is empty.
    """

    op: Op
    box: Box
    y: View
    inputs: tuple[Box, ...]
    xs: tuple[View | None, ...]
    params: tuple[int, ...]

    @property
    def x(self) -> View:
        return self.operand(0)

    def operand(self, index: int) -> View:
        """The view of an input that is never empty."""
        view = self.xs[index]
        if view is None:
            raise ValueError(f"input {index} of `{self.op.name}` is empty")
        return view


Emit = Callable[[Tile], tuple[Instruction, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One low-level kind.

    ``split`` names the output axes (of ``NHWC``) that tiles may cut. ``reads`` gives the axes of each activation input.
    ``params`` are the constants addressed by the instruction, ``grain`` the output channels that must stay together;
    ``windowed`` kinds slide a window and take longer to start, ``scattered`` ones move single elements.
    """

    split: str
    reads: Callable[[Op], tuple[Reads, ...]]
    emit: Emit
    params: Callable[[Op], tuple[Parameter, ...]] = lambda op: ()
    grain: Callable[[Op], int] = lambda op: 1
    windowed: bool = False
    scattered: bool = False


def four(op: Op) -> Four:
    """The shape (N, H, W, C) of a low-level tensor."""
    n, h, w, c = op.type.shape
    return n, h, w, c
