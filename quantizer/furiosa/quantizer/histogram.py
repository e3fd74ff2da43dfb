"""Counts of a tensor's values in narrow bins: exact, in bounded memory, whatever the order in which values arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

BINS = 8192
"""Bins for each sign; the largest magnitude lies in the upper half of them."""
_ZERO = BINS - 1
_LOWEST = -100
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is known about the values of one tensor: its extremes, and how many values lie at each of ascending points.

    No value is further from its point than ``blur``, which has a number for negative values and one for the others; the
    extremes are points. ``values`` and ``counts`` are empty when only extremes were collected.
    """

    low: float
    high: float
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    blur: tuple[float, float] = (0.0, 0.0)

    def rectified(self) -> Distribution:
        """The distribution of ``max(x, 0)``."""
        low, high = max(self.low, 0.0), max(self.high, 0.0)
        return replace(self, low=low, high=high, values=np.maximum(self.values, 0), blur=(0.0, self.blur[1]))


class Histogram:
    """The extremes of all values seen, and how many of them have ``trunc(x / width) == i``, for each bin ``i``.

    Each sign has a width, a power of two. A larger value doubles it until there is a bin for it, and then pairs of bins
    merge: counts stay exact and depend on the values alone. Bin 0 is of both signs: less than a width away from zero.
    """

    def __init__(self, *, counting: bool = True) -> None:
        """Without ``counting`` there are extremes only."""
        self._low, self._high = math.inf, -math.inf
        self._counting = counting
        self._counts = np.zeros(2 * BINS - 1 if counting else 0, np.int64)
        self._exponents = {-1: _LOWEST, 1: _LOWEST}

    def add(self, values: NDArray[np.float32], low: float, high: float) -> None:
        """Take in finite values, given flat; ``low`` and ``high`` are their extremes."""
        self._low, self._high = min(self._low, low), max(self._high, high)
        if self._counting:
            self._reach(-1, -low)
            self._reach(1, high)
            self._count(values, low, high)

    def distribution(self) -> Distribution | None:
        """What has been seen, each count at the middle of its bin; None for nothing."""
        if self._low > self._high:
            return None
        used = np.flatnonzero(self._counts)
        if not used.size:
            return Distribution(self._low, self._high)
        bins = used - _ZERO
        below, above = self._width(-1), self._width(1)
        values = (bins + np.sign(bins) / 2) * np.where(bins < 0, below, above)
        values[0], values[-1] = self._low, self._high
        return Distribution(self._low, self._high, values, self._counts[used], (below, above))

    def _count(self, values: NDArray[np.float32], low: float, high: float) -> None:
        below, above = (np.float32(1 / self._width(sign)) for sign in (-1, 1))
        first, last = int(min(low, 0.0) * below), int(max(high, 0.0) * above)
        counts = self._counts[_ZERO + first : _ZERO + last + 1]
        for start in range(0, values.size, _CHUNK):
            chunk = values[start : start + _CHUNK]
            if below == above or low >= 0:
                scaled = chunk * above
            else:
                scaled = np.minimum(chunk, 0) * below
                scaled += np.maximum(chunk, 0) * above
            bins = scaled.astype(np.int32)
            bins -= first
            counts += np.bincount(bins, minlength=counts.size)

    def _width(self, sign: int) -> float:
        return 2.0 ** self._exponents[sign] / BINS

    def _reach(self, sign: int, magnitude: float) -> None:
        """Widen the bins of one sign until this magnitude has one."""
        exponent = math.frexp(magnitude)[1]  # magnitude < 2**exponent
        if magnitude <= 0 or exponent <= self._exponents[sign]:
            return
        merged = 1 << min(exponent - self._exponents[sign], BINS.bit_length() - 1)
        side = self._counts[_ZERO:] if sign > 0 else self._counts[_ZERO::-1]
        sums = side.reshape(-1, merged).sum(axis=1)
        side[:] = 0
        side[: sums.size] = sums
        self._exponents[sign] = exponent
