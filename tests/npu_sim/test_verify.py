"""Verification: legal programs pass, every kind of illegal one is refused by name, and nothing else ever happens."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import decode, encode
from furiosa.isa.enf import Origin, Port, Program
from furiosa.isa.errors import EnfError
from furiosa.isa.instructions import Activation, Instruction, View
from furiosa.isa.memory import Memory, Region
from furiosa.isa.target import target
from furiosa.npu_sim.lifetimes import Defined, share_a_byte
from furiosa.npu_sim.reference import Interpreter
from furiosa.npu_sim.verify import verify

WARBOY = target("warboy")
X = View.dense(0, (1, 4, 4, 8))
Y = View.dense(1024, (1, 4, 4, 8))
CONV = lir.Conv2d(
    x=X, y=Y, weights=512, bias=2048, multipliers=2112, kernel=(1, 1), strides=(1, 1), dilations=(1, 1), pads=(0, 0),
    groups=1, x_type=Activation.U8, y_type=Activation.U8, x_zero=0, y_zero=0, lo=0, hi=255, waits=(2,),
)  # fmt: skip
DEPTHWISE = lir.DepthwiseConv2d(**{f.name: getattr(CONV, f.name) for f in fields(lir.DepthwiseConv2d)})
CONSTANTS = bytes(256)


def program(*middle: Instruction, **changes: Any) -> Program:
    """Constants and input in, the instructions, ``Y`` out; all waits that this needs are those of the neighbours."""
    first = View.dense(512, (1, 1, 1, 64))
    second = View.dense(2048, (1, 1, 1, 256))
    loads = [
        lir.Load(dst=first, src=0, src_strides=first.strides),
        lir.Load(dst=second, src=0, src_strides=(0, 0, 0, 1)),
        lir.Load(dst=X, src=256, src_strides=X.strides),
    ]
    last = len(loads) + len(middle) - 1
    store = lir.Store(src=Y, dst=512, dst_strides=Y.strides, waits=(last,))
    code = encode([*loads, *middle, store])
    return replace(Program(code, CONSTANTS, 4096, 1024, (Port("x", 256, 128),), (Port("y", 512, 128),), ()), **changes)


POOL = lir.MaxPool2d(x=X, y=Y, kernel=(1, 1), strides=(1, 1), dilations=(1, 1), pads=(0, 0), type=Activation.U8,
                     waits=(2,))  # fmt: skip
MEAN = lir.AveragePool2d(
    x=X, y=Y, kernel=(1, 1), strides=(1, 1), dilations=(1, 1), pads=(0, 0), counted=(0, 0, 4, 4),
    x_type=Activation.U8, y_type=Activation.U8, x_scale=1.0, x_zero=0, y_scale=1.0, y_zero=0, waits=(2,),
)  # fmt: skip
ADD = lir.Add(
    a=X, b=X, y=Y, a_type=Activation.U8, b_type=Activation.U8, y_type=Activation.U8, a_scale=1.0, a_zero=0, b_scale=1.0,
    b_zero=0, y_scale=1.0, y_zero=0, form=lir.BinaryForm.REAL, lo=0, hi=255, waits=(2,),
)  # fmt: skip
RESIZED = lir.Interpolate(
    x=X, y=Y, extents=(4, 4), x_start=(0, 0), y_start=(0, 0), row_lead=0.5, row_factor=1.0, row_divisor=2.0,
    row_offset=-0.5, column_lead=0.0, column_factor=1.0, column_divisor=1.0, column_offset=0.0, x_type=Activation.U8,
    y_type=Activation.U8, x_scale=1.0, x_zero=0, y_scale=1.0, y_zero=0, waits=(2,),
)  # fmt: skip
TABLE = lir.Table(x=X, y=Y, table=2048, tables=1, waits=(2,))
COPY = lir.Copy(dst=1024, dst_strides=(0, 0, 0, 0, 0, 1), src=0, src_strides=(0, 0, 0, 0, 0, 1),
                shape=(1, 1, 1, 1, 1, 128), kind=lir.CopyKind.RESHAPE, waits=(2,))  # fmt: skip


def shaped(n: int, h: int, w: int, c: int) -> View:
    return View.dense(1024, (n, h, w, c))


ILLEGAL: list[tuple[Instruction, str]] = [
    (replace(CONV, y=replace(Y, address=4000)), "`y` lies at bytes 4000 to 4128 of SRAM, which has 4096"),
    (replace(CONV, x=replace(X, address=-1)), "`x` lies at bytes -1 to 127 of SRAM"),
    (replace(CONV, x=replace(X, shape=(1, 4, 0, 8))), "extents must be at least 1"),
    (replace(CONV, x=replace(X, strides=(128, -32, 8, 1))), "they must be 0 to 4096"),
    (replace(CONV, x=replace(X, shape=(2**30, 2**30, 2**30, 8), strides=(0, 0, 0, 1))), "elements, SRAM has 4096"),
    (replace(CONV, x=replace(X, strides=(128, 32, 8, 2))), "`x channel stride` is 2, a convolution demands 1"),
    (replace(CONV, y=shaped(1, 4, 5, 8)), "a window of 5 output columns lies outside the 4 columns"),
    (replace(CONV, y=shaped(2, 4, 4, 8)), "`y batch` is 2, the input demands 1"),
    (replace(CONV, pads=(1, 0)), "a window of 4 output rows lies outside the 4 rows"),
    (replace(CONV, groups=3), "`groups` is 3, it must divide 8 input and 8 output channels"),
    (replace(CONV, groups=0), "`groups` is 0, it must be 1 to 8"),
    (replace(CONV, kernel=(0, 1)), "`kernel rows` is 0, it must be 1 to 65536"),
    (replace(CONV, kernel=(300, 300)), "`products an output` is 720000, it must be 1 to 65536"),
    (replace(CONV, kernel=(2, 2), dilations=(60000, 60000)), "`elements of the padded input`"),
    (replace(CONV, strides=(0, 1)), "`stride of rows` is 0"),
    (replace(CONV, bias=2049), "`bias` is at byte 2049, which is not aligned to 4"),
    (replace(CONV, multipliers=2114), "`multipliers` is at byte 2114"),
    (replace(CONV, weights=4090), "`weights` lies at bytes 4090 to 4154"),
    (replace(CONV, x_zero=256), "`x_zero` is 256, it must be 0 to 255"),
    (replace(CONV, y_type=Activation.I8, lo=-128, hi=127, y_zero=128), "`y_zero` is 128, it must be -128 to 127"),
    (replace(CONV, hi=256), "`hi` is 256"),
    (replace(CONV, lo=9, hi=8), "`hi` is 8, it must be 9 to 255"),
    (replace(CONV, weights=800), "it reads byte 800 of SRAM, which nothing has written"),
    (replace(CONV, y=replace(Y, address=64)), "its result at byte 64 lies over its operand at byte 0"),
    (replace(CONV, waits=()), "it touches bytes of instruction 2 but does not wait for it"),
    (replace(CONV, waits=(3,)), "it waits for token 3, which is not that of an earlier instruction"),
    (replace(CONV, waits=(-1,)), "it waits for token -1"),
    (replace(CONV, y=replace(Y, strides=(128, 32, 0, 1))), "two elements written have one address"),
    (replace(CONV, w_zero=128), "`w_zero` is 128, it must be -128 to 127"),
    (replace(CONV, w_zero=1, kernel=(100, 100)), "`products an output` is 80000, it must be 1 to 32768"),
    (replace(CONV, multipliers=4004, rounding=lir.Rounding.FIXED), "`multipliers` lies at bytes 4004 to 4100"),
    (DEPTHWISE, "a depthwise convolution demands 8"),
    (replace(POOL, kernel=(2, 1), dilations=(6, 1), pads=(3, 0)), "has no tap inside the 4 rows"),
    (replace(POOL, y=shaped(1, 4, 4, 9)), "`y channels` is 9, the input demands 8"),
    (replace(POOL, kernel=(1000, 1000)), "`kernel elements` is 1000000"),
    (replace(MEAN, x_scale=float("nan")), "`x_scale` is nan, it must be finite and above 0"),
    (replace(MEAN, y_scale=0.0), "`y_scale` is 0.0"),
    (replace(MEAN, counted=(1, 0, 4, 4)), "`counted top row` is 1"),
    (replace(MEAN, counted=(0, 0, 3, 4)), "`counted end row` is 3"),
    (replace(MEAN, dilations=(2, 1)), "`dilations` is (2, 1), a mean demands (1, 1)"),
    (replace(RESIZED, column_factor=-1.0), "the coordinates of a column are (0.0, -1.0, 1.0, 0.0)"),
    (replace(RESIZED, row_divisor=0.0), "the divisor above 0"),
    (replace(RESIZED, row_factor=3e38, x_start=(5, 0)), "rows 3 to 3 of the image are read, `x` has 5 to 8"),
    (replace(RESIZED, row_lead=float("inf")), "they must be finite"),
    (replace(RESIZED, column_offset=float("nan")), "they must be finite"),
    (replace(RESIZED, extents=(0, 4)), "`extent in rows` is 0, it must be 1 to 1048576"),
    (replace(RESIZED, extents=(4, 2**30)), "`extent in columns` is 1073741824"),
    (replace(RESIZED, y_start=(0, -1)), "`first column of y` is -1"),
    (replace(RESIZED, y_start=(2**20, 0)), "`last row of y` is 1048579"),
    (replace(RESIZED, x_start=(1, 0)), "rows 0 to 2 of the image are read, `x` has 1 to 4"),
    (replace(RESIZED, x_start=(-9, 0)), "rows 0 to 2 of the image are read, `x` has -9 to -6"),
    (replace(RESIZED, extents=(4, 9), y_start=(0, 1)), "columns 1 to 5 of the image are read, `x` has 0 to 3"),
    (replace(RESIZED, y=shaped(1, 4, 4, 9)), "`y channels` is 9, the input demands 8"),
    (replace(RESIZED, y=shaped(2, 4, 4, 8)), "`y batch` is 2, the input demands 1"),
    (replace(RESIZED, framework=lir.Framework.TFLITE, y_zero=1), "an image of TFLITE demands"),
    (replace(ADD, b=replace(X, shape=(1, 4, 4, 1))), "`b shape` is (1, 4, 4, 1), the shape of `y` demands"),
    (replace(ADD, b_scale=float("inf")), "`b_scale` is inf"),
    (replace(ADD, form=lir.BinaryForm.SCALED, a_type=Activation.I8), "SCALED, which is for Add and Mul of operands of"),
    (replace(TABLE, tables=2), "`tables` is 2, it must be 1 or the 8 channels"),
    (replace(TABLE, table=4000), "`table` lies at bytes 4000 to 4256"),
    (replace(COPY, shape=(1, 1, 1, 1, 2**20, 128)), "elements, SRAM has 4096"),
    (replace(COPY, dst_strides=(0, 0, 0, 0, 0, 0)), "two elements written have one address"),
    (lir.Fill(y=Y, value=256), "`value` is 256, it must be 0 to 255"),
    (lir.Load(dst=Y, src=1000, src_strides=Y.strides), "bytes 1000 to 1128 of DRAM are read, only 0 to 1024 may be"),
    (lir.Load(dst=Y, src=200, src_strides=Y.strides), "bytes 200 to 328 of DRAM are read, the constants end at 256"),
    (lir.Load(dst=Y, src=-4, src_strides=Y.strides), "`src` is at byte -4"),
    (lir.Load(dst=Y, src=600, src_strides=Y.strides), "it reads byte 600 of DRAM, which nothing has written"),
    (lir.Store(src=X, dst=128, dst_strides=X.strides, waits=(2,)), "bytes 128 to 256 of DRAM are written, only 256 to"),
]  # fmt: skip


def test_the_examples_are_legal_before_they_are_changed() -> None:
    for inst in (CONV, POOL, MEAN, ADD, TABLE, COPY):
        assert len(verify(program(inst), WARBOY)) == 5


@pytest.mark.parametrize(("inst", "fact"), ILLEGAL, ids=[fact[:40] for _, fact in ILLEGAL])
def test_an_illegal_instruction_is_refused_by_name(inst: Instruction, fact: str) -> None:
    with pytest.raises(EnfError) as caught:
        verify(program(inst), WARBOY)
    named = f"instruction 3, `{type(inst).__name__}` (opcode {inst.opcode:#04x}): "
    assert named in str(caught.value) and fact in str(caught.value)


ILLEGAL_PROGRAMS: list[tuple[dict[str, Any], str]] = [
    ({"sram_bytes": WARBOY.sram_bytes + 1}, "it needs 16777217 bytes of SRAM, `warboy` has 16777216"),
    ({"dram_bytes": WARBOY.dram_bytes + 1}, "bytes of DRAM"),
    ({"dram_bytes": 100}, "it needs 100 bytes of DRAM for 256 bytes of constants"),
    ({"dram_bytes": 1 << 30}, "it declares 1073741824 bytes of DRAM, its tensors explain at most"),
    ({"inputs": (Port("x", 128, 128),)}, "port `x` lies at bytes 128 to 256 of DRAM, free are 256 to 1024"),
    ({"inputs": (Port("x", 256, 128), Port("z", 300, 100))}, "the inputs `x` and `z` share byte 300"),
    ({"outputs": (Port("y", 960, 128),)}, "port `y` lies at bytes 960 to 1088"),
    ({"outputs": (Port("y", 512, 0),)}, "port `y`"),
    ({"outputs": (Port("y", 512, 129),)}, "byte 640 of DRAM, in the output `y`, is never written"),
    ({"origins": (Origin(9, "node"),)}, "its origins name more than its 5 instructions"),
    ({"code": b"\0" * 16}, "instruction 0 cannot be read"),
]


@pytest.mark.parametrize(("changes", "fact"), ILLEGAL_PROGRAMS, ids=[fact[:40] for _, fact in ILLEGAL_PROGRAMS])
def test_an_illegal_program_is_refused(changes: dict[str, Any], fact: str) -> None:
    with pytest.raises(EnfError) as caught:
        verify(program(CONV, **changes), WARBOY)
    assert fact in str(caught.value)


def test_results_may_replace_an_operand_only_byte_for_byte() -> None:
    in_place = replace(TABLE, y=X)
    copied = replace(COPY, waits=())
    assert verify(program(in_place, copied), WARBOY)
    with pytest.raises(EnfError, match="lies over its operand"):
        verify(program(replace(in_place, y=replace(X, address=8))), WARBOY)


def test_interleaved_operand_and_result_do_not_collide() -> None:
    """A convolution that reads some channels of a buffer and writes others, as dense blocks do."""
    wide = (512, 128, 32, 1)
    x, y = View(0, (1, 4, 4, 8), wide), View(8, (1, 4, 4, 8), wide)
    fill = lir.Fill(y=x, value=1, waits=(2,))
    assert verify(program(fill, replace(CONV, x=x, y=y, weights=2048), replace(COPY, waits=())), WARBOY)


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_are_legal(seed: int, random_program: Callable[..., Program]) -> None:
    made = random_program(seed)
    assert encode(verify(made, WARBOY)) == made.code


def mutate(instructions: list[Instruction], rng: random.Random) -> None:
    """Change one number of one field of one instruction, or drop its waits."""
    index = rng.randrange(len(instructions))
    inst = instructions[index]
    field = rng.choice(fields(inst))
    value = getattr(inst, field.name)
    changes = [lambda v: v + 1, lambda v: v - 1, lambda v: 0, lambda v: -v, lambda v: v * 2, lambda v: v + 64]
    change: Callable[[Any], Any] = rng.choice(changes)
    if field.name == "waits":
        changed: Any = ()
    elif isinstance(value, View):
        part = rng.choice(["address", "shape", "strides"])
        old = getattr(value, part)
        changed = replace(value, **{part: change(old) if part == "address" else _one(old, change, rng)})
    elif isinstance(value, tuple):
        changed = _one(value, change, rng)
    elif isinstance(value, Activation | lir.BinaryForm | lir.CopyKind):
        changed = rng.choice(list(type(value)))
    else:
        changed = change(value)
    instructions[index] = replace(inst, **{field.name: changed})


def _one(values: tuple[int, ...], change: Callable[[Any], Any], rng: random.Random) -> tuple[int, ...]:
    at = rng.randrange(len(values))
    return (*values[:at], change(values[at]), *values[at + 1 :])


def survives(changed: Program) -> bool:
    """Whether the program passes; one that does must execute, and to equal bytes twice."""
    try:
        instructions = verify(changed, WARBOY)
    except EnfError:
        return False
    x = np.arange(changed.inputs[0].size, dtype=np.uint8)
    with np.errstate(all="ignore"):
        first, second = (Interpreter(changed, instructions).run([x]) for _ in range(2))
    assert all(map(np.array_equal, first, second))
    return True


@pytest.mark.parametrize("seed", range(120))
def test_mutated_programs_are_refused_or_execute(seed: int, random_program: Callable[..., Program]) -> None:
    rng = random.Random(seed)
    made = random_program(seed % 10, 12)
    for _ in range(8):
        instructions = list(decode(made.code))
        mutate(instructions, rng)
        try:
            survives(replace(made, code=encode(instructions)))
        except struct.error:
            continue


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 9), st.integers(0, 2**32), st.integers(1, 255))
def test_programs_with_a_flipped_byte_are_refused_or_execute(
    random_program: Callable[..., Program], seed: int, at: int, change: int
) -> None:
    made = random_program(seed, 12)
    code = bytearray(made.code)
    code[at % len(code)] ^= change
    survives(replace(made, code=bytes(code)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), *(st.tuples(st.integers(1, 4), st.integers(0, 12)) for _ in range(3))),
                min_size=2, max_size=8))  # fmt: skip
def test_defined_bytes_and_shared_bytes_are_exact(boxes: list[Any]) -> None:
    defined, bytes_defined = Defined(), set[int]()
    regions = [Region(Memory.SRAM, at, tuple(e for e, _ in axes), tuple(s for _, s in axes)) for at, *axes in boxes]
    touched = [
        {r.address + int(np.dot(i, r.strides)) for i in np.ndindex(r.shape)} for r in regions
    ]  # fmt: skip
    for region, bytes_touched in zip(regions, touched):
        missing = bytes_touched - bytes_defined
        assert defined.missing(region) == (min(missing) if missing else None)
        assert share_a_byte(region, regions[0]) == bool(bytes_touched & touched[0])
        assert not region.distinct or len(bytes_touched) == np.prod(region.shape)
        defined.add(region)
        bytes_defined |= bytes_touched
