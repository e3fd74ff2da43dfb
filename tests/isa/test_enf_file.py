"""Compiled files that are damaged or hostile: refused with a message by the reader, the runner and the device."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from tests.compiler.quantized_nets import mixed, tiny

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.isa.dtypes import DType
from furiosa.isa.enf import Dequantize, Enf, Lower, Origin, Quantize, RunCpu, RunNpu, Tensor, Unlower
from furiosa.isa.errors import EnfError, FuriosaError
from furiosa.runtime.failures import FuriosaRuntimeError
from furiosa.runtime.sync import create_runner


@cache
def file(name: str = "tiny") -> bytes:
    return compile_model({"tiny": tiny, "mixed": mixed}[name]()).enf


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated host of its own."""
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    for name in ("FURIOSA_DEVICES", "NPU_DEVNAME", "FURIOSA_SIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def refused(data: bytes) -> FuriosaError:
    """The error with which a runner refuses a model; afterwards the device is free again."""
    with pytest.raises(FuriosaRuntimeError) as caught:
        create_runner(data).close()
    assert caught.value.exit_status == 2
    return caught.value


def packed(body: Any) -> bytes:
    """The file of `mixed` with this body and the right checksum."""
    data = body if isinstance(body, bytes) else msgpack.packb(body)
    head = msgpack.unpackb(file("mixed"))
    checksum = zlib.crc32(head["constants"], zlib.crc32(data)).to_bytes(4, "big")
    return bytes(msgpack.packb(head | {"checksum": checksum, "body": data}))


def test_every_changed_byte_is_refused() -> None:
    """Every byte of the file, with a flipped bit, inverted, and as zero: never read as anything else."""
    data = file()
    random_bits = random.Random(0)
    for at, byte in enumerate(data):
        for new in {byte ^ (1 << random_bits.randrange(8)), byte ^ 0xFF, 0} - {byte}:
            with pytest.raises(EnfError):
                enf.load(data[:at] + bytes([new]) + data[at + 1 :])


def test_every_value_of_the_first_bytes_is_refused() -> None:
    data = file()
    for at in range(32):
        for new in set(range(256)) - {data[at]}:
            with pytest.raises(EnfError):
                enf.load(data[:at] + bytes([new]) + data[at + 1 :])


def test_every_truncation_and_extension_is_refused() -> None:
    data = file()
    for end in range(len(data)):
        with pytest.raises(EnfError):
            enf.load(data[:end])
    for extra in (b"\0", b"\xc0", data):
        with pytest.raises(EnfError):
            enf.load(data + extra)


@pytest.mark.usefixtures("host")
def test_runners_refuse_damaged_files(tmp_path: Path) -> None:
    data = file()
    for damaged in (b"", data[:1], data[:20], data[:-1], data[:9] + b"X" + data[10:], data[:-9] + b"X" + data[-8:],
                    b"\0" * 100, b"text\n", b"\xff" * 1000):  # fmt: skip
        assert refused(damaged).hint
        (tmp_path / "model.enf").write_bytes(damaged)
        with pytest.raises(FuriosaRuntimeError, match=r".") as caught:
            create_runner(tmp_path / "model.enf")
        assert "model.enf" in (caught.value.where or "") + caught.value.message
    with create_runner(data) as runner:
        assert runner.run(np.zeros((1, 3, 8, 8), np.float32))[0].shape == (1, 3)


def test_hostile_msgpack_is_refused() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    bodies: tuple[Any, ...] = (b"", deep, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
                 b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xc1", b"\xd5\xff\0\0", {}, [], None, 1,
                 {"is": "Enf"}, {1: 2}, {"is": ["Enf"]})  # fmt: skip
    for body in bodies:
        with pytest.raises(EnfError, match="malformed"):
            enf.load(packed(body))
    for head in (deep, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", msgpack.packb({"magic": "ENF"})):
        with pytest.raises(EnfError):
            enf.load(head)


def _values(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place inside a body: the container and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _values(item)


WRONG: tuple[Any, ...] = (None, -1, 2**31, 2**62, 3.5, float("nan"), "", "x", b"", b"\0\0", [], {}, True)


def test_every_field_of_a_wrong_type_is_refused_or_read_as_it_is() -> None:
    """A right checksum over any wrong value: an EnfError, or a file that still is a typed ENF."""
    body = msgpack.unpackb(msgpack.unpackb(file("mixed"))["body"])
    for container, key in list(_values(body)):
        old = container[key]
        for wrong in WRONG:
            container[key] = wrong
            with suppress(EnfError):
                loaded = enf.load(packed(body))
                assert type(loaded) is Enf
                assert enf.dump(enf.load(enf.dump(loaded))) == enf.dump(loaded)
        container[key] = old


@pytest.mark.usefixtures("host")
def test_every_wrong_value_is_refused_by_the_runner_or_harmless() -> None:
    """The same, loaded and run on the device: numbers, names and bytes of the right type but wrong."""
    body = msgpack.unpackb(msgpack.unpackb(file("mixed"))["body"])
    x = np.zeros((1, 3, 12, 12), np.float32)
    choose = random.Random(1)
    places = [(container, key) for container, key in _values(body) if key not in ("report", "made_by", "is")]
    for container, key in places:
        old = container[key]
        candidates: dict[type, tuple[Any, ...]] = {
            int: (-1, 0, 1, 7, 2**31, 2**62), float: (0.0, -1.0, 1e300, float("nan"), float("inf")),
            str: ("", "x", "nothing"), bytes: (b"", old[:-1] if isinstance(old, bytes) else b"", b"\0" * 64),
            list: ([], old[:-1] if isinstance(old, list) else [], old * 2 if isinstance(old, list) else []),
        }  # fmt: skip
        for wrong in choose.sample(candidates.get(type(old), ()), min(2, len(candidates.get(type(old), ())))):
            if wrong == old:
                continue
            container[key] = wrong
            # It is refused, or the interface is another one and the input does not fit.
            with suppress(FuriosaRuntimeError, ValueError, TypeError), create_runner(packed(body)) as runner:
                runner.run(x)
        container[key] = old
    with create_runner(packed(body)) as runner:
        assert runner.run(x)[0].shape == (1, 4, 12, 12)


def _steps(model: Enf, kind: type) -> Any:
    return next(step for step in model.steps if isinstance(step, kind))


def _exchanged(model: Enf, old: object, *new: Any) -> Enf:
    at = model.steps.index(old)
    return replace(model, steps=(*model.steps[:at], *new, *model.steps[at + 1 :]))


def hostile() -> dict[str, tuple[Enf, str]]:
    """Files that are typed and checksummed but impossible, and a word of the message that refuses each."""
    good = enf.load(file("mixed"))
    npu, cpu, lower, unlower, quantize, dequantize = (
        _steps(good, kind) for kind in (RunNpu, RunCpu, Lower, Unlower, Quantize, Dequantize)
    )  # fmt: skip
    program, tensor = good.programs[0], good.tensors[0]

    def programmed(**changes: Any) -> Enf:
        return replace(good, programs=(replace(program, **changes), *good.programs[1:]))

    return {
        "unknown target": (replace(good, target="warboy-9pe"), "warboy-9pe"),
        "another target": (replace(good, target="warboy"), "warboy"),
        "no steps": (replace(good, steps=()), "before it has a value"),
        "program number": (_exchanged(good, npu, replace(npu, program=99)), "no program 99"),
        "negative program": (_exchanged(good, npu, replace(npu, program=-1)), "no program -1"),
        "CPU model number": (_exchanged(good, cpu, replace(cpu, model=7)), "no CPU model 7"),
        "unknown tensor": (_exchanged(good, lower, replace(lower, x="ghost")), "ghost"),
        "step twice": (_exchanged(good, lower, lower, lower), "not a tensor without a value yet"),
        "too few ports": (_exchanged(good, npu, replace(npu, inputs=())), "ports"),
        "scale zero": (_exchanged(good, quantize, replace(quantize, scale=0.0)), "scale"),
        "scale NaN": (_exchanged(good, dequantize, replace(dequantize, scale=float("nan"))), "scale"),
        "zero point": (_exchanged(good, quantize, replace(quantize, zero_point=300)), "zero point"),
        "layout": (_exchanged(good, lower, replace(lower, nchw=(1, 1, 1, 1))), "layouts"),
        "negative layout": (_exchanged(good, unlower, replace(unlower, nchw=(-1, -8, 12, 12))), "layouts"),
        "two tensors of a name": (replace(good, tensors=(*good.tensors, tensor)), "same name"),
        "negative shape": (replace(good, tensors=(replace(tensor, shape=(-2, 3, 12, 12)), *good.tensors[1:])), "nega"),
        "unknown size": (replace(good, tensors=(replace(tensor, shape=(-1, 3, 12, 12)), *good.tensors[1:])), "known"),
        "huge shape": (replace(good, tensors=(replace(tensor, shape=(2**40,) * 4), *good.tensors[1:])), "shape"),
        "wrong type": (replace(good, tensors=(replace(tensor, dtype=DType.I64), *good.tensors[1:])), "casts"),
        "code cut off": (programmed(code=program.code[:-1]), "cannot be read"),
        "unknown opcode": (programmed(code=b"\xee" + program.code[1:]), "opcode"),
        "no code": (programmed(code=b""), "never written"),
        "no constants": (programmed(constants=b""), "legal"),
        "much SRAM": (programmed(sram_bytes=2**40), "SRAM"),
        "little SRAM": (programmed(sram_bytes=1), "legal"),
        "much DRAM": (programmed(dram_bytes=2**33), "DRAM"),
        "port far away": (
            programmed(inputs=(replace(program.inputs[0], address=2**40),)), "DRAM",
        ),
        "long origins": (programmed(origins=(Origin(10**9, "x"),)), "origins"),
        "garbage as CPU model": (replace(good, cpu_models=(b"\xff garbage",)), "ONNX Runtime"),
        "empty CPU model": (replace(good, cpu_models=(b"",)), "ONNX Runtime"),
    }  # fmt: skip


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("case", hostile())
def test_hostile_files_are_refused(case: str) -> None:
    model, word = hostile()[case]
    error = refused(enf.dump(model))
    assert word in error.message, error.message


@pytest.mark.usefixtures("host")
def test_a_cpu_model_that_gives_something_else_is_noticed() -> None:
    """Another shape, type or name than the steps after it expect: an error when it runs, never memory of others."""
    from onnx import TensorProto, helper

    good = enf.load(file("mixed"))
    (step,) = (step for step in good.steps if isinstance(step, RunCpu))
    (source,), (result,) = step.inputs, step.outputs
    given = next(tensor for tensor in good.tensors if tensor.name == source)
    wanted = next(tensor for tensor in good.tensors if tensor.name == result)
    kinds = {DType.F32: TensorProto.FLOAT, DType.U8: TensorProto.UINT8, DType.I8: TensorProto.INT8}

    def model(target: list[int], kind: int, name: str) -> bytes:
        """Sum everything, as ``kind`` broadcast to ``target``."""
        nodes = [
            helper.make_node("Cast", [source], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["real"], ["sum"], keepdims=0),
            helper.make_node("Expand", ["sum", "shape"], ["wide"]),
            helper.make_node("Cast", ["wide"], [name], to=kind),
        ]
        info = [helper.make_tensor_value_info(source, kinds[given.dtype], given.shape),
                helper.make_tensor_value_info(name, kind, target)]  # fmt: skip
        shape = helper.make_tensor("shape", TensorProto.INT64, [len(target)], target)
        graph = helper.make_graph(nodes, "g", info[:1], info[1:], [shape])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(made.SerializeToString())

    x = np.zeros((1, 3, 12, 12), np.float32)
    right, shape = kinds[wanted.dtype], list(wanted.shape)
    for data in (model([1, 1, 1, 1], right, result), model([1], right, result), model([5, *shape], right, result),
                 model(shape, TensorProto.DOUBLE, result), model(shape, right, "other")):  # fmt: skip
        hostile_file = enf.dump(replace(good, cpu_models=(data,)))
        with pytest.raises((FuriosaError, ValueError, TypeError)), create_runner(hostile_file) as runner:
            runner.run(x)
    with create_runner(enf.dump(replace(good, cpu_models=(model(shape, right, result),)))) as runner:
        assert runner.run(x)[0].shape == (1, 4, 12, 12)


def test_interface_tensors_have_every_type() -> None:
    """What the reader gives back is typed all through."""
    model = enf.load(file("mixed"))
    assert [type(tensor) for tensor in model.tensors] == [Tensor] * len(model.tensors)
    assert all(type(tensor.dtype) is DType for tensor in model.tensors)
    assert all(type(size) is int for tensor in model.tensors for size in tensor.shape)
