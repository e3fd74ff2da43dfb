"""The native kernels: every opcode, variant and number of threads gives the bytes of the reference interpreter."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import decode, encode
from furiosa.isa.enf import Port, Program
from furiosa.isa.instructions import INSTRUCTIONS, Activation, BinaryForm, CopyKind, Instruction, View
from furiosa.npu_sim.reference import Interpreter

native = pytest.importorskip("furiosa.npu_sim._native", reason="the native module is not built (no C++ compiler)")

SRAM = 1 << 17
DATA = 1 << 16
Bytes = NDArray[np.uint8]
Random = np.random.Generator


def _program(body: list[Instruction], constants: bytes = b"") -> Program:
    """All of SRAM below DATA from the input, the constants behind it, ``body``, all of SRAM to the output."""
    base = (len(constants) + 63) // 64 * 64
    constants = constants.ljust(base, b"\0")
    loads: list[Instruction] = [_load(0, base, DATA)]
    if constants:
        loads.append(_load(DATA, 0, base))
    store = lir.Store(View.dense(0, (1, 1, 1, DATA)), base + DATA, (0, 0, 0, 1))
    code = encode([*loads, *body, store])
    return Program(
        code, constants, SRAM, base + 2 * DATA, (Port("x", base, DATA),), (Port("y", base + DATA, DATA),), ()
    )


def _load(address: int, source: int, size: int) -> lir.Load:
    return lir.Load(View.dense(address, (1, 1, 1, size)), source, (0, 0, 0, 1))


def _reference(program: Program, x: Bytes) -> Bytes:
    return np.asarray(Interpreter(program, decode(program.code)).run([x])[0])


def _run(program: Program, kernels: str, threads: int, x: Bytes) -> Bytes:
    y = np.zeros(DATA, np.uint8)
    machine = native.Program(program.code, program.constants, program.sram_bytes, program.dram_bytes, kernels)
    machine.run([(program.inputs[0].address, x)], [(program.outputs[0].address, y)], threads)
    return y


def _check(rng: Random, body: list[Instruction], constants: bytes = b"") -> None:
    program = _program(body, constants)
    x = rng.integers(0, 256, DATA).astype(np.uint8)
    expected = _reference(program, x)
    for kernels in native.available():
        for threads in (1, 2):
            y = _run(program, kernels, threads, x)
            wrong = np.flatnonzero(y != expected)
            assert not len(wrong), f"{kernels}, {threads} threads: {len(wrong)} bytes differ, first {wrong[:5]}: {body}"


def _view(rng: Random, address: int, shape: tuple[int, int, int, int], dense_channels: bool = False) -> View:
    """A view with random gaps between its elements, sometimes none."""
    strides, reach = [0, 0, 0, 0], 1
    for axis in (3, 2, 1, 0):
        gap = 0 if dense_channels and axis == 3 else int(rng.choice([0, 0, 1, 5]))
        strides[axis] = reach + gap
        reach = strides[axis] * shape[axis]
    return View(address, shape, (strides[0], strides[1], strides[2], strides[3]))


def _type(rng: Random) -> Activation:
    return Activation(int(rng.integers(2)))


def _zero(rng: Random, kind: Activation) -> int:
    low = -128 if kind is Activation.I8 else 0
    return int(rng.choice([low, low + 255, low + 128, int(rng.integers(low, low + 256))]))


def _clamp(rng: Random, kind: Activation) -> tuple[int, int]:
    low = -128 if kind is Activation.I8 else 0
    if rng.integers(2):
        return low, low + 255
    lo, hi = sorted(int(v) for v in rng.integers(low, low + 256, 2))
    return lo, hi


def _scale(rng: Random) -> float:
    return float(np.float32(10 ** rng.uniform(-2.5, -0.5)))


def _windows(rng: Random, dilated: bool = True) -> tuple[Any, ...]:
    """Input extents, output extents, kernel, strides, dilations, pads."""
    inputs, outputs, windows = [], [], []
    for _ in range(2):
        kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        dilation = int(rng.integers(1, 4)) if dilated else 1
        reach = (kernel - 1) * dilation + 1
        before, after = (int(rng.integers(0, kernel)) for _ in range(2))
        size = int(rng.integers(reach, reach + 12))
        inputs.append(size)
        outputs.append((size + before + after - reach) // stride + 1)
        windows.append((kernel, stride, dilation, before))
    kernels, strides, dilations, pads = zip(*windows)
    return tuple(inputs), tuple(outputs), kernels, strides, dilations, pads


def _convolution(rng: Random, depthwise: bool) -> tuple[lir.Conv2d | lir.DepthwiseConv2d, bytes]:
    size, out, kernel, strides, dilations, pads = _windows(rng)
    groups = int(rng.choice([1, 1, 2, 3]))
    inputs, outputs = groups * int(rng.choice([1, 3, 4, 19, 40])), groups * int(rng.choice([1, 5, 16, 30, 70]))
    if depthwise:
        groups = inputs = int(rng.choice([1, 7, 16, 33]))
        outputs = groups * int(rng.choice([1, 1, 2]))
    batch = int(rng.integers(1, 3))
    per_group = inputs // groups
    count = outputs * kernel[0] * kernel[1] * per_group
    weights = rng.integers(-128, 128, count).astype(np.int8).tobytes()
    bias = rng.integers(-30000, 30000, outputs).astype(np.int32).tobytes()
    spread = 74 * 74 * np.sqrt(kernel[0] * kernel[1] * per_group)
    multipliers = (rng.uniform(20, 120, outputs) / spread).astype(np.float32).tobytes()
    weight_end = (len(weights) + 3) // 4 * 4
    constants = weights.ljust(weight_end, b"\0") + bias + multipliers
    x_type, y_type = _type(rng), _type(rng)
    lo, hi = _clamp(rng, y_type)
    cls = lir.DepthwiseConv2d if depthwise else lir.Conv2d
    inst = cls(
        x=_view(rng, 3, (batch, *size, inputs), dense_channels=True),
        y=_view(rng, DATA // 2 + 5, (batch, *out, outputs), dense_channels=True),
        weights=DATA, bias=DATA + weight_end, multipliers=DATA + weight_end + len(bias), kernel=kernel,
        strides=strides, dilations=dilations, pads=pads, groups=groups, x_type=x_type, y_type=y_type,
        x_zero=_zero(rng, x_type), y_zero=_zero(rng, y_type), lo=lo, hi=hi,
    )  # fmt: skip
    return inst, constants


def _fits(inst: Any) -> bool:
    return bool(inst.x.end <= DATA // 2 and inst.y.end <= DATA)


@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions(depthwise: bool) -> None:
    rng = np.random.default_rng(1 + depthwise)
    done = 0
    while done < 30:
        inst, constants = _convolution(rng, depthwise)
        if _fits(inst) and DATA + len(constants) <= SRAM:
            _check(rng, [inst], constants)
            done += 1


def test_convolution_with_weights_that_are_computed() -> None:
    rng = np.random.default_rng(3)
    for depthwise in (False, True):
        inst, constants = _convolution(rng, depthwise)
        while not _fits(inst) or len(constants) > 4096:
            inst, constants = _convolution(rng, depthwise)
        _check(rng, [lir.Fill(View.dense(DATA + 1, (1, 1, 1, 1)), 77), inst], constants)


def test_matrix_product_of_many_rows() -> None:
    rng = np.random.default_rng(4)
    inst, constants = _convolution(rng, False)
    while inst.kernel != (1, 1) or inst.groups > 1:
        inst, constants = _convolution(rng, False)
    rows = 13
    x = _view(rng, 0, (rows, 1, 1, inst.x.shape[3]), dense_channels=True)
    y = _view(rng, DATA // 2, (rows, 1, 1, inst.y.shape[3]), dense_channels=True)
    _check(rng, [replace(inst, x=x, y=y, strides=(1, 1), pads=(0, 0))], constants)


def test_constants_that_are_overwritten_or_copied() -> None:
    rng = np.random.default_rng(5)
    tables = rng.integers(0, 256, 512).astype(np.uint8).tobytes()
    x, y, z = (View.dense(at, (1, 4, 5, 6)) for at in (0, 1000, 2000))
    table = lir.Table(x, y, DATA, 1)
    _check(rng, [table, _load(DATA, 256, 256), replace(table, y=z)], tables)
    moved = lir.Copy(3000, (0,) * 5 + (1,), DATA + 100, (0,) * 5 + (1,), (1,) * 5 + (256,), CopyKind.RESHAPE)
    _check(rng, [table, moved, replace(table, y=z, table=3000)], tables)


def test_max_pool() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        size, out, kernel, strides, dilations, pads = _windows(rng, dilated=False)
        batch, channels = int(rng.integers(1, 3)), int(rng.choice([1, 5, 16, 35]))
        x = _view(rng, 0, (batch, *size, channels))
        y = _view(rng, DATA // 2, (batch, *out, channels))
        inst = lir.MaxPool2d(x, y, kernel, strides, dilations, pads, _type(rng))
        if _fits(inst):
            _check(rng, [inst])


def test_dilated_max_pool() -> None:
    rng = np.random.default_rng(7)
    x, y = View.dense(0, (2, 9, 11, 5)), View.dense(DATA // 2, (2, 5, 7, 5))
    _check(rng, [lir.MaxPool2d(x, y, (3, 3), (1, 1), (3, 3), (1, 1), Activation.I8)])


def _average(rng: Random, add: bool) -> lir.AveragePool2d | lir.AddAveragePool2d:
    size, out, kernel, strides, dilations, pads = _windows(rng, dilated=False)
    batch, channels = int(rng.integers(1, 3)), int(rng.choice([1, 5, 16, 35]))
    shape = (batch, *size, channels)
    whole = int(rng.integers(2))
    counted = tuple(-p * whole for p in pads) + tuple(s + 3 * whole for s in size)
    x_type, b_type, y_type = _type(rng), _type(rng), _type(rng)
    y = _view(rng, DATA // 2, (batch, *out, channels))
    common: dict[str, Any] = {
        "y": y, "kernel": kernel, "strides": strides, "dilations": dilations, "pads": pads, "counted": counted,
        "y_type": y_type, "y_scale": _scale(rng), "y_zero": _zero(rng, y_type),
    }  # fmt: skip
    if not add:
        return lir.AveragePool2d(
            x=_view(rng, 0, shape), x_type=x_type, x_scale=_scale(rng), x_zero=_zero(rng, x_type), **common
        )
    return lir.AddAveragePool2d(
        a=_view(rng, 0, shape), b=_view(rng, DATA // 4, shape), a_type=x_type, a_scale=_scale(rng),
        a_zero=_zero(rng, x_type), b_type=b_type, b_scale=_scale(rng), b_zero=_zero(rng, b_type),
        floor=float(rng.choice([0.0, -np.inf])), **common,
    )  # fmt: skip


@pytest.mark.parametrize("add", [False, True])
def test_average_pool(add: bool) -> None:
    rng = np.random.default_rng(8 + add)
    for _ in range(20):
        inst = _average(rng, add)
        if isinstance(inst, lir.AddAveragePool2d):
            fits = inst.a.end <= DATA // 4 and inst.b.end <= DATA // 2 and inst.y.end <= DATA
        else:
            fits = _fits(inst)
        if fits:
            _check(rng, [inst])


def test_global_average_pool() -> None:
    rng = np.random.default_rng(10)
    for channels in (1, 5, 64, 1100):
        for _ in range(3):
            shape = (2, *(int(v) for v in rng.integers(1, 4, 2)), channels)
            x_type, y_type = _type(rng), _type(rng)
            inst = lir.GlobalAveragePool(
                _view(rng, 0, shape), _view(rng, DATA // 2, (2, 1, 1, channels)), x_type, y_type, _scale(rng),
                _zero(rng, x_type), _scale(rng), _zero(rng, y_type),
            )  # fmt: skip
            if _fits(inst):
                _check(rng, [inst])


@pytest.mark.parametrize("cls", [lir.Add, lir.Sub, lir.Mul])
def test_binary(cls: type[lir.Add] | type[lir.Sub] | type[lir.Mul]) -> None:
    rng = np.random.default_rng(11)
    for round_ in range(24):
        shape = (2, *(int(v) for v in rng.integers(1, 9, 2)), int(rng.choice([1, 3, 17, 64])))
        form = BinaryForm.REAL if cls is lir.Sub else BinaryForm(round_ % 2)
        types = [_type(rng)] * 3 if form is BinaryForm.SCALED else [_type(rng) for _ in range(3)]
        a, b = _view(rng, 0, shape), _view(rng, DATA // 4, shape)
        if round_ % 3 == 0:
            kept = rng.integers(0, 2, 4)
            b = replace(b, strides=tuple(int(s * k) for s, k in zip(b.strides, kept)))
        y = _view(rng, DATA // 2, shape) if round_ % 4 else replace(a)
        scales = [_scale(rng) for _ in range(3)]
        if cls is lir.Mul:
            scales[2] = scales[0] * scales[1] * float(rng.uniform(20, 200))
        lo, hi = _clamp(rng, types[2])
        inst = cls(
            a, b, y, types[0], types[1], types[2], scales[0], _zero(rng, types[0]), scales[1], _zero(rng, types[1]),
            scales[2], _zero(rng, types[2]), form, lo, hi,
        )  # fmt: skip
        if a.end <= DATA // 4 and b.end <= DATA // 2:
            _check(rng, [inst])


@pytest.mark.parametrize("cls", [lir.Add, lir.Mul])
@pytest.mark.parametrize("form", list(BinaryForm))
def test_binary_on_all_pairs_of_bytes(cls: type[lir.Add] | type[lir.Mul], form: BinaryForm) -> None:
    rng = np.random.default_rng(12)
    pairs = View.dense(0, (1, 128, 256, 1))
    byte = np.arange(256, dtype=np.uint8).tobytes()
    for kind in Activation:
        scales = [_scale(rng), _scale(rng), _scale(rng)]
        low = -128 if kind is Activation.I8 else 0
        for half in (0, 128):
            a = View(DATA + half, pairs.shape, (0, 1, 0, 0))
            b = View(DATA, pairs.shape, (0, 0, 1, 0))
            inst = cls(
                a, b, pairs, kind, kind, kind, scales[0], _zero(rng, kind), scales[1], _zero(rng, kind), scales[2],
                _zero(rng, kind), form, low, low + 255,
            )  # fmt: skip
            _check(rng, [inst], byte)


def test_table() -> None:
    rng = np.random.default_rng(13)
    for channels in (1, 3, 16):
        for tables in {1, channels}:
            shape = (2, 3, 50, channels)
            x, y = _view(rng, 0, shape), _view(rng, DATA // 2, shape)
            _check(rng, [lir.Table(x, y, DATA, tables)], rng.integers(0, 256, 256 * tables).astype(np.uint8).tobytes())
    x = View.dense(0, (1, 1, 1, 5000))
    _check(rng, [lir.Table(x, x, 30000, 1)])


def test_softmax() -> None:
    rng = np.random.default_rng(14)
    for channels in (1, 2, 10, 1000, 3000):
        for _ in range(4):
            shape = (2, 1, 2, channels)
            x_type, y_type = _type(rng), _type(rng)
            inst = lir.Softmax(
                _view(rng, 0, shape), _view(rng, DATA // 2, shape), x_type, y_type, _scale(rng), _zero(rng, x_type),
                float(rng.choice([1 / 256, 1 / 255, 0.01, 0.001])), _zero(rng, y_type),
            )  # fmt: skip
            if _fits(inst):
                _check(rng, [inst])


def test_moves() -> None:
    rng = np.random.default_rng(15)
    for _ in range(15):
        shape = tuple(int(v) for v in rng.integers(1, 6, 6))
        order = rng.permutation(6)
        strides = [0] * 6
        reach = int(rng.integers(1, 3))
        for axis in order:
            strides[axis] = reach
            reach *= shape[axis]
        source = View.dense(0, shape[:4])
        dense = (*(s * shape[4] * shape[5] for s in source.strides), shape[5], 1)
        copy: Any = lir.Copy(DATA // 2 + 1, tuple(strides), 7, dense, shape, CopyKind.TRANSPOSE)
        fill = lir.Fill(_view(rng, DATA // 4, (2, 3, 4, 5)), int(rng.integers(256)))
        _check(rng, [copy, fill])


def test_strided_transfers() -> None:
    rng = np.random.default_rng(16)
    for _ in range(10):
        shape = (2, *(int(v) for v in rng.integers(1, 7, 3)))
        inner, outer = _view(rng, 100, shape), _view(rng, 0, shape)
        base = 64
        load = lir.Load(inner, base + 9, outer.strides)
        store = lir.Store(View(500, shape, outer.strides), base + DATA + 11, inner.strides)
        program = _program([load], bytes(64))
        code = program.code + encode([store])
        program = replace(program, code=code)
        x = rng.integers(0, 256, DATA).astype(np.uint8)
        expected = _reference(program, x)
        for threads in (1, 2):
            assert np.array_equal(_run(program, native.available()[-1], threads, x), expected)


def test_random_programs(random_program: Callable[..., Program]) -> None:
    for seed in range(12):
        program = random_program(seed)
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 256, program.inputs[0].size).astype(np.uint8)
        expected = Interpreter(program, decode(program.code)).run([x])
        for kernels in native.available():
            machine = native.Program(program.code, program.constants, program.sram_bytes, program.dram_bytes, kernels)
            for threads in (1, 2):
                results = [np.zeros(port.size, np.uint8) for port in program.outputs]
                ports = [(port.address, y) for port, y in zip(program.outputs, results)]
                machine.run([(program.inputs[0].address, x)], ports, threads)
                assert all(np.array_equal(y, e) for y, e in zip(results, expected)), (seed, kernels, threads)


def test_every_opcode_has_a_test() -> None:
    text = Path(__file__).read_text()
    for cls in INSTRUCTIONS.values():
        assert f"lir.{cls.__name__}" in text, f"`{cls.__name__}` has no test here"


def test_one_program_on_several_threads() -> None:
    rng = np.random.default_rng(17)
    inst, constants = _convolution(rng, False)
    while not _fits(inst):
        inst, constants = _convolution(rng, False)
    program = _program([inst], constants)
    machine = native.Program(
        program.code, program.constants, program.sram_bytes, program.dram_bytes, native.available()[-1]
    )
    inputs = [rng.integers(0, 256, DATA).astype(np.uint8) for _ in range(4)]
    outputs = [np.zeros((5, DATA), np.uint8) for _ in inputs]

    def work(index: int) -> None:
        for row in outputs[index]:
            ports = [(program.outputs[0].address, row)]
            machine.run([(program.inputs[0].address, inputs[index])], ports, 1 + index % 2)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for x, rows in zip(inputs, outputs):
        expected = _reference(program, x)
        assert all(np.array_equal(row, expected) for row in rows)


def test_wrong_arguments() -> None:
    program = _program([])
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
    for cut in (1, 4, 11, 41, 75):
        with pytest.raises(ValueError, match="the code ends inside an instruction"):
            native.Program(program.code[:-cut], b"", SRAM, program.dram_bytes, best)
    with pytest.raises(ValueError, match="an opcode is unknown"):
        native.Program(b"\x7f" + program.code[1:], b"", SRAM, program.dram_bytes, best)
    with pytest.raises(ValueError, match="a body of the wrong size"):
        native.Program(b"\x10" + program.code[1:], b"", SRAM, program.dram_bytes, best)


def test_quantize_and_dequantize() -> None:
    from furiosa.isa import arithmetic

    rng = np.random.default_rng(18)
    x = np.concatenate([
        rng.normal(0, 4, 40001), [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.5, 1.5, -2.5, 2.5e9, -0.0]
    ]).astype(np.float32)  # fmt: skip
    for dtype in (np.uint8, np.int8):
        for scale, zero in ((0.05, 3), (1.0, 0), (0.031, 127)):
            q = arithmetic.quantize(x, scale, zero, dtype)
            for threads in (1, 2):
                y, back = np.zeros(x.shape, dtype), np.zeros_like(x)
                native.quantize(x, y, scale, zero, dtype is np.int8, threads)
                assert np.array_equal(y, q)
                native.dequantize(q, back, scale, zero, dtype is np.int8, threads)
                assert np.array_equal(back, arithmetic.dequantize(q, scale, zero))
    with pytest.raises(ValueError, match="bytes where"):
        native.quantize(x, np.zeros(3, np.uint8), 1.0, 0, False, 1)


def test_layout() -> None:
    rng = np.random.default_rng(19)
    for n, c, h, w in ((1, 3, 5, 7), (2, 64, 33, 31), (3, 1, 4, 4)):
        for dtype in (np.uint8, np.int8, np.float32):
            x = rng.integers(0, 100, (n, c, h, w)).astype(dtype)
            for threads in (1, 2):
                y, back = np.zeros((n, h, w, c), dtype), np.zeros_like(x)
                native.nchw_to_nhwc(x, y, n, c, h, w, x.itemsize, threads)
                assert np.array_equal(y, x.transpose(0, 2, 3, 1))
                native.nhwc_to_nchw(y, back, n, c, h, w, x.itemsize, threads)
                assert np.array_equal(back, x)


def test_header_is_current() -> None:
    folder = Path(__file__).parents[2] / "npu_sim" / "native"
    spec = importlib.util.spec_from_file_location("generate", folder / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.header() == (folder / "instructions.h").read_text(), "run npu_sim/native/generate.py"
