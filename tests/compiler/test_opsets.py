"""Operators in every opset, with random shapes and attributes, in QDQ and QLinear form: the bits of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented
from tests.compiler.op_case import conv
from tests.compiler.quantized import Builder, on_cpu, quiet, same
from tests.compiler.test_ops_parity import qlinear
from tests.parity import current_onnxruntime

pytestmark = current_onnxruntime

Draw = Callable[[Any], Any]
Make = Callable[[Draw, Builder], str]
_size = st.integers(1, 6)
_image = st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(3, 9), st.integers(3, 9))
_shape = st.lists(_size, min_size=2, max_size=4)


def function(kind: str, **ranges: tuple[float, float]) -> Make:
    def make(draw: Draw, b: Builder) -> str:
        attributes = {name: draw(st.floats(*ends, width=32)) for name, ends in ranges.items()}
        return b.op(kind, b.qinput(*draw(_shape)), **attributes)

    return make


def binary(kind: str) -> Make:
    def make(draw: Draw, b: Builder) -> str:
        shape = draw(_shape)
        other = [1 if draw(st.booleans()) else size for size in shape]
        return b.op(kind, b.qinput(*shape), b.qinput(*other))

    return make


def convolution(draw: Draw, b: Builder) -> str:
    n, c, h, w = draw(_image)
    kernel, strides = draw(st.tuples(*[st.integers(1, 3)] * 2)), draw(st.tuples(*[st.integers(1, 2)] * 2))
    return conv(
        b, b.qinput(n, c, h, w), (draw(_size), c, *kernel), axis=None, strides=strides, pads=[0, 0, kernel[0] - 1, 0]
    )


def pool(kind: str) -> Make:
    def make(draw: Draw, b: Builder) -> str:
        kernel, strides = draw(st.tuples(*[st.integers(2, 3)] * 2)), draw(st.tuples(*[st.integers(1, 3)] * 2))
        pads = draw(st.tuples(*[st.integers(0, 1)] * 4))
        return b.op(kind, b.qinput(*draw(_image)), kernel_shape=kernel, strides=strides, pads=pads)

    return make


def matmul(draw: Draw, b: Builder) -> str:
    m, k, n = draw(st.tuples(_size, _size, _size))
    return b.op("MatMul", b.qinput(m, k), b.weight(b.normal(k, n)))


def products(draw: Draw, b: Builder) -> str:
    batch, (m, k, n) = draw(st.lists(_size, max_size=2)), draw(st.tuples(_size, _size, _size))
    return b.op("MatMul", b.qinput(*batch, m, k), b.qinput(*batch, k, n))


def gemm(draw: Draw, b: Builder) -> str:
    m, k, n = draw(st.tuples(_size, _size, _size))
    turned = draw(st.booleans())
    w = b.weight(b.normal(*((n, k) if turned else (k, n))))
    x = b.qinput(m, k)
    return b.op("Gemm", x, w, b.bias(b.normal(n), x, w), transB=int(turned))


def concat(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    axis = draw(st.integers(0, len(shape) - 1))
    parts = [[*shape[:axis], draw(_size), *shape[axis + 1 :]] for _ in range(draw(st.integers(1, 3)))]
    return b.op("Concat", *(b.qinput(*part) for part in parts), axis=axis)


def transpose(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    return b.op("Transpose", b.qinput(*shape), perm=draw(st.permutations(range(len(shape)))))


def flatten(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    return b.op("Flatten", b.qinput(*shape), axis=draw(st.integers(0, len(shape))))


def reshape(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    return b.op("Reshape", b.qinput(*shape), b.const(draw(st.permutations(shape)), np.int64))


def squeeze(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    axis = draw(st.integers(0, len(shape)))
    x = b.qinput(*shape[:axis], 1, *shape[axis:])
    return b.op("Squeeze", x, axes=[axis]) if b.opset < 13 else b.op("Squeeze", x, b.const([axis], np.int64))


def unsqueeze(draw: Draw, b: Builder) -> str:
    shape = draw(st.lists(_size, min_size=1, max_size=3))
    axis, x = draw(st.integers(0, len(shape))), b.qinput(*shape)
    return b.op("Unsqueeze", x, axes=[axis]) if b.opset < 13 else b.op("Unsqueeze", x, b.const([axis], np.int64))


def cut(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    axis = draw(st.integers(0, len(shape) - 1))
    start = draw(st.integers(0, shape[axis] - 1))
    bounds = ([start], [draw(st.integers(start + 1, shape[axis]))], [axis])
    x = b.qinput(*shape)
    if b.opset < 10:
        return b.op("Slice", x, **dict(zip(("starts", "ends", "axes"), bounds)))
    return b.op("Slice", x, *(b.const(bound, np.int64) for bound in bounds))


def pad(draw: Draw, b: Builder) -> str:
    shape = draw(_shape)
    pads = draw(st.lists(st.integers(0, 2), min_size=2 * len(shape), max_size=2 * len(shape)))
    x = b.qinput(*shape)
    return b.op("Pad", x, pads=pads) if b.opset < 11 else b.op("Pad", x, b.const(pads, np.int64))


def clip(draw: Draw, b: Builder) -> str:
    low, high = draw(st.floats(-2, 0, width=32)), draw(st.floats(0.5, 2, width=32))
    x = b.qinput(*draw(_shape))
    return b.op("Clip", x, min=low, max=high) if b.opset < 11 else b.op("Clip", x, b.const(low), b.const(high))


def softmax(draw: Draw, b: Builder) -> str:
    shape = [draw(st.integers(1, 2)), *draw(st.lists(_size, min_size=1, max_size=3))]
    return b.op("Softmax", b.qinput(*shape), axis=draw(st.integers(0, len(shape) - 1)))


def batch_norm(draw: Draw, b: Builder) -> str:
    shape = draw(_image)
    return b.op("BatchNormalization", b.qinput(*shape), *(b.const(abs(b.normal(shape[1])) + 0.1) for _ in range(4)))


def prelu(draw: Draw, b: Builder) -> str:
    shape = draw(_image)
    return b.op("PRelu", b.qinput(*shape), b.const(b.normal(shape[1], 1, 1)))


def upsample(draw: Draw, b: Builder) -> str:
    scales = [1.0, 1.0, *(float(draw(st.integers(1, 3))) for _ in range(2))]
    x = b.qinput(*draw(_image))
    if b.opset < 9:
        return b.op("Upsample", x, mode="nearest", scales=scales)
    if b.opset < 11:
        return b.op("Upsample" if b.opset == 9 else "Resize", x, b.const(scales), mode="nearest")
    floor = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    roi = b.const([]) if b.opset < 13 else ""
    return b.op("Resize", x, roi, b.const(scales), mode="nearest", **floor)


def blocks(draw: Draw, b: Builder) -> str:
    (n, c, h, w), side = draw(st.tuples(_size, _size, _size, _size)), draw(st.integers(1, 3))
    if draw(st.booleans()):
        return b.op("DepthToSpace", b.qinput(n, c * side**2, h, w), blocksize=side)
    return b.op("SpaceToDepth", b.qinput(n, c, h * side, w * side), blocksize=side)


def dropout(draw: Draw, b: Builder) -> str:
    return b.op("Dropout", b.qinput(*draw(_shape)))


OPERATORS: dict[str, Make] = {
    "Conv": convolution, "MatMul": matmul, "MatMul of two": products, "Gemm": gemm, "MaxPool": pool("MaxPool"),
    "Add": binary("Add"), "Sub": binary("Sub"), "Mul": binary("Mul"), "Sum": binary("Sum"), "Mean": binary("Mean"),
    "Relu": function("Relu"), "Sigmoid": function("Sigmoid"), "Tanh": function("Tanh"), "Abs": function("Abs"),
    "LeakyRelu": function("LeakyRelu", alpha=(0.0, 0.5)), "HardSigmoid": function("HardSigmoid", alpha=(0.125, 0.25)),
    "Neg": function("Neg"), "Floor": function("Floor"), "Ceil": function("Ceil"), "Identity": function("Identity"),
    "Concat": concat, "Transpose": transpose, "Flatten": flatten, "Reshape": reshape, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Slice": cut, "Pad": pad, "Clip": clip, "Softmax": softmax,
    "BatchNormalization": batch_norm, "PRelu": prelu, "Upsample": upsample, "DepthToSpace": blocks, "Dropout": dropout,
}  # fmt: skip
"""Those whose results are equal to the bit in any opset."""
OLDEST = {"Conv": 10, "MatMul": 10, "MatMul of two": 10, "Gemm": 10, "Flatten": 9, "DepthToSpace": 11, "Mean": 8}
"""Of these ONNX Runtime has no quantized form in older opsets, or none at all."""


@cache
def newest() -> int:
    """The newest opset whose quantization ONNX Runtime runs."""
    import onnx

    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        b = Builder("uint8", opset)
        try:
            ort.InferenceSession(b.model(b.q(b.op("Relu", b.input(1)))), quiet(), providers=["CPUExecutionProvider"])
        except Exception:
            continue
        return opset
    raise AssertionError


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=2, phases=[Phase.generate])
@given(data=st.data(), dtype=st.sampled_from(["uint8", "int8"]), seed=st.integers(0, 1000), integer=st.booleans())
def test_any_opset(name: str, data: st.DataObject, dtype: str, seed: int, integer: bool) -> None:
    b = Builder(dtype, data.draw(st.integers(OLDEST.get(name, 7), newest()), label="opset"), seed)
    try:
        model = b.model(b.q(OPERATORS[name](data.draw, b)))
    except NotImplemented:  # ONNX Runtime has no kernel of this age
        reject()
    with TemporaryDirectory() as folder:
        form = qlinear(model, Path(folder)) if integer and b.opset >= 10 else model
        assert on_cpu(same(form, seed=seed)) == {}
