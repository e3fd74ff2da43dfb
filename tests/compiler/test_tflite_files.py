"""TFLite files: the schema, and what is damaged or contradicts itself ends in an error of the model."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import flatbuffers
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler import tflite_cases, tflite_cpu_cases
from tests.compiler.tflite_network import network

from furiosa.compiler import compile_model
from furiosa.compiler.frontend.tflite.flatbuffer import Damaged
from furiosa.compiler.frontend.tflite.flexbuffer import numbers
from furiosa.compiler.frontend.tflite.model import read
from furiosa.compiler.frontend.tflite.schema import ACTIVATIONS, OPERATORS, OPTION_TYPES, OPTIONS, TYPES
from furiosa.isa.errors import ModelError, UnsupportedError
from tflite_writer import Writer


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x24\x01", b"\x25\x02", b"\x26\x04"]))
def test_options_of_custom_operators_are_numbers_or_damaged(head: bytes, tail: bytes) -> None:
    with suppress(Damaged):
        assert all(isinstance(value, int | float) for value in numbers(head + tail).values())


def test_options_of_custom_operators_are_read() -> None:
    options = {"a": 1, "b": -300, "c": 0.25, "d": True, "e": 1 << 40, "text": "no number", "f": 3.1}
    read = numbers(bytes(flexbuffers.Dumps(options)))
    del options["text"]
    assert read == options


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_end_in_an_error_of_the_model(seed: int) -> None:
    rng = random.Random(seed)
    names = list(tflite_cases.CASES)
    for _ in range(40):
        data = bytearray(tflite_cases.model(rng.choice(names), rng.choice(("int8", "uint8")), 0))
        _damage(data, rng)
        with suppress(ModelError, UnsupportedError):  # any other class fails the test
            compile_model(bytes(data), cache_enabled=False)


def _damage(data: bytearray, rng: random.Random) -> None:
    kind, at = rng.randrange(4), rng.randrange(8, len(data) - 4)
    if kind == 0:
        del data[at:]
    elif kind == 1:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        numbers = (0, len(data), 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(64), rng.randrange(2**32))
        data[at // 4 * 4 : at // 4 * 4 + 4] = rng.choice(numbers).to_bytes(4, "little")
    else:
        for _ in range(20):
            data[rng.randrange(8, len(data))] = rng.randrange(256)


_NUMBERS = (0, 1, -1, 2, 3, 127, 128, 255, 256, 32767, 1 << 20, 1 << 30, (1 << 31) - 1, -(1 << 31))


@pytest.mark.parametrize("seed", range(4))
def test_fields_of_other_values_end_in_an_error_of_the_model(seed: int) -> None:
    rng = random.Random(seed)
    cases = [*tflite_cases.CASES, *tflite_cpu_cases.CASES]
    for _ in range(40):
        name = rng.choice(cases)
        data = tflite_cases.model(name, "int8", 0) if name in tflite_cases.CASES else tflite_cpu_cases.model(name)
        with suppress(ModelError, UnsupportedError):
            compile_model(_altered(data, rng), cache_enabled=False)


def _altered(data: bytes, rng: random.Random) -> bytes:
    """The file with some field of a tensor, an operator or a small constant that is another number."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph, number = model.subgraphs[0], rng.choice(_NUMBERS)
    tensor, operator, kind = rng.choice(graph.tensors), rng.choice(graph.operators), rng.randrange(6)
    constants = [b for b in model.buffers if b.data is not None and 0 < len(b.data) < 64 and len(b.data) % 4 == 0]
    if kind == 0:
        tensor.shape = [rng.choice((*_NUMBERS, *(tensor.shape if tensor.shape is not None else ()))) for _ in range(4)]
    elif kind == 1:
        tensor.type = rng.choice((0, 1, 2, 3, 4, 6, 7, 9))
    elif kind == 2:
        operator.inputs = [rng.randrange(-1, len(graph.tensors)) for _ in operator.inputs]
    elif kind == 3 and operator.builtinOptions is not None:
        names = [name for name, value in vars(operator.builtinOptions).items() if type(value) is int]
        if names:
            setattr(operator.builtinOptions, rng.choice(names), number % 100)  # what a byte holds, too
    elif kind == 4 and constants:
        values = np.array(rng.choice(constants).data, np.uint8)
        values.view(np.int32)[rng.randrange(len(values) // 4)] = number
        rng.choice(constants).data = values
    else:
        code = rng.choice(model.operatorCodes)
        code.builtinCode = rng.randrange(len(OPERATORS))
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    return _packed(model)


def _packed(model: Any) -> bytes:
    builder: Any = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_an_operand_of_more_axes_than_the_result_is_refused() -> None:
    data = tflite_cases.model("ADD of a scalar", "uint8", 0)
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    given = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    given.shape = [*given.shape, 1]
    with pytest.raises(ModelError, match=r"`ADD_0` is not consistent: an operand of shape .* a result of 4 axes"):
        compile_model(_packed(model), cache_enabled=False)


def test_truncations_and_shared_vectors_are_refused() -> None:
    data = network()
    for size in range(8, len(data), 97):
        with pytest.raises(ModelError):
            compile_model(data[:size], cache_enabled=False)


INCONSISTENT: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "more channels": ((1, 6, 4, 5), (1, 3, 2, 7)),
    "no element of an endless shape": ((1, 6, 4, 5), (1 << 20, 1 << 20, 0, 255)),
    "more elements than memory": ((1, 6, 4, 5), (1, 1 << 16, 1 << 16, 5)),
}


@pytest.mark.parametrize("name", INCONSISTENT)
def test_shapes_that_no_result_has_are_refused(name: str) -> None:
    w, (shape, to) = Writer(), INCONSISTENT[name]
    x = w.input(shape, "int8", 0.1, 3)
    w.outputs = [w.tensor(to, "int8", 0.1, 3, data=np.zeros(0, np.int8) if 0 in to else None)]
    w.op("RESIZE_NEAREST_NEIGHBOR", [x, w.ints(3, 2)], w.outputs, halfPixelCenters=True)
    with pytest.raises(ModelError):
        compile_model(w.bytes(), cache_enabled=False)


def _numbers(cls: type) -> dict[int, str]:
    return {number: name for name, number in vars(cls).items() if isinstance(number, int)}


def test_the_schema_is_that_of_litert() -> None:
    codes = _numbers(schema.BuiltinOperator)
    assert tuple(codes[number] for number in range(len(OPERATORS))) == OPERATORS
    names = {"STRING": "str"}
    types = {number: names.get(name, name.lower()) for number, name in _numbers(schema.TensorType).items()}
    assert {number: types[number] for number in TYPES} == TYPES
    assert tuple(_numbers(schema.ActivationFunctionType)[number] for number in range(len(ACTIVATIONS))) == ACTIVATIONS
    for name, number in OPTION_TYPES.items():
        assert number == getattr(schema.BuiltinOptions, name)


@pytest.mark.parametrize("code", OPTIONS)
def test_options_are_read_from_where_the_schema_has_them(code: str) -> None:
    """Fields with values of their own are written by the schema's classes and read back."""
    kind, fields = OPTIONS[code]
    w = Writer()
    x = w.input((1, 1), "float32")
    w.outputs = [w.tensor((1, 1), "float32")]
    w.op(code, [x], w.outputs)
    table = getattr(schema, f"{kind}T")()
    values: dict[str, Any] = {}
    for number, (name, form, _) in enumerate(fields):
        if name in ("new_height", "new_width"):  # fields of the past, which are written no more
            continue
        values[name] = {"v": (3, 1), "f": 0.5, "?": 1}.get(form, number + 1)
        given = list(values[name]) if form == "v" else bool(values[name]) if form == "?" else values[name]
        camel = "".join(part.capitalize() for part in name.split("_"))
        setattr(table, camel[0].lower() + camel[1:], given)
    w.set_options(table, getattr(schema.BuiltinOptions, kind))
    found = read(w.bytes(), "here").operators[0].options
    assert {name: found[name] for name in values} == values
