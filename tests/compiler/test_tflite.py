"""TFLite models: every operator against LiteRT, and the interface that users see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from tests.compiler import tflite_cases, tflite_cpu_cases
from tests.compiler.tflite_network import network
from tests.compiler.tflite_peer import LiteRT

from furiosa.compiler import compile_model
from furiosa.compiler.frontend.tflite.schema import OPERATORS
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


def test_a_network_runs_wholly_on_the_npu_with_the_bits_of_litert() -> None:
    data = network()
    report, results = _run(data, np.random.default_rng(0))
    for got, want in results:
        np.testing.assert_array_equal(got, want)
    assert (report["npu_clusters"], report["cpu_clusters"]) == (1, 0)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("lead", [(), (3,), (1, 2)])
def test_products_of_two_tensors_run_on_the_npu_where_the_second_zero_point_is_0(
    lead: tuple[int, ...], adjoint: bool
) -> None:
    w = Writer()
    a = w.input((*lead, 24, 16) if adjoint else (*lead, 16, 24), "int8", 0.0323, 12)
    b = w.input((*lead, 40, 24) if adjoint else (*lead, 24, 40), "int8", 0.0281, 0)
    w.outputs = [w.tensor((*lead, 16, 40), "int8", 0.1268, 16)]
    w.op("BATCH_MATMUL", [a, b], w.outputs, adjX=adjoint, adjY=adjoint)
    report, results = _run(w.bytes(), np.random.default_rng(3))
    assert report["cpu_clusters"] == 0
    for got, want in results:
        np.testing.assert_array_equal(got, want)


def test_users_see_no_names_and_images_channels_last(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"  # the content counts
    path.write_bytes(network())
    with create_runner(path) as runner:
        assert runner.model.summary() == (
            "Inputs:\n{0: TensorDesc(shape=(1, 12, 12, 3), dtype=UINT8, format=NHWC, size=432, len=432)}\n"
            "Outputs:\n{0: TensorDesc(shape=(1, 10), dtype=UINT8, format=??, size=10, len=10)}"
        )


def test_the_batch_size_multiplies_every_first_axis() -> None:
    data, rng = network(), np.random.default_rng(1)
    peer = LiteRT(data)
    inputs = [peer.random(rng)[0] for _ in range(3)]
    compiled = compile_model(data, batch_size=3, cache_enabled=False)
    with create_runner(compiled.enf) as runner:
        got = runner.run([np.concatenate(inputs)])
    want = np.concatenate([peer.run([x])[0] for x in inputs])
    np.testing.assert_array_equal(got[0], want)


def test_permute_input_takes_images_channels_first() -> None:
    data = network()
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
    data, want = network(), compile_model(network(), cache_enabled=False).enf
    for layer in ("dfg", "ldfg", "cdfg", "gir", "lir"):
        text = compile_model(data, target_ir=layer, cache_enabled=False).data
        assert compile_model(text, cache_enabled=False).enf == want


def test_progress_names_the_source() -> None:
    shown: list[str] = []
    compile_model(network(), progress=shown.append, cache_enabled=False)
    assert shown[0] == "[1/6] 🔍   Compiling from tflite to dfg\n"


def test_a_model_for_the_npu_needs_no_onnx(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(network())
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


def _product_of_a_sequence() -> bytes:
    """As converters write a product on the last of three axes for any batch; extents that are unknown are 1."""
    w, rng = Writer(), np.random.default_rng(7)
    x = w.tensor((1, 5, 12), "int8", 0.05, 3, signature=(-1, 5, 12))
    w.inputs = [x]
    shape, lead, last, count = (w.tensor(size, "int32") for size in ((3,), (2,), (1,), ()))
    width, target, back = w.tensor((), "int32"), w.tensor((2,), "int32"), w.tensor((3,), "int32")
    w.op("SHAPE", [x], [shape], outType=schema.TensorType.INT32)
    w.op("GATHER", [shape, w.ints(0, 1)], [lead])
    w.op("REDUCE_PROD", [lead, w.ints(0)], [count])
    w.op("CONCATENATION", [lead, w.ints(8)], [back])
    w.op("GATHER", [shape, w.ints(2)], [last])
    w.op("REDUCE_PROD", [last, w.ints(0)], [width])
    w.op("PACK", [count, width], [target], valuesCount=2)
    rows = w.tensor((1, 1), "int8", 0.05, 3, signature=(-1, -1))
    product = w.tensor((1, 8), "int8", 0.2, -5, signature=(-1, 8))
    weights = w.tensor((8, 12), "int8", 0.01, 0, 0, rng.integers(-127, 128, (8, 12)).astype(np.int8))
    w.outputs = [w.tensor((1, 5, 8), "int8", 0.2, -5, signature=(-1, 5, 8))]
    w.op("RESHAPE", [x, target], [rows])
    w.op("FULLY_CONNECTED", [rows, weights, -1], [product])
    w.op("RESHAPE", [product, back], w.outputs)
    return w.bytes()


def test_shapes_that_a_model_of_any_batch_computes() -> None:
    data, rng = _product_of_a_sequence(), np.random.default_rng(0)
    report, results = _run(data, rng)
    assert report["cpu_clusters"] == 0
    for got, want in results:
        np.testing.assert_array_equal(got, want)
    peer = LiteRT(data)
    inputs = [peer.random(rng)[0] for _ in range(2)]
    with create_runner(compile_model(data, batch_size=2, cache_enabled=False).enf) as runner:
        got = runner.run([np.concatenate(inputs)])[0]
    np.testing.assert_array_equal(got, np.concatenate([peer.run([x])[0] for x in inputs]))


def test_a_dilated_convolution_of_a_sequence_of_any_batch() -> None:
    w, rng = Writer(), np.random.default_rng(3)
    x = w.tensor((1, 8, 4), "int8", 0.05, 3, signature=(-1, 8, 4))
    w.inputs = [x]
    blocks, pads = w.ints(2), w.tensor((1, 2), "int32", data=np.array([[2, 2]], np.int32))
    parts, image = w.tensor((1, 6, 4), "int8", 0.05, 3, signature=(-1, 6, 4)), w.tensor((1, 1, 6, 4), "int8", 0.05, 3)
    sums, rows = w.tensor((1, 1, 4, 6), "int8", 0.1, -7), w.tensor((1, 4, 6), "int8", 0.1, -7)
    weights = w.tensor((6, 1, 3, 4), "int8", 0.01, 0, 0, rng.integers(-127, 128, (6, 1, 3, 4)).astype(np.int8))
    w.outputs = [w.tensor((1, 8, 6), "int8", 0.1, -7, signature=(-1, 8, 6))]
    w.op("SPACE_TO_BATCH_ND", [x, blocks, pads], [parts])
    w.op("EXPAND_DIMS", [parts, w.tensor((), "int32", data=np.int32(-3))], [image])
    bias = w.tensor((6,), "int32", 0.0005, 0, data=rng.integers(-99, 99, 6).astype(np.int32))
    w.op("CONV_2D", [image, weights, bias], [sums], padding=1, strideW=1, strideH=1)
    w.op("RESHAPE", [sums, w.ints(-1, 4, 6)], [rows])
    w.op("BATCH_TO_SPACE_ND", [rows, blocks, w.tensor((1, 2), "int32", data=np.zeros((1, 2), np.int32))], w.outputs)
    for got, want in _run(w.bytes(), rng)[1]:
        np.testing.assert_array_equal(got, want)


def test_a_model_of_any_batch_whose_shapes_are_no_shapes_is_refused_with_a_way_out() -> None:
    w = Writer()
    w.inputs = [w.tensor((1, 8, 4), "int8", 0.1, 3, signature=(-1, 8, 4))]
    w.outputs = [w.tensor((1, 4, 4), "int8", 0.1, 3, signature=(-1, 4, 4))]
    w.op("MAXIMUM", [*w.inputs, *w.inputs], w.outputs)
    with pytest.raises(ModelError, match="`MAXIMUM_0` is not consistent") as error:
        compile_model(w.bytes(), cache_enabled=False)
    assert error.value.hint == "convert the model with a static input shape, batch included"


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
