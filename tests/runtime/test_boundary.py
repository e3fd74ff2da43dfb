"""The native boundary steps equal the definition, on every value and shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.isa import arithmetic
from furiosa.isa.dtypes import DType
from furiosa.npu_sim.kernels import native
from furiosa.runtime.boundary import Boundary

SPECIAL = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0, -0.0, 1e-45, 0.5, 1.5, 2.5, -0.5], np.float32)
needs_native = pytest.mark.skipif(native() is None, reason="the native module is not built")


@needs_native
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(0, 70),
    scale=st.one_of(st.floats(2.0**-20, 2.0**20, width=32), st.sampled_from([2.0**-120, 2.0**-60, 2.0**60, 2.0**115])),
    signed=st.booleans(),
    zero=st.integers(0, 255),
)
@settings(max_examples=100, deadline=None)
def test_casts(seed: int, size: int, scale: float, signed: bool, zero: int) -> None:
    random = np.random.default_rng(seed)
    halves = (random.integers(-600, 600, size).astype(np.float32) / 2) * np.float32(scale)
    x = np.concatenate([SPECIAL, halves, random.normal(0, 300, size).astype(np.float32) * np.float32(scale)])
    dtype, zero_point = (DType.I8, zero - 128) if signed else (DType.U8, zero)
    q = Boundary().quantize(x, scale, zero_point, dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(q, arithmetic.quantize(x, scale, zero_point, dtype.numpy_name))
    assert q.dtype == dtype.numpy_name
    y = Boundary().dequantize(q, scale, zero_point)
    assert y.tobytes() == arithmetic.dequantize(q, scale, zero_point).tobytes()


@needs_native
@pytest.mark.parametrize("size", [0, 1, 63, 64, 255, 1000, 70_000])
def test_uint8_to_int8(size: int) -> None:
    x = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    q = Boundary().quantize(x, 0.5, 0, DType.I8)
    assert q.dtype == np.int8
    np.testing.assert_array_equal(q, x.astype(np.int16) - 128)
    np.testing.assert_array_equal(q, arithmetic.to_signed(x))


@needs_native
@pytest.mark.parametrize("nchw", [(1, 3, 5, 7), (2, 40, 33, 1), (3, 1, 4, 4), (2, 9, 1, 1), (1, 64, 8, 8)])
def test_layouts(nchw: tuple[int, int, int, int]) -> None:
    for dtype in (np.uint8, np.int8):
        x = np.random.default_rng(2).integers(-128, 128, nchw).astype(dtype)
        lowered = Boundary().lower(x.reshape(-1), nchw)
        np.testing.assert_array_equal(lowered, x.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(Boundary().unlower(lowered, nchw), x)


def test_the_reference_needs_no_native_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_KERNELS", "reference")
    x = np.concatenate([SPECIAL, np.arange(-8, 4, dtype=np.float32)]).reshape(2, 3, 2, 2)
    with np.errstate(all="ignore"):
        expected = arithmetic.quantize(x, 0.5, 3, "uint8").transpose(0, 2, 3, 1)
    boundary = Boundary()
    lowered = boundary.lower(boundary.quantize(x, 0.5, 3, DType.U8), (2, 3, 2, 2))
    np.testing.assert_array_equal(lowered, expected)
    np.testing.assert_array_equal(boundary.unlower(lowered, (2, 3, 2, 2)), expected.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("before", "after"), [(5, 8), (8, 5), (4, 4)])
def test_rows_of_another_width(before: int, after: int) -> None:
    """Pad and Slice: zeros behind each row, or its front."""
    x = np.arange(2 * 3 * before, dtype=np.int8).reshape(2, 3, before)
    y = Boundary().resize_rows(x, after)
    common = min(before, after)
    assert y.shape == (2, 3, after)
    assert np.array_equal(y[..., :common], x[..., :common])
    assert not y[..., common:].any()
