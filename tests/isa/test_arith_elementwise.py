"""Sums, products, tables and their float32 functions against ONNX Runtime, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.isa.qdq_models import Model, nchw

from furiosa.isa import arithmetic
from furiosa.isa.arithmetic import Scaling, functions

DTYPES = (np.uint8, np.int8)
BYTES = np.arange(256, dtype=np.uint8)
SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**40), max_value=2.0**40)


def near_ties(rng: np.random.Generator, y_scale: float) -> float:
    """A scale whose ratio to `y_scale` is a short dyadic fraction but for a few units in the last place."""
    value = np.float32(y_scale) * np.float32(rng.integers(1, 64) / 2.0 ** rng.integers(1, 6))
    for _ in range(int(rng.integers(0, 3))):
        value = np.nextafter(value, np.float32(rng.choice([0.0, 9.0])))
    return float(value)


def scalings(rng: np.random.Generator, dtype: Any) -> tuple[Scaling, Scaling, Scaling]:
    y_scale = float(np.float32(rng.uniform(0.01, 0.1)))
    zeros = rng.integers(0, 256, 3).astype(np.uint8).view(dtype).tolist()
    ratios = (near_ties(rng, y_scale), near_ties(rng, y_scale), y_scale)
    qa, qb, qy = (Scaling(scale, zero) for scale, zero in zip(ratios, zeros, strict=True))
    return qa, qb, qy


def qlinear(kind: str, a: NDArray[Any], b: NDArray[Any], q: tuple[Scaling, ...], shift: int = 0) -> Any:
    """One QLinear node; `shift` 128 computes int8 operands as uint8, as ONNX Runtime does inside int8 graphs."""
    dtype = np.dtype(np.uint8) if shift else a.dtype
    model = Model()
    operands = [
        model.input((a.astype(np.int16) + shift).astype(dtype)),
        model.input((b.astype(np.int16) + shift).astype(dtype)),
    ]
    qs = [(model.constant(s.scale, np.float32), model.constant(s.zero_point + shift, dtype)) for s in q]
    model.output(model.op(kind, operands[0], *qs[0], operands[1], *qs[1], *qs[2], domain="com.microsoft"), dtype)
    return (model.run().astype(np.int16) - shift).astype(a.dtype)


def every_pair(dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    grid = np.meshgrid(BYTES.view(dtype), BYTES.view(dtype), indexing="ij")
    return np.ascontiguousarray(grid[0]), np.ascontiguousarray(grid[1])


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
def test_add_and_mul_on_every_pair_of_bytes(kind: str) -> None:
    rng = np.random.default_rng(1)
    operator = arithmetic.add if kind == "QLinearAdd" else arithmetic.mul
    for dtype, shift in ((np.uint8, 0), (np.int8, 0), (np.int8, 128)):
        a, b = every_pair(dtype)
        for _ in range(12):
            q = scalings(rng, dtype)
            if kind == "QLinearMul":
                q = (q[0], Scaling(q[1].scale / q[2].scale / 64, q[1].zero_point), q[2])
            np.testing.assert_array_equal(operator(a, b, *q, shift=shift), qlinear(kind, a, b, q, shift))


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
def test_add_and_mul_of_tails_and_broadcasts(kind: str) -> None:
    rng = np.random.default_rng(2)
    operator = arithmetic.add if kind == "QLinearAdd" else arithmetic.mul
    for dtype in DTYPES:
        for _ in range(4):
            qa, qb, qy = scalings(rng, dtype)
            for size in (2, 3, 31, 33, 77):
                a, b = rng.integers(0, 256, (2, size)).astype(np.uint8).view(dtype)
                np.testing.assert_array_equal(operator(a, b, qa, qb, qy), qlinear(kind, a, b, (qa, qb, qy)))
            square, column = every_pair(dtype)[1], BYTES.view(dtype)[:, None].copy()
            right = operator(square, column, qa, qb, qy)
            np.testing.assert_array_equal(right, qlinear(kind, square, column, (qa, qb, qy)))
            exchanged = operator(square, column, qb, qa, qy)
            np.testing.assert_array_equal(exchanged, qlinear(kind, column, square, (qa, qb, qy)))


def test_large_tensors_use_the_same_function() -> None:
    rng = np.random.default_rng(3)
    for dtype in DTYPES:
        a, b = rng.integers(0, 256, (2, 3, 5, 70, 100)).astype(np.uint8).view(dtype)
        q = scalings(rng, dtype)
        np.testing.assert_array_equal(arithmetic.add(a, b, *q)[1, 2], arithmetic.add(a[1, 2], b[1, 2], *q))
        np.testing.assert_array_equal(
            arithmetic.add(a, b[:, :, :1], *q), qlinear("QLinearAdd", a, b[:, :, :1].copy(), q)
        )


@pytest.mark.parametrize("kind", ["Sub", "Sum"])
def test_float_operators_on_every_pair_of_bytes(kind: str) -> None:
    rng = np.random.default_rng(4)
    operator = arithmetic.float_sub if kind == "Sub" else arithmetic.float_add
    for dtype in DTYPES:
        a, b = every_pair(dtype)
        for _ in range(5):
            qa, qb, qy = scalings(rng, dtype)
            model = Model()
            reals = [model.dequantize(model.input(x), q.scale, q.zero_point, dtype) for x, q in ((a, qa), (b, qb))]
            model.output(model.quantize(model.op(kind, *reals), qy.scale, qy.zero_point, dtype), dtype)
            np.testing.assert_array_equal(operator(a, b, qa, qb, qy, dtype), model.run())


def test_float_mul_of_mixed_dtypes() -> None:
    rng = np.random.default_rng(5)
    a, b = every_pair(np.uint8)[0], every_pair(np.int8)[1]
    qa, qb, qy = Scaling(0.03, 7), Scaling(0.05, -9), Scaling(float(rng.uniform(0.1, 0.2)), 3)
    model = Model()
    left = model.dequantize(model.input(a), qa.scale, qa.zero_point, np.uint8)
    right = model.dequantize(model.input(b), qb.scale, qb.zero_point, np.int8)
    model.output(model.quantize(model.op("Mul", left, right), qy.scale, qy.zero_point, np.int8), np.int8)
    np.testing.assert_array_equal(arithmetic.float_mul(a, b, qa, qb, qy, np.int8), model.run())


TABLES: tuple[tuple[str, str, dict[str, float], float], ...] = (
    # name, ONNX operator, parameters, largest output
    ("identity", "Identity", {}, 9.0),
    ("relu", "Relu", {}, 9.0),
    ("clip", "Clip", {"low": 0.0, "high": 6.0}, 7.0),
    ("leaky_relu", "LeakyRelu", {"alpha": 0.1}, 9.0),
    ("sigmoid", "Sigmoid", {}, 1.0),
    ("tanh", "Tanh", {}, 2.0),
    ("hard_sigmoid", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.4}, 1.0),
    ("hard_swish", "HardSwish", {}, 9.0),
)


def onnx_function(model: Model, x: str, operator: str, parameters: dict[str, float]) -> str:
    if operator == "Clip":
        return model.op("Clip", x, *(model.constant(value, np.float32) for value in parameters.values()))
    attributes: dict[str, Any] = {**parameters}
    return model.op(operator, x, **attributes)


@pytest.mark.parametrize("row", TABLES, ids=lambda row: row[0])
def test_tables_equal_onnx_runtime(row: tuple[str, str, dict[str, float], float]) -> None:
    name, operator, parameters, largest = row
    rng = np.random.default_rng(6)
    for dtype in DTYPES:
        x = BYTES.view(dtype)
        for _ in range(8):
            x_scale, y_scale = (float(np.float32(rng.uniform(0.3, 1.2) * top / 255)) for top in (18.0, largest))
            x_zero, y_zero = rng.integers(0, 256, 2).astype(np.uint8).view(dtype).tolist()
            model = Model()
            inner = model.dequantize(model.input(x), x_scale, x_zero, dtype)
            inner = onnx_function(model, inner, operator, parameters)
            model.output(model.quantize(inner, y_scale, y_zero, dtype), dtype)
            entries = arithmetic.table(name, x_scale, x_zero, dtype, y_scale, y_zero, dtype, **parameters)
            np.testing.assert_array_equal(arithmetic.lookup(x, entries, dtype), model.run())


@pytest.mark.parametrize("row", TABLES, ids=lambda row: row[0])
def test_functions_equal_the_float_kernels(row: tuple[str, str, dict[str, float], float]) -> None:
    name, operator, parameters, _ = row
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(0, spread, 20011) for spread in (0.01, 1, 5, 30)]).astype(np.float32)
    model = Model()
    model.output(onnx_function(model, model.input(x), operator, parameters))
    function: Callable[..., Any] = arithmetic.FUNCTIONS[name]
    np.testing.assert_array_equal(function(x, **parameters), model.run())


def test_batch_normalization_is_a_table_per_channel() -> None:
    rng = np.random.default_rng(8)
    for dtype in DTYPES:
        channels, qx, qy = 37, Scaling(0.05, 11), Scaling(0.06, -3 if dtype == np.int8 else 125)
        gamma, beta, mean, variance = rng.uniform(0.1, 2, (4, channels)).astype(np.float32)
        x = np.broadcast_to(BYTES.view(dtype)[None, :, None, None], (1, 256, 1, channels)).copy()
        model = Model()
        inner = model.dequantize(model.input(nchw(x)), qx.scale, qx.zero_point, dtype)
        statistics = [model.constant(value) for value in (gamma, beta, mean, variance)]
        inner = model.op("BatchNormalization", inner, *statistics, epsilon=1e-3)
        model.output(model.quantize(inner, qy.scale, qy.zero_point, dtype), dtype)
        scale, offset = arithmetic.batch_normalization(gamma, beta, mean, variance, 1e-3)
        entries = arithmetic.affine_table(scale, offset, qx.scale, qx.zero_point, dtype, qy.scale, qy.zero_point, dtype)
        np.testing.assert_array_equal(nchw(arithmetic.lookup(x, entries, dtype)), model.run())


def test_concat_is_an_identity_table_per_input() -> None:
    rng = np.random.default_rng(9)
    for dtype in DTYPES:
        qa, qb, qy = scalings(rng, dtype)
        x = BYTES.view(dtype).reshape(1, 256)
        model = Model()
        reals = [model.dequantize(model.input(x), q.scale, q.zero_point, dtype) for q in (qa, qb)]
        model.output(model.quantize(model.op("Concat", *reals, axis=1), qy.scale, qy.zero_point, dtype), dtype)
        parts = [
            arithmetic.table("identity", q.scale, q.zero_point, dtype, qy.scale, qy.zero_point, dtype) for q in (qa, qb)
        ]
        np.testing.assert_array_equal(np.concatenate(parts).view(dtype)[None], model.run())


@given(SINGLE, SINGLE, SINGLE)
def test_fma_rounds_once(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    result = float(arithmetic.fma(a, b, c))
    neighbours = [float(np.nextafter(np.float32(result), np.float32(end))) for end in (-np.inf, np.inf)]
    assert all(abs(Fraction(result) - exact) <= abs(Fraction(other) - exact) for other in neighbours)


def test_unknown_function_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        arithmetic.table("unheard of", 1.0, 0, np.int8, 1.0, 0, np.int8)
    assert functions.identity(np.array([1.5], np.float32)) == 1.5
