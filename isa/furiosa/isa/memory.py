"""Which bytes an instruction touches: strided regions of SRAM and DRAM, and their bounding intervals."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from furiosa.isa import instructions as lir
from furiosa.isa.instructions import Instruction, View


class Memory(IntEnum):
    """The two memories a program addresses, each from byte 0."""

    SRAM = 0
    DRAM = 1


class Interval(NamedTuple):
    """The bytes from ``start`` to before ``end`` of one memory."""

    memory: Memory
    start: int
    end: int


class Region(NamedTuple):
    """A strided box of bytes: index i lies at address + i . strides. Strides are at least 0, extents at least 1."""

    memory: Memory
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def interval(self) -> Interval:
        """The smallest interval that holds the region."""
        last = self.address
        for extent, stride in zip(self.shape, self.strides):
            last += (extent - 1) * stride
        return Interval(self.memory, self.address, last + 1)

    def runs(self) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """The region as (shape, strides) of a grid of starts, relative to ``address``, and the bytes at each start.

        Axes are merged where they touch, so a dense region has an empty grid: one run of all its bytes. Axes are in
        descending order of stride; axes of extent 1 or stride 0 are left out.
        """
        axes = sorted((s, d) for s, d in zip(self.strides, self.shape) if d > 1 and s > 0)
        length = 1
        while axes and axes[0][0] <= length:
            stride, extent = axes.pop(0)
            length += (extent - 1) * stride
        merged: list[tuple[int, int]] = []
        for stride, extent in axes:
            if merged and merged[-1][0] * merged[-1][1] == stride:
                merged[-1] = (merged[-1][0], merged[-1][1] * extent)
            else:
                merged.append((stride, extent))
        merged.reverse()
        return tuple(extent for _, extent in merged), tuple(stride for stride, _ in merged), length

    @property
    def distinct(self) -> bool:
        """Whether nested strides prove that no two indices share a byte; needed of every region that is written."""
        reach = 0
        for stride, extent in sorted((s, d) for s, d in zip(self.strides, self.shape) if d > 1):
            if stride <= reach:
                return False
            reach += (extent - 1) * stride
        return True


class Regions(NamedTuple):
    """What one instruction reads and writes."""

    reads: tuple[Region, ...]
    writes: tuple[Region, ...]


class Accesses(NamedTuple):
    """What one instruction reads and writes, rounded up to intervals."""

    reads: tuple[Interval, ...]
    writes: tuple[Interval, ...]


def of_view(view: View) -> Region:
    """The bytes of a view."""
    return Region(Memory.SRAM, view.address, view.shape, view.strides)


def _bytes(address: int, count: int) -> Region:
    return Region(Memory.SRAM, address, (count,), (1,))


def _load(inst: lir.Load) -> Regions:
    return Regions((Region(Memory.DRAM, inst.src, inst.dst.shape, inst.src_strides),), (of_view(inst.dst),))


def _store(inst: lir.Store) -> Regions:
    return Regions((of_view(inst.src),), (Region(Memory.DRAM, inst.dst, inst.src.shape, inst.dst_strides),))


def _convolution(inst: lir.Conv2d | lir.DepthwiseConv2d) -> Regions:
    channels = inst.y.shape[3]
    reads = (of_view(inst.x), _bytes(inst.weights, inst.weight_bytes),
             _bytes(inst.bias, 4 * channels), _bytes(inst.multipliers, inst.multiplier_bytes))  # fmt: skip
    return Regions(reads, (of_view(inst.y),))


def _unary(
    inst: lir.MaxPool2d
    | lir.AveragePool2d
    | lir.GlobalAveragePool
    | lir.Interpolate
    | lir.Softmax
    | lir.ReduceL2
    | lir.L2Normalize,
) -> Regions:
    return Regions((of_view(inst.x),), (of_view(inst.y),))


def _binary(inst: lir.Add | lir.Sub | lir.Mul | lir.AddAveragePool2d | lir.MatMul) -> Regions:
    return Regions((of_view(inst.a), of_view(inst.b)), (of_view(inst.y),))


def _table(inst: lir.Table) -> Regions:
    return Regions((of_view(inst.x), _bytes(inst.table, 256 * inst.tables)), (of_view(inst.y),))


def _sum(inst: lir.Sum) -> Regions:
    reads = (of_view(inst.x), _bytes(inst.scales, 4 * inst.count), _bytes(inst.zeros, inst.count))
    return Regions(reads, (of_view(inst.y),))


def _copy(inst: lir.Copy) -> Regions:
    src = Region(Memory.SRAM, inst.src, inst.shape, inst.src_strides)
    return Regions((src,), (Region(Memory.SRAM, inst.dst, inst.shape, inst.dst_strides),))


def _fill(inst: lir.Fill) -> Regions:
    return Regions((), (of_view(inst.y),))


_REGIONS: dict[type[Instruction], Callable[[Any], Regions]] = {
    lir.Load: _load, lir.Store: _store, lir.Conv2d: _convolution, lir.DepthwiseConv2d: _convolution,
    lir.MatMul: _binary, lir.MaxPool2d: _unary, lir.AveragePool2d: _unary, lir.GlobalAveragePool: _unary,
    lir.AddAveragePool2d: _binary, lir.Interpolate: _unary, lir.Add: _binary, lir.Sub: _binary, lir.Mul: _binary,
    lir.Sum: _sum, lir.Table: _table, lir.Softmax: _unary, lir.ReduceL2: _unary, lir.L2Normalize: _unary,
    lir.Copy: _copy, lir.Fill: _fill,
}  # fmt: skip


def regions(inst: Instruction) -> Regions:
    """The bytes an instruction reads and writes, exactly."""
    return _REGIONS[type(inst)](inst)


def accesses(inst: Instruction) -> Accesses:
    """The bytes an instruction reads and writes, each region rounded up to its bounding interval."""
    reads, writes = _REGIONS[type(inst)](inst)
    return Accesses(tuple(r.interval for r in reads), tuple(r.interval for r in writes))
