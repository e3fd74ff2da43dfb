"""Cycles of one instruction on a target: the only formulas of time; their constants stand in ``targets/warboy.toml``.

Every formula is a fixed start plus work divided by width, rounded up, so that more slices or more bandwidth never make
an instruction slower. What the terms mean, where they come from and how far they are off: ``docs/timing.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, NamedTuple

from furiosa.isa import instructions as lir
from furiosa.isa.instructions import Engine, Instruction, View
from furiosa.isa.target import Target

_SOFTMAX_PASSES = 3
_NORMALIZE_PASSES = 2
_PAD = "LowLevelPad"

_Windows = (lir.Conv2d, lir.DepthwiseConv2d, lir.MaxPool2d, lir.AveragePool2d)
_Convolutions = (lir.Conv2d, lir.DepthwiseConv2d)
_Binaries = (lir.Add, lir.Sub, lir.Mul)


class Operator(NamedTuple):
    """A part of an instruction as the profiler names it, from ``start`` to ``end`` of the timeline."""

    label: str
    start: int
    end: int


def cycles(inst: Instruction, target: Target) -> int:
    """Clock cycles of the target from the start of an instruction to its end, when nothing else is in its way."""
    return _CYCLES[type(inst)](inst, target) + pad_cycles(inst, target)


def program_cycles(instructions: Iterable[Instruction], target: Target) -> list[int]:
    """Cycles of each instruction of a program.

    One element-wise instruction can be chained to a convolution: it takes the results as they leave the array, when it
    is the next of the tensor unit and reads just what the convolution writes.
    """
    found: list[int] = []
    made: View | None = None
    for inst in instructions:
        chained = _chained_cycles(inst, made, target) if made is not None else None
        found.append(cycles(inst, target) if chained is None else chained)
        if inst.engine is Engine.COMPUTE:
            made = inst.y if isinstance(inst, _Convolutions) else None
    return found


def _chained_cycles(inst: Instruction, made: View, target: Target) -> int | None:
    """Cycles of an instruction chained to what the array makes; None for one that cannot be.

    A look-up costs its issue; a sum or product also has to bring its other operand, within each PE.
    """
    if isinstance(inst, lir.Table) and inst.x == made:
        return target.issue_cycles
    if isinstance(inst, _Binaries) and made in (inst.a, inst.b):
        other = inst.b if inst.a == made else inst.a
        return target.issue_cycles + _ceil(_distinct_bytes(other), target.pes * target.exchange_bytes_per_cycle)
    return None


def operators(inst: Instruction, span: tuple[int, int], target: Target) -> tuple[Operator, ...]:
    """What the device reports of an instruction that takes ``span``, in order and without gaps.

    The device pads the input of a window in an operator of its own.
    """
    start, end = span
    padded = start + pad_cycles(inst, target)
    own = Operator(inst.label, padded, end)
    return (Operator(_PAD, start, padded), own) if padded > start else (own,)


def _ceil(amount: int, per: int) -> int:
    return -(-amount // per)


def transfer_cycles(count: int, target: Target) -> int:
    """``count`` bytes over the DRAM port: dma_setup + bytes * clock / bandwidth."""
    return target.dma_setup_cycles + _ceil(count * target.clock_hz, target.dram_bytes_per_second)


def activation_cycles(count: int, target: Target) -> int:
    """``count`` bytes of an activation over the DRAM port: its rows lie in the slices that work on them.

    To spread or collect them takes dma_setup + bytes / spread_bytes_per_cycle, where that is longer.
    """
    spread = target.dma_setup_cycles + _ceil(count, target.spread_bytes_per_cycle)
    return max(transfer_cycles(count, target), spread)


def vector_cycles(count: int, target: Target) -> int:
    """``count`` byte fetches by the vector units of all slices: bytes / (slices * vector_bytes_per_slice)."""
    return _ceil(count, target.slices * target.vector_bytes_per_slice)


def pad_cycles(inst: Instruction, target: Target) -> int:
    """Cycles to pad the input of a window, 0 where it needs no padding: issue + a fetch and a commit an element."""
    if not isinstance(inst, _Windows):
        return 0
    (n, h, w, c), (_, p, q, _) = inst.x.shape, inst.y.shape
    rows, columns = (
        (extent - 1) * stride + (kernel - 1) * dilation + 1
        for extent, stride, kernel, dilation in zip((p, q), inst.strides, inst.kernel, inst.dilations)
    )
    if inst.pads == (0, 0) and rows <= h and columns <= w:
        return 0
    return target.issue_cycles + vector_cycles(2 * n * rows * columns * c, target)


def _load(inst: lir.Load, target: Target) -> int:
    return _transfer(inst.dst, target)


def _store(inst: lir.Store, target: Target) -> int:
    return _transfer(inst.src, target)


def _transfer(view: View, target: Target) -> int:
    """What lies in one row (parameters) moves at the bandwidth of DRAM, an activation is spread over the slices."""
    rows = view.shape[0] * view.shape[1]
    return activation_cycles(view.size, target) if rows > 1 else transfer_cycles(view.size, target)


def _convolution(inst: lir.Conv2d, target: Target) -> int:
    """conv_start + ceil(blocks / slices) * (reduction + gathers) + taps * mac_rows / broadcast_bytes_per_cycle.

    The array of a slice computes one block at a time: ``mac_rows`` pixels side by side in one output row (a *strip*) by
    ``mac_columns`` output channels of one group. A row whose width is no multiple of ``mac_rows`` leaves units idle. A
    step of the reduction (kernel rows * columns * input channels of the group) takes one cycle. When the channels of
    the input are a part of a wider tensor, its pixels do not lie side by side: a block first gathers them, which takes
    ``gather_cycles`` for every input channel of the group, however many kernel positions then use it.

    Every tap (a kernel position of an input channel, for one strip) is broadcast to the slices that compute its output
    channels, over a network that all slices share. When there are more strips than ``broadcast_strips``, the slices
    have whole strips of their own and fetch the others' taps locally.
    """
    n, p, q, k = inst.y.shape
    strips = n * p * _ceil(q, target.mac_rows)
    blocks = strips * inst.groups * _ceil(k // inst.groups, target.mac_columns)
    reduction = inst.kernel[0] * inst.kernel[1] * (inst.x.shape[3] // inst.groups)
    gathers = inst.x.shape[3] // inst.groups * target.gather_cycles if _is_part(inst.x) else 0
    taps = reduction * inst.groups * min(strips, target.broadcast_strips)
    broadcast = _ceil(taps * target.mac_rows, target.broadcast_bytes_per_cycle)
    return target.conv_start_cycles + _ceil(blocks, target.slices) * (reduction + gathers) + broadcast


def _matmul(inst: lir.MatMul, target: Target) -> int:
    """A convolution of 1x1 for each matrix, after the second operand came over the exchange to where weights lie."""
    n, h, w, c = inst.y.shape
    strips = n * h * _ceil(w, target.mac_rows)
    blocks = strips * _ceil(c, target.mac_columns)
    taps = inst.a.shape[3] * min(strips, target.broadcast_strips)
    broadcast = _ceil(taps * target.mac_rows, target.broadcast_bytes_per_cycle)
    brought = _ceil(_distinct_bytes(inst.b), target.exchange_bytes_per_cycle)
    return target.conv_start_cycles + brought + _ceil(blocks, target.slices) * inst.a.shape[3] + broadcast


def _is_part(view: View) -> bool:
    """Whether a view shows some of the channels of a wider tensor."""
    return view.shape[2] > 1 and view.strides[2] != view.shape[3]


def _window(inst: lir.DepthwiseConv2d | lir.MaxPool2d | lir.AveragePool2d, target: Target) -> int:
    """window_start + one vector fetch a tap of every output: no two channels share an input, so MAC columns idle."""
    taps = inst.y.size * inst.kernel[0] * inst.kernel[1]
    return target.window_start_cycles + vector_cycles(taps, target)


def _add_window(inst: lir.AddAveragePool2d, target: Target) -> int:
    """window_start + two vector fetches a tap of every output."""
    taps = 2 * inst.y.size * inst.kernel[0] * inst.kernel[1]
    return target.window_start_cycles + vector_cycles(taps, target)


def _global_average(inst: lir.GlobalAveragePool, target: Target) -> int:
    """window_start + one vector fetch an input element."""
    return target.window_start_cycles + vector_cycles(inst.x.size, target)


def _interpolate(inst: lir.Interpolate, target: Target) -> int:
    """window_start + four vector fetches of every output, as a window of 2x2 has."""
    return target.window_start_cycles + vector_cycles(4 * inst.y.size, target)


def _binary(inst: lir.Add | lir.Sub | lir.Mul, target: Target) -> int:
    """issue + one operand over the exchange, which all slices share + the other and the result within each PE."""
    a, b, y = (_distinct_bytes(view) for view in (inst.a, inst.b, inst.y))
    shared = _ceil(a + b, target.exchange_bytes_per_cycle)
    return target.issue_cycles + shared + _ceil(y, target.pes * target.exchange_bytes_per_cycle)


def _sum(inst: lir.Sum, target: Target) -> int:
    """issue + all operands over the exchange, which all slices share + the result within each PE."""
    shared = _ceil(_distinct_bytes(inst.x), target.exchange_bytes_per_cycle)
    return target.issue_cycles + shared + _ceil(inst.y.size, target.pes * target.exchange_bytes_per_cycle)


def _distinct_bytes(view: View) -> int:
    """Bytes of a view without those that a stride of 0 repeats."""
    return prod(extent for extent, stride in zip(view.shape, view.strides) if stride)


def _table(inst: lir.Table, target: Target) -> int:
    """issue + one fetch an element; the table itself is looked up inside a slice."""
    return target.issue_cycles + vector_cycles(inst.y.size, target)


def _softmax(inst: lir.Softmax, target: Target) -> int:
    """issue + three passes: largest, sum of exponentials, quotient."""
    return target.issue_cycles + vector_cycles(_SOFTMAX_PASSES * inst.y.size, target)


def _reduce_l2(inst: lir.ReduceL2, target: Target) -> int:
    """issue + one fetch an input element."""
    return target.issue_cycles + vector_cycles(inst.x.size, target)


def _l2_normalize(inst: lir.L2Normalize, target: Target) -> int:
    """issue + two passes: sum of squares, quotient."""
    return target.issue_cycles + vector_cycles(_NORMALIZE_PASSES * inst.y.size, target)


def _copy(inst: lir.Copy, target: Target) -> int:
    """issue + a fetch and a commit an element, which nothing overlaps as there is no arithmetic between them."""
    return target.issue_cycles + vector_cycles(2 * prod(inst.shape), target)


def _fill(inst: lir.Fill, target: Target) -> int:
    """issue + a commit an element."""
    return target.issue_cycles + vector_cycles(inst.y.size, target)


_CYCLES: dict[type[Instruction], Callable[[Any, Target], int]] = {
    lir.Load: _load, lir.Store: _store, lir.Conv2d: _convolution, lir.DepthwiseConv2d: _window, lir.MatMul: _matmul,
    lir.MaxPool2d: _window, lir.AveragePool2d: _window, lir.GlobalAveragePool: _global_average,
    lir.AddAveragePool2d: _add_window, lir.Interpolate: _interpolate, lir.Add: _binary, lir.Sub: _binary,
    lir.Mul: _binary, lir.Sum: _sum, lir.Table: _table, lir.Softmax: _softmax, lir.ReduceL2: _reduce_l2,
    lir.L2Normalize: _l2_normalize, lir.Copy: _copy, lir.Fill: _fill,
}  # fmt: skip
