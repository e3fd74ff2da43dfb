"""Steps done band by band, tensors in lanes: results are those of one step after the other in SRAM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import encode
from furiosa.isa.enf import Port, Program
from furiosa.isa.instructions import Activation, BinaryForm, Instruction, View
from furiosa.npu_sim.reference import Interpreter

native = pytest.importorskip("furiosa.npu_sim._native", reason="the native module is not built (no C++ compiler)")

PLACE = 4096  # tensors begin at multiples of half of it, so that some overlap by half
PLACES = 14
DATA = PLACE * PLACES // 2 + 2 * PLACE
SHAPES = [(1, 16, 16, 16), (2, 8, 16, 16), (1, 16, 8, 16)]
DENSE = (0, 0, 0, 1)
WIDE = 32  # the bytes of a pixel where tensors are channels of a wider one


def _views(shape: tuple[int, ...]) -> st.SearchStrategy[View]:
    """Dense tensors, and halves of the channels of a tensor twice as wide."""
    n, h, w, c = shape
    dense = st.integers(0, PLACES - 1).map(lambda place: View.dense(place * PLACE // 2, (n, h, w, c)))
    pitches = (h * w * WIDE, w * WIDE, WIDE, 1)
    part = st.tuples(st.integers(0, PLACES - 4), st.booleans()).map(
        lambda drawn: View(drawn[0] * PLACE // 2 + 16 * drawn[1], (n, h, w, c), pitches)
    )
    return st.one_of(dense, part)


def _bytes(view: View) -> set[int]:
    grid = np.zeros(view.shape, np.int64)
    for axis, stride in enumerate(view.strides):
        grid += np.arange(view.shape[axis]).reshape([-1 if axis == other else 1 for other in range(4)]) * stride
    return set((view.address + grid).ravel().tolist())


@st.composite
def _instructions(draw: st.DrawFn) -> list[Instruction]:
    shape = draw(st.sampled_from(SHAPES))
    drawn: list[Instruction] = []
    for _ in range(draw(st.integers(2, 6))):
        a, b, y = draw(_views(shape)), draw(_views(shape)), draw(_views(shape))
        kind = draw(st.sampled_from(["pool", "table", "add"]))
        operands = [a, b] if kind == "add" else [a]
        if any(not _bytes(y).isdisjoint(_bytes(x)) and (kind == "pool" or x != y) for x in operands):
            continue  # no instruction changes what it still has to read
        u8 = Activation.U8
        if kind == "add":
            drawn.append(lir.Add(a, b, y, u8, u8, u8, 0.5, 3, 0.25, 7, 0.5, 9, BinaryForm.REAL, 0, 255))
        elif kind == "table":
            drawn.append(lir.Table(a, y, DATA, 1))
        else:
            drawn.append(lir.MaxPool2d(a, y, (3, 3), (1, 1), (1, 1), (1, 1), u8))
    return drawn


def _check(whole: list[Instruction], size: int, seed: int) -> None:
    """Runs a program that reads DATA bytes of DRAM behind the constants, and writes `size` bytes behind those."""
    rng = np.random.default_rng(seed)
    constants = rng.integers(0, 256, 256, np.uint8).tobytes()
    whole = [lir.Load(View.dense(DATA, (1, 1, 1, 256)), 0, DENSE), *whole]
    inputs, outputs = (Port("x", 256, DATA),), (Port("y", 256 + DATA, size),)
    program = Program(encode(whole), constants, DATA + 256, 256 + DATA + size, inputs, outputs, ())
    x = rng.integers(0, 256, DATA, np.uint8)
    (expected,) = Interpreter(program, whole).run([x])
    machine = native.Program(program.code, program.constants, program.sram_bytes, program.dram_bytes, "portable")
    y = np.empty(size, np.uint8)
    for threads in (1, 2, 5):
        machine.run([(256, x)], [(256 + DATA, y)], threads)
        assert np.array_equal(y, expected), threads


@given(_instructions(), st.integers(0, 3))
@settings(max_examples=300)
def test_bands_of_steps_that_share_memory(body: list[Instruction], seed: int) -> None:
    everything = View.dense(0, (1, 1, 1, DATA))
    _check([lir.Load(everything, 256, DENSE), *body, lir.Store(everything, 256 + DATA, DENSE)], DATA, seed)


@given(_instructions().filter(bool), st.integers(0, 3))
@settings(max_examples=300)
def test_what_lies_elsewhere_than_in_sram(body: list[Instruction], seed: int) -> None:
    """Where each place is loaded by itself and one result is stored, tensors need not keep their places."""
    places = range(0, DATA, PLACE // 2)
    loads = [lir.Load(View.dense(at, (1, 1, 1, PLACE // 2)), 256 + at, DENSE) for at in places]
    assert isinstance(body[-1], lir.Add | lir.Table | lir.MaxPool2d)
    result = body[-1].y
    _check([*loads, *body, lir.Store(result, 256 + DATA, View.dense(0, result.shape).strides)], result.size, seed)
