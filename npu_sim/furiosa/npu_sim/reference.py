"""The reference interpreter: executes a program on NumPy, byte address by byte address, in poisoned memory.

It is the definition of what a program computes. Every read checks that its bytes were written before, so a wrong
address, lifetime or order shows as an error and not as a wrong number. The formulas are ``furiosa.isa.arithmetic``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray

from furiosa.isa import arithmetic
from furiosa.isa import instructions as lir
from furiosa.isa.arithmetic import Coordinates, Scaling
from furiosa.isa.enf import Program
from furiosa.isa.errors import InternalError
from furiosa.isa.instructions import Activation, Framework, Instruction, Rounding, Summation, View
from furiosa.isa.memory import Memory, Region, of_view

Array = NDArray[Any]

POISON = 0xA5
"""What memory holds before it is written."""


class Interpreter:
    """The two memories of one execution, and the instructions as methods on them.

    ``program`` must be verified and ``instructions`` be what it decodes to.
    """

    def __init__(self, program: Program, instructions: Sequence[Instruction]) -> None:
        self._program = program
        self._instructions = instructions
        self._data = {Memory.SRAM: _memory(program.sram_bytes), Memory.DRAM: _memory(program.dram_bytes)}
        self._defined = {memory: np.zeros(len(data), bool) for memory, data in self._data.items()}
        self._constants = len(program.constants)
        self._data[Memory.DRAM][: self._constants] = np.frombuffer(program.constants, np.uint8)
        self._defined[Memory.DRAM][: self._constants] = True
        self._now = "the host"

    def run(self, inputs: Sequence[Array], order: Iterable[int] | None = None) -> list[Array]:
        """Write the inputs, execute, read the outputs; arrays are uint8 of the ports' sizes.

        ``order`` is the order in which to execute the instructions, program order when None; orders that respect
        engines and waits give equal results. Raises InternalError naming the instruction that reads unwritten bytes.
        """
        for port, data in zip(self._program.inputs, inputs):
            self.write(Region(Memory.DRAM, port.address, (port.size,), (1,)), data)
        for index in range(len(self._instructions)) if order is None else order:
            inst = self._instructions[index]
            self._now = f"instruction {index}, `{type(inst).__name__}`"
            with np.errstate(all="ignore"):  # what overflows has a defined result
                _EXECUTE[type(inst)](self, inst)
        self._now = "the host"
        return [self.read(Region(Memory.DRAM, port.address, (port.size,), (1,))) for port in self._program.outputs]

    def read(self, region: Region) -> Array:
        """A copy of the bytes of a region, in its shape."""
        if not self._window(self._defined, region).all():
            raise self._error(region, "reads", "nothing has written")
        return self._window(self._data, region).copy()

    def write(self, region: Region, values: Array) -> None:
        """Write bytes of the region's shape."""
        if region.memory is Memory.DRAM and region.address < self._constants:
            raise self._error(region, "writes", "are constants")
        self._window(self._data, region)[...] = values
        self._window(self._defined, region)[...] = True

    def view(self, view: View, kind: Activation) -> Array:
        """The elements of a view as int8 or uint8."""
        return self.read(of_view(view)).view(kind.dtype.numpy_name)

    def put(self, view: View, values: Array) -> None:
        """Write int8 or uint8 elements to a view."""
        self.write(of_view(view), np.ascontiguousarray(values).view(np.uint8))

    def block(self, address: int, count: int, dtype: DTypeLike) -> Array:
        """``count`` elements that lie side by side in SRAM."""
        return self.read(Region(Memory.SRAM, address, (count * np.dtype(dtype).itemsize,), (1,))).view(dtype)

    def _window(self, memories: dict[Memory, Array], region: Region) -> Array:
        memory, start, end = region.interval
        if start < 0 or end > len(memories[memory]):
            raise self._error(region, "touches", "are outside")
        return as_strided(memories[memory][start:], region.shape, region.strides)

    def _error(self, region: Region, verb: str, fact: str) -> InternalError:
        memory, start, end = region.interval
        if fact == "nothing has written":
            start = self._first_undefined(region)
        return InternalError(f"{self._now} {verb} bytes {start} to {end} of {memory.name} that {fact}",
                             hint="please report this together with the model")  # fmt: skip

    def _first_undefined(self, region: Region) -> int:
        indices = np.argwhere(~self._window(self._defined, region))
        return int(region.address + (indices @ np.array(region.strides)).min())


def _memory(size: int) -> Array:
    return np.full(size, POISON, np.uint8)


def _type(kind: Activation) -> str:
    return kind.dtype.numpy_name


def _load(machine: Interpreter, inst: lir.Load) -> None:
    source = Region(Memory.DRAM, inst.src, inst.dst.shape, inst.src_strides)
    machine.write(of_view(inst.dst), machine.read(source))


def _store(machine: Interpreter, inst: lir.Store) -> None:
    machine.write(Region(Memory.DRAM, inst.dst, inst.src.shape, inst.dst_strides), machine.read(of_view(inst.src)))


def _fitted(
    x: Array, y: View, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int],
    pads: tuple[int, int],
) -> tuple[Array, tuple[int, int, int, int]]:  # fmt: skip
    """``x`` without the rows and columns that no window reads, and the pads (top, left, bottom, right) that give y."""
    ends = [(y.shape[1 + i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - pads[i] for i in (0, 1)]
    x = x[:, : ends[0], : ends[1]]
    return x, (pads[0], pads[1], max(0, ends[0] - x.shape[1]), max(0, ends[1] - x.shape[2]))


def _conv2d(machine: Interpreter, inst: lir.Conv2d) -> None:
    outputs, group = inst.y.shape[3], inst.x.shape[3] // inst.groups
    weights = machine.block(inst.weights, inst.weight_bytes, np.int8).reshape(outputs, *inst.kernel, group)
    _convolution(machine, inst, weights)


def _depthwise(machine: Interpreter, inst: lir.DepthwiseConv2d) -> None:
    weights = machine.block(inst.weights, inst.weight_bytes, np.int8).reshape(*inst.kernel, inst.y.shape[3])
    _convolution(machine, inst, weights.transpose(2, 0, 1)[..., None])


def _convolution(machine: Interpreter, inst: lir.Conv2d | lir.DepthwiseConv2d, weights: Array) -> None:
    x = machine.view(inst.x, inst.x_type)
    x, pads = _fitted(x, inst.y, inst.kernel, inst.strides, inst.dilations, inst.pads)
    bias = machine.block(inst.bias, inst.y.shape[3], np.int32)
    centred = weights if inst.w_zero == 0 else np.subtract(weights, inst.w_zero, dtype=np.int16)
    acc = arithmetic.conv2d_accumulate(
        x, centred, bias, inst.x_zero, inst.strides, inst.dilations, pads, inst.groups
    )  # fmt: skip
    clamp = inst.y_zero, _type(inst.y_type), inst.lo, inst.hi
    if isinstance(inst, lir.Conv2d) and inst.rounding is Rounding.FIXED:
        factors = machine.block(inst.multipliers, 3 * inst.y.shape[3], np.int32).reshape(-1, 3)
        machine.put(inst.y, arithmetic.fixed_requantize(acc, factors, *clamp))
        return
    multipliers = machine.block(inst.multipliers, inst.y.shape[3], np.float32)
    machine.put(inst.y, arithmetic.requantize(acc, multipliers, *clamp))


def _matmul(machine: Interpreter, inst: lir.MatMul) -> None:
    a, b = machine.view(inst.a, inst.a_type), machine.view(inst.b, inst.b_type)
    y = arithmetic.product(a, b, inst.multiplier, inst.a_zero, inst.b_zero, inst.y_zero, _type(inst.y_type), inst.lo,
                           inst.hi)  # fmt: skip
    machine.put(inst.y, y)


def _max_pool(machine: Interpreter, inst: lir.MaxPool2d) -> None:
    x = machine.view(inst.x, inst.type)
    x, pads = _fitted(x, inst.y, inst.kernel, inst.strides, inst.dilations, inst.pads)
    machine.put(inst.y, arithmetic.max_pool(x, inst.kernel, strides=inst.strides, pads=pads, dilations=inst.dilations))


def _counted(
    x: Array, zero: float, inst: lir.AveragePool2d | lir.AddAveragePool2d
) -> tuple[Array, tuple[int, int, int, int]]:
    """``x`` with all pixels that count, as far as windows reach, those outside ``x`` being ``zero``; and the new pads.

    After that exactly the pixels of the array count, which is how the arithmetic counts without its padding.
    """
    fitted, (top, left, bottom, right) = _fitted(x, inst.y, inst.kernel, inst.strides, (1, 1), inst.pads)
    first_row, first_column, end_row, end_column = inst.counted
    above, before = min(top, -first_row), min(left, -first_column)
    below, after = min(bottom, end_row - x.shape[1]), min(right, end_column - x.shape[2])
    rim = ((0, 0), (above, max(0, below)), (before, max(0, after)), (0, 0))
    filled = np.pad(fitted, rim, constant_values=zero)
    return filled, (top - above, left - before, bottom - rim[1][1], right - rim[2][1])


def _average_pool(machine: Interpreter, inst: lir.AveragePool2d) -> None:
    lite = inst.framework is Framework.TFLITE
    x, pads = _counted(machine.view(inst.x, inst.x_type), 0 if lite else inst.x_zero, inst)
    if lite:
        machine.put(inst.y, arithmetic.lite_average_pool(x, inst.kernel, inst.strides, pads))
        return
    qx, qy = Scaling(inst.x_scale, inst.x_zero), Scaling(inst.y_scale, inst.y_zero)
    if inst.x_type is inst.y_type:
        machine.put(inst.y, arithmetic.average_pool(x, qx, qy, inst.kernel, strides=inst.strides, pads=pads))
        return
    real = arithmetic.dequantize(x, inst.x_scale, inst.x_zero)
    mean = arithmetic.float_average_pool(real, inst.kernel, strides=inst.strides, pads=pads)
    machine.put(inst.y, arithmetic.quantize(mean, inst.y_scale, inst.y_zero, _type(inst.y_type)))


def _add_average_pool(machine: Interpreter, inst: lir.AddAveragePool2d) -> None:
    a = arithmetic.dequantize(machine.view(inst.a, inst.a_type), inst.a_scale, inst.a_zero)
    b = arithmetic.dequantize(machine.view(inst.b, inst.b_type), inst.b_scale, inst.b_zero)
    total, pads = _counted(np.fmax(a + b, np.float32(inst.floor)), 0.0, inst)
    mean = arithmetic.float_average_pool(total, inst.kernel, strides=inst.strides, pads=pads)
    machine.put(inst.y, arithmetic.quantize(mean, inst.y_scale, inst.y_zero, _type(inst.y_type)))


def _interpolate(machine: Interpreter, inst: lir.Interpolate) -> None:
    row = Coordinates(inst.row_lead, inst.row_factor, inst.row_divisor, inst.row_offset)
    column = Coordinates(inst.column_lead, inst.column_factor, inst.column_divisor, inst.column_offset)
    rows, columns = (
        arithmetic.neighbours(at, inst.y_start[i], inst.y.shape[1 + i], inst.extents[i]).inside(inst.x_start[i])
        for i, at in enumerate((row, column))
    )
    x = machine.view(inst.x, inst.x_type)
    if inst.framework is Framework.TFLITE:
        machine.put(inst.y, arithmetic.lite_interpolate(x, rows, columns))
        return
    qx, qy = Scaling(inst.x_scale, inst.x_zero), Scaling(inst.y_scale, inst.y_zero)
    machine.put(inst.y, arithmetic.interpolate(x, rows, columns, qx, qy, _type(inst.y_type)))


def _as_type(x: Array, zero: int, kind: Activation, other: Activation) -> tuple[Array, int]:
    """The same differences from the zero point, in another type: both move by 128."""
    if kind is other:
        return x, zero
    shift = 128 if other is Activation.U8 else -128
    return (x.view(np.uint8) ^ np.uint8(0x80)).view(_type(other)), zero + shift


def _global_average(machine: Interpreter, inst: lir.GlobalAveragePool) -> None:
    x, qy = machine.view(inst.x, inst.x_type), Scaling(inst.y_scale, inst.y_zero)
    if inst.summation is Summation.EXACT:
        x, zero = _as_type(x, inst.x_zero, inst.x_type, inst.y_type)
        machine.put(inst.y, arithmetic.global_average_pool(x, Scaling(inst.x_scale, zero), qy, inst.divisor))
        return
    real = arithmetic.dequantize(x, inst.x_scale, inst.x_zero)
    vectors = inst.summation is Summation.VECTORS
    total = arithmetic.vector_sum(real, inst.rows) if vectors else arithmetic.forward_sum(real)
    machine.put(inst.y, arithmetic.real_mean(total, inst.divisor, qy, _type(inst.y_type)))


def _softmax(machine: Interpreter, inst: lir.Softmax) -> None:
    x, _ = _as_type(machine.view(inst.x, inst.x_type), inst.x_zero, inst.x_type, inst.y_type)
    softmax = arithmetic.lite_softmax if inst.framework is Framework.TFLITE else arithmetic.softmax
    machine.put(inst.y, softmax(x, inst.x_scale, inst.y_scale, inst.y_zero))


def _norm(machine: Interpreter, inst: lir.ReduceL2 | lir.L2Normalize) -> None:
    formula = arithmetic.reduce_l2 if isinstance(inst, lir.ReduceL2) else arithmetic.l2_normalize
    qx, qy = Scaling(inst.x_scale, inst.x_zero), Scaling(inst.y_scale, inst.y_zero)
    machine.put(inst.y, formula(machine.view(inst.x, inst.x_type), qx, qy, _type(inst.y_type)))


def _binary(machine: Interpreter, inst: lir.Add | lir.Sub | lir.Mul) -> None:
    a, b = machine.view(inst.a, inst.a_type), machine.view(inst.b, inst.b_type)
    qa, qb = Scaling(inst.a_scale, inst.a_zero), Scaling(inst.b_scale, inst.b_zero)
    qy = Scaling(inst.y_scale, inst.y_zero)
    kind, to = _KINDS[type(inst)], _type(inst.y_type)
    machine.put(inst.y, arithmetic.binary(kind, inst.form, a, b, qa, qb, qy, to, lo=inst.lo, hi=inst.hi))


_KINDS: dict[type[Instruction], Literal["add", "sub", "mul"]] = {lir.Add: "add", lir.Sub: "sub", lir.Mul: "mul"}


def _sum(machine: Interpreter, inst: lir.Sum) -> None:
    xs = np.split(machine.view(inst.x, inst.x_type), inst.count)
    scales = machine.block(inst.scales, inst.count, np.float32)
    zeros = machine.block(inst.zeros, inst.count, _type(inst.x_type))
    scalings = [Scaling(float(scale), int(zero)) for scale, zero in zip(scales, zeros)]
    qy = Scaling(inst.y_scale, inst.y_zero)
    y = arithmetic.float_sum(xs, scalings, qy, _type(inst.y_type), factor=inst.factor, lo=inst.lo, hi=inst.hi)
    machine.put(inst.y, y)


def _table(machine: Interpreter, inst: lir.Table) -> None:
    entries = machine.block(inst.table, 256 * inst.tables, np.uint8)
    x = machine.view(inst.x, Activation.U8)
    if inst.tables > 1:
        entries = entries.reshape(inst.tables, 256)
    machine.put(inst.y, arithmetic.lookup(x, entries, np.uint8))


def _copy(machine: Interpreter, inst: lir.Copy) -> None:
    values = machine.read(Region(Memory.SRAM, inst.src, inst.shape, inst.src_strides))
    machine.write(Region(Memory.SRAM, inst.dst, inst.shape, inst.dst_strides), values)


def _fill(machine: Interpreter, inst: lir.Fill) -> None:
    machine.write(of_view(inst.y), np.full(inst.y.shape, inst.value, np.uint8))


_EXECUTE: dict[type[Instruction], Callable[[Interpreter, Any], None]] = {
    lir.Load: _load, lir.Store: _store, lir.Conv2d: _conv2d, lir.DepthwiseConv2d: _depthwise, lir.MatMul: _matmul,
    lir.MaxPool2d: _max_pool, lir.AveragePool2d: _average_pool, lir.GlobalAveragePool: _global_average,
    lir.AddAveragePool2d: _add_average_pool, lir.Interpolate: _interpolate, lir.Add: _binary, lir.Sub: _binary,
    lir.Mul: _binary, lir.Sum: _sum, lir.Table: _table, lir.Softmax: _softmax, lir.ReduceL2: _norm,
    lir.L2Normalize: _norm, lir.Copy: _copy, lir.Fill: _fill,
}  # fmt: skip
