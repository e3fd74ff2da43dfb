"""Where operators run, and what the user reads about those that the NPU cannot run: every refusal, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.compiler.op_case import conv, of, reshape, with_operands
from tests.compiler.quantized import Builder, on_cpu, same

from furiosa.compiler import compile_model
from furiosa.compiler.ops import OPS

Case = Callable[[Builder], str]


def _conv(shape: tuple[int, ...], weights: tuple[int, ...], **attributes: Any) -> Case:
    return lambda b: b.q(conv(b, b.qinput(*shape), weights, **attributes))


def _biased_product(b: Builder) -> str:
    return b.q(b.op("Add", b.op("MatMul", b.qinput(4, 5), b.qinput(5, 6)), b.const(b.normal(6))))


def _float_weights(b: Builder) -> str:
    return b.q(b.op("Conv", b.qinput(1, 3, 8, 8), b.const(b.normal(4, 3, 3, 3))))


def _uneven_weights(b: Builder) -> str:
    stored, zeros = b.const(np.resize([0, 255, 7], (3, 4, 2, 2)), np.uint8), b.const([0, 255, 0, 255], np.uint8)
    weights = b.op("DequantizeLinear", stored, b.const([0.01] * 4), zeros, axis=1)
    return b.q(b.op("ConvTranspose", b.qinput(1, 3, 8, 8), weights))


def _gemm(*bias: int, **attributes: Any) -> Case:
    def build(b: Builder) -> str:
        more = (b.const(b.normal(*bias)),) if bias else ()
        x = b.qinput(4, 3) if attributes.get("transA") else b.qinput(3, 4)
        return b.q(b.op("Gemm", x, b.weight(b.normal(4, 6)), *more, **attributes))

    return build


def _float_constant(b: Builder) -> str:
    return b.q(b.op("Add", b.qinput(2, 3, 4, 5), b.const(b.normal(4, 5))))


TWO_TENSORS: dict[str, Callable[[Builder, str, str], str]] = {
    "Div": lambda b, x, y: b.op("Mul", x, b.q(b.op("Reciprocal", y))),
    "Max": lambda b, x, y: b.op("Add", x, b.q(b.op("Relu", b.q(b.op("Sub", y, x))))),
    "Min": lambda b, x, y: b.op("Sub", x, b.q(b.op("Relu", b.q(b.op("Sub", x, y))))),
    "Pow": lambda b, x, y: b.op("Exp", b.q(b.op("Mul", y, b.q(b.op("Log", x))))),
}
"""What takes the place of an operator of two computed tensors, as its hint says."""


def _gathered(indices: list[Any] | None) -> Case:
    def build(b: Builder) -> str:
        if indices is None:
            bounds = b.const(0, np.int64), b.const(1, np.int64)
            given = b.op("Clip", b.input(2, dtype="int64"), *bounds)
        else:
            given = b.const(indices, np.int64)
        return b.q(b.op("Gather", b.qinput(1, 4, 5), given, axis=1))

    return build


def _sigmoid_of_mean(b: Builder) -> str:
    return b.q(b.op("Sigmoid", b.op("GlobalAveragePool", b.qinput(1, 4, 6, 6))))


def _clipped_softmax(b: Builder) -> str:
    return b.q(b.op("Clip", b.op("Softmax", b.qinput(1, 4)), b.const(0.2), b.const(0.5)), 0.01, 10)


def _six_axes(b: Builder) -> str:
    x = b.q(reshape(b, b.qinput(2, 3, 4, 6), 2, 3, 2, 2, 3, 2))
    return b.q(b.op("Transpose", x, perm=[0, 3, 5, 1, 2, 4]))


def _no_result_scale(b: Builder) -> str:
    return b.op("Gemm", b.qinput(3, 4), b.weight(b.normal(4, 6)))


def _empty(b: Builder) -> str:
    part = b.op("Slice", b.qinput(1, 4, 6, 6), b.const([4], np.int64), b.const([4], np.int64), b.const([1], np.int64))
    return b.q(b.op("Relu", b.q(part, 0.1)), 0.1)


def _turned(b: Builder) -> str:
    bounds = (b.const([v], np.int64) for v in (3, -9, 1, -1))
    return b.q(b.op("Slice", b.qinput(1, 4, 6, 6), *bounds))


def _parts(b: Builder) -> str:
    bounds = (b.const([v] * 5, np.int64) for v in (1, 3))
    return b.q(b.op("Slice", b.qinput(3, 3, 3, 3, 3), *bounds))


def _many(b: Builder) -> str:
    return b.q(b.op("Relu", b.q(b.op("ReduceMean", b.qinput(1, 2049, 2048), axes=[1, 2]))))


def _resized(target: list[int], **attributes: str) -> Case:
    return lambda b: b.q(b.op("Resize", b.qinput(1, 2, 4, 4), "", "", b.const(target, np.int64), **attributes))


def _normalized(epsilon: float = 0.0, batch: int = 1) -> Case:
    """x / sqrt(sum(x * x) + epsilon), of five nodes or four."""

    def build(b: Builder) -> str:
        x = b.q(b.input(batch, 4), 0.02, 128)
        total = b.op("ReduceSum", b.op("Mul", x, x), b.const([1], np.int64))
        total = b.op("Add", total, b.const(epsilon)) if epsilon else total
        return b.q(b.op("Div", x, b.op("Sqrt", total)))

    return build


def _cropped(b: Builder) -> str:
    roi = b.const([0, 0, 0.1, 0.2, 1, 1, 0.9, 0.8])
    return b.q(b.op("Resize", b.qinput(1, 2, 4, 4), roi, b.const([1, 1, 2, 2]), mode="linear",
                    coordinate_transformation_mode="tf_crop_and_resize"))  # fmt: skip


def _linear(scales: list[float], **attributes: str | int) -> Case:
    return lambda b: b.q(b.op("Resize", b.qinput(1, 2, 4, 4), "", b.const(scales), mode="linear", **attributes))


REFUSED: list[tuple[str, str, Case, int]] = [
    ("groups", "this Conv has 129", _conv((1, 258, 2, 2), (129, 2, 1, 1), group=129), 13),
    ("dilation", "it is 13", _conv((1, 2, 30, 30), (2, 2, 3, 3), dilations=[13, 1]), 13),
    ("padding_below_kernel", "padding (3, 0, 0, 0) of windows of 2 x 2",
     _conv((1, 2, 4, 4), (2, 2, 2, 2), pads=[3, 0, 0, 0]), 13),
    ("window_size", "70000", _conv((1, 2, 4, 4), (2, 2, 2, 2), strides=[70000, 1]), 13),
    ("products", "65792", _conv((1, 257, 16, 16), (2, 257, 16, 16)), 13),
    ("spatial_axes", "3", _conv((1, 2, 4, 4, 4), (2, 2, 2, 2, 2)), 13),
    ("weights_not_quantized", "float32", _float_weights, 13),
    ("one_zero_point", "they are uint8", _uneven_weights, 13),
    ("computed_weights", "`q4` is computed", of("Gemm", (4, 5), (5, 6)), 13),
    ("matrices", "1 axis", of("MatMul", (4, 5), (5,)), 13),
    ("bias", "a bias", _biased_product, 13),
    ("products_of_two", "32769", of("MatMul", (1, 32769), (32769, 1)), 13),
    ("batch", "a batch of 3", of("Softmax", (3, 4), axis=1), 13),
    ("batch", "a batch of 4", of("LpNormalization", (4, 5), axis=1, p=2), 13),
    ("norm_order", "p = 1", of("LpNormalization", (1, 5), axis=1, p=1), 13),
    *[("computed_operand", f"{kind} of 2 operands", of(kind, (2, 3), (2, 3)), 13) for kind in TWO_TENSORS],
    ("epsilon", "none", _normalized(), 13),
    ("epsilon", "0.001, the least norm is 0.02", _normalized(0.001), 13),
    ("batch", "a batch of 3", _normalized(1e-12, 3), 13),
    ("resize_coordinates", "tf_crop_and_resize", _cropped, 13),
    ("resize_coordinates", "half_pixel_symmetric",
     _linear([1, 1, 1.5, 1.5], coordinate_transformation_mode="half_pixel_symmetric"), 19),
    ("antialias", "1", _linear([1, 1, 0.5, 0.5], antialias=1), 18),
    ("weights_rank", "1", lambda b: b.q(b.op("MatMul", b.qinput(5, 6), b.weight(b.normal(6)))), 13),
    ("bias_shape", "shape (3, 6)", _gemm(3, 6), 13),
    ("float_constant", "float32", lambda b: b.q(b.op("Sum", b.qinput(1, 2), b.qinput(1, 2), b.const([0.5, 1]))), 13),
    ("axes", "they form 5", of("Mean", (2, 3, 4, 5, 6), (1, 3, 1, 5, 6), (6,)), 13),
    ("float_constant", "shape (4, 5) with (2, 3, 4, 5)", _float_constant, 13),
    ("gathered", "indices 0, 2, 3", _gathered([0, 2, 3]), 13),
    ("gathered", "indices 1, 0", _gathered([[1, 0]]), 13),
    ("computed_operand", "`clip3` is computed", _gathered(None), 13),
    ("activation", "sigmoid", _sigmoid_of_mean, 13),
    ("activation", "Relu or Clip", _clipped_softmax, 13),
    ("pad_mode", "reflect", with_operands("Pad", (2, 3, 8, 8), [0, 0, 1, 1, 0, 0, 1, 2], mode="reflect"), 13),
    ("pad_mode", "edge", with_operands("Pad", (2, 3, 8, 8), [0, 0, 1, 1, 0, 0, 1, 2], mode="edge"), 13),
    ("negative_pads", "-1", with_operands("Pad", (2, 3, 8, 8), [0, 0, -1, 1, 0, 0, 1, -1]), 13),
    ("mergeable", "it moves 5", _six_axes, 13),
    ("four_axes", "5 axes", of("MatMul", (1, 2, 3, 2, 2), (1, 2, 3, 2, 2)), 13),
    ("axes", "they form 5", of("Add", (2, 3, 4, 2, 3), (1, 3, 1, 2, 1)), 13),
    ("spatial", "3", of("MaxPool", (1, 2, 4, 4, 4), kernel_shape=[2, 2, 2]), 13),
    ("window_elements", "65792", of("MaxPool", (1, 1, 257, 256), kernel_shape=[257, 256]), 13),
    ("taps_inside", "the one from -1 on has none of 2",
     of("MaxPool", (1, 1, 2, 8), kernel_shape=[2, 1], dilations=[3, 1], pads=[1, 0, 1, 0]), 13),
    ("image_elements", "4196352", of("GlobalAveragePool", (1, 1, 2049, 2048)), 13),
    ("no_lowering", "Sin", of("Sin", (1, 4)), 13),
    ("cut_below_kernel", "padding (3, 0) of windows of 2 x 2",
     lambda b: b.q(b.op("ConvTranspose", b.qinput(1, 1, 5, 5), b.weight(b.normal(1, 1, 2, 2)), pads=[3, 0, 0, 0])), 13),
    ("positive_steps", "-1", _turned, 13),
    ("sliceable", "it sees 5", _parts, 13),
    ("gathered", "it sees 6", of("ReduceMean", (2, 3, 2, 3, 2, 3), axes=[0, 2, 4]), 13),
    ("reduced_elements", "4196352", _many, 13),
    ("slope_per_channel", "slopes of shape (4, 5)", with_operands("PRelu", (1, 3, 4, 5), np.ones((4, 5))), 13),
    ("resize_mode", "cubic", _resized([1, 2, 8, 8], mode="cubic"), 13),
    ("resize_pattern", "4 to 6 elements", _resized([1, 2, 6, 6], mode="nearest"), 13),
    ("image_extents", "1048578", lambda b: b.q(b.op("Resize", b.qinput(1, 1, 1, 2), "", b.const([1, 1, 1, 524289]),
                                                    mode="linear")), 13),
    ("images", "(4, 4) to (8, 8)",
     lambda b: b.q(b.op("Resize", b.qinput(4, 4), "", "", b.const([8, 8], np.int64), mode="linear")), 13),
    ("not_quantized", "float32", _no_result_scale, 13),
    ("not_empty", "shape (1, 0, 6, 6)", _empty, 13),
]  # fmt: skip


@pytest.mark.parametrize(("code", "actual", "build", "opset"), REFUSED, ids=[f"{c}: {a}" for c, a, *_ in REFUSED])
def test_refusal(code: str, actual: str, build: Case, opset: int) -> None:
    """The operator runs on the CPU with the same result, and the report says why it is there."""
    b = Builder(opset=opset)
    report = same(b.model(build(b)))
    found = [row for row in report["placement"] if row["reason_code"] == code]
    assert {row["actual"] for row in found} == {actual}
    check_reasons(report)


def check_reasons(report: dict[str, Any]) -> None:
    for row in report["placement"]:
        if row["device"] == "npu":
            assert not row["reason_code"]
        elif row["reason_code"] != "boundary_layout":
            assert all(row[key] for key in ("node", "op", "reason_code", "reason", "actual", "limit", "hint")), row
            assert not row["reason"].endswith(".")


@pytest.mark.parametrize("operand", [Builder.qinput, Builder.input])
def test_a_softmax_in_float32_says_why_the_quantizer_left_it(operand: Callable[..., str]) -> None:
    b = Builder()
    report = same(b.model(b.q(b.op("MatMul", b.op("Softmax", operand(b, 4, 6)), b.const(b.normal(6, 3))))))
    (row,) = [row for row in report["placement"] if row["op"] == "Softmax"]
    assert row["reason_code"] == "not_quantized"
    assert "the range (0, 1)" in row["hint"]


@pytest.mark.parametrize("kind", TWO_TENSORS)
def test_hints_about_two_tensors_lead_to_the_npu(kind: str) -> None:
    b = Builder()
    x, y = (b.q(b.op("Softplus", b.qinput(2, 5, 3))) for _ in range(2))
    report = same(b.model(b.q(TWO_TENSORS[kind](b, x, y))))
    assert on_cpu(report) == {}
    assert kind not in {row["op"] for row in report["placement"]}


def _dilated_mean(b: Builder) -> str:
    return b.q(b.op("AveragePool", b.q(b.input(1, 16, 9, 9), 0.02), kernel_shape=[3, 3], dilations=[2, 2]), 0.02)


def _scales_of_inputs(b: Builder) -> str:
    return b.q(b.op("MatMul", b.q(b.input(5, 6), 0.02), b.weight(b.normal(6, 9), 0)), 0.02)


@pytest.mark.parametrize(("code", "build", "shape"), [
    ("no_dilation", _dilated_mean, [1, 16, 5, 5]), ("output_channel_scales", _scales_of_inputs, [5, 9])
])  # fmt: skip
def test_refusal_of_what_onnx_runtime_cannot_run_quantized(code: str, build: Case, shape: list[int]) -> None:
    b = Builder(opset=19)
    y = build(b)
    report = compile_model(b.model(y, types=[helper.make_tensor_value_info(y, 1, shape)])).report
    assert list(on_cpu(report).values()) == [code]
    check_reasons(report)


@pytest.mark.parametrize("build", [
    _conv((1, 256, 16, 16), (2, 256, 16, 16)), _conv((1, 256, 2, 2), (256, 2, 1, 1), group=128),
    of("MaxPool", (1, 1, 256, 256), kernel_shape=[256, 256]),
    of("AveragePool", (1, 16, 256, 256), kernel_shape=[256, 256]), of("GlobalAveragePool", (1, 1, 2048, 2048)),
    _conv((1, 2, 4, 4), (2, 2, 2, 2), strides=[65536, 65536]),
])  # fmt: skip
def test_what_is_just_allowed_is_a_legal_program(build: Case) -> None:
    b = Builder()
    assert on_cpu(same(b.model(build(b)), 1.01 / 16)) == {}


def _dynamic(b: Builder) -> str:
    """A tensor whose rank nothing tells."""
    part = b.op("NonZero", b.op("Relu", b.input(1, 4)))
    return b.q(b.op("Relu", b.q(b.op("Cast", part, to=1), 0.1)), 0.1)


def _four_bits(b: Builder) -> str:
    import ml_dtypes

    stored = b.const(b.rng.integers(-8, 8, (2, 3, 1, 1)), ml_dtypes.int4)
    w = b.op("DequantizeLinear", stored, b.const(0.1), b.const(0, ml_dtypes.int4))
    return b.q(b.op("Conv", b.qinput(1, 3, 4, 4), w), 0.05)


@pytest.mark.parametrize(("dtype", "code", "actual", "build"), [
    ("uint16", "not_quantized", "uint16", of("Relu", (1, 4))),
    ("int16", "not_quantized", "int16", of("Add", (4,), (4,))),
    ("uint8", "weights_not_quantized", "int4[2,3,1,1]", _four_bits), ("uint8", "static_shape", "(2, -1)", _dynamic),
])  # fmt: skip
def test_other_integers_and_unknown_shapes(dtype: str, code: str, actual: str, build: Case) -> None:
    """They run on the CPU with ONNX Runtime's results, and the report names what was found."""
    b = Builder(dtype, opset=21)
    report = same(b.model(build(b)), 0.06)
    assert (code, actual) in {(row["reason_code"], row["actual"]) for row in report["placement"]}
    check_reasons(report)


def test_every_rule_has_a_sentence_a_limit_and_a_hint() -> None:
    rules = {rule.code: rule for row in OPS.values() for rule in row.every_rule}
    assert set(rules) <= {code for code, *_ in REFUSED} | {"no_dilation", "output_channel_scales"}
    for rule in rules.values():
        assert rule.sentence and rule.limit and rule.hint
        assert "\n" not in rule.sentence and not rule.sentence.endswith(".")


def test_part_float_part_quantized() -> None:
    b = Builder()
    x = b.op("Sin", b.input(1, 3, 8, 8))
    y = b.q(conv(b, b.q(x), (4, 3, 3, 3)))
    z = b.q(b.op("Cos", y))
    report = same(b.model(b.op("Softmax", b.q(b.op("MaxPool", z, kernel_shape=[2, 2])), axis=1)))
    assert set(on_cpu(report).values()) == {"no_lowering", "not_quantized"}
    assert (report["npu_clusters"], report["cpu_clusters"]) == (2, 3)
    check_reasons(report)


def test_what_follows_a_refused_operator_names_it() -> None:
    b = Builder()
    refused = conv(b, b.qinput(1, 2, 30, 30), (2, 2, 3, 3), dilations=[13, 13])
    report = same(b.model(b.q(b.op("Relu", refused))))
    assert {row["op"]: (row["reason_code"], row["actual"]) for row in report["placement"] if row["device"] == "cpu"
            and row["op"] in ("Conv", "Relu")} == {"Conv": ("dilation", "it is 13"),
                                                   "Relu": ("follows", f"behind `node_{refused}`")}  # fmt: skip
    check_reasons(report)


def test_a_normalization_that_is_written_out_has_one_reason() -> None:
    b = Builder()
    x = b.q(conv(b, b.qinput(1, 3, 8, 8), (4, 3, 3, 3)))
    difference = b.op("Sub", x, b.op("ReduceMean", x, axes=[1]))
    variance = b.op("ReduceMean", b.op("Pow", difference, b.const(2.0)), axes=[1])
    divided = b.op("Div", difference, b.op("Sqrt", b.op("Add", variance, b.const(1e-5))))
    report = same(b.model(b.q(b.op("Relu", b.q(divided)))))
    assert sorted(on_cpu(report).values()) == ["normalization"] * 7
    check_reasons(report)


def test_the_part_of_an_input_is_not_quantized_before_it_is_taken() -> None:
    b = Builder()
    x = b.input(1, 2, 3)
    report = same(b.model(b.q(b.op("Unsqueeze", x, b.const([1], np.int64)))))
    (row,) = (row for row in report["placement"] if row["op"] == "Unsqueeze")
    assert (row["reason_code"], row["actual"]) == ("not_quantized", f"`{x}` is float32")


def test_a_tensor_with_readers_on_both_sides() -> None:
    b = Builder()
    x = b.q(conv(b, b.qinput(1, 3, 8, 8), (4, 3, 3, 3)))
    report = same(b.model(b.q(b.op("Relu", x)), b.op("Sin", x), x))
    assert list(on_cpu(report).values()) == ["no_lowering"]


def test_a_refused_integer_node_runs_as_it_is() -> None:
    """A node in QLinear form that the NPU cannot run is the model's node in the CPU cluster, not its expansion."""
    b = Builder(com_microsoft=1)
    scale, zero = b.const(0.02), b.const(100, np.uint8)
    x = b.quantize(b.input(1, 6, 6, 3), 0.02, 100)
    pool = helper.make_node("QLinearGlobalAveragePool", [x, scale, zero, scale, zero], ["mean"], name="pool",
                            domain="com.microsoft", channels_last=1)  # fmt: skip
    b.nodes.append(pool)
    model = b.model(b.op("DequantizeLinear", "mean", scale, zero))
    assert on_cpu(same(model)) == {"pool": "channels_last"}
    compiled = compile_model(model)
    steps = [onnx.load_from_string(data) for data in compiled.layers["enf"].cpu_models]
    assert "QLinearGlobalAveragePool" in [node.op_type for step in steps for node in step.graph.node]
