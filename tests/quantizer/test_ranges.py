"""Ranges of the ten methods, on distributions whose answer is known and against brute force."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from furiosa.quantizer.histogram import Distribution, Histogram
from furiosa.quantizer.losses import divergence, noise_to_signal, squared_error
from furiosa.quantizer.ranges import CalibrationMethod, find_range

Floats = NDArray[np.float32]
M = CalibrationMethod

SEARCHES = (M.ENTROPY_ASYM, M.ENTROPY_SYM, M.MSE_ASYM, M.MSE_SYM, M.SQNR_ASYM, M.SQNR_SYM)
RNG = np.random.default_rng(1)
NORMAL = RNG.normal(size=200_000).astype(np.float32)
HEAVY = RNG.standard_t(3, size=200_000).astype(np.float32)
RECTIFIED = np.maximum(HEAVY, 0)
SHIFTED = (NORMAL * 0.5 - 3).astype(np.float32)
SHAPES = {"normal": NORMAL, "heavy": HEAVY, "rectified": RECTIFIED, "shifted": SHIFTED}


def seen(values: Floats) -> Distribution:
    made = Histogram()
    made.add(values, float(values.min()), float(values.max()))
    found = made.distribution()
    assert found is not None
    return found


def find(method: M, values: Floats, percentage: float = 99.99) -> tuple[float, float]:
    return find_range(method, seen(values), percentage)


def coded(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Quantized and dequantized, value by value."""
    if low == -high:
        scale, zero = high / 127, 0.0
    else:
        scale = (high - low) / 255
        zero = np.rint(-128 - low / scale)
    return np.asarray((np.clip(np.rint(values / scale) + zero, -128, 127) - zero) * scale)


def mse(values: Floats, low: float, high: float) -> float:
    x = values.astype(np.float64)
    return float(np.mean((x - coded(x, low, high)) ** 2))


@pytest.mark.parametrize("method", M)
@pytest.mark.parametrize("shape", SHAPES)
def test_ranges_lie_within_what_was_seen(method: M, shape: str) -> None:
    values = SHAPES[shape]
    low, high = find(method, values)
    assert type(low) is type(high) is float
    largest = float(np.abs(values).max())
    if method.symmetric:
        assert (low, high) == ((0.0, high) if values.min() >= 0 else (-high, high))
        assert 0 < high <= largest
    else:
        assert min(values.min(), 0) <= low < high <= max(values.max(), 0)
    if method in SEARCHES:
        assert low <= 0 <= high


def test_min_max_is_what_was_seen() -> None:
    assert find(M.MIN_MAX_ASYM, SHIFTED) == (SHIFTED.min(), SHIFTED.max())
    assert find(M.MIN_MAX_SYM, SHIFTED) == (SHIFTED.min(), -SHIFTED.min())
    assert find(M.MIN_MAX_SYM, np.array([0, 3], np.float32)) == (0, 3)
    assert find(M.MIN_MAX_SYM, np.array([-4, 3], np.float32)) == (-4, 4)


@pytest.mark.parametrize("method", M)
@pytest.mark.parametrize("constant", [-2.5, 0.0, 7.0])
def test_a_constant_has_its_own_value(method: M, constant: float) -> None:
    low, high = find(method, np.full(1000, constant, np.float32))
    if method.symmetric:
        assert (low, high) == ((0.0, constant) if constant >= 0 else (constant, -constant))
    else:
        assert (low, high) == (constant, constant)


@pytest.mark.parametrize("percentage", [90.0, 99.0, 99.9])
def test_percentile_of_a_normal_distribution(percentage: float) -> None:
    values = RNG.normal(size=2_000_000).astype(np.float32)
    end = NormalDist().inv_cdf(0.5 + percentage / 200)
    tolerance = {90.0: 0.01, 99.0: 0.02, 99.9: 0.05}[percentage]
    for method in (M.PERCENTILE_ASYM, M.PERCENTILE_SYM):
        assert find(method, values, percentage) == pytest.approx((-end, end), abs=tolerance)
    assert find(M.PERCENTILE_SYM, np.abs(values), percentage) == pytest.approx((0, end), abs=tolerance)


@given(hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-8, 8, width=16)), st.floats(50, 100))
def test_percentile_holds_its_percentage(values: Floats, percentage: float) -> None:
    for method in (M.PERCENTILE_ASYM, M.PERCENTILE_SYM):
        low, high = find(method, values, percentage)
        inside = np.count_nonzero((values >= low) & (values <= high))
        assert inside >= math.floor(values.size * percentage / 100)


def test_percentile_100_is_min_max() -> None:
    for values in SHAPES.values():
        for percentile, min_max in ((M.PERCENTILE_ASYM, M.MIN_MAX_ASYM), (M.PERCENTILE_SYM, M.MIN_MAX_SYM)):
            assert find(percentile, values, 100) == find(min_max, values)


def test_few_values_are_not_cut() -> None:
    values = RNG.normal(size=1000).astype(np.float32)
    for method in (M.PERCENTILE_ASYM, M.ENTROPY_ASYM):
        assert find(method, values) == (values.min(), values.max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", [M.MSE_ASYM, M.MSE_SYM])
def test_least_squared_error_against_brute_force(shape: str, method: M) -> None:
    """As good as the best of a fine grid of ranges, each tried on the values themselves."""
    values = SHAPES[shape][:20_000]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if method.symmetric and low < 0:
        high = max(-low, high)
        low = -high
    steps = np.linspace(0.05, 1, 40)
    tied = method.symmetric or low == 0 or high == 0
    grid = [(low * s, high * s) for s in steps] if tied else [(low * s, high * t) for s in steps for t in steps]
    best = min(mse(values, *ends) for ends in grid)
    assert mse(values, *find(method, values)) <= 1.01 * best


@pytest.mark.parametrize("shape", SHAPES)
def test_squared_error_is_that_of_the_points(shape: str) -> None:
    found = seen(SHAPES[shape])
    lows, highs = np.array([-6.0, -3, -3, -1, -4, -0.25]), np.array([1.0, 5, 3, 0, 0.5, 0.25])
    exact = [float(found.counts @ (found.values - coded(found.values, a, b)) ** 2) for a, b in zip(lows, highs)]
    assert squared_error(found)(lows, highs) == pytest.approx(np.array(exact) / found.counts.sum(), rel=1e-6)


def test_sqnr_is_the_error_relative_to_the_signal() -> None:
    found, ends = seen(HEAVY), (np.array([-4.0, -8]), np.array([4.0, 2]))
    power = float(np.mean(HEAVY.astype(np.float64) ** 2))
    assert noise_to_signal(found)(*ends) * power == pytest.approx(squared_error(found)(*ends), rel=1e-4)


def naive_divergence(values: NDArray[np.float64], counts: NDArray[np.int64], low: float, high: float) -> float:
    """Bin by bin, as the method was published; values and counts are of narrow bins that are not empty."""
    inside = np.flatnonzero((values >= low) & (values <= high))
    p = counts[inside].astype(np.float64)
    codes = np.rint(coded(values[inside], low, high) / ((high - low) / (254 if low == -high else 255)))
    q = np.array([counts[inside][codes == code].mean() for code in codes])
    p[0] += counts[: inside[0]].sum()
    p[-1] += counts[inside[-1] + 1 :].sum()
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum(p * np.log(p / q)))


@pytest.mark.parametrize("ends", [(-5.0, 5.0), (-1.0, 4.0), (-0.3, 0.2), (-7.3, 1.1)])
def test_divergence_against_the_published_form(ends: tuple[float, float]) -> None:
    # Points that lie on bins of the width that is used, 2**-8, away from the borders between codes.
    points = np.concatenate([np.arange(-1920, 0), np.arange(1, 1281)]) / 256
    counts = RNG.integers(20, 100, points.size)
    found = Distribution(points[0], points[-1], points, counts)
    value = divergence(found)(*(np.array([end]) for end in ends))[0]
    assert value == pytest.approx(naive_divergence(points, counts, *ends), rel=0.02, abs=1e-6)


def test_entropy_cuts_outliers() -> None:
    values = np.concatenate([NORMAL, np.array([60, -70], np.float32)])
    low, high = find(M.ENTROPY_ASYM, values)
    assert -40 < low < -3 and 3 < high < 40
    assert find(M.ENTROPY_SYM, values)[1] < 40


def test_entropy_keeps_what_costs_too_much() -> None:
    """Few values of a softmax over 1000 classes are large, and they are the answers."""
    values = np.abs(RNG.normal(size=(500, 1000)) * 5e-3).astype(np.float32)
    values[:20, 7] = RNG.uniform(0.7, 1, 20)
    narrow, whole = divergence(seen(values.ravel()))(np.zeros(2), np.array([0.05, 1]))
    assert narrow < whole
    for method in (M.ENTROPY_ASYM, M.ENTROPY_SYM):
        assert find(method, values.ravel())[1] > 0.7, method


def test_divergence_does_not_count_zeros() -> None:
    ends = np.array([-1.0, -3, -9]), np.array([2.0, 3, 9])
    padded = np.concatenate([HEAVY, np.zeros(10 * HEAVY.size, np.float32)])
    assert divergence(seen(padded))(*ends) == pytest.approx(divergence(seen(HEAVY))(*ends))


def test_divergence_of_few_values_is_least_for_the_widest_range() -> None:
    ends = np.array([100.0, 50, 25, 12, 6, 3])
    assert divergence(seen(HEAVY[:50_000]))(-ends, ends).argmin() == 0
    assert divergence(seen(HEAVY))(-ends, ends).argmin() > 0


def test_ranges_with_nothing_inside_are_no_candidates() -> None:
    """All values lie far from zero: a narrow range around zero holds none of them."""
    values = (100 + NORMAL).astype(np.float32)
    for method in SEARCHES:
        assert find(method, values)[1] > 99
        assert find(method, -values)[0] < -99


def test_methods_have_the_numbers_of_the_sdk() -> None:
    families = ("MIN_MAX", "ENTROPY", "PERCENTILE", "MSE", "SQNR")
    assert [(m.name, int(m)) for m in M] == [
        (f"{family}_{kind}", 2 * i + j) for i, family in enumerate(families) for j, kind in enumerate(("ASYM", "SYM"))
    ]
