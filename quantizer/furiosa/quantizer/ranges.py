"""The ten calibration methods: from the distribution of a tensor's values to the range that its int8 codes span."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from furiosa.quantizer.histogram import Distribution
from furiosa.quantizer.losses import Floats, Loss, divergence, noise_to_signal, squared_error

Range = tuple[float, float]

_ROUNDS = ((0, 6, 1 / 2), (-1 / 2, 1 / 2, 1 / 8), (-1 / 8, 1 / 8, 1 / 32), (-1 / 32, 1 / 32, 1 / 64))
"""Exponents of 2 by which the ends of a range shrink: where they start and stop, in which steps."""


class CalibrationMethod(IntEnum):
    """How a range is found. Symmetric ones are [-a, a], or [0, a] for a tensor without negative values.

    - ``MIN_MAX``: the extremes.
    - ``ENTROPY``: the least Kullback-Leibler divergence between the values and their int8 form.
    - ``PERCENTILE``: the least range that holds a percentage of the values.
    - ``MSE``, ``SQNR``: the least mean squared error of the int8 form, the best signal-to-quantization-noise ratio.
    """

    MIN_MAX_ASYM = 0
    MIN_MAX_SYM = 1
    ENTROPY_ASYM = 2
    ENTROPY_SYM = 3
    PERCENTILE_ASYM = 4
    PERCENTILE_SYM = 5
    MSE_ASYM = 6
    MSE_SYM = 7
    SQNR_ASYM = 8
    SQNR_SYM = 9

    @property
    def symmetric(self) -> bool:
        """Whether ranges are symmetric."""
        return self % 2 == 1

    @property
    def needs_histogram(self) -> bool:
        """Whether the extremes do not suffice."""
        return self > CalibrationMethod.MIN_MAX_SYM


def find_range(method: CalibrationMethod, seen: Distribution, percentage: float) -> Range:
    """The range of a tensor. ``percentage`` is how much of the values a range by percentile holds.

    Ranges by error or entropy contain 0, as those of int8 codes do; the others are what was seen.
    """
    whole = _whole(seen, method.symmetric)
    if not method.needs_histogram or seen.low == seen.high:
        return whole
    if method in (CalibrationMethod.PERCENTILE_ASYM, CalibrationMethod.PERCENTILE_SYM):
        return _percentile(seen, whole, method.symmetric, 100 - percentage)
    low, high = min(whole[0], 0.0), max(whole[1], 0.0)
    loss = _LOSSES[method](seen, low, high)
    return _search(loss, low, high, tied=method.symmetric or low == 0 or high == 0)


def _whole(seen: Distribution, symmetric: bool) -> Range:
    """The extremes; symmetric: the larger magnitude on both sides, unless nothing is negative."""
    if not symmetric:
        return seen.low, seen.high
    largest = max(-seen.low, seen.high)
    return (0.0 if seen.low >= 0 else -largest), largest


def _percentile(seen: Distribution, whole: Range, symmetric: bool, rest: float) -> Range:
    """The least range within the whole one that leaves out at most ``rest`` %: by magnitude, or half at each end."""
    below, above = seen.blur
    if symmetric:
        high = _quantile(np.abs(seen.values), seen.counts, rest) + max(below, above)
        low = -high
    else:
        high = _quantile(seen.values + np.where(seen.values < 0, below, above), seen.counts, rest / 2)
        low = -_quantile(-seen.values + np.where(seen.values > 0, above, below), seen.counts, rest / 2)
    return max(whole[0], low), min(whole[1], high)


def _quantile(values: Floats, counts: NDArray[np.int64], rest: float) -> float:
    """The least of the values that at most ``rest`` % of all lie above."""
    order = np.argsort(values, kind="stable")
    above = counts.sum() - np.cumsum(counts[order])
    return float(values[order[np.argmax(above <= counts.sum() * rest / 100)]])


def _entropy(seen: Distribution, low: float, high: float) -> Loss:
    """The divergence, of ranges that have no more squared error than the whole one.

    By itself it does not see how far from the range a clipped value lies: it would cut the few large values of
    a softmax over many classes.
    """
    error, rate = squared_error(seen), divergence(seen)
    most = error(np.array([low]), np.array([high]))

    def loss(lows: Floats, highs: Floats) -> Floats:
        result = np.full(lows.shape, np.inf)
        fine = error(lows, highs) <= most
        result[fine] = rate(lows[fine], highs[fine])
        return result

    return loss


_LOSSES: dict[CalibrationMethod, Callable[[Distribution, float, float], Loss]] = {
    CalibrationMethod.ENTROPY_ASYM: _entropy,
    CalibrationMethod.ENTROPY_SYM: _entropy,
    CalibrationMethod.MSE_ASYM: lambda seen, *_: squared_error(seen),
    CalibrationMethod.MSE_SYM: lambda seen, *_: squared_error(seen),
    CalibrationMethod.SQNR_ASYM: lambda seen, *_: noise_to_signal(seen),
    CalibrationMethod.SQNR_SYM: lambda seen, *_: noise_to_signal(seen),
}
"""What a search minimises, given the distribution and the whole range."""


def _search(loss: Loss, low: float, high: float, tied: bool) -> Range:
    """The range with the least loss among those that [low, high] shrinks to; ``tied``: both ends by the same factor.

    Each round takes finer steps around the best of the one before. Of equals the widest is taken.
    """
    best = (0.0, 0.0)
    for start, stop, step in _ROUNDS:
        below, above = (np.unique(np.maximum(end + np.arange(start, stop, step), 0)) for end in best)
        if not tied:
            below, above = (pairs.ravel() for pairs in np.meshgrid(below, above))
        least = np.argmin(loss(low * 2.0**-below, high * 2.0**-above))
        best = float(below[least]), float(above[least])
    return low * 2.0 ** -best[0], high * 2.0 ** -best[1]
