"""The reference interpreter: semantics by brute force, poisoned memory, and independence of time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from furiosa.isa import instructions as lir
from furiosa.isa.cost import cycles
from furiosa.isa.encoding import decode, encode
from furiosa.isa.enf import Port, Program
from furiosa.isa.errors import InternalError
from furiosa.isa.instructions import Activation, Instruction, View
from furiosa.isa.memory import regions
from furiosa.isa.target import target
from furiosa.isa.timeline import schedule
from furiosa.npu_sim.operands import check
from furiosa.npu_sim.reference import Interpreter

Array = NDArray[Any]
WARBOY = target("warboy")
SHAPE = (2, 5, 6, 4)
GEOMETRIES = [
    {"kernel": (3, 3), "strides": (1, 1), "dilations": (1, 1), "pads": (1, 1), "out": (5, 6)},
    {"kernel": (3, 2), "strides": (2, 3), "dilations": (1, 1), "pads": (0, 1), "out": (2, 2)},
    {"kernel": (2, 3), "strides": (1, 2), "dilations": (3, 2), "pads": (2, 1), "out": (4, 2)},
    {"kernel": (1, 1), "strides": (2, 2), "dilations": (1, 1), "pads": (0, 0), "out": (3, 3)},
    {"kernel": (5, 6), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0), "out": (1, 1)},
]


def execute(instructions: list[Instruction], y: View, constants: bytes = b"") -> Array:
    """Run with ``constants`` in SRAM from byte 4096 on; the bytes of ``y`` at the end."""
    block = View.dense(4096, (1, 1, 1, max(1, len(constants))))
    load = [lir.Load(dst=block, src=0, src_strides=block.strides)] if constants else []
    store = lir.Store(src=y, dst=8192, dst_strides=View.dense(0, y.shape).strides)
    program = [*load, *instructions, store]
    enf = Program(encode(program), constants, 16384, 16384, (), (Port("y", 8192, y.size),), ())
    return Interpreter(enf, program).run([])[0].reshape(y.shape)


def random_input(seed: int, kind: Activation) -> tuple[Array, View, list[Instruction]]:
    """A random tensor and the instructions that put it to SRAM byte 0, one byte each."""
    x = np.random.default_rng(seed).integers(0, 256, SHAPE, np.uint8)
    view = View.dense(0, SHAPE)
    fills: list[Instruction] = [
        lir.Fill(y=View.dense(i, (1, 1, 1, 1)), value=int(value)) for i, value in enumerate(x.reshape(-1))
    ]
    return x.view(kind.dtype.numpy_name), view, fills


def windows(geometry: dict[str, Any], extents: tuple[int, int]) -> Iterator[tuple[int, int, list[tuple[int, ...]]]]:
    """For each output its (kernel row, kernel column, input row, input column), those inside the input."""
    for p in range(geometry["out"][0]):
        for q in range(geometry["out"][1]):
            taps = [
                (r, s, p * geometry["strides"][0] - geometry["pads"][0] + r * geometry["dilations"][0],
                 q * geometry["strides"][1] - geometry["pads"][1] + s * geometry["dilations"][1])
                for r in range(geometry["kernel"][0]) for s in range(geometry["kernel"][1])
            ]  # fmt: skip
            yield p, q, [tap for tap in taps if 0 <= tap[2] < extents[0] and 0 <= tap[3] < extents[1]]


def operands_of(geometry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in geometry.items() if name != "out"}


@pytest.mark.parametrize("kind", list(Activation))
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("groups", "depthwise"), [(1, False), (2, False), (4, True)])
def test_convolution(kind: Activation, geometry: dict[str, Any], groups: int, depthwise: bool) -> None:
    x, view, fills = random_input(1, kind)
    rng = np.random.default_rng(2)
    kh, kw = geometry["kernel"]
    per_group, outputs = 4 // groups, 8
    w = rng.integers(-128, 128, (outputs, kh, kw, per_group), np.int8)
    bias = rng.integers(-9000, 9000, outputs).astype(np.int32)
    factors = rng.uniform(1e-4, 1e-2, outputs).astype(np.float32)
    stored = w[..., 0].transpose(1, 2, 0) if depthwise else w
    constants = bias.tobytes() + factors.tobytes() + stored.tobytes()
    y = View.dense(1024, (2, *geometry["out"], outputs))
    zero = 3
    cls = lir.DepthwiseConv2d if depthwise else lir.Conv2d
    inst = cls(
        x=view, y=y, bias=4096, multipliers=4096 + 32, weights=4096 + 64, groups=groups, x_type=kind, y_type=kind,
        x_zero=zero, y_zero=5, lo=-90 if kind is Activation.I8 else 10, hi=120, **operands_of(geometry),
    )  # fmt: skip
    expected = np.zeros(y.shape, np.int64)
    for p, q, taps in windows(geometry, (5, 6)):
        for n in range(2):
            for k in range(outputs):
                first = k // (outputs // groups) * per_group
                acc = int(bias[k])
                for r, s, h, v in taps:
                    inputs = x[n, h, v, first : first + per_group].astype(int) - zero
                    acc += int(inputs @ w[k, r, s].astype(int))
                scaled = int(np.rint(np.float32(acc) * factors[k])) + 5
                expected[n, p, q, k] = min(max(scaled, inst.lo), inst.hi)
    result = execute([*fills, inst], y, constants).view(kind.dtype.numpy_name)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("kind", list(Activation))
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_max_pool(kind: Activation, geometry: dict[str, Any]) -> None:
    x, view, fills = random_input(3, kind)
    y = View.dense(1024, (2, *geometry["out"], 4))
    result = execute([*fills, lir.MaxPool2d(x=view, y=y, type=kind, **operands_of(geometry))], y)
    for p, q, taps in windows(geometry, (5, 6)):
        inside = np.array([x[:, h, v] for _, _, h, v in taps])
        np.testing.assert_array_equal(result.view(x.dtype)[:, p, q], inside.max(axis=0))


@pytest.mark.parametrize("y_type", list(Activation))
@pytest.mark.parametrize("counted", [(0, 0, 5, 6), (-1, 0, 6, 6), (-1, -1, 6, 7), (-50, -50, 50, 50)])
@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if g["dilations"] == (1, 1)])
def test_average_pool_divides_by_what_counts(
    geometry: dict[str, Any], counted: tuple[int, int, int, int], y_type: Activation
) -> None:
    x, view, fills = random_input(4, Activation.U8)
    y = View.dense(1024, (2, *geometry["out"], 4))
    inst = lir.AveragePool2d(
        x=view, y=y, counted=counted, x_type=Activation.U8, y_type=y_type, x_scale=0.5, x_zero=100, y_scale=0.25,
        y_zero=20, **operands_of(geometry),
    )  # fmt: skip
    result = execute([*fills, inst], y).view(y_type.dtype.numpy_name)
    kh, kw = geometry["kernel"]
    for p, q, taps in windows(geometry, (5, 6)):
        top, left = (p * geometry["strides"][0] - geometry["pads"][0], q * geometry["strides"][1] - geometry["pads"][1])
        rows = min(top + kh, counted[2]) - max(top, counted[0])
        columns = min(left + kw, counted[3]) - max(left, counted[1])
        total = sum((x[:, h, v].astype(np.float32) - 100) * np.float32(0.5) for _, _, h, v in taps)
        mean = np.asarray(total) / np.float32(rows * columns)
        low, high = (0, 255) if y_type is Activation.U8 else (-128, 127)
        scaled = mean / np.float32(0.25)
        rounded = np.rint(scaled + 20) if y_type is Activation.U8 else np.rint(scaled) + 20
        np.testing.assert_array_equal(result[:, p, q], np.clip(rounded, low, high))


def test_residual_head_adds_clamps_and_averages() -> None:
    x, view, fills = random_input(5, Activation.I8)
    y = View.dense(1024, (2, 1, 1, 4))
    quantization = {"a_type": Activation.I8, "b_type": Activation.I8, "y_type": Activation.I8, "a_scale": 0.5,
                    "a_zero": 3, "b_scale": 0.25, "b_zero": -7, "y_scale": 0.5, "y_zero": 1}  # fmt: skip
    for floor in (0.0, float("-inf")):
        inst = lir.AddAveragePool2d(a=view, b=view, y=y, counted=(0, 0, 5, 6), floor=floor,
                                    **quantization, **operands_of(GEOMETRIES[-1]))  # fmt: skip
        total = np.maximum((x.astype(float) - 3) * 0.5 + (x.astype(float) + 7) * 0.25, floor)
        expected = np.clip(np.rint(total.mean(axis=(1, 2)) / 0.5) + 1, -128, 127)
        result = execute([*fills, inst], y).view(np.int8)[:, 0, 0]
        np.testing.assert_array_equal(result, expected)


def test_copies_tables_and_broadcasts_move_the_right_bytes() -> None:
    x, view, fills = random_input(6, Activation.U8)
    y = View.dense(1024, (2, 6, 5, 4))
    sn, sh, sw, sc = y.strides
    turned = lir.Copy(dst=1024, dst_strides=(0, 0, sn, sw, sh, sc), src=0, src_strides=(0, 0, *view.strides),
                      shape=(1, 1, *SHAPE), kind=lir.CopyKind.TRANSPOSE)  # fmt: skip
    np.testing.assert_array_equal(execute([*fills, turned], y), x.transpose(0, 2, 1, 3))
    tables = np.random.default_rng(7).integers(0, 256, (4, 256), np.uint8)
    y = View.dense(1024, SHAPE)
    result = execute([*fills, lir.Table(x=view, y=y, table=4096, tables=4)], y, tables.tobytes())
    np.testing.assert_array_equal(result, np.stack([tables[c][x[..., c]] for c in range(4)], axis=-1))
    row = View(0, SHAPE, (0, 0, 0, 1))
    unit = {"a_type": Activation.U8, "b_type": Activation.U8, "y_type": Activation.U8, "a_scale": 1.0, "a_zero": 0,
            "b_scale": 1.0, "b_zero": 0, "y_scale": 1.0, "y_zero": 0, "lo": 0, "hi": 200}  # fmt: skip
    result = execute([*fills, lir.Add(a=view, b=row, y=y, form=lir.BinaryForm.REAL, **unit)], y)
    np.testing.assert_array_equal(result, np.minimum(x.astype(int) + x[0, 0, 0].astype(int), 200))


def test_mixed_types_mean_the_same_numbers() -> None:
    x, view, fills = random_input(8, Activation.U8)
    y = View.dense(1024, (2, 1, 1, 4))
    common = {"x": view, "x_scale": 0.5, "y_scale": 1.0, "y_type": Activation.I8, "y_zero": -100}
    mixed = lir.GlobalAveragePool(y=y, x_type=Activation.U8, x_zero=7, divisor=x.shape[1] * x.shape[2], **common)
    means = (x.astype(float) - 7).mean(axis=(1, 2)) * 0.5
    np.testing.assert_array_equal(execute([*fills, mixed], y).view(np.int8)[:, 0, 0], np.rint(means) - 100)
    y = View.dense(1024, SHAPE)
    soft = lir.Softmax(y=y, x_type=Activation.U8, x_zero=7, **(common | {"y_scale": 1 / 256, "x_scale": 0.01}))
    exponentials = np.exp(x * 0.01)
    expected = exponentials / exponentials.sum(axis=-1, keepdims=True) * 256 - 100
    assert np.abs(execute([*fills, soft], y).view(np.int8) - np.minimum(expected, 127)).max() <= 1


def test_reading_what_nothing_has_written_names_instruction_and_byte() -> None:
    y = View.dense(128, (1, 1, 1, 64))
    half = lir.Fill(y=View.dense(0, (1, 1, 1, 32)), value=1)
    copy = lir.Table(x=View.dense(0, (1, 1, 1, 64)), y=y, table=4096, tables=1)
    with pytest.raises(InternalError, match=r"instruction 2, `Table` reads bytes 32 to 64 of SRAM that nothing"):
        execute([half, copy], y, bytes(256))


def test_writing_to_constants_is_an_error() -> None:
    program = [lir.Fill(y=View.dense(0, (1, 1, 1, 4)), value=1),
               lir.Store(src=View.dense(0, (1, 1, 1, 4)), dst=0, dst_strides=(4, 4, 4, 1))]  # fmt: skip
    enf = Program(encode(program), bytes(64), 64, 64, (), (), ())
    with pytest.raises(InternalError, match="are constants"):
        Interpreter(enf, program).run([])


def random_order(program: tuple[Instruction, ...], rng: random.Random) -> list[int]:
    return schedule(program, WARBOY, [rng.choice([0, 1, 10, 1000]) for _ in program]).order


@pytest.mark.parametrize("seed", range(25))
def test_random_latencies_never_change_data(seed: int, random_program: Callable[..., Program]) -> None:
    program = random_program(seed)
    instructions = decode(program.code)
    x = np.random.default_rng(seed).integers(0, 256, program.inputs[0].size, np.uint8)
    expected = Interpreter(program, instructions).run([x])
    for trial in range(4):
        order = random_order(instructions, random.Random(trial))
        for y, result in zip(expected, Interpreter(program, instructions).run([x], order)):
            np.testing.assert_array_equal(y, result)


def test_random_latencies_find_missing_waits(random_program: Callable[..., Program]) -> None:
    """The test above can fail: without waits, data does change."""
    found = 0
    for seed in range(5):
        program = random_program(seed)
        instructions = decode(program.code)
        unordered = tuple(replace(inst, waits=()) for inst in instructions)
        x = np.random.default_rng(seed).integers(0, 256, program.inputs[0].size, np.uint8)
        expected = Interpreter(program, instructions).run([x])
        try:
            results = Interpreter(program, instructions).run([x], random_order(unordered, random.Random(seed)))
            found += not all(map(np.array_equal, expected, results))
        except InternalError:
            found += 1
    assert found == 5


def test_every_opcode_is_complete(random_program: Callable[..., Program]) -> None:
    """A new instruction needs a place in the random programs, hence in hazards, rules and execution; and its cycles."""
    programs = [random_program(seed) for seed in range(25)]
    found = {type(inst): inst for program in programs for inst in decode(program.code)}
    assert set(found) == set(lir.INSTRUCTIONS.values())
    for program in programs:
        Interpreter(program, decode(program.code)).run([np.zeros(port.size, np.uint8) for port in program.inputs])
    for inst in found.values():
        assert regions(inst).writes
        assert cycles(inst, WARBOY) > 0
        check(inst, WARBOY.sram_bytes)
        assert inst.label and inst.macs >= 0
