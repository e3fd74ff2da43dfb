"""The native module beside its kernels: constants that change, several threads, wrong arguments, the C++ header."""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import encode
from furiosa.isa.enf import Port, Program
from furiosa.isa.instructions import Activation, CopyKind, Instruction, View
from furiosa.npu_sim.reference import Interpreter

native = pytest.importorskip("furiosa.npu_sim._native", reason="the native module is not built (no C++ compiler)")

SRAM = 1 << 17
DATA = 1 << 16
Bytes = NDArray[np.uint8]

LINE = (0,) * 5 + (1,)
TABLE = lir.Table(View.dense(0, (1, 4, 5, 6)), View.dense(1000, (1, 4, 5, 6)), DATA, 1)
AGAIN = replace(TABLE, y=View.dense(2000, (1, 4, 5, 6)))


def _load(address: int, source: int, size: int) -> lir.Load:
    return lir.Load(View.dense(address, (1, 1, 1, size)), source, (0, 0, 0, 1))


def _body(body: list[Instruction], constants: bytes) -> list[Instruction]:
    """All of SRAM below DATA from the input, the constants behind it, ``body``, then SRAM below DATA to the output."""
    base = len(constants)
    loads = [_load(0, base, DATA), *([_load(DATA, 0, base)] if base else [])]
    return [*loads, *body, lir.Store(View.dense(0, (1, 1, 1, DATA)), base + DATA, (0, 0, 0, 1))]


def _program(body: list[Instruction], constants: bytes) -> Program:
    base = len(constants)
    return Program(
        encode(body), constants, SRAM, base + 2 * DATA, (Port("x", base, DATA),), (Port("y", base + DATA, DATA),), ()
    )


def _machine(program: Program, kernels: str) -> Any:
    return native.Program(program.code, program.constants, program.sram_bytes, program.dram_bytes, kernels)


@pytest.mark.parametrize(
    "body",
    [
        [TABLE, _load(DATA, 256, 256), AGAIN],
        [TABLE, lir.Fill(View.dense(DATA + 100, (1, 1, 1, 1)), 77), AGAIN],
        [TABLE, lir.Fill(View.dense(DATA, (1, 1, 1, 200)), 77), AGAIN],
        [TABLE, lir.Fill(View.dense(DATA + 200, (1, 1, 1, 200)), 77), AGAIN],
        [
            TABLE,
            lir.Copy(3000, LINE, DATA + 100, LINE, (1,) * 5 + (256,), CopyKind.RESHAPE),
            replace(AGAIN, table=3000),
        ],
        [TABLE, _load(3000, 128, 256), replace(AGAIN, table=3000), _load(DATA + 8, 0, 8), replace(AGAIN, table=DATA)],
        [TABLE, lir.Store(View.dense(DATA, (1, 1, 1, 256)), 512, (0, 0, 0, 1)), _load(3000, 512, 256)],
    ],
    ids=["loaded over", "one byte", "first bytes", "last bytes", "copied", "elsewhere", "stored"],
)
def test_constants_that_change(body: list[Instruction]) -> None:
    rng = np.random.default_rng(5)
    constants = rng.integers(0, 256, 512, np.uint8).tobytes()
    whole = _body(body, constants)
    program = _program(whole, constants)
    x = rng.integers(0, 256, DATA, np.uint8)
    (expected,) = Interpreter(program, whole).run([x])
    for kernels in native.available():
        assert np.array_equal(_run(_machine(program, kernels), program, x, 1), expected), kernels


def _run(machine: Any, program: Program, x: Bytes, threads: int) -> Bytes:
    y = np.zeros(DATA, np.uint8)
    machine.run([(program.inputs[0].address, x)], [(program.outputs[0].address, y)], threads)
    return y


def test_one_program_on_several_threads() -> None:
    rng = np.random.default_rng(17)
    x, y = View.dense(0, (1, 64, 64, 8)), View.dense(DATA // 2, (1, 64, 64, 8))
    body = _body([lir.MaxPool2d(x, y, (3, 3), (1, 1), (1, 1), (1, 1), Activation.I8)], b"")
    program = _program(body, b"")
    machine = _machine(program, native.available()[-1])
    inputs = [rng.integers(0, 256, DATA, np.uint8) for _ in range(4)]
    outputs: list[list[Bytes]] = [[] for _ in inputs]

    def work(index: int) -> None:
        outputs[index] = [_run(machine, program, inputs[index], 1 + index % 2) for _ in range(5)]

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for image, results in zip(inputs, outputs):
        (expected,) = Interpreter(program, body).run([image])
        assert len(results) == 5
        assert all(np.array_equal(result, expected) for result in results)


def test_wrong_arguments() -> None:
    program = _program(_body([], b""), b"")
    best = native.available()[-1]
    machine = native.Program(program.code, program.constants, SRAM, program.dram_bytes, best)
    assert machine.kernels == best
    x = np.zeros(DATA, np.uint8)
    with pytest.raises(ValueError, match="outside the DRAM"):
        machine.run([(program.dram_bytes - 1, x)], [], 1)
    with pytest.raises(ValueError, match="threads"):
        machine.run([], [], 0)
    with pytest.raises(BufferError):
        machine.run([], [(0, bytes(4))], 1)
    with pytest.raises(ValueError, match="no kernels `mmx`"):
        native.Program(b"", b"", 0, 0, "mmx")
    with pytest.raises(ValueError, match="no kernels `mmx`"):
        native.peak("mmx")
    for cut in (1, 4, 11, 41, 75):
        with pytest.raises(ValueError, match="the code ends inside an instruction"):
            native.Program(program.code[:-cut], b"", SRAM, program.dram_bytes, best)
    with pytest.raises(ValueError, match="an opcode is unknown"):
        native.Program(b"\x7f" + program.code[1:], b"", SRAM, program.dram_bytes, best)
    with pytest.raises(ValueError, match="a body of the wrong size"):
        native.Program(b"\x10" + program.code[1:], b"", SRAM, program.dram_bytes, best)
    with pytest.raises(ValueError, match="bytes where"):
        native.quantize(x, np.zeros(3, np.uint8), 1.0, 0, False, 1)
    with pytest.raises(ValueError, match="1, 2 or 4 bytes"):
        native.nchw_to_nhwc(x, np.zeros_like(x), 1, 4, 8, DATA // 256, 8)


def test_header_is_current() -> None:
    folder = Path(__file__).parents[2] / "npu_sim" / "native"
    spec = importlib.util.spec_from_file_location("generate", folder / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.header() == (folder / "instructions.h").read_text(), "run npu_sim/native/generate.py"
