"""Histograms: exact counts that depend on the values alone."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from furiosa.quantizer.histogram import BINS, Distribution, Histogram

Floats = NDArray[np.float32]

FINITE = st.floats(-(2.0**127), 2.0**127, width=32)
ARRAYS = hnp.arrays(np.float32, st.integers(1, 40), elements=st.one_of(FINITE, st.floats(-4, 4, width=32)))
PARTS = st.lists(ARRAYS, min_size=1, max_size=6)


def histogram(*parts: Floats, counting: bool = True) -> Distribution:
    made = Histogram(counting=counting)
    for part in parts:
        made.add(part, float(part.min()), float(part.max()))
    found = made.distribution()
    assert found is not None
    return found


def same(a: Distribution, b: Distribution) -> bool:
    return (a.low, a.high, a.blur) == (b.low, b.high, b.blur) and \
        np.array_equal(a.values, b.values) and np.array_equal(a.counts, b.counts)  # fmt: skip


def width(largest: float) -> float:
    """The least power of two that gives the largest magnitude of one sign a bin."""
    return float(2.0 ** max(np.frexp(np.float64(largest))[1], -100)) / BINS


def expected(values: Floats) -> dict[int, int]:
    """Counts by bin, from the definition."""
    x = values.astype(np.float64)
    below, above = width(max(-x.min(), 0.0)), width(max(x.max(), 0.0))
    bins = np.trunc(np.where(x < 0, x / below, x / above)).astype(np.int64)
    return dict(zip(*(part.tolist() for part in np.unique(bins, return_counts=True))))


@given(PARTS, st.randoms())
def test_counts_depend_neither_on_order_nor_on_parts(parts: list[Floats], random: Random) -> None:
    whole = histogram(np.concatenate(parts))
    shuffled = random.sample(parts, len(parts))
    assert same(histogram(*shuffled), whole)
    assert same(histogram(np.concatenate(shuffled)[::-1]), whole)


@given(PARTS)
def test_counts_are_those_of_the_definition(parts: list[Floats]) -> None:
    values = np.concatenate(parts)
    counts = expected(values)
    found = histogram(*parts)
    assert found.counts.tolist() == [counts[b] for b in sorted(counts)]
    assert found.counts.sum() == values.size
    assert (found.low, found.high) == (values.min(), values.max())
    assert (np.diff(found.values) > 0).all()
    assert found.values[-1] == found.high
    assert found.values[0] == found.low or found.values.size == 1


@given(PARTS)
def test_every_value_is_near_a_point(parts: list[Floats]) -> None:
    found = histogram(*parts)
    for value in np.concatenate(parts).astype(np.float64):
        assert np.abs(found.values - value).min() <= found.blur[int(value >= 0)]


@given(PARTS)
def test_rectified_is_what_relu_would_give(parts: list[Floats]) -> None:
    derived = histogram(*parts).rectified()
    direct = histogram(*(np.maximum(part, 0) for part in parts))
    assert (derived.low, derived.high, derived.blur[1]) == (direct.low, direct.high, direct.blur[1])
    # Below the width of a bin it depends on the negative values what counts as zero.
    above, same_above = (found.values > found.blur[1] for found in (derived, direct))
    assert derived.values[above].tolist() == direct.values[same_above].tolist()
    assert derived.counts[above].tolist() == direct.counts[same_above].tolist()
    assert derived.counts.sum() == direct.counts.sum()
    assert derived.values.min() >= 0


@given(PARTS)
def test_without_counting_there_are_extremes(parts: list[Floats]) -> None:
    values = np.concatenate(parts)
    assert same(histogram(*parts, counting=False), Distribution(float(values.min()), float(values.max())))


def test_nothing_seen() -> None:
    assert Histogram().distribution() is None


def test_resolution() -> None:
    """Thousands of bins for each sign, whatever the other sign has."""
    values = np.concatenate([np.linspace(-1000, 0, 100_001), np.linspace(0, 0.01, 100_001)]).astype(np.float32)
    found = histogram(values)
    assert ((found.values < 0).sum() > BINS / 2 - 2) and ((found.values > 0).sum() > BINS / 2 - 2)


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1.0, 1e38])
def test_all_magnitudes(scale: float) -> None:
    values = (np.linspace(-1, 3, 1000) * scale).astype(np.float32)
    found = histogram(values)
    assert found.counts.sum() == 1000
    assert (found.low, found.high) == (values.min(), values.max())


def test_many_values_count_exactly() -> None:
    values = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    counts = expected(values)
    assert histogram(values).counts.tolist() == [counts[b] for b in sorted(counts)]


def test_a_distribution_stays_as_it_is() -> None:
    before = histogram(np.array([-1, 2], np.float32))
    kept = replace(before, values=before.values.copy(), counts=before.counts.copy())
    before.rectified()
    assert same(before, kept)
