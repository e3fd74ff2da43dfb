"""The Calibrator: which tensors it watches, and what it finds."""

from __future__ import annotations

import io
import math
import sys
import tracemalloc
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, parser
from tests.quantizer.calibrating import TENSORS, Array, M, branches, calibrated, images, text

from furiosa.quantizer.calibration import Calibrator
from furiosa.quantizer.floatmodel import load_float_model


def every_tensor(model: onnx.ModelProto, samples: Iterable[Sequence[Array]]) -> dict[str, Array]:
    """The values of all tensors for all samples, from ONNX Runtime without optimizations."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    have = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name not in have]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options)
    found: dict[str, list[Array]] = {}
    for sample in samples:
        feed = {value.name: array for value, array in zip(session.get_inputs(), sample)}
        results = dict(zip((value.name for value in session.get_outputs()), session.run(None, feed)))
        for name, array in {**feed, **results}.items():
            found.setdefault(name, []).append(array)
    return {name: np.concatenate([np.ravel(a) for a in arrays]) for name, arrays in found.items()}


@pytest.mark.parametrize("opset", [12, 13, 17, 21])
def test_min_max_is_what_onnxruntime_sees(opset: int) -> None:
    model, samples = branches(opset), images(4)
    ranges = calibrated(model, samples)
    assert list(ranges) == TENSORS
    values = every_tensor(model, samples)
    for name, (low, high) in ranges.items():
        expected = float(values[name].min()), float(values[name].max())
        assert (low, high) == pytest.approx(expected, abs=1e-5 * float(np.abs(values[name]).max())), name


@pytest.mark.parametrize("method", M)
def test_every_method_gives_every_tensor_a_range(method: M) -> None:
    samples = images(3)
    ranges, extremes = calibrated(branches(), samples, method), calibrated(branches(), samples)
    assert list(ranges) == TENSORS
    for name, (low, high) in ranges.items():
        assert [type(end) for end in (low, high)] == [float, float]
        assert low <= high and math.isfinite(low) and math.isfinite(high), name
        if method.symmetric:
            assert low == (0 if extremes[name][0] >= 0 else -high), name


@pytest.mark.parametrize("method", [M.MIN_MAX_ASYM, M.PERCENTILE_ASYM, M.MSE_SYM, M.ENTROPY_ASYM])
def test_order_and_calls_do_not_matter(method: M) -> None:
    samples = images(6)
    expected = calibrated(branches(), samples, method)
    assert calibrated(branches(), reversed(samples), method) == expected
    calibrator = Calibrator(branches(), method)
    for sample in samples:
        calibrator.collect_data([sample])
    assert calibrator.compute_range() == expected
    assert calibrator.compute_range() == expected


@pytest.mark.parametrize("threads", [1, 2, 5, 64])
def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    samples = images(2)
    expected = calibrated(branches(), samples, M.MSE_ASYM)
    calibrator = Calibrator(branches(), M.MSE_ASYM)
    monkeypatch.setattr("furiosa.quantizer.calibration.threads", lambda: threads)
    calibrator.collect_data(samples)
    assert calibrator.compute_range() == expected


def test_data_may_follow_a_range() -> None:
    samples = images(2)
    calibrator = Calibrator(branches(), M.MSE_ASYM)
    calibrator.collect_data(samples[:1])
    calibrator.compute_range()
    calibrator.collect_data(samples[1:])
    assert calibrator.compute_range() == calibrated(branches(), samples, M.MSE_ASYM)


def test_derived_tensors_have_the_ranges_of_their_own_values() -> None:
    """A Relu's range follows from its operand's counts; as an output it is looked at itself."""
    model, shown = branches(), branches()
    for name in ("left", "clipped", "flat"):
        shown.graph.output.append(onnx.ValueInfoProto(name=name))
    samples = images(3)
    for method in (M.MIN_MAX_SYM, M.PERCENTILE_SYM, M.MSE_ASYM):
        derived, direct = calibrated(model, samples, method), calibrated(shown, samples, method)
        for name in ("left", "clipped", "flat"):
            assert derived[name] == pytest.approx(direct[name], rel=1e-3), (method, name)


def test_outputs_are_returned_and_collected() -> None:
    model, samples = branches(), images(3)
    calibrator = Calibrator(model, M.MIN_MAX_ASYM)
    outputs = calibrator._collect_data_and_return_outputs(samples)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert len(outputs) == 3
    for (found,), (image,) in zip(outputs, samples):
        np.testing.assert_allclose(found, session.run(None, {"image": image})[0], rtol=1e-4, atol=1e-5)
    assert calibrator.compute_range() == calibrated(model, samples)


def test_bytes_and_model_are_the_same_and_stay_as_they_are() -> None:
    model, samples = branches(), images(1)
    before = model.SerializeToString(deterministic=True)
    assert calibrated(model, samples) == calibrated(before, samples)
    assert model.SerializeToString(deterministic=True) == before


MIXED = """
<ir_version: 8, opset_import: ["": 13]>
mixed (float[N, 2, 3] a, float16[2, 3] half, int64[1] index, float[4] unused, float through)
  => (float[N, 2, 3] sum, float through, int64[K] shape, float[N, 6] negated, float[2] constant)
  <float[2] constant = {1, -7}, int64[2] rows = {-1, 6}> {
  wide = Cast <to = 1> (half)
  sum = Add (a, wide)
  half2 = Add (half, half)
  shape = Shape (a)
  weight = Neg (constant)
  taken = Gather <axis = 1> (sum, index)
  flat = Reshape (sum, rows)
  negated = Neg (flat)
  scaled = Mul (taken, through)
}
"""


def test_tensors_of_all_kinds() -> None:
    model = parser.parse_model(MIXED)
    half, index = np.array([[1, 2, 3], [-1, -2, -3]], np.float16), np.array([1])
    samples = [[np.full((n, 2, 3), n, np.float32), half, index, np.ones(4, np.float32), np.array(2, np.float32)]
               for n in (1, 5)]  # fmt: skip
    assert calibrated(model, samples) == {
        "a": (1, 5), "unused": (1, 1), "through": (2, 2), "wide": (-3, 3), "sum": (-2, 8), "taken": (-2, 4),
        "flat": (-2, 8), "negated": (-8, 2), "scaled": (-4, 8), "constant": (-7, 1),
    }  # fmt: skip
    outputs = Calibrator(model, M.MIN_MAX_ASYM)._collect_data_and_return_outputs(samples[1:])
    assert [np.shape(value) for value in outputs[0]] == [(5, 2, 3), (), (3,), (5, 6), (2,)]
    assert outputs[0][1] == 2 and not np.shares_memory(outputs[0][1], samples[1][4])


def test_initializers_are_no_inputs_to_feed() -> None:
    model = branches()
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.dims) for t in model.graph.initializer
    )
    samples = images(1)
    ranges = calibrated(model, samples)
    assert list(ranges) == TENSORS
    for name, found in calibrated(branches(), samples).items():
        assert ranges[name] == pytest.approx(found, rel=1e-4, abs=1e-4), name


def test_functions_are_inlined() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 13, "own": 1]> g (float[2] x) => (float[2] y) { y = own.Double (x) }
        <opset_import: ["": 13], domain: "own"> Double (a) => (b) { c = Add (a, a) b = Identity (c) }
    """)
    x = np.array([1, -3], np.float32)
    for form in (model, model.SerializeToString()):
        ranges = calibrated(form, [[x]])
        assert (ranges["x"], ranges["y"]) == ((-3, 1), (-6, 2))
    assert not load_float_model(model).functions


def test_infinite_intermediates_are_left_out() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 13]> g (float[3] x) => (float[3] y) {
          logs = Log (x)  y = Exp (logs)
        }
    """)
    ranges = calibrated(model, [[np.array([0, 1, math.e], np.float32)]], M.PERCENTILE_ASYM)
    assert ranges["logs"] == pytest.approx((0, 1))
    assert ranges["y"] == pytest.approx((0, math.e))


def test_memory_does_not_grow_with_the_data() -> None:
    calibrator = Calibrator(branches(), M.ENTROPY_ASYM)
    calibrator.collect_data(images(5))
    tracemalloc.start()
    try:
        calibrator.collect_data(images(1) * 5)
        before = tracemalloc.get_traced_memory()[0]
        calibrator.collect_data(images(1) * 50)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("terminal", "verbose"), [(True, True), (True, False), (False, True)])
def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch, terminal: bool, verbose: bool) -> None:
    calibrator = Calibrator(branches(), M.MIN_MAX_ASYM)
    calibrator.collect_data(images(1))
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(calibrator.compute_range(verbose=verbose)) == TENSORS
    assert (f"/{len(TENSORS)}" in stream.getvalue()) == (terminal and verbose)


def test_one_of_several_inputs_may_be_constant() -> None:
    model = text("(float[1,4] x, float[1,4] mask) => (float[1,4] y) { y = Mul(x, mask) }")
    ranges = calibrated(model, [[np.arange(4, dtype=np.float32)[None], np.ones((1, 4), np.float32)]])
    assert ranges == {"x": (0, 3), "mask": (1, 1), "y": (0, 3)}


def test_percentage_is_used() -> None:
    samples = images(3)
    ends = []
    for percentage in (90, 99, 100):
        calibrator = Calibrator(branches(), M.PERCENTILE_ASYM, percentage=percentage)
        calibrator.collect_data(samples)
        ends.append(calibrator.compute_range()["stem"][1])
    assert ends == sorted(set(ends))
    assert ends[-1] == calibrated(branches(), samples)["stem"][1]
