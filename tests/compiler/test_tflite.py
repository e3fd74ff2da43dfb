"""TFLite models: every operator against LiteRT, the interface that users see, and files that are damaged."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
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
from tests.compiler.tflite_peer import LiteRT

from furiosa.compiler import compile_model
from furiosa.compiler.frontend.tflite.flatbuffer import Damaged
from furiosa.compiler.frontend.tflite.flexbuffer import numbers
from furiosa.compiler.frontend.tflite.schema import ACTIVATIONS, OPERATORS, OPTION_TYPES, OPTIONS, TYPES
from furiosa.isa.errors import ModelError, OptionError, UnsupportedError
from furiosa.runtime.sync import create_runner
from tflite_writer import Writer

_EXACT = [(name, dtype) for name in tflite_cases.CASES for dtype in ("int8", "uint8")]


@pytest.mark.parametrize(("name", "dtype"), _EXACT)
def test_operators_give_the_bits_of_litert(name: str, dtype: str) -> None:
    for seed in range(2):
        data = tflite_cases.model(name, dtype, seed)
        report, results = _run(data, np.random.default_rng(seed + 100))
        for got, want in results:
            np.testing.assert_array_equal(got, want)
        assert report["cpu_clusters"] == 0


@pytest.mark.parametrize("name", tflite_cpu_cases.CASES)
def test_operators_of_the_cpu_give_what_litert_gives(name: str) -> None:
    data = tflite_cpu_cases.model(name)
    report, results = _run(data, np.random.default_rng(5))
    for got, want in results:
        if want.dtype.kind == "f" and not name.startswith("TFLite_"):
            near = tflite_cpu_cases.COARSE.get(name, 2e-5)
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=near)
        else:
            np.testing.assert_array_equal(got, want)
    rows = [row for row in report["placement"] if row["device"] == "cpu" and row["reason_code"] != "boundary_layout"]
    assert rows and all(row["reason"] for row in rows)


def _run(data: bytes, rng: np.random.Generator) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    """The compiler's report, and pairs of our result and LiteRT's for two random inputs."""
    compiled = compile_model(data, cache_enabled=False)
    peer, pairs = LiteRT(data), []
    with create_runner(compiled.enf) as runner:
        for _ in range(2):
            inputs = peer.random(rng)
            for got, want in zip(runner.run(inputs), peer.run(inputs), strict=True):
                assert (got.shape, got.dtype) == (want.shape, want.dtype)
                pairs.append((got, want))
    return compiled.report, pairs


def _network() -> bytes:
    """Two convolutions, a sum, a pool, a product and a Softmax."""
    w, rng = Writer(), np.random.default_rng(3)
    x = w.input((1, 12, 12, 3), "uint8", 1 / 128, 128)
    last, channels, s = x, 3, 1 / 128
    shortcuts = []
    for outputs in (16, 16):
        data = rng.integers(0, 256, (outputs, 3, 3, channels)).astype(np.uint8)
        bias = rng.integers(-900, 900, outputs).astype(np.int32)
        weights = (w.tensor(data.shape, "uint8", 0.004, 121, data=data),
                   w.tensor((outputs,), "int32", s * 0.004, 0, data=bias))  # fmt: skip
        y = w.tensor((1, 12, 12, outputs), "uint8", 0.03, 11)
        w.op("CONV_2D", (last, *weights), [y], padding=0, strideW=1, strideH=1, fusedActivationFunction=3)
        shortcuts.append(y)
        last, channels, s = y, outputs, 0.03
    total = w.tensor((1, 12, 12, 16), "uint8", 0.05, 3)
    w.op("ADD", shortcuts, [total], fusedActivationFunction=1)
    pooled, flat = w.tensor((1, 1, 1, 16), "uint8", 0.05, 3), w.tensor((1, 16), "uint8", 0.05, 3)
    w.op("AVERAGE_POOL_2D", [total], [pooled], filterWidth=12, filterHeight=12, strideW=1, strideH=1, padding=1)
    w.op("RESHAPE", [pooled, w.ints(1, 16)], [flat])
    logits, data = w.tensor((1, 10), "uint8", 0.1, 99), rng.integers(0, 256, (10, 16)).astype(np.uint8)
    w.op("FULLY_CONNECTED", [flat, w.tensor((10, 16), "uint8", 0.02, 131, data=data), -1], [logits])
    w.outputs = [w.tensor((1, 10), "uint8", 1 / 256, 0)]
    w.op("SOFTMAX", [logits], w.outputs, beta=1.0)
    return w.bytes()


def test_a_network_runs_wholly_on_the_npu_with_the_bits_of_litert() -> None:
    data = _network()
    report, results = _run(data, np.random.default_rng(0))
    for got, want in results:
        np.testing.assert_array_equal(got, want)
    assert (report["npu_clusters"], report["cpu_clusters"]) == (1, 0)


def test_users_see_no_names_and_images_channels_last(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"  # the content counts
    path.write_bytes(_network())
    with create_runner(path) as runner:
        assert runner.model.summary() == (
            "Inputs:\n{0: TensorDesc(shape=(1, 12, 12, 3), dtype=UINT8, format=NHWC, size=432, len=432)}\n"
            "Outputs:\n{0: TensorDesc(shape=(1, 10), dtype=UINT8, format=??, size=10, len=10)}"
        )


def test_the_batch_size_multiplies_every_first_axis() -> None:
    data, rng = _network(), np.random.default_rng(1)
    peer = LiteRT(data)
    inputs = [peer.random(rng)[0] for _ in range(3)]
    compiled = compile_model(data, batch_size=3, cache_enabled=False)
    with create_runner(compiled.enf) as runner:
        got = runner.run([np.concatenate(inputs)])
    want = np.concatenate([peer.run([x])[0] for x in inputs])
    np.testing.assert_array_equal(got[0], want)


def test_permute_input_takes_images_channels_first() -> None:
    data = _network()
    peer = LiteRT(data)
    (x,) = peer.random(np.random.default_rng(2))
    compiled = compile_model(data, config={"permute_input": [[0, 3, 1, 2]]}, cache_enabled=False)
    with create_runner(compiled.enf) as runner:
        assert runner.model.input(0).shape == (1, 3, 12, 12)
        got = runner.run([np.ascontiguousarray(x.transpose(0, 3, 1, 2))])
    np.testing.assert_array_equal(got[0], peer.run([x])[0])
    with pytest.raises(OptionError, match="permute_input"):
        compile_model(data, config={"permute_input": [[0, 1]]}, cache_enabled=False)


def test_real_numbers_at_the_borders_are_quantized_as_litert_does() -> None:
    data = tflite_cases.model("QUANTIZE and DEQUANTIZE", "int8", 0)
    peer, rng = LiteRT(data), np.random.default_rng(6)
    scale = np.float32(peer.scales()[0])
    ties = ((rng.integers(-128, 128, (1, 8, 8, 3)) + 0.5) * scale).astype(np.float32)
    x = np.nextafter(ties, rng.choice([-9.0, 9.0], ties.shape).astype(np.float32))
    with create_runner(compile_model(data, cache_enabled=False).enf) as runner:
        got = runner.run([x])
    np.testing.assert_array_equal(got[0], peer.run([x])[0])


def test_every_layer_is_text_that_is_a_source_again() -> None:
    data, want = _network(), compile_model(_network(), cache_enabled=False).enf
    for layer in ("dfg", "ldfg", "cdfg", "gir", "lir"):
        text = compile_model(data, target_ir=layer, cache_enabled=False).data
        assert compile_model(text, cache_enabled=False).enf == want


def test_progress_names_the_source() -> None:
    shown: list[str] = []
    compile_model(_network(), progress=shown.append, cache_enabled=False)
    assert shown[0] == "[1/6] 🔍   Compiling from tflite to dfg\n"


def test_a_model_for_the_npu_needs_no_onnx(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(_network())
    code = ("import sys; from furiosa.compiler import compile_model;"
            "compile_model('model.tflite', cache_enabled=False);"
            "print([m for m in ('onnx', 'onnxruntime', 'pandas', 'flatbuffers') if m in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


REFUSED = {
    "MyOperator": ("custom operator `MyOperator`", "end the model before it"),
    "FlexErf": ("custom operator `FlexErf`", "convert without `SELECT_TF_OPS`"),
    "ADD": ("custom operator `ADD`", "end the model before it"),  # which is not the builtin operator
    "RNN": ("operator `RNN`", "unroll=True"),
    "WHILE": ("operator `WHILE`", "unroll loops"),
    "STABLEHLO_ADD": ("operator `STABLEHLO_ADD`", "TFLite's own operators"),
    "BITCAST": ("operator `BITCAST`", "standard ones"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_nobody_has_is_refused_by_name_with_a_way_out(code: str) -> None:
    w = Writer()
    x = w.input((1, 4), "float32")
    w.outputs = [w.tensor((1, 4), "float32")]
    builtin = code in OPERATORS and not REFUSED[code][0].startswith("custom")
    w.op(code if builtin else "CUSTOM", [x], w.outputs, "" if builtin else code)
    with pytest.raises(UnsupportedError) as error:
        compile_model(w.bytes(), cache_enabled=False)
    what, way_out = REFUSED[code]
    assert what in str(error.value) and way_out in str(error.value.hint)


def test_a_computed_operand_that_must_be_a_constant_is_refused_by_name() -> None:
    w = Writer()
    x, perm = w.input((1, 4), "float32"), w.input((2,), "int32")
    w.outputs = [w.tensor((4, 1), "float32")]
    w.op("TRANSPOSE", [x, perm], w.outputs)
    with pytest.raises(UnsupportedError, match="operator `TRANSPOSE`: this operand must be a constant: `t1`"):
        compile_model(w.bytes(), cache_enabled=False)


def test_only_inputs_must_have_static_shapes() -> None:
    """-1 for the batch is the file's 1; a tensor inside may have it on another axis."""
    w = Writer()
    x = w.tensor((1, 3, 2), "int8", 0.1, 3, signature=(-1, 3, 2))
    w.inputs, w.outputs = [x], [w.tensor((3, 1, 2), "int8", 0.1, 3, signature=(3, -1, 2))]
    w.op("TRANSPOSE", [x, w.ints(1, 0, 2)], w.outputs)
    for got, want in _run(w.bytes(), np.random.default_rng(0))[1]:
        np.testing.assert_array_equal(got, want)
    w = Writer()
    w.inputs = [w.tensor((1, 1, 2), "int8", 0.1, 3, signature=(-1, -1, 2))]
    w.outputs = [w.tensor((1, 1, 2), "int8", 0.1, 3)]
    w.op("RELU", w.inputs, w.outputs)
    with pytest.raises(ModelError, match="tensor `t0` contains an unsupported dimension value: -1"):
        compile_model(w.bytes(), cache_enabled=False)


def test_a_product_of_constants_and_a_stride_beyond_its_axis_compile() -> None:
    w, rng = Writer(), np.random.default_rng(0)
    data = rng.integers(0, 256, (10, 24)).astype(np.uint8)
    table = w.tensor((10, 24), "uint8", 0.05, 121, data=data)
    x = w.input((1, 10), "uint8", 0.1, 3)
    product, kept = w.tensor((10, 10), "uint8", 3.0, 128), w.tensor((1, 10), "uint8", 0.1, 3)
    w.op("FULLY_CONNECTED", [table, table, -1], [product])
    w.op("STRIDED_SLICE", [x, w.ints(0, 0), w.ints(1, 10), w.ints(1 << 24, 1)], [kept])
    w.outputs = [product, kept]
    _, results = _run(w.bytes(), rng)
    for got, want in results:
        assert np.abs(got.astype(int) - want.astype(int)).max() <= 1


def test_state_between_inferences_is_refused_by_name() -> None:
    w = Writer()
    x, state = w.input((1, 4), "float32"), w.tensor((1, 4), "float32", variable=True)
    w.outputs = [w.tensor((1, 4), "float32")]
    w.op("UNIDIRECTIONAL_SEQUENCE_LSTM", [x, state], w.outputs)
    with pytest.raises(UnsupportedError, match="`UNIDIRECTIONAL_SEQUENCE_LSTM` keeps tensor `t1`"):
        compile_model(w.bytes(), cache_enabled=False)


def test_operators_that_only_compute_a_shape_are_left_out() -> None:
    """As converters write a RESHAPE of any batch size: SHAPE, STRIDED_SLICE, PACK."""
    w = Writer()
    x = w.input((1, 4, 4, 2), "int8", 0.1, 3)
    shape, batch, target = w.tensor((4,), "int32"), w.tensor((), "int32"), w.tensor((2,), "int32")
    w.op("SHAPE", [x], [shape], outType=schema.TensorType.INT32)
    w.op("STRIDED_SLICE", [shape, w.ints(0), w.ints(1), w.ints(1)], [batch], shrinkAxisMask=1)
    w.op("PACK", [batch, w.tensor((), "int32", data=np.int32(32))], [target], valuesCount=2)
    w.outputs = [w.tensor((1, 32), "int8", 0.1, 3)]
    w.op("RESHAPE", [x, target], w.outputs)
    report, results = _run(w.bytes(), np.random.default_rng(0))
    assert report["cpu_clusters"] == 0
    for got, want in results:
        np.testing.assert_array_equal(got, want)


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
    data = _network()
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
    from furiosa.compiler.frontend.tflite.model import read

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
