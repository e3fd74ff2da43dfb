"""Euclidean norms against ONNX Runtime on quantized graphs, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.isa.test_arithmetic import DTYPES, Build, run_bytes, run_reals, scaling, storage
from tests.parity import current_onnxruntime

from furiosa.isa import arithmetic
from furiosa.isa.arithmetic import Scaling

pytestmark = current_onnxruntime


def normalized(axis: int) -> Build:
    return lambda model, x: model.op("LpNormalization", x, axis=axis, p=2)


def reduced(*axes: int) -> Build:
    return lambda model, x: model.op("ReduceL2", x, axes=axes, keepdims=1)


def last(x: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(x, axis, -1))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 9, 31, 32, 64, 100, 256, 1000, 4096])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_any_axis(axis: int, length: int) -> None:
    rng = np.random.default_rng(length)
    shape = [5, 4, 6]
    shape[axis] = length
    for dtype in DTYPES:
        x, qx = storage(rng, tuple(shape), dtype), scaling(rng, dtype)
        spread = float(length) ** 0.5
        for run in (run_bytes, run_reals):
            qy = Scaling(float(np.float32(rng.uniform(0.5, 2) / spread / 100)), scaling(rng, dtype).zero_point)
            y = arithmetic.l2_normalize(last(x, axis), qx, qy, dtype)
            np.testing.assert_array_equal(y, last(run(x, qx, qy, normalized(axis)), axis))
            qy = Scaling(qx.scale * spread, qy.zero_point)
            y = arithmetic.reduce_l2(last(x, axis), qx, qy, dtype)
            np.testing.assert_array_equal(y, last(run(x, qx, qy, reduced(axis)), axis))


@pytest.mark.parametrize("axes", [(1, 2), (1, 3), (2, 3)])
def test_several_axes_are_one_row_after_the_other(axes: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    x, qx, qy = storage(rng, (40, 7, 3, 9), np.int8), scaling(rng, np.int8), Scaling(0.09, -128)
    turned = np.moveaxis(x, axes, (2, 3))
    rows = turned.reshape(*turned.shape[:2], -1)
    y = run_bytes(x, qx, qy, reduced(*axes))
    np.testing.assert_array_equal(arithmetic.reduce_l2(rows, qx, qy, np.int8).reshape(y.shape), y)


@given(seed=st.integers(0, 10000), length=st.integers(1, 300), zeros=st.booleans(), exponent=st.integers(-90, 60))
def test_any_scale(seed: int, length: int, zeros: bool, exponent: int) -> None:
    """Squares may vanish or be infinite; a norm of zero gives zeros."""
    rng = np.random.default_rng(seed)
    dtype = DTYPES[seed % 2]
    x = storage(rng, (9, length), dtype)
    qx = Scaling(float(np.float32(rng.uniform(1, 2) * 2.0**exponent)), int(x[0, 0]))
    if zeros:
        x[::2] = qx.zero_point
    qy = Scaling(float(np.float32(0.02 / length**0.5)), scaling(rng, dtype).zero_point)
    with np.errstate(over="ignore"):
        y = arithmetic.l2_normalize(x, qx, qy, dtype)
    np.testing.assert_array_equal(y, run_bytes(x, qx, qy, normalized(1)))
