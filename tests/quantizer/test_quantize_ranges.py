"""Scales and zero points: from which range, shared by which tensors; and what is said about ranges that do not do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.quantizer.quantizing import encoding, feeds, min_max, model, run, skeleton

from furiosa.isa.errors import FuriosaError, ModelError, OptionError
from furiosa.quantizer.encodings import encode
from furiosa.quantizer.quantize import quantize, quantize_model

F32 = np.float32


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0, 255, 1, 0),
        (0, 1, 1 / 255, 0),
        (-1, 3, 4 / 255, 64),
        (-3, -1, 3 / 255, 255),
        (2, 5, 5 / 255, 0),
        (-2, 2, 2 / 127, 128),
        (0, 0, 1 / 255, 0),
        (-0.0, 1e-30, 1 / 255, 0),
        (-1e36, 1e36, 1e36 / 127, 128),
    ],
)
def test_encoding_of_a_range(low: float, high: float, scale: float, zero_point: int) -> None:
    found = encode(low, high)
    assert found.scale == F32(scale)
    assert found.scale.dtype == np.float32
    assert found.zero_point == zero_point


@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32))
def test_a_range_is_represented_within_one_step(a: float, b: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    found = encode(low, high)
    scale = float(found.scale)
    assert 0 <= found.zero_point <= 255
    assert scale >= np.finfo(np.float32).tiny
    assert (0 - found.zero_point) * scale <= low + scale
    assert (255 - found.zero_point) * scale >= high - scale


@given(st.floats(2**-10, 2**10, width=32))
def test_no_code_lies_above_a_clip(high: float) -> None:
    assert F32(255) * encode(0, high, snug=True).scale <= F32(high)


@pytest.mark.parametrize("most", [(-1e-8, 2e-8), (0, 1e-9), (-1e-9, 0)])
def test_means_that_are_nearly_nothing(most: tuple[float, float]) -> None:
    """ONNX Runtime takes a mean whose scale is up to 256 times finer than one step of the sum."""
    made = model("(float[1,3,8,8] x) => (float[1,3,1,1] y) { y = GlobalAveragePool(x) }")
    done = quantize_model(made, {"x": (-1, 1), "y": most})
    assert encoding(done, "y")[0] == pytest.approx(encoding(done, "x")[0] / 64 / 255, rel=0.01)
    assert run(done, feeds(made, 1))[0].shape == (1, 3, 1, 1)


def step(value: float) -> float:
    """The scale as a float32 holds it."""
    return float(F32(value))


GRAPH = "(float[1,2,4,4] a, float[1,2,4,4] b) => (float[N] y)"


def scales(graph: str, ranges: dict[str, Any], *names: str, **constants: Any) -> list[tuple[float, int]]:
    made = model(f"{GRAPH} {graph}", constants=constants)
    result = quantize_model(made, ranges)
    run(result, feeds(made, 0))
    return [encoding(result, name) for name in names]


def test_moves_have_the_scale_of_their_operand() -> None:
    ranges = {"a": (-1, 2), "b": (0, 1), "r": (0, 2), "p": (0, 9), "t": (0, 8), "y": (0, 7)}
    graph = """{ r = Sub(a, b) p = MaxPool<kernel_shape = [2,2]>(r) t = Transpose<perm = [0,2,3,1]>(p)
                 y = Flatten(t) }"""
    r, p, t, y = scales(graph, ranges, "r", "p", "t", "y")
    assert r == p == t == y == (step(2 / 255), 0)


def test_a_range_of_any_tensor_of_a_row_of_moves_will_do() -> None:
    ranges = {"a": (-1, 2), "b": (0, 1), "y": (0, 7)}
    assert scales("{ r = Sub(a, b) t = Transpose(r) y = Flatten(t) }", ranges, "r") == [(step(7 / 255), 0)]


def test_concat_gives_its_scale_to_operands_that_nobody_else_reads() -> None:
    ranges = {"a": (-1, 1), "b": (-1, 1), "s": (0, 1), "t": (-1, 1), "m": (-1, 1), "y": (-1, 3), "u": (0, 1)}
    made = model("""(float[1,2,4,4] a, float[1,2,4,4] b) => (float[N] z)
        { s = Sigmoid(a) t = Tanh(a) m = MaxPool<kernel_shape = [1,1]>(t) u = Sigmoid(b)
          y = Concat<axis = 1>(s, m, u, b) v = Tanh(u) z = Concat<axis = 1>(y, v) }""")
    result = quantize_model(made, ranges | {"v": (0, 1), "z": (-1, 4)})
    s, t, m, u, v, y, z = (encoding(result, name) for name in "stmuvyz")
    assert s == t == m == y == v == z == (step(5 / 255), 51)
    assert u == (step(1 / 255), 0)
    assert encoding(result, "b") == (step(1 / 127), 128)


def test_concat_keeps_a_clamp_that_its_range_does_not_imply() -> None:
    ranges = {"a": (-1, 1), "b": (-1, 1), "r": (0, 1), "t": (-1, 1), "y": (-1, 1)}
    r, t, y = scales("{ r = Relu(a) t = Tanh(b) y = Concat<axis = 1>(r, t) }", ranges, "r", "t", "y")
    assert t == y != r


def test_clamps_narrow_the_range() -> None:
    ranges = {"a": (-9, 9), "b": (-9, 9), "s": (-9, 9), "c": (-3, 8), "r": (-0.5, 9), "y": (-9, 9)}
    c, r = scales("{ s = Add(a, b) c = Clip(s, lo, hi) r = Relu(a) y = Mul(c, r) }", ranges, "c", "r",
                  lo=F32(0), hi=F32(6))  # fmt: skip
    assert c[1] == r[1] == 0
    assert c[0] == pytest.approx(6 / 255)
    assert r[0] == pytest.approx(9 / 255)


def test_softmax_is_between_0_and_1_whatever_was_seen() -> None:
    made = model("(float[1,8] x) => (float[N] y) { y = Softmax(x) }")
    result = quantize_model(made, {"x": (-9, 9), "y": (0, 0.6)})
    assert skeleton(result) == "Q D Softmax Q D"
    confident = {"x": np.array([[9, 0, 0, 0, 0, 0, 0, 0]], F32)}
    np.testing.assert_allclose(run(result, confident)[0], run(made, confident)[0], atol=0.01)


NET = model("(float[1,3,4,4] x) => (float[N] y) { c = Conv(x, w) r = Relu(c) y = Sigmoid(r) }", w=(2, 3, 1, 1))
RANGES = min_max(NET)
FAULTS: dict[str, tuple[Any, str]] = {
    "nothing": ({}, "there is no range for tensor `x`"),
    "of another model": ({"foo": (0, 1), "bar": (0, 1)},
                         "none of the 2 ranges is of a tensor of this model, e.g. `foo`"),
    "input missing": ({"r": (0, 1), "y": (0, 1)}, "there is no range for tensor `x`"),
    "activation missing": ({"x": (0, 1), "c": (0, 1), "y": (0, 1)}, "there is no range for tensor `r`"),
    "result missing": ({"x": (0, 1), "r": (0, 1)}, "there is no range for tensor `y`"),
    "not a number": (RANGES | {"r": (0, float("nan"))}, "the range of tensor `r`, (0.0, nan), is not a number"),
    "infinite": (RANGES | {"x": (-float("inf"), 1)}, "the range of tensor `x`, (-inf, 1.0), is beyond 1e+36"),
    "exchanged": (RANGES | {"y": (1, 0)}, "the range of tensor `y`, (1.0, 0.0), has its minimum above its maximum"),
    "one number": (RANGES | {"y": 3}, "the range of tensor `y` is 3, not a pair of numbers"),
    "three numbers": (RANGES | {"y": [1, 2, 3]}, "the range of tensor `y` is [1, 2, 3], not a pair of numbers"),
    "text": (RANGES | {"y": ("a", "b")}, "the range of tensor `y` is ('a', 'b'), not a pair of numbers"),
    "a list": ([("x", (0, 1))], "ranges are a dictionary of tensor names, not `list`"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_unusable_ranges_are_named(name: str) -> None:
    ranges, message = FAULTS[name]
    with pytest.raises(OptionError) as caught:
        quantize(NET, ranges)
    assert caught.value.message == message
    assert caught.value.hint


def test_ranges_that_are_not_needed_may_be_anything_in_order() -> None:
    plain = quantize(NET, RANGES)
    more = RANGES | {"c": (-float("inf"), float("inf")), "unknown": (5, 1)}
    assert quantize(NET, more) == plain
    assert quantize(NET, {name: [np.float64(value) for value in pair] for name, pair in RANGES.items()}) == plain


MODELS: dict[str, tuple[Any, type[FuriosaError], str]] = {
    "no model": (b"nothing", ModelError, "not an ONNX model: the file is damaged or of another kind"),
    "another type": ("model.onnx", OptionError, "a model is bytes or an `onnx.ModelProto`, not `str`"),
    "quantized already": (
        quantize(NET, RANGES), ModelError, "the model is quantized already: it has a `QuantizeLinear`"),
    "float16": (
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
                                   g (float16[1,3] x) => (float16[1,3] y) { y = Relu(x) }"""), ModelError,
        "tensor `x` is float16: only float32 can be quantized"),
    "nothing to quantize": (
        model("(float[1,3] x) => (float[N] y) { y = Sin(x) }"), ModelError,
        "the model has no operator that can be quantized"),
    "weights that are not finite": (
        model("(float[1,2] x) => (float[N] y) { y = Gemm(x, w) }",
              constants={"w": np.array([[1, np.nan], [1, 1]], F32)}),
        ModelError, "the constant `w` has NaN or Inf in it"),
    "weights that are too large": (
        model("(float[1,2] x) => (float[N] y) { y = Gemm(x, w) }", constants={"w": np.full((2, 2), 3e38, F32)}),
        ModelError, "the weights times their operand exceed float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_unusable_models_are_named(name: str) -> None:
    made, kind, message = MODELS[name]
    with pytest.raises(kind) as caught:
        quantize(made, {"x": (0, 2e6), "y": (0, 1)})
    assert caught.value.message == message
    assert caught.value.hint


def test_an_unknown_exclusion_is_named() -> None:
    with pytest.raises(OptionError, match="cannot exclude `Convolution`") as caught:
        quantize_model(NET, RANGES, exclude=["Convolution"])
    assert caught.value.hint
