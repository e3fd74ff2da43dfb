"""What the Calibrator refuses: data that do not fit, data from which nothing follows, and options that are none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import parser
from tests.quantizer.calibrating import TENSORS, Array, M, branches, calibrated, images

from furiosa.isa.errors import ModelError, OptionError
from furiosa.quantizer.calibration import Calibrator


def test_ranges_need_data() -> None:
    with pytest.raises(RuntimeError, match=r"^collect_data must be called before compute_range$"):
        Calibrator(branches(), M.MSE_ASYM).compute_range()


def test_constant_data_are_refused() -> None:
    calibrator = Calibrator(branches(), M.MSE_ASYM)
    calibrator.collect_data([[np.full_like(images(1)[0][0], 3)]] * 2)
    with pytest.raises(OptionError) as caught:
        calibrator.compute_range()
    assert caught.value.message == "input `image` has the value 3 everywhere, in all samples"
    assert caught.value.hint == "calibrate with samples of what the model will see"
    calibrator.collect_data(images(1))
    assert list(calibrator.compute_range()) == TENSORS


IMAGE = np.zeros((1, 3, 16, 16), np.float32)


def spoilt(value: float) -> Array:
    image = IMAGE.copy()
    image[0, 1, 2, 3] = value
    return image


BAD_DATA: dict[str, tuple[Callable[[], Any], str]] = {
    "a bare array": (lambda: IMAGE, "iterable of samples, not `ndarray`"),
    "a dictionary": (lambda: {"image": IMAGE}, "iterable of samples, not `dict`"),
    "a number": (lambda: 3, "iterable of samples, not `int`"),
    "arrays instead of samples": (lambda: [IMAGE], "sequence of arrays, not `ndarray`"),
    "a sample by name": (lambda: [{"image": IMAGE}], "sequence of arrays, not `dict`"),
    "nothing": (lambda: [], "the dataset is empty"),
    "no array": (lambda: [[]], "1 arrays, for `image`, and this one 0"),
    "two arrays": (lambda: [[IMAGE, IMAGE]], "1 arrays, for `image`, and this one 2"),
    "a list of numbers": (lambda: [[[1, 2]]], "input `image` takes an array, and it is given a `list`"),
    "float64": (lambda: [[IMAGE.astype(np.float64)]], "`image` takes float32, and its array is float64"),
    "uint8": (lambda: [[IMAGE.astype(np.uint8)]], "`image` takes float32, and its array is uint8"),
    "another size": (lambda: [[IMAGE[:, :, 1:]]], r"shape \(1, 3, 16, 16\), and its array \(1, 3, 15, 16\)"),
    "no batch axis": (lambda: [[IMAGE[0]]], r"shape \(1, 3, 16, 16\), and its array \(3, 16, 16\)"),
    "NaN": (lambda: [[spoilt(math.nan)]], "input `image` has NaN"),
    "Inf": (lambda: [[spoilt(-math.inf)]], "input `image` has Inf"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_do_not_fit(case: str) -> None:
    make, message = BAD_DATA[case]
    calibrator = Calibrator(branches(), M.MSE_ASYM)
    with pytest.raises(OptionError, match=message) as caught:
        calibrator.collect_data(make())
    assert caught.value.hint
    with pytest.raises(RuntimeError):
        calibrator.compute_range()


def test_the_sample_is_named_and_those_before_it_count() -> None:
    good = images(2)
    calibrator = Calibrator(branches(), M.MSE_ASYM)
    with pytest.raises(OptionError) as caught:
        calibrator.collect_data([*good, [spoilt(math.nan)]])
    assert caught.value.where == "sample 2 of the dataset"
    assert calibrator.compute_range() == calibrated(branches(), good, M.MSE_ASYM)


def test_nan_inside_names_the_tensor_and_leaves_no_trace() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 13]> g (float[2] x) => (float[2] y) {
          double = Add (x, x)  [root] broken = Sqrt (double)  y = Neg (broken)
        }
    """)
    calibrator = Calibrator(model, M.MSE_ASYM)
    calibrator.collect_data([[np.array([1, 4], np.float32)]])
    before = calibrator.compute_range()
    with pytest.raises(ModelError, match="NaN in tensor `broken`") as caught:
        calibrator.collect_data([[np.array([-100, 400], np.float32)]])
    assert caught.value.where == "sample 0 of the dataset, node `root` (Sqrt)"
    assert calibrator.compute_range() == before


def test_open_sizes_that_the_model_cannot_take() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 13]> g (float[N] x, float[K] y) => (float[M] z) { z = Add (x, y) }
    """)
    with pytest.raises(ModelError, match="ONNX Runtime cannot run the model") as caught:
        calibrated(model, [[np.ones(2, np.float32), np.ones(3, np.float32)]])
    assert caught.value.where == "sample 0 of the dataset"


@pytest.mark.parametrize("percentage", [0, -1, 100.5, math.nan, "99", None])
def test_percentages_out_of_range(percentage: Any) -> None:
    with pytest.raises(OptionError, match="the percentage is"):
        Calibrator(branches(), M.PERCENTILE_ASYM, percentage=percentage)


def test_methods_by_number() -> None:
    samples = images(1)
    assert calibrated(branches(), samples, 4) == calibrated(branches(), samples, M.PERCENTILE_ASYM)
    for method in (10, -1, "entropy", None):
        with pytest.raises(OptionError, match="no calibration method") as caught:
            Calibrator(branches(), method)
        assert "MSE_ASYM" in (caught.value.hint or "")
