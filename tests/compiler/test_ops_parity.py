"""Every operator of the NPU, in every form, gives the bits that ONNX Runtime gives on the same file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.op_case import conv, reshape
from tests.compiler.op_cases import CASES, OPSETS
from tests.compiler.quantized import Builder, on_cpu, quiet, same
from tests.parity import current_onnxruntime

from furiosa.compiler.ops import OPS

pytestmark = current_onnxruntime

ROUNDING = {"conv clip", "residual block", "chain of convs", "swish", "concat of convs", "averagepool 3 channels",
            "averagepool 37 channels", "averagepool 3 channels, counting pads", "globalaveragepool flatten",
            "averagepool 37 channels, counting pads", "sum relu averagepool reshape"}  # fmt: skip
"""Cases in which ONNX Runtime may compute in float32: the rows' ``parity`` says where, and allows one step."""
ROUNDING_KINDS = (
    "convtranspose", "reducemean between", "reducesum between", "reducel2 of all", "lpnormalization by a sum",
    "lpnormalization by a reciprocal", "resize linear 1-D", "exp", "log",
    "erf", "pow", "elu", "selu", "celu", "softplus", "mish", "gelu",
)  # fmt: skip
"""Cases of operators that it always computes in float32, by the beginning of their names."""


def step(name: str, b: Builder) -> float:
    """The largest difference that is allowed: one step of the last quantization, or none."""
    last = [point for point in b.points.values() if point is not None][-1]
    return 1.01 * last[0] if name in ROUNDING or name.startswith(ROUNDING_KINDS) else 0.0


@pytest.mark.parametrize("name", CASES)
def test_qdq_form(name: str) -> None:
    for dtype in ("uint8", "int8"):
        for opset in OPSETS.get(name, (13,)):
            b = Builder(dtype, opset)
            report = same(b.model(CASES[name](b)), step(name, b))
            assert on_cpu(report) == {}
            assert report["npu_clusters"] <= 1


@pytest.mark.parametrize("opset", [17, 21])
def test_later_opsets(opset: int) -> None:
    """One sample of all cases for each opset: what a later opset changes has a case of its own."""
    for name in [name for name in CASES if name not in OPSETS][opset % 4 :: 4]:
        b = Builder("uint8", opset)
        assert on_cpu(same(b.model(CASES[name](b)), step(name, b))) == {}


def qlinear(model: bytes, folder: Path) -> bytes:
    """The model with QLinear operators, as ONNX Runtime rewrites it; int8 stays int8."""
    options = quiet()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "qlinear.onnx")
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return (folder / "qlinear.onnx").read_bytes()


# ONNX Runtime expands HardSwish and Mish to operators with no quantization between them.
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("hardswish", "mish")])
def test_qlinear_form(name: str, tmp_path: Path) -> None:
    for dtype in ("uint8", "int8"):
        b = Builder(dtype, OPSETS.get(name, (13,))[-1])
        assert on_cpu(same(qlinear(b.model(CASES[name](b)), tmp_path), step(name, b))) == {}


def test_the_qlinear_forms_are_all_there(tmp_path: Path) -> None:
    found = set()
    for name in ("conv", "gemm, int32 bias, transB=1, scales per channel: True", "matmul (5, 6), scales along 1",
                 "add to itself", "swish", "concat of one tensor twice", "averagepool ", "globalaveragepool flatten",
                 "globalaveragepool (1, 16, 7, 7)", "leakyrelu (7,)", "softmax of classes",
                 "maxpool of one scale"):  # fmt: skip
        b = Builder()
        found |= {node.op_type for node in onnx.load_from_string(qlinear(b.model(CASES[name](b)), tmp_path)).graph.node}
    assert found >= {"QLinearConv", "QGemm", "QLinearMatMul", "QLinearAdd", "QLinearMul", "QLinearConcat", "MaxPool",
                     "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearSigmoid",
                     "QLinearSoftmax"}  # fmt: skip


@given(
    dtype=st.sampled_from(["uint8", "int8"]), seed=st.integers(0, 1000), size=st.tuples(*[st.integers(1, 14)] * 2),
    batch=st.integers(1, 3), group=st.sampled_from([1, 2, 3]), width=st.integers(1, 9), outputs=st.integers(1, 9),
    kernel=st.tuples(*[st.integers(1, 4)] * 2), strides=st.tuples(*[st.integers(1, 3)] * 2),
    dilations=st.tuples(*[st.integers(1, 3)] * 2), pads=st.tuples(*[st.integers(0, 3)] * 4),
)  # fmt: skip
def test_any_convolution(
    dtype: str, seed: int, size: tuple[int, int], batch: int, group: int, width: int, outputs: int,
    kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int], pads: tuple[int, int, int, int],
) -> None:  # fmt: skip
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel)]
    if any(n + pads[i] + pads[i + 2] < r for i, (n, r) in enumerate(zip(size, reach))):
        return
    b = Builder(dtype, seed=seed)
    y = conv(b, b.qinput(batch, group * width, *size), (group * outputs, width, *kernel), group=group,
             strides=strides, dilations=dilations, pads=pads)  # fmt: skip
    on = on_cpu(same(b.model(b.q(y)), seed=seed))
    assert set(on.values()) <= {"padding_below_kernel"}


@given(
    dtype=st.sampled_from(["uint8", "int8"]), seed=st.integers(0, 1000), size=st.tuples(*[st.integers(1, 7)] * 2),
    batch=st.integers(1, 2), group=st.sampled_from([1, 2, 3]), width=st.integers(1, 4), outputs=st.integers(1, 4),
    kernel=st.tuples(*[st.integers(1, 5)] * 2), strides=st.tuples(*[st.integers(1, 3)] * 2),
    dilations=st.tuples(*[st.integers(1, 3)] * 2), pads=st.tuples(*[st.integers(0, 3)] * 4),
    extra=st.tuples(*[st.integers(0, 2)] * 2),
)  # fmt: skip
def test_any_transposed_convolution(
    dtype: str, seed: int, size: tuple[int, int], batch: int, group: int, width: int, outputs: int,
    kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int], pads: tuple[int, int, int, int],
    extra: tuple[int, int],
) -> None:  # fmt: skip
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel)]
    extra = (min(extra[0], strides[0] - 1), min(extra[1], strides[1] - 1))
    grown = [s * (n - 1) + r + e for s, n, r, e in zip(strides, size, spans, extra)]
    if any(g - pads[i] - pads[i + 2] < 1 for i, g in enumerate(grown)):
        return
    b = Builder(dtype, seed=seed)
    w = b.weight(b.normal(group * width, outputs, *kernel), 1)
    y = b.op("ConvTranspose", b.qinput(batch, group * width, *size), w, b.const(b.normal(group * outputs)), group=group,
             strides=strides, dilations=dilations, pads=pads, output_padding=extra)  # fmt: skip
    model = b.model(b.q(y))
    assert set(on_cpu(same(model, step("convtranspose", b), seed=seed)).values()) <= {"cut_below_kernel"}


@given(
    dtype=st.sampled_from(["uint8", "int8"]), seed=st.integers(0, 1000),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=5), cuts=st.lists(
        st.tuples(st.integers(-7, 7), st.integers(-7, 9), st.integers(1, 3)), min_size=5, max_size=5),
    axes=st.sets(st.integers(0, 4), min_size=1),
)  # fmt: skip
def test_any_slice(dtype: str, seed: int, shape: list[int], cuts: list[tuple[int, int, int]], axes: set[int]) -> None:
    chosen = [axis for axis in axes if axis < len(shape)]
    if any(not range(shape[axis])[slice(*cuts[axis])] for axis in chosen) or not chosen:
        return
    b = Builder(dtype, seed=seed)
    starts, ends, steps = (b.const([cuts[axis][i] for axis in chosen], "int64") for i in range(3))
    y = b.op("Slice", b.qinput(*shape), starts, ends, b.const(chosen, "int64"), steps)
    assert set(on_cpu(same(b.model(b.q(y)), seed=seed)).values()) <= {"sliceable"}


@given(
    kind=st.sampled_from(["DepthToSpace", "SpaceToDepth"]), crd=st.booleans(), seed=st.integers(0, 1000),
    dtype=st.sampled_from(["uint8", "int8"]), shape=st.tuples(*[st.integers(1, 4)] * 4), side=st.integers(1, 4),
)  # fmt: skip
def test_any_blocks(kind: str, crd: bool, seed: int, dtype: str, shape: tuple[int, int, int, int], side: int) -> None:
    b = Builder(dtype, seed=seed)
    n, c, h, w = shape
    if kind == "DepthToSpace":
        y = b.op(kind, b.qinput(n, c * side**2, h, w), blocksize=side, mode="CRD" if crd else "DCR")
    else:
        y = b.op(kind, b.qinput(n, c, h * side, w * side), blocksize=side)
    assert on_cpu(same(b.model(b.q(y)), seed=seed)) == {}


@given(
    mode=st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"]),
    opset=st.sampled_from([11, 13, 18, 19]), seed=st.integers(0, 1000), dtype=st.sampled_from(["uint8", "int8"]),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 9), *[st.integers(1, 12)] * 2),
    to=st.tuples(*[st.integers(1, 30)] * 2), by_sizes=st.booleans(), rescaled=st.booleans(),
)  # fmt: skip
def test_any_linear_resize(
    mode: str, opset: int, seed: int, dtype: str, shape: tuple[int, int, int, int], to: tuple[int, int],
    by_sizes: bool, rescaled: bool,
) -> None:  # fmt: skip
    b = Builder(dtype, opset, seed=seed)
    sizes = b.const([*shape[:2], *to], np.int64)
    factors = [1, 1, *(float(np.float32((after + 0.3) / before)) for before, after in zip(shape[2:], to))]
    operands = ["", sizes] if by_sizes else [b.const(factors)]
    point = (0.0173, 3)
    x = b.q(b.input(*shape), *point)
    roi = b.const([]) if opset == 11 else ""
    y = b.op("Resize", x, roi, *(b.const([]) if opset == 11 and not o else o for o in operands), mode="linear",
             coordinate_transformation_mode=mode)  # fmt: skip
    y = b.q(y) if rescaled else b.q(y, *point)
    assert on_cpu(same(b.model(y), seed=seed)) == {}


@given(
    kind=st.sampled_from(["MaxPool", "AveragePool"]), dtype=st.sampled_from(["uint8", "int8"]),
    seed=st.integers(0, 1000), size=st.tuples(*[st.integers(1, 12)] * 2), channels=st.sampled_from([1, 3, 16, 33]),
    kernel=st.tuples(*[st.integers(1, 4)] * 2), strides=st.tuples(*[st.integers(1, 3)] * 2),
    pads=st.tuples(*[st.integers(0, 3)] * 4), ceil=st.booleans(), counted=st.booleans(), dilation=st.integers(1, 3),
)  # fmt: skip
def test_any_pool(
    kind: str, dtype: str, seed: int, size: tuple[int, int], channels: int, kernel: tuple[int, int],
    strides: tuple[int, int], pads: Sequence[int], ceil: bool, counted: bool, dilation: int,
) -> None:  # fmt: skip
    extra: dict[str, Any] = {"dilations": [dilation] * 2} if kind == "MaxPool" else {"count_include_pad": int(counted)}
    reach = [(dilation if kind == "MaxPool" else 1) * (k - 1) + 1 for k in kernel]
    pads = [min(pad, k - 1) for pad, k in zip(pads, kernel * 2)]  # ONNX Runtime demands that pads are below the kernel
    if any(n + pads[i] + pads[i + 2] < r for i, (n, r) in enumerate(zip(size, reach))):
        return
    b = Builder(dtype, seed=seed)
    y = b.op(kind, b.qinput(2, channels, *size), kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=int(ceil),
             **extra)  # fmt: skip
    on = on_cpu(same(b.model(b.q(y)), seed=seed))
    assert set(on.values()) <= {"taps_inside", "padding_below_kernel"}


@given(
    kind=st.sampled_from(["Add", "Sub", "Mul", "Sum"]), dtype=st.sampled_from(["uint8", "int8"]),
    seed=st.integers(0, 1000), shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    ones=st.tuples(*[st.booleans()] * 8), ranks=st.tuples(*[st.integers(1, 4)] * 2),
)  # fmt: skip
def test_any_broadcast(
    kind: str, dtype: str, seed: int, shape: list[int], ones: tuple[bool, ...], ranks: tuple[int, int]
) -> None:
    shapes = [[1 if one else size for size, one in zip(shape, flags)] for flags in (ones[:4], ones[4:])]
    b = Builder(dtype, seed=seed)
    operands = (b.qinput(*(s[-rank:])) for s, rank in zip(shapes, ranks))
    assert on_cpu(same(b.model(b.q(b.op(kind, *operands))), seed=seed)) == {}


@given(
    seed=st.integers(0, 1000), shape=st.permutations([1, 2, 3, 4, 6]), perm=st.permutations(range(5)),
    target=st.permutations([2, 2, 3, 12, 1]), again=st.permutations(range(5)), rank=st.integers(3, 5),
)  # fmt: skip
def test_any_moves(seed: int, shape: Any, perm: Any, target: Any, again: Any, rank: int) -> None:
    """Rows of transpositions and reshapes, on any number of axes; elements are told apart by their values."""
    b = Builder(seed=seed)
    x = b.q(b.op("Transpose", b.qinput(*shape), perm=perm))
    x = b.q(b.op("Transpose", b.q(reshape(b, x, *target)), perm=again))
    x = b.q(reshape(b, x, *[2, 12, 6, 1, 1][: rank - 1], -1))
    on = on_cpu(same(b.model(b.q(b.op("Relu", x))), seed=seed))
    assert set(on.values()) <= {"mergeable"}


def test_what_may_differ_is_said() -> None:
    rounding = {name for name, row in OPS.items() if row.parity}
    assert rounding == {"conv2d", "matmul", "average_pool2d", "global_average_pool", "softmax", "function", "reduce",
                        "conv_transpose2d", "interpolate", "product", "lp_normalization"}  # fmt: skip
