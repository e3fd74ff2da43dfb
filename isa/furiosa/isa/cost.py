"""Cycles of one instruction on a target: the only formulas of time; their constants stand in ``targets/warboy.toml``.

Every formula is a fixed start plus work divided by width, rounded up, so that more slices or more bandwidth never make
an instruction slower. Compared with the operator times that the vendor published for MobileNetV1 on both PEs fused:
15 convolutions take 55 us (published 80 us), 13 depthwise convolutions and the pool 19 us (published 20 us).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from furiosa.isa import instructions as lir
from furiosa.isa.instructions import Instruction
from furiosa.isa.target import Target

_SOFTMAX_PASSES = 3


def cycles(inst: Instruction, target: Target) -> int:
    """Clock cycles of the target from the start of an instruction to its end, when nothing else is in its way."""
    return _CYCLES[type(inst)](inst, target)


def _ceil(amount: int, per: int) -> int:
    return -(-amount // per)


def transfer_cycles(count: int, target: Target) -> int:
    """``count`` bytes over the DRAM port: dma_setup + bytes * clock / bandwidth."""
    return target.dma_setup_cycles + _ceil(count * target.clock_hz, target.dram_bytes_per_second)


def vector_cycles(count: int, target: Target) -> int:
    """``count`` byte fetches by the vector units of all slices: bytes / (slices * vector_bytes_per_slice)."""
    return _ceil(count, target.slices * target.vector_bytes_per_slice)


def _load(inst: lir.Load, target: Target) -> int:
    return transfer_cycles(inst.dst.size, target)


def _store(inst: lir.Store, target: Target) -> int:
    return transfer_cycles(inst.src.size, target)


def _convolution(inst: lir.Conv2d, target: Target) -> int:
    """issue + setup + ceil(blocks / slices) * reduction.

    A slice computes one block at a time: ``mac_rows`` pixels side by side in one output row, by ``mac_columns`` output
    channels of one group, one step of the reduction (kernel rows * columns * input channels of the group) a cycle. A
    row whose width is no multiple of ``mac_rows`` leaves units idle; that the width counts in steps of 32 is documented
    for this device (its MAC array is 32 wide), the rest of the schedule is assumed.
    """
    n, p, q, k = inst.y.shape
    columns = inst.groups * _ceil(k // inst.groups, target.mac_columns)
    blocks = n * p * _ceil(q, target.mac_rows) * columns
    reduction = inst.kernel[0] * inst.kernel[1] * (inst.x.shape[3] // inst.groups)
    return target.issue_cycles + target.conv_setup_cycles + _ceil(blocks, target.slices) * reduction


def _window(inst: lir.DepthwiseConv2d | lir.MaxPool2d | lir.AveragePool2d, target: Target) -> int:
    """issue + setup + one vector fetch a tap of every output: no two channels share an input, so MAC columns idle."""
    taps = inst.y.size * inst.kernel[0] * inst.kernel[1]
    return target.issue_cycles + target.depthwise_setup_cycles + vector_cycles(taps, target)


def _add_window(inst: lir.AddAveragePool2d, target: Target) -> int:
    """issue + setup + two vector fetches a tap of every output."""
    taps = 2 * inst.y.size * inst.kernel[0] * inst.kernel[1]
    return target.issue_cycles + target.depthwise_setup_cycles + vector_cycles(taps, target)


def _global_average(inst: lir.GlobalAveragePool, target: Target) -> int:
    """issue + setup + one vector fetch an input element."""
    return target.issue_cycles + target.depthwise_setup_cycles + vector_cycles(inst.x.size, target)


def _binary(inst: lir.Add | lir.Sub | lir.Mul, target: Target) -> int:
    """issue + a fetch from both operands."""
    return target.issue_cycles + vector_cycles(2 * inst.y.size, target)


def _table(inst: lir.Table, target: Target) -> int:
    """issue + one fetch an element; the table itself is looked up inside a slice."""
    return target.issue_cycles + vector_cycles(inst.y.size, target)


def _softmax(inst: lir.Softmax, target: Target) -> int:
    """issue + three passes: largest, sum of exponentials, quotient."""
    return target.issue_cycles + vector_cycles(_SOFTMAX_PASSES * inst.y.size, target)


def _copy(inst: lir.Copy, target: Target) -> int:
    """issue + a fetch and a commit an element, which nothing overlaps as there is no arithmetic between them."""
    return target.issue_cycles + vector_cycles(2 * prod(inst.shape), target)


def _fill(inst: lir.Fill, target: Target) -> int:
    """issue + a commit an element."""
    return target.issue_cycles + vector_cycles(inst.y.size, target)


_CYCLES: dict[type[Instruction], Callable[[Any, Target], int]] = {
    lir.Load: _load, lir.Store: _store, lir.Conv2d: _convolution, lir.DepthwiseConv2d: _window, lir.MaxPool2d: _window,
    lir.AveragePool2d: _window, lir.GlobalAveragePool: _global_average,
    lir.AddAveragePool2d: _add_window, lir.Add: _binary, lir.Sub: _binary, lir.Mul: _binary,
    lir.Table: _table, lir.Softmax: _softmax, lir.Copy: _copy, lir.Fill: _fill,
}  # fmt: skip
