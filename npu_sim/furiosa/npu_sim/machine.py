"""The machine: a verified program, ready to be executed any number of times by the chosen kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.enf import Port, Program
from furiosa.isa.env import THREADS
from furiosa.isa.errors import OptionError
from furiosa.isa.instructions import Instruction
from furiosa.isa.target import Target
from furiosa.npu_sim.kernels import REFERENCE, choose, kernels_name, native
from furiosa.npu_sim.verify import verify

__all__ = ["Machine", "kernels_name"]

Array = NDArray[Any]


class Machine:
    """Executes one program. Construction verifies it; every call of ``run`` has memory of its own.

    ``kernels`` is ``auto``, ``reference`` or a native variant (default: FURIOSA_SIM_KERNELS), ``threads`` how many
    threads one execution uses (default: FURIOSA_SIM_THREADS); the result depends on neither. Raises EnfError for an
    illegal program and OptionError for kernels that are not available here.
    """

    def __init__(
        self, program: Program, target: Target, kernels: str | None = None, threads: int | None = None
    ) -> None:
        self.program = program
        self.kernels = choose(kernels)
        self.instructions: tuple[Instruction, ...] = verify(program, target)
        self._threads = threads or THREADS.get()
        self._native = self._prepare()

    def _prepare(self) -> Any:
        module = native()
        if module is None or self.kernels == REFERENCE:
            return None
        p = self.program
        return module.Program(p.code, p.constants, p.sram_bytes, p.dram_bytes, self.kernels)

    @property
    def native(self) -> Any:
        """The program in the native module; None where the reference executes."""
        return self._native

    def run(self, inputs: Sequence[Array], outputs: Sequence[Array] | None = None) -> list[Array]:
        """One execution: an array for each input port in, one for each output port out.

        Arrays have one-byte elements in the NPU's layout, dense, exactly as many as the port has bytes; their shape is
        not looked at. ``outputs`` receives the results; without it they are fresh one-dimensional uint8 arrays. Raises
        OptionError for arrays that do not fit the ports.
        """
        sources = [_bytes(np.ascontiguousarray(array), port) for array, port in _paired(inputs, self.program.inputs)]
        if outputs is None:
            outputs = [np.empty(port.size, np.uint8) for port in self.program.outputs]
        results = [_bytes(array, port) for array, port in _paired(outputs, self.program.outputs)]
        if self._native is None:
            self._interpret(sources, results)
        else:
            self._native.run(
                [(port.address, array) for port, array in zip(self.program.inputs, sources)],
                [(port.address, array) for port, array in zip(self.program.outputs, results)],
                self._threads,
            )
        return list(outputs)

    def _interpret(self, sources: Sequence[Array], results: Sequence[Array]) -> None:
        from furiosa.npu_sim.reference import Interpreter

        for result, data in zip(results, Interpreter(self.program, self.instructions).run(sources)):
            result[...] = data


def _paired(arrays: Sequence[Array], ports: Sequence[Port]) -> list[tuple[Array, Port]]:
    if len(arrays) != len(ports):
        raise OptionError(f"{len(arrays)} arrays are given for the {len(ports)} ports of the program")
    return list(zip(arrays, ports))


def _bytes(array: Array, port: Port) -> Array:
    """The array's memory as one-dimensional uint8."""
    if array.itemsize != 1 or array.size != port.size or not array.flags.c_contiguous:
        raise OptionError(f"the array for `{port.tensor}` has {array.size} elements of {array.dtype}, "
                          f"{port.size} dense one-byte elements are expected")  # fmt: skip
    return array.reshape(-1).view(np.uint8)
