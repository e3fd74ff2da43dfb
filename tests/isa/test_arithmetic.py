"""The normative arithmetic against ONNX Runtime on quantized graphs, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.isa.qdq_models import Model, nchw
from tests.parity import current_onnxruntime

from furiosa.isa import arithmetic
from furiosa.isa.arithmetic import Scaling

DTYPES = (np.uint8, np.int8)
Geometry = dict[str, Any]
Build = Callable[[Model, str], str]


def storage(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """7-bit values: ONNX Runtime saturates sums of two products to int16 on x86 without VNNI, so stay below."""
    return rng.integers(-64, 64, shape).astype(np.int8)


def scaling(rng: np.random.Generator, dtype: Any, low: float = 0.005, high: float = 0.1) -> Scaling:
    info = np.iinfo(dtype)
    return Scaling(float(np.float32(rng.uniform(low, high))), int(rng.integers(info.min, info.max + 1)))


def run_bytes(x: NDArray[Any], qx: Scaling, qy: Scaling, build: Build, opset: int = 17) -> Any:
    """x and y stay in storage at the borders of the graph: int8 is computed as int8."""
    model = Model(opset)
    inner = model.dequantize(model.input(x), qx.scale, qx.zero_point, x.dtype)
    model.output(model.quantize(build(model, inner), qy.scale, qy.zero_point, x.dtype), x.dtype)
    return model.run()


def run_reals(x: NDArray[Any], qx: Scaling, qy: Scaling, build: Build, opset: int = 17) -> Any:
    """Float borders: ONNX Runtime computes int8 as uint8. The result is brought back to storage."""
    model = Model(opset)
    real = model.input(arithmetic.dequantize(x, qx.scale, qx.zero_point))
    inner = model.quantize(real, qx.scale, qx.zero_point, x.dtype)
    inner = build(model, model.dequantize(inner, qx.scale, qx.zero_point, x.dtype))
    inner = model.quantize(inner, qy.scale, qy.zero_point, x.dtype)
    model.output(model.dequantize(inner, qy.scale, qy.zero_point, x.dtype))
    return arithmetic.quantize(model.run(), qy.scale, qy.zero_point, x.dtype)


def test_quantize_equals_quantize_linear() -> None:
    rng = np.random.default_rng(1)
    special = np.array([np.nan, np.inf, -np.inf, 0.5, 1.5, 2.5, -0.5, -1.5, 3e9, -3e9, 1e30, -1e30, 0.0, -0.0])
    for dtype in DTYPES:
        for scale in (1.0, 0.013, 3.7e-5):
            ties = np.arange(-400, 400) * 0.5 * scale
            x = np.concatenate([special, ties, rng.normal(0, 100 * scale, 1001)]).astype(np.float32)
            zero = int(storage(rng, (), dtype))
            model = Model()
            model.output(model.quantize(model.input(x), scale, zero, dtype), dtype)
            np.testing.assert_array_equal(arithmetic.quantize(x, scale, zero, dtype), model.run())


def test_dequantize_equals_dequantize_linear() -> None:
    rng = np.random.default_rng(2)
    for dtype in DTYPES:
        x, q = np.arange(256, dtype=np.uint8).view(dtype), scaling(rng, dtype)
        model = Model()
        model.output(model.dequantize(model.input(x), q.scale, q.zero_point, dtype))
        np.testing.assert_array_equal(arithmetic.dequantize(x, q.scale, q.zero_point), model.run())


CONVOLUTIONS = (
    # input NHW, channels, outputs, groups, kernel, strides, dilations, pads (top, left, bottom, right)
    ((2, 9, 8), 16, 24, 1, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((1, 11, 13), 3, 7, 1, (7, 7), (2, 2), (1, 1), (3, 3, 3, 3)),
    ((1, 6, 5), 600, 33, 1, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((1, 12, 10), 5, 6, 1, (3, 2), (2, 3), (2, 3), (2, 0, 1, 3)),
    ((2, 9, 9), 12, 12, 12, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
    ((1, 9, 9), 6, 18, 6, (5, 3), (1, 1), (1, 2), (2, 1, 2, 1)),
    ((1, 8, 8), 12, 20, 4, (3, 3), (1, 1), (1, 1), (0, 1, 1, 0)),
    ((1, 4, 4), 512, 8, 1, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
)


def output_scaling(acc: NDArray[Any], factors: NDArray[Any], dtype: Any, *, dyadic: bool) -> Scaling:
    """Spreads the products over the whole output range; a dyadic scale of dyadic products has many exact ties."""
    scale = float(np.float32(np.std(arithmetic.scale_accumulator(acc, factors)) / 50))
    return Scaling(2.0 ** np.round(np.log2(scale)) if dyadic else scale, int(np.iinfo(dtype).min + 120))


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_conv2d_equals_qlinear_conv(case: Any) -> None:
    image, channels, outputs, groups, kernel, strides, dilations, pads = case
    rng = np.random.default_rng(3)
    for dtype in DTYPES:
        for per_channel, biased in ((True, True), (False, False), (False, True)):
            x, qx = storage(rng, (*image, channels), dtype), scaling(rng, dtype)
            qx = qx if per_channel else Scaling(2.0**-5, qx.zero_point)
            w = weights(rng, (outputs, *kernel, channels // groups))
            w_scale = rng.uniform(1e-3, 4e-2, outputs).astype(np.float32) if per_channel else np.float32(2.0**-7)
            bias = rng.integers(-9999, 9999, outputs).astype(np.int32) if biased else None

            def build(model: Model, inner: str) -> str:
                operands = [inner, model.weight(nchw(w), w_scale)]  # noqa: B023
                if bias is not None:  # noqa: B023
                    operands.append(model.weight(bias, np.float32(qx.scale) * w_scale))  # noqa: B023
                return model.op("Conv", *operands, strides=strides, dilations=dilations, pads=pads, group=groups)

            acc = arithmetic.conv2d_accumulate(x, w, bias, qx.zero_point, strides, dilations, pads, groups)
            qy = output_scaling(acc, arithmetic.multiplier(qx.scale, w_scale, 1.0), dtype, dyadic=not per_channel)
            factors = arithmetic.multiplier(qx.scale, w_scale, qy.scale)
            y = arithmetic.conv2d(
                x, w, bias, factors, qx.zero_point, qy.zero_point, dtype, strides, dilations, pads, groups
            )
            np.testing.assert_array_equal(nchw(y), run_reals(nchw(x), qx, qy, build))


def test_conv2d_with_asymmetric_uint8_weights() -> None:
    rng = np.random.default_rng(4)
    x, qx, qy = storage(rng, (1, 5, 5, 40), np.uint8), Scaling(0.02, 7), Scaling(0.4, 128)
    w = storage(rng, (9, 3, 3, 40), np.uint8)

    def build(model: Model, inner: str) -> str:
        return model.op("Conv", inner, model.dequantize(model.constant(nchw(w)), 0.003, 111, np.uint8))

    factors = arithmetic.multiplier(qx.scale, 0.003, qy.scale)
    centred = w.astype(np.int16) - 111
    y = arithmetic.conv2d(x, centred, None, factors, qx.zero_point, qy.zero_point, np.uint8)
    np.testing.assert_array_equal(nchw(y), run_reals(nchw(x), qx, qy, build))


def test_matmul_equals_qgemm_and_qlinear_matmul() -> None:
    rng = np.random.default_rng(5)
    for dtype in DTYPES:
        for rows, inner_size, outputs in ((1, 64, 10), (5, 1000, 17), (4, 7, 3)):
            for per_channel in (True, False):
                for alpha in (None, 1.0, 0.37):  # None is MatMul
                    x, qx = storage(rng, (rows, inner_size), dtype), scaling(rng, dtype)
                    qy = scaling(rng, dtype, 0.05, 0.5)
                    w = weights(rng, (outputs, inner_size))
                    w_scale = rng.uniform(1e-3, 4e-2, outputs if per_channel else ()).astype(np.float32)
                    w_scale /= np.float32(inner_size**0.5)
                    bias = rng.integers(-9999, 9999, outputs).astype(np.int32) if alpha == 1.0 else None

                    def build(model: Model, inner: str) -> str:
                        if alpha is None:  # noqa: B023
                            return model.op("MatMul", inner, model.weight(np.ascontiguousarray(w.T), w_scale, 1))  # noqa: B023
                        operands = [inner, model.weight(w, w_scale)]  # noqa: B023
                        if bias is not None:  # noqa: B023
                            operands.append(model.weight(bias, np.float32(qx.scale) * w_scale))  # noqa: B023
                        return model.op("Gemm", *operands, transB=1, alpha=alpha)  # noqa: B023

                    factors = arithmetic.multiplier(qx.scale, w_scale, qy.scale, alpha or 1.0)
                    y = arithmetic.matmul(x, w, bias, factors, qx.zero_point, qy.zero_point, dtype)
                    np.testing.assert_array_equal(y, run_reals(x, qx, qy, build))


def test_products_without_quantize_linear_stay_float() -> None:
    rng = np.random.default_rng(6)
    for dtype in DTYPES:
        x, qx, w = storage(rng, (3, 70), dtype), scaling(rng, dtype), weights(rng, (11, 70))
        w_scale = rng.uniform(1e-3, 4e-2, 11).astype(np.float32)
        bias = rng.integers(-9999, 9999, 11).astype(np.int32)
        for kind in ("Gemm", "MatMul"):
            model = Model()
            real = model.input(arithmetic.dequantize(x, qx.scale, qx.zero_point))
            inner = model.quantize(real, qx.scale, qx.zero_point, dtype)
            inner = model.dequantize(inner, qx.scale, qx.zero_point, dtype)
            if kind == "Gemm":
                offset = model.weight(bias, np.float32(qx.scale) * w_scale)
                model.output(model.op("Gemm", inner, model.weight(w, w_scale), offset, transB=1))
            else:
                model.output(model.op("MatMul", inner, model.weight(np.ascontiguousarray(w.T), w_scale, 1)))
            acc = arithmetic.matmul_accumulate(x, w, bias if kind == "Gemm" else None, qx.zero_point)
            factors = arithmetic.multiplier(qx.scale, w_scale, 1.0)
            np.testing.assert_array_equal(arithmetic.scale_accumulator(acc, factors), model.run())


def test_requantize_clamps_to_bounds() -> None:
    acc = np.arange(-300, 300, dtype=np.int32)[:, None]
    y = arithmetic.requantize(acc, [1.0], 5, np.int8, 5, 100)
    np.testing.assert_array_equal(y[:, 0], np.clip(acc[:, 0] + 5, 5, 100))


AVERAGES = (
    # height, width, channels, kernel, strides, pads, ceil_mode, count_include_pad
    (9, 11, 16, (3, 3), (2, 2), (1, 1, 1, 1), False, False),
    (9, 11, 16, (3, 3), (2, 2), (1, 1, 1, 1), False, True),
    (10, 11, 3, (3, 2), (2, 3), (1, 0, 1, 1), True, False),
    (10, 11, 5, (3, 2), (2, 3), (1, 0, 1, 1), True, True),
    (7, 7, 8, (7, 7), (1, 1), (0, 0, 0, 0), False, False),
    (10, 10, 4, (3, 3), (2, 2), (0, 0, 0, 0), True, False),
)


@pytest.mark.parametrize("case", AVERAGES, ids=str)
def test_pools_equal_onnx_runtime(case: Any) -> None:
    height, width, channels, kernel, strides, pads, ceil_mode, include = case
    rng = np.random.default_rng(7)
    attributes: Geometry = {"kernel_shape": kernel, "strides": strides, "pads": pads, "ceil_mode": int(ceil_mode)}
    for dtype in DTYPES:
        x = storage(rng, (2, height, width, channels), dtype)
        for run, shift in ((run_bytes, 0), (run_reals, 128 if dtype == np.int8 else 0)):
            qx, qy = scaling(rng, dtype), scaling(rng, dtype)
            y = arithmetic.average_pool(
                x,
                qx,
                qy,
                kernel,
                strides=strides,
                pads=pads,
                ceil_mode=ceil_mode,
                count_include_pad=include,
                shift=shift,
            )
            expected = run(
                nchw(x), qx, qy, lambda m, n: m.op("AveragePool", n, count_include_pad=int(include), **attributes)
            )
            np.testing.assert_array_equal(nchw(y), expected)
        y = arithmetic.max_pool(x, kernel, strides=strides, pads=pads, ceil_mode=ceil_mode)
        expected = run_reals(nchw(x), qx, qx, lambda m, n: m.op("MaxPool", n, **attributes))
        np.testing.assert_array_equal(nchw(y), expected)


def test_max_pool_dilations() -> None:
    x = storage(np.random.default_rng(8), (1, 12, 11, 3), np.int8)
    q = Scaling(0.1, 3)
    attributes: Geometry = {"kernel_shape": (3, 2), "strides": (2, 1), "dilations": (2, 3), "pads": (1, 1, 1, 0)}
    y = arithmetic.max_pool(x, (3, 2), strides=(2, 1), dilations=(2, 3), pads=(1, 1, 1, 0))
    np.testing.assert_array_equal(nchw(y), run_reals(nchw(x), q, q, lambda m, n: m.op("MaxPool", n, **attributes)))


def test_global_average_pool_equals_onnx_runtime() -> None:
    rng = np.random.default_rng(9)
    for dtype in DTYPES:
        for shape in ((2, 7, 7, 64), (1, 1, 1, 3), (3, 13, 5, 7), (1, 56, 56, 8)):
            for run in (run_bytes, run_reals):
                x, qx, qy = storage(rng, shape, dtype), scaling(rng, dtype), scaling(rng, dtype, 0.0005, 0.01)
                expected = run(nchw(x), qx, qy, lambda m, n: m.op("GlobalAveragePool", n))
                np.testing.assert_array_equal(nchw(arithmetic.global_average_pool(x, qx, qy)), expected)


def test_float_average_pool_equals_the_blocked_kernel() -> None:
    rng = np.random.default_rng(10)
    x = arithmetic.dequantize(storage(rng, (1, 9, 10, 32), np.uint8), 0.037, 120)
    model = Model()
    attributes: Geometry = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    model.output(model.op("AveragePool", model.input(nchw(x)), **attributes))
    y = arithmetic.float_average_pool(x, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    np.testing.assert_array_equal(nchw(y), model.run())


def test_vector_sum_equals_reduce_mean() -> None:
    rng = np.random.default_rng(12)
    for height, width in ((1, 1), (1, 2), (3, 1), (5, 3), (4, 4), (7, 7), (2, 5), (13, 11), (28, 28)):
        x = arithmetic.dequantize(storage(rng, (2, height, width, 19), np.uint8), 0.0371, 101)
        model = Model()
        model.output(model.op("ReduceMean", model.input(nchw(x)), axes=[2, 3]))
        np.testing.assert_array_equal(nchw(arithmetic.vector_sum(x) / np.float32(height * width)), model.run())


@current_onnxruntime
def test_softmax_equals_qlinear_softmax() -> None:
    rng = np.random.default_rng(11)
    for dtype in DTYPES:
        low = np.iinfo(dtype).min
        for opset, length in ((11, 10), (13, 1000), (17, 7), (17, 2), (17, 1)):
            for y_scale, y_zero in ((1 / 256, low), (1 / 255, low), (0.0039, 0), (0.01, 5), (1e-4, low), (1e-9, 3)):
                for x_scale in (0.02, 0.1, 1.5):
                    x = storage(rng, (20, length), dtype)
                    y = arithmetic.softmax(x, x_scale, y_scale, y_zero)
                    for run in (run_bytes, run_reals):
                        q = Scaling(x_scale, 3), Scaling(y_scale, y_zero)
                        expected = run(x, *q, lambda m, n: m.op("Softmax", n, axis=1), opset)
                        np.testing.assert_array_equal(y, expected)


@current_onnxruntime
def test_softmax_near_ties() -> None:
    """Rows whose results show how the exponentials' common factor, the product and the quotient round."""
    for seed, length, x_scale, y_scale in ((24, 1000, 0.1, 1e-4), (33, 300, 0.0303, 2e-4), (34, 300, 0.0303, 2e-4)):
        x = np.random.default_rng(seed).integers(0, 256, (500, length)).astype(np.uint8)
        expected = run_bytes(x, Scaling(x_scale, 3), Scaling(y_scale, 0), lambda m, n: m.op("Softmax", n, axis=1), 17)
        np.testing.assert_array_equal(arithmetic.softmax(x, x_scale, y_scale, 0), expected)
