"""Sums of ReduceMean: where ONNX Runtime has the channels last, and that the bits of a sum tell its order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tests.compiler.quantized import Builder, quiet

from furiosa.compiler import compile_model
from furiosa.runtime.sync import create_runner

_CHANNELS, _SCALE = 64, 0.0371
Network = Callable[[Builder], str]
Step = Callable[[Builder, str], str]


def image(b: Builder) -> str:
    return b.q(b.input(1, _CHANNELS, 11, 13), _SCALE, 128 if b.dtype == "uint8" else 0)


def conv(b: Builder, x: str, scale: float = _SCALE) -> str:
    """A convolution that changes nothing."""
    weights = b.weight(np.eye(_CHANNELS, dtype=np.float32)[:, :, None, None])
    return b.q(b.op("Conv", x, weights), scale, 128 if b.dtype == "uint8" else 0)


def mean(b: Builder, x: str, axes: tuple[int, ...] = (2, 3), keep: int = 1, scale: float | None = None) -> str:
    zero = 128 if b.dtype == "uint8" else 0
    return b.q(b.op("ReduceMean", x, axes=axes, keepdims=keep), scale, zero if scale else 0)


def between(step: Step) -> Network:
    return lambda b: conv(b, mean(b, step(b, conv(b, image(b)))), 0.01)


def of(kind: str, *more: Any, **attributes: Any) -> Step:
    def step(b: Builder, x: str) -> str:
        operands = [b.const(each, np.asarray(each).dtype) for each in more]
        return b.q(b.op(kind, x, *operands, **attributes))

    return step


def reshaped(b: Builder, x: str) -> str:
    for shape in ([1, _CHANNELS, 143], [1, _CHANNELS, 11, 13]):
        x = b.q(b.op("Reshape", x, b.const(shape, np.int64)))
    return x


def excited(b: Builder) -> str:
    x = conv(b, image(b))
    return conv(b, b.q(b.op("Mul", x, b.q(b.op("Sigmoid", conv(b, mean(b, x), 0.01))))))


NETWORKS: dict[str, Network] = {
    "between": between(lambda _, x: x),
    "negative axes": lambda b: conv(b, mean(b, conv(b, image(b)), (-1, -2)), 0.01),
    "of channels": lambda b: b.q(b.op("Conv", mean(b, conv(b, image(b)), (1,)), b.weight(b.normal(3, 1, 1, 1)))),
    "of columns": lambda b: conv(b, mean(b, conv(b, image(b)), (3,)), 0.01),
    "behind one": lambda b: mean(b, conv(b, image(b))),
    "before one": lambda b: conv(b, mean(b, image(b)), 0.01),
    "behind one, before Gemm": lambda b: b.q(
        b.op("Gemm", mean(b, conv(b, image(b)), keep=0), b.weight(b.normal(_CHANNELS, 8)))
    ),
    "squeeze and excitation": excited,
    "a function": between(of("Sigmoid")),
    "an Add of two": between(lambda b, x: b.q(b.op("Add", x, conv(b, image(b))))),
    "an Add of the input": between(lambda b, x: b.q(b.op("Add", x, image(b)))),
    "a Concat": between(lambda b, x: b.q(b.op("Concat", x, conv(b, image(b)), axis=2))),
    "a pool": between(of("AveragePool", kernel_shape=[2, 2])),
    "a Pad": between(of("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]))),
    "a Softmax": between(of("Softmax", axis=1)),
    "a BatchNormalization": between(of("BatchNormalization", *4 * [np.ones(_CHANNELS, np.float32)])),
    "a normalization": between(of("LpNormalization", axis=1)),
    "two Reshapes": between(reshaped),
}


def moved(model: bytes, folder: Path) -> list[bool]:
    """For each ReduceMean, whether ONNX Runtime executes it over other axes than the model says."""
    options = quiet()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given, executed = (
        axes(onnx.load_from_string(each)) for each in (model, Path(options.optimized_model_filepath).read_bytes())
    )
    return [new != old for old, new in zip(given, executed, strict=True)]


def axes(model: onnx.ModelProto) -> list[list[int]]:
    means = [node for node in model.graph.node if node.op_type == "ReduceMean"]
    return [list(next(each.ints for each in node.attribute if each.name == "axes")) for node in means]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_channels_lie_where_onnx_runtime_has_them(name: str, dtype: str, tmp_path: Path) -> None:
    b = Builder(dtype, 17)
    model = b.model(NETWORKS[name](b))
    graph = compile_model(model, target_ir="dfg").layers["dfg"]
    assert [op.attrs.channels_last for op in graph if op.kind == "reduce"] == moved(model, tmp_path)


@pytest.mark.parametrize("name", ["between", "behind one", "before one"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_order_of_the_sum(name: str, dtype: str) -> None:
    """Values that cancel out leave a mean of nothing but roundings, which tell one order from the other."""
    b = Builder(dtype, 17)
    x = image(b)
    x = x if name == "before one" else conv(b, x)
    y = mean(b, x, scale=1e-9)
    model = b.model(y if name == "behind one" else conv(b, y, 1e-9))
    half = b.rng.integers(-100, 100, (_CHANNELS, 71)).astype(np.float32) * np.float32(_SCALE)
    pixels = np.concatenate([half, -half, np.zeros((_CHANNELS, 1), np.float32)], axis=1)
    given = b.rng.permuted(pixels, axis=1).reshape(1, _CHANNELS, 11, 13)
    (want,) = ort.InferenceSession(model, quiet(), providers=["CPUExecutionProvider"]).run(None, {"x0": given})
    with create_runner(model) as runner:
        (have,) = runner.run([given])
    assert len(np.unique(want)) > 5
    np.testing.assert_array_equal(have, want)
