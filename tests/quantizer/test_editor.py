"""Integers at the border: what ModelEditor notes, and what ``quantize`` makes of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from tests.compiler.quantized import run_both
from tests.parity import current_onnxruntime
from tests.quantizer.quantizing import Array, feeds, min_max, model, run, skeleton, typed

import furiosa.quantizer
from furiosa.quantizer import ModelEditor, TensorType, get_output_names, get_pure_input_names, quantize
from furiosa.quantizer.quantize import quantize_model

U8, I8 = TensorType.UINT8, TensorType.INT8
NET = """(float[1,3,6,6] x) => (float[1,4,4,4] c, float[1,4] y)
         { c = Conv(x, w, b) r = Relu(c) p = GlobalAveragePool(r) y = Flatten(p) }"""


def net() -> ModelProto:
    return model(NET, w=(4, 3, 3, 3), b=(4,))


RANGES = min_max(net()) | {"x": (-3.0, 3.5), "c": (-6.0, 7.0), "r": (0.0, 7.0), "p": (0.0, 3.0), "y": (0.0, 3.0)}


def edited(inputs: dict[str, TensorType], outputs: dict[str, Any]) -> ModelProto:
    made = net()
    editor = ModelEditor(made)
    for name, kind in inputs.items():
        editor.convert_input_type(name, kind)
    for name, given in outputs.items():
        editor.convert_output_type(name, *given)
    return made


def real(codes: Array, low: float, high: float) -> Array:
    """What integers stand for under a range: uint8 u for low + u * (high - low) / 255, int8 for 128 more."""
    unsigned = codes.astype(np.float64) + (128 if codes.dtype == np.int8 else 0)
    return np.asarray(low + unsigned * (high - low) / 255)


BORDERS: dict[str, tuple[dict[str, TensorType], dict[str, Any], str]] = {
    "uint8 input": ({"x": U8}, {}, "D Conv"),
    "int8 input": ({"x": I8}, {}, "D Q D Conv"),
    "uint8 results": ({}, {"c": (U8,), "y": (U8,)}, "Q D Conv"),
    "int8 results": ({}, {"c": (I8,), "y": (I8,)}, "Q D Conv"),
    "given range": ({}, {"c": (U8, (-1.0, 5.0))}, "Q D Conv"),
    "all uint8": ({"x": U8}, {"c": (U8,), "y": (U8, (0, 3.0))}, "D Conv Q D Relu Q D GlobalAveragePool Q D Flatten Q"),
    "all int8": ({"x": I8}, {"c": (I8,), "y": (I8, (-3.0, 4.0))},
                 "D Q D Conv Q D Q Relu Q D GlobalAveragePool Q D Flatten Q D Q"),
}  # fmt: skip


@pytest.mark.parametrize("name", BORDERS)
def test_integers_are_the_quantized_values(name: str) -> None:
    inputs, outputs, begin = BORDERS[name]
    result = quantize_model(edited(inputs, outputs), RANGES)
    onnx.checker.check_model(result, full_check=True)
    assert skeleton(result).startswith(begin)
    kinds = {U8: "uint8", I8: "int8"}
    assert typed(result.graph.input) == [("x", kinds[inputs["x"]] if inputs else "float32")]
    assert typed(result.graph.output) == [
        (each, kinds[outputs[each][0]] if each in outputs else "float32") for each in ("c", "y")
    ]
    assert not result.metadata_props
    fed = feeds(result, 5)
    exact = {"x": real(fed["x"], *RANGES["x"]).astype(np.float32) if inputs else fed["x"]}
    for each, want, have in zip(("c", "y"), run(net(), exact), run(result, fed)):
        low, high = RANGES[each]
        if each in outputs:
            low, high = outputs[each][1] if len(outputs[each]) > 1 else (low, high)
            have = real(have, min(low, 0), max(high, 0))
        clipped = np.clip(want, min(low, 0), max(high, 0))
        np.testing.assert_allclose(have, clipped, atol=0.1)


@current_onnxruntime
@pytest.mark.parametrize("name", BORDERS)
def test_the_border_costs_no_floats(name: str) -> None:
    inputs, outputs, _ = BORDERS[name]
    want, have, report = run_both(quantize(edited(inputs, outputs), RANGES))
    for ours, theirs in zip(have, want, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    steps = [row["op"] for row in report["placement"] if row["device"] == "cpu"]
    assert steps.count("Quantize") == (inputs != {"x": I8})  # uint8 becomes int8, which costs a copy
    assert steps.count("Dequantize") == 2 - len(outputs)
    assert (report["npu_clusters"], report["cpu_clusters"]) == (1, 0)


def test_an_edited_model_is_still_the_float_model() -> None:
    made = edited({"x": U8}, {"y": (I8, (0, 1))})
    onnx.checker.check_model(made, full_check=True)
    fed = feeds(made, 1)
    for ours, theirs in zip(run(made, fed), run(net(), fed)):
        np.testing.assert_array_equal(ours, theirs)
    assert min_max(made) == min_max(net())


def test_the_last_word_holds() -> None:
    made = edited({"x": U8}, {"y": (U8, (0, 1))})
    ModelEditor(made).convert_input_type("x", I8)
    ModelEditor(made).convert_output_type("y", U8)
    assert quantize(made, RANGES) == quantize(edited({"x": I8}, {"y": (U8,)}), RANGES)


def test_pixels_pass_unchanged() -> None:
    made = model("(float[1,3,6,6] x) => (float[N] y) { s = Mul(x, k) y = Relu(s) }",
                 constants={"k": np.float32(1 / 255)})  # fmt: skip
    ModelEditor(made).convert_input_type("x", U8)
    ModelEditor(made).convert_output_type("y", U8, (0, 1))
    result = quantize_model(made, {"x": (0, 255), "s": (0, 1), "y": (0, 0.5)})
    fed = feeds(result, 0)
    np.testing.assert_array_equal(run(result, fed)[0], fed["x"])


def test_integers_into_float_operators() -> None:
    made = model("(float[4] x) => (float[N] y, float[N] z) { s = Sin(x) y = Cos(s) z = Sigmoid(x) }")
    for kind, dtype in ((U8, np.uint8), (I8, np.int8)):
        editor = ModelEditor(made)
        editor.convert_input_type("x", kind)
        editor.convert_output_type("y", kind, (0, 1))
        result = quantize_model(made, {"x": (-1, 1.55), "y": (0, 1), "z": (0, 1)}, exclude=["Sigmoid"])
        onnx.checker.check_model(result, full_check=True)
        assert skeleton(result) == "D Sin Cos Q Sigmoid"
        codes = np.array([0, 100, 200, 255]).astype(np.uint8)
        fed = {"x": codes if kind is U8 else (codes.astype(int) - 128).astype(dtype)}
        have = run(result, fed)
        want = run(made, {"x": real(codes, -1, 1.55).astype(np.float32)})
        np.testing.assert_allclose(real(have[0], 0, 1), want[0], atol=0.01)
        np.testing.assert_allclose(have[1], want[1], atol=0.01)


@pytest.mark.parametrize(("high", "expected"), [(0.5, "Softmax Q"), (1.0, "Q D Softmax Q")])
def test_a_softmax_may_have_another_range_at_the_border(high: float, expected: str) -> None:
    made = model("(float[1,8] x) => (float[1,8] y, float[1,8] r) { y = Softmax(x) r = Relu(x) }")
    ModelEditor(made).convert_output_type("y", U8, (0, high))
    result = quantize_model(made, {"x": (-4, 4), "y": (0, 0.9), "r": (0, 4)})
    assert expected in skeleton(result)
    fed = {"x": np.array([[4, 0, 0, 0, 3, 3, 0, 0]], np.float32)}
    have, want = real(run(result, fed)[0], 0, high), run(made, fed)[0]
    np.testing.assert_allclose(have, np.minimum(want, high), atol=0.01)


EDITS: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "unknown input": ("convert_input_type", ("z", U8), "`z` is no input of the model"),
    "an initializer": ("convert_input_type", ("w", U8), "`w` is no input of the model"),
    "an inner tensor": ("convert_input_type", ("r", U8), "`r` is no input of the model"),
    "no name": ("convert_input_type", (None, U8), "`None` is no input of the model"),
    "a list of names": ("convert_output_type", (["y"], U8), "`['y']` is no output of the model"),
    "unknown output": ("convert_output_type", ("x", I8), "`x` is no output of the model"),
    "no type": ("convert_input_type", ("x", 7), "`7` is no tensor type"),
    "a type of NumPy": ("convert_output_type", ("y", np.uint8), "is no tensor type"),
    "range of one": ("convert_output_type", ("y", U8, (1,)), "is (1,), not two finite numbers in order"),
    "range exchanged": ("convert_output_type", ("y", U8, (1, 0)), "is (1, 0), not two finite numbers in order"),
    "range infinite": ("convert_output_type", ("y", U8, (0, float("inf"))), "not two finite numbers in order"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_what_cannot_be_converted_is_a_value_error(name: str) -> None:
    method, arguments, message = EDITS[name]
    made = net()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        getattr(ModelEditor(made), method)(*arguments)
    assert caught.value.hint  # type: ignore[attr-defined]
    assert not made.metadata_props


def test_only_float32_can_be_converted() -> None:
    made = model("""(int64[3] i, float[4] x) => (float[N] y, int64[N] j, float[4] x)
                    { y = Gather(x, i) j = Identity(i) }""")
    for method, name in (("convert_input_type", "i"), ("convert_output_type", "j"), ("convert_input_type", "x")):
        with pytest.raises(ValueError, match=f"`{name}` is "):
            getattr(ModelEditor(made), method)(name, U8)


def test_a_conversion_whose_tensor_is_gone_is_named() -> None:
    made = edited({"x": U8}, {})
    made.graph.input[0].name = made.graph.node[0].input[0] = "z"
    with pytest.raises(ValueError, match="`x`, which a ModelEditor converted, is no input of the model any more"):
        quantize(made, RANGES)


@pytest.mark.parametrize("note", ["", "{}", "[]", "null", '{"type": "INT4"}', '{"type": "INT8", "range": [1]}'])
def test_a_damaged_note_is_named(note: str) -> None:
    made = net()
    made.metadata_props.add(key="furiosa.quantizer.output_type.y", value=note)
    with pytest.raises(ValueError, match=r"`furiosa.quantizer.output_type.y` of the model is no note of|of output `y`"):
        quantize(made, RANGES)


def test_deprecated_keywords() -> None:
    with pytest.warns(DeprecationWarning, match=r"ModelEditor.convert_input_type"):
        without = quantize(net(), RANGES, with_quantize=False)
    assert without == quantize(edited({"x": U8}, {}), RANGES)
    with pytest.warns(DeprecationWarning, match=r"ModelEditor.convert_output_type"):
        pixels = quantize(net(), RANGES, normalized_pixel_outputs=[1])
    assert pixels == quantize(edited({}, {"y": (U8, (0, 1))}), RANGES)
    deprecated = pytest.warns(DeprecationWarning, match="deprecated")
    with deprecated, pytest.raises(ValueError, match="the model has no output 2"):
        quantize(net(), RANGES, normalized_pixel_outputs=[2])
    with deprecated, pytest.raises(ValueError, match="a list of indices, not `int`"):
        quantize(net(), RANGES, normalized_pixel_outputs=2)


def test_a_deprecated_keyword_leaves_what_an_editor_did() -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        both = quantize(edited({"x": I8}, {}), RANGES, with_quantize=False)
    assert both == quantize(edited({"x": I8}, {}), RANGES)


def test_names() -> None:
    made = model("(float[1,3,6,6] x, float[4,3,3,3] w) => (float[N] y) { y = Conv(x, w) }", w=(4, 3, 3, 3))
    for given in (made, made.SerializeToString()):
        assert get_pure_input_names(given) == ["x"]
        assert get_output_names(given) == ["y"]
    with pytest.raises(Exception, match="not an ONNX model"):
        get_pure_input_names(b"nothing")


def test_the_public_surface() -> None:
    assert sorted(furiosa.quantizer.__all__) == [
        "CalibrationMethod", "Calibrator", "ModelEditor", "TensorType", "get_output_names", "get_pure_input_names",
        "quantize",
    ]  # fmt: skip
    assert {kind.name: kind.value for kind in TensorType} == {"UINT8": 1, "INT8": 2}
    assert furiosa.quantizer.__version__.version in furiosa.quantizer.__full_version__
