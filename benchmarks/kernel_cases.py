"""What a kernel is given to do: an instruction in a memory of its own, or one of the host's steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import encode
from furiosa.isa.enf import Port, Program
from furiosa.isa.instructions import Instruction, View
from furiosa.isa.memory import regions
from furiosa.npu_sim.kernels import native
from furiosa.npu_sim.reference import Interpreter

Array = NDArray[Any]
Run = Callable[[int], Array]

POISON = 0xA5
REPEATS = 8


class Case(Protocol):
    """One thing that a kernel can be given to do."""

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations."""

    @property
    def bytes(self) -> int:
        """What it reads and writes."""

    def expected(self) -> Array:
        """All bytes of the result as the NumPy reference has them."""

    def bind(self, kernels: str) -> Run:
        """A function from a number of threads to the same bytes, made by these native kernels."""

    def timer(self, kernels: str, threads: int) -> Callable[[], float]:
        """A function that gives the seconds of one execution, averaged over a few in a row."""


@dataclass(frozen=True, slots=True)
class InstructionCase:
    """An instruction; ``data``, the bytes of SRAM from address 0 that it works on; the constants that lie behind them.

    The program around it loads all of ``data`` and stores all of it, so that a byte written beside the result shows.
    ``after`` follows the instruction: what brings a result that is not in SRAM there.
    """

    inst: Instruction
    data: Array
    constants: bytes
    after: tuple[Instruction, ...] = ()

    @staticmethod
    def constants_at(data_size: int) -> int:
        """The SRAM address of the constants."""
        return -(-data_size // 64) * 64

    @property
    def sram_bytes(self) -> int:
        return self.constants_at(self.data.size) + len(self.constants) if self.constants else self.data.size

    @property
    def macs(self) -> int:
        return self.inst.macs

    @property
    def bytes(self) -> int:
        touched = regions(self.inst)
        return sum(prod(region.shape) for region in touched.reads + touched.writes)

    def expected(self) -> Array:
        body = self._body(1)
        return np.asarray(Interpreter(self._program(body), body).run([self.data])[0])

    def bind(self, kernels: str) -> Run:
        program = self._program(self._body(1))
        machine = _machine(program, kernels)

        def run(threads: int) -> Array:
            y = np.full(self.data.size, POISON, np.uint8)
            machine.run([(program.inputs[0].address, self.data)], [(program.outputs[0].address, y)], threads)
            return y

        return run

    def timer(self, kernels: str, threads: int) -> Callable[[], float]:
        """The instruction stands `REPEATS` times in one program; what a program without it takes is subtracted."""
        machines = [_machine(self._program(self._body(repeats)[:-1]), kernels) for repeats in (0, REPEATS)]
        inputs = [(len(self.constants), self.data)]

        def seconds(machine: Any) -> float:
            start = time.perf_counter()
            machine.run(inputs, [], threads)
            return time.perf_counter() - start

        def measure() -> float:
            empty, full = (seconds(machine) for machine in machines)
            return (full - empty) / REPEATS

        return measure

    def _body(self, repeats: int) -> list[Instruction]:
        """Instructions that load, execute and, as the last one, store."""
        base, size = len(self.constants), self.data.size
        whole = View.dense(0, (1, 1, 1, size))
        body: list[Instruction] = [lir.Load(whole, base, whole.strides)]
        if base:
            view = View.dense(self.constants_at(size), (1, 1, 1, base))
            body.append(lir.Load(view, 0, view.strides))
        return [*body, *[self.inst] * repeats, *self.after, lir.Store(whole, base + size, whole.strides)]

    def _program(self, body: list[Instruction]) -> Program:
        base, size = len(self.constants), self.data.size
        inputs, outputs = (Port("x", base, size),), (Port("y", base + size, size),)
        return Program(encode(body), self.constants, self.sram_bytes, base + 2 * size, inputs, outputs, ())


def _machine(program: Program, kernels: str) -> Any:
    return _native().Program(program.code, program.constants, program.sram_bytes, program.dram_bytes, kernels)


def _native() -> Any:
    module = native()
    if module is None:
        raise RuntimeError("the native module is not built")
    return module


@dataclass(frozen=True, slots=True)
class HostCase:
    """A call ``function(x, y, *arguments, threads, kernels, **options)`` of the native module, and what ``y`` must be.

    Both lie ``offset`` bytes behind an aligned address: users may pass any array.
    """

    function: str
    x: Array
    y: Array
    arguments: tuple[Any, ...]
    offset: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        return 0

    @property
    def bytes(self) -> int:
        return self.x.nbytes + self.y.nbytes

    def expected(self) -> Array:
        return _bytes(self.y)

    def bind(self, kernels: str) -> Run:
        function = getattr(_native(), self.function)
        x = _memory(self.x.nbytes, self.offset)
        x[:] = _bytes(self.x)

        def run(threads: int) -> Array:
            y = _memory(self.y.nbytes, self.offset)
            function(x, y, *self.arguments, threads, kernels, **self.options)
            return y

        return run

    def timer(self, kernels: str, threads: int) -> Callable[[], float]:
        function, y = getattr(_native(), self.function), np.empty_like(self.y)

        def measure() -> float:
            start = time.perf_counter()
            for _ in range(REPEATS):
                function(self.x, y, *self.arguments, threads, kernels, **self.options)
            return (time.perf_counter() - start) / REPEATS

        return measure


def _memory(size: int, offset: int) -> Array:
    return np.full(offset + size, POISON, np.uint8)[offset:]


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)
